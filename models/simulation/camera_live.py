"""Simulated cameras for live use: enrolled walkers and strangers pass through their views for ever, each on the motion of its own phone.

Time is cut into slots. In every slot a camera is passed by one to three people, each of whom is in front of one camera only. A walker's
phone in the demo is ``LivePhone(walker, script=script, start_ns=start_ns, session=session)``: what it measures is what the cameras show.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from models.simulation.camera_noise import frame_times
from models.simulation.camera_view import Camera
from models.simulation.scene import RenderedFrame, Scene, way_across
from models.simulation.scene_actors import Commuter, EndlessMotion, Posed, Visit
from models.simulation.walker import Walker

SLOT_S = 12.0  # a passage takes 5 to 9 s; five slots make one block of a motion
MAX_VISIT_S = 10.5
_CAMERA, _SLOT = 50, 51  # random streams


class _Guest:
    """A walker as one camera meets it: visits are made slot by slot, as time goes by."""

    def __init__(self, motion: EndlessMotion, camera: Camera, at: int, who: int, plan: _Plan, name: str) -> None:
        self.name = name
        self._motion, self._camera, self._at, self._who, self._plan = motion, camera, at, who, plan
        self._now: tuple[int, Commuter | None] | None = None

    def posed(self, time_ns: int) -> Posed | None:
        slot_ns = round(SLOT_S * 1e9)
        slot = (time_ns - self._motion.start_ns) // slot_ns
        if slot < 0:
            return None
        if self._now is None or self._now[0] != slot:
            self._now = (slot, self._visit(slot, slot_ns) if self._plan.where(slot)[self._who] == self._at else None)
        return self._now[1].posed(time_ns) if self._now[1] is not None else None

    def _visit(self, slot: int, slot_ns: int) -> Commuter:
        rng = np.random.default_rng([_SLOT, self._plan.seed, slot, self._who, 1])
        start_m, heading_rad, length_m = way_across(self._camera, rng)
        begin_ns = self._motion.start_ns + slot * slot_ns + round(rng.uniform(0.0, SLOT_S - MAX_VISIT_S) * 1e9)
        seconds = min(length_m / self._motion.speed_ms, MAX_VISIT_S)
        return Commuter(self._motion, [Visit(begin_ns, begin_ns + round(seconds * 1e9), start_m, heading_rad)], self.name)


class _Plan:
    """Who is where in which slot."""

    def __init__(self, people: int, cameras: int, per_camera: float, seed: int) -> None:
        self.people, self.cameras, self.per_camera, self.seed = people, cameras, per_camera, seed

    def where(self, slot: int) -> list[int]:
        """Per person the camera, -1 for none."""
        rng = np.random.default_rng([_SLOT, self.seed, slot])
        out = [-1] * self.people
        for place, who in enumerate(rng.permutation(self.people)[: max(round(self.per_camera * self.cameras), 1)]):
            out[int(who)] = place % self.cameras
        return out


class SimulatedCamera:
    """One camera of a site. ``camera_id``; iterate ``frames()``, or ask ``scene.frame`` for any time."""

    def __init__(self, camera_id: str, scene: Scene, start_ns: int, seed: int, jitter: float, loss: float) -> None:
        self.camera_id, self.scene, self.start_ns = camera_id, scene, start_ns
        self._seed, self._jitter, self._loss = seed, jitter, loss

    def times(self) -> Iterator[tuple[int, int]]:
        """Sequence numbers and capture times, without end; lost frames are missing."""
        return frame_times(self.scene.camera.fps, self.start_ns, self._seed, jitter=self._jitter, loss=self._loss)

    def frames(self) -> Iterator[tuple[int, RenderedFrame]]:
        """Sequence number and picture, without end, as fast as they are asked for."""
        for number, time_ns in self.times():
            yield number, self.scene.frame(time_ns)


def sample_camera(rng: np.random.Generator, *, width_px: int = 640, height_px: int = 360, fps: float = 12.5) -> Camera:
    """A surveillance camera somewhere: 2.2 to 3.5 m high, 50 to 75 degrees wide, looking down at people 4 to 8 m away; any side."""
    height_m = float(rng.uniform(2.2, 3.5))
    focal_px = width_px / 2.0 / float(np.tan(np.radians(rng.uniform(50.0, 75.0)) / 2.0))
    return Camera(
        width_px=width_px, height_px=height_px, focal_px=focal_px, position_m=(0.0, 0.0, height_m), yaw_rad=float(rng.uniform(-np.pi, np.pi)),
        pitch_rad=float(np.arctan2(height_m - 0.9, rng.uniform(5.5, 8.0))), exposure_s=float(rng.uniform(0.004, 0.02)),
        noise=float(rng.uniform(1.5, 5.0)), gain=float(rng.uniform(0.75, 1.15)), fps=fps,
    )  # fmt: skip


def view_of(seed: int, camera: int, *, width_px: int = 640, height_px: int = 360, fps: float = 12.5) -> Camera:
    """Where camera number `camera` of the site `seed` stands."""
    return sample_camera(np.random.default_rng([_CAMERA, seed, camera]), width_px=width_px, height_px=height_px, fps=fps)


def simulated_cameras(
    cameras: int = 2, walkers: Sequence[Walker] = (), strangers: Sequence[Walker] = (), *, seed: int = 0, start_ns: int = 0, session: int = 0,
    script: str | Sequence[tuple[str, float]] = "walk", fps: float = 12.5, people_per_camera: float = 2.0, width_px: int = 640,
    height_px: int = 360, jitter: float = 0.15, loss: float = 0.02, phone_hz: float = 50.0,
) -> list[SimulatedCamera]:  # fmt: skip
    """Cameras ``camera-0``... with ``walkers`` (names ``walker-SEED``) and ``strangers`` (``stranger-SEED``) coming and going.

    ``script`` must be one whose blocks are a multiple of ``SLOT_S`` long (named scripts are). Raises ValueError for numbers below one, for
    nobody at all, and for other scripts.
    """
    everybody = [(w, f"walker-{w.seed}") for w in walkers] + [(w, f"stranger-{w.seed}") for w in strangers]
    if cameras < 1 or not everybody or not people_per_camera > 0:
        raise ValueError(f"cameras, people and people_per_camera must be positive, got {cameras}, {len(everybody)} and {people_per_camera}")
    plan = _Plan(len(everybody), cameras, people_per_camera, seed)
    out = []
    for c in range(cameras):
        camera = view_of(seed, c, width_px=width_px, height_px=height_px, fps=fps)
        guests = []
        for i, (walker, name) in enumerate(everybody):
            motion = EndlessMotion(walker, script=script, start_ns=start_ns, session=session, rate_hz=phone_hz)
            if abs(motion.block_s / SLOT_S - round(motion.block_s / SLOT_S)) > 1e-6:
                raise ValueError(f"blocks of {motion.block_s} s are no multiple of {SLOT_S} s: use a named script or another length")
            guests.append(_Guest(motion, camera, c, i, plan, name))
        out.append(SimulatedCamera(f"camera-{c}", Scene(guests, camera, seed=seed * 1000 + c), start_ns, seed * 1000 + c, jitter, loss))
    return out
