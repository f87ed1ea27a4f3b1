"""Kafka clients where no broker answers."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest
from aiokafka.errors import KafkaError

from streams.clients import consumer_of
from streams.settings import Settings
from tests.support.brokers import free_port


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
