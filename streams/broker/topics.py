"""Topics: their partitions and configuration, kept in one file that is replaced whole."""

import logging
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from streams.broker import files
from streams.broker.configs import TopicConfig
from streams.broker.log import PartitionLog

logger = logging.getLogger(__name__)

_NAME = re.compile(r"[a-zA-Z0-9._-]{1,249}")
MAX_PARTITIONS = 1024  # a topic of more is a mistake on one machine, and each partition is a directory


class InvalidTopic(Exception):
    """A name that Kafka does not allow."""


class TopicExists(Exception):
    """A topic of that name is there already."""


class InvalidPartitions(Exception):
    """A number of partitions that cannot be."""


@dataclass
class Topic:
    """One topic with its open partitions."""

    name: str
    config: TopicConfig
    partitions: list[PartitionLog]


class TopicStore:
    """All topics under ``data_dir``."""

    def __init__(self, data_dir: Path, default_partitions: int) -> None:
        self._file = data_dir / "topics.json"
        self._logs = data_dir / "logs"
        self._default_partitions = default_partitions
        self._topics: dict[str, Topic] = {}

    def load(self) -> None:
        """Replay every partition, and remove what deleted topics left behind."""
        self._logs.mkdir(parents=True, exist_ok=True)
        for name, entry in files.read_json(self._file, {}).items():
            self._topics[name] = self._open(name, entry["partitions"], TopicConfig.parse(entry["configs"]))
        for directory in self._logs.iterdir():
            if directory.name.rpartition("-")[0] not in self._topics:
                shutil.rmtree(directory, ignore_errors=True)

    def _open(self, name: str, count: int, config: TopicConfig, first: int = 0) -> Topic:
        return Topic(name, config, [PartitionLog(self._logs / f"{name}-{index}", config) for index in range(first, count)])

    def _save(self, topics: dict[str, Topic], counts: dict[str, int] | None = None) -> None:
        counts = counts or {}
        files.write_json(
            self._file,
            {
                name: {"partitions": counts.get(name, len(topic.partitions)), "configs": topic.config.overrides}
                for name, topic in topics.items()
            },
        )

    def __iter__(self):  # type: ignore[no-untyped-def]
        return iter(list(self._topics.values()))

    def get(self, name: str) -> Topic | None:
        """The topic, or None."""
        return self._topics.get(name)

    def partition(self, name: str, index: int) -> PartitionLog | None:
        """The partition, or None."""
        topic = self._topics.get(name)
        return topic.partitions[index] if topic is not None and 0 <= index < len(topic.partitions) else None

    def check_new(self, name: str, count: int) -> int:
        """The number of partitions a new topic would get (-1 asks for the default).

        Raises:
            InvalidTopic, TopicExists, InvalidPartitions: it cannot be created.
        """
        check_name(name)
        if name in self._topics:
            raise TopicExists(f"topic {name} exists")
        count = self._default_partitions if count == -1 else count
        if not 1 <= count <= MAX_PARTITIONS:
            raise InvalidPartitions(f"{count} partitions; 1 to {MAX_PARTITIONS} are possible")
        return count

    def create(self, name: str, count: int, config: TopicConfig) -> Topic:
        """Create a topic.

        Raises:
            InvalidTopic, TopicExists, InvalidPartitions: it cannot be created.
            OSError: the disk is full; nothing was created.
        """
        count = self.check_new(name, count)
        for index in range(count):  # what an interrupted deletion of the same name may have left
            shutil.rmtree(self._logs / f"{name}-{index}", ignore_errors=True)
        topic = self._open(name, count, config)
        self._save(self._topics | {name: topic})
        self._topics[name] = topic
        return topic

    def delete(self, topic: Topic) -> None:
        """Delete a topic and its files."""
        self._save({name: other for name, other in self._topics.items() if other is not topic})
        del self._topics[topic.name]
        for log in topic.partitions:
            log.destroy()

    def check_grow(self, topic: Topic, count: int) -> None:
        """Whether the topic may get ``count`` partitions.

        Raises:
            InvalidPartitions: fewer than now, or too many.
        """
        if not len(topic.partitions) < count <= MAX_PARTITIONS:
            raise InvalidPartitions(f"the topic has {len(topic.partitions)} partitions; {count} is not an increase up to {MAX_PARTITIONS}")

    def grow(self, topic: Topic, count: int) -> None:
        """Add partitions until there are ``count``."""
        self.check_grow(topic, count)
        added = self._open(topic.name, count, topic.config, first=len(topic.partitions))
        self._save(self._topics, {topic.name: count})
        topic.partitions += added.partitions

    def configure(self, topic: Topic, config: TopicConfig) -> None:
        """Replace the configuration of a topic."""
        before, topic.config = topic.config, config
        try:
            self._save(self._topics)
        except OSError:
            topic.config = before
            raise
        for log in topic.partitions:
            log.config = config

    def close(self) -> None:
        """Close every partition."""
        for topic in self._topics.values():
            for log in topic.partitions:
                log.close()


def check_name(name: str) -> None:
    """Raise InvalidTopic unless Kafka allows ``name``."""
    if not _NAME.fullmatch(name) or name in (".", ".."):
        raise InvalidTopic(f"{name!r} is no topic name: 1 to 249 letters, digits, dots, underscores and hyphens")
