"""The page Explain: the right point, the right class, and numbers that add up."""

import numpy as np
import pytest

from ntkviz.scores import scores_of
from ntkviz.studies.store import Store
from tests.pages.charts import chart, numbers, table
from tests.pages.conftest import texts

KINDS = ["digits", "digits_ck", "table", "text"]


def bars(app) -> dict[str, dict[int, tuple[float, float]]]:
    """The waterfall: trace -> row -> (base, value)."""
    return {
        trace["name"]: dict(zip(trace["y"], zip(numbers(trace["base"]), numbers(trace["x"]), strict=True), strict=True))
        for trace in chart(app, "waterfall")["data"]
        if trace["type"] == "bar"
    }


@pytest.fixture
def opened(made, open_page):
    """A page on a test point, on one of its tabs, and its study."""

    def go(kind: str, m: int = 0, tab: str = "Strongest shares", **memory: object):
        study = Store(made.home).load_study(made.keys[kind])
        app = open_page("explain", study=study.key, point=int(study.test_index[m]))
        app.session_state["explain_tab"] = tab
        for name, value in memory.items():
            app.session_state[name] = value
        return app.run(), study

    return go


def test_the_address_names_the_point(opened):
    app, study = opened("digits", 4)
    point = int(study.test_index[4])
    assert app.selectbox(key="_point").value == point
    assert (
        f"{point}: label {study.class_names[study.y_test[4]]}" in app.selectbox(key="_point").options[0]
        or point in app.dataframe[0].value["id"].tolist()
    )
    assert app.query_params["point"] == str(point)


def test_a_point_that_the_study_lacks_is_said_to_be_missing(made, open_page):
    app = open_page("explain", study=made.keys["digits"], point=999999)
    assert not app.exception
    assert "Test point 999999 is not in this study" in texts(app)


def test_the_first_point_shown_is_one_that_may_be_explained(made, open_page):
    app = open_page("explain", study=made.keys["digits"])
    assert any("Surrogate agrees" in str(element.value) for element in app.markdown)


@pytest.mark.parametrize("shown", ["all", "network wrong", "surrogate differs"])
@pytest.mark.parametrize("kind", ["digits", "table", "text"])
def test_filters_list_what_they_say(opened, kind, shown):
    app, study = opened(kind)
    app.button_group(key="_shown").set_value(shown).run()
    network, surrogate = scores_of(study.logits_test).predicted, scores_of(study.surrogate_logits).predicted
    wanted = {"all": network == network, "network wrong": network != study.y_test, "surrogate differs": network != surrogate}[
        shown
    ]
    if wanted.any():
        assert sorted(table(app, "id", "log-odds")["id"]) == study.test_index[wanted].tolist()
    else:
        assert "No test point fits these filters" in texts(app)


def test_the_class_filter_and_the_order_hold(opened):
    app, study = opened("digits")
    app.selectbox(key="_shown_class").set_value(3).run()
    rows = table(app, "id", "log-odds")
    assert sorted(rows["id"]) == study.test_index[study.y_test == 3].tolist()
    assert list(rows["log-odds"]) == sorted(rows["log-odds"])
    app.selectbox(key="_order").set_value("most sure first").run()
    assert list(table(app, "id", "log-odds")["log-odds"]) == sorted(rows["log-odds"], reverse=True)


@pytest.mark.parametrize("kind", KINDS)
def test_the_shares_of_the_table_add_up_to_the_surrogates_score(opened, kind):
    app, study = opened(kind, 2)
    label = int(scores_of(study.logits_test).predicted[2])
    shares = table(app, "training point", "share", "weight")
    assert len(shares) == study.n_train
    assert set(shares["training point"]) == set(study.train_index.tolist())
    total = shares["share"].sum() + study.surrogate.intercept[label]
    assert total == pytest.approx(study.surrogate_logits[2, label], rel=1e-9, abs=1e-9)
    np.testing.assert_allclose(shares["share"], shares["weight"] * shares["similarity"])


@pytest.mark.parametrize("kind", KINDS)
def test_the_waterfall_runs_from_zero_to_the_networks_logit(opened, kind):
    app, study = opened(kind, 1, "How it adds up")
    label = int(scores_of(study.logits_test).predicted[1])
    parts = bars(app)
    steps = {**parts.get("supports", {}), **parts.get("opposes", {})}
    at = 0.0
    for row in sorted(steps):
        assert steps[row][0] == pytest.approx(at, abs=1e-9)
        at += steps[row][1]
    totals = [value for _, value in (parts["total"][row] for row in sorted(parts["total"]))]
    assert at == pytest.approx(totals[0], abs=1e-9)
    assert totals[0] == pytest.approx(study.surrogate_logits[1, label], rel=1e-9)
    (base, gap) = next(iter(parts["not explained"].values()))
    logits = study.logits_test[1].astype(np.float64)
    assert base + gap == pytest.approx(totals[1], abs=1e-9)
    assert totals[1] == pytest.approx(logits[label] - logits.mean(), rel=1e-6)


def test_the_check_shows_its_number(opened):
    app, _ = opened("digits", 1, "How it adds up")
    rows = table(app, "part", "value")
    values = next(frame.value for frame in app.dataframe if "shares + intercept − score" in list(frame.value.iloc[:, 0]))
    parts = values["value"].tolist()
    assert parts[0] + parts[1] - parts[2] == pytest.approx(parts[3], abs=1e-12)
    assert abs(parts[3]) < 1e-9
    assert f"**{parts[3]:.1e}**" in texts(app)
    assert len(rows)


def test_a_contrast_explains_the_difference_of_two_scores(opened):
    app, study = opened("digits", 1, "How it adds up")
    label = int(scores_of(study.logits_test).predicted[1])
    other = (label + 1) % 10
    app.selectbox(key="_explain_against").set_value(other).run()
    scores, logits = study.surrogate_logits[1], study.logits_test[1].astype(np.float64)
    totals = [value for _, value in (bars(app)["total"][row] for row in sorted(bars(app)["total"]))]
    assert totals == pytest.approx([scores[label] - scores[other], logits[label] - logits[other]], rel=1e-6)
    assert f"{study.class_names[label]} rather than {study.class_names[other]}" in texts(app)


def test_another_point_starts_from_its_own_prediction(opened):
    app, study = opened("digits", 0)
    predicted = scores_of(study.logits_test).predicted
    m = int(np.flatnonzero(predicted != predicted[0])[0])
    app.selectbox(key="_explain_class").set_value(int(predicted[m] + 1) % 10).run()
    app.selectbox(key="_point").set_value(int(study.test_index[m])).run()
    assert app.selectbox(key="_explain_class").value == predicted[m]
    assert app.query_params["point"] == str(study.test_index[m])


def test_a_link_brings_its_own_question(made, open_page):
    study = Store(made.home).load_study(made.keys["digits"])
    label = (int(scores_of(study.logits_test).predicted[2]) + 3) % 10
    against = (label + 1) % 10
    point = int(study.test_index[2])
    app = open_page("explain", study=study.key, point=point, explain_class=label, explain_against=against)
    assert app.selectbox(key="_explain_class").value == label
    assert app.selectbox(key="_explain_against").value == against
    app.selectbox(key="_point").set_value(int(study.test_index[5])).run()
    assert app.selectbox(key="_explain_class").value == scores_of(study.logits_test).predicted[5]
    assert "explain_against" not in app.query_params


@pytest.mark.parametrize(
    "address", [{"explain_class": 77}, {"explain_class": -4, "explain_against": 12}, {"explain_against": "x"}]
)
def test_a_link_with_a_class_that_is_not_there_falls_back(made, open_page, address):
    study = Store(made.home).load_study(made.keys["digits"])
    app = open_page("explain", study=study.key, point=int(study.test_index[2]), **address)
    assert not app.exception
    assert app.selectbox(key="_explain_class").value == scores_of(study.logits_test).predicted[2]
    assert app.selectbox(key="_explain_against").value == -1


def test_the_slider_sets_how_many_examples_stand_on_each_side(opened):
    app, _ = opened("digits", 1)
    app.slider(key="_top").set_value(3).run()
    strong = [trace for trace in chart(app, "distribution")["data"] if "strongest" in trace.get("name", "")]
    assert len(strong[0]["x"] if isinstance(strong[0]["x"], list) else numbers(strong[0]["x"])) == 3
    assert "The 3 strongest supporters and 3 strongest opponents" in texts(app)


def test_half_and_four_fifths_are_counted(opened):
    app, _ = opened("digits", 1)
    size = np.sort(table(app, "training point", "share")["share"].abs())[::-1]
    app.session_state["explain_tab"] = "How many carry it"
    app.run()
    found = {metric.label: metric.value for metric in app.metric}
    reached = np.cumsum(size) / size.sum()
    assert found["Half of all |shares|"] == f"{int((reached < 0.5 - 1e-12).sum()) + 1:,} examples"
    assert found["80 %"] == f"{int((reached < 0.8 - 1e-12).sum()) + 1:,} examples"


@pytest.mark.parametrize("kind", KINDS)
def test_neighbours_are_the_largest_kernel_entries(opened, kind):
    app, study = opened(kind, 1, "Neighbours (kernel alone)")
    rows = table(app, "training point", "similarity", "weight")
    best = np.sort(study.rows[1])[::-1][: len(rows)]
    np.testing.assert_allclose(rows["similarity"], best)
    assert "another question" in texts(app)


@pytest.mark.parametrize("kind", KINDS)
def test_a_share_is_never_sold_as_the_effect_of_removal(opened, kind):
    app, _ = opened(kind)
    assert "It is **not** what would happen if the network were trained again without the example" in texts(app)


def test_where_the_surrogate_differs_the_page_says_do_not_use(opened, made):
    study = Store(made.home).load_study(made.keys["digits"])
    differ = np.flatnonzero(scores_of(study.logits_test).predicted != scores_of(study.surrogate_logits).predicted)
    if not len(differ):
        pytest.skip("the surrogate agrees everywhere on these points")
    app, _ = opened("digits", int(differ[0]))
    assert any("do not use" in str(element.value) for element in app.markdown)
    assert "an answer that the network did not give" in texts(app)
