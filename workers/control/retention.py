"""What time brings: templates past their expiry, and erased bytes that the broker has yet to compact away."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from streams.messages import Command
from streams.messages.fields import stable_id
from workers.control.operations import expired

if TYPE_CHECKING:
    from workers.control.gallery import GalleryView
    from workers.control.writer import Writer

ASK_AGAIN_S = 600.0
SEGMENT_MS = 600_000
"""`segment.ms` of the gallery, as `streams.provision` sets it."""


class Retention:
    """`look` now and then.  It asks through commands, so several control workers may all look and each expiry happens once."""

    def __init__(self, view: GalleryView, writer: Writer) -> None:
        self._view, self._writer = view, writer
        self._asked_s: dict[str, float] = {}

    async def look(self) -> None:
        """Ask for the erasure of what has expired; let the broker compact what was erased.  Raises KafkaError."""
        await self._expire()
        await self._nudge(int(time.time() * 1000))

    async def _expire(self) -> None:
        now_ns = time.time_ns()
        gone: dict[str, list[str]] = {}
        for key, template in sorted(self._view.templates.items()):
            if expired(template, now_ns):
                gone.setdefault(template.subject, []).append(f"{key!r} {template.expires_ns}")
        for subject, templates in gone.items():
            command_id = stable_id("expired", subject, *templates)
            if time.monotonic() - self._asked_s.get(command_id, -ASK_AGAIN_S) < ASK_AGAIN_S:
                continue
            self._asked_s[command_id] = time.monotonic()
            arguments = {"expired": True}
            command = Command(id=command_id, kind="erase", subject=subject, actor="expiry", sent_ns=now_ns, arguments=arguments)
            await self._writer.command(command)
        self._asked_s = {k: at_s for k, at_s in self._asked_s.items() if time.monotonic() - at_s < ASK_AGAIN_S}

    async def _nudge(self, now_ms: int) -> None:
        """A broker closes a segment when something is appended after its time, and compacts closed segments only: where nobody enrols after
        an erasure, the erased values would stay on disk.  So the last tombstone is repeated once its segment is due; where templates were
        sealed under another key, what lay there before leaves in the same way."""
        if self._view.tombstone is None:
            return
        key, erased_ms = self._view.tombstone
        due_ms = erased_ms + SEGMENT_MS
        if now_ms > due_ms and self._view.newest_ms <= due_ms and key not in self._view.templates:
            await self._writer.nudge(key)
