"""From what a file calls its classes to labels 0..C-1, and from all points to a training and a test split."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ntkviz.data.guard import explain, few, short
from ntkviz.data.options import Limits, ReadOptions
from ntkviz.errors import UploadRejected

_LONGEST_NAME = 200


@dataclass(frozen=True)
class Labels:
    """Numbered labels.

    Attributes:
        y: int64 ``[n]``, in 0..C-1.
        class_names: C names.
        notes: what was decided on the way.
    """

    y: np.ndarray
    class_names: tuple[str, ...]
    notes: tuple[str, ...]


def number_labels(
    raw: Sequence[object] | np.ndarray,
    *,
    class_names: tuple[str, ...] | None,
    limits: Limits,
    row_names: Sequence[str] | None = None,
) -> Labels:
    """Number the classes: whole numbers in their order, texts alphabetically, or as ``class_names`` lists them.

    Args:
        raw: one label a point: whole numbers, booleans or texts.
        class_names: names in the order of the network's outputs, or None.
        limits: ``classes``.
        row_names: the name of each point's class, beside its number; used when ``class_names`` is None.

    Returns:
        the labels.

    Raises:
        UploadRejected: when a label is missing, a number with a fraction or unknown, or there are too few or too many
            classes.
    """
    values = _plain(raw)
    found = sorted(set(values), key=lambda value: (isinstance(value, str), value))
    _check_count(len(found), limits)
    notes: list[str] = []
    if class_names is None and row_names is not None:
        class_names = _names_by_number(values, found, row_names)
        order: dict[int | str, int] = {value: place for place, value in enumerate(found)}
        notes += _renumbered(found)
    elif class_names is None:
        class_names = tuple(str(value) for value in found)
        order = {value: place for place, value in enumerate(found)}
        notes += _renumbered(found)
    else:
        order = _by_given_names(found, class_names)
    if len(set(class_names)) != len(class_names) or any(len(name) > _LONGEST_NAME for name in class_names):
        raise UploadRejected(
            explain(
                expected=f"different class names of at most {_LONGEST_NAME} letters",
                got=few(class_names, 4),
                todo="Name each class once; is another column meant as the label?",
            )
        )
    alike = _alike(class_names)
    if alike:
        notes.append(f"The classes {few(alike)} differ only in case or white space; they are kept apart.")
    y = np.fromiter((order[value] for value in values), dtype=np.int64, count=len(values))
    return Labels(y, class_names, tuple(notes))


def _plain(raw: Sequence[object] | np.ndarray) -> list[int | str]:
    """Labels as Python integers, or all as texts.

    Raises:
        UploadRejected: when one is missing, has a fraction or is of another type.
    """
    listed = raw.tolist() if isinstance(raw, np.ndarray) else list(raw)
    values: list[int | str] = []
    for row, value in enumerate(listed, start=1):
        if isinstance(value, bool):
            values.append(str(value))
        elif isinstance(value, int):
            values.append(value)
        elif isinstance(value, float) and value.is_integer():
            values.append(int(value))
        elif isinstance(value, (str, bytes)) and value.strip():
            values.append(value.decode("utf-8", "replace") if isinstance(value, bytes) else value)
        else:
            kind = "a number with a fraction, as in regression:" if isinstance(value, float) and value == value else "none:"
            raise UploadRejected(
                explain(
                    expected="a class for every point: a whole number or a name",
                    got=f"for point {row} {kind} {short(value)}",
                    todo="Name the column or array of the classes, or complete it.",
                )
            )
    texts = [str(value) for value in values]
    if all(_is_whole(text) for text in texts):
        return [int(text) for text in texts]
    numbers = [_number(text) for text in texts]
    if all(number is not None for number in numbers):
        return _whole([number for number in numbers if number is not None])
    return list(texts)


def _is_whole(text: str) -> bool:
    """Whether a text is the usual way to write a whole number ("7", not "007", which may be a name)."""
    digits = text.removeprefix("-")
    return digits.isascii() and digits.isdigit() and len(digits) <= 18 and str(int(text)) == text


def _number(text: str) -> float | None:
    """A finite number, or None; "007" is none, since as a name it differs from "7"."""
    if len(text) > 40 or (text.lstrip("+-").isdigit() and not _is_whole(text)):
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if np.isfinite(value) and "_" not in text else None


def _whole(numbers: list[float]) -> list[int | str]:
    """Numbers such as "1.0" as whole ones.

    Raises:
        UploadRejected: when one has a fraction.
    """
    for row, number in enumerate(numbers, start=1):
        if not number.is_integer():
            raise UploadRejected(
                explain(
                    expected="classes",
                    got=f"numbers with a fraction, as in regression: {number:g} for point {row}",
                    todo="Name the column of the classes, or cut the numbers into classes.",
                )
            )
    return [int(number) for number in numbers]


def _check_count(n: int, limits: Limits) -> None:
    """Refuse too few or too many classes.

    Raises:
        UploadRejected: in these cases.
    """
    if n < 2:
        raise UploadRejected(
            explain(
                expected="at least two classes",
                got=f"{n}",
                todo="Name the column of the classes, or bring points of another class.",
            )
        )
    if n > limits.classes:
        raise UploadRejected(
            explain(
                expected=f"at most {limits.classes:,} classes",
                got=f"{n:,} different labels",
                todo="Is the label column an identifier or a measured number? Name the right one.",
            )
        )


def _renumbered(found: Sequence[int | str]) -> list[str]:
    """The note about numbers that are not 0..C-1."""
    if isinstance(found[0], str) or list(found) == list(range(len(found))):
        return []
    listed = ", ".join(f"{value} is {place}" for place, value in enumerate(found[:6])) + (", ..." if len(found) > 6 else "")
    return [f"The labels are not 0 to {len(found) - 1} and were numbered anew in their order: {listed}."]


def _names_by_number(values: Sequence[int | str], found: Sequence[int | str], row_names: Sequence[str]) -> tuple[str, ...]:
    """The name of each label, from a name beside every point.

    Raises:
        UploadRejected: when a label has two names.
    """
    names: dict[int | str, str] = {}
    for row, (value, name) in enumerate(zip(values, row_names, strict=True), start=1):
        if names.setdefault(value, name) != name:
            raise UploadRejected(
                explain(
                    expected="one name for each label",
                    got=f"for {short(value)} the names {short(names[value])} and, at point {row}, {short(name)}",
                    todo="Correct the names or leave them out.",
                )
            )
    return tuple(names[value] for value in found)


def _by_given_names(found: Sequence[int | str], class_names: tuple[str, ...]) -> dict[int | str, int]:
    """The number of each label when the names are given: a label is a place in the list, or one of the names.

    Raises:
        UploadRejected: when a label is neither.
    """
    places = {name: place for place, name in enumerate(class_names)}
    if all(str(value) in places for value in found):
        return {value: places[str(value)] for value in found}
    for value in found:
        if isinstance(value, str) or not 0 <= value < len(class_names):
            raise UploadRejected(
                explain(
                    expected=f"labels from 0 to {len(class_names) - 1}, or one of the class names {few(class_names, 4)}",
                    got=short(value),
                    todo="Correct the label or the class names.",
                )
            )
    return {value: int(value) for value in found}


def _alike(class_names: Sequence[str]) -> list[str]:
    """Names that another one equals but for case and white space."""
    plain = [" ".join(name.casefold().split()) for name in class_names]
    return [name for name, key in zip(class_names, plain, strict=True) if plain.count(key) > 1]


def split_points(
    labels: Labels, is_test: np.ndarray | None, options: ReadOptions
) -> tuple[np.ndarray, np.ndarray, tuple[str, ...]]:
    """Indices of the training and of the test points, in the order of the file.

    Args:
        labels: of all points.
        is_test: bool ``[n]`` where the file has a split, else None: then a share of each class is drawn.
        options: ``test_fraction``, ``seed`` and ``limits.per_class``.

    Returns:
        training indices, test indices, notes.

    Raises:
        UploadRejected: when a class has too few points, or none for training.
    """
    notes: tuple[str, ...] = ()
    counts = np.bincount(labels.y, minlength=len(labels.class_names))
    if is_test is None:
        _check_per_class(counts, labels.class_names, options.limits.per_class, "points")
        is_test = _draw_test(labels.y, counts, options)
        notes = (
            f"The file has no test split: {int(is_test.sum()):,} of {len(labels.y):,} points, {options.test_fraction:.0%} of each "
            f"class, were drawn as test points with seed {options.seed}.",
        )
    in_training = np.bincount(labels.y[~is_test], minlength=len(labels.class_names))
    _check_per_class(in_training, labels.class_names, 1, "training points")
    return np.flatnonzero(~is_test), np.flatnonzero(is_test), notes


def _check_per_class(counts: np.ndarray, class_names: tuple[str, ...], least: int, what: str) -> None:
    """Refuse a class with too few points.

    Raises:
        UploadRejected: when there is one.
    """
    rare = np.flatnonzero(counts < least)
    if len(rare):
        raise UploadRejected(
            explain(
                expected=f"at least {least} {what} of each class",
                got=f"{counts[rare[0]]} of {short(class_names[rare[0]])}"
                + (f" and of {len(rare) - 1} more classes" if len(rare) > 1 else ""),
                todo="Add points of these classes or leave the classes out.",
            )
        )


def _draw_test(y: np.ndarray, counts: np.ndarray, options: ReadOptions) -> np.ndarray:
    """A share of each class, at least one point of it and never all."""
    generator = np.random.default_rng(options.seed)
    is_test = np.zeros(len(y), dtype=bool)
    for label, count in enumerate(counts):
        n_test = min(max(round(options.test_fraction * int(count)), 1), int(count) - 1)
        is_test[generator.permutation(np.flatnonzero(y == label))[:n_test]] = True
    return is_test
