"""The slow float64 truth that every kernel is checked against.

One sample, one logit, one ``autograd.grad`` at a time, on a float64 copy of the model: nothing is batched, transformed or
chunked, so there is nothing that could be batched, transformed or chunked wrongly. For small inputs only: the Jacobian
``[n, C, P]`` is held in float64.
"""

import copy
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from ntkviz.errors import UnsupportedModel
from ntkviz.gradients.inputs import as_input
from ntkviz.models.outputs import as_logits, frozen_eval


def jacobian_reference(model: nn.Module, x: torch.Tensor | np.ndarray, *, dtype: torch.dtype = torch.float64) -> np.ndarray:
    """The Jacobian of the logits with respect to all floating point parameters.

    Args:
        model: any module that maps ``[n, ...]`` to logits ``[n, C]``; not changed.
        x: ``[n, ...]``.
        dtype: of the model's copy; float64 unless the model cannot run in it.

    Returns:
        float64 ``[n, C, P]``; P runs over ``model.named_parameters()`` in order, each flattened.

    Raises:
        UnsupportedModel: when the model cannot be copied or its logits do not depend on its parameters.
    """
    try:
        twin = copy.deepcopy(model).to(dtype)
    except Exception as error:
        raise UnsupportedModel(
            f"The reference needs a copy of the model in {dtype}, and copying failed: {error}. Rebuild the model instead of "
            "passing one that holds tensors of a running computation."
        ) from error
    x = as_input(twin, x)
    with frozen_eval(twin), torch.enable_grad():
        parameters = [p for p in twin.parameters() if p.is_floating_point()]
        for p in parameters:
            p.requires_grad_(True)
        samples = []
        for i in range(len(x)):
            logits = as_logits(twin(x[i : i + 1]), 1)[0]
            if not logits.requires_grad:
                raise UnsupportedModel(
                    "The logits do not depend on the parameters (is forward() inside torch.no_grad?); no gradient exists."
                )
            samples.append(np.stack([_flat_gradient(logit, parameters) for logit in logits]))
    return np.stack(samples)


def gram_reference(
    model: nn.Module,
    x: torch.Tensor | np.ndarray,
    z: torch.Tensor | np.ndarray | None = None,
    *,
    heads: np.ndarray | None = None,
) -> np.ndarray:
    """The Gram matrix of mixed logits' gradients, K[n, m] = sum_h <grad (v_h . f)(x_n), grad (v_h . f)(z_m)>.

    Args:
        model: see :func:`jacobian_reference`.
        x: ``[N, ...]``.
        z: ``[M, ...]``; None means x.
        heads: ``[H, C]``, the mixes v_h; None means the C unit vectors, which gives the unnormalised trace NTK.

    Returns:
        float64 ``[N, M]``.
    """
    jac_x = jacobian_reference(model, x)
    jac_z = jac_x if z is None else jacobian_reference(model, z)
    v = np.eye(jac_x.shape[1]) if heads is None else np.asarray(heads, dtype=np.float64)
    mixed_x, mixed_z = (np.einsum("hc,ncp->nhp", v, jac) for jac in (jac_x, jac_z))
    return np.einsum("nhp,mhp->nm", mixed_x, mixed_z)


def entk_reference(model: nn.Module, x: torch.Tensor | np.ndarray, z: torch.Tensor | np.ndarray | None = None) -> np.ndarray:
    """The full empirical NTK, float64 ``[N C, M C]``; row n C + c belongs to logit c of sample n."""
    jac_x = jacobian_reference(model, x)
    jac_z = jac_x if z is None else jacobian_reference(model, z)
    p = jac_x.shape[-1]
    return jac_x.reshape(-1, p) @ jac_z.reshape(-1, p).T


def relative_error(kernel: np.ndarray, reference: np.ndarray, row_diagonal: np.ndarray, column_diagonal: np.ndarray) -> float:
    """Worst error in units of cosine similarity: max |K - R|_nm / sqrt(R_nn R_mm); 0 where both diagonals vanish."""
    scale = np.sqrt(np.outer(row_diagonal, column_diagonal))
    difference = np.abs(np.asarray(kernel, dtype=np.float64) - reference)
    if np.any(difference[scale == 0] > 0):
        return float("inf")
    return float(np.max(np.divide(difference, scale, out=np.zeros_like(difference), where=scale > 0), initial=0.0))


def _flat_gradient(logit: torch.Tensor, parameters: Sequence[torch.Tensor]) -> np.ndarray:
    """One logit's gradient with respect to all parameters, flattened, float64 ``[P]``."""
    grads = torch.autograd.grad(logit, parameters, retain_graph=True, allow_unused=True)
    return np.concatenate(
        [
            np.zeros(p.numel()) if g is None else g.detach().to(torch.float64).cpu().numpy().ravel()
            for p, g in zip(parameters, grads, strict=True)
        ]
    )
