"""Pieces of samples of many devices to values on the absolute 50 Hz grid, all devices at once.

A grid value is the linear interpolation between its two neighbouring samples, so it depends on nothing but them, and how the
samples were cut into chunks does not matter.  Devices faster than the grid, or with times of their own, are averaged over grid steps
first (anti-aliasing).

Shape letters: S slots, R ring, P runs of samples (pieces, and what a slot kept of the one before), N samples of all runs, G grid values.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from models.types import GRID_STEP_NS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from workers.inertial.ordering import Piece


@dataclass(slots=True)
class Runs:
    """Runs of samples, gathered one by one and laid out flat at once: per run its slot, values and times (regular, or its own)."""

    slots: list[int] = field(default_factory=list)
    acc: list[NDArray[np.floating]] = field(default_factory=list)
    gyro: list[NDArray[np.floating]] = field(default_factory=list)
    start_ns: list[int] = field(default_factory=list)
    period_ns: list[float] = field(default_factory=list)
    first: list[int] = field(default_factory=list)
    own_times: list[tuple[int, NDArray[np.int64]]] = field(default_factory=list)

    def add(
        self, slot: int, acc_N3: NDArray[np.floating], gyro_N3: NDArray[np.floating], start_ns: int, period_ns: float, first: int
    ) -> None:
        """A run whose sample i was taken at start + (first + i) periods."""
        self.slots.append(slot)
        self.acc.append(acc_N3)
        self.gyro.append(gyro_N3)
        self.start_ns.append(start_ns)
        self.period_ns.append(period_ns)
        self.first.append(first)

    def add_timed(self, slot: int, acc_N3: NDArray[np.floating], gyro_N3: NDArray[np.floating], times_ns: NDArray[np.int64]) -> None:
        """A run with a time for each sample."""
        self.own_times.append((len(self.slots), times_ns))
        self.add(slot, acc_N3, gyro_N3, 0, 0.0, 0)

    def flat(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
        """Slot (N,), time in ns (N,) and values (N, 6) of every sample, run after run."""
        count_P = np.fromiter(map(len, self.acc), np.int64, len(self.acc))
        begin_P = np.cumsum(count_P) - count_P
        total = int(count_P.sum())
        value_N6 = np.empty((total, 6), np.float32)
        np.concatenate(self.acc, out=value_N6[:, :3], casting="same_kind")
        np.concatenate(self.gyro, out=value_N6[:, 3:], casting="same_kind")
        index_N = np.arange(total) - np.repeat(begin_P - np.array(self.first), count_P)
        time_N = np.repeat(np.array(self.start_ns), count_P)
        time_N += np.rint(index_N * np.repeat(np.array(self.period_ns), count_P)).astype(np.int64)
        for run, times_ns in self.own_times:
            time_N[begin_P[run] : begin_P[run] + count_P[run]] = times_ns
        return np.repeat(np.array(self.slots), count_P), time_N, value_N6


class Grid:
    """A ring of grid values per device slot, and where each slot's contiguous segment begins and ends.

    values_SR6: (slots, ring, 6) float32; grid index g lies at g modulo ring (a power of two).  begin, end: the segment is [begin, end).
    """

    def __init__(self, ring: int, slots: int = 64) -> None:
        assert ring & (ring - 1) == 0, "the ring must be a power of two"
        self.ring = ring
        self.values_SR6 = np.zeros((slots, ring, 6), np.float32)
        self.begin = np.zeros(slots, np.int64)
        self.end = np.zeros(slots, np.int64)
        self._last_ns = np.zeros(slots, np.int64)
        self._last_S16 = np.zeros((slots, 1, 6), np.float32)
        self._broken: set[int] = set()  # slots whose next sample begins a segment
        self._bins: dict[int, tuple[int, float, NDArray[np.float64], int]] = {}
        self._free = list(range(slots - 1, -1, -1))

    def slot(self) -> int:
        """A free slot; the ring grows when there is none."""
        if not self._free:
            old = len(self.begin)
            for name in ("values_SR6", "begin", "end", "_last_ns", "_last_S16"):
                array = getattr(self, name)
                setattr(self, name, np.concatenate([array, np.zeros_like(array)]))
            self._free = list(range(2 * old - 1, old - 1, -1))
        return self._free.pop()

    def release(self, slot: int) -> None:
        """Give a slot back; its values are wiped: they belong to a person."""
        self.values_SR6[slot] = 0.0
        self._last_S16[slot] = 0.0
        self.begin[slot] = self.end[slot] = 0
        self._bins.pop(slot, None)
        self._broken.discard(slot)
        self._free.append(slot)

    def add(self, slots: Sequence[int], pieces: Sequence[Sequence[Piece]]) -> None:
        """Append to each slot its pieces, in time order; only a slot's first piece may break its segment."""
        runs = Runs()
        for slot, chain in zip(slots, pieces, strict=True):
            if chain[0].breaks:
                self._bins.pop(slot, None)
                self._broken.add(slot)
                self.begin[slot] = self.end[slot] = 0
            if slot not in self._broken:
                last_16 = self._last_S16[slot]
                runs.add(slot, last_16[:, :3], last_16[:, 3:], int(self._last_ns[slot]), 0.0, 0)
            for piece in chain:
                a = piece.first
                acc_N3, gyro_N3 = (piece.acc_N3[a:], piece.gyro_N3[a:]) if a else (piece.acc_N3, piece.gyro_N3)
                if piece.averaged:
                    times_ns, mean_N6 = self._thin(slot, piece.times_ns()[a:], np.concatenate([acc_N3, gyro_N3], axis=1, dtype=np.float64))
                    runs.add_timed(slot, mean_N6[:, :3], mean_N6[:, 3:], times_ns)
                elif piece.own_times_ns is not None:
                    runs.add_timed(slot, acc_N3, gyro_N3, piece.own_times_ns[a:])
                else:
                    runs.add(slot, acc_N3, gyro_N3, piece.start_ns, piece.period_ns, a)
        slot_N, time_N, value_N6 = runs.flat()
        if len(time_N):
            self._interpolate(slot_N, time_N, value_N6)

    def _interpolate(self, slot_N: NDArray[np.int64], time_N: NDArray[np.int64], value_N6: NDArray[np.float32]) -> None:
        index_N = time_N // GRID_STEP_NS
        last_rows = np.append(np.flatnonzero(slot_N[1:] != slot_N[:-1]), len(slot_N) - 1)
        first_rows = np.append(0, last_rows[:-1] + 1)
        lasts = slot_N[last_rows]
        if self._broken:
            for slot, row in zip(lasts.tolist(), first_rows.tolist(), strict=True):
                if slot in self._broken:
                    self._broken.discard(slot)
                    self.begin[slot] = self.end[slot] = index_N[row] + 1
        count_N = np.diff(index_N)  # grid values between each sample and the next
        count_N[last_rows[:-1]] = 0
        left_G = np.repeat(np.arange(len(count_N)), count_N)
        nth_G = np.arange(len(left_G)) - np.repeat(np.cumsum(count_N) - count_N, count_N)
        grid_G = index_N[left_G] + 1 + nth_G
        left_ns_G = time_N[left_G]
        weight_G = ((grid_G * GRID_STEP_NS - left_ns_G) / (time_N[left_G + 1] - left_ns_G)).astype(np.float32)
        left_G6 = np.take(value_N6, left_G, axis=0)
        value_G6 = np.take(value_N6, left_G + 1, axis=0)
        value_G6 -= left_G6
        value_G6 *= weight_G[:, None]
        value_G6 += left_G6
        self.values_SR6.reshape(-1, 6)[slot_N[left_G] * self.ring + (grid_G & (self.ring - 1))] = value_G6
        self.end[lasts] = np.maximum(self.end[lasts], index_N[last_rows] + 1)
        self._last_ns[lasts] = time_N[last_rows]
        self._last_S16[lasts, 0] = value_N6[last_rows]

    def _thin(self, slot: int, times_N: NDArray[np.int64], values_N6: NDArray[np.float64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Means over grid steps of a fast device's samples (a step's mean comes out when the next step begins)."""
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
        row_BL = (slot_B * self.ring)[:, None] + ((first_B[:, None] + np.arange(length)) & (self.ring - 1))
        return np.take(self.values_SR6.reshape(-1, 6), row_BL, axis=0)
