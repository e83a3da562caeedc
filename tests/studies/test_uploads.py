import json
import shutil

import numpy as np
import pytest

from ntkviz.errors import StoreCorrupted, UploadRejected
from ntkviz.studies import uploads
from ntkviz.studies.spec import InvalidStudy
from ntkviz.studies.subjects import find_subject, load_subject_model, subject_data, subjects
from tests.studies.conftest import clouds, write_files


def test_an_upload_is_described_without_loading_it(brought):
    home, subject = brought
    assert find_subject(subject.id, home=home) == subject
    assert (subject.title, subject.kind, subject.source) == ("Clouds", "tabular", "upload")
    assert (subject.n_train, subject.n_test, subject.n_classes, subject.n_parameters) == (240, 90, 3, 435)
    assert subject.accuracy_test is not None
    assert subject.accuracy_test > 0.6


def test_its_data_and_model_come_back(brought):
    home, subject = brought
    data = subject_data(subject.id, home=home)
    np.testing.assert_array_equal(data.x_train, clouds(240, seed=1)[0])
    np.testing.assert_array_equal(data.y_test, clouds(90, seed=2)[1])
    model = load_subject_model(subject.id, home=home)
    assert not model.training
    assert sum(p.numel() for p in model.parameters()) == subject.n_parameters


def test_the_same_files_are_one_subject_and_other_weights_another(brought, home, tmp_path):
    files = write_files(tmp_path)
    again = uploads.register_upload(files["model"], files["data"], architecture=files["architecture"], home=home, title="Anew")
    assert again == brought[1]  # with its first title
    other = write_files(tmp_path, seed=1)
    second = uploads.register_upload(other["model"], other["data"], architecture=other["architecture"], home=home)
    assert second.id != again.id
    assert second.title == "w.safetensors"
    assert [subject.id for subject in uploads.upload_subjects(home)] == [second.id, again.id]
    assert not list((home / "uploads").glob(".*"))


def test_weights_that_do_not_fit_are_refused_with_a_table_and_leave_nothing(home, tmp_path):
    files = write_files(tmp_path)
    wrong = {"name": "tabular", "options": {"features": 6, "n_classes": 3, "width": 8, "blocks": 2}}
    with pytest.raises(UploadRejected) as caught:
        uploads.register_upload(files["model"], files["data"], architecture=wrong, home=home)
    assert getattr(caught.value, "table", ())
    assert len(list((home / "uploads").iterdir())) == 1


def test_a_model_without_data_is_no_subject(home, tmp_path):
    files = write_files(tmp_path)
    with pytest.raises(UploadRejected, match="without data"):
        uploads.register_upload(files["model"], None, architecture=files["architecture"], home=home)


def test_samples_come_first_and_damaged_uploads_are_left_out(brought, home, store):
    sources = [subject.source for subject in subjects(store)]
    assert sources == sorted(sources)
    assert sources[-1] == "upload"
    (home / "uploads" / brought[1].id / "report.json").write_text("{")
    assert "upload" not in [subject.source for subject in subjects(store)]
    with pytest.raises(StoreCorrupted, match="Bring the files again"):
        find_subject(brought[1].id, home=home)


def test_an_altered_upload_is_not_opened(brought, home):
    path = home / "uploads" / brought[1].id / "weights.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(bytes(content))
    with pytest.raises(StoreCorrupted, match="altered"):
        load_subject_model(brought[1].id, home=home)


def test_a_deleted_upload_is_gone(brought, home, store):
    uploads.delete_upload(home, brought[1].id)
    assert uploads.upload_subjects(home) == []
    with pytest.raises(InvalidStudy, match="no upload"):
        find_subject(brought[1].id, home=home)


def test_what_people_wrote_is_shown_as_code(brought, home):
    folder = home / "uploads" / brought[1].id
    report = json.loads((folder / "report.json").read_text())
    report |= {"name": "![x](http://evil/x.png) `", "notes": ["<script>`"]}
    (folder / "report.json").write_text(json.dumps(report))
    card = find_subject(brought[1].id, home=home).card
    assert "`![x](http://evil/x.png) '`" in card
    assert "`<script>'`" in card
    shutil.rmtree(folder)
