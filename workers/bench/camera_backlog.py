"""A backlog of pictures through a camera worker, beside decoder and networks alone doing the same amount of work.

The speed of a shared machine changes by a tenth within seconds. So the two take turns: some pictures through the pipeline, some calls of the
bare networks, and again; the ratio is that of the sums.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from threading import Barrier
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from streams import topics
from streams.clients import producer_of
from workers.camera.networks import detector_of, pose_of
from workers.camera.picture import picture_of

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from models.pose.boxes import Image
    from streams.messages import CameraFrame
    from streams.settings import Settings
    from workers.bench.processes import Samples, Worker

Moments = Sequence[tuple["CameraFrame", ...]]
"""At each moment the pictures of all cameras."""

TURNS = 4
WARM_UP_MOMENTS = 12
"""A second: every thread of the worker loads networks of its own at its first picture."""
BARE_CALLS = 60
"""Of each kind, per turn."""
STALLED_AFTER_S = 120.0
BOX_4 = np.array([280.0, 90.0, 360.0, 300.0], np.float32)
"""A pose takes the same time wherever the person stands."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """frames: pictures measured.  cpu_s: of the worker.  poses, detections: its network calls.  bare_s: CPU seconds of these, and of as many
    decodings, without anything around them."""

    frames: int
    cpu_s: float
    poses: int
    detections: int
    bare_s: float


async def run_backlog(settings: Settings, worker: Worker, moments: Moments) -> Backlog:
    """Raises Unavailable when the worker stands still."""
    bare = Bare(settings, [frames[0] for frames in moments[::4]])
    published = await _publish(settings, moments[:WARM_UP_MOMENTS])
    before = await worker.until("gaitstream_messages_total", topics.CAMERA_FRAMES.name, published, STALLED_AFTER_S)
    frames, poses, detections, cpu_s, bare_s = 0, 0, 0, 0.0, 0.0
    for turn in np.array_split(np.arange(WARM_UP_MOMENTS, len(moments)), TURNS):
        worker.freeze()
        frames += await _publish(settings, moments[turn[0] : turn[-1] + 1])
        began_s = worker.cpu_s()
        worker.thaw()
        after = await worker.until("gaitstream_messages_total", topics.CAMERA_FRAMES.name, published + frames, STALLED_AFTER_S)
        cpu_s += worker.cpu_s() - began_s
        done = [_count(after, key) - _count(before, key) for key in _keys(settings)]
        bare_s += await asyncio.to_thread(bare.cpu_s, *done)
        poses, detections, before = poses + done[1], detections + done[2], after
    bare.close()
    return Backlog(frames, cpu_s, poses, detections, bare_s)


def _keys(settings: Settings) -> tuple[tuple[str, str], ...]:
    """The worker's counters of decodings, poses and detections."""
    forward = "gaitstream_forward_batch_sum"
    return ("gaitstream_camera_frame_seconds_count", "decode"), (forward, settings.camera_pose), (forward, settings.camera_detector)


def _count(samples: Samples, key: tuple[str, str]) -> int:
    return round(samples.get(key, 0.0))


async def _publish(settings: Settings, moments: Moments) -> int:
    producer = producer_of(settings)
    await producer.start()
    sent: list[Awaitable[object]] = []
    try:
        for frames in moments:
            sent += [await producer.send(topics.CAMERA_FRAMES.name, f.to_bytes(), key=f.camera_id.encode()) for f in frames]
        await asyncio.gather(*sent)
    finally:
        await producer.stop()
    return len(sent)


class Bare:
    """Decoder, pose network and detector alone, in as many threads as the worker has: side by side they share caches and memory."""

    def __init__(self, settings: Settings, frames: Sequence[CameraFrame]) -> None:
        cv2.setNumThreads(1)
        self._frames = frames[:BARE_CALLS]
        self._images = [picture_of(frame, None) for frame in self._frames]
        self._pose, self._detector = pose_of(settings), detector_of(settings)
        self._threads = settings.camera_threads
        self._pool = ThreadPoolExecutor(self._threads)
        together = Barrier(self._threads)
        for call in (self._posed, self._detected):  # once in every thread, which loads a network of its own
            list(self._pool.map(lambda image, call=call: (together.wait(), call(image)), self._images[: self._threads]))

    def cpu_s(self, decodings: int, poses: int, detections: int) -> float:
        """CPU seconds of so many calls, from the mean of BARE_CALLS of each kind."""
        return (
            self._seconds(lambda frame: picture_of(frame, None), self._frames) * decodings
            + self._seconds(self._posed, self._images) * poses
            + self._seconds(self._detected, self._images) * detections
        )

    def close(self) -> None:
        """Let the threads go."""
        self._pool.shutdown()

    def _posed(self, image: Image) -> object:
        return self._pose.pose(image, BOX_4)

    def _detected(self, image: Image) -> object:
        return None if self._detector is None else self._detector.detect(image)

    def _seconds(self, call: Callable[[Any], object], inputs: Sequence[Any]) -> float:
        began_s = time.process_time()
        list(self._pool.map(call, inputs))
        return (time.process_time() - began_s) / len(inputs)
