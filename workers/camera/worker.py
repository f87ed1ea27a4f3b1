"""The camera worker: `gait.camera.frames` in; `gait.camera.people`, `gait.samples.camera` and `gait.walking.events` out.

Per camera the path is

    frame → checks → JPEG → motion gate → detector → tracks → joints and masks → sequences on the camera grid → gait samples

Cameras of a poll are worked on side by side, the pictures of each in order.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import cv2
import numpy as np

from models.pose.scene import CameraScene
from models.pose.sequences import LONGEST_GAP_NS
from streams import metrics, topics
from streams.errors import BadClock, BadMessage, SchemaMismatch
from streams.messages import CameraFrame, CameraSample, PeopleSeen, WalkingEvent
from workers.camera.networks import detector_of, pose_of
from workers.camera.picture import picture_of
from workers.camera.view import View
from workers.processor import Outcome, Output, Processor

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aiokafka import ConsumerRecord, TopicPartition

    from streams.codec import Message
    from streams.settings import Settings
    from workers.processor import Emitted, Incoming

Name = tuple["TopicPartition", str]

MOST_APART_NS = LONGEST_GAP_NS * 4 // 5
"""Of pictures that a late camera is thinned to: joints are interpolated between pictures up to `LONGEST_GAP_NS` apart, and cameras are irregular."""


class CameraWorker(Processor):
    """See the module; implements `workers.processor.Processor`."""

    role = "camera"
    inputs: tuple[topics.Topic, ...] = (topics.CAMERA_FRAMES,)
    outputs: tuple[topics.Topic, ...] = (topics.CAMERA_PEOPLE, topics.SAMPLES_CAMERA, topics.WALKING_EVENTS)

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self._views: dict[Name, View] = {}
        self._heard_ns: dict[Name, int] = {}  # when a picture of each camera was last read, by this clock
        self._first_offsets: dict[TopicPartition, tuple[Mapping[str, int], int]] = {}
        self._loaded = False

    async def start(self) -> None:
        """Load detector and pose network and run each once.  Raises RegistryError, WeightsUnavailable or GraphError in words."""
        await asyncio.to_thread(self._load)

    def _load(self) -> None:
        cv2.setNumThreads(1)  # the pool below works on several cameras already
        self._detector, self._pose = detector_of(self.settings), pose_of(self.settings)
        self._pool = ThreadPoolExecutor(self.settings.camera_threads, thread_name_prefix="camera-view")
        blank = np.zeros((64, 64, 3), np.uint8)
        self._pose.pose(blank, np.array([8.0, 8.0, 56.0, 56.0]))
        self._loaded = True

    async def stop(self) -> None:
        """Let the threads go."""
        if self._loaded:
            self._pool.shutdown(wait=False)

    def ready(self) -> str | None:
        """None once the networks are loaded."""
        return None if self._loaded else "the pose network is not loaded"

    def decode(self, record: ConsumerRecord) -> CameraFrame:
        """The frame in a record, its picture still JPEG.  Raises BadMessage; a key that is not the camera id would scatter a camera."""
        frame = CameraFrame.from_bytes(record.value)
        if record.key != frame.camera_id.encode():
            raise SchemaMismatch(f"the key must be the camera id {frame.camera_id!r}, got {record.key!r}", path="(key)")
        ahead_s = (frame.time_ns - record.timestamp * 1_000_000) / 1e9
        if ahead_s > self.settings.clock_ahead_s:
            raise BadClock(f"the picture is {ahead_s:.0f} s ahead of the broker's clock", reason="clock_ahead", path="time_ns")
        return frame

    # ---- frames in ---------------------------------------------------------------------------------------------------------------

    def process(self, batch: Sequence[Incoming]) -> Outcome:
        """What the pictures of a batch complete, in the order of the pictures."""
        outcome = Outcome()
        cameras: dict[Name, list[Incoming]] = {}
        for incoming in batch:
            frame: CameraFrame = incoming.message  # type: ignore[assignment]
            if incoming.record.offset >= self._first_offset(incoming.at, frame.camera_id):
                cameras.setdefault((incoming.at, frame.camera_id), []).append(incoming)
        now_ns = time.time_ns()
        self._hear({name for name, waiting in cameras.items() if not all(incoming.again for incoming in waiting)}, now_ns)
        work = [(name, thin(waiting, now_ns, self.settings.camera_delay_s)) for name, waiting in cameras.items()]
        found: dict[int, Outcome] = {}
        # Every camera to its end before an error is raised: threads must not work on while the batch is tried again.
        done = [self._pool.submit(self._camera, name, waiting) for name, waiting in work]
        errors = [job.exception() for job in done]
        if error := next((e for e in errors if e is not None), None):
            raise error
        for job in done:
            found |= job.result()
        for incoming in batch:
            if part := found.get(id(incoming)):
                outcome.outputs += part.outputs
                outcome.letters += part.letters
                outcome.repeated += part.repeated
        metrics.STREAMS.labels(self.role).set(len(self._views))
        metrics.PEOPLE_IN_VIEW.set(sum(view.tracks for view in self._views.values()))
        return outcome

    def _hear(self, names: set[Name], now_ns: int) -> None:
        """These cameras send; those that have been silent for `idle_release_s` lose their time series, so that there are never too many."""
        for name in names:
            self._heard_ns[name] = now_ns
            metrics.LAST_FRAME.labels(name[1]).set(now_ns / 1e9)
        oldest_ns = now_ns - int(self.settings.idle_release_s * 1e9)
        self._forget_heard([name for name, heard_ns in self._heard_ns.items() if heard_ns < oldest_ns])

    def _forget_heard(self, names: list[Name]) -> None:
        for name in names:
            del self._heard_ns[name]
            metrics.LAST_FRAME.remove(name[1])

    def _camera(self, name: Name, waiting: list[Incoming]) -> dict[int, Outcome]:
        """The pictures of one camera, in order."""
        found = {}
        for incoming in waiting:
            part = found[id(incoming)] = Outcome()
            try:
                messages = self._frame(name, incoming, part)
            except BadMessage as error:
                part.letters.append((incoming, error))
                metrics.FRAMES.labels("rejected").inc()
                continue
            part.outputs += [output_of(incoming.at, message) for message in messages]
        return found

    def _frame(self, name: Name, incoming: Incoming, part: Outcome) -> list[Message]:
        frame: CameraFrame = incoming.message  # type: ignore[assignment]
        view = self._views.get(name)
        if view is not None and not self._begins_anew(view, frame, incoming.received_ns):
            view.last_received_ns = max(view.last_received_ns, incoming.received_ns)
            if frame.time_ns <= view.last_ns:
                part.repeated[incoming.at.topic] += 1
                metrics.FRAMES.labels("late").inc()
                return []
            if not view.wants(frame.time_ns):
                metrics.FRAMES.labels("faster_than_needed").inc()
                return []
        began = time.perf_counter()
        image = picture_of(frame, self.settings.camera_claim_root)  # before anything changes: a bad picture ends no track
        decoded = time.perf_counter()
        ended: list[Message] = []
        if view is None or self._begins_anew(view, frame, incoming.received_ns):
            ended = [] if view is None else view.end()
            view = self._views[name] = View(frame.camera_id, frame.session, CameraScene(self._detector, self._pose))
            view.last_received_ns = incoming.received_ns
        messages = view.see(frame, image, incoming.record.offset, incoming.received_ns)
        metrics.FRAME_SECONDS.labels("decode").observe(decoded - began)
        metrics.FRAME_SECONDS.labels("look").observe(time.perf_counter() - decoded)
        metrics.FRAMES.labels("analysed").inc()
        return ended + messages

    def _begins_anew(self, view: View, frame: CameraFrame, received_ns: int) -> bool:
        """The session or the size of the pictures changed, or the camera was silent for long: as a tick would have found out meanwhile."""
        silent = received_ns - view.last_received_ns > int(self.settings.idle_release_s * 1e9)
        resized = view.shape is not None and view.shape != (frame.width, frame.height)
        return silent or resized or view.session != frame.session

    # ---- commits and restarts ----------------------------------------------------------------------------------------------------

    def tick(self, at: TopicPartition, now_ns: int) -> Outcome:
        """Cameras silent for `idle_release_s` are forgotten: their tracks end, their hold on commits too."""
        outcome = Outcome()
        oldest_ns = now_ns - int(self.settings.idle_release_s * 1e9)
        for name, view in list(self._views.items()):
            if name[0] == at and view.last_received_ns < oldest_ns:
                outcome.outputs += [output_of(at, message) for message in view.end()]
                del self._views[name]
        self._hear(set(), time.time_ns())
        return outcome

    def hold(self, at: TopicPartition) -> int | None:
        """The last reset point of every camera."""
        offsets = (view.oldest_offset for name, view in self._views.items() if name[0] == at)
        return min((offset for offset in offsets if offset is not None), default=None)

    def begins(self, at: TopicPartition) -> dict[str, int]:
        """The last reset point of each camera: state that began in the middle of a passage would name its track otherwise."""
        views = ((name[1], view.oldest_offset) for name, view in self._views.items() if name[0] == at)
        return {camera_id: offset for camera_id, offset in views if offset is not None}

    def begin(self, at: TopicPartition, begins: Mapping[str, int], processed: int) -> None:
        """Pictures of a camera before its reset point will be read again for the sake of other cameras, and ignored."""
        self._first_offsets[at] = begins, processed

    def _first_offset(self, at: TopicPartition, camera_id: str) -> int:
        begins, processed = self._first_offsets.get(at, ({}, 0))
        return begins.get(camera_id, processed)

    def restore(self, at: TopicPartition, emitted: Sequence[Emitted]) -> None:
        """Nothing: everything here follows from the pictures since the reset point."""

    def forget(self, at: TopicPartition) -> None:
        """Drop the cameras of a partition."""
        self._first_offsets.pop(at, None)
        self._forget_heard([name for name in self._heard_ns if name[0] == at])
        for name in [name for name in self._views if name[0] == at]:
            del self._views[name]


def thin(waiting: list[Incoming], now_ns: int, delay_s: float) -> list[Incoming]:
    """Which of a camera's waiting pictures are looked at: all, or, when the oldest waits longer than `delay_s`, a share with the newest.

    The longer the wait the smaller the share, so that the delay stays bounded.  The share is spread evenly, so that nobody is lost from
    sight, but no wider than `MOST_APART_NS`: glimpses further apart make no gait sample of anybody, so the oldest pictures go instead.
    Pictures that are only read again to rebuild state are never dropped, and with a delay of 0 none is.
    """
    new = [incoming for incoming in waiting if not incoming.again]
    if not new or delay_s <= 0:
        return waiting
    stride = 1 + int((now_ns - new[0].received_ns) / (delay_s * 1e9))
    if stride <= 1:
        return waiting
    share = -(-len(new) // stride)
    kept = new[:: -min(stride, _widest_step(new))][:share][::-1]
    metrics.FRAMES.labels("behind").inc(len(new) - len(kept))
    return [incoming for incoming in waiting if incoming.again] + kept


def _widest_step(waiting: list[Incoming]) -> int:
    """So many pictures of this camera further on lie `MOST_APART_NS`; at least the next."""
    time_ns_N = np.array([incoming.message.time_ns for incoming in waiting], np.int64)  # type: ignore[attr-defined]
    step_ns = float(np.median(np.diff(time_ns_N))) if len(time_ns_N) > 1 else 0.0
    return max(1, int(MOST_APART_NS / step_ns)) if step_ns > 0 else len(waiting)


def output_of(at: TopicPartition, message: Message) -> Output:
    """The message for its topic."""
    if isinstance(message, PeopleSeen):
        return Output(at, topics.CAMERA_PEOPLE.name, message.camera_id.encode(), message.to_bytes(), message.id)
    if isinstance(message, CameraSample):
        return Output(at, topics.SAMPLES_CAMERA.name, message.stream_key.encode(), message.to_bytes(), message.id)
    assert isinstance(message, WalkingEvent)
    return Output(at, topics.WALKING_EVENTS.name, message.stream_key.encode(), message.to_bytes(), message.id)
