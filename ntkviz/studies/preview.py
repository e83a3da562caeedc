"""A first look: before a kernel that takes long, the same study on some of its points.

It is a study like any other, made by the same job before the large one, and can be opened while that one is being made.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ntkviz.studies.sampling import POINTS_PER_CLASS
from ntkviz.studies.spec import StudySpec
from ntkviz.studies.store import Store
from ntkviz.studies.subjects import find_subject
from ntkviz.studies.task import Task
from ntkviz.studies.tiled import goes_by_tiles

#: Points of a first look: enough for a fidelity that means something.
TRAIN, TEST = 1000, 500


def with_previews(specs: Sequence[StudySpec], *, home: Path) -> list[StudySpec]:
    """The studies; before each whose kernel goes by tiles its first look, unless that or the kernel is stored already.

    Args:
        specs: what is asked for. A study with a time budget has no first look: its kernel is not chosen yet.
        home: the folder of the store.

    Raises:
        InvalidStudy: when a study is not possible.
        StoreCorrupted: when a subject's files cannot be read.
    """
    found: list[StudySpec] = []
    for spec in specs:
        preview = _preview(spec, Store(home))
        found += [spec] if preview is None or preview in found else [preview, spec]
    return found


def is_preview(specs: Sequence[Task], position: int) -> bool:
    """Whether a study of a job is the first look at a later one."""
    spec = specs[position]
    return any(
        isinstance(spec, StudySpec) and isinstance(later, StudySpec) and spec != later and spec == _smaller(later, spec.n_test)
        for later in specs[position + 1 :]
    )


def _preview(spec: StudySpec, store: Store) -> StudySpec | None:
    subject = find_subject(spec.subject_id, home=store.home)
    made, _ = spec.resolved(subject)
    n = made.n_train or 0
    if spec.budget_seconds or n <= TRAIN or not goes_by_tiles(made.kernel, made.kernel_options, n):
        return None
    if POINTS_PER_CLASS * subject.n_classes > TRAIN or store.has_kernel(made.keys(subject)[1]):
        return None
    preview = _smaller(spec, min(made.n_test or 0, TEST))
    return None if store.has_study(preview.keys(subject)[0]) else preview


def _smaller(spec: StudySpec, n_test: int | None) -> StudySpec:
    return replace(spec, n_train=TRAIN, n_test=n_test)
