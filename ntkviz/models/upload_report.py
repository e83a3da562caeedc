"""What a check of an uploaded model with its data found, as JSON types; torch-free."""

from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Self

from ntkviz.models.rejection import MismatchRow
from ntkviz.models.report import ProbeRow
from ntkviz.models.sandbox import ChildResult


@dataclass(frozen=True)
class UploadReport:
    """A check of an uploaded model.

    Attributes:
        name: of the weights file.
        data_name: of the data file or the bundled sample, or None.
        ok: whether the model, with the data when there are any, can be studied.
        message: "" or why it cannot, and what to do.
        sha256: of the weights file as it was brought.
        size: of the weights file, in bytes.
        rows: the probes.
        notes: what was done to names, numbers and data.
        table: differences between weights and architecture.
        guess: a specification that may fit, when none was given.
        architecture: the specification, as it was understood.
        n_parameters: P.
        n_classes: C, the number of logits.
        accuracy_test: share of test points that the network gets right, in [0, 1], or None.
        accuracy_train: the same for training points.
        dataset: name, kind, class names, sizes and shapes of the data, or None.
        duplicates: what was found about repeated points, or None.
        folder: where the checked model and data were written, or None.
        seconds: the child's work with its imports.
        peak_mb: most memory that it held.
        missing_limits: limits of the child that this system does not have.
        layers: layers of the sandbox in which the child ran.
    """

    name: str
    data_name: str | None = None
    ok: bool = False
    message: str = ""
    sha256: str = ""
    size: int = 0
    rows: tuple[ProbeRow, ...] = ()
    notes: tuple[str, ...] = ()
    table: tuple[MismatchRow, ...] = ()
    guess: dict[str, Any] | None = None
    architecture: dict[str, Any] | None = None
    n_parameters: int | None = None
    n_classes: int | None = None
    accuracy_test: float | None = None
    accuracy_train: float | None = None
    dataset: dict[str, Any] | None = None
    duplicates: dict[str, Any] | None = None
    folder: str | None = None
    seconds: float = 0.0
    peak_mb: float | None = None
    missing_limits: tuple[str, ...] = field(default=())
    layers: tuple[str, ...] = ()

    def refused(self, message: str, *, table: tuple[MismatchRow, ...] = (), guess: dict[str, Any] | None = None) -> Self:
        """This report with a refusal."""
        return replace(self, ok=False, message=message, table=table, guess=guess)

    def found(self, result: ChildResult, *, sha256: str, size: int) -> Self:
        """This report with what the child found."""
        own = {"rows", "notes", "ok", "message"}
        names = {entry.name for entry in fields(self)} - own - {"name", "data_name", "folder"}
        value = {key: entry for key, entry in result.value.items() if key in names}
        rows = tuple(ProbeRow(**row) for row in result.value.get("rows", ()))
        fault = next((row.message for row in rows if not row.passed and row.severity == "error"), "")
        return replace(
            self,
            **value,
            ok=not fault,
            message=fault,
            sha256=sha256,
            size=size,
            rows=rows,
            notes=tuple(map(str, result.value.get("notes", ()))),
            seconds=result.seconds,
            peak_mb=result.peak_mb,
            missing_limits=result.missing_limits,
            layers=result.layers,
        )

    def written(self, folder: str) -> Self:
        """This report with the folder that was written."""
        return replace(self, folder=folder)

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON types; :meth:`from_dict` takes it back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        """The report of :meth:`as_dict`; unknown fields (the list of files in report.json) are left out.

        Raises:
            TypeError: when a field is of no use.
        """
        known = {entry.name for entry in fields(cls)}
        kept = {key: value for key, value in data.items() if key in known}
        kept["rows"] = tuple(ProbeRow(**row) for row in kept.get("rows", ()))
        kept["table"] = tuple(MismatchRow(**row) for row in kept.get("table", ()))
        for key in ("notes", "missing_limits", "layers"):
            kept[key] = tuple(kept.get(key, ()))
        return cls(**kept)
