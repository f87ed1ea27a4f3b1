"""Anyone may write to any topic: what is not ours in output topics, among the letters, in the gallery stops nobody."""

import asyncio
from pathlib import Path

import msgpack
import numpy as np
import pytest
from aiokafka import TopicPartition

from models.data.loading import load_recordings
from models.data.recordings import Recording
from streams import topics
from streams.clients import producer_of, read_partitions
from streams.deadletter import list_letters
from streams.settings import Settings
from tests.support.brokers import broker_kinds
from tests.support.identity import assert_same_decisions, templates_of, undisturbed_identity
from tests.support.pipeline import LocalWorker, chunks_of, ended, ordered_ids, send, undisturbed, until
from workers.checkpoint import source_header
from workers.identity.worker import IdentityWorker
from workers.inertial.worker import InertialWorker
from workers.processor import Output

Headers = list[tuple[str, bytes | None]]


@pytest.fixture(scope="module")
def walks(data_dir: Path) -> list[Recording]:
    return load_recordings(data_dir / "imu" / "motionsense.npz", people="1-2", where="trial=15")


async def write(settings: Settings, records: list[tuple[str, bytes | None, bytes | None, Headers]]) -> None:
    producer = producer_of(settings)
    await producer.start()
    try:
        for topic, key, value, headers in records:
            await producer.send_and_wait(topic, value, key=key, headers=headers)
    finally:
        await producer.stop()


@pytest.mark.parametrize("broker_kind", broker_kinds(kafka=False))
async def test_they_stop_nobody(settings: Settings, walks: list[Recording]) -> None:
    chunks = ended(chunks_of(walks))
    cut: list[Output] = list((await asyncio.to_thread(undisturbed, chunks)).values())
    embedded = await asyncio.to_thread(undisturbed_identity, cut)
    templates = templates_of(embedded, sorted({o.key.decode() for o in cut})[:1])
    good = templates[0]
    other = good.model_copy(update={"subject": "other"})
    vector = np.asarray(good.vector)
    source = source_header(TopicPartition(topics.IMU_RAW.name, 0), 3)
    foreign: list[tuple[str, bytes | None, bytes | None, Headers]] = [
        (topics.SAMPLES_INERTIAL.name, b"k", b"not a sample", []),
        (topics.SAMPLES_INERTIAL.name, b"k", b"not a sample", [("id", None), ("src", None)]),
        (topics.WALKING_EVENTS.name, None, b"\xff", [("id", b"\xff\xfe"), ("src", b"gait.imu.raw/0/x")]),
        (topics.WALKING_EVENTS.name, None, b"\xff", [("id", b"\xff\xfe"), ("src", source)]),
        (topics.DEAD_LETTER.name, b"k", b"a letter of somebody else", [("partition", b"many")]),
        (topics.EMBEDDINGS.name, b"k", b"", [("src", b"gait.samples.inertial/0/0")]),
        # The gallery: keys that name nobody, values that are no template, vectors that fit no matrix.
        (topics.GALLERY.name, b"nobody", b"x", []),
        (topics.GALLERY.name, b"\xff/\xff", b"x", []),
        (topics.GALLERY.name, b"other/0", b"not a template", []),
        (topics.GALLERY.name, b"other/1", msgpack.packb({"subject": "other"}), []),
        (topics.GALLERY.name, b"other/2", other.model_copy(update={"template_id": "2", "vector": vector[:-1]}).to_bytes(), []),
        (topics.GALLERY.name, b"other/3", other.model_copy(update={"template_id": "3", "vector": vector * np.nan}).to_bytes(), []),
        (topics.GALLERY.name, b"other/4", other.model_copy(update={"template_id": "4", "vector": vector * 0}).to_bytes(), []),
        (topics.GALLERY.name, b"other/5", other.model_copy(update={"template_id": "5", "space": "another@space"}).to_bytes(), []),
        (topics.GALLERY.name, b"nobody/9", None, []),  # a tombstone of somebody who was never enrolled
        (topics.GALLERY.name, good.key, good.to_bytes(), []),
    ]
    await write(settings, foreign)
    reference = [*cut, *await asyncio.to_thread(undisturbed_identity, cut, templates)]
    expected = ordered_ids(reference)
    async with LocalWorker(settings, InertialWorker(settings)), LocalWorker(settings, IdentityWorker(settings)) as identity:
        await send(settings, chunks)

        async def enough() -> bool:
            return len(await list_letters(settings)) >= 3

        await until(enough, 60, "letters for what is no sample")
        await until(lambda: identity.runtime.ready() is None, 30, "the identity worker")
        for topic in (topics.EMBEDDINGS, topics.IDENTITY_EVENTS):
            await until_own_seen(settings, {key: ids for key, ids in expected.items() if key[0] == topic.name})
    reasons = sorted(letter.reason for letter in await list_letters(settings))
    assert reasons == ["", "undecodable", "undecodable"]
    await assert_same_decisions(settings, reference)


async def until_own_seen(settings: Settings, expected: dict[tuple[str, bytes], list[str]]) -> None:
    """Like `until_seen`, without the records that carry no id of ours."""
    topic = next(iter(expected))[0]
    seen: dict[tuple[str, bytes], list[str]] = {}

    async def enough() -> bool:
        seen.clear()
        async for record in read_partitions(settings, topic):
            if (record.topic, record.key) in expected:
                seen.setdefault((record.topic, record.key), []).append(dict(record.headers)["id"].decode())
        return sum(map(len, seen.values())) >= sum(map(len, expected.values()))

    await until(enough, 60, f"the events of {topic}")
    assert seen == expected
