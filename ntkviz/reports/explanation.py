"""The report of an explanation: one prediction, the training examples behind it, and how far to believe it."""

from dataclasses import dataclass

import numpy as np

from ntkviz.explain.concentration import concentration, top_contributors
from ntkviz.explain.effects import RemovalEffects
from ntkviz.explain.registry import attributions
from ntkviz.figures import attribution, probability, waterfall
from ntkviz.reports.cards import card
from ntkviz.reports.document import Card, Chart, Section, Table, render
from ntkviz.reports.provenance import provenance
from ntkviz.scores import scores_of
from ntkviz.studies.companion import companion_of, heads_of
from ntkviz.studies.explained import Explanation, explanation
from ntkviz.studies.store import Store
from ntkviz.studies.study import Study
from ntkviz.studies.trusted import Badges
from ntkviz.types import Dataset

_CAVEATS = (
    "A share is a term of the surrogate's sum: weight times kernel. It is not what would happen if the network were trained again without the example.",
    "A removal effect is a forecast of training again without the example, by the equations of a surrogate. It was not retrained for this report.",
    "Everything here takes apart the surrogate. Where surrogate and network part, it explains an answer that the network did not give.",
)


#: Rows of the table; the page's own download has them all.
MOST_ROWS = 30


@dataclass(frozen=True)
class Question:
    """What is explained.

    Attributes:
        m: position of the test point in the study.
        label: class to explain; None for the network's prediction.
        against: class to compare it with, or None.
        k: examples on each side.
    """

    m: int
    label: int | None = None
    against: int | None = None
    k: int = 8


def explanation_report(
    study: Study, data: Dataset, asked: Question, *, store: Store, badges: Badges, effects: RemovalEffects | None = None
) -> str:
    """The report as one HTML file.

    Args:
        study: a stored study.
        data: the subject's whole data.
        asked: what is explained.
        store: where the study is.
        badges: what the trust badges say.
        effects: removal equations that are factored already; None to factor them here.
    """
    said = int(scores_of(study.logits_test).predicted[asked.m])
    found = explanation(study, asked.m, said if asked.label is None else asked.label, asked.against)
    values = _effects(study, asked.m, found, effects)
    point = int(study.test_index[asked.m])
    sections = [
        _point(study, data, asked.m, badges),
        *_examples(study, data, found, values, asked.k),
        _sum(study, found, asked.k),
        _many(found, values),
        _rows(study, found, values),
        Section("Read this with care", words=_CAVEATS + _measured(study, effects, values)),
        provenance(study, store),
    ]
    title = f"Why {found.target}? Test point {point} of {study.name}"
    return render(title, "Which training examples matter for this prediction, and what is it made of?", sections)


def _effects(study: Study, m: int, found: Explanation, effects: RemovalEffects | None) -> np.ndarray | None:
    """Removal effects of all training points on the score in question, ``[N]``; None when nobody can tell."""
    if effects is None:
        fit = companion_of(study).surrogate
        if fit is None:
            return None
        effects = RemovalEffects.of_surrogate(fit, study.kernel, study.y_train, leave_one_out=True, few=True)
    return effects.of(study.rows[m : m + 1], heads_of(effects, study, m, found.label, found.against)[None])[0]


def _point(study: Study, data: Dataset, m: int, badges: Badges) -> Section:
    names, label = study.class_names, int(study.y_test[m])
    network, surrogate = (scores_of(logits[m : m + 1]) for logits in (study.logits_test, study.surrogate_logits))
    ours, theirs = (np.exp(scores.log_probability[0]) for scores in (network, surrogate))
    said, told = names[int(network.predicted[0])], names[int(surrogate.predicted[0])]
    facts = [("Label", names[label]), ("Network says", said), ("Surrogate says", told)]
    facts += [
        ("Log-odds of the label", f"network {network.log_odds[0, label]:.3g}, surrogate {surrogate.log_odds[0, label]:.3g}")
    ]
    words = tuple(
        f"{title} {_verdict(str(judged.verdict[m]), judged.calibrated)}. {' '.join(judged.reasons[m])}"
        for title, judged in (
            ("Does the surrogate speak for the network here?", badges.imitation),
            ("Can removal effects be believed here?", badges.removal),
        )
        if judged is not None
    )
    warning = ""
    if said != told:
        warning = f"Do not use this explanation: the network says {said} and the surrogate {told}, so it explains an answer that the network did not give."
    elif str(badges.imitation.verdict[m]) == "do not use":
        warning = "Do not use this explanation: the surrogate is not to be trusted at this point."
    fig = probability.probability_bars(ours, theirs, names, true_class=label)
    chart = Chart.of(fig, probability.reading_probability(ours, theirs, names, true_class=label), "probabilities")
    shown = card(data, "test", int(study.test_index[m]), f"Test point {study.test_index[m]}", (f"label {names[label]}",))
    return Section(
        "The point, and what both say of it", words=words, warning=warning, facts=tuple(facts), cards=(shown,), chart=chart
    )


def _examples(study: Study, data: Dataset, found: Explanation, values: np.ndarray | None, k: int) -> list[Section]:
    ends = top_contributors(found.shares if values is None else values, k)
    how = (
        "By their shares in the surrogate's score."
        if values is None
        else "By how much the surrogate's score would fall without them, a forecast of training again."
    )
    sections = []
    for title, chosen in (("speak for", ends.supporters), ("speak against", ends.opponents)):
        cards = tuple(_example(study, data, found, values, int(i)) for i in chosen)
        words = how if cards else "No training example does."
        sections.append(Section(f"Training examples that {title} {found.target}", words=(words,), cards=cards))
    return sections


def _example(study: Study, data: Dataset, found: Explanation, values: np.ndarray | None, i: int) -> Card:
    label, share = study.class_names[study.y_train[i]], f"share {found.shares[i]:+.3g}"
    title = share if values is None else f"effect {values[i]:+.3g}"
    lines = (f"training point {study.train_index[i]}", label, share, f"similarity {found.similarity[i]:.3g}")
    return card(data, "train", int(study.train_index[i]), title, lines)


def _sum(study: Study, found: Explanation, k: int) -> Section:
    steps = waterfall.waterfall_steps(
        found.shares,
        intercept=found.intercept,
        labels=study.y_train,
        class_names=list(study.class_names),
        network_logit=found.network,
        ids=study.train_index.tolist(),
        k=k,
    )
    chart = Chart.of(
        waterfall.waterfall(steps, target=found.target), waterfall.reading_waterfall(steps, target=found.target), "waterfall"
    )
    facts = (
        (f"Sum of {study.n_train:,} shares", f"{found.shares.sum():.6g}"),
        ("Intercept", f"{found.intercept:.6g}"),
        ("Score, computed apart", f"{found.score:.6g}"),
        ("Shares + intercept − score", f"{found.gap:.1e}"),
    )
    return Section("How it adds up", facts=facts, chart=chart)


def _many(found: Explanation, values: np.ndarray | None) -> Section:
    by, name = (found.shares, "shares") if values is None else (values, "removal effects")
    c = concentration(by)
    facts = (
        (f"Half of all |{name}|", f"{c.n50:,} examples"),
        ("80 %", f"{c.n80:,} examples"),
        ("Effective number", f"{c.participation_ratio:,.0f} of {c.n_points:,}"),
        ("Cancellation", f"{c.cancellation:.1%}"),
    )
    chart = Chart.of(attribution.cumulative_curve(by), attribution.reading_cumulative(by), "cumulative") if c.mass > 0 else None
    return Section("How many examples carry it", facts=facts if c.mass > 0 else (), chart=chart)


def _rows(study: Study, found: Explanation, values: np.ndarray | None) -> Section:
    order = np.argsort(-np.abs(found.shares if values is None else values), kind="stable")
    heads = ["training point", "label", *([] if values is None else ["removal effect"]), "share", "similarity", "weight"]
    numbers = [*([] if values is None else [values]), found.shares, np.asarray(found.similarity), found.weight]
    rows = [
        (str(study.train_index[i]), study.class_names[study.y_train[i]], *(column[i] for column in numbers))
        for i in order[:MOST_ROWS]
    ]
    return Section("The strongest training examples as a table", table=Table.of(heads, rows))


def _measured(study: Study, effects: RemovalEffects | None, values: np.ndarray | None) -> tuple[str, ...]:
    """What retraining said of removal effects of that kind."""
    if values is None:
        return ("No surrogate of this study foretells removals, so the examples are ordered by their shares.",)
    kind = "removal_ridge" if (effects.surrogate.kind if effects else study.spec.surrogate) == "ridge" else "removal_klr"
    return (f"What retraining says of such removal effects in general: {attributions()[kind].measured}",)


def _verdict(verdict: str, calibrated: bool) -> str:
    if verdict == "do not use":
        return "Do not use"
    return verdict.capitalize() if calibrated else "Not calibrated"
