"""What each role may do on a Kafka cluster with an authorizer: the least that its code needs.

Kafka's own terms: Read, Write and Delete on a topic imply Describe; Read on a group implies Describe; an idempotent producer needs
nothing beyond Write (Kafka 3.0 and later).  Every role looks whether all topics are there when it starts, hence Describe on each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from streams import topics
from streams.topics import Topic

if TYPE_CHECKING:
    from collections.abc import Iterable

    from streams.settings import Settings

Operation = Literal["Read", "Write", "Create", "Delete", "Describe", "AlterConfigs", "DescribeConfigs"]
Resource = Literal["topic", "group", "cluster"]

CLUSTER = "kafka-cluster"
"""Kafka's name of the only resource of type cluster."""


@dataclass(frozen=True, slots=True)
class Acl:
    """Allowed operations of a role on the cluster, or on one topic or consumer group, named literally."""

    role: str
    resource: Resource
    name: str
    operations: tuple[Operation, ...]


STREAMS = (
    topics.IMU_RAW,
    topics.CAMERA_FRAMES,
    topics.CAMERA_PEOPLE,
    topics.SAMPLES_INERTIAL,
    topics.SAMPLES_CAMERA,
    topics.EMBEDDINGS,
    topics.WALKING_EVENTS,
    topics.IDENTITY_EVENTS,
)
RECORDS = (topics.COMMANDS, topics.REPLIES, topics.AUDIT, topics.GALLERY, topics.DEAD_LETTER)

TOPICS: dict[str, dict[Operation, tuple[Topic, ...]]] = {
    # Creates the topics; whoever runs it once may leave the other roles without Create.
    "setup": {"Create": topics.ALL, "Describe": topics.ALL},
    # A restarted worker reads the end of what it has written, dead letters too, to go on behind it.
    "inertial": {
        "Read": (topics.IMU_RAW, topics.SAMPLES_INERTIAL, topics.WALKING_EVENTS, topics.DEAD_LETTER),
        "Write": (topics.SAMPLES_INERTIAL, topics.WALKING_EVENTS, topics.DEAD_LETTER),
    },
    "camera": {
        "Read": (topics.CAMERA_FRAMES, topics.CAMERA_PEOPLE, topics.SAMPLES_CAMERA, topics.WALKING_EVENTS, topics.DEAD_LETTER),
        "Write": (topics.CAMERA_PEOPLE, topics.SAMPLES_CAMERA, topics.WALKING_EVENTS, topics.DEAD_LETTER),
    },
    "identity": {
        "Read": (
            topics.SAMPLES_INERTIAL,
            topics.SAMPLES_CAMERA,
            topics.GALLERY,
            topics.EMBEDDINGS,
            topics.IDENTITY_EVENTS,
            topics.DEAD_LETTER,
        ),
        "Write": (topics.EMBEDDINGS, topics.IDENTITY_EVENTS, topics.DEAD_LETTER),
    },
    # Receipts scan every topic, an erasure may cut two of them, and a replayed dead letter goes back to where it came from.
    "control": {
        "Read": STREAMS + RECORDS,
        "Write": (*RECORDS, topics.IMU_RAW, topics.CAMERA_FRAMES, topics.SAMPLES_INERTIAL, topics.SAMPLES_CAMERA),
        "Delete": (topics.SAMPLES_INERTIAL, topics.SAMPLES_CAMERA, topics.EMBEDDINGS),
    },
    # `gaitstream enrol`, `gallery`, `deadletter` and `doctor`.
    "operator": {
        "Read": (topics.REPLIES, topics.GALLERY, topics.AUDIT, topics.DEAD_LETTER),
        "Write": (
            topics.COMMANDS,
            topics.GALLERY,
            topics.AUDIT,
            topics.IMU_RAW,
            topics.CAMERA_FRAMES,
            topics.SAMPLES_INERTIAL,
            topics.SAMPLES_CAMERA,
        ),
    },
    "bridge": {"Write": (topics.IMU_RAW,)},
    "device": {"Write": (topics.IMU_RAW,)},
    "source": {"Write": (topics.CAMERA_FRAMES,)},
    "subscriber": {"Read": (topics.IDENTITY_EVENTS, topics.WALKING_EVENTS)},
}
"""Topics of each role by operation."""

LOOKS_AT_ALL = ("inertial", "camera", "identity", "control", "bridge", "operator")
"""Roles that look whether every topic is there: when they start, and with `gaitstream doctor`."""


def acls_of(settings: Settings) -> list[Acl]:
    """The list, in a stable order, with the names and the group prefix of these settings."""
    found: dict[tuple[str, Resource, str], list[Operation]] = {}

    def allow(role: str, resource: Resource, name: str, *operations: Operation) -> None:
        known = found.setdefault((role, resource, name), [])
        known += [operation for operation in operations if operation not in known]

    for role, granted in TOPICS.items():
        for operation, names in granted.items():
            for topic in names:
                allow(role, "topic", topic.name, operation)
        for topic in topics.ALL if role in LOOKS_AT_ALL else ():
            if (role, "topic", topic.name) not in found:
                allow(role, "topic", topic.name, "Describe")
    if settings.replication() == -1:  # whoever creates topics reads the broker's default first: see `streams.provision.replication_of`
        allow("setup", "cluster", CLUSTER, "DescribeConfigs")
    for role in ("inertial", "camera", "identity", "control"):
        allow(role, "group", settings.group(role), "Read")
    # Faust keeps the table of commands that were answered in a topic of its own.
    allow("control", "topic", f"{settings.group('control')}-commands-done-changelog", "Create", "Read", "Write", "Describe")
    allow("control", "group", settings.group("identity"), "Describe")  # how far it has read what an erasure is about to cut
    return [Acl(role, resource, name, tuple(operations)) for (role, resource, name), operations in found.items()]


def acl_commands(acls: Iterable[Acl], bootstrap: str, principal: str = "User:gaitstream-{role}") -> list[str]:
    """The same for Kafka's command line; `{role}` in the principal stands for the role."""
    return [
        f"kafka-acls.sh --bootstrap-server {bootstrap} --add --allow-principal '{principal.format(role=acl.role)}' "
        + ("--cluster " if acl.resource == "cluster" else f"--{acl.resource} '{acl.name}' ")
        + " ".join(f"--operation {operation}" for operation in acl.operations)
        for acl in acls
    ]
