"""The baseline without a network: inner products of inputs, or of token counts."""

import torch

from ntkviz.gradients.engine import Gram, gram_of_features
from ntkviz.kernels.request import KernelRequest


def gram(request: KernelRequest, *, pad_id: int = 0) -> Gram:
    """Exact, unnormalised; integer inputs ``[n, T]`` are token ids, counted without ``pad_id``."""
    x = request.everything
    features = x if x.is_floating_point() else token_counts(x, pad_id)
    return gram_of_features(features.reshape(len(x), -1).to(torch.float32), len(request.train), square=request.square)


def token_counts(ids: torch.Tensor, pad_id: int) -> torch.Tensor:
    """How often each token stands in a sample: ``[n, T]`` ids to float32 ``[n, tokens seen]``."""
    flat = ids.reshape(len(ids), -1)
    tokens, columns = torch.unique(flat, return_inverse=True)
    counts = torch.zeros(len(ids), len(tokens)).scatter_add_(1, columns, torch.ones(flat.shape))
    return counts[:, tokens != pad_id]
