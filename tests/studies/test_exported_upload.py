"""An exported program as the subject of a study, from the file to the figures."""

import json

import numpy as np
import pytest
import torch
from torch import nn

import ntkviz
from ntkviz import StudySpec, export_model, run_study
from ntkviz.errors import UploadRejected
from ntkviz.studies.retraining import why_not
from ntkviz.studies.store import Store
from ntkviz.studies.subjects import find_subject, load_subject_model
from ntkviz.studies.uploads import register_upload
from tests.studies.conftest import clouds


class Gate(nn.Module):
    """What no specification can say: a product of two branches."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right, self.head = nn.Linear(6, 12), nn.Linear(6, 12), nn.Linear(12, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.tanh(self.left(x)) * torch.sigmoid(self.right(x)))


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("exported")
    (x, y), (x_test, y_test) = clouds(120, seed=1), clouds(60, seed=2)
    torch.manual_seed(0)
    model = Gate()
    optimiser = torch.optim.Adam(model.parameters(), lr=0.03)
    for _ in range(60):
        optimiser.zero_grad()
        nn.functional.cross_entropy(model(torch.from_numpy(x)), torch.from_numpy(y)).backward()
        optimiser.step()
    np.savez(folder / "points.npz", x_train=x, y_train=y, x_test=x_test, y_test=y_test)
    return model.eval(), export_model(model, x[:4], folder / "gate.pt2"), folder / "points.npz"


def test_a_study_of_it_is_that_of_the_network(files, tmp_path):
    model, path, data = files
    home = tmp_path / "home"
    subject = register_upload(path, data, home=home, mode="team")
    assert subject.architecture["exported"]["input"] == [6]
    assert subject.accuracy_test is not None
    assert subject.accuracy_test > 0.6
    assert "specification" in why_not(subject)
    assert find_subject(subject.id, home=home) == subject
    kept = load_subject_model(subject.id, home=home)
    x = torch.from_numpy(clouds(60, seed=2)[0])
    assert torch.equal(kept(x), model(x))
    spec = StudySpec(upload=subject.id, kernel="trntk", surrogate="ridge", n_train=40, n_test=20)
    study = run_study(spec, store=Store(home), home=home)
    assert study.self_check["passed"] is True
    wanted = ntkviz.kernel_matrix(model, clouds(120, seed=1)[0][study.train_index])
    np.testing.assert_array_equal(study.kernel, wanted)


def test_a_normalisation_may_stand_before_it(files, tmp_path):
    model, path, data = files
    normalise = {"normalise": {"mean": 0.5, "std": 2.0}}
    subject = register_upload(path, data, architecture=normalise, home=tmp_path)
    x = torch.from_numpy(clouds(60, seed=2)[0])
    torch.testing.assert_close(load_subject_model(subject.id, home=tmp_path)(x), model((x - 0.5) / 2.0))


@pytest.mark.parametrize("architecture", ["mlp", {"layers": [{"type": "Flatten"}]}, {"normalise": {"mean": 1}}])
def test_another_architecture_beside_it_is_refused(files, architecture, tmp_path):
    _, path, data = files
    with pytest.raises(UploadRejected, match="normalise"):
        register_upload(path, data, architecture=architecture, home=tmp_path)


def test_data_of_another_shape_are_refused(files, tmp_path):
    _, path, _ = files
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "wide.npz", x=rng.normal(size=(30, 7)).astype(np.float32), y=np.arange(30) % 3)
    with pytest.raises(UploadRejected, match=r"shape \[6\], and the data have \[7\]"):
        register_upload(path, tmp_path / "wide.npz", home=tmp_path)


def test_an_altered_graph_is_not_opened(files, tmp_path):
    _, path, data = files
    subject = register_upload(path, data, home=tmp_path)
    place = tmp_path / "uploads" / subject.id / "architecture.json"
    kept = json.loads(place.read_text())
    kept["exported"]["document"]["graph_module"]["graph"]["nodes"].pop()
    place.write_text(json.dumps(kept))
    with pytest.raises(ntkviz.StoreCorrupted, match="altered"):
        load_subject_model(subject.id, home=tmp_path)
