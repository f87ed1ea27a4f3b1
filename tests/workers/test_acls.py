"""The list of rights that an operator of a cluster with an authorizer gets."""

import pytest

from streams import topics
from streams.settings import Settings
from workers.acls import Acl, acl_commands, acls_of
from workers.camera.worker import CameraWorker
from workers.identity.worker import IdentityWorker
from workers.inertial.worker import InertialWorker


def test_names_follow_the_settings() -> None:
    acls = acls_of(Settings(group_prefix="site7"))
    groups = {(acl.role, acl.name, acl.operations) for acl in acls if acl.resource == "group"}
    assert groups == {
        ("inertial", "site7-inertial", ("Read",)),
        ("camera", "site7-camera", ("Read",)),
        ("identity", "site7-identity", ("Read",)),
        ("control", "site7-control", ("Read",)),
        ("control", "site7-identity", ("Describe",)),
    }
    assert any(acl.name == "site7-control-commands-done-changelog" and "Create" in acl.operations for acl in acls)


def test_only_who_must_reads_and_writes_people() -> None:
    acls = acls_of(Settings())

    def may(operation: str, topic: topics.Topic) -> set[str]:
        return {acl.role for acl in acls if acl.name == topic.name and operation in acl.operations}

    assert may("Read", topics.GALLERY) == {"identity", "control", "operator"}
    assert may("Write", topics.GALLERY) == {"control", "operator"}
    assert may("Read", topics.AUDIT) == {"control", "operator"}
    assert may("Write", topics.IDENTITY_EVENTS) == {"identity"}
    assert may("Delete", topics.EMBEDDINGS) == {"control"}
    assert may("Create", topics.AUDIT) == {"setup"}


REPLICATIONS = [
    (Settings(bootstrap="127.0.0.1:9092"), False),  # one replica: nothing is asked
    (Settings(bootstrap="kafka-1:9092"), True),  # the broker's default, which it must show
    (Settings(bootstrap="127.0.0.1:9092", topic_replication=-1), True),  # wanted in words
    (Settings(bootstrap="kafka-1:9092", topic_replication=3), False),  # a number
]


@pytest.mark.parametrize(("settings", "asked"), REPLICATIONS)
def test_who_creates_topics_sees_the_brokers_default_replication_where_it_is_used(settings: Settings, asked: bool) -> None:
    on_cluster = [acl for acl in acls_of(settings) if acl.resource == "cluster"]
    assert on_cluster == ([Acl("setup", "cluster", "kafka-cluster", ("DescribeConfigs",))] if asked else [])


@pytest.mark.parametrize("worker", [InertialWorker, CameraWorker, IdentityWorker])
def test_a_worker_reads_its_inputs_and_what_it_wrote_and_writes_its_outputs(
    worker: type[InertialWorker | CameraWorker | IdentityWorker],
) -> None:
    own = {acl.name: set(acl.operations) for acl in acls_of(Settings()) if acl.role == worker.role and acl.resource == "topic"}
    assert all("Read" in own[topic.name] for topic in worker.inputs)
    assert all({"Read", "Write"} <= own[topic.name] for topic in (*worker.outputs, topics.DEAD_LETTER))
    written = {name for name, operations in own.items() if "Write" in operations}
    assert written == {topic.name for topic in (*worker.outputs, topics.DEAD_LETTER)}


def test_each_resource_of_a_role_is_listed_once_and_no_right_is_left_empty() -> None:
    acls = acls_of(Settings())
    assert len({(acl.role, acl.resource, acl.name) for acl in acls}) == len(acls)
    assert all(acl.operations and len(set(acl.operations)) == len(acl.operations) for acl in acls)


COMMANDS = [
    (Acl("bridge", "topic", "gait.imu.raw", ("Write", "Describe")), "--topic 'gait.imu.raw' --operation Write --operation Describe"),
    (Acl("bridge", "group", "site-7", ("Read",)), "--group 'site-7' --operation Read"),
    (Acl("bridge", "cluster", "kafka-cluster", ("DescribeConfigs",)), "--cluster --operation DescribeConfigs"),  # it takes no name
]


@pytest.mark.parametrize(("acl", "said"), COMMANDS)
def test_commands_for_kafka(acl: Acl, said: str) -> None:
    [line] = acl_commands([acl], "kafka:9093", "User:CN={role}")
    assert line == f"kafka-acls.sh --bootstrap-server kafka:9093 --add --allow-principal 'User:CN=bridge' {said}"
