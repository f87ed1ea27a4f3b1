"""Creating the topics.  gaitstream does it itself: a broker that creates them on first use gives them the wrong partitions."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, for_code

from streams.errors import Misconfigured
from streams.topics import ALL, CO_PARTITIONED, DAY_MS, Topic

if TYPE_CHECKING:
    from streams.settings import Settings


async def ensure_topics(settings: Settings, replication: int = 1) -> list[str]:
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
        missing = [
            NewTopic(topic.name, settings.partitions(topic), replication, topic_configs=_configs(topic, settings))
            for topic in ALL
            if topic.name not in existing
        ]
        if missing:
            response = await admin.create_topics(missing)
            for name, code, *text in response.topic_errors:
                if code and for_code(code) is not TopicAlreadyExistsError:  # another worker may have been faster
                    raise Misconfigured(f"topic {name} could not be created: {for_code(code).__name__} {text}")
        await _until_led(admin, [topic.name for topic in ALL])
        return [new.name for new in missing]
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
