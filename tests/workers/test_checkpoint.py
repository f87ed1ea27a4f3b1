"""What a commit says, and how it is read back."""

import json

import pytest
from aiokafka import ConsumerRecord, OffsetAndMetadata, TopicPartition
from hypothesis import given
from hypothesis import strategies as st

from workers.checkpoint import Checkpoint, Tail, _parse_commit, _take, parse_source, source_header

IN, OUT = TopicPartition("gait.imu.raw", 3), TopicPartition("gait.samples.inertial", 3)


@given(topic=st.from_regex(r"[a-zA-Z0-9._-]{1,50}", fullmatch=True), partition=st.integers(0, 999), offset=st.integers(0, 2**62))
def test_sources_there_and_back(topic: str, partition: int, offset: int) -> None:
    at = TopicPartition(topic, partition)
    assert parse_source(source_header(at, offset)) == (at, offset)


@pytest.mark.parametrize("value", [None, b"", b"x", b"a/b", b"a/b/c", b"a/1/", b"\xff/1/2", b"a/1.5/2"])
def test_what_is_not_a_source_is_nothing(value: bytes | None) -> None:
    assert parse_source(value) is None


@pytest.mark.parametrize(
    ("processed", "hold", "marks", "committed", "tail"),
    [
        (10, None, [(4, 0), (9, 3)], 10, 5),  # nothing is open: read nothing again, the tail is at the end
        (10, 7, [(4, 0), (9, 3)], 7, 3),  # held back: the first output of a message at or after 7
        (10, 2, [(4, 0), (9, 3)], 2, 0),
        (10, 12, [(4, 0), (9, 3)], 10, 5),  # a hold cannot lie ahead of what was processed
        (10, 7, [(4, 0)], 7, 5),  # held back, and nothing was written since: the tail is empty
    ],
)
def test_a_commit_holds_back(processed: int, hold: int | None, marks: list[tuple[int, int]], committed: int, tail: int) -> None:
    checkpoint = Checkpoint(processed=processed, resume=0)
    for source, offset in marks:
        checkpoint.wrote(OUT, source, offset)
    checkpoint.ends[OUT] = 5
    commit = checkpoint.commit(hold)
    assert commit.offset == committed
    assert json.loads(commit.metadata) == {"p": processed, "o": {"gait.samples.inertial/3": tail}}
    assert len(commit.metadata) < 4096, "brokers refuse longer metadata"
    assert _parse_commit(commit, 0) == (committed, processed, {"gait.samples.inertial/3": tail}, None)


@pytest.mark.parametrize(
    ("commit", "begin", "expected"),
    [
        (None, 7, (7, 7, {}, None)),  # a new group: from the beginning of the log, all tails
        (OffsetAndMetadata(-1, ""), 7, (7, 7, {}, None)),  # how brokers say that there is none
        (OffsetAndMetadata(9, ""), 7, (9, 9, {}, None)),  # reset by an operator
        (OffsetAndMetadata(9, "nonsense"), 7, (9, 9, {}, None)),
        (OffsetAndMetadata(9, "[1]"), 7, (9, 9, {}, None)),
        (OffsetAndMetadata(9, '{"p": 12}'), 7, (9, 9, {}, None)),
        (OffsetAndMetadata(9, '{"p": null, "o": {}}'), 7, (9, 9, {}, None)),
        (OffsetAndMetadata(9, '{"p": 12, "o": {"x/1": 4}}'), 7, (9, 12, {"x/1": 4}, None)),
        (OffsetAndMetadata(9, '{"p": 12, "o": {}, "b": {"camera": 11}}'), 7, (9, 12, {}, {"camera": 11})),  # where a stream begins
        (OffsetAndMetadata(9, '{"p": 12, "o": {}}'), 20, (20, 20, {}, None)),  # the log was cut off above the commit
    ],
)
def test_commits_of_all_kinds_are_understood(
    commit: OffsetAndMetadata | None, begin: int, expected: tuple[int, int, dict[str, int], dict[str, int] | None]
) -> None:
    assert _parse_commit(commit, begin) == expected


def test_a_commit_says_where_streams_begin_unless_that_is_too_long_for_kafka() -> None:
    few, many = (Checkpoint(processed=9, resume=4, begins={f"camera-{n}": n for n in range(count)}) for count in (3, 1000))
    assert _parse_commit(few.commit(4), 0)[3] == {"camera-0": 0, "camera-1": 1, "camera-2": 2}
    assert _parse_commit(many.commit(4), 0) == (4, 9, {}, None)
    assert len(many.commit(4).metadata) < 4096


@pytest.mark.parametrize(
    ("headers", "ids", "handed_over"),
    [
        ([("id", b"a"), ("src", source_header(IN, 5))], {"a"}, ["a"]),
        ([("id", b"a"), ("src", source_header(IN, 12))], {"a"}, ["a"]),  # its batch ended after what was processed: before a crash
        ([("id", b"a"), ("src", source_header(IN, 3))], set(), []),  # before what is read again
        ([("id", b"a"), ("src", source_header(TopicPartition("other", 3), 5))], set(), []),
        ([("id", b"a")], set(), []),  # written by another program
        ([("id", None), ("src", None)], set(), []),
        ([("id", b"\xff"), ("src", source_header(IN, 5))], {"\ufffd"}, ["\ufffd"]),
        ([], set(), []),
    ],
)
def test_the_tail_of_an_output_topic_is_read_whoever_wrote_to_it(
    headers: list[tuple[str, bytes]], ids: set[str], handed_over: list[str]
) -> None:
    tail = Tail(Checkpoint(processed=10, resume=4), set(), [])
    _take({IN: tail}, OUT, ConsumerRecord(OUT.topic, 3, 0, 0, 0, b"k", b"v", None, 0, 0, tuple(headers)))
    assert tail.ids == ids
    assert [emitted.id for emitted in tail.emitted] == handed_over
