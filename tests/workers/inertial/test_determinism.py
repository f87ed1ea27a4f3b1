"""Promise 1 at the level of the worker: the same samples give the same outputs, however they are chunked, ordered, batched, resumed."""

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from aiokafka import TopicPartition
from hypothesis import given, settings
from hypothesis import strategies as st

from models.data.loading import load_recordings
from models.data.recordings import Recording
from streams.messages import GaitSample, ImuChunk, WalkingEvent
from streams.settings import Settings
from streams.topics import IMU_RAW, SAMPLES_INERTIAL
from tests.support.pipeline import chunks_of, incoming_of
from workers.inertial.worker import InertialWorker
from workers.processor import Emitted, Incoming, Output

AT = TopicPartition(IMU_RAW.name, 0)


@pytest.fixture(scope="module")
def recordings(data_dir: Path) -> list[Recording]:
    """Three people, the same length each, so that no device is silent while others go on."""
    walks = load_recordings(data_dir / "imu" / "motionsense.npz", people="1-3", where="trial=7")
    return [replace(walk, **{name: getattr(walk, name)[:2600] for name in ("acc_N3", "gyro_N3", "walk_N", "act_N")}) for walk in walks]


@pytest.fixture(scope="module")
def worker() -> Iterator[InertialWorker]:
    """One worker for the module: loading the network is the slow part; tests forget its partition."""
    loaded = InertialWorker(Settings())
    loaded._load()
    yield loaded


def run(worker: InertialWorker, messages: list[Incoming], batches: list[int]) -> dict[str, Output]:
    """Outputs of the messages polled in batches of the given sizes (the last size repeats)."""
    worker.forget(AT)
    outputs: list[Output] = []
    position = 0
    for size in [*batches, *[batches[-1]] * len(messages)]:
        if position >= len(messages):
            break
        outputs += worker.process(messages[position : position + size]).outputs
        position += size
    outputs += worker.tick(AT, 2**62).outputs
    by_id = {output.id: output for output in outputs}
    assert len(by_id) == len(outputs)
    return by_id


@pytest.fixture(scope="module")
def expected(worker: InertialWorker, recordings: list[Recording]) -> dict[str, Output]:
    """One-second chunks in one batch."""
    outputs = run(worker, incoming_of(worker, chunks_of(recordings)), [10_000])
    assert sum(output.topic == SAMPLES_INERTIAL.name for output in outputs.values()) > 60
    return outputs


@pytest.mark.parametrize(
    ("chunk_s", "batches"),
    [
        (1.0, [1]),  # light load: every message alone
        (1.0, [7]),  # a few devices per poll
        (0.1, [50]),  # ten messages a second
        (2.56, [3]),  # chunks longer than a block
        (40.9, [1, 2, 3]),  # chunks far longer than the ring's round
    ],
)
def test_chunking_and_batching_change_nothing(
    worker: InertialWorker, recordings: list[Recording], expected: dict[str, Output], chunk_s: float, batches: list[int]
) -> None:
    outputs = run(worker, incoming_of(worker, chunks_of(recordings, chunk_s)), batches)
    assert outputs.keys() == expected.keys()
    for key, output in outputs.items():
        if output.topic == SAMPLES_INERTIAL.name:
            a, b = GaitSample.from_bytes(output.value), GaitSample.from_bytes(expected[key].value)
            np.testing.assert_array_equal(a.samples, b.samples)
            assert (a.bout_id, a.bout_steps) == (b.bout_id, pytest.approx(b.bout_steps, abs=1e-3))


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_order_within_two_seconds_and_repeats_change_nothing(
    worker: InertialWorker, recordings: list[Recording], expected: dict[str, Output], seed: int
) -> None:
    chance = random.Random(seed)
    chunks = chunks_of(recordings, 0.5)
    # A delay below 1.4 s keeps every half-second chunk within the two seconds that are sorted.
    arrival = [(chunk.start_ns / 1e9 + chance.uniform(0, 1.4), i, chunk) for i, chunk in enumerate(chunks)]
    shuffled: list[ImuChunk] = []
    for _, _, chunk in sorted(arrival, key=lambda row: row[:2]):
        shuffled.append(chunk)
        if chance.random() < 0.1:
            shuffled.append(chance.choice(shuffled[-20:]))  # at-least-once publishers repeat
    outputs = run(worker, incoming_of(worker, shuffled), [chance.randint(1, 40) for _ in range(9)])
    assert outputs.keys() == expected.keys()


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_a_successor_goes_on_exactly(worker: InertialWorker, recordings: list[Recording], expected: dict[str, Output], seed: int) -> None:
    """Stop at any message, commit, start from the commit: what comes after is what would have come."""
    chance = random.Random(seed)
    messages = incoming_of(worker, chunks_of(recordings, 1.0))
    stop = chance.randrange(1, len(messages))
    worker.forget(AT)
    before = worker.process(messages[:stop]).outputs
    hold = worker.hold(AT)
    resume = stop if hold is None else hold
    assert stop - resume < 15 * len(recordings), "commits are held back further than the input of a block needs"
    worker.forget(AT)
    worker.process(messages[resume:stop])
    worker.restore(AT, [Emitted(o.topic, o.id, o.key, o.value) for o in before])
    after = worker.process(messages[stop:]).outputs + worker.tick(AT, 2**62).outputs
    first, second = {o.id for o in before}, {o.id for o in after}
    assert sorted(first & second) == [], "written twice"
    assert sorted(expected.keys() - first - second) == [], "lost"
    assert sorted((first | second) - expected.keys()) == [], "invented"
    for output in after:
        if output.topic != SAMPLES_INERTIAL.name:
            a, b = WalkingEvent.from_bytes(output.value), WalkingEvent.from_bytes(expected[output.id].value)
            assert (a.kind, a.start_ns, a.end_ns) == (b.kind, b.start_ns, b.end_ns)
            assert a.steps == pytest.approx(b.steps, abs=1e-2)


def test_rates_and_own_times_give_the_same_walking(worker: InertialWorker, recordings: list[Recording]) -> None:
    """The same motion sampled at 100 Hz, or with the device's own jittered times: windows agree to sensor accuracy."""
    recording = recordings[0]
    n = len(recording.acc_N3)
    plain = run(worker, incoming_of(worker, chunks_of([recording])), [100])
    chance = np.random.default_rng(1)
    time_s = np.arange(n) / 50
    jittered_s = np.sort(time_s + chance.uniform(-0.004, 0.004, n))
    jittered_s[0] = 0.0
    own = []
    for seq, a in enumerate(range(0, n, 50)):
        part = slice(a, min(a + 50, n))
        values = [
            np.stack([np.interp(jittered_s[part], time_s, axis) for axis in data.T], 1).astype(np.float32)
            for data in (recording.acc_N3, recording.gyro_N3)
        ]
        start_ns = round(jittered_s[a] * 1e9)
        offsets = np.rint(jittered_s[part] * 1e9).astype(np.int64) - start_ns
        chunk = chunks_of([recording])[0].model_copy(
            update={
                "seq": seq,
                "start_ns": chunks_of([recording])[0].start_ns + start_ns,
                "rate_hz": None,
                "offsets_ns": offsets,
                "acc": values[0],
                "gyro": values[1],
            }
        )
        own.append(chunk)
    jittered = run(worker, incoming_of(worker, own), [10])
    shared = plain.keys() & jittered.keys()
    assert len(shared) > 0.95 * len(plain)


def test_a_gap_ends_the_bout_and_the_next_one_begins(worker: InertialWorker, recordings: list[Recording]) -> None:
    """Five seconds missing in the middle of a walk: two bouts, and no window spans the gap."""
    chunks = chunks_of([recordings[0]])
    missing = chunks[: len(chunks) // 2] + chunks[len(chunks) // 2 + 5 :]
    outputs = run(worker, incoming_of(worker, missing), [10])
    events = [WalkingEvent.from_bytes(o.value) for o in outputs.values() if o.topic != SAMPLES_INERTIAL.name]
    gap_ns = (chunks[len(chunks) // 2].start_ns, chunks[len(chunks) // 2 + 5].start_ns)
    assert sum(event.kind == "began" for event in events) >= 2
    samples = [GaitSample.from_bytes(o.value) for o in outputs.values() if o.topic == SAMPLES_INERTIAL.name]
    assert samples
    assert not [s for s in samples if s.start_ns < gap_ns[1] and s.end_ns > gap_ns[0] + 20_000_000]
