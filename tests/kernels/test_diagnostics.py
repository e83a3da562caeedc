import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ntkviz.kernels.diagnostics import (
    alignment,
    centred,
    cka,
    cka_matrix,
    class_contrast,
    class_similarity,
    closest_pairs,
    order_by_class,
    spectrum,
)


def gram(n: int, width: int = 6, seed: int = 0) -> np.ndarray:
    features = np.random.default_rng(seed).normal(size=(n, width))
    return features @ features.T


seeds = st.integers(0, 10_000)


@settings(max_examples=25, deadline=None)
@given(n=st.integers(2, 30), seed=seeds)
def test_eigenvalues_add_up_to_the_trace_and_descend(n: int, seed: int) -> None:
    kernel = gram(n, seed=seed)
    found = spectrum(kernel)
    assert found.eigenvalues.sum() == pytest.approx(np.trace(kernel), rel=1e-10)
    assert (np.diff(found.eigenvalues) <= 0).all()
    assert found.n_numerical_rank == min(n, 6)
    assert found.n_negative == 0


@settings(max_examples=25, deadline=None)
@given(n=st.integers(2, 30), seed=seeds, scale=st.sampled_from([1e-9, 1.0, 1e7]))
def test_ranks_lie_between_one_and_n_and_ignore_the_scale(n: int, seed: int, scale: float) -> None:
    kernel = gram(n, width=n, seed=seed)
    found, scaled = spectrum(kernel), spectrum(kernel * scale)
    assert 1 <= found.participation_ratio <= found.effective_rank + 1e-9 <= n + 1e-6
    assert scaled.effective_rank == pytest.approx(found.effective_rank, rel=1e-6)
    assert scaled.participation_ratio == pytest.approx(found.participation_ratio, rel=1e-6)


def test_spectrum_of_known_kernels() -> None:
    identity = spectrum(np.eye(7))
    assert identity.effective_rank == pytest.approx(7)
    assert identity.participation_ratio == pytest.approx(7)
    assert identity.condition_number == pytest.approx(1)
    rank_one = spectrum(np.ones((5, 5)))
    assert rank_one.effective_rank == pytest.approx(1)
    assert rank_one.condition_number == np.inf
    assert rank_one.n_numerical_rank == 1
    assert spectrum(np.diag([4.0, 2.0, 1.0])).condition_number == pytest.approx(4)


def test_negative_eigenvalues_are_counted_and_kept() -> None:
    found = spectrum(np.diag([3.0, 1.0, -0.5, -0.25]))
    assert found.n_negative == 2
    assert found.eigenvalues[-1] == -0.5
    assert found.condition_number == np.inf


def test_rounding_of_a_float32_kernel_is_not_called_negative() -> None:
    found = spectrum(gram(40, width=3).astype(np.float32))
    assert found.eigenvalues.min() < 0
    assert found.n_negative == 0


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.zeros((2, 3)), "square"),
        (np.zeros((0, 0)), "square"),
        (np.array([[1.0, np.nan], [np.nan, 1.0]]), "finite"),
        (np.array([[1.0, 0.5], [0.0, 1.0]]), "symmetric"),
        (np.zeros((3, 3)), "positive eigenvalue"),
    ],
)
def test_a_matrix_that_is_no_kernel_is_refused(bad: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        spectrum(bad)


def dense_alignment(kernel: np.ndarray, target: np.ndarray) -> float:
    return float((kernel * target).sum() / np.linalg.norm(kernel) / np.linalg.norm(target))


@settings(max_examples=25, deadline=None)
@given(n=st.integers(4, 25), seed=seeds)
def test_alignment_equals_its_dense_definition(n: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    kernel, labels = gram(n, seed=seed), np.concatenate([[0, 1], rng.integers(0, 3, n - 2)])
    one_hot = np.eye(3)[labels]
    same = one_hot @ one_hot.T
    middle = np.eye(n) - 1 / n
    found = alignment(kernel, labels)
    assert found.kta == pytest.approx(dense_alignment(kernel, same), abs=1e-10)
    assert found.centred == pytest.approx(dense_alignment(middle @ kernel @ middle, middle @ same @ middle), abs=1e-8)
    assert found.n_points == n


def test_alignment_is_one_for_the_ideal_kernel_and_ignores_the_scale() -> None:
    labels = np.array([0, 0, 1, 1, 2, 2])
    ideal = (labels[:, None] == labels[None, :]).astype(float)
    assert alignment(ideal * 1e-12, labels).kta == pytest.approx(1)
    assert alignment(ideal * 1e-12, labels).centred == pytest.approx(1)


def test_a_constant_kernel_looks_aligned_until_it_is_centred() -> None:
    found = alignment(np.full((6, 6), 3.0), np.array([0, 0, 0, 1, 1, 1]))
    assert found.kta > 0.7
    assert np.isnan(found.centred)


def test_alignment_with_one_class_has_no_centred_value() -> None:
    assert np.isnan(alignment(gram(5), np.zeros(5, dtype=int)).centred)


@settings(max_examples=25, deadline=None)
@given(n=st.integers(3, 25), seed=seeds, scale=st.floats(0.01, 100), offset=st.floats(-5, 5))
def test_cka_ignores_scale_and_offset_and_is_symmetric(n: int, seed: int, scale: float, offset: float) -> None:
    first, second = gram(n, seed=seed), gram(n, seed=seed + 1)
    assert cka(first, first * scale + offset) == pytest.approx(1, abs=1e-6)
    assert cka(first, second) == pytest.approx(cka(second, first), abs=1e-12)
    assert -1e-12 <= cka(first, second) <= 1


def test_cka_ignores_a_rotation_of_the_features_and_sees_another_kernel() -> None:
    rng = np.random.default_rng(3)
    features = rng.normal(size=(30, 5))
    rotation, _ = np.linalg.qr(rng.normal(size=(5, 5)))
    kernel = features @ features.T
    assert cka(kernel, features @ rotation @ rotation.T @ features.T) == pytest.approx(1)
    assert cka(kernel, gram(30, seed=9)) < 0.7


def test_cka_matrix_holds_every_pair() -> None:
    kernels = {"a": gram(12, seed=1), "b": gram(12, seed=2), "constant": np.ones((12, 12))}
    found = cka_matrix(kernels)
    assert found[0, 1] == found[1, 0] == pytest.approx(cka(kernels["a"], kernels["b"]))
    np.testing.assert_allclose(np.diag(found)[:2], 1)
    assert np.isnan(found[2]).all()


def test_cka_of_different_points_is_refused() -> None:
    with pytest.raises(ValueError, match="same points"):
        cka(gram(4), gram(5))


def test_centring_takes_the_mean_feature_away() -> None:
    features = np.random.default_rng(0).normal(size=(9, 4)) + 5
    moved = features - features.mean(axis=0)
    np.testing.assert_allclose(centred(features @ features.T), moved @ moved.T, atol=1e-10)


@settings(max_examples=25, deadline=None)
@given(n=st.integers(3, 20), seed=seeds)
def test_class_similarity_is_the_mean_over_pairs_of_different_points(n: int, seed: int) -> None:
    kernel, labels = gram(n, seed=seed), np.random.default_rng(seed).integers(0, 3, n)
    found = class_similarity(kernel, labels, n_classes=3)
    for a in range(3):
        for b in range(3):
            pairs = [kernel[i, j] for i in range(n) for j in range(n) if i != j and labels[i] == a and labels[j] == b]
            if pairs:
                assert found[a, b] == pytest.approx(np.mean(pairs), abs=1e-10)
            else:
                assert np.isnan(found[a, b])


def test_class_contrast_separates_within_from_between() -> None:
    labels = np.array([0, 0, 1, 1, 1, 2])
    kernel = np.where(labels[:, None] == labels[None, :], 0.8, 0.1)
    np.fill_diagonal(kernel, 1.0)
    found = class_contrast(kernel, labels)
    assert found.within == pytest.approx(0.8)
    assert found.between == pytest.approx(0.1)
    np.testing.assert_allclose(found.within_class, [0.8, 0.8, np.nan])


@settings(max_examples=60, deadline=None)
@given(labels=st.lists(st.integers(0, 2), min_size=1, max_size=25), k=st.integers(1, 30), seed=seeds, own=st.booleans())
def test_closest_pairs_are_the_first_of_all_pairs_in_order(labels: list[int], k: int, seed: int, own: bool) -> None:
    kernel, y = gram(len(labels), seed=seed), np.array(labels)
    first, second = 0, 0 if own else 1
    every = [(kernel[i, j], i, j) for i in np.flatnonzero(y == first) for j in np.flatnonzero(y == second) if not own or i < j]
    pairs, values = closest_pairs(kernel, y, first, second, k=k)
    best = sorted(every, key=lambda one: -one[0])[:k]
    assert pairs.shape == (len(best), 2)
    np.testing.assert_allclose(values, [one[0] for one in best])
    np.testing.assert_allclose(values, kernel[pairs[:, 0], pairs[:, 1]])
    assert {tuple(pair) for pair in pairs.tolist()} == {(i, j) for _, i, j in best}


def test_pairs_of_what_does_not_fit_are_refused() -> None:
    for kernel, labels, k in ((gram(3)[:2], [0, 1], 1), (gram(3), [0, 1], 1), (gram(3), [0, 1, 1], 0)):
        with pytest.raises(ValueError, match="N labels and k >= 1"):
            closest_pairs(kernel, np.array(labels), 0, 1, k=k)


def test_labels_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ValueError, match="one label a point"):
        class_similarity(gram(4), np.zeros(3, dtype=int))
    with pytest.raises(ValueError, match=r"0\.\.1"):
        class_similarity(gram(3), np.array([0, 1, 2]), n_classes=2)


@settings(max_examples=30, deadline=None)
@given(labels=st.lists(st.integers(0, 4), min_size=1, max_size=40), seed=seeds)
def test_order_by_class_is_a_stable_permutation(labels: list[int], seed: int) -> None:
    y = np.array(labels)
    predictions = np.random.default_rng(seed).integers(0, 3, len(y))
    for order, keys in ((order_by_class(y), y), (order_by_class(y, predictions), y * 10 + predictions)):
        assert sorted(order) == list(range(len(y)))
        sorted_keys = keys[order]
        assert (np.diff(sorted_keys) >= 0).all()
        for value in set(keys.tolist()):
            assert (np.diff(order[sorted_keys == value]) > 0).all()


def test_order_by_class_refuses_predictions_of_another_length() -> None:
    with pytest.raises(ValueError, match="one prediction a label"):
        order_by_class(np.array([0, 1]), np.array([0]))
