"""``trak``: the attribution of Park et al. on the margin kernel, exact or with their projection."""

import numpy as np
from scipy.linalg import cho_factor, cho_solve, eigh

from ntkviz.explain.given import check_kernel, check_margin_rows, check_rows_diagonal
from ntkviz.explain.share import need_room
from ntkviz.surrogates.surrogate import Surrogate
from ntkviz.types import AttributionInfo

#: Eigenvalues below this share of the largest are rounding of a float32 kernel.
_ROUNDING = 1e-6

INFO = AttributionInfo(
    key="trak",
    title="TRAK (comparator)",
    formula=r"A_y(x, x_i) = \big[\phi_y(x)^\top(\Phi^\top\Phi + \lambda I)^{-1}\Phi^\top\big]_i\,(1 - p_i),\quad \phi_y = \nabla_\theta m_y",
    question="What does TRAK say?",
    cost="The margin kernel, one N³ factorisation; then M C N² multiplications.",
    source="Park et al., ICML 2023 (arXiv 2303.14186), of one trained network; exact in the kernel where they project.",
    caveat="Its factor 1 - p_i comes from the network itself and vanishes where that is certain; without it (saturated=False) it is often better. "
    "It speaks of log-odds, not of scores.",
    measured="LDS .52 on mnist-mlp-1k, .33 on fashion-cnn-1k (.42 without 1 - p), .36 on cancer-mlp; with K = 2,048 .45, .32 and .36.",
    unit="log_odds",
    needs=("kernel", "chances"),
    options={
        "lam": (1.0, "damping, in units of the mean diagonal"),
        "projection": (None, "K, the number of Gaussian directions; None is exact"),
        "rows_diagonal": (None, "[M, C], the margin kernel of each test point with itself; needed with a projection"),
        "saturated": (True, "whether effects are multiplied by 1 - p_i"),
        "seed": (0, "of the projection"),
    },
)


def trak(
    surrogate: Surrogate,
    rows: np.ndarray,
    *,
    kernel: np.ndarray | None = None,
    chances: np.ndarray | None = None,
    lam: float = 1.0,
    projection: int | None = None,
    rows_diagonal: np.ndarray | None = None,
    saturated: bool = True,
    seed: int = 0,
) -> np.ndarray:
    """Float64 ``[M, C, N]``: effect on the log-odds of each class, up to a factor.

    Args:
        surrogate: gives C and N; its weights are not used.
        rows: ``[M, C, N]`` of the kernel ``margin``, see :func:`ntkviz.kernels.comparators.margin_blocks`.
        kernel: ``[N, N]``, the margin kernel of the training points at their labels.
        chances: ``[N]``, the network's probability of each training point's label.
        lam: damping in units of the mean diagonal.
        projection: K, for gradients projected on K Gaussian directions; drawn in the space of the kernel, which gives each test
            point's attribution the distribution that a projection of the gradients would have.
        rows_diagonal: ``[M, C]``, needed with a projection.
        saturated: whether to multiply by ``1 - p_i``.
        seed: of the projection.

    Raises:
        ValueError: when something is missing or does not fit.
        BudgetExceeded: when the array would be too large.
    """
    n_scores, n = surrogate.weights.shape
    values = check_margin_rows(rows, n, n_scores, INFO.key)
    need_room(len(values), n_scores, n)
    gram = check_kernel(kernel, n, INFO.key).astype(np.float64)
    scale = float(np.diagonal(gram).mean()) or 1.0
    gram, flat = gram / scale, values.reshape(-1, n) / scale
    if not (np.isfinite(lam) and lam >= 0) or (projection is None and lam == 0):
        raise ValueError(f"lam must be above 0 (or 0 with a projection); got {lam!r}.")
    if projection is not None:
        own = check_rows_diagonal(rows_diagonal, values.shape[:2], INFO.key)
        gram, flat = _projected(gram, flat, own.reshape(-1) / scale, int(projection), seed)
    system = gram + max(lam, 1e-9) * np.eye(n)
    solved = cho_solve(cho_factor(system, lower=True, check_finite=False), flat.T, check_finite=False).T
    return solved.reshape(values.shape) * (1 - check_chances(chances, n, INFO.key) if saturated else 1.0)


def check_chances(chances: object, n: int, kind: str) -> np.ndarray:
    """The network's probabilities of the training points' labels, float64 ``[N]``.

    Raises:
        ValueError: when they are missing or do not fit.
    """
    values = np.asarray(chances, dtype=np.float64) if chances is not None else None
    if values is None or values.shape != (n,) or not ((values >= 0) & (values <= 1)).all():
        got = "nothing" if values is None else f"shape {values.shape}"
        raise ValueError(
            f"The attribution {kind!r} needs chances [{n}] in [0, 1], the network's probability of each training label; got {got}."
        )
    return values


def _projected(gram: np.ndarray, rows: np.ndarray, diagonal: np.ndarray, width: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Both blocks after a Gaussian projection to ``width`` numbers.

    In coordinates of the training gradients (the kernel's eigenvectors) a test gradient is its part among them and a length beside
    them. Directions that float32 cannot tell from none are left out: equal training points have fewer directions than points.
    """
    rng = np.random.default_rng(seed)
    values, vectors = eigh(gram, check_finite=False)
    kept = values > _ROUNDING * values[-1]
    lengths, vectors = np.sqrt(values[kept]), vectors[:, kept]
    inside = rows @ vectors / lengths
    beside = np.sqrt(np.maximum(diagonal - (inside**2).sum(axis=1), 0.0))
    directions = rng.standard_normal((len(lengths), width)) / np.sqrt(width)
    train = (vectors * lengths) @ directions
    test = inside @ directions + beside[:, None] * rng.standard_normal((len(rows), width)) / np.sqrt(width)
    return train @ train.T, test @ train.T
