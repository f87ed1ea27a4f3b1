"""Claims checked by a pair network: trained here in seconds, enrolled from the samples that the broker retains, asked by the worker."""

import asyncio
from pathlib import Path

import numpy as np
import pytest
from aiokafka import ConsumerRecord, TopicPartition

from models.data.loading import load_recordings
from models.training.train import train
from streams.clients import producer_of
from streams.messages import EmbeddingRecord, GaitSample, IdentityEvent, Template
from streams.provision import ensure_topics
from streams.settings import Settings
from streams.topics import EMBEDDINGS, IDENTITY_EVENTS, SAMPLES_INERTIAL
from tests.support.brokers import BrokerProcess
from tests.support.pipeline import chunks_of, undisturbed
from workers.control.pairs import with_pair_maps
from workers.control.refusal import Refusal
from workers.identity.worker import IdentityWorker
from workers.networks import verifier_of
from workers.processor import Incoming

pytestmark = pytest.mark.data

NETWORK = "whugait-pair-cnn-lstm-horizontal"
AT = TopicPartition(SAMPLES_INERTIAL.name, 0)


@pytest.fixture(scope="module")
def settings(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """A pair network of our own in a folder, and settings that name it."""
    out = tmp_path_factory.mktemp("weights")
    train(NETWORK, [data_dir / "imu" / "motionsense.npz"], out, people="1-12", epochs=1, steps=30, batch=64)
    return Settings(verifier=NETWORK, weights_dir=out)


@pytest.fixture(scope="module")
def samples(data_dir: Path) -> dict[str, list[GaitSample]]:
    """Walks of two people that the network has not seen, by device: one to enrol, one to claim."""
    found: dict[str, list[GaitSample]] = {}
    for recording in load_recordings(data_dir / "imu" / "motionsense.npz", people="13,16", where="trial=8,15"):
        outputs = undisturbed(chunks_of([recording])).values()
        walk = [GaitSample.from_bytes(o.value) for o in outputs if o.topic == SAMPLES_INERTIAL.name]
        found[f"{walk[0].stream_key}"] = sorted(walk, key=lambda sample: sample.start_ns)
    return found


def walk_of(samples: dict[str, list[GaitSample]], person: str, trial: int) -> list[GaitSample]:
    return next(walk for device, walk in samples.items() if device.startswith(f"{person}-wlk_{trial}_"))


def incoming(worker: IdentityWorker, walk: list[GaitSample]) -> list[Incoming]:
    """As the runtime hands them over."""
    messages = []
    for offset, sample in enumerate(walk):
        value = sample.to_bytes()
        record = ConsumerRecord(AT.topic, 0, offset, 1_800_000_000_000, 0, sample.stream_key.encode(), value, 0, 0, len(value), ())
        messages.append(Incoming(AT, record, worker.decode(record)))
    return messages


def embeddings(worker: IdentityWorker, walk: list[GaitSample]) -> list[np.ndarray]:
    worker.forget(AT)
    outputs = worker.process(incoming(worker, walk)).outputs
    return [EmbeddingRecord.from_bytes(o.value).vector for o in outputs if o.topic == EMBEDDINGS.name]


def ask(worker: IdentityWorker, walk: list[GaitSample], claim: str, size: int) -> list[tuple[str | None, float | None]]:
    """Verification and score of every window of a walk that claims somebody."""
    worker.forget(AT)
    found = []
    messages = incoming(worker, [sample.model_copy(update={"claimed_subject": claim}) for sample in walk])
    for first in range(0, len(messages), size):
        outputs = worker.process(messages[first : first + size]).outputs
        events = [IdentityEvent.from_bytes(o.value) for o in outputs if o.topic == IDENTITY_EVENTS.name]
        found += [(event.verification, event.verification_score) for event in events]
    return found


def template(subject: str, space: str, vector: np.ndarray, walk: list[GaitSample]) -> Template:
    return Template(
        subject=subject, template_id="0", space=space, vector=vector, quality=1.0, windows=len(walk), stream_key=walk[0].stream_key,
        from_ns=walk[0].start_ns, to_ns=walk[-1].end_ns, enrolled_ns=1,
    )  # fmt: skip


async def enrolled(settings: Settings, bootstrap: str, walks: dict[str, list[GaitSample]], templates: list[Template]) -> list[Template]:
    """The templates as an enrolment makes them while the broker retains the windows."""
    here = settings.model_copy(update={"bootstrap": bootstrap})
    await ensure_topics(here)
    producer = producer_of(here)
    await producer.start()
    for walk in walks.values():
        futures = [await producer.send(SAMPLES_INERTIAL.name, s.to_bytes(), key=s.stream_key.encode()) for s in walk]
        await asyncio.gather(*futures)
    await producer.stop()
    verifier = verifier_of(here)
    assert verifier is not None
    with pytest.raises(Refusal, match="not retained"):
        await with_pair_maps(here, verifier, "somebody-else", templates[:1])
    return [(await with_pair_maps(here, verifier, t.stream_key, [t]))[0] for t in templates]


def test_claims_by_pairs(settings: Settings, samples: dict[str, list[GaitSample]], tmp_path: Path) -> None:
    worker = IdentityWorker(settings)
    worker.load()
    assert worker.recognisers[SAMPLES_INERTIAL.name].pairs is not None
    enrol = {person: walk_of(samples, person, 8) for person in ("ms13", "ms16")}
    templates = []
    for person, walk in enrol.items():
        mean = np.mean(embeddings(worker, walk), axis=0)
        templates.append(
            template(
                person, worker.recognisers[SAMPLES_INERTIAL.name].embedder.space, (mean / np.linalg.norm(mean)).astype(np.float32), walk
            )
        )
    with BrokerProcess("embedded", tmp_path / "broker") as broker:
        written = asyncio.run(enrolled(settings, broker.bootstrap, enrol, templates))
    for offset, t in enumerate([*written, templates[0].model_copy(update={"subject": "without-maps"})]):
        worker.feed.changes.put((offset, t.subject, t.template_id, Template.from_bytes(t.to_bytes())))

    probe = walk_of(samples, "ms13", 15)
    own, other = ask(worker, probe, "ms13", 64), ask(worker, probe, "ms16", 64)
    assert [verdict for verdict, _ in own[:2]] == ["undecided"] * 2, "fewer windows than min_windows decide nothing"
    assert np.mean([score for _, score in own]) > np.mean([score for _, score in other]), "the walker is more like the own template"
    by_batches = ask(worker, probe, "ms13", 7)
    assert [verdict for verdict, _ in by_batches] == [verdict for verdict, _ in own]
    np.testing.assert_allclose([score for _, score in by_batches], [score for _, score in own], atol=1e-3)

    verifier = worker.recognisers[SAMPLES_INERTIAL.name].pairs.verifier
    maps_WSF = verifier.maps(np.stack([np.asarray(sample.samples, np.float32) for sample in probe[:4]]))
    expected = verifier.accept(np.asarray(written[0].pair_maps, np.float32), maps_WSF)
    assert own[3][1] == pytest.approx(expected, abs=1e-3), "the last four windows against what the template keeps"

    assert {verdict for verdict, _ in ask(worker, probe, "nobody", 64)} == {"not_enrolled"}
    assert {verdict for verdict, _ in ask(worker, probe, "without-maps", 64)} == {"not_enrolled"}
    worker.feed.changes.put((9, "ms13", "0", None))
    assert {verdict for verdict, _ in ask(worker, probe, "ms13", 64)} == {"not_enrolled"}, "erased"
