"""How well people and their joints are found in real pictures: detector and pose network as the camera worker uses them.

    python -m models.evaluation.people --data-dir ../shared/data --compare ../shared/pretrained/yolox_nano.onnx

prints Markdown tables; --json prints all figures. What the truth of each set is: `models.evaluation.people_pictures`. Intervals are 95 %, from drawing
photographs, or clips of KTH, with replacement.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from models.data.recordings import RecordingError
from models.evaluation import people_detection, people_pose
from models.evaluation.markdown import table
from models.evaluation.people_pictures import Photograph, SportsPerson, passers_by, photographs, sports_people
from models.evaluation.report import Figure, over_people
from models.pose import fetch
from models.pose.blazepose import BlazePose, Pose, PoseNetwork
from models.pose.boxes import Detections, Image, iou
from models.pose.described import DescribedDetector, Description
from models.pose.detector import LEAST_SCORE, Detector, EfficientDetLite0
from models.types import Float32

RESAMPLES = 200
LEAST_LISTED = 0.05
"""Boxes below do not move the average precision."""
KTH_EVERY = 5
"""Of 25 frames a second: neighbours show the same."""
YOLOX_NANO = Description(
    width_px=416, height_px=416, output="yolox", channels="bgr", low=0, high=255, padding=114, least_score=LEAST_LISTED
)
"""A network that is no part of gaitstream, for comparison; another one is described in the JSON file beside it."""

PENN_FUDAN = "Penn-Fudan (boxes drawn by people; small and hidden pedestrians are not among them)"
LSP = "LSP-extended (joints clicked by volunteers, noisy)"
KTH = "KTH (boxes of an earlier run of networks: agreement, not truth)"
KTH_POSE = "KTH (joints of an earlier pose network: agreement, not truth)"


@dataclass(frozen=True, slots=True)
class Row:
    """One network on one set. pictures, people: how many. ms: of one thread's computing per call, mean; figures with intervals."""

    truth: str
    network: str
    pictures: int
    people: int
    ms: float
    figures: dict[str, Figure]


class Watch:
    """Adds up the computing time of calls: the networks run in the calling thread, and a busy machine does not count."""

    def __init__(self) -> None:
        self._calls, self._total_s = 0, 0.0

    def detect(self, detector: Detector, image_HW3: Image) -> Detections:
        """Timed."""
        began = time.thread_time()
        found = detector.detect(image_HW3)
        self._add(began)
        return found

    def pose(self, network: PoseNetwork, image_HW3: Image, box_4: Float32) -> Pose:
        """Timed."""
        began = time.thread_time()
        pose = network.pose(image_HW3, box_4)
        self._add(began)
        return pose

    def _add(self, began: float) -> None:
        self._calls, self._total_s = self._calls + 1, self._total_s + time.thread_time() - began

    @property
    def ms(self) -> float:
        """Mean per call."""
        return round(1e3 * self._total_s / max(self._calls, 1), 2)


def detection_row(truth: str, detector: Detector, pictures: Iterable[tuple[str, Image, Float32]], threshold: float = LEAST_SCORE) -> Row:
    """A detector on (group, picture, true boxes); groups are what the intervals draw."""
    watch = Watch()
    groups: dict[str, list[people_detection.Found]] = {}
    for group, image_HW3, boxes_P4 in pictures:
        groups.setdefault(group, []).append(people_detection.compared(watch.detect(detector, image_HW3), boxes_P4))
    found = [p for group in groups.values() for p in group]
    people = sum(len(p.heights_P) for p in found)
    return Row(truth, detector.name, len(found), people, watch.ms, people_detection.with_intervals(groups, threshold, RESAMPLES))


def pose_row(truth: str, network: str, watch: Watch, groups: dict[str, list[people_pose.Placed]]) -> Row:
    """Figures of people who were placed, by group."""
    figures = over_people(
        sorted(groups), lambda names: people_pose.figures_of([p for name in names for p in groups[name]]), resamples=RESAMPLES
    )
    count = sum(map(len, groups.values()))
    return Row(truth, network, count, count, watch.ms, people_detection.known(figures))


def on_sports_people(detector: Detector, network: PoseNetwork, people: Sequence[SportsPerson]) -> list[Row]:
    """Joints in the whole picture, which was cut around the person, and in the detector's best box where there is one."""
    rows = []
    for how in ("whole picture", "detected box"):
        watch = Watch()
        groups = {}
        for person in people:
            height, width = person.image_HW3.shape[:2]
            box_4 = np.array([0, 0, width, height], np.float32)
            if how == "detected box":
                found = detector.detect(person.image_HW3)
                if not len(found):
                    continue
                box_4 = found.boxes_N4[0]
            pose = watch.pose(network, person.image_HW3, box_4)
            groups[person.name] = [people_pose.against_lsp(pose.keypoints_J3, person.joints_J3, pose.score)]
        rows.append(pose_row(f"{LSP}, {how}", network.name, watch, groups))
    return rows


def on_passers_by(detector: Detector, network: PoseNetwork, frames: Sequence[Any]) -> list[Row]:
    """Joints in the stored box, and in the detector's where one was found."""
    rows = []
    for how in ("stored box", "detected box"):
        watch = Watch()
        groups: dict[str, list[people_pose.Placed]] = {}
        for frame in frames:
            box_4 = frame.box_4
            if how == "detected box":
                found = detector.detect(frame.image_HW3).boxes_N4
                overlap_N = iou(found, frame.box_4[None])[:, 0]
                if not len(found) or overlap_N.max() < people_detection.MATCH_IOU:
                    continue
                box_4 = found[overlap_N.argmax()]
            pose = watch.pose(network, frame.image_HW3, box_4)
            height_px = float(frame.box_4[3] - frame.box_4[1])
            placed = people_pose.against_coco(pose.keypoints_J3, frame.keypoints_J3, height_px, pose.score)
            groups.setdefault(frame.clip, []).append(placed)
        rows.append(pose_row(f"{KTH_POSE}, {how}", network.name, watch, groups))
    return rows


def mask_row(network: PoseNetwork, pictures: Iterable[Photograph]) -> Row:
    """Silhouettes of the pose network in true boxes."""
    watch = Watch()
    groups: dict[str, list[float]] = {}
    count = 0
    for picture in pictures:
        height, width = picture.image_HW3.shape[:2]
        groups[picture.name] = []
        for box_4, true_HW in zip(picture.boxes_P4, picture.masks_PHW, strict=True):
            pose = watch.pose(network, picture.image_HW3, box_4)
            if pose.mask_HW is None:
                continue
            found_HW = cv2.warpAffine(pose.mask_HW.astype(np.uint8), pose.mask_23, (width, height)).astype(bool)
            groups[picture.name].append(people_pose.mask_iou(found_HW, true_HW))
            count += 1

    def figures(names: Sequence[str]) -> dict[str, float]:
        values = np.array([value for name in names for value in groups[name]])
        return {"mask_iou_mean": float(values.mean()), "mask_iou_median": float(np.median(values))}

    found = over_people(sorted(groups), figures, resamples=RESAMPLES) if count else {}
    return Row("Penn-Fudan (masks drawn by people; true box)", network.name, len(groups), count, watch.ms, found)


def evaluate(data_dir: Path, compare: Path | None, every: int = KTH_EVERY) -> list[Row]:
    """Every row whose files are there. Raises RecordingError if none is, WeightsUnavailable, GraphError."""
    vision = data_dir / "vision"
    listed: list[Detector] = [
        EfficientDetLite0(fetch.path_of(fetch.DETECTOR), least_score=LEAST_LISTED),
        *([described(compare)] if compare else []),
    ]
    working, network = EfficientDetLite0(fetch.path_of(fetch.DETECTOR)), BlazePose(fetch.path_of(fetch.POSE))
    rows: list[Row] = []
    if (file := vision / "pennfudan.npz").is_file():
        pictures = list(photographs(file))
        rows += [detection_row(PENN_FUDAN, detector, ((p.name, p.image_HW3, p.boxes_P4) for p in pictures)) for detector in listed]
        rows.append(mask_row(network, pictures))
    if (file := vision / "lspet_upright.npz").is_file():
        rows += on_sports_people(working, network, list(sports_people(file)))
    if (file := vision / "kth_pose.npz").is_file() and (clips := vision / "kth_walk").is_dir():
        frames = list(passers_by(file, clips, every))
        rows += [detection_row(KTH, detector, ((f.clip, f.image_HW3, f.box_4[None]) for f in frames)) for detector in listed]
        rows += on_passers_by(working, network, frames)
    if not rows:
        raise RecordingError(f"{vision}: none of pennfudan.npz, lspet_upright.npz, kth_pose.npz with kth_walk is here")
    return rows


def described(path: Path) -> DescribedDetector:
    """A detector by path, described in its JSON file or as YOLOX-nano. Raises GraphError."""
    return DescribedDetector(path, None if path.with_suffix(".json").is_file() else YOLOX_NANO)


def markdown(rows: Sequence[Row]) -> str:
    """A table per kind of figures, with 95 % intervals."""

    def cell(figure: Figure | None) -> str:
        if figure is None:
            return "–"
        return f"{figure.value:.3f}" if figure.low is None else f"{figure.value:.3f} ({figure.low:.2f}–{figure.high:.2f})"

    parts = []
    for kind in ("ap", "pck_torso_0.2", "mask_iou_mean"):
        chosen = [row for row in rows if kind in row.figures]
        names = list(dict.fromkeys(name for row in chosen for name in row.figures))
        head = ("figure", *(f"{row.network}, {row.truth}, N = {row.people}" for row in chosen))
        body = [(name.replace("_", " "), *(cell(row.figures.get(name)) for row in chosen)) for name in names]
        parts.append(table(head, [*body, ("ms of computing per call", *(f"{row.ms:.1f}" for row in chosen))]) if chosen else "")
    return "\n\n".join(part for part in parts if part)


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m models.evaluation.people", description="Detection and pose on real pictures")
    parser.add_argument("--data-dir", type=Path, required=True, help="folder with vision/*.npz and vision/kth_walk")
    parser.add_argument("--compare", type=Path, help="another detector: YOLOX-nano, or any with its description beside it")
    parser.add_argument("--kth-every", type=int, default=KTH_EVERY, help="every how many frames of KTH")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    cv2.setNumThreads(1)
    rows = evaluate(options.data_dir, options.compare, options.kth_every)
    print(json.dumps([asdict(row) for row in rows], indent=1) if options.json else markdown(rows))


if __name__ == "__main__":
    main()
