"""How well people are followed: MOTA, IDF1 and identity switches on simulated crowds whose truth is known.

    python -m models.evaluation.tracking --people 2,4,8 --seconds 20 --json

MOTA (Bernardin & Stiefelhagen 2008) counts misses, false boxes and switches against all true boxes; IDF1 (Ristani et al. 2016) compares whole
tracks: the share of boxes that carry the right identity after the best assignment of tracks to people. A found box is a person's where both
overlap by half (IoU), and a match of the last picture stays while it can. True boxes are those of the whole body in the picture; who is
hidden by more than `LEAST_VISIBLE`, or hardly in the picture, is neither missed nor false (as MOTChallenge treats them).

Shape letters: P true people, N found people, H x W picture.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from models.pose import fetch
from models.pose.blazepose import BlazePose
from models.pose.boxes import iou
from models.pose.detector import EfficientDetLite0
from models.pose.scene import CameraScene
from models.simulation.camera_noise import frame_times
from models.simulation.camera_view import Camera
from models.simulation.scene import OUTSIDE, RenderedFrame, Scene
from models.simulation.walker import Walker

MATCH_IOU = 0.5
LEAST_VISIBLE = 0.4
LEAST_JOINTS_INSIDE = 12
"""Of 17: a person of whom less is in the picture is on its way in or out."""
JITTER, LOSS = 0.15, 0.02
"""Irregular frame times and lost frames of the simulated camera, as in the demonstration."""
FIRST_WALKER = 4000
"""Seeds that no training uses."""


@dataclass(frozen=True, slots=True)
class Truth:
    """One person in one picture. counts: visible enough that missing it is an error."""

    name: str
    box_4: NDArray[np.float64]
    counts: bool


@dataclass(frozen=True, slots=True)
class TrackingFigures:
    """What following people in one scene came to. boxes: true boxes that count."""

    people: int
    seconds: float
    seed: int
    mota: float
    idf1: float
    switches: int
    misses: int
    false_boxes: int
    boxes: int
    true_tracks: int
    tracks: int


@dataclass(slots=True)
class TrackingCount:
    """Adds up pictures in their order; `figures` may be asked at any time."""

    boxes: int = 0
    misses: int = 0
    false_boxes: int = 0
    switches: int = 0
    together: Counter[tuple[str, str]] = field(default_factory=Counter)
    true_boxes: Counter[str] = field(default_factory=Counter)
    found_boxes: Counter[str] = field(default_factory=Counter)
    _last: dict[str, str] = field(default_factory=dict)

    def add(self, truth: Sequence[Truth], found: Sequence[tuple[str, NDArray[np.floating]]]) -> None:
        """One picture: people who are there, and (track, box) of those found."""
        pairs = self._matches(truth, found)
        for p, person in enumerate(truth):
            name = found[pairs[p]][0] if p in pairs else None
            if not person.counts:
                continue  # whatever was found there is neither right nor wrong
            self.boxes += 1
            self.true_boxes[person.name] += 1
            if name is None:
                self.misses += 1
                continue
            self.found_boxes[name] += 1
            self.together[person.name, name] += 1
            self.switches += self._last.get(person.name, name) != name
            self._last[person.name] = name
        for n in set(range(len(found))) - set(pairs.values()):
            self.false_boxes += 1
            self.found_boxes[found[n][0]] += 1

    def _matches(self, truth: Sequence[Truth], found: Sequence[tuple[str, NDArray[np.floating]]]) -> dict[int, int]:
        if not truth or not found:
            return {}
        gain_PN = iou(np.stack([t.box_4 for t in truth]), np.stack([box_4 for _, box_4 in found])).astype(np.float64)
        possible_PN = gain_PN >= MATCH_IOU
        for p, person in enumerate(truth):
            for n, (name, _) in enumerate(found):
                gain_PN[p, n] += 10.0 * (self._last.get(person.name) == name) + 2.0 * person.counts
        rows, columns = linear_sum_assignment(np.where(possible_PN, gain_PN, 0.0), maximize=True)
        return {int(p): int(n) for p, n in zip(rows, columns, strict=True) if possible_PN[p, n]}

    @property
    def mota(self) -> float:
        """1 - (misses + false boxes + switches) / true boxes; 0 where there was nobody."""
        return 1.0 - (self.misses + self.false_boxes + self.switches) / self.boxes if self.boxes else 0.0

    @property
    def idf1(self) -> float:
        """F1 of boxes with the right identity; 0 where there was nobody."""
        people, tracks = sorted(self.true_boxes), sorted(self.found_boxes)
        if not people or not tracks:
            return 0.0
        together_PN = np.array([[self.together[p, n] for n in tracks] for p in people])
        right = int(together_PN[linear_sum_assignment(together_PN, maximize=True)].sum())
        return 2.0 * right / (self.boxes + sum(self.found_boxes.values()))


def truth_of(frame: RenderedFrame) -> list[Truth]:
    """Who is in a rendered picture."""
    found = []
    for k, name in enumerate(frame.people):
        full_HW = frame.full_masks_PHW[k]
        rows, columns = np.flatnonzero(full_HW.any(1)), np.flatnonzero(full_HW.any(0))
        box_4 = np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float64)
        visible = frame.masks_PHW[k].sum() / full_HW.sum() >= LEAST_VISIBLE
        inside = (frame.joints_P17x3[k][:, 2] != OUTSIDE).sum() >= LEAST_JOINTS_INSIDE
        found.append(Truth(name, box_4, bool(visible and inside)))
    return found


def evaluate_tracking(people: int, seconds: float, seed: int, scene_of_camera: CameraScene | None = None) -> TrackingFigures:
    """People cross a camera's view to and fro, each on its own ways; what the camera worker's own code follows is counted.

    A person who leaves and comes back is a new one: tracks are not meant to know people again. Raises WeightsUnavailable without the fetched
    networks, unless a CameraScene is given.
    """
    camera = Camera()
    crowd = Scene([Walker(FIRST_WALKER + 100 * seed + n) for n in range(people)], camera, seed=seed)
    follow = scene_of_camera or CameraScene(EfficientDetLite0(fetch.path_of(fetch.DETECTOR)), BlazePose(fetch.path_of(fetch.POSE)))
    count = TrackingCount()
    for _, time_ns in frame_times(camera.fps, 0, seed, jitter=JITTER, loss=LOSS):
        if time_ns >= seconds * 1e9:
            break
        if not follow.wants(time_ns):
            continue
        frame = crowd.frame(time_ns)
        look = follow.look(frame.image_HW3, time_ns)
        count.add(_visits(truth_of(frame), crowd, time_ns), [(s.name, s.box_4) for s in look.seen if s.sure])
    return TrackingFigures(
        people, seconds, seed, round(count.mota, 4), round(count.idf1, 4), count.switches, count.misses, count.false_boxes, count.boxes,
        len(count.true_boxes), len(count.found_boxes),
    )  # fmt: skip


def _visits(truth: list[Truth], crowd: Scene, time_ns: int) -> list[Truth]:
    """Each crossing of a person under a name of its own."""
    period_ns = {actor.name: round(getattr(actor, "period_s", 1e9) * 1e9) for actor in crowd.actors}
    return [Truth(f"{t.name}/{time_ns // period_ns[t.name]}", t.box_4, t.counts) for t in truth]


def main() -> None:
    """Command line: figures per number of people."""
    parser = argparse.ArgumentParser(prog="python -m models.evaluation.tracking", description="MOTA, IDF1 and switches on simulated crowds")
    parser.add_argument("--people", default="2,4,8", help="sizes of crowds, comma-separated")
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--seed", default="0", help="seeds, comma-separated")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    sizes, seeds = ([int(part) for part in text.split(",")] for text in (options.people, options.seed))
    figures = [evaluate_tracking(people, options.seconds, seed) for people in sizes for seed in seeds]
    if options.json:
        print(json.dumps([asdict(row) for row in figures], indent=1))
        return
    print("people  seed   MOTA   IDF1  switches  misses  false  boxes  people/tracks")
    for row in figures:
        print(
            f"{row.people:6d} {row.seed:5d} {row.mota:6.3f} {row.idf1:6.3f} {row.switches:9d} {row.misses:7d} {row.false_boxes:6d} "
            f"{row.boxes:6d}  {row.true_tracks}/{row.tracks}"
        )


if __name__ == "__main__":
    main()
