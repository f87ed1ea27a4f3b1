"""The log of a partition: what is written is there, after any crash, and what is removed is gone."""

import errno
import os
import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.broker import batch, segment
from streams.broker.configs import InvalidConfig, TopicConfig
from streams.broker.idempotence import OutOfOrderSequence, StaleEpoch
from streams.broker.log import BatchTooLarge, OffsetOutOfRange, PartitionLog
from tests.streams.broker.builders import make_batch


def append(
    log: PartitionLog, count: int = 1, *, size: int = 10, timestamp_ms: int = 0, producer: tuple[int, int, int] = (-1, -1, -1)
) -> int:
    data = make_batch([(b"k", bytes(size))] * count, timestamps_ms=[timestamp_ms] * count, producer=producer)
    return log.append(data, batch.check_produced(data))


def offsets(log: PartitionLog, start: int | None = None, max_bytes: int = 10**6) -> list[int]:
    """Every offset that a reader going from ``start`` to the end meets."""
    at, met = log.start_offset if start is None else start, []
    while data := log.read(at, max_bytes):
        view = 0
        while view < len(data):
            header = batch.check(data, view)
            met += [r.offset for r in batch.open_records(data[view : view + header.size]) if r.offset >= at]
            view += header.size
            next_offset = header.next_offset
        assert next_offset > at
        at = next_offset
    assert at == log.end_offset
    return met


@settings(max_examples=60, deadline=None)
@given(counts=st.lists(st.integers(1, 5), min_size=1, max_size=25), segment_bytes=st.sampled_from([14, 300, 10**6]), data=st.data())
def test_every_record_is_read_once_whatever_the_limits(
    tmp_path_factory: pytest.TempPathFactory, counts: list[int], segment_bytes: int, data: st.DataObject
) -> None:
    log = PartitionLog(tmp_path_factory.mktemp("log"), TopicConfig.parse({"segment.bytes": str(segment_bytes)}))
    firsts = [append(log, count, size=data.draw(st.integers(0, 200))) for count in counts]
    assert firsts == [sum(counts[:i]) for i in range(len(counts))]
    start = data.draw(st.integers(0, log.end_offset))
    assert offsets(log, start, data.draw(st.sampled_from([1, 150, 1000, 10**6]))) == list(range(start, sum(counts)))
    again = PartitionLog(log.directory, log.config)
    assert (again.start_offset, again.end_offset, offsets(again)) == (0, sum(counts), list(range(sum(counts))))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10**6), data=st.data())
def test_a_torn_tail_is_cut_and_writing_goes_on(tmp_path_factory: pytest.TempPathFactory, seed: int, data: st.DataObject) -> None:
    log = PartitionLog(tmp_path_factory.mktemp("log"), TopicConfig.parse({}))
    ends = []
    for _ in range(4):
        append(log, 2)
        ends.append(log.active.size)
    cut = data.draw(st.integers(0, ends[-1]))
    path = log.active.path
    log.close()
    content = path.read_bytes()[:cut] + random.Random(seed).randbytes(data.draw(st.integers(0, 200)))
    path.write_bytes(content)
    survivors = sum(end <= cut for end in ends)
    again = PartitionLog(log.directory, log.config)
    assert again.end_offset == 2 * survivors
    assert path.stat().st_size == again.active.size
    assert append(again, 1) == 2 * survivors
    assert offsets(again) == list(range(2 * survivors + 1))


def test_a_flipped_bit_in_the_last_segment_is_found_at_start(tmp_path: Path) -> None:
    log = PartitionLog(tmp_path, TopicConfig.parse({}))
    for _ in range(3):
        append(log)
    size = log.active.size // 3
    log.close()
    content = bytearray(log.active.path.read_bytes())
    content[size + 70] ^= 1
    log.active.path.write_bytes(content)
    assert PartitionLog(tmp_path, log.config).end_offset == 1


@pytest.mark.parametrize("written", [0, 1, 40, 80])  # bytes that reach the disk before it is full
def test_a_full_disk_refuses_and_leaves_the_log_sound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: int) -> None:
    log = PartitionLog(tmp_path, TopicConfig.parse({}))
    append(log, 2)
    real, taken = os.pwritev, 0

    def full(fd: int, buffers: list[bytes], at: int) -> int:
        nonlocal taken
        if taken >= written:
            raise OSError(errno.ENOSPC, "No space left on device")
        piece = b"".join(bytes(b) for b in buffers)[: written - taken]
        taken += real(fd, [piece], at)
        return len(piece)

    monkeypatch.setattr(os, "pwritev", full)
    with pytest.raises(segment.StorageFull):
        append(log, 3, producer=(7, 0, 0))
    monkeypatch.setattr(os, "pwritev", real)
    assert log.active.path.stat().st_size == log.active.size
    assert PartitionLog(tmp_path, log.config).end_offset == 2
    assert append(log, 3, producer=(7, 0, 0)) == 2  # the producer's retry is no gap
    assert offsets(log) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(
    ("sequence", "epoch", "expected"),
    [
        (6, 0, 18),  # the next in order
        (5, 0, 17),  # the last again: acknowledged with its first offset
        (1, 0, 13),  # the fifth last again
        (0, 0, OutOfOrderSequence),  # the sixth last is forgotten
        (8, 0, OutOfOrderSequence),  # one is missing
        (0, 1, 18),  # a new incarnation
        (3, 1, OutOfOrderSequence),  # a new incarnation begins at 0
    ],
)
@pytest.mark.parametrize("restarted", [False, True])
def test_idempotent_producers(tmp_path: Path, sequence: int, epoch: int, expected: int | type[Exception], restarted: bool) -> None:
    log = PartitionLog(tmp_path, TopicConfig.parse({"segment.bytes": "150"}))
    append(log, 12)
    for i in range(6):
        append(log, producer=(9, 0, i))
    if restarted:
        log.close()
        log = PartitionLog(tmp_path, log.config)
    if isinstance(expected, int):
        assert append(log, producer=(9, epoch, sequence)) == expected
    else:
        with pytest.raises(expected):
            append(log, producer=(9, epoch, sequence))


def test_sequences_wrap_around_and_old_epochs_are_fenced(tmp_path: Path) -> None:
    log = PartitionLog(tmp_path, TopicConfig.parse({}))
    append(log, 2, producer=(1, 3, 2**31 - 1))  # an unknown producer may begin anywhere; sequences 2**31 - 1 and 0
    assert append(log, 1, producer=(1, 3, 1)) == 2
    with pytest.raises(StaleEpoch):
        append(log, 1, producer=(1, 2, 2))


def test_limits_and_offsets_out_of_range(tmp_path: Path) -> None:
    log = PartitionLog(tmp_path, TopicConfig.parse({"max.message.bytes": "200"}))
    with pytest.raises(BatchTooLarge):
        append(log, size=200)
    append(log)
    assert log.read(1, 100) == b""
    for offset in (-1, 2):
        with pytest.raises(OffsetOutOfRange):
            log.read(offset, 100)


@pytest.mark.parametrize(
    ("wanted_ms", "expected"),
    [
        (0, (0, 100)),  # before everything
        (100, (0, 100)),  # exact
        (150, (1, 200)),  # inside a batch
        (300, (3, 300)),  # the next batch
        (350, (4, 400)),  # in another segment
        (401, None),  # after everything
    ],
)
def test_finding_by_time_looks_inside_batches(tmp_path: Path, wanted_ms: int, expected: tuple[int, int] | None) -> None:
    log = PartitionLog(tmp_path, TopicConfig.parse({}))
    for times in ([100, 200, 250], [300]):
        data = make_batch([(b"k", b"v")] * len(times), timestamps_ms=times)
        log.append(data, batch.check_produced(data))
    log.roll()
    append(log, timestamp_ms=400)
    assert log.find_time(wanted_ms) == expected


@pytest.mark.parametrize(
    ("before", "start", "files_left"),
    [
        (0, 0, 4),  # nothing
        (3, 3, 3),  # inside the second segment: one file goes
        (4, 4, 2),  # at a border
        (8, 8, 1),  # everything: nothing may be left on the disk
    ],
)
def test_removing_before_an_offset(tmp_path: Path, before: int, start: int, files_left: int) -> None:
    log = PartitionLog(tmp_path, TopicConfig.parse({"segment.bytes": "14"}))
    for _ in range(4):
        append(log, 2)
    log.remove_before(before)
    for reopened in (log, PartitionLog(tmp_path, log.config)):
        assert (reopened.start_offset, reopened.end_offset) == (start, 8)
        assert offsets(reopened) == list(range(start, 8))
    assert len(list(tmp_path.glob("*.log"))) == files_left
    if before == 8:
        assert log.size == 0


@pytest.mark.parametrize(
    ("configs", "message"),
    [
        ({"cleanup.policy": "shred"}, "cleanup.policy"),  # an unknown policy
        ({"retention.ms": "-2"}, "retention.ms"),  # below the limit
        ({"retention.ms": "soon"}, "retention.ms"),  # no number
        ({"message.timestamp.type": "LogAppendTime"}, "CreateTime"),  # not supported, and said so
        ({"min.cleanable.dirty.ratio": "1.5"}, "ratio"),  # no ratio
        ({"no.such.key": "1"}, "unknown"),  # not a key of Kafka
    ],
)
def test_impossible_configurations_are_named(configs: dict[str, str], message: str) -> None:
    with pytest.raises(InvalidConfig, match=message):
        TopicConfig.parse(configs)
