"""The page Kernels: all finished kernels of the same points, side by side."""

from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import pandas as pd
import streamlit as st

from ntkviz.figures import matrix, spectrum
from ntkviz.kernels.registry import kernels
from ntkviz.studies.quote import quote_at_once
from ntkviz.studies.spec import StudySpec
from ntkviz.studies.study import Study
from ntkviz.ui import cached, class_pairs, gates, kernel_facts, layout, quick, state
from ntkviz.ui.address import SHORT_KEY
from ntkviz.ui.clicks import steady
from ntkviz.ui.kernel_facts import Facts, Shown
from ntkviz.ui.point_picker import named_table
from ntkviz.ui.text import escape, span

#: Cheap kernels that every other should be read beside: the last layer, the inputs, all activations.
BASELINES = ("ck", "inputs", "em")
FORMS = {"cosine": "Cosine", "raw": "Raw"}
_SIMILARITY = "class_similarity"


@dataclass(frozen=True)
class Finished:
    """A kernel that the store has.

    Attributes:
        key: names its file.
        kind: key of the registry.
        title: for headings; two of one kind differ in it.
        seconds: it took.
        peak_mb: memory of the process that made it.
        fidelity: measures of a study on it with the surrogate and the form of the study on show; None when there is none.
    """

    key: str
    kind: str
    title: str
    seconds: float
    peak_mb: float
    fidelity: dict | None = None


def finished_kernels(study: Study) -> list[Finished]:
    """The kernels of the study's very points, in the order of the registry; the study's own is among them."""
    points = _points(study.spec)
    rows: dict[str, tuple[StudySpec, dict | None]] = {}
    for entry in gates.finished():
        spec = entry.spec
        if spec is None or spec.subject_id != study.spec.subject_id or _points(spec) != points:
            continue
        same = spec.surrogate == study.spec.surrogate and spec.normalize == study.spec.normalize
        known = rows.get(entry.kernel_key)
        rows[entry.kernel_key] = (spec, entry.summary.get("fidelity") if same else known[1] if known else None)
    found = []
    for key, (spec, fidelity) in rows.items():
        run = cached.kernel_blocks(key)
        if not np.array_equal(run.train_index, study.train_index):
            continue  # same sizes and seed, but another state of the data
        twins = sum(other.kernel == spec.kernel for other, _ in rows.values()) > 1
        options = ", ".join(f"{name} {value}" for name, value in spec.kernel_options.items()) if twins else ""
        title = kernels()[spec.kernel].title + (f" ({options})" if options else "")
        found.append(Finished(key, spec.kernel, title, float(run.seconds.get("kernel", 0.0)), run.peak_mb, fidelity))
    order = list(kernels())
    return sorted(found, key=lambda kernel: (order.index(kernel.kind), kernel.title))


def choose(found: list[Finished], study: Study) -> tuple[list[Finished], bool]:
    """Which kernels to show, and whether as cosines.

    Returns:
        The kernels chosen (never none), and True for cosine.
    """
    names = {kernel.key[:SHORT_KEY]: kernel.title for kernel in found}
    left, right = st.columns([3, 1], vertical_alignment="bottom")
    with left:
        shown = state.sticky(
            st.pills,
            "Kernels",
            key="kernels_shown",
            default=list(names)[: matrix.MAX_PANELS],
            options=list(names),
            format_func=lambda key: names.get(key, key),
            selection_mode="multi",
            help=f"All of the same {study.n_train:,} training points. Up to {matrix.MAX_PANELS} at once.",
        )
    with right:
        form = state.sticky(
            st.segmented_control,
            "Form",
            key="kernel_form",
            default="cosine" if study.spec.normalize else "raw",
            options=list(FORMS),
            format_func=FORMS.get,
            required=True,
            help="Cosine: every point has length one, only the angle between gradients counts. Raw: long gradients weigh more.",
        )
    chosen = [kernel for kernel in found if kernel.key[:SHORT_KEY] in shown][: matrix.MAX_PANELS]
    return chosen or found[: matrix.MAX_PANELS], form == "cosine"


def offer_baselines(found: list[Finished], study: Study) -> None:
    """A button that queues the cheap kernels that are missing, of the same points."""
    missing = [kind for kind in BASELINES if kind not in {kernel.kind for kernel in found}]
    if not missing:
        return
    specs = [replace(study.spec, kernel=kind, kernel_options={}, budget_seconds=None) for kind in missing]
    titles = ", ".join(kernels()[kind].title for kind in missing)
    with st.container(border=True, horizontal=True, vertical_alignment="center"):
        alone = "Only one kernel of these points is finished. " if len(found) == 1 else ""
        st.markdown(f"{alone}A kernel says little alone. Baselines to read it beside: **{titles}**.", width="stretch")
        with gates.guarded():
            estimate = quote_at_once(specs)
            takes = f" (about {span(estimate.seconds)})" if estimate else ""
            if st.button(f"Compute them{takes}", key="queue_baselines", type="primary", icon=":material/play_arrow:"):
                quick.launch(specs)
                st.switch_page(gates.STUDIES_PAGE)
        st.page_link(gates.STUDIES_PAGE, label="Other kernels", icon=":material/tune:")


def panels(chosen: list[Finished], study: Study, *, cosine: bool) -> None:
    """The matrices as pictures."""
    left, right = st.columns([3, 2], gap="medium") if len(chosen) == 1 else (st.container(), st.container())
    with left:
        kernel_facts.panels(_shown(chosen, cosine), study, key="kernel_panels")
    if len(chosen) == 1:
        right.markdown(
            "Each row and each column is a training point, sorted by class. A kernel that knows the classes shows blocks on the diagonal; "
            "bright spots elsewhere are points of different classes that it takes for alike."
        )


def comparison(chosen: list[Finished], study: Study, *, cosine: bool) -> dict[str, Facts]:
    """The table of all kernels: cost, rank, alignment, and how well a surrogate on each imitates the network.

    Returns:
        title -> facts.
    """
    with st.spinner(f"Eigenvalues of {len(chosen)} matrices of {study.n_train:,} x {study.n_train:,} …", show_time=True):
        facts = kernel_facts.facts(_shown(chosen, cosine))
    rows = [
        {
            "kernel": kernel.title,
            "seconds": kernel.seconds,
            "peak MB": kernel.peak_mb,
            "effective rank": facts[kernel.title].spectrum.effective_rank,
            "alignment (centred)": facts[kernel.title].alignment.centred,
            "within a class": facts[kernel.title].contrast.within,
            "across classes": facts[kernel.title].contrast.between,
            "imitation τ": (kernel.fidelity or {}).get("kendall_tau"),
            "agreement": (kernel.fidelity or {}).get("agreement"),
        }
        for kernel in chosen
    ]
    table = pd.DataFrame(rows)
    digits = {"seconds": "%.2f", "peak MB": "%.0f", "effective rank": "%.1f"}
    config = {name: st.column_config.NumberColumn(format=digits.get(name, "%.3f")) for name in table.columns[1:]}
    st.dataframe(table, hide_index=True, column_config=config, alt="The kernels compared: cost, rank, alignment, imitation.")
    form = "cosine" if study.spec.normalize else "raw"
    st.caption(
        f"τ and agreement: of the studies with the surrogate of this study ({escape(study.spec.surrogate)}, {form}); empty where there "
        "is none. Imitation is only one axis of trust; whether explanations are true is another."
    )
    layout.download_csv(table, key="kernels")
    return facts


def alignments(chosen: list[Finished], facts: dict[str, Facts], *, cosine: bool) -> None:
    """Alignment with the labels, and CKA between the kernels."""
    found = {title: fact.alignment for title, fact in facts.items()}
    left, right = st.columns(2)
    with left:
        table = pd.DataFrame([{"kernel": t, "centred": a.centred, "plain (KTA)": a.kta} for t, a in found.items()])
        layout.figure(spectrum.alignment_bars(found), spectrum.reading_alignment(found), table, key="alignment")
    with right:
        if len(chosen) < 2:
            st.caption("CKA compares two kernels or more: 1 means the same geometry up to scale, 0 no relation.")
            return
        similarity = kernel_facts.cka(_shown(chosen, cosine))
        titles = [kernel.title for kernel in chosen]
        table = named_table("kernel", titles, similarity, titles)
        layout.figure(spectrum.cka_heatmap(titles, similarity), spectrum.reading_cka(titles, similarity), table, key="cka")


def classes(chosen: list[Finished], facts: dict[str, Facts], study: Study, *, cosine: bool) -> None:
    """Similarity between classes for one kernel with the points behind it, and what each kernel cost."""
    shown = {kernel.title: kernel for kernel in _shown(chosen, cosine)}
    titles = list(shown)
    left, right = st.columns([3, 2], gap="medium")
    with right:
        title = state.sticky(
            st.selectbox, "Similarity between classes, by kernel", key="similarity_kernel", default=titles[0], options=titles
        )
        st.markdown(
            "Each cell is the mean similarity of two different training points, one of each class. A kernel that sees the classes has a bright "
            "diagonal; the brightest cell beside it is the pair of classes that it confuses most. **Click a cell** to see which points are behind it."
        )
        pair = class_pairs.choose_classes(study, facts[title].similarity)
    with left:
        values, names = facts[title].similarity, list(study.class_names)
        table = named_table("class", names, values, names)
        fig, reading = matrix.class_similarity_heatmap(values, names), matrix.reading_class_similarity(values, names)
        click = partial(class_pairs.follow_cell, _SIMILARITY)
        layout.figure(steady(fig), reading, table, key=_SIMILARITY, on_select=click, selection_mode="points")
    data = cached.dataset(study.spec.subject_id)
    with right if data.kind == "image" else st.container():  # texts and rows of a table are wide
        class_pairs.most_alike(shown[title], study, data, pair)
    seconds, memory = {k.title: k.seconds for k in chosen}, {k.title: k.peak_mb for k in chosen}
    table = pd.DataFrame({"kernel": titles, "seconds": list(seconds.values()), "peak MB": list(memory.values())})
    layout.figure(spectrum.cost_bars(seconds, memory), spectrum.reading_cost(seconds, memory), table, key="cost")


def registry_text(chosen: list[Finished]) -> None:
    """Formula, use and caveat of each kernel shown."""
    for kind in dict.fromkeys(kernel.kind for kernel in chosen):
        info = kernels()[kind]
        with st.expander(f"{info.title}: {info.summary}", icon=":material/function:"):
            st.latex(info.formula)
            st.markdown(f"**When to use.** {info.use_when}")
            st.markdown(f"**Mind.** {info.caveat}")
            st.caption(f"Cost: {info.cost}. Source: {info.source}.")


def _shown(chosen: list[Finished], cosine: bool) -> list[Shown]:
    return [Shown(kernel.key, kernel.title, cosine) for kernel in chosen]


def _points(spec: StudySpec) -> tuple[int | None, int | None, int]:
    return spec.n_train, spec.n_test, spec.seed
