"""Silhouettes that train camera networks: simulated walkers rendered from random views, and what segmentation does to them.

Shape letters: N clips, T steps, V vertices, F faces, H x W 64 x 44, J 17 joints of COCO.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional as F

from models.data.skeletons import seen_by_camera
from models.silhouette.alignment import aligned
from models.simulation.mesh_pose import MeshPose
from models.simulation.scene_actors import figure_of
from models.simulation.walker import LEAD_S, Walker
from models.training.camera_walks import Views, random_views
from models.types import CAMERA_RATE_HZ, CAMERA_WINDOW, SILHOUETTE_SHAPE, Float32

VIEWS = 2
"""Clips of every walker and session, each from another direction."""

BODY_PX = 110.0
"""Height of a rendered body before it is aligned: about what a surveillance camera shows."""

SUBPIXEL_BITS = 3


@dataclass(frozen=True, slots=True)
class Clips:
    """Clips of one window each, of walker seed_N on day session_N.

    packed_NTP: (N, T, 352) uint8, 64 x 44 bits.  place_NTJ2: true joints in pixels.  azimuth_N: mean view in the body's axes, radians.
    """

    packed_NTP: NDArray[np.uint8]
    place_NTJ2: Float32
    seed_N: NDArray[np.int64]
    session_N: NDArray[np.int64]
    azimuth_N: Float32

    def masks(self, index_N: NDArray[np.int64]) -> NDArray[np.bool_]:
        """(n, T, 64, 44) of the chosen clips."""
        height, width = SILHOUETTE_SHAPE
        bits = np.unpackbits(self.packed_NTP[index_N], axis=-1)[..., : height * width]
        return bits.reshape(len(index_N), CAMERA_WINDOW, height, width).astype(bool)


def rendered_clips(seeds: Sequence[int], sessions: int, cache_dir: Path | None = None, views: int = VIEWS) -> Clips:
    """Clips of simulated walkers, kept in cache_dir where there is one."""
    cache = None if cache_dir is None else cache_dir / f"clips-{seeds[0]}-{seeds[-1]}-{sessions}-{views}.npz"
    names = ("packed_NTP", "place_NTJ2", "seed_N", "session_N", "azimuth_N")
    if cache is not None and cache.exists():
        with np.load(cache, allow_pickle=False) as archive:
            return Clips(**{name: archive[name].astype(np.float32) if name == "place_NTJ2" else archive[name] for name in names})
    parts = [rendered(seed, session, views) for seed in seeds for session in range(sessions)]
    clips = Clips(
        np.concatenate([packed for packed, _, _ in parts]),
        np.concatenate([place for _, place, _ in parts]),
        np.repeat(np.asarray(seeds, np.int64), sessions * views),
        np.tile(np.repeat(np.arange(sessions), views), len(seeds)).astype(np.int64),
        np.concatenate([azimuth for _, _, azimuth in parts]),
    )
    if cache is not None:
        cache.parent.mkdir(parents=True, exist_ok=True)
        temporary = cache.with_suffix(".tmp.npz")
        arrays = {name: getattr(clips, name) for name in names}
        np.savez(temporary, **{**arrays, "place_NTJ2": clips.place_NTJ2.astype(np.float16)})
        temporary.replace(cache)
    return clips


def rendered(
    seed: int, session: int, views: int, view: Views | None = None, take: int = 0
) -> tuple[NDArray[np.uint8], Float32, Float32]:  # fmt: skip
    """Packed silhouettes (views, T, 352), joints (views, T, 17, 2), azimuths (views,) of different parts of one walk.

    view: where the cameras stand, random unless said.
    """
    rng = np.random.default_rng([31, seed, session, take])
    walk_s = views * CAMERA_WINDOW / CAMERA_RATE_HZ
    figure = figure_of(seed, session)
    pose = MeshPose(figure.shape, Walker(seed).motion(duration_s=walk_s, session=session, take=take))
    view = view or random_views(views, CAMERA_WINDOW, rng, one_camera=False)
    packed, places = [], []
    for i in range(views):
        at_s_T = LEAD_S + (i * CAMERA_WINDOW + np.arange(CAMERA_WINDOW)) / CAMERA_RATE_HZ
        transforms = [pose.transforms(float(at_s)) for at_s in at_s_T]
        centre_T3 = np.stack([pose.root_3(float(at_s)) for at_s in at_s_T])
        way = centre_T3[-1] - centre_T3[0]
        points_TX3 = np.stack([np.concatenate([figure.skin_V4B @ rows, figure.point_P4B @ rows]) for rows in transforms])
        points_TX3 = _on_the_spot(points_TX3, centre_T3, float(np.arctan2(way[1], way[0])))
        distance = view.distance_m_N[i : i + 1]
        focal = BODY_PX / 1.7 * distance
        seen_TX2 = seen_by_camera(points_TX3[None], view.azimuth_NT[i : i + 1], view.elevation_N[i : i + 1], distance, focal)[0]
        masks = np.stack([aligned(filled(seen_X2[:-17], figure.dressed.mesh.faces_F3)) for seen_X2 in seen_TX2])
        packed.append(np.packbits(masks.reshape(CAMERA_WINDOW, -1), axis=-1))
        places.append(seen_TX2[:, -17:])
    return np.stack(packed), np.stack(places), view.azimuth_NT.mean(axis=1).astype(np.float32)


def _on_the_spot(points_TX3: NDArray[np.floating], centre_T3: NDArray[np.float64], heading_rad: float) -> Float32:
    """Points without the way travelled, the walk towards +x, mid-hip at the origin on average."""
    shift_T3 = centre_T3.copy()
    shift_T3[:, 2] = centre_T3[:, 2].mean()
    c, s = np.cos(heading_rad), np.sin(heading_rad)
    turn_33 = np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])
    return np.asarray((points_TX3 - shift_T3[:, None]) @ turn_33, np.float32)


def filled(pixel_V2: NDArray[np.floating], faces_F3: NDArray[np.int64]) -> NDArray[np.bool_]:
    """The silhouette of a mesh: every face filled, in the smallest picture that holds all."""
    low_2, high_2 = np.floor(pixel_V2.min(0)) - 1, np.ceil(pixel_V2.max(0)) + 2
    picture = np.zeros((int(high_2[1] - low_2[1]), int(high_2[0] - low_2[0])), np.uint8)
    corner_F32 = np.round((pixel_V2[faces_F3] - low_2) * 2**SUBPIXEL_BITS).astype(np.int32)
    edge, other = corner_F32[:, 1] - corner_F32[:, 0], corner_F32[:, 2] - corner_F32[:, 0]
    towards_F = edge[:, 0] * other[:, 1] - edge[:, 1] * other[:, 0] < 0  # half of the faces cover the other half
    for corners in corner_F32[towards_F]:
        cv2.fillConvexPoly(picture, corners, 1, 8, SUBPIXEL_BITS)
    return picture > 0


def segmented(masks_NTHW: NDArray[np.bool_], rng: np.random.Generator, strength: float = 1.0) -> NDArray[np.bool_]:
    """What a segmentation makes of true silhouettes: other outline and size, frayed edges, holes, feet cut off, pictures without the person.

    strength scales all errors; 0 leaves everything as it is.
    """
    n, t, height, width = (int(size) for size in masks_NTHW.shape)
    if strength <= 0:
        return masks_NTHW
    x = torch.from_numpy(masks_NTHW.reshape(n * t, 1, height, width).astype(np.float32))
    scale = np.exp(rng.normal(0, 0.03 * strength, (n, 1, 2)) + rng.normal(0, 0.015 * strength, (n, t, 2)))
    shift = rng.normal(0, 0.03 * strength, (n, 1, 2)) + rng.normal(0, 0.02 * strength, (n, t, 2))
    theta = np.zeros((n * t, 2, 3), np.float32)
    theta[:, 0, 0], theta[:, 1, 1] = scale.reshape(-1, 2).T
    theta[:, :, 2] = shift.reshape(-1, 2)
    x = F.grid_sample(x, F.affine_grid(torch.from_numpy(theta), list(x.shape), align_corners=False), align_corners=False)
    # Smooth noise frays the outline and bites holes; the threshold makes a body stouter (coats) or thinner, window by window.
    coarse = rng.normal(size=(n * t, 1, 13, 9)).astype(np.float32) * np.repeat(rng.uniform(0, 0.45 * strength, n), t)[:, None, None, None]
    lasting = rng.normal(size=(n, 1, 13, 9)).astype(np.float32) * rng.uniform(0, 0.35 * strength, n)[:, None, None, None]
    field = torch.from_numpy((coarse + np.repeat(lasting, t, axis=0)).astype(np.float32))
    field = F.interpolate(field, (height, width), mode="bilinear")
    threshold = np.repeat(np.clip(rng.normal(0.5, 0.15 * strength, n), 0.2, 0.8), t)[:, None, None, None].astype(np.float32)
    out = ((F.avg_pool2d(x, 3, 1, 1) + 0.5 * field) > torch.from_numpy(threshold)).numpy().reshape(n, t, height, width)
    legs_cut = rng.random((n, t)) < 0.05 * strength
    out[legs_cut, 58:] = False
    out &= ~(rng.random((n, t)) < rng.uniform(0, 0.1 * strength, (n, 1)))[:, :, None, None]
    for i in np.flatnonzero(rng.random(n) < 0.3 * strength):
        seen = int(rng.integers(10, t + 1))
        begin = int(rng.integers(0, t - seen + 1))
        out[i, :begin] = out[i, begin + seen :] = False
    return out
