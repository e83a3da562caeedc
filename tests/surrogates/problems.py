"""Small kernels with known features, labels that follow them, and logits of a "network"."""

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st


@dataclass(frozen=True, eq=False)
class Case:
    features: np.ndarray  # [N, P]
    kernel: np.ndarray  # [N, N]
    rows: np.ndarray  # [M, N]
    labels: np.ndarray  # [N]
    logits: np.ndarray  # [N, C]

    def targets(self, kind: str) -> np.ndarray:
        return self.logits if kind == "ridge_logits" else self.labels


def make_case(seed: int, *, n: int = 30, n_classes: int = 3, n_features: int = 12, noise: float = 1.0, mean: float = 0.0) -> Case:
    rng = np.random.default_rng(seed)
    features, others = rng.standard_normal((n, n_features)) + mean, rng.standard_normal((7, n_features)) + mean
    logits = 2 * (features - mean) @ rng.standard_normal((n_features, n_classes)) / np.sqrt(n_features)
    labels = (logits + noise * rng.standard_normal(logits.shape)).argmax(axis=1)
    labels[:n_classes] = np.arange(n_classes)
    return Case(features, features @ features.T, others @ features.T, labels.astype(np.int64), logits)


def cases(**fixed: object) -> st.SearchStrategy[Case]:
    """Kernels of full and of deficient rank, with and without a large common mean, and 2 to 4 classes."""
    choices = {
        "seed": st.integers(0, 10_000),
        "n": st.integers(12, 30),
        "n_classes": st.integers(2, 4),
        "n_features": st.sampled_from([4, 12, 40]),
        "mean": st.sampled_from([0.0, 3.0]),
    }
    choices |= {name: st.just(value) for name, value in fixed.items()}
    return st.builds(make_case, **choices)
