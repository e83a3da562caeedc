"""Models and data that people brought, as subjects of studies: checked in a child process, kept under their content's hash."""

import json
import re
import secrets
import shutil
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ntkviz.data.options import ReadOptions
from ntkviz.data.save import load_dataset
from ntkviz.errors import StoreCorrupted, UploadRejected
from ntkviz.models.limits import Mode
from ntkviz.models.rejection import WeightsMismatch
from ntkviz.models.upload import check_upload, load_uploaded_subject
from ntkviz.models.upload_report import UploadReport
from ntkviz.studies.disk import remove_folder, replace_file, sweep_temporary
from ntkviz.studies.janitor import require_room
from ntkviz.studies.spec import InvalidStudy
from ntkviz.studies.subjects import UPLOAD_PREFIX, Subject, content_sha256, deciding_files
from ntkviz.studies.workspace import require_own
from ntkviz.types import Dataset

if TYPE_CHECKING:
    from torch import nn

_ID = re.compile(re.escape(UPLOAD_PREFIX) + r"[0-9a-f]{16}")
_ABOUT = "about.json"


def register_upload(
    model: Path,
    data: Path | None,
    *,
    architecture: "str | dict[str, Any] | Path | None" = None,
    sample: str | None = None,
    home: Path,
    title: str = "",
    mode: Mode = "local",
    options: ReadOptions | None = None,
    drop_duplicates: bool = False,
) -> Subject:
    """Check a model with its data in a child process and take them in.

    Args:
        model: the weights.
        data: the data; ``None`` when ``sample`` is given.
        architecture: what the weights are of: a registered name, a specification, or a JSON file with one.
        sample: take the data of this bundled sample.
        home: the folder of the store.
        title: for headings; default the weights' file name.
        mode: the server's mode; it sets the caps.
        options: how to read the data.
        drop_duplicates: leave repeated points out.

    Returns:
        the subject. The same files give the same one.

    Raises:
        UploadRejected: when a file cannot be used; weights that do not fit carry a table of the differences.
        NtkvizError: when the child cannot be started.
        OSError: when the folder cannot be written.
    """
    target = upload_target(home)
    try:
        report = check_upload(
            model,
            architecture,
            data,
            mode=mode,
            folder=target,
            sample=sample,
            options=options,
            drop_duplicates=drop_duplicates,
        )
        return take_in(report, home=home, title=title)
    finally:
        shutil.rmtree(target, ignore_errors=True)


def upload_target(home: Path) -> Path:
    """A new folder name for ``check_upload(folder=...)``, on the disk where :func:`take_in` then finds it.

    Raises:
        BudgetExceeded: when the home has used up its quota.
        NtkvizError: when it is somebody else's, shown by a link.
    """
    require_own(home)
    require_room(home)
    parent = home / "uploads"
    parent.mkdir(parents=True, exist_ok=True)
    sweep_temporary(parent)
    return parent / f".new-{secrets.token_hex(8)}"


def take_in(report: UploadReport, *, home: Path, title: str = "") -> Subject:
    """Make a checked upload a subject.

    Args:
        report: of ``check_upload`` with ``folder=upload_target(home)`` and data.
        home: the folder of the store.
        title: for headings; default the weights' file name.

    Returns:
        the subject.

    Raises:
        WeightsMismatch: when the weights do not fit the architecture, with a table.
        UploadRejected: when the check refused the model for another reason, or it came without data.
        OSError: when the folder cannot be written.
    """
    if not report.ok or report.folder is None:
        if report.table:
            raise WeightsMismatch(report.message, report.table)
        raise UploadRejected(report.message or "The upload was checked but not kept; bring the files again.")
    folder = Path(report.folder)
    if not (folder / "data").is_dir():
        raise UploadRejected(f"{report.name} came without data; expected data to study it on. Bring both.")
    upload_id = UPLOAD_PREFIX + content_sha256(_files(folder))[:16]
    place = home / "uploads" / upload_id
    if not place.exists():
        about = {"title": title.strip()[:80] or report.name, "created": datetime.now(UTC).isoformat(timespec="milliseconds")}
        replace_file(folder / _ABOUT, json.dumps(about).encode())
        with suppress(FileExistsError):  # another process took in the same files a moment ago
            folder.rename(place)
    return upload_subject(home, upload_id)


def upload_subjects(home: Path) -> list[Subject]:
    """All uploads that can be read, newest first."""
    found = []
    parent = home / "uploads"
    for folder in parent.iterdir() if parent.is_dir() else ():
        if _ID.fullmatch(folder.name):
            with suppress(StoreCorrupted, InvalidStudy):
                found.append((_about(folder)["created"], upload_subject(home, folder.name)))
    return [subject for _, subject in sorted(found, key=lambda pair: (pair[0], pair[1].id), reverse=True)]


def upload_subject(home: Path, upload_id: str) -> Subject:
    """The upload of that id, described.

    Raises:
        InvalidStudy: when there is none.
        StoreCorrupted: when its report cannot be read.
    """
    folder = _folder(home, upload_id)
    try:
        about = _about(folder)
        report = UploadReport.from_dict(json.loads((folder / "report.json").read_text(encoding="utf-8")))
        data = dict(report.dataset or {})
        return Subject(
            id=upload_id,
            source="upload",
            title=str(about["title"]),
            kind=str(data["kind"]),
            n_train=int(data["n_train"]),
            n_test=int(data["n_test"]),
            n_parameters=int(report.n_parameters or 0),
            n_classes=len(data["class_names"]),
            architecture=dict(report.architecture or {}),
            accuracy_test=report.accuracy_test,
            card=_card(report, data),
            home=home,
            files=_files(folder),
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise StoreCorrupted(
            f"The upload {upload_id} cannot be read ({type(error).__name__}: {error}). Bring the files again."
        ) from error


def upload_data(home: Path, upload_id: str) -> Dataset:
    """The data of an upload, as its own check wrote them. No torch.

    Raises:
        InvalidStudy: when there is no such upload.
        StoreCorrupted: when a file is missing or was altered.
    """
    return load_dataset(_folder(home, upload_id) / "data")


def load_upload_model(home: Path, upload_id: str) -> "nn.Module":
    """The network of an upload, in eval mode. Imports torch.

    Raises:
        InvalidStudy: when there is no such upload.
        StoreCorrupted: when a file is missing or was altered.
        UploadRejected: when the weights do not fit the architecture.
    """
    return load_uploaded_subject(_folder(home, upload_id))[0]


def delete_upload(home: Path, upload_id: str) -> None:
    """Remove an upload. Studies of it stay, and can be shown but not repeated.

    Raises:
        InvalidStudy: when there is none.
        NtkvizError: when it is somebody else's, shown by a link.
    """
    require_own(home)
    remove_folder(_folder(home, upload_id))


def _folder(home: Path, upload_id: str) -> Path:
    folder = home / "uploads" / upload_id
    if not _ID.fullmatch(upload_id) or not folder.is_dir():
        raise InvalidStudy(f"There is no upload {upload_id[:40]!r} in {home}. Bring the model and its data (again).")
    return folder


def _files(folder: Path) -> tuple[Path, ...]:
    """What decides a figure: not the report, which tells how long the check took."""
    return (folder / "weights.safetensors", folder / "architecture.json", *deciding_files(folder / "data"))


def _about(folder: Path) -> dict[str, Any]:
    try:
        about = json.loads((folder / _ABOUT).read_text(encoding="utf-8"))
        return {"title": str(about["title"]), "created": str(about["created"])}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise StoreCorrupted(f"The upload {folder.name} has no readable {_ABOUT} ({error}). Bring the files again.") from error


def _card(report: UploadReport, data: dict[str, Any]) -> str:
    """A few words on an upload. What people wrote is shown as code, so that none of it is read as Markdown."""

    def quoted(text: object) -> str:
        return "`" + str(text).replace("`", "'")[:80] + "`"

    accuracy = "" if report.accuracy_test is None else f" It gets {report.accuracy_test:.1%} of the test points right."
    notes = "".join(f"\n- {quoted(note)}" for note in report.notes)
    return (
        f"Brought as {quoted(report.name)} with {quoted(report.data_name)}: {report.n_parameters or 0:,} parameters, {len(data['class_names'])} "
        f"classes, {data['n_train']:,} training points.{accuracy}{notes}"
    )
