"""Commands, each carried out once and answered once, however often it is delivered.

A worker may die between any two of these steps, which come in this order:

    1. change the gallery        one batch, with the command's id and its result in the headers
    2. note it in the audit trail
    3. reply
    4. remember the reply        Faust's table, recovered from its changelog
    5. commit                    Faust

A command delivered again is looked for in 4, then 3, then 1, and goes on from there.
"""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import msgpack
import structlog
from aiokafka.errors import KafkaError

from streams import metrics, topics
from streams.errors import BadMessage, Misconfigured, ProcessingFailed, Refused, Unavailable
from streams.messages import Command, Reply
from workers.control import operations
from workers.control.arguments import EraseArguments, arguments_of
from workers.control.enrol import Spaces, enrol
from workers.control.gallery import Change, GalleryView
from workers.control.history import find_reply, has_letter, was_audited
from workers.control.receipt import write_receipt
from workers.control.refusal import Refusal
from workers.control.reseal import reseal
from workers.control.writer import Writer

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from streams.settings import Settings

log = structlog.get_logger()

RETRY_AFTER_S = 1.0
SWEEP_EVERY_S = 3600.0
MOST_PLACES = 20
"""Repetitions of one command whose answers are remembered."""
OPERATIONS = {
    "rename": operations.rename,
    "merge": operations.merge,
    "consent": operations.consent,
    "erase": operations.erase,
    "reseal": reseal,
}


class Executor:
    """`handle` takes a message of `gait.commands` and returns when it is answered; it raises nothing but cancellation."""

    def __init__(self, settings: Settings, view: GalleryView, writer: Writer, spaces: Spaces) -> None:
        self.settings, self.view, self._writer, self._spaces = settings, view, writer, spaces
        self.busy_since_s: float | None = None
        self.ours_from: dict[int, int] = {}
        """By partition: messages before this offset may have been handled by an earlier owner."""
        self._handled: dict[int, int] = {}
        self._sweep_at_s: dict[int, float] = {}

    def assigned(self, ends: dict[int, int]) -> None:
        """Partitions have come, with their end offsets now."""
        self.ours_from = ends
        self._handled.clear()

    async def handle(self, message: Any, done: MutableMapping[bytes, bytes]) -> None:
        """Carry out one command.  While the broker does not answer it is tried again: Faust itself would lose it."""
        if message.offset <= self._handled.get(message.partition, -1):
            return  # Faust delivers some messages twice after a rebalance
        self.busy_since_s = time.monotonic()
        try:
            while True:
                try:
                    await self._handle(message, done)
                    self._handled[message.partition] = message.offset
                    return
                except (KafkaError, Unavailable, OSError) as error:
                    log.warning("the broker does not answer, trying the command again", error=repr(error), offset=message.offset)
                    await asyncio.sleep(RETRY_AFTER_S)
        finally:
            self.busy_since_s = None

    async def _handle(self, message: Any, done: MutableMapping[bytes, bytes]) -> None:
        maybe_before = message.offset < self.ours_from.get(message.partition, message.offset + 1)
        try:
            command = Command.from_bytes(message.value)
        except BadMessage as error:
            await self._letter(error, message, maybe_before)
            return
        key = command.id.encode()
        place = [message.partition, message.offset]
        if (kept := done.get(key)) is not None:
            fields = msgpack.unpackb(kept)
            if place not in fields["places"]:
                # The same command published twice: its publisher waits for an answer to the second as well.
                await self._writer.reply(Reply.from_bytes(fields["reply"]))
                done[key] = msgpack.packb(fields | {"places": [*fields["places"][-MOST_PLACES:], place]})
            return
        reply = await find_reply(self.settings, command, message) if maybe_before else None
        if reply is None:
            reply = await self._carry_out(command, message, maybe_before)
            if not (maybe_before and await was_audited(self.settings, command, message)):
                details = {"command_id": command.id, **_without_personal(command.arguments)}
                await self._writer.audit(command.actor, command.kind, command.subject, reply.error or "done", details)
            await self._writer.reply(reply)
            metrics.COMMANDS.labels(command.kind, "done" if reply.ok else "refused").inc()
        kept_fields = {"places": [place], "reply": reply.to_bytes(), "at_s": time.time()}
        done[key] = msgpack.packb(kept_fields)
        self._forget(message.partition, done)

    async def _carry_out(self, command: Command, message: Any, maybe_before: bool) -> Reply:
        try:
            return _reply(command, result=await self._effect(command))
        except Refusal as error:
            return _reply(command, error=str(error), result={"reason": error.why})
        except (Refused, Misconfigured) as error:  # Misconfigured: embeddings under a key that is not given here
            return _reply(command, error=str(error), result={"reason": error.reason})
        except (KafkaError, Unavailable, OSError):
            raise
        except Exception as error:
            log.error("a command failed", kind=command.kind, error=repr(error), exc_info=error)
            failure = ProcessingFailed(f"{type(error).__name__}: {error}")
            await self._letter(failure, message, maybe_before)
            return _reply(command, error=f"the command failed: {failure}", result={"reason": "failed"})

    async def _effect(self, command: Command) -> dict[str, Any]:
        """Change the gallery as the command asks, unless it has been done; returns the result.  Raises Refused or KafkaError."""
        await self.view.caught_up()
        before = self.view.effects.get(command.id)
        if before is None or not before.complete:
            change = await self._change(command, resuming=before is not None)
            if before is not None:
                change.result = before.result
            await self._writer.change_gallery(command.id, change)
            await self.view.caught_up()
            result = change.result
        else:
            result = dict(before.result)
        if command.kind == "erase":
            result = await self._with_receipt(command, result)
        return result

    async def _change(self, command: Command, *, resuming: bool) -> Change:
        if command.kind == "enrol":
            return await enrol(self.settings, command, self.view, self._spaces)
        return OPERATIONS[command.kind](command, self.view, resuming=resuming)

    async def _with_receipt(self, command: Command, result: dict[str, Any]) -> dict[str, Any]:
        wanted = arguments_of(command, EraseArguments)
        stretches = result.pop("streams", [])
        if wanted.expired:
            return result
        receipt = await write_receipt(self.settings, command.subject, stretches, scan_s=wanted.scan_s, cut=wanted.cut)
        return result | {"receipt": receipt, "erased_ns": time.time_ns()}

    async def _letter(self, error: BadMessage, message: Any, maybe_before: bool) -> None:
        if not (maybe_before and await has_letter(self.settings, message)):
            await self._writer.letter(error, message)

    def _forget(self, partition: int, done: MutableMapping[bytes, bytes]) -> None:
        """Forget commands that have left their topic: they cannot be delivered again.  A table may be changed within an agent only."""
        if time.monotonic() < self._sweep_at_s.get(partition, 0.0):
            return
        self._sweep_at_s[partition] = time.monotonic() + SWEEP_EVERY_S
        oldest_s = time.time() - 2 * (self.settings.retention_ms.get(topics.COMMANDS.name) or topics.COMMANDS.retention_ms or 0) / 1000
        for key, value in list(done.items()):
            fields = msgpack.unpackb(value)
            if fields["places"][0][0] == partition and fields["at_s"] < oldest_s:
                del done[key]


def _reply(command: Command, *, error: str = "", result: dict[str, Any] | None = None) -> Reply:
    return Reply(
        command_id=command.id, kind=command.kind, subject=command.subject, ok=not error, error=error[:256],
        result=result or {}, finished_ns=time.time_ns(),
    )  # fmt: skip


def _without_personal(arguments: dict[str, Any]) -> dict[str, Any]:
    """Arguments worth an audit: short values only."""
    return {k: v for k, v in arguments.items() if isinstance(v, str | int | float | bool) and len(str(v)) <= 256 and k != "command_id"}
