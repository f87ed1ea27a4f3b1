"""Phones that never stop: one that follows a script for ever, and a pool that plays thousands cheaply.

``LivePhone`` is a person of its own: blocks of its script are rendered one after the other and joined in step. ``PhonePool`` is for load: a
few dozen recordings of distinct walkers are rendered once, closed to loops, and every phone of the pool plays one of them from its own
offset and in its own orientation. So a pool has as many gaits as recordings, not as phones; it is not for questions of identity.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from models.simulation.noise import smoothstep
from models.simulation.rotation import random_rotation
from models.simulation.walker import SimulatedRecording, Walker

Float32 = npt.NDArray[np.float32]

BLOCK_S = 60.0
FADE_S = 0.4  # blocks meet in the same phase of the stride; the fade hides what else differs (slip, sway, a script cut off)


class LivePhone:
    """An endless stream from one walker; the same arguments give the same stream however it is cut into chunks.

    ``next_ns``: time of the first sample of the next chunk; ``walk_N`` and ``act_N``: labels of the last chunk.
    """

    def __init__(
        self, walker: Walker, placement: str = "pocket_front", script: str | Sequence[tuple[str, float]] = "walk", start_ns: int = 0,
        *, session: int = 0, rate_hz: float = 50.0,
    ) -> None:  # fmt: skip
        self.walker, self.placement, self.script, self.session, self.rate_hz = walker, placement, script, session, rate_hz
        self._start_ns = start_ns
        self._block_s = BLOCK_S
        if not isinstance(script, str):  # a list is repeated: blocks end where it ends
            once_s = sum(seconds for _, seconds in script)
            self._block_s = (
                once_s * np.ceil(BLOCK_S / once_s) if once_s > 0 else BLOCK_S
            )  # record() explains what is wrong with an empty list
        self._fade = round(FADE_S * rate_hz)
        self._asked_s, self._sent, self._take = 0.0, 0, 0
        self._tail: SimulatedRecording | None = None
        self._ready_N8 = np.empty((0, 8), np.float32)
        self.walk_N: npt.NDArray[np.uint8] = np.empty(0, np.uint8)
        self.act_N: npt.NDArray[np.int8] = np.empty(0, np.int8)

    @property
    def next_ns(self) -> int:
        return self._start_ns + round(self._sent * 1e9 / self.rate_hz)

    def chunk(self, seconds: float = 1.0) -> tuple[Float32, Float32]:
        """The next ``seconds``: acceleration (N, 3) in m/s² and angular rate (N, 3) in rad/s. N follows the running total, so nothing is
        lost to rounding."""
        if not seconds > 0:
            raise ValueError(f"seconds must be positive, got {seconds}")
        self._asked_s += seconds
        n = round(self._asked_s * self.rate_hz) - self._sent
        while len(self._ready_N8) < n:
            self._render()
        out_N8, self._ready_N8 = self._ready_N8[:n], self._ready_N8[n:]
        self._sent += n
        self.walk_N, self.act_N = out_N8[:, 6].astype(np.uint8), out_N8[:, 7].astype(np.int8)
        return out_N8[:, :3].copy(), out_N8[:, 3:6].copy()

    def _render(self) -> None:
        """One more block, faded into the end of the one before."""
        begin = None if self._tail is None else float(self._tail.phase_N[-self._fade])
        block = self.walker.record(
            duration_s=self._block_s + FADE_S, session=self.session, placement=self.placement, script=self.script, rate_hz=self.rate_hz,
            take=self._take, start_phase=begin,
        )  # fmt: skip
        block_N8 = _table(block)
        if self._tail is not None:
            block_N8[: self._fade] = _faded(_table(self._tail)[-self._fade :], block_N8[: self._fade])
        self._ready_N8 = np.concatenate([self._ready_N8, block_N8[: -self._fade]])
        self._tail, self._take = block, self._take + 1


def _table(recording: SimulatedRecording) -> Float32:
    """Acceleration, angular rate and the two labels side by side."""
    return np.concatenate([recording.acc_N3, recording.gyro_N3, recording.walk_N[:, None], recording.act_N[:, None]], axis=1).astype(
        np.float32
    )


def _faded(old_N8: Float32, new_N8: Float32) -> Float32:
    share = smoothstep(np.linspace(0.0, 1.0, len(old_N8)))[:, None].astype(np.float32)
    out = old_N8 * (1.0 - share) + new_N8 * share
    out[:, 6:] = np.where(share < 0.5, old_N8[:, 6:], new_N8[:, 6:])
    return out


class PhonePool:
    """Any number of phones from ``recordings`` distinct walkers, each a loop of ``loop_s``; stateless: ask for any phones at any second.

    ``scripts`` are dealt out in turn; ``walking_share``: share of the samples of all loops that are level walking.
    """

    def __init__(
        self, recordings: int = 32, loop_s: float = 120.0, scripts: Sequence[str] = ("daily",), *, first_seed: int = 0,
        rate_hz: float = 50.0, placement: str = "pocket_front",
    ) -> None:  # fmt: skip
        if recordings < 1 or not loop_s > 2 * FADE_S:
            raise ValueError(f"a pool needs recordings >= 1 and loop_s > {2 * FADE_S}, got {recordings} and {loop_s}")
        self.rate_hz, self._first_seed = rate_hz, first_seed
        fade = round(FADE_S * rate_hz)
        loops = []
        for i in range(recordings):
            table_N8 = _table(
                Walker(first_seed + i).record(
                    duration_s=loop_s + FADE_S, script=scripts[i % len(scripts)], placement=placement, rate_hz=rate_hz
                )
            )
            table_N8[:fade] = _faded(table_N8[-fade:], table_N8[:fade])
            loops.append(table_N8[:-fade])
        self._loops_RN8 = np.stack(loops)
        self.walking_share = float((self._loops_RN8[:, :, 6] == 1).mean())

    def _phone(self, phone: int) -> tuple[int, Float32]:
        """A phone's offset in samples and its orientation."""
        rng = np.random.default_rng([self._first_seed, phone])
        return int(rng.integers(self._loops_RN8.shape[1])), random_rotation(rng).astype(np.float32)

    def phones(self, ids: Sequence[int]) -> PooledPhones:
        """A fixed set of phones, prepared for repeated reading."""
        settings = [self._phone(i) for i in ids]
        which = np.array([i % len(self._loops_RN8) for i in ids])
        return PooledPhones(self._loops_RN8, which, np.array([s[0] for s in settings]), np.stack([s[1] for s in settings]), self.rate_hz)


class PooledPhones:
    """B phones of a pool: ``chunk(k)`` is their second k since they were switched on."""

    def __init__(
        self, loops_RN8: Float32, which_B: npt.NDArray[np.int64], offset_B: npt.NDArray[np.int64], turn_B33: Float32, rate_hz: float
    ) -> None:
        self._loops_RN8, self._which_B, self._offset_B, self._turn_B33, self._rate_hz = loops_RN8, which_B, offset_B, turn_B33, rate_hz

    def chunk(self, index: int, seconds: float = 1.0) -> tuple[Float32, Float32, npt.NDArray[np.uint8]]:
        """Chunk ``index`` of length ``seconds``: acceleration (B, N, 3) in m/s², angular rate (B, N, 3) in rad/s, and the walking label (B,
        N)."""
        first, last = round(index * seconds * self._rate_hz), round((index + 1) * seconds * self._rate_hz)
        at_BN = (self._offset_B[:, None] + np.arange(first, last)) % self._loops_RN8.shape[1]
        part_BN8 = self._loops_RN8[self._which_B[:, None], at_BN]
        acc = part_BN8[:, :, :3] @ self._turn_B33
        gyro = part_BN8[:, :, 3:6] @ self._turn_B33
        return acc, gyro, part_BN8[:, :, 6].astype(np.uint8)
