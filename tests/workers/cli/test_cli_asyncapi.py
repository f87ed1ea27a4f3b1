"""`gaitstream asyncapi` prints an AsyncAPI 3 document that holds together and speaks of every topic and message."""

import json
from typing import Any

import pytest
from typer.testing import CliRunner

from streams import messages, topics
from workers.cli import app


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The document as a program reads it."""
    result = CliRunner().invoke(app, ["asyncapi"])
    assert result.exit_code == 0, result.output
    return dict(json.loads(result.stdout))


def references(node: Any) -> list[str]:
    """Every $ref below a node."""
    if isinstance(node, dict):
        return [value for key, value in node.items() if key == "$ref"] + [ref for value in node.values() for ref in references(value)]
    return [ref for value in node for ref in references(value)] if isinstance(node, list) else []


def resolve(document: dict[str, Any], reference: str) -> Any:
    """What a local JSON pointer points to.  Raises KeyError."""
    node: Any = document
    assert reference.startswith("#/")
    for part in reference[2:].split("/"):
        node = node[part]
    return node


def test_the_structure_is_asyncapi_3(document: dict[str, Any]) -> None:
    """The parts that the specification requires, with the values it allows."""
    assert document["asyncapi"] == "3.0.0"
    assert {"title", "version"} <= set(document["info"])
    for channel in document["channels"].values():
        assert channel["address"] and channel["messages"]
        assert isinstance(channel["bindings"]["kafka"]["partitions"], int)
    for operation in document["operations"].values():
        assert operation["action"] in {"send", "receive"}
        assert resolve(document, operation["channel"]["$ref"]) in document["channels"].values()
    for message in document["components"]["messages"].values():
        assert message["contentType"] in {"application/msgpack", "application/octet-stream"}


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    found = references(document)
    assert len(found) > len(document["channels"])
    for reference in found:
        resolve(document, reference)


def test_every_topic_and_message_is_there(document: dict[str, Any]) -> None:
    addresses = {channel["address"]: channel for channel in document["channels"].values()}
    assert addresses.keys() == {topic.name for topic in topics.ALL}
    assert {family.__name__ for family in messages.ALL} <= set(document["components"]["messages"])
    for topic in topics.ALL:
        (name,) = addresses[topic.name]["messages"]
        assert name == (topic.family.__name__ if topic.family else "DeadLetter")
        assert addresses[topic.name]["bindings"]["kafka"]["partitions"] == topic.partitions


def test_overridden_partitions_are_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GAITSTREAM_TOPIC_PARTITIONS", '{"gait.imu.raw": 3}')
    document = json.loads(CliRunner().invoke(app, ["asyncapi"]).stdout)
    assert document["channels"]["gait_imu_raw"]["bindings"]["kafka"]["partitions"] == 3
