"""Do audits find what was planted? ``python benchmarks/audits.py [--n-train N] [--quick]``.

Wrong labels (mnist-mislabelled, 5 %): AUC, average precision and precision at k of every score of ours on the trace NTK, the conjugate
kernel and kernels of the pixels alone, of the network's loss, and of cleanlab's confident learning on the network's own probabilities and
on those of five networks that did not see the point (the sample's recipe, five folds). Backdoor (mnist-backdoor): precision and recall
of the group that is cut off without knowing the planted list, from the listed triggered test points, from a few of them, and blind; and
how separate the groups of samples without a backdoor are. Intervals are of 200 bootstrap draws over the training points;
``margin_ahead_by`` is that of the AUC of the leave-one-out margin on the trace NTK minus the row's, on the same draws.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import numpy as np
from scipy.special import softmax
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedKFold

from benchmarks.machine import keep
from ntkviz import load_sample
from ntkviz.audit.backdoor import BackdoorAudit, Carriers, suspects_among
from ntkviz.audit.mislabels import mislabels
from ntkviz.audit.planted import score_found, score_ranking
from ntkviz.kernels.matrix import kernel_blocks
from ntkviz.models.probes import logits_of
from ntkviz.scores import scores_of
from ntkviz.studies.sampling import stratified_index
from ntkviz.truth.train import train
from sample_models.recipes import RECIPES
from sample_models.train import architecture

CLEAN = ("mnist-mlp", "mnist-cnn", "fashion-cnn", "sentences-transformer", "cancer-mlp", "mnist-mislabelled")
#: For wrong labels, and for the backdoor.
KERNELS = ("trntk", "ck", "inputs", "rbf", "trntk_rbf")
BACKDOOR_KERNELS, BACKDOOR_SIZES = ("trntk", "ck", "inputs"), (300, 1000)


def main() -> None:
    """Run, print, keep."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--n-train", type=int, default=5000)
    parser.add_argument("--quick", action="store_true", help="500 points, to see that everything runs; nothing is kept")
    arguments = parser.parse_args()
    n = 500 if arguments.quick else arguments.n_train
    rows: list[dict] = []
    sizes = sorted({size for size in (*BACKDOOR_SIZES, n) if size <= n})
    for found in (wrong_labels(n), *(backdoor(size) for size in sizes), without_backdoor(min(n, 1000))):
        for row in found:
            rows.append(row)
            print(" ".join(f"{key}={_short(value)}" for key, value in row.items()), flush=True)
    if not arguments.quick:
        print(f"kept in {keep('audits', rows)}")


def wrong_labels(n: int) -> Iterator[dict]:
    """Every score against the planted list.

    Args:
        n: training points.

    Yields:
        a row a score.
    """
    sample = load_sample("mnist-mislabelled")
    data = sample.data
    chosen = stratified_index(data.y_train, min(n, len(data.y_train)))
    x, y = data.x_train[chosen], data.y_train[chosen]
    planted, right = (data.meta[name].to_numpy()[chosen] for name in ("flipped", "true_label"))  # type: ignore[index]
    planted = planted.astype(bool)
    logits = logits_of(sample.model, x)
    kernels = {kind: kernel_blocks(sample.model, x, x[:1], kind=kind).normalised().train for kind in KERNELS}
    reference = mislabels(kernels["trntk"], y, n_classes=data.n_classes).scores

    def row(method: str, kernel: str, scores: np.ndarray, suggested: np.ndarray | None = None) -> dict:
        found = score_ranking(scores, planted)
        depths = sorted({50, 100, found.n_planted})
        return {
            "audit": "mislabels",
            "sample": sample.name,
            "n_train": len(y),
            "method": method,
            "kernel": kernel,
            "auc": found.auc,
            "interval": _interval(scores, planted),
            "margin_ahead_by": _interval(reference, planted, scores),
            "average_precision": found.average_precision,
            **{f"precision@{k}": found.precision_at(k) for k in depths if k <= len(y)},
            **({} if suggested is None else {"suggestion_right": float((suggested == right)[planted].mean())}),
        }

    own = mislabels(np.eye(len(y)), y, method="network_loss", logits=logits)
    yield row("network_loss", "", own.scores, own.suggested)
    for kernel, values in kernels.items():
        for method in ("loo_margin", "dual_weight", "knn_disagreement"):
            found = mislabels(values, y, method=method, n_classes=data.n_classes)
            named = score_found(np.flatnonzero(found.contradicted), planted)
            flagged = {"contradicted": named.n_found, "precision": named.precision, "recall": named.recall}
            yield row(method, kernel, found.scores, found.suggested) | flagged
    chances = five_folds(x, y)
    yield row("log-odds", "five folds", -scores_of(np.log(chances + 1e-300)).log_odds[np.arange(len(y)), y])
    for title, given in (("network's own", softmax(logits.astype(np.float64), axis=1)), ("five folds", chances)):
        for method, scores in cleanlab_scores(y, given):
            yield row(f"cleanlab {method}", title, scores)


def five_folds(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Probabilities of each point by a network that was trained, as the sample was, on the other four fifths, ``[N, C]``."""
    recipe = RECIPES["mnist-mislabelled"]
    sample = load_sample("mnist-mislabelled")
    spec = architecture(recipe, sample.data)
    found = np.empty((len(y), sample.data.n_classes))
    for kept, held in StratifiedKFold(5, shuffle=True, random_state=0).split(x, y):
        model = train(spec, x[kept], y[kept], recipe.training)
        found[held] = softmax(logits_of(model, x[held]).astype(np.float64), axis=1)
    return found


def cleanlab_scores(y: np.ndarray, chances: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Confident learning's label quality, turned so that high is suspicious; nothing when the package is missing.

    Args:
        y: labels ``[N]``.
        chances: probabilities ``[N, C]``.

    Yields:
        name and scores. "confident learning" puts the issues that it finds first, by their normalised margin.
    """
    try:
        from cleanlab.filter import find_label_issues  # pyright: ignore[reportMissingImports]
        from cleanlab.rank import get_label_quality_scores  # pyright: ignore[reportMissingImports]
    except ImportError:
        print("cleanlab is not installed (benchmarks/requirements-audits.txt): its rows are left out.", file=sys.stderr)
        return
    for method in ("self_confidence", "normalized_margin", "confidence_weighted_entropy"):
        yield method, -get_label_quality_scores(y, chances, method=method)
    issues = find_label_issues(y, chances)
    yield "confident learning", issues * 2.0 - get_label_quality_scores(y, chances, method="normalized_margin")


def backdoor(n: int) -> Iterator[dict]:
    """The group that carries the trigger, against the planted list.

    Args:
        n: training points.

    Yields:
        a row a kernel, form and way to name the suspects.
    """
    sample = load_sample("mnist-backdoor")
    data = sample.data
    chosen = stratified_index(data.y_train, min(n, len(data.y_train)))
    y = data.y_train[chosen]
    triggered = data.meta["triggered"].to_numpy().astype(bool)  # type: ignore[index]
    planted, shown = triggered[: len(data.x_train)][chosen], np.flatnonzero(triggered[len(data.x_train) :])
    said = scores_of(logits_of(sample.model, data.x_test)).predicted
    target, suspects, clean = suspects_among(shown, data.y_test, said)
    few = np.random.default_rng(0).permutation(suspects)
    for kind in BACKDOOR_KERNELS:
        raw = kernel_blocks(sample.model, data.x_train[chosen], data.x_test, kind=kind)
        for form, blocks in (("cosine", raw.normalised()), ("raw", raw)):
            audit = BackdoorAudit(blocks.train, y, n_classes=data.n_classes)
            ways = {f"{count} triggered": audit.of(blocks.rows, few[:count], clean, target) for count in (5, 10, 20, len(few))}
            for way, found in (ways | {"blind": audit.every_class(blocks.rows, data.y_test, said)[0]}).items():
                named = score_found(found.group, planted)
                yield _row(found, sample.name, len(y), kind, form) | {
                    "suspects": way,
                    "planted": named.n_planted,
                    "precision": named.precision,
                    "recall": named.recall,
                }


def without_backdoor(n: int) -> Iterator[dict]:
    """What the blind audit says where nothing was planted: the groups must not be called separate.

    Args:
        n: training points at most.

    Yields:
        a row a class that enough test points are wrongly predicted as.
    """
    for name in CLEAN:
        sample = load_sample(name)
        data = sample.data
        chosen = stratified_index(data.y_train, min(n, len(data.y_train)))
        raw = kernel_blocks(sample.model, data.x_train[chosen], data.x_test)
        said = scores_of(logits_of(sample.model, data.x_test)).predicted
        for form, blocks in (("cosine", raw.normalised()), ("raw", raw)):
            audit = BackdoorAudit(blocks.train, data.y_train[chosen], n_classes=data.n_classes)
            for found in audit.every_class(blocks.rows, data.y_test, said):
                if found.verdict != "too few suspects":
                    yield _row(found, name, len(chosen), "trntk", form) | {"suspects": "blind", "planted": 0}


def _row(found: Carriers, sample: str, n: int, kernel: str, form: str) -> dict:
    return {
        "audit": "backdoor",
        "sample": sample,
        "n_train": n,
        "kernel": kernel,
        "form": form,
        "target": found.target,
        "n_suspects": len(found.suspects),
        "group": found.size,
        "separation": found.separation,
        "verdict": found.verdict,
        "suspects_kept": [found.suspects_before, found.suspects_after],
        "clean_kept": [found.clean_before, found.clean_after],
    }


def _interval(scores: np.ndarray, planted: np.ndarray, beside: np.ndarray | None = None, draws: int = 200) -> list[float]:
    """95 % bootstrap interval, over training points, of the AUC, or of how far it is ahead of another score's on the same points."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(draws):
        drawn = rng.integers(0, len(scores), len(scores))
        other = 0.0 if beside is None else roc_auc_score(planted[drawn], beside[drawn])
        found.append(roc_auc_score(planted[drawn], scores[drawn]) - other)
    return np.percentile(found, [2.5, 97.5]).tolist()


def _short(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return "[" + ", ".join(_short(v) for v in value) + "]" if isinstance(value, list) else str(value)


if __name__ == "__main__":
    main()
