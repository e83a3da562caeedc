"""A few samples against the float64 reference, before any long job."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from ntkviz.errors import NtkvizError, SelfCheckFailed
from ntkviz.gradients.differentiable import Differentiable, ParameterPath, held
from ntkviz.gradients.engine import tangent_gram, unit_heads
from ntkviz.gradients.reference import jacobian_reference, relative_error


@dataclass(frozen=True)
class SelfCheck:
    """What the check found.

    Attributes:
        max_relative_error: worst |K - R| / sqrt(R_nn R_mm) over the pairs of samples.
        tolerance: what was allowed.
        n_points: samples compared.
        dtype: of the reference ("float64", or the model's own type when it cannot run in float64).
        path: how gradients are computed ("structured", "vmap", "loop", or two of them).
        n_parameters: P.
        unused: parameters that no logit depends on for these samples.
        passed: always True in a check that is returned; a failure raises.
        parameters: how each parameter's part of the kernel is computed, one row a tensor.
    """

    max_relative_error: float
    tolerance: float
    n_points: int
    dtype: str
    path: str
    n_parameters: int
    unused: tuple[str, ...]
    passed: bool
    parameters: tuple[ParameterPath, ...] = ()


def self_check(model: nn.Module, x: torch.Tensor | np.ndarray, *, n: int = 3, tolerance: float = 1e-4) -> SelfCheck:
    """Compare the trace NTK of the first samples with the float64 reference.

    Args:
        model: any classifier; taken in eval mode and left as it was.
        x: ``[N, ...]``; the first n samples are used.
        n: how many.
        tolerance: allowed error in units of cosine similarity.

    Returns:
        The findings, passed.

    Raises:
        SelfCheckFailed: when the error is larger.
        UnsupportedModel: when the model has no gradients to check.
        ValueError: when there are no inputs.
    """
    with held(model, x[:n]) as (module, (sample,)):
        if sample is None:
            raise ValueError("Expected inputs x [N, ...], got None.")
        differentiable = Differentiable(module, sample)
        gram = tangent_gram(differentiable, sample, heads=unit_heads(differentiable))
        dtype, jacobian = _reference(module, sample)
    flat = jacobian.reshape(len(jacobian), -1)
    reference = flat @ flat.T
    error = relative_error(gram.train, reference, np.diag(reference), np.diag(reference))
    coverage = differentiable.coverage
    if not error <= tolerance:
        raise SelfCheckFailed(
            f"On {len(sample)} samples the kernel differs from the {dtype} reference by {error:.1e} of the diagonal (allowed: {tolerance:.0e}), "
            f"by the path '{coverage.path}'. Gradients of this model are too inaccurate in {differentiable.dtype}: try model.double()."
        )
    return SelfCheck(
        error, tolerance, len(sample), dtype, coverage.path, coverage.n_parameters, coverage.unused, True, coverage.parameters
    )


def _reference(model: nn.Module, x: torch.Tensor) -> tuple[str, np.ndarray]:
    """The Jacobian in float64, or in float32 when something in the model is tied to it.

    Raises:
        NtkvizError: when the model has no gradients at all.
    """
    try:
        return "float64", jacobian_reference(model, x)
    except NtkvizError:
        raise
    except Exception:
        return "float32", jacobian_reference(model, x, dtype=torch.float32)
