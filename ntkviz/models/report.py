"""What the probes found, as data; torch-free, so that a page can show it and a child process can send it."""

from dataclasses import asdict, dataclass
from typing import Any, Literal, Self

Severity = Literal["error", "warning", "info"]


@dataclass(frozen=True)
class ProbeRow:
    """One probe.

    Attributes:
        name: "mode", "output", "finite", "deterministic", "batch", "responds", "logits", "coverage", "accuracy", "labels" or
            "normalisation".
        passed: whether it found nothing.
        severity: "error" when no kernel can be made of the model, "warning" when a person should look, else "info".
        message: a sentence, what was found and what to do.
        normalise: mean and std, as an architecture's ``normalise``, with which the network does much better.
    """

    name: str
    passed: bool
    severity: Severity
    message: str
    normalise: dict[str, list[float]] | None = None


@dataclass(frozen=True)
class ProbeReport:
    """What all probes found.

    Attributes:
        rows: one a probe, in the order in which they ran; after an error in the output the others could not run.
        n_samples: how many samples the structural probes used.
        n_parameters: P, all parameters, each counted once however often it is used.
        n_classes: C, or None when the output is none.
        accuracy: share of labels that the largest logit (for C = 1 its sign) gets right, in [0, 1], or None without labels.
        unused: names of parameters that no logit depends on.
    """

    rows: tuple[ProbeRow, ...]
    n_samples: int
    n_parameters: int
    n_classes: int | None = None
    accuracy: float | None = None
    unused: tuple[str, ...] = ()

    @property
    def sound(self) -> bool:
        """Whether a kernel can be made of the model."""
        return not self.errors

    @property
    def errors(self) -> tuple[ProbeRow, ...]:
        """The rows that speak against it."""
        return tuple(row for row in self.rows if not row.passed and row.severity == "error")

    @property
    def warnings(self) -> tuple[ProbeRow, ...]:
        """The rows that a person should read."""
        return tuple(row for row in self.rows if not row.passed and row.severity == "warning")

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON types; :meth:`from_dict` takes it back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """The report of :meth:`as_dict`.

        Raises:
            TypeError: when fields are missing or unknown.
        """
        return cls(**{**data, "rows": tuple(ProbeRow(**row) for row in data["rows"]), "unused": tuple(data["unused"])})
