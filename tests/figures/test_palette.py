import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntkviz.figures import palette


def luminance(colour: str) -> float:
    """Relative luminance of "#RRGGBB" (WCAG 2)."""
    channels = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(first: str, second: str) -> float:
    low, high = sorted([luminance(first), luminance(second)])
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colour", [palette.POSITIVE, palette.NEGATIVE, palette.NEUTRAL])
@pytest.mark.parametrize("page", ["#FFFFFF", "#0E1117"])
def test_signs_are_legible_on_light_and_dark_pages(colour: str, page: str) -> None:
    assert contrast(colour, page) >= 3


def test_marks_of_the_sequential_scale_show_on_both_pages() -> None:
    for _, colour in palette.SEQUENTIAL_MARKS:
        assert min(contrast(str(colour), "#FFFFFF"), contrast(str(colour), "#0E1117")) > 1.7


def test_colour_and_symbol_together_tell_56_classes_apart() -> None:
    assert len({(palette.colour(i), palette.symbol(i)) for i in range(56)}) == 56


@given(st.text(max_size=400))
def test_safe_text_has_no_markup_no_variable_and_no_control_characters(text: str) -> None:
    found = palette.safe(text)
    assert "<" not in found
    assert ">" not in found
    assert "%{" not in found
    assert not any(ord(c) < 32 or 0x202A <= ord(c) <= 0x202E for c in found)
    assert len(found.replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">")) <= palette.MAX_TEXT + 200


@given(st.text(alphabet="abcXYZ 019.,-_/éßç漢", max_size=60))
def test_ordinary_words_stay_as_they_are(text: str) -> None:
    assert palette.safe(text) == text.strip()


def test_safe_text_shows_what_was_written() -> None:
    assert palette.safe("a <b> & c") == "a &lt;b&gt; &amp; c"
    assert palette.safe("x" * 300).endswith("…")
    assert palette.short("abcdefgh", 4) == "abc…"
    assert palette.safe(7) == "7"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.12345, "0.123"), (1234.6, "1,235"), (3.0, "3"), (float("nan"), "n/a"), (float("inf"), "infinite"), (-0.5, "-0.5")],
)
def test_numbers_read_as_people_write_them(value: float, text: str) -> None:
    assert palette.number(value) == text


def test_percent() -> None:
    assert palette.percent(0.1234) == "12.3 %"
    assert palette.percent(float("nan")) == "n/a"


def test_ids_are_plain_and_one_a_point() -> None:
    assert palette.id_column(None, 2) == [[0], [1]]
    assert palette.id_column(np.array([7, 9]), 2) == [[7], [9]]
    assert type(palette.id_column(np.array([7]), 1)[0][0]) is int
    with pytest.raises(ValueError, match="one id a point"):
        palette.id_column(["a"], 2)


@pytest.mark.parametrize(
    ("values", "shape", "message"),
    [
        (np.array([1.0, np.nan]), None, "1 NaN"),
        (np.zeros((2, 3)), (2, 2), "shape"),
        (np.zeros(3), (None, 3), "shape"),
        (np.zeros((2, 0)), (2, 0), "no value"),
        (np.zeros(0), None, "nothing to draw"),
    ],
)
def test_values_that_cannot_be_drawn_are_refused(values: np.ndarray, shape: tuple[int | None, ...] | None, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        palette.finite(values, "weights", shape)


def test_labels_must_have_names() -> None:
    assert palette.class_of(np.array([1, 0]), ["a", "b"], 2) == ["b", "a"]
    with pytest.raises(ValueError, match=r"0\.\.1"):
        palette.class_of(np.array([2]), ["a", "b"], 1)
    with pytest.raises(ValueError, match="one label a point"):
        palette.class_of(np.array([0]), ["a"], 2)


def test_alternative_text_says_kind_and_content() -> None:
    assert palette.alt("scatter plot", "All is well.") == "Chart (scatter plot). All is well."
