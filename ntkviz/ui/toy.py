"""Two networks small enough to see through, for the first lesson: two parameters by hand, and a plane of 24 points.

NumPy only, trained while the page waits (a fifth of a second). Letters: N training points, H hidden units, P = 4 H + 1
parameters, R networks trained at once.
"""

from dataclasses import dataclass, fields

import numpy as np
from scipy.special import expit

#: Hidden units of the network on the plane; 12 bend around two half moons and leave 49 parameters.
HIDDEN = 12
STEPS, RATE, MOMENTUM, DECAY = 1500, 0.3, 0.9, 3e-3


@dataclass(frozen=True)
class TwoParameters:
    """``f(x) = a tanh(b x)``: the smallest network with a gradient that can be drawn.

    Attributes:
        a: weight of the second layer.
        b: weight of the first layer.
    """

    a: float = 0.8
    b: float = 1.4

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """``f(x)``, any shape."""
        return self.a * np.tanh(self.b * np.asarray(x, dtype=np.float64))

    def gradient(self, x: np.ndarray) -> np.ndarray:
        """``(df/da, df/db)`` at each of n inputs, ``[n, 2]``."""
        values = np.asarray(x, dtype=np.float64)
        bent = np.tanh(self.b * values)
        return np.stack([bent, self.a * values * (1 - bent**2)], axis=-1)

    def stepped(self, x: float, target: float, rate: float) -> "TwoParameters":
        """The network after one gradient step on half the squared error of one example.

        Args:
            x: the example.
            target: what it should be.
            rate: step size.
        """
        da, db = -rate * float(self(np.array(x)) - target) * self.gradient(np.array(x))
        return TwoParameters(self.a + float(da), self.b + float(db))


@dataclass(frozen=True)
class Plane:
    """R networks 2 - H tanh - 1 with one logit.

    Attributes:
        w1: ``[R, 2, H]``.
        b1: ``[R, H]``.
        w2: ``[R, H]``.
        b2: ``[R, 1]``.
    """

    w1: np.ndarray
    b1: np.ndarray
    w2: np.ndarray
    b2: np.ndarray

    def logits(self, x: np.ndarray) -> np.ndarray:
        """The logit of class 1 of each network at ``x [n, 2]``, ``[R, n]``."""
        return (np.tanh(x @ self.w1 + self.b1[:, None]) @ self.w2[:, :, None])[..., 0] + self.b2

    def gradient(self, x: np.ndarray) -> np.ndarray:
        """The gradient of the first network's logit in all its parameters at ``x [n, 2]``, ``[n, P]``."""
        hidden = np.tanh(x @ self.w1[0] + self.b1[0])  # (n, H)
        back = (1 - hidden**2) * self.w2[0]  # (n, H)
        first = (x[:, :, None] * back[:, None, :]).reshape(len(x), -1)
        return np.hstack([first, back, hidden, np.ones((len(x), 1))])


def moons(n: int = 24, *, seed: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Two interleaving half moons with some noise.

    Args:
        n: how many points, half of them in each class.
        seed: of the noise.

    Returns:
        ``x [n, 2]`` and labels ``[n]``, 0 or 1.
    """
    rng = np.random.default_rng(seed)
    angle = np.linspace(0, np.pi, n // 2)
    upper = np.stack([np.cos(angle), np.sin(angle)], axis=1)
    lower = np.stack([1 - np.cos(angle), 0.5 - np.sin(angle)], axis=1)
    x = np.vstack([upper, lower]) + rng.normal(0, 0.16, (2 * len(angle), 2))
    return x - x.mean(axis=0), np.repeat([0, 1], len(angle))


def train_plane(x: np.ndarray, y: np.ndarray, weight: np.ndarray, *, seed: int = 0) -> Plane:
    """Train R networks from the same start, each on its own share of the points, by full-batch momentum.

    Args:
        x: ``[N, 2]``.
        y: ``[N]``, 0 or 1.
        weight: ``[R, N]``, 1 for a point that the network sees and 0 for one that it does not.
        seed: of the start that all share.
    """
    rng = np.random.default_rng(seed)
    count, n = len(weight), weight.sum(axis=1, keepdims=True)
    start = Plane(
        rng.normal(0, 1.0, (1, 2, HIDDEN)), rng.normal(0, 0.5, (1, HIDDEN)), rng.normal(0, 0.5, (1, HIDDEN)), np.zeros((1, 1))
    )
    net = {f.name: np.repeat(getattr(start, f.name), count, axis=0) for f in fields(Plane)}
    speed = {name: np.zeros_like(value) for name, value in net.items()}
    for _ in range(STEPS):
        hidden = np.tanh(x @ net["w1"] + net["b1"][:, None])  # (R, N, H)
        logits = (hidden @ net["w2"][:, :, None])[..., 0] + net["b2"]
        error = weight * (expit(logits) - y) / n  # (R, N)
        back = error[:, :, None] * (1 - hidden**2) * net["w2"][:, None, :]
        slope = {
            "w1": x.T @ back,
            "b1": back.sum(axis=1),
            "w2": (error[:, None, :] @ hidden)[:, 0],
            "b2": error.sum(axis=1, keepdims=True),
        }
        for name, value in net.items():
            speed[name] = MOMENTUM * speed[name] - RATE * (slope[name] + DECAY * value)
            net[name] = value + speed[name]
    return Plane(**net)


def removal_truth(x: np.ndarray, y: np.ndarray, query: np.ndarray, *, seed: int = 0) -> tuple[float, np.ndarray]:
    """What really happens to a prediction when one training point is left out and the network is trained again.

    Args:
        x: ``[N, 2]``.
        y: ``[N]``.
        query: ``[2]``, where to predict.
        seed: of the start.

    Returns:
        the logit of the network trained on all points, and ``[N]``: that logit minus the one without each point.
    """
    weight = np.vstack([np.ones(len(x)), 1 - np.eye(len(x))])
    found = train_plane(x, y, weight, seed=seed).logits(query[None])[:, 0]
    return float(found[0]), found[0] - found[1:]
