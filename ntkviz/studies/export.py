"""A study as plain files, to read without ntkviz. The figures are those that the pages show."""

import csv
import json
import shlex
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np

from ntkviz.errors import NtkvizError
from ntkviz.explain.attribute import attribute
from ntkviz.explain.neighbours import neighbours
from ntkviz.scores import scores_of
from ntkviz.studies.artefact import versions
from ntkviz.studies.disk import replace_file
from ntkviz.studies.study import Study

#: What can be written, in the order of the README.
PARTS = ("fidelity", "predictions", "attributions", "neighbours", "kernel")
#: Points attributed at a time, so that [rows, C, N] stays small.
_ROWS_AT_ONCE = 64

_FILES = {
    "fidelity": ("fidelity.json", "What was asked for, how well the surrogate stands for the network, seconds and notes."),
    "predictions": (
        "predictions.csv",
        "One row a test point: its id, its label, what network and surrogate say, and the log-odds that each gives the label "
        "(natural logarithm of p / (1 - p)).",
    ),
    "attributions": (
        "attributions.csv",
        "For each test point the training points with the largest shares of the surrogate's score for the class that the network "
        "predicts. A share is weight times kernel; positive speaks for the class. All shares of a point, listed here or not, and "
        "the intercept add up to the score.",
    ),
    "neighbours": ("neighbours.csv", "For each test point the training points that are most similar in the kernel."),
    "kernel": (
        "kernel.npz",
        "NumPy arrays: kernel [N, N] (training points), rows [M, N] (test points against training points), train_index, test_index, "
        "y_train, y_test, logits_train, logits_test (the network's), weights [C, N], intercept [C], surrogate_logits [M, C].",
    ),
}


def export_study(study: Study, folder: Path, *, what: Sequence[str] | None = None, top: int = 10) -> list[Path]:
    """Write a study into a folder.

    Args:
        study: the study.
        folder: made when missing; files of the same names are replaced.
        what: some of :data:`PARTS`; ``None`` means all.
        top: how many training points a test point in attributions and neighbours, at most N.

    Returns:
        the files written, README.txt last.

    Raises:
        ValueError: when a part is not known or ``top`` is below 1.
        NtkvizError: when the folder cannot be written.
    """
    parts = [part for part in PARTS if part in (what or PARTS)]
    unknown = sorted(set(what or ()) - set(PARTS))
    if unknown or top < 1:
        raise ValueError(f"Expected parts among {', '.join(PARTS)} and top >= 1; got {unknown or top}.")
    top = min(top, study.n_train)
    writers: dict[str, Callable[[Path], None]] = {
        "fidelity": lambda path: replace_file(
            path, json.dumps(study.summary(), indent=1, ensure_ascii=False, allow_nan=False).encode()
        ),
        "predictions": lambda path: _write_csv(path, _PREDICTIONS, _predictions(study)),
        "attributions": lambda path: _write_csv(path, _ATTRIBUTIONS, _attributions(study, top)),
        "neighbours": lambda path: _write_csv(path, _NEIGHBOURS, _neighbours(study, top)),
        "kernel": lambda path: _write_kernel(path, study),
    }
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        paths = [folder / _FILES[part][0] for part in parts]
        for part, path in zip(parts, paths, strict=True):
            writers[part](path)
        readme = folder / "README.txt"
        replace_file(readme, _readme(study, parts).encode())
    except OSError as error:
        raise NtkvizError(f"The folder {folder} cannot be written ({error}). Name another one with --to.") from error
    return [*paths, readme]


_PREDICTIONS = (
    "test_id",
    "label",
    "label_name",
    "network_class",
    "network_class_name",
    "surrogate_class",
    "surrogate_class_name",
    "agree",
    "network_log_odds",
    "surrogate_log_odds",
)
_ATTRIBUTIONS = ("test_id", "class", "class_name", "rank", "train_id", "train_label", "train_label_name", "share", "similarity")
_NEIGHBOURS = ("test_id", "rank", "train_id", "train_label", "train_label_name", "similarity")


def _predictions(study: Study) -> Iterable[Sequence[object]]:
    names = study.class_names
    network, surrogate = scores_of(study.logits_test), scores_of(study.surrogate_logits)
    for m, test_id in enumerate(study.test_index):
        label, said, told = int(study.y_test[m]), int(network.predicted[m]), int(surrogate.predicted[m])
        odds = network.log_odds[m, label], surrogate.log_odds[m, label]
        yield test_id, label, names[label], said, names[said], told, names[told], said == told, *odds


def _attributions(study: Study, top: int) -> Iterable[Sequence[object]]:
    names, network = study.class_names, scores_of(study.logits_test).predicted
    for start in range(0, study.n_test, _ROWS_AT_ONCE):
        rows = study.rows[start : start + _ROWS_AT_ONCE]
        shares = attribute(study.surrogate, rows, kind="share")
        for offset, row in enumerate(rows):
            m = start + offset
            explained = int(network[m])
            # One logit has one row of shares, for class 1; turned round they speak for class 0.
            share = shares[offset, explained] if shares.shape[1] > 1 else shares[offset, 0] * (1 if explained else -1)
            for rank, n in enumerate(np.argsort(-np.abs(share), kind="stable")[:top], start=1):
                label = int(study.y_train[n])
                yield (
                    study.test_index[m],
                    explained,
                    names[explained],
                    rank,
                    study.train_index[n],
                    label,
                    names[label],
                    share[n],
                    row[n],
                )


def _neighbours(study: Study, top: int) -> Iterable[Sequence[object]]:
    found = neighbours(study.rows, k=top)
    for m, test_id in enumerate(study.test_index):
        for rank, (n, similarity) in enumerate(zip(found.indices[m], found.similarities[m], strict=True), start=1):
            label = int(study.y_train[n])
            yield test_id, rank, study.train_index[n], label, study.class_names[label], similarity


def _write_kernel(path: Path, study: Study) -> None:
    arrays = {
        name: getattr(study, name)
        for name in ("kernel", "rows", "train_index", "test_index", "y_train", "y_test", "logits_train", "logits_test")
    }
    fit = {"weights": study.surrogate.weights, "intercept": study.surrogate.intercept, "surrogate_logits": study.surrogate_logits}
    np.savez(path, allow_pickle=False, **arrays, **fit)


def _write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)  # ends lines as RFC 4180 does, and so puts quotes around either half of such an end
        writer.writerow(header)
        writer.writerows([_cell(value) for value in row] for row in rows)


def _cell(value: object) -> object:
    """A cell that a spreadsheet shows and never runs: a text that begins like a formula gets a quote in front.

    Numbers are written so that they read back as the same number.
    """
    if isinstance(value, bool | np.bool_):
        return int(value)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return "'" + value
    return value


def command(study: Study) -> str:
    """The command that makes the study again."""
    spec = study.spec
    subject = f"--sample {spec.sample}" if spec.sample else f"--upload {spec.upload}"
    options = "".join(
        f" --{part}-option {shlex.quote(f'{name}={json.dumps(value)}')}"
        for part, chosen in (("kernel", spec.kernel_options), ("surrogate", spec.surrogate_options))
        for name, value in chosen.items()
    )
    raw = "" if spec.normalize else " --raw"
    return (
        f"python -m ntkviz run {subject} --kernel {spec.kernel} --surrogate {spec.surrogate} --n-train {study.n_train} "
        f"--n-test {study.n_test} --seed {spec.seed}{raw}{options}"
    )


def _readme(study: Study, parts: Sequence[str]) -> str:
    files = "\n\n".join(f"{_FILES[part][0]}\n    {_FILES[part][1]}" for part in parts)
    made = ", ".join(f"{name} {version}" for name, version in versions().items())
    notes = "\n".join(f"- {note}" for note in study.notes) or "- none"
    return f"""ntkviz study {study.key}

{study.name} ({study.kind}): {study.n_train} training points, {study.n_test} test points, {len(study.class_names)} classes.
Kernel {study.spec.kernel}{" (cosine)" if study.spec.normalize else ""}, surrogate {study.spec.surrogate}.

Made by
    {command(study)}

Ids are positions in the subject's full training and test data, from 0. A text that begins like a formula has ' in front.

{files}

Notes
{notes}

Versions: {made}
"""
