"""The plane of a study against retrainings whose answer is known, the alignment of both, the badges, and the sentence that follows."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from ntkviz.explain.effects import RemovalEffects
from ntkviz.fidelity.lds import Difference, Lds
from ntkviz.fidelity.trust import AVOID, VERDICTS
from ntkviz.scores import log_odds_heads
from ntkviz.studies.aligned import aligned, mismatch
from ntkviz.studies.companion import companion_of
from ntkviz.studies.control import control_kernel
from ntkviz.studies.errors import InvalidStudy
from ntkviz.studies.faithfulness import PLAN, Measured, candidate, effects_on_label, faithfulness
from ntkviz.studies.pipeline import run_study
from ntkviz.studies.study import Study
from ntkviz.studies.trusted import badges, foretells
from ntkviz.studies.verdict import conclusion
from ntkviz.truth.truth import Truth, half_subsets

N, M = 40, 60
NAN = float("nan")


@pytest.fixture
def study(spec, store) -> Study:
    return run_study(spec(kernel="trntk", surrogate="ridge", n_train=N, n_test=M), store=store)


def truth_of(study: Study, *, noise: float = 0.3, seed: int = 0) -> Truth:
    """Retrainings that follow the ridge's removal effects, in another order of points than the study's."""
    draw = np.random.default_rng(seed)
    at = np.sort(draw.permutation(study.n_test)[:50])
    effects = RemovalEffects.of_surrogate(study.surrogate, study.kernel, study.y_train).of(
        study.rows[at], log_odds_heads(study.logits_test[at], study.y_test[at])
    )
    order = draw.permutation(study.n_train)
    masks = half_subsets(study.n_train, 60, seed)
    sums = masks @ effects[:, order].T
    margins = sums[:, None] + noise * sums.std() * draw.normal(size=(60, 4, len(at)))
    return Truth(
        masks=masks,
        margins=margins.astype(np.float16),
        full=np.zeros((4, len(at)), np.float16),
        y_test=study.y_test[at],
        train_index=study.train_index[order],
        test_index=study.test_index[at],
        seeds=np.arange(4),
        sample=study.spec.subject_id,
        architecture={},
        recipe={},
        data_sha256="",
    )


def by_key(rows: list[Measured]) -> dict[str, Measured]:
    return {row.key: row for row in rows}


def test_the_attribution_that_is_true_scores_highest_and_controls_are_marked(study: Study, home) -> None:
    rows = faithfulness(study, truth_of(study), [control_kernel(study, home=home)], n_draws=50)
    found = by_key(rows)
    expected = {f"trntk/{kind or 'none'}/{name}" for kind, names in PLAN.items() for name in names}
    assert set(found) == expected | {"rbf/klr/inputs", "none/none/same_class"}
    best = max(rows, key=lambda row: row.lds)
    assert best.key == "trntk/ridge/removal_ridge"
    assert best.lds > 0.9
    assert best.truth.low <= best.lds <= best.truth.high
    assert {row.key for row in rows if row.is_control} == {"rbf/klr/inputs", "none/none/same_class"}
    assert found["none/none/same_class"].truth.within == 0
    assert [row.key for row in rows if np.isnan(row.tau)] == ["trntk/none/kernel", "none/none/same_class"]
    assert all(row.seconds >= 0 for row in rows)


def test_tau_and_lds_speak_of_the_same_points(study: Study) -> None:
    truth = truth_of(study)
    rows = by_key(faithfulness(study, truth, plan={"ridge": ("removal_ridge",)}, n_draws=0))
    assert rows["trntk/ridge/removal_ridge"].truth.n_points == len(truth.test_index)
    whole = study.fidelity.kendall_tau
    assert rows["trntk/ridge/removal_ridge"].tau != whole
    assert rows["trntk/ridge/removal_ridge"].tau == pytest.approx(whole, abs=0.2)


def test_the_studys_own_fit_is_taken_and_others_are_fitted(study: Study) -> None:
    stiff = replace(study, surrogate=replace(study.surrogate, weights=-study.surrogate.weights))
    rows = by_key(faithfulness(stiff, truth_of(study), plan={"ridge": ("share",), "kglm": ("share",)}, n_draws=0))
    assert rows["trntk/ridge/share"].tau < 0 < rows["trntk/kglm/share"].tau


def test_retrainings_are_brought_into_the_order_of_the_study(study: Study) -> None:
    truth = truth_of(study)
    points = aligned(study, truth)
    np.testing.assert_array_equal(study.test_index[points.test], truth.test_index)
    for s in (0, 7):
        kept = set(truth.train_index[truth.masks[s]].tolist())
        assert set(study.train_index[points.masks[s]].tolist()) == kept
    few = replace(truth, test_index=truth.test_index[::-1], y_test=truth.y_test[::-1], margins=truth.margins[:, :, ::-1])
    np.testing.assert_array_equal(aligned(study, few).margins, points.margins)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sample": "mnist-mlp"}, "The retrainings are of mnist-mlp"),
        ({"train_index": np.arange(1000, 1040)}, "Run the study with all 40 training points"),
        ({"test_index": np.arange(1000, 1050)}, "Run the study with more test points"),
        ({"y_test": None}, "other labels"),
    ],
)
def test_retrainings_of_other_points_are_refused_with_what_to_do(study: Study, change: dict[str, Any], words: str) -> None:
    truth = truth_of(study)
    if "y_test" in change:
        change = {"y_test": (truth.y_test + 1) % 3}
    other = replace(truth, **change)
    with pytest.raises(InvalidStudy, match=words):
        faithfulness(study, other)
    assert mismatch(study, other) == "" or words in mismatch(study, other)


def test_a_part_of_the_training_points_has_no_truth(spec, store) -> None:
    whole = run_study(spec(n_train=N, n_test=M), store=store)
    part = run_study(spec(n_train=N - 10, n_test=M), store=store)
    assert "cannot be summed up from a part" in mismatch(part, truth_of(whole))
    assert mismatch(whole, truth_of(whole)) == ""


def test_similarity_is_not_contrasted_away(study: Study) -> None:
    points = aligned(study, truth_of(study))
    one = candidate(study)
    found = effects_on_label(study, one, study.surrogate, "kernel", points)
    np.testing.assert_array_equal(found, study.rows[points.test])


def test_a_control_that_knows_the_network_is_none(study: Study, home) -> None:
    with pytest.raises(ValueError, match="A control knows no network"):
        control_kernel(study, kind="trntk", home=home)


def test_badges_without_and_with_retrainings(study: Study) -> None:
    plain = badges(study)
    assert plain.removal is None
    assert "no retrainings" in plain.why_none
    assert len(plain.imitation.verdict) == M
    assert set(plain.imitation.verdict) <= set(VERDICTS)
    judged = badges(study, truth_of(study))
    assert judged.removal is not None
    assert judged.why_none == ""
    assert "weak_effects" in judged.removal.parts
    assert "weak_effects" not in plain.imitation.parts
    measured = sum(row.n_points for row in judged.removal.reliability)
    assert measured == 50
    assert "10 of 60 test points have no measured error" in judged.removal.notes[0]
    said, told = study.logits_test.argmax(axis=1), study.surrogate_logits.argmax(axis=1)
    assert set(judged.removal.verdict[said != told]) <= {AVOID}


def test_test_labels_do_not_enter_the_badge_but_by_the_error(study: Study) -> None:
    turned = replace(study, y_test=(study.y_test + 1) % 3)
    np.testing.assert_array_equal(badges(study).imitation.verdict, badges(turned).imitation.verdict)
    np.testing.assert_array_equal(badges(study).imitation.score, badges(turned).imitation.score)


def test_removal_effects_of_another_surrogate_have_the_badge_of_that_one(spec, store, study: Study) -> None:
    other = run_study(spec(kernel="trntk", surrogate="kglm", n_train=N, n_test=M), store=store)
    truth = truth_of(study)
    judged, answers = badges(other, truth), companion_of(other)
    assert foretells(other)
    assert not answers.own
    assert judged.removal is not None
    assert "another" not in " ".join(judged.imitation.notes)
    assert any("the study's own surrogate has no answer" in note for note in judged.removal.notes)
    assert "weak_effects" in judged.removal.parts
    assert "weak_effects" not in judged.imitation.parts
    assert answers.surrogate is not None
    again = replace(other, surrogate=answers.surrogate, surrogate_logits=answers.surrogate.decision_function(other.rows))
    own = badges(replace(again, spec=replace(other.spec, surrogate="klr", surrogate_options={})), truth)
    assert own.removal is not None
    np.testing.assert_array_equal(own.removal.verdict, judged.removal.verdict)


def test_a_distilled_study_has_its_row_and_leaves_removals_to_a_fit_to_labels_alone(spec, store, study: Study) -> None:
    settings = {"lam": "auto", "distillation": 0.6}
    own = run_study(spec(kernel="trntk", surrogate="klr", surrogate_options=settings, n_train=N, n_test=M), store=store)
    rows = faithfulness(own, truth_of(study), plan={"klr": ("removal_klr",)}, n_draws=20)
    assert "logistic regression, distilled" in rows[0].title
    answers = companion_of(own)
    assert not answers.own
    assert answers.surrogate is not None
    assert "distillation" not in {name for name, value in answers.surrogate.options.items() if value}


def test_a_single_class_has_no_second_badge(study: Study) -> None:
    alone = replace(study, y_train=np.zeros_like(study.y_train))
    assert not foretells(alone)
    assert badges(study).why_none


def row(
    title: str,
    lds: float,
    tau: float = 0.8,
    *,
    control: bool = False,
    width: float = 0.02,
    surrogate: str = "klr",
    lead: tuple[float, float, float] = (0.0, 0.0, 0.0),
) -> Measured:
    found = Lds(lds, lds - width, lds + width, lds, lds, np.array([lds]), 0.94, 0.6)
    return Measured(
        "trntk", surrogate, title, title, tau, tau, tau, found, 1.0, control, lead=Difference(*lead, share_better=0.5, n_points=9)
    )


def test_the_sentence_names_the_best_and_its_distance_from_the_ceiling() -> None:
    far, further = (0.35, 0.3, 0.4), (0.45, 0.4, 0.5)
    said = conclusion(
        [
            row("removal", 0.65),
            row("share", 0.3, lead=far),
            row("same class", 0.2, NAN, control=True, surrogate="", lead=further),
        ]
    )
    assert "removal reaches the highest LDS, 0.65 (0.63 to 0.67)" in said
    assert "no attribution could exceed 0.94" in said
    assert "It foretells better than the next, share (LDS 0.30), by 0.350 (0.300 to 0.400)" in said
    assert "It foretells better than the strongest control, same class (LDS 0.20), by 0.450 (0.400 to 0.500)" in said
    assert "The best also imitates the network best" in said


def test_a_control_that_wins_is_said_plainly() -> None:
    said = conclusion([row("removal", 0.6), row("pixels", 0.7, 0.5, control=True, lead=(-0.1, -0.15, -0.05))])
    assert "A control foretells better: pixels reaches 0.70, more by 0.100 (0.050 to 0.150), without a single look" in said
    assert "about the data" in said
    near = conclusion([row("removal", 0.69), row("pixels", 0.7, control=True, lead=(-0.01, -0.04, 0.02))])
    assert "It cannot be told apart from the strongest control, pixels" in near
    assert "difference -0.010 (-0.040 to 0.020)" in near


def test_what_is_told_apart_is_what_the_paired_interval_says_and_not_the_intervals_alone() -> None:
    apart = [row("removal", 0.65, width=0.1), row("share", 0.64, width=0.1, lead=(0.01, 0.005, 0.015))]
    assert "It foretells better than the next, share (LDS 0.64), by 0.010 (0.005 to 0.015)" in conclusion(apart)
    level = [
        row("removal", 0.65, width=0.001),
        row("share", 0.6, width=0.001, lead=(0.05, -0.01, 0.1)),
        row("kernel", 0.5, lead=(0.15, -0.01, 0.3)),
    ]
    assert (
        "It cannot be told apart from the next, share: LDS 0.60, difference 0.050 (-0.010 to 0.100); nor from 1 more"
        in conclusion(level)
    )


def test_each_row_says_how_far_the_best_of_ours_is_ahead(study: Study) -> None:
    rows = faithfulness(study, truth_of(study), n_draws=200)
    best = max((row for row in rows if not row.is_control), key=lambda row: row.lds)
    assert (best.lead.value, best.lead.low, best.lead.high, best.lead.clear) == (0, 0, 0, False)
    for one in rows:
        assert one.lead.value == pytest.approx(best.lds - one.lds, abs=1e-9)
        assert one.lead.low <= one.lead.value <= one.lead.high


def test_a_better_imitation_that_is_less_true_is_named() -> None:
    said = conclusion([row("removal", 0.6, 0.8), row("distilled", 0.1, 0.95, lead=(0.5, 0.4, 0.6))])
    assert "The best imitation is another one (distilled, tau 0.95 against tau 0.80), with an LDS of 0.10 only" in said
    level = conclusion([row("removal", 0.6, 0.8), row("distilled", 0.58, 0.95, lead=(0.02, -0.1, 0.1))])
    assert "The best imitation is distilled (tau 0.95, LDS 0.58)" in level


def test_little_truth_and_none_are_said() -> None:
    assert "do not read any of these" in conclusion([row("removal", 0.1)])
    assert "None of these attributions could be compared" in conclusion([row("removal", NAN)])
