"""One polled batch through the processor: decoding, held-back messages first, suspects alone."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import structlog

from streams.errors import BadMessage, ProcessingFailed
from workers.processor import UNDECODED, Incoming, Outcome
from workers.suspects import Suspects

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from concurrent.futures import Executor

    from aiokafka import ConsumerRecord, TopicPartition

    from workers.checkpoint import Tail
    from workers.processor import Processor

log = structlog.get_logger()

T = TypeVar("T")
Records: TypeAlias = "dict[TopicPartition, list[ConsumerRecord]]"


@dataclass(slots=True)
class Batch:
    """What one poll returned, decoded.  `epoch` is that of the assignment it was read in."""

    epoch: int
    records: Records
    messages: list[Incoming] = field(default_factory=list)
    rejected: list[tuple[Incoming, BadMessage]] = field(default_factory=list)


@dataclass(slots=True)
class Processed:
    """What a batch gave, and per partition the last offset that is done."""

    outcome: Outcome
    last: dict[TopicPartition, int]
    unfinished: set[TopicPartition]
    """Partitions in which a message raised: their state is unknown, and the rest of their messages is still to do."""


class Batches:
    """Runs batches; everything that touches the processor's state runs in its one thread."""

    def __init__(self, processor: Processor, tails: Mapping[TopicPartition, Tail], thread: Executor) -> None:
        self._processor, self._tails, self._thread = processor, tails, thread
        self.suspects = Suspects()

    def decode(self, epoch: int, records: Records) -> Batch:
        """The messages of the records; what cannot be decoded, or has raised before, is rejected."""
        batch = Batch(epoch, records)
        for at, found in records.items():
            for record in found:
                incoming = Incoming(at, record, UNDECODED)
                if verdict := self.suspects.verdict(at, record.offset):
                    batch.rejected.append((incoming, verdict))
                    continue
                try:
                    incoming.message = self._processor.decode(record)
                    batch.messages.append(incoming)
                except BadMessage as error:
                    batch.rejected.append((incoming, error))
                except Exception as error:  # a decoder's own defect is a letter too: no message may end a worker
                    batch.rejected.append((incoming, ProcessingFailed(f"{type(error).__name__}: {error}")))
        return batch

    async def run(self, batch: Batch) -> Processed:
        """Outputs and letters of new messages.  When one raises, what was processed before it counts."""
        total = Outcome()
        first_open: dict[TopicPartition, int] = {}
        steps = self.suspects.steps(batch.messages, self._is_new)
        for n, step in enumerate(steps):
            try:
                outcome = await self.in_thread(self._process, step)
            except Exception as error:
                log.error("processing failed", messages=len(step), error=repr(error), exc_info=error)
                self.suspects.blame(step, error)
                for incoming in (incoming for rest in steps[n:] for incoming in rest):
                    first_open[incoming.at] = min(incoming.record.offset, first_open.get(incoming.at, incoming.record.offset))
                break
            total.outputs += outcome.outputs
            total.letters += outcome.letters
            total.repeated += outcome.repeated
        done = {at: first_open.get(at, found[-1].offset + 1) for at, found in batch.records.items()}
        last = {at: max(offset, self._tails[at].checkpoint.processed) - 1 for at, offset in done.items()}
        total.letters += [(i, e) for i, e in batch.rejected if self._is_new(i) and i.record.offset <= last[i.at]]
        return Processed(total, last, set(first_open))

    def restore(self, at: TopicPartition) -> None:
        """Hand over what earlier owners have written, once the held-back messages are read again."""
        tail = self._tails[at]
        emitted, tail.emitted = tail.emitted, []
        if emitted:
            try:
                self._processor.restore(at, emitted)
            except Exception as error:
                # An output that cannot be read (of another version, or damaged) must not stop the messages behind it.
                log.error("earlier outputs cannot be taken over", partition=at.partition, error=repr(error), exc_info=error)

    async def in_thread(self, function: Callable[..., T], *arguments: object) -> T:
        """Call something that touches the processor's state."""
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)

    def _process(self, step: list[Incoming]) -> Outcome:
        """Held-back messages first, whose outputs were written before the commit; then new ones."""
        old = [i for i in step if not self._is_new(i)]
        new = [i for i in step if self._is_new(i)]
        if old:
            for incoming in old:
                incoming.again = True
            self._processor.process(old)
        for at in {i.at for i in new}:
            self.restore(at)
        return self._processor.process(new) if new else Outcome()

    def _is_new(self, incoming: Incoming) -> bool:
        return incoming.record.offset >= self._tails[incoming.at].checkpoint.processed
