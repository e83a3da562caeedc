import pytest

from ntkviz.data.sample import samples
from ntkviz.errors import BudgetExceeded
from ntkviz.kernels.registry import kernels
from ntkviz.studies import quote as quote_module
from ntkviz.studies.cost import ARCHITECTURES, RATE, RATE_EXPONENT, SURROGATES
from ntkviz.studies.pipeline import STAGES, run_study
from ntkviz.studies.quote import quote
from ntkviz.studies.spec import StudySpec
from ntkviz.studies.subjects import find_subject
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
    last = quote([spec(kernel=kind, n_train=20, n_test=10)], home=home)
    for n, m in ((60, 10), (60, 60), (240, 90)):
        found = quote([spec(kernel=kind, n_train=n, n_test=m)], home=home)
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


def test_a_slower_machine_is_quoted_more(spec, home, monkeypatch):
    fast = quote([spec()], home=home)
    monkeypatch.setattr(quote_module, "gemm_rate", lambda: RATE / 2)
    assert quote([spec()], home=home).per_stage["kernel"] == pytest.approx(2**RATE_EXPONENT * fast.per_stage["kernel"])


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


def test_every_surrogate_and_every_sample_has_its_own_constants():
    assert set(SURROGATES) == set(surrogates())
    for name in samples():
        subject = find_subject(name)
        assert subject.architecture["name"] in ARCHITECTURES
        assert quote([StudySpec(sample=name, n_train=300, n_test=100)]).seconds > 1
