"""From text to token ids, the same way when a sample model is trained and when a person types a sentence.

Layout: a text is a list of words; a data set of texts is int64 ``[N, T]``, one row a text, id 0 is padding and id 1
stands for every word that the vocabulary does not have.
"""

import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np

from ntkviz.errors import UploadRejected

#: The tokens of ids 0 and 1. Angle brackets keep them apart from words: :func:`words` never returns one.
PADDING, UNKNOWN = "<pad>", "<unk>"

# Letters and digits of any script, with apostrophes inside: "don't" is one word, since "don" and "t" say something else.
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")

#: Beyond this an embedding table is the model; the cap keeps a hostile vocabulary file from filling the memory.
MAX_TOKENS = 1_000_000


def words(text: str) -> list[str]:
    """The words of a text, in order, lower-cased; punctuation and white space separate them.

    Compatibility forms are unified first (NFKC), so that "ﬁne" and "fine", or a typographic and a plain apostrophe,
    are the same.
    """
    plain = unicodedata.normalize("NFKC", text).replace("\u2019", "'").casefold()
    return _WORD.findall(plain)


@dataclass(frozen=True)
class Vocabulary:
    """The tokens that a text model knows; a token's id is its place.

    Attributes:
        tokens: all tokens; the first two are ``<pad>`` and ``<unk>``. ``len(vocabulary)`` is the size that an
            embedding table needs.
    """

    tokens: tuple[str, ...]
    _ids: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Check the two reserved tokens and index the others.

        Raises:
            ValueError: when the first two tokens are not ``<pad>`` and ``<unk>``, or a token stands twice.
        """
        if self.tokens[:2] != (PADDING, UNKNOWN):
            raise ValueError(
                f"A vocabulary begins with the tokens {PADDING!r} and {UNKNOWN!r}; this one begins with {self.tokens[:2]!r}. "
                "Put the two in front, or use Vocabulary.build."
            )
        ids = {token: place for place, token in enumerate(self.tokens)}
        if len(ids) != len(self.tokens):
            twice = next(token for token, count in Counter(self.tokens).items() if count > 1)
            raise ValueError(f"Expected every token once; {twice!r} stands several times. Remove the repetitions.")
        object.__setattr__(self, "_ids", ids)

    def __len__(self) -> int:
        """The number of ids, the two reserved ones included."""
        return len(self.tokens)

    @classmethod
    def build(cls, texts: Iterable[str], *, size: int | None = None, minimum_count: int = 1) -> "Vocabulary":
        """The most frequent words of some texts, the most frequent first, equal ones in alphabetical order.

        Args:
            texts: the training texts (never the test texts: their words are what the model cannot know).
            size: at most so many tokens, the two reserved ones included; None takes all.
            minimum_count: rarer words are left to ``<unk>``.

        Returns:
            a vocabulary.

        Raises:
            ValueError: when ``size`` is below 2.
        """
        return cls.of_words((words(text) for text in texts), size=size, minimum_count=minimum_count)

    @classmethod
    def of_words(cls, texts: Iterable[Sequence[str]], *, size: int | None = None, minimum_count: int = 1) -> "Vocabulary":
        """Like :meth:`build`, for texts that were cut into tokens elsewhere.

        Args:
            texts: the tokens of each training text.
            size: at most so many tokens, the two reserved ones included; None takes all.
            minimum_count: rarer tokens are left to ``<unk>``.

        Returns:
            a vocabulary.

        Raises:
            ValueError: when ``size`` is below 2.
        """
        if size is not None and size < 2:
            raise ValueError(f"A vocabulary has at least the tokens {PADDING} and {UNKNOWN}: size is 2 or more, got {size}.")
        counts = Counter(word for tokens in texts for word in tokens)
        del counts[PADDING], counts[UNKNOWN]
        ranked = sorted((word for word, count in counts.items() if count >= minimum_count), key=lambda w: (-counts[w], w))
        kept = ranked if size is None else ranked[: size - 2]
        return cls((PADDING, UNKNOWN, *kept))

    def encode(self, texts: Sequence[str], length: int) -> np.ndarray:
        """Token ids of some texts, int64 ``[N, T]`` with T = ``length``: cut at the end, padded with 0 at the end.

        A text without any word becomes one ``<unk>``: a row of padding alone has no position that attention or a
        mean could look at, and the model's output for it would be undefined.

        Args:
            texts: N texts.
            length: T, at least 1.

        Returns:
            ids in 0..len(self)-1.

        Raises:
            ValueError: when ``length`` is below 1.
        """
        return self.encode_words([words(text) for text in texts], length)

    def encode_words(self, texts: Sequence[Sequence[str]], length: int) -> np.ndarray:
        """Like :meth:`encode`, for texts that were cut into tokens elsewhere.

        Args:
            texts: N sequences of tokens, looked up as they are.
            length: T, at least 1.

        Returns:
            int64 ``[N, T]``.

        Raises:
            ValueError: when ``length`` is below 1.
        """
        if length < 1:
            raise ValueError(f"A text needs at least one position: length is 1 or more, got {length}.")
        ids = np.zeros((len(texts), length), dtype=np.int64)
        for row, tokens in zip(ids, texts, strict=True):
            found = [self._ids.get(token, 1) for token in tokens[:length]] or [1]
            row[: len(found)] = found
        return ids

    def decode(self, ids: np.ndarray | Sequence[int]) -> list[str]:
        """The tokens of one row ``[T]`` of ids, without the padding.

        Args:
            ids: ``[T]``, in 0..len(self)-1.

        Returns:
            at most T tokens.

        Raises:
            ValueError: when an id lies outside the vocabulary.
        """
        row = [int(i) for i in ids]
        if any(not 0 <= i < len(self) for i in row):
            raise ValueError(f"Ids of this vocabulary are 0 to {len(self) - 1}; got {min(row)} to {max(row)}.")
        return [self.tokens[i] for i in row if i != 0]

    def to_json(self) -> str:
        """The vocabulary as JSON: ``{"tokens": [...]}``."""
        return json.dumps({"tokens": list(self.tokens)})

    @classmethod
    def from_json(cls, text: str) -> "Vocabulary":
        """A vocabulary from what :meth:`to_json` wrote.

        Args:
            text: a JSON object with the list ``tokens``.

        Returns:
            a vocabulary.

        Raises:
            UploadRejected: when the text is no such JSON.
        """
        expected = f'Expected a vocabulary as JSON, {{"tokens": ["{PADDING}", "{UNKNOWN}", ...]}}'
        try:
            tokens = json.loads(text)["tokens"]
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            raise UploadRejected(
                f"{expected}; this cannot be read as such ({type(error).__name__}). Write it with to_json."
            ) from error
        if not isinstance(tokens, list) or not all(isinstance(token, str) for token in tokens):
            raise UploadRejected(f"{expected}; `tokens` is no list of strings. Write it with to_json.")
        if len(tokens) > MAX_TOKENS:
            raise UploadRejected(f"{expected} of at most {MAX_TOKENS:,} tokens; got {len(tokens):,}. Drop the rare words.")
        try:
            return cls(tuple(tokens))
        except ValueError as error:
            raise UploadRejected(f"{expected}. {error}") from error
