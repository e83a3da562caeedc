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

#: Modules that run what a file says, or unpickle; importing one is refused already.
UNSAFE_MODULES = {
    "pickle",
    "_pickle",
    "cPickle",
    "dill",
    "cloudpickle",
    "joblib",
    "marshal",
    "shelve",
    "picklescan",
    "jsonpickle",
    "yaml",
}
#: The same by single functions, by the end of their dotted name.
UNSAFE_CALLS = {
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "pickle.load", "pickle.loads", "pickle.Unpickler", "joblib.load",
    "yaml.load", "yaml.unsafe_load", "yaml.full_load", "torch.jit.load", "torch.export.load", "jit.load", "export.load", "hub.load",
    "package.PackageImporter", "read_pickle", "onnx.load", "extractall", "torch.ops.load_library", "ctypes.PyDLL",
}  # fmt: skip
#: Keyword -> the value with which a call is unsafe.
UNSAFE_KEYWORDS = {
    "weights_only": False,
    "allow_pickle": True,
    "shell": True,
    "unsafe_allow_html": True,
    "trust_remote_code": True,
}


def unsafe(text: str) -> list[str]:
    """What in a program would run or trust bytes of strangers. Only code counts: a message may name what a person must not do."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name.split(".")[0] in UNSAFE_MODULES]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
            found += [name for name in names if name.split(".")[0] in UNSAFE_MODULES or name in UNSAFE_CALLS]
        elif isinstance(node, ast.Call):
            found += _unsafe_call(node)
    return found


def _unsafe_call(node: ast.Call) -> list[str]:
    name = ast.unparse(node.func)
    given = {word.arg: word.value for word in node.keywords}
    values = {word: value.value for word, value in given.items() if isinstance(value, ast.Constant)}
    found = [f"{word}={value}" for word, value in UNSAFE_KEYWORDS.items() if values.get(word) is value]
    # `model.eval()` and `re.compile()` are others than the built-in functions of that name.
    if name in UNSAFE_CALLS or any(name.endswith(f".{call}") for call in UNSAFE_CALLS - {"eval", "exec", "compile"}):
        found.append(name)
    # torch.load is called with weights_only=True written out, or not at all.
    if name.endswith("torch.load") and values.get("weights_only") is not True:
        found.append(f"{name} without weights_only=True")
    return found


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
    assert unsafe(path.read_text()) == []


@pytest.mark.parametrize("path", [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")], ids=lambda p: str(p.relative_to(ROOT)))
def test_no_example_of_the_docs_does_either(path: Path):
    for block in re.findall(r"```python\n(.*?)```", path.read_text(), re.DOTALL):
        assert unsafe(block) == []


@pytest.mark.parametrize(
    "line",
    [
        "torch.load(f, weights_only=False)", "torch.load(f)", "torch.load(f, weights_only=flag)", "pickle.load(f)", "import pickle",
        "from pickle import loads", "import joblib as j", "from torch.jit import load", "np.load(f, allow_pickle=True)", "x = eval(y)",
        "exec(text)", "compile(text, '', 'exec')", "__import__(name)", "torch.jit.load(f)", "torch.export.load(f)", "export.load(f)",
        "yaml.load(f)", "import yaml", "pd.read_pickle(f)", "archive.extractall()", "os.system(c)", "subprocess.run(c, shell=True)",
        "st.markdown(t, unsafe_allow_html=True)", "torch.hub.load('a', 'b')",
    ],
)  # fmt: skip
def test_an_unsafe_line_would_be_seen(line: str):
    assert unsafe(line)


@pytest.mark.parametrize(
    "line",
    [
        "model.eval()",
        "re.compile(x)",
        "torch.load(f, weights_only=True)",
        "np.load(f)",
        "json.load(f)",
        "say = 'pickle.load(f)'",
        "torch.compile(model)",
    ],
)
def test_a_safe_line_is_let_alone(line: str):
    assert unsafe(line) == []


def test_no_path_of_somebodys_machine_is_committed():
    files = subprocess.run(["git", "ls-files"], capture_output=True, text=True, cwd=ROOT, check=True).stdout.split()
    pattern = re.compile(r"(?<![\w.])/(?:home|root|Users|work)/\w")
    named = [
        f
        for f in files
        if (ROOT / f).suffix in {".py", ".md", ".toml", ".txt", ".json"} and pattern.search((ROOT / f).read_text())
    ]
    assert named == []
