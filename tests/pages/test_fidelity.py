"""The page "Can I trust it?": figures with intervals, points, disagreements, other surrogates, and what was not checked."""

import numpy as np
import pytest

from ntkviz.scores import scores_of
from ntkviz.studies.store import Store
from ntkviz.ui import fidelity_view
from tests.pages.charts import chart, numbers, table
from tests.pages.conftest import texts


def dots(spec: dict) -> dict[int, tuple[float, float]]:
    """The points of the scatter by id, without lines and rings."""
    found = {}
    for trace in spec["data"]:
        if "class, network" in trace.get("name", ""):
            for row, x, y in zip(trace["customdata"], numbers(trace["x"]), numbers(trace["y"]), strict=True):
                found[row[0]] = (x, y)
    return found


@pytest.mark.parametrize("kind", ["digits", "table", "text"])
def test_scatter_has_every_test_point_at_its_log_odds(made, open_page, kind):
    app = open_page("fidelity", study=made.keys[kind])
    study = Store(made.home).load_study(made.keys[kind])
    drawn = dots(chart(app, "log_odds"))
    assert sorted(drawn) == study.test_index.tolist()
    each = np.arange(study.n_test), study.y_test
    network, surrogate = scores_of(study.logits_test).log_odds[each], scores_of(study.surrogate_logits).log_odds[each]
    for m, point in enumerate(study.test_index.tolist()):
        assert drawn[point] == pytest.approx((network[m], surrogate[m]), rel=1e-6)


def test_headline_and_measures_are_those_of_the_study(made, open_page):
    app = open_page("fidelity", study=made.keys["digits"])
    found = Store(made.home).load_study(made.keys["digits"]).fidelity
    assert any(f"tau {found.kendall_tau:.2f}" in str(block.value).replace("\\", "") for block in app.markdown)
    rows = table(app, "measure", "value", "low", "high", "points").set_index("measure")
    assert rows.loc["Kendall's tau", "value"] == pytest.approx(found.kendall_tau)
    assert tuple(rows.loc["Kendall's tau", ["low", "high"]]) == pytest.approx(found.intervals["kendall_tau"])
    assert rows.loc["Shared errors", "points"] == found.counts["r_miss"]
    assert {"Test accuracy difference", "Agreement", "Shared errors, Jaccard", "Chance of the shared errors"} <= set(rows.index)


def test_what_nobody_checked_is_said(made, open_page):
    app = open_page("fidelity", study=made.keys["digits"])
    assert "What has not been checked" in texts(app)
    assert "counterfactual truth" in texts(app)


@pytest.mark.parametrize(("kind", "words"), [("digits", "re-learns the labels"), ("digits_ck", "imitates the network")])
def test_what_the_surrogate_was_fitted_to_is_said(made, open_page, kind, words):
    app = open_page("fidelity", study=made.keys[kind])
    assert any(words in str(badge.value) for badge in app.get("markdown"))


@pytest.mark.parametrize("kind", ["digits", "table", "text"])
def test_disagreements_are_exactly_the_points_with_another_class(made, open_page, kind):
    app = open_page("fidelity", study=made.keys[kind])
    study = Store(made.home).load_study(made.keys[kind])
    differ = scores_of(study.logits_test).predicted != scores_of(study.surrogate_logits).predicted
    if differ.any():
        assert sorted(app.dataframe(key="disagreements").value["id"]) == study.test_index[differ].tolist()
    else:
        assert "name the same class for all" in texts(app)


def test_a_clicked_point_is_shown_ringed_and_leads_to_its_explanation(made, open_page):
    app = open_page("fidelity", study=made.keys["digits"])
    point = int(Store(made.home).load_study(made.keys["digits"]).test_index[3])
    app.session_state["point"] = point  # what the click's callback does
    app.run()
    assert f"Test point {point}" in texts(app)
    ring = [trace for trace in chart(app, "log_odds")["data"] if trace.get("name") == "selected"]
    assert [trace["customdata"][0][0] for trace in ring] == [point]
    assert not app.exception
    app.button(key="close_point").click().run()
    assert f"Test point {point}" not in texts(app)


def test_other_surrogates_are_fitted_on_the_page(made, open_page):
    app = open_page("fidelity", study=made.keys["digits"])
    assert "Only one surrogate so far" in texts(app)
    app.button(key="fit_now").click().run()
    assert not app.exception
    rows = table(app, "surrogate", "what it does").set_index("surrogate")
    assert len(rows) == 6
    assert list(rows.index[rows["what it does"] == "imitates the network"]) == ["Kernel ridge on the network's logits"]
    assert (rows["from"] == "this study").sum() == 1
    study = Store(made.home).load_study(made.keys["digits"])
    assert rows.loc["Kernel GLM (converged)", "τ"] == pytest.approx(study.fidelity.kendall_tau)
    titles = [note["text"] for note in chart(app, "log_odds_panels")["layout"]["annotations"]]
    assert len(titles) == 6


def test_fitting_on_the_page_stops_at_a_size(made, open_page, monkeypatch):
    monkeypatch.setattr(fidelity_view, "FIT_UP_TO", 10)
    app = open_page("fidelity", study=made.keys["digits"])
    assert "up to 10 training points" in texts(app)
    assert not [button for button in app.button if button.key == "fit_now"]


def test_class_by_class_counts_every_test_point(made, open_page):
    app = open_page("fidelity", study=made.keys["digits"])
    assert table(app, "class", "points", "τ within the class")["points"].sum() == 30
    cells = [
        numbers([[v or 0 for v in row] for row in trace["z"]])
        for trace in chart(app, "confusion")["data"]
        if trace["type"] == "heatmap"
    ]
    assert sum(cell.sum() for cell in cells) == 30
