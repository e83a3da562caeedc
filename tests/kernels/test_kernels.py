"""Every kernel on every case against the float64 reference, and the laws that kernels obey."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from ntkviz.gradients.reference import entk_reference, gram_reference, jacobian_reference, relative_error
from ntkviz.kernels.matrix import kernel_blocks, kernel_matrix, layer_kernels
from ntkviz.kernels.projected import rademacher_rows
from ntkviz.kernels.registry import kernels
from ntkviz.models.probes import logits_of
from ntkviz.scores import scores_of
from tests.cases import CASES, Case

N, M = 6, 4
WORST = 2e-5
POINT_KINDS = [k for k, row in kernels().items() if row.block == "point"]
cases = pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)


def case_named(name: str) -> Case:
    return next(c for c in CASES if c.name == name)


def labels_for(case: Case, n: int) -> np.ndarray:
    return (
        np.arange(n) % max(2, case.model()(case.inputs(2)).shape[-1]) if case.name != "object with logits" else np.arange(n) % 3
    )


def assert_matches(case: Case, kind: str, heads: np.ndarray | None):
    model, x, z = case.model(), case.inputs(N), case.inputs(M, seed=3)
    square, rows = kernel_matrix(model, x, kind=kind, normalize=False), kernel_matrix(model, z, x, kind=kind, normalize=False)
    truth, truth_rows = gram_reference(model, x, heads=heads), gram_reference(model, z, x, heads=heads)
    dx, dz = np.diag(truth), np.diag(gram_reference(model, z, heads=heads))
    assert relative_error(square, truth, dx, dx) < WORST
    assert relative_error(rows, truth_rows, dz, dx) < WORST
    cosine = kernel_matrix(model, z, x, kind=kind)
    np.testing.assert_allclose(cosine, truth_rows / np.sqrt(np.outer(dz, dx)), atol=WORST)


@cases
def test_trace_ntk_is_the_reference(case: Case):
    assert_matches(case, "trntk", None)


@cases
def test_pseudo_ntk_is_the_reference(case: Case):
    c = jacobian_reference(case.model(), case.inputs(1)).shape[1]
    assert_matches(case, "pntk", np.ones((1, c)) / np.sqrt(c))


@cases
def test_full_ntk_is_the_reference(case: Case):
    model, x, z = case.model(), case.inputs(N), case.inputs(M, seed=3)
    truth, rows = entk_reference(model, x), entk_reference(model, z, x)
    dx, dz = np.diag(truth), np.diag(entk_reference(model, z))
    assert relative_error(kernel_matrix(model, x, kind="entk", normalize=False), truth, dx, dx) < WORST
    assert relative_error(kernel_matrix(model, z, x, kind="entk", normalize=False), rows, dz, dx) < WORST


@cases
def test_label_pseudo_ntk_is_the_reference(case: Case):
    model, x = case.model(), case.inputs(N)
    jac = jacobian_reference(model, x)
    c = jac.shape[1]
    y = np.arange(N) % max(c, 2)
    signs = (2.0 * y[:, None] - 1) if c == 1 else 2.0 * np.eye(c)[y] - 1
    g = np.einsum("nc,ncp->np", signs, jac) / np.sqrt(c)
    k = kernel_matrix(model, x, kind="lpntk", y=y, normalize=False)
    assert relative_error(k, g @ g.T, (g * g).sum(1), (g * g).sum(1)) < WORST


@cases
def test_margin_kernel_is_the_gradient_of_the_log_odds(case: Case):
    model, x = case.model(), case.inputs(N)
    jac = jacobian_reference(model, x)
    c = jac.shape[1]
    y = np.arange(N) % max(c, 2)
    logits = logits_of(model, x)
    step = 1e-4
    numeric = np.empty((N, c))
    for k in range(c):  # of the log-odds as the fidelity metrics have them, by finite differences
        up, down = logits.astype(float).copy(), logits.astype(float).copy()
        up[:, k] += step
        down[:, k] -= step
        numeric[:, k] = (own_log_odds(up, y) - own_log_odds(down, y)) / (2 * step)
    g = np.einsum("nc,ncp->np", numeric, jac)
    size = (np.abs(numeric).max(1) ** 2) * (jac**2).sum((1, 2))
    k = kernel_matrix(model, x, kind="margin", y=y, normalize=False)
    assert relative_error(k, g @ g.T, size, size) < WORST


def own_log_odds(logits: np.ndarray, y: np.ndarray) -> np.ndarray:
    return scores_of(logits).log_odds[np.arange(len(y)), y]


def test_input_kernel_is_a_gaussian_of_distances_and_ignores_the_network():
    case = case_named("mlp")
    x = case.inputs(N)
    flat = (x / x.std(0, correction=0)).double().numpy()
    distance = ((flat[:, None] - flat[None]) ** 2).sum(-1)
    mean = distance[~np.eye(N, dtype=bool)].mean()
    np.testing.assert_allclose(kernel_matrix(case.model(), x, kind="rbf"), np.exp(-distance / mean), atol=1e-6)
    np.testing.assert_array_equal(kernel_matrix(nn.Identity(), x, kind="rbf"), kernel_matrix(case.model(), x, kind="rbf"))


def test_the_sum_of_kernels_is_the_sum():
    case = case_named("conv")
    model, x, z = case.model(), case.inputs(N), case.inputs(M, seed=3)
    tangent, inputs = (kernel_blocks(model, x, z, kind=kind) for kind in ("trntk", "rbf"))
    found = kernel_blocks(model, x, z, kind="trntk_rbf", input_share=0.25)
    weight = 0.75 / tangent.train_diagonal.mean()
    np.testing.assert_allclose(found.train, weight * tangent.train + 0.25 * inputs.train, rtol=1e-5)
    np.testing.assert_allclose(found.rows, weight * tangent.rows + 0.25 * inputs.rows, rtol=1e-5)
    with pytest.raises(ValueError, match="between 0 and 1"):
        kernel_matrix(model, x, kind="trntk_rbf", input_share=1.0)
    with pytest.raises(ValueError, match="above 0"):
        kernel_matrix(model, x, kind="rbf", bandwidth=0.0)


@cases
def test_kernel_blocks_are_the_matrices(case: Case):
    model, x, z = case.model(), case.inputs(N), case.inputs(M, seed=3)
    blocks = kernel_blocks(model, x, z)
    np.testing.assert_array_equal(blocks.train, blocks.train.T)
    np.testing.assert_allclose(  # to rounding: other samples are in the batch
        blocks.train, kernel_matrix(model, x, normalize=False), rtol=1e-5, atol=1e-6 * blocks.train_diagonal.max()
    )
    np.testing.assert_allclose(
        blocks.rows, kernel_matrix(model, z, x, normalize=False), rtol=1e-5, atol=1e-6 * blocks.train_diagonal.max()
    )
    np.testing.assert_allclose(blocks.normalised().rows, kernel_matrix(model, z, x), atol=1e-6)


@pytest.mark.parametrize("kind", POINT_KINDS)
@pytest.mark.parametrize("name", ["mlp", "conv", "embedding", "one logit"])
def test_laws_of_every_kernel(kind: str, name: str):
    case = case_named(name)
    model, x, z = case.model(), case.inputs(N), case.inputs(M, seed=3)
    y, yz = labels_for(case, N), labels_for(case, M)
    labels = {"y": y} if kernels()[kind].needs_labels else {}
    both = {"y": yz, "yz": y} if labels else {}
    raw = kernel_matrix(model, x, kind=kind, normalize=False, **labels)
    k = kernel_matrix(model, x, kind=kind, **labels)
    rows = kernel_matrix(model, z, x, kind=kind, **both)
    assert k.dtype == rows.dtype == np.float32
    assert rows.shape == (M, N)
    np.testing.assert_array_equal(k, k.T)
    np.testing.assert_array_equal(np.diag(k), 1)
    assert np.linalg.eigvalsh(raw.astype(float)).min() > -1e-5 * np.trace(raw)
    d = np.sqrt(np.diag(raw).astype(float))
    np.testing.assert_allclose(k, raw / np.outer(d, d), atol=1e-5)
    order = np.array([3, 1, 5, 0, 4, 2])
    permuted = {"y": y[order]} if labels else {}
    np.testing.assert_allclose(
        kernel_matrix(model, x[torch.from_numpy(order)], kind=kind, **permuted), k[np.ix_(order, order)], atol=1e-5
    )
    one = {"y": yz[:1], "yz": y} if labels else {}
    np.testing.assert_allclose(kernel_matrix(model, z[:1], x, kind=kind, **one), rows[:1], atol=1e-5)
    same = {"y": y, "yz": y} if labels else {}
    np.testing.assert_allclose(kernel_matrix(model, x, x, kind=kind, **same), k, atol=1e-5)


@given(
    seed=st.integers(0, 2**16),
    widths=st.lists(st.integers(1, 7), min_size=1, max_size=3),
    c=st.integers(1, 4),
    n=st.integers(1, 6),
)
def test_trace_ntk_of_random_networks_is_the_reference(seed: int, widths: list[int], c: int, n: int):
    torch.manual_seed(seed)
    sizes = [4, *widths, c]
    layers: list[nn.Module] = []
    for a, b in pairwise(sizes):
        layers += [nn.Linear(a, b), nn.Tanh()]
    model, x = nn.Sequential(*layers[:-1]), torch.randn(n, 4)
    truth = gram_reference(model, x)
    assert relative_error(kernel_matrix(model, x, normalize=False), truth, np.diag(truth), np.diag(truth)) < WORST


def test_for_one_logit_trace_pseudo_and_full_ntk_are_one_kernel():
    case = case_named("one logit")
    a, b, c = (kernel_matrix(case.model(), case.inputs(N), kind=k, normalize=False) for k in ("trntk", "pntk", "entk"))
    np.testing.assert_allclose(a, b, rtol=1e-6)
    np.testing.assert_allclose(a, c, rtol=1e-6)


def test_the_last_layer_of_the_trace_ntk_is_the_conjugate_kernel():
    case = case_named("mlp")
    last = layer_kernels(case.model(), case.inputs(N))["2"]
    ck = kernel_matrix(case.model(), case.inputs(N), kind="ck", normalize=False)
    np.testing.assert_allclose(last, 3 * (ck + 1), rtol=1e-5)


@pytest.mark.parametrize("kind", [k for k, row in kernels().items() if row.layered])
@cases
def test_layer_kernels_add_up(case: Case, kind: str):
    if kind == "em" and case.ragged:
        pytest.skip("no embedding kernel: see the test of ragged modules")
    model, x, z = case.model(), case.inputs(N), case.inputs(M, seed=3)
    if kind == "em" and case.name == "branch on data":
        z = x[:2]  # all of one sign: the same branch
    for given_z in (None, z):
        parts = layer_kernels(model, x, given_z, kind=kind)
        whole = kernel_matrix(model, x, given_z, kind=kind, normalize=False)
        np.testing.assert_allclose(sum(parts.values()), whole, rtol=1e-4, atol=1e-5 * np.abs(whole).max())


def test_the_conjugate_kernel_uses_what_enters_the_readout():
    model, x = case_named("mlp").model(), case_named("mlp").inputs(N)
    h = torch.relu(model[0](x)).detach().numpy()
    np.testing.assert_allclose(kernel_matrix(model, x, kind="ck", normalize=False), h @ h.T, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(kernel_matrix(model, x, kind="ck", layer="0", normalize=False), x @ x.T, rtol=1e-4, atol=1e-5)


def test_the_embedding_kernel_is_the_sum_over_leaf_modules():
    model, x = case_named("mlp").model(), case_named("mlp").inputs(N)
    h1 = model[0](x).detach()
    h2, h3 = torch.relu(h1), model(x).detach()
    expected = sum(h @ h.T for h in (h1, h2, h3))
    np.testing.assert_allclose(kernel_matrix(model, x, kind="em", normalize=False), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(kernel_matrix(model, x, kind="em", layers=["1"], normalize=False), h2 @ h2.T, rtol=1e-5, atol=1e-6)


def test_token_ids_are_counted_not_multiplied():
    ids = torch.tensor([[1, 1, 2, 0], [1, 3, 0, 0], [4, 4, 4, 4]])
    k = kernel_matrix(nn.Embedding(5, 2), ids, kind="inputs", normalize=False)
    np.testing.assert_array_equal(k, [[5, 2, 0], [2, 2, 0], [0, 0, 16]])


class TestProjections:
    model, x = case_named("conv").model(), case_named("conv").inputs(N)

    @pytest.mark.parametrize("kind", ["proj_trntk", "proj_pntk"])
    def test_unbiased_over_seeds(self, kind):
        exact = kernel_matrix(self.model, self.x, kind=kind.removeprefix("proj_"), normalize=False)
        runs = np.stack([kernel_matrix(self.model, self.x, kind=kind, normalize=False, seed=s, proj_dim=256) for s in range(40)])
        standard_error = runs.std(0, ddof=1) / np.sqrt(len(runs))
        assert np.all(np.abs(runs.mean(0) - exact) < 5 * standard_error + 1e-6)

    def test_the_error_falls_with_the_square_root_of_the_dimension(self):
        exact = kernel_matrix(self.model, self.x)
        error = {
            k: np.mean(
                [
                    np.abs(kernel_matrix(self.model, self.x, kind="proj_trntk", proj_dim=k, seed=s) - exact).mean()
                    for s in range(8)
                ]
            )
            for k in (64, 1024)
        }
        assert 2.5 < error[64] / error[1024] < 6.5  # expected: 4

    def test_the_same_seed_gives_the_same_bits_and_another_seed_another_matrix(self):
        a, b, c = (kernel_matrix(self.model, self.x, kind="proj_trntk", seed=s, proj_dim=64) for s in (1, 1, 2))
        np.testing.assert_array_equal(a, b)
        assert np.abs(a - c).max() > 1e-3

    def test_signs_do_not_depend_on_how_they_are_cut(self):
        whole = rademacher_rows(3, 0, 1500, 40)
        parts = np.concatenate([rademacher_rows(3, a, b, 40) for a, b in ((0, 1), (1, 511), (511, 513), (513, 1500))])
        np.testing.assert_array_equal(whole, parts)
        assert set(np.unique(whole)) == {-1.0, 1.0}
        assert abs(whole.mean()) < 0.02

    def test_a_full_set_of_signs_keeps_norms(self):
        v = np.random.default_rng(0).normal(size=700)
        r = rademacher_rows(0, 0, 700, 4096)
        assert abs(((v @ r) ** 2).mean() / (v @ v) - 1) < 3 * np.sqrt(2 / 4096)


def test_arrays_tensors_and_doubles_give_the_same_kernel():
    case = case_named("mlp")
    model, x = case.model(), case.inputs(N)
    k = kernel_matrix(model, x)
    np.testing.assert_array_equal(kernel_matrix(model, x.numpy()), k)
    np.testing.assert_array_equal(kernel_matrix(model, x.numpy().astype(np.float64)), k)
    np.testing.assert_allclose(kernel_matrix(model.double(), x), k, atol=1e-6)


def test_a_training_model_gives_the_eval_kernel_and_keeps_its_mode():
    case = case_named("residual with BatchNorm")
    model, x = case.model(), case.inputs(N)
    k = kernel_matrix(model, x)
    running = model.norm1.running_mean.clone()
    np.testing.assert_array_equal(kernel_matrix(model.train(), x), k)
    assert model.norm1.training
    assert torch.equal(running, model.norm1.running_mean)


def test_a_compiled_model_is_the_model():
    case = case_named("mlp")
    np.testing.assert_array_equal(
        kernel_matrix(torch.compile(case.model()), case.inputs(N)), kernel_matrix(case.model(), case.inputs(N))
    )


def test_duplicates_are_perfectly_similar():
    case = case_named("conv")
    x = case.inputs(3)
    k = kernel_matrix(case.model(), torch.cat([x, x[:1]]))
    assert k[0, 3] == pytest.approx(1, abs=1e-6)


def test_a_point_without_direction_has_similarity_zero_and_is_noted():
    x = torch.tensor([[0.0, 0.0], [1.0, 0.0]])
    blocks = kernel_blocks(nn.Linear(2, 2), x, x, kind="inputs").normalised()
    np.testing.assert_array_equal(blocks.train, [[0, 0], [0, 1]])
    assert "2 points have a zero feature vector" in blocks.notes[0]


def test_the_readout_may_be_called_by_keyword():
    class ByKeyword(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.out = nn.Linear(6, 3)

        def forward(self, x):
            return self.out(input=x)

    x = torch.randn(N, 6)
    np.testing.assert_allclose(kernel_matrix(ByKeyword(), x, kind="ck", normalize=False), x @ x.T, rtol=1e-4, atol=1e-5)


def test_every_registry_row_says_everything():
    for key, row in kernels().items():
        assert row.key == key
        assert all(
            len(text) > 3 for text in (row.title, row.formula, row.summary, row.cost, row.source, row.use_when, row.caveat)
        )
