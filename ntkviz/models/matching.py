"""Matching the names of a state dict to those of an architecture, on names, shapes and dtypes alone."""

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from ntkviz.models.rejection import MismatchRow, WeightsMismatch, clipped, quoted
from ntkviz.models.state_dict import FLOATS, TensorFacts

#: What wrappers put in front of names: DataParallel, torch.compile, Lightning modules and the like.
_PREFIXES = ("module.", "_orig_mod.", "model.", "net.")
_MAX_STRIPPED = 4

#: BatchNorm's counter of batches plays no part in eval mode, and older files do not have it.
_OPTIONAL = "num_batches_tracked"


@dataclass(frozen=True)
class Matching:
    """Which tensor of a file belongs to which name of an architecture.

    Attributes:
        names: name in the architecture -> name in the file.
        notes: what had to be done to the names.
        tolerated: names that only one side has and that do not matter.
        dropped: names in the file that are left out.
    """

    names: dict[str, str]
    notes: tuple[str, ...]
    tolerated: tuple[MismatchRow, ...]
    dropped: tuple[str, ...]


def match_names(found: Mapping[str, TensorFacts], expected: Mapping[str, TensorFacts], *, file: str, ordered: bool) -> Matching:
    """Which tensor of the file belongs to which of the architecture.

    Names are taken as they are, else without the prefixes of wrappers. When not one name is shared (``fc1.weight`` and
    ``hidden1.weight``), they are matched by last part and shape where that is unambiguous.

    Args:
        found: the file's tensors.
        expected: the architecture's.
        file: name of the file, for the messages.
        ordered: whether the file keeps the order in which the network registered its tensors, as .pt does and safetensors does not.

    Returns:
        The matching, complete and with equal shapes.

    Raises:
        WeightsMismatch: when names, shapes or kinds of numbers differ.
    """
    best = _Renaming({name: name for name in found}, (), ())
    score = -1
    for renaming in _renamings(found):
        if _same_names(renaming.names, expected):
            best, score = renaming, len(expected) + 1
            break
        shared = len(expected.keys() & renaming.names)
        if shared > score and not renaming.dropped:
            best, score = renaming, shared
    names = best.names
    notes = best.notes()
    if score == 0:
        by_shape = _by_shape(found, expected, ordered=ordered)
        if by_shape:
            names = by_shape
            notes = (_shape_note(by_shape),)
    rows = tuple(_rows({name: found[old] for name, old in names.items()}, expected))
    tolerated = tuple(row for row in rows if row.name.endswith(_OPTIONAL) and not (row.expected and row.found))
    faults = tuple(row for row in rows if row not in tolerated)
    if faults:
        raise WeightsMismatch(_mismatch_message(faults, file), faults)
    if tolerated:
        notes += (f"{len(tolerated)} counters {_OPTIONAL} are on one side only; they play no part in eval mode.",)
    kept = {name: old for name, old in names.items() if name in expected}
    return Matching(kept, notes, tolerated, best.dropped)


@dataclass(frozen=True)
class _Renaming:
    """New name -> name in the file, with what was stripped and which names were left out on the way."""

    names: dict[str, str]
    stripped: tuple[str, ...]
    dropped: tuple[str, ...]

    def notes(self) -> tuple[str, ...]:
        """What was done, in sentences."""
        notes = ()
        if self.stripped:
            notes = (f"Stripped from the names: {', '.join(self.stripped)}.",)
        if self.dropped:
            some = ", ".join(quoted(name) for name in self.dropped[:5]) + (", ..." if len(self.dropped) > 5 else "")
            notes += (f"Left out, since the architecture has no such part: {len(self.dropped)} tensors ({some}).",)
        return notes


def _renamings(found: Iterable[str]) -> Iterator[_Renaming]:
    """The names as they are, then with more and more of the prefixes of wrappers stripped.

    Yields:
        One way to rename.
    """
    waiting = deque([_Renaming({name: name for name in found}, (), ())])
    while waiting:
        renaming = waiting.popleft()
        yield renaming
        if len(renaming.stripped) >= _MAX_STRIPPED:
            continue
        for prefix in _PREFIXES:
            outer = {name.removeprefix(prefix): old for name, old in renaming.names.items() if name.startswith(prefix)}
            left = tuple(old for name, old in renaming.names.items() if not name.startswith(prefix))
            if outer:
                waiting.append(_Renaming(outer, (*renaming.stripped, prefix), (*renaming.dropped, *left)))
        inside = {name.replace("._orig_mod.", "."): old for name, old in renaming.names.items()}
        if inside.keys() != renaming.names.keys() and len(inside) == len(renaming.names):
            waiting.append(_Renaming(inside, (*renaming.stripped, "_orig_mod."), renaming.dropped))


def _same_names(names: Iterable[str], expected: Iterable[str]) -> bool:
    """Whether two sets of names differ in optional ones only."""
    return all(name.endswith(_OPTIONAL) for name in set(names) ^ set(expected))


def _by_shape(found: Mapping[str, TensorFacts], expected: Mapping[str, TensorFacts], *, ordered: bool) -> dict[str, str] | None:
    """Expected name -> found name by last part of the name and shape, or None where that is not certain."""
    keys = [
        [(name.rsplit(".", 1)[-1], fact.shape, name) for name, fact in side.items() if not name.endswith(_OPTIONAL)]
        for side in (expected, found)
    ]
    wanted, given = ([key[:2] for key in side] for side in keys)
    if ordered and wanted == given:
        return {mine[2]: theirs[2] for mine, theirs in zip(*keys, strict=True)}
    layers, others = (_by_layer(side) for side in keys)
    if layers is None or others is None or layers.keys() != others.keys():
        return None
    return {f"{layers[kind]}{part}": f"{others[kind]}{part}" for kind in layers for part, _ in kind}


def _by_layer(tensors: list[tuple[str, tuple[int, ...], str]]) -> dict[tuple, str] | None:
    """Parts and shapes of each layer -> its name with a dot; None when two layers have the same."""
    layers: dict[str, list[tuple[str, tuple[int, ...]]]] = {}
    for part, shape, name in tensors:
        layers.setdefault(name.removesuffix(part), []).append((part, shape))
    found = {tuple(sorted(parts)): name for name, parts in layers.items()}
    return found if len(found) == len(layers) else None


def _shape_note(names: Mapping[str, str]) -> str:
    """A warning that names were matched without being equal."""
    some = ", ".join(f"{quoted(old)} as {new}" for new, old in list(names.items())[:3])
    return (
        f"The names in the file are not those of the architecture; all {len(names)} were matched by last part, shape and order "
        f"({some}{', ...' if len(names) > 3 else ''}). The accuracy on your data shows whether that was right."
    )


def _rows(found: Mapping[str, TensorFacts], expected: Mapping[str, TensorFacts]) -> Iterator[MismatchRow]:
    """Every difference, the architecture's names first.

    Yields:
        One row a name.
    """
    for name, fact in expected.items():
        other = found.get(name)
        if other is None:
            yield MismatchRow(name, str(fact), "")
        elif other.shape != fact.shape:
            yield MismatchRow(name, str(fact), str(other))
        elif (other.dtype in FLOATS) != (fact.dtype in FLOATS) or (other.dtype == "bool") != (fact.dtype == "bool"):
            yield MismatchRow(name, f"{fact.dtype} {list(fact.shape)}", f"{other.dtype} {list(other.shape)}")
    for name, fact in found.items():
        if name not in expected:
            yield MismatchRow(name, "", str(fact))


def _mismatch_message(rows: tuple[MismatchRow, ...], file: str) -> str:
    """The counts and the first rows."""
    missing = sum(not row.found for row in rows)
    extra = sum(not row.expected for row in rows)
    counts = [
        (missing, "missing in the file"),
        (extra, "unknown to the architecture"),
        (len(rows) - missing - extra, "of another shape or dtype"),
    ]
    summary = ", ".join(f"{count} {what}" for count, what in counts if count)
    first = "; ".join(f"{quoted(row.name)}: expected {row.expected or 'none'}, found {row.found or 'none'}" for row in rows[:3])
    return clipped(
        f"The weights in {quoted(file, limit=40)} do not fit the architecture: {summary}. {first}{'; ...' if len(rows) > 3 else '.'} "
        "Correct the sizes in the architecture, or bring the weights that belong to it."
    )
