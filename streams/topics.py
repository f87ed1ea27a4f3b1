"""Every topic, declared once: name, key, message family, partitions, retention.

Names, partitions and retention are settings with these defaults; `streams.provision` creates the topics.
"""

from __future__ import annotations

from dataclasses import dataclass

from streams import messages
from streams.codec import Message

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
CAMERA_FRAMES = Topic("gait.camera.frames", "camera id", messages.CameraFrame, 12, HOUR_MS // 4, "pictures of cameras, JPEG")
CAMERA_PEOPLE = Topic(
    "gait.camera.people", "camera id", messages.PeopleSeen, 12, HOUR_MS // 4, "boxes and joints of everybody in a picture"
)
SAMPLES_INERTIAL = Topic("gait.samples.inertial", "device id", messages.GaitSample, 12, DAY_MS, "pieces of walking, cut for embedding")
SAMPLES_CAMERA = Topic(
    "gait.samples.camera", "track", messages.CameraSample, 12, DAY_MS, "joints and silhouettes of a track, cut for embedding"
)
EMBEDDINGS = Topic("gait.embeddings", "as samples", messages.EmbeddingRecord, 12, DAY_MS, "gait samples as vectors")
GALLERY = Topic("gait.gallery", "subject/template", messages.Template, 1, None, "enrolled people; a tombstone means erased")
IDENTITY_EVENTS = Topic("gait.identity.events", "as samples", messages.IdentityEvent, 12, 7 * DAY_MS, "who walks, or unknown, or undecided")
WALKING_EVENTS = Topic("gait.walking.events", "as samples", messages.WalkingEvent, 12, 7 * DAY_MS, "bouts of walking, steps, cadence")
COMMANDS = Topic("gait.commands", "subject", messages.Command, 4, 7 * DAY_MS, "what operators ask for")
REPLIES = Topic("gait.replies", "subject", messages.Reply, 4, 7 * DAY_MS, "the outcome of each command")
AUDIT = Topic("gait.audit", "actor", messages.AuditEntry, 1, 180 * DAY_MS, "who did what to whom")
DEAD_LETTER = Topic("gait.deadletter", "original key", None, 4, 7 * DAY_MS, "messages that could not be used, with the reason in headers")

ALL = (
    IMU_RAW,
    CAMERA_FRAMES,
    CAMERA_PEOPLE,
    SAMPLES_INERTIAL,
    SAMPLES_CAMERA,
    EMBEDDINGS,
    GALLERY,
    IDENTITY_EVENTS,
    WALKING_EVENTS,
    COMMANDS,
    REPLIES,
    AUDIT,
    DEAD_LETTER,
)

CO_PARTITIONED = (IMU_RAW, CAMERA_FRAMES, CAMERA_PEOPLE, SAMPLES_INERTIAL, SAMPLES_CAMERA, EMBEDDINGS, IDENTITY_EVENTS, WALKING_EVENTS)
"""Outputs go to the partition of their input, so these must have the same number of partitions."""
