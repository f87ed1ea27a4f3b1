"""Kafka clients where no broker answers, or none any more."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from typing import Any

import pytest
import uvloop
from aiokafka.conn import create_conn
from aiokafka.errors import KafkaConnectionError, KafkaError
from aiokafka.protocol.metadata import MetadataRequest

from streams.clients import consumer_of
from streams.settings import Settings
from tests.support.brokers import BrokerProcess, broker_kinds, free_port


@pytest.mark.parametrize("group", [None, "readers"])
@pytest.mark.filterwarnings("default::ResourceWarning")
async def test_a_consumer_that_cannot_start_leaves_nothing_open(group: str | None) -> None:
    """Or every attempt while a broker is away would leave one behind: aiokafka tells the loop of consumers that nobody closed."""
    told: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: told.append(context))
    with pytest.raises(KafkaError):
        await consumer_of(Settings(bootstrap=f"127.0.0.1:{free_port()}"), "a", group=group).start()
    gc.collect()
    assert told == []


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
@pytest.mark.parametrize("close", ["abort", "close"])
@pytest.mark.parametrize("broker_kind", broker_kinds(kafka=False))
def test_a_connection_that_has_just_closed_says_so(
    loop: Callable[[], asyncio.AbstractEventLoop], close: str, broker: BrokerProcess
) -> None:
    """Whatever turn of the loop it is: aiokafka's task that looks for brokers ends at any other error, for good."""

    async def send_after(turns: int) -> None:
        host, port = broker.bootstrap.split(":")
        connection = await create_conn(host, int(port))
        getattr(connection._writer.transport, close)()  # as when the broker's end comes
        for _ in range(turns):
            await asyncio.sleep(0)
        with pytest.raises(KafkaConnectionError):
            await connection.send(MetadataRequest(None))
        assert not connection.connected()

    with asyncio.Runner(loop_factory=loop) as runner:
        for turns in range(6):
            runner.run(send_after(turns))
