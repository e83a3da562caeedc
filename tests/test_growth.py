"""The chart of growth is drawn from rows as the benchmark keeps them."""

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from docs import growth

SVG = "{http://www.w3.org/2000/svg}"


def rows_of(grows: str, sizes: tuple[int, ...], power: float) -> list[dict]:
    return [
        {
            "grows": grows,
            "value": size,
            "samples": 64,
            "parameters": 1000 * size,
            "classes": 10,
            "engine_cpu_seconds": 1e-4 * size**power,
            "kernel_matrix_cpu_seconds": 0.1 + 1e-4 * size**power,
            "error_to_float64": 2e-7,
        }
        for size in sizes
    ]


ROWS = [
    *rows_of("N (mnist-cnn)", (250, 500, 1000), 1.0),
    *rows_of("N (mlp <wide> & deep)", (1024, 4096, 2048), 2.0),
    *rows_of("P (mlp, width)", (256, 512), 1.5),
    *rows_of("C (mlp 784-256-256-C)", (10, 40, 160), 0.0),
    *rows_of("T (text, length)", (16, 32, 64), 1.0),
    {"grows": "T (cnn, pixels)", "value": 64, "samples": 128, "parameters": 2900, "skipped": "BudgetExceeded: no room"},
    *rows_of("T (cnn, pixels)", (256,), 1.0),
]
MACHINE = {"processor": "a processor", "cores": 2, "versions": {"torch": "2.13.0"}}
RESULTS = {"machine": MACHINE, "rows": ROWS}


def test_exponents_are_those_of_the_rows():
    found = {(line.letter, line.label): line for line in growth.lines(ROWS)}
    assert [round(line.exponent, 6) for line in found.values()] == [1.0, 2.0, 1.5, 0.0, 1.0]
    assert found["P", "mlp, width"].sizes == (256_000, 512_000)
    assert found["N", "mlp <wide> & deep"].sizes == (1024, 2048, 4096)
    assert ("T", "cnn, pixels") not in found  # one size is no growth


def test_the_chart_has_four_labelled_panels_and_a_mark_for_every_size():
    tree = ElementTree.fromstring(growth.chart(growth.lines(ROWS)))
    texts = [t.text for t in tree.iter(f"{SVG}text")]
    assert {"process seconds", *growth.PANELS.values()} <= set(texts)
    assert len([r for r in tree.iter(f"{SVG}rect") if r.get("class") == "frame"]) == 4
    marks = len(list(tree.iter(f"{SVG}circle"))) + len([r for r in tree.iter(f"{SVG}rect") if r.get("class") == "b"])
    assert marks == sum(len(line.sizes) + 1 for line in growth.lines(ROWS))  # and one in the legend
    left, top, width, height = map(float, tree.get("viewBox", "").split())
    for t in tree.iter(f"{SVG}text"):
        if t.get("x"):
            assert left <= float(t.get("x", "")) <= width
            assert top <= float(t.get("y", "")) <= height


def test_only_the_part_between_the_markers_is_written():
    page = f"before\n\n{growth.BEGIN}old\n{growth.END}\n\nafter\n"
    _, text = growth.pages(RESULTS, page)
    assert text.startswith("before\n")
    assert text.endswith("\n\nafter\n")
    assert "old" not in text
    assert text.count("\n| ") == 2 + len(growth.lines(ROWS))
    assert growth.pages(RESULTS, text)[1] == text
    with pytest.raises(ValueError, match="lacks"):
        growth.pages(RESULTS, "nothing here")


def test_files_are_written_and_then_up_to_date(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    results, page, image = tmp_path / "growth.json", tmp_path / "engine.md", tmp_path / "growth.svg"
    monkeypatch.setattr(growth, "PAGE", page)
    monkeypatch.setattr(growth, "IMAGE", image)
    assert growth.main([str(results)]) == 1
    results.write_text(json.dumps(RESULTS))
    page.write_text(f"{growth.BEGIN}{growth.END}\n")
    assert growth.main([str(results), "--check"]) == 1
    assert growth.main([str(results)]) == 0
    assert growth.main([str(results), "--check"]) == 0
    assert image.read_text().startswith("<svg")


@pytest.mark.skipif(not growth.RESULTS.exists(), reason="python benchmarks/growth.py has not been run")
def test_the_page_shows_what_was_measured():
    assert growth.main(["--check"]) == 0
