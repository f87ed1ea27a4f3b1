"""The first directions of unit vectors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.matching.vectors import leading
from models.types import ShapeError


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 6), st.integers(1, 9), st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_first_directions_at_unit_length(rows: int, dim: int, kept: int, seed: int) -> None:
    vectors = np.random.default_rng(seed).standard_normal((rows, max(dim, kept))).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    out = leading(vectors, kept)
    assert out.shape == (rows, kept) and out.dtype == np.float32
    assert np.allclose(np.linalg.norm(out, axis=1), 1.0, atol=1e-6)
    assert np.allclose(out * np.linalg.norm(vectors[:, :kept], axis=1, keepdims=True), vectors[:, :kept], atol=1e-6)


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ((0.0, 0.0, 1.0), (1.0, 0.0)),  # nothing left: still a unit vector
        ((0.6, 0.0, 0.8), (1.0, 0.0)),  # what is left fills the length
        ((0.0, -1.0, 0.0), (0.0, -1.0)),  # all of it is there
    ],
)
def test_rows(row: tuple[float, ...], expected: tuple[float, ...]) -> None:
    assert leading(np.array([row], np.float32), 2)[0] == pytest.approx(expected)


@pytest.mark.parametrize(
    "row",
    [
        (0.0, 0.0, 0.0),  # not a direction
        (0.6, 0.0, 0.6),  # not of unit length
        (np.nan, 0.0, 1.0),  # not a number
    ],
)
def test_what_is_no_embedding_is_not_made_one(row: tuple[float, ...]) -> None:
    with pytest.raises(ShapeError):
        leading(np.array([row], np.float32), 2)


def test_all_directions_are_the_vectors_themselves() -> None:
    vectors = np.eye(3, dtype=np.float32)
    assert leading(vectors, 3) is vectors
