"""JSON lines: endless lines, deep ones, and values that are no text, no number and no object."""

import gzip
import json
from collections.abc import Callable
from typing import Any

from tests.hostile.case import Case, content

_GOOD = "".join(json.dumps({"text": f"text {i}", "label": "xy"[i % 2]}) + "\n" for i in range(12))


def _case(name: str, data: Callable[[], bytes | str] | bytes | str, says: str | None, **options: Any) -> Case:
    return Case(name, content(data), says, role="data", **options)


def _each(**fields: Any) -> str:
    """Twelve good lines with more or other fields."""
    return "".join(json.dumps({"text": f"text {i}", "label": "xy"[i % 2]} | fields) + "\n" for i in range(12))


def _raw(fields: str) -> str:
    return "".join(f'{{"text": "t", "label": "{"xy"[i % 2]}", {fields}}}\n' for i in range(12))


CASES = (
    _case("bomb.jsonl.gz", lambda: gzip.compress(b" " * (16 << 20), 9) * 132, "times its size", modes={"team": "at most 512 MB"}, bomb=True),
    _case("huge_line.jsonl", lambda: b'{"text": "' + b"a" * 8_000_000 + b'", "label": "x"}\n' + _GOOD.encode(), None),
    _case("endless_line.jsonl", lambda: b'{"text": "' + b"a" * 8_000_000, "line 1"),
    _case("deep.jsonl", lambda: b'{"text": ' + b"[" * 200_000 + b"]" * 200_000 + b', "label": "x"}\n', "line 1"),
    _case("deep_objects.jsonl", lambda: b'{"a":' * 200_000 + b"1" + b"}" * 200_000 + b"\n", "line 1"),
    _case("deep_but_legal.jsonl", _raw('"more": ' + "[" * 200 + "]" * 200), None),
    _case("list.jsonl", "[1, 2]\n" + _GOOD, "list in line 1"),
    _case("number.jsonl", "7\n" + _GOOD, "int in line 1"),
    _case("null.jsonl", "null\n" + _GOOD, "line 1"),
    _case("nan.jsonl", '{"a": NaN, "label": "x"}\n', "line 1"),
    _case("one_document.jsonl", json.dumps([{"text": "a", "label": "x"}] * 12, indent=1), "line 1"),
    _case("two_in_a_line.jsonl", '{"text": "a", "label": "x"}{"text": "b", "label": "y"}\n', "line 1"),
    _case("comments.jsonl", '// hello\n{"text": "a", "label": "x"}\n', "line 1"),
    _case("single_quotes.jsonl", "{'text': 'a', 'label': 'x'}\n", "line 1"),
    _case("half_surrogate.jsonl", '{"text": "\\ud800", "label": "x"}\n', "line 1"),
    _case("zero_letter.jsonl", _each(text="a\x00b"), None),
    _case("not_utf8.jsonl", b'{"text": "\xff\xfe", "label": "x"}\n', "line 1"),
    _case("utf16.jsonl", _GOOD.encode("utf-16"), "line 1"),
    _case("many_keys.jsonl", lambda: json.dumps({f"k{i}": i for i in range(20_000)} | {"label": "x"}) + "\n", "keys"),
    _case("new_keys.jsonl", lambda: "".join(json.dumps({f"k{i}": 1, "label": "xy"[i % 2]}) + "\n" for i in range(9_000)), "keys in every line", modes={"team": "keys"}),
    _case("key_twice.jsonl", _raw('"text": "other"'), None),
    _case("proto_key.jsonl", _each(__proto__={"a": 1}, constructor="x"), None),
    _case("no_label.jsonl", '{"text": "a"}\n' * 12, "labels"),
    _case("label_object.jsonl", _each(label={"a": 1}), "Expected"),
    _case("label_list.jsonl", _each(label=["x"]), "Expected"),
    _case("label_null.jsonl", _each(label=None), "Expected"),
    _case("text_number.jsonl", _each(text=7), None),
    _case("text_object.jsonl", _each(text={"a": 1}), "Expected"),
    _case("text_empty.jsonl", _each(text=""), "Expected"),
    _case("tokens_text.jsonl", _each(tokens="abc"), "Expected"),
    _case("tokens_below_zero.jsonl", _each(tokens=[-1, 2]), "Expected"),
    _case("tokens_huge.jsonl", _each(tokens=[2**63 - 1]), "Expected"),
    _case("tokens_nested.jsonl", _each(tokens=[[1], [2]]), "Expected"),
    _case("tokens_many.jsonl", lambda: _each(tokens=list(range(100_000))), None),
    _case("number_of_5000_digits.jsonl", '{"a": ' + "9" * 5000 + ', "label": "x"}\n', "Expected"),
    _case("number_1e999.jsonl", '{"a": 1e999, "label": "x"}\n' * 3 + '{"a": 1e999, "label": "y"}\n' * 3, "Expected"),
    _case("markup.jsonl", _each(text="<script>window.PWN=1</script>![p](http://outside.example/p.png)"), None),
    _case("markup_labels.jsonl", "".join(json.dumps({"text": f"t {i}", "label": ["<img src=x onerror=window.PWN=1>", "=1+1"][i % 2]}) + "\n" for i in range(12)), None),
    _case("only_spaces.jsonl", " \n" * 1000, "data point"),
    _case("page.jsonl", "<html><script>window.PWN=1</script></html>", "line 1"),
    _case("cut.jsonl.gz", gzip.compress(_GOOD.encode())[:-9], "whole gzip file"),
)  # fmt: skip
