"""Label pseudo NTK: the gradient of a point's own logit minus the others (Guo et al., ICLR 2024)."""

import torch

from ntkviz.gradients.engine import Gram, tangent_gram
from ntkviz.kernels.request import KernelRequest


def gram(request: KernelRequest) -> Gram:
    """Exact, unnormalised: signs s_c(y) = +1 for the label and -1 for the others, divided by sqrt(C).

    For one logit (C = 1) the signs are +1 for class 1 and -1 for class 0.

    Raises:
        ValueError: when labels are missing or lie outside the logits.
    """
    model = request.differentiable()
    parts = [("y", request.train_labels, request.train), ("yz", request.rows_labels, request.rows)]
    labels = torch.cat([_checked(name, y, len(x), model.n_logits) for name, y, x in parts if x is not None])
    if model.n_logits == 1:
        signs = 2.0 * labels[:, None] - 1.0
    else:
        signs = 2.0 * torch.nn.functional.one_hot(labels, model.n_logits) - 1.0
    heads = (signs * model.n_logits**-0.5)[:, None, :].to(model.device, model.dtype)
    return tangent_gram(
        model,
        request.train,
        request.rows,
        heads=heads,
        square=request.square,
        memory_mb=request.memory_mb,
        on_progress=request.on_progress,
    )


def _checked(name: str, labels: torch.Tensor | None, n: int, n_logits: int) -> torch.Tensor:
    """Labels as int64 ``[n]``.

    Raises:
        ValueError: when they are missing or do not fit.
    """
    if labels is None:
        raise ValueError(f"kind='lpntk' needs the points' labels: pass {name} with {n} integers.")
    highest = max(n_logits - 1, 1)
    if labels.shape != (n,) or int(labels.min()) < 0 or int(labels.max()) > highest:
        raise ValueError(
            f"{name} must hold {n} integers in 0..{highest}; got shape {list(labels.shape)} with values {int(labels.min())}..{int(labels.max())}."
        )
    return labels
