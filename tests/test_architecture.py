"""The rules of the house that a machine can hold."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PRODUCT = [p for folder in ("ntkviz", "pages", "sample_models", "docs", "benchmarks") for p in (ROOT / folder).rglob("*.py")] + [
    ROOT / "app.py"
]

UNSAFE = re.compile(
    r"weights_only\s*=\s*False|pickle\.loads?\(|allow_pickle\s*=\s*True|torch\.jit\.load|torch\.export\.load|yaml\.load\("
    r"|unsafe_allow_html\s*=\s*True|joblib\.load|(?<![\w.])eval\(|(?<![\w.])exec\("
)


def imported_by(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(*[m for m in ('torch', 'streamlit', 'plotly', 'umap') if m in sys.modules])"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    return set(run.stdout.split())


@pytest.mark.parametrize(
    "statement",
    [
        "import ntkviz; ntkviz.kernels(), ntkviz.surrogates(), ntkviz.attributions(), ntkviz.samples()",
        "from ntkviz.studies import store, jobs, subjects, quote",
        "from ntkviz.embed import embed",
        "from ntkviz.kernels import diagnostics",
    ],
)
def test_reading_results_loads_no_heavy_library(statement):
    assert imported_by(statement) == set()


def test_figures_load_plotly_alone():
    assert imported_by("from ntkviz.figures import matrix, spectrum, fidelity, attribution, embedding") == {"plotly"}


def test_the_wrong_import_would_be_seen():
    assert imported_by("from ntkviz.kernels import matrix") == {"torch"}


@pytest.mark.parametrize("path", PRODUCT, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_and_functions_stay_short(path: Path):
    text = path.read_text()
    assert text.count("\n") <= (120 if path.parent.name == "pages" else 400)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= 80, f"{node.name} has {length} lines"


@pytest.mark.parametrize("path", PRODUCT, ids=lambda p: str(p.relative_to(ROOT)))
def test_nothing_runs_or_trusts_bytes_of_strangers(path: Path):
    code = "\n".join(line.split("#")[0] for line in path.read_text().splitlines())
    tree = ast.parse(path.read_text())
    strings = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    for found in UNSAFE.findall(code):
        # A message may name the call that a person must not use.
        assert any(found in s for s in strings), f"{path.name}: {found}"


def test_the_unsafe_pattern_sees_what_it_should():
    assert all(
        UNSAFE.search(s)
        for s in ("torch.load(f, weights_only=False)", "pickle.load(f)", "np.load(f, allow_pickle=True)", "x = eval(y)")
    )
    assert not UNSAFE.search("model.eval()")


def test_no_path_of_somebodys_machine_is_committed():
    files = subprocess.run(["git", "ls-files"], capture_output=True, text=True, cwd=ROOT, check=True).stdout.split()
    pattern = re.compile(r"(?<![\w.])/(?:home|root|Users|work)/\w")
    named = [
        f
        for f in files
        if (ROOT / f).suffix in {".py", ".md", ".toml", ".txt", ".json"} and pattern.search((ROOT / f).read_text())
    ]
    assert named == []
