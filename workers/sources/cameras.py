"""Publishing the pictures of recorded and simulated cameras at a chosen speed; cameras that really look are in `camera_live`."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from streams import topics
from streams.clients import producer_of
from workers.sources.camera_jpeg import JpegEncoder
from workers.sources.camera_pace import Thinner

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from aiokafka import AIOKafkaProducer

    from models.simulation.camera_live import SimulatedCamera
    from streams.messages import CameraFrame
    from streams.settings import Settings
    from workers.sources.camera_jpeg import ClaimFolder
    from workers.sources.camera_recorded import Recording

MAX_IN_FLIGHT = 64
"""Frames of one camera handed to the producer and not yet acknowledged: at most 58 MB of pictures when pushing at full speed."""

MOST_LATE_S = 0.5
"""A simulated camera that cannot be rendered in real time loses pictures, as a real one does, instead of falling behind for ever."""


class Camera(Protocol):
    """What publishes."""

    @property
    def camera_id(self) -> str:
        """The key of its frames."""

    @property
    def start_ns(self) -> int:
        """No picture is earlier."""

    def frames(self, late: Callable[[int], bool]) -> Iterator[CameraFrame]:
        """In the order of their times.  Decodes, renders, encodes: called in a thread.  `late` tells whether the moment at which a picture
        of that time was due is over by more than MOST_LATE_S."""


@dataclass(slots=True)
class RecordedCamera:
    """A recording as a camera whose first picture was taken at `start_ns`; every picture is sent, however late.

    `most_hz` thins the pictures.  With `loop` it goes on for ever: each pass is a session, because nobody walks from its end to its beginning.
    """

    camera_id: str
    recording: Recording
    start_ns: int
    quality: int = 80
    width_px: int | None = None
    most_hz: float | None = None
    claims: ClaimFolder | None = None
    loop: bool = False

    def frames(self, late: Callable[[int], bool]) -> Iterator[CameraFrame]:
        """See `Camera`."""
        begin_ns = self.start_ns
        while True:
            encoder = JpegEncoder(self.camera_id, str(begin_ns), self.quality, self.width_px, self.claims)
            thinner = Thinner(self.most_hz)
            offset_ns = 0
            for offset_ns, image in self.recording.pictures():
                if thinner.keeps(begin_ns + offset_ns):
                    yield encoder.message(begin_ns + offset_ns, image)
            if not self.loop:
                return
            begin_ns += offset_ns + self.recording.step_ns


@dataclass(slots=True)
class RenderedCamera:
    """A simulated camera for `seconds` of its time; what cannot be rendered in time is lost."""

    simulated: SimulatedCamera
    seconds: float
    quality: int = 80

    @property
    def camera_id(self) -> str:
        """See `Camera`."""
        return self.simulated.camera_id

    @property
    def start_ns(self) -> int:
        """See `Camera`."""
        return self.simulated.start_ns

    def frames(self, late: Callable[[int], bool]) -> Iterator[CameraFrame]:
        """See `Camera`."""
        encoder = JpegEncoder(self.camera_id, str(self.start_ns), self.quality)
        end_ns = self.start_ns + self.seconds * 1e9
        for number, time_ns in self.simulated.times():
            if time_ns >= end_ns:
                return
            if not late(time_ns):
                encoder.seq = number  # pictures that the simulated camera lost keep their numbers
                yield encoder.message(time_ns, self.simulated.scene.frame(time_ns).image_HW3)


async def publish_cameras(
    settings: Settings,
    cameras: Sequence[SimulatedCamera],
    *,
    seconds: float = float("inf"),
    speed: float | None = 1.0,
    quality: int = 80,
    on_progress: Callable[[int], None] | None = None,
    until: asyncio.Event | None = None,
) -> int:
    """Publish `seconds` of simulated cameras and return the number of frames; see `publish`."""
    rendered = [RenderedCamera(camera, seconds, quality) for camera in cameras]
    return await publish(settings, rendered, speed=speed, on_progress=on_progress, until=until)


async def publish(
    settings: Settings,
    cameras: Sequence[Camera],
    *,
    speed: float | None = 1.0,
    on_progress: Callable[[int], None] | None = None,
    until: asyncio.Event | None = None,
) -> int:
    """Publish until every camera ends (or `until` is set) and return the number of frames.

    A frame is sent when it was taken, at `speed` times real time counted from the call and the earliest camera's start; None means as
    fast as the broker takes it.  Decoding, rendering and encoding happen in threads, one for each camera.  Raises KafkaError when a frame
    is lost and Refused when one cannot be sent.
    """
    if not cameras:
        return 0
    producer = producer_of(settings)
    pool = ThreadPoolExecutor(len(cameras), thread_name_prefix="camera-source")
    tasks: list[asyncio.Task[None]] = []
    try:
        await producer.start()
        run = _Run(producer, pool, min(camera.start_ns for camera in cameras), speed, on_progress, until or asyncio.Event())
        tasks += [asyncio.create_task(run.publish(camera)) for camera in cameras]
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        pool.shutdown(wait=False, cancel_futures=True)
        await producer.stop()
    return run.sent


class _Run:
    """What the cameras of one call share."""

    def __init__(
        self,
        producer: AIOKafkaProducer,
        pool: ThreadPoolExecutor,
        origin_ns: int,
        speed: float | None,
        on_progress: Callable[[int], None] | None,
        until: asyncio.Event,
    ) -> None:
        self.sent = 0
        self._producer, self._pool, self._until, self._on_progress = producer, pool, until, on_progress
        self._began_s, self._origin_ns, self._speed = time.monotonic(), origin_ns, speed

    async def publish(self, camera: Camera) -> None:
        """One camera to its end."""
        loop = asyncio.get_running_loop()
        frames = camera.frames(self._late)
        in_flight: deque[asyncio.Future[object]] = deque()
        while not self._until.is_set():
            frame = await loop.run_in_executor(self._pool, next, frames, None)
            if frame is None or await self._stopped_before(frame.time_ns):
                break
            in_flight.append(await self._producer.send(topics.CAMERA_FRAMES.name, frame.to_bytes(), key=frame.camera_id.encode()))
            self.sent += 1
            if self._on_progress:
                self._on_progress(self.sent)
            while in_flight and (in_flight[0].done() or len(in_flight) >= MAX_IN_FLIGHT):
                await in_flight.popleft()
        while in_flight:
            await in_flight.popleft()

    def _wait_s(self, time_ns: int) -> float:
        """Until a picture of that time is due; negative when it was."""
        if self._speed is None:
            return 0.0
        return self._began_s + (time_ns - self._origin_ns) / 1e9 / self._speed - time.monotonic()

    def _late(self, time_ns: int) -> bool:
        return self._wait_s(time_ns) < -MOST_LATE_S

    async def _stopped_before(self, time_ns: int) -> bool:
        """Wait until the picture is due; True when everything is to stop before that."""
        wait_s = self._wait_s(time_ns)
        if wait_s <= 0:
            return self._until.is_set()
        try:
            await asyncio.wait_for(self._until.wait(), wait_s)
        except TimeoutError:
            return False
        return True
