"""Retrain to verify, on the page What if: the quote, the run, and predicted against retrained changes of the margin."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st

from ntkviz.errors import StoreCorrupted
from ntkviz.explain.calibration import Calibration, calibrate_seeds
from ntkviz.explain.stretch import Stretch
from ntkviz.explain.what_if import Edit, remove
from ntkviz.figures import what_if as figures
from ntkviz.studies.retraining import (
    MOST_TEST,
    Retraining,
    load_verification,
    verifications,
    verified_path,
    why_not,
)
from ntkviz.studies.store import ntkviz_home
from ntkviz.studies.study import Study
from ntkviz.studies.subjects import find_subject
from ntkviz.truth.verify import Verified
from ntkviz.ui import cached, gates, layout, progress, recipe_form, state, stretched
from ntkviz.ui import what_if_state as tried
from ntkviz.ui.text import escape, number, percent

#: Seeds that may be chosen.
FEWEST_SEEDS, MOST_SEEDS = 2, 20


@dataclass(frozen=True, eq=False)
class Compared:
    """Predicted and retrained changes of the margin, ``[R, M]`` each. Predictions are in the surrogate's own units.

    Attributes:
        asked: what was retrained.
        found: what came of it.
        test: int ``[M]``, positions among the study's test points.
        edits: predicted, the same row for each seed.
        random: predicted for the random points of each seed.
        stretch: by which predictions are multiplied before they are compared; None leaves them as they are.
        with_edits: calibration of the edits, stretched.
        with_random: calibration of the random removals, stretched.
        noise: what seeds alone move a mean change by, log-odds.
        alike: share of the study's test points to which the retrained networks give the class that the explained one gives.
    """

    asked: Retraining
    found: Verified
    test: np.ndarray
    edits: np.ndarray
    random: np.ndarray
    stretch: Stretch | None
    with_edits: Calibration
    with_random: Calibration
    noise: float
    alike: float

    @property
    def factor(self) -> float:
        """By how much predictions are multiplied."""
        return 1.0 if self.stretch is None else self.stretch.factor.value


@gates.guarded()
def verify(study: Study) -> None:
    """The whole section."""
    st.subheader("Retrain to verify", anchor="verify")
    subject = find_subject(study.spec.subject_id)
    reason = why_not(subject)
    if reason:
        st.info(reason, icon=":material/model_training:")
        return
    running = recipe_form.under_way("verify", study=study.key)
    if running is not None:
        st.caption("These networks are being trained now; the edits above stay free to be changed.")
        state.forget("verified")  # the new one is shown when it is there
        progress.follow(running)
        recipe_form.follow(running)
    else:
        _plan(study, tried.edits(study))
    made = verifications(ntkviz_home(), study.key)
    if made:
        _results(study, made)


def compared(study: Study, path: Path) -> Compared:
    """Predicted against retrained.

    Raises:
        StoreCorrupted: when the file cannot be read, or is of other points.
    """
    size = stretched.applied(study)
    factor = 1.0 if size is None else size.factor.value
    return _compared(str(ntkviz_home()), study.key, str(path), path.stat().st_mtime_ns, factor, size)


def reading(shown: Compared) -> str:
    """What the retraining says of the prediction, in a sentence."""
    spread, random = shown.with_edits.spread, shown.with_random.spread
    n = f"{len(shown.test):,} test points"
    if spread < 2 * shown.noise:
        return (
            f"Nothing can be verified: over {n} the edits moved the retrained margins by {number(spread, 2)} (root mean square), and seeds alone move them by "
            f"{number(shown.noise, 2)}. Edit more points, or retrain from more seeds."
        )
    slope, link = shown.with_edits.slope, shown.with_edits.correlation
    if np.isfinite(link.low) and link.low > 0:
        units = " in the surrogate's own units" if shown.stretch is None else ", stretched"
        size = "as much as" if slope.low <= 1 <= slope.high else f"{number(slope.value, 2)} times"
        verdict = f"The prediction holds: retrained margins move in the predicted direction, by {size} what was predicted{units}"
    else:
        verdict = "Retraining does not confirm the prediction: changes do not follow the predicted ones"
    k = shown.found.removed.shape[1]
    return (
        f"{verdict} (correlation {number(link.value, 2)} over {n}). The edits moved the margins by {number(spread, 2)} (root mean square), removing "
        f"{k} random training point{'' if k == 1 else 's'} by {number(random, 2)}, seeds alone by {number(shown.noise, 2)}."
    )


def changes_table(study: Study, shown: Compared) -> pd.DataFrame:
    """One row a test point: predicted and retrained changes, and the classes that most networks name."""
    names, found = study.class_names, shown.found
    return pd.DataFrame(
        {
            "test point": found.test,
            "label": [names[c] for c in found.y_test],
            **stretched.columns("predicted change", shown.edits.mean(axis=0), shown.stretch),
            "retrained change": (found.after - found.before).mean(axis=0),
            **stretched.columns("predicted, random", shown.random.mean(axis=0), shown.stretch),
            "retrained, random": (found.random - found.before).mean(axis=0),
            "margin before": found.before.mean(axis=0),
            "margin after": found.after.mean(axis=0),
            "class before": [names[c] for c in _most(found.named_before, len(names))],
            "class after": [names[c] for c in _most(found.named_after, len(names))],
        }
    )


def _plan(study: Study, edits: tuple[Edit, ...]) -> None:
    """What would be trained, how long it takes, and the button."""
    problem = recipe_form.failed(state.get("job"), "verify")
    if problem:
        st.error(escape(problem, limit=1200), icon=":material/error:")
    if not edits:
        st.caption(
            "Make an edit above, and the network itself can be trained again with it: predicted against retrained changes show how far the "
            "answers of this page come true."
        )
        return
    if state.get("verify_for") != study.key:
        st.button(
            "Plan a retraining with these edits",
            key="plan_verify",
            icon=":material/model_training:",
            on_click=lambda: state.put("verify_for", study.key),
        )
        return
    with st.container(border=True, key="verify_plan"):
        training = recipe_form.recipe_of(find_subject(study.spec.subject_id))
        seeds = int(
            state.sticky(
                st.slider,
                "Seeds",
                key="verify_seeds",
                default=5,
                min_value=FEWEST_SEEDS,
                max_value=MOST_SEEDS,
                help="Networks of each kind: more seeds show smaller changes.",
            )
        )
        asked = Retraining("verify", study.spec.subject_id, training, n_seeds=seeds, study=study.key, edits=edits)
        path = verified_path(ntkviz_home(), asked)
        if path.is_file():
            st.caption(":material/check: These edits were retrained with this recipe and these seeds: see below.")
            return
        answer = tried.answer(study, edits)
        what = f"{seeds} networks without the edits, {seeds} with them, {seeds} with as many random points removed ({answer.n_points})"
        recipe_form.run_retraining(asked, what, key="run_verify", label="Retrain to verify")


def _results(study: Study, made: list[Path]) -> None:
    """The verification on show, with a choice among all of this study."""
    titles = {path.stem: path for path in made}
    chosen = made[0].stem
    if len(made) > 1:
        chosen = state.sticky(
            st.selectbox,
            "Retrained edits",
            key="verified",
            default=chosen,
            options=list(titles),
            format_func=lambda stem: _title(titles[stem]),
        )
    shown = compared(study, titles[chosen])
    st.markdown(f"**{escape(reading(shown), limit=900)}**")
    measured = shown.found.after - shown.found.before, shown.found.random - shown.found.before
    k = shown.found.removed.shape[1]
    sets = [
        figures.Changes("with the edits", shown.factor * shown.edits.mean(axis=0), measured[0].mean(axis=0), shown.with_edits),
        figures.Changes(
            f"{k} random removed",
            shown.factor * shown.random.mean(axis=0),
            measured[1].mean(axis=0),
            shown.with_random,
            baseline=True,
        ),
    ]
    layout.figure(
        figures.calibration_plot(sets, stretch=shown.factor),
        figures.reading_calibration(sets),
        changes_table(study, shown),
        key="verified",
    )
    for note in notes(study, shown):
        st.caption(f":material/info: {escape(note, limit=700)}")
    if shown.asked.edits != tried.edits(study):
        st.button(
            f"Take these {len(shown.asked.edits)} edits up again",
            key="take_verified",
            icon=":material/playlist_add:",
            on_click=lambda: tried.put_edits(study, shown.asked.edits),
            help="Replaces the edits above.",
        )


def notes(study: Study, shown: Compared) -> list[str]:
    """What to know before believing the comparison."""
    model = tried.answering(study).model
    whole = find_subject(study.spec.subject_id).n_train
    told = [
        f"Trained by: {recipe_form.in_words(shown.asked.training)}. Without the edits these networks name the explained network's class at "
        f"{percent(shown.alike)} of the test points."
        + (" That is little: is it the recipe by which it was trained?" if shown.alike < 0.8 else "")
    ]
    if study.n_train < whole:
        told.append(
            f"The surrogate knows {study.n_train:,} of the {whole:,} training points that the networks are trained on, so one of them weighs more in "
            "the prediction than in the network."
        )
    if shown.stretch is not None:
        told.append(
            f"Predictions are drawn stretched by {stretched.interval(shown.stretch.factor)}, which retrainings on random halves ask for. The intervals of "
            "the slopes do not hold that of the stretch."
        )
    elif model is not None and model.surrogate.kind == "ridge":
        told.append("The surrogate's scores are regressed labels and no log-odds: read the correlation, not the slope.")
    else:
        told.append(
            "Predictions are drawn in the surrogate's own units, without a stretch: read the correlation, and the slope as the factor."
        )
    if study.n_test > MOST_TEST:
        told.append(f"{MOST_TEST:,} of the study's {study.n_test:,} test points were asked about, evenly by class.")
    return [*told, *dict.fromkeys((*shown.with_edits.notes, *shown.with_random.notes))]


def _title(path: Path) -> str:
    try:
        asked, _ = load_verification(path)
    except StoreCorrupted:
        return f"damaged, {path.stem[:8]}"
    kinds = ", ".join(dict.fromkeys(edit.kind for edit in asked.edits))
    return f"{len(asked.edits)} edits ({kinds}), {asked.n_seeds} seeds · {asked.key()[:6]}"


def _most(named: np.ndarray, n_classes: int) -> np.ndarray:
    """The class that most networks name at each test point, int ``[M]``."""
    return (named[:, :, None] == np.arange(n_classes)).sum(axis=0).argmax(axis=1)


@st.cache_resource(max_entries=16, show_spinner="Comparing predicted with retrained changes …")
def _compared(home: str, study_key: str, path: str, stamp: int, factor: float, _stretch: Stretch | None) -> Compared:
    study, (asked, found) = cached.study(study_key), load_verification(Path(path))
    model = tried.model_of(home, study_key)
    order = np.argsort(study.test_index)
    place = np.clip(np.searchsorted(study.test_index, found.test, sorter=order), 0, study.n_test - 1)
    test = order[place]
    where = np.argsort(study.train_index)
    removed = where[np.clip(np.searchsorted(study.train_index, found.removed, sorter=where), 0, study.n_train - 1)]
    if (study.test_index[test] != found.test).any() or (study.train_index[removed] != found.removed).any():
        raise StoreCorrupted(f"The retraining {Path(path).name} is of other points than the study. Delete the file and retrain.")

    def predicted(edits: tuple[Edit, ...]) -> np.ndarray:
        before, after = model.apply(study.rows[test], edits).margins(found.y_test)
        return after - before

    n_seeds = len(found.seeds)
    edits = np.tile(predicted(asked.edits), (n_seeds, 1))
    random = np.stack([predicted(tuple(remove(i) for i in points)) for points in removed.tolist()])
    scatter = found.before.var(axis=0, ddof=1).mean() + found.after.var(axis=0, ddof=1).mean()
    logits = study.logits_test[test]
    network = (logits[:, 0] > 0).astype(int) if logits.shape[1] == 1 else logits.argmax(axis=1)
    return Compared(
        asked=asked,
        found=found,
        test=test,
        edits=edits,
        random=random,
        stretch=_stretch,
        with_edits=calibrate_seeds(factor * edits, found.after - found.before),
        with_random=calibrate_seeds(factor * random, found.random - found.before),
        noise=float(np.sqrt(scatter / n_seeds)),
        alike=float((found.named_before == network).mean()),
    )
