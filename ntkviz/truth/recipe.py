"""How a network is trained: what a sample's card keeps, what a script and a retraining follow. No torch."""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

#: The optimisers that a recipe may name, with their titles.
OPTIMISERS = {"sgd": "SGD with Nesterov momentum 0.9", "adamw": "AdamW"}

#: Largest values of a recipe that anybody may bring: a mistyped number must not start a job of a year.
_BOUNDS = {
    "epochs": (1, 10_000),
    "learning_rate": (0, 100),
    "weight_decay": (0, 100),
    "batch_size": (1, 1_000_000),
    "shift": (0, 1000),
    "rotate": (0, 180),
    "forget": (0, 1),
    "seed": (0, 2**63 - 1),
}


@dataclass(frozen=True)
class Training:
    """How a network is trained: cross-entropy, minibatches in random order, learning rate falling along a cosine to 0.

    Attributes:
        epochs: passes over the training points.
        optimiser: "sgd" (Nesterov momentum 0.9) or "adamw".
        learning_rate: at the start.
        weight_decay: of the optimiser.
        batch_size: points in a minibatch.
        shift: images are moved by up to this many pixels each way, anew in every epoch.
        rotate: images are turned by up to this many degrees each way.
        mirror: images are mirrored left to right at random.
        forget: share of words that are replaced by the unknown word, anew in every epoch.
        seed: of the initial parameters, the order of points and the augmentation.
    """

    epochs: int
    optimiser: str
    learning_rate: float
    weight_decay: float
    batch_size: int
    shift: float = 0
    rotate: float = 0
    mirror: bool = False
    forget: float = 0
    seed: int = 0

    @property
    def augments(self) -> bool:
        """Whether minibatches are changed at random before the network sees them."""
        return bool(self.shift or self.rotate or self.mirror or self.forget)

    def to_dict(self) -> dict[str, Any]:
        """The recipe as JSON types; :meth:`from_dict` takes it back."""
        return asdict(self)

    @classmethod
    def from_dict(cls, entries: Mapping[str, Any]) -> "Training":
        """The recipe of a card.

        Args:
            entries: what :meth:`to_dict` gave, or what a person wrote: at least the five entries without a default.

        Returns:
            The recipe, every entry within its bounds.

        Raises:
            ValueError: when an entry is missing, unknown, of another type or out of bounds; the message names it.
        """
        known = {field.name: field for field in fields(cls)}
        unknown = sorted(set(map(str, entries)) - set(known))
        required = ("epochs", "optimiser", "learning_rate", "weight_decay", "batch_size")
        missing = [name for name in required if name not in entries]
        if unknown or missing:
            faults = [f"unknown: {', '.join(unknown)[:200]}"] * bool(unknown) + [f"missing: {', '.join(missing)}"] * bool(missing)
            raise ValueError(f"A training recipe has the entries {', '.join(known)}; {'; '.join(faults)}. Correct the recipe.")
        return cls(**{name: _checked(name, value, known[name].type) for name, value in entries.items()})


def _checked(name: str, value: Any, kind: Any) -> Any:
    """One entry of a recipe.

    Raises:
        ValueError: when it is of another type or out of bounds.
    """
    if name == "optimiser":
        if value not in OPTIMISERS:
            raise ValueError(f"`optimiser` is {str(value)[:60]!r}; expected {' or '.join(map(repr, OPTIMISERS))}.")
        return value
    if kind is bool or isinstance(value, bool):
        if not (kind is bool and isinstance(value, bool)):
            raise ValueError(f"`{name}` is {str(value)[:60]!r}; expected {'true or false' if kind is bool else 'a number'}.")
        return value
    low, high = _BOUNDS[name]
    whole = "a whole number" if kind is int else "a number"
    if not isinstance(value, int if kind is int else int | float) or not math.isfinite(value) or not low <= value <= high:
        raise ValueError(f"`{name}` is {str(value)[:60]!r}; expected {whole} from {low:g} to {high:g}.")
    return value
