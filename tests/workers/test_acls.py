"""The list of rights that an operator of a cluster with an authorizer gets."""

from streams import topics
from streams.settings import Settings
from workers.acls import Acl, acl_commands, acls_of


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


def test_each_resource_of_a_role_is_listed_once_and_no_right_is_left_empty() -> None:
    acls = acls_of(Settings())
    assert len({(acl.role, acl.resource, acl.name) for acl in acls}) == len(acls)
    assert all(acl.operations and len(set(acl.operations)) == len(acl.operations) for acl in acls)


def test_commands_for_kafka() -> None:
    [line] = acl_commands([Acl("bridge", "topic", "gait.imu.raw", ("Write", "Describe"))], "kafka:9093", "User:CN={role}")
    assert line == (
        "kafka-acls.sh --bootstrap-server kafka:9093 --add --allow-principal 'User:CN=bridge' "
        "--topic 'gait.imu.raw' --operation Write --operation Describe"
    )
