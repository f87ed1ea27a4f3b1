"""The gait energy image: the mean silhouette of a window, the baseline that a silhouette network has to beat.

Source: Han and Bhanu, "Individual Recognition Using Gait Energy Image", IEEE TPAMI 28(2), 2006. Compared by cosine after the mean image of
other people has been taken away.  Shape letters: B batch, T steps, H x W 64 x 44, D = H W.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.types import SILHOUETTE_SHAPE, Float32


def gait_energy(masks_BTHW: NDArray[np.bool_]) -> Float32:
    """(B, 64, 44) float32 in 0..1: the mean over the steps at which somebody was seen; zero where nobody was."""
    if masks_BTHW.ndim != 4 or masks_BTHW.shape[2:] != SILHOUETTE_SHAPE:
        raise ValueError(f"masks must be (B, T, {SILHOUETTE_SHAPE[0]}, {SILHOUETTE_SHAPE[1]}), got {masks_BTHW.shape}")
    seen_BT = masks_BTHW.any(axis=(2, 3))
    count_B = np.maximum(seen_BT.sum(axis=1), 1)
    return np.asarray(masks_BTHW.sum(axis=1, dtype=np.float32) / count_B[:, None, None], np.float32)


class GaitEnergy:
    """Gait energy images as unit vectors, centred by those of people to compare with."""

    def __init__(self, masks_BTHW: NDArray[np.bool_]) -> None:
        """masks_BTHW: windows of those people."""
        self._mean_D = gait_energy(masks_BTHW).reshape(len(masks_BTHW), -1).mean(axis=0)

    def embed(self, masks_BTHW: NDArray[np.bool_]) -> Float32:
        """(B, 2816) unit rows."""
        row_BD = gait_energy(masks_BTHW).reshape(len(masks_BTHW), -1) - self._mean_D
        return np.asarray(row_BD / np.maximum(np.linalg.norm(row_BD, axis=1, keepdims=True), 1e-9), np.float32)
