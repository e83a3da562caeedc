"""What a reader may be told, and how much it may take."""

import math
from dataclasses import dataclass, field
from typing import Literal

from ntkviz.data.text import Vocabulary
from ntkviz.types import DataKind

#: What an input may hold where a table has no value.
Missing = Literal["refuse", "drop"]


@dataclass(frozen=True)
class Limits:
    """How much of a file is read; a file beyond a limit is refused with the limit's name and value.

    Attributes:
        file_mb: size of the file as it lies on disk, in megabytes (10^6 bytes).
        inflated_mb: size of everything that is unpacked from it, and of the inputs as float32.
        ratio: an archive's member, or a packed table, of over 16 MB may be at most so many times larger unpacked than packed.
        rows: training and test points together.
        features: columns of a table, after categories became columns.
        categories: different texts in one column of a table; more is free text or an identifier.
        pixels: height times width of an image.
        text_length: T, tokens of a text.
        classes: C.
        per_class: points of each class; 2, so that one can train and one can test.
    """

    file_mb: float = 500
    inflated_mb: float = 2_000
    ratio: float = 250
    rows: int = 200_000
    features: int = 10_000
    categories: int = 50
    pixels: int = 512 * 512
    text_length: int = 4_096
    classes: int = 1_000
    per_class: int = 2

    @classmethod
    def for_mode(cls, mode: str) -> "Limits":
        """The limits of a server's mode.

        Args:
            mode: "local", "team" or "teaching".

        Returns:
            the limits.

        Raises:
            ValueError: when there is no such mode.
        """
        if mode == "local":
            return cls()
        if mode == "team":
            return cls(file_mb=64, inflated_mb=512, rows=50_000, features=4_000, pixels=256 * 256, text_length=1_024)
        if mode == "teaching":
            return cls(file_mb=5, inflated_mb=64, rows=5_000, features=1_000, pixels=96 * 96, text_length=256, classes=50)
        raise ValueError(f"Expected the mode local, team or teaching; got {mode!r}.")


@dataclass(frozen=True)
class ReadOptions:
    """How a file is to be read; every option has a default that fits a plain file.

    Attributes:
        label_column: column of the labels; None: `label`, `target` or `class`, else the last column.
        text_column: column of the texts; None: `text`, `sentence` or `review` where there is one.
        drop_columns: columns to leave out.
        kind: read the inputs as this kind; None: by their type and shape. "image" turns a table of 784 or 3072
            pixel columns into square images.
        class_names: names of the classes in the order of the network's outputs; None: as found, sorted.
        test_fraction: share of each class that becomes test points when the file has no split, in (0, 1).
        seed: seed of that split.
        text_length: T; None: the longest training text, at most 128.
        vocabulary: the vocabulary of the network; None: one is made of the training texts.
        vocabulary_size: the most tokens of a vocabulary that is made.
        image_size: (height, width) to bring images of a zip to; None: they must be of one size.
        missing: "refuse" a table with missing values, or "drop" the rows that have them.
        limits: how much may be read.
    """

    label_column: str | None = None
    text_column: str | None = None
    drop_columns: tuple[str, ...] = ()
    kind: DataKind | None = None
    class_names: tuple[str, ...] | None = None
    test_fraction: float = 0.2
    seed: int = 0
    text_length: int | None = None
    vocabulary: Vocabulary | None = None
    vocabulary_size: int = 20_000
    image_size: tuple[int, int] | None = None
    missing: Missing = "refuse"
    limits: Limits = field(default_factory=Limits)

    def __post_init__(self) -> None:
        """Check the ranges.

        Raises:
            ValueError: when an option lies outside its range.
        """
        if not (math.isfinite(self.test_fraction) and 0 < self.test_fraction < 1):
            raise ValueError(
                f"test_fraction is a share between 0 and 1, got {self.test_fraction}; 0.2 keeps a fifth for testing."
            )
        if self.text_length is not None and not 1 <= self.text_length <= self.limits.text_length:
            raise ValueError(f"text_length is 1 to {self.limits.text_length:,} tokens, got {self.text_length}.")
        if self.vocabulary_size < 2:
            raise ValueError(f"vocabulary_size is 2 or more (padding and unknown), got {self.vocabulary_size}.")
        size = self.image_size
        if size is not None and not (len(size) == 2 and min(size) >= 1 and size[0] * size[1] <= self.limits.pixels):
            raise ValueError(f"image_size is (height, width) of at most {self.limits.pixels:,} pixels together, got {size}.")
        if self.missing not in ("refuse", "drop"):
            raise ValueError(f"missing is 'refuse' or 'drop', got {self.missing!r}.")


#: The options of somebody who gives none.
DEFAULTS = ReadOptions()
