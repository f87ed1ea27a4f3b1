"""Every topic, declared once: name, key, message family, partitions, retention.

Names, partitions and retention are settings with these defaults.  gaitstream creates its topics itself (`ensure_topics`); broker
auto-creation is never relied on, because it would create them with the wrong number of partitions.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import TopicAlreadyExistsError, for_code

from streams import messages
from streams.codec import Message
from streams.errors import Misconfigured

if TYPE_CHECKING:
    from streams.settings import Settings

HOUR_MS = 3_600_000
DAY_MS = 24 * HOUR_MS


@dataclass(frozen=True, slots=True)
class Topic:
    """Declaration of a topic.  `retention_ms` None means compacted.  `family` None means raw bytes with headers."""

    name: str
    key: str
    family: type[Message] | None
    partitions: int
    retention_ms: int | None
    purpose: str


IMU_RAW = Topic("gait.imu.raw", "device id", messages.ImuChunk, 12, HOUR_MS, "raw inertial samples of phones and wearables")
SAMPLES_INERTIAL = Topic("gait.samples.inertial", "device id", messages.GaitSample, 12, DAY_MS, "pieces of walking, cut for embedding")
EMBEDDINGS = Topic("gait.embeddings", "as samples", messages.EmbeddingRecord, 12, DAY_MS, "gait samples as vectors")
GALLERY = Topic("gait.gallery", "subject/template", messages.Template, 1, None, "enrolled people; a tombstone means erased")
IDENTITY_EVENTS = Topic("gait.identity.events", "as samples", messages.IdentityEvent, 12, 7 * DAY_MS, "who walks, or unknown, or undecided")
WALKING_EVENTS = Topic("gait.walking.events", "device id", messages.WalkingEvent, 12, 7 * DAY_MS, "bouts of walking, steps, cadence")
COMMANDS = Topic("gait.commands", "subject", messages.Command, 4, 7 * DAY_MS, "what operators ask for")
REPLIES = Topic("gait.replies", "subject", messages.Reply, 4, 7 * DAY_MS, "the outcome of each command")
AUDIT = Topic("gait.audit", "actor", messages.AuditEntry, 1, 180 * DAY_MS, "who did what to whom")
DEAD_LETTER = Topic("gait.deadletter", "original key", None, 4, 7 * DAY_MS, "messages that could not be used, with the reason in headers")

ALL = (IMU_RAW, SAMPLES_INERTIAL, EMBEDDINGS, GALLERY, IDENTITY_EVENTS, WALKING_EVENTS, COMMANDS, REPLIES, AUDIT, DEAD_LETTER)


async def ensure_topics(settings: Settings, replication: int = 1) -> list[str]:
    """Create the topics that are missing and return their names.

    Raises Misconfigured when an existing topic has another number of partitions than declared: outputs go to the partition of
    their input, so the numbers must agree.
    """
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
        return [new.name for new in missing]
    finally:
        await admin.close()


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
