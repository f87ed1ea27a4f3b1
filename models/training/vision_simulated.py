"""Simulated walkers as walks that train the published camera networks: joints as a pose network would report them, and silhouettes.

Seeds from FIRST_TRAINING_SEED on; every walker walks on two days (other clothes, a little drift). Walks are kept in a folder once made.
Shape letters: N walks or views, T steps of the camera grid, J 17 joints of COCO, H x W 64 x 64, P bytes of a packed silhouette.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.data.simulated import FIRST_TRAINING_SEED, SOURCE
from models.data.skeletons import seen_by_camera
from models.training.camera_masks import rendered, segmented
from models.training.camera_walks import MOTION_RATE_HZ, Views, simulated_bodies
from models.training.detector_noise import detected
from models.training.vision_data import SIDE_PX, VIEWS_DEG, CropWalk, JointWalk
from models.types import CAMERA_RATE_HZ, CAMERA_WINDOW, SILHOUETTE_SHAPE

SESSIONS = 2

ELEVATION_RAD, DISTANCE_M, FOCAL_PX = np.radians(8.0), 5.0, 480.0
"""The camera of `models.data.skeletons.filmed`."""


def simulated_joint_walks(walkers: int, cache_dir: Path | None = None, views_deg: Sequence[float] = VIEWS_DEG) -> list[JointWalk]:
    """Joints of so many walkers with the errors of a pose network, two walks each, every walk from each of these angles."""
    bodies = simulated_bodies(_seeds(walkers), SESSIONS, cache_dir)
    every = round(MOTION_RATE_HZ / CAMERA_RATE_HZ)
    walks: list[JointWalk] = []
    for number, body in enumerate(bodies):
        body_1TJ3, one = body.body_TJ3[None, ::every], np.ones(1)
        for view in views_deg:
            azimuth_1T = np.full(body_1TJ3.shape[:2], np.radians(view))
            place_1TJ2 = seen_by_camera(body_1TJ3, azimuth_1T, ELEVATION_RAD * one, DISTANCE_M * one, FOCAL_PX * one)
            rng = np.random.default_rng([61, number, round(view)])
            keypoints_TJ3 = detected(place_1TJ2, body.seen_J[None], rng)[0]
            walks.append(JointWalk(keypoints_TJ3, body.subject, f"{view:g}", body.session, SOURCE))
    return walks


def simulated_crop_walks(walkers: int, cache_dir: Path | None = None, views_deg: Sequence[float] = VIEWS_DEG) -> list[CropWalk]:
    """Silhouettes of so many walkers with the errors of a segmentation, without pictures: on each day one walk of at most 32 frames at 12.5 Hz
    from each of these angles."""
    seeds, cache = _seeds(walkers), None
    if cache_dir is not None:
        words = "-".join(f"{view:g}" for view in views_deg)
        cache = cache_dir / f"crops-{seeds[0]}-{seeds[-1]}-{SESSIONS}-{words}.npz"
    if cache is not None and cache.exists():
        with np.load(cache, allow_pickle=False) as archive:
            packed_NTP = archive["packed_NTP"]
    else:
        packed_NTP = np.concatenate([_rendered(seed, session, views_deg) for seed in seeds for session in range(SESSIONS)])
        if cache is not None:
            cache.parent.mkdir(parents=True, exist_ok=True)
            temporary = cache.with_suffix(".tmp.npz")
            np.savez(temporary, packed_NTP=packed_NTP)
            temporary.replace(cache)
    names = [(seed, session, view) for seed in seeds for session in range(SESSIONS) for view in views_deg]
    return [_crop_walk(packed_TP, n, *name) for n, (packed_TP, name) in enumerate(zip(packed_NTP, names, strict=True))]


def _rendered(seed: int, session: int, views_deg: Sequence[float]) -> NDArray[np.uint8]:
    views = len(views_deg)
    azimuth_NT = np.repeat(np.radians(views_deg)[:, None], CAMERA_WINDOW, axis=1)
    return rendered(seed, session, views, Views(azimuth_NT, np.full(views, ELEVATION_RAD), np.full(views, DISTANCE_M)))[0]


def _crop_walk(packed_TP: NDArray[np.uint8], number: int, seed: int, session: int, view: float) -> CropWalk:
    height, width = SILHOUETTE_SHAPE
    masks_THW = np.unpackbits(packed_TP, axis=-1)[:, : height * width].reshape(-1, height, width).astype(bool)
    seen_THW = segmented(masks_THW[None], np.random.default_rng([62, number]))[0]
    margin = (SIDE_PX - width) // 2
    square_THW = np.pad(seen_THW[seen_THW.any(axis=(1, 2))], ((0, 0), (0, 0), (margin, margin)))
    return CropWalk(square_THW, None, f"sim{seed}", f"{view:g}", str(session), SOURCE)


def _seeds(walkers: int) -> range:
    return range(FIRST_TRAINING_SEED, FIRST_TRAINING_SEED + walkers)
