"""Keeps a worker that was frozen, or gave a batch up, from writing what its successor writes as well.

A process that stands still beyond its session timeout (SIGSTOP, a suspended machine, a blocked loop) wakes up with messages in
its producer, while another worker has taken over, found them missing and written them.  So every producer has a fence: before a
produce request leaves, the time since the last heartbeat of the event loop is looked at, and once the fence is down, nothing
leaves any more; what waits fails with `Fenced`, and the runtime starts again from its commits with a new producer.

What has left the process cannot be called back: a request that a broker has received and still not stored when the successor
reads the end of the log would be written twice.  Closing that gap needs transactions, which cost a round trip per batch.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

from aiokafka.client import ConnectionGroup
from aiokafka.errors import KafkaError
from aiokafka.protocol.produce import ProduceRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiokafka import AIOKafkaProducer


def clock_s() -> float:
    """Seconds that go on while the machine is suspended, where the system has such a clock."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


class Fenced(KafkaError):
    """The message did not leave: its partition may belong to another worker."""


class Pulse:
    """When the event loop last went round."""

    def __init__(self, limit_s: float, clock: Callable[[], float] = clock_s) -> None:
        self.limit_s, self._clock = limit_s, clock
        self._last_s = clock()

    def beat(self) -> None:
        """The loop goes round."""
        self._last_s = self._clock()

    @property
    def silent_s(self) -> float:
        """Time since the last beat."""
        return self._clock() - self._last_s

    @property
    def lost(self) -> bool:
        """Whether the loop stood still for so long that the session may have run out."""
        return self.silent_s > self.limit_s


class Fence:
    """The fence of one producer; once down it stays down."""

    def __init__(self, producer: AIOKafkaProducer, pulse: Pulse) -> None:
        self._pulse, self._client = pulse, producer.client
        self._send = producer.client.send
        self.down = False
        producer.client.send = self._guarded

    def drop(self) -> None:
        """Let nothing through from now on."""
        self.down = True

    async def _guarded(self, node_id: int, request: Any, *, group: ConnectionGroup = ConnectionGroup.DEFAULT) -> Any:
        # Connecting first: between the look at the pulse and the write to the socket nothing is awaited.
        await self._client.ready(node_id, group=group)
        if isinstance(request, ProduceRequest):
            self.down = self.down or self._pulse.lost
            if self.down:
                raise Fenced("the worker stood still or gave its partitions up; nothing is written any more")
        return await self._send(node_id, request, group=group)
