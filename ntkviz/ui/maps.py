"""Maps of a study's kernel: made once, kept on the disk and in memory."""

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st

from ntkviz.embed.embed import embed
from ntkviz.embed.registry import embeddings
from ntkviz.embed.result import Embedding, Quality
from ntkviz.studies.derived import folder_of
from ntkviz.studies.derived import kept as kept_in
from ntkviz.studies.store import ntkviz_home
from ntkviz.studies.study import Study
from ntkviz.ui import cached

#: Raised when maps come out otherwise than before, so that old ones are left alone.
MAP_VERSION = 2
#: Training points above this need more memory and time than a page should take.
MAP_UP_TO = 10_000

Options = tuple[tuple[str, object], ...]


@dataclass(frozen=True)
class Made:
    """A map and what it took.

    Attributes:
        embedding: coordinates and quality.
        seconds: it took when it was made.
    """

    embedding: Embedding
    seconds: float


def make_map(study: Study, kind: str, *, size: int, seed: int) -> Made:
    """The map of a study's kernel: from memory, from the disk, or computed now.

    Args:
        study: the study; its surrogate does not matter.
        kind: key of :func:`ntkviz.embed.registry.embeddings`.
        size: of the neighbourhoods kept, for the methods that have such an option.
        seed: of methods with chance in them.

    Raises:
        ValueError: when the kernel has fewer than 3 points.
    """
    return _make(str(ntkviz_home()), study.key, study.kernel_key, study.spec.normalize, kind, options(kind, size), seed)


def options(kind: str, size: int) -> Options:
    """The options of a method for neighbourhoods of about that size."""
    known = embeddings()[kind].options
    if "n_neighbors" in known:
        return (("n_neighbors", int(size)),)
    return (("perplexity", float(2 * size)),) if "perplexity" in known else ()


def estimate(kinds: list[str], n_train: int) -> str:
    """How long maps take, for the spinner."""
    first = " UMAP takes about 20 s more when it is first used after the server started." if "umap" in kinds else ""
    scale = {"umap": 1.0, "kernel_pca": 0.2, "tsne": 2.0}
    seconds = sum(scale.get(kind, 1.0) for kind in kinds) * max(0.3, (n_train / 1000) ** 1.5)
    return f"about {max(1, round(seconds))} s for {n_train:,} training points, once; then it is kept.{first}"


def test_diagonal(study: Study) -> np.ndarray:
    """``[M]``, each test point's kernel with itself, in the form of the study."""
    raw = cached.kernel_blocks(study.kernel_key).blocks.rows_diagonal
    return (raw > 0).astype(np.float64) if study.spec.normalize else raw


def nearest_training(study: Study, split: str, position: int, k: int) -> tuple[np.ndarray, np.ndarray]:
    """The training points nearest to a point in the kernel's space, the point itself left out.

    Args:
        study: the study.
        split: "train" or "test".
        position: of the point in the study.
        k: how many at most.

    Returns:
        positions of the training points, nearest first, and their distances.
    """
    diagonal = np.diag(study.kernel).astype(np.float64)
    row = np.asarray((study.kernel if split == "train" else study.rows)[position], dtype=np.float64)
    own = diagonal[position] if split == "train" else float(test_diagonal(study)[position])
    squared = np.maximum(own + diagonal - 2 * row, 0.0)
    if split == "train":
        squared[position] = np.inf
    order = np.argsort(squared, kind="stable")[: min(k, len(squared) - (split == "train"))]
    return order, np.sqrt(squared[order])


def kept(study: Study, kind: str, *, size: int, seed: int) -> bool:
    """Whether that map is on the disk, so that showing it takes no time."""
    return _folder(study.kernel_key, study.spec.normalize, kind, options(kind, size), seed).is_dir()


def _folder(kernel_key: str, normalize: bool, kind: str, chosen: Options, seed: int) -> Path:
    """Where a map is kept."""
    parts = {"what": "map", "version": MAP_VERSION, "kernel": kernel_key, "normalize": normalize, "kind": kind, "seed": seed}
    return folder_of(cached.store().home, "maps", {**parts, "options": dict(chosen)})


@st.cache_resource(max_entries=12, show_spinner=False)
def _make(home: str, study_key: str, kernel_key: str, normalize: bool, kind: str, chosen: Options, seed: int) -> Made:
    def make() -> Made:
        began = time.perf_counter()
        study = cached.study(study_key)
        settings: dict[str, Any] = dict(chosen)
        embedding = embed(study.kernel, study.rows, test_diagonal(study), kind=kind, seed=seed, **settings)
        return Made(embedding, time.perf_counter() - began)

    folder = _folder(kernel_key, normalize, kind, chosen, seed)
    return kept_in(folder, make, kind="map", kernel_key=kernel_key, classes=[Made, Embedding, Quality])
