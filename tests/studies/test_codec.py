import json
import math
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from ntkviz.errors import StoreCorrupted
from ntkviz.studies.codec import INLINE_NUMBERS, decode, encode


@dataclass(frozen=True)
class Inner:
    value: float
    names: tuple[str, ...]


@dataclass(frozen=True)
class Outer:
    inner: Inner
    array: np.ndarray
    table: dict[int, object]
    nothing: None = None


def there_and_back(value: object) -> object:
    arrays: dict[str, np.ndarray] = {}
    text = json.dumps(encode(value, arrays, name="x"), allow_nan=False)
    return decode(json.loads(text), arrays, classes=[Inner, Outer])


leaves = st.one_of(st.none(), st.booleans(), st.integers(-(2**60), 2**60), st.floats(), st.text(max_size=5))
values = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(st.text(max_size=3) | st.integers(0, 9), inner, max_size=3),
    ),
    max_leaves=8,
)


@settings(deadline=None)
@given(value=values)
def test_plain_values_come_back_with_their_types(value):
    assert repr(there_and_back(value)) == repr(value)


@settings(deadline=None)
@given(array=hnp.arrays(st.sampled_from([np.float32, np.float64, np.int64, np.bool_]), hnp.array_shapes(max_dims=3, max_side=12)))
def test_arrays_come_back_bit_for_bit(array):
    back = there_and_back(array)
    assert isinstance(back, np.ndarray)
    assert (back.dtype, back.shape) == (array.dtype, array.shape)
    # NaN has many bit patterns; they are one number.
    np.testing.assert_array_equal(back, array)


def test_nested_results_come_back():
    value = Outer(Inner(math.nan, ("a", "b")), np.arange(500.0), {3: Inner(math.inf, ()), 7: np.float32(0.1)})
    back = there_and_back(value)
    assert isinstance(back, Outer)
    assert math.isnan(back.inner.value)
    assert back.inner.names == ("a", "b")
    assert back.array.tobytes() == value.array.tobytes()
    assert back.table == value.table
    assert type(back.table[7]) is np.float32


def test_large_arrays_become_files_and_small_ones_stay():
    arrays: dict[str, np.ndarray] = {}
    encode({"large": np.zeros(INLINE_NUMBERS + 1), "small": np.zeros(INLINE_NUMBERS)}, arrays, name="x")
    assert list(arrays) == ["x__0"]


@pytest.mark.parametrize("value", [object(), {1.5: 2}, np.array(["a"]), np.array([None]), {1, 2}, Inner])
def test_what_would_be_lost_is_refused(value):
    with pytest.raises(TypeError, match="expected"):
        encode(value, {}, name="x")


@pytest.mark.parametrize(
    "entry",
    [
        {"class": "Popen", "fields": {}},
        {"class": "Inner", "fields": {"value": 1}},
        {"file": "elsewhere"},
        {"eval": "1"},
    ],
)
def test_unknown_classes_files_and_tags_are_refused(entry):
    with pytest.raises(StoreCorrupted):
        decode(entry, {}, classes=[Inner])
