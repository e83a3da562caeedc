"""Surrogates of one kernel, side by side: those in the store, and those fitted while the page waits."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import streamlit as st

from ntkviz.studies.store import ntkviz_home
from ntkviz.studies.study import Study
from ntkviz.surrogates.registry import surrogates
from ntkviz.ui import cached, gates, state

if TYPE_CHECKING:
    from ntkviz.fidelity.fidelity import Fidelity

#: A fit on more training points takes longer than a page should wait: about 3 s a surrogate at 2,000.
FIT_UP_TO = 2000
TARGETS = {"labels": "re-learns the labels", "logits": "imitates the network"}


@dataclass(frozen=True)
class Compared:
    """A surrogate on the kernel of the study on show, at the same test points.

    Attributes:
        key: of its study, or ``fitted-<kind>``.
        kind: key of the registry.
        title: for legends; two of one kind differ in it.
        logits: ``[M, C]``.
        fidelity: its measures.
        converged: whether its solver reached its stopping rule.
        where: "this study", "in the store" or "fitted here".
    """

    key: str
    kind: str
    title: str
    logits: np.ndarray
    fidelity: "Fidelity"
    converged: bool
    where: str

    @property
    def aim(self) -> str:
        """What it was fitted to."""
        return TARGETS[surrogates()[self.kind].target]


def compared(study: Study) -> list[Compared]:
    """This study's surrogate first, then the others that are stored for its kernel, then those fitted on the page."""
    rows = [_row(study, study.key, "this study")]
    for entry in gates.finished():
        other = entry.spec is not None and entry.key != study.key and entry.kernel_key == study.kernel_key
        if other and entry.spec is not None and entry.spec.normalize == study.spec.normalize:
            rows.append(_row(cached.study(entry.key), entry.key, "in the store"))
    for kind in fitted(study):
        surrogate_logits, found, converged = _fit(str(ntkviz_home()), study.key, kind)
        rows.append(Compared(f"fitted-{kind}", kind, surrogates()[kind].title, surrogate_logits, found, converged, "fitted here"))
    return [_named(row, rows) for row in rows]


def fitted(study: Study) -> list[str]:
    """Kinds that were fitted on the page for this study, in the order they were asked for."""
    return list((state.get("fitted") or {}).get(study.key, ()))


def missing(study: Study, rows: list[Compared]) -> list[str]:
    """Kinds that are not among the rows."""
    return [kind for kind in surrogates() if kind not in {row.kind for row in rows}]


def remember(study: Study, kinds: list[str]) -> None:
    """Fit these kinds from now on whenever this study is on show (computed once, then cached)."""
    known = dict(state.get("fitted") or {})
    known[study.key] = [*fitted(study), *(kind for kind in kinds if kind not in fitted(study))]
    state.put("fitted", known)


def _row(study: Study, key: str, where: str) -> Compared:
    converged = study.surrogate.convergence.converged
    kind = study.spec.surrogate
    return Compared(key, kind, surrogates()[kind].title, study.surrogate_logits, study.fidelity, converged, where)


def _named(row: Compared, rows: list[Compared]) -> Compared:
    """Tell surrogates of one kind apart by the beginning of their study's key."""
    twins = sum(other.kind == row.kind for other in rows) > 1
    if not twins:
        return row
    return Compared(row.key, row.kind, f"{row.title} {row.key[:4]}", row.logits, row.fidelity, row.converged, row.where)


@st.cache_resource(max_entries=24, show_spinner=False)
def _fit(home: str, study_key: str, kind: str) -> tuple[np.ndarray, "Fidelity", bool]:
    """Fit one kind with its default options to the study's kernel; scores, measures, and whether it converged."""
    from ntkviz.fidelity.fidelity import fidelity
    from ntkviz.studies.fitting import fit_points

    study = cached.study(study_key)
    labels, network = (study.y_train, study.y_test), (study.logits_train, study.logits_test)
    surrogate = fit_points(kind, study.kernel, study.rows, labels=labels, logits=network, seed=study.spec.seed)
    logits = surrogate.decision_function(study.rows)
    return logits, fidelity(study.logits_test, logits, study.y_test, seed=study.spec.seed), surrogate.convergence.converged
