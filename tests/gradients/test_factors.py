"""The parts of the structured engine on tensors whose answer is known: layouts, ranks, tokens, the walk of the graph."""

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from ntkviz.gradients.gram import GramSum
from ntkviz.gradients.graph import walk
from ntkviz.gradients.layout import Layout, find_layout
from ntkviz.gradients.rank import HeadCompressor, NotRankOne
from ntkviz.gradients.tokens import add_tokens

N, T, D = 4, 3, 5


def numbers(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


class TestLayouts:
    """A batch is made of samples ``[n, T, D]`` in a known way; the layout must take it apart again."""

    samples = numbers(N, T, D)

    def found(self, arrange: Callable[[torch.Tensor], torch.Tensor]) -> Layout | None:
        alone = [[arrange(self.samples[[i, i]])] for i in range(N)]
        return find_layout([arrange(self.samples)], alone)

    @pytest.mark.parametrize(
        ("arrange", "layout", "shape"),
        [
            (lambda x: x, Layout(0, 1), (N, 1, T, D)),
            (lambda x: x.flatten(0, 1), Layout(0, 1), (N, T, D)),
            (lambda x: x.transpose(0, 1).flatten(0, 1), Layout(0, T), (N, T, D)),
            (lambda x: x.transpose(0, 1), Layout(1, 1), (N, T, 1, D)),
            (lambda x: x.movedim(0, 2), Layout(2, 1), (N, T, D, 1)),
            (lambda x: torch.cat([x, x.flip(1)]), Layout(0, 2), (N, 2, T, D)),
            (lambda x: x.repeat_interleave(2, 0), Layout(0, 1), (N, 2, T, D)),
        ],
        ids=["first", "sample by sample", "time by time", "second", "last", "two halves", "repeated"],
    )
    def test_an_arrangement_is_found_and_undone(self, arrange, layout, shape):
        assert self.found(arrange) == layout
        parts = layout.first(arrange(self.samples), N)
        assert parts.shape == shape
        for i in range(N):
            torch.testing.assert_close(parts[i], layout.first(arrange(self.samples[[i, i]]), 2)[0])

    @pytest.mark.parametrize(
        "arrange",
        [
            lambda x: x.flip(0),
            lambda x: x - x.mean(0),
            lambda x: x.sum(0),
            lambda x: x[:, :, 0] @ x[:, :, 0].T,
            lambda x: x.mean(1).T @ x.mean(1),
            lambda x: torch.cat([x[:1], x]),
        ],
        ids=["in another order", "mixed", "summed", "compared", "without the batch", "one more"],
    )
    def test_what_is_no_arrangement_of_samples_has_no_layout(self, arrange):
        assert self.found(arrange) is None

    def test_tensors_of_one_place_share_a_layout(self):
        x = self.samples

        def both(x: torch.Tensor, second: torch.Tensor) -> list[torch.Tensor]:
            return [x.flatten(0, 1), second]

        alone = [both(x[[i, i]], x[[i, i]].flatten(0, 1) ** 2) for i in range(N)]
        assert find_layout(both(x, x.flatten(0, 1) ** 2), alone) == Layout(0, 1)
        turned = [both(x[[i, i]], x[[i, i]].transpose(0, 1).flatten(0, 1)) for i in range(N)]
        assert find_layout(both(x, x.transpose(0, 1).flatten(0, 1)), turned) is None

    def test_rounding_is_no_difference_and_a_thousandth_is_one(self):
        alone = [[self.samples[[i, i]]] for i in range(N)]
        noise = numbers(N, T, D, seed=1).sign() * float(self.samples.abs().max())
        assert find_layout([self.samples + 1e-6 * noise], alone) == Layout(0, 1)
        assert find_layout([self.samples + 3e-3 * noise], alone) is None


class TestCompression:
    """Gradients ``[n, H, q, T]`` with one direction over the H heads for each of the q units."""

    heads, units = 4, 6
    directions = numbers(units, heads, seed=3)
    values = numbers(N, units, T, seed=4)

    def rank_one(self, n: int = N) -> torch.Tensor:
        return torch.einsum("qh,nqt->nhqt", self.directions, self.values[:n])

    def products(self, right: torch.Tensor, unit: int) -> torch.Tensor:
        """What a kernel needs of one unit: ``[n T, n T]``, summed over heads."""
        return torch.einsum("nht,mhs->ntms", right[:, :, unit], right[:, :, unit])

    def test_inner_products_over_heads_are_kept(self):
        right = self.rank_one()
        one = HeadCompressor()(right)
        assert one.shape == (N, 1, self.units, T)
        for unit in range(self.units):
            torch.testing.assert_close(self.products(one, unit), self.products(right, unit), rtol=1e-4, atol=1e-5)

    def test_batches_agree_on_the_directions(self):
        right = self.rank_one()
        compress = HeadCompressor()
        parts = torch.cat([compress(right[:1]), compress(right[1:])])
        for unit in range(self.units):
            torch.testing.assert_close(self.products(parts, unit), self.products(right, unit), rtol=1e-4, atol=1e-5)

    def test_a_unit_that_is_dead_at_first_gets_its_direction_later(self):
        right = self.rank_one()
        right[:2, :, 2:] = 0
        compress = HeadCompressor()
        parts = torch.cat([compress(right[:2]), compress(right[2:])])
        for unit in range(self.units):
            torch.testing.assert_close(self.products(parts, unit), self.products(right, unit), rtol=1e-4, atol=1e-5)

    def test_nothing_at_all_is_compressed_to_nothing(self):
        assert not HeadCompressor()(torch.zeros(N, self.heads, self.units, T)).any()

    @pytest.mark.parametrize("loudness", [1.0, 1e-6])
    def test_a_second_direction_is_refused_however_quiet_its_sample(self, loudness: float):
        right = self.rank_one()
        compress = HeadCompressor()
        compress(right)
        other = right.clone()
        other[1] = loudness * numbers(self.heads, self.units, T, seed=7)
        with pytest.raises(NotRankOne):
            compress(other)

    def test_rounding_is_no_second_direction(self):
        right = self.rank_one()
        HeadCompressor()(right + 1e-7 * numbers(*right.shape, seed=8))


@given(
    seed=st.integers(0, 2**16),
    n_train=st.integers(1, 6),
    n_rows=st.integers(0, 5),
    tokens=st.integers(1, 7),
    rows=st.integers(1, 9),
    heads=st.integers(1, 3),
    square=st.booleans(),
)
def test_sums_over_shared_tokens_are_the_dense_tables_kernel(seed, n_train, n_rows, tokens, rows, heads, square):
    torch.manual_seed(seed)
    n, d = n_train + n_rows, 4
    ids = torch.randint(-1, rows, (n, tokens))  # -1: padding
    right = torch.randn(n, heads, d, tokens)
    total = GramSum(n_train, n_rows, square)
    add_tokens(total, ids, right)
    _assert_is_dense(total, ids, right, rows)


@pytest.mark.parametrize("n", [3, 64, 65, 200])
def test_frequent_and_rare_tokens_are_treated_alike(n: int):
    """One token that all samples share, one of about 64 samples, many of few."""
    g = torch.Generator().manual_seed(0)
    ids = torch.stack(
        [torch.zeros(n, dtype=torch.long), (torch.arange(n) > 64).long() + 1, torch.randint(3, 40, (n,), generator=g)], 1
    )
    right = numbers(n, 2, 3, 3)
    total = GramSum(n - n // 3, n // 3)
    add_tokens(total, ids, right)
    _assert_is_dense(total, ids, right, 40)


def _assert_is_dense(total: GramSum, ids: torch.Tensor, right: torch.Tensor, rows: int) -> None:
    hot = F.one_hot(torch.where(ids < 0, rows, ids), rows + 1)[:, :, :rows].double()
    table = torch.einsum("ntv,nhdt->nhvd", hot, right.double()).flatten(1)
    dense, n = (table @ table.T).numpy(), total.n_train
    train, cross, train_diagonal, rows_diagonal = total.finish()
    if total.square:
        np.testing.assert_allclose(train, dense[:n, :n], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(cross, dense[n:, :n], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(np.concatenate([train_diagonal, rows_diagonal]), np.diag(dense), rtol=1e-4, atol=1e-6)


class TestWalk:
    def uses(self, model: nn.Module, x: torch.Tensor) -> Counter:
        leaves = {id(p): name for name, p in model.named_parameters()}
        return Counter(use.parameter for use in walk(model(x), leaves).uses)

    def test_every_use_of_every_parameter_is_counted(self):
        class Model(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.once, self.thrice, self.unused = nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 6)
                self.scale = nn.Parameter(torch.ones(6))

            def forward(self, x):
                h = self.thrice(self.thrice(self.thrice(x * self.scale))) + self.scale
                return self.once(h)

        found = self.uses(Model(), numbers(2, 6))
        assert found == {"once.weight": 1, "once.bias": 1, "thrice.weight": 3, "thrice.bias": 3, "scale": 2}

    def test_a_transposition_is_no_use_but_is_remembered(self):
        linear, weight = nn.Linear(6, 3, bias=False), nn.Parameter(numbers(6, 3))
        x = numbers(2, 6)
        for output, name, leaf, transposed in (
            (F.linear(x, linear.weight), "linear", linear.weight, True),
            (x @ weight, "matrix", weight, False),
        ):
            (use,) = walk(output, {id(leaf): name}).uses
            assert (use.parameter, use.transposed) == (name, transposed)

    def test_one_tensor_under_two_names_is_one_parameter_with_two_uses(self):
        model = nn.ModuleDict({"a": nn.Linear(6, 6, bias=False), "b": nn.Linear(6, 6, bias=False)})
        model["b"].weight = model["a"].weight
        leaves = {id(p): name for name, p in model.named_parameters()}
        found = walk(model["b"](torch.tanh(model["a"](numbers(2, 6)))), leaves).uses
        assert [use.parameter for use in found] == ["a.weight", "a.weight"]
        assert len({use.node for use in found}) == 2

    def test_a_node_is_walked_once_however_often_its_output_is_used(self):
        weight = nn.Parameter(numbers(6, 6))
        h = numbers(2, 6) @ weight
        trace = walk(torch.tanh(h) * h + h, {id(weight): "weight"})
        assert len(trace.uses) == 1
        assert len(trace.nodes) == len(set(trace.nodes))

    def test_what_is_detached_has_no_use(self):
        weight = nn.Parameter(numbers(6, 6))
        other = nn.Parameter(numbers(6, 6))
        trace = walk((numbers(2, 6) @ weight).detach() @ other, {id(weight): "weight", id(other): "other"})
        assert [use.parameter for use in trace.uses] == ["other"]
