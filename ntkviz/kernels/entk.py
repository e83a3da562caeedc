"""Full empirical NTK: every pair of logits (Jacot et al., NeurIPS 2018)."""

import torch

from ntkviz.errors import BudgetExceeded
from ntkviz.gradients.engine import Gram, finished, gram_bytes, unit_heads
from ntkviz.gradients.gram import GramSum
from ntkviz.gradients.stream import gradient_blocks
from ntkviz.kernels.request import KernelRequest

_MIB = 2**20


def gram(request: KernelRequest) -> Gram:
    """Exact, unnormalised, ``[N C, N C]`` and ``[M C, N C]``; row n C + c belongs to logit c of sample n.

    Raises:
        BudgetExceeded: when the matrix does not fit in ``memory_mb``.
    """
    model = request.differentiable()
    x, c = request.everything, model.n_logits
    n_rows = 0 if request.rows is None else len(request.rows)
    needed = 2 * 4 * c * c * len(request.train) * (len(request.train) * request.square + n_rows) / _MIB
    if needed > request.memory_mb / 2:
        raise BudgetExceeded(
            f"The full eNTK of {len(request.train):,} x {c} rows takes {needed:,.0f} MiB, more than half of memory_mb="
            f"{request.memory_mb:,}. Use fewer points, or kind='trntk', its average over the classes."
        )
    total = GramSum(len(request.train) * c, n_rows * c, request.square, model.dtype, model.device)
    left = (request.memory_mb * _MIB - gram_bytes(total)) // (c + 1)  # one head's buffer and all heads of a group side by side
    heads: list[torch.Tensor] = []
    for block in gradient_blocks(model, x, unit_heads(model), memory_bytes=left, on_progress=request.on_progress):
        heads.append(block.values.clone())
        if len(heads) == c:
            total.add(torch.stack(heads, dim=1).reshape(len(x) * c, -1))
            heads.clear()
    return finished(total, model.generic_coverage)
