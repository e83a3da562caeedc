import pytest

from ntkviz.errors import UploadRejected
from ntkviz.fidelity.fidelity import fidelity
from ntkviz.ui.architecture_rows import architecture_rows
from ntkviz.ui.measures import measure
from ntkviz.ui.study_form import option_text, parse_option
from ntkviz.ui.upload_architecture import NORMALISE, numbers, specification, whole_numbers


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("1e-4", 1e-4),
        ("12", 12),
        ("none", None),
        ("", 0.5),
        ("auto", "auto"),
        ("conv1, conv2", ["conv1", "conv2"]),
        ("true", "true"),
    ],
)
def test_options_are_read_as_they_are_meant(typed, value):
    assert parse_option(typed, 0.5) == value


@pytest.mark.parametrize("value", [1e-4, None, "balanced", ["a", "b"], 0.1])
def test_options_are_written_as_they_are_read(value):
    assert parse_option(option_text(value), "other") == value


def test_normalisation_goes_into_the_specification():
    spec = specification({"name": "mlp", "options": {}}, "given", "0.1, 0.2", "1; 2")
    assert spec["normalise"] == {"mean": [0.1, 0.2], "std": [1.0, 2.0]}
    assert "normalise" not in specification('{"name": "mlp"}', "none", "", "")


@pytest.mark.parametrize("how", [key for key in NORMALISE if key != "spec"])
def test_normalisation_is_not_given_twice(how):
    with pytest.raises(UploadRejected, match="has its own"):
        specification('{"name": "mlp", "normalise": {"mean": 0, "std": 1}}', how, "0", "1")


def test_normalisation_of_the_specification_must_be_there():
    with pytest.raises(UploadRejected, match="has no `normalise`"):
        specification('{"name": "mlp"}', "spec", "", "")


@pytest.mark.parametrize("text", ["", "one", "0.1, two"])
def test_numbers_must_be_numbers(text):
    with pytest.raises(UploadRejected):
        numbers(text, "mean")


def test_the_nested_and_the_endless_are_refused():
    with pytest.raises(UploadRejected):
        specification("[" * 100_000, "none", "", "")
    with pytest.raises(UploadRejected, match="at most"):
        specification(" " * 1_000_001, "none", "", "")


def test_whole_numbers_come_with_commas():
    assert whole_numbers("100, 50;25") == [100, 50, 25]
    assert whole_numbers("") == []
    assert whole_numbers("wide") == "wide"


def test_the_form_knows_every_architecture():
    from ntkviz.models.registry import architectures

    rows = architecture_rows()
    assert list(rows) == list(architectures())
    for key, info in architectures().items():
        assert {name: tuple(option) for name, option in info.options.items()} == {
            name: tuple(vars(option).values()) for name, option in rows[key].options.items()
        }


def test_a_measure_has_its_interval():
    import numpy as np

    rng = np.random.default_rng(0)
    logits, labels = rng.normal(size=(40, 3)), rng.integers(0, 3, 40)
    found = fidelity(logits, logits + rng.normal(size=(40, 3)), labels, n_bootstrap=50)
    tau = measure(found, "kendall_tau")
    assert tau.low < tau.value < tau.high
    assert tau.words().count(" to ") == 1
    assert measure(found, "r_miss_p_value").words().count(" to ") == 0
