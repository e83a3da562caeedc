"""The field's sanity tests of attributions, judged by quanda: ``python benchmarks/sanity.py [--sample NAME] [--quick]``.

The scores are those of quanda's own metric classes, which call our attributions through its ``Explainer`` interface: randomised parameters,
top-1 cardinality, same class, same subclass, mixed data, shortcut, wrong labels. Shuffled labels (Adebayo et al. 2018) it does not have: the network is
trained again on shuffled labels and the attributions are compared by quanda's rank correlation. ``within class`` repeats the two randomisations after each class's mean
was taken from each explanation, so that agreement which the labels alone bring does not count. Intervals: quanda's bootstrap over test points.
Needs quanda in an environment of its own: see requirements-sanity.txt.
"""

import argparse
import sys
import tempfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
import torch
from sklearn.metrics import roc_auc_score

from benchmarks.attributors import CONTROLS, METHODS
from benchmarks.machine import keep
from benchmarks.sanity_cases import FOREIGN, Cases
from benchmarks.sanity_peer import Asked, Peer, centred, ranks
from ntkviz import kernel_matrix
from ntkviz.audit.mislabels import mislabels
from ntkviz.models.probes import logits_of

#: Test -> whether a good attribution scores high or low.
TESTS = {
    "randomised parameters": "low",
    "randomised parameters, within class": "low",
    "shuffled labels": "low",
    "shuffled labels, within class": "low",
    "top-1 cardinality": "high",
    "same class": "high",
    "same subclass": "high",
    "mixed data": "high",
    "shortcut": "high",
    "wrong labels": "high",
}


def main() -> None:
    """Run, print, keep."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--sample", default="mnist-mlp-1k", choices=list(FOREIGN))
    parser.add_argument("--n-test", type=int, default=200)
    parser.add_argument(
        "--quick", action="store_true", help="200 training and 20 test points, to see that everything runs; nothing is kept"
    )
    options = parser.parse_args()
    peer = Peer()
    cases = Cases(options.sample, 20, 200) if options.quick else Cases(options.sample, options.n_test)
    rows: list[dict[str, Any]] = []
    for test in (untrained, on_the_sample, shuffled, subclass, mixed, shortcut, wrong_labels):
        for row in test(peer, cases):
            rows.append(
                {"sample": options.sample, "good": TESTS.get(row["test"], "the same"), "control": row["method"] in CONTROLS} | row
            )
            print(line(rows[-1]), flush=True)
    print(table(rows))
    if not options.quick:
        name = "sanity" if options.sample == "mnist-mlp-1k" else f"sanity-{options.sample}"
        print("kept in", keep(name, rows))


@lru_cache(maxsize=1)
def of_sample(peer: Peer, cases: Cases) -> Asked:
    """The sample's own network, whose explanations three tests ask for."""
    return Asked(peer, cases.plain())


def untrained(peer: Peer, cases: Cases) -> Iterator[dict[str, Any]]:
    """Rank correlation with the attributions of the same network with fresh parameters.

    Args:
        peer: the metrics.
        cases: the networks.

    Yields:
        a row a test and method.
    """
    asked = of_sample(peer, cases)
    with tempfile.TemporaryDirectory() as folder:
        trained = Path(folder) / "trained.pth"
        torch.save(asked.case.model.state_dict(), trained)
        for method in METHODS:
            found = asked.explanations(method)
            for test, measure in (("", "spearman"), (", within class", peer.within_class(asked.case.y))):
                metric = peer.heuristics.ModelRandomizationMetric(
                    **asked.common,
                    model_id=method,
                    cache_dir=folder,
                    checkpoints=str(trained),
                    explainer_cls=peer.explainer,
                    expl_kwargs={"method": method, "networks": asked.networks},
                    correlation_fn=measure,
                )
                metric.update(found, asked.z, asked.targets)
                yield scored(f"randomised parameters{test}", method, metric)


def shuffled(peer: Peer, cases: Cases) -> Iterator[dict[str, Any]]:
    """Rank correlation with the attributions of the same recipe trained on shuffled labels; not in quanda.

    Args:
        peer: the metrics.
        cases: the networks.

    Yields:
        a row a test and method.
    """
    asked, other = of_sample(peer, cases), Asked(peer, cases.shuffled_labels())
    for method in METHODS:
        found = asked.explanations(method)
        # The random control draws other numbers for the other network, as quanda has it do.
        again = (
            torch.from_numpy(np.random.default_rng(1).random(found.shape)).float()
            if method == "random"
            else other.explanations(method, asked.targets)
        )
        plain = peer.compared(found.numpy(), again.numpy())
        inner = peer.compared(centred(found.numpy(), asked.case.y), centred(again.numpy(), other.case.y))
        for test, values in (("shuffled labels", plain), ("shuffled labels, within class", inner)):
            yield row_of(test, method, values.mean().item(), bootstrapped(values.numpy()), n_points=len(values))


def on_the_sample(peer: Peer, cases: Cases) -> Iterator[dict[str, Any]]:
    """Do test points differ in their strongest training point, and are the strongest five of the predicted class?

    Args:
        peer: the metrics.
        cases: the networks.

    Yields:
        a row a test and method.
    """
    asked = of_sample(peer, cases)
    for method in METHODS:
        found = asked.explanations(method)
        metric = peer.heuristics.TopKCardinalityMetric(**asked.common, top_k=1)
        metric.update(found)
        yield scored("top-1 cardinality", method, metric, n_points=len(found))
        metric = peer.downstream.ClassDetectionMetric(**asked.common)
        metric.update(found, asked.targets)
        yield scored("same class", method, metric)


def subclass(peer: Peer, cases: Cases) -> Iterator[dict[str, Any]]:
    """Are the strongest five of the finer class, which the network was never told? At test points that it gets right.

    Args:
        peer: the metrics.
        cases: the networks.

    Yields:
        a row a method.
    """
    asked = Asked(peer, cases.grouped())
    assert asked.case.finer is not None
    train, test = (torch.from_numpy(part.astype(np.int64)) for part in asked.case.finer)
    for method in METHODS:
        metric = peer.downstream.SubclassDetectionMetric(**asked.common, train_subclass_labels=train, filter_by_prediction=True)
        metric.update(asked.explanations(method), test, asked.z, asked.labels)
        yield scored("same subclass", method, metric)


def mixed(peer: Peer, cases: Cases) -> Iterator[dict[str, Any]]:
    """Do foreign images lead to the foreign images among the training points? Area under precision and recall.

    Args:
        peer: the metrics.
        cases: the networks.

    Yields:
        a row a method.
    """
    asked = Asked(peer, cases.mixed())
    assert asked.case.known is not None
    for method in METHODS:
        metric = peer.heuristics.MixedDatasetsMetric(
            **asked.common, adversarial_indices=torch.from_numpy(asked.case.known.astype(np.int64)), filter_by_prediction=True
        )
        metric.update(asked.explanations(method), asked.z, asked.labels)
        yield scored("mixed data", method, metric, base_rate=float(asked.case.known.mean()))


def shortcut(peer: Peer, cases: Cases) -> Iterator[dict[str, Any]]:
    """Do test points that the square has turned lead to the training points with the square? Area under precision and recall.

    Args:
        peer: the metrics.
        cases: the networks.

    Yields:
        a row a method.
    """
    asked = Asked(peer, cases.shortcut())
    assert asked.case.known is not None
    if not len(asked.case.z):
        return
    stamped = np.flatnonzero(asked.case.known)
    for method in METHODS:
        metric = peer.downstream.ShortcutDetectionMetric(
            **asked.common, shortcut_indices=stamped.tolist(), shortcut_cls=int(asked.case.y[stamped[0]])
        )
        metric.update(asked.explanations(method), asked.z, asked.labels)
        yield scored("shortcut", method, metric, base_rate=float(asked.case.known.mean()))
    yield from counterfactual(asked, cases)


def counterfactual(asked: Asked, cases: Cases) -> Iterator[dict[str, Any]]:
    """What removal really does to the turned test points, and what the surrogate says; no test of quanda's.

    Args:
        asked: the network with the shortcut.
        cases: the networks.

    Yields:
        the fall of the log-odds without the training points with the square, and without the rest of their class.
    """
    case = asked.case
    assert case.known is not None
    explained = asked.networks.of(case.model, case.x, case.y)
    rest = (case.y == case.y[case.known][0]) & ~case.known
    for group, gone in (("without those with the square", case.known), ("without the rest of the class", rest)):
        falls = {
            "network, trained again": cases.fall_without(case, gone),
            "surrogate, fitted again": explained.fall_without(gone, case.z, case.predicted),
        }
        for method, fall in falls.items():
            yield row_of(f"shortcut, {group}", method, float(fall.mean()), bootstrapped(fall), n_points=len(fall))


def wrong_labels(peer: Peer, cases: Cases) -> Iterator[dict[str, Any]]:
    """Do wrong labels hold themselves up? quanda's area under the detection curve, and the AUC; with the audit and the loss.

    Args:
        peer: the metrics.
        cases: the networks.

    Yields:
        a row a method.
    """
    asked = Asked(peer, cases.wrong_labels())
    case, known = asked.case, asked.case.known
    assert known is not None
    given = {
        "audit: leave-one-out margin": mislabels(kernel_matrix(case.model, case.x), case.y, n_classes=case.n_classes).scores,
        "control: network's loss": mislabels(
            np.eye(len(case.y)), case.y, method="network_loss", logits=logits_of(case.model, case.x)
        ).scores,
    }
    for method in (*METHODS, *given):
        how: dict[str, Any] = (
            {"precomputed_self_influence": ranks(given[method])}
            if method in given
            else {"explainer_cls": peer.explainer, "expl_kwargs": {"method": method, "networks": asked.networks}}
        )
        metric = peer.downstream.MislabelingDetectionMetric(
            **asked.common, mislabeling_indices=np.flatnonzero(known).tolist(), **how
        )
        own = metric.global_ranker.get_self_influence().numpy()
        yield scored(
            "wrong labels",
            method,
            metric,
            n_points=len(own),
            auc=float(roc_auc_score(known, own)),
            best=1 - known.sum() / (2 * len(known)),
        )


def scored(test: str, method: str, metric: Any, n_points: int | None = None, **more: Any) -> dict[str, Any]:
    """A row with quanda's score, and its interval where it has one."""
    try:
        found = metric.compute_bootstrapped(seed=0)
    except NotImplementedError:
        return row_of(test, method, metric.compute()["score"], None, n_points=n_points, **more)
    values = metric._per_sample_scores()
    return row_of(test, method, found["score"], [found["ci_low"], found["ci_high"]], n_points=len(values), **more)


def row_of(test: str, method: str, score: float, interval: list[float] | None, **more: Any) -> dict[str, Any]:
    """A row; a score that is not defined, such as the correlation of constants, is None."""
    if not np.isfinite(score):
        return {"test": test, "method": method, "score": None, "interval": None, **more}
    return {"test": test, "method": method, "score": score, "interval": interval, **more}


def bootstrapped(values: np.ndarray) -> list[float]:
    """95 % interval of a mean over test points."""
    drawn = np.random.default_rng(0).integers(0, len(values), (1000, len(values)))
    return np.percentile(values[drawn].mean(axis=1), [2.5, 97.5]).tolist()


def line(row: dict[str, Any]) -> str:
    """A row for people."""
    score = "undefined" if row["score"] is None else f"{row['score']:.3f}"
    interval = "" if row["interval"] is None else " [{:.3f}, {:.3f}]".format(*row["interval"])
    auc = f", AUC {row['auc']:.3f}" if "auc" in row else ""
    return f"{row['test']:36} {row['method']:28} {score}{interval}{auc} ({row['good']} is good, {row['n_points']} points)"


def table(rows: list[dict[str, Any]]) -> str:
    """Tests by methods in Markdown; wrong labels by their AUC."""
    found = {(row["test"], row["method"]): row.get("auc", row["score"]) for row in rows}
    methods = list(dict.fromkeys(row["method"] for row in rows if row["test"] in TESTS))
    lines = ["| test | good | " + " | ".join(methods) + " |", "| --- " * (len(methods) + 2) + "|"]
    for test, good in TESTS.items():
        cells = (found.get((test, method)) for method in methods)
        lines.append(f"| {test} | {good} | " + " | ".join("" if cell is None else f"{cell:.2f}" for cell in cells) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
