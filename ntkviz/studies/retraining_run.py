"""What a retraining takes, and the retraining itself. Imports torch where it works: in the worker, and in the process that measures."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ntkviz.errors import BudgetExceeded, NtkvizError
from ntkviz.explain.what_if import edited
from ntkviz.studies import costs
from ntkviz.studies.errors import InvalidStudy
from ntkviz.studies.machine import memory_limit_mb, n_threads, peak_memory_mb, reset_peak_memory
from ntkviz.studies.removal_lists import LISTS, removal_lists, tried_points
from ntkviz.studies.retraining import MOST_TEST, Retraining, removed_path, truth_folder, verified_path, why_not
from ntkviz.studies.store import Store
from ntkviz.studies.study import Study
from ntkviz.studies.subjects import find_subject, subject_data
from ntkviz.truth.recipe import Training
from ntkviz.truth.truth import balanced, save_truth
from ntkviz.truth.verify import STRIDE
from ntkviz.types import ProgressFn, silent

#: Seconds until the worker process has imported torch and read the data.
_START_SECONDS = 4.0

#: (subject's contents, what of the recipe costs time) -> seconds of half a network and epoch, and MB.
_known: dict[tuple[str, str], tuple[float, float]] = {}


@dataclass(frozen=True)
class RetrainingQuote:
    """What a retraining will take.

    Attributes:
        seconds: on this machine, with the processes that it will use.
        memory_mb: of all its processes, MB.
        workers: processes that train.
    """

    seconds: float
    memory_mb: float
    workers: int

    def require_budget(self) -> None:
        """Refuse what does not fit.

        Raises:
            BudgetExceeded: when memory exceeds NTKVIZ_MEMORY_MB.
        """
        if self.memory_mb > memory_limit_mb():
            raise BudgetExceeded(
                f"Retraining needs about {self.memory_mb:,.0f} MB of memory; {memory_limit_mb():,.0f} MB are allowed. Raise NTKVIZ_MEMORY_MB."
            )


def quote_retraining(asked: Retraining, *, home: Path) -> RetrainingQuote:
    """Predict what a retraining takes. The first time for a network some epochs are measured, which takes seconds.

    Args:
        asked: the retraining.
        home: the folder of the store.

    Raises:
        InvalidStudy: when there is no such subject, or it cannot be retrained.
        StoreCorrupted: when its files are damaged.
        NtkvizError: when the process that measures fails.
    """
    subject = find_subject(asked.subject_id, home=home)
    reason = why_not(subject)
    if reason:
        raise InvalidStudy(reason)
    key = subject.content_sha256(), _costly(asked.training)
    if key not in _known:
        answer = costs.ask_child({"subject": subject.id, "home": str(home), "training": asked.training.to_dict()})
        if "error" in answer:
            raise NtkvizError(answer["error"]["message"])
        _known[key] = answer["half_epoch"], answer["memory_mb"]
    half_epoch, memory_mb = _known[key]
    alone = 2 * half_epoch * asked.training.epochs * asked.networks
    workers = _workers(asked)
    # Each further process imports torch, after the one that starts them.
    return RetrainingQuote(_START_SECONDS * (1 + (workers > 1)) + alone / workers, memory_mb * (workers + (workers > 1)), workers)


def is_quoted(asked: Retraining, *, home: Path) -> bool:
    """Whether :func:`quote_retraining` would answer at once."""
    subject = find_subject(asked.subject_id, home=home)
    return bool(why_not(subject)) or (subject.content_sha256(), _costly(asked.training)) in _known


def measure(request: Mapping[str, Any]) -> dict[str, float]:
    """Seconds of half a network's epoch and MB, in the process that measures.

    Args:
        request: "subject", "home" and "training".
    """
    from ntkviz.truth.make import seconds_a_half

    reset_peak_memory()
    home, training = Path(request["home"]), Training.from_dict(request["training"])
    subject = find_subject(request["subject"], home=home)
    seconds = seconds_a_half(subject.architecture, subject_data(subject.id, home=home), training)
    return {"half_epoch": seconds / training.epochs, "memory_mb": peak_memory_mb()}


def run_retraining(asked: Retraining, *, home: Path, on_progress: ProgressFn = silent) -> str:
    """Retrain, and keep the result in the store's folder.

    Args:
        asked: the retraining.
        home: the folder of the store.
        on_progress: called with (stage, fraction); may raise ``JobCancelled``.

    Returns:
        the name of the result: hash of the subject's contents for a truth, else of what was asked.

    Raises:
        InvalidStudy: when it is not possible.
        StoreCorrupted: when files of the subject or the study are damaged.
        NtkvizError: when the recipe does not train the network.
    """
    on_progress("load", 0.0)
    subject = find_subject(asked.subject_id, home=home)
    reason = why_not(subject)
    if reason:
        raise InvalidStudy(reason)
    return {"truth": _make_truth, "verify": _verify, "removal": _remove}[asked.kind](asked, home, on_progress)


def _make_truth(asked: Retraining, home: Path, on_progress: ProgressFn) -> str:
    from ntkviz.truth.make import make_truth

    subject = find_subject(asked.subject_id, home=home)
    folder = truth_folder(home, subject)
    truth = make_truth(
        subject.architecture,
        subject_data(subject.id, home=home),
        asked.training,
        sample=subject.id,
        n_subsets=asked.n_subsets,
        n_seeds=asked.n_seeds,
        workers=_workers(asked),
        kept=folder / "unfinished",
        on_progress=on_progress,
    )
    shutil.rmtree(folder / "unfinished")
    if not (np.isfinite(truth.margins).all() and np.isfinite(truth.full).all()):
        raise NtkvizError("A retrained network answers with no numbers: its training diverged. Give a lower learning rate.")
    return save_truth(folder, truth).parent.name


def _verify(asked: Retraining, home: Path, on_progress: ProgressFn) -> str:
    from ntkviz.truth.verify import save_verified, verify_edits

    subject, study = find_subject(asked.subject_id, home=home), _study_of(asked, home)
    data = subject_data(subject.id, home=home)
    counts, labels = np.ones(len(data.y_train), dtype=np.int64), data.y_train.astype(np.int64)
    try:
        counts[study.train_index], labels[study.train_index] = edited(study.y_train, asked.edits, len(study.class_names))
        found = verify_edits(
            subject.architecture,
            data,
            asked.training,
            counts,
            labels,
            test=study.test_index[balanced(study.y_test, MOST_TEST)],
            among=study.train_index,
            n_seeds=asked.n_seeds,
            workers=_workers(asked),
            on_progress=on_progress,
        )
    except ValueError as error:
        raise InvalidStudy(str(error)) from error
    path = verified_path(home, asked)
    save_verified(path, found, {"asked": asked.to_dict()})
    return path.stem


def _remove(asked: Retraining, home: Path, on_progress: ProgressFn) -> str:
    from ntkviz.truth.removal import save_removed, try_removals

    subject, study = find_subject(asked.subject_id, home=home), _study_of(asked, home)
    at, path = tried_points(study, asked.n_points), removed_path(home, asked)
    if not len(at):
        raise InvalidStudy("The network classifies no test point of this study correctly, so there is no margin to take away.")
    lists = removal_lists(study, at, max(asked.sizes), home=home)
    kept = path.with_suffix(".unfinished")
    found = try_removals(
        subject.architecture,
        subject_data(subject.id, home=home),
        asked.training,
        study.train_index[lists],
        asked.sizes,
        study.test_index[at],
        # Not the explained network's own seed: the question is what any network of this recipe does.
        asked.training.seed + STRIDE * np.arange(1, asked.n_seeds + 1),
        workers=_workers(asked),
        kept=kept,
        on_progress=on_progress,
    )
    save_removed(path, found, {"asked": asked.to_dict(), "lists": list(LISTS)})
    shutil.rmtree(kept)
    return path.stem


def _study_of(asked: Retraining, home: Path) -> Study:
    """The study that a retraining speaks of.

    Raises:
        InvalidStudy: when it is of another subject.
        StoreCorrupted: when it is damaged.
    """
    study = Store(home).load_study(asked.study)
    if study.spec.subject_id != asked.subject_id:
        raise InvalidStudy(
            f"The study {asked.study[:12]} is of {study.spec.subject_id}, not of {asked.subject_id}. Choose its own subject."
        )
    return study


def _costly(training: Training) -> str:
    """What of a recipe decides the seconds of an epoch."""
    entries = training.to_dict()
    return repr([entries[name] for name in ("optimiser", "batch_size", "shift", "rotate", "mirror", "forget")])


def _workers(asked: Retraining) -> int:
    """Processes to spread a retraining over. A verification is a few ensembles one after the other, too few to share out."""
    return 1 if asked.kind == "verify" else n_threads()
