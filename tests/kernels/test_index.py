"""Rows of new points from an index of training points: what kernel_matrix gives, and refusals where that cannot be."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from ntkviz.errors import NonDeterministicModel, StoreCorrupted, UnsupportedModel
from ntkviz.kernels.index import KernelIndex
from ntkviz.kernels.matrix import kernel_blocks, kernel_matrix
from tests.cases import CASES, AlwaysDropout, Case
from tests.gradients.test_structured import Gated

N, M = 40, 5
WORST = 2e-5
#: Nothing in them is longer than the sketch: products, positions, tokens, norms, several uses of one weight.
EXACT = (
    "mlp",
    "more classes than features",
    "BatchNorm on features",
    "conv",
    "residual with BatchNorm",
    "linear on tokens",
    "embedding",
    "transformer encoder with padding mask",
    "module called twice",
    "double precision",
    "one logit",
    "weight norm",
)


def case_named(name: str) -> Case:
    return next(c for c in CASES if c.name == name)


def conv() -> nn.Module:
    torch.manual_seed(0)
    layers: list[nn.Module] = [nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 8, 3), nn.ReLU()]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(128, 12), nn.ReLU(), nn.Linear(12, 5)).eval()


def pictures(n: int, seed: int) -> torch.Tensor:
    noise = torch.randn(n, 1, 16, 16, generator=torch.Generator().manual_seed(seed))
    return nn.functional.avg_pool2d(noise, 5, 1) * 3


@pytest.mark.parametrize("name", EXACT)
def test_rows_without_a_sketch_are_the_kernel(name: str, tmp_path: Path):
    case = case_named(name)
    model, x, z = case.model(), case.inputs(N), case.inputs(M, seed=3)
    index = KernelIndex.build(model, x, tmp_path)
    truth = kernel_matrix(model, z, x)
    assert index.rows(z).dtype == np.float32
    np.testing.assert_allclose(index.rows(z), truth, atol=WORST)
    np.testing.assert_allclose(index.rows(z[2:3]), truth[2:3], atol=WORST)
    np.testing.assert_allclose(index.rows(x[:4]), kernel_matrix(model, x[:4], x), atol=WORST)
    nearest = index.nearest(z, 7, candidates=N)
    assert nearest.indices.dtype == np.int64
    np.testing.assert_allclose(nearest.similarities, -np.sort(-truth, axis=1)[:, :7], atol=WORST)
    np.testing.assert_allclose(np.take_along_axis(truth, nearest.indices, 1), nearest.similarities, atol=WORST)


@pytest.mark.parametrize("sketch_dim", [2048, 5])
@pytest.mark.parametrize("case", CASES[2::3], ids=lambda c: c.name)
def test_an_index_of_any_model_is_right_or_refused(case: Case, sketch_dim: int, tmp_path: Path):
    model, x, z = case.model(), case.inputs(9), case.inputs(M, seed=3)
    try:
        index = KernelIndex.build(model, x, tmp_path, sketch_dim=sketch_dim)
    except UnsupportedModel as refusal:
        assert "Use kernel_matrix" in str(refusal)  # noqa: PT017 - either is right
        return
    truth = kernel_matrix(model, z, x)
    if sketch_dim == 2048:
        np.testing.assert_allclose(index.rows(z), truth, atol=WORST)
    found = index.nearest(z, 3, candidates=len(x))
    np.testing.assert_allclose(found.similarities, -np.sort(-truth)[:, :3], atol=WORST)


def test_a_table_of_double_precision_is_the_kernel(tmp_path: Path):
    torch.manual_seed(0)
    model = nn.Sequential(nn.Embedding(9, 4), nn.Flatten(), nn.Linear(20, 3)).double()
    x = torch.randint(0, 9, (N, 5), generator=torch.Generator().manual_seed(0))
    np.testing.assert_allclose(KernelIndex.build(model, x, tmp_path).rows(x[:3]), kernel_matrix(model, x[:3], x), atol=WORST)


class TestSketched:
    """An index whose convolutions are folded."""

    model, x, z = conv(), pictures(60, 1), pictures(8, 2)

    @pytest.fixture(scope="class")
    def truth(self) -> np.ndarray:
        return kernel_matrix(self.model, self.z, self.x)

    @pytest.fixture(scope="class")
    def index(self, tmp_path_factory: pytest.TempPathFactory) -> KernelIndex:
        return KernelIndex.build(self.model, self.x, tmp_path_factory.mktemp("index"), sketch_dim=61)

    def test_rows_are_within_the_predicted_error(self, index: KernelIndex, truth: np.ndarray):
        blocks = kernel_blocks(self.model, self.x, self.z, kind="hybrid_trntk", sketch_dim=61)
        error = np.linalg.norm(index.rows(self.z) - truth) / np.linalg.norm(truth)
        assert 0 < error < 2 * blocks.predicted_error

    def test_a_point_alone_has_the_row_that_it_has_among_others(self, index: KernelIndex):
        alone = np.concatenate([index.rows(self.z[i : i + 1]) for i in range(len(self.z))])
        np.testing.assert_allclose(alone, index.rows(self.z), atol=1e-5)

    def test_the_nearest_are_in_exact_order_with_exact_similarities(self, index: KernelIndex, truth: np.ndarray):
        found = index.nearest(self.z, 5, candidates=30)
        order = np.argsort(-truth, axis=1)[:, :5]
        np.testing.assert_array_equal(found.indices, order)
        np.testing.assert_allclose(found.similarities, np.take_along_axis(truth, order, 1), atol=WORST)

    def test_more_neighbours_than_points_are_all_points(self, index: KernelIndex):
        found = index.nearest(self.z[:2], 1000)
        assert found.indices.shape == (2, len(self.x))
        np.testing.assert_array_equal(np.sort(found.indices), np.tile(np.arange(len(self.x)), (2, 1)))

    def test_reopened_it_gives_the_same_bits(self, index: KernelIndex):
        again = KernelIndex(index.folder, conv())
        assert again.rows(self.z).tobytes() == index.rows(self.z).tobytes()
        assert again.nearest(self.z).similarities.tobytes() == index.nearest(self.z).similarities.tobytes()

    def test_arrays_serve_as_well_as_tensors(self, index: KernelIndex, tmp_path: Path):
        assert index.rows(self.z.numpy()).tobytes() == index.rows(self.z).tobytes()
        other = KernelIndex.build(self.model, self.x.numpy(), tmp_path, sketch_dim=61)
        assert other.rows(self.z).tobytes() == index.rows(self.z).tobytes()

    def test_a_new_index_takes_the_place_of_an_old_one(self, tmp_path: Path):
        KernelIndex.build(self.model, self.x, tmp_path, sketch_dim=61)
        index = KernelIndex.build(self.model, self.x[:20], tmp_path, sketch_dim=31)
        assert index.rows(self.z).shape == (8, 20)


@pytest.mark.parametrize("name", ["units dead on the first samples", "units dead but on one sample"])
def test_units_that_only_the_new_point_wakes_do_no_harm(name: str, tmp_path: Path):
    case = case_named(name)
    model, x = case.model(), case.inputs(20) * 0.004  # so quiet that those units are dead in all of them
    loud = case.inputs(M, seed=3) * 5
    np.testing.assert_allclose(KernelIndex.build(model, x, tmp_path).rows(loud), kernel_matrix(model, loud, x), atol=WORST)


def gated_points(gates: str) -> torch.Tensor:
    """Points of :class:`Gated` that go through one gate (+) or the other (-)."""
    x = torch.randn(len(gates), 6, generator=torch.Generator().manual_seed(len(gates)))
    x[:, 0] = torch.tensor([1.0 if gate == "+" else -1.0 for gate in gates])
    return x


@pytest.mark.parametrize(
    "gates", ["++++++++++++", "++++++++----", "+++-++++++++", "+-+-+-+-+-+-"], ids=["one gate", "late", "fourth", "mixed"]
)
def test_where_heads_do_not_compress_for_all_points_rows_are_still_exact(gates: str, tmp_path: Path):
    model, x, z = Gated(1.0), gated_points(gates), gated_points("+-+--")
    KernelIndex.build(model, x, tmp_path)
    index = KernelIndex(tmp_path, model)  # it must know what was found out while it was built
    for points in (z[:1], z[1:2], z, z[:1]):
        np.testing.assert_allclose(index.rows(points), kernel_matrix(model, points, x), atol=WORST)
    np.testing.assert_allclose(index.nearest(z, 3).similarities, -np.sort(-kernel_matrix(model, z, x))[:, :3], atol=WORST)


class Sized(nn.Module):
    """Takes another, equal, way for more than eight points."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.inner, self.out = nn.Linear(6, 5), nn.Linear(5, 3)

    def forward(self, x):
        return self.out(torch.tanh(self.inner(x) if len(x) <= 8 else x @ self.inner.weight.T + self.inner.bias))


def test_new_points_that_run_other_operations_are_compared_exactly(tmp_path: Path):
    model, x, z = Sized(), torch.randn(8, 6), torch.randn(12, 6)
    index = KernelIndex.build(model, x, tmp_path)
    for points in (z, z[:3], z):
        np.testing.assert_allclose(index.rows(points), kernel_matrix(model, points, x), atol=WORST)
    with pytest.raises(UnsupportedModel, match="the same operations for all points"):
        KernelIndex.build(model, z, tmp_path)


def test_a_model_whose_output_is_random_is_refused(tmp_path: Path):
    with pytest.raises(NonDeterministicModel):
        KernelIndex.build(AlwaysDropout(), torch.randn(N, 6), tmp_path)


@pytest.mark.parametrize("change", [lambda m: m[0].weight.data.mul_(1.001), lambda m: m[0].bias.data[0].add_(1e-3)])
def test_other_weights_are_refused(change: Callable[[nn.Module], object], tmp_path: Path):
    case = case_named("mlp")
    KernelIndex.build(case.model(), case.inputs(N), tmp_path)
    other = case.model()
    change(other)
    with pytest.raises(ValueError, match="belongs to another network"):
        KernelIndex(tmp_path, other)


class TestDamage:
    """Files that went missing or are not what they were."""

    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        case = case_named("mlp")
        KernelIndex.build(case.model(), case.inputs(N), tmp_path)
        return tmp_path

    def test_no_index_is_corrupt(self, tmp_path: Path):
        with pytest.raises(StoreCorrupted, match="Build it again"):
            KernelIndex(tmp_path / "nothing", case_named("mlp").model())

    def test_every_file_is_missed(self, folder: Path):
        for path in sorted(folder.iterdir()):
            kept = path.read_bytes()
            path.unlink()
            with pytest.raises(StoreCorrupted):
                KernelIndex(folder, case_named("mlp").model())
            path.write_bytes(kept)
        KernelIndex(folder, case_named("mlp").model())

    @pytest.mark.parametrize("keep", [0, 10, 150])
    def test_every_cut_file_is_noticed(self, folder: Path, keep: int):
        for path in sorted(folder.iterdir()):
            kept = path.read_bytes()
            path.write_bytes(kept[:keep])
            with pytest.raises(StoreCorrupted):
                KernelIndex(folder, case_named("mlp").model())
            path.write_bytes(kept)

    def test_a_build_that_was_broken_off_is_no_index(self, folder: Path):
        case = case_named("mlp")

        def stop(stage: str, done: float) -> None:
            raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            KernelIndex.build(case.model(), case.inputs(N), folder, on_progress=stop)
        np.testing.assert_allclose(  # nothing was written yet: the old one stands
            KernelIndex(folder, case.model()).rows(case.inputs(2)),
            kernel_matrix(case.model(), case.inputs(2), case.inputs(N)),
            atol=WORST,
        )

    def test_an_open_index_outlives_its_successor(self, folder: Path):
        case = case_named("mlp")
        index, z = KernelIndex(folder, case.model()), case.inputs(2, seed=3)
        before = index.rows(z)
        KernelIndex.build(case.model(), case.inputs(N, seed=9), folder)
        assert index.rows(z).tobytes() == before.tobytes()

    def test_an_index_of_another_version_is_refused(self, folder: Path):
        head = json.loads((folder / "index.json").read_text())
        (folder / "index.json").write_text(json.dumps(head | {"format": 0}))
        with pytest.raises(ValueError, match="version"):
            KernelIndex(folder, case_named("mlp").model())


@pytest.mark.parametrize("name", ["branch on data", "LSTM", "PReLU"])
def test_a_model_that_cannot_be_taken_apart_is_refused_with_what_to_do_instead(name: str, tmp_path: Path):
    case = case_named(name)
    with pytest.raises(UnsupportedModel, match="Use kernel_matrix"):
        KernelIndex.build(case.model(), case.inputs(N), tmp_path)
