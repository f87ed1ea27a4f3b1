"""The MQTT door with the real mosquitto over TLS: what is published, what is dropped, what survives outages."""

import asyncio
import json
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho
import pytest

from streams.errors import Misconfigured, Unavailable
from streams.settings import Settings
from tests.support.brokers import until
from tests.support.certificates import Authority
from tests.workers.bridges.conftest import TOPIC, count, stored
from tests.workers.bridges.mosquitto import Mosquitto, needs_mosquitto
from tests.workers.bridges.pushes import START_NS, message, plain
from workers.bridges.mqtt import MqttBridge

pytestmark = needs_mosquitto


def body(device: str, seq: int) -> bytes:
    """A push in the plain form."""
    return json.dumps(plain(device_id=device, seq=seq, start_ns=START_NS + seq * 10**9)).encode()


async def send(phone: paho.Client, *bodies: bytes, qos: int = 1) -> None:
    """Publish and wait until mosquitto has it."""
    for info in [phone.publish(TOPIC, data, qos) for data in bodies]:
        await asyncio.to_thread(info.wait_for_publish, 20)


async def test_bad_messages_are_dropped_and_counted_and_the_others_arrive(mqtt_settings: Settings, phone: paho.Client, device: str) -> None:
    bridge = MqttBridge(mqtt_settings)
    await bridge.start()
    used, rejected = count("used"), count("rejected")
    try:
        await send(phone, b"{", body(device, 0), body("a/b", 0), message([]))
        await send(phone, body(device, 1), qos=0)  # as the app does
        await until(lambda: count("used") == used + 3)
        assert count("rejected") == rejected + 2
    finally:
        await bridge.stop()
    assert [chunk.seq for chunk in (await stored(mqtt_settings, device.__eq__))[device]] == [0, 1]


async def test_messages_wait_in_mosquitto_while_the_bridge_is_away(mqtt_settings: Settings, phone: paho.Client, device: str) -> None:
    bridge = MqttBridge(mqtt_settings)
    await bridge.start()
    await bridge.stop()
    await send(phone, *[body(device, seq) for seq in range(5)])
    used = count("used")
    bridge = MqttBridge(mqtt_settings)
    await bridge.start()
    await until(lambda: count("used") == used + 5)
    await bridge.stop()
    assert {chunk.seq for chunk in (await stored(mqtt_settings, device.__eq__))[device]} == set(range(5))


async def test_what_kafka_has_not_is_not_acknowledged(mqtt_settings: Settings, phone: paho.Client, device: str) -> None:
    """Kafka takes nothing: the bound holds, reading pauses; the bridge dies, and its successor gets every message."""
    bridge = MqttBridge(mqtt_settings.model_copy(update={"bridge_max_in_flight": 4}))
    await bridge.start()
    never = asyncio.Event()

    async def stuck(*_: Any, **__: Any) -> None:
        await never.wait()

    bridge.publisher._producer.send = stuck
    await send(phone, *[body(device, seq) for seq in range(30)])
    await until(lambda: bridge.publisher.full)
    await asyncio.sleep(0.2)  # what could go beyond the bound would do so now
    assert bridge.publisher.in_flight == 4
    for task in bridge._tasks:
        task.cancel()
    await bridge.stop()
    used = count("used")
    successor = MqttBridge(mqtt_settings)
    await successor.start()
    await until(lambda: count("used") >= used + 30)
    await successor.stop()
    assert {chunk.seq for chunk in (await stored(mqtt_settings, device.__eq__))[device]} == set(range(30))


async def test_mosquitto_dies_and_comes_back(mqtt_settings: Settings, mosquitto: Mosquitto, phone: paho.Client, device: str) -> None:
    bridge = MqttBridge(mqtt_settings)
    await bridge.start()
    used = count("used")
    try:
        assert bridge._missing() is None
        mosquitto.kill()
        await until(lambda: bridge._missing() is not None)
        mosquitto.start()
        await until(lambda: bridge._missing() is None)
        await until(phone.is_connected)
        await send(phone, body(device, 0))
        await until(lambda: count("used") == used + 1)
    finally:
        await bridge.stop()


async def test_why_it_cannot_start(mqtt_settings: Settings, tmp_path: Path) -> None:
    stranger = Authority(tmp_path / "stranger", "somebody else")
    rows: list[tuple[dict[str, Any], type[Exception], str]] = [
        ({"mqtt_password": None}, Misconfigured, "refuses the bridge: .*GAITSTREAM_MQTT_PASSWORD"),
        ({"mqtt_ca_file": stranger.ca_file}, Misconfigured, "is not trusted .*GAITSTREAM_MQTT_CA_FILE"),
        ({"mqtt_ca_file": tmp_path / "nothing"}, Misconfigured, "mqtt_ca_file"),
        ({"mqtt_port": 1}, Unavailable, "does not answer"),
    ]
    for update, error, text in rows:
        with pytest.raises(error, match=text):
            await MqttBridge(mqtt_settings.model_copy(update=update)).start()
