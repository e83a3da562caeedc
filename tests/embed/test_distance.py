import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from ntkviz.embed.distance import kernel_distance, query_distances, training_distances


def features(n: int, seed: int = 0, width: int = 5) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, width))


@settings(max_examples=30, deadline=None)
@given(n=st.integers(2, 25), seed=st.integers(0, 9999))
def test_kernel_distance_is_the_distance_of_the_features(n: int, seed: int) -> None:
    x = features(n, seed)
    found = kernel_distance(x @ x.T)
    np.testing.assert_allclose(found, cdist(x, x), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(found, found.T)
    np.testing.assert_array_equal(np.diag(found), 0)


def test_query_distance_is_the_distance_of_the_features() -> None:
    x, z = features(9), features(4, seed=1)
    found = query_distances(z @ x.T, (z**2).sum(axis=1), (x**2).sum(axis=1))
    np.testing.assert_allclose(found.values, cdist(z, x), rtol=1e-5, atol=1e-6)
    assert found.notes == ()


def test_a_normalised_kernel_needs_no_test_diagonal_and_says_what_it_took() -> None:
    x, z = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (features(9), features(4, seed=1)))
    found = query_distances(z @ x.T, None, np.ones(9))
    np.testing.assert_allclose(found.values, cdist(z, x), rtol=1e-5, atol=1e-6)
    assert "taken as 1" in found.notes[0]


def test_an_unnormalised_kernel_without_test_diagonal_is_refused() -> None:
    with pytest.raises(ValueError, match="row_diagonal"):
        query_distances(np.ones((2, 3)), None, np.array([1.0, 2.0, 3.0]))


def test_rounding_is_clipped_counted_and_told() -> None:
    x = features(3).repeat(2, axis=0).astype(np.float32)
    kernel = (x @ x.T).astype(np.float64)
    kernel[0, 1] = kernel[1, 0] = kernel[0, 0] + 1e-7
    found = training_distances(kernel)
    assert found.n_clipped >= 2
    assert found.most_negative < 0
    assert "by rounding" in found.notes[0]
    assert found.values[0, 1] == 0


def test_a_kernel_that_is_not_positive_semidefinite_is_named() -> None:
    found = training_distances(np.array([[1.0, 1.5], [1.5, 1.0]]))
    assert found.n_clipped == 2
    assert "not positive semidefinite" in found.notes[0]


@pytest.mark.parametrize(
    ("rows", "own", "message"),
    [
        (np.ones((2, 4)), np.ones(2), "test against train"),
        (np.ones((2, 3)), np.ones(3), "one number a test point"),
        (np.full((2, 3), np.nan), np.ones(2), "finite"),
    ],
)
def test_rows_that_do_not_fit_are_refused(rows: np.ndarray, own: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        query_distances(rows, own, np.ones(3))
