"""Full empirical NTK: every pair of logits (Jacot et al., NeurIPS 2018)."""

from ntkviz.errors import BudgetExceeded
from ntkviz.gradients.engine import Gram, class_grams
from ntkviz.kernels.request import KernelRequest

_MIB = 2**20


def gram(request: KernelRequest) -> Gram:
    """Exact, unnormalised, ``[N C, N C]`` and ``[M C, N C]``; row n C + c belongs to logit c of sample n.

    Raises:
        BudgetExceeded: when the matrix does not fit in ``memory_mb``.
    """
    model = request.differentiable()
    c = model.n_logits
    n_rows = 0 if request.rows is None else len(request.rows)
    needed = 4 * c * c * len(request.train) * (len(request.train) * request.square + n_rows) / _MIB
    if needed > request.memory_mb / 2:
        raise BudgetExceeded(
            f"The full eNTK of {len(request.train):,} x {c} rows takes {needed:,.0f} MiB, more than half of memory_mb="
            f"{request.memory_mb:,}. Use fewer points, or kind='trntk', its average over the classes."
        )
    return class_grams(
        model,
        request.train,
        request.rows,
        square=request.square,
        memory_mb=request.memory_mb,
        on_progress=request.on_progress,
    )
