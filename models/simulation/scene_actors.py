"""Who is in front of a camera and when: motions of walkers put into the world.

A motion begins at its own origin with its own heading; a phone feels neither place nor heading. So a motion may be turned and shifted as a
whole, once per appearance, and what is seen still is what the phone of that walker measures. ``Passage`` shows one motion; ``Commuter`` shows
parts of an endless one, block by block that of ``LivePhone``.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Protocol

import numpy as np
import numpy.typing as npt

from models.simulation.appearance import Dressed, dressed, sample_outfit
from models.simulation.live import BLOCK_S, FADE_S
from models.simulation.mesh import Shape, sample_shape, skinning_matrix
from models.simulation.mesh_pose import MeshPose
from models.simulation.motion import Motion
from models.simulation.walker import LEAD_S, Walker

Array = npt.NDArray[np.float64]
Float32 = npt.NDArray[np.float32]

_SHAPE, _LOOKS, _CLOTHES = 20, 21, 22  # random streams, apart from those of `walker`


@dataclass(frozen=True)
class Figure:
    """A walker dressed for one session, ready for skinning: ``skin_V4B`` and ``point_P4B`` are ``mesh.skinning_matrix``."""

    shape: Shape
    dressed: Dressed
    skin_V4B: Float32
    point_P4B: Float32


@lru_cache(maxsize=256)
def figure_of(seed: int, session: int) -> Figure:
    """The look of walker ``seed`` on the day ``session``: body, skin and hair by the seed, clothes by both."""
    walker = Walker(seed)
    shape = sample_shape(walker.body, np.random.default_rng([_SHAPE, seed]))
    outfit = sample_outfit(shape.female, np.random.default_rng([_CLOTHES, seed, session]))
    clothed = dressed(shape, outfit, np.random.default_rng([_LOOKS, seed]))
    joints_B3 = np.concatenate([shape.joints_B3, shape.points_P3[[9, 10]]])
    points_PB = np.pad(shape.point_weights_PB, ((0, 0), (0, 2)))
    return Figure(
        shape, clothed, skinning_matrix(clothed.mesh.vertices_V3, clothed.mesh.weights_VB, joints_B3),
        skinning_matrix(shape.points_P3, points_PB, joints_B3),
    )  # fmt: skip


@dataclass(frozen=True)
class Posed:
    """One person at one instant: ``transforms`` (4 B, 3) in the world, see ``MeshPose.transforms``; ``velocity_ms`` (3,) of mid-hip;
    ``phase`` of the stride."""

    figure: Figure
    transforms: Array
    velocity_ms: Array
    phase: float


class Actor(Protocol):
    """Somebody who may be in the scene. ``name`` is the identity that truth carries."""

    name: str

    def posed(self, time_ns: int) -> Posed | None:
        """The person at a time; None while it is away."""


def placed(transforms: Array, yaw_rad: float, from_2: Array, to_2: Array) -> Array:
    """Transforms turned about the vertical at ``from_2`` and brought to ``to_2`` (metres on the ground)."""
    c, s = np.cos(yaw_rad), np.sin(yaw_rad)
    turn_33 = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
    rows = transforms.reshape(-1, 4, 3).copy()
    rows[:, 3, :2] -= from_2
    rows = rows @ turn_33.T
    rows[:, 3, :2] += to_2
    return np.asarray(rows.reshape(-1, 3))


class Passage:
    """One motion, seen once: ``begin_ns`` is the first sample of ``walker.record`` with the same arguments.

    Its way from begin to end leads through ``start_m`` into the direction ``heading_rad`` (of the straight line between both ends, or of the
    first step where the person ends where it began).
    """

    def __init__(
        self, walker: Walker, *, begin_ns: int, duration_s: float, start_m: tuple[float, float], heading_rad: float, name: str | None = None,
        session: int = 0, script: str | Sequence[tuple[str, float]] = "walk", take: int = 0, rate_hz: float = 50.0,
    ) -> None:  # fmt: skip
        self.name = name or f"walker-{walker.seed}"
        self.walker, self.session, self.begin_ns, self.duration_s = walker, session, begin_ns, duration_s
        self._start_m, self._heading_rad = np.array(start_m), heading_rad
        self._motion_of = lambda: walker.motion(duration_s=duration_s, session=session, script=script, take=take, rate_hz=rate_hz)

    @cached_property
    def _pose(self) -> MeshPose:
        return MeshPose(figure_of(self.walker.seed, self.session).shape, self._motion_of())

    def posed(self, time_ns: int) -> Posed | None:
        seconds = (time_ns - self.begin_ns) / 1e9
        if not 0.0 <= seconds <= self.duration_s:
            return None
        return shown(
            self._pose,
            self.walker.seed,
            self.session,
            seconds + LEAD_S,
            (LEAD_S, LEAD_S + self.duration_s),
            self._start_m,
            self._heading_rad,
        )


def shown(pose: MeshPose, seed: int, session: int, at_s: float, part_s: tuple[float, float], start_2: Array, heading_rad: float) -> Posed:
    """A part of a motion, ``part_s`` from and to, laid so that it begins at ``start_2`` and leads towards ``heading_rad``."""
    begin_2, end_2 = pose.root_3(part_s[0])[:2], pose.root_3(part_s[1])[:2]
    way_2 = end_2 - begin_2
    if np.hypot(*way_2) < 0.5:
        way_2 = pose.root_3(part_s[0] + 1.0)[:2] - begin_2
    yaw_rad = heading_rad - float(np.arctan2(way_2[1], way_2[0]))
    velocity = (pose.root_3(at_s + 0.02) - pose.root_3(at_s - 0.02)) / 0.04
    c, s = np.cos(yaw_rad), np.sin(yaw_rad)
    velocity_ms = np.array([c * velocity[0] - s * velocity[1], s * velocity[0] + c * velocity[1], velocity[2]])
    return Posed(figure_of(seed, session), placed(pose.transforms(at_s), yaw_rad, begin_2, start_2), velocity_ms, pose.phase(at_s))


@dataclass(frozen=True)
class Visit:
    """A part of somebody's day in front of one camera; start and heading as in ``Passage``."""

    begin_ns: int
    end_ns: int
    start_m: tuple[float, float]
    heading_rad: float


class EndlessMotion:
    """The motion that ``LivePhone(walker, placement, script, start_ns, session=session, rate_hz=rate_hz)`` measures, block after block."""

    def __init__(self, walker: Walker, *, script: str | Sequence[tuple[str, float]], start_ns: int, session: int, rate_hz: float) -> None:
        self.walker, self.start_ns, self.session, self._rate_hz, self._script = walker, start_ns, session, rate_hz, script
        self.block_s = BLOCK_S
        if not isinstance(script, str):
            once_s = sum(seconds for _, seconds in script)
            self.block_s = once_s * float(np.ceil(BLOCK_S / once_s))
        self._begin_phase: list[float | None] = [None]
        self._last: tuple[int, MeshPose] | None = None

    def block(self, index: int) -> MeshPose:
        """Block ``index`` since the start; blocks before it are performed where they were not yet: each begins in the phase that the one
        before ended in."""
        if self._last is not None and self._last[0] == index:
            return self._last[1]
        for k in range(min(index, len(self._begin_phase) - 1), index + 1):
            motion = self.walker.motion(
                duration_s=self.block_s + FADE_S, session=self.session, script=self._script, rate_hz=self._rate_hz, take=k,
                start_phase=self._begin_phase[k],
            )  # fmt: skip
            if k + 1 == len(self._begin_phase):
                self._begin_phase.append(self._phase_of_the_fade(motion))
        self._last = (index, MeshPose(figure_of(self.walker.seed, self.session).shape, motion))
        return self._last[1]

    @cached_property
    def speed_ms(self) -> float:
        """Metres per second of level walking in this session, on average."""
        return mean_speed_ms(self.walker, self.session)

    def _phase_of_the_fade(self, motion: Motion) -> float:
        """As `LivePhone` reads it from the recording: the sample at which the fade begins, in single precision."""
        samples = round((self.block_s + FADE_S) * self._rate_hz)
        at_s = (samples - round(FADE_S * self._rate_hz)) / self._rate_hz
        return float(np.float32(motion.phase_T[round((at_s + LEAD_S) * motion.rate_hz)]))


def mean_speed_ms(walker: Walker, session: int) -> float:
    """Metres per second of a walker's level walking on a day: a short walk is performed and measured."""
    motion = walker.motion(duration_s=4.0, session=session)
    return max(float(np.linalg.norm(motion.root_T3[-1, :2] - motion.root_T3[0, :2]) / motion.time_T[-1]), 0.3)


class Commuter:
    """Somebody whose day never ends and who comes by now and then. ``visits`` must not overlap and lie within single blocks of the motion
    (``EndlessMotion.block_s`` from its start); others are refused with ValueError."""

    def __init__(self, motion: EndlessMotion, visits: Sequence[Visit], name: str | None = None) -> None:
        self.name = name or f"walker-{motion.walker.seed}"
        self.motion, self.visits = motion, sorted(visits, key=lambda v: v.begin_ns)
        block_ns = round(motion.block_s * 1e9)
        for i, v in enumerate(self.visits):
            if v.begin_ns < motion.start_ns or (v.begin_ns - motion.start_ns) // block_ns != (v.end_ns - 1 - motion.start_ns) // block_ns:
                raise ValueError(f"{v} leaves its block of {motion.block_s} s since {motion.start_ns}")
            if i and v.begin_ns < self.visits[i - 1].end_ns:
                raise ValueError(f"{v} begins before {self.visits[i - 1]} ended")
        self._begins = [v.begin_ns for v in self.visits]

    def posed(self, time_ns: int) -> Posed | None:
        i = int(np.searchsorted(self._begins, time_ns, side="right")) - 1
        if i < 0 or time_ns >= self.visits[i].end_ns:
            return None
        v = self.visits[i]
        block_ns = round(self.motion.block_s * 1e9)
        index, into_ns = divmod(time_ns - self.motion.start_ns, block_ns)
        begin_s = LEAD_S + (v.begin_ns - self.motion.start_ns - index * block_ns) / 1e9
        part_s = (begin_s, begin_s + (v.end_ns - v.begin_ns) / 1e9)
        return shown(
            self.motion.block(index), self.motion.walker.seed, self.motion.session, LEAD_S + into_ns / 1e9, part_s, np.array(v.start_m),
            v.heading_rad,
        )  # fmt: skip
