"""What the drill consists of: the load and what must become of it, sources that never give up, workers by role, monitoring."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

from aiokafka import TopicPartition

from models.simulation import Walker
from streams import topics
from streams.clients import producer_of
from streams.messages import Template
from streams.provision import ensure_topics
from streams.settings import Settings
from streams.topics import CAMERA_FRAMES, IDENTITY_EVENTS, IMU_RAW, SAMPLES_CAMERA, SAMPLES_INERTIAL, WALKING_EVENTS
from tests.support.filming import film, over, undisturbed_camera
from tests.support.flow import Subscriber
from tests.support.identity import templates_of
from tests.support.monitoring import Monitoring, Relay
from tests.support.pipeline import START_NS, WorkerProcess, chunks_of, count, ended, record_of, undisturbed, until
from tests.support.secured import SecuredKafka
from workers.control.export import import_templates
from workers.identity.worker import IdentityWorker
from workers.processor import Incoming, Output

PHONES, WALK_S = 30, 20.0
CAMERAS, FILM_S = 2, 4.0
FLOW_S = 20.0
PARTITIONS = 4
PATIENCE_S = 180.0
"""For everything that is waited for: bounds a failing test, not a slow machine."""

SEEN = (IDENTITY_EVENTS, WALKING_EVENTS)
"""What the role of a subscriber may read."""

KEY = "drill AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
GIVEN = {
    "topic_partitions": {topic.name: PARTITIONS for topic in topics.CO_PARTITIONED},
    # However long the drill pauses its load or the broker is away on a busy machine, no walk ends for it: the messages must be the only
    # thing that decides which events there are.
    "idle_release_s": 3600.0,
    "camera_delay_s": 0.0,  # no picture is dropped for being late, for the same reason
    "camera_threads": 1,
    "commit_every_s": 0.3,
    "max_batch": 40,
    "seal_key": KEY,
}

Message = tuple[topics.Topic, bytes, bytes]


@dataclass(frozen=True)
class Load:
    """Messages in the order in which they are sent, a gallery, and what the undisturbed pipeline makes of them."""

    messages: list[Message]
    templates: list[Template]
    reference: list[Output]


def load(cameras: bool) -> Load:
    """Simulated walkers with phones, and others who cross the views of cameras at the same pace; of each kind somebody is enrolled."""
    walks = []
    for seed in range(PHONES):
        record = Walker(seed).record(duration_s=WALK_S)
        walks.append(SimpleNamespace(subject=f"p{seed}", name="walk", rate_hz=record.rate_hz, acc_N3=record.acc_N3, gyro_N3=record.gyro_N3))
    chunks = ended(chunks_of(walks))  # type: ignore[arg-type]
    films = [film(1, FILM_S, seed=1 + n, camera_id=f"camera{n}") for n in range(CAMERAS if cameras else 0)]
    frames = over(sorted((frame for pictures in films for frame in pictures), key=lambda frame: (frame.time_ns, frame.camera_id)))
    samples = [*undisturbed(chunks).values(), *(undisturbed_camera(frames) if frames else [])]
    recognised = recognise(samples)
    phones = sorted({o.key.decode() for o in samples if o.topic == SAMPLES_INERTIAL.name})
    tracks = sorted({o.key.decode() for o in samples if o.topic == SAMPLES_CAMERA.name})
    assert len(phones) == PHONES and len(tracks) >= len(films), "everybody must have been seen to walk"
    templates = templates_of(recognised, [*phones[:2], *tracks[:1]])
    of_phones = [(IMU_RAW, c.device_id.encode(), c.to_bytes()) for c in chunks]
    of_cameras = [(CAMERA_FRAMES, f.camera_id.encode(), f.to_bytes()) for f in frames]
    return Load(side_by_side(of_phones, of_cameras), templates, [*samples, *recognise(samples, templates)])


def side_by_side(*streams: Sequence[Message]) -> list[Message]:
    """Every stream in its order, all of them beginning and ending together."""
    placed = [((n + 1) / len(stream), which, message) for which, stream in enumerate(streams) for n, message in enumerate(stream)]
    return [message for _, _, message in sorted(placed, key=lambda row: row[:2])]


def recognise(samples: Iterable[Output], templates: Sequence[Template] = ()) -> list[Output]:
    """Embeddings and identity events of phones' and cameras' samples against a gallery, in one batch and without Kafka."""
    worker = IdentityWorker(Settings())
    worker.load()
    for offset, template in enumerate(templates):
        worker.feed.changes.put((offset, template.subject, template.template_id, template))
    batch = []
    for offset, output in enumerate(o for o in samples if o.topic in {topic.name for topic in worker.inputs}):
        received_ms = START_NS // 1_000_000 + 3_600_000 + offset
        record = record_of(offset, output.key, output.value, received_ms=received_ms, topic=output.topic)
        batch.append(Incoming(TopicPartition(output.topic, 0), record, worker.decode(record)))
    return worker.process(batch).outputs


class Sources:
    """Phones behind a gateway, and cameras, each with its own user: a steady pace, never giving up, and it is known how far they are."""

    def __init__(self, kafka: SecuredKafka, messages: list[Message]) -> None:
        users = {IMU_RAW: "bridge", CAMERA_FRAMES: "source"}
        self._settings = {topic: kafka.scram(users[topic], **GIVEN) for topic in {topic for topic, _, _ in messages}}
        self._messages, self._pause_s = messages, FLOW_S / len(messages)
        self._limit, self._more = 0.0, asyncio.Event()
        self.sent = 0

    def allow(self, share: float) -> None:
        """Go on to this part of the messages, and wait there."""
        self._limit = share
        self._more.set()

    @property
    def share(self) -> float:
        """Part of the messages that was handed to the producers."""
        return self.sent / len(self._messages)

    async def run(self) -> None:
        """Publish everything."""
        async with contextlib.AsyncExitStack() as stack:
            producers = {topic: await stack.enter_async_context(producer_of(settings)) for topic, settings in self._settings.items()}
            futures = []
            for topic, key, value in self._messages:
                while self.share >= self._limit:
                    self._more.clear()
                    await self._more.wait()
                futures.append(await producers[topic].send(topic.name, value, key=key))
                self.sent += 1
                await asyncio.sleep(self._pause_s)
            await asyncio.gather(*futures)


class Drill:
    """The workers under test, by role, and what Prometheus is told of them."""

    def __init__(
        self, kafka: SecuredKafka, folder: Path, roles: Iterable[str], sources: Sources, subscriber: Subscriber, monitoring: Monitoring,
        relay: Relay,
    ) -> None:  # fmt: skip
        self.kafka, self.folder, self.sources, self.subscriber = kafka, folder, sources, subscriber
        self.monitoring, self.relay = monitoring, relay
        self.workers: dict[str, list[WorkerProcess]] = {role: [] for role in roles}

    async def scale(self, role: str, count: int) -> None:
        """As KEDA or an operator would: new ones are waited for, superfluous ones are told to end, the oldest first."""
        own = self.workers[role]
        new = [self._worker(role).start() for _ in range(count - len(own))]
        own += new
        self._announce()
        await until(lambda: all(worker.is_ready() for worker in new), PATIENCE_S, f"{count} of {role}")
        gone = [own.pop(0) for _ in range(len(own) - count)]
        self._announce()
        await asyncio.gather(*(asyncio.to_thread(worker.stop) for worker in gone))

    async def rolling_restart(self) -> None:
        """In every role one after the other: a new one, and when it is ready the oldest ends.  Roles side by side, as deployments do."""
        await asyncio.gather(*(self._replaced(role) for role in self.workers))

    async def _replaced(self, role: str) -> None:
        number = len(self.workers[role])
        for _ in range(number):
            await self.scale(role, number + 1)
            await self.scale(role, number)

    async def load_to(self, share: float) -> None:
        """Let phones and cameras go on to this part of their messages."""
        self.sources.allow(share)
        await until(lambda: self.sources.share >= share, PATIENCE_S, f"{share:.0%} of the messages")

    async def events_come(self, since: int) -> None:
        """Wait for events that were not there before."""
        await until(lambda: count(self.subscriber.seen) > since, PATIENCE_S, "an event")

    def down(self, role: str) -> str:
        """What the relay was told last of a role that is down: firing, resolved, or nothing."""
        told = [
            status
            for to, status, labels in self.relay.told
            if (to, labels["alertname"], labels.get("job")) == ("pages", "GaitstreamRoleDown", role)
        ]
        return told[-1] if told else ""

    def pages(self, status: str | None = None) -> set[str]:
        """Names of alerts that somebody was woken for, or of those that the relay was told last to be so."""
        last = {tuple(sorted(labels.items())): (labels["alertname"], status) for to, status, labels in self.relay.told if to == "pages"}
        return {name for name, told in last.values() if status in (None, told)}

    def end(self) -> None:
        """Kill what is left."""
        for own in self.workers.values():
            for worker in own:
                worker.kill()

    def _worker(self, role: str) -> WorkerProcess:
        settings = self.kafka.scram(role, **GIVEN)
        return WorkerProcess(role, settings, self.folder, **settings.environment())

    def _announce(self) -> None:
        self.monitoring.scrape([worker for own in self.workers.values() for worker in own])


@contextlib.asynccontextmanager
async def drill_on(kafka: SecuredKafka, folder: Path, roles: Iterable[str], given: Load) -> AsyncIterator[Drill]:
    """Topics, a sealed gallery, a subscriber, monitoring, and sources that may begin."""
    await ensure_topics(kafka.scram("setup", **GIVEN))
    await import_templates(kafka.scram("operator", **GIVEN), given.templates, "drill")
    sources = Sources(kafka, given.messages)
    subscriber = Subscriber(kafka.scram("subscriber", **GIVEN), SEEN)
    async with Relay() as relay:
        with Monitoring(folder / "monitoring", relay) as monitoring:
            drill = Drill(kafka, folder, roles, sources, subscriber, monitoring, relay)
            tasks = [asyncio.create_task(subscriber.run()), asyncio.create_task(sources.run())]
            try:
                yield drill
            finally:
                drill.end()
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
