"""What every vector that enters matching must be: of the named space, of the right shape, finite, of unit length.

Shape letters: N, B rows, D embedding.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from models.types import Float32, ShapeError

UNIT_TOLERANCE = 1e-3
"""Largest deviation from unit length: half-float storage of 64 to 256 dimensions stays below 5e-4."""

LEAST_LENGTH = 1e-6
"""Below this what is left of a unit vector is rounding."""


class SpaceMismatch(ValueError):
    """A vector of one embedding space met a gallery of another; their cosine would mean nothing."""

    def __init__(self, expected: str, got: str) -> None:
        super().__init__(f"the gallery holds space {expected!r}, got a vector of space {got!r}: enrol again in {expected!r}")
        self.expected, self.got = expected, got


def unit_rows(vectors_ND: ArrayLike, dim: int | None = None) -> Float32:
    """The argument as a contiguous (N, dim) float32 array. Raises ShapeError if it is not (N, dim), not finite or not of unit length."""
    rows = np.ascontiguousarray(vectors_ND, np.float32)
    if rows.ndim != 2 or (dim is not None and rows.shape[1] != dim):
        raise ShapeError(f"vectors must be (N, {'D' if dim is None else dim}), got {rows.shape}")
    length_N = np.sqrt(np.einsum("nd,nd->n", rows, rows))
    if not (np.abs(length_N - 1.0) < UNIT_TOLERANCE).all():  # false for NaN and infinity too
        worst = int(np.argmax(np.nan_to_num(np.abs(length_N - 1.0), nan=np.inf)))
        raise ShapeError(f"vectors must be finite and of unit length, row {worst} has length {length_N[worst]:.4g}")
    return rows


def unit(vector_D: ArrayLike, dim: int) -> Float32:
    """One vector, as unit_rows."""
    vector = np.asarray(vector_D)
    if vector.ndim != 1:
        raise ShapeError(f"a template's vector must be ({dim},), got {vector.shape}")
    return unit_rows(vector[None], dim)[0]


def leading(vectors_ND: Float32, dim: int) -> Float32:
    """(N, D) unit rows -> (N, dim) unit rows of their first directions; a row that has nothing there becomes the first direction.

    Raises ShapeError as unit_rows, but for rows that are kept whole, which come back as they are.
    """
    if vectors_ND.shape[1] == dim:
        return vectors_ND
    first_ND = unit_rows(vectors_ND)[:, :dim].copy()
    first_ND[np.linalg.norm(first_ND, axis=1) < LEAST_LENGTH] = np.eye(1, dim)
    return np.asarray(first_ND / np.linalg.norm(first_ND, axis=1, keepdims=True), np.float32)
