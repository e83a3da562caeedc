"""What the stages of a study cost: constants of the quote, measured. Not for any decision but what a person is told beforehand.

How: ``benchmarks/quote_accuracy.py`` runs every sample at several sizes, prints quoted beside real seconds and what each
constant would have to be. Values below are from 2026-11-22, two cores of an AMD Zen 4, torch 2.13 (CPU), no other load.
"""

from collections.abc import Callable
from dataclasses import dataclass

#: Rate of the machine's float32 matrix products, FLOP/s, at which the seconds below were measured.
RATE = 118e9
#: Resident memory of a worker before it has any data: Python, NumPy, torch.
BASE_MB = 420.0
#: Seconds that do not depend on the sizes: importing torch is 2 to 5 of them.
FIXED_SECONDS = {"load": 4.0, "fidelity": 0.3, "save": 0.1}


@dataclass(frozen=True)
class Architecture:
    """What a network of a registered architecture costs, at the sizes of the samples.

    Attributes:
        forward_seconds: of a forward pass, a point.
        gradient_seconds: of one entry of one gradient (a point, a class, a parameter). Convolutions and attention reuse a
            parameter at many positions, so an entry costs them more.
        probe_seconds: of the probes of a model.
        check_seconds: of the check of three points against the float64 reference.
        chunk_mb: memory of one chunk of samples in the backward pass.
        n_modules: forward passes that the embedding kernel makes.
        activation_width: numbers in all activations of a point (embedding kernel).
        readout_width: numbers that enter the last layer (conjugate kernel).
        input_width: numbers in an input.
    """

    forward_seconds: float
    gradient_seconds: float
    probe_seconds: float
    check_seconds: float
    chunk_mb: float
    n_modules: float
    activation_width: float
    readout_width: float
    input_width: float


ARCHITECTURES = {
    "mlp": Architecture(5e-6, 14e-9, 0.1, 0.3, 300, 6, 410, 100, 784),
    "tabular": Architecture(5e-6, 35e-9, 0.1, 0.2, 50, 8, 300, 32, 30),
    "cnn": Architecture(3e-4, 110e-9, 0.3, 1.0, 600, 9, 40_000, 300, 784),
    "resnet": Architecture(3e-3, 220e-9, 1.0, 5.0, 900, 40, 300_000, 64, 3072),
    "transformer": Architecture(2e-4, 54e-9, 0.3, 0.6, 400, 15, 10_000, 32, 32),
    # A list of layers: as a convolutional network, the dearer of the common ones.
    "other": Architecture(3e-4, 110e-9, 0.3, 1.0, 600, 9, 40_000, 300, 784),
}


def _power(seconds: float, exponent: float) -> Callable[[int, int], float]:
    """Seconds for N = 1000 and C = 10, growing with N to a power and with C."""
    return lambda n, c: seconds * (n / 1000) ** exponent * (0.3 + 0.07 * c)


#: Surrogate -> (seconds from N and C, float64 copies of [N, N] that it holds).
SURROGATES: dict[str, tuple[Callable[[int, int], float], float]] = {
    "kglm": (_power(1.0, 2.0), 3.0),
    "kglm_sgd": (_power(2.0, 2.0), 2.0),
    "klr": (_power(1.0, 2.3), 3.0),
    "ridge": (_power(0.1, 2.7), 3.0),
    "ridge_logits": (_power(0.1, 2.7), 3.0),
    "svm": (_power(0.2, 2.2), 3.0),
}
