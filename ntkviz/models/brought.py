"""A network as somebody brought it, by weights with an architecture or as an exported program, for the check that follows.

Both kinds answer the same questions (what do you read, how many logits, what is an example) and are kept the same way:
``weights.safetensors`` and ``architecture.json``, of our own writing.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.torch
from pydantic import BaseModel, ConfigDict, ValidationError
from torch import nn

from ntkviz.errors import UploadRejected
from ntkviz.models.architectures.options import faults
from ntkviz.models.examples import example_inputs
from ntkviz.models.formats import sniff
from ntkviz.models.guess import guess_spec, guess_text
from ntkviz.models.limits import MODEL_LIMITS, ModelLimits
from ntkviz.models.loader import WeightsFile, inspect_weights, load_into
from ntkviz.models.normalised import Normalised
from ntkviz.models.pt2.reader import STORED, Exported, open_stored, read_pt2
from ntkviz.models.registry import architectures
from ntkviz.models.rejection import ArchitectureNeeded, clipped, quoted
from ntkviz.models.spec import ArchitectureSpec, Normalise, check_forward, parse_spec

WEIGHTS, ARCHITECTURE = "weights.safetensors", "architecture.json"


@dataclass(frozen=True)
class FromWeights:
    """Weights with an architecture.

    Attributes:
        spec: the architecture.
        model: in eval mode.
        notes: what was done to the file's contents.
    """

    spec: ArchitectureSpec
    model: nn.Module
    notes: tuple[str, ...]

    @property
    def architecture(self) -> dict[str, Any]:
        """What the report says of it, JSON types: the specification."""
        return self.spec.as_dict()

    @property
    def reads_tokens(self) -> bool:
        """Whether the input is int64 token ids."""
        return self.spec.reads_tokens

    @property
    def text(self) -> tuple[int, int] | None:
        """Length and vocabulary of the named network of texts; None for others."""
        if self.spec.name != "transformer":
            return None
        known = dict(architectures()["transformer"].check(self.spec.options))
        return known["length"], known["vocabulary"]

    def example(self) -> np.ndarray | None:
        """Made-up inputs of the first shape that fits, None when none does."""
        return example_inputs(self.spec)

    def n_classes(self, shape: tuple[int, ...]) -> int:
        """Number of logits for samples of a shape, found on shapes alone.

        Raises:
            UploadRejected: when the network does not take them.
        """
        return check_forward(self.spec, shape).n_classes

    def write(self, folder: Path) -> None:
        """The weights as plain tensors under the architecture's own names, and the specification."""
        net = self.model.net if isinstance(self.model, Normalised) else self.model
        state = {name: tensor.detach().clone().contiguous() for name, tensor in net.state_dict().items()}
        safetensors.torch.save_file(state, folder / WEIGHTS)
        (folder / ARCHITECTURE).write_text(json.dumps(self.architecture, indent=1), encoding="ascii")


@dataclass(frozen=True)
class FromProgram:
    """An exported program.

    Attributes:
        exported: what was read.
        normalise: what stands before it, or None.
        model: both, in eval mode.
        notes: what was done to the file's contents.
    """

    exported: Exported
    normalise: Normalise | None
    model: nn.Module
    notes: tuple[str, ...]

    @property
    def architecture(self) -> dict[str, Any]:
        """What the report says of it, JSON types: a summary; the graph itself is kept beside the weights."""
        return self.exported.summary() | self._normalise()

    @property
    def reads_tokens(self) -> bool:
        """Whether the input is int64 token ids."""
        return self.exported.program.reads_tokens

    @property
    def text(self) -> tuple[int, int] | None:
        """Length and vocabulary of a network of texts, as exported; None for others."""
        shape, vocabulary = self.exported.program.input_shape, self.exported.vocabulary
        return (shape[0], vocabulary) if vocabulary is not None and len(shape) == 1 else None

    def example(self) -> np.ndarray | None:
        """Made-up inputs of the exported shape; None when the token ids that it knows cannot be found."""
        rng = np.random.default_rng(0)
        shape = (16, *self.exported.program.input_shape)
        if self.reads_tokens:
            vocabulary = self.exported.vocabulary
            return None if vocabulary is None else rng.integers(0, vocabulary, size=shape, dtype=np.int64)
        return rng.standard_normal(shape, dtype=np.float32)

    def n_classes(self, shape: tuple[int, ...]) -> int:
        """Number of logits for samples of a shape, as found when the program was read.

        Raises:
            UploadRejected: when samples have another shape than it was exported for.
        """
        wanted = self.exported.program.input_shape
        if tuple(shape) != wanted:
            raise UploadRejected(
                f"The network was exported for samples of shape {list(wanted)}, and the data have {list(shape)}. Bring data of that shape, "
                "or export it with an example of these data."
            )
        return self.exported.sizes.n_classes

    def write(self, folder: Path) -> None:
        """The tensors, each once, and the graph."""
        self.exported.save_weights(folder / WEIGHTS)
        kept = self.exported.as_dict() | self._normalise()
        (folder / ARCHITECTURE).write_text(json.dumps(kept, separators=(",", ":")), encoding="ascii")

    def _normalise(self) -> dict[str, Any]:
        return {} if self.normalise is None else {"normalise": self.normalise.model_dump()}


Brought = FromWeights | FromProgram


def bring(path: Path, architecture: str | None, limits: ModelLimits) -> Brought:
    """Read a network; the file is judged before the architecture, so that garbage is called garbage.

    Args:
        path: weights, or an exported program.
        architecture: JSON text, or None.
        limits: the mode's caps.

    Returns:
        The network.

    Raises:
        ArchitectureNeeded: when weights came without one.
        UploadRejected: when the file or the architecture is of no use.
    """
    if sniff(path) == "pt2":
        exported = read_pt2(path, limits=limits)
        normalise = _only_normalise(architecture)
        if normalise is not None and exported.program.reads_tokens:
            raise UploadRejected("`normalise` is for numbers; this network reads token ids, which have no mean. Leave it out.")
        return FromProgram(exported, normalise, _wrapped(exported.model, normalise), ())
    file = inspect_weights(path, limits=limits)
    if architecture is None:
        needed = _needed(file)
        raise needed
    spec = parse_spec(architecture)
    loaded = load_into(spec, path, limits=limits)
    return FromWeights(spec, loaded.model, loaded.notes)


def open_kept(folder: Path, *, limits: ModelLimits = MODEL_LIMITS["local"]) -> nn.Module:
    """The network that ``Brought.write`` kept.

    Args:
        folder: with the two files.
        limits: caps on them.

    Returns:
        The network in eval mode.

    Raises:
        UploadRejected: when the two do not fit each other.
        OSError: when a file cannot be read.
        ValueError: when the architecture is no JSON.
    """
    kept = json.loads((folder / ARCHITECTURE).read_text(encoding="utf-8"))
    if not isinstance(kept, dict) or STORED not in kept:
        return load_into(kept, folder / WEIGHTS, limits=limits).model
    network = open_stored(kept, folder / WEIGHTS, limits=limits)
    given = kept.get("normalise")
    return _wrapped(network, None if given is None else _only_normalise(json.dumps({"normalise": given})))


class _OnlyNormalise(BaseModel):
    """What may come beside an exported program."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    normalise: Normalise | None = None


def _only_normalise(architecture: str | None) -> Normalise | None:
    """The normalisation that is to stand before an exported program.

    Raises:
        UploadRejected: when an architecture came with a program, which has its own.
    """
    if architecture is None:
        return None
    try:
        return _OnlyNormalise.model_validate_json(architecture).normalise
    except ValidationError as error:
        raise UploadRejected(
            f"An exported program carries its own architecture; only `normalise` may come beside it. {faults(error, _OnlyNormalise)} "
            "Leave the architecture out."
        ) from error


def _wrapped(network: nn.Module, normalise: Normalise | None) -> nn.Module:
    """The network behind its normalisation.

    Raises:
        UploadRejected: when mean and std do not go together.
    """
    if normalise is None:
        return network
    try:
        return Normalised(network, normalise.mean, normalise.std).eval()
    except ValueError as error:
        raise UploadRejected(f"`normalise`: {error}") from error


def _needed(file: WeightsFile) -> ArchitectureNeeded:
    """What to say of weights that came alone."""
    shapes = {name: fact.shape for name, fact in file.facts.items()}
    guess = guess_spec(shapes)
    some = ", ".join(f"{quoted(name, limit=30)} {list(shape)}" for name, shape in list(shapes.items())[:2])
    message = (
        f"{quoted(file.path.name, limit=40)} holds {len(shapes)} tensors ({some}{', ...' if len(shapes) > 2 else ''}) and no architecture. "
        f"Say which network they belong to: one of {', '.join(architectures())} with options, or a list of layers"
    )
    hint = f". The shapes would fit: {guess_text(guess)} (activations and pooling are guesses)." if guess is not None else "."
    return ArchitectureNeeded(clipped(message + hint), guess)
