"""Label pseudo NTK: the gradient of a point's own logit minus the others (Guo et al., ICLR 2024)."""

import torch

from ntkviz.gradients.engine import Gram, tangent_gram
from ntkviz.kernels.labels import all_labels
from ntkviz.kernels.request import KernelRequest


def gram(request: KernelRequest) -> Gram:
    """Exact, unnormalised: signs s_c(y) = +1 for the label and -1 for the others, divided by sqrt(C).

    For one logit (C = 1) the signs are +1 for class 1 and -1 for class 0.

    Raises:
        ValueError: when labels are missing or lie outside the logits.
    """
    model = request.differentiable()
    labels = all_labels(request, model.n_logits, "lpntk")
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
