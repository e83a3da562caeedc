"""The bars of a removal experiment, and the sentence that says whose points are missed."""

import numpy as np
import pytest

from ntkviz.fidelity.removal import removals
from ntkviz.figures.removal import reading_removals, removal_bars

TITLES = {"removal": "removal effects", "share": "shares", "inputs": "nearest inputs", "random": "random"}


def found(k: int = 20, *, drops: dict[str, float] | None = None):
    """Ten test points and three seeds; each list lowers the margin by its own number, with some noise."""
    rng = np.random.default_rng(k)
    lowered = drops or {"removal": 6.0, "share": 2.0, "inputs": 6.1, "random": 0.0}
    before = 4 + rng.normal(size=(10, 3))
    return removals(before, {key: before - by + 0.5 * rng.normal(size=(10, 3)) for key, by in lowered.items()}, k=k)


def test_bars_are_the_mean_falls_with_their_intervals():
    several = [found(20), found(50)]
    fig = removal_bars(several, TITLES)
    assert [trace.name for trace in fig.data] == ["20 points removed", "50 points removed"]
    for trace, one in zip(fig.data, several, strict=True):
        np.testing.assert_allclose(trace.y, [row.value for row in one.rows])
        np.testing.assert_allclose(trace.y + np.array(trace.error_y.array), [row.high for row in one.rows])
        np.testing.assert_allclose(trace.y - np.array(trace.error_y.arrayminus), [row.low for row in one.rows])
    assert list(fig.layout.xaxis.ticktext) == list(TITLES.values())
    assert len({trace.marker.pattern.shape for trace in fig.data}) == 2


def test_the_sentence_tells_clear_differences_from_the_rest():
    text = reading_removals([found()], TITLES)
    clear, _, rest = text.partition("not to be told from")
    assert "Without the 20 training points of “removal effects” the margin falls by" in clear
    assert "clearly more than without those of “shares”" in clear
    assert "“random”" in clear
    assert rest.startswith(" “nearest inputs”")
    assert "clearly less" not in text
    assert text.endswith("Over 10 test points and 3 seeds.")


def test_a_control_that_wins_is_said():
    text = reading_removals([found(drops={"removal": 1.0, "inputs": 5.0})], TITLES)
    assert "clearly less than without those of “nearest inputs”" in text


def test_nothing_tried_is_refused():
    for make in (removal_bars, reading_removals):
        with pytest.raises(ValueError, match="at least one removal"):
            make([], TITLES)
