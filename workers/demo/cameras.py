"""The demo's cameras: passages for the enrolment, live views, and the truth about who was where in the picture."""

from __future__ import annotations

import time
from collections import Counter, defaultdict, deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from models.pose.boxes import iou
from models.simulation.camera_live import SimulatedCamera, simulated_cameras, view_of
from models.simulation.scene import Scene, way_across
from models.simulation.scene_actors import Passage, mean_speed_ms
from workers.sources.camera_jpeg import JpegEncoder
from workers.sources.cameras import publish

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator, Sequence

    from streams.messages import CameraFrame, IdentityEvent
    from streams.settings import Settings
    from workers.demo.actors import Actor

MOST_VIEWS = 3
"""Of the live cameras, so many enrol at most: each person passes each of them once, in the clothes of the day."""
MOST_PASSAGE_S = 9.0
_TAKE = 1000
"""Far from the takes that live motions count from 0: enrolment and recognition never see the same strides."""
PAUSE_S = 3.0
"""Between two passages: long enough for the track to end."""
KEPT_FRAMES = 1500
"""Truth kept per camera: two minutes, longer than an event takes on a machine that cannot keep up."""
LEAST_IOU = 0.3
"""A track overlaps the person that it follows at least this much, or it is nobody's."""


@dataclass(slots=True)
class TruthfulCamera:
    """A simulated camera that remembers who was where in the last pictures it sent."""

    simulated: SimulatedCamera
    end_ns: int | None = None
    truth: deque[tuple[int, list[str], np.ndarray]] = field(default_factory=lambda: deque(maxlen=KEPT_FRAMES))

    @property
    def camera_id(self) -> str:
        """See `workers.sources.cameras.Camera`."""
        return self.simulated.camera_id

    @property
    def start_ns(self) -> int:
        """See `workers.sources.cameras.Camera`."""
        return self.simulated.start_ns

    def frames(self, late: Callable[[int], bool]) -> Iterator[CameraFrame]:
        """See `workers.sources.cameras.Camera`."""
        encoder = JpegEncoder(self.camera_id, str(self.start_ns))
        for number, time_ns in self.simulated.times():
            if self.end_ns is not None and time_ns >= self.end_ns:
                return
            if late(time_ns):
                continue
            frame = self.simulated.scene.frame(time_ns)
            self.truth.append((time_ns, frame.people, frame.boxes_P4))
            encoder.seq = number
            yield encoder.message(time_ns, frame.image_HW3)

    def name_at(self, box: Sequence[float], from_ns: int, to_ns: int) -> str | None:
        """Whose box it is in one of the pictures of that time; None where it is nobody's."""
        best: tuple[float, str | None] = (LEAST_IOU, None)
        for time_ns, people, boxes_P4 in list(self.truth):
            if from_ns <= time_ns <= to_ns and people:
                overlap_P = iou(np.array([box], np.float32), boxes_P4.astype(np.float32))[0]
                p = int(np.argmax(overlap_P))
                best = max(best, (float(overlap_P[p]), people[p]), key=lambda pair: pair[0])
        return best[1]


@dataclass(frozen=True, slots=True)
class EnrolmentPassage:
    """One person alone in front of one camera, from `begin_ns` to `end_ns`."""

    camera_id: str
    subject: str
    begin_ns: int
    end_ns: int


class DemoCameras:
    """Cameras of one run.  `count` live ones.  People are enrolled where the live cameras stand; every passage is a stream of its own, so that all
    can be rendered side by side."""

    def __init__(self, settings: Settings, actors: Sequence[Actor], count: int, seed: int) -> None:
        self.settings, self._seed, self._count = settings, seed, count
        self._actors = [actor for actor in actors if actor.walks]
        self._live: dict[str, TruthfulCamera] = {}
        self._votes: dict[str, Counter[str]] = defaultdict(Counter)
        self._events: dict[str, list[IdentityEvent]] = defaultdict(list)

    @property
    def passages(self) -> int:
        """Of each person, to be enrolled."""
        return min(self._count, MOST_VIEWS)

    async def publish_enrolment(self, session: int) -> list[EnrolmentPassage]:
        """Everybody who is to be enrolled passes the cameras, some time ago on the day `session`; returns when that is published."""
        people = [actor for actor in self._actors if actor.person is not None]
        begin_ns = time.time_ns() - round(self.passages * (MOST_PASSAGE_S + PAUSE_S) * 1e9) - 60_000_000_000
        cameras, passages = [], []
        for who, actor in enumerate(people):
            for number in range(self.passages):
                rng = np.random.default_rng([self._seed, who, number])
                view = view_of(self._seed, number)
                start_m, heading_rad, length_m = way_across(view, rng)
                seconds = min(length_m / mean_speed_ms(actor.walker, session), MOST_PASSAGE_S)
                start_ns = begin_ns + round(number * (MOST_PASSAGE_S + PAUSE_S) * 1e9)
                walk = Passage(
                    actor.walker,
                    begin_ns=start_ns,
                    duration_s=seconds,
                    start_m=start_m,
                    heading_rad=heading_rad,
                    session=session,
                    take=_TAKE + number,
                )
                scene = Scene([walk], view, seed=self._seed * 1000 + who * self.passages + number)
                end_ns = start_ns + round((seconds + 1.5) * 1e9)
                camera_id = f"entrance-{who + 1}-{number + 1}"
                cameras.append(TruthfulCamera(SimulatedCamera(camera_id, scene, start_ns, self._seed, 0.1, 0.0), end_ns))
                passages.append(EnrolmentPassage(camera_id, actor.truth, start_ns, end_ns))
        for first in range(0, len(cameras), 2):  # two threads render, as there are two cores
            await publish(self.settings, cameras[first : first + 2], speed=None)
        return passages

    async def publish_live(self, start_ns: int, session: int, until: asyncio.Event) -> int:
        """Everybody passes the live cameras, on the same motions as the phones measure."""
        walkers = [actor.walker for actor in self._actors]
        cameras = simulated_cameras(
            self._count, walkers, seed=self._seed, start_ns=start_ns, session=session, people_per_camera=1.5, script="walk"
        )
        self._live = {camera.camera_id: TruthfulCamera(camera) for camera in cameras}
        return await publish(self.settings, list(self._live.values()), speed=1.0, until=until)

    def note(self, event: IdentityEvent) -> bool:
        """Remember an event of a live camera, and whom it really is about; False for any other."""
        camera = self._live.get(event.camera_id or "")
        if camera is None or event.box is None:
            return False
        self._events[event.stream_key].append(event)
        name = camera.name_at(event.box, event.end_ns - 200_000_000, event.end_ns + 500_000_000)
        if name is not None:
            self._votes[event.stream_key][name] += 1
        return True

    def tally(self) -> int:
        """Add every track's events to its person's tally; returns how many tracks were nobody's."""
        people = {f"walker-{actor.walker.seed}": actor for actor in self._actors}
        strays = 0
        for track, events in self._events.items():
            if not self._votes[track]:
                strays += 1
                continue
            actor = people[self._votes[track].most_common(1)[0][0]]
            for event in events:
                actor.by_camera.note(event)
        return strays
