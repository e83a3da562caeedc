"""The documentation is true: code runs, links resolve, tables come from the registries, nothing public is left out."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import ntkviz
from ntkviz.cli import main
from ntkviz.models.spec import build_model, parse_spec

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
ids = {"ids": lambda p: str(p.relative_to(ROOT))}


def blocks(path: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", path.read_text(), re.DOTALL)


@pytest.mark.parametrize("path", [p for p in PAGES if blocks(p, "python")], **ids)
def test_python_examples_run(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    for block in blocks(path, "python"):
        exec(compile(block, path.name, "exec"), names)


def test_the_readme_example_adds_up():
    names: dict = {}
    exec(blocks(ROOT / "README.md", "python")[0], names)
    logits = names["surrogate"].decision_function(names["rows"])
    assert abs(names["shares"].sum(-1) + names["surrogate"].intercept - logits).max() < 1e-5 * abs(logits).max()


@pytest.mark.parametrize("block", [b for p in PAGES for b in blocks(p, "json")])
def test_architectures_in_the_docs_can_be_built(block: str):
    assert sum(p.numel() for p in build_model(parse_spec(block)).parameters()) > 0


@pytest.mark.parametrize("path", PAGES, **ids)
def test_local_links_resolve(path: Path):
    for target in re.findall(r"\]\((?!https?://)([^)#]+)", path.read_text()):
        assert (path.parent / target).exists(), f"{path.name} links to {target}"


def test_reference_pages_are_up_to_date():
    run = subprocess.run([sys.executable, "docs/tables.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize("registry", ["kernels", "surrogates", "attributions"])
def test_every_row_of_a_registry_has_a_section(registry):
    text = (ROOT / "docs" / "reference" / f"{registry}.md").read_text()
    assert all(f"## {key}\n" in text for key in getattr(ntkviz, registry)())


def test_every_command_is_documented(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    commands = re.findall(r"^    (\w+) ", capsys.readouterr().out, re.MULTILINE)
    text = (ROOT / "docs" / "command-line.md").read_text()
    assert len(commands) >= 4
    assert all(f"python -m ntkviz {name}" in text for name in commands)


def test_make_help_names_the_two_commands():
    text = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "make app" in text
    assert "make test" in text
