"""Links to a view: copied with a fingerprint of what is seen, and checked against it when somebody opens one."""

import base64
import binascii
from dataclasses import fields
from urllib.parse import urlencode, urlsplit

import streamlit as st

from ntkviz.errors import NtkvizError
from ntkviz.studies.errors import InvalidStudy
from ntkviz.studies.fingerprint import Fingerprint, fingerprint
from ntkviz.studies.hashing import canonical_json
from ntkviz.studies.quote import quote_at_once
from ntkviz.studies.spec import StudySpec
from ntkviz.studies.store import ntkviz_home
from ntkviz.studies.study import Study
from ntkviz.ui import cached, person, quick, state
from ntkviz.ui.text import escape, span

#: Names of the address that belong to the moment and not to the view.
_NOT_SHARED = ("job", "fp", "spec")
#: Digits of a study's key that stand before its fingerprint.
_DIGITS = 8
_WORDS = {
    "model": "the **model**: its weights or its architecture were changed",
    "data": "the **data**",
    "spec": "the **request**: kernel, surrogate, options, sizes or seed",
    "versions": "the **versions** of Python, ntkviz, NumPy, SciPy, scikit-learn or torch, or the kind of machine",
    "results": "the **results**: the numbers are not the same to the last bit",
}


@st.fragment
def copy_link(study: Study) -> None:
    """A link to what is seen now; made anew each time it is opened, for what is chosen since."""
    menu = st.popover("Copy link", icon=":material/link:", type="tertiary", key="copy_link", on_change="rerun")
    if not menu.open:
        return
    with menu:
        st.code(link_of(study), language=None, wrap_lines=True)
        st.caption(
            "It restores this page, the study and what is selected, and says whether what is found there is identical. "
            + (
                "Where the study is missing, it offers to compute it. "
                if study.spec.sample
                else "It leads nowhere where the study is missing. "
            )
            + _whom()
        )


def link_of(study: Study) -> str:
    """The address of what is seen, with the fingerprint of the study and, of a bundled sample, what to compute."""
    here = urlsplit(st.context.url or "")
    above, _, page = here.path.rpartition("/")
    place = f"{here.scheme}://{here.netloc}{person.without_process(above)}/{page}" if here.netloc else "/"
    view = {name: value for name, value in st.query_params.to_dict().items() if name not in _NOT_SHARED}
    view |= {"study": study.key, "fp": f"{study.key[:_DIGITS]}-{_fingerprint(str(ntkviz_home()), study.key)}"}
    if study.spec.sample:
        view["spec"] = packed(study.spec)
    return f"{place}?{urlencode(view, safe='~.-_:')}"


def check(study: Study) -> None:
    """Say whether the study on show is what the link that was opened spoke of; nothing when it was another, or there was none."""
    key, _, text = str(state.get("fp") or "").partition("-")
    if not key or not (study.key.startswith(key) or study.key == state.get("fp_for")):
        return
    try:
        theirs = Fingerprint.parse(text)
    except ValueError:
        state.forget("fp")
        return
    differs = theirs.differences(Fingerprint.parse(_fingerprint(str(ntkviz_home()), study.key)))
    if not set(differs) - {"versions"}:
        note = "The same model, data, request and results, bit for bit." + (" Computed with other versions." if differs else "")
        st.badge("Identical to what was shared", icon=":material/verified:", color="blue", help=note)
        return
    st.warning(difference(differs), icon=":material/difference:")


def difference(differs: tuple[str, ...]) -> str:
    """What differs between a link and the study here, in words, and what that means."""
    parts = ", and ".join(_WORDS[part.name] for part in fields(Fingerprint) if part.name in differs)
    if set(differs) <= {"results", "versions"}:
        means = "Model, data and request are the same, so figures should agree in all digits that are shown. Compare one before you rely on it."
    else:
        means = "What you see is not what was shared. Ask whoever sent the link for their files, or for a new link."
    return f"This is not identical to what was shared. What differs: {parts}. {means}"


def offer(chosen: str) -> bool:
    """Where the study of a link is missing: offer to compute it, when the link says how and it is of a bundled sample.

    Args:
        chosen: the study that the link names.

    Returns:
        Whether it was offered.
    """
    spec = unpacked(str(state.get("spec") or ""))
    if spec is None or not person.may_change():
        return False
    try:
        known = quote_at_once([spec])
        key = spec.key()
    except NtkvizError as error:
        st.caption(f"The link says how it was made, and that cannot be done here: {escape(error, limit=600)}")
        return False
    takes = f" (about {span(known.seconds)})" if known else ""
    st.markdown(
        f"The link says how it was made: {escape(spec.sample)}, kernel {escape(spec.kernel)}, surrogate {escape(spec.surrogate)}, "
        f"{spec.n_train or 'all'} training and {spec.n_test or 'all'} test points, seed {spec.seed}."
    )
    if key != chosen:
        st.caption(
            "The model, its data or the code here are not those of the link: what is computed will differ, and be said to."
        )
    if st.button(f"Compute it here{takes}", key="compute_link", type="primary", icon=":material/play_arrow:"):
        try:
            quick.launch([spec])
        except NtkvizError as error:
            st.error(escape(error, limit=1200), icon=":material/error:")
            return True
        state.put("fp_for", key)
        state.forget("study")
        st.switch_page("pages/studies.py")
    return True


def packed(spec: StudySpec) -> str:
    """What makes a study again, short enough for an address."""
    default = StudySpec(sample=spec.sample or "sample").to_dict()
    said = {name: value for name, value in spec.to_dict().items() if value != default[name] or name == "sample"}
    return base64.urlsafe_b64encode(canonical_json(said).encode()).decode().rstrip("=")


def unpacked(text: str) -> StudySpec | None:
    """The study of a bundled sample that :func:`packed` wrote; None for anything else."""
    try:
        spec = StudySpec.from_json(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode())
    except (binascii.Error, InvalidStudy, TypeError, ValueError):
        return None
    return spec if spec.sample else None


def _whom() -> str:
    """Who can open it."""
    if not person.several():
        return "Whoever opens it needs ntkviz on a machine of their own."
    return "Other people of this server see their own studies; to show them this one, make a link on the page Server."


@st.cache_data(max_entries=64, show_spinner=False)
def _fingerprint(home: str, key: str) -> str:
    return str(fingerprint(cached.store(), key))
