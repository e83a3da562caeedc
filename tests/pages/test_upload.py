"""Bring your own: what is refused is explained, what is sound becomes a subject. The check runs in its real child process."""

import json

import numpy as np
import pytest

from ntkviz import export_model, load_sample
from ntkviz.data.sample import SAMPLES_DIR
from ntkviz.studies.store import Store
from ntkviz.studies.subjects import subjects
from ntkviz.ui import upload_examples
from tests.pages.conftest import texts

WEIGHTS = SAMPLES_DIR / "cancer-mlp" / "weights.safetensors"
CARD = json.loads((SAMPLES_DIR / "cancer-mlp" / "card.json").read_text())


@pytest.fixture
def form(open_page):
    """The form, open."""
    app = open_page()
    app.segmented_control(key="_source").set_value("upload").run()
    return app


def fill(app, *, weights: bytes, name: str = "weights.safetensors", normalise: str | None = "spec", spec: dict | None = None):
    """Fill the form with weights, a JSON specification and the data of a sample."""
    app.segmented_control(key="_upload_architecture").set_value("json").run()
    app.file_uploader(key="_upload_weights").upload(name, weights)
    app.text_area(key="_upload_json").set_value(json.dumps(CARD["architecture"] if spec is None else spec))
    app.segmented_control(key="_upload_data_how").set_value("sample").run()
    app.selectbox(key="_upload_sample").set_value("cancer-mlp")
    if normalise:
        app.radio(key="_upload_normalise").set_value(normalise)
    return app.run()


def plain(app) -> str:
    return texts(app).replace("\\", "")


def test_form_says_what_is_still_needed(form):
    assert "Still needed: the weights." in plain(form)
    assert form.button(key="check_upload").disabled


def test_options_of_an_architecture_come_from_its_registry(form):
    form.segmented_control(key="_upload_architecture").set_value("list").run()
    form.selectbox(key="_upload_network").set_value("transformer").run()
    assert form.number_input(key="_upload_transformer_heads").value == 4
    assert form.number_input(key="_upload_transformer_heads").max == 64
    assert "gelu" not in texts(form)


def test_normalisation_has_no_default(form):
    app = fill(form, weights=WEIGHTS.read_bytes(), normalise=None)
    assert app.radio(key="_upload_normalise").value is None
    assert app.button(key="check_upload").disabled


def test_sound_upload_becomes_a_subject_that_can_be_run(form, home):
    app = fill(form, weights=WEIGHTS.read_bytes())
    app.text_input(key="_upload_title").set_value("Mine <b>*now*</b>").run()
    app.button(key="check_upload").click().run()
    assert not app.exception
    assert "can be studied" in plain(app)
    brought = [subject for subject in subjects(Store(home)) if subject.source == "upload"]
    assert [subject.title for subject in brought] == ["Mine <b>*now*</b>"]
    assert app.session_state["subject"] == brought[0].id
    assert "Mine \\<b\\>\\*now\\*\\<\\/b\\>" in texts(app)
    assert app.number_input(key="_n_train").value == 400
    assert app.button(key="run").label == "Run the study"
    accuracy = {metric.label: metric.value for metric in app.metric}["Right on test points"]
    assert accuracy == f"{100 * CARD['accuracy_test']:.1f} %"


def test_wrong_normalisation_is_told_by_the_accuracy(form):
    spec = {key: value for key, value in CARD["architecture"].items() if key != "normalise"}
    app = fill(form, weights=WEIGHTS.read_bytes(), normalise="none", spec=spec)
    app.button(key="check_upload").click().run()
    assert not app.exception
    assert "always saying the commonest class would get" in plain(app)
    rows = {row["name"]: row for row in app.session_state["upload_report"]["rows"]}
    assert not rows["accuracy"]["passed"]
    assert "orange-badge[:material/priority_high: warn]" in texts(app)
    app.button(key="use_scale").click().run()
    app.button(key="check_upload").click().run()
    rows = {row["name"]: row for row in app.session_state["upload_report"]["rows"]}
    assert rows["accuracy"]["passed"]
    assert not [button for button in app.button if button.key == "use_scale"]


def test_mismatch_is_shown_as_a_table(form):
    spec = json.loads(json.dumps(CARD["architecture"]))
    spec["options"]["width"] = 8
    app = fill(form, weights=WEIGHTS.read_bytes(), spec=spec)
    app.button(key="check_upload").click().run()
    table = next(frame.value for frame in app.dataframe if "the file has" in frame.value.columns)
    assert len(table) > 0
    assert (table["the architecture expects"] != table["the file has"]).all()
    assert not app.session_state["upload_report"]["ok"]


@pytest.mark.parametrize(
    ("content", "name"),
    [
        (b"not a model", "weights.pt"),
        (b"", "weights.safetensors"),
        (b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x94\x8c\x06system\x94\x93\x94.", "weights.pt"),
        (WEIGHTS.read_bytes()[:1000], "../../<img src=x>.safetensors"),
    ],
    ids=["words", "empty", "pickle", "cut-short"],
)
def test_what_is_no_weights_file_is_refused_in_a_sentence(form, home, content, name):
    app = fill(form, weights=content, name=name)
    app.button(key="check_upload").click().run()
    assert not app.exception
    assert len(app.error) == 1
    assert 20 < len(app.error[0].value) < 1300
    assert "Traceback" not in app.error[0].value
    assert "<img" not in app.error[0].value.replace("\\<img", "")
    assert [subject for subject in subjects(Store(home)) if subject.source == "upload"] == []


@pytest.mark.parametrize("text", ["{", "[1, 2]", "/etc/passwd", "mlp", "architecture.json"])
def test_a_specification_that_is_no_json_object_is_refused(form, text):
    app = fill(form, weights=WEIGHTS.read_bytes())
    app.text_area(key="_upload_json").set_value(text).run()
    app.button(key="check_upload").click().run()
    assert "The specification is" in app.error[0].value


def test_weights_alone_get_a_guess_that_can_be_used(form):
    form.segmented_control(key="_upload_architecture").set_value("guess").run()
    form.file_uploader(key="_upload_weights").upload("weights.safetensors", WEIGHTS.read_bytes()).run()
    form.button(key="check_upload").click().run()
    guess = form.session_state["upload_report"]["guess"]
    assert guess is not None
    assert not form.error  # it is what was asked for
    assert "These layers fit the weights" in form.info[0].value
    form.button(key="use_guess").click().run()
    assert not form.exception
    assert json.loads(form.text_area(key="_upload_json").value) == guess


def test_normalisation_given_twice_is_refused(form):
    app = fill(form, weights=WEIGHTS.read_bytes(), normalise="none")
    app.button(key="check_upload").click().run()
    assert "has its own" in app.error[0].value


def test_mean_that_is_no_number_is_refused(form):
    spec = {key: value for key, value in CARD["architecture"].items() if key != "normalise"}
    app = fill(form, weights=WEIGHTS.read_bytes(), normalise="given", spec=spec)
    app.text_input(key="_upload_mean").set_value("about zero")
    app.text_input(key="_upload_std").set_value("1").run()
    app.button(key="check_upload").click().run()
    assert "The mean must be numbers" in app.error[0].value


def test_every_example_file_is_one_that_can_be_read(tmp_path):
    from ntkviz.data.readers import read_dataset

    for example in upload_examples.EXAMPLES:
        path = tmp_path / example.name
        path.write_bytes(example.make())
        data = read_dataset(path)
        assert len(data.y_train) > len(data.y_test) > 0
        assert np.isfinite(data.x_train).all()


@pytest.mark.parametrize("spec", [upload_examples.SPECIFICATION, upload_examples.NAMED], ids=["layers", "named"])
def test_the_example_specifications_describe_networks(spec):
    import torch

    from ntkviz.models.spec import build_model, parse_spec

    assert build_model(parse_spec(spec))(torch.zeros(2, 1, 28, 28)).shape == (2, 10)


def test_an_exported_program_needs_no_architecture(form, home, tmp_path):
    path = export_model(load_sample("cancer-mlp").model, load_sample("cancer-mlp").data.x_test[:4], tmp_path / "net.pt2")
    form.file_uploader(key="_upload_weights").upload("net.pt2", path.read_bytes()).run()
    assert not [box for box in form.selectbox if box.key == "_upload_network"]
    assert "Still needed: the normalisation, the data." in plain(form)
    form.segmented_control(key="_upload_data_how").set_value("sample").run()
    form.selectbox(key="_upload_sample").set_value("cancer-mlp")
    form.radio(key="_upload_normalise").set_value("none").run()
    form.button(key="check_upload").click().run()
    assert not form.exception
    assert "can be studied" in plain(form)
    assert [subject.title for subject in subjects(Store(home)) if subject.source == "upload"] == ["net.pt2"]
