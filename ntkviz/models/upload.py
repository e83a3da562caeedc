"""Files that people bring: models and data, read in a child process with limits before this process opens anything.

SECURITY: this process copies the file (so that it cannot change between check and use) and starts the child. What it opens
afterwards is not the stranger's file but what the child wrote from it: tensors as safetensors, data as our own folder. A
``.py`` file is the one exception, in local mode and after consent. SECURITY.md section 1 is the policy.

Torch-free until a model is really opened: a page calls :func:`check_upload` and never has torch in its process.
"""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ntkviz.data.readers import ACCEPTED, ReadOptions
from ntkviz.errors import StoreCorrupted, UnsupportedModel, UploadRejected
from ntkviz.models.intake import architecture_json, kind_of, sha256_of, snapshot
from ntkviz.models.limits import Mode, limits_of
from ntkviz.models.rejection import ArchitectureNeeded, WeightsMismatch, quoted
from ntkviz.models.report import ProbeReport
from ntkviz.models.sandbox import ChildResult, run_limited, scratch_folder
from ntkviz.models.upload_report import UploadReport
from ntkviz.types import Dataset

if TYPE_CHECKING:
    from torch import nn

    from ntkviz.models.spec import ArchitectureSpec

_CHILD = "ntkviz.models.upload_child"
_DATA_CHILD = "ntkviz.models.upload_data_child"  # without torch, in half the time

_NONSENSE = "{} made its reader answer nonsense, so it was not opened. Bring another file."


@dataclass(frozen=True)
class Upload:
    """A file that somebody brought, opened.

    Attributes:
        kind: "model" or "dataset".
        name: of the file.
        sha256: of the file as it was brought.
        size: of the file, in bytes.
        report: what the probes found on made-up inputs of a fitting shape; None for data, and where no shape is known.
        notes: what was done to the contents.
        architecture: the specification as JSON types, for a model that came as weights; a summary for an exported program.
    """

    kind: Literal["model", "dataset"]
    name: str
    sha256: str
    size: int
    report: ProbeReport | None
    notes: tuple[str, ...]
    architecture: dict[str, Any] | None
    _subject: Any = field(repr=False, compare=False)

    @property
    def model(self) -> "nn.Module":
        """The network, in eval mode.

        Raises:
            UploadRejected: when the file holds data.
        """
        if self.kind != "model":
            raise UploadRejected(f"{quoted(self.name)} holds data and not a model. Use .dataset, or bring a model.")
        return self._subject

    @property
    def dataset(self) -> Dataset:
        """The data.

        Raises:
            UploadRejected: when the file holds a model.
        """
        if self.kind != "dataset":
            raise UploadRejected(f"{quoted(self.name)} holds a model and not data. Use .model, or bring data.")
        return self._subject


def open_upload(
    path: str | Path,
    *,
    mode: Mode = "local",
    architecture: "str | dict[str, Any] | Path | ArchitectureSpec | None" = None,
    allow_code: bool = False,
) -> Upload:
    """Open a model or a data file that somebody brought.

    Args:
        path: ``.pt2`` (an exported program, by our own reader); ``.safetensors``, or a state dict as ``.pt``, ``.pth`` or ``.ckpt`` (with
            ``architecture``); ``.npz``, ``.csv``, ``.jsonl`` or a ``.zip`` of class folders; in local mode ``.py``.
        mode: the server's mode; it sets the caps.
        architecture: what network the weights belong to: a name of ``architectures()``, a specification as dict or as JSON
            file (a path that ends in .json), or an ArchitectureSpec. A ``.pt2`` carries its own; ``{"normalise": ...}`` may stand
            before it.
        allow_code: run a ``.py`` file, which must define ``model`` (a torch.nn.Module) or ``build()`` that returns one. The
            consent is the caller's: the code may do whatever this process may.

    Returns:
        The opened file. A model is returned whatever its probes say; look at ``report.sound``.

    Raises:
        UploadRejected: when the file cannot be used; the message says why and how to mend it. Weights without an architecture
            raise the kind ``ArchitectureNeeded`` with a guess, weights that do not fit ``WeightsMismatch`` with a table.
        ValueError: when ``mode`` is none.
    """
    path = Path(path)
    kind = kind_of(path, mode)
    if path.suffix.lower() == ".py":
        return _open_code(path, mode=mode, allow_code=allow_code)
    with scratch_folder() as folder:
        name, sha256, size = snapshot(path, folder / "in")
        request = {"task": kind, kind: name, "mode": mode, "architecture": architecture_json(architecture)}
        result = _ask_child(request, folder, f"The file {quoted(path.name)}")
        notes = tuple(map(str, result.value["notes"]))
        if kind == "dataset":
            from ntkviz.data.save import load_dataset

            return Upload("dataset", path.name, sha256, size, None, notes, None, load_dataset(folder / "out" / "data"))
        from ntkviz.models.brought import open_kept

        spec, found = result.value["architecture"], result.value["report"]
        model = open_kept(folder / "out", limits=limits_of(mode))
        with _making_sense(quoted(path.name)):
            report = None if found is None else ProbeReport.from_dict(found)
        return Upload("model", path.name, sha256, size, report, notes, spec, model)


def check_upload(
    model_path: str | Path,
    architecture: "str | dict[str, Any] | Path | ArchitectureSpec | None",
    data_path: str | Path | None = None,
    *,
    mode: Mode,
    folder: str | Path | None = None,
    sample: str | None = None,
    options: ReadOptions | None = None,
    drop_duplicates: bool = False,
) -> UploadReport:
    """Check a model, and data for it, wholly in a child process; torch never enters this one.

    Args:
        model_path: weights, or an exported program (``.pt2``).
        architecture: as in :func:`open_upload`.
        data_path: data, or None.
        mode: the server's mode; it sets the caps.
        folder: where a sound model with its data is written, as :func:`load_uploaded_subject` reads it; new or empty.
        sample: take the data of this bundled sample instead of ``data_path``.
        options: how to read the data. The caps in it are replaced by those of the mode.
        drop_duplicates: leave repeated points out of what is written.

    Returns:
        The report. A file that cannot be used gives one with ``ok`` False and the reason in ``message``; nothing is written then.

    Raises:
        ValueError: when ``mode`` is none, or both ``data_path`` and ``sample`` are given, or ``folder`` holds files.
        NtkvizError: when the child cannot be started.
    """
    if data_path is not None and sample is not None:
        raise ValueError("Give data_path or sample, not both.")
    target = None if folder is None else Path(folder)
    if target is not None and target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise ValueError(f"The target folder {target.name!r} is not empty; give a new one.")
    limits_of(mode)
    base = UploadReport(name=Path(model_path).name, data_name=Path(data_path).name if data_path is not None else sample)
    request = {"task": "subject", "mode": mode, "sample": sample, "drop_duplicates": drop_duplicates}
    request["options"] = _options_json(options)
    try:
        request["architecture"] = architecture_json(architecture)
        return _check(base, Path(model_path), None if data_path is None else Path(data_path), request, target)
    except (UploadRejected, UnsupportedModel) as error:
        table = tuple(error.table) if isinstance(error, WeightsMismatch) else ()
        guess = error.guess if isinstance(error, ArchitectureNeeded) else None
        return base.refused(str(error), table=table, guess=guess)


def load_uploaded_subject(folder: str | Path) -> "tuple[nn.Module, Dataset]":
    """The model and the data that :func:`check_upload` wrote.

    Args:
        folder: the folder it was given.

    Returns:
        The network in eval mode, and the data.

    Raises:
        StoreCorrupted: when a file is missing or was altered, or no data were given with the model.
    """
    folder = Path(folder)
    try:
        written = json.loads((folder / "report.json").read_text(encoding="utf-8"))
        files = dict(written["files"])
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise StoreCorrupted(
            f"The folder {folder.name!r} holds no checked upload ({type(error).__name__}). Bring the files again."
        ) from error
    for name, expected in files.items():
        path = folder / name
        if ".." in Path(name).parts or not path.is_file() or sha256_of(path) != expected:
            raise StoreCorrupted(f"The file {quoted(name)} of an upload is missing or was altered. Bring the files again.")
    if not (folder / "data").is_dir():
        raise StoreCorrupted(
            f"The upload {quoted(str(written.get('name')))} came without data; expected data to study it on. Bring both."
        )
    from ntkviz.data.save import load_dataset
    from ntkviz.models.brought import open_kept

    return open_kept(folder), load_dataset(folder / "data")


def _check(base: UploadReport, model: Path, data: Path | None, request: dict[str, Any], target: Path | None) -> UploadReport:
    """The work of :func:`check_upload`.

    Raises:
        UploadRejected: when a file is not of the kind expected, or the child refuses it.
    """
    mode = request["mode"]
    if kind_of(model, mode) != "model" or model.suffix.lower() == ".py":
        raise UploadRejected(
            f"{quoted(model.name)} is no model; expected .pt2, .safetensors, .pt or .pth. Bring the exported program, or the weights alone."
        )
    if data is not None and kind_of(data, mode) != "dataset":
        raise UploadRejected(f"{quoted(data.name)} is not data; expected {', '.join(ACCEPTED)}. Convert it.")
    with scratch_folder() as folder:
        request["model"], sha256, size = snapshot(model, folder / "in")
        if data is not None:
            request["dataset"], _, _ = snapshot(data, folder / "in_data")
        names = quoted(model.name) if data is None else f"{quoted(model.name)} with {quoted(data.name)}"
        result = _ask_child(request, folder, f"The upload {names}")
        with _making_sense(names):
            report = base.found(result, sha256=sha256, size=size)
        if report.ok and target is not None:
            report = _deliver(folder / "out", target, report)
    return report


def _ask_child(request: dict[str, Any], folder: Path, what: str) -> ChildResult:
    """Let the child work on a request in a folder that holds the snapshots.

    Raises:
        UploadRejected: when it refuses, or its answer is of no use.
    """
    limits = limits_of(request["mode"])
    child = _DATA_CHILD if request["task"] == "dataset" else _CHILD
    (folder / "request.json").write_text(json.dumps(request), encoding="ascii")
    result = run_limited([child], seconds=limits.seconds, memory_mb=limits.memory_mb, folder=folder, file_mb=4096, what=what)
    wanted = {"dataset": {"notes"}, "model": {"notes", "architecture", "report"}, "subject": {"notes", "rows"}}[request["task"]]
    if not isinstance(result.value, dict) or not wanted <= result.value.keys() or not isinstance(result.value["notes"], list):
        raise UploadRejected(_NONSENSE.format(what))
    return result


@contextmanager
def _making_sense(what: str) -> Iterator[None]:
    """Around what is done with an answer, which is as little to be trusted as the file.

    Yields:
        Nothing.

    Raises:
        UploadRejected: when the answer is not of the form that was agreed.
    """
    try:
        yield
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise UploadRejected(_NONSENSE.format(what)) from error


def _options_json(options: ReadOptions | None) -> dict[str, Any]:
    """Options as JSON types, without the caps, which the mode sets."""
    if options is None:
        return {}
    fields = {name: value for name, value in vars(options).items() if name not in {"limits", "vocabulary"}}
    return fields | {"vocabulary": None if options.vocabulary is None else list(options.vocabulary.tokens)}


def _deliver(out: Path, target: Path, report: UploadReport) -> UploadReport:
    """Move what the child wrote into place: it appears whole, with hashes, or not at all."""
    target.parent.mkdir(parents=True, exist_ok=True)
    half = target.with_name(f"{target.name}.tmp.{os.getpid()}")
    files = {}
    try:
        for path in sorted(out.rglob("*")):
            if path.is_symlink() or not path.is_file():
                continue
            copy = half / path.relative_to(out)
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, copy, follow_symlinks=False)
            files[path.relative_to(out).as_posix()] = sha256_of(copy)
        report = report.written(str(target))
        text = json.dumps({**report.as_dict(), "files": files}, indent=1)
        (half / "report.json").write_text(text, encoding="utf-8")
        if target.exists():
            target.rmdir()  # empty: looked at before the work
        half.replace(target)
    finally:
        shutil.rmtree(half, ignore_errors=True)
    return report


def _open_code(path: Path, *, mode: Mode, allow_code: bool) -> Upload:
    """Run a .py file that defines a model.

    Raises:
        UploadRejected: when that is not allowed, or the file does not define a model.
    """
    if mode != "local":
        raise UploadRejected(
            f"{quoted(path.name)} is Python code, which is not run in {mode} mode. Bring the weights as .safetensors with an architecture."
        )
    if not allow_code:
        raise UploadRejected(
            f"{quoted(path.name)} is Python code: opening it runs it with all your rights. Read it first, then allow it (allow_code=True), "
            "or bring the weights as .safetensors with an architecture."
        )
    from ntkviz.models.python_file import model_from_code

    model, notes, sha256 = model_from_code(path)
    return Upload("model", path.name, sha256, path.stat().st_size, None, notes, None, model)
