"""One camera's whole state: motion gate, detector, pose network and tracker, picture by picture.

What is kept is a function of the pictures since the last reset point, and a reset point forgets everything before the picture is looked at:
whoever begins to read with that picture comes to the same state. A reset point is the first picture, a picture before which nobody was
followed any more (once after the last track has ended), and a picture that lies `LONGEST_NS` after the last one, where tracks are cut.

To save time the detector looks only now and then; between its looks the pose network finds people where their last pose leads. It looks
seldom while everything that moves is explained by people who are followed, apart from each other.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.pose.appearance import appearance
from models.pose.blazepose import Pose, PoseNetwork
from models.pose.boxes import Detections, Image, clip, iou
from models.pose.detector import Detector
from models.pose.motion import MotionGate
from models.pose.tracking import CLEAR_IOU, DEATH_NS, LEAST_POSE_SCORE, Observation, Track, Tracker, body_box
from models.types import CAMERA_STEP_NS, Float32

LONGEST_NS = 30_000_000_000
"""At least this often everything begins anew, so that a restart reads no more than half a minute of pictures."""
LEAST_STEP_NS = CAMERA_STEP_NS * 6 // 10
"""Pictures that follow sooner are not needed: a camera of 25 Hz gives every second one."""
DETECTOR_EVERY, DETECTOR_SELDOM = 3, 24
"""Pictures between its looks: while something moves that nobody followed explains, and otherwise. Who stands still is found at the seldom
looks, two seconds apart. Where the detector takes twice the time of a pose it would cost a third of everything if it looked every third time."""
SEARCHED_NS = 250_000_000
"""Between looks of the detector nobody is searched for who has been out of sight for longer: most of them have left, or are hidden."""
SAME_PERSON_IOU = 0.4
"""A detection that overlaps a track's crop more replaces it: the pose network runs once for both."""
MOST_PEOPLE = 12
"""Poses per picture: more people are rarely large enough to recognise, and a picture must not take a second."""


@dataclass(frozen=True, slots=True)
class Seen:
    """One person in one analysed picture.

    track: number of the track, unique for its camera.  name: the same as text, `birth in ms - index`.  box_4: (4,) in the picture.
    score: probability of the pose network.  sure: the track is confirmed; only then it should be told to anybody.
    """

    track: int
    name: str
    box_4: Float32
    pose: Pose
    score: float
    sure: bool


@dataclass(frozen=True, slots=True)
class Look:
    """What one picture gave.

    ended: names of the tracks that ended, each once.  reset: nothing before this picture is needed any more.  gated: no network ran.
    """

    time_ns: int
    seen: list[Seen]
    ended: list[str]
    reset: bool
    gated: bool


class CameraScene:
    """People before one camera.  detector None: moving blobs stand in for the detector.  Not for several threads at once."""

    def __init__(self, detector: Detector | None, pose: PoseNetwork) -> None:
        self._detector, self._pose = detector, pose
        self._last_ns: int | None = None
        self._before_ns: int | None = None
        """Times of the last two pictures, the present one included."""
        self._reset_ns = 0
        self._shape: tuple[int, ...] = ()
        self._begin()

    def _begin(self) -> None:
        self._gate, self._tracker = MotionGate(), Tracker()
        self._pictures = 0
        self._open = False
        self._fresh = True
        """The next picture is a reset point."""

    def wants(self, time_ns: int) -> bool:
        """Whether a picture of that time should be looked at: not if it follows the last one by less than 0.6 grid steps."""
        return self._last_ns is None or time_ns - self._last_ns >= LEAST_STEP_NS

    def needed_since_ns(self) -> int:
        """Time of the last reset point: a restart reads from there.  0 before the first picture."""
        return self._reset_ns

    def look(self, image_HW3: Image, time_ns: int) -> Look:
        """Find and follow the people of a BGR picture.  Raises ValueError unless pictures come in increasing time."""
        if self._last_ns is not None and time_ns <= self._last_ns:
            raise ValueError(f"pictures must come in increasing time, got {time_ns} after {self._last_ns}")
        ended: list[str] = []
        if not self._fresh and self._is_cut(image_HW3, time_ns):
            ended = [track.name for track in self._tracker.tracks]
            self._begin()
        reset, self._fresh = self._fresh, False
        if reset:
            self._reset_ns, self._shape = time_ns, image_HW3.shape
        self._before_ns, self._last_ns = self._last_ns, time_ns
        followed = bool(self._tracker.tracks)
        due = self._pictures % DETECTOR_EVERY == 0
        # While people are followed, what moves is asked only where the answer may call the detector.
        opened = self._gate.see(image_HW3) if due or not followed else True
        detect = self._detector_looks(opened, due, time_ns)
        crops = self._crops(image_HW3, time_ns, detect)
        tracks, gone = self._tracker.step(
            [self._observed(image_HW3, *crop) for crop in crops], time_ns, image_HW3.shape[1], image_HW3.shape[0]
        )
        self._pictures += 1
        if followed and not self._tracker.tracks:
            self._begin()
        gated = not crops and not (detect and self._detector is not None)
        return Look(time_ns, [_seen(track, image_HW3) for track in tracks], ended + gone, reset, gated)

    def end(self) -> Look:
        """Camera silent or its session changed: all tracks end, and the next picture is a reset point."""
        ended = [track.name for track in self._tracker.tracks]
        self._begin()
        last_ns = 0 if self._last_ns is None else self._last_ns
        self._last_ns = None  # a new session may set the clock back
        self._reset_ns = last_ns + 1 if last_ns else 0
        return Look(last_ns, [], ended, False, True)

    def _is_cut(self, image_HW3: Image, time_ns: int) -> bool:
        assert self._last_ns is not None
        too_long = time_ns - self._reset_ns >= LONGEST_NS
        return too_long or time_ns - self._last_ns > DEATH_NS or image_HW3.shape != self._shape

    def _detector_looks(self, opened: bool, due: bool, time_ns: int) -> bool:
        just_opened, self._open = opened and not self._open, opened
        followed = bool(self._tracker.tracks)
        if just_opened and not followed:
            return True
        if not due or not (opened or followed):
            return False
        return self._pictures % DETECTOR_SELDOM == 0 or not self._explained(time_ns)

    def _explained(self, time_ns: int) -> bool:
        """Whether everybody followed was seen in the last picture, clear of the others, and nothing else moves in this one."""
        tracks = self._tracker.tracks
        if not tracks or not all(track.sure and track.seen_ns == self._before_ns for track in tracks):
            return False
        boxes_N4 = np.stack([track.box_at(time_ns) for track in tracks])
        overlap_NN = iou(boxes_N4, boxes_N4) - np.eye(len(tracks), dtype=np.float32)
        return float(overlap_NN.max()) <= CLEAR_IOU and not self._gate.moves_outside(boxes_N4)

    def _crops(self, image_HW3: Image, time_ns: int, detect: bool) -> list[tuple[Float32, bool]]:
        """Boxes to look into, and whether a detector gave them: detections first, then tracks that no detection covers."""
        found = Detections.none()
        if detect:
            found = self._gate.people() if self._detector is None else self._detector.detect(image_HW3)
        crops = [(box_4, True) for box_4 in found.boxes_N4[:MOST_PEOPLE]]
        since_ns = 0 if detect or self._before_ns is None else min(self._before_ns, time_ns - SEARCHED_NS)
        for box_4 in self._tracker.crops(time_ns, since_ns):
            if len(crops) < MOST_PEOPLE and not (len(found) and float(iou(box_4[None], found.boxes_N4).max()) > SAME_PERSON_IOU):
                crops.append((box_4, False))
        return crops

    def _observed(self, image_HW3: Image, box_4: Float32, detected: bool) -> Observation:
        pose = self._pose.pose(image_HW3, box_4)
        clothes = appearance(image_HW3, pose.keypoints_J3) if pose.score > LEAST_POSE_SCORE else None
        return Observation(pose, body_box(pose.keypoints_J3), clothes, detected)


def _seen(track: Track, image_HW3: Image) -> Seen:
    box_4 = clip(track.observation.box_4[None], image_HW3.shape[1], image_HW3.shape[0])[0]
    pose = track.observation.pose
    return Seen(track.number, track.name, np.asarray(box_4, np.float32), pose, pose.score, track.sure)
