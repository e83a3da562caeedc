import csv
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ntkviz.errors import NtkvizError
from ntkviz.studies.export import PARTS, export_study
from ntkviz.studies.pipeline import run_study
from ntkviz.studies.study import Study


@pytest.fixture
def study(spec, home) -> Study:
    return run_study(spec(), home=home)


def read(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_everything_is_written_and_the_readme_explains_it(study, tmp_path):
    files = export_study(study, tmp_path / "out")
    names = [path.name for path in files]
    assert names == ["fidelity.json", "predictions.csv", "attributions.csv", "neighbours.csv", "kernel.npz", "README.txt"]
    text = files[-1].read_text()
    assert all(name in text for name in names[:-1])
    assert f"python -m ntkviz run --upload {study.spec.upload} --kernel trntk --surrogate ridge --n-train 40" in text
    assert json.loads(files[0].read_text()) == study.summary()


def test_one_part_may_be_asked_for(study, tmp_path):
    assert [path.name for path in export_study(study, tmp_path, what=["neighbours"])] == ["neighbours.csv", "README.txt"]
    assert "kernel.npz" not in (tmp_path / "README.txt").read_text()
    with pytest.raises(ValueError, match="Expected parts among"):
        export_study(study, tmp_path, what=["everything"])
    with pytest.raises(ValueError, match="top >= 1"):
        export_study(study, tmp_path, top=0)


def test_predictions_have_one_row_a_test_point_and_give_the_fidelity_again(study, tmp_path):
    rows = read(export_study(study, tmp_path, what=["predictions"])[0])
    assert [int(row["test_id"]) for row in rows] == study.test_index.tolist()
    assert np.mean([row["agree"] == "1" for row in rows]) == study.fidelity.agreement
    right = [row["network_class"] == row["label"] for row in rows]
    assert np.mean(right) == study.fidelity.accuracy_network
    # The class of the network has positive log-odds exactly where it is the label and has more than half the probability.
    for row in rows:
        assert row["label_name"] == study.class_names[int(row["label"])]
        if float(row["network_log_odds"]) > 0:
            assert row["network_class"] == row["label"]


def test_all_shares_and_the_intercept_add_up_to_the_score(study, tmp_path):
    rows = read(export_study(study, tmp_path, what=["attributions"], top=10_000)[0])
    assert len(rows) == study.n_test * study.n_train
    for m, test_id in enumerate(study.test_index):
        own = [row for row in rows if int(row["test_id"]) == test_id]
        explained = int(own[0]["class"])
        assert explained == study.logits_test[m].argmax()
        total = sum(float(row["share"]) for row in own) + study.surrogate.intercept[explained]
        assert total == pytest.approx(study.surrogate_logits[m, explained], abs=1e-9)
        shares = [abs(float(row["share"])) for row in own]
        assert shares == sorted(shares, reverse=True)
        assert [int(row["rank"]) for row in own] == list(range(1, study.n_train + 1))
        assert {int(row["train_id"]) for row in own} == set(study.train_index.tolist())


def test_neighbours_are_the_largest_entries_with_stable_ids(study, tmp_path):
    rows = read(export_study(study, tmp_path, what=["neighbours"], top=3)[0])
    assert len(rows) == 3 * study.n_test
    best = study.train_index[study.rows.argmax(axis=1)]
    assert [int(row["train_id"]) for row in rows[::3]] == best.tolist()
    label_of = dict(zip(study.train_index.tolist(), study.y_train.tolist(), strict=True))
    assert all(label_of[int(row["train_id"])] == int(row["train_label"]) for row in rows)


def test_the_kernel_comes_back_without_pickle(study, tmp_path):
    with np.load(export_study(study, tmp_path, what=["kernel"])[0], allow_pickle=False) as arrays:
        assert arrays["kernel"].tobytes() == study.kernel.tobytes()
        scores = arrays["rows"].astype(float) @ arrays["weights"].T + arrays["intercept"]
        np.testing.assert_allclose(scores, arrays["surrogate_logits"], atol=1e-9)
        assert arrays["train_index"].tolist() == study.train_index.tolist()


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1"])
def test_a_text_never_becomes_a_formula_and_numbers_stay_numbers(study, tmp_path, name):
    evil = replace(study, class_names=(name, 'a,"b"', "plain"))
    files = export_study(evil, tmp_path, what=["predictions", "attributions", "neighbours"])
    for path in files[:-1]:
        rows = read(path)
        cells = {cell for row in rows for column, cell in row.items() if column.endswith("_name")}
        assert cells == {"'" + name, 'a,"b"', "plain"}
        for row in rows:
            assert all(np.isfinite(float(cell)) for column, cell in row.items() if not column.endswith("_name"))


def test_one_logit_is_explained_for_the_class_that_it_predicts(study, tmp_path):
    """A network with one logit: shares for class 0 are those of class 1, turned round."""
    from ntkviz.fidelity.fidelity import fidelity
    from ntkviz.surrogates.fit import fit_surrogate

    labels, labels_test = study.y_train % 2, study.y_test % 2
    fit = fit_surrogate(study.kernel, labels, kind="klr", n_classes=1)
    logits = study.logits_test[:, :1]
    scores = fit.decision_function(study.rows)
    one = replace(
        study,
        class_names=("no", "yes"),
        y_train=labels,
        y_test=labels_test,
        logits_test=logits,
        surrogate=fit,
        surrogate_logits=scores,
        fidelity=fidelity(logits, scores, labels_test),
    )
    export_study(one, tmp_path, top=10_000)
    rows = read(tmp_path / "attributions.csv")
    assert {row["class"] for row in rows} == {"0", "1"}
    for m, test_id in enumerate(study.test_index):
        own = [row for row in rows if int(row["test_id"]) == test_id]
        sign = 1 if logits[m, 0] > 0 else -1
        assert own[0]["class"] == ("1" if sign == 1 else "0")
        total = sum(float(row["share"]) for row in own) + sign * fit.intercept[0]
        assert total == pytest.approx(sign * scores[m, 0], abs=1e-9)


def test_a_folder_that_cannot_be_written_is_told(study, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(NtkvizError, match="--to"):
        export_study(study, tmp_path / "file")


def test_the_parts_have_their_order():
    assert PARTS == ("fidelity", "predictions", "attributions", "neighbours", "kernel")
