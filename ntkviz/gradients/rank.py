"""Exact compression of C heads to one where the readout allows it.

Below an elementwise nonlinearity and a linear readout, the gradient of logit c at unit j is W[c, j] times a number that does not
depend on c. Over the classes it is a fixed direction, so the sum over classes of products is a product of two numbers. Whether
this holds is seen in the gradients themselves, unit by unit, and checked on every batch: a unit's direction is fixed when it
is first alive (a unit that is dead on some probe has none), and what the direction misses is measured.
"""

import torch

#: Energy off the direction, as a share of all, that is put down to rounding. The error of the kernel is of this size.
_MISSED = 1e-9


class NotRankOne(Exception):
    """The gradients of a layer have more than one direction over the classes."""


class HeadCompressor:
    """Replaces H heads of one site by one."""

    def __init__(self) -> None:
        self._directions: torch.Tensor | None = None  # [q, H], zero where no gradient was seen yet

    def __call__(self, right: torch.Tensor) -> torch.Tensor:
        """Project on each unit's direction.

        Args:
            right: ``[n, H, q, T]``.

        Returns:
            ``[n, 1, q, T]``, with the same inner products summed over heads.

        Raises:
            NotRankOne: when that would not be exact.
        """
        n, heads, q, t = right.shape
        if self._directions is None:
            self._directions = right.new_zeros(q, heads)
        d = self._directions
        unknown = ~d.any(dim=1)
        if unknown.any():
            energy = torch.linalg.vector_norm(right[:, :, unknown], dim=1).transpose(0, 1).reshape(int(unknown.sum()), n * t)
            strongest, place = energy.max(dim=1)
            sample, position = place // t, place % t
            seen = right[sample, :, unknown.nonzero().ravel(), position]
            seen = (
                seen * seen.gather(1, seen.abs().argmax(1, keepdim=True)).sign()
            )  # the same direction whichever sample shows it
            d[unknown] = torch.where(strongest[:, None] > 0, seen / strongest[:, None].clamp_min(1e-38), 0.0)
        one = torch.einsum("qh,nhqt->nqt", d, right)
        missed = torch.linalg.vector_norm(right - one[:, None] * d.T[None, :, :, None])
        if missed.square() > _MISSED * torch.linalg.vector_norm(right).square():
            raise NotRankOne
        return one[:, None]
