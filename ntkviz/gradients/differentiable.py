"""A model as a function of one sample and its parameters: what is known of its gradients, and the path that is always right.

The structured path takes apart what it can prove on a few samples (:mod:`ntkviz.gradients.plan`). For the other parameters two
paths give the same numbers: ``vmap(grad)`` over a chunk of samples, and one ``autograd.grad`` a sample where ``vmap`` fails (a
branch on data). Which one is taken is found out on the same samples, on which both are compared.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.func import grad, vmap

from ntkviz.errors import UnsupportedModel
from ntkviz.gradients.arithmetic import fast_float32
from ntkviz.gradients.attention import exact_attention
from ntkviz.gradients.inputs import as_input, require_real_parameters
from ntkviz.gradients.plan import Plan, make_plan
from ntkviz.gradients.structured import Structured
from ntkviz.gradients.swap import call
from ntkviz.gradients.tracing import Tracer
from ntkviz.models.outputs import as_logits, frozen_eval

#: Both paths must agree to this fraction of the largest gradient entry: float32 rounding through a few dozen layers.
_PATH_TOLERANCE = 1e-3
_PROBE_SAMPLES = 3


@dataclass(frozen=True)
class ParameterPath:
    """How one parameter's part of a kernel is computed.

    Attributes:
        name: of the parameter.
        size: its entries.
        path: "structured" (from the inputs and output gradients of its layers), "vmap" (torch.func over chunks of samples),
            "loop" (one sample at a time), or "unused" (no logit depends on it for the samples tried).
        reason: why it is not structured; empty if it is.
    """

    name: str
    size: int
    path: str
    reason: str


@dataclass(frozen=True)
class Coverage:
    """How the gradients of a model are computed.

    Attributes:
        path: "structured", "vmap" or "loop"; "structured + vmap" or "structured + loop" when parameters go different ways.
        reason: why a loop is taken; empty without one.
        n_parameters: P, the number of floating point parameters.
        unused: names of parameters that no logit depends on for the samples tried; their gradient is zero.
        parameters: one row for each parameter tensor.
    """

    path: str
    reason: str
    n_parameters: int
    unused: tuple[str, ...]
    parameters: tuple[ParameterPath, ...] = ()


class Differentiable:
    """Per-sample gradients of one model.

    Use it inside ``with held(model)``, which keeps the model in eval mode and its parameters untouched.

    Attributes:
        sizes: name -> number of entries, for all floating point parameters in the order of ``named_parameters``.
        n_logits: C.
        structured: the model with its plan.
    """

    def __init__(self, model: nn.Module, x: torch.Tensor) -> None:
        """Find out on a few samples of ``x`` how this model can be differentiated.

        Raises:
            UnsupportedModel: when there is no correct path, with the reason.
        """
        require_real_parameters(model)
        for p in model.parameters():
            p.requires_grad_(p.is_floating_point())  # a checkpoint runs again with them, and must keep what it kept at first
        self._model = model
        self._parameters = {k: p.detach() for k, p in model.named_parameters() if p.is_floating_point()}
        self.sizes = {k: p.numel() for k, p in self._parameters.items()}
        self.dtype = next(iter(self._parameters.values())).dtype
        self.device = next(iter(self._parameters.values())).device
        self._probe = x[torch.linspace(0, len(x) - 1, min(len(x), _PROBE_SAMPLES)).long()]
        self.n_logits, self._activation_bytes = self._measure(x[:1])
        self._route: tuple[str, str] | None = None
        truth = self._truth()
        self._unused = tuple(k for k, g in truth.items() if not bool(g.any()))
        tracer = Tracer(model, self._parameters)
        with exact_attention():
            plan = make_plan(tracer, self._probe, self._mix(), truth)
        self.structured = Structured(tracer, plan, self._activation_bytes)

    @property
    def coverage(self) -> Coverage:
        """How the kernel's parts are computed, parameter by parameter."""
        plan = self.structured.plan
        others = [name for name in self.sizes if name not in plan.uses and (name in plan.left_over or name not in self._unused)]
        route, reason = self.route if others else ("", "")
        rows = []
        for name, size in self.sizes.items():
            path = "structured" if name in plan.uses else route if name in others else "unused"
            why = "no logit depends on it for the samples tried" if path == "unused" else plan.left_over.get(name, "")
            rows.append(ParameterPath(name, size, path, why))
        path = " + ".join((["structured"] if plan.uses or not others else []) + ([route] if others else []))
        return Coverage(path, reason, sum(self.sizes.values()), self._unused, tuple(rows))

    @property
    def generic_coverage(self) -> Coverage:
        """How :meth:`gradients` computes, for kernels that need the gradients themselves."""
        route, reason = self.route
        rows = tuple(ParameterPath(name, size, route, "") for name, size in self.sizes.items())
        return Coverage(route, reason, sum(self.sizes.values()), self._unused, rows)

    @property
    def route(self) -> tuple[str, str]:
        """``"vmap"`` or ``"loop"``, and why the loop is taken; found out when first asked for."""
        if self._route is None:
            self._route = self._choose_route()
        return self._route

    def uncovered(self) -> list[str]:
        """Parameters that the structured path leaves to :meth:`gradients`."""
        plan = self.structured.plan
        return [name for name in self.sizes if name in plan.left_over]

    def give_up_structure(self, reason: str) -> None:
        """Leave all parameters to :meth:`gradients`."""
        self.structured.plan = Plan(left_over=dict.fromkeys(self.sizes, reason))

    def gradients(self, x: torch.Tensor, names: Sequence[str], v: torch.Tensor) -> dict[str, torch.Tensor]:
        """Gradients of v . f(x_n) for each sample n of a chunk.

        Args:
            x: ``[n, ...]``, a chunk that fits in memory.
            names: the parameters wanted.
            v: ``[C]``, the same mix of logits for all samples, or ``[n, C]``, one each.

        Returns:
            name -> ``[n, size]``, detached.
        """
        route = self._by_vmap if self.route[0] == "vmap" else self._by_loop
        with fast_float32():
            return {name: g.detach().reshape(len(x), -1) for name, g in route(x, names, v).items()}

    def chunk_size(self, width: int, limit_bytes: int) -> int:
        """How many samples may go through one call when ``width`` gradient columns are wanted of each."""
        per_sample = 2 * width * self.dtype.itemsize + 3 * self._activation_bytes
        return max(1, min(256, limit_bytes // max(1, per_sample)))

    def _scalar(
        self, wanted: dict[str, torch.Tensor], rest: dict[str, torch.Tensor], x: torch.Tensor, v: torch.Tensor
    ) -> torch.Tensor:
        """Value of v . f(x) for one sample, as a function of the wanted parameters."""
        return (as_logits(call(self._model, wanted | rest, x[None]), 1)[0] * v).sum()

    def _split(self, names: Sequence[str]) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
        wanted = {k: self._parameters[k] for k in names}
        return wanted, {k: p for k, p in self._parameters.items() if k not in wanted}

    def _by_vmap(self, x: torch.Tensor, names: Sequence[str], v: torch.Tensor) -> dict[str, torch.Tensor]:
        wanted, rest = self._split(names)
        one: Callable[..., dict[str, torch.Tensor]] = grad(self._scalar)
        with exact_attention():
            return vmap(one, in_dims=(None, None, 0, None if v.ndim == 1 else 0))(wanted, rest, x, v)

    def _by_loop(self, x: torch.Tensor, names: Sequence[str], v: torch.Tensor) -> dict[str, torch.Tensor]:
        wanted, rest = self._split(names)
        wanted = {k: p.clone().requires_grad_() for k, p in wanted.items()}
        rows: list[tuple[torch.Tensor, ...]] = []
        with exact_attention(), torch.enable_grad():
            for i in range(len(x)):
                value = self._scalar(wanted, rest, x[i], v if v.ndim == 1 else v[i])
                if not value.requires_grad:
                    rows.append(tuple(torch.zeros_like(p) for p in wanted.values()))
                    continue
                grads = torch.autograd.grad(value, list(wanted.values()), allow_unused=True)
                rows.append(tuple(torch.zeros_like(p) if g is None else g for p, g in zip(wanted.values(), grads, strict=True)))
        return {k: torch.stack([row[j] for row in rows]) for j, k in enumerate(wanted)}

    def _measure(self, sample: torch.Tensor) -> tuple[int, int]:
        """C, and the bytes that autograd keeps of one sample's forward pass.

        Raises:
            UnsupportedModel: when the model does not run on one sample, or its logits have no gradient.
        """
        kept = 0

        def pack(tensor: torch.Tensor) -> torch.Tensor:
            nonlocal kept
            kept += tensor.numel() * tensor.element_size()
            return tensor

        wanted = {k: p.clone().requires_grad_() for k, p in self._parameters.items()}
        with exact_attention(), torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
            try:
                logits = as_logits(call(self._model, wanted, sample), 1)
            except UnsupportedModel:
                raise
            except Exception as error:
                raise UnsupportedModel(
                    f"The model does not run on one sample of shape {list(sample.shape)} ({sample.dtype}): {_brief(error)}. "
                    "It must map [n, ...] to logits [n, C] for any n, also n = 1."
                ) from error
        if not logits.requires_grad:
            raise UnsupportedModel(
                "The logits do not depend on the parameters through autograd (is forward() inside torch.no_grad, or are the outputs "
                "detached?); no gradient exists."
            )
        parameters = sum(p.numel() * p.element_size() for p in self._parameters.values())
        return logits.shape[1], max(0, kept - parameters)

    def _mix(self) -> torch.Tensor:
        """A random mix of logits, the same every time."""
        return torch.randn(self.n_logits, generator=torch.Generator().manual_seed(0)).to(self.device, self.dtype)

    def _truth(self) -> dict[str, torch.Tensor]:
        """Gradients of a mix of logits for the samples tried, one sample at a time.

        Raises:
            UnsupportedModel: when not even that works.
        """
        try:
            grads = self._by_loop(self._probe, list(self.sizes), self._mix())
        except Exception as error:
            raise UnsupportedModel(
                f"The model cannot be differentiated with respect to its parameters: {_brief(error)}. "
                "It must work with torch.func.functional_call and autograd on a batch of one."
            ) from error
        return {k: g.detach().reshape(len(self._probe), -1) for k, g in grads.items()}

    def _choose_route(self) -> tuple[str, str]:
        """Take vmap where it gives what the loop gives on a few samples, for a random mix of logits; otherwise the loop."""
        truth = self._truth()
        try:
            fast = self._by_vmap(self._probe, list(self.sizes), self._mix())
            largest = max(float(g.abs().max()) for g in truth.values())
            gap = max(float((fast[k].reshape(truth[k].shape) - truth[k]).abs().max()) for k in truth)
        except Exception as error:
            return "loop", f"vmap failed: {_brief(error)}"
        if not gap <= _PATH_TOLERANCE * max(largest, torch.finfo(self.dtype).tiny):
            return "loop", f"vmap differs from the loop by {gap:.1e} (largest gradient entry {largest:.1e})"
        return "vmap", ""


@contextmanager
def held(model: nn.Module, *inputs: torch.Tensor | np.ndarray | None) -> Iterator[tuple[nn.Module, list[torch.Tensor | None]]]:
    """A model in eval mode with its inputs as tensors; everything is as it was afterwards.

    Args:
        model: any module; one that went through ``torch.compile`` is taken as it was before.
        *inputs: arrays or tensors ``[n, ...]``, or None.

    Yields:
        The module and the inputs, as the model's device and type need them.
    """
    model = getattr(model, "_orig_mod", model)
    with frozen_eval(model):
        yield model, [None if x is None else as_input(model, x) for x in inputs]


def _brief(error: Exception) -> str:
    """The first line of an error, short enough for a message."""
    first = (str(error).strip() or type(error).__name__).splitlines()[0]
    return first if len(first) <= 200 else first[:197] + "..."
