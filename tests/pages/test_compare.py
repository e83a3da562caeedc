"""The page Compare: two to six studies in one view."""

from dataclasses import replace

import numpy as np
import pytest

from ntkviz.embed.align import align
from ntkviz.explain.neighbours import neighbours
from ntkviz.fidelity.paired import drawn, gap
from ntkviz.kernels import diagnostics
from ntkviz.studies.pipeline import run_study
from ntkviz.studies.spec import StudySpec
from ntkviz.studies.store import Store
from ntkviz.studies.sweep import Sweep, load_sweep, sweep_folder
from ntkviz.studies.sweep_run import run_sweep
from ntkviz.ui import compare_maps, sweep_view
from tests.pages.charts import alt, chart, numbers, table
from tests.pages.conftest import texts
from tests.pages.made import SPECS


@pytest.fixture
def store(made) -> Store:
    return Store(made.home)


def words(app) -> str:
    return texts(app).replace("\\", "")


def tab(app, name: str):
    app.session_state["compare_tab"] = name
    return app.run()


def address(*keys: str) -> str:
    return ".".join(key[:12] for key in keys)


def test_one_study_alone_is_told_how_to_get_a_second(made, open_page):
    app = open_page("compare", study=made.keys["table"], compare=address(made.keys["table"]))
    assert not app.exception
    assert "Choose a second study" in words(app)
    assert not [chart for chart in app.get("plotly_chart") if "pareto" in chart.proto.id]


def test_the_only_study_of_a_home_is_told_to_run_another(home, open_page):
    key = run_study(SPECS["table"], store=Store(home)).key
    app = open_page("compare", study=key)
    assert not app.exception
    assert "There is one finished study" in words(app)


def test_by_default_the_studies_of_the_same_model_and_points_are_compared(made, open_page, store):
    app = open_page("compare", study=made.keys["digits"])
    assert not app.exception
    assert app.multiselect(key="_compare").value == [made.keys[name][:12] for name in ("digits", "digits_ck")]
    dots = [trace for trace in chart(app, "pareto")["data"] if trace["mode"] == "markers"]
    for name, dot in zip(("digits", "digits_ck"), dots, strict=True):
        study = store.load_study(made.keys[name])
        assert dot["y"] == [pytest.approx(study.fidelity.kendall_tau)]
        assert dot["x"] == [pytest.approx(sum(study.seconds.values()))]
    assert "On the front" in alt(app, "pareto")


def test_the_conclusion_is_that_of_paired_differences(made, open_page, store):
    app = open_page("compare", study=made.keys["digits"])
    studies = [store.load_study(made.keys[name]) for name in ("digits", "digits_ck")]
    values = [drawn("kendall_tau", one.logits_test, one.surrogate_logits, one.y_test) for one in studies]
    first, second = sorted(values, key=lambda one: -one.value)
    ahead = gap(first, second)
    row = table(app, "study", "behind the best", "told apart").iloc[1]
    assert row["behind the best"] == pytest.approx(ahead.value)
    assert row["told apart"] == ahead.clear
    assert ("told apart from" if ahead.clear else "cannot be told apart") in words(app)


def test_only_what_differs_in_the_specifications_is_listed(made, open_page):
    app = open_page("compare", study=made.keys["digits"])
    columns = set(table(app, "study", "kernel", "surrogate").columns)
    assert not columns & {"n_train", "seed", "normalize", "network and data"}
    again = table(app, "study", "τ", "R²")
    assert len(again) == 2


def test_memory_can_be_the_cost_and_agreement_the_measure(made, open_page, store):
    app = open_page("compare", study=made.keys["digits"])
    app.button_group(key="_compare_cost").set_value("peak_mb").run()
    app.button_group(key="_compare_measure").set_value("agreement").run()
    dot = next(trace for trace in chart(app, "pareto")["data"] if trace["mode"] == "markers")
    study = store.load_study(made.keys["digits"])
    assert (dot["x"][0], dot["y"][0]) == pytest.approx((study.peak_mb, study.fidelity.agreement))


def test_matrices_spectra_and_cka_are_those_of_the_kernels(made, open_page, store):
    app = tab(open_page("compare", study=made.keys["digits"]), "Matrices and spectra")
    assert not app.exception
    assert len([trace for trace in chart(app, "compare_panels")["data"] if trace["type"] == "heatmap"]) == 2
    first, second = (store.load_study(made.keys[name]).kernel for name in ("digits", "digits_ck"))
    assert numbers(chart(app, "compare_cka")["data"][0]["z"])[0, 1] == pytest.approx(diagnostics.cka(first, second), abs=1e-6)
    assert len(chart(app, "eigenvalues_first_100")["data"]) == 2


def test_maps_are_laid_over_the_first_and_the_selection_is_on_both(made, open_page, store):
    first, second = (store.load_study(made.keys[name]) for name in ("digits", "digits_ck"))
    app = open_page("compare", study=first.key, point=int(first.test_index[3]))
    app = tab(app, "Maps")
    assert not app.exception
    maps = [compare_maps.maps.make_map(one, "kernel_pca", size=15, seed=0).embedding for one in (first, second)]
    laid = align(maps[1].points, maps[0].points, maps[1].test_points)
    traces = chart(app, compare_maps.CHART)["data"]
    drawn_there = {
        dot[0]: xy
        for trace in traces
        if trace.get("xaxis") == "x2" and trace["type"] == "scattergl"
        for dot, xy in zip(trace["customdata"], zip(numbers(trace["x"]), numbers(trace["y"]), strict=True), strict=True)
    }
    np.testing.assert_allclose([drawn_there[f"train:{i}"] for i in second.train_index], laid.points, atol=1e-4)
    assert f"residual {laid.residual:.2f}" in alt(app, compare_maps.CHART)
    stars = [trace for trace in traces if trace["name"] == "selected point"]
    assert len(stars) == 2
    rings = [trace for trace in traces if trace["name"] == "its nearest in the kernel's space"]
    for one, ring in zip((first, second), rings, strict=True):
        nearest = one.train_index[neighbours(one.rows[3:4], 8).indices[0]]
        assert {row[0] for row in ring["customdata"]} == {f"train:{i}" for i in nearest}
    moved = table(app, "training point", "moved, mean")
    assert moved["moved, mean"].iloc[0] == pytest.approx(laid.moved.max())


def test_overlap_of_neighbours_is_counted_and_chance_is_said(made, open_page, store):
    app = tab(open_page("compare", study=made.keys["digits"]), "Neighbours")
    assert not app.exception
    first, second = (neighbours(store.load_study(made.keys[name]).rows, 10).indices for name in ("digits", "digits_ck"))
    shared = np.array([len(set(a) & set(b)) / 10 for a, b in zip(first, second, strict=True)])
    assert numbers(chart(app, "overlap")["data"][0]["z"])[0, 1] == pytest.approx(shared.mean())
    assert "k / N = 10 / 60" in alt(app, "overlap")
    apart = table(app, "test point", "overlap, mean of pairs")
    assert apart["overlap, mean of pairs"].iloc[0] == pytest.approx(shared.min())
    app.slider(key="_compare_k").set_value(3).run()
    assert "k / N = 3 / 60" in alt(app, "overlap")


def test_six_studies_of_one_model_fit_in_one_view_and_twins_share_a_panel(made, open_page, store):
    base = SPECS["digits"]
    keys = [made.keys["digits"], made.keys["digits_ck"]]
    for spec in (
        replace(base, surrogate="ridge"),
        replace(base, normalize=False, surrogate="ridge"),
        replace(base, kernel="inputs", surrogate="klr"),
        replace(base, kernel="em", surrogate="klr"),
    ):
        keys.append(run_study(spec, store=store).key)
    app = open_page("compare", study=keys[0], compare=address(*keys))
    assert not app.exception
    dots = [trace for trace in chart(app, "pareto")["data"] if trace["mode"] == "markers"]
    assert len(dots) == 6
    assert len({dot["name"] for dot in dots}) == 6
    assert sum("(control)" in dot["name"] for dot in dots) == 1
    app = tab(app, "Matrices and spectra")
    assert len([trace for trace in chart(app, "compare_panels")["data"] if trace["type"] == "heatmap"]) == 5
    assert "1 share a kernel with another" in words(app)
    assert not tab(app, "Maps").exception


def test_another_network_on_the_same_points_is_compared_in_full(made, open_page, store):
    other = run_study(StudySpec(sample="mnist-cnn", kernel="ck", surrogate="ridge", n_train=60, n_test=30), store=store)
    app = open_page("compare", study=made.keys["digits"], compare=address(made.keys["digits"], other.key))
    assert not app.exception
    assert "another network on the same points; everything can be compared" in words(app)
    assert not tab(app, "Maps").exception
    app = tab(app, "Neighbours")
    mine, theirs = (neighbours(one.rows, 10).indices for one in (store.load_study(made.keys["digits"]), other))
    shared = np.mean([len(set(a) & set(b)) / 10 for a, b in zip(mine, theirs, strict=True)])
    assert numbers(chart(app, "overlap")["data"][0]["z"])[0, 1] == pytest.approx(shared)


def test_studies_of_other_points_are_not_paired_and_it_is_said(made, open_page):
    app = open_page("compare", study=made.keys["digits"], compare=address(made.keys["digits"], made.keys["table"]))
    assert not app.exception
    assert "other test points" in words(app)
    rows = table(app, "study", "behind the best", "told apart")
    assert rows["behind the best"].isna().sum() == 1
    assert "Told apart?" not in words(app)
    assert "when two different kernels of the same points are chosen" in words(tab(app, "Maps"))


def test_other_training_points_leave_imitation_only(made, open_page, store):
    fewer = run_study(replace(SPECS["digits"], n_train=40, surrogate="ridge"), store=store)
    app = open_page("compare", study=made.keys["digits"], compare=address(made.keys["digits"], fewer.key))
    assert not app.exception
    assert "the same test points, other training points" in words(app)
    assert "Told apart?" in words(app)
    assert "of other training points" in words(tab(app, "Matrices and spectra"))


def test_a_link_restores_the_choice_and_nonsense_in_it_is_dropped(made, open_page):
    chosen = address(made.keys["digits_ck"], made.keys["table"])
    app = open_page("compare", study=made.keys["digits"], compare=chosen)
    assert app.multiselect(key="_compare").value == chosen.split(".")
    app = open_page("compare", study=made.keys["digits"], compare="../../etc.passwd")
    assert not app.exception
    assert app.multiselect(key="_compare").value == [made.keys[name][:12] for name in ("digits", "digits_ck")]


def test_a_sweep_that_was_computed_is_shown(made, open_page, store, monkeypatch):
    study = store.load_study(made.keys["table"])
    asked = Sweep(study.spec.subject_id, study.key, dims=(64, 128), n_seeds=2, n_train=40, n_test=20)
    app = tab(open_page("compare", study=study.key), "Projection size")
    assert not app.exception
    assert "No sweep of this network yet" in words(app)
    run_sweep(asked, home=made.home)
    app = tab(open_page("compare", study=study.key), "Projection size")
    assert not app.exception
    _, found = load_sweep(sweep_folder(made.home, asked))
    rows = table(app, "size", "error", "τ")
    np.testing.assert_allclose(rows["error"], found.error.mean(axis=1))
    assert "2 seeds" in alt(app, "sweep")
    assert sweep_view.sweep_table(found).shape == (2, 12)
