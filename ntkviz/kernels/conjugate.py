"""Conjugate kernel: inner products of the features that enter the readout."""

from ntkviz.gradients.activations import readout_inputs
from ntkviz.gradients.engine import Gram, gram_of_features
from ntkviz.kernels.request import KernelRequest


def gram(request: KernelRequest, *, layer: str | None = None) -> Gram:
    """Exact, unnormalised; ``layer`` names the readout when it is not the last Linear layer."""
    features = readout_inputs(request.model, request.everything, layer)
    request.on_progress("kernel", 0.9)
    return gram_of_features(features, len(request.train), square=request.square)
