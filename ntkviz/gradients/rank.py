"""Exact compression of C heads to one where the readout allows it.

Below an elementwise nonlinearity and a linear readout, the gradient of logit c at unit j is W[c, j] times a number that does not
depend on c. Over the classes it is a fixed direction, so the sum over classes of products is a product of two numbers. Whether
this holds is seen in the gradients themselves, unit by unit, and checked on every batch: a unit's direction is fixed when it
is first alive (a unit that is dead on some probe has none), and what the direction misses is measured.
"""

import torch

#: Energy off the direction, as a share of a sample's own, that is put down to rounding. The error of its similarities is of this
#: size: what two samples miss is orthogonal to what they keep.
_MISSED = 3e-6
#: Samples in which directions are looked for first; units that are dead in them are looked for in the whole batch.
_FEW = 16


class NotRankOne(Exception):
    """The gradients of a layer have more than one direction over the classes."""


class HeadCompressor:
    """Replaces H heads of one site by one."""

    def __init__(self, directions: torch.Tensor | None = None) -> None:
        """Begin without directions, or with those of other samples.

        Attributes:
            directions: ``[q, H]``, zero where no gradient was seen yet.
        """
        self.directions = directions

    def __call__(self, right: torch.Tensor) -> torch.Tensor:
        """Project on each unit's direction.

        Args:
            right: ``[n, H, q, T]``.

        Returns:
            ``[n, 1, q, T]``, with the same inner products summed over heads.

        Raises:
            NotRankOne: when that would not be exact.
        """
        if self.directions is None:
            self.directions = right.new_zeros(right.shape[2], right.shape[1])
        for some in (right[:_FEW], right):
            unknown = ~self.directions.any(dim=1)
            if unknown.any():
                self.directions[unknown] = _strongest(some[:, :, unknown])
        one = (right * self.directions.T[None, :, :, None]).sum(1)  # as elements: einsum would make q tiny products of it
        missed = _energy(right) - _energy(one)
        if (missed > _MISSED * _energy(right)).any():
            raise NotRankOne
        return one[:, None]


def _strongest(right: torch.Tensor) -> torch.Tensor:
    """Each unit's gradients over the heads where they are strongest, ``[q, H]`` of unit norm; zero for dead units."""
    n, _, q, t = right.shape
    norms = right.square().sum(1).transpose(0, 1).reshape(q, n * t)
    place = norms.argmax(dim=1)
    seen = right[place // t, :, torch.arange(q, device=right.device), place % t]
    seen = seen * seen.gather(1, seen.abs().argmax(1, keepdim=True)).sign()  # the same direction whichever sample shows it
    return torch.nn.functional.normalize(seen, eps=1e-30)


def _energy(values: torch.Tensor) -> torch.Tensor:
    """Squared norm of each sample."""
    return torch.linalg.vector_norm(values.flatten(1), dim=1).square()
