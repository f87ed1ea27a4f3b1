"""Simulated people filmed: rendered pictures through the very detector, tracker and pose network of the live pipeline.

Errors of those networks cannot be drawn from a simple model (they depend on view, clothes and posture), so what scores mean is learnt from
pictures. Every walker passes one camera on two days, on the first of them twice, and another one on a third day; the cameras are the walker's own, so that different
people are seen in different places, as at a site with many cameras, and sometimes in the same.

Shape letters: N windows, T 32 steps, J 17 joints of COCO, H x W 64 x 44.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from models.pose.blazepose import BlazePose
from models.pose.boxes import Detections, Image
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

Way = tuple[int, int, int]
"""Day, camera (of the site's two) and number of a passage on that day."""

PASSAGES = ((0, 0, 0), (1, 0, 0), (2, 1, 0), (0, 0, 1))

MOST_S = 9.0

TRAINING_SEEDS = range(200_000, 200_240)
"""Walkers whose films train: no other training, calibration or evaluation uses them."""

TRAINING_SITES = 40

TRAINING_PASSAGES = ((0, 0, 0), (1, 0, 0), (2, 1, 0), (3, 1, 0))

TRAINING_MOST_S = 5.0

BOX_ERROR = 0.06
"""Standard deviation of the boxes' edges in training films, as a share of the box: the detector itself would take half of the time, and the
pose network finds its own crop after the first picture."""

_PLACES, _WAYS, _BOXES = 60, 61, 62  # random streams


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


class KnownBoxes:
    """A detector that is told where people are, and errs a little."""

    name = "known boxes"

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng([_BOXES, seed])
        self.boxes_N4 = np.zeros((0, 4), np.float32)

    def detect(self, image_HW3: Image) -> Detections:
        """The boxes of the moment, whatever the picture."""
        size_N2 = self.boxes_N4[:, 2:] - self.boxes_N4[:, :2]
        error_N4 = self._rng.normal(0, BOX_ERROR, self.boxes_N4.shape) * np.concatenate([size_N2, size_N2], axis=1)
        return Detections((self.boxes_N4 + error_N4).astype(np.float32), np.full(len(self.boxes_N4), 0.9, np.float32))


def film(seeds: Sequence[int]) -> Filmed:
    """PASSAGES of every walker, for calibration. Raises WeightsUnavailable where the detector or the pose network is not there."""
    detector, pose = EfficientDetLite0(path_of(DETECTOR)), BlazePose(path_of(POSE))
    return _filmed(seeds, PASSAGES, lambda seed, way: _windows(CameraScene(detector, pose), *passage_scene(seed, way, SITES, MOST_S)))


def film_training(seeds: Sequence[int]) -> Filmed:
    """TRAINING_PASSAGES of every walker. Raises WeightsUnavailable where the pose network is not there."""
    pose = BlazePose(path_of(POSE))

    def windows(seed: int, way: Way) -> Iterator[CameraWindow]:
        boxes = KnownBoxes(seed)
        return _windows(CameraScene(boxes, pose), *passage_scene(seed, way, TRAINING_SITES, TRAINING_MOST_S), boxes)

    return _filmed(seeds, TRAINING_PASSAGES, windows)


def _filmed(seeds: Sequence[int], passages: Sequence[Way], windows: Callable[[int, Way], Iterable[CameraWindow]]) -> Filmed:
    cv2.setNumThreads(1)  # of several runs side by side each has a core
    rows = [
        (window, seed, number) for seed in seeds for number, way in enumerate(passages) for window in windows(seed, way)
    ]  # fmt: skip
    return Filmed(
        np.stack([window.poses.keypoints_TJ3 for window, _, _ in rows]),
        np.stack([window.silhouettes.masks_THW for window, _, _ in rows]),
        np.array([window.quality for window, _, _ in rows], np.float32),
        np.array([seed for _, seed, _ in rows], np.int64),
        np.array([number for _, _, number in rows], np.int64),
    )


def passage_scene(seed: int, way: Way, sites: int, most_s: float) -> tuple[Scene, int]:
    """A scene with one walker, and how many pictures it lasts."""
    day, which, take = way
    view = sample_camera(np.random.default_rng([_PLACES, seed % sites, which]))
    rng = np.random.default_rng([_WAYS, seed, day, take])
    start_m, heading_rad, length_m = way_across(view, rng)
    walker = Walker(seed)
    seconds = min(length_m / mean_speed_ms(walker, day), most_s)
    walk = Passage(walker, begin_ns=0, duration_s=seconds, start_m=start_m, heading_rad=heading_rad, session=day, take=take)
    return Scene([walk], view, seed=seed * 10 + day + 5 * take), round((seconds + 0.5) * 1e9 / CAMERA_STEP_NS)


def _windows(scene: CameraScene, filmed: Scene, pictures: int, boxes: KnownBoxes | None = None) -> Iterator[CameraWindow]:
    """Windows of the longest track. boxes: to be told where people are."""
    tracks: dict[str, TrackSequence] = {}
    found: dict[str, list[CameraWindow]] = {}
    for n in range(1, pictures):  # the track of time 0 would begin at the epoch
        time_ns = n * CAMERA_STEP_NS
        frame = filmed.frame(time_ns)
        if boxes is not None:
            boxes.boxes_N4 = frame.boxes_P4.astype(np.float32)
        for seen in scene.look(frame.image_HW3, time_ns).seen:
            track = tracks.setdefault(seen.name, TrackSequence())
            track.add(time_ns, seen.pose, seen.box_4, seen.score)
            found.setdefault(seen.name, []).extend(track.windows())
    for name, track in tracks.items():
        found[name] += track.finish()
    yield from max(found.values(), key=len, default=[])


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Film walkers for calibration or training.")
    parser.add_argument("kind", choices=("calibration", "training"))
    parser.add_argument("--seeds", help="FIRST-LAST; all of that kind otherwise")
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    seeds = FILMED_SEEDS if arguments.kind == "calibration" else TRAINING_SEEDS
    if arguments.seeds:
        first, last = (int(number) for number in arguments.seeds.split("-"))
        seeds = range(first, last + 1)
    (film if arguments.kind == "calibration" else film_training)(seeds).save(arguments.out)
