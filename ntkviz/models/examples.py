"""Inputs of the right shape for a specification, for a look at a network that came without data."""

import numpy as np

from ntkviz.errors import UploadRejected
from ntkviz.models.registry import architectures
from ntkviz.models.spec import ArchitectureSpec, check_forward

#: Sides of images, in the order in which they are tried, and the texts' length; a list of layers does not name them.
_SIDES = (28, 32, 64, 16, 8, 48, 96, 128, 224, 4, 12, 20, 24)
_LENGTH = 12


def example_inputs(spec: ArchitectureSpec, *, n: int = 16, seed: int = 0) -> np.ndarray | None:
    """Random inputs that the network takes.

    Args:
        spec: a checked specification.
        n: how many.
        seed: of the numbers.

    Returns:
        float32 ``[n, ...]``, standard normal around the specification's mean, or int64 token ids ``[n, T]``; None when no
        shape that was tried fits.
    """
    rng = np.random.default_rng(seed)
    for shape in _shapes(spec):
        try:
            check_forward(spec, shape)
        except UploadRejected:
            continue
        if spec.reads_tokens:
            return rng.integers(0, _tokens(spec), size=(n, *shape), dtype=np.int64)
        x = rng.standard_normal((n, *shape), dtype=np.float32)
        if spec.normalise is None:
            return x
        axes = (-1, *[1] * (len(shape) - 1))
        mean, std = (np.asarray(values, np.float32).reshape(axes) for values in (spec.normalise.mean, spec.normalise.std))
        return x * std + mean
    return None


def _shapes(spec: ArchitectureSpec) -> list[tuple[int, ...]]:
    """Shapes of one sample that may fit, the likeliest first."""
    if spec.name is not None:
        options = dict(architectures()[spec.name].check(spec.options))
        return {
            "mlp": [(options.get("inputs", 1),)],
            "tabular": [(options.get("features", 1),)],
            "transformer": [(options.get("length", 1),)],
            "cnn": [(options.get("in_channels", 1), options.get("height", 1), options.get("width", 1))],
            "resnet": [(options.get("in_channels", 1), side, side) for side in (32, 64)],
        }[spec.name]
    for layer in spec.layers or ():
        fields = layer.model_dump()
        if layer.type == "Embedding":
            return [(_LENGTH,)]
        if layer.type == "Conv1d":
            return [(fields["in_channels"], side) for side in _SIDES]
        if layer.type == "Conv2d":
            return [(fields["in_channels"], side, side) for side in _SIDES]
        if layer.type == "Linear":
            return [(fields["in_features"],)]
        if layer.type in {"BatchNorm1d", "BatchNorm2d", "GroupNorm"}:
            width = fields.get("num_features") or fields["num_channels"]
            return [(width,), *((width, side, side) for side in _SIDES)]
        if layer.type == "LayerNorm":
            return [tuple(fields["normalized_shape"])]
    return []


def _tokens(spec: ArchitectureSpec) -> int:
    """How many token ids the network knows."""
    if spec.name is not None:
        return dict(architectures()[spec.name].check(spec.options))["vocabulary"]
    return next(layer.model_dump()["num_embeddings"] for layer in spec.layers or () if layer.type == "Embedding")
