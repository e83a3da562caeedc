"""Activations of modules, a sample at a time or in batches, whichever is right for the model.

Batches are used when the first axis of every output is the batch; that is checked against single samples, because modules
may run with the time axis first inside or merge the axes. Otherwise every sample is run alone, and all that a module puts
out belongs to it.
"""

from collections.abc import Callable, Container, Iterator, Mapping, Sequence

import torch
from torch import nn

from ntkviz.errors import UnsupportedModel
from ntkviz.gradients.attention import exact_attention
from ntkviz.models.outputs import as_logits

_SKIPPED = (
    nn.Dropout,
    nn.Dropout1d,
    nn.Dropout2d,
    nn.Dropout3d,
    nn.AlphaDropout,
    nn.FeatureAlphaDropout,
    nn.Flatten,
    nn.Unflatten,
    nn.Identity,
)
_BATCH = 64


def leaf_modules(model: nn.Module) -> list[str]:
    """Names of the modules without children, but dropout, flatten and identity, in the order of registration.

    A model that is one single layer has the name "", as in ``named_modules``.
    """
    return [name for name, m in model.named_modules() if not list(m.children()) and not isinstance(m, _SKIPPED)]


class Activations:
    """What chosen modules put out for each sample, flattened.

    Attributes:
        widths: module name -> entries a sample; modules that never ran are left out.
        single: whether samples are run one by one.
    """

    def __init__(self, model: nn.Module, names: list[str], x: torch.Tensor) -> None:
        """Find out on three samples of ``x`` whether batches are right for this model.

        Raises:
            UnsupportedModel: when none of the modules ran, or one runs for some samples only.
            ValueError: for a name that the model does not have.
        """
        known = dict(model.named_modules())
        unknown = [name for name in names if name not in known]
        if unknown:
            raise ValueError(f"The model has no module {unknown[0]!r}. Its modules: {', '.join(n for n in known if n)}.")
        self._model = model
        self._modules = {name: known[name] for name in names}
        alone = [self._run(x[i : i + 1], single=True) for i in range(min(3, len(x)))]
        ran = [name for name in names if any(name in a for a in alone)]
        for a in alone:
            _require_all(a, ran)
        for name in ran:
            _require_width(name, alone[0][name].shape[1], [a[name] for a in alone])
        truth = {name: torch.cat([a[name] for a in alone]) for name in ran}
        if not truth:
            raise UnsupportedModel(
                f"None of the modules {', '.join(names[:8])} ran in a forward pass; name modules that are called."
            )
        self.widths = {name: t.shape[1] for name, t in truth.items()}
        self.single = not self._agrees(x[: len(alone)], truth)

    def blocks(self, x: torch.Tensor, name: str, max_width: int) -> Iterator[torch.Tensor]:
        """One module's activations of all samples, in blocks of columns.

        Args:
            x: ``[n, ...]``.
            name: a key of ``widths``.
            max_width: columns at a time; a further forward pass is made for each block.

        Yields:
            ``[n, width]``, in the module's type; integers as float32.

        Raises:
            UnsupportedModel: when the module puts out more for some samples than for others.
        """
        size = 1 if self.single else _BATCH
        for start in range(0, self.widths[name], max_width):
            stop = min(self.widths[name], start + max_width)
            yield torch.cat([self._part(x[i : i + size], name)[:, start:stop].clone() for i in range(0, len(x), size)])

    def _part(self, x: torch.Tensor, name: str) -> torch.Tensor:
        """One module's activations of a batch, all columns.

        Raises:
            UnsupportedModel: when the module puts out more for some samples than for others.
        """
        try:
            part = self._run(x, single=self.single, only=name)[name]
        except _NotBatched as cause:  # on the samples tried it had a row for each
            error = _ragged(name)
            raise error from cause
        _require_width(name, self.widths[name], [part])
        return part

    def _agrees(self, x: torch.Tensor, truth: dict[str, torch.Tensor]) -> bool:
        try:
            batch = self._run(x, single=False)
        except _NotBatched:
            return False
        return set(batch) == set(truth) and all(
            batch[k].shape == t.shape and torch.allclose(batch[k], t, rtol=1e-3, atol=1e-4 * float(t.abs().max()))
            for k, t in truth.items()
        )

    def _run(self, x: torch.Tensor, *, single: bool, only: str | None = None) -> dict[str, torch.Tensor]:
        """One forward pass; a module that is called several times gives its outputs one after the other."""
        seen: dict[str, list[torch.Tensor]] = {}

        def keep(name: str, output: object) -> None:
            for tensor in _tensors(output):
                if not single and (tensor.ndim == 0 or len(tensor) != len(x)):
                    raise _NotBatched
                flat = tensor.detach().reshape(1 if single else len(x), -1)
                seen.setdefault(name, []).append(flat.clone() if flat.is_floating_point() else flat.float())

        chosen = self._modules if only is None else {only: self._modules[only]}
        handles = [m.register_forward_hook(lambda _m, _i, out, name=name: keep(name, out)) for name, m in chosen.items()]
        try:
            with torch.no_grad(), exact_attention():
                as_logits(self._model(x), len(x))
        finally:
            for handle in handles:
                handle.remove()
        if only is not None:
            _require_all(seen, [only])
        return {name: torch.cat(parts, dim=1) for name, parts in seen.items()}


def readout_inputs(model: nn.Module, x: torch.Tensor, layer: str | None = None) -> torch.Tensor:
    """What enters the linear layer that makes the logits, ``[n, d]``.

    Args:
        model: in eval mode.
        x: ``[n, ...]``.
        layer: name of that module; None finds the ``nn.Linear`` whose output is the logits.

    Returns:
        The penultimate features h_L.

    Raises:
        UnsupportedModel: when there is no such layer, or its input has no row a sample.
        ValueError: for a name that the model does not have.
    """
    known = dict(model.named_modules())
    if layer is not None and layer not in known:
        raise ValueError(f"The model has no module {layer!r}. Its modules: {', '.join(n for n in known if n)}.")
    if layer is None:
        layer = _find_readout(model, x[:2])
    parts = []
    for start in range(0, len(x), _BATCH):
        batch = x[start : start + _BATCH]
        entered: list[torch.Tensor] = []
        _forward_with_inputs(model, {layer: known[layer]}, batch, lambda _name, given, _out, kept=entered: kept.append(given))
        if len(entered) != 1 or len(entered[0]) != len(batch):
            raise UnsupportedModel(
                f"Module {layer!r} ran {len(entered)} times in one forward pass, or without one row a sample; the conjugate kernel "
                "needs a readout that is called once. Name another with layer=..."
            )
        parts.append(entered[0].detach().reshape(len(batch), -1).clone())
    return torch.cat(parts)


def readout_weight(model: nn.Module, x: torch.Tensor) -> torch.Tensor | None:
    """The weight ``[C, d]`` of the ``nn.Linear`` whose output is the logits, detached; None when there is none.

    Args:
        model: in eval mode.
        x: ``[n, ...]``, all of it is used.
    """
    try:
        layer = model.get_submodule(_find_readout(model, x))
    except UnsupportedModel:
        return None
    return layer.weight.detach() if isinstance(layer, nn.Linear) else None


def _find_readout(model: nn.Module, x: torch.Tensor) -> str:
    """The name of the nn.Linear whose output is, value for value, the logits.

    Raises:
        UnsupportedModel: when there is none.
    """
    outputs: list[tuple[str, torch.Tensor]] = []
    linear = {name: m for name, m in model.named_modules() if isinstance(m, nn.Linear)}
    logits = _forward_with_inputs(model, linear, x, lambda name, _given, out: outputs.append((name, out.detach())))
    for name, out in reversed(outputs):
        if out.numel() == logits.numel() and torch.equal(out.reshape(logits.shape), logits):
            return name
    raise UnsupportedModel(
        "The conjugate kernel needs the features that enter the last linear layer, and no nn.Linear of this model puts out the logits. "
        "Name the readout with layer=..., or use another kernel."
    )


def _forward_with_inputs(
    model: nn.Module, modules: Mapping[str, nn.Module], x: torch.Tensor, seen: Callable[[str, torch.Tensor, torch.Tensor], object]
) -> torch.Tensor:
    """Run the model and call ``seen(name, first input, output)`` at each module; return the logits."""

    def told(name: str) -> Callable[..., None]:
        def hook(_module: nn.Module, given: tuple[torch.Tensor, ...], named: dict[str, torch.Tensor], out: torch.Tensor) -> None:
            seen(name, (*given, *named.values())[0], out)

        return hook

    handles = [m.register_forward_hook(told(name), with_kwargs=True) for name, m in modules.items()]
    try:
        with torch.no_grad(), exact_attention():
            return as_logits(model(x), len(x))
    finally:
        for handle in handles:
            handle.remove()


def _tensors(output: object) -> Iterator[torch.Tensor]:
    """Walk through a module's output.

    Yields:
        All tensors in it, depth first.
    """
    if isinstance(output, torch.Tensor):
        yield output
    elif isinstance(output, dict):
        for value in output.values():
            yield from _tensors(value)
    elif isinstance(output, (tuple, list)):
        for value in output:
            yield from _tensors(value)


def _require_all(ran: Container[str], names: list[str]) -> None:
    """Refuse a model in which a module runs for some samples only.

    Raises:
        UnsupportedModel: naming the module.
    """
    for name in names:
        if name not in ran:
            raise UnsupportedModel(
                f"Module {name!r} runs for some samples and not for others, so its activations are no features of every sample. "
                "Name modules that always run with layers=[...]."
            )


def _require_width(name: str, width: int, parts: Sequence[torch.Tensor]) -> None:
    """Refuse a model in which a module puts out more for some samples than for others.

    Raises:
        UnsupportedModel: naming the module.
    """
    if any(part.shape[1] != width for part in parts):
        error = _ragged(name)
        raise error


def _ragged(name: str) -> UnsupportedModel:
    """What to say of such a module."""
    return UnsupportedModel(
        f"Module {name!r} puts out more numbers for some samples than for others (packed sequences? samples that are sent to experts?), so "
        "its activations cannot be compared. Name modules with one shape of output with layers=[...]."
    )


class _NotBatched(Exception):
    """A module's output has no row a sample."""
