"""The AsyncAPI 3 document, generated from the declared topics and messages.  A test freezes it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streams import topics
from streams.messages import ALL
from streams.seal import SEALED

if TYPE_CHECKING:
    from streams.settings import Settings

VERSION = "1.0.0"
"""Version of the interface: the major number rises when a reader of an older one would break."""

_LETTER = {
    "name": "DeadLetter",
    "title": "DeadLetter",
    "summary": "The original key and bytes of a message that could not be used; the headers say why and where it came from.",
    "contentType": "application/octet-stream",
    "headers": {
        "type": "object",
        "properties": {
            name: {"type": "string", "description": text}
            for name, text in {
                "id": "topic/partition/offset of the original: one letter per message",
                "reason": "a short stable word",
                "text": "what is wrong, in words",
                "path": "the field's path",
                "topic": "original topic",
                "partition": "original partition",
                "offset": "original offset",
                "time_ms": "when it was refused, milliseconds since the epoch",
                "worker": "role and version that refused it",
            }.items()
        },
    },
}


def document(settings: Settings) -> dict[str, Any]:
    """The document as plain data."""
    messages: dict[str, Any] = {}
    for family in ALL:
        schema = family.model_json_schema(ref_template="#/components/messages/" + family.__name__ + "/payload/$defs/{model}")
        messages[family.__name__] = {
            "name": family.__name__,
            "title": family.__name__,
            "summary": (family.__doc__ or "").strip().split("\n")[0],
            "contentType": "application/msgpack",
            "payload": schema,
        }
    messages["DeadLetter"] = _LETTER
    channels, operations = {}, {}
    for topic in topics.ALL:
        family_name = topic.family.__name__ if topic.family else "DeadLetter"
        channel = topic.name.replace(".", "_")
        channels[channel] = {
            "address": topic.name,
            "description": f"{topic.purpose}; keyed by {topic.key}" + ("; sealed where keys are given" if topic in SEALED else ""),
            "messages": {family_name: {"$ref": f"#/components/messages/{family_name}"}},
            "bindings": {
                "kafka": {
                    "topic": topic.name,
                    "partitions": settings.partitions(topic),
                    "topicConfiguration": {"cleanup.policy": ["compact"] if topic.retention_ms is None else ["delete"]}
                    | ({} if topic.retention_ms is None else {"retention.ms": topic.retention_ms}),
                    "bindingVersion": "0.5.0",
                }
            },
        }
        action = "receive" if topic in (topics.IMU_RAW, topics.COMMANDS) else "send"
        operations[f"{action}_{channel}"] = {"action": action, "channel": {"$ref": f"#/channels/{channel}"}, "summary": topic.purpose}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "gaitstream",
            "version": VERSION,
            "description": "Values are msgpack maps with a schema version `v`; arrays are maps of dtype, shape and little-endian data. "
            "Unknown fields are ignored; a missing or ill-typed one makes a dead letter that names the field's path.",
            "license": {"name": "Apache-2.0"},
        },
        "defaultContentType": "application/msgpack",
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages},
    }
