"""Writing outputs and dead letters: each with its id and source in headers, each once, and nothing after giving up."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from aiokafka import TopicPartition
from aiokafka.errors import KafkaError

from streams import metrics, topics
from streams.clients import producer_of
from streams.deadletter import letter_content, letter_headers
from workers.checkpoint import ID_HEADER, SOURCE_HEADER, source_header
from workers.fence import Fence, Fenced, Pulse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from aiokafka import AIOKafkaProducer
    from aiokafka.structs import RecordMetadata

    from streams.errors import BadMessage
    from streams.settings import Settings
    from workers.checkpoint import Tail
    from workers.processor import Incoming, Outcome, Output

log = structlog.get_logger()

CLOSE_S = 10.0
"""How long a producer that was given up may take to close: its connection is cut then."""


@dataclass(slots=True)
class Write:
    """Messages of input partition `at` on their way to `to`; the future gives the first one's offset."""

    at: TopicPartition
    to: TopicPartition
    count: int
    future: asyncio.Future[RecordMetadata]


class Emitter:
    """Writes the outcome of a batch and notes in each partition's checkpoint where it lies."""

    def __init__(self, settings: Settings, worker: str, pulse: Pulse) -> None:
        self._settings, self._worker, self._pulse = settings, worker, pulse
        self._letter_partitions = settings.partitions(topics.DEAD_LETTER)
        self._producer: AIOKafkaProducer | None = None
        self._fence: Fence | None = None

    # ---- the producer --------------------------------------------------------------------------------------------------------

    @property
    def is_open(self) -> bool:
        """Whether messages can be written: a producer is there, and its fence is up."""
        return self._fence is not None and not self._fence.down and not self._pulse.lost

    async def open(self) -> None:
        """Begin with a new producer; the one before has ended when this returns.  Raises KafkaError when no broker answers."""
        await self.close()
        producer = producer_of(self._settings)
        try:
            await producer.start()
        except BaseException:
            await producer.stop()
            raise
        self._producer, self._fence = producer, Fence(producer, self._pulse)

    def give_up(self) -> None:
        """Nothing leaves any more; what waits fails.  `open` begins anew."""
        if self._fence:
            self._fence.drop()

    async def close(self) -> None:
        """End the producer: what was not given up is written first."""
        producer, self._producer = self._producer, None
        if producer is None:
            return
        try:
            await asyncio.wait_for(producer.stop(), CLOSE_S)
        except (TimeoutError, KafkaError) as error:
            log.warning("a producer did not close", error=repr(error))
            await producer.client.close()

    # ---- messages ------------------------------------------------------------------------------------------------------------

    def outputs_of(self, at: TopicPartition, outputs: tuple[topics.Topic, ...]) -> list[TopicPartition]:
        """Every partition that outputs and letters of input partition `at` go to."""
        return [*(TopicPartition(topic.name, at.partition) for topic in outputs), self._letter_partition(at)]

    async def write(self, outcome: Outcome, tails: Mapping[TopicPartition, Tail], last: Mapping[TopicPartition, int]) -> None:
        """Write what was not written by an earlier owner and wait for every acknowledgement.

        `last` is the last processed offset of each input partition.  Raises KafkaError when a message could not be written.
        """
        if self._producer is None or not self.is_open:
            raise Fenced("nothing is written after giving up")
        written = await self._send_outputs(self._producer, outcome.outputs, tails, last)
        written += await self._send_letters(self._producer, outcome.letters, tails, last)
        for write, metadata in zip(written, await asyncio.gather(*(write.future for write in written)), strict=True):
            checkpoint = tails[write.at].checkpoint
            checkpoint.wrote(write.to, last[write.at], metadata.offset)
            checkpoint.wrote(write.to, last[write.at], metadata.offset + write.count - 1)
            metrics.OUTPUTS.labels(write.to.topic).inc(write.count)

    async def _send_outputs(
        self,
        producer: AIOKafkaProducer,
        outputs: Sequence[Output],
        tails: Mapping[TopicPartition, Tail],
        last: Mapping[TopicPartition, int],
    ) -> list[Write]:
        """Hand over the outputs in batches, one future for each: a future per message costs more than the message."""
        groups: defaultdict[tuple[TopicPartition, str], list[Output]] = defaultdict(list)
        for output in outputs:
            if output.id in tails[output.at].ids:
                metrics.SUPPRESSED.labels(output.topic).inc()
            else:
                groups[output.at, output.topic].append(output)
        written = []
        for (at, topic), group in groups.items():
            to = TopicPartition(topic, at.partition)
            source = (SOURCE_HEADER, source_header(at, last[at]))
            batch = producer.create_batch()
            for output in group:
                headers = [(ID_HEADER, output.id.encode()), source]
                if batch.append(timestamp=None, key=output.key, value=output.value, headers=headers) is None:  # it is full
                    written.append(Write(at, to, batch.record_count(), await producer.send_batch(batch, topic, partition=to.partition)))
                    batch = producer.create_batch()
                    batch.append(timestamp=None, key=output.key, value=output.value, headers=headers)
            written.append(Write(at, to, batch.record_count(), await producer.send_batch(batch, topic, partition=to.partition)))
        return written

    async def _send_letters(
        self,
        producer: AIOKafkaProducer,
        letters: Sequence[tuple[Incoming, BadMessage]],
        tails: Mapping[TopicPartition, Tail],
        last: Mapping[TopicPartition, int],
    ) -> list[Write]:
        written = []
        for incoming, error in letters:
            at, record = incoming.at, incoming.record
            letter_id = f"{at.topic}/{at.partition}/{record.offset}"
            if letter_id in tails[at].ids:
                continue
            to = self._letter_partition(at)
            key, value, cut = letter_content(record.key, record.value)
            headers = [
                (ID_HEADER, letter_id.encode()),
                (SOURCE_HEADER, source_header(at, last[at])),
                *letter_headers(error, at.topic, at.partition, record.offset, self._worker),
                *cut,
            ]
            written.append(Write(at, to, 1, await producer.send(to.topic, value, key, to.partition, headers=headers)))
            metrics.DEAD_LETTERS.labels(at.topic, error.why).inc()
        return written

    def _letter_partition(self, at: TopicPartition) -> TopicPartition:
        return TopicPartition(topics.DEAD_LETTER.name, at.partition % self._letter_partitions)
