"""A bundled sample study, opened: its network, its data and its card."""

import hashlib
import json
from dataclasses import dataclass

from torch import nn

from ntkviz.data.sample import SampleCard, load_sample_data, sample_card
from ntkviz.errors import StoreCorrupted, UploadRejected
from ntkviz.models.loader import load_into
from ntkviz.types import Dataset

#: The weights in a sample's folder: the state dict of the bare network, without the normalisation.
WEIGHTS = "weights.safetensors"


@dataclass(frozen=True)
class Sample:
    """A bundled sample study.

    Attributes:
        name: one of :func:`ntkviz.data.sample.samples`.
        model: the trained network, in eval mode; takes ``data.x_train`` as it is.
        data: the points it was trained on (all of ``x_train`` and nothing else) and test points.
        card: the card in Markdown: what it is, licence and credit of the data, training, accuracy, limits.
        info: the card's facts.
    """

    name: str
    model: nn.Module
    data: Dataset
    card: str
    info: SampleCard


def load_sample(name: str) -> Sample:
    """Open a bundled sample study.

    Args:
        name: one of :func:`ntkviz.data.sample.samples`.

    Returns:
        The network with its weights, the data with what was planted, and the card.

    Raises:
        ValueError: when there is no sample of that name; the message lists them.
        StoreCorrupted: when a file of the sample is missing, was altered, or does not fit the others.
    """
    info = sample_card(name)
    weights = info.folder / WEIGHTS
    restore = f"Restore sample_models/{name} from the repository, or make it anew with sample_models/train.py."
    try:
        expected = json.loads((info.folder / "card.json").read_text(encoding="utf-8"))["weights_sha256"]
        found = hashlib.sha256(weights.read_bytes()).hexdigest()
    except (OSError, ValueError, KeyError) as error:
        raise StoreCorrupted(
            f"The weights of the sample {name!r} cannot be read ({type(error).__name__}: {error}). {restore}"
        ) from error
    if found != expected:
        raise StoreCorrupted(
            f"The weights of the sample {name!r} were altered: sha256 {found[:12]}..., the card says {str(expected)[:12]}.... {restore}"
        )
    try:
        model = load_into(info.architecture, weights).model
    except UploadRejected as error:
        raise StoreCorrupted(f"The weights of the sample {name!r} do not fit its card. {error} {restore}") from error
    return Sample(name=name, model=model, data=load_sample_data(name), card=info.text, info=info)
