"""The contract between the runtime and what a worker does with messages.

A processor is a deterministic function of the log: the same messages of a partition, however they are batched, give the same
outputs with the same ids.  Everything about Kafka (commits, restarts, repeats, letters) is the runtime's.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from aiokafka import ConsumerRecord, TopicPartition

from streams.codec import Message

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from streams.errors import BadMessage
    from streams.topics import Topic


UNDECODED = Message()
"""Stands for the message of a record that could not be decoded; only the record itself is looked at then."""


@dataclass(slots=True)
class Incoming:
    """A decoded message and the record it came in."""

    at: TopicPartition
    record: ConsumerRecord
    message: Message
    again: bool = False
    """Read once more to rebuild state: its outputs were written before."""

    @property
    def received_ns(self) -> int:
        """Broker time of the record."""
        return self.record.timestamp * 1_000_000


@dataclass(slots=True)
class Output:
    """A message to write to the partition of `topic` that has the number of the input's partition.  `id` makes it unique."""

    at: TopicPartition
    topic: str
    key: bytes
    value: bytes = field(repr=False)
    id: str


@dataclass(slots=True)
class Outcome:
    """What a batch gave: outputs in order, and the messages that could not be used."""

    outputs: list[Output] = field(default_factory=list)
    letters: list[tuple[Incoming, BadMessage]] = field(default_factory=list)
    repeated: Counter[str] = field(default_factory=Counter)
    """Messages that were there before, by topic."""


@dataclass(frozen=True, slots=True)
class Emitted:
    """An output that an earlier owner of the partition had written."""

    topic: str
    id: str
    key: bytes
    value: bytes = field(repr=False)


class Processor(Protocol):
    """What a worker does.  All methods but `start` and `stop` run in one worker thread, never at the same time."""

    role: str
    inputs: tuple[Topic, ...]
    outputs: tuple[Topic, ...]

    async def start(self) -> None:
        """Load what is needed before the first message (networks, gallery); warm up."""

    async def stop(self) -> None:
        """Release what `start` took."""

    def ready(self) -> str | None:
        """None when messages can be processed, else what is missing, in words."""

    def decode(self, record: ConsumerRecord) -> Message:
        """The message in a record.  Raises BadMessage."""

    def process(self, batch: Sequence[Incoming]) -> Outcome:
        """Outputs of a batch, ordered by offset within each partition."""

    def tick(self, at: TopicPartition, now_ns: int) -> Outcome:
        """Let go of streams that are silent at broker time `now_ns`; what that ends is in the outputs."""

    def hold(self, at: TopicPartition) -> int | None:
        """Oldest offset of the partition that an open window or evidence still needs; None when nothing is open."""

    def begins(self, at: TopicPartition) -> dict[str, int]:
        """Where the state of each stream of the partition began, for processors whose state would differ if it began earlier.

        The oldest of them holds back the whole partition, so a successor reads the others from too early on; it gets these offsets in
        `begin`.  Kept in the commit: at most a few hundred streams.
        """
        return {}

    def begin(self, at: TopicPartition, begins: Mapping[str, int], processed: int) -> None:
        """The partition is ours: what `begins` said at the commit, and how far the owner had processed (a stream that is not named had no
        state there)."""
        return

    def restore(self, at: TopicPartition, emitted: Sequence[Emitted]) -> None:
        """The held-back messages were read again (their outputs dropped): take over what only earlier outputs know.

        `emitted` holds, oldest first, what was written for the held-back messages, and perhaps for some that are still to come:
        only what matches the state as it is now may be taken over.
        """

    def forget(self, at: TopicPartition) -> None:
        """The partition is not ours any more (or is read again from its commit): drop its state."""
