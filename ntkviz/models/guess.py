"""From names and shapes of a weights file to a specification that would fit it; torch-free.

Layers without parameters leave no trace but a gap in the numbering, so activations, pooling and padding are guesses, and the
person who brought the file is asked to confirm them.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import permutations, takewhile
from typing import Any

_LAST_PART = re.compile(r"(?:(?P<owner>.+)\.)?(?P<part>weight|bias|running_mean|running_var|num_batches_tracked)")
_INDEX = re.compile(r"(?:.*\.)?(\d+)")
_DIGITS = re.compile(r"(\d+)")

#: Guesses are for plain stacks of layers; a longer list is something else.
_MAX_LAYERS = 60
#: Parts of a network, such as features and classifier, whose orders are tried.
_MAX_PARTS = 5


@dataclass(frozen=True)
class _Found:
    """One layer with parameters: its name, its number in the stack (None when names have no numbers) and its tensors' shapes."""

    owner: str
    index: int | None
    parts: Mapping[str, tuple[int, ...]]

    @property
    def weight(self) -> tuple[int, ...]:
        return self.parts["weight"]


def guess_spec(shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Any] | None:
    """A list of layers whose parameters have these names and shapes.

    Args:
        shapes: name -> shape, such as ``{"0.weight": (8, 16), "0.bias": (8,), "2.weight": (3, 8), "2.bias": (3,)}``, in the
            order of the file; names without numbers (``fc1.weight``) are taken in that order unless it is the alphabet's, else in
            the first that fits of all orders of the network's parts (``features``, ``classifier``).

    Returns:
        ``{"layers": [...]}`` as :func:`ntkviz.models.spec.parse_spec` takes it, or None when this is no plain stack of dense,
        convolution, normalisation and embedding layers of which each takes what the one before gives.
    """
    found = _layers_found(shapes)
    orders = [] if found is None else [found] if found[0].index is not None else _orders(found)
    return next((guess for order in orders if (guess := _stack(order)) is not None), None)


def _orders(found: list[_Found]) -> Iterator[list[_Found]]:
    """Orders in which layers without numbers may stand: that of the file unless it is the alphabet's, then by parts of the network.

    Yields:
        One order.
    """
    names = [layer.owner for layer in found]
    if names != sorted(names):
        yield found
    levels = zip(*(name.split(".")[:-1] for name in names), strict=False)
    common = sum(1 for _ in takewhile(lambda level: len(set(level)) == 1, levels))
    parts: dict[str, list[_Found]] = {}
    for layer in sorted(found, key=lambda layer: [int(word) if word.isdigit() else word for word in _DIGITS.split(layer.owner)]):
        parts.setdefault(layer.owner.split(".")[common].rstrip("0123456789"), []).append(layer)
    if len(parts) <= _MAX_PARTS:
        for order in permutations(parts.values()):
            yield [layer for part in order for layer in part]


def _stack(found: list[_Found]) -> dict[str, Any] | None:
    """The specification of layers in this order, or None when one does not take what the one before gives."""
    layers: list[dict[str, Any]] = []
    width: int | None = None
    image = False
    previous: _Found | None = None
    for place, layer in enumerate(found):
        following = found[place + 1] if place + 1 < len(found) else None
        made = _layer(layer, width, following, image=image)
        if made is None:
            return None
        entry, out = made
        gap = _gap(previous, layer)
        if gap is not None and gap > _MAX_LAYERS:
            return None
        layers += _between(layers, entry, gap, width=width)
        layers.append(entry if layer.owner == str(len(layers)) else {**entry, "called": layer.owner})
        image = entry["type"] == "Conv2d" or (image and entry["type"] == "BatchNorm2d")
        width, previous = out, layer
    return {"layers": layers} if layers and layers[-1]["type"] == "Linear" and len(layers) <= _MAX_LAYERS else None


def _layers_found(shapes: Mapping[str, tuple[int, ...]]) -> list[_Found] | None:
    """The layers with parameters, in their order, or None when a name is of another kind."""
    owners: dict[str, dict[str, tuple[int, ...]]] = {}
    for name, shape in shapes.items():
        match = _LAST_PART.fullmatch(name)
        if match is None:
            return None
        owners.setdefault(match["owner"] or "", {})[match["part"]] = tuple(shape)
    if not owners or len(owners) > _MAX_LAYERS or any("weight" not in parts for parts in owners.values()):
        return None
    numbered = [_INDEX.fullmatch(owner) for owner in owners]
    stacks = {owner.rpartition(".")[0] for owner in owners}
    if all(numbered) and len(stacks) == 1:
        found = [
            _Found(owner, int(match[1]), parts) for match, (owner, parts) in zip(numbered, owners.items(), strict=True) if match
        ]
        return sorted(found, key=lambda layer: layer.index or 0)  # safetensors does not keep the order
    if any(owner.isdigit() for owner in owners):  # it would be taken for a place in the list
        return None
    return [_Found(owner, None, parts) for owner, parts in owners.items()]


def _layer(found: _Found, width: int | None, following: _Found | None, *, image: bool) -> tuple[dict[str, Any], int] | None:
    """The layer's entry and the width that it gives, or None when it does not fit the width that it is given."""
    shape, bias = found.weight, "bias" in found.parts
    if len(shape) == 1 and width == shape[0]:
        return _normalisation(found, image=image), shape[0]
    if len(shape) == 4 and (width is None or width == shape[1]) and (width is None or image):
        entry = {"type": "Conv2d", "in_channels": shape[1], "out_channels": shape[0], "kernel_size": list(shape[2:])}
        if any(side > 1 for side in shape[2:]):
            entry["padding"] = [side // 2 for side in shape[2:]]
        return _with_bias(entry, bias), shape[0]
    if len(shape) != 2 or 0 in shape:
        return None
    if (
        width is None
        and not bias
        and following is not None
        and len(following.weight) == 2
        and following.weight[1] == shape[1] != shape[0]
    ):
        return {"type": "Embedding", "num_embeddings": shape[0], "embedding_dim": shape[1]}, shape[1]
    if width is None or shape[1] == width or (image and shape[1] % width == 0):
        return _with_bias({"type": "Linear", "in_features": shape[1], "out_features": shape[0]}, bias), shape[0]
    return None


def _normalisation(found: _Found, *, image: bool) -> dict[str, Any]:
    """BatchNorm where there are running statistics, otherwise LayerNorm (GroupNorm of one group on images)."""
    width = found.weight[0]
    if "running_mean" in found.parts:
        return {"type": "BatchNorm2d" if image else "BatchNorm1d", "num_features": width}
    if image:
        return {"type": "GroupNorm", "num_groups": 1, "num_channels": width}
    return {"type": "LayerNorm", "normalized_shape": [width]}


def _with_bias(entry: dict[str, Any], bias: bool) -> dict[str, Any]:
    return entry if bias else {**entry, "bias": False}


def _gap(previous: _Found | None, layer: _Found) -> int | None:
    """How many layers without parameters stand before this one, or None when the names do not tell."""
    if layer.index is None:
        return None
    return layer.index if previous is None or previous.index is None else layer.index - previous.index - 1


def _between(before: list[dict[str, Any]], entry: dict[str, Any], gap: int | None, *, width: int | None) -> list[dict[str, Any]]:
    """Layers without parameters that probably stand before ``entry``, exactly ``gap`` of them where that is known.

    What the shapes demand (flattening, pooling to one position) comes first in importance, then an activation, then pooling,
    then dropout; places that are left over are held by Identity.
    """
    last = next((layer["type"] for layer in reversed(before) if "type" in layer), None)
    wanted: list[tuple[int, int, dict[str, Any]]] = []  # (importance, place, layer)
    if last is None:
        wanted = [(0, 0, {"type": "Flatten"})] if entry["type"] == "Linear" and gap else []
    elif last == "Embedding":
        wanted = [(0, 0, {"type": "Mean", "dim": 1})]
    elif entry["type"] in {"Linear", "Conv2d"}:
        wanted = [(1, 0, {"type": "ReLU"})]
        images = last in {"Conv2d", "BatchNorm2d", "GroupNorm"}
        if images and entry["type"] == "Linear":
            one = entry["in_features"] == width
            pool = {"type": "AdaptiveAvgPool2d", "output_size": [1]} if one else {"type": "MaxPool2d", "kernel_size": [2]}
            wanted += [(0 if one else 2, 1, pool), (0, 2, {"type": "Flatten"})]
        elif images:
            wanted += [(2, 1, {"type": "MaxPool2d", "kernel_size": [2]})]
        wanted += [(3, 3, {"type": "Dropout"})] if gap is not None else []
    elif gap:
        wanted = [(1, 0, {"type": "ReLU"})]
    room = len(wanted) if gap is None else gap
    kept = sorted(sorted(wanted, key=lambda entry: entry[0])[:room], key=lambda entry: entry[1])
    return [layer for _, _, layer in kept] + [{"type": "Identity"}] * (room - len(kept))


def guess_text(guess: Mapping[str, Any]) -> str:
    """A guess in one line, such as "Linear 16-8, ReLU, Linear 8-3"."""
    words = []
    for layer in guess["layers"]:
        numbers = [layer[key] for key in ("in_features", "in_channels", "num_embeddings") if key in layer]
        numbers += [layer[key] for key in ("out_features", "out_channels", "embedding_dim", "num_features") if key in layer]
        words.append(" ".join([layer["type"], "-".join(map(str, numbers))]).strip())
    return ", ".join(words)
