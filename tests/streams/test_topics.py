"""Topics are created as declared, once, and never quietly with other partitions."""

from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from streams import topics
from streams.errors import Misconfigured
from streams.provision import ensure_topics, replicas_of
from streams.settings import Settings
from tests.support.brokers import BrokerProcess, broker_kinds


@pytest.mark.parametrize("broker_kind", broker_kinds(kafka=False))
async def test_created_as_declared_and_only_once(broker: BrokerProcess) -> None:
    settings = Settings(bootstrap=broker.bootstrap, retention_ms={"gait.imu.raw": 60_000})
    assert sorted(await ensure_topics(settings)) == sorted(topic.name for topic in topics.ALL)
    assert await ensure_topics(settings) == []
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await admin.start()
    try:
        described = {t["topic"]: len(t["partitions"]) for t in await admin.describe_topics()}
        assert {topic.name: topic.partitions for topic in topics.ALL}.items() <= described.items()
        wanted = [ConfigResource(ConfigResourceType.TOPIC, name) for name in ("gait.imu.raw", "gait.gallery", "gait.deadletter")]
        answers = [resource for answer in await admin.describe_configs(wanted) for resource in answer.resources]
        configs = {resource[3]: {entry[0]: entry[1] for entry in resource[4]} for resource in answers}
        assert configs["gait.imu.raw"]["retention.ms"] == "60000"
        assert configs["gait.gallery"]["cleanup.policy"] == "compact"
        assert configs["gait.deadletter"]["retention.ms"] == str(7 * 24 * 3_600_000)
    finally:
        await admin.close()
    with pytest.raises(Misconfigured, match="12 partitions, expected 5"):
        await ensure_topics(settings.model_copy(update={"topic_partitions": {t.name: 5 for t in topics.CO_PARTITIONED}}))
    with pytest.raises(Misconfigured, match="same number of partitions"):
        await ensure_topics(settings.model_copy(update={"topic_partitions": {"gait.imu.raw": 5}}))


def test_the_data_plane_is_co_partitioned_and_letters_have_room(tmp_path: Path) -> None:
    assert len({topic.partitions for topic in topics.CO_PARTITIONED}) == 1
    kept_ms = {topic.name: topic.retention_ms for topic in topics.ALL if topic.retention_ms is not None}
    pictures = {topics.CAMERA_FRAMES.name, topics.CAMERA_PEOPLE.name}  # kept no longer than a worker may need to come back
    assert all(ms >= (topics.HOUR_MS // 4 if name in pictures else topics.HOUR_MS) for name, ms in kept_ms.items())


REPLICATION = [
    # bootstrap, setting, replicas asked for
    ("127.0.0.1:9092", None, 1),  # the embedded broker
    ("localhost:9092,[::1]:9093", None, 1),
    ("kafka-1:9092,127.0.0.1:9092", None, -1),  # a cluster: as its administrator wants it
    ("kafka-1:9092", 3, 3),
    ("127.0.0.1:9092", -1, -1),
]


@pytest.mark.parametrize(("bootstrap", "given", "replicas"), REPLICATION)
def test_how_many_replicas_are_asked_for(bootstrap: str, given: int | None, replicas: int) -> None:
    assert Settings(bootstrap=bootstrap, topic_replication=given).replication() == replicas


@pytest.mark.parametrize("broker_kind", broker_kinds())
async def test_replicas_that_cannot_be_are_refused_in_words_and_the_brokers_default_is_taken(broker: BrokerProcess) -> None:
    settings = Settings(bootstrap=broker.bootstrap, topic_partitions={topic.name: 1 for topic in topics.ALL})
    with pytest.raises(Misconfigured, match="cannot have 3 replicas here: set GAITSTREAM_TOPIC_REPLICATION"):
        await ensure_topics(settings.model_copy(update={"topic_replication": 3}))
    as_the_broker_wants = settings.model_copy(update={"topic_replication": -1})
    assert len(await ensure_topics(as_the_broker_wants)) == len(topics.ALL)
    assert await replicas_of(as_the_broker_wants, topics.COMMANDS) == 1
