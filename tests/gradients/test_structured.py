"""Kernels from the factors of layers: which parameters they cover, and that they are the reference whatever way is taken."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from ntkviz.gradients import engine, structured
from ntkviz.gradients.differentiable import Differentiable, held
from ntkviz.gradients.engine import Gram, layer_grams, tangent_gram, unit_heads
from ntkviz.gradients.rank import NotRankOne
from ntkviz.gradients.reference import jacobian_reference, relative_error
from ntkviz.gradients.structured import Structured
from ntkviz.gradients.terms import layer_of
from tests.cases import CASES, Case

N, M = 6, 4
WORST = 2e-5
cases = pytest.mark.parametrize("case", CASES, ids=lambda c: c.name)

#: Cases with parameters whose use is not (yet) known by its factors; all others must be covered altogether.
OTHERWISE = {
    "structured + vmap": """LSTM, transposed conv, transposed conv1d, InstanceNorm, InstanceNorm with statistics, PReLU, PReLU on maps,
        bag of embeddings, sum of embeddings, padded, samples as columns, samples repeated, batch in the groups of a conv,
        addmm with factors, vectors, einsum, mix of layers, own function for torch.func, Fourier filter, U-Net, bilinear,
        written in place, decoder with learnt queries, cross-attention with bias_kv, LSTM both ways""",
    "structured + loop": "hard mixture of experts, own function",
    "loop": "branch on data, packed sequences",
}
#: Models of every kind of term: products, positions, gradients, tokens, several uses of one weight.
MIXED = (
    "mlp",
    "conv",
    "residual with BatchNorm",
    "grouped conv",
    "transformer encoder with padding mask",
    "tied and transposed",
    "tied embedding and readout",
    "linear on tokens",
    "layer and group norm",
    "more classes than features",
)
mixed = pytest.mark.parametrize("name", MIXED)


def case_named(name: str) -> Case:
    return next(c for c in CASES if c.name == name)


def gram(
    model: nn.Module,
    x: torch.Tensor,
    z: torch.Tensor | None = None,
    heads: torch.Tensor | None = None,
    of: Callable[..., Gram] = tangent_gram,
    **options: object,
) -> Gram:
    with held(model, x, z) as (module, (train, rows)):
        assert train is not None
        function = Differentiable(module, train)
        return of(function, train, rows, heads=unit_heads(function) if heads is None else heads.to(function.dtype), **options)


def features(model: nn.Module, x: torch.Tensor, heads: torch.Tensor | None = None) -> np.ndarray:
    """Gradients of the heads, float64 ``[n, H, P]``."""
    jac = jacobian_reference(model, x)
    if heads is None:
        return jac
    return np.einsum("hc,ncp->nhp" if heads.ndim == 2 else "nhc,ncp->nhp", heads.double().numpy(), jac)


def assert_is(found: Gram, of_x: np.ndarray, of_z: np.ndarray | None = None) -> None:
    """A Gram is that of reference features ``[N, H, P]`` and ``[M, H, P]``."""
    a = of_x.reshape(len(of_x), -1)
    own = (a * a).sum(1)
    np.testing.assert_allclose(found.train_diagonal, own, rtol=WORST, atol=1e-30)
    if found.train.size:
        np.testing.assert_array_equal(found.train, found.train.T)
        assert relative_error(found.train, a @ a.T, own, own) < WORST
    if of_z is not None:
        b = of_z.reshape(len(of_z), -1)
        assert relative_error(found.rows, b @ a.T, (b * b).sum(1), own) < WORST
        np.testing.assert_allclose(found.rows_diagonal, (b * b).sum(1), rtol=WORST, atol=1e-30)


@cases
def test_all_but_the_known_exceptions_are_covered_altogether(case: Case):
    paths = {name: path for path, names in OTHERWISE.items() for name in _split(names)}
    with held(case.model(), case.inputs(5)) as (model, (x,)):
        function = Differentiable(model, x)
        coverage = function.coverage
    assert coverage.path == paths.get(case.name, "structured"), [row for row in coverage.parameters if row.reason]
    assert [row.name for row in coverage.parameters] == list(function.sizes)
    assert sum(row.size for row in coverage.parameters) == coverage.n_parameters
    assert all(bool(row.reason) == (row.path != "structured") for row in coverage.parameters)


def test_the_exceptions_are_cases():
    assert set().union(*map(_split, OTHERWISE.values())) <= {c.name for c in CASES}


def _split(names: str) -> list[str]:
    """The names in a text; a name may hold a comma."""
    parts = [part.strip() for part in names.replace("\n", " ").split(",")]
    joined: list[str] = []
    for part in (" ".join(p.split()) for p in parts):
        if joined and part == "padded":
            joined[-1] += ", padded"
        else:
            joined.append(part)
    return joined


@cases
def test_mixes_of_logits_for_each_sample_are_the_reference(case: Case):
    model, x, z = case.model(), case.inputs(N), case.inputs(M, seed=3)
    c = jacobian_reference(model, x[:1]).shape[1]
    heads = torch.randn(N + M, 2, c, generator=torch.Generator().manual_seed(5))
    assert_is(gram(model, x, z, heads), features(model, x, heads[:N]), features(model, z, heads[N:]))
    assert_is(gram(model, x, z, heads[:, :1]), features(model, x, heads[:N, :1]), features(model, z, heads[N:, :1]))


@cases
def test_every_layers_part_is_the_references(case: Case):
    model, x, z = case.model(), case.inputs(N), case.inputs(M, seed=3)
    jac_x, jac_z = jacobian_reference(model, x), jacobian_reference(model, z)
    whole = (jac_x**2).sum((1, 2)), (jac_z**2).sum((1, 2))
    parts = gram(model, x, z, of=layer_grams)
    sizes = {name: p.numel() for name, p in model.named_parameters()}
    owner = np.repeat([layer_of(name) for name in sizes], list(sizes.values()))
    assert list(parts) == list(dict.fromkeys(layer_of(name) for name in sizes))
    for layer, part in parts.items():
        a, b = (jac[:, :, owner == layer].reshape(len(jac), -1) for jac in (jac_x, jac_z))
        assert relative_error(part.train, a @ a.T, whole[0], whole[0]) < WORST, layer
        assert relative_error(part.rows, b @ a.T, whole[1], whole[0]) < WORST, layer


@mixed
def test_more_heads_than_logits_are_the_reference(name: str):
    case = case_named(name)
    model, x, z = case.model(), case.inputs(N), case.inputs(M, seed=3)
    c = jacobian_reference(model, x[:1]).shape[1]
    heads = torch.randn(2 * c + 1, c, generator=torch.Generator().manual_seed(5))
    assert_is(gram(model, x, z, heads), features(model, x, heads), features(model, z, heads))


@mixed
@pytest.mark.parametrize(("n", "m"), [(1, 0), (2, 0), (1, 1), (2, 3), (5, 1)])
def test_few_points_are_no_exception(name: str, n: int, m: int):
    case = case_named(name)
    model, x, z = case.model(), case.inputs(n), case.inputs(m, seed=3) if m else None
    assert_is(gram(model, x, z), features(model, x), None if z is None else features(model, z))


@mixed
def test_rows_without_the_square_are_the_rows(name: str):
    case = case_named(name)
    model, x, z = case.model(), case.inputs(N), case.inputs(M, seed=3)
    found = gram(model, x, z, square=False)
    assert found.train.shape == (0, 0)
    assert_is(found, features(model, x), features(model, z))


@mixed
@pytest.mark.parametrize("largest", [1, 2, 5])
def test_the_size_of_batches_does_not_matter(name: str, largest: int, monkeypatch):
    monkeypatch.setattr(structured, "_LARGEST_BATCH", largest)
    case = case_named(name)
    model, x, z = case.model(), case.inputs(N), case.inputs(M, seed=3)
    assert_is(gram(model, x, z), features(model, x), features(model, z))


@mixed
@pytest.mark.parametrize("numbers", [3, 40, 400])
def test_little_memory_takes_more_passes_and_gives_the_same(name: str, numbers: int, monkeypatch):
    passes = []
    run = Structured.run
    monkeypatch.setattr(Structured, "run", lambda *a: (passes.append(len(a[1])), run(*a))[1])
    monkeypatch.setattr(engine, "room", lambda n, _held, _mb, itemsize: n * itemsize * numbers)
    case = case_named(name)
    model, x, z = case.model(), case.inputs(N), case.inputs(M, seed=3)
    assert_is(gram(model, x, z), features(model, x), features(model, z))
    assert len(passes) > 1 or numbers > 3 or name == "tied and transposed"  # one parameter of it is covered


class Gated(nn.Module):
    """Some samples are ``loudness`` times as loud as the others, and their logits weigh the units otherwise."""

    def __init__(self, loudness: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.inner, self.loud, self.quiet = nn.Linear(6, 5), nn.Linear(5, 3, bias=False), nn.Linear(5, 3, bias=False)
        self.loudness = loudness

    def forward(self, x):
        gate, h = (x[:, :1] > 0).float(), torch.tanh(self.inner(x))
        return self.loudness * gate * self.loud(h) + (1 - gate) * self.quiet(h)


@pytest.mark.parametrize("loudness", [1.0, 1e3])
@pytest.mark.parametrize("largest", [2, 512])
def test_a_layer_that_turns_out_to_need_all_its_heads_is_noticed_and_the_kernel_is_right(
    loudness: float, largest: int, monkeypatch
):
    noticed = []
    run = Structured.run

    def watched(*arguments):
        try:
            yield from run(*arguments)
        except NotRankOne:
            noticed.append(True)
            raise

    monkeypatch.setattr(Structured, "run", watched)
    monkeypatch.setattr(structured, "_LARGEST_BATCH", largest)
    x = torch.randn(12, 6, generator=torch.Generator().manual_seed(0))
    x[:, 0] = torch.tensor([1.0] * 8 + [-1.0] * 4)  # all that is tried before goes through one gate
    model = Gated(loudness)
    assert_is(gram(model, x), features(model, x))
    assert noticed


@pytest.mark.parametrize(
    "name", ["units dead on the first samples", "units dead but on one sample", "channels dead on the first samples"]
)
@pytest.mark.parametrize("largest", [1, 2, 512])
def test_units_may_come_alive_late(name: str, largest: int, monkeypatch):
    monkeypatch.setattr(structured, "_LARGEST_BATCH", largest)
    case = case_named(name)
    model, x, z = case.model(), case.inputs(9), case.inputs(M, seed=3)
    assert_is(gram(model, x, z), features(model, x), features(model, z))


@pytest.mark.parametrize("loudness", [1.0, 1e2, 1e6])
def test_a_quiet_sample_is_as_exact_as_a_loud_one(loudness: float):
    x = torch.randn(12, 6, generator=torch.Generator().manual_seed(0))
    model = Gated(loudness)
    assert_is(gram(model, x), features(model, x))


class Sorting(nn.Module):
    """Puts its samples in order, as recurrent layers do by length, and back again."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.out = nn.Linear(6, 5), nn.Linear(5, 3)

    def forward(self, x):
        order = torch.argsort(x[:, 0])
        return self.out(torch.tanh(self.inner(x[order])))[torch.argsort(order)]


@pytest.mark.parametrize("backwards", [False, True])
def test_samples_that_are_sorted_inside_are_not_taken_for_others(backwards: bool):
    x = torch.randn(8, 6, generator=torch.Generator().manual_seed(0))
    first = x[torch.argsort(x[:, 0], descending=backwards)][:4]
    model, x = Sorting(), torch.cat([first, x])
    assert_is(gram(model, x), features(model, x))


def test_logits_of_few_features_need_no_more_heads_than_features(monkeypatch):
    case = case_named("more classes than features")
    model, x, z = case.model(), case.inputs(N), case.inputs(M, seed=3)
    fewer = []
    real = Structured.readout_heads
    monkeypatch.setattr(Structured, "readout_heads", lambda *a: (fewer.append(real(*a)), fewer[-1])[1])
    assert_is(gram(model, x, z), features(model, x), features(model, z))
    assert all(heads.shape == (4, 4) for heads in fewer)
    monkeypatch.setattr(Structured, "readout_heads", lambda *_: None)
    assert_is(gram(model, x, z), features(model, x), features(model, z))


@pytest.mark.parametrize(("name", "layer", "c"), [("mlp", "2", 3), ("more classes than features", "2", 12), ("conv", "4", 3)])
def test_a_linear_readouts_part_is_c_times_the_conjugate_kernel_and_one(name: str, layer: str, c: int):
    case = case_named(name)
    model, x = case.model(), case.inputs(N)
    h = nn.Sequential(*list(model)[:-1])(x).detach().double().numpy()
    np.testing.assert_allclose(gram(model, x, of=layer_grams)[layer].train, c * (h @ h.T + 1), rtol=1e-5)


@mixed
def test_a_block_has_the_same_bits_whatever_was_computed_before(name: str):
    case = case_named(name)
    x, z = case.inputs(N), case.inputs(M, seed=3)
    block = gram(case.model(), x, z, square=False)
    model = case.model()
    gram(model, z), gram(model, z, x, of=layer_grams), gram(case_named("conv").model(), case_named("conv").inputs(7))
    again = gram(model, x, z, square=False)
    with_square = gram(model, x, z)
    for other in (again, with_square):
        assert block.rows.tobytes() == other.rows.tobytes()
        assert block.rows_diagonal.tobytes() == other.rows_diagonal.tobytes()


@mixed
def test_eight_bits_keep_the_diagonal_and_cosines_to_a_few_thousandths(name: str):
    case = case_named(name)
    assert _error_of_eight_bits(case.model(), case.inputs(20), case.inputs(8, seed=3)) < 4e-3


def test_eight_bits_keep_three_digits_where_there_are_many_columns():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 16, 3), nn.ReLU(), nn.Flatten(), nn.Linear(256, 4))
    assert _error_of_eight_bits(model, torch.randn(20, 3, 8, 8), torch.randn(8, 3, 8, 8)) < 1e-3


def _error_of_eight_bits(model: nn.Module, x: torch.Tensor, z: torch.Tensor) -> float:
    exact, rounded = gram(model, x, z), gram(model, x, z, int8=True)
    np.testing.assert_array_equal(exact.train_diagonal, rounded.train_diagonal)
    np.testing.assert_array_equal(np.diag(exact.train), np.diag(rounded.train))
    own, other = exact.train_diagonal, exact.rows_diagonal
    return max(relative_error(rounded.train, exact.train, own, own), relative_error(rounded.rows, exact.rows, other, own))


_BLOCKS = {
    "linear": lambda a, b: [nn.Linear(a, b)],
    "free linear": lambda a, b: [nn.Linear(a, b, bias=False), nn.Tanh()],
    "conv": lambda a, b: [nn.Unflatten(1, (1, a)), nn.Conv1d(1, b, min(a, 2)), nn.ReLU(), nn.AdaptiveAvgPool1d(1), nn.Flatten()],
    "wide conv": lambda a, b: [nn.Unflatten(1, (a, 1)), nn.Conv1d(a, b, 3, padding=1), nn.GELU(), nn.Flatten()],
    "layer norm": lambda a, b: [nn.LayerNorm(a), nn.Linear(a, b)],
    "batch norm": lambda a, b: [nn.Linear(a, b), nn.BatchNorm1d(b), nn.ReLU()],
    "group norm": lambda a, b: [nn.Linear(a, 2 * b), nn.GroupNorm(2, 2 * b), nn.SiLU(), nn.Linear(2 * b, b)],
}


@given(
    seed=st.integers(0, 2**16),
    blocks=st.lists(st.tuples(st.sampled_from(sorted(_BLOCKS)), st.integers(1, 6)), max_size=4),
    c=st.integers(1, 5),
    n=st.integers(1, 7),
)
def test_the_kernel_of_any_network_is_symmetric_positive_and_the_reference(seed: int, blocks: list, c: int, n: int):
    torch.manual_seed(seed)
    width, layers = 4, []
    for kind, wide in blocks:
        layers += _BLOCKS[kind](width, wide)
        width = wide
    model, x = nn.Sequential(*layers, nn.Linear(width, c)).eval(), torch.randn(n, 4)
    found = gram(model, x)
    assert_is(found, features(model, x))
    assert np.linalg.eigvalsh(found.train.astype(float)).min() > -1e-5 * np.trace(found.train)
