"""A network camera that really streams, is lost and comes back; a Kafka that is slow."""

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from streams.clients import read_partitions
from streams.errors import Refused
from streams.messages import CameraFrame
from streams.provision import ensure_topics
from streams.settings import Settings
from streams.topics import CAMERA_FRAMES
from tests.support.brokers import BrokerProcess, free_port, until
from tests.workers.sources.conftest import Published
from tests.workers.sources.mjpeg import MjpegCamera, number_of
from workers.camera.picture import picture_of
from workers.sources.camera_live import Grabbed, LiveCamera, LiveOptions, Newest, publish_live
from workers.sources.camera_pace import CaptureClock
from workers.sources.camera_uri import NetworkCamera, parse


class Push:
    """`gaitstream push camera` of one camera, running."""

    def __init__(self, settings: Settings, uri: str, camera_id: str, **options: object) -> None:
        source = parse(uri)
        assert isinstance(source, NetworkCamera)
        self.said: list[str] = []
        self.sent, self._until = 0, asyncio.Event()
        self.camera = LiveCamera(source, say=self.said.append, **options)  # type: ignore[arg-type]
        self._task = asyncio.create_task(
            publish_live(settings, self.camera, LiveOptions(camera_id), until=self._until, on_progress=self._progress)
        )

    def _progress(self, sent: int) -> None:
        self.sent = sent

    async def end(self) -> int:
        """Ctrl-C."""
        self._until.set()
        return await asyncio.wait_for(self._task, 20)


async def test_a_camera_that_is_lost_and_comes_back(settings: Settings, published: Published):
    async with MjpegCamera(free_port()) as camera:
        began_ns = time.time_ns()
        push = Push(settings, camera.uri, "live-lost")
        await until(lambda: push.sent >= 10)
        before = push.sent
        camera.lose()
        await until(lambda: camera.connections == 2 and push.sent >= before + 20)
        sent, ended_ns = await push.end(), time.time_ns()
    frames = (await published())["live-lost"]
    assert len(frames) == sent
    numbers = [number_of(picture_of(frame, None)) for frame in frames]
    assert all(a < b for a, b in pairwise(numbers)), "no picture twice, none late"
    times = [began_ns, *(frame.time_ns for frame in frames), ended_ns]
    assert all(a < b for a, b in pairwise(times)), "the times at which they were taken"
    assert len({frame.session for frame in frames}) == 1, "one clock: a lost camera goes on in its session"
    assert [frame.seq for frame in frames] == list(range(sent))
    assert "was lost; tried again in" in " ".join(push.said)
    assert push.said[-1].endswith("is there")


async def test_a_camera_that_is_not_there_yet(settings: Settings, published: Published):
    """Nothing listens, then the camera refuses, then it streams."""
    camera = MjpegCamera(free_port(), accept=False)
    push = Push(settings, camera.uri, "live-later")
    await until(lambda: any("does not answer" in text for text in push.said))
    async with camera:
        await until(lambda: camera.connections >= 1)
        camera.accept = True
        await until(lambda: push.sent >= 3)
        sent = await push.end()
    assert len((await published())["live-later"]) == sent


async def test_at_most_so_many_pictures_a_second(settings: Settings, published: Published):
    async with MjpegCamera(free_port(), hz=50.0) as camera:
        push = Push(settings, camera.uri, "live-thin", most_hz=10.0)
        await until(lambda: push.sent >= 8)
        await push.end()
    frames = (await published())["live-thin"]
    seconds = (frames[-1].time_ns - frames[0].time_ns) / 1e9
    assert len(frames) <= 10.0 * seconds + 2, "on average: single gaps may be shorter after a late picture"


async def test_a_clock_that_is_set_begins_a_session(settings: Settings, published: Published):
    shift_ns = 0
    clock = CaptureClock(wall_ns=lambda: time.time_ns() + shift_ns)
    async with MjpegCamera(free_port()) as camera:
        push = Push(settings, camera.uri, "live-set", clock=clock)
        await until(lambda: push.sent >= 5)
        shift_ns = -3600 * 10**9
        before = push.sent
        await until(lambda: push.sent >= before + 5)
        await push.end()
    frames = (await published())["live-set"]
    sessions = list(dict.fromkeys(frame.session for frame in frames))
    assert len(sessions) == 2
    for session in sessions:
        own = [frame for frame in frames if frame.session == session]
        assert [frame.seq for frame in own] == list(range(len(own)))
        # The newest picture wins: on a busy machine the one that began the session may have been replaced before it was sent.
        assert all(a < b for a, b in pairwise([int(session) - 1, *(frame.time_ns for frame in own)]))
    assert int(sessions[0]) - int(sessions[1]) > 3000 * 10**9, "named by the clock that was set"
    if not push.camera.newest.replaced:
        assert all(any(frame.time_ns == int(session) for frame in frames) for session in sessions)


def test_the_newest_picture_wins():
    newest = Newest()
    for n in range(5):
        newest.put(Grabbed("1", n, np.zeros((16, 16, 3), np.uint8)))
    picture = newest.take()
    assert picture is not None and picture.time_ns == 4
    assert newest.take() is None
    assert newest.replaced == 4


@pytest.fixture
async def frozen(tmp_path: Path) -> AsyncIterator[tuple[Settings, Callable[[], None], Callable[[], None]]]:
    """A broker of its own that a test can stop and continue."""
    with BrokerProcess("embedded", tmp_path / "broker") as process:
        settings = Settings(bootstrap=process.bootstrap)
        await ensure_topics(settings)
        pid = process.pid
        assert pid is not None
        try:
            yield settings, lambda: os.kill(pid, signal.SIGSTOP), lambda: os.kill(pid, signal.SIGCONT)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


async def test_while_kafka_stands_still_old_pictures_are_dropped_not_kept(frozen: tuple[Settings, Callable[[], None], Callable[[], None]]):
    settings, freeze, thaw = frozen
    async with MjpegCamera(free_port(), hz=100.0) as camera:
        push = Push(settings, camera.uri, "live-slow")
        await until(lambda: push.sent >= 5)
        freeze()
        dropped, sent = push.camera.newest.replaced, push.sent
        await until(lambda: push.camera.newest.replaced >= dropped + 50)
        assert push.sent - sent <= 5, "what was on its way, and no more"
        stood = push.sent
        thaw()
        await until(lambda: push.sent >= stood + 10)
        total = await push.end()
    frames = [CameraFrame.from_bytes(record.value) async for record in read_partitions(settings, CAMERA_FRAMES.name)]
    assert len(frames) == total
    numbers = [number_of(picture_of(frame, None)) for frame in frames]
    assert numbers == sorted(numbers)
    assert numbers[stood] - numbers[stood - 1] > 40, "after it the newest picture comes, not those of the pause"


async def test_a_picture_that_cannot_be_sent_ends_the_push_in_words(settings: Settings, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("workers.sources.camera_jpeg.MOST_FRAME_BYTES", 100)
    async with MjpegCamera(free_port()) as camera:
        push = Push(settings, camera.uri, "live-large")
        with pytest.raises(Refused, match="--claim-root"):
            await asyncio.wait_for(push._task, 20)
