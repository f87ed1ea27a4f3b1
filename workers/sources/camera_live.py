"""Cameras that really look (RTSP, MJPEG, USB): always the newest picture, tried again with growing pauses when they are lost."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from streams import topics
from streams.clients import producer_of
from workers.sources.camera_capture import open_camera
from workers.sources.camera_jpeg import JpegEncoder
from workers.sources.camera_pace import Backoff, CaptureClock, Thinner

if TYPE_CHECKING:
    from collections.abc import Callable

    import cv2

    from models.pose.boxes import Image
    from streams.settings import Settings
    from workers.sources.camera_jpeg import ClaimFolder
    from workers.sources.camera_uri import NetworkCamera, UsbCamera

MAX_IN_FLIGHT = 4
"""Frames that Kafka has not acknowledged.  While it is slow, newer pictures take the place of waiting ones."""

STOP_S = 2.0
"""A reader that waits for a silent camera is left to itself after this long."""


@dataclass(frozen=True, slots=True)
class Grabbed:
    """A picture (H, W, 3) BGR, when it was taken, and the session of the clock that says so."""

    session: str
    time_ns: int
    image: Image


@dataclass(slots=True)
class Newest:
    """One picture at most: a new one takes the place of one that nobody has taken yet."""

    replaced: int = 0
    """Pictures that were never taken."""
    _picture: Grabbed | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def put(self, picture: Grabbed) -> None:
        """From the reader's thread."""
        with self._lock:
            self.replaced += self._picture is not None
            self._picture = picture

    def take(self) -> Grabbed | None:
        """The newest picture, once."""
        with self._lock:
            picture, self._picture = self._picture, None
            return picture


@dataclass
class LiveCamera:
    """A camera that is read in a thread of its own from `start` to `stop`, opened again when it is lost."""

    source: NetworkCamera | UsbCamera
    say: Callable[[str], None] = lambda text: None
    most_hz: float | None = None
    clock: CaptureClock = field(default_factory=CaptureClock)
    backoff: Backoff = field(default_factory=Backoff)
    newest: Newest = field(default_factory=Newest)

    _stopping: threading.Event = field(default_factory=threading.Event, init=False)
    _thread: threading.Thread | None = field(default=None, init=False)

    def start(self, on_picture: Callable[[], object]) -> None:
        """Begin to read; `on_picture` is called in the thread whenever `newest` holds a new one."""
        self._on_picture = on_picture
        # A daemon, because a read from a silent camera cannot be interrupted and must not hold up the end of the process.
        self._thread = threading.Thread(target=self._run, name="camera-reader", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the reading, if it began; blocks for up to STOP_S."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join(STOP_S)

    def _run(self) -> None:
        while not self._stopping.is_set():
            capture = open_camera(self.source)
            if capture is None:
                why = "does not answer"
            else:
                try:
                    why = "was lost" if self._read(capture) else "gives no picture"
                finally:
                    capture.release()
            if not self._stopping.is_set():
                pause_s = self.backoff.pause_s()
                self.say(f"{self.source.shown} {why}; tried again in {pause_s:g} s")
                self._stopping.wait(pause_s)

    def _read(self, capture: cv2.VideoCapture) -> int:
        """Grab until the camera is lost and return the number of pictures."""
        thinner = Thinner(self.most_hz)
        grabbed, session = 0, self.clock.session
        while capture.grab() and not self._stopping.is_set():
            time_ns = self.clock.now_ns()
            if self.clock.session != session:
                session, thinner = self.clock.session, Thinner(self.most_hz)
            if not grabbed:
                self.backoff.succeeded()
                self.say(f"{self.source.shown} is there")
            grabbed += 1
            if not thinner.keeps(time_ns):
                continue
            there, image = capture.retrieve()
            if there:
                self.newest.put(Grabbed(session, time_ns, image))  # type: ignore[arg-type]
                self._on_picture()
        return grabbed


@dataclass(slots=True)
class LiveOptions:
    """How the pictures are sent."""

    camera_id: str
    quality: int = 80
    width_px: int | None = None
    claims: ClaimFolder | None = None


async def publish_live(
    settings: Settings,
    camera: LiveCamera,
    options: LiveOptions,
    *,
    until: asyncio.Event,
    on_progress: Callable[[int], None] | None = None,
) -> int:
    """Publish what the camera sees until `until` is set and return the number of frames.

    Raises KafkaError when a frame is lost on the way to Kafka and Refused when one cannot be sent; a lost camera is no error.
    """
    producer = producer_of(settings)
    loop = asyncio.get_running_loop()
    seen = asyncio.Event()
    stopping: asyncio.Future[Any] = asyncio.create_task(until.wait())
    in_flight: set[asyncio.Future[Any]] = set()
    encoder = JpegEncoder(options.camera_id, "", options.quality, options.width_px, options.claims)
    sent = 0
    try:
        await producer.start()
        camera.start(lambda: loop.call_soon_threadsafe(seen.set))
        while not until.is_set():
            if len(in_flight) >= MAX_IN_FLIGHT:
                done, _ = await asyncio.wait({stopping, *in_flight}, return_when=asyncio.FIRST_COMPLETED)
                in_flight -= _acknowledged(done - {stopping})
                continue
            seen.clear()
            picture = camera.newest.take()
            if picture is None:
                await _either(stopping, seen)
                continue
            if picture.session != encoder.session:
                encoder.session, encoder.seq = picture.session, 0
            frame = await asyncio.to_thread(encoder.message, picture.time_ns, picture.image)
            in_flight.add(await producer.send(topics.CAMERA_FRAMES.name, frame.to_bytes(), key=frame.camera_id.encode()))
            in_flight -= _acknowledged({future for future in in_flight if future.done()})
            sent += 1
            if on_progress:
                on_progress(sent)
        if in_flight:
            _acknowledged((await asyncio.wait(in_flight))[0])
    finally:
        stopping.cancel()
        await asyncio.to_thread(camera.stop)
        await producer.stop()
    return sent


async def _either(stopping: asyncio.Future[Any], seen: asyncio.Event) -> None:
    waiting = asyncio.create_task(seen.wait())
    await asyncio.wait({stopping, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()


def _acknowledged(done: set[asyncio.Future[Any]]) -> set[asyncio.Future[Any]]:
    """The same futures; raises what went wrong with one of them."""
    for future in done:
        future.result()
    return done
