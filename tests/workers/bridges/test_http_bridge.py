"""The HTTP door: what is published, what is refused, what happens while Kafka is slow."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
from aiohttp import ClientSession

from streams.errors import Misconfigured
from streams.messages import ImuChunk
from streams.settings import Settings
from tests.workers.bridges.conftest import stored
from tests.workers.bridges.pushes import NOW_NS, START_NS, message, plain, readings, walk
from workers.bridges.http import HttpBridge
from workers.bridges.payload import MOST_BYTES

TOKEN = {"Authorization": "Bearer a token of devices"}


@pytest.fixture
async def bridge(settings: Settings) -> AsyncIterator[HttpBridge]:
    """A running bridge."""
    running = HttpBridge(settings)
    await running.start()
    yield running
    await running.stop()


async def push(bridge: HttpBridge, body: Any, **headers: str) -> tuple[int, dict[str, Any], dict[str, str]]:
    """Status, answer and headers of a push."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    async with (
        ClientSession() as session,
        session.post(
            f"http://127.0.0.1:{bridge.port}/push", data=data, headers={"Content-Type": "application/json"} | TOKEN | headers
        ) as response,
    ):
        return response.status, await response.json(), dict(response.headers)


async def test_a_push_is_in_kafka_when_it_is_answered(bridge: HttpBridge, settings: Settings, device: str) -> None:
    _, acc, gyro = walk()
    status, answer, _ = await push(bridge, plain(device_id=device))
    assert (status, answer) == (200, {"samples": 50, "left_out": 0})
    [chunk] = (await stored(settings, device.__eq__))[device]
    assert np.array_equal(chunk.acc, acc) and np.array_equal(chunk.gyro, gyro)


async def test_test_message_of_the_app_is_welcome(bridge: HttpBridge) -> None:
    assert (await push(bridge, message([])))[:2] == (200, {"samples": 0, "left_out": 0})


REFUSED: list[tuple[Any, dict[str, str], int, str]] = [
    (b"{", {}, 400, "undecodable"),
    (plain(device_id="a/b"), {}, 400, "schema"),
    (plain(acc=[[0.0, 1.0, 0.0]] * 50), {}, 422, "units"),
    (plain(start_ns=NOW_NS * 2), {}, 422, "clock_ahead"),
    (b" " * (MOST_BYTES + 1), {}, 413, "too_large"),
    (plain(), {"Authorization": ""}, 401, "http"),
    (plain(), {"Authorization": "Bearer a token of others"}, 401, "http"),
    (plain(), {"Authorization": "Basic a token of devices"}, 401, "http"),
    (plain(), {"Content-Type": "text/plain"}, 415, "http"),  # a form of another web page
]


async def test_what_is_refused(bridge: HttpBridge) -> None:
    for body, headers, status, reason in REFUSED:
        got, answer, _ = await push(bridge, body, **headers)
        assert (got, answer["reason"]) == (status, reason), answer


async def test_who_guesses_tokens_must_wait_and_others_need_not(bridge: HttpBridge, device: str) -> None:
    assert (await push(bridge, plain(device_id=device)))[0] == 200
    statuses = [(await push(bridge, plain(), Authorization=f"Bearer guess {i}"))[0] for i in range(12)]
    assert statuses == [401] * 10 + [429] * 2
    status, _, headers = await push(bridge, plain(), Authorization="Bearer guess")
    assert status == 429 and 0 < int(headers["Retry-After"]) <= 60
    assert (await push(bridge, plain(device_id=device, seq=4)))[0] == 200  # let in before from here


async def test_when_kafka_is_slow_devices_wait_and_nothing_is_lost(
    settings: Settings, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The producer is held up, as by a broker that is slow to acknowledge: the bound holds, what was let in arrives."""
    bridge = HttpBridge(settings.model_copy(update={"bridge_max_in_flight": 3}))
    await bridge.start()
    go, send = asyncio.Event(), bridge.publisher._producer.send

    async def slowly(*arguments: Any, **more: Any) -> Any:
        await go.wait()
        return await send(*arguments, **more)

    monkeypatch.setattr(bridge.publisher._producer, "send", slowly)
    try:
        pushes = [asyncio.create_task(push(bridge, plain(device_id=device, seq=seq, start_ns=START_NS + seq * 10**9))) for seq in range(8)]
        while len([task for task in pushes if task.done()]) < 5:
            await asyncio.wait([task for task in pushes if not task.done()], return_when=asyncio.FIRST_COMPLETED)
        refused = [task.result() for task in pushes if task.done()]  # the other three wait for Kafka
        assert {status for status, _, _ in refused} == {429} and all(headers["Retry-After"] == "1" for _, _, headers in refused)
        assert bridge.publisher.in_flight == 3
        go.set()
        assert sorted(status for status, _, _ in await asyncio.gather(*pushes)) == [200] * 3 + [429] * 5
    finally:
        await bridge.stop()
    assert len((await stored(settings, device.__eq__))[device]) == 3 and bridge.publisher.in_flight == 0


async def test_an_open_door_is_for_loopback_only(settings: Settings) -> None:
    without = settings.model_copy(update={"bridge_token": None})
    with pytest.raises(Misconfigured, match="GAITSTREAM_BRIDGE_TOKEN"):
        HttpBridge(without.model_copy(update={"bridge_host": "0.0.0.0"}))
    bridge = HttpBridge(without)
    await bridge.start()
    try:
        assert (await push(bridge, plain(), Host="attacker.example", Authorization=""))[0] == 403
        assert (await push(bridge, message([]), Authorization=""))[0] == 200
    finally:
        await bridge.stop()


async def test_many_phones_at_once(bridge: HttpBridge, settings: Settings) -> None:
    time_ns, acc, gyro = walk()
    rows = readings("totalacceleration", time_ns, acc) + readings("gyroscope", time_ns, gyro)
    answers = await asyncio.gather(*[push(bridge, message(rows, device=f"many-{i}")) for i in range(40)])
    assert {status for status, _, _ in answers} == {200}
    found = await stored(settings, lambda name: name.startswith("many-"))
    assert len(found) == 40 and all(isinstance(chunks[0], ImuChunk) and len(chunks) == 1 for chunks in found.values())
