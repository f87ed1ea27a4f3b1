"""Simulated people who pass cameras several times, as joints and silhouettes with the errors of networks: for the weight of both in the fusion,
for calibration, and for evaluation. Their seeds are never trained on.

Shape letters: T 64 steps of the camera grid, W windows, J 17 joints of COCO, H x W 64 x 44; 3 is x, y in pixels and confidence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.training.camera_masks import rendered, segmented
from models.training.camera_walks import Views
from models.training.detector_noise import detected
from models.types import CAMERA_WINDOW, SILHOUETTE_SHAPE, Float32

CALIBRATION_SEEDS = range(90_000, 90_048)
"""Walkers for calibration: beyond any that training asks for."""

EVALUATION_SEEDS = range(5_000, 5_040)
"""Walkers for evaluation: seeds below 10,000 are not trained on."""

ENROL, SAME, CLOTHES, ACROSS = "enrol", "same view", "other clothes", "across views"
"""Kinds of passes: the first; another before the same camera; one on another day; one before the other camera."""

CAMERAS_DEG = {"X": (80.0, 8.0), "Y": (25.0, 15.0)}
"""Azimuth and elevation of both cameras."""

PASSES = ((ENROL, 0, 0, "X"), (SAME, 0, 1, "X"), (CLOTHES, 1, 0, "X"), (ACROSS, 0, 2, "Y"))
"""Kind, session, take, camera."""

PARTS = 2
"""Clips of 32 steps that make a pass."""

STRENGTH = 0.6
"""Errors of pose network and segmentation, as shares of the most."""


@dataclass(frozen=True, slots=True)
class Pass:
    """One person before one camera. keypoints_TJ3 and masks_THW of the same T steps."""

    person: str
    kind: str
    keypoints_TJ3: Float32
    masks_THW: NDArray[np.bool_]


def passes(seeds: Sequence[int], cache_dir: Path | None = None, strength: float = STRENGTH) -> list[Pass]:
    """PASSES of every walker, with errors of this strength; what is true is kept in cache_dir where there is one."""
    cache = None if cache_dir is None else cache_dir / f"passes-{seeds[0]}-{seeds[-1]}.npz"
    if cache is not None and cache.exists():
        with np.load(cache, allow_pickle=False) as archive:
            packed_KTP, place_KTJ2 = archive["packed_KTP"], archive["place_KTJ2"].astype(np.float32)
    else:
        both = [_passed(seed, session, take, camera) for seed in seeds for _, session, take, camera in PASSES]
        packed_KTP, place_KTJ2 = np.stack([packed for packed, _ in both]), np.stack([place for _, place in both])
        if cache is not None:
            cache.parent.mkdir(parents=True, exist_ok=True)
            temporary = cache.with_suffix(".tmp.npz")
            np.savez(temporary, packed_KTP=packed_KTP, place_KTJ2=place_KTJ2.astype(np.float16))
            temporary.replace(cache)
    rng = np.random.default_rng([41, seeds[0]])
    height, width = SILHOUETTE_SHAPE
    true_KTHW = np.unpackbits(packed_KTP, axis=-1)[..., : height * width].reshape(*packed_KTP.shape[:2], height, width).astype(bool)
    keypoints_KTJ3 = detected(place_KTJ2, np.ones((len(place_KTJ2), 17), bool), rng, strength)
    masks_KTHW = segmented(true_KTHW, rng, strength)
    kinds = [(f"sim{seed}", kind) for seed in seeds for kind, *_ in PASSES]
    return [Pass(person, kind, k, m) for (person, kind), k, m in zip(kinds, keypoints_KTJ3, masks_KTHW, strict=True)]


def _passed(seed: int, session: int, take: int, camera: str) -> tuple[NDArray[np.uint8], Float32]:
    azimuth_deg, elevation_deg = CAMERAS_DEG[camera]
    rng = np.random.default_rng([42, seed, session, take])
    turn = np.radians(rng.normal(0, 8)) * np.linspace(-0.5, 0.5, PARTS * CAMERA_WINDOW)
    azimuth_NT = np.radians(azimuth_deg + rng.normal(0, 5)) + turn.reshape(PARTS, CAMERA_WINDOW)
    view = Views(azimuth_NT, np.full(PARTS, np.radians(elevation_deg)), np.full(PARTS, rng.uniform(4, 8)))
    packed_NTP, place_NTJ2, _ = rendered(seed, session, PARTS, view, take)
    return packed_NTP.reshape(PARTS * CAMERA_WINDOW, -1), place_NTJ2.reshape(PARTS * CAMERA_WINDOW, 17, 2)
