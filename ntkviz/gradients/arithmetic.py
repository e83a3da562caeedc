"""Matrix products of rows, by the fastest exact route that this machine has.

float32 goes to oneDNN where torch was built with it: on processors without a tuned MKL it is up to twice as fast as
``torch.mm``, with the same float32 arithmetic (no bfloat16, whatever ``set_float32_matmul_precision`` says). The choice depends
on the build alone and never on a timing, so the same tile has the same bits in every process with the same number of threads.
"""

from functools import cache

import torch


def dot_rows(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """All inner products of rows.

    Args:
        a: ``[n, k]``.
        b: ``[m, k]``.

    Returns:
        ``a @ b.T``, ``[n, m]``.
    """
    if a.dtype == torch.float32 and a.device.type == "cpu" and has_onednn():
        return torch.ops.mkldnn._linear_pointwise(a, b, None, "none", [], "")
    return a @ b.T


@cache
def has_onednn() -> bool:
    """Whether oneDNN's strict float32 product is there and right; it is a private operator, so it is tried and not assumed."""
    a = torch.arange(6, dtype=torch.float32).reshape(2, 3)
    try:
        return bool(torch.equal(torch.ops.mkldnn._linear_pointwise(a, a, None, "none", [], ""), a @ a.T))
    except (AttributeError, NotImplementedError, RuntimeError):
        return False


def squared_norms(a: torch.Tensor, block: int = 8192) -> torch.Tensor:
    """Squared norms of rows ``[n, k]``, added up in float64 over blocks of columns: ``[n]``."""
    total = torch.zeros(len(a), dtype=torch.float64, device=a.device)
    for start in range(0, a.shape[1], block):
        part = a[:, start : start + block]
        total += torch.linalg.vecdot(part, part).double()
    return total


@cache
def has_int8() -> bool:
    """Whether products of eight-bit integers are there and right; a private operator, so it is tried and not assumed."""
    a = torch.arange(-64, 64, dtype=torch.int8).reshape(4, 32)
    try:
        return bool(torch.equal(torch.ops.aten._int_mm(a, a.T), a.int() @ a.int().T))
    except (AttributeError, NotImplementedError, RuntimeError):
        return False


def quantise(a: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows as eight-bit integers with one scale each: ``a`` is about ``bits * scale[:, None]``.

    Args:
        a: float ``[n, k]``.

    Returns:
        int8 ``[n, k]`` in -127..127, and the scales ``[n]``; a row without a number above 1e-30 has scale 0.
    """
    largest = a.abs().amax(dim=1)
    largest = torch.where(largest > 1e-30, largest, 0.0)
    inverse = torch.where(largest > 0, 127.0 / largest, 0.0)
    return (a * inverse[:, None]).round_().to(torch.int8), largest / 127.0


def int8_dot(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """All inner products of rows of eight-bit integers, float32 ``[n, m]``; k <= 2**17, so that 32 bits hold the sums."""
    return torch.ops.aten._int_mm(a, b.T).to(torch.float32)
