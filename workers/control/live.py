"""What the operator's page shows as it happens: identity and walking events of the last minute, then every new one; and cameras.

The topics are read only while somebody watches, and a viewer gets the newest event of each stream a few times a second: thousands of
walkers cost the control plane and the page a bounded amount of work.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import structlog

from streams import topics
from streams.errors import BadMessage
from streams.messages import IdentityEvent, WalkingEvent
from workers.control.cameras import CameraFeed
from workers.control.tail import tail

if TYPE_CHECKING:
    from aiokafka import ConsumerRecord

    from streams.settings import Settings

log = structlog.get_logger()

TOPICS = (topics.IDENTITY_EVENTS.name, topics.WALKING_EVENTS.name)

LOOK_BACK_S = 60.0
"""A page that opens shows who walked in the last minute."""

FLUSH_S = 0.25
"""Time between two messages to a viewer: as smooth as an eye wants it."""

MOST_STREAMS = 300
"""Streams per message to a viewer; of more only the newest are shown, and how many were left out is said."""


class Viewer:
    """One open page: the newest row of every stream since it was last asked."""

    def __init__(self) -> None:
        self._rows: dict[tuple[str, str], dict[str, Any]] = {}
        self._left_out = 0
        self._news = asyncio.Event()
        self.closed = False

    def put(self, row: dict[str, Any]) -> None:
        """Remember a row, in place of an older one of the same stream and kind."""
        key = (row["kind"], row["stream"])
        self._rows.pop(key, None)
        self._rows[key] = row
        if len(self._rows) > MOST_STREAMS:
            del self._rows[next(iter(self._rows))]
            self._left_out += 1
        self._news.set()

    def close(self) -> None:
        """The page must go: the control plane stops."""
        self.closed = True
        self._news.set()

    async def take(self, timeout_s: float) -> dict[str, Any] | None:
        """Rows since the last call, oldest first, and how many were left out; None when nothing happens for `timeout_s`."""
        try:
            await asyncio.wait_for(self._news.wait(), timeout_s)
        except TimeoutError:
            return None
        await asyncio.sleep(FLUSH_S)
        taken = {"rows": list(self._rows.values()), "left_out": self._left_out}
        self._rows, self._left_out = {}, 0
        if not self.closed:
            self._news.clear()
        return taken


class LiveFeed:
    """Reads the event topics for all viewers together, from the first one's arrival to the last one's leaving."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.cameras = CameraFeed(settings, self._put)
        self._viewers: set[Viewer] = set()
        self._task: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def viewer(self) -> AsyncIterator[Viewer]:
        """A viewer that gets events as long as the context lasts."""
        viewer = Viewer()
        self._viewers.add(viewer)
        if self._task is not None:  # the newcomer, too, sees the last minute
            self._task.cancel()
        self._task = asyncio.create_task(tail(self.settings, TOPICS, LOOK_BACK_S, self._show, max_records=2000))
        self.cameras.start()
        for row in self.cameras.rows():
            viewer.put(row)
        try:
            yield viewer
        finally:
            self._viewers.discard(viewer)
            if not self._viewers and self._task is not None:
                self._task.cancel()
                self._task = None
                self.cameras.stop()

    def close(self) -> None:
        """Let every viewer go."""
        for viewer in self._viewers:
            viewer.close()

    def _show(self, record: ConsumerRecord) -> None:
        try:
            row = identity_row(record) if record.topic == topics.IDENTITY_EVENTS.name else walking_row(record)
        except BadMessage:
            return  # not ours: anybody may write to a topic
        self._put(row)
        if row["kind"] == "identity" and row["modality"] == "camera":
            self.cameras.name(row)

    def _put(self, row: dict[str, Any]) -> None:
        for viewer in self._viewers:
            viewer.put(row)


def identity_row(record: ConsumerRecord) -> dict[str, Any]:
    """What the page shows of an identity event.  Raises BadMessage."""
    event = IdentityEvent.from_bytes(record.value)
    return {
        "kind": "identity",
        "stream": event.stream_key,
        "modality": event.modality,
        "camera": event.camera_id,
        "bout": event.bout_id,
        "at_ms": event.end_ns // 1_000_000,
        "decision": event.decision,
        "subject": event.subject,
        "confidence": round(event.confidence, 3),
        "score": round(event.score, 3),
        "windows": event.windows,
        "enrolled": event.enrolled,
        "candidates": event.candidates[:3],
        "claimed": event.claimed_subject,
        "verification": event.verification,
        "contradicts": event.contradicts,
        "placement": event.placement,
        "latency_ms": round((event.decided_ns - event.received_ns) / 1e6),
    }


def walking_row(record: ConsumerRecord) -> dict[str, Any]:
    """What the page shows of a walking event.  Raises BadMessage."""
    event = WalkingEvent.from_bytes(record.value)
    return {
        "kind": "walking",
        "stream": event.stream_key,
        "modality": event.modality,
        "camera": event.stream_key.rpartition(":")[0] if event.modality == "camera" else None,  # tracks are named `camera:track`
        "bout": event.bout_id,
        "at_ms": event.end_ns // 1_000_000,
        "state": event.kind,
        "seconds": round((event.end_ns - event.start_ns) / 1e9, 1),
        "steps": round(event.steps),
        "cadence_hz": round(event.step_rate_hz, 2),
        "placement": event.placement,
    }
