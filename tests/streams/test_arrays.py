"""Arrays on the wire."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from streams.arrays import WireArray, pack_array, unpack_array

KNOWN = ("<f2", "<f4", "<f8", "<i4", "<i8")


@given(array=st.sampled_from(KNOWN).flatmap(lambda dtype: npst.arrays(dtype, npst.array_shapes(max_dims=4, min_side=0, max_side=4))))
def test_there_and_back(array: np.ndarray) -> None:
    back = unpack_array(pack_array(array))
    assert back.dtype == array.dtype
    np.testing.assert_array_equal(back, array)


def test_memory_layout_and_byte_order_do_not_matter() -> None:
    array = np.arange(12, dtype=np.float32).reshape(3, 4)
    assert pack_array(array) == pack_array(np.asfortranarray(array)) == pack_array(array.astype(">f4")) == pack_array(array.T.copy().T)


@pytest.mark.parametrize("dtype", ["<u1", "<c8", "|O", "<U3", "?"])
def test_other_types_do_not_travel(dtype: str) -> None:
    with pytest.raises(TypeError, match="cannot travel"):
        pack_array(np.zeros(3, dtype))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "expected a map"),
        ([1, 2], "expected a map"),
        ({"dtype": "<f4", "shape": [1]}, "expected a map"),  # data missing
        ({"dtype": "f4", "shape": [1], "data": b"1234"}, "dtype"),  # byte order missing
        ({"dtype": ["<f4"], "shape": [1], "data": b"1234"}, "dtype"),  # not hashable
        ({"dtype": "<f4", "shape": [1], "data": "1234"}, "binary"),
        ({"dtype": "<f4", "shape": 1, "data": b"1234"}, "list"),
        ({"dtype": "<f4", "shape": [1] * 5, "data": b"1234"}, "at most 4"),
        ({"dtype": "<f4", "shape": [-1], "data": b"1234"}, "sizes"),
        ({"dtype": "<f4", "shape": [1.0], "data": b"1234"}, "sizes"),
        ({"dtype": "<f4", "shape": [2], "data": b"1234"}, "needs 8 bytes"),
        ({"dtype": "<f4", "shape": [2**63, 2**63], "data": b"1234"}, "sizes"),
    ],
)
def test_bad_wire_forms_are_named(value: Any, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        unpack_array(value)


@pytest.mark.parametrize("shape", [[0, 2**63], [2**64 - 1, 0], [0, 2**62, 2**62]])
def test_empty_arrays_of_absurd_shape_are_value_errors(shape: list[int]) -> None:
    """Nothing to hold, but numpy cannot count so far."""
    with pytest.raises(ValueError):
        unpack_array({"dtype": "<f4", "shape": shape, "data": b""})


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (np.zeros((5, 2), np.float32), r"\(N, 3\)"),
        (np.zeros(15, np.float32), r"\(N, 3\)"),
        (np.zeros((0, 3), np.float32), "length must be 1..10"),
        (np.zeros((11, 3), np.float32), "length must be 1..10"),
        (np.zeros((5, 3), np.int32), "kind"),
    ],
)
def test_a_field_says_what_it_expected_and_what_came(array: np.ndarray, text: str) -> None:
    with pytest.raises(ValueError, match=text):
        WireArray(ndim=2, last=3, most=10).validate(array)
