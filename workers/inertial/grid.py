"""Pieces of samples of many devices to values on the absolute 50 Hz grid, all devices at once.

A grid value is the linear interpolation between its two neighbouring samples, so it depends on nothing but them, and how the
samples were cut into chunks does not matter.  Devices faster than the grid are averaged over grid steps first (anti-aliasing).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from models.types import GRID_RATE_HZ, GRID_STEP_NS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from workers.inertial.ordering import Piece

AVERAGE_FROM_HZ = 1.5 * GRID_RATE_HZ
"""From this rate on several samples fall into one grid step, and picking between two of them would alias."""


class Grid:
    """A ring of grid values per device slot, and where each slot's contiguous segment begins and ends.

    values_SR6: (slots, ring, 6) float32; grid index g lies at g modulo ring.  begin, end: the segment is [begin, end).
    """

    def __init__(self, ring: int, slots: int = 64) -> None:
        self.ring = ring
        self.values_SR6 = np.zeros((slots, ring, 6), np.float32)
        self.begin = np.zeros(slots, np.int64)
        self.end = np.zeros(slots, np.int64)
        self._last_ns = np.zeros(slots, np.int64)
        self._last_S6 = np.zeros((slots, 6), np.float64)
        self._broken: set[int] = set()  # slots whose next sample begins a segment
        self._bins: dict[int, tuple[int, float, NDArray[np.float64], int]] = {}
        self._free = list(range(slots - 1, -1, -1))

    def slot(self) -> int:
        """A free slot; the ring grows when there is none."""
        if not self._free:
            old = len(self.begin)
            for name in ("values_SR6", "begin", "end", "_last_ns", "_last_S6"):
                array = getattr(self, name)
                setattr(self, name, np.concatenate([array, np.zeros_like(array)]))
            self._free = list(range(2 * old - 1, old - 1, -1))
        return self._free.pop()

    def release(self, slot: int) -> None:
        """Give a slot back; its values are wiped: they belong to a person."""
        self.values_SR6[slot] = 0.0
        self.begin[slot] = self.end[slot] = 0
        self._bins.pop(slot, None)
        self._broken.discard(slot)
        self._free.append(slot)

    def add(self, slots: Sequence[int], pieces: Sequence[Sequence[Piece]]) -> None:
        """Append to each slot its pieces, in time order; only a slot's first piece may break its segment."""
        slot_n, times_n, values_n = [], [], []
        for slot, chain in zip(slots, pieces, strict=True):
            if chain[0].breaks:
                self._bins.pop(slot, None)
                self._broken.add(slot)
                self.begin[slot] = self.end[slot] = 0
            if slot not in self._broken:
                slot_n.append(np.array([slot]))
                times_n.append(self._last_ns[slot : slot + 1])
                values_n.append(self._last_S6[slot : slot + 1])
            for piece in chain:
                times, values = self._thin(slot, piece)
                slot_n.append(np.full(len(times), slot))
                times_n.append(times)
                values_n.append(values)
        slot_N, time_N = np.concatenate(slot_n), np.concatenate(times_n)
        if len(time_N):
            self._interpolate(slot_N, time_N, np.concatenate(values_n))

    def _interpolate(self, slot_N: NDArray[np.int64], time_N: NDArray[np.int64], value_N6: NDArray[np.float64]) -> None:
        index_N = time_N // GRID_STEP_NS
        last_of_slot = np.append(slot_N[1:] != slot_N[:-1], True)
        first_of_slot = np.append(True, last_of_slot[:-1])
        for slot, index in zip(slot_N[first_of_slot], index_N[first_of_slot], strict=True):
            if int(slot) in self._broken:
                self._broken.discard(int(slot))
                self.begin[slot] = self.end[slot] = index + 1
        pair = np.flatnonzero(~last_of_slot)
        count = index_N[pair + 1] - index_N[pair]
        left = np.repeat(pair, count)
        grid_G = index_N[left] + 1 + np.arange(len(left)) - np.repeat(np.cumsum(count) - count, count)
        span_G = (time_N[left + 1] - time_N[left]).astype(np.float64)
        weight_G1 = ((grid_G * GRID_STEP_NS - time_N[left]) / span_G)[:, None]
        self.values_SR6[slot_N[left], grid_G % self.ring] = value_N6[left] + weight_G1 * (value_N6[left + 1] - value_N6[left])
        lasts = slot_N[last_of_slot]
        self.end[lasts] = np.maximum(self.end[lasts], index_N[last_of_slot] + 1)
        self._last_ns[lasts] = time_N[last_of_slot]
        self._last_S6[lasts] = value_N6[last_of_slot]

    def _thin(self, slot: int, piece: Piece) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Samples of a piece; of a fast device their means over grid steps (a step's mean comes out when the next step begins)."""
        a, chunk = piece.first, piece.chunk
        times_N, values_N6 = piece.times_ns[a:], np.concatenate([chunk.acc[a:], chunk.gyro[a:]], axis=1, dtype=np.float64)
        rate_hz = chunk.rate_hz or (len(piece.times_ns) - 1) * 1e9 / max(1, int(piece.times_ns[-1] - piece.times_ns[0]))
        if rate_hz < AVERAGE_FROM_HZ:
            return times_N, values_N6
        step_N = times_N // GRID_STEP_NS
        starts = np.flatnonzero(np.append(True, step_N[1:] != step_N[:-1]))
        steps = step_N[starts]
        within = np.add.reduceat((times_N - step_N * GRID_STEP_NS).astype(np.float64), starts)
        sums = np.add.reduceat(values_N6, starts, axis=0)
        counts = np.diff(np.append(starts, len(step_N)))
        if carried := self._bins.pop(slot, None):
            if carried[0] == steps[0]:
                within[0] += carried[1]
                sums[0] += carried[2]
                counts[0] += carried[3]
            else:
                steps, within = np.append(carried[0], steps), np.append(carried[1], within)
                sums, counts = np.concatenate([carried[2][None], sums]), np.append(carried[3], counts)
        self._bins[slot] = (int(steps[-1]), float(within[-1]), sums[-1], int(counts[-1]))
        times = steps[:-1] * GRID_STEP_NS + np.rint(within[:-1] / counts[:-1]).astype(np.int64)
        return times, sums[:-1] / counts[:-1, None]

    def gather(self, slot_B: NDArray[np.int64], first_B: NDArray[np.int64], length: int) -> NDArray[np.float32]:
        """(B, length, 6): the values of slots from grid index `first` on."""
        index_BL = (first_B[:, None] + np.arange(length)) % self.ring
        return self.values_SR6[slot_B[:, None], index_BL]
