"""Matrix products by the fastest exact route that this machine has.

torch multiplies float32 matrices through MKL, which is half as fast as oneDNN on processors that are not Intel's. The setting that
sends them to oneDNN also allows bfloat16 where the processor has units for it. So it is used only on machines on which it is
seen to give float32 results. The choice depends on the machine and never on a timing: the same tile has the same bits in
every process with the same number of threads.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch

_CACHE_ROWS, _CACHE_COLUMNS = 64, 8192


@contextmanager
def fast_float32() -> Iterator[None]:
    """float32 products through oneDNN, where that is exact; the process's setting is restored afterwards."""
    if not onednn_is_exact():
        yield
        return
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


@cache
def onednn_is_exact() -> bool:
    """Whether products under the setting "medium" have float32's digits here: tried for one matrix and for a batch."""
    a = torch.linspace(-1.0, 1.0, 2 * 64 * 512).sin().reshape(2, 64, 512)
    truth = a.double() @ a.double().transpose(1, 2)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("medium")
    try:
        off = max(float((a @ a.transpose(1, 2) - truth).abs().max()), float((a[0] @ a[0].T - truth[0]).abs().max()))
    finally:
        torch.set_float32_matmul_precision(before)
    return off < 1e-6 * float(truth.abs().max()) * 16


def dot_rows(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """All inner products of rows of ``[n, k]`` and ``[m, k]``: ``[n, m]``."""
    with fast_float32():
        return a @ b.T


def squared_norms(a: torch.Tensor) -> torch.Tensor:
    """Squared norms of rows ``[n, k]``, added up in float64 over blocks that fit in cache: ``[n]``."""
    total = torch.zeros(len(a), dtype=torch.float64, device=a.device)
    for i in range(0, len(a), _CACHE_ROWS):
        for k in range(0, a.shape[1], _CACHE_COLUMNS):
            part = a[i : i + _CACHE_ROWS, k : k + _CACHE_COLUMNS]
            total[i : i + _CACHE_ROWS] += torch.linalg.vecdot(part, part).double()
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
    bits, scale = torch.empty(a.shape, dtype=torch.int8, device=a.device), a.new_empty(len(a))
    for i in range(0, len(a), _CACHE_ROWS):  # a few rows at a time stay in cache
        some = a[i : i + _CACHE_ROWS]
        largest = some.abs().amax(dim=1)
        largest = torch.where(largest > 1e-30, largest, 0.0)
        inverse = torch.where(largest > 0, 127.0 / largest, 0.0)
        bits[i : i + _CACHE_ROWS] = (some * inverse[:, None]).round_()
        scale[i : i + _CACHE_ROWS] = largest / 127.0
    return bits, scale


def int8_dot(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
    """All inner products of rows of eight-bit integers, float32 ``[n, m]``; k <= 2**17, so that 32 bits hold the sums."""
    return torch.ops.aten._int_mm(a, b.T).to(torch.float32)
