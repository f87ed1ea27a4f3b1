"""The grid against plain interpolation in float64, however the samples were cut into chunks, and whoever else is in the round."""

from collections import deque
from itertools import pairwise

import numpy as np
import pytest
from aiokafka import ConsumerRecord, TopicPartition
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from models.types import GRID_RATE_HZ, GRID_STEP_NS
from streams.messages import ImuChunk
from workers.inertial.grid import Grid
from workers.inertial.ordering import Ordering, Piece
from workers.processor import Incoming

START_NS = 1_790_000_000_003_000_000
SECONDS = 6
RING = 1024


def chunks_of(
    values_N6: NDArray[np.float32], times_ns: NDArray[np.int64], cuts: list[int], overlap: int, rate_hz: float | None
) -> list[ImuChunk]:
    """The samples cut at `cuts`; each chunk but the first begins `overlap` samples early, as publishers with a ring buffer do."""
    bounds = [0, *cuts, len(times_ns)]
    chunks = []
    for seq, (a, b) in enumerate(pairwise(bounds)):
        first = max(0, a - overlap) if seq else 0
        part = slice(first, b)
        chunks.append(
            ImuChunk(
                device_id="d",
                seq=seq,
                start_ns=int(times_ns[first]),
                rate_hz=rate_hz,
                offsets_ns=None if rate_hz else times_ns[part] - times_ns[first],
                acc=values_N6[part, :3],
                gyro=values_N6[part, 3:],
            )
        )
    return chunks


def pieces_of(chunks: list[ImuChunk]) -> list[Piece]:
    """The pieces that come out of the ordering; six seconds are more than it waits for late chunks, so every sample comes out."""
    order = Ordering()
    order.restart("")
    pieces: list[Piece] = []
    for offset, chunk in enumerate(chunks):
        record = ConsumerRecord("t", 0, offset, START_NS // 1_000_000, 0, b"d", b"", 0, 0, 0, ())
        pieces += order.take(Incoming(TopicPartition("t", 0), record, chunk), chunk) or []
    return pieces


@settings(max_examples=60, deadline=None)
@given(data=st.data(), rate_hz=st.sampled_from([20.0, 33.3, 50.0, 52.0, 70.0, 104.0]), own_times=st.booleans(), overlap=st.integers(0, 3))
def test_cutting_does_not_matter(data: st.DataObject, rate_hz: float, own_times: bool, overlap: int) -> None:
    """Slow regular devices are interpolated, the others averaged over grid steps first, however many samples a chunk has."""
    chance = np.random.default_rng(data.draw(st.integers(0, 1000)))
    n = int(SECONDS * rate_hz)
    jitter = chance.uniform(-0.2, 0.2, n) if own_times else np.zeros(n)
    times_ns = START_NS + np.rint((np.arange(n) + jitter) * (1e9 / rate_hz)).astype(np.int64)
    values_N6 = chance.normal(0.0, 5.0, (n, 6)).astype(np.float32)
    cuts = sorted(data.draw(st.sets(st.integers(4, n - 1), max_size=8)))
    pieces = pieces_of(chunks_of(values_N6, times_ns, cuts, overlap, None if own_times else rate_hz))
    grid = Grid(RING, slots=2)
    other, slot = grid.slot(), grid.slot()
    waiting, rounds = deque(pieces), 0
    while waiting:
        chain = [waiting.popleft() for _ in range(min(len(waiting), data.draw(st.integers(1, 4))))]
        neighbour = [pieces[0]] if rounds == 0 else []  # another device in the same round must not matter
        grid.add([other, slot] if neighbour else [slot], [neighbour, chain] if neighbour else [chain])
        rounds += 1
    averaged = own_times or rate_hz > 1.5 * GRID_RATE_HZ
    begin, end = int(grid.begin[slot]), int(grid.end[slot])
    assert begin == times_ns[0] // GRID_STEP_NS + 1
    if not overlap or own_times:  # the regular times of an overlapping chunk differ by a nanosecond of rounding
        assert end >= np.unique(times_ns // GRID_STEP_NS)[-2 if averaged else -1]  # a mean waits for the next step's first sample
    expect_values(grid, slot, times_ns, values_N6, averaged=averaged)


def expect_values(grid: Grid, slot: int, times_ns: NDArray[np.int64], values_N6: NDArray[np.float32], *, averaged: bool) -> None:
    """What lies on the grid is interpolated in float64 between the samples, or between the means of the samples of each grid step."""
    time_N, value_N6 = (times_ns - START_NS).astype(np.float64), values_N6.astype(np.float64)
    if averaged:
        _, step_N, count_K = np.unique(times_ns // GRID_STEP_NS, return_inverse=True, return_counts=True)
        time_N, *columns = (np.bincount(step_N, weights) / count_K for weights in (time_N, *value_N6.T))
        value_N6 = np.stack(columns, axis=1)
    begin, end = int(grid.begin[slot]), int(grid.end[slot])
    index_G = np.arange(begin, end)
    expected_G6 = np.stack([np.interp(index_G * GRID_STEP_NS - START_NS, time_N, value_N6[:, c]) for c in range(6)], axis=1)
    np.testing.assert_allclose(grid.gather(np.array([slot]), np.array([begin]), end - begin)[0], expected_G6, atol=2e-5)


@pytest.mark.parametrize("cuts", [[], [1, 2, 3], [37, 200], [5, 50, 51, 300]])  # in one piece; sample by sample; across and inside steps
def test_fast_devices_are_averaged(cuts: list[int]) -> None:
    """At 100 Hz two samples fall into each grid step: what lies on the grid is interpolated between the steps' means."""
    n = 400
    times_ns = START_NS + np.arange(n) * 10_000_000
    values_N6 = np.random.default_rng(1).normal(0.0, 5.0, (n, 6)).astype(np.float32)
    grid = Grid(RING, slots=1)
    slot = grid.slot()
    for piece in pieces_of(chunks_of(values_N6, times_ns, cuts, 0, 100.0)):
        grid.add([slot], [[piece]])
    steps = np.unique(times_ns // GRID_STEP_NS)
    # The first step begins the segment, the last one is still being gathered.
    assert int(grid.end[slot] - grid.begin[slot]) >= len(steps) - 3
    expect_values(grid, slot, times_ns, values_N6, averaged=True)
