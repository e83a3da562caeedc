"""The same question put to several studies of the same points: who can be asked, what each answers, and how far they agree on all test points."""

from dataclasses import dataclass

import numpy as np
import streamlit as st

from ntkviz.explain.agreement import Agreement, Named, block_rows, named
from ntkviz.explain.effects import RemovalEffects
from ntkviz.kernels.registry import kernels
from ntkviz.scores import scores_of
from ntkviz.studies.companion import answers_itself, heads_of
from ntkviz.studies.explained import explanation
from ntkviz.studies.spec import StudySpec
from ntkviz.studies.store import ntkviz_home
from ntkviz.studies.study import Study
from ntkviz.ui import cached, gates
from ntkviz.ui.companion import companion, effects_of, removal_effects
from ntkviz.ui.compared import FIT_UP_TO

#: Studies side by side, the one on show among them; and how many others stand there before anybody chose.
MOST, AT_FIRST = 6, 3
#: Removal effects on all test points are computed up to so many training points, and are compared first: two seconds a kernel, growing with
#: the cube of N.
ALL_UP_TO = 1000
#: Approximations of another kernel. They say nearly the same as it, so they are asked when somebody chooses them.
_SKETCHES = ("hybrid_trntk", "class_sketch_trntk", "proj_trntk", "proj_pntk")
#: What is compared: key -> what a number is.
KINDS = {"removal": "removal effect", "share": "share in the score", "similarity": "similarity"}
#: Strongest training points that are kept of each test point; the page asks for no more.
_DEPTH = 30


@dataclass(frozen=True, eq=False)
class Asked:
    """A study that the question is put to.

    Attributes:
        study: the study.
        title: tells it from the others, plain text.
    """

    study: Study
    title: str


@dataclass(frozen=True)
class Candidate:
    """A finished study of the very same points.

    Attributes:
        key: of the study.
        title: tells it from the others, plain text.
        kind: of its kernel.
        kernel_alone: whether it differs from the study on show in the kernel and in nothing else.
    """

    key: str
    title: str
    kind: str
    kernel_alone: bool


def candidates(study: Study) -> list[Candidate]:
    """The study on show, then those that differ from it in the kernel alone, then the others of its points."""
    specs = {study.key: study.spec}
    for entry in gates.finished():
        spec = entry.spec
        if spec is not None and spec.subject_id == study.spec.subject_id and _points(spec) == _points(study.spec):
            specs.setdefault(entry.key, spec)
    order, titles = list(kernels()), _titles(specs)
    found = [Candidate(key, titles[key], spec.kernel, _kernel_alone(spec, study.spec)) for key, spec in specs.items()]
    return sorted(found, key=lambda one: (one.key != study.key, not one.kernel_alone, order.index(one.kind), one.title))


def at_first(known: list[Candidate]) -> list[str]:
    """Keys of the others that are asked before anybody chose: of those with another kernel alone, if there are any; sketches last."""
    others = [one for one in known[1:] if one.kernel_alone] or known[1:]
    return [one.key for one in sorted(others, key=lambda one: one.kind in _SKETCHES)[:AT_FIRST]]


def opened(study: Study, known: list[Candidate], keys: list[str]) -> tuple[list[Asked], list[str]]:
    """The study on show and the others of these keys.

    Returns:
        The studies asked, and the titles of those left out: of the same sizes and seed, but other points (the data changed since).
    """
    titles = {one.key: one.title for one in known}
    studies, left_out = [study], []
    for key in keys[: MOST - 1]:
        other = cached.study(key)
        if np.array_equal(other.train_index, study.train_index) and np.array_equal(other.test_index, study.test_index):
            studies.append(other)
        else:
            left_out.append(titles[key])
    short = _titles({one.key: one.spec for one in studies})
    return [Asked(one, short[one.key]) for one in studies], left_out


def kinds(asked: list[Asked]) -> list[str]:
    """What can be compared, the default first. Removal effects lead, as on the first tab, where they take seconds."""
    n = asked[0].study.n_train
    direct = [answers_itself(one.study) for one in asked]
    possible = (all(direct) or n <= FIT_UP_TO) and len(np.unique(asked[0].study.y_train)) > 1
    if not possible:
        return ["share", "similarity"]
    return ["removal", "share", "similarity"] if n <= ALL_UP_TO else ["share", "removal", "similarity"]


def attributions(asked: list[Asked], m: int, label: int, against: int | None, kind: str) -> np.ndarray:
    """What each study answers of one test point, float64 ``[K, N]``.

    Args:
        asked: K studies.
        m: position of the test point in them.
        label: the class that is explained.
        against: the class that it is compared with, or None.
        kind: key of :data:`KINDS`.
    """
    return np.stack([_attribution(one.study, m, label, against, kind) for one in asked])


def on_all_points(asked: list[Asked], kind: str, k: int) -> Agreement:
    """How far the studies agree on every test point, on the class that the network names there.

    Args:
        asked: K studies.
        kind: key of :data:`KINDS`; "removal" up to :data:`ALL_UP_TO` training points.
        k: how many strongest training points are compared.
    """
    return _agreement(str(ntkviz_home()), tuple(one.study.key for one in asked), kind, k)


def _attribution(study: Study, m: int, label: int, against: int | None, kind: str) -> np.ndarray:
    """One study's answer, float64 ``[N]``."""
    if kind == "similarity":
        return np.asarray(study.rows[m], dtype=np.float64)
    if kind == "share":
        return explanation(study, m, label, against).shares
    usual = against is None and label == scores_of(study.logits_test[m : m + 1]).predicted[0]
    if usual and study.n_train <= ALL_UP_TO:
        return _all_effects(str(ntkviz_home()), study.key)[m].astype(np.float64)
    return effects_of(study, m, heads_of(removal_effects(study), study, m, label, against))


def _block(study: Study, kind: str, part: slice) -> np.ndarray:
    """A study's answers on some test points, each on the class that the network names, ``[m, N]``."""
    if kind == "removal":
        return _all_effects(str(ntkviz_home()), study.key)[part]
    rows = np.asarray(study.rows[part], dtype=np.float64)
    if kind == "similarity":
        return rows
    named_class, weights = scores_of(study.logits_test[part]).predicted, study.surrogate.weights
    if len(weights) == 1:
        return rows * (weights[0] * (2.0 * named_class[:, None] - 1.0))
    return rows * weights[named_class]


@st.cache_resource(max_entries=16, show_spinner=False)
def _agreement(home: str, keys: tuple[str, ...], kind: str, k: int) -> Agreement:
    return _named(home, keys, kind).agreement(k)


@st.cache_resource(max_entries=6, show_spinner="Comparing on all test points …")
def _named(home: str, keys: tuple[str, ...], kind: str) -> Named:
    studies = [cached.study(key) for key in keys]
    step = block_rows(len(studies), studies[0].n_train)
    parts = [slice(start, start + step) for start in range(0, studies[0].n_test, step)]
    signed = kind != "similarity"
    return Named.joined([named([_block(study, kind, part) for study in studies], _DEPTH, signed=signed) for part in parts])


@st.cache_resource(max_entries=8, show_spinner="Removal effects on all test points, once for each kernel …", show_time=True)
def _all_effects(home: str, key: str) -> np.ndarray:
    """Removal effects on the log-odds of the class that the network names, float32 ``[M, N]``; solved directly.

    Raises:
        ValueError: when the study's training points have one class only; :func:`kinds` does not offer it then.
    """
    study = cached.study(key)
    found = companion(study)
    if found.surrogate is None:
        raise ValueError(found.problem)
    effects = RemovalEffects.of_surrogate(found.surrogate, study.kernel, study.y_train, leave_one_out=True)
    return effects.on_log_odds(study.rows, study.logits_test, scores_of(study.logits_test).predicted).astype(np.float32)


def _titles(specs: dict[str, StudySpec]) -> dict[str, str]:
    """Titles that say in what the studies differ, and the beginning of the key where nothing else tells two apart."""
    forms, fits = {spec.normalize for spec in specs.values()}, {spec.surrogate for spec in specs.values()}
    found = {}
    for key, spec in specs.items():
        parts = [kernels()[spec.kernel].title]
        parts += [("cosine" if spec.normalize else "raw")] if len(forms) > 1 else []
        parts += [spec.surrogate] if len(fits) > 1 else []
        found[key] = " · ".join(parts)
    return {key: title if list(found.values()).count(title) == 1 else f"{title} ({key[:4]})" for key, title in found.items()}


def _kernel_alone(spec: StudySpec, base: StudySpec) -> bool:
    """Whether a study differs from another in the kernel and in nothing else."""
    return spec.surrogate == base.surrogate and spec.normalize == base.normalize and spec.kernel != base.kernel


def _points(spec: StudySpec) -> tuple[int | None, int | None, int]:
    return spec.n_train, spec.n_test, spec.seed
