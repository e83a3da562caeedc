"""What a job makes, one after the other: studies, retrainings, sweeps of the size of a projection."""

from collections.abc import Mapping
from typing import Any

from ntkviz.studies.retraining import Retraining
from ntkviz.studies.spec import StudySpec
from ntkviz.studies.sweep import Sweep

Task = StudySpec | Retraining | Sweep


def task_from_dict(entries: Mapping[str, Any]) -> Task:
    """A task, as its own ``to_dict`` gave it.

    Raises:
        InvalidStudy: when it is not possible.
        ValueError: likewise.
        TypeError: when an entry is unknown or missing.
    """
    if "training" in entries:
        return Retraining.from_dict(entries)
    return Sweep.from_dict(entries) if "dims" in entries else StudySpec.from_dict(entries)
