"""The report of a study: what was studied, how well the surrogate stands for the network, and what its kernel looks like."""

import numpy as np

from ntkviz.embed.registry import embeddings
from ntkviz.embed.result import Embedding
from ntkviz.fidelity.registry import metrics
from ntkviz.figures import embedding as maps
from ntkviz.figures import fidelity as figures
from ntkviz.figures import matrix, spectrum
from ntkviz.kernels import diagnostics
from ntkviz.kernels.registry import kernels
from ntkviz.reports.document import Card, Chart, Section, Table, render
from ntkviz.reports.provenance import provenance
from ntkviz.studies.store import Store
from ntkviz.studies.study import Study
from ntkviz.studies.subjects import Subject
from ntkviz.surrogates.registry import surrogates

#: Training points up to which eigenvalues are computed for a report: seconds, not minutes.
SPECTRUM_UP_TO = 3000


def study_report(study: Study, *, store: Store, subject: Subject | None, drawn: Embedding | None = None) -> str:
    """The report as one HTML file.

    Args:
        study: a stored study.
        store: where it is.
        subject: its model and data; None when they are gone.
        drawn: a map of its kernel, when one is kept.
    """
    info = surrogates()[study.spec.surrogate]
    sections = [_subject(study, subject), _fidelity(study), _classes(study), _confusion(study), _kernel(study), *_spectrum(study)]
    if drawn is not None:
        sections.append(_map(study, drawn))
    words = tuple(
        f"{part}: {row.caveat}" for part, row in (("Kernel", kernels()[study.spec.kernel]), ("Surrogate", info)) if row.caveat
    )
    sections += [Section("Read this with care", words=words), provenance(study, store)]
    lead = f"How well does a kernel machine ({info.title}) on the {kernels()[study.spec.kernel].title} stand for this network?"
    return render(f"{study.name}: a study", lead, sections)


def _subject(study: Study, subject: Subject | None) -> Section:
    facts = [("Kind of data", study.kind), ("Classes", ", ".join(study.class_names))]
    words: tuple[str, ...] = ("The model and its data are not here any more.",)
    if subject is not None:
        facts += [
            ("Parameters", f"{subject.n_parameters:,}"),
            ("Data", f"{subject.n_train:,} training, {subject.n_test:,} test points"),
        ]
        if subject.accuracy_test is not None:
            facts.append(("Accuracy of the network", f"{subject.accuracy_test:.1%} of the whole test set"))
        words = ()
    cards = () if subject is None else (Card("Its card", text=subject.card.strip()),)
    return Section("The network and its data", words=words, facts=tuple(facts), cards=cards)


def _fidelity(study: Study) -> Section:
    found, rows, charted = study.fidelity, [], []
    title = surrogates()[study.spec.surrogate].title
    for key, info in metrics().items():
        value = float(getattr(found, key))
        low, high = found.intervals.get(key, (float("nan"), float("nan")))
        rows.append((info.title, value, low, high, str(found.counts.get(key, found.n_points)), found.reasons.get(key, "")))
        if key in {"kendall_tau", "agreement", "r_miss", "r_squared"}:
            charted.append(figures.Metric(info.title, value, low, high, 1.0, title))
    table = Table.of(("measure", "value", "low", "high", "points", "why there is none"), rows)
    chart = Chart.of(figures.metric_intervals(charted), figures.reading_metrics(charted), "fidelity")
    return Section("How well the surrogate stands for the network", words=(found.reading(),), chart=chart, table=table)


def _classes(study: Study) -> Section:
    parts, names = study.fidelity.per_class, list(study.class_names)
    tau, counts = np.array([p.tau_within for p in parts]), np.array([p.n_points for p in parts])
    ends = np.array([p.intervals.get("tau_within", (np.nan, np.nan)) for p in parts], dtype=np.float64)
    fig = figures.per_class_tau(names, tau, counts, low=ends[:, 0], high=ends[:, 1])
    rows = [
        (name, p.n_points, p.accuracy_network, p.accuracy_surrogate, p.agreement, p.tau_within)
        for name, p in zip(names, parts, strict=True)
    ]
    heads = ("class", "points", "network accuracy", "surrogate accuracy", "agreement", "τ within the class")
    return Section(
        "Class by class",
        chart=Chart.of(fig, figures.reading_per_class_tau(names, tau, counts), "by_class"),
        table=Table.of(heads, rows),
    )


def _confusion(study: Study) -> Section:
    counts, names = np.asarray(study.fidelity.confusion), list(study.class_names)
    return Section(
        "Where the two part",
        chart=Chart.of(figures.confusion_heatmap(counts, names), figures.reading_confusion(counts, names), "confusion"),
    )


def _kernel(study: Study) -> Section:
    names = list(study.class_names)
    shown = {kernels()[study.spec.kernel].title: np.asarray(study.kernel)}
    fig = matrix.kernel_panels(shown, study.y_train, names, columns=1)
    fig.update_layout(height=520)
    return Section(
        "The kernel, points sorted by class",
        chart=Chart.of(fig, matrix.reading_kernel_panels(shown, study.y_train, names), "kernel"),
    )


def _spectrum(study: Study) -> list[Section]:
    if study.n_train > SPECTRUM_UP_TO:
        return [
            Section(
                "Its spectrum",
                words=(f"Left out: eigenvalues of more than {SPECTRUM_UP_TO:,} points take too long for a report.",),
            )
        ]
    found = diagnostics.spectrum(study.kernel)
    rows = {kernels()[study.spec.kernel].title: found}
    aligned = diagnostics.alignment(study.kernel, study.y_train)
    facts = (
        ("Effective rank", f"{found.effective_rank:.3g}"),
        ("Participation ratio", f"{found.participation_ratio:.3g}"),
        ("Eigenvalues below zero", f"{found.n_negative:,}"),
        ("Alignment with the labels, centred", f"{aligned.centred:.3g}"),
    )
    chart = Chart.of(spectrum.eigenvalue_decay(rows), spectrum.reading_eigenvalue_decay(rows), "spectrum")
    return [Section("Its spectrum", facts=facts, chart=chart)]


def _map(study: Study, drawn: Embedding) -> Section:
    train = maps.MapPoints(drawn.points, study.y_train, "train", [f"train:{i}" for i in study.train_index])
    title = embeddings()[drawn.method].title
    fig = maps.map_scatter(train, None, class_names=study.class_names, method=title)
    reading = maps.reading_map(train, method=title, quality=drawn.quality, explained=drawn.explained)
    return Section("A map of it", words=drawn.notes, chart=Chart.of(fig, reading, "map"))
