"""Promise 2: nothing lost, nothing twice, in order per key, whatever dies.

Real worker processes, a real broker process, messages that keep flowing.  Faults come at seeded random moments of the flow: SIGKILL,
SIGTERM and SIGSTOP of workers, new workers, SIGKILL of the broker and its restart.  At the end a subscriber must have seen exactly
the events of the undisturbed run.  Times of recovery are printed, not asserted: a slow machine is not a defect.
"""

import asyncio
import contextlib
import random
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from models.data.recordings import Recording, load_recordings
from streams import topics
from streams.clients import producer_of
from streams.provision import ensure_topics
from streams.settings import Settings
from streams.topics import IMU_RAW, SAMPLES_INERTIAL, WALKING_EVENTS
from tests.support.brokers import BrokerProcess, broker_kinds
from tests.support.pipeline import OrderedIds, WorkerProcess, chunks_of, count, ended, ordered_ids, undisturbed, until, until_seen
from tests.support.poison import poisons

PARTITIONS = {topic.name: 4 for topic in topics.ALL}
SESSION_TIMEOUT_S = 6.0
"""The shortest that Apache Kafka allows by default."""

Message = tuple[bytes | None, bytes | None]


@pytest.fixture(scope="module")
def walks(data_dir: Path) -> list[Recording]:
    return load_recordings(data_dir / "imu" / "motionsense.npz", people="1-6", where="trial=15")


class Flow:
    """Publishes messages at a steady pace and never gives up, as a gateway would; knows how far it is."""

    def __init__(self, settings: Settings, messages: list[Message], seconds: float) -> None:
        self._settings, self._messages, self._pause_s = settings, messages, seconds / len(messages)
        self.sent = 0

    @property
    def share(self) -> float:
        """Part of the messages that was handed to the producer."""
        return self.sent / len(self._messages)

    async def run(self) -> None:
        producer = producer_of(self._settings)
        await producer.start()
        try:
            futures = []
            for key, value in self._messages:
                futures.append(await producer.send(IMU_RAW.name, value, key=key))
                self.sent += 1
                await asyncio.sleep(self._pause_s)
            await asyncio.gather(*futures)
        finally:
            await producer.stop()


class Subscriber:
    """A downstream service: reads events live, through every fault, without a group."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self.seen: OrderedIds = {}
        self.last_s = time.monotonic()

    async def run(self) -> None:
        names = (SAMPLES_INERTIAL.name, WALKING_EVENTS.name)
        consumer = AIOKafkaConsumer(*names, **self._settings.kafka(), auto_offset_reset="earliest", enable_auto_commit=False)
        await consumer.start()
        try:
            while True:
                try:
                    batches = await consumer.getmany(timeout_ms=200)
                except KafkaError:
                    continue
                for records in batches.values():
                    for record in records:
                        self.seen.setdefault((record.topic, record.key), []).append(dict(record.headers)["id"].decode())
                        self.last_s = time.monotonic()
        finally:
            await consumer.stop()


class Chaos:
    """The pipeline under test and what can happen to it."""

    def __init__(self, broker: BrokerProcess, settings: Settings, folder: Path, flow: Flow, subscriber: Subscriber) -> None:
        self.broker, self.settings, self.folder, self.flow, self.subscriber = broker, settings, folder, flow, subscriber
        self.workers: list[WorkerProcess] = []
        self.recoveries: list[tuple[str, float]] = []

    def add(self) -> WorkerProcess:
        """One more worker; it takes part when it is up."""
        environment = {
            "GAITSTREAM_SESSION_TIMEOUT_S": str(self.settings.session_timeout_s),
            "GAITSTREAM_TOPIC_PARTITIONS": '{"' + '": 4, "'.join(self.settings.topic_partitions) + '": 4}',
            "GAITSTREAM_COMMIT_EVERY_S": "0.3",
            "GAITSTREAM_MAX_BATCH": "40",
        }
        worker = WorkerProcess("inertial", self.settings, self.folder, **environment).start()
        self.workers.append(worker)
        return worker

    async def at(self, share: float) -> None:
        """Wait until this part of the messages was sent."""
        await until(lambda: self.flow.share >= share, 120, f"{share:.0%} of the messages")

    async def recovered(self, fault: str, since_s: float) -> None:
        """Wait for the next event after a fault and note how long it took."""
        await until(lambda: self.subscriber.last_s > since_s, 60, f"an event after: {fault}")
        self.recoveries.append((fault, self.subscriber.last_s - since_s))

    def end(self) -> None:
        """Kill what is left."""
        for worker in self.workers:
            with contextlib.suppress(ProcessLookupError, AssertionError):
                worker.send_signal(signal.SIGCONT)
            worker.kill()


@contextlib.asynccontextmanager
async def pipeline(broker: BrokerProcess, folder: Path, messages: list[Message], seconds: float) -> AsyncIterator[Chaos]:
    """Topics, a subscriber, and messages that begin to flow when the first worker is ready."""
    settings = Settings(bootstrap=broker.bootstrap, topic_partitions=PARTITIONS, session_timeout_s=SESSION_TIMEOUT_S)
    await ensure_topics(settings)
    flow, subscriber = Flow(settings, messages, seconds), Subscriber(settings)
    chaos = Chaos(broker, settings, folder, flow, subscriber)
    listening = asyncio.create_task(subscriber.run())
    sending: asyncio.Task[None] | None = None
    try:
        await until(chaos.add().is_ready, 60, "the first worker")
        sending = asyncio.create_task(flow.run())
        yield chaos
        await sending
    finally:
        chaos.end()
        for task in (listening, sending):
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task


def with_poison(walks: list[Recording], seed: int) -> tuple[list[Message], OrderedIds]:
    """The walks' messages with bad ones in between, and what the good ones alone give.

    Bad messages that need good ones before them are left out: those would end a bout of their device.
    """
    good = ended(chunks_of(walks, 0.5))
    chance = random.Random(seed)
    messages: list[Message] = [(chunk.device_id.encode(), chunk.to_bytes()) for chunk in good]
    for row in poisons(good[0].start_ns):
        if not row.before:
            messages.insert(chance.randrange(len(messages)), (row.key, row.value))
    return messages, ordered_ids(undisturbed(good).values())


async def kill_and_replace(chaos: Chaos, chance: random.Random) -> None:
    """Workers die by SIGKILL in the middle of their work; a spare takes over, another is started; one leaves in order."""
    spare = chaos.add()
    await chaos.at(chance.uniform(0.2, 0.3))
    began_s = time.monotonic()
    chaos.workers[0].kill()
    chaos.add()
    await chaos.recovered("SIGKILL of a worker", began_s)
    await until(spare.is_ready, 60, "the spare worker")
    await chaos.at(chance.uniform(0.6, 0.7))
    began_s = time.monotonic()
    spare.stop()
    await chaos.recovered("SIGTERM of a worker", began_s)
    await chaos.at(chance.uniform(0.75, 0.85))
    began_s = time.monotonic()
    chaos.workers[2].kill()
    chaos.add()
    await chaos.recovered("SIGKILL of the last worker", began_s)


async def kill_the_broker(chaos: Chaos, chance: random.Random) -> None:
    """The broker dies under load and comes back with the same port and data; then a worker dies while the broker is away."""
    await chaos.at(chance.uniform(0.2, 0.4))
    began_s = time.monotonic()
    await asyncio.to_thread(chaos.broker.kill)
    await asyncio.to_thread(chaos.broker.start)
    await chaos.recovered("SIGKILL of the broker", began_s)
    await chaos.at(chance.uniform(0.6, 0.8))
    began_s = time.monotonic()
    await asyncio.to_thread(chaos.broker.kill)
    chaos.workers[0].kill()
    chaos.add()
    await asyncio.to_thread(chaos.broker.start)
    await chaos.recovered("SIGKILL of the broker and of the worker", began_s)


async def freeze(chaos: Chaos, chance: random.Random) -> None:
    """A worker stands still beyond its session, another takes over, then the first wakes up and believes that it is still the owner."""
    await chaos.at(chance.uniform(0.2, 0.4))
    zombie = chaos.workers[0]
    began_s = time.monotonic()
    zombie.send_signal(signal.SIGSTOP)
    chaos.add()
    await chaos.recovered("SIGSTOP of a worker", began_s)
    zombie.send_signal(signal.SIGCONT)
    await until(zombie.is_ready, 60, "the worker that was frozen")
    assert "the process was frozen" in zombie.log()


SCENARIOS = {"workers die": kill_and_replace, "the broker dies": kill_the_broker, "a worker freezes": freeze}


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS.keys())
@pytest.mark.parametrize("broker_kind", broker_kinds())
async def test_every_event_exactly_once(
    broker: BrokerProcess, tmp_path: Path, walks: list[Recording], scenario: Callable[[Chaos, random.Random], Awaitable[None]]
) -> None:
    messages, expected = await asyncio.to_thread(with_poison, walks, 3)
    async with pipeline(broker, tmp_path, messages, seconds=20) as chaos:
        await scenario(chaos, random.Random(11))
        await chaos.at(1.0)
        try:
            await until(lambda: count(chaos.subscriber.seen) >= count(expected), 90, "all events at the subscriber")
        finally:
            for fault, seconds in chaos.recoveries:
                print(f"recovery after {fault}: {seconds:.1f} s")
            print(f"{count(chaos.subscriber.seen)} of {count(expected)} events")
        await until_seen(chaos.settings, expected)
        assert chaos.subscriber.seen == expected
