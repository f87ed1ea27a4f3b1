"""Promise 3: every bad input is answered, and nothing else is touched by it."""

import asyncio
import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import TopicPartition
from confluent_kafka import Producer as LibrdkafkaProducer

from models.data.loading import load_recordings
from models.data.recordings import Recording
from streams import topics
from streams.deadletter import Letter, list_letters, replay_letters, show_letter
from streams.errors import BadMessage, Refused
from streams.settings import Settings
from tests.support.brokers import broker_kinds
from tests.support.pipeline import (
    START_NS,
    LocalWorker,
    chunks_of,
    ended,
    ordered_ids,
    record_of,
    send,
    undisturbed,
    until,
    until_seen,
)
from tests.support.poison import Poison, poisons, unsendable_by_aiokafka, walking_chunk
from workers.inertial.worker import InertialWorker
from workers.processor import Incoming

AT = TopicPartition(topics.IMU_RAW.name, 0)
ROWS = poisons(START_NS)


@pytest.fixture(scope="module")
def worker() -> Iterator[InertialWorker]:
    loaded = InertialWorker(Settings())
    loaded._load()
    yield loaded


@pytest.fixture(scope="module")
def walks(data_dir: Path) -> list[Recording]:
    return load_recordings(data_dir / "imu" / "motionsense.npz", people="1-2", where="trial=15")


def test_the_table_is_large_enough() -> None:
    assert len(ROWS) >= 40
    assert len({row.name for row in ROWS}) == len(ROWS)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_each_is_answered_with_its_reason(worker: InertialWorker, row: Poison) -> None:
    worker.forget(AT)
    for offset, chunk in enumerate(row.before):
        record = record_of(offset, chunk.device_id.encode(), chunk.to_bytes())
        assert not worker.process([Incoming(AT, record, worker.decode(record))]).letters
    record = record_of(len(row.before), row.key, row.value)
    try:
        outcome = worker.process([Incoming(AT, record, worker.decode(record))])
    except BadMessage as error:
        assert (error.why, error.path) == (row.reason, row.path)
        return
    if row.reason is None:
        assert (outcome.repeated.total(), outcome.letters) == (1, [])
    else:
        assert [(error.why, error.path) for _, error in outcome.letters] == [(row.reason, row.path)]


@pytest.mark.parametrize("broker_kind", broker_kinds())
async def test_letters_for_the_bad_and_nothing_changes_for_the_good(settings: Settings, walks: list[Recording]) -> None:
    """All rows between the messages of two walkers; then a restart; then letters are looked at and put back."""
    settings = settings.model_copy(update={"max_batch": 25})
    good = ended(chunks_of(walks))
    chance = random.Random(5)
    rows = chance.sample(ROWS, len(ROWS))
    places = sorted(chance.randrange(len(good)) for _ in rows)
    messages: list[tuple[bytes | None, bytes | None]] = []
    before = 0
    for place, row in zip([*places, len(good)], [*rows, None], strict=True):
        messages += [(chunk.device_id.encode(), chunk.to_bytes()) for chunk in good[before:place]]
        before = place
        if row is not None:
            messages += [(chunk.device_id.encode(), chunk.to_bytes()) for chunk in row.before]
            messages.append((row.key, row.value))
    expected = ordered_ids((await asyncio.to_thread(undisturbed, good)).values())
    unsendable = unsendable_by_aiokafka(START_NS)
    wanted = sorted((row.reason or "", row.path) for row in [*rows, *unsendable] if row.reason)

    async def letters() -> list[Letter]:
        return await list_letters(settings, limit=1000)

    async def all_answered() -> bool:
        return len(await letters()) >= len(wanted)

    async with LocalWorker(settings, InertialWorker(settings)) as worker:
        half = len(messages) // 2
        await send(settings, messages[:half])
        send_with_librdkafka(settings.bootstrap, unsendable)
        await send(settings, messages[half:])
        await until(all_answered, 60, f"{len(wanted)} letters")
        await until_seen(settings, expected)
        assert worker.is_ready()
    found = await letters()
    assert sorted((letter.reason, letter.path) for letter in found) == wanted
    assert len({letter.id for letter in found}) == len(found)
    values = {row.value: row for row in [*rows, *unsendable] if row.reason}
    for letter in found:
        if letter.cut_from is None:
            assert letter.value in values or values[None].reason == letter.reason == "empty"
            assert letter.text
        else:
            assert letter.reason == "oversized"
            assert letter.value is not None
            assert len(letter.value) < letter.cut_from

    # A restart reads held-back messages again; their letters are not written again.
    async with LocalWorker(settings, InertialWorker(settings)) as worker:
        await until_processed(settings, worker)
    assert sorted(letter.id for letter in await letters()) == sorted(letter.id for letter in found)
    await until_seen(settings, expected)


def send_with_librdkafka(bootstrap: str, rows: list[Poison]) -> None:
    """Messages that aiokafka's producer refuses to send."""
    producer = LibrdkafkaProducer({"bootstrap.servers": bootstrap, "compression.type": "zstd", "message.max.bytes": 10_000_000})
    plain = LibrdkafkaProducer({"bootstrap.servers": bootstrap, "message.max.bytes": 10_000_000})
    failures: list[object] = []
    for row in rows:
        client = producer if row.cut else plain
        client.produce(topics.IMU_RAW.name, row.value, row.key, 0, on_delivery=lambda error, _: failures.append(error) if error else None)
    assert producer.flush(30) == plain.flush(30) == 0
    assert not failures


async def until_processed(settings: Settings, worker: LocalWorker) -> None:
    """Wait until the worker has processed all that lies in its input."""
    runtime = worker.runtime

    async def caught_up() -> bool:
        worker.is_ready()
        ends = await runtime._consumer.end_offsets(list(runtime._assigned))
        return all(runtime._tails[at].checkpoint.processed >= end and runtime._position[at] >= end for at, end in ends.items())

    await until(caught_up, 60, "all messages processed")


@pytest.mark.parametrize("broker_kind", broker_kinds())
async def test_a_letter_can_be_put_back(settings: Settings, walks: list[Recording]) -> None:
    """A chunk under the wrong key is answered; put back under the right circumstances, it is used."""
    chunks = ended(chunks_of(walks[:1]))
    expected = ordered_ids((await asyncio.to_thread(undisturbed, chunks)).values())
    bad = walking_chunk("other", 0, START_NS).to_bytes()
    async with LocalWorker(settings, Doubting(settings)):
        await send(settings, chunks)
        await send(settings, [(b"else", bad), (None, b"x" * 1_000_001)])

        async def answered() -> bool:
            return len(await list_letters(settings, limit=1000)) == len(chunks) + 2

        await until(answered, 60, "every message answered")
    letters = await list_letters(settings, reason="clock_ahead", limit=1000)
    assert len(letters) == len(chunks)
    cut = next(letter for letter in await list_letters(settings) if letter.cut_from)
    with pytest.raises(Refused, match="only the beginning"):
        await replay_letters(settings, [cut.place])
    shown = await show_letter(settings, letters[0].place)
    assert shown == letters[0]
    for place in ("9:0", f"0:{10**6}", "x", "0"):
        with pytest.raises(Refused):
            await show_letter(settings, place)
    async with LocalWorker(settings, InertialWorker(settings)):
        in_order = sorted(letters, key=lambda letter: letter.offset)
        await replay_letters(settings, [letter.place for letter in in_order])
        await until_seen(settings, expected)


class Doubting(InertialWorker):
    """An inertial worker on a machine whose clock is years behind: every chunk is ahead of it."""

    def decode(self, record):  # type: ignore[no-untyped-def]
        return super().decode(record_of(record.offset, record.key, record.value, received_ms=1))
