"""Laws of words and vocabularies."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntkviz.data.text import PADDING, UNKNOWN, Vocabulary, words
from ntkviz.errors import UploadRejected

TEXTS = st.lists(st.text(max_size=40), min_size=1, max_size=8)


def test_words_are_lower_case_without_punctuation() -> None:
    assert words("Don't   PANIC, it's (only) 42!") == ["don't", "panic", "it's", "only", "42"]


def test_typographic_forms_are_the_same_words() -> None:
    assert words("It\u2019s \ufb01ne") == words("it's fine")


def test_words_of_other_scripts_are_words() -> None:
    assert words("Привет, Straße!") == ["привет", "strasse"]


@given(st.text())
def test_words_of_words_are_the_same_words(text: str) -> None:
    assert words(" ".join(words(text))) == words(text)


@given(TEXTS, st.integers(1, 12))
def test_encoded_texts_have_the_length_and_end_in_padding(texts: list[str], length: int) -> None:
    vocabulary = Vocabulary.build(texts)
    ids = vocabulary.encode(texts, length)
    assert ids.dtype == np.int64
    assert ids.shape == (len(texts), length)
    assert ids.min() >= 0
    assert ids.max() < len(vocabulary)
    for row in ids:
        used = int((row != 0).sum())
        assert used >= 1
        assert (row[used:] == 0).all()


@given(TEXTS)
def test_decoding_gives_the_words_back(texts: list[str]) -> None:
    vocabulary = Vocabulary.build(texts)
    for text, row in zip(texts, vocabulary.encode(texts, 50), strict=True):
        assert vocabulary.decode(row) == (words(text) or [UNKNOWN])


def test_unknown_words_and_empty_texts_are_unknown_and_never_padding_alone() -> None:
    vocabulary = Vocabulary.build(["good film"])
    assert vocabulary.encode(["good music", "", "!?"], 3).tolist() == [[3, 1, 0], [1, 0, 0], [1, 0, 0]]


def test_the_vocabulary_is_ordered_by_frequency_then_alphabet() -> None:
    vocabulary = Vocabulary.build(["b a a", "c b a"], size=4)
    assert vocabulary.tokens == (PADDING, UNKNOWN, "a", "b")
    assert Vocabulary.build(["b a a", "c b a"], minimum_count=3).tokens[2:] == ("a",)


@given(TEXTS)
def test_json_round_trip_is_lossless(texts: list[str]) -> None:
    vocabulary = Vocabulary.of_words([text.split() for text in texts])
    assert Vocabulary.from_json(vocabulary.to_json()) == vocabulary


@given(st.text())
def test_arbitrary_json_is_refused(text: str) -> None:
    with pytest.raises(UploadRejected, match="Expected a vocabulary"):
        Vocabulary.from_json(text)


@pytest.mark.parametrize(
    "text",
    [
        '{"tokens": 3}',
        '{"tokens": ["<pad>", 1]}',
        '{"tokens": ["a", "b"]}',
        '{"tokens": ["<pad>", "<unk>", "a", "a"]}',
        "[" * 100_000,
    ],
)
def test_json_of_another_form_is_refused(text: str) -> None:
    with pytest.raises(UploadRejected, match="Expected a vocabulary"):
        Vocabulary.from_json(text)


@pytest.mark.parametrize("call", [lambda v: v.encode(["a"], 0), lambda v: v.decode([9]), lambda v: v.build(["a"], size=1)])
def test_arguments_out_of_range_are_refused(call) -> None:
    with pytest.raises(ValueError, match="got"):
        call(Vocabulary.build(["a"]))
