"""Margin kernel: the gradient of the log-odds of a point's label, the features of TRAK (Park et al., ICML 2023)."""

import torch

from ntkviz.gradients.engine import Gram, tangent_gram
from ntkviz.kernels.labels import all_labels
from ntkviz.kernels.request import KernelRequest
from ntkviz.models.probes import logits_of
from ntkviz.scores import log_odds_heads


def gram(request: KernelRequest) -> Gram:
    """Exact, unnormalised.

    Raises:
        ValueError: when labels are missing or lie outside the logits.
    """
    model = request.differentiable()
    labels = all_labels(request, model.n_logits, "margin").numpy()
    heads = torch.from_numpy(log_odds_heads(logits_of(request.model, request.everything), labels))
    return tangent_gram(
        model,
        request.train,
        request.rows,
        heads=heads[:, None, :].to(model.device, model.dtype),
        square=request.square,
        memory_mb=request.memory_mb,
        on_progress=request.on_progress,
    )
