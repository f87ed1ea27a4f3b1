"""Cameras under measurement: a film rendered once, shown by six cameras as a backlog and live.

The film shows two cameras of 640 x 360 at 12.5 pictures a second, passed by two people at a time; between two passages nobody is there,
as in front of a real camera.  Six cameras show it, each from another moment on.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import cv2
import msgpack
import numpy as np

from models.simulation import Walker
from models.simulation.camera_live import SLOT_S, simulated_cameras
from models.types import CAMERA_RATE_HZ
from streams import topics
from streams.clients import producer_of, read_partitions
from streams.errors import Unavailable
from streams.messages import CameraFrame, IdentityEvent, PeopleSeen
from streams.settings import Settings
from workers.bench.camera_backlog import Backlog, run_backlog
from workers.bench.live import WARM_UP_S, listen
from workers.bench.processes import Process

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from workers.bench.processes import Worker

CAMERAS = 6
PEOPLE = 4
PEOPLE_PER_CAMERA = 2.0
FILMS = 2
FILM_S = 2 * SLOT_S
FILE = "film.msgpack"

Film = list[list[tuple[int, bytes]]]
"""Per camera of the film the pictures: time since its begin in ns, JPEG."""


@dataclass(frozen=True, slots=True)
class CameraFigures:
    """See `gaitstream bench`."""

    backlog: Backlog
    rss_mb: float
    people_per_frame: float
    p50_ms: float
    p99_ms: float
    events: int


def render() -> Film:
    """The film.  Seeded: the same pictures in every run."""
    cameras = simulated_cameras(FILMS, [Walker(700 + n) for n in range(PEOPLE)], seed=5, people_per_camera=PEOPLE_PER_CAMERA)
    film: Film = []
    for camera in cameras:
        pictures = []
        for _, time_ns in camera.times():
            if time_ns >= FILM_S * 1e9:
                break
            pictures.append(
                (time_ns, cv2.imencode(".jpg", camera.scene.frame(time_ns).image_HW3, [cv2.IMWRITE_JPEG_QUALITY, 80])[1].tobytes())
            )
        film.append(pictures)
    return film


def shown(film: Film, camera: int, start_ns: int, seconds: float) -> Iterator[CameraFrame]:
    """The pictures of one of the six cameras from `start_ns` on."""
    pictures = film[camera % len(film)]
    shift = len(pictures) * (camera // len(film)) // (CAMERAS // len(film))
    at_ns, n = start_ns, 0
    while at_ns < start_ns + seconds * 1e9:
        jpeg = pictures[(shift + n) % len(pictures)][1]
        yield CameraFrame(camera_id=f"bench-{camera}", session=str(start_ns), seq=n, time_ns=at_ns, width=640, height=360, jpeg=jpeg)
        n += 1
        at_ns = start_ns + round(n * 1e9 / CAMERA_RATE_HZ)


def cameras_of(film: Film, start_ns: int, seconds: float) -> list[tuple[CameraFrame, ...]]:
    """All pictures of the cameras: at each moment one of every camera."""
    return list(zip(*(shown(film, camera, start_ns, seconds) for camera in range(CAMERAS)), strict=True))


async def run_cameras(settings: Settings, worker: Worker, folder: Path, seconds: int) -> CameraFigures:
    """A backlog of so many seconds beside bare networks, then as many live.  Raises Unavailable when nothing can be measured."""
    film = await asyncio.to_thread(render)
    (folder / FILE).write_bytes(msgpack.packb(film))
    backlog = await run_backlog(settings, worker, cameras_of(film, time.time_ns() - seconds * 1_000_000_000, seconds))
    rss_mb = worker.peak_rss_mb()
    people = await _people_per_frame(settings)
    latencies_ms = await _live(settings, folder, seconds)
    p50, p99 = np.percentile(latencies_ms, [50, 99])
    return CameraFigures(backlog, rss_mb, people, float(p50), float(p99), len(latencies_ms))


async def _people_per_frame(settings: Settings) -> float:
    """People reported per picture of the backlog with anybody in it."""
    counts = [len(PeopleSeen.from_bytes(record.value).people) async for record in read_partitions(settings, topics.CAMERA_PEOPLE.name)]
    some = [count for count in counts if count]
    return sum(some) / len(some) if some else 0.0


async def _live(settings: Settings, folder: Path, seconds: int) -> list[float]:
    """Milliseconds from the last moment of a window to its event at a subscriber."""
    generator = Process(["-m", "workers.bench", "cameras", str(folder / FILE), str(WARM_UP_S + seconds)], settings, folder / "cameras.log")
    from_ns = time.time_ns() + WARM_UP_S * 1_000_000_000
    arrivals = await listen(settings, generator, seconds, "the cameras")
    events = [(now_ns, IdentityEvent.from_bytes(record.value)) for now_ns, record in arrivals]
    found = [(now_ns - event.end_ns) / 1e6 for now_ns, event in events if event.modality == "camera" and event.end_ns >= from_ns]
    if not found:
        raise Unavailable(f"{CAMERAS} live cameras gave no identity event")
    return found


async def generate(file: Path, seconds: int) -> None:
    """Publish the film live, from a process of its own."""
    film: Film = msgpack.unpackb(await asyncio.to_thread(file.read_bytes))
    producer = producer_of(Settings.read())
    await producer.start()
    try:
        began, start_ns = time.monotonic(), time.time_ns()
        for frames in cameras_of(film, start_ns, seconds):
            for camera, frame in enumerate(frames):
                # Cameras are not in step: each takes its pictures a little after the one before.
                own = frame.model_copy(update={"time_ns": frame.time_ns + camera * 13_000_000})
                due = began + (own.time_ns - start_ns) / 1e9
                if (wait_s := due - time.monotonic()) > 0:
                    await asyncio.sleep(wait_s)
                await producer.send(topics.CAMERA_FRAMES.name, own.to_bytes(), key=own.camera_id.encode())
        await producer.flush()
    finally:
        await producer.stop()
