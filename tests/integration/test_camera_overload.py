"""More pictures than a camera worker can take: bounded memory, an explicit and counted drop, nothing twice, and back to normal afterwards.

What is documented (design, promise 5; `workers.camera.worker.thin`): when the oldest waiting picture of a camera waits longer than `camera_delay_s`, a
share of its waiting pictures is looked at, always with the newest; the others are counted as `behind`. Nothing else is ever left out.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest
from prometheus_client import REGISTRY

from streams import topics
from streams.clients import read_partitions
from streams.messages import PeopleSeen
from streams.settings import Settings
from tests.support.brokers import broker_kinds
from tests.support.fetched import require_networks
from tests.support.filming import AT, camera_worker, film, incoming_frames
from tests.support.pipeline import START_NS, LocalWorker, count, seen_by_a_subscriber, send, until
from workers.camera.worker import CameraWorker, thin

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiokafka import ConsumerRecord

    from streams.messages import CameraFrame
    from workers.processor import Incoming, Outcome

PARTITIONS = 3
SPREAD = {topic.name: PARTITIONS for topic in topics.CO_PARTITIONED}
OUTPUTS = [topics.CAMERA_PEOPLE.name, topics.SAMPLES_CAMERA.name, topics.WALKING_EVENTS.name]
OUTCOMES = ("analysed", "behind", "faster_than_needed", "late", "rejected")
DELAY_S = 0.3
MOST_OF_A_POLL = PARTITIONS * 3_000_000
"""Bytes: 2 MiB of each partition (`streams.clients.consumer_of`), and the message that reaches beyond."""


class WatchedWorker(CameraWorker):
    """The camera worker, and how much it was given at once. newest: per camera the last picture looked at, after each batch."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.waiting_bytes = self.most_waiting_bytes = self.most_batch_bytes = self.batches = 0
        self.newest: dict[str, list[int]] = defaultdict(list)

    def decode(self, record: ConsumerRecord) -> CameraFrame:
        self.waiting_bytes += len(record.value)
        self.most_waiting_bytes = max(self.most_waiting_bytes, self.waiting_bytes)
        return super().decode(record)

    def process(self, batch: Sequence[Incoming]) -> Outcome:
        given = sum(len(incoming.record.value) for incoming in batch)
        self.batches += bool(batch)
        self.most_batch_bytes = max(self.most_batch_bytes, given)
        outcome = super().process(batch)
        self.waiting_bytes -= given
        for (_, camera_id), view in self._views.items():
            if not self.newest[camera_id] or self.newest[camera_id][-1] != view.last_ns:
                self.newest[camera_id].append(view.last_ns)
        return outcome


def still(camera_id: str, pictures: int) -> list[CameraFrame]:
    """A camera whose large pictures show a noisy wall, always the same: half a megabyte each, so that not all fit into one poll."""
    wall = np.random.default_rng(5).integers(0, 256, (480, 640, 3), np.uint8)
    jpeg = cv2.imencode(".jpg", wall, [cv2.IMWRITE_JPEG_QUALITY, 95])[1].tobytes()
    assert 300_000 < len(jpeg) < 900_000
    like = film(1, 14.0, seed=1, camera_id="one")[0]
    made = like.model_copy(update={"camera_id": camera_id, "width": 640, "height": 480, "jpeg": jpeg})
    return [made.model_copy(update={"seq": n, "time_ns": START_NS + n * 80_000_000}) for n in range(pictures)]


def frames_by_outcome() -> dict[str, int]:
    values = {outcome: REGISTRY.get_sample_value("gaitstream_camera_frames_total", {"outcome": outcome}) for outcome in OUTCOMES}
    return {outcome: int(value or 0) for outcome, value in values.items()}


def lag() -> float | None:
    """Messages that the worker still has before it, as it tells its operators."""
    return REGISTRY.get_sample_value("gaitstream_lag_messages", {"role": "camera", "topic": topics.CAMERA_FRAMES.name})


def messages_of(frames: Sequence[CameraFrame]) -> list[tuple[bytes | None, bytes | None]]:
    return [(frame.camera_id.encode(), frame.to_bytes()) for frame in frames]


@pytest.fixture(scope="module", autouse=True)
def networks() -> None:
    require_networks()


@pytest.mark.parametrize(
    ("step_ms", "waited_s", "pictures", "apart_ms"),
    [
        (80, 1.0, 175, 80),  # in time: all
        (80, 5.0, 59, 240),  # every third
        (80, 13.0, 25, 320),  # a seventh of them, but no further apart than a gait sample bears: the oldest go
        (40, 13.0, 25, 280),  # a camera that is twice as fast can be spread evenly
        (200, 13.0, 25, 200),  # and of one that gives five a second
        (500, 13.0, 25, 500),  # which could not be spread at all
    ],
)
def test_the_share_that_is_looked_at(step_ms: int, waited_s: float, pictures: int, apart_ms: int) -> None:
    frames = [frame.model_copy(update={"time_ns": START_NS + n * step_ms * 1_000_000}) for n, frame in enumerate(film(2, 14.0, seed=2))]
    worker = CameraWorker(Settings())
    waiting = incoming_frames(worker, frames)
    kept = thin(waiting, waiting[0].received_ns + round(waited_s * 1e9), 2.0)
    assert len(kept) == pictures and kept[-1] is waiting[-1]
    assert set(np.diff([incoming.message.time_ns for incoming in kept])) == {apart_ms * 1_000_000}  # type: ignore[attr-defined]


def test_who_passes_an_overloaded_camera_is_still_recognisable() -> None:
    """Seven times too much: of every stretch that is looked at gait samples are made; spread over all of it there would be none."""
    worker = camera_worker()
    waiting = incoming_frames(worker, film(2, 14.0, seed=2, camera_id="two"))
    kept = thin(waiting, waiting[0].received_ns + 13_000_000_000, 2.0)
    outputs = worker.process(kept).outputs + worker.tick(AT, 2**62).outputs
    assert len({output.key for output in outputs if output.topic == topics.SAMPLES_CAMERA.name}) >= 2
    spread = camera_worker()
    outputs = spread.process(waiting[::-1][::7][::-1]).outputs + spread.tick(AT, 2**62).outputs
    assert not [output for output in outputs if output.topic == topics.SAMPLES_CAMERA.name]


@pytest.mark.timeout(400)  # 10 s of computing; the machine may be shared
@pytest.mark.parametrize("partitions", [SPREAD], indirect=True, ids=["3 partitions"])
@pytest.mark.parametrize("broker_kind", broker_kinds())
async def test_a_burst_is_thinned_counted_and_survived(settings: Settings) -> None:
    settings = settings.model_copy(update={"camera_delay_s": DELAY_S, "idle_release_s": 600.0})
    cameras = [list(film(1, 14.0, seed=1, camera_id="one")), list(film(2, 14.0, seed=2, camera_id="two")), still("wall", 60)]
    burst = sorted((frame for camera in cameras for frame in camera), key=lambda frame: (frame.time_ns, frame.camera_id))
    assert sum(len(frame.to_bytes()) for frame in burst) > 2 * MOST_OF_A_POLL, "more than is held at once"
    before = frames_by_outcome()

    def outcomes() -> dict[str, int]:
        return {outcome: value - before[outcome] for outcome, value in frames_by_outcome().items()}

    worker = WatchedWorker(settings)
    async with LocalWorker(settings, worker):
        # All at once, 14 s of two cameras and 5 s of a third: no machine computes that in the delay that is allowed.
        await send(settings, messages_of(burst), topic=topics.CAMERA_FRAMES.name)
        await until(lambda: sum(outcomes().values()) >= len(burst), 200, "every picture's outcome")
        after_burst = outcomes()
        # The load is over. Pictures that come one by one are looked at, each of them, however late the machine is.
        calm = [frame.model_copy(update={"time_ns": frame.time_ns + 60_000_000_000}) for frame in cameras[0][50:62]]
        for n, frame in enumerate(calm, 1):
            await send(settings, messages_of([frame]), topic=topics.CAMERA_FRAMES.name)
            await until(lambda n=n: sum(outcomes().values()) >= len(burst) + n, 60, "a picture's outcome")
        await until(lambda: lag() == 0, 30, "no lag")
        seen = await seen_by_a_subscriber(settings, OUTPUTS)
    # Every picture has one outcome, and the only one besides "analysed" is the documented drop.
    assert sum(after_burst.values()) == len(burst)
    assert after_burst["behind"] > 0 and after_burst["analysed"] + after_burst["behind"] == len(burst), after_burst
    assert outcomes() == after_burst | {"analysed": after_burst["analysed"] + len(calm)}
    # The newest picture of every camera was looked at, and newer ones were dropped for no older one.
    for camera in cameras:
        assert worker.newest[camera[0].camera_id] == sorted(worker.newest[camera[0].camera_id])
        assert camera[-1].time_ns in worker.newest[camera[0].camera_id]
    # Memory: one batch is worked on, one waits, each no larger than a poll.
    assert worker.batches >= 3
    assert worker.most_batch_bytes <= MOST_OF_A_POLL, worker.most_batch_bytes
    assert worker.most_waiting_bytes <= 2 * MOST_OF_A_POLL, worker.most_waiting_bytes
    assert worker.waiting_bytes == 0
    # Nothing twice, and everybody who was seen was seen at the time of a picture that was sent, in order.
    ids = [name for names in seen.values() for name in names]
    assert len(ids) == len(set(ids)) == count(seen) > 0
    people = defaultdict(list)
    async for record in read_partitions(settings, topics.CAMERA_PEOPLE.name):
        message = PeopleSeen.from_bytes(record.value)
        people[message.camera_id].append(message.time_ns)
    sent = {(frame.camera_id, frame.time_ns) for frame in [*burst, *calm]}
    assert people.keys() >= {"one", "two"} and "wall" not in people
    for camera_id, times_ns in people.items():
        assert times_ns == sorted(set(times_ns)) and {(camera_id, time_ns) for time_ns in times_ns} <= sent
    assert [record async for record in read_partitions(settings, topics.DEAD_LETTER.name)] == []
