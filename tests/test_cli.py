import json
import subprocess
import sys
from pathlib import Path

import pytest

from ntkviz import cli
from ntkviz.data.sample import samples
from ntkviz.kernels.registry import kernels
from ntkviz.studies.store import Store
from tests.studies.conftest import write_files

ROOT = Path(__file__).resolve().parents[1]
SMALL = ["--sample", "cancer-mlp", "--n-train", "30", "--n-test", "20"]


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("NTKVIZ_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def run(capsys):
    """Runs a command in this process; exit code, what is on stdout, what is on stderr."""

    def call(*words: str) -> tuple[int, str, str]:
        code = cli.main(list(words))
        out, err = capsys.readouterr()
        return code, out, err

    return call


def process(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, cwd=ROOT, check=False)


def test_the_json_contract_holds_in_a_process_of_its_own(home):
    done = process("-m", "ntkviz", "run", *SMALL, "--kernel", "trntk", "--surrogate", "kglm", "--json")
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)  # exactly one object and nothing else
    assert (found["kernel"], found["surrogate"], found["n_train"], found["n_test"]) == ("trntk", "kglm", 30, 20)
    assert found["study"] == Store(home).find("latest")
    assert {"tad", "kendall_tau", "agreement", "r_miss", "r_squared", "n_points"} <= set(found["fidelity"])
    assert found["fidelity"]["n_points"] == 20
    assert {"load", "probe", "logits", "self-check", "kernel", "surrogate", "fidelity", "save"} == set(found["seconds"])
    assert found["peak_mb"] > 0
    assert found["self_check"]["passed"] is True
    assert found["self_check"]["coverage"] == {"structured": 1.0}
    assert "parameters" not in found["self_check"]
    assert done.stderr == ""


def test_samples_are_listed_without_torch():
    code = "import sys; from ntkviz.cli import main; main(['samples', '--json']); sys.exit('torch' in sys.modules)"
    done = process("-c", code)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [row["name"] for row in found] == samples()
    assert len(found) >= 7
    assert all(row["n_parameters"] > 0 for row in found)


def test_several_kinds_give_a_list_in_the_order_asked(run):
    code, out, err = run(
        "run", *SMALL, "--kernel", "inputs", "--kernel", "ck", "--surrogate", "ridge", "--surrogate", "klr", "--json"
    )
    found = json.loads(out)
    assert (code, err) == (0, "")
    assert [(one["kernel"], one["surrogate"]) for one in found] == [
        ("inputs", "ridge"),
        ("inputs", "klr"),
        ("ck", "ridge"),
        ("ck", "klr"),
    ]


def test_a_person_sees_a_table_the_quote_and_the_progress(run, home):
    code, out, err = run("run", *SMALL, "--surrogate", "ridge")
    assert code == 0
    head, row = out.splitlines()[:2]
    assert head.split() == [
        "key", "subject", "kernel", "surrogate", "n_train", "n_test",
        "kendall_tau", "tad", "agreement", "r_squared", "s", "peak_mb",
    ]  # fmt: skip
    assert Store(home).find("latest")[:12] in row
    assert "ntkviz: About" in err
    assert "GFLOP/s" in err
    assert "cancer-mlp trntk ridge: kernel" in err
    assert "left" in err


def test_nothing_is_kept_when_that_is_asked(run, home, tmp_path):
    assert run("run", *SMALL, "--kernel", "inputs", "--surrogate", "ridge", "--no-store", "--json")[0] == 0
    assert not home.exists()
    assert run("run", *SMALL, "--kernel", "inputs", "--surrogate", "ridge", "--home", str(tmp_path / "other"), "--json")[0] == 0
    assert not home.exists()
    assert len(Store(tmp_path / "other").list_studies()) == 1


def test_options_seed_raw_and_all_points_reach_the_study(run):
    words = ["--kernel-option", "proj_dim=64", "--surrogate-option", "lam=0.5", "--seed", "3", "--raw", "--n-train", "all"]
    code, out, _ = run("run", *SMALL, *words, "--kernel", "proj_trntk", "--surrogate", "ridge", "--json")
    spec = json.loads(out)["spec"]
    assert code == 0
    assert spec["kernel_options"]["proj_dim"] == 64
    assert spec["surrogate_options"]["lam"] == 0.5
    assert (spec["seed"], spec["normalize"], spec["n_train"], spec["n_test"]) == (3, False, 400, 20)


def test_a_budget_is_told_in_the_quote_and_in_the_notes(run):
    code, out, err = run("run", *SMALL, "--surrogate", "ridge", "--budget", "600")
    assert code == 0
    assert "The exact trace NTK fits in the budget of 10 min" in err
    assert "note: The exact trace NTK fits" in out
    code, _, err = run("run", *SMALL, "--kernel", "ck", "--surrogate", "ridge", "--budget", "600")
    assert code == 2
    assert "--kernel trntk" in err


def test_more_points_than_there_are_is_noted(run):
    code, out, _ = run("run", "--sample", "cancer-mlp", "--n-test", "100000", "--kernel", "inputs", "--surrogate", "ridge")
    assert code == 0
    assert "note: 100,000 test points were asked for" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--sample", "mnist"], "no sample 'mnist'; choose one of: mnist-mlp"),
        ([*SMALL, "--kernel", "gauss"], "no kernel 'gauss'"),
        ([*SMALL, "--surrogate", "tree"], "no surrogate 'tree'"),
        ([*SMALL, "--seed", "-1"], "seed must be"),
        ([*SMALL, "--n-train", "3"], "at least 4"),
        ([*SMALL, "--kernel-option", "proj_dim"], "NAME=VALUE"),
        ([*SMALL, "--surrogate", "ridge", "--surrogate-option", "lam=-1"], "lam"),
        ([], "Say what to study"),
        ([*SMALL, "--upload", "upload-0000000000000000"], "Say what to study"),
        (["--model", "w.pt"], "Say what to study"),
        (["--model", "w.pt", "--data", "d.npz", "--architecture", "a.json"], "'a.json'"),
        (["--upload", "upload-0000000000000000"], "no upload"),
        (["--job", "../x"], "no job"),
    ],
)
def test_a_request_that_cannot_be_met_is_one_line_and_code_2(run, words, message):
    code, out, err = run("run", *words, "--json")
    assert (code, out) == (2, "")
    assert err.startswith("ntkviz: ")
    assert err.count("\n") == 1
    assert message in err


def test_a_study_beyond_the_memory_limit_is_refused_before_it_begins(run, monkeypatch):
    monkeypatch.setenv("NTKVIZ_MEMORY_MB", "300")
    code, out, err = run("run", *SMALL, "--json")
    assert (code, out) == (2, "")
    assert "300 MB are allowed" in err


def test_an_interrupt_is_code_130(run, monkeypatch):
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("ntkviz.studies.pipeline.run_study", interrupt)
    code, out, err = run("run", *SMALL, "--json")
    assert (code, out, err) == (130, "", "ntkviz: interrupted\n")


def test_own_files_are_checked_taken_in_and_studied(run, home, tmp_path):
    files = {name: str(path) for name, path in write_files(tmp_path).items()}
    words = ["--model", files["model"], "--architecture", files["architecture"], "--data", files["data"]]
    code, out, err = run("run", *words, "--n-train", "40", "--n-test", "20", "--surrogate", "ridge", "--json")
    assert code == 0, err
    upload = json.loads(out)["spec"]["upload"]
    assert err == f"ntkviz: taken in as {upload}\n"
    code, out, _ = run("run", "--upload", upload, "--n-train", "40", "--n-test", "20", "--surrogate", "klr", "--json")
    assert code == 0
    assert len(Store(home).list_studies()) == 2


def test_a_study_is_exported_by_its_key_or_as_the_latest(run, tmp_path):
    for seed in ("0", "1"):
        run("run", *SMALL, "--kernel", "inputs", "--surrogate", "ridge", "--seed", seed, "--json")
    keys = [entry.key for entry in Store().list_studies()]
    code, out, _ = run("export", "--to", str(tmp_path / "latest"))
    assert code == 0
    assert "predictions.csv" in out
    assert keys[0] in (tmp_path / "latest" / "README.txt").read_text()
    words = ["--study", keys[1][:10], "--to", str(tmp_path / "first"), "--what", "predictions", "--what", "fidelity"]
    code, out, _ = run("export", *words, "--json")
    assert code == 0
    assert json.loads(out)["study"] == keys[1]
    assert {path.name for path in (tmp_path / "first").iterdir()} == {"predictions.csv", "fidelity.json", "README.txt"}
    code, _, err = run("export", "--study", "zzz", "--to", str(tmp_path / "no"))
    assert code == 2
    assert "no study 'zzz'" in err


def test_a_report_of_a_study_and_of_a_point_and_its_program(run, home, tmp_path, monkeypatch):
    run("run", *SMALL)
    study = Store(home).load_study(Store(home).find("latest"))
    point = str(int(study.test_index[1]))
    for name, words in (("study.html", []), ("why.html", ["--point", point]), ("why.ipynb", ["--point", point, "--top", "3"])):
        code, out, err = run("report", *words, "--to", str(tmp_path / name), "--json")
        assert code == 0, err
        assert json.loads(out)["bytes"] == (tmp_path / name).stat().st_size
        assert study.key in (tmp_path / name).read_text()
    names = study.class_names
    code, _, _ = run("report", "--point", point, "--class", names[0], "--against", names[1], "--to", str(tmp_path / "why.py"))
    assert code == 0
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    done = process(str(tmp_path / "why.py"))
    assert done.returncode == 0, done.stderr
    assert "REPRODUCED" in done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--to", "report.pdf"], "--to takes FILE.html"),
        (["--to", "report.py"], "--to takes FILE.html"),
        (["--point", "999999", "--to", "x.html"], "is not in this study"),
        (["--point", "POINT", "--class", "cat", "--to", "x.html"], "There is no class 'cat'"),
        (["--point", "POINT", "--class", "benign", "--against", "benign", "--to", "x.html"], "compared with itself"),
        (["--to", "no/such/folder/x.html"], "There is no folder"),
    ],
)
def test_a_report_that_cannot_be_made_is_one_line_and_code_2(run, home, tmp_path, monkeypatch, words, message):
    run("run", *SMALL)
    monkeypatch.chdir(tmp_path)
    point = str(int(Store(home).load_study(Store(home).find("latest")).test_index[0]))
    code, _, err = run("report", *(point if word == "POINT" else word for word in words))
    assert code == 2
    assert message in err
    assert err.count("\n") == 1
    assert not list(tmp_path.glob("x.*"))


def test_the_command_in_the_readme_makes_the_same_study(run, tmp_path):
    run("run", *SMALL, "--kernel", "inputs", "--surrogate", "ridge", "--seed", "2", "--raw", "--json")
    run("export", "--to", str(tmp_path))
    line = next(line for line in (tmp_path / "README.txt").read_text().splitlines() if "python -m ntkviz run" in line)
    import shlex

    code, out, _ = run(*shlex.split(line)[3:], "--json")
    assert code == 0
    assert json.loads(out)["study"] == Store().find("latest")
    assert len(Store().list_studies()) == 1


def test_studies_and_jobs_are_listed(run):
    assert json.loads(run("studies", "--json")[1]) == []
    assert json.loads(run("jobs", "--json")[1]) == []
    run("run", *SMALL, "--kernel", "inputs", "--surrogate", "ridge", "--json")
    (entry,) = json.loads(run("studies", "--json")[1])
    assert entry["summary"]["kernel"] == "inputs"
    code, out, _ = run("studies")
    assert code == 0
    assert "Breast tumours" in out
    assert run("jobs")[1].split() == ["id", "state", "studies", "stage", "percent", "error"]


def test_damage_is_found_and_discarded(run, home):
    run("run", *SMALL, "--kernel", "inputs", "--surrogate", "ridge", "--json")
    assert run("verify")[0] == 0
    (path,) = home.glob("kernels/*/blocks__train.npy")
    path.write_bytes(path.read_bytes()[:-1])
    code, out, _ = run("verify")
    assert code == 1
    assert "blocks__train.npy" in out
    code, out, err = run("run", *SMALL, "--kernel", "inputs", "--surrogate", "klr", "--json")
    assert (code, out) == (2, "")
    assert "--discard" in err
    assert json.loads(run("verify", "--discard", "--json")[1])["discarded"]
    run("verify", "--discard")
    assert run("verify")[0] == 0
    assert run("run", *SMALL, "--kernel", "inputs", "--surrogate", "klr", "--json")[0] == 0


def test_the_doctor_is_content_here_and_says_what_to_do_where_it_is_not(run, home, monkeypatch):
    code, out, _ = run("doctor", "--json")
    found = json.loads(out)
    assert code == 0, found
    assert found["ok"]
    assert {finding["name"] for finding in found["findings"]} >= {
        "torch",
        "threads",
        "memory",
        "disk",
        "NTKVIZ_HOME",
        "mode",
        "samples",
        "store",
    }
    (home / "file").parent.mkdir(exist_ok=True)
    (home / "file").write_text("")
    monkeypatch.setattr("ntkviz.data.sample.samples", list)
    code, out, _ = run("doctor", "--home", str(home / "file" / "below"))
    assert code == 1
    assert "BROKEN NTKVIZ_HOME" in out
    assert "BROKEN samples: none" in out
    assert out.count("next:") == out.count("BROKEN") >= 2


@pytest.mark.parametrize("kind", [key for key, info in kernels().items() if info.block == "point"])
def test_every_point_kernel_makes_a_study_of_a_sample(run, kind):
    code, out, err = run("run", *SMALL, "--kernel", kind, "--surrogate", "ridge", "--json")
    assert code == 0, err
    assert json.loads(out)["kernel"] == kind


@pytest.mark.slow
@pytest.mark.parametrize("name", samples())
def test_every_sample_makes_a_study(run, name):
    code, out, err = run("run", "--sample", name, "--n-train", "30", "--n-test", "12", "--surrogate", "kglm", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["fidelity"]["n_points"] == 12
    assert found["self_check"]["max_relative_error"] < 1e-4
