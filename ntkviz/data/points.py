"""What a reader found in a file, and the data set that it becomes.

Every reader ends here: labels are numbered, the split is made or taken over, and inputs are brought into the layout of
:class:`ntkviz.types.Dataset`. Until then images stand as a person sees them, ``[n, H, W]`` or ``[n, H, W, 3]``, mostly
as bytes: the float32 copy is four times larger and is made once, split by split.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from ntkviz.data.guard import check_inputs, check_rows
from ntkviz.data.labels import number_labels, split_points
from ntkviz.data.options import ReadOptions
from ntkviz.data.text import Vocabulary
from ntkviz.types import DataKind, Dataset, Display

#: Longer than most sentences; attention costs the square of it, so a longer text is cut unless somebody asks.
_USUAL_LENGTH = 128


@dataclass(frozen=True)
class Points:
    """All points of a file, in its order.

    Attributes:
        kind: "image", "text" or "tabular".
        x: image: uint8 or float32 in [0, 1], ``[n, H, W]`` or ``[n, H, W, 3]``; text: n lists of words, or int64
            ``[n, T]`` token ids; tabular: float32 ``[n, features]``.
        labels: n labels as the file has them.
        shown: text: n strings; tabular: a data frame; image: None, since ``x`` is the picture.
        is_test: bool ``[n]``, or None when the file has no split.
        class_names: names that the file gives.
        label_names: the name of each point's class, beside its number.
        columns: further columns for ``meta``.
        name: a short name for titles.
        notes: what was decided on the way.
    """

    kind: DataKind
    x: np.ndarray | list[list[str]]
    labels: Sequence[object] | np.ndarray
    shown: list[str] | pd.DataFrame | None = None
    is_test: np.ndarray | None = None
    class_names: tuple[str, ...] | None = None
    label_names: Sequence[str] | None = None
    columns: dict[str, Sequence[object] | np.ndarray] = field(default_factory=dict)
    name: str = ""
    notes: tuple[str, ...] = ()


def finish(points: Points, options: ReadOptions) -> Dataset:
    """The data set of what a reader found.

    Args:
        points: at least one point.
        options: names of the classes, split, length and vocabulary of texts.

    Returns:
        a data set with float32 or int64 inputs; ``meta`` has the column ``split`` and those of the reader.

    Raises:
        UploadRejected: when labels or sizes do not do.
    """
    check_rows(len(points.x), options.limits)
    labels = number_labels(
        points.labels,
        class_names=options.class_names or points.class_names,
        limits=options.limits,
        row_names=points.label_names,
    )
    train, test, split_notes = split_points(labels, points.is_test, options)
    x, text_notes = _as_array(points.x, train, test, options)
    width = 8 if points.kind == "text" else 4
    check_inputs(len(x), int(np.prod(x.shape[1:])), options.limits, width=width)
    return Dataset(
        x_train=_inputs(x, train, points.kind),
        y_train=labels.y[train],
        x_test=_inputs(x, test, points.kind),
        y_test=labels.y[test],
        class_names=labels.class_names,
        kind=points.kind,
        display=Display(train=_shown(points, x, train), test=_shown(points, x, test)),
        meta=_meta(points.columns, train, test),
        name=points.name,
        notes=(*points.notes, *labels.notes, *split_notes, *text_notes),
    )


def _as_array(
    x: np.ndarray | list[list[str]], train: np.ndarray, test: np.ndarray, options: ReadOptions
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Words as token ids ``[n, T]``, by the vocabulary given or one of the training texts; arrays as they are."""
    if isinstance(x, np.ndarray):
        return x, ()
    notes: list[str] = []
    vocabulary = options.vocabulary
    if vocabulary is None:
        vocabulary = Vocabulary.of_words((x[i] for i in train), size=options.vocabulary_size)
        notes.append(
            f"A vocabulary of {len(vocabulary):,} tokens was made from the training texts. A network trained with another one "
            "reads nonsense here: give its vocabulary along."
        )
    longest = max((len(x[i]) for i in train), default=1)
    length = options.text_length or min(max(longest, 1), _USUAL_LENGTH, options.limits.text_length)
    check_inputs(len(x), length, options.limits, width=8)
    cut = sum(len(words) > length for words in x)
    if cut:
        notes.append(f"{cut:,} of {len(x):,} texts have more than {length} words and were cut there.")
    ids = vocabulary.encode_words(x, length)
    used = ids[test][ids[test] != 0]
    if len(used) and (used == 1).any():
        notes.append(f"{(used == 1).mean():.1%} of the words of the test texts are not in the vocabulary.")
    return ids, tuple(notes)


def _inputs(x: np.ndarray, index: np.ndarray, kind: DataKind) -> np.ndarray:
    """The inputs of a split as the model takes them."""
    taken = x[index]
    if kind == "text":
        return taken.astype(np.int64, copy=False)
    if kind == "tabular":
        return taken.astype(np.float32, copy=False)
    channels_first = taken[:, None] if taken.ndim == 3 else taken.transpose(0, 3, 1, 2)
    scaled = np.ascontiguousarray(channels_first, dtype=np.float32)
    if x.dtype == np.uint8:
        scaled /= np.float32(255)
    return scaled


def _shown(points: Points, x: np.ndarray, index: np.ndarray) -> np.ndarray | list[str] | pd.DataFrame:
    """What a person is shown of a split."""
    if isinstance(points.shown, pd.DataFrame):
        return points.shown.iloc[index].reset_index(drop=True)
    if points.shown is not None:
        return [points.shown[i] for i in index]
    taken = x[index]
    return taken if taken.dtype == np.uint8 else np.rint(taken * 255).astype(np.uint8)


def _meta(columns: dict[str, Sequence[object] | np.ndarray], train: np.ndarray, test: np.ndarray) -> pd.DataFrame:
    """The further columns, training points first."""
    meta = pd.DataFrame(columns).iloc[np.concatenate([train, test])].reset_index(drop=True) if columns else pd.DataFrame()
    meta.insert(0, "split", ["train"] * len(train) + ["test"] * len(test))
    return meta
