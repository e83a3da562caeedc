"""What all tests share: one thread a worker (two workers share two cores), hypothesis profiles, a store of their own."""

import os
from collections.abc import Iterator

os.environ.setdefault("OMP_NUM_THREADS", "1")

import pytest
import torch
from hypothesis import HealthCheck, settings

torch.set_num_threads(1)

settings.register_profile("ci", max_examples=30, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("nightly", max_examples=500, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))


@pytest.fixture(autouse=True, scope="session")
def _measured_here() -> Iterator[None]:
    """Quotes are measured in this process, and briefly: a process of its own for each home would take seconds."""
    from ntkviz.kernels import calibrate
    from ntkviz.studies import costs, measuring
    from ntkviz.ui import quoting

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(costs, "ask_child", measuring.answer)
        patch.setattr(calibrate, "PATIENCE", 0.01)
        patch.setattr(quoting, "PATIENCE", 120.0)  # tests of pages look at them once
        yield


@pytest.fixture(autouse=True)
def _supervisors_leave_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """A supervisor that a test brought up does not outlive it by half a minute."""
    monkeypatch.setattr("ntkviz.studies.supervisor.IDLE_SECONDS", 2.0)


@pytest.fixture(autouse=True)
def _home_of_its_own(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """No test reads or writes the user's own studies."""
    monkeypatch.setenv("NTKVIZ_HOME", str(tmp_path_factory.mktemp("home")))
