"""What one camera has seen since its last reset point: tracks, their sequences, and the offsets that a successor must read again."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from models.pose.scene import CameraScene
from models.pose.sequences import TrackSequence
from models.types import CAMERA_STEP_NS, CAMERA_WINDOW
from streams import metrics
from streams.messages import CameraSample, PeopleSeen, PersonSeen, WalkingEvent
from streams.messages.fields import stable_id
from workers.camera.cut import CUT

if TYPE_CHECKING:
    from models.pose.boxes import Image
    from models.pose.scene import Look
    from models.pose.sequences import CameraWindow
    from streams.codec import Message
    from streams.messages import CameraFrame
    from streams.messages.events import WalkingKind


LEAST_WALKING = 0.3
"""Who stands or sits shows no gait.  Of `CameraWindow.walking`, the strongest of moving across, coming nearer and stepping."""


@dataclass(slots=True)
class Followed:
    """A track: its sequence, and what was said of it."""

    key: str
    session: str
    began_ns: int
    sequence: TrackSequence = field(default_factory=TrackSequence)
    sure: bool = False
    received_ns: int = 0
    steps: float = 0.0
    walked_to_ns: int = 0
    rate_hz: float = 0.0

    @property
    def bout_id(self) -> str:
        """One track is one bout."""
        return stable_id(self.key, self.session, self.began_ns, "bout")

    def sample(self, window: CameraWindow, camera_id: str, received_ns: int) -> CameraSample:
        """The window as a message; counts its steps."""
        start_ns = window.poses.start_ns
        end_ns = start_ns + CAMERA_WINDOW * CAMERA_STEP_NS
        new_s = (end_ns - max(start_ns, self.walked_to_ns)) / 1e9
        self.steps += window.step_rate_hz * new_s * window.walking
        self.walked_to_ns, self.rate_hz = end_ns, window.step_rate_hz
        return CameraSample(
            id=stable_id(self.key, self.session, start_ns, CUT),
            stream_key=self.key,
            session=self.session,
            start_ns=start_ns,
            end_ns=end_ns,
            cut=CUT,
            step_rate_hz=window.step_rate_hz,
            bout_id=self.bout_id,
            bout_start_ns=self.began_ns,
            bout_steps=self.steps,
            received_ns=received_ns,
            camera_id=camera_id,
            keypoints=window.poses.keypoints_TJ3,
            silhouettes=np.packbits(window.silhouettes.masks_THW.reshape(-1)).tobytes(),
            box=np.asarray(window.box_4, np.float32),
            quality=window.quality,
        )

    def event(self, kind: WalkingKind) -> WalkingEvent:
        """That the track's walk began or ended."""
        ended = kind == "ended"
        return WalkingEvent(
            id=stable_id(self.bout_id, kind),
            kind=kind,
            modality="camera",
            stream_key=self.key,
            session=self.session,
            bout_id=self.bout_id,
            start_ns=self.began_ns,
            end_ns=self.walked_to_ns if ended else self.began_ns,
            steps=self.steps if ended else 0.0,
            step_rate_hz=self.rate_hz,
        )


class View:
    """One camera in one session."""

    def __init__(self, camera_id: str, session: str, scene: CameraScene) -> None:
        self.camera_id, self.session = camera_id, session
        self.last_ns, self.last_received_ns = -1, 0
        self._scene = scene
        self._tracks: dict[str, Followed] = {}
        self._offsets: deque[tuple[int, int]] = deque()  # (time, offset) of the analysed pictures since the last reset point
        self._someone = False
        self.shape: tuple[int, int] | None = None

    @property
    def oldest_offset(self) -> int | None:
        """Where a successor must begin to read."""
        return self._offsets[0][1] if self._offsets else None

    @property
    def tracks(self) -> int:
        """People who are followed now."""
        return len(self._tracks)

    def wants(self, time_ns: int) -> bool:
        """Whether a picture of that time is to be decoded: not when the camera gives more than the grid needs."""
        return self._scene.wants(time_ns)

    def see(self, frame: CameraFrame, image: Image, offset: int, received_ns: int) -> list[Message]:
        """People, gait samples and walking events that this picture completes."""
        look = self._scene.look(image, frame.time_ns)
        self._offsets.append((frame.time_ns, offset))
        while self._offsets[0][0] < self._scene.needed_since_ns():
            self._offsets.popleft()
        self.last_ns, self.shape = frame.time_ns, (frame.width, frame.height)
        messages: list[Message] = []
        for name in look.ended:
            messages += self._end(name)
        for seen in look.seen:
            track = self._tracks.get(seen.name)
            if track is None:
                track = self._tracks[seen.name] = Followed(f"{self.camera_id}:{seen.name}", self.session, frame.time_ns)
            track.sequence.add(frame.time_ns, seen.pose, seen.box_4, seen.score)
            track.sure, track.received_ns = seen.sure, received_ns
            if track.sure:
                messages += self._samples(track, track.sequence.windows())
        return [*self._people(look, frame, received_ns), *messages]

    def end(self) -> list[Message]:
        """The camera fell silent, or began another session: all tracks end."""
        messages = [message for name in self._scene.end().ended for message in self._end(name)]
        self._tracks.clear()
        return messages

    def _samples(self, track: Followed, windows: list[CameraWindow]) -> list[Message]:
        messages: list[Message] = []
        for window in (w for w in windows if w.walking >= LEAST_WALKING):
            if track.walked_to_ns == 0:
                metrics.BOUTS.labels("camera").inc()
                messages.append(track.event("began"))
            metrics.WINDOWS.labels("camera").inc()
            messages.append(track.sample(window, self.camera_id, track.received_ns))
        return messages

    def _end(self, name: str) -> list[Message]:
        """The last windows, and the end of a walk that had any; a track that never became sure says nothing."""
        track = self._tracks.pop(name, None)
        if track is None or not track.sure:
            return []
        messages = self._samples(track, track.sequence.finish())
        return [*messages, track.event("ended")] if track.walked_to_ns else messages

    def _people(self, look: Look, frame: CameraFrame, received_ns: int) -> list[Message]:
        sure = [seen for seen in look.seen if seen.sure]
        before, self._someone = self._someone, bool(sure)
        if not (sure or before):
            return []
        people = [
            PersonSeen(
                track=f"{self.camera_id}:{seen.name}",
                box=np.asarray(seen.box_4, np.float32),
                keypoints=np.asarray(seen.pose.keypoints_J3, np.float32),
                score=min(max(seen.score, 0.0), 1.0),
            )
            for seen in sure
        ]
        return [
            PeopleSeen(
                id=stable_id(self.camera_id, self.session, frame.time_ns, "people"),
                camera_id=self.camera_id,
                time_ns=frame.time_ns,
                width=frame.width,
                height=frame.height,
                people=people,
                received_ns=received_ns,
            )
        ]
