"""Reports: what they say is what the study holds, they ask no host for anything, and no word of people becomes markup."""

import base64
import dataclasses
import hashlib
import json
import re
from html.parser import HTMLParser

import numpy as np
import pytest

from ntkviz.figures.waterfall import waterfall, waterfall_steps
from ntkviz.reports.document import Card, Section, Table, render
from ntkviz.reports.explanation import Question, explanation_report
from ntkviz.reports.figure_page import figure_page
from ntkviz.reports.study import study_report
from ntkviz.studies.explained import explanation
from ntkviz.studies.fingerprint import fingerprint
from ntkviz.studies.subjects import find_subject

KINDS = ["digits", "digits_ck", "table", "text"]


class Parts(HTMLParser):
    """Elements with their attributes, the text outside of scripts, and the scripts."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[tuple[dict[str, str | None], str]] = []
        self.words = ""
        self._open: str | None = None
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        self._open = tag
        if tag == "script":
            self.scripts.append((dict(attrs), ""))

    def handle_endtag(self, tag):
        self._open = None

    def handle_data(self, data):
        if self._open == "script":
            attributes, text = self.scripts[-1]
            self.scripts[-1] = (attributes, text + data)
        elif self._open != "style":
            self.words += data + "\n"


def policy(parts: Parts) -> str:
    return next(
        str(a["content"]) for tag, a in parts.elements if tag == "meta" and a.get("http-equiv") == "Content-Security-Policy"
    )


def assert_closed(page: str) -> Parts:
    """No element of the page leads to another host, no handler runs, and each script is one that the policy names."""
    parts = Parts(page)
    allowed = {
        "html",
        "head",
        "meta",
        "title",
        "link",
        "style",
        "body",
        "main",
        "header",
        "h1",
        "h2",
        "p",
        "section",
        "dl",
        "div",
        "dt",
    }
    allowed |= {
        "dd",
        "article",
        "img",
        "strong",
        "br",
        "blockquote",
        "figure",
        "figcaption",
        "script",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
    }
    for tag, attributes in parts.elements:
        assert tag in allowed
        assert not [name for name in attributes if name.startswith("on")]
        for name in ("src", "href", "action", "srcset", "data"):
            assert str(attributes.get(name, "data:")).startswith("data:"), (tag, attributes)
    run = [text for attributes, text in parts.scripts if attributes.get("type") != "application/json"]
    for text in run:
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"'sha256-{digest}'" in policy(parts)
    assert len(run) in (0, 2)
    assert "default-src 'none'" in policy(parts)
    assert "unsafe-inline" not in policy(parts).split("script-src")[1]
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)
    assert style is not None
    assert "url(" not in style[1]
    assert "@import" not in style[1]
    return parts


def made_report(found, m: int = 2, **asked) -> str:
    study, data, judged, store = found
    return explanation_report(study, data, Question(m, **asked), store=store, badges=judged)


@pytest.mark.parametrize("kind", KINDS)
def test_an_explanation_says_what_the_study_holds(load, kind):
    study, _, judged, store = load(kind)
    page = made_report(load(kind))
    words = assert_closed(page).words
    said = int(study.logits_test[2].argmax()) if study.logits_test.shape[1] > 1 else int(study.logits_test[2, 0] > 0)
    found = explanation(study, 2, said)
    strongest = int(np.abs(found.shares).argmax())
    assert study.key in words
    assert str(fingerprint(store, study.key)) in words
    assert f"{found.score:.6g}" in words
    assert str(study.train_index[strongest]) in words
    assert " ".join(judged.imitation.reasons[2]) in words
    assert "It is not what would happen if the network were trained again" in words


@pytest.mark.parametrize("kind", KINDS)
def test_a_study_says_what_was_measured(load, kind):
    study, _, _, store = load(kind)
    words = assert_closed(study_report(study, store=store, subject=find_subject(study.spec.subject_id))).words
    assert study.fidelity.reading() in words
    assert f"{study.fidelity.kendall_tau:.4g}" in words
    assert study.key in words
    for name in study.class_names:
        assert name in words


@pytest.mark.parametrize("kind", KINDS)
def test_words_of_people_never_become_markup(hostile, kind):
    study, _, _, store = hostile(kind)
    subject = dataclasses.replace(find_subject(study.spec.subject_id), card="<script>alert(3)</script>")
    for page in (made_report(hostile(kind)), study_report(study, store=store, subject=subject)):
        parts = assert_closed(page)
        assert "<script>alert(" not in page
        assert "onerror=alert(2)>" not in page
        assert "<script>alert(1)</script>" in parts.words  # as words it is there
        for attributes, text in parts.scripts:
            if attributes.get("type") == "application/json":
                json.loads(text)


def test_the_figures_of_a_report_are_those_of_the_page(load):
    study, *_ = load("table")
    found = explanation(study, 2, 1)
    steps = waterfall_steps(
        found.shares, intercept=found.intercept, labels=study.y_train, class_names=list(study.class_names), k=4
    )
    fig = waterfall(steps, target=found.target)
    page = figure_page(fig, "what it says", name="waterfall", origin="where it comes from")
    (source,) = [text for attributes, text in assert_closed(page).scripts if attributes.get("type") == "application/json"]
    assert json.loads(source)["data"] == json.loads(fig.to_json())["data"]


def test_pictures_are_within_the_file(load):
    parts = assert_closed(made_report(load("digits"), k=3))
    pictures = [str(a["src"]) for tag, a in parts.elements if tag == "img"]
    assert len(pictures) == 7  # the point, three for and three against
    for picture in pictures:
        assert base64.b64decode(picture.partition("base64,")[2]).startswith(b"\x89PNG")


def test_where_surrogate_and_network_part_the_report_says_so_first(load):
    study, data, judged, store = load("digits_ck")
    turned = dataclasses.replace(study, surrogate_logits=-study.surrogate_logits)
    words = Parts(explanation_report(turned, data, Question(2), store=store, badges=judged)).words
    assert words.index("Do not use this explanation") < words.index("Log-odds of the label")


def test_a_page_without_a_chart_needs_no_script():
    page = render("a & b", "", [Section("x", words=("<b>",), table=Table.of(("n",), [(float("nan"),), (0.123456,), (True,)]))])
    assert "script-src 'none'" in policy(Parts(page))
    assert "<td>–</td>" in page
    assert "<td>0.1235</td>" in page
    assert "<td>True</td>" in page
    assert "a &amp; b" in page


def test_a_long_table_says_what_it_leaves_out():
    page = render("t", "", [Section(table=Table.of(("n",), [(i,) for i in range(1205)]))])
    assert "1,005 more rows" in page


def test_text_is_kept_whole_lines_and_all():
    page = render("t", "", [Section(cards=(Card("c", text="one\n  two"),))])
    assert "<blockquote>one\n  two</blockquote>" in page
