"""Texts that come as tokens: numbers of a network's own vocabulary, or words that somebody else cut."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ntkviz.data.guard import check_inputs, explain, short
from ntkviz.data.options import ReadOptions
from ntkviz.errors import UploadRejected

#: Ids become rows of an embedding table; no table has more rows than this.
_LARGEST_ID = 2**31 - 1


@dataclass(frozen=True)
class TokenRows:
    """One list of tokens a row: all of them integers, or all of them texts."""

    rows: list[list[int]] | list[list[str]]

    @classmethod
    def of(cls, values: Sequence[object]) -> "TokenRows":
        """Check what a file has as tokens.

        Args:
            values: one value a row.

        Returns:
            the rows.

        Raises:
            UploadRejected: when a row is no list, or integers and texts are mixed.
        """
        types: set[type] = set()
        for row, value in enumerate(values, start=1):
            if not isinstance(value, list) or not value:
                raise UploadRejected(
                    explain(expected="a list of tokens in every row", got=f"{short(value)} in row {row}", todo="Correct the row.")
                )
            types.update(type(token) for token in value)
            if types != {int} and types != {str}:
                raise UploadRejected(
                    explain(
                        expected="tokens that are all whole numbers or all texts",
                        got=f"other ones or a mixture in row {row}",
                        todo="Write the ids, or the words, throughout.",
                    )
                )
        return cls([list(value) for value in values if isinstance(value, list)])

    def inputs(self, rows: np.ndarray, options: ReadOptions) -> tuple[np.ndarray | list[list[str]], list[str]]:
        """Words of the chosen rows, or their ids int64 ``[n, T]``, padded with 0 to the longest.

        Args:
            rows: indices of the rows.
            options: ``text_length``, ``vocabulary`` and ``limits``.

        Returns:
            the inputs, and notes.

        Raises:
            UploadRejected: when an id is out of range.
        """
        chosen = [self.rows[row] for row in rows]
        if isinstance(chosen[0][0], str):
            return [[str(token) for token in tokens] for tokens in chosen], []
        longest = max(len(tokens) for tokens in chosen)
        check_inputs(len(chosen), min(longest, options.text_length or options.limits.text_length), options.limits, width=8)
        length = min(longest, options.text_length or options.limits.text_length)
        ids = np.zeros((len(chosen), length), dtype=np.int64)
        for place, tokens in zip(ids, chosen, strict=True):
            try:
                place[: len(tokens)] = tokens[:length]
            except OverflowError:
                place[0] = -1  # beyond 64 bits; named by the check of the range
        cut = sum(len(tokens) > length for tokens in chosen)
        notes = [f"{cut:,} of {len(chosen):,} texts have more than {length} tokens and were cut there."] if cut else []
        fitted, more = fit_ids(ids, options)
        return fitted, notes + more

    def shown(self, rows: np.ndarray, options: ReadOptions) -> list[str]:
        """The tokens of the chosen rows as text, by the vocabulary where there is one."""
        names = options.vocabulary.tokens if options.vocabulary is not None else ()
        return [" ".join(names[t] if isinstance(t, int) and t < len(names) else str(t) for t in self.rows[row]) for row in rows]


def fit_ids(ids: np.ndarray, options: ReadOptions) -> tuple[np.ndarray, list[str]]:
    """Token ids brought to the wanted length.

    Args:
        ids: integers ``[n, T]``.
        options: ``text_length`` (None keeps T), ``vocabulary`` and ``limits``.

    Returns:
        int64 ``[n, text_length]``, and notes.

    Raises:
        UploadRejected: when an id is negative, too large or outside the vocabulary, or T is too long.
    """
    notes: list[str] = []
    length = options.text_length or ids.shape[1]
    if length > options.limits.text_length or length < 1:
        raise UploadRejected(
            explain(
                expected=f"1 to {options.limits.text_length:,} tokens a text",
                got=f"{length:,}",
                todo="Cut the texts (text_length).",
            )
        )
    largest = _LARGEST_ID if options.vocabulary is None else len(options.vocabulary) - 1
    if ids.size and (ids.min() < 0 or ids.max() > largest):
        row = int(((ids < 0) | (ids > largest)).any(axis=1).argmax())
        raise UploadRejected(
            explain(
                expected=f"token ids from 0 (padding) to {largest:,}",
                got=f"{ids.min()} to {ids.max()}, first in text {row + 1}",
                todo="Bring the ids and the vocabulary of the same network; or read the numbers as a table (kind tabular).",
            )
        )
    check_inputs(len(ids), length, options.limits, width=8)
    if (ids[:, length:] != 0).any():
        notes.append(f"{int((ids[:, length:] != 0).any(axis=1).sum()):,} of {len(ids):,} texts were cut after {length} tokens.")
    fitted = np.zeros((len(ids), length), dtype=np.int64)
    fitted[:, : ids.shape[1]] = ids[:, :length]
    empty = int((fitted == 0).all(axis=1).sum())
    if empty:
        notes.append(f"{empty:,} texts are padding (id 0) only; what a network says of them may be undefined.")
    return fitted, notes


def spell(ids: np.ndarray, options: ReadOptions) -> list[str]:
    """Each row of ids ``[n, T]`` as text without padding, by the vocabulary where there is one."""
    if options.vocabulary is not None:
        return [" ".join(options.vocabulary.decode(row)) for row in ids]
    return [" ".join(str(i) for i in row.tolist() if i != 0) for row in ids]
