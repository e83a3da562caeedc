"""The labels that some kernels need, checked."""

import torch

from ntkviz.kernels.request import KernelRequest


def all_labels(request: KernelRequest, n_logits: int, kind: str) -> torch.Tensor:
    """Labels of the training points, then of the further points, int64 ``[N + M]``.

    Raises:
        ValueError: when they are missing or lie outside the logits.
    """
    parts = [("y", request.train_labels, request.train), ("yz", request.rows_labels, request.rows)]
    return torch.cat([_checked(name, y, len(x), n_logits, kind) for name, y, x in parts if x is not None])


def _checked(name: str, labels: torch.Tensor | None, n: int, n_logits: int, kind: str) -> torch.Tensor:
    """Labels as int64 ``[n]``.

    Raises:
        ValueError: when they are missing or do not fit.
    """
    if labels is None:
        raise ValueError(f"kind={kind!r} needs the points' labels: pass {name} with {n} integers.")
    highest = max(n_logits - 1, 1)
    if labels.shape != (n,) or int(labels.min()) < 0 or int(labels.max()) > highest:
        raise ValueError(
            f"{name} must hold {n} integers in 0..{highest}; got shape {list(labels.shape)} with values {int(labels.min())}..{int(labels.max())}."
        )
    return labels
