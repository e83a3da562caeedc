"""The numbers behind the page Behaviours: which test points, what they are compared with, and the effects on all of them."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from ntkviz.explain.regions import Coverage, cluster_names, coverage, kernel_clusters
from ntkviz.kernels.blocks import KernelBlocks
from ntkviz.scores import scores_of
from ntkviz.studies.store import ntkviz_home
from ntkviz.studies.study import Study
from ntkviz.types import Dataset
from ntkviz.ui import cached
from ntkviz.ui.what_if_state import model_of

#: Test points of a behaviour whose effects are computed; of more a random part is taken.
MOST_MEMBERS = 150
#: Test points of each class that they are compared with, up to this N and above it.
REFERENCE, LARGE, REFERENCE_LARGE = 40, 2000, 12
#: A column of the data with more states than this makes no groups.
MAX_STATES = 30


@dataclass(frozen=True, eq=False)
class Behaviour:
    """Test points that are explained together.

    Attributes:
        title: in words, plain text: "4 taken for 9".
        members: int64, positions of its test points in the study.
        pool: int64, positions of all test points whose effects are computed, members among them.
        target: int64, for each of the pool the class whose log-odds are explained.
        target_name: that class in words.
        notes: what was left out.
    """

    title: str
    members: np.ndarray
    pool: np.ndarray
    target: np.ndarray
    target_name: str
    notes: tuple[str, ...] = ()

    @property
    def inside(self) -> np.ndarray:
        """Which of the pool are members, bool."""
        return np.isin(self.pool, self.members)


def behaviour(study: Study, title: str, chosen: np.ndarray, *, target: int | None) -> Behaviour:
    """A behaviour with the test points that it is compared with: random ones of the same true classes.

    Args:
        study: the study.
        title: in words.
        chosen: positions of its test points.
        target: the class whose log-odds are explained; None for each point's own label.
    """
    rng, notes, members = np.random.default_rng(0), [], np.sort(chosen)
    if len(members) > MOST_MEMBERS:
        notes.append(f"A random {MOST_MEMBERS} of its {len(members):,} test points stand for all.")
        members = np.sort(rng.permutation(members)[:MOST_MEMBERS])
    few = REFERENCE if study.n_train <= LARGE else REFERENCE_LARGE
    others = []
    for label in np.unique(study.y_test[members]):
        free = np.setdiff1d(np.flatnonzero(study.y_test == label), chosen)
        others.append(np.sort(rng.permutation(free)[:few]))
    pool = np.concatenate([members, *others]).astype(np.int64)
    wanted = study.y_test[pool] if target is None else np.full(len(pool), target)
    name = "the label" if target is None else study.class_names[target]
    return Behaviour(title, members, pool, wanted.astype(np.int64), name, tuple(notes))


def cells(study: Study) -> dict[str, tuple[int, int, np.ndarray]]:
    """The cells of the network's confusion matrix with errors: "true:predicted" -> both classes and positions, the fullest first."""
    said = scores_of(study.logits_test).predicted
    found = {}
    for true in range(len(study.class_names)):
        for named in range(len(study.class_names)):
            inside = np.flatnonzero((study.y_test == true) & (said == named))
            if true != named and len(inside):
                found[f"{true}:{named}"] = (true, named, inside)
    return dict(sorted(found.items(), key=lambda entry: -len(entry[1][2])))


def wrong(study: Study) -> np.ndarray:
    """Positions of the test points that the network gets wrong."""
    return np.flatnonzero(scores_of(study.logits_test).predicted != study.y_test)


def effects(study: Study, chosen: Behaviour) -> np.ndarray:
    """Removal effects of all training points on the pool of a behaviour, ``[pool, N]``."""
    signature = f"{chosen.pool.tolist()}:{chosen.target.tolist()}"
    return _effects(str(ntkviz_home()), study.key, signature, chosen)


def groupings(study: Study, data: Dataset) -> list[str]:
    """What training points can be grouped by: their class, clusters of the kernel, columns of the data."""
    found = ["class", "cluster"]
    if data.meta is None:
        return found
    for name in data.meta.columns:
        states = pd.Series(data.meta[name]).iloc[study.train_index].nunique(dropna=False)
        if name not in {"split", "label", "class"} and 1 < states <= MAX_STATES:
            found.append(f"data: {name}")
    return found


def groups(study: Study, data: Dataset, by: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """The group of each training point, int64 ``[N]``, and the groups' names, plain text."""
    if by == "cluster":
        return clusters(study)
    if by.startswith("data: ") and data.meta is not None:
        column = by.removeprefix("data: ")
        codes, states = pd.factorize(pd.Series(data.meta[column]).iloc[study.train_index].astype(str), sort=True)
        return np.asarray(codes, dtype=np.int64), tuple(f"{column}: {state}" for state in states)
    return np.asarray(study.y_train, dtype=np.int64), tuple(study.class_names)


def clusters(study: Study) -> tuple[np.ndarray, tuple[str, ...]]:
    """Clusters of the kernel's space, int64 ``[N]``, and their names."""
    found = _clusters(str(ntkviz_home()), study.key)
    return found, cluster_names(found, study.y_train, study.class_names)


def covered(study: Study) -> Coverage:
    """How much of its own class each test point has near by, by the cosine kernel."""
    return _covered(str(ntkviz_home()), study.key)


def cosine_rows(study: Study) -> np.ndarray:
    """The cosine kernel between test and training points, ``[M, N]``, whatever form the study has."""
    if study.spec.normalize:
        return np.asarray(study.rows)
    blocks: KernelBlocks = cached.kernel_blocks(study.kernel_key).blocks
    return blocks.normalised().rows


@st.cache_resource(max_entries=16, show_spinner="Computing what each training example does to these test points …")
def _effects(home: str, study_key: str, signature: str, _chosen: Behaviour) -> np.ndarray:
    return model_of(home, study_key).effects(np.asarray(cached.study(study_key).rows)[_chosen.pool], _chosen.target)


@st.cache_resource(max_entries=8, show_spinner="Looking for clusters …")
def _clusters(home: str, study_key: str) -> np.ndarray:
    return kernel_clusters(cached.study(study_key).kernel)


@st.cache_resource(max_entries=8, show_spinner=False)
def _covered(home: str, study_key: str) -> Coverage:
    study = cached.study(study_key)
    return coverage(cosine_rows(study), study.y_train, study.y_test)
