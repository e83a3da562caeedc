import pytest

from ntkviz.errors import BudgetExceeded
from ntkviz.kernels.budget import Chosen
from ntkviz.kernels.registry import kernels
from ntkviz.studies import budget, costs
from ntkviz.studies import quote as quote_module
from ntkviz.studies.cost import RATE, SURROGATES
from ntkviz.studies.pipeline import STAGES, run_study
from ntkviz.studies.quote import quote, quote_at_once
from ntkviz.studies.spec import InvalidStudy
from ntkviz.surrogates.registry import surrogates


@pytest.fixture(autouse=True)
def _known_machine(monkeypatch):
    monkeypatch.setattr(quote_module, "gemm_rate", lambda: RATE)


def test_the_quote_is_the_sum_of_its_stages_and_of_its_studies(spec, home):
    found = quote([spec(), spec(surrogate="klr"), spec(kernel="ck")], home=home)
    assert tuple(found.per_stage) == STAGES
    assert len(found.per_spec) == 3
    assert found.seconds == pytest.approx(sum(found.per_stage.values()))
    assert found.seconds == pytest.approx(sum(sum(stages.values()) for stages in found.per_spec))
    assert "GFLOP/s" in found.basis
    assert "MB of memory" in found.sentence()


@pytest.mark.parametrize("kind", [key for key, info in kernels().items() if info.block == "point"])
def test_more_points_never_cost_less(home, spec, kind):
    """For every kernel: seconds, memory and disk grow with N and with M."""
    options = {"n_mixes": 2} if kind == "class_sketch_trntk" else {}  # its default is more than the three classes
    last = quote([spec(kernel=kind, kernel_options=options, n_train=20, n_test=10)], home=home)
    for n, m in ((60, 10), (60, 60), (240, 90)):
        found = quote([spec(kernel=kind, kernel_options=options, n_train=n, n_test=m)], home=home)
        assert found.seconds > last.seconds
        assert found.memory_mb > last.memory_mb
        assert found.disk_mb > last.disk_mb
        last = found


def test_a_second_surrogate_on_the_same_kernel_pays_the_kernel_once(spec, home):
    both = quote([spec(), spec(surrogate="klr")], home=home)
    assert both.per_spec[0]["kernel"] > 0
    assert both.per_spec[1]["kernel"] == 0
    assert both.per_spec[1]["surrogate"] > 0


def test_what_is_stored_costs_nothing(spec, home, store):
    run_study(spec(), store=store)
    again = quote([spec(), spec(surrogate="klr")], home=home)
    assert again.n_stored == 1
    assert set(again.per_spec[0].values()) == {0.0}
    assert again.per_spec[1]["kernel"] == again.per_spec[1]["load"] == 0
    assert "1 of 2 are stored" in again.sentence()
    assert again.disk_mb < quote([spec(seed=1)], home=home).disk_mb


def test_a_slower_machine_is_quoted_more(spec, home, store, monkeypatch):
    run_study(spec(), store=store)
    fast = quote([spec(surrogate="klr")], home=home)
    monkeypatch.setattr(quote_module, "gemm_rate", lambda: RATE / 2)
    assert quote([spec(surrogate="klr")], home=home).seconds > fast.seconds


def test_memory_beyond_the_limit_is_refused_with_figures(spec, home, monkeypatch):
    monkeypatch.setenv("NTKVIZ_MEMORY_MB", "50")
    with pytest.raises(BudgetExceeded, match=r"50 MB are allowed.*fewer training points"):
        quote([spec()], home=home).require_budget(home)
    monkeypatch.setenv("NTKVIZ_MEMORY_MB", "a lot")
    with pytest.raises(BudgetExceeded, match="positive number"):
        quote([spec()], home=home)


def test_a_full_disk_is_refused_with_figures(spec, home, monkeypatch):
    import shutil

    usage = shutil.disk_usage(home)._replace(free=1000)
    monkeypatch.setattr(quote_module.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(BudgetExceeded, match="on the disk of"):
        quote([spec()], home=home).require_budget(home)


def test_every_surrogate_has_its_own_constants():
    assert set(SURROGATES) == set(surrogates())


def test_where_nobody_waits_there_is_a_quote_only_of_what_was_measured(spec, home, monkeypatch):
    monkeypatch.setattr(costs, "_known", {})
    assert quote_at_once([spec()], home=home) is None
    found = quote([spec()], home=home)
    assert quote_at_once([spec(n_train=60)], home=home) is not None
    assert quote_at_once([spec()], home=home) == found
    assert quote_at_once([spec(kernel="pntk")], home=home) is None


def test_a_budget_that_is_wide_leaves_the_kernel_exact_and_says_so(spec, home, store):
    found = quote([spec(budget_seconds=1e6)], home=home)
    assert found.per_stage["kernel"] == quote([spec()], home=home).per_stage["kernel"]
    assert "exact trace NTK fits in the budget" in found.sentence()
    study = run_study(spec(budget_seconds=1e6), store=store)
    assert study.key == spec().key(home=home)
    assert any("exact trace NTK fits" in note for note in study.notes)


def test_a_budget_that_is_narrow_takes_a_sketch_and_says_so(spec, home, store, monkeypatch):
    """Only the pseudo NTK is quick here."""
    monkeypatch.setattr(
        budget, "choose", lambda seconds, choices, seconds_of: Chosen(choices[-1], seconds_of(choices[-1]), 1e3, seconds)
    )
    asked = spec(budget_seconds=5.0)
    found = quote([asked], home=home)
    assert "The exact trace NTK would take about 17 min, more than the budget of 5.0 s; chosen instead" in found.sentence()
    study = run_study(asked, store=store)
    assert study.spec.kernel == "pntk"
    assert study.spec.budget_seconds is None
    assert any("chosen instead" in note for note in study.notes)
    assert any("chosen instead" in note for note in store.load_study(study.key).notes)


def test_an_exact_kernel_that_is_stored_needs_no_budget(spec, home, store):
    run_study(spec(), store=store)
    found = quote([spec(surrogate="klr", budget_seconds=1e-6)], home=home)
    assert found.choices == ()
    assert found.per_stage["kernel"] == 0


def test_a_budget_for_nothing_is_refused(spec, home):
    with pytest.raises(BudgetExceeded, match="No kernel fits in the budget"):
        quote([spec(budget_seconds=1e-9)], home=home)


@pytest.mark.parametrize("choices", [{"budget_seconds": 0}, {"budget_seconds": "soon"}, {"budget_seconds": 5, "kernel": "ck"}])
def test_a_budget_is_a_time_for_the_trace_ntk(spec, choices):
    with pytest.raises(InvalidStudy, match="budget"):
        spec(**choices)
