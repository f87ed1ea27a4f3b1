"""Promise 1: the same samples give the same events, however they are chunked, batched, and whoever processes them.

Each run sends the same walks as three groups of devices: in chunks of a quarter of a second, one second, and 2.56 s.  What is
expected always comes from chunks of one second in one batch, without Kafka.  In the middle of each run a second worker joins, and
the first leaves.
"""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from models.data.loading import load_recordings
from models.data.recordings import Recording
from streams import topics
from streams.messages import IdentityEvent, ImuChunk
from streams.settings import Settings
from streams.topics import IDENTITY_EVENTS
from tests.support.brokers import broker_kinds
from tests.support.identity import assert_same_decisions, publish_gallery, templates_of, undisturbed_identity
from tests.support.pipeline import (
    LocalWorker,
    chunks_of,
    count,
    ended,
    ordered_ids,
    seen_by_a_subscriber,
    send,
    undisturbed,
    until,
    until_seen,
)
from workers.identity.worker import IdentityWorker
from workers.inertial.worker import InertialWorker

CHUNKS_S = (0.25, 1.0, 2.56)
SPREAD = {topic.name: 3 for topic in topics.CO_PARTITIONED}
"""Three partitions, so that two workers share them."""


@pytest.fixture(scope="module")
def walks(data_dir: Path) -> list[Recording]:
    return load_recordings(data_dir / "imu" / "motionsense.npz", people="1-2", where="trial=15")


def in_three_chunkings(walks: list[Recording], chunkings_s: tuple[float, ...]) -> list[ImuChunk]:
    """The walks of all groups of devices, device names without regard to the chunking."""
    groups = [
        ended(chunks_of([replace(walk, name=f"{walk.name}-group{g}") for walk in walks], chunk_s)) for g, chunk_s in enumerate(chunkings_s)
    ]
    return [chunk for group in groups for chunk in group]


@pytest.mark.parametrize("partitions", [SPREAD], indirect=True, ids=["3 partitions"])
@pytest.mark.parametrize("max_batch", [5, 60, 4000])
@pytest.mark.parametrize("broker_kind", broker_kinds())
async def test_chunks_batches_and_owners_change_nothing(settings: Settings, walks: list[Recording], max_batch: int) -> None:
    """From raw samples to identity events: one of the two people is enrolled, the other is not."""
    settings = settings.model_copy(update={"max_batch": max_batch, "commit_every_s": 0.2})
    cut = list((await asyncio.to_thread(undisturbed, in_three_chunkings(walks, (1.0, 1.0, 1.0)))).values())
    someone = walks[0].subject
    templates = templates_of(
        undisturbed_identity(cut), [key for key in sorted({o.key.decode() for o in cut}) if key.startswith(someone)][:1]
    )
    reference = [*cut, *await asyncio.to_thread(undisturbed_identity, cut, templates)]
    expected = ordered_ids(reference)
    assert count(expected) > 750
    decided = [IdentityEvent.from_bytes(o.value) for o in reference if o.topic == IDENTITY_EVENTS.name]
    assert {someone} == {event.subject for event in decided if event.subject}
    await publish_gallery(settings, templates)
    messages = sorted(in_three_chunkings(walks, CHUNKS_S), key=lambda chunk: (chunk.session != "s", chunk.start_ns))
    third = len(messages) // 3

    async def some_events() -> bool:
        return count(await seen_by_a_subscriber(settings, [IDENTITY_EVENTS.name])) > 0

    async with LocalWorker(settings, InertialWorker(settings)) as first, LocalWorker(settings, IdentityWorker(settings)) as second:
        await send(settings, messages[:third])
        await until(some_events, 60, "first events")
        async with LocalWorker(settings, InertialWorker(settings)), LocalWorker(settings, IdentityWorker(settings)):
            await send(settings, messages[third : 2 * third])  # two of each role have partitions
            await asyncio.gather(first.stop(), second.stop())
            await send(settings, messages[2 * third :])
            await until_seen(settings, expected)
    await assert_same_decisions(settings, reference)
