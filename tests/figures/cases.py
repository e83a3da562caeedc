"""Every figure of ntkviz.figures, drawn from small plausible data with names that people could have chosen to do harm."""

from collections.abc import Callable
from typing import Any

import numpy as np
import plotly.graph_objects as go

from ntkviz.embed.result import Quality
from ntkviz.figures import attribution, density, embedding, fidelity, log_odds, matrix, probability, spectrum, waterfall, weights
from ntkviz.kernels import diagnostics

HOSTILE = '<img src=x onerror=alert(1)><a href="http://evil">&%{x}\u202e\x00'
NAMES = ["cat", HOSTILE, "dog", "dog"]
N, M, C = 60, 25, len(NAMES)


def kernel(seed: int = 0, n: int = N) -> np.ndarray:
    x = np.random.default_rng(seed).normal(size=(n, 8)) + np.arange(n)[:, None] % C
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    return x @ x.T


def rng() -> np.random.Generator:
    return np.random.default_rng(1)


LABELS = np.arange(N) % C
TEST_LABELS = np.arange(M) % C
IDS = [f"id-{i}" for i in range(N)]
TEST_IDS = [f"test-{i}" for i in range(M)]
KERNELS = {"trNTK": kernel(), HOSTILE: kernel(1)}
SPECTRA = {title: diagnostics.spectrum(values) for title, values in KERNELS.items()}
ALIGNMENTS = {title: diagnostics.alignment(values, LABELS) for title, values in KERNELS.items()}
ATTRIBUTION = rng().normal(size=N)
POINTS: dict[str, Any] = {"labels": LABELS, "class_names": NAMES, "target": HOSTILE}
NETWORK = rng().normal(size=M)
RIGHT = NETWORK > -0.5
SURROGATES = [
    log_odds.Imitation("kGLM", NETWORK * 0.5 + 0.2, np.arange(M) % 5 > 0, tau=0.8),
    log_odds.Imitation(HOSTILE, NETWORK + 0.1, np.arange(M) % 3 > 0),
]
METRICS = [
    fidelity.Metric("Kendall's tau", 0.7, 0.6, 0.8, series="kGLM"),
    fidelity.Metric("R squared", -3.5, -5.0, -2.0, series="kGLM"),
    fidelity.Metric("Kendall's tau", 0.9, float("nan"), float("nan"), series=HOSTILE),
    fidelity.Metric(HOSTILE, float("nan"), float("nan"), float("nan"), series="kGLM"),
]
COUNTS = rng().integers(0, 9, size=(C, C))
TRAIN = embedding.MapPoints(rng().normal(size=(N, 2)), LABELS, hover=[HOSTILE] * N)
TEST = embedding.MapPoints(rng().normal(size=(M, 2)), TEST_LABELS, "test", ids=TEST_IDS)
CONFIDENCE = embedding.Column(HOSTILE, np.where(np.arange(N) == 3, np.nan, rng().random(N)), rng().random(M))
STATE = embedding.Column("network", np.where(LABELS == 0, "wrong", HOSTILE), None)
SELECTION = embedding.Selection("test-3", ["train:1", "train:2", "not on the map"])
QUALITY = Quality(0.91, 0.87, 15, np.full(N, 0.25))
STEPS = waterfall.waterfall_steps(ATTRIBUTION, intercept=0.3, labels=LABELS, class_names=NAMES, network_logit=2.5, ids=IDS, k=5)
PROBABILITIES = (np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.4, 0.3, 0.2, 0.1]))
SIMILARITY = diagnostics.class_similarity(kernel(), LABELS)
CKA = diagnostics.cka_matrix(KERNELS)
LOG_ODDS: dict[str, Any] = {"network_right": RIGHT, "labels": TEST_LABELS, "class_names": NAMES, "ids": TEST_IDS}

FIGURES: dict[str, Callable[[], go.Figure]] = {
    "kernel panels": lambda: matrix.kernel_panels(KERNELS, LABELS, NAMES),
    "kernel panels, shared": lambda: matrix.kernel_panels(KERNELS, LABELS, NAMES, scale="shared", columns=1),
    "class similarity": lambda: matrix.class_similarity_heatmap(SIMILARITY, NAMES),
    "eigenvalues": lambda: spectrum.eigenvalue_decay(SPECTRA),
    "effective rank": lambda: spectrum.effective_rank_bars(SPECTRA),
    "cka": lambda: spectrum.cka_heatmap(list(KERNELS), CKA),
    "alignment": lambda: spectrum.alignment_bars(ALIGNMENTS),
    "cost": lambda: spectrum.cost_bars({"trNTK": 400.0, HOSTILE: 0.5}, {"trNTK": 900.0, HOSTILE: 800.0}),
    "log-odds": lambda: log_odds.log_odds_scatter(NETWORK, SURROGATES[:1], selected="test-4", **LOG_ODDS),
    "log-odds, several": lambda: log_odds.log_odds_scatter(NETWORK, SURROGATES, **LOG_ODDS),
    "metrics": lambda: fidelity.metric_intervals(METRICS),
    "tau by class": lambda: fidelity.per_class_tau(NAMES, np.array([0.1, np.nan, 0.3, -0.2]), np.array([5, 1, 9, 10])),
    "confusion": lambda: fidelity.confusion_heatmap(COUNTS, NAMES),
    "strongest": lambda: attribution.strongest_bars(ATTRIBUTION, ids=IDS, k=6, **POINTS),
    "distribution": lambda: attribution.distribution(ATTRIBUTION, ids=IDS, **POINTS),
    "cumulative": lambda: attribution.cumulative_curve(ATTRIBUTION),
    "class totals": lambda: attribution.class_totals_heatmap(rng().normal(size=(C, C)), np.zeros(C), NAMES),
    "waterfall": lambda: waterfall.waterfall(STEPS, target=HOSTILE),
    "weights": lambda: weights.similarity_weight_scatter(kernel()[0], ATTRIBUTION, ids=IDS, **POINTS),
    "probabilities": lambda: probability.probability_bars(*PROBABILITIES, NAMES, true_class=1),
    "map": lambda: embedding.map_scatter(TRAIN, TEST, class_names=NAMES, selection=SELECTION),
    "map by number": lambda: embedding.map_scatter(TRAIN, TEST, class_names=NAMES, column=CONFIDENCE, method=HOSTILE),
    "map by state": lambda: embedding.map_scatter(TRAIN, TEST, class_names=NAMES, column=STATE),
    "maps": lambda: embedding.map_panels(
        {"UMAP": (TRAIN, TEST), "Kernel PCA": (TRAIN, None)}, class_names=NAMES, units={"Kernel PCA"}
    ),
    "density": lambda: density.density_map(rng().normal(size=(900, 2)), np.arange(900) % C, NAMES, n_sample=100),
}
