"""Make the sample models: ``python sample_models/train.py [NAME ...] [--data PATH] [--validate]``.

Without names, all of them. Each is trained on exactly the training points that are bundled with it, since the question which
training examples made a network say something has an answer for its own training set only. The same machine gives the same
bytes again: seeds are fixed, torch's deterministic algorithms are on, one thread is used.
"""

import argparse
import hashlib
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save_file
from torch import nn

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))  # the script is run by its path, from anywhere

from ntkviz.data.sample import first_of_each_class, plant  # noqa: E402
from ntkviz.data.save import load_dataset  # noqa: E402
from ntkviz.models.normalised import Normalised  # noqa: E402
from ntkviz.truth.train import train  # noqa: E402
from ntkviz.types import Dataset  # noqa: E402
from sample_models.cards import measure, write_card  # noqa: E402
from sample_models.prepare import SOURCES, prepare  # noqa: E402
from sample_models.recipes import RECIPES, Recipe  # noqa: E402

SAMPLES = ROOT / "sample_models"
_PUBLISHED = ROOT.parent / "shared" / "data"


def main() -> None:
    """Prepare the data and train what the command line names.

    Raises:
        SystemExit: when a name is unknown or data are missing.
    """
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"samples to train: {', '.join(RECIPES)}; all when none is given"
    )
    parser.add_argument("--data", type=Path, help="folder of the published data sets; default ../shared/data if it exists")
    parser.add_argument(
        "--validate", action="store_true", help="train on 4/5 of the training points, report on the rest, save nothing"
    )
    arguments = parser.parse_args()
    unknown = sorted(set(arguments.names) - set(RECIPES))
    if unknown:
        parser.error(f"no sample is called {', '.join(unknown)}; expected some of {', '.join(RECIPES)}")
    torch.use_deterministic_algorithms(True)
    torch.set_num_threads(1)
    for name in arguments.names or list(RECIPES):
        recipe = RECIPES[name]
        try:
            dataset, planted = bundled(recipe, arguments.data)
        except FileNotFoundError as error:
            parser.error(str(error))
        if arguments.validate:
            validate(recipe, dataset)
        else:
            make(recipe, dataset, planted)


def bundled(recipe: Recipe, published: Path | None) -> tuple[Dataset, dict[str, Any] | None]:
    """The data of a sample, prepared anew where the published data are at hand.

    Args:
        recipe: the sample.
        published: folder of the published data sets; None looks in the default place, and without that uses the bundled
            subset as it stands.

    Returns:
        The data with what was planted in them, and the description of what was planted.

    Raises:
        FileNotFoundError: when neither the published data nor the bundled subset is there.
    """
    folder = SAMPLES / "data" / recipe.data_set
    if published is not None or SOURCES[recipe.data_set].file is None or _PUBLISHED.is_dir():
        prepare(recipe.data_set, published or _PUBLISHED, folder)
    elif not (folder / "dataset.json").is_file():
        raise FileNotFoundError(
            f"Expected the published data sets in {_PUBLISHED} or a bundled subset in {folder}; neither is there. "
            "Give the folder with --data."
        )
    dataset = replace(load_dataset(folder), name=recipe.name)
    if recipe.train_points is not None:
        dataset = first_of_each_class(dataset, recipe.train_points)
    planted = None if recipe.plant is None else recipe.plant(dataset)
    return (dataset if planted is None else plant(dataset, planted)), planted


def make(recipe: Recipe, dataset: Dataset, planted: dict[str, Any] | None) -> None:
    """Train a sample on all its training points; write weights and cards."""
    spec = architecture(recipe, dataset)
    started = time.process_time()
    model = train(spec, dataset.x_train, dataset.y_train, recipe.training)
    seconds = time.process_time() - started
    folder = SAMPLES / recipe.name
    folder.mkdir(exist_ok=True)
    weights = folder / "weights.safetensors"
    save_file({name: tensor.contiguous() for name, tensor in bare(model).state_dict().items()}, weights)
    measured = measure(dataset, logits(model, dataset.x_train), logits(model, dataset.x_test), planted)
    facts = {
        "n_parameters": sum(parameter.numel() for parameter in model.parameters()),
        "seconds_to_train": round(seconds, 1),
        "weights_sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
        "torch": torch.__version__,
    }
    write_card(folder, recipe, dataset, architecture=spec, measured=measured, planted=planted, facts=facts)
    print(f"{recipe.name}: {measured} in {seconds:.0f} s, {facts['weights_sha256'][:12]}", flush=True)


def validate(recipe: Recipe, dataset: Dataset) -> None:
    """Train on the first four fifths of the training points and report on the last fifth."""
    n = len(dataset.y_train) * 4 // 5
    started = time.process_time()
    model = train(architecture(recipe, dataset), dataset.x_train[:n], dataset.y_train[:n], recipe.training)
    fit = [
        float(np.mean(logits(model, dataset.x_train[part]).argmax(axis=1) == dataset.y_train[part]))
        for part in (slice(n), slice(n, None))
    ]
    print(
        f"{recipe.name}: {fit[0]:.4f} of {n} points trained on, {fit[1]:.4f} of {len(dataset.y_train) - n} held out, "
        f"{time.process_time() - started:.0f} s",
        flush=True,
    )


def architecture(recipe: Recipe, dataset: Dataset) -> dict[str, Any]:
    """The specification with mean and standard deviation of the training inputs."""
    if not recipe.normalise:
        return recipe.architecture
    axes = (0, 2, 3) if recipe.normalise == "channel" else (0,)
    x = dataset.x_train.astype(np.float64)
    # Six digits: what is written in the card is what the network is trained with.
    mean, std = ([float(f"{value:.6g}") for value in statistic] for statistic in (x.mean(axis=axes), x.std(axis=axes)))
    return recipe.architecture | {"normalise": {"mean": mean, "std": std}}


def bare(model: nn.Module) -> nn.Module:
    """The network without its normalisation."""
    return model.net if isinstance(model, Normalised) else model


def logits(model: nn.Module, x: np.ndarray) -> np.ndarray:
    """float32 ``[n, C]``."""
    with torch.no_grad():
        return torch.cat([model(part) for part in torch.from_numpy(x).split(250)]).numpy()


if __name__ == "__main__":
    main()
