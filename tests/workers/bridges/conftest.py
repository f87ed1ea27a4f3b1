"""One embedded broker with all topics for the tests of both doors; they keep apart by device ids."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import paho.mqtt.client as paho
import pytest

from streams import metrics, topics
from streams.clients import read_partitions
from streams.messages import ImuChunk
from streams.provision import ensure_topics
from streams.settings import Settings
from tests.support.brokers import BrokerProcess
from tests.support.certificates import Authority
from tests.workers.bridges.mosquitto import PASSWORD, USER, Mosquitto
from workers.bridges.mqtt import ROLE

TOPIC = "sensor-logger/phones"

_devices = itertools.count(1)


@pytest.fixture(scope="package")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    """The embedded broker."""
    with BrokerProcess("embedded", tmp_path_factory.mktemp("broker")) as broker:
        yield broker


@pytest.fixture
async def settings(kafka: BrokerProcess) -> Settings:
    """Settings of a bridge on it."""
    given = Settings(bootstrap=kafka.bootstrap, bridge_port=0, bridge_token="a token of devices")  # type: ignore[arg-type]
    await ensure_topics(given)
    return given


@pytest.fixture
def device() -> str:
    """A device id that no other test uses."""
    return f"phone-{next(_devices)}"


@pytest.fixture(scope="package")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """Signs mosquitto's certificate."""
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture
def mosquitto(tmp_path: Path, authority: Authority) -> Iterator[Mosquitto]:
    """A running mosquitto."""
    broker = Mosquitto(tmp_path, authority)
    broker.start()
    yield broker
    broker.kill()


@pytest.fixture
def mqtt_settings(settings: Settings, mosquitto: Mosquitto, device: str) -> Settings:
    """Settings of a bridge that subscribes to this mosquitto, with a session of its own."""
    update = {
        "mqtt_port": mosquitto.port, "mqtt_username": USER, "mqtt_password": PASSWORD, "mqtt_tls": True, "mqtt_ca_file": mosquitto.ca_file,
        "mqtt_client_id": f"bridge-{device}",
    }  # fmt: skip
    return Settings(**(settings.model_dump(exclude_unset=True) | update))


@pytest.fixture
def phone(mosquitto: Mosquitto) -> Iterator[paho.Client]:
    """A device that is connected to mosquitto."""
    client = paho.Client(paho.CallbackAPIVersion.VERSION2)
    client.username_pw_set(USER, PASSWORD)
    client.tls_set(str(mosquitto.ca_file))
    client.connect("127.0.0.1", mosquitto.port)
    client.loop_start()
    yield client
    client.disconnect()
    client.loop_stop()


def count(outcome: str) -> float:
    """How many messages had this outcome."""
    return metrics.MESSAGES.labels(ROLE, outcome)._value.get()


async def stored(settings: Settings, wanted: Callable[[str], bool]) -> dict[str, list[ImuChunk]]:
    """Chunks in `gait.imu.raw` by device, in the order of the log."""
    found: dict[str, list[ImuChunk]] = {}
    async for record in read_partitions(settings, topics.IMU_RAW.name):
        chunk = ImuChunk.from_bytes(record.value)
        assert record.key == chunk.device_id.encode()
        if wanted(chunk.device_id):
            found.setdefault(chunk.device_id, []).append(chunk)
    return found
