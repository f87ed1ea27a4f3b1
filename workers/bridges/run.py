"""A bridge as a process: `gaitstream bridge http|mqtt`."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Literal

from aiokafka.errors import KafkaConnectionError

from streams.diagnosis import why_not_connected
from streams.errors import Unavailable
from streams.provision import ensure_topics

if TYPE_CHECKING:
    from streams.settings import Settings

PULSE_EVERY_S = 2.0

Kind = Literal["http", "mqtt"]


async def run_bridge(settings: Settings, kind: Kind, until: asyncio.Event) -> None:
    """Run until the event is set.  Raises Misconfigured, Unavailable, KafkaError or OSError when it cannot start."""
    from workers.bridges.http import HttpBridge
    from workers.bridges.mqtt import MqttBridge

    try:
        await ensure_topics(settings)
    except KafkaConnectionError as error:
        raise Unavailable(await why_not_connected(settings) or str(error)) from None
    bridge: HttpBridge | MqttBridge = HttpBridge(settings) if kind == "http" else MqttBridge(settings)
    await bridge.start()
    try:
        await bridge.health.serve(settings.http_host, settings.http_port)
        while not until.is_set():
            bridge.pulse()
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(until.wait(), PULSE_EVERY_S)
    finally:
        await bridge.health.close()
        await bridge.stop()
