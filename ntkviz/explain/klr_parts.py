"""What Newton steps of kernel logistic regression work with: directions, where they have come to, and what is asked of the fit."""

from dataclasses import dataclass

import numpy as np

from ntkviz.surrogates.surrogate import probabilities


@dataclass(frozen=True, eq=False)
class Functions:
    """D functions of the kernel's space: coefficients, their image under K, both ``[N, D, R]``, and offsets ``[D, R]``."""

    coef: np.ndarray
    image: np.ndarray
    offset: np.ndarray

    def plus(self, step: np.ndarray, other: "Functions") -> "Functions":
        """These plus so much of others, a step ``[D]`` each."""
        each = step[:, None]
        return Functions(self.coef + each * other.coef, self.image + each * other.image, self.offset + each * other.offset)

    def dot(self, other: "Functions") -> np.ndarray:
        """Inner products in the kernel's space, the offsets' own added, ``[D]``."""
        return np.einsum("ndr,ndr->d", self.coef, other.image) + (self.offset * other.offset).sum(axis=1)


@dataclass(frozen=True, eq=False)
class Place:
    """Where the steps have come to: coefficients and their image, ``[N, R]``, offset ``[R]``."""

    coef: np.ndarray
    image: np.ndarray
    offset: np.ndarray

    @property
    def chances(self) -> np.ndarray:
        """What is said of each training point, ``[N, R]``."""
        return probabilities(self.image + self.offset)


@dataclass(frozen=True, eq=False)
class Asked:
    """What a fit is fitted to: labels ``[N, R]``, how often each counts, and what pulls beside them, ``[N, R]``, however often they count."""

    targets: np.ndarray
    counts: np.ndarray
    network: np.ndarray
