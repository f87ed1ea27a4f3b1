"""Creating the topics.  gaitstream does it itself: a broker that creates them on first use gives them the wrong partitions."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import InvalidReplicationFactorError, KafkaError, TopicAlreadyExistsError, for_code

from streams.errors import Misconfigured
from streams.topics import ALL, CO_PARTITIONED, DAY_MS, Topic

if TYPE_CHECKING:
    from streams.settings import Settings


DEFAULT_REPLICATION = "default.replication.factor"


async def ensure_topics(settings: Settings) -> list[str]:
    """Create the topics that are missing and return their names.

    Raises Misconfigured when an existing topic has another number of partitions than declared, or co-partitioned ones differ.
    """
    counts = {topic.name: settings.partitions(topic) for topic in CO_PARTITIONED}
    if len(set(counts.values())) > 1:
        raise Misconfigured(f"these topics must have the same number of partitions: {counts}")
    admin = AIOKafkaAdminClient(**settings.kafka())
    await admin.start()
    try:
        existing = {t["topic"]: len(t["partitions"]) for t in await admin.describe_topics() if not t["error_code"]}
        if wrong := partition_mismatches(settings, existing):
            raise Misconfigured("; ".join(wrong))
        absent = [topic for topic in ALL if topic.name not in existing]
        replication = await replication_of(admin, settings) if absent else 1
        missing = [
            NewTopic(topic.name, settings.partitions(topic), replication, topic_configs=_configs(topic, settings)) for topic in absent
        ]
        if missing:
            response = await admin.create_topics(missing)
            for name, code, *text in response.topic_errors:
                kind = for_code(code)
                if kind is InvalidReplicationFactorError:
                    raise Misconfigured(f"topic {name} cannot have {replication} replicas here: set GAITSTREAM_TOPIC_REPLICATION; {text}")
                if code and kind is not TopicAlreadyExistsError:  # another worker may have been faster
                    raise Misconfigured(f"topic {name} could not be created: {kind.__name__} {text}")
        await _until_led(admin, [topic.name for topic in ALL])
        return [new.name for new in missing]
    finally:
        await admin.close()


async def replication_of(admin: AIOKafkaAdminClient, settings: Settings) -> int:
    """Replicas of a new topic.  Raises Misconfigured when the broker's default is wanted and not shown.

    A broker takes -1 for its default since version 4 of the request to create topics; aiokafka speaks version 3, and so does Faust.
    """
    wanted = settings.replication()
    if wanted != -1:
        return wanted
    try:
        broker_id = (await admin.describe_cluster())["brokers"][0]["node_id"]
        keys = {DEFAULT_REPLICATION: None}
        answers = await admin.describe_configs([ConfigResource(ConfigResourceType.BROKER, str(broker_id), keys)])
        shown = {entry[0]: entry[1] for answer in answers for resource in answer.resources for entry in resource[4]}
        return int(shown[DEFAULT_REPLICATION])
    except (KafkaError, KeyError, IndexError, ValueError, TypeError) as error:
        text = f"the broker does not show {DEFAULT_REPLICATION} ({type(error).__name__}): allow DescribeConfigs on the cluster"
        raise Misconfigured(f"{text}, or set GAITSTREAM_TOPIC_REPLICATION to a number") from None


async def replicas_of(settings: Settings, topic: Topic) -> int:
    """How many replicas an existing topic has: what else is created beside it should have as many.  Raises KafkaError."""
    admin = AIOKafkaAdminClient(**settings.kafka())
    await admin.start()
    try:
        (described,) = await admin.describe_topics([topic.name])
        return len(described["partitions"][0]["replicas"])
    finally:
        await admin.close()


async def _until_led(admin: AIOKafkaAdminClient, names: list[str]) -> None:
    """Wait until each partition has a leader: who subscribes before gets an empty assignment, until its metadata expire."""
    for _ in range(300):
        described = await admin.describe_topics(names)
        if len(described) == len(names) and not any(t["error_code"] or any(p["error_code"] for p in t["partitions"]) for t in described):
            return
        await asyncio.sleep(0.1)
    raise Misconfigured(f"no broker leads the partitions of {', '.join(names)}")


def partition_mismatches(settings: Settings, existing: dict[str, int]) -> list[str]:
    """Sentences about topics whose number of partitions is not the declared one."""
    return [
        f"topic {topic.name} has {existing[topic.name]} partitions, expected {settings.partitions(topic)}"
        for topic in ALL
        if topic.name in existing and existing[topic.name] != settings.partitions(topic)
    ]


def _configs(topic: Topic, settings: Settings) -> dict[str, str]:
    if topic.retention_ms is None:
        # Small segments and an eager cleaner: an erased template should leave the disk within minutes, not at the next gigabyte.
        return {
            "cleanup.policy": "compact",
            "segment.ms": "600000",
            "min.cleanable.dirty.ratio": "0.01",
            "delete.retention.ms": str(DAY_MS),
        }
    return {"cleanup.policy": "delete", "retention.ms": str(settings.retention_ms.get(topic.name, topic.retention_ms))}
