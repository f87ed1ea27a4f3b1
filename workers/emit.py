"""Writing outputs and dead letters: each with its id and source in headers, each once."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from aiokafka import TopicPartition

from streams import metrics, topics
from streams.deadletter import letter_headers
from workers.checkpoint import ID_HEADER, SOURCE_HEADER, source_header

if TYPE_CHECKING:
    from collections.abc import Mapping

    from aiokafka import AIOKafkaProducer

    from streams.settings import Settings
    from workers.checkpoint import Tail
    from workers.processor import Outcome


class Emitter:
    """Writes the outcome of a batch and notes in each partition's checkpoint where it lies."""

    def __init__(self, producer: AIOKafkaProducer, settings: Settings, worker: str) -> None:
        self._producer, self._worker = producer, worker
        self._letter_partitions = settings.partitions(topics.DEAD_LETTER)

    def outputs_of(self, at: TopicPartition, outputs: tuple[topics.Topic, ...]) -> list[TopicPartition]:
        """Every partition that outputs and letters of input partition `at` go to."""
        return [*(TopicPartition(topic.name, at.partition) for topic in outputs), self._letter_partition(at)]

    async def write(self, outcome: Outcome, tails: Mapping[TopicPartition, Tail], last: Mapping[TopicPartition, int]) -> None:
        """Write what was not written by an earlier owner and wait for every acknowledgement.

        `last` is the last processed offset of each input partition.  Raises KafkaError when a message could not be written.
        """
        sent: list[tuple[TopicPartition, TopicPartition, asyncio.Future]] = []
        for output in outcome.outputs:
            if output.id in tails[output.at].ids:
                metrics.SUPPRESSED.labels(output.topic).inc()
                continue
            to = TopicPartition(output.topic, output.at.partition)
            headers = [(ID_HEADER, output.id.encode()), (SOURCE_HEADER, source_header(output.at, last[output.at]))]
            sent.append((output.at, to, await self._producer.send(to.topic, output.value, output.key, to.partition, headers=headers)))
        for incoming, error in outcome.letters:
            letter_id = f"{incoming.at.topic}/{incoming.at.partition}/{incoming.record.offset}"
            if letter_id in tails[incoming.at].ids:
                continue
            to = self._letter_partition(incoming.at)
            headers = [
                (ID_HEADER, letter_id.encode()),
                (SOURCE_HEADER, source_header(incoming.at, last[incoming.at])),
                *letter_headers(error, incoming.at.topic, incoming.at.partition, incoming.record.offset, self._worker),
            ]
            value, key = incoming.record.value, incoming.record.key
            sent.append((incoming.at, to, await self._producer.send(to.topic, value, key, to.partition, headers=headers)))
            metrics.DEAD_LETTERS.labels(incoming.at.topic, error.why).inc()
        for (at, to, _), written in zip(sent, await asyncio.gather(*(future for _, _, future in sent)), strict=True):
            tails[at].checkpoint.wrote(to, last[at], written.offset)
            metrics.OUTPUTS.labels(to.topic).inc()

    def _letter_partition(self, at: TopicPartition) -> TopicPartition:
        return TopicPartition(topics.DEAD_LETTER.name, at.partition % self._letter_partitions)
