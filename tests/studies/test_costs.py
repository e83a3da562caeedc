"""What was measured is kept: in the process, and in the store's folder."""

import json

import pytest

from ntkviz.errors import NtkvizError, UnsupportedModel
from ntkviz.studies import child, costs, measuring
from ntkviz.studies.costs import are_known, ask_child, costs_of, kernel_id
from ntkviz.studies.machine import kernel_memory_mb
from ntkviz.studies.subjects import find_subject

TRACE, READOUT = ("trntk", {}), ("ck", {"layer": None})
REAL_CHILD = ask_child


@pytest.fixture
def subject(brought, home):
    return find_subject(brought[1].id, home=home)


@pytest.fixture
def asked(monkeypatch):
    """The requests that were made, by a process that knows nothing yet."""
    requests = []
    monkeypatch.setattr(costs, "_known", {})
    monkeypatch.setattr(costs, "ask_child", lambda request: requests.append(request) or measuring.answer(request))
    return requests


def test_a_kernel_is_measured_once_and_its_subject_and_machine_too(subject, home, asked):
    first = costs_of(subject, [TRACE], home=home)
    assert costs_of(subject, [TRACE], home=home) == first
    second = costs_of(subject, [TRACE, READOUT], home=home)
    assert [request["kernels"] for request in asked] == [[["trntk", {}]], [["ck", {"layer": None}]]]
    assert [request["rates"] is None for request in asked] == [True, False]
    assert second.rates == first.rates
    assert second.profile(TRACE) == first.profile(TRACE)


def test_another_process_reads_what_was_kept_on_disk(subject, home, asked, monkeypatch):
    found = costs_of(subject, [TRACE], home=home)
    monkeypatch.setattr(costs, "_known", {})
    assert are_known(subject, [TRACE], home=home)
    assert costs_of(subject, [TRACE], home=home) == found
    assert len(asked) == 1


def test_a_damaged_file_is_measured_again(subject, home, asked, monkeypatch):
    costs_of(subject, [TRACE], home=home)
    for path in (home / "costs").iterdir():
        path.write_text("{")
    monkeypatch.setattr(costs, "_known", {})
    costs_of(subject, [TRACE], home=home)
    assert len(asked) == 2


def test_no_folder_is_made_for_it(brought, tmp_path, asked):
    from ntkviz.data.sample import samples

    home = tmp_path / "nowhere"
    costs_of(find_subject(samples()[0]), [("inputs", {"pad_id": 0})], home=home)
    assert not home.exists()


def test_memory_and_threads_are_part_of_what_it_holds_for(subject, home, asked, monkeypatch):
    costs_of(subject, [TRACE], home=home)
    monkeypatch.setenv("NTKVIZ_MEMORY_MB", "2000")
    assert not are_known(subject, [TRACE], home=home)
    monkeypatch.delenv("NTKVIZ_MEMORY_MB")
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    assert not are_known(subject, [TRACE], home=home)


def test_the_process_that_measures_answers_in_json(subject, home):
    request = {
        "subject": subject.id,
        "home": str(home),
        "kernels": [["trntk", {}]],
        "memory_mb": kernel_memory_mb(),
        "rates": None,
    }
    answer = REAL_CHILD(request)
    assert set(answer["kernels"]) == {kernel_id(TRACE)}
    assert answer["load"] > 0.2  # torch is imported there and not here
    assert answer["base_mb"] > 100
    assert json.loads(json.dumps(answer)) == answer


def test_a_refused_network_is_refused_by_the_quote(subject, home, monkeypatch):
    monkeypatch.setattr(costs, "_known", {})
    monkeypatch.setattr(costs, "ask_child", lambda _: {"error": {"type": "UnsupportedModel", "message": "No gradient."}})
    with pytest.raises(UnsupportedModel, match="No gradient"):
        costs_of(subject, [TRACE], home=home)


def test_a_process_that_dies_is_told_of(home, monkeypatch):
    monkeypatch.setattr(child.sys, "executable", "/bin/false")
    with pytest.raises(NtkvizError, match="could not be measured: exit code 1"):
        REAL_CHILD({"home": str(home)})
