"""What a chunk must satisfy before its samples are used: values a sensor can give, the promised units, a possible time."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from streams.errors import BadClock, BadMessage, BadValues

if TYPE_CHECKING:
    from collections.abc import Sequence

    from streams.messages import ImuChunk

MOST_ACC_MS2 = 320.0
"""32 g per axis, the widest range of consumer accelerometers; milli-g (1000 at rest) lies far above."""

MOST_GYRO_RADS = 70.0
"""4000 degrees/s, the widest range of consumer gyroscopes; walking in degrees/s exceeds it within a stride."""

LEAST_MEAN_ACC_MS2 = 4.0
"""Mean |acc| over half a second is 9.8 at rest and never far below on a body; in g it is 1, without gravity 0 to 3."""

UNITS_FROM_S = 0.5
"""Shorter chunks may lie inside the flight phase of a run, where |acc| is really small; blocks are checked again when cut."""

LONGEST_CHUNK_NS = 60_000_000_000


def check_times(chunk: ImuChunk, received_ns: int, clock_ahead_s: float) -> BadMessage | None:
    """Whether the times of a chunk are possible: increasing, not ahead of the broker's clock."""
    if chunk.offsets_ns is not None:
        offsets = chunk.offsets_ns
        # Bounds first: differences of 64-bit integers wrap.
        if offsets.min() < 0 or offsets.max() > LONGEST_CHUNK_NS or (np.diff(offsets) <= 0).any():
            return BadClock("offsets_ns must increase from 0 to at most 60 s", reason="clock_order", path="offsets_ns")
    ahead_s = (end_ns(chunk) - received_ns) / 1e9
    if ahead_s > clock_ahead_s:
        return BadClock(f"the chunk ends {ahead_s:.0f} s after the broker received it", reason="clock_ahead", path="start_ns")
    return None


def end_ns(chunk: ImuChunk) -> int:
    """Time of the last sample."""
    if chunk.offsets_ns is not None:
        return chunk.start_ns + int(chunk.offsets_ns[-1])
    return chunk.start_ns + round((len(chunk.acc) - 1) * (1e9 / chunk.rate_hz))  # type: ignore[operator]


def check_values(chunks: Sequence[ImuChunk]) -> list[BadMessage | None]:
    """For each chunk of a batch why its values cannot be used, or None.  One pass over all samples."""
    if not chunks:
        return []
    lengths = np.fromiter((len(c.acc) for c in chunks), np.int64, len(chunks))
    starts = np.concatenate(([0], np.cumsum(lengths)[:-1]))
    with np.errstate(invalid="ignore", over="ignore"):
        # One type, whatever each device sends: the sums must not depend on who else is in the batch.
        acc_N3 = np.concatenate([c.acc for c in chunks], dtype=np.float32, casting="same_kind")
        gyro_N3 = np.concatenate([c.gyro for c in chunks], dtype=np.float32, casting="same_kind")
        # Lengths of the vectors: no axis exceeds them, so whoever is inside the range by length is inside on every axis.
        acc_N = np.sqrt(np.einsum("nc,nc->n", acc_N3, acc_N3))
        gyro_N = np.sqrt(np.einsum("nc,nc->n", gyro_N3, gyro_N3))
        most_acc, most_gyro = np.maximum.reduceat(acc_N, starts), np.maximum.reduceat(gyro_N, starts)
        mean_acc = np.add.reduceat(acc_N, starts) / lengths
        fine = (most_acc <= MOST_ACC_MS2) & (most_gyro <= MOST_GYRO_RADS) & (mean_acc >= LEAST_MEAN_ACC_MS2)
    if fine.all():
        return [None] * len(chunks)
    return [None if ok else _why(chunk, float(mean)) for chunk, mean, ok in zip(chunks, mean_acc, fine, strict=True)]


def _why(chunk: ImuChunk, mean_acc: float) -> BadMessage | None:
    # NaN and infinity propagate through the maxima, so they are told apart here, off the fast path.
    for path, values in (("acc", chunk.acc), ("gyro", chunk.gyro)):
        if not np.isfinite(values).all():
            return BadValues(f"{path} holds NaN or infinity", reason="not_finite", path=path)
    most_acc, most_gyro = float(np.abs(chunk.acc).max()), float(np.abs(chunk.gyro).max())
    if most_gyro > MOST_GYRO_RADS:
        text = f"angular rate reaches {most_gyro:.0f}: no gyroscope gives that in rad/s; degrees/s are not accepted"
        return BadValues(text, reason="units", path="gyro")
    if most_acc > MOST_ACC_MS2:
        return BadValues(f"acceleration reaches {most_acc:.0f} m/s²: beyond 32 g", reason="range", path="acc")
    if mean_acc < LEAST_MEAN_ACC_MS2 and (end_ns(chunk) - chunk.start_ns) / 1e9 >= UNITS_FROM_S:
        return wrong_acc_units(mean_acc)
    return None


def wrong_acc_units(mean_acc: float) -> BadValues:
    """The answer to acceleration that cannot be in m/s² with gravity."""
    text = f"mean |acc| is {mean_acc:.2f}: in m/s² with gravity it is near 9.8; g, or acceleration without gravity, is not accepted"
    return BadValues(text, reason="units", path="acc")
