"""Which studies the page Compare lays side by side: the choice, its names, and what its members have in common."""

from dataclasses import dataclass

import streamlit as st

from ntkviz.kernels.registry import kernels
from ntkviz.studies.comparable import Contents, Shared, contents_of, differing, shared
from ntkviz.studies.faithfulness import WITHOUT_NETWORK
from ntkviz.studies.store import StudyEntry, ntkviz_home
from ntkviz.studies.study import Study
from ntkviz.surrogates.registry import surrogates
from ntkviz.ui import cached, gates, state
from ntkviz.ui.address import SHORT_KEY
from ntkviz.ui.kernel_facts import Shown
from ntkviz.ui.text import escape

FEWEST, MOST = 2, 6


@dataclass(frozen=True, eq=False)
class Side:
    """One of the studies compared.

    Attributes:
        title: made of what tells it from the others; plain text.
        study: the study.
        shared: what it has in common with the first.
    """

    title: str
    study: Study
    shared: Shared

    @property
    def control(self) -> bool:
        """Whether its kernel knows no network."""
        return self.study.spec.kernel in WITHOUT_NETWORK


def choose(study: Study) -> list[Side]:
    """The studies that are compared, the one on show first when it is among them; fewer than two when there are no more.

    Args:
        study: the study on show.
    """
    entries = _entries(study)
    options = {entry.key[:SHORT_KEY]: entry for entry in entries}
    chosen = state.sticky(
        st.multiselect,
        f"Studies, {FEWEST} to {MOST}",
        key="compare",
        default=_default(study, entries),
        options=list(options),
        format_func=lambda key: _title(options[key], study) if key in options else key,
        max_selections=MOST,
        placeholder="Choose finished studies",
        help="Those of the same model and data first, then of others. The choice stands in the address: a link restores it.",
    )
    keys = [options[key].key for key in chosen if key in options]
    keys.sort(key=lambda key: key != study.key)
    return sides([cached.study(key) for key in keys])


def sides(studies: list[Study]) -> list[Side]:
    """Some studies with names that tell them apart, and with what each shares with the first."""
    contents = [_contents(str(ntkviz_home()), one.key) for one in studies]
    return [
        Side(title, one, shared(studies[0], one, contents[0], mine))
        for title, one, mine in zip(names(studies), studies, contents, strict=True)
    ]


def names(studies: list[Study]) -> list[str]:
    """A short name of each: kernel and surrogate, and whatever else differs among them."""
    found = differing([one.spec for one in studies]) if studies else {}
    rows = []
    for place, one in enumerate(studies):
        spec = one.spec
        parts = [kernels()[spec.kernel].title]
        parts += _options(studies, found, place, "kernel")
        parts += [surrogates()[spec.surrogate].title] if "surrogate" in found or len(found) == 0 else []
        parts += _options(studies, found, place, "surrogate")
        parts += ["cosine" if spec.normalize else "raw"] if "normalize" in found else []
        parts += [f"N {one.n_train:,}"] if "n_train" in found else []
        parts += [f"seed {spec.seed}"] if "seed" in found else []
        parts += [one.name] if "network and data" in found else []
        rows.append(" · ".join(parts))
    return [name if rows.count(name) == 1 else f"{name} ({one.key[:4]})" for name, one in zip(rows, studies, strict=True)]


def _options(studies: list[Study], found: dict[str, list[object]], place: int, which: str) -> list[str]:
    """The options that tell a kernel or surrogate from others of its kind."""
    kinds = [getattr(one.spec, which) for one in studies]
    twins = [k for k, kind in enumerate(kinds) if kind == kinds[place]]
    names = [name for name in found if name.startswith(f"{kinds[place]}: ")]
    return [f"{name.split(': ')[1]} {found[name][place]}" for name in names if len({str(found[name][k]) for k in twins}) > 1]


def comparability(found: list[Side]) -> None:
    """Say plainly which of them cannot be compared in full, and why."""
    for side in found[1:]:
        if not side.shared.kernels or not side.shared.network or not side.shared.labels:
            icon = ":material/link:" if side.shared.kernels else ":material/link_off:"
            st.caption(f"{icon} **{escape(side.title)}**: {side.shared.sentence()}")


def same_points(found: list[Side]) -> list[Side]:
    """Those of the first one's points, one a kernel and form: their matrices, maps and neighbours can be laid side by side."""
    kept: dict[tuple[str, bool], Side] = {}
    for side in found:
        if side.shared.kernels:
            kept.setdefault((side.study.kernel_key, side.study.spec.normalize), side)
    return list(kept.values())


def shown(found: list[Side]) -> list[Shown]:
    """Their kernels, each in the form of its study."""
    return [Shown(side.study.kernel_key, side.title, side.study.spec.normalize) for side in found]


def _entries(study: Study) -> list[StudyEntry]:
    """All finished studies: the one on show, those of its model and points, those of its model, then the others."""

    def order(entry: StudyEntry) -> tuple[bool, bool, bool]:
        subject = entry.spec is not None and entry.spec.subject_id == study.spec.subject_id
        return entry.key != study.key, not subject, not _alike(entry, study)

    return sorted(gates.finished(), key=order)


def _alike(entry: StudyEntry, study: Study) -> bool:
    """Whether a study has as many points, drawn from the same seed."""
    sizes = entry.summary["n_train"], entry.summary["n_test"]
    return entry.spec is not None and (*sizes, entry.spec.seed) == (study.n_train, study.n_test, study.spec.seed)


def _default(study: Study, entries: list[StudyEntry]) -> list[str]:
    """The study on show, then others of the same model and points: other kernels with its surrogate before all."""

    def order(entry: StudyEntry) -> tuple[bool, bool]:
        spec = entry.spec
        return entry.key != study.key, spec is None or spec.surrogate != study.spec.surrogate

    fits = [e for e in entries if e.spec is not None and e.spec.subject_id == study.spec.subject_id and _alike(e, study)]
    return [entry.key[:SHORT_KEY] for entry in sorted(fits, key=order)[:MOST]]


def _title(entry: StudyEntry, study: Study) -> str:
    """A study in the picker: as short as it can be beside the one on show."""
    spec = entry.spec
    if spec is None:
        return entry.key[:6]
    parts = [kernels()[spec.kernel].title, surrogates()[spec.surrogate].title]
    parts += [f"{name} {value}" for name, value in spec.kernel_options.items() if name == "proj_dim"]
    parts += ["cosine" if spec.normalize else "raw"] if spec.normalize != study.spec.normalize else []
    if not _alike(entry, study):
        parts.append(f"{entry.summary['n_train']:,} + {entry.summary['n_test']:,}, seed {spec.seed}")
    parts += [str(entry.summary["subject"])] if spec.subject_id != study.spec.subject_id else []
    return " · ".join([*parts, entry.key[:4]])


@st.cache_data(max_entries=64, show_spinner=False)
def _contents(home: str, study_key: str) -> Contents:
    study = cached.study(study_key)
    return contents_of(study, cached.dataset(study.spec.subject_id))
