"""Is this a network that a kernel can be made of? Short tests on a few samples, each with a sentence for a person.

Float noise: one sample and a batch go through different matrix products, so equal functions differ by some 1e-6 of the
logits' scale in float32. Differences are judged against that scale, and an alarm is confirmed in float64 before it is raised.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from ntkviz.errors import BatchDependentModel, NonDeterministicModel, UnsupportedModel
from ntkviz.models.accuracy import accuracy_rows
from ntkviz.models.causes import last, leak, listed, matching_line
from ntkviz.models.opaque import noting_warnings, reentrant, scripted, sparse
from ntkviz.models.outputs import as_inputs, as_logits, frozen_eval
from ntkviz.models.report import ProbeReport, ProbeRow
from ntkviz.models.untouched import untouched
from ntkviz.types import ProgressFn, silent

__all__ = ["ProbeReport", "ProbeRow", "logits_of", "probe_model", "require_sound"]

#: Largest difference between two passes, as a share of the largest logit, that is put down to float noise.
_TOLERANCE = {torch.float64: 1e-8, torch.float32: 1e-4}
_TOLERANCE_HALF = 3e-2

#: Samples for the probes of structure; a leak between samples or noise shows in few.
_N_STRUCTURE = 16
#: Samples for the accuracy: its standard error is then about one per cent.
_N_ACCURACY = 2000

#: Which error a failed probe stands for, where it is not UnsupportedModel.
_ERRORS = {"deterministic": NonDeterministicModel, "batch": BatchDependentModel}


@dataclass(frozen=True)
class _Look:
    """A model, some inputs ``[n, ...]`` with n >= 2, and its logits for them ``[n, C]``."""

    model: nn.Module
    x: torch.Tensor
    logits: torch.Tensor

    def off(self, other: torch.Tensor, rows: slice = slice(None)) -> float:
        """Largest difference from the logits of these rows, as a share of the largest logit; infinite for NaN."""
        difference = (other.double() - self.logits[rows].double()).abs().max()
        scale = self.logits.double().abs().max()
        share = float(difference / scale) if scale > 0 else float(difference)
        return share if np.isfinite(share) else np.inf

    @property
    def tolerance(self) -> float:
        return _TOLERANCE.get(self.logits.dtype, _TOLERANCE_HALF)


def probe_model(model: nn.Module, x: np.ndarray | torch.Tensor, *, y: np.ndarray | torch.Tensor | None = None) -> ProbeReport:
    """Look a model over; nothing is raised for a bad one, and the model is left as it was.

    Args:
        model: maps ``[n, ...]`` to logits ``[n, C]`` (or ``[n]``, ``[n, 1]``, or an object with ``.logits``).
        x: inputs as the model takes them; some of them are used.
        y: labels ``[n]`` of these inputs, 0..C-1.

    Returns:
        One row a probe; ``report.sound`` says whether a kernel can be made of the model.

    Raises:
        UnsupportedModel: when ``model`` is no module or ``x`` no array of numbers.
    """
    rows = [_mode(model)]
    n_parameters = sum(p.numel() for p in model.parameters() if not _is_lazy(p))
    x = as_inputs(model, x)
    sample = x[_spread(len(x), _N_STRUCTURE)]
    with untouched(model):
        try:
            look = _look(model, sample)
        except UnsupportedModel as error:
            rows.append(ProbeRow("output", False, "error", str(error)))
            return ProbeReport(tuple(rows), len(sample), n_parameters)
        rows += [probe(look) for probe in (_output, _finite, _deterministic, _batch, _responds, _logits)]
        row, unused = _coverage(look)
        rows.append(row)
        accuracy = None
        if y is not None:
            chosen = _spread(len(x), _N_ACCURACY)
            labels = np.asarray(y.detach().cpu() if isinstance(y, torch.Tensor) else y)
            if len(labels) == len(x):
                labels = labels[chosen.numpy()]
            more, accuracy = accuracy_rows(model, x[chosen], labels, logits=logits_of)
            rows += more
    return ProbeReport(tuple(rows), len(sample), n_parameters, look.logits.shape[1], accuracy, unused)


def require_sound(model: nn.Module, x: np.ndarray | torch.Tensor) -> None:
    """Refuse a model of which no kernel can be made.

    Args:
        model: the model; it is left as it was.
        x: inputs ``[n, ...]``; a few of them are used.

    Raises:
        UnsupportedModel: when it does not run, its output is no row of finite logits a sample, or no parameter has a gradient.
        NonDeterministicModel: when two passes differ.
        BatchDependentModel: when a sample's logits depend on its batch.
    """
    x = as_inputs(model, x)
    with untouched(model):
        look = _look(model, x[_spread(len(x), _N_STRUCTURE)])
        for probe in (_finite, _deterministic, _batch, lambda seen: _coverage(seen)[0]):
            row = probe(look)
            if not row.passed and row.severity == "error":
                raise _ERRORS.get(row.name, UnsupportedModel)(row.message)


def logits_of(
    model: nn.Module, x: np.ndarray | torch.Tensor, *, batch_size: int = 256, on_progress: ProgressFn = silent
) -> np.ndarray:
    """The logits of many samples, in eval mode, without gradients.

    Args:
        model: the model; its training flags are as before afterwards.
        x: inputs ``[n, ...]``, n >= 1.
        batch_size: samples a pass, at least 1.
        on_progress: called as ``on_progress("logits", fraction)`` after each pass.

    Returns:
        float32 ``[n, C]``.

    Raises:
        ValueError: when ``batch_size`` is below 1.
        UnsupportedModel: when the inputs are none or the output is no row of logits a sample.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be at least 1; got {batch_size}.")
    x = as_inputs(model, x)
    parts = []
    with frozen_eval(model), torch.no_grad():
        for start in range(0, len(x), batch_size):
            part = x[start : start + batch_size]
            parts.append(as_logits(model(part), len(part)).float().cpu().numpy())
            on_progress("logits", min(1.0, (start + len(part)) / len(x)))
    return np.concatenate(parts)


def _spread(n: int, most: int) -> torch.Tensor:
    """At most ``most`` indices from 0..n-1, evenly spread: data are often sorted by class."""
    return torch.linspace(0, n - 1, min(n, most)).round().long()


def _is_lazy(parameter: nn.Parameter) -> bool:
    return isinstance(parameter, nn.UninitializedParameter)


def _mode(model: nn.Module) -> ProbeRow:
    """Whether the model came in eval mode.

    Raises:
        UnsupportedModel: when it is no module.
    """
    if not isinstance(model, nn.Module):
        raise UnsupportedModel(f"Expected a torch.nn.Module; got an object of type {type(model).__name__}. Wrap it in a module.")
    training = [type(module).__name__ for module in model.modules() if module.training]
    if not training:
        return ProbeRow("mode", True, "info", "All layers are in eval mode.")
    matter = sorted({name for name in training if "Dropout" in name or "Norm" in name})
    which = f", {', '.join(matter)} among them" if matter else ""
    return ProbeRow(
        "mode",
        False,
        "info",
        f"{len(training)} layers were in training mode{which}; ntkviz switches them to eval mode while it looks and back afterwards.",
    )


def _look(model: nn.Module, x: torch.Tensor) -> _Look:
    """The first pass.

    Raises:
        UnsupportedModel: when the model does not run on these inputs or gives no logits.
    """
    if any(_is_lazy(parameter) for parameter in model.parameters()):
        raise UnsupportedModel(
            "The model has lazy layers that have seen no input yet. Run it once, model(x[:2]), before bringing it."
        )
    if fault := scripted(model):
        raise UnsupportedModel(fault)
    if len(x) == 1 and x.ndim > 1:  # companions for a lone sample, made of its own numbers
        x = torch.cat([x, x.roll(1, dims=-1), x.flip(-1)])
    return _Look(model, x, _forward(model, x))


def _forward(model: nn.Module, x: torch.Tensor) -> torch.Tensor:
    """Logits without gradients.

    Raises:
        UnsupportedModel: when the model does not run on these inputs or gives no logits.
    """
    try:
        with torch.no_grad():
            output = model(x)
    except UnsupportedModel:
        raise
    except Exception as error:
        reason = (str(error).strip().splitlines() or ["no further reason"])[0][:200]
        raise UnsupportedModel(
            f"The model does not run on {len(x)} samples of shape {list(x.shape[1:])} ({str(x.dtype).removeprefix('torch.')}): "
            f"{type(error).__name__}: {reason}. Check that the architecture and the data belong together."
        ) from error
    return as_logits(output, len(x)).detach()


def _output(look: _Look) -> ProbeRow:
    """The output is there; :func:`_look` has refused everything else."""
    n_classes = look.logits.shape[1]
    what = "one logit (two classes, sigmoid)" if n_classes == 1 else f"{n_classes} logits"
    return ProbeRow("output", True, "info", f"Each sample of shape {list(look.x.shape[1:])} gives {what}.")


def _finite(look: _Look) -> ProbeRow:
    bad = ~torch.isfinite(look.logits).all(dim=1)
    if not bad.any():
        return ProbeRow("finite", True, "info", "All logits are finite.")
    return ProbeRow(
        "finite",
        False,
        "error",
        f"{int(bad.sum())} of {len(bad)} samples give logits that are NaN or infinite. Check the weights and the scale of the inputs.",
    )


def _deterministic(look: _Look) -> ProbeRow:
    """Three passes on the same batch."""

    def differs(seen: _Look) -> float:
        return max(seen.off(_forward(seen.model, seen.x)) for _ in range(2))

    share = _confirmed(look, differs)
    if share <= look.tolerance:
        return ProbeRow("deterministic", True, "info", "Three passes on the same inputs give the same logits.")
    calls = matching_line(
        look.model,
        r"(?:F|functional)\.\w*dropout\w*\((?!.*training)|torch\.(?:rand|randn|bernoulli|randint|normal)\b|rand(?:n|int)?_like",
    )
    cause = (
        f"{calls} seems to draw random numbers in eval mode; write F.dropout(x, p, training=self.training)"
        if calls
        else "usual causes are F.dropout without training=self.training, drawn noise, and state that forward() changes"
    )
    return ProbeRow(
        "deterministic",
        False,
        "error",
        f"Two passes on the same inputs differ by {share:.1%} of the largest logit, also in eval mode: {cause}. "
        "A kernel belongs to one function; make forward() deterministic.",
    )


def _batch(look: _Look) -> ProbeRow:
    """Single samples and a shuffled batch against the batch."""

    def differs(seen: _Look) -> float:
        n = len(seen.x)
        shuffled = torch.arange(n - 1, -1, -1)
        off = [seen.off(_forward(seen.model, seen.x[shuffled])[shuffled])]
        off += [seen.off(_forward(seen.model, seen.x[i : i + 1]), slice(i, i + 1)) for i in range(min(4, n))]
        return max(off)

    try:
        share = _confirmed(look, differs)
        what = f"change by {share:.1%} of the largest logit with the other samples of its batch"
    except UnsupportedModel as error:
        share, what = np.inf, f"cannot be had alone ({str(error)[:150]})"
    if share <= look.tolerance:
        return ProbeRow("batch", True, "info", "A sample's logits do not depend on the other samples of its batch.")
    return ProbeRow(
        "batch",
        False,
        "error",
        f"The logits of a sample {what}: {leak(look.model)}. Make each row depend on its own input only.",
    )


def _responds(look: _Look) -> ProbeRow:
    """Different inputs must not all give the same logits."""
    same_inputs = bool((look.x == look.x[:1]).all())
    if same_inputs or look.off(look.logits[:1].expand_as(look.logits)) > look.tolerance / 100:
        return ProbeRow("responds", True, "info", "Different inputs give different logits.")
    return ProbeRow(
        "responds",
        False,
        "warning",
        f"{len(look.x)} different inputs all give the same logits. The weights may be untrained or dead, or the inputs wrongly scaled.",
    )


def _logits(look: _Look) -> ProbeRow:
    """Whether the output looks like probabilities or their logarithms."""
    logits = look.logits.double()
    found = ""
    if logits.shape[1] > 1:
        if (logits >= 0).all() and ((logits.sum(1) - 1).abs() < 1e-3).all():
            found = "probabilities: all rows are positive and add up to 1. Remove the softmax at the end"
        elif (logits <= 0).all() and (logits.logsumexp(1).abs() < 1e-3).all():
            found = "log-probabilities: the exponentials of each row add up to 1. Remove the log_softmax at the end"
    if not found and logits.numel() >= 8 and ((logits >= 0) & (logits <= 1)).all() and isinstance(last(look.model), nn.Sigmoid):
        found = "probabilities: all values lie between 0 and 1. Remove the sigmoid at the end"
    if not found:
        return ProbeRow("logits", True, "info", "The output looks like logits.")
    return ProbeRow("logits", False, "warning", f"The output looks like {found}: the kernel is that of the logits, which differ.")


def _coverage(look: _Look) -> tuple[ProbeRow, tuple[str, ...]]:
    """Which parameters the logits depend on; the second value names those that they do not."""

    def fault(text: str) -> tuple[ProbeRow, tuple[str, ...]]:
        return ProbeRow("coverage", False, "error", text), ()

    named = {name: parameter for name, parameter in look.model.named_parameters() if parameter.is_floating_point()}
    if not named:
        return fault("The model has no parameters, so it has no tangent kernel. Bring a trained network.")
    frozen = [name for name, parameter in named.items() if not parameter.requires_grad]
    try:
        by_name = _gradients(look, named)
    except UnsupportedModel as error:
        return fault(str(error))
    except Exception as error:
        reason = (str(error).strip().splitlines() or ["no further reason"])[0][:200]
        return fault(f"The model cannot be differentiated: {type(error).__name__}: {reason}.")
    broken = [name for name, gradient in by_name.items() if gradient is not None and not torch.isfinite(gradient).all()]
    if broken:
        return fault(f"Gradients with respect to {listed(broken)} are NaN or infinite, and a kernel of them would be, too.")
    unused = tuple(name for name, gradient in by_name.items() if gradient is None)
    if len(unused) == len(named):
        return fault("No parameter has a gradient from the logits. Check that forward() uses the layers.")
    still = f" {len(frozen)} were frozen (requires_grad False)." if frozen else ""
    if unused:
        text = f"{len(unused)} of {len(named)} parameter tensors play no part in the logits: {listed(unused)}."
        return ProbeRow("coverage", False, "warning", f"{text} They add nothing to a kernel.{still}"), unused
    return ProbeRow("coverage", True, "info", f"The logits depend on all {len(named)} parameter tensors.{still}"), ()


def _gradients(look: _Look, named: dict[str, nn.Parameter]) -> dict[str, torch.Tensor | None]:
    """Gradients of a mix of all logits, by name.

    Raises:
        UnsupportedModel: when they are not there, or not all of them are right.
    """
    for parameter in named.values():
        parameter.requires_grad_(True)
    with torch.enable_grad(), noting_warnings() as told:
        logits = as_logits(look.model(look.x), len(look.x))
        if checkpoint := reentrant(logits, told):
            raise UnsupportedModel(checkpoint)
        if not logits.requires_grad:
            raise UnsupportedModel(
                "The logits have no gradient: forward() runs under torch.no_grad(), or detaches or rounds its result. Remove that."
            )
        # Random weights: the sum of all logits has no gradient where a softmax ends the network.
        weights = torch.randn(logits.shape, generator=torch.Generator().manual_seed(0)).to(logits)
        gradients = torch.autograd.grad((logits * weights).sum(), list(named.values()), allow_unused=True)
    by_name: dict[str, torch.Tensor | None] = dict(zip(named, gradients, strict=True))
    if scattered := sparse(by_name):
        raise UnsupportedModel(scattered)
    return by_name


def _confirmed(look: _Look, differs: Callable[[_Look], float]) -> float:
    """The difference that a probe sees; when it is too large in float32, what it sees in float64.

    A network with large inner values and small logits has more noise than the tolerance grants. Its copy in float64 has not.
    """
    share = differs(look)
    if share <= look.tolerance or look.logits.dtype != torch.float32:
        return share
    try:
        exact = copy.deepcopy(look.model).double()
        x = look.x.double() if look.x.is_floating_point() else look.x
        seen = _Look(exact, x, _forward(exact, x))
        again = differs(seen)
    except Exception:  # no such copy can be made: the first finding stands
        return share
    return 0.0 if seen.logits.dtype == torch.float64 and again <= _TOLERANCE[torch.float64] else share
