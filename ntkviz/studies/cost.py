"""What the stages of a study cost: constants of the quote, measured. Nothing but what a person is told beforehand rests on them.

How they were measured: studies of the bundled samples at N = 100 to 4,000 on 2026-11-22, two cores of an AMD Zen 4, torch 2.13
(CPU). The seconds of each stage were taken as processor time with one thread (other people's load does not enter it) and
divided by what a second thread gave on the quiet machine: 1.6 for gradients, 2 for matrix products. Per gradient entry the
sizes agree within a tenth, so the model is linear there. ``benchmarks/quote_accuracy.py`` prints quoted beside real seconds.
"""

from collections.abc import Callable
from dataclasses import dataclass

#: Rate of that machine's float32 matrix products, FLOP/s with two threads, at which the seconds below hold.
RATE = 200e9
#: How strongly the seconds follow the rate: gradients wait for memory as much as for multiplications.
RATE_EXPONENT = 0.6
#: Resident memory of a worker before it has any data, MB: Python with NumPy and scikit-learn, and torch on top.
BASE_MB, TORCH_MB = 190.0, 230.0
#: Seconds that do not depend on the sizes. Two of them are imports: torch (load) and torch.func (self-check).
FIXED_SECONDS = {"load": 1.5, "probe": 0.2, "self-check": 1.2, "kernel": 0.05, "fidelity": 0.02, "save": 0.04}
#: Seconds a random sign of the projected kernels takes to draw (one thread).
SIGN_SECONDS = 1.3e-9
#: Seconds a test point takes in the fidelity: 200 bootstrap resamples of rank correlations.
FIDELITY_SECONDS = 1e-4


@dataclass(frozen=True)
class Architecture:
    """What a network of a registered architecture costs, at the sizes of the samples.

    Attributes:
        forward_seconds: of a forward pass, a point.
        gradient_seconds: of one entry of one gradient (a point, a class, a parameter). A convolution reuses a parameter at
            many positions, so an entry costs it more.
        check_seconds: of the check of three points against the float64 reference.
        chunk_mb: memory of a chunk of samples in the backward pass.
        n_modules: forward passes that the embedding kernel makes.
        activation_width: numbers in all activations of a point (embedding kernel).
        readout_width: numbers that enter the last layer (conjugate kernel).
        input_width: numbers in an input.
    """

    forward_seconds: float
    gradient_seconds: float
    check_seconds: float
    chunk_mb: float
    n_modules: float
    activation_width: float
    readout_width: float
    input_width: float


ARCHITECTURES = {
    "mlp": Architecture(1e-6, 6.7e-9, 0.05, 800, 5, 1_000, 100, 784),
    "tabular": Architecture(2e-6, 7.5e-9, 0.02, 60, 8, 300, 32, 30),
    # Between the two bundled ones: 14e-9 for mnist-cnn, 23e-9 for fashion-cnn with its BatchNorm.
    "cnn": Architecture(7e-5, 18e-9, 0.12, 350, 9, 45_000, 300, 784),
    "resnet": Architecture(5e-4, 12e-9, 0.6, 900, 40, 300_000, 64, 3072),
    "transformer": Architecture(4.5e-5, 10.5e-9, 0.04, 600, 15, 10_000, 32, 32),
    # A list of layers: as a convolutional network, the dearest of the common ones.
    "other": Architecture(7e-5, 18e-9, 0.12, 900, 12, 45_000, 300, 784),
}


def _power(seconds: float, exponent: float) -> Callable[[int, int], float]:
    """Seconds for N = 1000 and C = 10, growing with N to a power and with C."""
    return lambda n, c: seconds * (n / 1000) ** exponent * (0.2 + 0.08 * c)


#: Surrogate -> (seconds from N and C, float64 copies of [N, N] that it holds).
SURROGATES: dict[str, tuple[Callable[[int, int], float], float]] = {
    "kglm": (_power(0.35, 1.9), 3.0),
    "kglm_sgd": (_power(0.9, 1.9), 2.0),
    "klr": (_power(0.18, 1.8), 3.0),
    "ridge": (_power(0.04, 2.6), 3.0),
    "ridge_logits": (_power(0.04, 2.6), 3.0),
    "svm": (_power(0.04, 1.8), 2.0),
}
