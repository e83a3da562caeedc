"""A page does not wait for a measurement, and is told once there is a quote, or why there is none."""

from threading import Event

import pytest

from ntkviz.errors import UnsupportedModel
from ntkviz.studies.spec import StudySpec
from ntkviz.ui import quoting

SPECS = [StudySpec(sample="cancer-mlp", n_train=20, n_test=10)]


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    monkeypatch.setattr(quoting, "PATIENCE", 0.01)
    monkeypatch.setattr(quoting, "quote_at_once", lambda _specs: None)


def test_a_page_goes_on_while_it_is_measured_and_gets_the_quote_then(monkeypatch):
    ready, asked = Event(), []

    def slow(specs, *, home):
        asked.append(list(specs))
        ready.wait(30)
        return "the quote"

    monkeypatch.setattr(quoting, "quote", slow)
    assert quoting.quote_when_known(SPECS) is None
    assert quoting.quote_when_known(SPECS) is None
    ready.set()
    monkeypatch.setattr(quoting, "PATIENCE", 30.0)
    assert quoting.quote_when_known(SPECS) == "the quote"
    assert asked == [SPECS]


def test_a_measurement_that_fails_is_told_and_not_repeated(monkeypatch):
    asked = []

    def failing(specs, *, home):
        asked.append(1)
        raise UnsupportedModel("no kernel of this")

    monkeypatch.setattr(quoting, "quote", failing)
    monkeypatch.setattr(quoting, "PATIENCE", 30.0)
    for _ in range(2):
        with pytest.raises(UnsupportedModel, match="no kernel"):
            quoting.quote_when_known(SPECS)
    assert asked == [1]
