"""Seconds that something takes on a quiet machine, told from those that it waits for other work. Imports no torch."""

import time

#: Below this many seconds the processor's clock is too coarse on some systems (ticks of 10 ms).
_FINE = 0.2


class Stopwatch:
    """Runs from the moment it is made."""

    def __init__(self) -> None:
        self._wall, self._processor = time.perf_counter(), time.process_time()

    def seconds(self) -> float:
        """Seconds so far on the clock, or those of the processor (all threads together) where they are fewer: the rest was waiting."""
        wall, processor = time.perf_counter() - self._wall, time.process_time() - self._processor
        return wall if wall < _FINE else min(wall, processor)
