"""Simulated people filmed: rendered pictures through the very detector, tracker and pose network of the live pipeline.

Errors of those networks cannot be drawn from a simple model (they depend on view, clothes and posture), so what scores mean is learnt from
pictures. Every walker passes one camera on two days and another one on a third day; the cameras are the walker's own, so that different
people are seen in different places, as at a site with many cameras, and sometimes in the same.

Shape letters: N windows, T 32 steps, J 17 joints of COCO, H x W 64 x 44.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from models.pose.blazepose import BlazePose
from models.pose.detector import EfficientDetLite0
from models.pose.fetch import DETECTOR, POSE, path_of
from models.pose.scene import CameraScene
from models.pose.sequences import CameraWindow, TrackSequence
from models.simulation import Walker
from models.simulation.camera_live import sample_camera
from models.simulation.scene import Scene, way_across
from models.simulation.scene_actors import Passage, mean_speed_ms
from models.types import CAMERA_STEP_NS, SILHOUETTE_SHAPE, Float32

FILMED_SEEDS = range(91_000, 91_060)
"""Walkers that no network is trained on."""

SITES = 8
"""Pairs of cameras that the walkers are spread over: people of one site are compared with each other in the same views."""

PASSAGES = ((0, 0), (1, 0), (2, 1))
"""Day and camera (of the site's two) of each passage."""

MOST_S = 9.0
_PLACES, _WAYS = 60, 61  # random streams


@dataclass(frozen=True, slots=True)
class Filmed:
    """Windows of passages, in order. person_N: the walker's seed. passage_N: place in PASSAGES."""

    keypoints_NTJ3: Float32
    masks_NTHW: NDArray[np.bool_]
    quality_N: Float32
    person_N: NDArray[np.int64]
    passage_N: NDArray[np.int64]

    def save(self, file: Path) -> None:
        """As npz."""
        packed_NP = np.packbits(self.masks_NTHW.reshape(len(self.masks_NTHW), -1), axis=1)
        np.savez(
            file, keypoints=self.keypoints_NTJ3, packed=packed_NP, quality=self.quality_N, person=self.person_N, passage=self.passage_N
        )  # fmt: skip

    @classmethod
    def load(cls, files: Sequence[Path]) -> Filmed:
        """Of several files, one behind the other."""
        parts = []
        for file in files:
            with np.load(file, allow_pickle=False) as z:
                masks = np.unpackbits(z["packed"], axis=1).reshape(len(z["packed"]), -1, *SILHOUETTE_SHAPE).astype(bool)
                parts.append((z["keypoints"], masks, z["quality"], z["person"], z["passage"]))
        return cls(*(np.concatenate(column) for column in zip(*parts, strict=True)))


def film(seeds: Sequence[int]) -> Filmed:
    """PASSAGES of every walker. Raises WeightsUnavailable where the detector or the pose network is not there."""
    cv2.setNumThreads(1)  # of several runs side by side each has a core
    detector, pose = EfficientDetLite0(path_of(DETECTOR)), BlazePose(path_of(POSE))
    rows: list[tuple[CameraWindow, int, int]] = []
    for seed in seeds:
        for number, (day, which) in enumerate(PASSAGES):
            scene = CameraScene(detector, pose)
            rows += [(window, seed, number) for window in _windows(scene, *_passage(seed, day, which))]
    return Filmed(
        np.stack([window.poses.keypoints_TJ3 for window, _, _ in rows]),
        np.stack([window.silhouettes.masks_THW for window, _, _ in rows]),
        np.array([window.quality for window, _, _ in rows], np.float32),
        np.array([seed for _, seed, _ in rows], np.int64),
        np.array([number for _, _, number in rows], np.int64),
    )


def _passage(seed: int, day: int, which: int) -> tuple[Scene, int]:
    """A scene with one walker, and how many pictures it lasts."""
    view = sample_camera(np.random.default_rng([_PLACES, seed % SITES, which]))
    rng = np.random.default_rng([_WAYS, seed, day])
    start_m, heading_rad, length_m = way_across(view, rng)
    walker = Walker(seed)
    seconds = min(length_m / mean_speed_ms(walker, day), MOST_S)
    walk = Passage(walker, begin_ns=0, duration_s=seconds, start_m=start_m, heading_rad=heading_rad, session=day)
    return Scene([walk], view, seed=seed * 10 + day), round((seconds + 0.5) * 1e9 / CAMERA_STEP_NS)


def _windows(scene: CameraScene, filmed: Scene, pictures: int) -> Iterator[CameraWindow]:
    """Windows of the longest track."""
    tracks: dict[str, TrackSequence] = {}
    found: dict[str, list[CameraWindow]] = {}
    for n in range(1, pictures):  # the track of time 0 would begin at the epoch
        time_ns = n * CAMERA_STEP_NS
        for seen in scene.look(filmed.frame(time_ns).image_HW3, time_ns).seen:
            track = tracks.setdefault(seen.name, TrackSequence())
            track.add(time_ns, seen.pose, seen.box_4, seen.score)
            found.setdefault(seen.name, []).extend(track.windows())
    for name, track in tracks.items():
        found[name] += track.finish()
    yield from max(found.values(), key=len, default=[])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Film walkers for calibration.")
    parser.add_argument("--seeds", default=f"{FILMED_SEEDS.start}-{FILMED_SEEDS.stop - 1}")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    first, last = (int(number) for number in arguments.seeds.split("-"))
    film(range(first, last + 1)).save(arguments.out)
