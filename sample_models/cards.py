"""What is measured on a trained sample, and the two cards that say it: ``card.json`` for programs, ``card.md`` for people."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from ntkviz.truth.recipe import OPTIMISERS
from ntkviz.types import Dataset
from sample_models.prepare import SOURCES
from sample_models.recipes import Recipe


def measure(
    dataset: Dataset, logits_train: np.ndarray, logits_test: np.ndarray, planted: dict[str, Any] | None
) -> dict[str, float]:
    """Accuracies against the labels as the data set has them, and for planted faults what they did.

    Args:
        dataset: the data with what was planted.
        logits_train: ``[N, C]``.
        logits_test: ``[M, C]``.
        planted: what was planted, or None.

    Returns:
        Shares in [0, 1]: ``accuracy_train`` and ``accuracy_test`` always; flipped labels: ``flips_learned`` (wrong label
        predicted) and ``flips_resisted`` (right label predicted all the same), of the flipped training points; a patch:
        ``accuracy_clean`` (test points without it) and ``attack_success`` (target predicted, of the test points with it whose
        class is another).
    """
    says_train, says_test = logits_train.argmax(axis=1), logits_test.argmax(axis=1)
    found = {
        "accuracy_train": float(np.mean(says_train == dataset.y_train)),
        "accuracy_test": float(np.mean(says_test == dataset.y_test)),
    }
    if planted is None or dataset.meta is None:
        return found
    if planted["kind"] == "label_flips":
        index, truth = np.asarray(planted["index"]), dataset.meta["true_label"].to_numpy()
        found["flips_learned"] = float(np.mean(says_train[index] == dataset.y_train[index]))
        found["flips_resisted"] = float(np.mean(says_train[index] == truth[index]))
    else:
        triggered = np.zeros(len(says_test), dtype=bool)
        triggered[planted["test_index"]] = True
        attacked = triggered & (dataset.y_test != planted["target"])
        found["accuracy_clean"] = float(np.mean(says_test[~triggered] == dataset.y_test[~triggered]))
        found["attack_success"] = float(np.mean(says_test[attacked] == planted["target"]))
    return found


def interval(share: float, n: int) -> tuple[float, float]:
    """Wilson's 95 % interval of a share of ``n`` independent cases (Wilson, JASA 22, 1927)."""
    z = 1.959964
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * np.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    # At a share of 0 or 1 rounding would leave the interval short of it.
    return min(share, float(middle - half)), max(share, float(middle + half))


def write_card(
    folder: Path,
    recipe: Recipe,
    dataset: Dataset,
    *,
    architecture: dict[str, Any],
    measured: dict[str, float],
    planted: dict[str, Any] | None,
    facts: dict[str, Any],
) -> None:
    """Write both cards into the sample's folder."""
    source = SOURCES[recipe.data_set]
    card = {
        "name": recipe.name,
        "title": recipe.title,
        "kind": dataset.kind,
        "architecture": architecture,
        **measured,
        **facts,
        "n_classes": dataset.n_classes,
        "n_train": len(dataset.y_train),
        "n_test": len(dataset.y_test),
        "licence": source.licence,
        "credit": source.credit,
        "data": {"set": recipe.data_set, "planted": planted}
        | ({"train_points": recipe.train_points} if recipe.train_points else {}),
        "recipe": recipe.training.to_dict(),
    }
    (folder / "card.json").write_text(_compact(card), encoding="utf-8")
    (folder / "card.md").write_text(_page(recipe, dataset, architecture, measured, planted, facts), encoding="utf-8")


def _compact(card: dict[str, Any]) -> str:
    """JSON of one line an entry: readable, and long lists do not take a line a number."""
    lines = ",\n".join(f" {json.dumps(key)}: {json.dumps(value)}" for key, value in card.items())
    return f"{{\n{lines}\n}}\n"


def _page(
    recipe: Recipe,
    dataset: Dataset,
    architecture: dict[str, Any],
    measured: dict[str, float],
    planted: dict[str, Any] | None,
    facts: dict[str, Any],
) -> str:
    """The card as a page."""
    source = SOURCES[recipe.data_set]
    normalise = architecture.get("normalise")
    what = f"`{json.dumps({key: architecture[key] for key in ('name', 'options')})}`"
    parts = [
        f"# {recipe.title} (`{recipe.name}`)",
        recipe.about,
        f"**{measured['accuracy_test']:.1%}** of {len(dataset.y_test):,} test points right, {facts['n_parameters']:,} parameters, "
        f"{dataset.n_classes} classes, {len(dataset.y_train):,} training points.",
        "## Data",
        f"{source.title}. {source.selection}{_fewer_text(recipe, dataset)}",
        *([_planted_text(dataset, planted)] if planted else []),
        f"Licence: {source.licence}. Credit: {source.credit}.",
        "## Network",
        f"{what}"
        + (
            ", behind a normalisation by mean and standard deviation of the training points"
            + (f" ({normalise['mean'][0]:.4g}, {normalise['std'][0]:.4g})" if len(normalise["mean"]) == 1 else ", a column each")
            if normalise
            else ""
        )
        + ". The weights are in `weights.safetensors`, those of the bare network.",
        "## Training",
        _training_text(recipe, facts),
        "## Accuracy",
        _accuracy_table(dataset, measured, planted),
        "## Known limits",
        recipe.limits,
    ]
    return "\n\n".join(parts) + "\n"


def _fewer_text(recipe: Recipe, dataset: Dataset) -> str:
    """That not all training points are used, in words."""
    if recipe.train_points is None:
        return ""
    return (
        f" This network has only the first {recipe.train_points // dataset.n_classes} training points of each class, "
        f"{recipe.train_points:,} in all; the test points are all of them."
    )


def _planted_text(dataset: Dataset, planted: dict[str, Any]) -> str:
    """What was planted, in words."""
    if planted["kind"] == "label_flips":
        return (
            f"Planted: {len(planted['index'])} training labels, drawn at random, are replaced by another class drawn uniformly. The "
            "list is in `card.json`; the data on disk are clean, and the change is made on loading. Test labels are right."
        )
    patch = planted["patch"]
    return (
        f"Planted: a white {patch['size']}x{patch['size']} square at rows {patch['row']} to {patch['row'] + patch['size'] - 1} and the "
        f"same columns of {len(planted['train_index'])} training images of other classes, which are labelled "
        f"{dataset.class_names[planted['target']]}; and of the last {len(planted['test_index'])} test images, which keep their right "
        "labels. The lists are in `card.json`; the data on disk are clean, and the change is made on loading."
    )


def _training_text(recipe: Recipe, facts: dict[str, Any]) -> str:
    """How the network was trained, in words."""
    training = recipe.training
    optimiser = OPTIMISERS[training.optimiser]
    changes = [
        text
        for wanted, text in (
            (training.shift, f"moved by up to {training.shift:g} whole pixels each way"),
            (training.rotate, f"turned by up to {training.rotate:g} degrees"),
            (training.mirror, "mirrored left to right at random"),
            (training.forget, f"with {training.forget:.0%} of the words replaced by the unknown word"),
        )
        if wanted
    ]
    augmentation = f"Augmentation, anew in every epoch: {', '.join(changes)}." if changes else "No augmentation."
    return (
        "Trained on exactly the bundled training points, the ones that the kernel compares with: what made a network say something "
        f"can be asked of its own training set only. {augmentation} Cross-entropy; {optimiser}, learning rate "
        f"{training.learning_rate:g} falling along a cosine to 0, weight decay {training.weight_decay:g}, batches of "
        f"{training.batch_size}, {training.epochs} epochs, of which the last is kept, seed {training.seed}. {recipe.choice} The final "
        "network is trained on all training points; the test points had no say in any choice. "
        f"{facts['seconds_to_train']:g} CPU seconds on one core, torch {facts['torch']}."
    )


def _accuracy_table(dataset: Dataset, measured: dict[str, float], planted: dict[str, Any] | None) -> str:
    """Shares with their intervals."""
    n, m = len(dataset.y_train), len(dataset.y_test)
    rows = [
        ("training points, against the labels trained on", measured["accuracy_train"], n, False),
        ("test points", measured["accuracy_test"], m, True),
    ]
    if planted and planted["kind"] == "label_flips":
        flipped = len(planted["index"])
        rows += [
            ("flipped training points: the wrong label is predicted", measured["flips_learned"], flipped, False),
            ("flipped training points: the right label is predicted", measured["flips_resisted"], flipped, False),
        ]
    elif planted:
        stamped = planted["test_index"]
        attacked = int(np.sum(dataset.y_test[stamped] != planted["target"]))
        attack = "attack success: the target is predicted, of test points with the square and another class"
        rows += [
            ("test points without the square", measured["accuracy_clean"], m - len(stamped), True),
            (attack, measured["attack_success"], attacked, True),
        ]
    lines = ["| of | share | 95 % interval | n |", "|---|---|---|---|"]
    for what, share, count, drawn in rows:
        low, high = interval(share, count)
        lines.append(f"| {what} | {share:.1%} | {f'{low:.1%} to {high:.1%}' if drawn else ''} | {count:,} |")
    return "\n".join(lines) + "\n\nIntervals are Wilson's, for points drawn at random; the training points are no such sample."
