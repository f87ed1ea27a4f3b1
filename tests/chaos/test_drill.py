"""The drill of an operator: a cluster with TLS, passwords and ACLs; load; scaling as KEDA would; a role gone; a rolling restart; a broker restart.

Meanwhile the real Prometheus and Alertmanager watch with deploy's own rules and routes.  No event may be lost or doubled, the alert that
belongs to the fault must reach its receiver and be taken back, and no other role may be said to be down.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from models.simulation import Walker
from streams import topics
from streams.messages import Template
from streams.provision import ensure_topics
from streams.settings import Settings
from streams.topics import IDENTITY_EVENTS, WALKING_EVENTS
from tests.support.brokers import kafka_home
from tests.support.certificates import Authority
from tests.support.flow import Flow, Message, Subscriber, held
from tests.support.identity import assert_same_decisions, templates_of, undisturbed_identity
from tests.support.monitoring import Monitoring, Relay
from tests.support.pipeline import WorkerProcess, chunks_of, count, ended, ordered_ids, undisturbed, until
from tests.support.secured import PASSWORD, SecuredKafka
from workers.acls import acls_of
from workers.control.export import import_templates
from workers.processor import Output

pytestmark = [
    pytest.mark.kafka,
    pytest.mark.skipif(kafka_home() is None, reason="KAFKA_HOME does not name an Apache Kafka with bin/kafka-server"),
]

PHONES, WALK_S = 30, 20.0
PARTITIONS = 4
PATIENCE_S = 180.0
"""For everything that is waited for: bounds a failing test, not a slow machine."""

SEEN = (IDENTITY_EVENTS, WALKING_EVENTS)
"""What the role of a subscriber may read."""

KEY = "drill AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
GIVEN = {
    "topic_partitions": {topic.name: PARTITIONS for topic in topics.CO_PARTITIONED},
    "idle_release_s": 90.0,  # streams are bridged over outages of this length
    "commit_every_s": 0.3,
    "max_batch": 40,
    "seal_key": KEY,
}


@pytest.fixture
def kafka(tmp_path: Path) -> Iterator[SecuredKafka]:
    """A broker with a user per role who may do what the role's list says."""
    with SecuredKafka(tmp_path, Authority(tmp_path / "authority")) as broker:
        for role in ("setup", "inertial", "identity", "operator", "bridge", "subscriber"):
            broker.add_user(role)
            broker.allow(f"User:{role}", [acl for acl in acls_of(Settings()) if acl.role == role])
        yield broker


def load() -> tuple[list[Message], list[Template], list[Output]]:
    """Messages of simulated walkers, a gallery of two of them, and what the undisturbed pipeline makes of these."""
    walks = []
    for seed in range(PHONES):
        record = Walker(seed).record(duration_s=WALK_S)
        walks.append(SimpleNamespace(subject=f"p{seed}", name="walk", rate_hz=record.rate_hz, acc_N3=record.acc_N3, gyro_N3=record.gyro_N3))
    chunks = ended(chunks_of(walks))  # type: ignore[arg-type]
    samples = list(undisturbed(chunks).values())
    templates = templates_of(undisturbed_identity(samples), sorted({o.key.decode() for o in samples})[:2])
    events = undisturbed_identity(samples, templates)
    return [(c.device_id.encode(), c.to_bytes()) for c in chunks], templates, [*samples, *events]


class Drill:
    """The workers under test, by role, and what Prometheus is told of them."""

    def __init__(self, kafka: SecuredKafka, folder: Path, flow: Flow, subscriber: Subscriber, monitoring: Monitoring, relay: Relay) -> None:
        self.kafka, self.folder, self.flow, self.subscriber = kafka, folder, flow, subscriber
        self.monitoring, self.relay = monitoring, relay
        self.workers: dict[str, list[WorkerProcess]] = {"inertial": [], "identity": []}

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
        """One after the other: a new one, and when it is ready the oldest ends."""
        for role, own in self.workers.items():
            for _ in range(len(own)):
                await self.scale(role, len(own) + 1)
                await self.scale(role, len(own) - 1)

    async def load_to(self, share: float) -> None:
        """Let the phones go on to this part of their walk."""
        self.flow.allow(share)
        await until(lambda: self.flow.share >= share, PATIENCE_S, f"{share:.0%} of the messages")

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
async def drill_on(kafka: SecuredKafka, folder: Path, messages: list[Message], templates: list[Template]) -> AsyncIterator[Drill]:
    """Topics, a sealed gallery, a subscriber, monitoring, and phones that may begin."""
    await ensure_topics(kafka.scram("setup", **GIVEN))
    await import_templates(kafka.scram("operator", **GIVEN), templates, "drill")
    flow = Flow(kafka.scram("bridge", **GIVEN), messages, 20.0)
    flow.allow(0.0)
    subscriber = Subscriber(kafka.scram("subscriber", **GIVEN), SEEN)
    async with Relay() as relay:
        with Monitoring(folder / "monitoring", relay) as monitoring:
            drill = Drill(kafka, folder, flow, subscriber, monitoring, relay)
            tasks = [asyncio.create_task(subscriber.run()), asyncio.create_task(flow.run())]
            try:
                yield drill
            finally:
                drill.end()
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)


def secrets_in_logs(folder: Path) -> list[str]:
    """Names of workers' logs that hold a key or a password."""
    texts = {file.name: file.read_text() for file in folder.glob("*.log")}
    assert texts
    return [name for name, text in texts.items() if KEY.split()[1] in text or PASSWORD in text]


@pytest.mark.soak
@pytest.mark.timeout(900)
async def test_scaling_restarts_and_an_outage_lose_and_repeat_nothing_and_are_told(kafka: SecuredKafka, tmp_path: Path) -> None:
    messages, templates, reference = await asyncio.to_thread(load)
    expected = ordered_ids(output for output in reference if output.topic in {topic.name for topic in SEEN})
    async with drill_on(kafka, tmp_path, messages, templates) as drill:
        await asyncio.gather(drill.scale("inertial", 1), drill.scale("identity", 3))
        await drill.load_to(0.35)
        await drill.events_come(0)

        await drill.scale("inertial", PARTITIONS)
        await drill.load_to(0.45)
        inertial = drill.workers["inertial"]
        await until(lambda: sorted(p for w in inertial for p in held(w)) == list(range(PARTITIONS)), PATIENCE_S, "a partition for each")
        before = count(drill.subscriber.seen)
        await drill.scale("inertial", 1)
        await drill.load_to(0.55)
        await drill.events_come(before)
        await until(lambda: drill.monitoring.up() == 4, PATIENCE_S, "a scrape of all")
        assert drill.down("inertial") == drill.down("identity") == "", "scaling is no fault"

        await drill.scale("inertial", 0)
        await drill.load_to(0.65)
        await until(lambda: drill.down("inertial") == "firing", PATIENCE_S, "the page that a role is down")
        before = count(drill.subscriber.seen)
        await drill.scale("inertial", 3)
        await until(lambda: drill.down("inertial") == "resolved", PATIENCE_S, "the page taken back")
        await drill.events_come(before)
        assert drill.relay.was_told("watchdog", "firing", alertname="GaitstreamWatchdog")

        rolling = asyncio.create_task(drill.rolling_restart())
        await drill.load_to(0.8)
        await rolling
        assert drill.down("identity") == "" and drill.down("inertial") == "resolved", "a rolling restart is no fault"

        await asyncio.to_thread(kafka.stop)
        await asyncio.to_thread(kafka.start)
        before = count(drill.subscriber.seen)
        await drill.load_to(0.9)
        await drill.events_come(before)

        await drill.load_to(1.0)
        await until(lambda: count(drill.subscriber.seen) >= count(expected), PATIENCE_S, "all events at the subscriber")
        assert drill.subscriber.seen == expected
        assert drill.down("identity") == ""
        assert {labels["alertname"] for to, _, labels in drill.relay.told if to == "pages"} <= {
            "GaitstreamRoleDown",
            "GaitstreamEventsLate",
        }
        await assert_same_decisions(kafka.scram("subscriber", **GIVEN), reference)
    assert secrets_in_logs(tmp_path) == []
