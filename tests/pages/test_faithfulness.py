"""The page "Can I trust it?": the plane of imitation and truth, the badge with its reliability, and what is said when nothing was retrained."""

from dataclasses import replace

import numpy as np
import pytest

from ntkviz.errors import StoreCorrupted
from ntkviz.studies.store import Store
from ntkviz.studies.study import Study
from ntkviz.truth.truth import Truth, half_subsets
from ntkviz.ui import plane_view, trust_view
from tests.pages.charts import alt, chart, numbers, table
from tests.pages.conftest import texts


def truth_of(study: Study) -> Truth:
    """Retrainings in which each kept example of the own class helps."""
    draw = np.random.default_rng(0)
    masks = half_subsets(study.n_train, 40, 0)
    helps = (study.y_train == study.y_test[:, None]).astype(float) * np.maximum(study.rows, 0)
    sums = masks @ helps.T
    margins = sums[:, None] + 0.3 * sums.std() * draw.normal(size=(40, 4, study.n_test))
    return Truth(
        masks=masks,
        margins=margins.astype(np.float16),
        full=np.zeros((4, study.n_test), np.float16),
        y_test=study.y_test,
        train_index=study.train_index,
        test_index=study.test_index,
        seeds=np.arange(4),
        sample=study.spec.subject_id,
        architecture={},
        recipe={},
        data_sha256="",
    )


@pytest.fixture
def retrained(made, monkeypatch) -> Study:
    """The study "digits", with retrainings."""
    study = Store(made.home).load_study(made.keys["digits"])
    truth = truth_of(study)
    monkeypatch.setattr(plane_view, "retrainings", lambda sample: truth if sample == "mnist-mlp" else None)
    plane_view._measured.clear()
    trust_view._badges.clear()
    return study


def test_the_plane_shows_every_measured_row_with_controls_and_says_what_follows(retrained, made, open_page) -> None:
    app = open_page("fidelity", study=made.keys["digits"])
    assert not app.exception
    rows = table(app, "attribution", "LDS", "τ", "control")
    assert rows["LDS"].is_monotonic_decreasing
    assert rows["control"].sum() == 2
    spec = chart(app, "plane")
    drawn = {
        row[0]: y
        for trace in spec["data"]
        if "customdata" in trace
        for row, y in zip(trace["customdata"], numbers(trace["y"]), strict=True)
    }
    assert {"trntk/kglm/share", "ck/klr/removal_klr", "rbf/klr/inputs", "none/none/same_class"} <= set(drawn)
    assert sorted(drawn.values()) == pytest.approx(sorted(rows["LDS"].dropna()))
    assert "reaches the highest LDS" in texts(app)
    assert "Best control" in alt(app, "plane")
    assert "Two axes" in texts(app)
    assert "What has not been checked" not in texts(app)


def test_without_retrainings_the_page_says_so_and_still_has_the_badge(made, open_page, monkeypatch) -> None:
    monkeypatch.setattr(plane_view, "retrainings", lambda _sample: None)
    trust_view._badges.clear()
    app = open_page("fidelity", study=made.keys["digits"])
    assert not app.exception
    assert "Nobody has retrained this network" in texts(app).replace("\\", "")
    assert "What has not been checked" in texts(app)
    assert (
        table(app, "id", "badge", "reasons")["id"].tolist()
        == Store(made.home).load_study(made.keys["digits"]).test_index.tolist()
    )


def test_a_study_of_a_part_of_the_points_says_what_to_do(made, open_page, monkeypatch) -> None:
    study = Store(made.home).load_study(made.keys["digits"])
    truth = truth_of(study)
    whole = replace(truth, train_index=np.arange(1000), masks=half_subsets(1000, 40, 0), margins=truth.margins)
    monkeypatch.setattr(plane_view, "retrainings", lambda _sample: whole)
    monkeypatch.setattr(trust_view, "AT_ONCE_UP_TO", 10)
    app = open_page("fidelity", study=made.keys["digits"])
    said = texts(app).replace("\\", "")
    assert said.count("Run the study with all 1,000 training points") == 2, "below the plane and beside the badge"
    assert "have not been taken in yet" not in said


def test_stale_retrainings_are_a_sentence_and_not_the_end_of_the_page(made, open_page, monkeypatch) -> None:
    def stale(_sample: str) -> None:
        raise StoreCorrupted("The retraining truth of 'mnist-mlp' is stale.")

    monkeypatch.setattr(plane_view, "retrainings", stale)
    app = open_page("fidelity", study=made.keys["digits"])
    assert "is stale" in texts(app)
    assert "All measures" in texts(app)


def test_larger_studies_are_measured_when_asked_for(retrained, made, open_page, monkeypatch) -> None:
    monkeypatch.setattr(plane_view, "AT_ONCE_UP_TO", 10)
    app = open_page("fidelity", study=made.keys["digits"])
    assert "reaches the highest LDS" not in texts(app)
    app.button(key="measure_plane").click().run()
    assert not app.exception
    assert "reaches the highest LDS" in texts(app)


def test_the_badge_names_each_points_verdict_and_its_reasons(made, open_page) -> None:
    trust_view._badges.clear()
    app = open_page("fidelity", study=made.keys["digits_ck"])
    study = Store(made.home).load_study(made.keys["digits_ck"])
    rows = table(app, "id", "badge", "reasons").set_index("id")
    differ = study.test_index[study.logits_test.argmax(axis=1) != study.surrogate_logits.argmax(axis=1)]
    for point in differ.tolist():
        assert rows.loc[point, "badge"] == "do not use"
        assert "another class" in rows.loc[point, "reasons"]
    assert (rows["reasons"] != "").all()
    assert "trust" not in set(rows["badge"]), "30 points are too few to calibrate, so nobody is trusted"


def test_small_changes_are_looked_at_when_asked_for(made, open_page) -> None:
    trust_view._badges.clear()
    app = open_page("fidelity", study=made.keys["digits"])
    assert "perturbed_gap" not in table(app, "id", "badge").columns
    app.button(key="measure_changes").click().run()
    assert not app.exception
    assert "perturbed_gap" in table(app, "id", "badge").columns
    assert not [button for button in app.button if button.key == "measure_changes"]


def test_the_point_on_the_page_explain_has_its_badge(made, open_page) -> None:
    study = Store(made.home).load_study(made.keys["digits"])
    app = open_page("explain", study=study.key, point=int(study.test_index[2]))
    assert not app.exception
    assert "Does the surrogate speak for the network here?" in texts(app)
