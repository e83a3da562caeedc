"""Every figure of ntkviz.figures, drawn from small plausible data with names that people could have chosen to do harm."""

from collections.abc import Callable
from typing import Any

import numpy as np
import plotly.graph_objects as go

from ntkviz.embed.result import Quality
from ntkviz.explain.agreement import moved
from ntkviz.explain.behaviour import Carriers
from ntkviz.explain.calibration import calibrate
from ntkviz.explain.layers import LayerShares, norm_against_angle
from ntkviz.explain.regions import Regions
from ntkviz.fidelity.lds import Lds
from ntkviz.fidelity.removal import removals
from ntkviz.fidelity.trust import Reliability
from ntkviz.figures import (
    agreement,
    attribution,
    audit,
    behaviour,
    density,
    embedding,
    fidelity,
    layers,
    log_odds,
    matrix,
    overlap,
    pareto,
    plane,
    probability,
    removal,
    spectrum,
    trust,
    waterfall,
    weights,
    what_if,
)
from ntkviz.figures.moved import moved_neighbours
from ntkviz.kernels import diagnostics
from ntkviz.studies.faithfulness import Measured

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
WRONG = np.arange(N) % 7 == 0
HITS = np.cumsum(WRONG[np.argsort(-ATTRIBUTION)])
LOG_ODDS: dict[str, Any] = {"network_right": RIGHT, "labels": TEST_LABELS, "class_names": NAMES, "ids": TEST_IDS}

LDS = Lds(0.6, 0.55, 0.65, 0.58, 0.62, np.array([0.6]), 0.94, 0.6)
MEASURED = [
    Measured("trntk", "klr", "share", HOSTILE, 0.8, 0.75, 0.85, LDS, 2.0, is_control=False),
    Measured("", "", "same_class", HOSTILE, float("nan"), float("nan"), float("nan"), LDS, 0.01, is_control=True),
]
VERDICTS = [Reliability("trust", 9, 0.2, 0.1, 0.3), Reliability("do not use", 3, 0.9, float("nan"), float("nan"))]

CARRIERS = Carriers(
    names=("cat", HOSTILE, "dog"),
    sizes=np.array([9, 4, 2]),
    totals=np.array([1.0, -2.0, 0.1]),
    typical=np.array([0.9, 0.0, 0.1]),
    low=np.array([0.5, -0.4, 0.0]),
    high=np.array([1.4, 0.5, 0.2]),
    p_values=np.array([0.8, 0.01, 0.9]),
    n_points=7,
    n_reference=30,
)
REGIONS = Regions(
    names=("a", HOSTILE, "b"),
    n_train=np.array([20, 10, 5]),
    n_own=np.array([3, 9, 0]),
    n_points=np.array([4, 2, 0]),
    n_low=np.array([3, 0, 0]),
    share=np.array([4 / 6, 2 / 6, 0.0]),
    share_rest=np.array([np.nan, np.nan, np.nan]),
    low_share=0.5,
    low_share_rest=float("nan"),
)
LAYER_NAMES = ("conv", HOSTILE, *(f"block{j}" for j in range(9)))
LAYER_PARTS = rng().normal(size=(len(LAYER_NAMES), N)) / np.arange(1, len(LAYER_NAMES) + 1)[:, None]
LAYERS = LayerShares(LAYER_NAMES, LAYER_PARTS, 0.3 * ATTRIBUTION, LAYER_PARTS.sum(axis=0) + 0.3 * ATTRIBUTION)
LENGTHS = np.linspace(1.0, 4.0, N)
NEAR = norm_against_angle(2.0 * LENGTHS * kernel()[0], 4.0, LENGTHS**2, k=8)
CHANGES = [
    what_if.Changes(HOSTILE, NETWORK, 0.8 * NETWORK, calibrate(NETWORK, 0.8 * NETWORK, n_bootstrap=20)),
    what_if.Changes("random", np.zeros(M), NETWORK, calibrate(np.zeros(M), NETWORK, n_bootstrap=20), baseline=True),
]
REMOVALS = [
    removals(rng().normal(size=(5, 2)), {"own": rng().normal(size=(5, 2)) - k, HOSTILE: rng().normal(size=(5, 2))}, k=k)
    for k in (2, 5)
]

MOVED = moved(np.stack([ATTRIBUTION, ATTRIBUTION[::-1]]), 6)

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
    "layers": lambda: layers.layer_bars(LAYERS, unit="share in the score", ids=IDS, k=6, **POINTS),
    "norm and angle": lambda: layers.norm_angle_scatter(NEAR, labels=LABELS, class_names=NAMES, ids=IDS),
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
    "pareto": lambda: pareto.pareto(
        [pareto.Priced("a", HOSTILE, 2.0, 0.8, 0.7, 0.9, told=HOSTILE), pareto.Priced("b", "control", 0.1, 0.5, control=True)],
        cost="seconds",
        value="tau",
    ),
    "shared neighbours": lambda: overlap.overlap_heatmap(list(KERNELS), CKA, 10),
    "plane": lambda: plane.imitation_truth(MEASURED, {"share": HOSTILE}),
    "trust": lambda: trust.reliability_bars(VERDICTS, HOSTILE),
    "suspicion": lambda: audit.suspicion_curve(ATTRIBUTION, labels=LABELS, class_names=NAMES, cut=9, cut_name=HOSTILE, ids=IDS),
    "suspicion, planted": lambda: audit.suspicion_curve(
        ATTRIBUTION, labels=LABELS, class_names=NAMES, planted=WRONG, ids=IDS, selected="id-3"
    ),
    "precision and recall": lambda: audit.precision_recall(
        {"margin": (HITS / np.arange(1, N + 1), HITS / HITS[-1]), HOSTILE: (HITS / N, HITS / HITS[-1])}, 9
    ),
    "class density": lambda: audit.class_density(
        rng().random(N),
        labels=LABELS,
        class_names=NAMES,
        outliers=np.array([3, 5]),
        prototypes=np.array([7, 1]),
        ids=IDS,
        selected="id-5",
    ),
    "before and after": lambda: what_if.before_after(*PROBABILITIES, NAMES, true_class=1),
    "flip": lambda: what_if.flip_path(np.array([0, 2, 5]), np.array([1.0, 0.3, -0.1]), label=HOSTILE, n_kept=4, flipped=True),
    "calibration": lambda: what_if.calibration_plot(CHANGES),
    "moved neighbours": lambda: moved_neighbours(
        MOVED,
        ["trNTK", HOSTILE],
        labels=LABELS[MOVED.indices],
        class_names=NAMES,
        unit="share",
        ids=[IDS[i] for i in MOVED.indices],
    ),
    "overlap": lambda: agreement.overlap_heatmaps(["trNTK", HOSTILE], np.eye(2), 0.5 * np.eye(2) + 0.5, k=6, n_test=M),
    "overlap, all points": lambda: agreement.overlap_histogram(rng().random(M), k=6, reference=HOSTILE, mark=0.4),
    "removal": lambda: removal.removal_bars(REMOVALS, {"own": HOSTILE}),
    "removal of one point": lambda: removal.removal_bars(
        [removals(np.ones(1), {"own": np.zeros(1), "b": -np.ones(1)}, k=1)], {"b": HOSTILE}
    ),
    "carriers": lambda: behaviour.carrier_bars(CARRIERS, target=HOSTILE),
    "regions": lambda: behaviour.region_bars(REGIONS),
    "density": lambda: density.density_map(rng().normal(size=(900, 2)), np.arange(900) % C, NAMES, n_sample=100),
}
