"""Measures of a study's fidelity with their intervals, as the pages show them."""

from dataclasses import dataclass

from ntkviz.ui.text import number


@dataclass(frozen=True)
class Measure:
    """A measure of fidelity with its interval, NaN where there is none."""

    value: float
    low: float = float("nan")
    high: float = float("nan")

    def words(self) -> str:
        """The value with its interval, in three significant digits."""
        if self.low != self.low:
            return number(self.value)
        return f"{number(self.value)} ({number(self.low)} to {number(self.high)})"


def measure(fidelity: object, name: str) -> Measure:
    """A measure of a study's fidelity (``kendall_tau``, ``agreement``, ``tad``, ...) with its interval."""
    value = float(getattr(fidelity, name))
    intervals = getattr(fidelity, "intervals", None) or {}
    low, high = intervals.get(name, (float("nan"), float("nan")))
    return Measure(value, float(low), float(high))
