import csv
import io
import math
import re

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ntkviz.ui.layout import csv_text
from ntkviz.ui.text import ago, csv_cell, escape, fixed, megabytes, number, percent, span

MARKUP = [
    "![pixel](http://host/x.png)",
    "[click](javascript:alert(1))",
    "<img src=x onerror=alert(1)>",
    "$\\frac{1}{2}$ :red[danger] :material/delete:",
    "| a | b |\n|---|---|\n# head",
    "`code` **bold** ~~gone~~ __x__",
]


def shown(escaped: str) -> str:
    """What Markdown makes of it: a backslash before punctuation goes, everything else stays."""
    return re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", escaped).replace("\u200b", "")


@pytest.mark.parametrize("text", MARKUP)
def test_markup_is_shown_and_not_obeyed(text):
    escaped = escape(text)
    assert shown(escaped) == " ".join(text.split("\n"))
    assert not re.search(r"(?<!\\)[<>\[\]()!`*_~$|#:]", escaped)


@given(st.text(max_size=200))
def test_no_punctuation_stays_bare(text):
    assert not re.search(r"(?<!\\)(?:\\\\)*[<>\[\]()!`*_~$|#:{}]", escape(text).replace("\\\\", ""))


@given(st.text(alphabet="abc äöü 你好 xyz", max_size=60))
def test_plain_words_stay_as_they_are(text):
    assert escape(text) == text.strip()


@pytest.mark.parametrize("text", ["http://host/a", "HTTPS://host", "www.host.org", "ftp://x"])
def test_addresses_do_not_become_links(text):
    assert not re.search(r"://|www\.", escape(text).replace("\\", ""), re.IGNORECASE)


def test_direction_changing_characters_are_dropped():
    assert escape("a\u202egnp.exe\u200b") == "a gnp\\.exe"


def test_long_text_is_cut():
    assert len(escape("a" * 1000, limit=50)) == 50


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.12345, "0.123"), (12345.6, "12,346"), (3.0, "3"), (-0.04211, "-0.0421"), (math.nan, "–"), (None, "–"), (math.inf, "∞")],
)
def test_numbers_have_three_significant_digits(value, words):
    assert number(value) == words


def test_other_figures_in_words():
    assert (fixed(-0.0421), fixed(None), percent(0.98), percent(math.nan)) == ("−0.042", "–", "98.0 %", "–")
    assert (megabytes(2048), megabytes(56.4), megabytes(1.23)) == ("2.0 GB", "56 MB", "1.2 MB")
    assert (span(0.2), span(89), span(600), span(7200)) == ("1 s", "89 s", "10 min", "2.0 h")
    assert ago("no time") == "at an unknown time"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r"])
def test_cells_that_a_spreadsheet_would_run_get_an_apostrophe(start):
    text = f"{start}HYPERLINK(1)"
    assert csv_cell(text) == "'" + text
    rows = list(csv.reader(io.StringIO(csv_text(pd.DataFrame({text: [text, "plain"]})), newline="")))
    assert rows[0] == ["'" + text]
    assert rows[1] == ["'" + text]
    assert rows[2] == ["plain"]


def test_numbers_stay_numbers_in_csv():
    assert csv_text(pd.DataFrame({"x": [-1.5, 2.0]})) == "x\r\n-1.5\r\n2.0\r\n"
