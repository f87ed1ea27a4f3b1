"""Writes folders in the whuGAIT layouts, so that the loaders' tests read real files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

CHANNELS = ("acc_x", "acc_y", "acc_z", "gyr_x", "gyr_y", "gyr_z")


def write_rows(path: Path, rows: Sequence[Sequence[object]] | NDArray, end: str = "\n") -> Path:
    """One line per row, values separated by a blank; repr of a float32 reads back to the very same float32."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes("".join(" ".join(str(value) for value in row) + end for row in rows).encode())
    return path


def write_record(root: Path, x_NT6: NDArray, labels: Sequence[object]) -> Path:
    """The record layout."""
    for channel, name in enumerate(CHANNELS):
        write_rows(root / "record" / f"{name}.txt", x_NT6[:, :, channel])
    write_rows(root / "label.txt", [[label] for label in labels])
    return root


def write_distributed(root: Path, split: str, x_NT6: NDArray, labels: Sequence[object], folder: str = "Inertial Signals") -> Path:
    """The distributed layout; returns the data set's folder, which is the split's parent."""
    for channel, name in enumerate(CHANNELS):
        write_rows(root / split / folder / f"{split}_{name}.txt", x_NT6[:, :, channel])
    write_rows(root / split / f"y_{split}.txt", [[label] for label in labels])
    return root


def samples(count: int, points: int = 128, seed: int = 3) -> NDArray[np.float32]:
    """(count, points, 6) float32."""
    return np.random.default_rng(seed).normal(scale=9.0, size=(count, points, 6)).astype(np.float32)
