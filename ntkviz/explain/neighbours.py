"""The training points nearest to a test point, by the kernel."""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Neighbours:
    """The strongest similarities of each test point.

    Attributes:
        indices: int64 ``[M, k]``, training points, strongest first; of equals the lower index first.
        similarities: ``[M, k]``, their kernel entries, in the dtype of the rows.
    """

    indices: np.ndarray
    similarities: np.ndarray


def neighbours(rows: np.ndarray, k: int = 10) -> Neighbours:
    """The k training points with the largest kernel entries, for each test point.

    A row of the kernel between a training point and the training set has that point itself among its neighbours. With an unnormalised
    kernel large gradients win over similar ones; take the cosine kernel to rank by direction.

    Args:
        rows: ``[M, N]``, the kernel between M points and the N training points.
        k: how many, at least 1; N when there are fewer.

    Raises:
        ValueError: when the rows are no ``[M, N]`` matrix of finite numbers, or k is below 1.
    """
    values = np.asarray(rows)
    if values.ndim != 2 or not values.shape[1] or values.dtype.kind not in "fiub":
        raise ValueError(f"rows must be numbers [M, N] with N >= 1; got shape {values.shape} of {values.dtype}.")
    if isinstance(k, bool) or not isinstance(k, int | np.integer) or k < 1:
        raise ValueError(f"k must be a whole number above 0; got {k!r}.")
    if not np.isfinite(values).all():
        raise ValueError(f"{int((~np.isfinite(values)).sum())} kernel entries are not finite; compute the rows again.")
    k = min(int(k), values.shape[1])
    # Ascending and stable on the mirrored row, then turned round: descending with the lower index first, without a negation
    # that unsigned numbers and booleans do not have.
    backwards = np.argsort(values[:, ::-1], axis=1, kind="stable")[:, ::-1][:, :k]
    indices = (values.shape[1] - 1 - backwards).astype(np.int64)
    return Neighbours(indices=indices, similarities=np.take_along_axis(values, indices, axis=1))
