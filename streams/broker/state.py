"""What every request handler works on."""

import asyncio
import functools
import os
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from streams.broker import files
from streams.broker.coordinator import Coordinator
from streams.broker.log import PartitionLog
from streams.broker.producers import ProducerIds
from streams.broker.topics import TopicStore

NODE_ID = 1
LEADER_EPOCH = 0  # one node leads every partition for ever


@dataclass(frozen=True)
class Limits:
    """What one client, or all together, may ask of the broker; sizes in bytes."""

    request_bytes: int = 64 * 1024 * 1024
    response_bytes: int = 64 * 1024 * 1024
    connections: int = 1024
    waiting_fetches: int = 1024
    wait_s: float = 60.0


@dataclass(frozen=True)
class Caller:
    """Who sent a request."""

    client_id: str
    host: str


class BrokerState:
    """Topics, groups and identity of one broker under ``data_dir``."""

    def __init__(
        self, data_dir: Path, fsync: Literal["never", "batch"], default_partitions: int, auto_create_topics: bool, limits: Limits
    ) -> None:
        self.limits = limits
        self.fsync = fsync
        self.auto_create_topics = auto_create_topics
        self.host, self.port = "", 0
        self.cluster_id = _cluster_id(data_dir / "cluster-id.json")
        self.topics = TopicStore(data_dir, default_partitions)
        self.coordinator = Coordinator(data_dir / "groups")
        self.producer_ids = ProducerIds(data_dir / "producer-ids.json")
        self.waiting_fetches = 0

    def load(self) -> None:
        """Replay everything from disk."""
        self.topics.load()
        self.coordinator.load()

    async def sync(self, logs: list[PartitionLog]) -> None:
        """Under ``fsync="batch"``, wait until what was appended to ``logs`` is on the disk; the event loop goes on meanwhile.

        Raises:
            OSError: the disk failed.
        """
        if self.fsync == "batch":
            loop = asyncio.get_running_loop()
            descriptors = [log.active.duplicate() for log in logs]
            try:
                await loop.run_in_executor(None, functools.partial(_sync_all, descriptors))
            finally:
                for descriptor in descriptors:
                    os.close(descriptor)

    def close(self) -> None:
        """Close files and stop timers."""
        self.coordinator.close()
        self.topics.close()


def _sync_all(descriptors: list[int]) -> None:
    for descriptor in descriptors:
        os.fdatasync(descriptor)


def _cluster_id(path: Path) -> str:
    cluster_id: str = files.read_json(path, "")
    if not cluster_id:
        cluster_id = uuid.uuid4().hex[:22]
        files.write_json(path, cluster_id)
    return cluster_id
