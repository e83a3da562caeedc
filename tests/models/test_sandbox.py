import json
import os
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from ntkviz.errors import BudgetExceeded, NtkvizError, UploadRejected
from ntkviz.models import bubblewrap, sandbox, sandbox_entry
from ntkviz.models.sandbox import run_limited

CHILD = "tests.models.children"
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="limits of Linux")
NEEDS_BUBBLEWRAP = pytest.mark.skipif(bool(bubblewrap.problem()), reason=f"bubblewrap: {bubblewrap.problem()}")


def run(*arguments: str, seconds: int = 60, memory_mb: int = 500, **options):
    return run_limited([CHILD, *arguments], seconds=seconds, memory_mb=memory_mb, **options)


def running_words() -> set[str]:
    """The words of all command lines on this machine."""
    return {word for process in psutil.process_iter(["cmdline"]) for word in process.info["cmdline"] or ()}


def soon(condition) -> bool:
    """Whether a condition holds within ten seconds; a signal takes its time."""
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        os.sched_yield()
    return condition()


def test_a_child_answers_with_its_value():
    result = run("echo", "a", "ü")
    assert result.value == ["a", "ü"]
    assert result.seconds >= 0
    assert result.missing_limits == () or sys.platform != "linux"


def test_a_child_sees_no_secrets_and_a_folder_of_its_own(monkeypatch):
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("PYTHONPATH", "somewhere")
    seen = run("surroundings").value
    assert "secret" not in json.dumps(seen["env"])
    assert "PYTHONPATH" not in seen["env"]
    assert seen["env"]["HOME"] == seen["folder"] != str(Path.cwd())
    assert seen["listing"] == []
    assert seen["isolated"] == 1
    assert "" not in seen["path"]
    assert not Path(seen["folder"]).exists()


@LINUX
def test_limits_are_set_before_the_work_begins():
    found = run("limits", seconds=7, memory_mb=333, file_mb=5).value
    assert found == {"RLIMIT_AS": 333 * 2**20, "RLIMIT_CPU": 7, "RLIMIT_FSIZE": 5 * 2**20, "RLIMIT_CORE": 0}


@LINUX
@pytest.mark.parametrize(
    ("deed", "says"),
    [
        ("eat_memory", "memory"),
        ("import_much", "memory"),
        ("write_much", "damaged"),
        ("crash", "SIGSEGV"),
        ("killed", "memory"),
        ("recurse", "RecursionError"),
        ("spin", "than the 1 s"),
        ("sleep", "longer than the 1 s"),
    ],
)
def test_every_way_to_die_is_a_sentence(deed, says):
    with pytest.raises(UploadRejected) as caught:
        run(deed, seconds=1 if deed in {"spin", "sleep"} else 60, file_mb=1, what="The file 'x.pt'")
    message = str(caught.value)
    assert says in message
    assert "'x.pt'" in message
    assert 10 < len(message) < 600


@LINUX
@pytest.mark.parametrize(
    ("code", "says"), [(-24, "30 s"), (-14, "30 s"), (-9, "memory"), (137, "memory"), (-11, "SIGSEGV"), (-31, "SIGSYS")]
)
def test_the_number_of_a_signal_is_told_in_words(code, says):
    died = sandbox._death(code, "", "The file", seconds=30, memory_mb=500)
    assert isinstance(died, UploadRejected)
    assert says in str(died)


def test_a_value_that_is_no_json_is_a_fault_of_the_program():
    with pytest.raises(NtkvizError, match="without an answer"):
        run("not_json")


def test_a_child_that_leaves_without_an_answer_is_a_fault_of_the_installation():
    with pytest.raises(NtkvizError, match="no model today"):
        run("leave")


@LINUX
@pytest.mark.parametrize("layers", [("limits",), pytest.param(("limits", "bubblewrap"), marks=NEEDS_BUBBLEWRAP)], ids=str)
def test_children_of_a_child_outlive_neither_its_time_nor_its_answer(layers, monkeypatch):
    monkeypatch.setattr(sandbox, "active_layers", lambda: layers)
    late, done = f"late-{os.getpid()}", f"done-{os.getpid()}"
    with pytest.raises(UploadRejected, match="longer than the 3 s"):
        run("spawn", late, seconds=3)
    assert run("spawn_and_return", done).value == "done"
    assert soon(lambda: not {late, done} & running_words())


@pytest.mark.parametrize("kind", ["UploadRejected", "UnsupportedModel", "StoreCorrupted"])
def test_known_errors_keep_their_words(kind):
    with pytest.raises(NtkvizError, match=f"because of {kind}") as caught:
        run("fail", kind)
    assert type(caught.value).__name__ == (kind if kind != "StoreCorrupted" else "NtkvizError")


def test_other_errors_become_refusals():
    with pytest.raises(UploadRejected, match="RuntimeError"):
        run("fail", "SomethingElse")


@LINUX
def test_an_answer_is_not_read_through_a_link_or_from_nonsense(tmp_path):
    target = tmp_path / "target.json"
    target.write_text('{"value": "stolen"}', encoding="ascii")
    for deed in (("link_result", str(target)), ("nonsense",)):
        with pytest.raises(NtkvizError, match="without an answer"):
            run(*deed)


def test_files_of_a_child_stay_in_the_folder_given(tmp_path):
    run("echo", folder=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


def test_an_answer_of_an_earlier_child_is_not_taken_for_that_of_a_later_one(tmp_path):
    assert run("echo", "first", folder=tmp_path).value == ["first"]
    assert run("echo", "second", folder=tmp_path).value == ["second"]
    with pytest.raises(NtkvizError, match="no model today"):
        run("leave", folder=tmp_path)


def test_an_interrupted_parent_kills_its_child(tmp_path, monkeypatch):
    started = []
    original = subprocess.Popen

    def watched(*args, **kwargs):
        started.append(original(*args, **kwargs))
        return started[-1]

    def interrupt(child, seconds):
        raise BudgetExceeded("stop")

    monkeypatch.setattr(subprocess, "Popen", watched)
    monkeypatch.setattr(sandbox, "_ended_within", interrupt)
    with pytest.raises(BudgetExceeded):
        run("sleep")
    assert started[0].returncode is not None


def test_the_sandbox_does_not_need_torch():
    code = "import sys, ntkviz.models.upload; raise SystemExit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_there_is_no_work_when_the_last_layer_cannot_be_put_on():
    def fail() -> None:
        raise OSError("no filter")

    with pytest.raises(OSError, match="no filter"):
        sandbox_entry.run(CHILD, ["echo"], seal=fail)
