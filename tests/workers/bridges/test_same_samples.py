"""Recordings give the same samples in Kafka whichever door they come through."""

import asyncio
from pathlib import Path

import numpy as np
import paho.mqtt.client as paho
import pytest
from aiohttp import ClientSession

from models.data.loading import load_recordings
from models.data.recordings import Recording
from streams.settings import Settings
from tests.support.brokers import until
from tests.workers.bridges.conftest import TOPIC, count, stored
from tests.workers.bridges.mosquitto import needs_mosquitto
from tests.workers.bridges.pushes import START_NS, app_messages, samples_of
from workers.bridges.http import HttpBridge
from workers.bridges.mqtt import MqttBridge
from workers.sources.phones import publish
from workers.sources.recordings import phones_of


@pytest.fixture
def recordings(data_dir: Path) -> list[Recording]:
    """A few real recordings."""
    file = sorted((data_dir / "imu").glob("*.npz"))[0]
    return load_recordings(file)[:3]


@needs_mosquitto
async def test_every_door_gives_the_same_samples(
    settings: Settings, mqtt_settings: Settings, phone: paho.Client, recordings: list[Recording]
) -> None:
    phones = phones_of(recordings, start_ns=START_NS)
    await publish(settings, phones, speed=None)
    http, mqtt = HttpBridge(settings), MqttBridge(mqtt_settings)
    await asyncio.gather(http.start(), mqtt.start())
    used, messages = count("used"), 0
    url, headers = f"http://127.0.0.1:{http.port}/push", {"Authorization": "Bearer a token of devices", "Content-Type": "application/json"}
    async with ClientSession(headers=headers) as session:
        for recording, source in zip(recordings, phones, strict=True):
            for body in app_messages(recording, f"{source.device_id} by http", START_NS):
                async with session.post(url, data=body) as response:
                    assert response.status == 200, await response.text()
            for body in app_messages(recording, f"{source.device_id} by mqtt", START_NS):
                phone.publish(TOPIC, body, 1)
                messages += 1
    await until(lambda: count("used") == used + messages)
    await asyncio.gather(http.stop(), mqtt.stop())
    found = await stored(settings, lambda name: any(name.startswith(p.device_id) for p in phones))
    assert len(found) == 3 * len(phones)
    for source in phones:
        time_ns, values = samples_of(found[source.device_id])
        for door in ("http", "mqtt"):
            got_ns, got = samples_of(found[f"{source.device_id} by {door}"])
            assert len(got_ns) == len(time_ns) and abs(got_ns - time_ns).max() <= 1  # times of a chunk begin at a rounded ns
            assert np.array_equal(got, values)
