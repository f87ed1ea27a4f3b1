"""The way from gait samples to identity events in tests: what the undisturbed run gives, and what a subscriber must see."""

from collections.abc import Iterable, Sequence

import numpy as np
from aiokafka import ConsumerRecord, TopicPartition

from streams.clients import producer_of, read_partitions
from streams.messages import EmbeddingRecord, IdentityEvent, Template
from streams.settings import Settings
from streams.topics import EMBEDDINGS, GALLERY, IDENTITY_EVENTS, SAMPLES_INERTIAL
from tests.support.pipeline import START_NS
from workers.identity.worker import IdentityWorker
from workers.processor import Incoming, Output

AT = TopicPartition(SAMPLES_INERTIAL.name, 0)


def undisturbed_identity(samples: Iterable[Output], templates: Sequence[Template] = ()) -> list[Output]:
    """Embeddings and identity events of gait samples against a gallery, in one batch and without Kafka."""
    worker = IdentityWorker(Settings())
    worker.load()
    for offset, template in enumerate(templates):
        worker.feed.changes.put((offset, template.subject, template.template_id, template))
    messages = []
    for offset, output in enumerate(o for o in samples if o.topic == SAMPLES_INERTIAL.name):
        received_ms = START_NS // 1_000_000 + 3_600_000 + offset
        record = ConsumerRecord(AT.topic, 0, offset, received_ms, 0, output.key, output.value, 0, 0, len(output.value), ())
        messages.append(Incoming(AT, record, worker.decode(record)))
    return worker.process(messages).outputs


def templates_of(outputs: Iterable[Output], stream_keys: Iterable[str]) -> list[Template]:
    """One template per stream: the mean of its embeddings; the subject is the first word of the stream's name."""
    found: dict[str, list[EmbeddingRecord]] = {key: [] for key in stream_keys}
    for output in outputs:
        if output.topic == EMBEDDINGS.name and output.key.decode() in found:
            found[output.key.decode()].append(EmbeddingRecord.from_bytes(output.value))
    templates = []
    for key, records in sorted(found.items()):
        mean = np.mean([record.vector for record in records], axis=0)
        vector = (mean / np.linalg.norm(mean)).astype(np.float32)
        templates.append(
            Template(
                subject=key.split("-")[0],
                template_id="0",
                space=records[0].space,
                vector=vector,
                quality=1.0,
                windows=len(records),
                stream_key=key,
                from_ns=0,
                to_ns=1,
                enrolled_ns=1,
            )
        )
    return templates


async def publish_gallery(settings: Settings, templates: Iterable[Template]) -> None:
    """Write templates as the control plane does."""
    producer = producer_of(settings)
    await producer.start()
    try:
        for template in templates:
            await producer.send_and_wait(GALLERY.name, template.to_bytes(), key=template.key)
    finally:
        await producer.stop()


async def assert_same_decisions(settings: Settings, expected: Iterable[Output]) -> None:
    """Decision, person, scores (to 1e-4) and evidence of every identity event in the topic are those of the undisturbed run."""
    wanted = {o.id: IdentityEvent.from_bytes(o.value) for o in expected if o.topic == IDENTITY_EVENTS.name}
    seen = [IdentityEvent.from_bytes(record.value) async for record in read_partitions(settings, IDENTITY_EVENTS.name)]
    assert sorted(event.id for event in seen) == sorted(wanted)
    for event in seen:
        other = wanted[event.id]
        exact = ("bout_id", "windows", "enrolled", "decision", "subject", "contradicts")
        wrong = {name: (getattr(event, name), getattr(other, name)) for name in exact if getattr(event, name) != getattr(other, name)}
        assert not wrong, f"{event.stream_key} at {event.start_ns}: seen and expected {wrong}"
        pairs = {name: (getattr(event, name), getattr(other, name)) for name in ("score", "confidence", "margin")}
        pairs |= {f"candidate {a['subject']}": (a["score"], b["score"]) for a, b in zip(event.candidates, other.candidates, strict=True)}
        apart = {name: (a, b) for name, (a, b) in pairs.items() if not (abs(a - b) <= 1e-4 or a == b)}
        assert not apart, f"{event.stream_key} at {event.start_ns}: seen and expected {apart}"
