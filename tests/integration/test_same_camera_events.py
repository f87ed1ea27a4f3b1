"""Promises 1 to 3 for cameras: the same pictures give the same tracks and samples, whoever looks at them and whatever lies between.

Two cameras, one with two people who cross.  Bad frames are mixed in, a second worker joins, the first is killed between its outputs and
its commit.
"""

import asyncio

import pytest

from streams import topics
from streams.clients import read_partitions
from streams.messages import CameraFrame
from streams.settings import Settings
from tests.support.brokers import broker_kinds
from tests.support.fetched import require_networks
from tests.support.filming import FilmWorker, film, over, undisturbed_camera
from tests.support.pipeline import LocalWorker, count, ordered_ids, seen_by_a_subscriber, send, until, until_seen

SPREAD = {topic.name: 3 for topic in topics.CO_PARTITIONED}
OUTPUTS = [topics.CAMERA_PEOPLE.name, topics.SAMPLES_CAMERA.name, topics.WALKING_EVENTS.name]


def messages_of(frames: list[CameraFrame]) -> list[tuple[bytes | None, bytes | None]]:
    return [(frame.camera_id.encode(), frame.to_bytes()) for frame in frames]


def bomb(jpeg: bytes) -> bytes:
    """The JPEG with a header that says 65,000 x 65,000."""
    at = jpeg.index(b"\xff\xc0") + 5
    return jpeg[:at] + (65_000).to_bytes(2, "big") * 2 + jpeg[at + 4 :]


def poison(good: CameraFrame) -> list[tuple[bytes | None, bytes | None]]:
    """Frames that cannot be used, each for another reason, under the key of a camera that goes on."""
    good = good.model_copy(update={"time_ns": good.time_ns + 60_000_000})  # a moment that is looked at
    assert good.jpeg is not None
    bad = [
        good.model_copy(update={"jpeg": good.jpeg[:300]}),  # cut off
        good.model_copy(update={"jpeg": b"\x89PNG" + good.jpeg}),  # no JPEG
        good.model_copy(update={"width": good.width + 2}),  # another size than it says
        good.model_copy(update={"jpeg": bomb(good.jpeg)}),  # 12 GB when decoded
        good.model_copy(update={"jpeg": None, "claim": "../../etc/passwd"}),  # a claim, and none are allowed
        good.model_copy(update={"time_ns": good.time_ns + 10**18}),  # 30 years ahead
    ]
    key = good.camera_id.encode()
    return [*((key, frame.to_bytes()) for frame in bad), (key, b"\xc1"), (key, None), (b"another", good.to_bytes())]


@pytest.mark.parametrize("partitions", [SPREAD], indirect=True, ids=["3 partitions"])
@pytest.mark.parametrize("broker_kind", broker_kinds())
async def test_batches_owners_deaths_and_poison_change_nothing(settings: Settings) -> None:
    require_networks()
    settings = settings.model_copy(update={"max_batch": 9, "commit_every_s": 0.2, "camera_delay_s": 0.0, "idle_release_s": 600.0})
    both = [*film(1, 14.0, seed=1, camera_id="one"), *film(2, 14.0, seed=2, camera_id="two")]
    frames = over(sorted(both, key=lambda frame: (frame.time_ns, frame.camera_id)))
    expected = ordered_ids(await asyncio.to_thread(undisturbed_camera, frames))
    assert count(expected) > 150
    third = len(frames) // 3
    bad = poison(frames[third - 1])

    async def some() -> bool:
        return count(await seen_by_a_subscriber(settings, OUTPUTS)) > 0

    async with LocalWorker(settings, FilmWorker(settings)) as first:
        await send(settings, messages_of(frames[:third]), topic=topics.CAMERA_FRAMES.name)
        await send(settings, bad, topic=topics.CAMERA_FRAMES.name)
        await until(some, 60, "first outputs")
        async with LocalWorker(settings, FilmWorker(settings)):
            await send(settings, messages_of(frames[third : 2 * third]), topic=topics.CAMERA_FRAMES.name)
            await first.crash()
            await send(settings, messages_of(frames[2 * third :]), topic=topics.CAMERA_FRAMES.name)
            await until_seen(settings, expected)
    letters = [dict(record.headers)["reason"] async for record in read_partitions(settings, topics.DEAD_LETTER.name)]
    assert len(letters) == len(bad)
