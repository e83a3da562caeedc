"""Refusals of model files that carry more than a sentence, and strangers' names as a sentence may quote them.

Torch-free: a page shows these without torch in its process.
"""

from dataclasses import dataclass
from typing import Any

from ntkviz.errors import UploadRejected

#: No refusal is longer: it is read on a page, and part of it comes from the file.
MAX_MESSAGE = 590


@dataclass(frozen=True)
class MismatchRow:
    """One name on which the file and the architecture disagree.

    Attributes:
        name: of the parameter or buffer.
        expected: shape (and dtype, when that is the fault) in the architecture, "" when it has no such name.
        found: the same in the file, "" when it has no such name.
    """

    name: str
    expected: str
    found: str


class WeightsMismatch(UploadRejected):
    """The weights do not belong to the architecture.

    Attributes:
        table: one :class:`MismatchRow` a name, in the order of the architecture, names that only the file has at the end.
    """

    def __init__(self, message: str, table: tuple[MismatchRow, ...]) -> None:
        """Keep the table beside the message, which shows its first rows."""
        super().__init__(message)
        self.table = table


class ArchitectureNeeded(UploadRejected):
    """A weights file came alone; what network it belongs to has to be said.

    Attributes:
        guess: a specification that fits the names and shapes, with activations and pooling guessed, or None.
    """

    def __init__(self, message: str, guess: dict[str, Any] | None) -> None:
        """Keep the guess beside the message, which may not have room for it."""
        super().__init__(message)
        self.guess = guess


def quoted(name: object, *, limit: int = 60) -> str:
    """A name from a file, in quotes: control characters escaped, at most ``limit`` characters."""
    text = ascii(str(name)[: limit + 1])[1:-1]
    return f"'{text if len(text) <= limit else text[: limit - 3] + '...'}'"


def clipped(message: str) -> str:
    """A message of at most MAX_MESSAGE characters."""
    return message if len(message) <= MAX_MESSAGE else message[: MAX_MESSAGE - 4].rstrip() + " ..."
