"""The choices of a study: kernels, surrogates, their options, how many points."""

import json
from collections.abc import Mapping
from typing import Any

import streamlit as st

from ntkviz.errors import NtkvizError
from ntkviz.kernels.registry import kernels
from ntkviz.studies.quote import quote_at_once
from ntkviz.studies.spec import StudySpec
from ntkviz.studies.subjects import Subject
from ntkviz.surrogates.registry import surrogates
from ntkviz.types import KernelInfo, SurrogateInfo
from ntkviz.ui import quick, state
from ntkviz.ui.text import escape, megabytes, span

_TARGETS = {"labels": "re-learns the labels", "logits": "imitates the network"}
#: The registry's order within a row of a help text: attribute -> heading.
_FACTS = {"cost": "Cost", "use_when": "Use it", "caveat": "Beware", "source": "Source"}


def choose_specs(subject: Subject) -> list[StudySpec]:
    """Draw the choices; the studies that they ask for, every kernel with every surrogate. None when nothing is chosen.

    Raises:
        InvalidStudy: when a choice is not possible.
    """
    chosen_kernels, normalize = _kernels()
    chosen_surrogates = _surrogates()
    _registries()
    options = _options(chosen_kernels, chosen_surrogates)
    n_train, n_test, seed, budget = _points(subject)
    if not chosen_kernels or not chosen_surrogates:
        st.info("Choose at least one kernel and one surrogate.", icon=":material/touch_app:")
        return []
    return [
        subject.spec(
            kernel=kernel,
            surrogate=surrogate,
            normalize=normalize,
            n_train=n_train,
            n_test=n_test,
            seed=seed,
            kernel_options=options.get(kernel, {}),
            surrogate_options=options.get(surrogate, {}),
            budget_seconds=budget if kernel == "trntk" else None,
        )
        for kernel in chosen_kernels
        for surrogate in chosen_surrogates
    ]


def _kernels() -> tuple[list[str], bool]:
    rows = {key: info for key, info in kernels().items() if info.block == "point"}
    left, right = st.columns([3, 1], gap="medium")
    with left:
        chosen = state.sticky(
            st.pills,
            "Kernels",
            key="kernels",
            default=["trntk"],
            options=list(rows),
            selection_mode="multi",
            format_func=lambda key: rows[key].title,
            help="How alike two points are to the network. Choose several to compare them; each is computed once and kept.",
        )
    with right:
        form = state.sticky(
            st.segmented_control,
            "Form",
            key="normalize",
            default="cosine",
            options=["cosine", "raw"],
            required=True,
            format_func=str.capitalize,
            help="Cosine divides by the lengths of both points' gradients, so that no point counts only because its gradient is long. "
            "Raw leaves them as they are.",
        )
    _described([rows[key] for key in chosen])
    return list(chosen), form == "cosine"


def _surrogates() -> list[str]:
    rows = surrogates()
    chosen = state.sticky(
        st.pills,
        "Surrogates",
        key="surrogates",
        default=["kglm"],
        options=list(rows),
        selection_mode="multi",
        format_func=lambda key: rows[key].title,
        help="The kernel machine that stands for the network. Some learn the labels anew, others imitate the network's outputs: they "
        "answer different questions.",
    )
    _described([rows[key] for key in chosen])
    return list(chosen)


def _described(rows: list[KernelInfo] | list[SurrogateInfo]) -> None:
    """A line on each that was chosen: what it is, and what to beware of."""
    for row in rows:
        target = f" It {_TARGETS[row.target]}." if isinstance(row, SurrogateInfo) else ""
        first = row.caveat.split(". ")[0].rstrip(".")
        st.caption(f"**{row.title}.** {row.summary}{target} *{first}.*")


def _registries() -> None:
    """All rows of both registries with formula, cost, use and caveat."""
    box = st.expander(
        "What these are: formulas, costs, when to use which", icon=":material/menu_book:", on_change="rerun", key="facts"
    )
    if not box.open:
        return
    with box:
        for tab, rows in zip(st.tabs(["Kernels", "Surrogates"]), (kernels(), surrogates()), strict=True):
            with tab:
                for row in rows.values():
                    st.markdown(f"**{row.title}** (`{row.key}`): {row.summary}")
                    st.latex(row.formula)
                    st.caption("  \n".join(f"**{name}:** {getattr(row, fact)}" for fact, name in _FACTS.items()))


def _options(chosen_kernels: list[str], chosen_surrogates: list[str]) -> dict[str, dict[str, Any]]:
    """Options that differ from their defaults, by kernel or surrogate."""
    rows = {key: kernels()[key] for key in chosen_kernels} | {key: surrogates()[key] for key in chosen_surrogates}
    rows = {key: row for key, row in rows.items() if row.options}
    if not rows:
        return {}
    with st.expander("Options of the chosen kernels and surrogates", icon=":material/tune:"):
        found = {}
        for key, row in rows.items():
            st.markdown(f"**{row.title}**")
            found[key] = _option_widgets(key, row.options)
    return {key: values for key, values in found.items() if values}


def _option_widgets(kind: str, options: Mapping[str, tuple[object, str]]) -> dict[str, Any]:
    """Draw a widget for each option; those that were changed."""
    kept = dict(state.get("options", {}))
    changed = {}
    for cell, (name, (default, help_text)) in zip(_cells(len(options)), options.items(), strict=False):
        field = f"{kind}.{name}"
        value = kept.get(field, default)
        shared: dict[str, Any] = {"key": f"_option_{field}", "help": help_text}
        if isinstance(default, bool):
            new: Any = cell.toggle(name, value=bool(value), **shared)
        elif isinstance(default, int):
            new = int(cell.number_input(name, min_value=0, value=int(value), step=1, **shared))
        else:
            new = parse_option(cell.text_input(name, value=option_text(value), **shared), default)
        kept[field] = new
        if new != default:
            changed[name] = new
    state.put("options", kept)
    return changed


def _cells(count: int) -> list[Any]:
    columns: list[Any] = []
    while len(columns) < count:
        columns += st.columns(4)
    return columns


def option_text(value: object) -> str:
    """A value of an option as a person types it: "0.0001", "balanced", "none", "conv1, conv2"."""
    if value is None:
        return "none"
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def parse_option(text: str, default: object) -> Any:
    """What a person typed for an option: a number where it is one, ``None`` for "none", the default for nothing.

    Args:
        text: as typed.
        default: of the option.

    Returns:
        A number, a text, ``None``, or a list of texts where there is a comma. Whether it fits, the study finds out.
    """
    words = text.strip()
    if not words:
        return default
    if words.lower() == "none":
        return None
    if "," in words:
        return [part.strip() for part in words.split(",") if part.strip()]
    try:
        value = json.loads(words)
    except ValueError:
        return words
    return value if isinstance(value, int | float) and not isinstance(value, bool) else words


def _points(subject: Subject) -> tuple[int, int, int, float | None]:
    """N, M, the seed and the time budget, with what all points would cost."""
    cells = st.columns([1, 1, 1, 1, 2.2], vertical_alignment="bottom")
    least = 2 * subject.n_classes
    with cells[0]:
        n_train = state.sticky(
            st.number_input,
            "Training points",
            key="n_train",
            default=min(quick.N_TRAIN, subject.n_train),
            min_value=min(least, subject.n_train),
            max_value=subject.n_train,
            step=100,
            help=f"N of {subject.n_train:,}, drawn at random with equal care for every class. Explanations name these points only.",
        )
    with cells[1]:
        n_test = state.sticky(
            st.number_input,
            "Test points",
            key="n_test",
            default=min(quick.N_TEST, subject.n_test),
            min_value=min(2, subject.n_test),
            max_value=subject.n_test,
            step=100,
            help=f"M of {subject.n_test:,}, on which fidelity is measured and which can be explained.",
        )
    with cells[2]:
        seed = state.sticky(
            st.number_input,
            "Seed",
            key="seed",
            default=0,
            min_value=0,
            max_value=2**31 - 1,
            step=1,
            help="Draws the points, and whatever kernel and surrogate draw. The same seed gives the same figures.",
        )
    with cells[3]:
        budget = _budget()
    with cells[4]:
        st.caption(_note(subject, int(n_train), int(n_test)))
    return int(n_train), int(n_test), int(seed), budget


def _budget() -> float | None:
    """Seconds for the trace NTK, or none."""
    seconds = state.sticky(
        st.number_input,
        "Time budget, s",
        key="budget",
        default=0,
        min_value=0,
        step=10,
        help="For the trace NTK: exact when it is quoted within this time, otherwise the best sketch that fits. 0: no budget, exact.",
    )
    return float(seconds) or None


def _note(subject: Subject, n_train: int, n_test: int) -> str:
    """Why not all points, and what all would cost."""
    if n_train == subject.n_train and n_test == subject.n_test:
        return "All points of the data set."
    kind = next(iter(state.get("kernels", ["trntk"])), "trntk")
    try:
        whole = quote_at_once([subject.spec(kernel=kind, n_train=subject.n_train, n_test=subject.n_test)])
    except NtkvizError as error:
        return escape(error)
    part = "A part, drawn by class, keeps the first look quick."
    if whole is None:
        return part
    return (
        f"{part} All {subject.n_train:,} + {subject.n_test:,} points with the "
        f"{kernels()[kind].title}: about {span(whole.seconds)}, {megabytes(whole.memory_mb)} of memory."
    )
