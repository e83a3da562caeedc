"""The tab "Which layers" of Explain, and the concentration of removal effects beside them."""

import numpy as np
import pytest
import streamlit as st

from ntkviz.errors import NtkvizError
from ntkviz.explain.concentration import concentration
from ntkviz.scores import scores_of
from ntkviz.studies import layered
from ntkviz.studies.store import Store
from tests.pages.charts import alt, chart, numbers, table
from tests.pages.conftest import texts


@pytest.fixture
def asked(monkeypatch):
    """The layers are computed in this process; the requests are kept."""
    requests: list[dict] = []
    monkeypatch.setattr(layered, "_ask", lambda request: requests.append(request) or layered.answer(request)["layers"])
    st.cache_resource.clear()
    return requests


@pytest.fixture
def opened(made, open_page):
    def go(kind: str, m: int = 0, tab: str = "Which layers"):
        study = Store(made.home).load_study(made.keys[kind])
        app = open_page("explain", study=study.key, point=int(study.test_index[m]))
        app.session_state["explain_tab"] = tab
        return app.run(), study

    return go


def compute(app):
    return app.button(key="compute_layers").click().run()


def parts(app) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Sum of layers, intercept and total of each training example, as the table has them."""
    rows = table(app, "training point", "total").sort_values("training point")
    names = [name for name in rows.columns if str(name).startswith("layer ")]
    rest = rows["intercept"].to_numpy() if "intercept" in rows else np.zeros(len(rows))
    return rows[names].sum(axis=1).to_numpy(), rest, rows["total"].to_numpy()


@pytest.mark.parametrize("kind", ["digits", "table"])
def test_nothing_is_computed_before_it_is_asked_for_and_then_once(opened, asked, kind):
    app, study = opened(kind, 1)
    assert not app.exception
    assert not asked
    assert app.button(key="compute_layers").label.startswith("Compute layer shares (about ")
    app = compute(app)
    assert not app.exception
    assert [request["test"] for request in asked] == [int(study.test_index[1])]
    app.slider(key="_top").set_value(3).run()
    assert len(asked) == 1
    assert len(chart(app, "layers")["data"][1]["customdata"]) == 3
    assert not [button for button in app.button if button.key == "compute_layers"]


@pytest.mark.parametrize("kind", ["digits", "table"])
def test_layers_add_up_to_what_the_study_says(opened, asked, kind):
    app, study = opened(kind, 1)
    app = compute(app)
    order = np.argsort(study.train_index)
    label = int(scores_of(study.logits_test).predicted[1])
    layers, rest, total = parts(app)
    np.testing.assert_allclose(layers + rest, total, atol=1e-4 * np.abs(total).max() + 1e-9)  # solved by iteration
    assert rest.any()  # the default is the removal effect, which has an intercept
    app.button_group(key="_layers_of").set_value("share").run()
    layers, rest, total = parts(app)
    np.testing.assert_allclose(layers, total, atol=1e-5 * np.abs(total).max())
    one = len(study.surrogate.weights) == 1
    weight = study.surrogate.weights[0] * (2 * label - 1) if one else study.surrogate.weights[label]
    np.testing.assert_allclose(total, (weight * study.rows[1])[order], rtol=1e-6)
    app.button_group(key="_layers_of").set_value("similarity").run()
    layers, _, total = parts(app)
    np.testing.assert_allclose(layers, study.rows[1][order], atol=1e-5)
    assert f"test point {study.test_index[1]}" in alt(app, "layers")
    assert len(asked) == 1


def test_the_removal_effects_are_those_of_the_first_tab(opened, asked):
    app, study = opened("digits", 2, "Which examples matter")
    effects = dict(
        zip(*(table(app, "training point", "removal effect")[c] for c in ("training point", "removal effect")), strict=True)
    )
    app.session_state["explain_tab"] = "Which layers"
    app = compute(app.run())
    rows = table(app, "training point", "total")
    np.testing.assert_allclose(
        rows["total"], [effects[i] for i in rows["training point"]], atol=1e-4 * np.abs(rows["total"]).max()
    )
    assert len(rows) == study.n_train


@pytest.mark.parametrize("kind", ["digits_ck", "text"])
def test_a_kernel_without_layers_says_which_have_and_norms_are_shown_all_the_same(opened, asked, kind):
    app, _ = opened(kind)
    assert not app.exception
    assert "is not a sum over layers" in texts(app)
    assert "Trace NTK" in texts(app)
    assert not [button for button in app.button if button.key == "compute_layers"]
    assert chart(app, "norm_angle")


def test_an_error_is_a_sentence_and_leaves_the_rest_of_the_tab(opened, monkeypatch):
    def fail(_: dict) -> list[str]:
        raise NtkvizError("The layers of this kernel row were not computed within 600 s.")

    st.cache_resource.clear()
    monkeypatch.setattr(layered, "_ask", fail)
    app, _ = opened("digits")
    app = compute(app)
    assert not app.exception
    assert "not computed within 600 s" in "".join(str(error.value).replace("\\", "") for error in app.error)
    assert chart(app, "norm_angle")


def test_norm_and_angle_are_those_of_the_stored_kernel(opened, made):
    app, study = opened("digits", 4)
    blocks = Store(made.home).load_kernel(study.kernel_key).blocks
    rows = table(app, "raw kernel", "cosine", "norm")
    best = np.argsort(-blocks.rows[4], kind="stable")[: len(rows)]
    assert rows["training point"].tolist() == study.train_index[best].tolist()
    np.testing.assert_allclose(rows["raw kernel"], blocks.rows[4][best])
    np.testing.assert_allclose(rows["norm"], np.sqrt(blocks.train_diagonal[best]))
    np.testing.assert_allclose(rows["cosine"], study.rows[4][best], atol=1e-5)
    drawn = sum(len(numbers(trace["x"])) for trace in chart(app, "norm_angle")["data"] if trace["mode"] == "markers")
    assert drawn == study.n_train
    by_norm = int((rows["near by"] == "norm").sum())
    assert ("the angle alone decides" in alt(app, "norm_angle")) == (by_norm == 0)


@pytest.mark.parametrize("kind", ["digits", "text"])
def test_the_concentration_of_removal_effects_stands_below_them(opened, kind):
    app, study = opened(kind, 1, "Which examples matter")
    effects = table(app, "training point", "removal effect")["removal effect"].to_numpy()
    c = concentration(effects)
    found = {metric.label: metric.value for metric in app.metric}
    assert found["Half of all |effects|"] == f"{c.n50:,} examples"
    assert found["Effective number"] == f"{c.participation_ratio:,.0f} of {study.n_train:,}"
    assert found["Cancellation"] == f"{100 * c.cancellation:.1f} %"
    marks = next(trace for trace in chart(app, "removal_cumulative")["data"] if "50, 80, 95" in trace["name"])
    assert numbers(marks["x"]).tolist() == [c.n50, c.n80, c.n95]
