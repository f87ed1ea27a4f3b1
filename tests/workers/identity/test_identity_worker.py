"""The identity worker: same samples and gallery, same events and scores, however batched or resumed; open set; verification."""

import random
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from aiokafka import ConsumerRecord, TopicPartition

from models.data.loading import load_recordings
from models.data.recordings import Recording
from streams.errors import SchemaMismatch
from streams.messages import EmbeddingRecord, GaitSample, IdentityEvent, Template
from streams.settings import Settings
from streams.topics import EMBEDDINGS, IDENTITY_EVENTS, SAMPLES_INERTIAL
from tests.support.pipeline import chunks_of, undisturbed
from workers.identity.worker import IdentityWorker
from workers.processor import Emitted, Incoming, Output

AT = TopicPartition(SAMPLES_INERTIAL.name, 0)
ENROLLED, STRANGERS = ("ms13", "ms14", "ms16"), ("ms17", "ms18")
"""People that the networks were not trained on."""


def samples_of(recordings: list[Recording]) -> list[bytes]:
    """Gait samples of the recordings, interleaved in time, as they lie in the topic."""
    outputs = [o for o in undisturbed(chunks_of(recordings)).values() if o.topic == SAMPLES_INERTIAL.name]
    return [o.value for o in sorted(outputs, key=lambda o: (GaitSample.from_bytes(o.value).start_ns, o.key))]


def incoming(worker: IdentityWorker, values: list[bytes]) -> list[Incoming]:
    """As the runtime hands them over."""
    found = []
    for offset, value in enumerate(values):
        key = GaitSample.from_bytes(value).stream_key.encode()
        record = ConsumerRecord(AT.topic, 0, offset, 1_800_000_000_000 + offset, 0, key, value, 0, 0, len(value), ())
        found.append(Incoming(AT, record, worker.decode(record)))
    return found


@pytest.fixture(scope="module")
def recordings(data_dir: Path) -> list[Recording]:
    """One short level walk of each."""
    return load_recordings(data_dir / "imu" / "motionsense.npz", people=",".join(ENROLLED + STRANGERS), where="trial=15")


@pytest.fixture(scope="module")
def values(recordings: list[Recording]) -> list[bytes]:
    return samples_of(recordings)


@pytest.fixture(scope="module")
def worker(data_dir: Path) -> Iterator[IdentityWorker]:
    """A worker whose gallery holds three people, each by the mean of another walk."""
    loaded = IdentityWorker(Settings())
    loaded.load()
    walks = load_recordings(data_dir / "imu" / "motionsense.npz", people=",".join(ENROLLED), where="trial=7")
    vectors: dict[str, list[np.ndarray]] = {}
    for output in loaded.process(incoming(loaded, samples_of(walks))).outputs:
        if output.topic == EMBEDDINGS.name:
            record = EmbeddingRecord.from_bytes(output.value)
            vectors.setdefault(record.stream_key[:4], []).append(record.vector)
    for offset, (subject, rows) in enumerate(sorted(vectors.items())):
        mean = np.mean(rows, axis=0)
        template = Template(
            subject=subject, template_id="0", space=loaded.recognisers[SAMPLES_INERTIAL.name].embedder.space, vector=(mean / np.linalg.norm(mean)).astype(np.float32),
            quality=1.0, windows=len(rows), stream_key=subject, from_ns=0, to_ns=1, enrolled_ns=1,
        )  # fmt: skip
        loaded.feed.changes.put((offset, subject, "0", template))
    loaded.forget(AT)
    yield loaded


def events_of(outputs: list[Output]) -> dict[str, IdentityEvent]:
    """Events by id; fails when an id comes twice."""
    events = [IdentityEvent.from_bytes(o.value) for o in outputs if o.topic == IDENTITY_EVENTS.name]
    by_id = {event.id: event for event in events}
    assert len(by_id) == len(events)
    return by_id


def run(worker: IdentityWorker, values: list[bytes], sizes: list[int]) -> dict[str, IdentityEvent]:
    """Events of the samples polled in batches of the given sizes, repeated."""
    worker.forget(AT)
    messages, outputs, position = incoming(worker, values), [], 0
    for size in sizes * len(messages):
        if position < len(messages):
            outputs += worker.process(messages[position : position + size]).outputs
            position += size
    return events_of(outputs)


@pytest.fixture(scope="module")
def expected(worker: IdentityWorker, values: list[bytes]) -> dict[str, IdentityEvent]:
    """One batch."""
    return run(worker, values, [10_000])


@pytest.mark.parametrize("sizes", [[1], [3, 1, 7], [64]], ids=["one by one", "mixed", "64"])
def test_batching_changes_no_decision(
    worker: IdentityWorker, values: list[bytes], expected: dict[str, IdentityEvent], sizes: list[int]
) -> None:
    events = run(worker, values, sizes)
    assert events.keys() == expected.keys()
    for key, event in events.items():
        other = expected[key]
        assert (event.decision, event.subject, event.windows, event.contradicts) == (
            other.decision, other.subject, other.windows, other.contradicts,
        )  # fmt: skip
        assert event.score == pytest.approx(other.score, abs=1e-4)


@pytest.mark.parametrize("seed", range(4))
def test_a_successor_goes_on_exactly(worker: IdentityWorker, values: list[bytes], expected: dict[str, IdentityEvent], seed: int) -> None:
    messages = incoming(worker, values)
    stop = random.Random(seed).randrange(1, len(messages))
    worker.forget(AT)
    before = worker.process(messages[:stop]).outputs
    hold = worker.hold(AT)
    assert hold is not None and hold < stop
    worker.forget(AT)
    worker.process(messages[hold:stop])
    worker.restore(AT, [Emitted(o.topic, o.id, o.key, o.value) for o in before])
    after = events_of(worker.process(messages[stop:]).outputs)
    assert events_of(before).keys() | after.keys() == expected.keys()
    for key, event in after.items():
        assert (event.decision, event.subject, event.contradicts) == (
            expected[key].decision, expected[key].subject, expected[key].contradicts,
        )  # fmt: skip
        assert event.score == pytest.approx(expected[key].score, abs=1e-4)


def test_an_outage_of_the_worker_before_costs_no_evidence(
    worker: IdentityWorker, values: list[bytes], expected: dict[str, IdentityEvent]
) -> None:
    """While the inertial worker is away nobody walks by the clock of its output, but the bouts go on in the raw samples."""
    worker.forget(AT)
    outputs: list[Output] = []
    for message in incoming(worker, values):
        outputs += worker.process([message]).outputs
        worker.tick(AT, message.received_ns + 60_000_000_000)
    found = events_of(outputs)
    assert {i: (e.decision, e.windows) for i, e in found.items()} == {i: (e.decision, e.windows) for i, e in expected.items()}


def test_open_set(expected: dict[str, IdentityEvent]) -> None:
    """Mechanism, not accuracy: nobody is decided on too few windows, enrolled people are named, strangers are not."""
    by_person: dict[str, list[IdentityEvent]] = {}
    for event in expected.values():
        by_person.setdefault(event.stream_key[:4], []).append(event)
    for events in by_person.values():
        assert all(event.decision == "undecided" for event in events if event.windows < 3)
        assert all((event.subject is not None) == (event.decision == "known") for event in events)
    for person in ENROLLED:
        assert any(event.subject == person for event in by_person[person]), person
    for person in STRANGERS:
        assert not [event for event in by_person[person] if event.decision == "known"], person


def test_claims_are_verified(worker: IdentityWorker, values: list[bytes]) -> None:
    """The walker's own name is accepted, another's rejected, one that nobody bears is not enrolled."""
    own = [v for v in values if GaitSample.from_bytes(v).stream_key.startswith("ms13")]
    for claim, wanted in (("ms13", "accepted"), ("ms16", "rejected"), ("nobody", "not_enrolled")):
        claiming = [GaitSample.from_bytes(v).model_copy(update={"claimed_subject": claim}).to_bytes() for v in own]
        outcomes = [event.verification for event in run(worker, claiming, [64]).values()]
        assert outcomes[-1] == wanted, claim


def test_a_contradiction_is_reported(worker: IdentityWorker, values: list[bytes]) -> None:
    """The phone is handed over within one bout: the later name says whom it contradicts."""
    first = [GaitSample.from_bytes(v) for v in values if GaitSample.from_bytes(v).stream_key.startswith("ms13")][:12]
    second = [GaitSample.from_bytes(v) for v in values if GaitSample.from_bytes(v).stream_key.startswith("ms16")][:28]
    step_ns = first[1].start_ns - first[0].start_ns
    joined = [
        sample.model_copy(
            update={
                "stream_key": "shared", "bout_id": "b", "start_ns": first[0].start_ns + i * step_ns,
                "end_ns": first[0].start_ns + (i + 2) * step_ns,
            }
        ).to_bytes()
        for i, sample in enumerate(first + second)
    ]  # fmt: skip
    events = list(run(worker, joined, [5]).values())
    assert any(event.subject == "ms13" for event in events)
    assert any(event.contradicts == "ms13" for event in events)


def test_a_sample_of_an_unknown_cut_is_refused(worker: IdentityWorker, values: list[bytes]) -> None:
    sample = GaitSample.from_bytes(values[0]).model_copy(update={"cut": "three-step-96"})
    with pytest.raises(SchemaMismatch, match="three-step-96"):
        incoming(worker, [sample.to_bytes()])


def test_samples_of_the_other_cut_are_not_for_this_embedder(worker: IdentityWorker, values: list[bytes]) -> None:
    worker.forget(AT)
    other = GaitSample.from_bytes(values[0]).model_copy(update={"cut": "two-step-128"})
    outcome = worker.process(incoming(worker, [other.to_bytes(), values[0]]))
    assert [IdentityEvent.from_bytes(o.value).windows for o in outcome.outputs if o.topic == IDENTITY_EVENTS.name] == [1]
    assert not outcome.letters


def test_erased_people_are_not_found(worker: IdentityWorker, values: list[bytes], expected: dict[str, IdentityEvent]) -> None:
    """Last in the module: takes a person out of the gallery, and their walk is unknown from then on."""
    worker.feed.changes.put((99, "ms13", "0", None))
    events = [event for event in run(worker, values, [64]).values() if event.stream_key.startswith("ms13")]
    assert {event.decision for event in events} <= {"unknown", "undecided"}
    assert all("ms13" not in [c["subject"] for c in event.candidates] for event in events)
    assert all(event.gallery_version == 99 for event in events)
