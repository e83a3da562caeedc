"""The public door of this room: kernel matrices of any classifier."""

import inspect
from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from ntkviz.errors import UnsupportedModel
from ntkviz.gradients.activations import readout_weight
from ntkviz.gradients.differentiable import held
from ntkviz.gradients.engine import Gram
from ntkviz.kernels import conjugate, degeneracy, embedding, entk, inputs, lpntk, margin, pntk, projected, rbf, sketched, trntk
from ntkviz.kernels.blocks import KernelBlocks
from ntkviz.kernels.registry import kernels
from ntkviz.kernels.request import KernelRequest
from ntkviz.models.probes import require_sound
from ntkviz.types import ProgressFn, silent

Array = np.ndarray | torch.Tensor

_GRAMS: dict[str, Callable[..., Gram]] = {
    "trntk": trntk.gram,
    "pntk": pntk.gram,
    "hybrid_trntk": sketched.hybrid_gram,
    "class_sketch_trntk": sketched.class_sketch_gram,
    "proj_trntk": projected.trace_gram,
    "proj_pntk": projected.pseudo_gram,
    "ck": conjugate.gram,
    "em": embedding.gram,
    "entk": entk.gram,
    "lpntk": lpntk.gram,
    "margin": margin.gram,
    "inputs": inputs.gram,
    "rbf": rbf.gram,
    "trntk_rbf": rbf.sum_gram,
}
#: Kernels of the inputs alone; any model will do.
_WITHOUT_NETWORK = ("inputs", "rbf")
#: Kernels of the sum of the logits.
_PSEUDO = ("pntk", "proj_pntk")
_LAYERS: dict[str, Callable[..., dict[str, Gram]]] = {"trntk": trntk.layers, "pntk": pntk.layers, "em": embedding.layer_parts}


def kernel_matrix(
    model: nn.Module,
    x: Array,
    z: Array | None = None,
    *,
    kind: str = "trntk",
    normalize: bool = True,
    y: Array | None = None,
    yz: Array | None = None,
    seed: int = 0,
    memory_mb: int = 4096,
    on_progress: ProgressFn = silent,
    **options: object,
) -> np.ndarray:
    """The kernel between points x and z of a network.

    The model is taken in eval mode and left as it was. All its floating point parameters count, whether they require a
    gradient or not.

    Args:
        model: any module that maps ``[n, ...]`` to logits ``[n, C]`` (or ``[n]``, ``[n, 1]``: C = 1).
        x: ``[N, ...]``, tensor or array.
        z: ``[M, ...]``; None means x.
        kind: a key of ``kernels()``.
        normalize: cosine similarity, by the exact diagonals of both sides; False gives the raw kernel (logit² units).
        y: int ``[N]``, labels of x, for kinds that need them.
        yz: int ``[M]``, labels of z.
        seed: of random projections; the same seed gives the same matrix (of the same points in the same memory).
        memory_mb: bound on what grows with N, in MiB.
        on_progress: called with ("kernel", fraction); may raise ``JobCancelled``.
        **options: the kind's own options, see its row in ``kernels()``.

    Returns:
        float32 ``[N, M]``; ``[N C, M C]`` for ``kind="entk"``, where row n C + c is logit c of sample n. With z=None it is
        exactly symmetric. normalize=True: in [-1, 1].

    Raises:
        ValueError: for an unknown kind or option, missing labels, or inputs that are not finite.
        UnsupportedModel: when no correct path exists for the model, with the reason; also its kinds
            ``NonDeterministicModel`` and ``BatchDependentModel``.
        BudgetExceeded: when the result does not fit in ``memory_mb``.
    """
    blocks = pair_blocks(model, x, z, kind=kind, y=y, yz=yz, seed=seed, memory_mb=memory_mb, on_progress=on_progress, **options)
    blocks = blocks.normalised() if normalize else blocks
    return blocks.train if z is None else blocks.rows


def pair_blocks(
    model: nn.Module,
    x: Array,
    z: Array | None = None,
    *,
    kind: str = "trntk",
    y: Array | None = None,
    yz: Array | None = None,
    seed: int = 0,
    memory_mb: int = 4096,
    on_progress: ProgressFn = silent,
    **options: object,
) -> KernelBlocks:
    """The raw kernel between points x and z, with the diagonals that make it a cosine and with its notes.

    Args and errors are those of :func:`kernel_matrix`.

    Returns:
        Blocks with train ``[N, N]`` of x when z is None, otherwise with rows ``[N, M]`` of x against z.
    """
    with held(model, x, z) as (module, (xt, zt)):
        request = _request(module, xt, zt, y, yz, seed=seed, memory_mb=memory_mb, on_progress=on_progress)
        return _blocks(request, kind, options)


def layer_kernels(
    model: nn.Module,
    x: Array,
    z: Array | None = None,
    *,
    kind: str = "trntk",
    memory_mb: int = 4096,
    on_progress: ProgressFn = silent,
    **options: object,
) -> dict[str, np.ndarray]:
    """The unnormalised kernel, split into what each layer adds.

    Args:
        model: see :func:`kernel_matrix`.
        x: ``[N, ...]``.
        z: ``[M, ...]``; None means x.
        kind: a key of ``kernels()`` whose row says ``layered``.
        memory_mb: bound on what grows with N, in MiB.
        on_progress: may raise ``JobCancelled``.
        **options: the kind's own options.

    Returns:
        Layer name -> float32 ``[N, M]``, in the model's order; their sum is ``kernel_matrix(..., normalize=False)``.

    Raises:
        ValueError: for a kind that is not a sum over layers.
        UnsupportedModel: see :func:`kernel_matrix`.
        BudgetExceeded: when all layers' matrices together do not fit in ``memory_mb``.
    """
    if kind not in _LAYERS:
        raise ValueError(f"kind={kind!r} is not a sum over layers; expected one of {', '.join(_LAYERS)}.")
    _check_options(_LAYERS[kind], kind, options)
    with held(model, x, z) as (module, (xt, zt)):
        request = _request(module, xt, zt, None, None, memory_mb=memory_mb, on_progress=on_progress)
        _require_sound(request)
        parts = _LAYERS[kind](request, **options)
    return {layer: gram.train if z is None else gram.rows for layer, gram in parts.items()}


def kernel_blocks(
    model: nn.Module,
    x_train: Array,
    x_test: Array,
    *,
    kind: str = "trntk",
    y_train: Array | None = None,
    y_test: Array | None = None,
    seed: int = 0,
    memory_mb: int = 4096,
    on_progress: ProgressFn = silent,
    **options: object,
) -> KernelBlocks:
    """Both blocks that a study needs, in one pass over the gradients, unnormalised.

    Args:
        model: see :func:`kernel_matrix`.
        x_train: ``[N, ...]``.
        x_test: ``[M, ...]``.
        kind: a key of ``kernels()`` with a point kernel.
        y_train: int ``[N]``, for kinds that need labels.
        y_test: int ``[M]``.
        seed: of random projections.
        memory_mb: bound on what grows with N, in MiB.
        on_progress: may raise ``JobCancelled``.
        **options: the kind's own options.

    Returns:
        Blocks with train ``[N, N]`` and rows ``[M, N]``; ``.normalised()`` gives the cosine version.

    Raises:
        ValueError: see :func:`kernel_matrix`; also for ``kind="entk"``, which has no row a point.
        UnsupportedModel: see :func:`kernel_matrix`.
        BudgetExceeded: see :func:`kernel_matrix`.
    """
    if kind in kernels() and kernels()[kind].block != "point":
        raise ValueError(
            f"kind={kind!r} has C rows a point, so it serves no surrogate or map of points. Use kind='trntk', its average over classes."
        )
    with held(model, x_train, x_test) as (module, (train, test)):
        request = KernelRequest(
            module,
            _given(train),
            test,
            train_labels=_labels(y_train),
            rows_labels=_labels(y_test),
            seed=seed,
            memory_mb=memory_mb,
            on_progress=on_progress,
        )
        return _blocks(request, kind, options)


def _request(
    model: nn.Module,
    x: torch.Tensor | None,
    z: torch.Tensor | None,
    y: Array | None,
    yz: Array | None,
    *,
    seed: int = 0,
    memory_mb: int,
    on_progress: ProgressFn,
) -> KernelRequest:
    """K(x, z) has x as rows and z as columns; with z=None, x is the square part."""
    if z is None:
        return KernelRequest(model, _given(x), None, _labels(y), None, seed=seed, memory_mb=memory_mb, on_progress=on_progress)
    return KernelRequest(
        model, z, _given(x), _labels(yz), _labels(y), square=False, seed=seed, memory_mb=memory_mb, on_progress=on_progress
    )


def _blocks(request: KernelRequest, kind: str, options: dict[str, object]) -> KernelBlocks:
    """Check everything, then compute; the numbers stay raw.

    Raises:
        ValueError: for an unknown kind or option, or samples of different shapes.
    """
    if kind not in _GRAMS:
        raise ValueError(f"Unknown kernel kind {kind!r}; expected one of {', '.join(_GRAMS)}.")
    _check_options(_GRAMS[kind], kind, options)
    if request.rows is not None and request.rows.shape[1:] != request.train.shape[1:]:
        raise ValueError(
            f"x and z must hold samples of one shape; got {list(request.rows.shape[1:])} and {list(request.train.shape[1:])}."
        )
    if kind not in _WITHOUT_NETWORK:
        _require_sound(request)
    gram = _GRAMS[kind](request, **options)
    request.on_progress("kernel", 1.0)
    return KernelBlocks(
        kind=kind,
        train=gram.train,
        rows=gram.rows,
        train_diagonal=gram.train_diagonal,
        rows_diagonal=gram.rows_diagonal,
        path=gram.coverage.path if gram.coverage else "features",
        predicted_error=gram.sketch.predicted if gram.sketch else 0.0,
        measured_error=gram.sketch.measured if gram.sketch else 0.0,
        notes=(*_notes(gram), *(_of_readout(request) if kind in _PSEUDO else ())),
    )


def _require_sound(request: KernelRequest) -> None:
    """Refuse a model whose output is not a function of one sample.

    Raises:
        UnsupportedModel: with the reason.
    """
    try:
        require_sound(request.model, request.train[:8])
    except UnsupportedModel:
        raise
    except RuntimeError as error:
        raise UnsupportedModel(
            f"The model does not run on inputs of shape {list(request.train.shape[1:])} ({request.train.dtype}): {str(error)[:200]}"
        ) from error


def _notes(gram: Gram) -> tuple[str, ...]:
    if gram.coverage is None:
        return ()
    notes = []
    if gram.sketch and np.isnan(gram.sketch.predicted):
        notes.append(
            "An approximation whose error is not known: there are too few points with a gradient to compare with the exact kernel."
        )
    elif gram.sketch:
        notes.append(
            f"An approximation: similarities are off by {100 * gram.sketch.predicted:.2g} % as predicted, and by {100 * gram.sketch.measured:.2g} % "
            f"on {gram.sketch.n_checked} points whose exact kernel was computed (relative, root mean square); hardly ever by more than "
            f"{200 * max(gram.sketch.predicted, gram.sketch.measured):.2g} %."
        )
    if gram.coverage.reason:
        notes.append(f"Gradients were computed one sample at a time, because {gram.coverage.reason}.")
    if gram.coverage.unused:
        notes.append(
            f"No logit depends on {len(gram.coverage.unused)} parameters for the samples tried: {', '.join(gram.coverage.unused[:5])}."
        )
    return tuple(notes)


def _of_readout(request: KernelRequest) -> tuple[str, ...]:
    """What the readout's rows do to a pseudo NTK; nothing where no linear layer puts out the logits, or there is one logit."""
    weight = readout_weight(request.model, request.train[:2])
    share = None if weight is None else degeneracy.row_sum_share(weight.cpu().numpy())
    return () if share is None else (degeneracy.sentence(share),)


def _check_options(function: Callable[..., object], kind: str, options: dict[str, object]) -> None:
    """Refuse an option that the kind does not have.

    Raises:
        ValueError: naming the options that it has.
    """
    known = [p.name for p in inspect.signature(function).parameters.values() if p.kind is inspect.Parameter.KEYWORD_ONLY]
    for name in options:
        if name not in known:
            raise ValueError(f"kind={kind!r} has no option {name!r}; it takes {', '.join(known) or 'none'}.")


def _labels(y: Array | None) -> torch.Tensor | None:
    return None if y is None else torch.as_tensor(y).to(torch.int64).cpu()


def _given(x: torch.Tensor | None) -> torch.Tensor:
    """The inputs, which must be there.

    Raises:
        ValueError: when they are None.
    """
    if x is None:
        raise ValueError("Expected inputs x [N, ...], got None.")
    return x
