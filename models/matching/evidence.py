"""Evidence of one bout of walking: the last windows' embeddings as one vector, and how many independent windows that is worth.

Shape letters: B bouts, K windows of a bout, W windows of all bouts together, D embedding.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.types import Float32, ShapeError

EVIDENCE_WINDOWS = 24
"""Windows that count, about 32 s of walking. What is older does not exist: a worker that restarts re-reads only so much."""

WINDOW_NS = 2_560_000_000
HOP_NS = 1_280_000_000
"""Length of a window and time between the starts of two."""

LEAST_WEIGHT = 1e-3
"""Weight of a window of quality 0: nothing beside a good one, but evidence of bad windows alone still has a direction."""

LEAST_LENGTH = 1e-6
"""Windows that cancel out (mean shorter than this) have no direction; the last window stands for them."""


def combine(
    vectors: Sequence[ArrayLike], qualities: Sequence[ArrayLike], starts_ns: Sequence[ArrayLike] | None = None
) -> tuple[Float32, NDArray[np.float64]]:
    """Per bout its windows (K, D), qualities (K,) and, if given, start times (K,) in time order -> (B, D) unit vectors, (B,) effective windows.

    The vector is the quality-weighted mean of the last EVIDENCE_WINDOWS unit vectors, of unit length again. Effective windows: the time that
    the windows cover together, in windows, so that n overlapping ones in a row count (n + 1) / 2; times Kish's ratio (sum w)² / (K sum w²) of
    the weights w, so that a window that weighs nothing counts nothing; at least 1. Without start times the windows follow each other at the
    hop. A bout's result does not depend on the others. Raises ShapeError for no windows or lengths that do not agree.
    """
    if not vectors:
        return np.zeros((0, 0), np.float32), np.zeros(0)
    parts = [np.asarray(part, np.float32)[-EVIDENCE_WINDOWS:] for part in vectors]
    weights = [np.asarray(part, np.float64)[-EVIDENCE_WINDOWS:] for part in qualities]
    count_B = np.array([len(part) for part in parts])
    times = [np.asarray(part, np.int64)[-EVIDENCE_WINDOWS:] for part in starts_ns] if starts_ns is not None else None
    shapes_agree = all(part.ndim == 2 and part.shape[1] == parts[0].shape[-1] for part in parts)
    if not count_B.all() or not shapes_agree or [len(w) for w in weights] != count_B.tolist():
        raise ShapeError("evidence must be per bout (K >= 1, D) vectors and (K,) qualities")
    if times is not None and [len(t) for t in times] != count_B.tolist():
        raise ShapeError("evidence must have one start time per window")

    first_B = np.concatenate([[0], np.cumsum(count_B)[:-1]])
    vector_WD = np.concatenate(parts).astype(np.float64)
    weight_W = np.maximum(np.concatenate(weights), LEAST_WEIGHT)
    sum_BD = np.add.reduceat(vector_WD * weight_W[:, None], first_B)
    weight_B, square_B = np.add.reduceat(weight_W, first_B), np.add.reduceat(weight_W**2, first_B)

    mean_BD = sum_BD / weight_B[:, None]
    length_B = np.sqrt((mean_BD**2).sum(axis=1))
    cancelled = length_B < LEAST_LENGTH
    mean_BD[cancelled] = vector_WD[(first_B + count_B - 1)[cancelled]]
    length_B[cancelled] = np.sqrt((mean_BD[cancelled] ** 2).sum(axis=1))

    covered_B = covered_windows(count_B, first_B, None if times is None else np.concatenate(times))
    effective_B: NDArray[np.float64] = np.maximum(covered_B * weight_B**2 / (count_B * square_B), 1.0)
    return (mean_BD / length_B[:, None]).astype(np.float32), effective_B


def covered_windows(count_B: NDArray[np.int64], first_B: NDArray[np.int64], start_W: NDArray[np.int64] | None) -> NDArray[np.float64]:
    """(B,) time covered by the windows of each bout together, in lengths of a window."""
    if start_W is None:
        return np.asarray(1.0 + (count_B - 1) * (HOP_NS / WINDOW_NS), np.float64)
    added_W = np.clip(np.diff(start_W, prepend=start_W[:1]), 0, WINDOW_NS)  # what each window adds to those before
    added_W[first_B] = WINDOW_NS
    return np.asarray(np.add.reduceat(added_W, first_B) / WINDOW_NS, np.float64)


def windows_in_a_row(effective_B: ArrayLike) -> NDArray[np.float64]:
    """Number of overlapping windows in a row that are worth so many effective windows: how calibrations count probes."""
    return np.asarray((np.asarray(effective_B, np.float64) - 1.0) * (WINDOW_NS / HOP_NS) + 1.0)
