"""Sessions, silences and repeats of a device: every decision must come out the same for whoever reads the log."""

import random
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
from aiokafka import TopicPartition
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from streams.errors import BadMessage
from streams.messages import ImuChunk
from streams.settings import Settings
from streams.topics import IMU_RAW
from tests.support.pipeline import START_NS, record_of
from tests.support.poison import poisons, walking_chunk
from workers.inertial.worker import InertialWorker
from workers.processor import Emitted, Incoming, Outcome

AT = TopicPartition(IMU_RAW.name, 0)
SECOND_NS = 1_000_000_000
IDLE_S = Settings().idle_release_s
BEGIN_MS = START_NS // 1_000_000 + 3_600_000

Log = list[tuple[float, ImuChunk]]
"""Chunks, and when the broker got them in seconds from the beginning."""


@pytest.fixture(scope="module")
def worker() -> Iterator[InertialWorker]:
    loaded = InertialWorker(Settings())
    loaded._load()
    yield loaded


def chunk(seq: int, at_s: float, session: str = "s", device: str = "d") -> ImuChunk:
    return walking_chunk(device, seq, START_NS + round(at_s * SECOND_NS), session=session)


def incoming(worker: InertialWorker, log: Log) -> list[Incoming]:
    found = []
    for offset, (received_s, message) in enumerate(log):
        record = record_of(offset, message.device_id.encode(), message.to_bytes(), received_ms=BEGIN_MS + round(received_s * 1000))
        found.append(Incoming(AT, record, worker.decode(record)))
    return found


def outputs(outcome: Outcome) -> tuple[list[str], list[tuple[int, str]], int]:
    return [o.id for o in outcome.outputs], [(i.record.offset, e.why) for i, e in outcome.letters], outcome.repeated.total()


def run(worker: InertialWorker, messages: Sequence[Incoming], ticks: bool = False) -> tuple[list[str], list[tuple[int, str]]]:
    """Ids and letters of the messages one by one, with or without ticks at the broker time of each message."""
    worker.forget(AT)
    ids: list[str] = []
    letters: list[tuple[int, str]] = []
    for message in messages:
        if ticks:
            ids += outputs(worker.tick(AT, message.received_ns))[0]
        some_ids, some_letters, _ = outputs(worker.process([message]))
        ids += some_ids
        letters += some_letters
    ids += outputs(worker.tick(AT, 2**62))[0]
    return ids, letters


def walk(seconds: int, *, since: float = 0.0, session: str = "s", received: float | None = None, seq: int = 0) -> Log:
    """A walk in one-second chunks that arrive as they are made (or all at once)."""
    return [(since + n if received is None else received, chunk(seq + n, since + n, session)) for n in range(seconds)]


LOGS: dict[str, Log] = {
    "one walk": walk(20),
    # After a silence the stream begins anew; what is sent again of the time before is late, not a second walk.
    "the last minutes are sent again after a silence": [*walk(20), *walk(20, received=20 + IDLE_S + 5, seq=50)],
    "sent again and going on": [*walk(20), *walk(45, since=0, received=60, seq=50), *walk(10, since=45, seq=200)],
    "a silence, then another walk": [*walk(15), *walk(15, since=15 + IDLE_S + 3, seq=15)],
    "a new session": [*walk(15), *walk(15, since=15, session="t")],
    "a straggler of the former session": [*walk(15), *walk(6, since=15, session="t"), (21.0, chunk(15, 15, "s")), *walk(9, since=21, session="t", seq=6)],
    "a straggler much later": [*walk(15), *walk(25, since=15, session="t"), (40.5, chunk(15, 15, "s")), *walk(9, since=41, session="t", seq=26)],
    "a straggler after a silence": [*walk(10), *walk(10, since=10, session="t"), (22 + IDLE_S, chunk(15, 15, "s"))],
    "back and forth": [item for n in range(8) for item in walk(4, since=4 * n, session="st"[n % 2], seq=4 * n)],
}  # fmt: skip


@pytest.mark.parametrize("log", LOGS.values(), ids=LOGS.keys())
def test_no_id_twice_and_ticks_do_not_matter(worker: InertialWorker, log: Log) -> None:
    """Whether a tick came between two messages depends on the load: nothing may depend on it."""
    messages = incoming(worker, log)
    ids, letters = run(worker, messages)
    assert len(set(ids)) == len(ids)
    assert run(worker, messages, ticks=True) == (ids, letters)


def test_what_is_sent_again_after_a_silence_is_late(worker: InertialWorker) -> None:
    ids, letters = run(worker, incoming(worker, LOGS["the last minutes are sent again after a silence"]))
    assert ids == run(worker, incoming(worker, LOGS["one walk"]))[0]
    assert len(letters) >= 17
    assert {why for _, why in letters} == {"late"}


def test_a_device_that_counts_from_zero_again_is_heard(worker: InertialWorker) -> None:
    """A repeat has the number and the time of what it repeats; an app that restarted has the number only."""
    first, second = incoming(worker, walk(4)), incoming(worker, [*walk(4), *walk(4, since=6)])[4:]
    worker.forget(AT)
    outcomes = [worker.process([message]) for message in [*first, *second, *incoming(worker, walk(4, since=6))]]
    assert [outcome.repeated.total() for outcome in outcomes] == [0] * 8 + [1] * 4
    assert not any(outcome.letters for outcome in outcomes)


@pytest.mark.parametrize(
    ("name", "refused"),
    [("a straggler of the former session", 1), ("a straggler after a silence", 0), ("a new session", 0)],
)
def test_a_former_session_is_remembered_for_a_while(worker: InertialWorker, name: str, refused: int) -> None:
    _, letters = run(worker, incoming(worker, LOGS[name]))
    assert sum(why == "old_session" for _, why in letters) == refused


@pytest.mark.parametrize("name", [name for name in LOGS if "again" not in name])
def test_a_successor_decides_the_same_from_any_message_on(worker: InertialWorker, name: str) -> None:
    """Stop after every other message, commit, and let another go on from the commit.

    Left out: what is sent again after a silence.  That a device was let go only memory knows, and a successor has none.
    """
    messages = incoming(worker, LOGS[name])
    expected_ids, expected_letters = run(worker, messages)
    for stop in range(1, len(messages), 2):
        worker.forget(AT)
        before = [output for message in messages[:stop] for output in worker.process([message]).outputs]
        hold = worker.hold(AT)
        resume = stop if hold is None else min(hold, stop)
        worker.forget(AT)
        worker.process(messages[resume:stop])
        worker.restore(AT, [Emitted(o.topic, o.id, o.key, o.value) for o in before])
        ids = [output.id for output in before]
        letters = [letter for letter in expected_letters if letter[0] < stop]
        for message in messages[stop:]:
            some_ids, some_letters, _ = outputs(worker.process([message]))
            ids += [i for i in some_ids if i not in set(ids)]
            letters += some_letters
        ids += [i for i in outputs(worker.tick(AT, 2**62))[0] if i not in set(ids)]
        assert sorted(ids) == sorted(expected_ids), f"stopped after message {stop}, resumed from {resume}"
        # Beyond the hold a repeat cannot be told from a late message; everything else is answered the same.
        assert [row for row in letters if row[1] != "late"] == [row for row in expected_letters if row[1] != "late"]


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 2**32))
def test_nothing_unforeseen_happens_whatever_comes(worker: InertialWorker, seed: int) -> None:
    """Real chunks with any legal combination of times, rates, lengths, values, order: outputs, letters, repeats, never an exception."""
    chance, numbers = random.Random(seed), np.random.default_rng(seed)
    worker.forget(AT)
    begin = START_NS + chance.choice([0, -START_NS, 2**62 - START_NS - 3600 * SECOND_NS, chance.randrange(10**9)])
    accepted, received_ms = 0, max(begin, START_NS) // 1_000_000 + 60_000
    wild = poisons(START_NS)
    for offset in range(chance.randint(1, 40)):
        received_ms += chance.choice([0, 10, 1000, 20_000])
        n = chance.choice([1, 2, 3, 50, 500, 2048])
        rate_hz = chance.choice([None, 10.0, 49.7, 50.0, 75.0, 100.0, 1000.0])
        steps = numbers.integers(1, chance.choice([2, 10**6, 10**8, 10**9]), n)
        message = ImuChunk(
            device_id=chance.choice(["a", "b"]),
            session=chance.choice(["s", "s", "s", "t"]),
            seq=chance.choice([offset, chance.randrange(5)]),
            start_ns=max(0, begin + chance.choice([offset * SECOND_NS, chance.randrange(60) * SECOND_NS, chance.randrange(10**9)])),
            rate_hz=rate_hz,
            offsets_ns=None if rate_hz else np.cumsum(steps) - steps[0],
            acc=numbers.normal((0, chance.choice([0, 9.81]), 0), chance.choice([0.1, 3, 100]), (n, 3)).astype(chance.choice(["<f2", "<f4", "<f8"])),
            gyro=numbers.normal(0, chance.choice([0.1, 3, 30]), (n, 3)).astype("<f4"),
        )  # fmt: skip
        row = chance.choice(wild)
        key, value = (row.key, row.value) if chance.random() < 0.2 else (message.device_id.encode(), message.to_bytes())
        record = record_of(offset, key, value, received_ms=received_ms)
        try:
            decoded = worker.decode(record)
        except BadMessage:
            continue
        outcome = worker.process([Incoming(AT, record, decoded)])
        assert len(outcome.letters) + outcome.repeated.total() <= 1
        accepted += 1
        assert all(isinstance(error, BadMessage) for _, error in outcome.letters)
        hold = worker.hold(AT)
        assert hold is None or 0 <= hold <= offset
    ends = worker.tick(AT, 2**62).outputs
    assert not worker._devices
    assert len({output.id for output in ends}) == len(ends)
