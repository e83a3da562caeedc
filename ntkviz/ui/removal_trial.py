"""Remove and retrain, on the page "Can I trust it?": are the examples that this study names missed more than others?"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st

from ntkviz.errors import StoreCorrupted
from ntkviz.fidelity.removal import Removals, removals
from ntkviz.figures.removal import reading_removals, removal_bars
from ntkviz.studies.removal_lists import CONTROLS, LISTS, OWN, possible_sizes, tried_points
from ntkviz.studies.retraining import Retraining, load_removal, removals_of, removed_path, why_not
from ntkviz.studies.store import ntkviz_home
from ntkviz.studies.study import Study
from ntkviz.studies.subjects import find_subject
from ntkviz.truth.removal import Removed
from ntkviz.ui import gates, layout, progress, recipe_form, state
from ntkviz.ui.text import escape

#: Test points that may be tried, and how many are by default.
POINTS, MOST_POINTS = 10, 50
#: How many training points are taken away by default, where the classes are large enough.
USUAL = (20, 50)
FEWEST_SEEDS, MOST_SEEDS = 2, 10


@dataclass(frozen=True, eq=False)
class Tried:
    """A removal experiment, read.

    Attributes:
        asked: what was retrained.
        found: what came of it.
        summed: one a number of points taken away.
    """

    asked: Retraining
    found: Removed
    summed: tuple[Removals, ...]


@gates.guarded()
def trial(study: Study) -> None:
    """The whole section."""
    subject = find_subject(study.spec.subject_id)
    reason = why_not(subject)
    if reason:
        st.caption(reason)
        return
    running = recipe_form.under_way("removal", study=study.key)
    if running is not None:
        state.forget("removal_shown")  # the new one is shown when it is there
        progress.follow(running)
        recipe_form.follow(running)
    else:
        _plan(study)
    made = removals_of(ntkviz_home(), study.key)
    if made:
        _results(made)


def read(path: Path) -> Tried:
    """A removal experiment and its figures.

    Raises:
        StoreCorrupted: when the file cannot be read.
    """
    return _read(str(path), path.stat().st_mtime_ns)


def drops_table(tried: Tried) -> pd.DataFrame:
    """One row a list and number of points: the fall of the margin, and its difference from that of the study's own list."""
    rows = []
    for summed in tried.summed:
        for row in summed.rows:
            other = None if row.key == OWN else summed.difference(OWN, row.key)
            rows.append(
                {
                    "removed": summed.k,
                    "list": LISTS.get(row.key, row.key),
                    "fall of the margin": row.value,
                    "low": row.low,
                    "high": row.high,
                    "lose their class": row.flipped,
                    "own list minus this": np.nan if other is None else other.value,
                    "difference, low": np.nan if other is None else other.low,
                    "difference, high": np.nan if other is None else other.high,
                    "control": row.key in CONTROLS,
                }
            )
    return pd.DataFrame(rows)


def _plan(study: Study) -> None:
    """What would be trained, how long it takes, and the button."""
    problem = recipe_form.failed(state.get("job"), "removal")
    if problem:
        st.error(escape(problem, limit=1200), icon=":material/error:")
    sizes, most = possible_sizes(study), len(tried_points(study, MOST_POINTS))
    if not sizes or not most:
        st.caption(
            "To compare lists of examples, some have to be taken away and each class has to keep one: this study has too few training points of some "
            "class, or no test point that the network classifies correctly. Run a larger study."
        )
        return
    st.caption(
        "Take away the training examples that this study names for a test point, train the network again, and see how far the margin of that "
        "point falls; beside other lists of as many examples, some of which know no network."
    )
    if state.get("removal_for") != study.key:
        st.button(
            "Plan to remove examples and retrain",
            key="plan_removal",
            icon=":material/model_training:",
            on_click=lambda: state.put("removal_for", study.key),
        )
        return
    with st.container(border=True, key="removal_plan"):
        training = recipe_form.recipe_of(find_subject(study.spec.subject_id))
        points, seeds, chosen = _choices(sizes, most)
        if not chosen:
            st.caption("Choose how many examples are taken away.")
            return
        asked = Retraining(
            "removal",
            study.spec.subject_id,
            training,
            n_seeds=seeds,
            study=study.key,
            n_points=len(tried_points(study, points)),
            sizes=chosen,
        )
        if removed_path(ntkviz_home(), asked).is_file():
            st.caption(":material/check: This was retrained with this recipe and these seeds: see below.")
            return
        count = round(asked.networks)
        words = " and ".join(str(k) for k in chosen)
        what = (
            f"{count:,} networks: for each of {asked.n_points} test points, {len(LISTS)} lists of {words} examples and {seeds} seeds, and {seeds} networks "
            "on all training points"
        )
        recipe_form.run_retraining(asked, what, key="run_removal", label="Remove and retrain")


def _choices(sizes: tuple[int, ...], most: int) -> tuple[int, int, tuple[int, ...]]:
    """How many test points, seeds and examples."""
    cells = st.columns(3, vertical_alignment="bottom")
    with cells[0]:
        points = state.sticky(
            st.number_input,
            "Test points",
            key="removal_points",
            default=min(POINTS, most),
            min_value=1,
            max_value=most,
            step=1,
            help="Evenly by class, of those that the network classifies correctly. More of them give narrower intervals.",
        )
    with cells[1]:
        seeds = state.sticky(
            st.number_input,
            "Seeds",
            key="removal_seeds",
            default=3,
            min_value=FEWEST_SEEDS,
            max_value=MOST_SEEDS,
            step=1,
            help="Networks for each removal, from seeds other than the explained network's own.",
        )
    with cells[2]:
        chosen = state.sticky(
            st.multiselect,
            "Examples taken away",
            key="removal_sizes",
            default=[k for k in USUAL if k in sizes] or [sizes[-1]],
            options=list(sizes),
        )
    return int(points), int(seeds), tuple(sorted(int(k) for k in chosen))


def _results(made: list[Path]) -> None:
    """The removal on show, with a choice among all of this study."""
    titles = {path.stem: path for path in made}
    chosen = made[0].stem
    if len(made) > 1:
        chosen = state.sticky(
            st.selectbox,
            "Removals that were retrained",
            key="removal_shown",
            default=chosen,
            options=list(titles),
            format_func=lambda stem: _title(titles[stem]),
        )
    tried = read(titles[chosen])
    layout.figure(removal_bars(tried.summed, LISTS), reading_removals(tried.summed, LISTS), drops_table(tried), key="removal")
    notes = dict.fromkeys(note for summed in tried.summed for note in summed.notes)
    st.caption(
        f":material/info: Trained by: {recipe_form.in_words(tried.asked.training)}; seeds other than the explained network's own. Margin: log-odds of the "
        "true class. Intervals: 95 %, over test points. “Lose their class”: of the test points and seeds with a positive margin before. The last three "
        "lists are controls, which know no network: where one of them does as well, the effect is about the data. "
        + " ".join(escape(note, limit=300) for note in notes)
    )


def _title(path: Path) -> str:
    try:
        asked, _, _ = load_removal(path)
    except StoreCorrupted:
        return f"damaged, {path.stem[:8]}"
    sizes = " and ".join(str(k) for k in asked.sizes)
    return f"{sizes} examples, {asked.n_points} test points, {asked.n_seeds} seeds · {asked.key()[:6]}"


@st.cache_resource(max_entries=16, show_spinner=False)
def _read(path: str, stamp: int) -> Tried:
    asked, keys, found = load_removal(Path(path))
    summed = tuple(
        removals(found.before, dict(zip(keys, after, strict=True)), k=int(k))
        for k, after in zip(found.sizes, found.after, strict=True)
    )
    return Tried(asked, found, summed)
