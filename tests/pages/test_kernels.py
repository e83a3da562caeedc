"""The page Kernels: kernels of the same points side by side."""

from dataclasses import replace

import numpy as np
import pytest

from ntkviz.kernels import diagnostics
from ntkviz.kernels.registry import kernels
from ntkviz.studies.pipeline import run_study
from ntkviz.studies.store import Store
from ntkviz.ui import coverage_view, kernel_facts, quick
from ntkviz.ui.address import SHORT_KEY
from tests.pages.charts import alt, chart, numbers, table
from tests.pages.conftest import texts
from tests.pages.made import SPECS


@pytest.fixture
def launched(monkeypatch):
    """The studies that the page would have started."""
    specs = []
    monkeypatch.setattr(quick, "launch", specs.extend)
    return specs


def test_every_finished_kernel_of_the_same_points_has_a_panel(made, open_page):
    app = open_page("kernels", study=made.keys["digits"])
    panels = [trace for trace in chart(app, "kernel_panels")["data"] if trace["type"] == "heatmap"]
    assert len(panels) == 2
    words = [note["text"] for note in chart(app, "kernel_panels")["layout"]["annotations"]]
    assert any("Trace NTK" in text for text in words)
    assert any("Conjugate kernel" in text for text in words)


def test_panels_are_sorted_by_class(made, open_page):
    app = open_page("kernels", study=made.keys["digits"])
    study = Store(made.home).load_study(made.keys["digits"])
    order = np.argsort(study.y_train, kind="stable")
    drawn = numbers(chart(app, "kernel_panels")["data"][0]["z"])
    np.testing.assert_allclose(drawn, study.kernel[np.ix_(order, order)], atol=1e-6)


def test_raw_form_shows_the_kernel_before_normalisation(made, open_page):
    app = open_page("kernels", study=made.keys["digits"])
    app.button_group(key="_kernel_form").set_value("raw").run()
    run = Store(made.home).load_kernel(Store(made.home).load_study(made.keys["digits"]).kernel_key)
    order = np.argsort(run.y_train, kind="stable")
    drawn = numbers(chart(app, "kernel_panels")["data"][0]["z"])
    np.testing.assert_allclose(drawn, run.blocks.train[np.ix_(order, order)], rtol=1e-5)


def test_the_table_has_the_figures_of_the_diagnostics(made, open_page):
    app = open_page("kernels", study=made.keys["digits"])
    study = Store(made.home).load_study(made.keys["digits"])
    row = table(app, "kernel", "effective rank").set_index("kernel").loc["Trace NTK"]
    assert row["effective rank"] == pytest.approx(diagnostics.spectrum(study.kernel).effective_rank)
    assert row["alignment (centred)"] == pytest.approx(diagnostics.alignment(study.kernel, study.y_train).centred)
    assert row["seconds"] == pytest.approx(study.seconds["kernel"])
    assert row["imitation τ"] == pytest.approx(study.fidelity.kendall_tau)


def test_imitation_is_left_empty_where_no_study_has_this_surrogate(made, open_page):
    app = open_page("kernels", study=made.keys["digits"])
    rows = table(app, "kernel", "imitation τ").set_index("kernel")
    assert np.isnan(float(rows.loc["Conjugate kernel", "imitation τ"]))  # its only study has ridge on logits


def test_cka_of_both_kernels_is_drawn(made, open_page):
    app = open_page("kernels", study=made.keys["digits"])
    first, second = (Store(made.home).load_study(made.keys[name]).kernel for name in ("digits", "digits_ck"))
    drawn = numbers(chart(app, "cka")["data"][0]["z"])
    assert drawn[0, 1] == pytest.approx(diagnostics.cka(first, second), abs=1e-6)


def test_missing_baselines_are_queued_with_the_same_points(made, open_page, launched):
    app = open_page("kernels", study=made.keys["text"])
    assert "Only one kernel of these points is finished" in texts(app)
    app.button(key="queue_baselines").click().run()
    assert [spec.kernel for spec in launched] == ["inputs", "em"]
    study = Store(made.home).load_study(made.keys["text"])
    assert {(spec.n_train, spec.n_test, spec.seed, spec.surrogate) for spec in launched} == {
        (study.n_train, study.n_test, 0, "ridge")
    }


def test_a_kernel_left_out_is_not_drawn(made, open_page):
    app = open_page("kernels", study=made.keys["digits"])
    keep = Store(made.home).load_study(made.keys["digits_ck"]).kernel_key
    app.button_group(key="_kernels_shown").set_value([keep[:SHORT_KEY]]).run()
    assert len([t for t in chart(app, "kernel_panels")["data"] if t["type"] == "heatmap"]) == 1
    assert list(table(app, "kernel", "effective rank")["kernel"]) == ["Conjugate kernel"]


def test_what_the_kernels_are_comes_from_the_registry(made, open_page):
    app = open_page("kernels", study=made.keys["digits"])
    assert any(kernels()["trntk"].formula in str(block.value) for block in app.latex)
    assert kernels()["trntk"].caveat in texts(app)


@pytest.mark.parametrize("kind", ["digits", "table", "text"])
def test_every_chart_says_what_it_shows_in_figures(made, open_page, kind):
    app = open_page("kernels", study=made.keys[kind])
    for key in ("kernel_panels", "eigenvalues_first_100", "effective_rank", "alignment", "class_similarity", "cost"):
        assert any(letter.isdigit() for letter in alt(app, key)), key


def test_how_each_parameter_is_computed_is_said_and_tabled(made, open_page):
    app = open_page("kernels", study=made.keys["digits"])
    rows = table(app, "parameter", "entries", "path", "why")
    total = sum(p["size"] for p in Store(made.home).load_study(made.keys["digits"]).self_check["parameters"])
    assert rows["entries"].sum() == total
    assert set(rows["path"]) == {"structured"}
    sentence = f"{total:,} of {total:,} parameters are computed from the factors of their layers; none goes another way."
    assert sentence in texts(app)


def test_other_ways_are_counted():
    rows = [{"size": 1000, "path": "structured"}, {"size": 20, "path": "vmap"}, {"size": 3, "path": "unused"}]
    sentence = coverage_view.covered_sentence(rows)
    assert sentence.startswith("1,000 of 1,023 parameters are computed from the factors of their layers; 20 from gradients")
    assert sentence.endswith("3 not at all, because no logit depends on them.")


def test_a_study_from_before_parameters_were_counted_still_opens(made, open_page):
    store = Store(made.home)
    run = store.load_kernel(store.load_study(made.keys["digits"]).kernel_key)
    old = {name: value for name, value in run.self_check.items() if name != "parameters"}
    store.discard(made.home / "kernels" / run.key)
    store.save_kernel(replace(run, self_check=old))
    app = open_page("kernels", study=made.keys["digits"])
    assert not app.exception
    assert "made before parameters were counted" in texts(app)
    assert len(chart(app, "kernel_panels")["data"]) >= 1


def test_a_pseudo_kernel_says_whether_its_readout_cancels(made, open_page):
    key = run_study(replace(SPECS["digits"], kernel="pntk"), store=Store(made.home)).key
    (note,) = Store(made.home).load_kernel(Store(made.home).load_study(key).kernel_key).blocks.notes
    app = open_page("kernels", study=key)
    assert f"Pseudo NTK. {note}" in texts(app).replace("\\", "").replace("*", "")


def test_eigenvalues_are_computed_once_and_kept_with_the_kernel(made, open_page, monkeypatch):
    key = made.keys["digits"]
    before = table(open_page("kernels", study=key), "kernel", "effective rank")
    assert len(list((made.home / "facts").iterdir())) == len(before)
    kernel_facts._facts.clear()
    with monkeypatch.context() as patched:
        patched.setattr(kernel_facts.diagnostics, "spectrum", lambda *_: pytest.fail("computed again"))
        assert table(open_page("kernels", study=key), "kernel", "effective rank").equals(before)


@pytest.mark.parametrize("kind", ["digits", "text"])
def test_the_pairs_of_two_classes_are_those_most_alike(made, open_page, kind):
    app = open_page("kernels", study=made.keys[kind], pair_first="1", pair_second="0")
    study = Store(made.home).load_study(made.keys[kind])
    pairs, values = diagnostics.closest_pairs(study.kernel, study.y_train, 1, 0)
    rows = table(app, "its id", "similarity")
    np.testing.assert_array_equal(rows[["id", "its id"]], study.train_index[pairs])
    np.testing.assert_allclose(rows["similarity"], values)
    app.button(key="choose_pairs").click().run()
    assert not app.exception
    assert app.session_state["train_set"] == np.unique(study.train_index[pairs]).tolist()


def test_without_a_wish_the_classes_most_alike_are_shown(made, open_page):
    app = open_page("kernels", study=made.keys["digits"])
    study = Store(made.home).load_study(made.keys["digits"])
    similarity = diagnostics.class_similarity(study.kernel, study.y_train, n_classes=len(study.class_names))
    np.fill_diagonal(similarity, -np.inf)
    first, second = app.selectbox(key="_pair_first").value, app.selectbox(key="_pair_second").value
    assert similarity[first, second] == np.nanmax(similarity)
