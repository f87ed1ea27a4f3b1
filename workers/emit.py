"""Writing outputs and dead letters: each with its id and source in headers, each once, and nothing after giving up."""

from __future__ import annotations

import asyncio
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
    from collections.abc import Mapping

    from aiokafka import AIOKafkaProducer

    from streams.settings import Settings
    from workers.checkpoint import Tail
    from workers.processor import Outcome

log = structlog.get_logger()

CLOSE_S = 10.0
"""How long a producer that was given up may take to close: its connection is cut then."""


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
        sent: list[tuple[TopicPartition, TopicPartition, asyncio.Future]] = []
        for output in outcome.outputs:
            if output.id in tails[output.at].ids:
                metrics.SUPPRESSED.labels(output.topic).inc()
                continue
            to = TopicPartition(output.topic, output.at.partition)
            headers = [(ID_HEADER, output.id.encode()), (SOURCE_HEADER, source_header(output.at, last[output.at]))]
            sent.append((output.at, to, await self._producer.send(to.topic, output.value, output.key, to.partition, headers=headers)))
        for incoming, error in outcome.letters:
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
            sent.append((at, to, await self._producer.send(to.topic, value, key, to.partition, headers=headers)))
            metrics.DEAD_LETTERS.labels(at.topic, error.why).inc()
        for (at, to, _), written in zip(sent, await asyncio.gather(*(future for _, _, future in sent)), strict=True):
            tails[at].checkpoint.wrote(to, last[at], written.offset)
            metrics.OUTPUTS.labels(to.topic).inc()

    def _letter_partition(self, at: TopicPartition) -> TopicPartition:
        return TopicPartition(topics.DEAD_LETTER.name, at.partition % self._letter_partitions)
