"""A camera's picture of simulated people at any time, and the truth about everybody in it. Start reading here for the camera's side.

scene = Scene(walkers=[Walker(1), Walker(2)], camera=Camera(), seed=3)
frame = scene.frame(time_ns=1_000_000_000)

Legend: H, W picture, P people in the picture (far to near does not matter: the order is that of ``walkers``), 4 box, 17 key points (COCO).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.simulation.camera_noise import SensorNoise
from models.simulation.camera_view import Camera
from models.simulation.render_background import background, cast_shadow
from models.simulation.render_person import Light, blurred, hidden_by_itself, lay_over, lit_colours, paint
from models.simulation.scene_actors import Actor, Passage, Posed, mean_speed_ms
from models.simulation.walker import Walker

Array = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]

_PLACE, _LIGHT, _NOISE, _WAYS = range(30, 34)  # random streams
VISIBLE, HIDDEN, OUTSIDE = 2.0, 1.0, 0.0  # third column of joints, as COCO counts
MIN_PIXELS = 12  # of a person's visible part; with fewer it is not in the picture


@dataclass(frozen=True)
class RenderedFrame:
    """``image_HW3`` BGR; ``boxes_P4`` x0, y0, x1, y1 in pixels around the visible part of each person; ``joints_P17x3`` u, v in pixels and 2
    visible, 1 hidden by a body or thing, 0 outside the picture; ``masks_PHW`` the visible part; ``full_masks_PHW`` as if nobody stood in
    front; ``people`` names; ``depth_m_P`` of mid-hip; ``phase_P`` of the stride (left heel strikes at integers)."""

    time_ns: int
    image_HW3: Pixels
    boxes_P4: Array
    joints_P17x3: Array
    masks_PHW: npt.NDArray[np.bool_]
    full_masks_PHW: npt.NDArray[np.bool_]
    people: list[str]
    depth_m_P: Array
    phase_P: Array


class Scene:
    """People in front of a camera that stands still. ``walkers``: actors, or walkers, who then cross the view to and fro for ever.

    ``seed``: place, light and noise; the same arguments give the same frame at the same time, in whatever order frames are asked for.
    Raises ValueError where two people have one name.
    """

    def __init__(self, walkers: Sequence[Walker | Actor], camera: Camera, seed: int = 0) -> None:
        self.camera, self.seed = camera, seed
        self.actors: list[Actor] = [Crossing(w, camera, [_WAYS, seed, i]) if isinstance(w, Walker) else w for i, w in enumerate(walkers)]
        names = [a.name for a in self.actors]
        if len(set(names)) < len(names):
            raise ValueError(f"two people have one name: {sorted(names)}")
        self._background_HW3 = background(camera, np.random.default_rng([_PLACE, seed]))
        rng = np.random.default_rng([_LIGHT, seed])
        around, up = rng.uniform(0.0, 2 * np.pi), rng.uniform(0.75, 1.35)
        self._light = Light(np.array([np.cos(up) * np.cos(around), np.cos(up) * np.sin(around), np.sin(up)]), float(rng.uniform(0.5, 0.75)))
        self._shadow = float(rng.uniform(0.15, 0.5))
        self._noise = SensorNoise(camera, np.random.default_rng([_NOISE, seed]))

    def frame(self, time_ns: int) -> RenderedFrame:
        """The picture taken at ``time_ns``."""
        camera = self.camera
        image_HW3 = self._background_HW3.copy()
        there = [(i, posed) for i, actor in enumerate(self.actors) if (posed := actor.posed(time_ns)) is not None]
        for _, posed in there:
            cast_shadow(image_HW3, posed.transforms[3::4], camera, self._light.towards_3, self._shadow)
        depth_m = camera.seen(np.array([p.transforms[3] for _, p in there]).reshape(-1, 3))[:, 2]
        full: dict[int, npt.NDArray[np.bool_]] = {}
        joints: dict[int, Array] = {}
        order = np.argsort(-depth_m, kind="stable")
        for k in order:  # far to near
            posed = there[k][1]
            vertices_V3 = (posed.figure.skin_V4B @ posed.transforms.astype(np.float32)).astype(np.float64)
            pixels_V3 = camera.project(vertices_V3)
            clothed = posed.figure.dressed
            patch = paint(clothed, vertices_V3, pixels_V3, lit_colours(clothed, vertices_V3, self._light, camera.gain), camera)
            if patch is None:
                continue
            full[k] = lay_over(image_HW3, blurred(patch, *self._smear(posed)))
            points_P3 = camera.project((posed.figure.point_P4B @ posed.transforms.astype(np.float32)).astype(np.float64))
            behind_P = hidden_by_itself(clothed, pixels_V3, points_P3)
            joints[k] = np.column_stack([points_P3[:, :2], np.where(behind_P, HIDDEN, VISIBLE)])
        visible: dict[int, npt.NDArray[np.bool_]] = {}
        covered_HW = np.zeros(image_HW3.shape[:2], bool)
        for k in order[::-1]:  # near to far
            if k not in full:
                continue
            visible[k] = full[k] & ~covered_HW
            joints[k][_inside(joints[k], covered_HW), 2] = HIDDEN
            covered_HW |= full[k]
            out = (np.round(joints[k][:, :2]) < 0).any(1) | (np.round(joints[k][:, :2]) >= [camera.width_px, camera.height_px]).any(1)
            joints[k][out, 2] = OUTSIDE
        kept = [k for k in range(len(there)) if k in visible and visible[k].sum() >= MIN_PIXELS]
        shape = (0, *image_HW3.shape[:2])
        return RenderedFrame(
            time_ns=time_ns, image_HW3=self._noise.added(image_HW3, time_ns),
            boxes_P4=np.array([_box(visible[k]) for k in kept]).reshape(-1, 4),
            joints_P17x3=np.array([joints[k] for k in kept]).reshape(-1, 17, 3),
            masks_PHW=np.stack([visible[k] for k in kept]) if kept else np.zeros(shape, bool),
            full_masks_PHW=np.stack([full[k] for k in kept]) if kept else np.zeros(shape, bool),
            people=[self.actors[there[k][0]].name for k in kept], depth_m_P=depth_m[kept], phase_P=np.array([there[k][1].phase for k in kept]),
        )  # fmt: skip

    def _smear(self, posed: Posed) -> tuple[float, float]:
        """How far the person's middle moves in the picture within the exposure, pixels."""
        middle_3 = posed.transforms[3]
        uv = self.camera.project(np.stack([middle_3 - posed.velocity_ms * self.camera.exposure_s, middle_3]))[:, :2]
        return float(uv[1, 0] - uv[0, 0]), float(uv[1, 1] - uv[0, 1])


def _inside(joints_17x3: Array, mask_HW: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    u, v = np.round(joints_17x3[:, :2]).astype(int).T
    ok = (u >= 0) & (v >= 0) & (u < mask_HW.shape[1]) & (v < mask_HW.shape[0])
    ok[ok] = mask_HW[v[ok], u[ok]]
    return np.asarray(ok)


def _box(mask_HW: npt.NDArray[np.bool_]) -> Array:
    rows, columns = np.flatnonzero(mask_HW.any(1)), np.flatnonzero(mask_HW.any(0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float64)


class Crossing:
    """A walker that crosses a camera's view to and fro for ever, each time on another way; a new take of its walk each time."""

    def __init__(
        self, walker: Walker, camera: Camera, stream: list[int], *, session: int = 0, name: str | None = None, start_ns: int = 0
    ) -> None:
        self.name = name or f"walker-{walker.seed}"
        self._walker, self._camera, self._stream, self._session, self._start_ns = walker, camera, stream, session, start_ns
        self._now: tuple[int, Passage] | None = None
        self._speed_ms = mean_speed_ms(walker, session)
        self.period_s = float(np.random.default_rng([*stream, 0]).uniform(9.0, 12.0))

    def posed(self, time_ns: int) -> Posed | None:
        index = (time_ns - self._start_ns) // round(self.period_s * 1e9)
        if index < 0:
            return None
        if self._now is None or self._now[0] != index:
            rng = np.random.default_rng([*self._stream, 1, index])
            start_m, heading_rad, length_m = way_across(self._camera, rng)
            duration_s = min(length_m / self._speed_ms, self.period_s - 0.5)
            begin_ns = self._start_ns + index * round(self.period_s * 1e9)
            self._now = (
                index,
                Passage(
                    self._walker, begin_ns=begin_ns, duration_s=duration_s, start_m=start_m, heading_rad=heading_rad, name=self.name,
                    session=self._session, take=int(index),
                ),
            )  # fmt: skip
        return self._now[1].posed(time_ns)


def way_across(camera: Camera, rng: np.random.Generator) -> tuple[tuple[float, float], float, float]:
    """A straight way through the view: start (metres), heading (radians), length (metres). It begins and ends outside the picture at the
    sides, at feet between 55 and 92 % of the picture's height."""
    aside = 0.12 * camera.width_px
    rows = camera.height_px * rng.uniform(0.58, 0.9, size=2)
    points = []
    for u_px, v_px in ((-aside, rows[0]), (camera.width_px + aside, rows[1])):
        while True:  # rows at or above the horizon, or so far that nobody is seen, move down
            try:
                at_2 = camera.ground_at(u_px, v_px)
                if np.hypot(*(at_2 - camera.position_m[:2])) < 15.0:
                    break
            except ValueError:
                pass
            v_px += 10.0
            if v_px > 4 * camera.height_px:
                raise ValueError(f"the camera does not see the ground: {camera}")
        points.append(at_2)
    if rng.random() < 0.5:
        points.reverse()
    way = points[1] - points[0]
    return (float(points[0][0]), float(points[0][1])), float(np.arctan2(way[1], way[0])), float(np.hypot(*way))
