"""How far some studies are, and how long they still take: from quoted seconds and from the pace so far."""

import math
import time
from collections.abc import Callable, Mapping, Sequence

#: The pace of the last ten seconds counts for the time left.
_PACE_SECONDS = 10.0
#: Time over which one pace is measured: shorter ones jump.
_SPAN_SECONDS = 0.2
#: No time left is told before this much has passed and was done: the first figures would be wild.
_FIRST_SECONDS, _FIRST_FRACTION = 2.0, 0.02


class Pace:
    """Fraction done and seconds left of studies that are made one after the other.

    The fraction is the quoted seconds of what is done over all quoted seconds; the seconds left are what remains of it at the
    pace of late (an exponentially weighted mean), ``None`` while that is not known.

    Args:
        expected: for each study stage -> quoted seconds.
        clock: tells the time in seconds.
    """

    def __init__(self, expected: Sequence[Mapping[str, float]], *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._expected = [dict(stages) for stages in expected]
        self._total = max(sum(sum(stages.values()) for stages in expected), 1e-9)
        self._done: dict[tuple[int, str], float] = {}
        self._began = self._measured = clock()
        self._measured_fraction = 0.0
        self._pace: float | None = None
        self.fraction = 0.0
        self.seconds_left: float | None = None

    def tell(self, position: int, stage: str, fraction: float) -> None:
        """Take note of the fraction of a stage of the study at a position."""
        self._done[position, stage] = max(self._done.get((position, stage), 0.0), fraction)
        self._measure()

    def finish(self, position: int) -> None:
        """The study at a position is made, or given up: whatever of it was not needed counts as done."""
        for name in self._expected[position]:
            self._done[position, name] = 1.0
        self._measure()

    def _measure(self) -> None:
        now = self._clock()
        done = sum(self._expected[position].get(name, 0.0) * share for (position, name), share in self._done.items())
        self.fraction = max(self.fraction, min(1.0, done / self._total))
        span = now - self._measured
        if span < _SPAN_SECONDS:
            return
        pace = (self.fraction - self._measured_fraction) / span
        fresh = 1 - math.exp(-span / _PACE_SECONDS)
        self._pace = pace if self._pace is None else self._pace + fresh * (pace - self._pace)
        self._measured, self._measured_fraction = now, self.fraction
        known = now - self._began >= _FIRST_SECONDS and self.fraction >= _FIRST_FRACTION and self._pace > 0
        self.seconds_left = (1 - self.fraction) / self._pace if known else None
