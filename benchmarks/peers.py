"""What else computes a trace NTK in PyTorch, as ``(model, x) -> [N, N]``; written from the methods' descriptions.

- ``tutorial_jacobian``: the first method of PyTorch's tutorial on neural tangent kernels, vmap(jacrev) and a contraction by einsum.
- ``tutorial_vector_products``: its second method, jvp after vjp, without a Jacobian.
- ``per_class_gradients``: vmap(grad) one class at a time, then a Gram matrix: what TRAK does before it projects.
- ``trak``, ``dattri``: the same gradients through the CPU projectors of the two packages.

Each takes a ``chunk`` of samples that go through one transformed call; ``best_chunk`` finds the fastest, so that no peer is slow by a bad
choice of ours. Parameters are the floating point ones, all of them, as for ntkviz.
"""

import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec

import psutil
import torch
from torch import nn
from torch.func import functional_call, grad, jacrev, jvp, vjp, vmap

Parameters = dict[str, torch.Tensor]
Projector = Callable[[torch.Tensor], torch.Tensor]

#: Bytes of gradients that one call of a projector gets: it draws its whole random matrix again in each call, so more is faster.
PROJECTOR_BYTES = 2**30
_CHUNKS = (1, 4, 16, 64, 256)


def tutorial_jacobian(model: nn.Module, x: torch.Tensor, chunk: int = 64) -> torch.Tensor:
    """All Jacobians, contracted parameter by parameter; in strips of samples, computed again, where all do not fit in half the free memory."""
    n_classes, width = _sizes(model, x)
    fit = max(1, int(psutil.virtual_memory().available / 2 / (4 * n_classes * width)))
    if fit >= len(x):
        rows = jacobians(model, x, chunk)
        return _contracted(rows, rows)
    strip = max(1, fit // 2)
    kernel = torch.empty(len(x), len(x))
    for start in range(0, len(x), strip):
        rows = jacobians(model, x[start : start + strip], chunk)
        for other in range(start, len(x), strip):
            columns = rows if other == start else jacobians(model, x[other : other + strip], chunk)
            block = _contracted(rows, columns)
            kernel[start : start + strip, other : other + strip] = block
            kernel[other : other + strip, start : start + strip] = block.T
    return kernel


def tutorial_vector_products(model: nn.Module, x: torch.Tensor, chunk: int = 64, rows: int | None = None) -> torch.Tensor:
    """Rows of the kernel, ``[rows, N]``: one vjp a logit of the row's sample, pushed through all other samples by jvp."""
    one, params = _function(model)
    n_classes, _ = _sizes(model, x)
    kernel = torch.empty(len(x) if rows is None else rows, len(x))
    for i in range(len(kernel)):
        pull = vjp(lambda p, point=x[i]: one(p, point), params)[1]
        (directions,) = vmap(pull)(torch.eye(n_classes))
        for start in range(0, len(x), chunk):
            points = x[start : start + chunk]

            def push(direction: Parameters, points: torch.Tensor = points) -> torch.Tensor:
                return jvp(lambda p: vmap(one, (None, 0))(p, points), (params,), (direction,))[1]

            kernel[i, start : start + chunk] = vmap(push)(directions).diagonal(dim1=0, dim2=2).sum(1).detach()
    return kernel


def per_class_gradients(model: nn.Module, x: torch.Tensor, chunk: int = 64) -> torch.Tensor:
    """Sum over classes of the Gram matrix of ``[N, P]`` gradients."""
    kernel = torch.zeros(len(x), len(x))
    for c in range(_sizes(model, x)[0]):
        gradients = class_gradients(model, x, c, chunk)
        kernel.addmm_(gradients, gradients.T)
    return kernel


def trak(model: nn.Module, x: torch.Tensor, chunk: int = 64, proj_dim: int = 2048) -> torch.Tensor:
    """Per-class gradients through TRAK's ``BasicProjector``, random signs."""
    return _projected(model, x, chunk, trak_projector(_sizes(model, x)[1], proj_dim))


def dattri(model: nn.Module, x: torch.Tensor, chunk: int = 64, proj_dim: int = 2048) -> torch.Tensor:
    """Per-class gradients through dattri's ``BasicProjector``, random signs."""
    return _projected(model, x, chunk, dattri_projector(_sizes(model, x)[1], proj_dim))


def trak_projector(width: int, proj_dim: int) -> Projector:
    """``[n, P] -> [n, proj_dim]``, scaled so that inner products are unbiased (TRAK leaves that to the user)."""
    _require("trak", "traker")
    _require_room(width)
    room = import_module("trak.projectors")
    projector = room.BasicProjector(width, proj_dim, 0, room.ProjectionType.rademacher, "cpu")
    return lambda gradients: projector.project(gradients, 0) / proj_dim**0.5


def dattri_projector(width: int, proj_dim: int) -> Projector:
    """``[n, P] -> [n, proj_dim]``, as it comes: dattri scales by itself."""
    _require("dattri", "dattri")
    _require_room(width)
    room = import_module("dattri.func.projection")
    projector = room.BasicProjector(width, proj_dim, 0, room.ProjectionType.rademacher, "cpu")
    return lambda gradients: projector.project(gradients, 0)


PROJECTORS = {"trak": trak_projector, "dattri": dattri_projector}
#: Methods that compute all entries in reasonable time, with what they spend their time on, for :func:`best_chunk`.
EXACT = {"tutorial_jacobian": tutorial_jacobian, "per_class_gradients": per_class_gradients}


def jacobians(model: nn.Module, x: torch.Tensor, chunk: int) -> Parameters:
    """Name -> ``[n, C, entries]``, written chunk by chunk into one buffer a parameter."""
    one, params = _function(model)
    held: Parameters = {}
    for start in range(0, len(x), chunk):
        part = vmap(jacrev(one), (None, 0))(params, x[start : start + chunk])
        for name, values in part.items():
            flat = values.detach().flatten(2)
            if chunk >= len(x):
                held[name] = flat
            else:
                held.setdefault(name, torch.empty(len(x), *flat.shape[1:]))[start : start + chunk] = flat
    return held


def class_gradients(model: nn.Module, x: torch.Tensor, c: int, chunk: int) -> torch.Tensor:
    """Gradients of logit c, ``[n, P]``."""
    one, params = _function(model)
    each = vmap(grad(lambda p, point: one(p, point)[c]), (None, 0))
    gradients = torch.empty(len(x), sum(p.numel() for p in params.values()))
    for start in range(0, len(x), chunk):
        part = each(params, x[start : start + chunk])
        torch.cat([values.detach().flatten(1) for values in part.values()], 1, out=gradients[start : start + chunk])
    return gradients


def all_gradients(model: nn.Module, x: torch.Tensor, chunk: int) -> torch.Tensor:
    """Gradients of all logits, ``[n C, P]``, class by class."""
    return torch.cat([class_gradients(model, x, c, chunk) for c in range(_sizes(model, x)[0])])


def projector_batch(n_classes: int, width: int) -> int:
    """Samples whose gradients of all classes go through one call of a projector."""
    return max(1, PROJECTOR_BYTES // (4 * n_classes * width))


def best_chunk(method: Callable[..., torch.Tensor], model: nn.Module, x: torch.Tensor) -> int:
    """The chunk of samples with which the method is fastest on the first 64 samples."""
    tried = x[:64]
    method(model, tried[:2], 2)
    seconds = {}
    for chunk in [c for c in _CHUNKS if c < len(tried)] + [len(tried)]:
        few = tried[: max(chunk, 8)]
        start = time.perf_counter()
        method(model, few, chunk)
        seconds[chunk] = (time.perf_counter() - start) / len(few)
    return min(seconds, key=lambda c: seconds[c])


def _projected(model: nn.Module, x: torch.Tensor, chunk: int, projector: Projector) -> torch.Tensor:
    """Gram of projected gradients; all classes of a batch of samples in one call of the projector."""
    n_classes, width = _sizes(model, x)
    batch = projector_batch(n_classes, width)
    parts = []
    for start in range(0, len(x), batch):
        features = projector(all_gradients(model, x[start : start + batch], chunk))
        parts.append(features.reshape(n_classes, -1, features.shape[1]))
    features = torch.cat(parts, 1).transpose(0, 1).flatten(1)
    return features @ features.T


def _contracted(rows: Parameters, columns: Parameters) -> torch.Tensor:
    parts = [torch.einsum("ncp,mcp->nm", rows[name], columns[name]) for name in rows]
    return torch.stack(parts).sum(0)


def _function(model: nn.Module) -> tuple[Callable[[Parameters, torch.Tensor], torch.Tensor], Parameters]:
    """Logits ``[C]`` of one sample as a function of the parameters, and the parameters."""
    params = {name: p.detach() for name, p in model.named_parameters() if p.is_floating_point()}
    buffers = {name: b.detach() for name, b in model.named_buffers()}
    return lambda p, point: functional_call(model, (p, buffers), (point[None],))[0], params


def _sizes(model: nn.Module, x: torch.Tensor) -> tuple[int, int]:
    """C and P."""
    with torch.no_grad():
        return model(x[:1]).shape[1], sum(p.numel() for p in model.parameters() if p.is_floating_point())


def _require(module: str, package: str) -> None:
    """Say which package is missing.

    Raises:
        RuntimeError: when it is.
    """
    if find_spec(module) is None:
        raise RuntimeError(f"{package} is not installed: pip install -r benchmarks/requirements.txt")


def _require_room(width: int) -> None:
    """A projector holds P x 100 random numbers, and briefly a copy.

    Raises:
        MemoryError: when they do not fit.
    """
    needed, free = 3 * 4 * 100 * width, psutil.virtual_memory().available
    if needed > free:
        raise MemoryError(f"the projector's block of P x 100 needs about {needed / 2**30:.0f} GiB, {free / 2**30:.0f} are free")
