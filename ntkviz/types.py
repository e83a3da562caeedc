"""Frozen dataclasses and callables that cross rooms.

Letters, everywhere: N training points, M test points, C classes (logits), P parameters, L layers, T positions in a
layer, K sketch size.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import pandas as pd

DataKind = Literal["image", "text", "tabular"]

#: Called as ``on_progress(stage, fraction)`` with the fraction of that stage in [0, 1]. It may raise
#: :class:`ntkviz.errors.JobCancelled`; long work calls it at least once a second and lets that error through.
ProgressFn = Callable[[str, float], None]


def silent(stage: str, fraction: float) -> None:
    """Report progress to nobody."""


def part_of(on_progress: ProgressFn, start: float, share: float) -> ProgressFn:
    """Progress of a part as progress of the whole.

    Args:
        on_progress: of the whole.
        start: what was done before the part, in [0, 1].
        share: the part's share of the whole.
    """

    def report(stage: str, fraction: float) -> None:
        on_progress(stage, start + share * fraction)

    return report


@dataclass(frozen=True)
class Display:
    """What a person is shown of each point, in the order of the points.

    image: uint8 ``[N, H, W]`` or ``[N, H, W, 3]``; text: a list of N strings; tabular: a data frame of N rows in
    original units.
    """

    train: np.ndarray | list[str] | pd.DataFrame
    test: np.ndarray | list[str] | pd.DataFrame


@dataclass(frozen=True)
class Dataset:
    """A classification data set, as the model takes it and as a person is shown it.

    Attributes:
        x_train: ``[N, ...]``. image: float32 ``[N, channels, H, W]`` in [0, 1]; text: int64 ``[N, T]`` token ids,
            0 is padding; tabular: float32 ``[N, features]`` in original units. Normalisation belongs to the model.
        y_train: int64 ``[N]``, labels in 0..C-1.
        x_test: ``[M, ...]``, like ``x_train``.
        y_test: int64 ``[M]``.
        class_names: C names, in the order of the labels.
        kind: which of the three layouts ``x_train`` has.
        display: what a person is shown of each point.
        meta: further columns, one row a point, training points first; column ``split`` is "train" or "test".
        name: a short name for titles.
        notes: sentences for the person who looks (duplicates found, rows dropped, a split that was made).
    """

    x_train: np.ndarray
    y_train: np.ndarray
    x_test: np.ndarray
    y_test: np.ndarray
    class_names: tuple[str, ...]
    kind: DataKind
    display: Display
    meta: pd.DataFrame | None = None
    name: str = ""
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Check that the parts fit together.

        Raises:
            ValueError: when lengths disagree or a label lies outside 0..C-1.
        """
        for split, x, y, shown in (
            ("train", self.x_train, self.y_train, self.display.train),
            ("test", self.x_test, self.y_test, self.display.test),
        ):
            if not len(x) == len(y) == len(shown):
                raise ValueError(
                    f"The {split} split has {len(x)} inputs, {len(y)} labels and {len(shown)} displays; expected equal counts."
                )
            if len(y) and not (0 <= int(y.min()) and int(y.max()) < len(self.class_names)):
                raise ValueError(
                    f"Labels of the {split} split run from {y.min()} to {y.max()}; expected 0 to {len(self.class_names) - 1} "
                    f"for the {len(self.class_names)} class names given."
                )
        if self.meta is not None and len(self.meta) != len(self.x_train) + len(self.x_test):
            raise ValueError(f"meta has {len(self.meta)} rows; expected one a point, {len(self.x_train) + len(self.x_test)}.")

    @property
    def n_classes(self) -> int:
        """C, the number of classes."""
        return len(self.class_names)


@dataclass(frozen=True)
class KernelInfo:
    """One row of the kernel registry: what pickers, help texts, the docs table and the tests read.

    Attributes:
        key: the ``kind`` that ``kernel_matrix`` takes.
        title: for headings and legends.
        formula: LaTeX of the unnormalised kernel.
        summary: one sentence for the picker.
        cost: cost in N, C, P and K, as text.
        source: paper or code the definition comes from.
        use_when: when it is the right choice.
        caveat: what to know before trusting it.
        needs_labels: whether ``y`` (and ``yz``) must be given.
        block: ``"point"`` for an [N, M] matrix, ``"point_class"`` for [N C, M C].
        layered: whether ``layer_kernels`` can split it into a sum over parameters' layers.
        options: option name -> (default, help).
    """

    key: str
    title: str
    formula: str
    summary: str
    cost: str
    source: str
    use_when: str
    caveat: str
    needs_labels: bool = False
    block: Literal["point", "point_class"] = "point"
    layered: bool = False
    options: Mapping[str, tuple[object, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class SurrogateInfo:
    """One row of the surrogate registry.

    Attributes:
        key: the ``kind`` that ``fit_surrogate`` takes.
        title: for headings and legends.
        formula: LaTeX of the objective or of the solution.
        summary: one sentence for the picker.
        target: ``"labels"`` when it re-learns the labels, ``"logits"`` when it imitates the network.
        cost: cost in N and C, as text.
        source: paper or code the definition comes from.
        use_when: when it is the right choice.
        caveat: what to know before trusting it.
        options: option name -> (default, help).
    """

    key: str
    title: str
    formula: str
    summary: str
    target: Literal["labels", "logits"]
    cost: str
    source: str
    use_when: str
    caveat: str
    options: Mapping[str, tuple[object, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class AttributionInfo:
    """One row of the attribution registry.

    Attributes:
        key: the ``kind`` that ``attribute`` takes.
        title: for headings and legends.
        formula: LaTeX.
        question: the question that it answers, as a person would ask it.
        cost: cost in N, M and C, as text.
        source: paper or code the definition comes from.
        caveat: what to know before trusting it.
        measured: what retraining says of it, in a sentence; empty when it was not measured.
        unit: ``"score"`` when it speaks of each class's score, ``"log_odds"`` when of each class against the others.
        needs: names of what must be given besides surrogate and rows.
        options: option name -> (default, help).
        control: whether it is a control, which knows no network or no single point.
    """

    key: str
    title: str
    formula: str
    question: str
    cost: str
    source: str
    caveat: str
    measured: str = ""
    unit: Literal["score", "log_odds"] = "score"
    needs: tuple[str, ...] = ()
    options: Mapping[str, tuple[object, str]] = field(default_factory=dict)
    control: bool = False


@dataclass(frozen=True)
class AuditInfo:
    """One row of the audit registry.

    Attributes:
        key: names the audit; of a score for wrong labels, the ``method`` that ``mislabels`` takes.
        task: what it looks for.
        title: for headings and legends.
        question: the question that it answers, as a person would ask it.
        formula: LaTeX of its score.
        cost: cost in N and C, as text.
        source: paper or code the definition comes from.
        caveat: what to know before trusting it.
    """

    key: str
    task: Literal["mislabels", "backdoor", "duplicates", "prototypes"]
    title: str
    question: str
    formula: str
    cost: str
    source: str
    caveat: str
