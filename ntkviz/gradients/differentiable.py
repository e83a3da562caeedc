"""A model as a function of one sample and its parameters, differentiable sample by sample.

Two paths give the same numbers: ``vmap(grad)`` over a chunk of samples, and one ``autograd.grad`` a sample where ``vmap``
fails (an LSTM, a branch on data). Which one a model takes is found out on a few samples, on which both are compared.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.func import functional_call, grad, vmap
from torch.nn.attention import SDPBackend, sdpa_kernel

from ntkviz.errors import UnsupportedModel
from ntkviz.gradients.inputs import as_input, require_real_parameters
from ntkviz.models.outputs import as_logits, frozen_eval

#: Both paths must agree to this fraction of the largest gradient entry: float32 rounding through a few dozen layers.
_PATH_TOLERANCE = 1e-3
_PROBE_SAMPLES = 3


@contextmanager
def exact_attention() -> Iterator[None]:
    """Switch off the fused attention kernels, which have no gradient (fast path) or no batching rule (flash)."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with sdpa_kernel(SDPBackend.MATH):
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)


@dataclass(frozen=True)
class Coverage:
    """How the gradients of a model are computed.

    Attributes:
        path: ``"vmap"`` (torch.func over chunks of samples) or ``"loop"`` (one sample at a time).
        reason: why the loop is taken; empty for vmap.
        n_parameters: P, the number of floating point parameters.
        unused: names of parameters that no logit depends on for the samples tried; their gradient is zero.
    """

    path: str
    reason: str
    n_parameters: int
    unused: tuple[str, ...]


class Differentiable:
    """Per-sample gradients of one model.

    Use it inside ``with held(model)``, which keeps the model in eval mode and its parameters untouched.

    Attributes:
        sizes: name -> number of entries, for all floating point parameters in the order of ``named_parameters``.
        n_logits: C.
        coverage: which path is taken and why.
    """

    def __init__(self, model: nn.Module, x: torch.Tensor) -> None:
        """Find out on a few samples of ``x`` how this model can be differentiated.

        Raises:
            UnsupportedModel: when there is no correct path, with the reason.
        """
        require_real_parameters(model)
        self._model = model
        self._parameters = {k: p.detach() for k, p in model.named_parameters() if p.is_floating_point()}
        self._buffers = {k: b.detach() for k, b in model.named_buffers()}
        self.sizes = {k: p.numel() for k, p in self._parameters.items()}
        self.dtype = next(iter(self._parameters.values())).dtype
        self.device = next(iter(self._parameters.values())).device
        self.n_logits, self._activation_bytes = self._measure(x[:1])
        self.coverage = self._choose_path(x[:_PROBE_SAMPLES])

    def gradients(self, x: torch.Tensor, names: Sequence[str], v: torch.Tensor) -> dict[str, torch.Tensor]:
        """Gradients of v . f(x_n) for each sample n of a chunk.

        Args:
            x: ``[n, ...]``, a chunk that fits in memory.
            names: the parameters wanted.
            v: ``[C]``, the same mix of logits for all samples, or ``[n, C]``, one each.

        Returns:
            name -> ``[n, size]``, detached.
        """
        route = self._by_vmap if self.coverage.path == "vmap" else self._by_loop
        return {name: g.detach().reshape(len(x), -1) for name, g in route(x, names, v).items()}

    def chunk_size(self, width: int, limit_bytes: int) -> int:
        """How many samples may go through one call when ``width`` gradient columns are wanted of each."""
        per_sample = 2 * width * self.dtype.itemsize + 3 * self._activation_bytes
        return max(1, min(256, limit_bytes // max(1, per_sample)))

    def _scalar(
        self, wanted: dict[str, torch.Tensor], rest: dict[str, torch.Tensor], x: torch.Tensor, v: torch.Tensor
    ) -> torch.Tensor:
        """Value of v . f(x) for one sample, as a function of the wanted parameters."""
        buffers = {k: b.clone() for k, b in self._buffers.items()}  # a forward that counts calls must not change the model
        output = functional_call(self._model, (wanted | rest, buffers), (x[None],))
        return (as_logits(output, 1)[0] * v).sum()

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
        buffers = {k: b.clone() for k, b in self._buffers.items()}
        with exact_attention(), torch.enable_grad(), torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
            try:
                logits = as_logits(functional_call(self._model, (wanted, buffers), (sample,)), 1)
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

    def _choose_path(self, x: torch.Tensor) -> Coverage:
        """Take vmap where it gives what the loop gives on a few samples, for a random mix of logits; otherwise the loop.

        Raises:
            UnsupportedModel: when not even the loop works.
        """
        names = list(self.sizes)
        v = torch.randn(self.n_logits, generator=torch.Generator().manual_seed(0)).to(self.device, self.dtype)
        try:
            truth = self._by_loop(x, names, v)
        except Exception as error:
            raise UnsupportedModel(
                f"The model cannot be differentiated with respect to its parameters: {_brief(error)}. "
                "It must work with torch.func.functional_call and autograd on a batch of one."
            ) from error
        unused = tuple(k for k, g in truth.items() if not bool(g.any()))
        reason = ""
        try:
            fast = self._by_vmap(x, names, v)
            largest = max(float(g.abs().max()) for g in truth.values())
            gap = max(float((fast[k] - truth[k]).abs().max()) for k in names)
            if not gap <= _PATH_TOLERANCE * max(largest, torch.finfo(self.dtype).tiny):
                reason = f"vmap differs from the loop by {gap:.1e} (largest gradient entry {largest:.1e})"
        except Exception as error:
            reason = f"vmap failed: {_brief(error)}"
        return Coverage("loop" if reason else "vmap", reason, sum(self.sizes.values()), unused)


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
