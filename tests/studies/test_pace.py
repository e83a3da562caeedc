import pytest

from ntkviz.studies.pace import Pace


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_the_fraction_is_weighted_by_the_quoted_seconds():
    pace = Pace([{"load": 1.0, "kernel": 8.0}, {"load": 0.0, "kernel": 1.0}])
    pace.tell(0, "load", 1.0)
    assert pace.fraction == pytest.approx(0.1)
    pace.tell(0, "kernel", 0.5)
    assert pace.fraction == pytest.approx(0.5)
    pace.finish(0)
    assert pace.fraction == pytest.approx(0.9)
    pace.tell(1, "kernel", 1.0)
    assert pace.fraction == pytest.approx(1.0)


def test_the_fraction_never_falls_and_stays_below_one():
    pace = Pace([{"load": 1.0, "kernel": 1.0}])
    seen = []
    for stage, fraction in (("load", 0.5), ("kernel", 1.0), ("kernel", 0.2), ("load", 0.1), ("unknown", 1.0)):
        pace.tell(0, stage, fraction)
        seen.append(pace.fraction)
    assert seen == sorted(seen)
    assert seen[-1] == pytest.approx(0.75)


def test_the_time_left_is_unknown_at_first_and_right_at_an_even_pace():
    clock = Clock()
    pace = Pace([{"kernel": 3.0}], clock=clock)  # quoted 3 s, takes 20 s
    for step in range(1, 200):
        clock.now = step * 0.1
        pace.tell(0, "kernel", step / 200)
        if clock.now < 2:
            assert pace.seconds_left is None
        else:
            assert pace.seconds_left == pytest.approx(20 - clock.now, abs=0.3)


def test_the_time_left_follows_a_change_of_pace():
    clock = Clock()
    pace = Pace([{"kernel": 1.0}], clock=clock)
    for step in range(1, 51):
        clock.now += 0.2
        pace.tell(0, "kernel", step / 100)
    for step in range(1, 41):
        clock.now += 2.0  # ten times slower
        pace.tell(0, "kernel", 0.5 + step / 100)
    assert pace.seconds_left == pytest.approx(0.1 * 200, rel=0.1)


def test_standing_still_leads_to_no_promise():
    clock = Clock()
    pace = Pace([{"kernel": 1.0}], clock=clock)
    for _ in range(20):
        clock.now += 1
        pace.tell(0, "kernel", 0.0)
    assert pace.seconds_left is None
