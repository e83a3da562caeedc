"""Whether studies speak of the same points, by what is in them: the inputs themselves, and not names or positions in a file.

Studies of other networks, or of the same data under another name, can so be laid side by side.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ntkviz.studies.hashing import bytes_sha256, canonical_json, text_sha256
from ntkviz.studies.spec import StudySpec
from ntkviz.studies.study import Study
from ntkviz.types import Dataset


@dataclass(frozen=True)
class Contents:
    """Hashes of the points of a study, in their order.

    Attributes:
        train: of the training inputs.
        test: of the test inputs and their labels.
        train_labels: of the labels of the training points.
    """

    train: str
    test: str
    train_labels: str


@dataclass(frozen=True)
class Shared:
    """What two studies have in common.

    Attributes:
        train: whether their training points are the same inputs in the same order.
        test: whether their test points are, with the same labels.
        labels: whether the training points carry the same labels.
        network: whether it is the same network on the same data.
    """

    train: bool
    test: bool
    labels: bool
    network: bool

    @property
    def kernels(self) -> bool:
        """Whether their kernels can be compared entry by entry."""
        return self.train and self.test

    def sentence(self) -> str:
        """What can be compared, and what cannot."""
        if self.kernels:
            labels = "" if self.labels else " Some training points carry another label."
            return (
                "the same points; everything can be compared."
                if self.network
                else "another network on the same points; everything can be compared."
            ) + labels
        if self.test:
            return "the same test points, other training points: imitation can be compared, matrices, maps and neighbours cannot."
        return (
            "other test points: its figures stand beside the others, but differences may come from the points; nothing is paired."
        )


def contents_of(study: Study, data: Dataset) -> Contents:
    """The hashes of a study's points.

    Args:
        study: the study.
        data: the whole data of its subject.
    """
    test = [_hash(data.x_test[study.test_index]), _hash(np.asarray(study.y_test, dtype=np.int64))]
    return Contents(
        train=_hash(data.x_train[study.train_index]),
        test=text_sha256(canonical_json(test)),
        train_labels=_hash(np.asarray(study.y_train, dtype=np.int64)),
    )


def shared(first: Study, second: Study, of_first: Contents, of_second: Contents) -> Shared:
    """What a second study has in common with a first.

    Args:
        first: a study.
        second: another.
        of_first: its contents.
        of_second: those of the other.
    """
    return Shared(
        train=of_first.train == of_second.train,
        test=of_first.test == of_second.test,
        labels=of_first.train_labels == of_second.train_labels,
        network=first.spec.subject_id == second.spec.subject_id,
    )


def _hash(values: np.ndarray) -> str:
    """Hash of an array's shape, type and bytes."""
    array = np.ascontiguousarray(values)
    return text_sha256(canonical_json([array.dtype.str, list(array.shape), bytes_sha256(array.tobytes())]))


def differing(specs: Sequence[StudySpec]) -> dict[str, list[object]]:
    """The entries in which studies differ: name -> the value of each; options by "kernel: proj_dim". Empty when they are all alike.

    Args:
        specs: at least one.
    """
    flat = [_flat(spec) for spec in specs]
    names = dict.fromkeys(name for entries in flat for name in entries)
    found = {name: [entries.get(name) for entries in flat] for name in names}
    return {name: values for name, values in found.items() if any(value != values[0] for value in values)}


def _flat(spec: StudySpec) -> dict[str, object]:
    entries = spec.to_dict()
    kernel_options, surrogate_options = entries.pop("kernel_options"), entries.pop("surrogate_options")
    subject = entries.pop("sample") or entries["upload"]
    entries = {
        "network and data": subject,
        **{name: value for name, value in entries.items() if name not in ("upload", "budget_seconds")},
    }
    options = {f"{spec.kernel}: {name}": value for name, value in kernel_options.items()}
    return entries | options | {f"{spec.surrogate}: {name}": value for name, value in surrogate_options.items()}
