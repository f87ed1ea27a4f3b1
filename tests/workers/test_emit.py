"""Outputs of one poll leave in record batches: all of them, in order, each with its id and source, and the checkpoint knows where."""

import pytest
from aiokafka import TopicPartition

from streams import topics
from streams.clients import read_partitions
from streams.provision import ensure_topics
from streams.settings import Settings
from tests.support.brokers import BrokerProcess, broker_kinds
from workers.checkpoint import ID_HEADER, SOURCE_HEADER, Checkpoint, Tail, source_header
from workers.emit import Emitter
from workers.fence import Fenced, Pulse
from workers.processor import Outcome, Output


@pytest.mark.parametrize("broker_kind", broker_kinds())
async def test_more_outputs_than_fit_into_a_batch(broker: BrokerProcess) -> None:
    """1,000 outputs of 3 kB for one partition are a dozen record batches; some outputs were written by an earlier owner."""
    settings = Settings(bootstrap=broker.bootstrap)
    await ensure_topics(settings)
    inputs = [TopicPartition(topics.IMU_RAW.name, p) for p in (3, 7)]
    outputs = [
        Output(inputs[i % 2], topic.name, f"d{i}".encode(), bytes([i % 256]) * 3000, f"{topic.name}-{i}")
        for i in range(1000)
        for topic in (topics.SAMPLES_INERTIAL, topics.WALKING_EVENTS)
    ]
    written_before = {f"{topics.SAMPLES_INERTIAL.name}-{i}" for i in range(0, 1000, 10)}
    tails = {at: Tail(Checkpoint(processed=0, resume=0), set(written_before), []) for at in inputs}
    emitter = Emitter(settings, "test/0", Pulse(60.0))
    await emitter.open()
    try:
        await emitter.write(Outcome(outputs=outputs), tails, {inputs[0]: 41, inputs[1]: 42})
        emitter.give_up()
        with pytest.raises(Fenced):
            await emitter.write(Outcome(outputs=outputs[:1]), tails, {inputs[0]: 43})
    finally:
        await emitter.close()
    for at, last in zip(inputs, (41, 42), strict=True):
        for topic in (topics.SAMPLES_INERTIAL, topics.WALKING_EVENTS):
            expected = [o for o in outputs if o.at == at and o.topic == topic.name and o.id not in written_before]
            found = [record async for record in read_partitions(settings, topic.name, [at.partition])]
            assert [(r.key, r.value) for r in found] == [(o.key, o.value) for o in expected]
            headers = [dict(r.headers) for r in found]
            assert [h[ID_HEADER].decode() for h in headers] == [o.id for o in expected]
            assert {h[SOURCE_HEADER] for h in headers} == {source_header(at, last)}
            to = TopicPartition(topic.name, at.partition)
            checkpoint = tails[at].checkpoint
            assert list(checkpoint.outputs[to]) == [(last, found[0].offset)]
            assert checkpoint.ends[to] == found[-1].offset + 1
