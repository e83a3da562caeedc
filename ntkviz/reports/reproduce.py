"""A program that makes an explanation again through the public API, and says how far its figures are from those that were shown.

Of a bundled sample it runs as it is. Of somebody's own model it takes the paths of their files, and checks that they are the same files.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ntkviz.errors import NtkvizError
from ntkviz.explain.effects import RemovalEffects
from ntkviz.explain.klr_refit import EXACT_UP_TO
from ntkviz.models.upload_report import UploadReport
from ntkviz.reports.document import program
from ntkviz.scores import scores_of
from ntkviz.studies.companion import answers_itself, heads_of
from ntkviz.studies.explained import Explanation, explanation
from ntkviz.studies.export import command
from ntkviz.studies.fitting import judged_by_test_points
from ntkviz.studies.study import Study
from ntkviz.surrogates.registry import surrogates

#: Figures of a kernel in float32 agree so far when it is computed again: on another machine sums are taken in another order.
TOLERANCE = 1e-3
#: The same for removal effects, as a part of the largest one: pages solve for them by iteration.
EFFECTS_TOLERANCE = 1e-2


@dataclass(frozen=True)
class Cell:
    """A part of the program.

    Attributes:
        words: what it does, Markdown.
        code: it.
    """

    words: str
    code: str


def cells(
    study: Study, m: int, *, label: int | None = None, against: int | None = None, k: int = 8, home: Path | None = None
) -> list[Cell]:
    """The parts of the program, in their order.

    Args:
        study: a stored study.
        m: position of the test point in it.
        label: class that is explained; None for the network's prediction.
        against: class that it is compared with, or None.
        k: examples that are listed.
        home: the folder with the uploads, for the hash of a brought model.

    Raises:
        NtkvizError: when the study is of an upload that is gone.
    """
    said = int(scores_of(study.logits_test).predicted[m])
    found = explanation(study, m, said if label is None else label, against)
    values = {
        "title": f"Why {_plain(found.target)}? Test point {int(study.test_index[m])} of {_plain(study.name)}",
        "study": study.key,
        "command": command(study),
        "spec": study.spec.to_dict(),
        "point": int(study.test_index[m]),
        "label": found.label,
        "against": found.against,
        "k": min(k, study.n_train),
        "shown": _shown(study, m, found, min(k, study.n_train)),
        "tolerance": TOLERANCE,
        "effects_tolerance": EFFECTS_TOLERANCE,
        "imitates": surrogates()[study.spec.surrogate].target == "logits",
        "judged": judged_by_test_points(study.spec.surrogate_options),
        "removal": _removal_kind(study),
        "upload": None if study.spec.sample else _upload(study, home),
    }
    return [Cell(*(part.strip("\n") for part in text.split("\n# ---\n"))) for text in program(values).split("\n# ===\n")]


def script(parts: Sequence[Cell]) -> str:
    """The program as a ``.py`` file."""
    head, *others = parts
    told = ["\n".join(f"# {line}".rstrip() for line in part.words.splitlines()) + "\n" + part.code for part in others]
    return f'"""{head.words}"""\n\n' + "\n\n".join([head.code, *told]) + "\n"


def notebook(parts: Sequence[Cell]) -> str:
    """The program as a Jupyter notebook, nbformat 4.5."""
    made: list[dict[str, object]] = []
    for number, part in enumerate(parts):
        made.append({"cell_type": "markdown", "id": f"words-{number}", "metadata": {}, "source": _lines(part.words)})
        code = {"cell_type": "code", "id": f"code-{number}", "metadata": {}, "execution_count": None, "outputs": []}
        made.append({**code, "source": _lines(part.code)})
    about = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    return json.dumps({"cells": made, "metadata": about, "nbformat": 4, "nbformat_minor": 5}, indent=1, ensure_ascii=False)


def _shown(study: Study, m: int, found: Explanation, k: int) -> dict[str, object]:
    """What the page shows, in all digits."""
    order = np.argsort(-np.abs(found.shares), kind="stable")[:k]
    shown: dict[str, object] = {
        "network_logits": np.asarray(study.logits_test[m], dtype=np.float64).tolist(),
        "surrogate_logits": np.asarray(study.surrogate_logits[m], dtype=np.float64).tolist(),
        "score": found.score,
        "intercept": found.intercept,
        "training_points": study.train_index[order].tolist(),
        "shares": found.shares[order].tolist(),
        "similarities": np.asarray(found.similarity[order], dtype=np.float64).tolist(),
    }
    if _removal_kind(study):
        effects = RemovalEffects.of_surrogate(study.surrogate, study.kernel, study.y_train, leave_one_out=True, few=True)
        heads = heads_of(effects, study, m, found.label, found.against)
        shown["removal_effects"] = effects.of(study.rows[m : m + 1], heads[None])[0][order].tolist()
    return shown


def _removal_kind(study: Study) -> str:
    """The public attribution that gives the page's removal effects; empty where the study's surrogate has none, or they would take minutes."""
    if not answers_itself(study) or study.surrogate.n_classes * study.n_train**3 > EXACT_UP_TO:
        return ""
    return "removal_ridge" if study.spec.surrogate == "ridge" else "removal_klr"


def _upload(study: Study, home: Path | None) -> dict[str, object]:
    """What a program needs to know of somebody's own files.

    Raises:
        NtkvizError: when they are gone.
    """
    from ntkviz.studies.store import ntkviz_home
    from ntkviz.studies.subjects import find_subject
    from ntkviz.studies.uploads import upload_data

    root = home or ntkviz_home()
    subject = find_subject(study.spec.subject_id, home=root)
    data = upload_data(root, subject.id)
    try:
        report = UploadReport.from_dict(json.loads((subject.files[0].parent / "report.json").read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError) as error:
        raise NtkvizError(f"The report of {subject.id} cannot be read ({error}). Bring the files again.") from error
    return {
        "model": report.name,
        "data": report.data_name or "data.npz",
        "sha256": report.sha256,
        "architecture": subject.architecture,
        "points_sha256": hashlib.sha256(np.ascontiguousarray(data.x_train[study.train_index]).tobytes()).hexdigest(),
        "train_index": study.train_index.tolist(),
        "test_index": study.test_index.tolist(),
        "n_logits": study.logits_train.shape[1],
    }


def _plain(text: str) -> str:
    """Words of people for a docstring, a comment or Markdown: letters, digits, spaces and a few signs."""
    return "".join(c if c.isalnum() or c in " ,.:()-_+%" else " " for c in text)[:120]


def _lines(text: str) -> list[str]:
    return text.splitlines(keepends=True)
