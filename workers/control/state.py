"""State and effects of the control plane: the gallery as it stands, what a command will do to it, doing it, answering."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import structlog
from aiokafka import AIOKafkaProducer

from models.calibration import ScoreCalibration
from models.matching import DecisionPolicy
from models.registry import EMBEDDING, find_network, read_card
from streams import metrics, topics
from streams.clients import producer_of
from streams.deadletter import letter_headers
from streams.errors import BadMessage
from streams.messages import AuditEntry, Command, Reply, Template
from streams.messages.gallery import template_key
from workers import __version__
from workers.control import operations
from workers.control.enrol import enrol
from workers.control.operations import Change
from workers.gallery_feed import GalleryFeed

if TYPE_CHECKING:
    from streams.settings import Settings

log = structlog.get_logger()


class Control:
    """The control plane without its delivery (which is Faust's, see `workers.control.app`)."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.templates: dict[bytes, Template] = {}
        self.feed = GalleryFeed(settings)
        self._version = -1
        self._producer: AIOKafkaProducer | None = None

    async def start(self) -> None:
        """Load the gallery and the calibration of the embedding space."""
        card = read_card(find_network(self.settings.embedder, EMBEDDING).name)
        self.space, self.dim = str(card["space"]), int(card.get("dim", 64))
        self.policy = DecisionPolicy(ScoreCalibration.from_card(card), self.settings.target_fpir, self.settings.min_windows)
        self._producer = producer_of(self.settings, linger_ms=0)
        await self._producer.start()
        await self.feed.start()
        self.refresh()

    async def stop(self) -> None:
        """Close the clients."""
        await self.feed.stop()
        if self._producer:
            await self._producer.stop()

    async def loaded(self) -> None:
        """Wait until the gallery is loaded: before that, an enrolment could not tell who is enrolled already."""
        while not self.feed.loaded:
            await asyncio.sleep(0.05)

    def ready(self) -> str | None:
        """None once the gallery is loaded."""
        return None if self.feed.loaded else "the gallery is not loaded"

    def refresh(self) -> None:
        """Take over what the gallery topic has brought."""
        while not self.feed.changes.empty():
            self._version, subject, template_id, template = self.feed.changes.get()
            if template is None:
                self.templates.pop(template_key(subject, template_id), None)
            else:
                self.templates[template.key] = template

    def current(self) -> list[Template]:
        """The gallery as it stands, by key."""
        self.refresh()
        return [self.templates[key] for key in sorted(self.templates)]

    async def plan(self, command: Command) -> Change:
        """What a command will do.  Raises Refused."""
        self.refresh()
        if command.kind == "enrol":
            written = await enrol(self.settings, command, self.templates, self.policy, self.space)
            return Change(
                written=written, result={"templates": len(written), "windows": sum(t.windows for t in written), "space": self.space}
            )
        if command.kind == "erase":
            return await operations.erase(self.settings, command, self.templates)
        return {"rename": operations.rename, "merge": operations.merge, "consent": operations.consent}[command.kind](
            command, self.templates
        )

    async def apply(self, change: Change) -> None:
        """Write the change and wait until this gallery has it.  Doing it twice is the same as doing it once."""
        futures = [await self._send(topics.GALLERY, t.key, t.to_bytes()) for t in change.written]
        futures += [await self._send(topics.GALLERY, key, None) for key in change.erased]
        written = await asyncio.gather(*futures)
        last = max((record.offset for record in written), default=-1)
        while self._version < last:
            await asyncio.sleep(0.02)
            self.refresh()

    async def reply(self, command: Command, *, error: str = "", result: dict[str, Any] | None = None) -> None:
        """Answer a command and note it in the audit trail."""
        reply = Reply(
            command_id=command.id, kind=command.kind, subject=command.subject, ok=not error, error=error[:256],
            result=result or {}, finished_ns=time.time_ns(),
        )  # fmt: skip
        await (await self._send(topics.REPLIES, command.subject.encode(), reply.to_bytes()))
        await self.audit(command.actor, command.kind, command.subject, error or "done", {"command_id": command.id})
        metrics.COMMANDS.labels(command.kind, "refused" if error else "done").inc()

    async def audit(self, actor: str, action: str, subject: str | None, outcome: str, details: dict[str, Any] | None = None) -> None:
        """Who did what to whom."""
        entry = AuditEntry(actor=actor, action=action, subject=subject, outcome=outcome[:256], at_ns=time.time_ns(), details=details or {})
        await (await self._send(topics.AUDIT, actor.encode(), entry.to_bytes()))

    async def letter(self, error: BadMessage, key: bytes | None, value: bytes | None, partition: int, offset: int) -> None:
        """A command that is none."""
        headers = letter_headers(error, topics.COMMANDS.name, partition, offset, f"control/{__version__}")
        headers.append(("id", f"{topics.COMMANDS.name}/{partition}/{offset}".encode()))
        await (await self._send(topics.DEAD_LETTER, key, value, headers))
        metrics.DEAD_LETTERS.labels(topics.COMMANDS.name, error.why).inc()

    async def expire(self) -> None:
        """Erase what the person agreed to until now."""
        self.refresh()
        now_ns = time.time_ns()
        gone = [t for t in self.templates.values() if t.expires_ns is not None and t.expires_ns <= now_ns]
        if gone:
            await self.apply(Change(erased=[t.key for t in gone]))
            for subject in sorted({t.subject for t in gone}):
                await self.audit("expiry", "erase", subject, "done")

    async def _send(self, topic: topics.Topic, key: bytes | None, value: bytes | None, headers: Any = None) -> Any:
        assert self._producer is not None
        return await self._producer.send(topic.name, value, key=key, headers=headers)
