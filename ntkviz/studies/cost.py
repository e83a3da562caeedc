"""What the stages after the kernel cost: constants of the quote, measured. Nothing but what a person is told beforehand rests on them.

The stages up to the kernel are measured for each subject and machine (:mod:`ntkviz.studies.costs`). These are not: surrogates and
fidelity depend on the sizes alone. They were measured in studies of the bundled samples at N = 100 to 4,000 on two cores of an
AMD Zen 4; ``benchmarks/quote_accuracy.py`` prints quoted beside real seconds.
"""

from collections.abc import Callable

#: Rates of that machine's float32 matrix products, FLOP/s with two threads, at which the seconds below hold: NumPy's and the engine's.
RATE, ENGINE_RATE = 200e9, 400e9
#: How strongly the seconds follow the rate: solvers wait for memory as much as for multiplications.
RATE_EXPONENT = 0.6
#: Resident memory of a worker before it has any data, MB: Python with NumPy and scikit-learn; the latter alone.
BASE_MB, LEARN_MB = 190.0, 60.0
#: Seconds that do not depend on the sizes.
FIXED_SECONDS = {"fidelity": 0.02, "save": 0.04}
#: Seconds a test point takes in the fidelity: 200 bootstrap resamples of rank correlations.
FIDELITY_SECONDS = 5e-5
#: What of a stage a second study in the same process takes: torch is there already.
AGAIN = {"load": 0.1, "probe": 0.2, "self-check": 0.2}


def _power(seconds: float, exponent: float) -> Callable[[int, int], float]:
    """Seconds for N = 1000 and C = 10, growing with N to a power and with C."""
    return lambda n, c: seconds * (n / 1000) ** exponent * (0.2 + 0.08 * c)


#: Surrogate -> (seconds from N and C, float64 copies of [N, N] that it holds).
SURROGATES: dict[str, tuple[Callable[[int, int], float], float]] = {
    "kglm": (_power(0.22, 2.2), 3.0),
    "kglm_sgd": (_power(0.9, 1.9), 2.0),
    "klr": (_power(0.18, 1.8), 3.0),
    "ridge": (_power(0.04, 2.6), 3.0),
    "ridge_logits": (_power(0.04, 2.6), 3.0),
    "svm": (_power(0.04, 1.8), 2.0),
}
