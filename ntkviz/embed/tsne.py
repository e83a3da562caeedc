"""t-SNE on the kernel's distances, by scikit-learn."""

from typing import Any

import numpy as np

from ntkviz.embed.placement import place_by_neighbours
from ntkviz.embed.result import Layout


def tsne_map(
    distances: np.ndarray,
    row_distances: np.ndarray | None = None,
    *,
    start: np.ndarray,
    seed: int,
    perplexity: float = 30.0,
) -> Layout:
    """A t-SNE map, started from given coordinates.

    Args:
        distances: ``[N, N]`` in the kernel's space.
        row_distances: ``[M, N]`` from test points to training points, or None.
        start: ``[N, 2]``, e.g. kernel PCA; only its shape is used, scaled to a spread of 1e-4 (Kobak and Berens 2019).
        seed: of the optimiser.
        perplexity: effective number of neighbours, above 1 and below N / 3.

    Returns:
        The layout; t-SNE has no map for new points, so ``notes`` says how test points were placed.

    Raises:
        ValueError: when ``perplexity`` does not lie between 1 and N / 3.

    Source: van der Maaten and Hinton 2008; ``sklearn.manifold.TSNE``.
    """
    from sklearn.manifold import TSNE  # half a second; only when it is used
    from threadpoolctl import threadpool_limits

    n = len(distances)
    if not 1 <= perplexity <= max(1.0, n / 3):
        raise ValueError(
            f"perplexity must lie between 1 and N / 3 = {n / 3:.3g}, got {perplexity}. Take a smaller one or more points."
        )
    spread = float(start[:, 0].std())
    begin: Any = ((start / spread if spread > 0 else start) * 1e-4).astype(np.float32)  # scikit-learn's stub knows names only
    model = TSNE(metric="precomputed", init=begin, perplexity=perplexity, random_state=seed, n_jobs=1)
    # One thread: n_jobs does not reach the OpenMP loops, and with several the order of the sums, and so the map,
    # depends on the machine; on a busy one, threads that wait for each other also made it 20 times slower.
    with threadpool_limits(limits=1):
        points = np.asarray(model.fit_transform(distances), dtype=np.float64)
    if row_distances is None:
        return Layout(points, None)
    k = max(2, min(n, round(perplexity)))
    note = (
        f"t-SNE has no map for new points: each test point stands at the fuzzy-weighted mean of its {k} nearest training points."
    )
    return Layout(points, place_by_neighbours(row_distances, points, n_neighbours=k), (note,))
