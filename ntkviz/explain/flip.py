"""The smallest set of training points without which the surrogate names another class.

Greedy: remove the points with the largest removal effect on the gap between the class and a rival, look at the surrogate without them
(closed form for ridge, Newton steps for klr), and choose the next ones from there. When the class has changed, points that turn out not to
be needed are put back. So the set is small and sufficient, not proven smallest; the lower bound says how small it could be at best
if effects added up.

Source: Yang, Jain and Wallace, EACL 2023, ask the same of linear models by influence functions; the re-evaluation and the bound are our own.
"""

from dataclasses import dataclass

import numpy as np

from ntkviz.explain.refit import Refit
from ntkviz.explain.what_if import WhatIfModel
from ntkviz.scores import scores_of

#: Rival classes that are tried: those to which the fewest points seem to lead.
RIVALS = 2
#: Points, from the last chosen, that are tried to be put back.
_PUT_BACK = 10


@dataclass(frozen=True, eq=False)
class FlipSet:
    """Training points without which the surrogate names another class for one test point.

    Attributes:
        indices: int64 ``[k]``, training points, in the order in which they were chosen; those tried when it did not flip.
        sizes: int64 ``[s]``, numbers of points removed at which the surrogate was looked at, from 0; before points were put back.
        gaps: float64 ``[s]``, there: the score of the class minus the best other score.
        class_before: the class named at the start.
        class_after: the class named without ``indices``.
        rival: the class that the effects were computed against.
        flipped: whether the two differ.
        bound: no smaller set flips the surrogate. Proven for ridge (by the norms of what a set of that size can hold), loose; for
            klr nothing better than 1 is known, 0 when the class does not lead.
        added: the fewest points whose single effects add up to the gap, None when all together do not. No bound: points that
            stand in for each other lose more together than one by one, so smaller sets often do.
        notes: how to read the set.
    """

    indices: np.ndarray
    sizes: np.ndarray
    gaps: np.ndarray
    class_before: int
    class_after: int
    rival: int
    flipped: bool
    bound: int
    added: int | None
    notes: tuple[str, ...]


def smallest_flip(model: WhatIfModel, row: np.ndarray, *, max_size: int = 50) -> FlipSet:
    """A small set of training points whose removal changes the class of a test point.

    Args:
        model: the surrogate.
        row: ``[N]``, the kernel between the test point and the training points.
        max_size: points removed at most, at least 1.

    Raises:
        ValueError: when ``max_size`` is below 1.
    """
    if isinstance(max_size, bool) or not isinstance(max_size, int | np.integer) or max_size < 1:
        raise ValueError(f"max_size must be a whole number above 0; got {max_size!r}.")
    rows, base = np.asarray(row)[None, :], model.fit(())
    scores = base.scores(rows)
    before = int(scores_of(scores).predicted[0])
    rivals = [c for c in range(model.n_classes) if c != before and (model.labels == c).any()]
    directions = np.array([_against(before, rival, scores.shape[1]) for rival in rivals])
    effects = model.score_effects(np.repeat(rows, len(rivals), axis=0), directions)
    gaps = directions @ scores[0]
    sums = [_fewest(effect, gap) for effect, gap in zip(effects, gaps, strict=True)]
    added = min((size for size in sums if size is not None), default=None)
    bound = _proven(model, rows, directions, gaps, before)
    best: _Path | None = None
    for k in sorted(range(len(rivals)), key=lambda k: (sums[k] is None, sums[k] or 0, gaps[k]))[:RIVALS]:
        most = len(best.indices) - 1 if best is not None and best.flipped else max_size
        found = _greedy(model, rows, (before, rivals[k]), effects[k], most) if most else None
        if found is not None and (best is None or (found.flipped, -found.gaps[-1]) > (best.flipped, -best.gaps[-1])):
            best = found
    if best is None:
        raise ValueError("All training points have one class: no removal can change the answer.")
    notes = _notes(model, best, added, bound, max_size)
    return FlipSet(best.indices, best.sizes, best.gaps, before, best.after, best.rival, best.flipped, bound, added, notes)


@dataclass(frozen=True, eq=False)
class _Path:
    """One greedy search."""

    indices: np.ndarray
    sizes: np.ndarray
    gaps: np.ndarray
    after: int
    rival: int
    flipped: bool


def _greedy(model: WhatIfModel, rows: np.ndarray, pair: tuple[int, int], effect: np.ndarray, max_size: int) -> _Path:
    """Remove the strongest points for the class and against its rival; the fewer seem to be needed, the fewer before the next look."""
    before, rival = pair
    chosen: list[int] = []
    at, direction = model.fit(()), _against(before, rival, model.surrogate.n_classes)
    sizes, gaps = [0], [_gap(at, rows, before)]
    while gaps[-1] > 0 and len(chosen) < max_size:
        if chosen:
            effect = model.score_effects(rows, direction[None], at=at)[0]
        order = np.argsort(-effect, kind="stable")
        order = order[effect[order] > 0][: max_size - len(chosen)]
        needed = _fewest(effect, float(direction @ at.scores(rows)[0])) or len(order)
        batch = order[: max(1, min(needed // 4, 2 + len(chosen) // 8))].tolist()
        if not batch or not _two_classes(model, [*chosen, *batch]):
            break
        chosen += batch
        at = _without(model, chosen, start=at)
        sizes.append(len(chosen))
        gaps.append(_gap(at, rows, before))
    if gaps[-1] <= 0:
        chosen, at = _put_back(model, rows, before, chosen, at)
    after = int(scores_of(at.scores(rows)).predicted[0])
    return _Path(np.array(chosen, dtype=np.int64), np.array(sizes), np.array(gaps), after, rival, after != before)


def _put_back(model: WhatIfModel, rows: np.ndarray, before: int, chosen: list[int], at: Refit) -> tuple[list[int], Refit]:
    """The chosen points without those that turn out not to be needed, the last chosen tried first, and the surrogate then."""
    kept = list(chosen)
    for point in chosen[: -_PUT_BACK - 1 : -1]:
        fewer = [index for index in kept if index != point]
        if not fewer:
            break
        there = _without(model, fewer, start=at)
        if scores_of(there.scores(rows)).predicted[0] != before:
            kept, at = fewer, there
    return kept, at


def _gap(at: Refit, rows: np.ndarray, label: int) -> float:
    return float(class_gap(at.scores(rows), np.array([label]))[0])


def _without(model: WhatIfModel, points: list[int], start: Refit) -> Refit:
    counts = np.ones(len(model.labels))
    counts[points] = 0.0
    return model.fit_counts(counts, model.labels, start=start)


def _two_classes(model: WhatIfModel, points: list[int]) -> bool:
    kept = np.ones(len(model.labels), dtype=bool)
    kept[points] = False
    return len(np.unique(model.labels[kept])) > 1


def _against(label: int, rival: int, n_scores: int) -> np.ndarray:
    """The scores' direction that speaks for a class and against another, ``[C]``."""
    if n_scores == 1:
        return np.array([1.0 if label == 1 else -1.0])
    direction = np.zeros(n_scores)
    direction[label], direction[rival] = 1.0, -1.0
    return direction


def _fewest(effect: np.ndarray, gap: float) -> int | None:
    """The fewest points whose effects add up to the gap; None when all positive ones do not."""
    reached = np.cumsum(np.sort(effect[effect > 0])[::-1])
    return int(np.searchsorted(reached, gap)) + 1 if len(reached) and reached[-1] >= gap else None


def _proven(model: WhatIfModel, rows: np.ndarray, directions: np.ndarray, gaps: np.ndarray, before: int) -> int:
    """A lower bound on the number of removals over all rivals; a class without points is never named, so its own number is one too."""
    if gaps.min() <= 0:
        return 0
    drops = model.largest_drops(rows[0], directions)
    if drops is None:
        return 1
    reached = (drops >= gaps[:, None]).any(axis=0)
    bound = int(np.argmax(reached)) + 1 if reached.any() else drops.shape[1] + 1
    return min(bound, int((model.labels == before).sum()))


def _notes(model: WhatIfModel, best: _Path, added: int | None, bound: int, max_size: int) -> tuple[str, ...]:
    notes = ["Found by a greedy search; a smaller set may exist. The surrogate without the points is computed, not estimated."]
    if bound > 1:
        notes.append(
            f"Proven for this surrogate: no {bound - 1} training points are enough."
            if bound > 2
            else "Proven: no single point is enough."
        )
    if best.flipped and added is not None and added > len(best.indices):
        notes.append(
            f"One by one it would take {added} points: together these {len(best.indices)} do more than the sum of their effects."
        )
    if not best.flipped:
        told = f"Removing {len(best.indices)} points (at most {max_size} were allowed) did not change the class."
        notes.append(told if len(best.indices) else "No training point speaks for the class against its rival.")
    if model.surrogate.kind == "ridge":
        notes.append("Scores of ridge on labels are no log-odds, so the gap has no unit of its own.")
    return tuple(notes)


def class_gap(scores: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Score of a class minus the best other score, float64 ``[M]``: the class is named as long as this is positive.

    Args:
        scores: ``[M, C]``.
        classes: int ``[M]``.
    """
    own, others = _own_and_others(scores, classes)
    return own - others.max(axis=1)


def _own_and_others(scores: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The score of the class ``[M]``, and all scores with minus infinity in its place ``[M, K]``."""
    values = np.array(scores, dtype=np.float64)
    if values.shape[1] == 1:
        values = np.hstack([np.zeros_like(values), values])
    each, classes = np.arange(len(values)), np.asarray(classes, dtype=np.int64)
    own = values[each, classes]
    values[each, classes] = -np.inf
    return own, values
