"""Who in this picture is who in the last one: prediction, assignment, birth and death of tracks.

A track predicts its person's place with constant velocity; predicted and found people are assigned to each other at the least total cost of
distance, overlap, size and clothes (Hungarian algorithm: Kuhn 1955; tracking by detection in this manner: Bewley et al. 2016, Wojke et al.
2017). A person hidden by another gives no pose of its own: its track goes on by prediction for a while and takes the person up again.
Everything is a function of the observations in their order: no clock, no chance.

Shape letters: J 17 joints of COCO.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from models.pose.appearance import distance
from models.pose.blazepose import Pose
from models.pose.boxes import iou
from models.types import Float32

LEAST_POSE_SCORE = 0.5
CONFIRMED_AFTER = 3
"""Pictures with a person in a row that make a track: one false detection, or two, make none."""
DEATH_NS = 1_200_000_000
"""Somebody unseen for longer has gone, or will be somebody new: at a walk it is as long as passing behind another person takes."""
TENTATIVE_DEATH_NS = 250_000_000
"""Three pictures without it end what was no track yet."""

TRUNK = [5, 6, 11, 12]
"""Shoulders and hips: their mean is the place of a person, as arms and legs swing about it."""
HEAD_SHARE, FOOT_SHARE, SIDE_SHARE = 0.09, 0.07, 0.08
"""How far the body reaches beyond the joints, in shares of the joints' height: crown above the eyes, soles below the ankles."""

POSITION_GAIN, VELOCITY_GAIN = 0.7, 0.25
"""Alpha-beta filter (Benedict & Bordner 1962) at the grid's rate: the pose network places a trunk to about 2 % of the height."""

REACH, REACH_PER_S, FIRST_REACH = 0.12, 1.0, 0.35
"""Farthest distance of a found person from the prediction in body heights, its growth while unseen, and the distance while the velocity is
unknown. Where people overlap, the network may give a pose made of both, which lies farther from either."""
MOST_SIZE_LOG_RATIO = math.log(1.7)
WEIGHT_DISTANCE, WEIGHT_OVERLAP, WEIGHT_SIZE, WEIGHT_CLOTHES, WEIGHT_UNSEEN_PER_S = 1.0, 0.4, 0.5, 1.2, 0.3
MOST_COST = 0.9
"""Without the part for being unseen. Over a crossing of simulated people a right assignment costs about .3, a pose made of two people 1 to 1.4."""
DUPLICATE = 0.12
"""Two poses whose joints lie closer, on average in heights, are the same person seen from two crops."""
CLOTHES_GAIN = 0.1
BIRTH_IOU, BIRTH_NS = 0.4, 500_000_000
"""Nobody is born where a track seen within this time should be."""
CLEAR_IOU = 0.05
"""Clothes are learned only while nobody overlaps more."""


@dataclass(frozen=True)
class Observation:
    """A person found in one picture.  detected: the crop came from a detector, not from a track.  clothes: `appearance`, or None."""

    pose: Pose
    box_4: Float32
    clothes: Float32 | None
    detected: bool

    @cached_property
    def place_2(self) -> NDArray[np.float64]:
        """Mean of shoulders and hips, pixels."""
        return np.asarray(self.pose.keypoints_J3[TRUNK, :2].sum(axis=0) / len(TRUNK), np.float64)

    @property
    def height_px(self) -> float:
        """Height of the box, at least one pixel."""
        return max(float(self.box_4[3] - self.box_4[1]), 1.0)


@dataclass(slots=True)
class Track:
    """One person over time.  name: time of birth and number; the same observations give the same name."""

    number: int
    name: str
    seen_ns: int
    observation: Observation
    place_2: NDArray[np.float64]
    velocity_2: NDArray[np.float64] = field(default_factory=lambda: np.zeros(2))
    """Pixels per second."""
    height_px: float = 1.0
    clothes: Float32 | None = None
    pictures: int = 1
    sure: bool = False

    def box_at(self, time_ns: int) -> Float32:
        """The last box, moved to where the person should be."""
        shift_2 = self._place_at(time_ns) - self.observation.place_2
        return (self.observation.box_4.reshape(2, 2) + shift_2).astype(np.float32).ravel()

    def _place_at(self, time_ns: int) -> NDArray[np.float64]:
        return self.place_2 + self.velocity_2 * ((time_ns - self.seen_ns) / 1e9)

    def cost(self, observation: Observation, overlap: float, time_ns: int) -> float:
        """Of taking an observation for this person; infinite where it cannot be."""
        unseen_s = (time_ns - self.seen_ns) / 1e9
        apart = math.hypot(*(observation.place_2 - self._place_at(time_ns)).tolist()) / self.height_px
        ratio = abs(math.log(observation.height_px / self.height_px))
        reach = REACH + REACH_PER_S * unseen_s if self.pictures > 1 else FIRST_REACH
        if apart > reach or ratio > MOST_SIZE_LOG_RATIO:
            return float("inf")
        clothes = distance(self.clothes, observation.clothes)
        unlike = WEIGHT_DISTANCE * apart + WEIGHT_OVERLAP * (1.0 - overlap) + WEIGHT_SIZE * ratio + WEIGHT_CLOTHES * clothes
        allowed = MOST_COST if self.pictures > 1 else 2 * MOST_COST
        return unlike + WEIGHT_UNSEEN_PER_S * unseen_s if unlike <= allowed + unseen_s else float("inf")

    def take(self, observation: Observation, time_ns: int, clear: bool) -> None:
        """Follow an observation.  clear: nobody else is so near that the clothes seen could be another's."""
        elapsed_s = (time_ns - self.seen_ns) / 1e9
        predicted_2 = self._place_at(time_ns)
        error_2 = observation.place_2 - predicted_2
        # The second observation gives the first velocity; later ones correct it.
        gain = 0.7 if self.pictures == 1 else VELOCITY_GAIN
        self.place_2 = predicted_2 + POSITION_GAIN * error_2
        self.velocity_2 = self.velocity_2 + gain * error_2 / max(elapsed_s, 0.04)
        self.height_px += 0.3 * (observation.height_px - self.height_px)
        if observation.clothes is not None and (clear or self.clothes is None):
            self.clothes = (
                observation.clothes if self.clothes is None else (1 - CLOTHES_GAIN) * self.clothes + CLOTHES_GAIN * observation.clothes
            )
        self.observation, self.seen_ns = observation, time_ns
        self.pictures += 1
        self.sure = self.sure or self.pictures >= CONFIRMED_AFTER


class Tracker:
    """The people before one camera."""

    def __init__(self) -> None:
        self.tracks: list[Track] = []

    def step(self, observations: Sequence[Observation], time_ns: int, width_px: int, height_px: int) -> tuple[list[Track], list[str]]:
        """Tracks seen in this picture, oldest first, and names of those that ended.  Pictures must come in increasing time."""
        found = without_duplicates([o for o in observations if o.pose.score > LEAST_POSE_SCORE])
        pairs = self._assigned(found, time_ns)
        for track, n in pairs:
            others = [o.box_4 for m, o in enumerate(found) if m != n]
            hidden = [t.box_at(time_ns) for t in self.tracks if t is not track and t.seen_ns < time_ns]
            track.take(found[n], time_ns, _clear(found[n].box_4, others + hidden))
        taken = {n for _, n in pairs}
        # Where somebody is already, a pose that fits nobody is a mixture of two people, not a third.
        places = [track.box_at(time_ns) for track in self.tracks if time_ns - track.seen_ns <= BIRTH_NS]
        born = [o for n, o in enumerate(found) if n not in taken and o.detected and _clear(o.box_4, places, BIRTH_IOU)]
        born.sort(key=lambda o: float(o.box_4[0]))
        ended = [track for track in self.tracks if _gone(track, time_ns, width_px, height_px)]
        self.tracks = [track for track in self.tracks if track not in ended]
        for index, observation in enumerate(born):
            name = f"{time_ns // 1_000_000}-{index}"
            number = time_ns // 1_000_000 * 64 + index
            place_2, height = observation.place_2, observation.height_px
            self.tracks.append(Track(number, name, time_ns, observation, place_2, height_px=height, clothes=observation.clothes))
        return [track for track in self.tracks if track.seen_ns == time_ns], [track.name for track in ended]

    def crops(self, time_ns: int, seen_since_ns: int) -> list[Float32]:
        """Where to look for the people followed so far and seen since then, (4,) each; nobody is looked for behind another person."""
        boxes: list[Float32] = []
        followed = [track for track in self.tracks if track.seen_ns >= seen_since_ns]
        for track in sorted(followed, key=lambda t: (-t.seen_ns, t.number)):
            box_4 = track.box_at(time_ns)
            hidden = bool(boxes) and float(iou(box_4[None], np.stack(boxes)).max()) > 0.6
            if not hidden:
                boxes.append(box_4)
        return boxes

    def _assigned(self, found: list[Observation], time_ns: int) -> list[tuple[Track, int]]:
        if not found or not self.tracks:
            return []
        overlap_TN = iou(np.stack([t.box_at(time_ns) for t in self.tracks]), np.stack([o.box_4 for o in found]))
        cost_TN = np.array([[t.cost(o, overlap_TN[i, n], time_ns) for n, o in enumerate(found)] for i, t in enumerate(self.tracks)])
        possible_TN = np.isfinite(cost_TN)
        rows, columns = linear_sum_assignment(np.where(possible_TN, cost_TN, 1e3))
        return [(self.tracks[i], int(n)) for i, n in zip(rows, columns, strict=True) if possible_TN[i, n]]


def body_box(keypoints_J3: Float32) -> Float32:
    """(4,) box around a body from its joints, which end at eyes and ankles.  It may reach out of the picture."""
    (x0, y0), (x1, y1) = keypoints_J3[:, :2].min(axis=0).tolist(), keypoints_J3[:, :2].max(axis=0).tolist()
    height = max(y1 - y0, 1.0)
    return np.array([x0 - SIDE_SHARE * height, y0 - HEAD_SHARE * height, x1 + SIDE_SHARE * height, y1 + FOOT_SHARE * height], np.float32)


def without_duplicates(observations: Sequence[Observation]) -> list[Observation]:
    """Of poses of the same person the best stays: the one from a detector, then the surer one, then the first."""
    if len(observations) < 2:
        return list(observations)
    order = sorted(range(len(observations)), key=lambda n: (-round(observations[n].pose.score, 2), not observations[n].detected, n))
    kept: list[int] = []
    for n in order:
        if all(pose_distance(observations[n], observations[k]) > DUPLICATE for k in kept):
            kept.append(n)
    detected = {k: any(o.detected and pose_distance(o, observations[k]) <= DUPLICATE for o in observations) for k in kept}
    return [Observation(observations[k].pose, observations[k].box_4, observations[k].clothes, detected[k]) for k in sorted(kept)]


def pose_distance(a: Observation, b: Observation) -> float:
    """Mean distance of the joints in heights of the lower body box."""
    apart_J = np.linalg.norm(a.pose.keypoints_J3[:, :2] - b.pose.keypoints_J3[:, :2], axis=1)
    return float(apart_J.mean()) / min(a.height_px, b.height_px)


def _clear(box_4: Float32, others: list[Float32], most_iou: float = CLEAR_IOU) -> bool:
    return not others or float(iou(box_4[None], np.stack(others)).max()) <= most_iou


def _gone(track: Track, time_ns: int, width_px: int, height_px: int) -> bool:
    unseen_ns = time_ns - track.seen_ns
    if unseen_ns <= 0:
        return False
    x0, y0, x1, y1 = track.box_at(time_ns)
    middle = ((x0 + x1) / 2, (y0 + y1) / 2)
    outside = not (0 <= middle[0] < width_px and 0 <= middle[1] < height_px)
    return outside or unseen_ns > (DEATH_NS if track.sure else TENTATIVE_DEATH_NS)
