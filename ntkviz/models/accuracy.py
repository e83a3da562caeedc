"""Is the accuracy on labelled data plausible, and if not, which of the usual slips would explain it?"""

import math
from collections.abc import Callable, Iterator

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import nn

from ntkviz.models.normalised import Normalised
from ntkviz.models.report import ProbeRow

#: An explanation is offered only when it wins this much accuracy: less is noise or a matter of taste.
_MUCH = 0.1
#: With accuracy above this there is nothing to explain.
_GOOD = 0.95

Logits = Callable[[nn.Module, torch.Tensor], np.ndarray]
Scale = dict[str, list[float]]


def accuracy_rows(model: nn.Module, x: torch.Tensor, y: np.ndarray, *, logits: Logits) -> tuple[list[ProbeRow], float | None]:
    """Compare predictions with labels.

    Args:
        model: in eval mode.
        x: inputs ``[n, ...]``.
        y: whole numbers ``[n]``.
        logits: ``logits(model, x)`` -> float array ``[n, C]``.

    Returns:
        The rows, and the accuracy in [0, 1] (None when labels and logits do not fit together).
    """
    scores = logits(model, x)
    n_classes = max(2, scores.shape[1])
    fault = _label_fault(y, len(x), scores.shape[1])
    if fault:
        return [ProbeRow("accuracy", False, "error", fault)], None
    predicted = _predicted(scores)
    accuracy = float((predicted == y).mean())
    chance = float(np.bincount(y, minlength=n_classes).max() / len(y))
    error = math.sqrt(max(chance * (1 - chance), 1 / len(y)) / len(y))
    text = f"Accuracy {accuracy:.1%} on {len(y):,} samples; always saying the commonest class would get {chance:.1%}."
    plausible = accuracy > chance + 2 * error or accuracy >= _GOOD
    rows = []
    if accuracy < _GOOD:
        rows = [*_relabelled(predicted, y, n_classes, accuracy), *_rescaled(model, x, y, accuracy, logits)]
    if plausible:
        return [ProbeRow("accuracy", True, "info", text), *rows], accuracy
    advice = " The weights may be untrained, or not belong to this architecture or these data." if not rows else " See below."
    return [ProbeRow("accuracy", False, "warning", f"{text} The network does no better.{advice}"), *rows], accuracy


def _label_fault(y: np.ndarray, n: int, n_logits: int) -> str:
    """What is wrong with the labels, or ""."""
    top = max(2, n_logits) - 1
    if y.ndim != 1 or len(y) != n or y.dtype.kind not in "iub":
        return f"Expected {n} labels, whole numbers [n]; got an array of {y.dtype} {list(y.shape)}."
    if len(y) and not (0 <= int(y.min()) and int(y.max()) <= top):
        return (
            f"The labels run from {y.min()} to {y.max()} and the network has {n_logits} logit{'s' if n_logits > 1 else ''}; expected "
            f"labels from 0 to {top}. Bring the data that it was trained on, or renumber the labels."
        )
    return ""


def _predicted(scores: np.ndarray) -> np.ndarray:
    """The class of each row; for one logit its sign."""
    return scores.argmax(1) if scores.shape[1] > 1 else (scores[:, 0] > 0).astype(np.int64)


def _relabelled(predicted: np.ndarray, y: np.ndarray, n_classes: int, accuracy: float) -> Iterator[ProbeRow]:
    """Whether a renumbering of the classes explains the labels much better.

    Yields:
        One row when it does.
    """
    confusion = np.zeros((n_classes, n_classes), dtype=np.int64)
    np.add.at(confusion, (y, predicted), 1)
    theirs, ours = linear_sum_assignment(confusion, maximize=True)
    best = confusion[theirs, ours].sum() / len(y)
    # The best of C! renumberings beats chance even for a network that knows nothing, hence the second condition.
    if best < accuracy + _MUCH or best < 0.5 + 0.5 / n_classes:
        return
    moved = [(int(a), int(b)) for a, b in zip(theirs, ours, strict=True) if a != b and confusion[a, b]]
    pairs = ", ".join(f"{a} is called {b}" for a, b in moved[:4]) + (", ..." if len(moved) > 4 else "")
    yield ProbeRow(
        "labels",
        False,
        "warning",
        f"The classes look renumbered: with other numbers the accuracy would be {best:.1%} and not {accuracy:.1%} (what the data "
        f"call {pairs} by the network). Put the classes into the order of the training.",
    )


def _rescaled(model: nn.Module, x: torch.Tensor, y: np.ndarray, accuracy: float, logits: Logits) -> Iterator[ProbeRow]:
    """Whether inputs on another scale are recognised much better.

    Yields:
        One row when they are.
    """
    found: list[tuple[float, str, Scale | None]] = []
    for net, inputs, advice, scale in _alternatives(model, x):
        try:
            scores = logits(net, inputs)
        except Exception:  # an alternative that does not run explains nothing
            continue
        found.append((float((_predicted(scores) == y).mean()), advice, scale))
    best, advice, scale = max(found, key=lambda entry: entry[0], default=(0.0, "", None))
    if best >= accuracy + _MUCH:
        yield ProbeRow(
            "normalisation",
            False,
            "warning",
            f"The inputs look wrongly scaled: the accuracy is {accuracy:.1%}, and {best:.1%} {advice}",
            scale,
        )


def _alternatives(model: nn.Module, x: torch.Tensor) -> Iterator[tuple[nn.Module, torch.Tensor, str, Scale | None]]:
    """Networks and inputs with which the training may have been done.

    Yields:
        Network, inputs, the end of a sentence, and the normalisation that would do the same.
    """
    if not x.is_floating_point() or x.ndim < 2:
        return
    net = model.net if isinstance(model, Normalised) else model
    if net is not model:
        yield net, x, "without the given normalisation. Leave `normalise` out, or correct its values.", None
    axes = [0, *range(2, x.ndim)]
    mean, std = x.mean(dim=axes, keepdim=True), x.std(dim=axes, keepdim=True, correction=0)
    std = torch.where(std > 0, std, 1)
    standard, scale = (x - mean) / std, {"mean": mean.flatten().tolist(), "std": std.flatten().tolist()}
    numbers = f"mean {_few(mean)} and std {_few(std)}"
    yield (
        net,
        standard,
        f"with inputs brought to mean 0 and deviation 1. Give `normalise` in the architecture ({numbers}).",
        scale,
    )
    if float(x.min()) >= 0 and float(x.max()) <= 1:
        yield (
            net,
            x * 255,
            "with inputs from 0 to 255. Give `normalise` with mean 0 and std 1/255 = 0.00392157.",
            _scale(0.0, 1 / 255),
        )
        yield net, x * 2 - 1, "with inputs from -1 to 1. Give `normalise` with mean 0.5 and std 0.5.", _scale(0.5, 0.5)
    elif float(x.min()) >= 0 and 1 < float(x.max()) <= 255:
        yield net, x / 255, "with inputs from 0 to 1. Give `normalise` with mean 0 and std 255.", _scale(0.0, 255.0)


def _scale(mean: float, std: float) -> Scale:
    return {"mean": [mean], "std": [std]}


def _few(values: torch.Tensor) -> str:
    """The first numbers of a tensor."""
    flat = values.flatten().tolist()
    return ", ".join(f"{value:.4g}" for value in flat[:3]) + (", ..." if len(flat) > 3 else "")
