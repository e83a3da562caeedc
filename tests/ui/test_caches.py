"""What Streamlit caches is shared by all sessions of a server: every cached result must be named by whose folder it is from."""

import ast
from pathlib import Path

import pytest

UI = Path(__file__).parents[2] / "ntkviz" / "ui"
#: Cached functions without a folder among their arguments, and why nobody's data can be mixed up in them.
NOBODYS = {
    "media._png": "named by the pixels themselves",
    "learn_view._document": "a page of the documentation",
    "picture_buttons._component": "two buttons, the same for everybody",
    "learn_view._machine": "the lesson's own network",
    "learn_view._question": "the lesson's own network",
    "architecture_rows.architecture_rows": "the architectures that torch and ntkviz know",
    "layers_view._kept": "a dictionary whose entries are named by folder",
    "fidelity_view._null_baselines": "named by the study's key, a hash of all that its figures follow from",
    "removal_trial._read": "named by the path of a file in the folder",
}
#: Arguments that Streamlit leaves out of the name, and the argument that stands in for each.
STANDS_FOR = {
    "_chosen": "signature",
    "_panels": "signature",
    "_column": "signature",
    "_tried": "signature",
    "_stretch": "factor",
    "_study": "key",
}
#: Dictionaries and lists of a module outlive a session as well.
FILLED = {"quoting._asked": "its entries are named by folder", "shell._spared": "titles of pages"}
WHOSE = {"str(ntkviz_home())", "home", "str(home)", "str(cached.store().home)"}


def cached(tree: ast.Module) -> list[ast.FunctionDef]:
    return [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef)
        and any("cache" in ast.unparse(decorator).partition("(")[0] for decorator in node.decorator_list)
    ]


def faults(module: str, text: str) -> list[str]:
    """Cached functions that could give one person what is another's."""
    tree, found = ast.parse(text), []
    by_folder = set()
    for node in cached(tree):
        names = [argument.arg for argument in node.args.args + node.args.kwonlyargs]
        found += [
            f"{node.name}: {name} is not in its name" for name in names if name[0] == "_" and STANDS_FOR.get(name) not in names
        ]
        if f"{module}.{node.name}" in NOBODYS:
            continue
        if names[:1] != ["home"]:
            found.append(f"{node.name}: its first argument is not home")
        by_folder.add(node.name)
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in by_folder:
            first = ast.unparse(node.args[0]) if node.args else ""
            if first not in WHOSE:
                found.append(f"{node.func.id}({first}, ...): whose folder is that?")
    return found


def kept(module: str, text: str) -> list[str]:
    """Names of dictionaries, lists and sets that a module fills as it goes."""
    targets = []
    for node in ast.parse(text).body:
        if isinstance(node, ast.AnnAssign | ast.Assign) and isinstance(node.value, ast.Dict | ast.List | ast.Set | ast.Call):
            empty = ast.unparse(node.value) in {"{}", "[]", "set()", "dict()", "list()"}
            targets += [ast.unparse(node.target if isinstance(node, ast.AnnAssign) else node.targets[0])] if empty else []
    return [f"{module}.{name}" for name in targets if not name.isupper()]


MODULES = sorted(UI.glob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_every_cached_result_is_named_by_its_folder(path):
    text = path.read_text()
    if path.stem != "person":  # its one cached check is of the server's own options
        assert faults(path.stem, text) == []
    assert [name for name in kept(path.stem, text) if name not in FILLED] == []


def test_the_list_of_exceptions_is_not_longer_than_it_must_be():
    there = {f"{path.stem}.{node.name}" for path in MODULES for node in cached(ast.parse(path.read_text()))}
    assert set(NOBODYS) <= there
    assert len(there) > 25


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("@st.cache_data\ndef f(key): ...", "f: its first argument is not home"),
        ("@st.cache_resource(max_entries=2)\ndef f(_home, key): ...", "f: its first argument is not home"),
        ("@st.cache_data\ndef f(home, _edits): ...", "f: _edits is not in its name"),
        ("@functools.lru_cache\ndef f(): ...", "f: its first argument is not home"),
        ("@st.cache_data\ndef f(home, key): ...\nf(str(root_home()), 'k')", "f(str(root_home()), ...): whose folder is that?"),
    ],
)
def test_a_fault_would_be_seen(text, fault):
    assert fault in faults("some", text)


def test_a_dictionary_of_a_module_would_be_seen():
    assert kept("some", "_seen: dict[str, int] = {}\nNAMES = {'a': 1}\n_other = set()") == ["some._seen", "some._other"]
