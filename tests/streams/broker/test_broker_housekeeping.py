"""Retention and compaction: what goes, what stays, and that no reader stumbles over the holes."""

import asyncio
import os
import random
import time
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.broker import EmbeddedBroker, batch, compaction
from streams.broker.configs import TopicConfig
from streams.broker.housekeeping import Housekeeper, expire, roll_aged
from streams.broker.log import PartitionLog
from tests.streams.broker.builders import CODECS, make_batch
from tests.support.brokers import create_topic, until

WAIT_S = 30


def put(log: PartitionLog, records: list[tuple[bytes | None, bytes | None]], *, age_s: float = 0.0, codec: str = "none") -> None:
    timestamp_ms = int((time.time() - age_s) * 1000)
    data = make_batch(records, timestamps_ms=[timestamp_ms] * len(records), codec=codec)
    log.append(data, batch.check_produced(data))


def content(log: PartitionLog) -> list[tuple[int, bytes | None, bool]]:
    """(offset, key, tombstone) of everything that a reader meets, read in small steps."""
    at, met = log.start_offset, []
    while data := log.read(at, 1):
        met += [(r.offset, r.key, r.is_tombstone) for r in batch.open_records(data)]
        at = batch.read_header(data).next_offset
    return met


def compact(log: PartitionLog) -> None:
    asyncio.run(Housekeeper(None, 1.0)._compact(log))  # type: ignore[arg-type]


@settings(max_examples=60, deadline=None)
@given(
    batches=st.lists(
        st.lists(st.tuples(st.sampled_from([b"a", b"b", b"c", b"d"]), st.none() | st.binary(max_size=50)), min_size=1, max_size=6),
        min_size=1,
        max_size=20,
    ),
    segment_bytes=st.sampled_from([14, 400, 10**6]),
    rolls=st.sets(st.integers(0, 20)),
    codec=st.sampled_from(sorted(CODECS)),
    keep_tombstones=st.booleans(),
)
def test_compaction_keeps_exactly_what_a_table_needs(
    tmp_path_factory: pytest.TempPathFactory, batches: list, segment_bytes: int, rolls: set[int], codec: str, keep_tombstones: bool
) -> None:
    configs = {
        "cleanup.policy": "compact",
        "segment.bytes": str(segment_bytes),
        "delete.retention.ms": "100000" if keep_tombstones else "0",
    }
    log = PartitionLog(tmp_path_factory.mktemp("log"), TopicConfig.parse(configs))
    for i, records in enumerate(batches):
        put(log, records, codec=codec)
        if i in rolls:
            log.roll()
    written = [(key, value) for records in batches for key, value in records]
    first_active = log.active.base_offset
    newest = {key: offset for offset, (key, _) in enumerate(written)}
    for segment in log.segments:
        if segment.path.exists():
            os.utime(segment.path, (time.time() - 50,) * 2)
    for _ in range(2):  # the second time on what the first one left
        compact(log)
        expected = [
            (offset, key, value is None)
            for offset, (key, value) in enumerate(written)
            if offset >= first_active or offset == len(written) - 1 or (newest[key] == offset and (value is not None or keep_tombstones))
        ]
        for reopened in (log, PartitionLog(log.directory, log.config)):
            assert content(reopened) == expected
            assert (reopened.start_offset, reopened.end_offset) == (0, len(written))


@pytest.mark.parametrize("survivors", range(4))
def test_a_crash_between_the_files_of_a_compaction_never_revives_a_record(tmp_path: Path, survivors: int) -> None:
    """The compacted file has taken the place of the first, and only some of the others are deleted yet."""
    log = PartitionLog(tmp_path, TopicConfig.parse({"cleanup.policy": "compact", "segment.bytes": "100000", "delete.retention.ms": "0"}))
    for records in ([(b"x", b"0")], [(b"a", b"old"), (b"b", b"1")], [(b"a", None)], [(b"c", b"2")]):
        put(log, records)
        log.roll()
    put(log, [(b"d", b"3")])
    others = [(segment.path, segment.path.read_bytes()) for segment in log.segments[1:-1]]
    time.sleep(0.01)
    compact(log)
    assert [key for _, key, _ in content(log)] == [b"x", b"b", b"c", b"d"]
    log.close()
    for path, data in others[len(others) - survivors :]:  # deletion goes front to back
        path.write_bytes(data)
    table: dict[bytes | None, bool] = {key: gone for _, key, gone in content(PartitionLog(tmp_path, log.config))}
    assert {key for key, gone in table.items() if not gone} == {b"x", b"b", b"c", b"d"}


@pytest.mark.parametrize(
    ("configs", "ages_s", "start", "left"),
    [
        ({"retention.ms": "60000"}, [100, 90, 5, 0], 2, 4),  # old leading segments go
        ({"retention.ms": "60000"}, [100, 5, 90, 0], 1, 4),  # an old one behind a young one stays
        ({"retention.ms": "60000"}, [100, 100, 100, 100], 4, 4),  # everything goes, also the active one
        ({"retention.ms": "-1"}, [10**6] * 4, 0, 4),  # no limit
        ({"retention.bytes": "1"}, [0, 0, 0, 0], 3, 4),  # by size: the active segment stays
        ({"retention.bytes": "250"}, [0, 0, 0, 0], 1, 4),  # as long as at least that much is kept
        ({"retention.bytes": "100000"}, [0, 0, 0, 0], 0, 4),  # enough room
    ],
)
def test_retention(tmp_path: Path, configs: dict[str, str], ages_s: list[int], start: int, left: int) -> None:
    log = PartitionLog(tmp_path, TopicConfig.parse({"segment.bytes": "14"} | configs))
    for age_s in ages_s:
        put(log, [(b"k", b"x" * 20)], age_s=age_s)
    expire(log)
    for reopened in (log, PartitionLog(tmp_path, log.config)):
        assert (reopened.start_offset, reopened.end_offset) == (start, left)
        assert [offset for offset, _, _ in content(reopened)] == list(range(start, left))


def test_segments_roll_with_age(tmp_path: Path) -> None:
    log = PartitionLog(tmp_path, TopicConfig.parse({"segment.ms": "1000"}))
    put(log, [(b"k", b"v")])
    roll_aged(log)
    assert len(log.segments) == 1
    log.active.opened_s -= 2
    roll_aged(log)
    roll_aged(log)  # an empty segment does not age
    assert len(log.segments) == 2


def test_a_compaction_that_is_overtaken_leaves_no_trace(tmp_path: Path) -> None:
    log = PartitionLog(tmp_path, TopicConfig.parse({"cleanup.policy": "compact,delete", "segment.bytes": "14"}))
    for i in range(4):
        put(log, [(b"k", b"%d" % i)])
    real = compaction.clean

    def slow(*arguments: object) -> object:
        cleaned = real(*arguments)  # type: ignore[arg-type]
        log.drop_leading(3)  # retention, while the thread was at work
        return cleaned

    compaction.clean = slow  # type: ignore[assignment]
    try:
        compact(log)
    finally:
        compaction.clean = real
    assert [offset for offset, _, _ in content(log)] == [3]
    assert not list(tmp_path.glob("*.cleaned"))


async def test_a_table_stays_small_and_readable_while_it_is_written(embedded: EmbeddedBroker, name: str) -> None:
    await create_topic(embedded.bootstrap, name, cleanup_policy="compact", segment_bytes=20_000, min_cleanable_dirty_ratio=0.1)
    log = embedded.state.topics.partition(name, 0)
    assert log is not None
    rng = random.Random(1)
    table: dict[bytes, bytes | None] = {}
    async with AIOKafkaProducer(bootstrap_servers=embedded.bootstrap, enable_idempotence=True, linger_ms=2) as producer:
        for i in range(40):
            writes = []
            for _ in range(50):
                key = b"%d" % rng.randrange(30)
                value = None if rng.random() < 0.1 else b"%d " % i + rng.randbytes(20)
                table[key] = value
                writes.append(await producer.send(name, value, key))
            await asyncio.gather(*writes)
    await until(lambda: log.size < 60_000)
    async with AIOKafkaConsumer(bootstrap_servers=embedded.bootstrap, auto_offset_reset="earliest") as consumer:
        partition = TopicPartition(name, 0)
        consumer.assign([partition])
        end = (await consumer.end_offsets([partition]))[partition]
        assert end == 2000
        found: dict[bytes, bytes | None] = {}
        count = 0
        async with asyncio.timeout(WAIT_S):
            while await consumer.position(partition) < end:
                for records in (await consumer.getmany(timeout_ms=200)).values():
                    count += len(records)
                    found |= {record.key: record.value for record in records}
    assert {k: v for k, v in found.items() if v is not None} == {k: v for k, v in table.items() if v is not None}
    assert count < 1900


async def test_an_idle_table_forgets_within_its_compaction_lag(embedded: EmbeddedBroker, name: str) -> None:
    """Erasing someone means a tombstone, and then no byte of the old value on the disk although nobody writes any more."""
    await create_topic(embedded.bootstrap, name, cleanup_policy="compact", max_compaction_lag_ms=100, delete_retention_ms=0)
    log = embedded.state.topics.partition(name, 0)
    assert log is not None
    async with AIOKafkaProducer(bootstrap_servers=embedded.bootstrap) as producer:
        await producer.send_and_wait(name, b"face of a secret person", b"someone")
        await producer.send_and_wait(name, None, b"someone")
        await producer.send_and_wait(name, b"stays", b"other")
    await until(lambda: [key for _, key, _ in content(log)] == [b"other"])
    assert b"secret" not in b"".join(path.read_bytes() for path in log.directory.glob("*.log*"))
