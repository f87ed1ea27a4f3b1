"""Every client against a real Apache Kafka with TLS, SCRAM, client certificates and ACLs: each role has only what `acls_of` lists."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from aiokafka import TopicPartition
from aiokafka.errors import ClusterAuthorizationFailedError, KafkaConnectionError, TopicAuthorizationFailedError

from models.pose import fetch
from streams import topics
from streams.clients import consumer_of, producer_of, read_partitions
from streams.diagnosis import why_not_connected
from streams.errors import Misconfigured, Unavailable
from streams.provision import ensure_topics
from streams.settings import Settings
from tests.support.brokers import kafka_home
from tests.support.certificates import Authority
from tests.support.filming import film, over, undisturbed_camera
from tests.support.pipeline import LocalWorker, WorkerProcess, ordered_ids, send, until, until_seen
from tests.support.secured import PASSWORD, SecuredKafka
from workers.acls import acls_of
from workers.bridges.run import run_bridge
from workers.camera.worker import CameraWorker
from workers.control.client import ask
from workers.doctor import examine
from workers.identity.worker import IdentityWorker
from workers.inertial.worker import InertialWorker

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.skipif(kafka_home() is None, reason="KAFKA_HOME does not name an Apache Kafka with bin/kafka-server"),
]

FEW = {"topic_partitions": {topic.name: 1 for topic in topics.ALL}}


@pytest.fixture(scope="module")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SecuredKafka]:
    """The broker, a user per role with the role's ACLs, in both ways to sign in."""
    folder = tmp_path_factory.mktemp("secured")
    with SecuredKafka(folder, Authority(folder / "authority")) as broker:
        for role in ("setup", "inertial", "camera", "identity", "control", "operator", "bridge", "source", "subscriber"):
            granted = [acl for acl in acls_of(Settings()) if acl.role == role]
            assert granted
            broker.add_user(role)
            broker.allow(f"User:{role}", granted)
            broker.allow(f"User:CN={role}", granted)
        broker.add_user("nobody")
        yield broker


@pytest.fixture
async def topics_made(kafka: SecuredKafka) -> None:
    """All topics, made by the role whose task it is."""
    await ensure_topics(kafka.scram("setup", **FEW))


WORKERS = [
    ("scram", InertialWorker, "bridge", topics.IMU_RAW),
    ("mtls", InertialWorker, "bridge", topics.IMU_RAW),
    ("scram", CameraWorker, "source", topics.CAMERA_FRAMES),
    ("scram", IdentityWorker, "inertial", topics.SAMPLES_INERTIAL),
]


def pose_network() -> None:
    """Skip where the networks of the cameras were not fetched."""
    try:
        for weights in fetch.ALL:
            fetch.path_of(weights)
    except fetch.WeightsUnavailable as error:
        pytest.skip(str(error))


async def test_the_broker_s_default_replication_is_asked_for_and_shown_to_setup_alone(kafka: SecuredKafka) -> None:
    """Stands before everything that makes topics: once they are there, nothing is asked."""
    settings = kafka.scram("setup", **FEW, topic_replication=-1)
    with pytest.raises(Misconfigured, match="DescribeConfigs on the cluster"):
        await ensure_topics(settings)
    kafka.allow("User:setup", [acl for acl in acls_of(settings) if acl.role == "setup"])
    assert set(await ensure_topics(settings)) == {topic.name for topic in topics.ALL}


@pytest.mark.parametrize(("way", "worker", "before", "topic"), WORKERS)
async def test_producer_consumer_and_worker(
    kafka: SecuredKafka,
    topics_made: None,
    way: str,
    worker: type[InertialWorker | CameraWorker | IdentityWorker],
    before: str,
    topic: topics.Topic,
) -> None:
    """The worker reads, and writes where it must: the answer to bytes that are no message is a dead letter."""
    sign_in = getattr(kafka, way)
    if worker is CameraWorker:
        pose_network()
    settings, key = sign_in(worker.role, **FEW), f"{way} {worker.role}".encode()
    async with LocalWorker(settings, worker(settings)):
        async with producer_of(sign_in(before)) as producer:
            await producer.send_and_wait(topic.name, b"no message", key=key)

        async def answered() -> bool:
            letters = [record async for record in read_partitions(sign_in("operator"), topics.DEAD_LETTER.name)]
            return any(record.key == key and record.value == b"no message" for record in letters)

        await until(answered, 30, "a dead letter")


async def test_a_camera_worker_analyses_writes_and_commits_with_its_rights_alone(kafka: SecuredKafka, topics_made: None) -> None:
    pose_network()
    frames = over(film(1, 4.0, seed=1))
    expected = ordered_ids(await asyncio.to_thread(undisturbed_camera, frames))
    assert {topic for topic, _ in expected} == {topic.name for topic in CameraWorker.outputs}
    settings = kafka.scram("camera", **FEW, camera_delay_s=0.0, commit_every_s=0.1, idle_release_s=600.0)
    async with consumer_of(settings, group=settings.group("camera")) as committed:
        at = TopicPartition(topics.CAMERA_FRAMES.name, 0)
        before = await committed.committed(at) or 0
        async with LocalWorker(settings, CameraWorker(settings)):
            pictures = [(frame.camera_id.encode(), frame.to_bytes()) for frame in frames]
            await send(kafka.scram("source"), pictures, topic=topics.CAMERA_FRAMES.name)
            await until_seen(kafka.scram("control"), expected)

            async def has_committed() -> bool:
                return (await committed.committed(at) or 0) > before

            await until(has_committed, 30, "a commit")


@pytest.mark.parametrize("way", ["scram", "mtls"])
async def test_bridge_starts(kafka: SecuredKafka, topics_made: None, way: str) -> None:
    done = asyncio.Event()
    done.set()
    await run_bridge(getattr(kafka, way)("bridge", **FEW, bridge_port=0), "http", done)


@pytest.mark.parametrize("way", ["scram", "mtls"])
async def test_control_plane_answers(kafka: SecuredKafka, topics_made: None, way: str, tmp_path: Path) -> None:
    """Faust, the gallery's reader, the writer and a client of the commands, each with its role's rights."""
    settings = getattr(kafka, way)
    given = settings("control", **FEW, data_dir=tmp_path / "control")
    with WorkerProcess("control", given, tmp_path, **(given.environment() | {"GAITSTREAM_LOG_LEVEL": "warning"})) as control:
        await until(control.is_ready, 60, "a control plane that is ready")
        reply = await ask(settings("operator", **FEW), "rename", "Ada", "test", {"to": "Ada Lovelace"}, timeout_s=30)
        assert not reply.ok and "Ada" in reply.error  # nobody of that name is enrolled: carried out and answered
        assert PASSWORD not in control.log()


async def test_doctor_as_an_operator_sees_every_topic_and_says_what_it_may_not_see(kafka: SecuredKafka, topics_made: None) -> None:
    async with producer_of(kafka.scram("bridge")) as producer:
        await producer.send_and_wait(topics.IMU_RAW.name, b"no message", key=b"doctor")
    findings = {finding.what: finding for finding in await examine(kafka.scram("operator", **FEW))}
    assert (findings["broker"].state, findings["topics"].state, findings["clock"].state) == ("fine", "fine", "note")
    assert "may not read gait.imu.raw" in findings["clock"].text


async def test_a_role_may_not_do_what_is_not_listed(kafka: SecuredKafka, topics_made: None) -> None:
    with pytest.raises(ClusterAuthorizationFailedError):  # may write nowhere, so it gets no producer
        await producer_of(kafka.scram("subscriber")).start()
    for role, topic in (
        ("bridge", topics.GALLERY),
        ("inertial", topics.GALLERY),
        ("camera", topics.IDENTITY_EVENTS),
        ("identity", topics.AUDIT),
    ):
        async with producer_of(kafka.scram(role)) as producer:
            with pytest.raises(TopicAuthorizationFailedError):
                await producer.send_and_wait(topic.name, b"x")
    for role, topic in (("bridge", topics.GALLERY), ("inertial", topics.AUDIT), ("camera", topics.GALLERY), ("identity", topics.AUDIT)):
        async with consumer_of(kafka.scram(role)) as consumer:
            at = TopicPartition(topic.name, 0)
            consumer.assign([at])
            consumer.seek(at, 0)
            with pytest.raises(TopicAuthorizationFailedError):
                for _ in range(20):
                    await consumer.getmany(timeout_ms=500)


async def test_closing_a_reader_does_not_wait_for_the_end_of_tls(kafka: SecuredKafka, topics_made: None) -> None:
    """Each takeover of partitions opens and closes one; asyncio's TLS gives up its farewell after 30 s only."""
    settings = kafka.scram("operator", **FEW)
    async with producer_of(settings) as producer:
        await producer.send_and_wait(topics.AUDIT.name, b"x", key=b"k")
    async with asyncio.timeout(60):
        for _ in range(6):
            assert [record async for record in read_partitions(settings, topics.AUDIT.name)]


async def test_why_it_does_not_connect(kafka: SecuredKafka, tmp_path: Path) -> None:
    stranger = Authority(tmp_path / "stranger", "somebody else")
    of_stranger = dict(zip(("ssl_cert_file", "ssl_key_file"), stranger.issue("bridge"), strict=True))
    good_scram, good_mtls = kafka.scram("bridge"), kafka.mtls("bridge")
    assert await why_not_connected(good_scram) is None and await why_not_connected(good_mtls) is None
    rows: list[tuple[Settings, dict[str, Any], str]] = [
        (kafka.scram("bridge", "wrong"), {}, "'bridge' with this password: set GAITSTREAM_SASL_USERNAME"),
        (kafka.scram("unheard of"), {}, "'unheard of' with this password"),
        (good_scram, {"ssl_ca_file": stranger.ca_file}, "is not trusted .*GAITSTREAM_SSL_CA_FILE"),
        (good_scram, {"ssl_ca_file": None}, "is not trusted"),
        (good_scram, {"ssl_ca_file": tmp_path / "nothing"}, "cannot be read .*nothing"),
        (good_scram, {"sasl_mechanism": "PLAIN"}, "does not offer PLAIN: set GAITSTREAM_SASL_MECHANISM"),
        (good_scram, {"bootstrap": kafka.bootstrap}, "TLS failed .*is this port for TLS|ended at once|no answer"),
        (good_scram, {"security_protocol": "PLAINTEXT"}, "GAITSTREAM_SECURITY_PROTOCOL|no answer"),
        (good_scram, {"bootstrap": "127.0.0.1:1"}, "nothing listens there"),
        (good_mtls, {"ssl_cert_file": None, "ssl_key_file": None}, "client certificate"),
        (good_mtls, of_stranger, "client certificate"),
        (good_mtls, {"ssl_key_file": of_stranger["ssl_key_file"]}, "do not belong together"),
    ]
    for settings, update, text in rows:
        found = await why_not_connected(settings.model_copy(update=update))
        assert found is not None, text
        assert re.search(text, found), (text, found)
        assert PASSWORD not in found and "wrong" not in found


async def test_a_wrong_password_ends_a_client(kafka: SecuredKafka) -> None:
    wrong = kafka.scram("bridge", "wrong")
    with pytest.raises(KafkaConnectionError):
        await producer_of(wrong).start()
    with pytest.raises(Unavailable, match="'bridge' with this password"):
        await run_bridge(wrong, "http", asyncio.Event())
