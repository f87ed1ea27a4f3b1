"""The loop that every data-plane worker runs: poll, decode, process, produce, commit.

* One poll is one batch: under light load it holds one message and leaves at once, under heavy load it is large.
* While a batch is processed in the worker thread (the networks release the interpreter lock), the next one is read and decoded;
  at most one batch waits, so memory is bounded and the consumer's own buffer fills up to its limit: that is the back-pressure.
* Heartbeats go on during a long forward pass.  A revocation waits for the batch in progress for `revoke_budget_s`, then gives it
  up: its outputs are dropped, and the next owner computes them again.
* Commits and restarts: see `workers.checkpoint`.
* A message that raises is found by processing its batch again one by one from rebuilt state, and becomes a dead letter.
"""

from __future__ import annotations

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeAlias, TypeVar

import structlog
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from streams import metrics
from streams.clients import consumer_of, producer_of
from streams.errors import BadMessage, ProcessingFailed
from workers import __version__
from workers.checkpoint import read_tails
from workers.emit import Emitter
from workers.health import Health
from workers.processor import UNDECODED, Incoming, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from aiokafka import ConsumerRecord

    from streams.settings import Settings
    from workers.checkpoint import Tail
    from workers.processor import Processor

log = structlog.get_logger()

T = TypeVar("T")
Records: TypeAlias = "dict[TopicPartition, list[ConsumerRecord]]"

POLL_MS = 100
"""Longest wait for messages: bounds how late a stop or a tick is noticed."""


class Lost(Exception):
    """The partitions of a batch were taken away (or the process was frozen past its session): its outputs must not be written."""


class Runtime(ConsumerRebalanceListener):
    """Runs one processor in a consumer group until `stop` is called."""

    def __init__(self, settings: Settings, processor: Processor) -> None:
        self.settings, self.processor = settings, processor
        self.role = processor.role
        self.health = Health(self.role, self.ready)
        self._stopping = asyncio.Event()
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=f"{self.role}-process")
        self._turn = asyncio.Lock()  # held while a batch is processed, while partitions change, while state is rebuilt
        self._epoch = 0  # a batch that was read in an earlier epoch is dropped
        self._assigned: set[TopicPartition] = set()
        self._unprepared: set[TopicPartition] = set()
        self._to_forget: set[TopicPartition] = set()
        self._tails: dict[TopicPartition, Tail] = {}
        self._position: dict[TopicPartition, int] = {}
        self._newest_ms: dict[TopicPartition, int] = {}
        self._careful: dict[TopicPartition, int] = {}
        self._poison: dict[tuple[TopicPartition, int], BadMessage] = {}
        self._next_commit = self._next_tick = 0.0
        self._last_beat = time.monotonic()

    def ready(self) -> str | None:
        """None when messages are being processed, else what is missing."""
        if not self._assigned:
            return "no partitions are assigned"
        if self._unprepared:
            return f"{len(self._unprepared)} partitions are being restored"
        return self.processor.ready()

    def stop(self) -> None:
        """Finish the batch in progress, commit, leave the group."""
        self._stopping.set()

    async def run(self) -> None:
        """Process until stopped."""
        self._consumer = consumer_of(self.settings, group=self.settings.group(self.role))
        self._producer = producer_of(self.settings)
        self._admin = AIOKafkaAdminClient(**self.settings.kafka())
        await self.health.serve(self.settings.http_host, self.settings.http_port)
        log.info("listening", metrics_port=self.health.port)
        beat = asyncio.create_task(self._beat())
        try:
            await self.processor.start()
            await asyncio.gather(self._producer.start(), self._admin.start())
            self._emitter = Emitter(self._producer, self.settings, f"{self.role}/{__version__}")
            await self._consumer.start()
            self._consumer.subscribe([topic.name for topic in self.processor.inputs], listener=self)
            await self._loop()
        finally:
            beat.cancel()
            await self._close()

    async def _close(self) -> None:
        for name in ("_consumer", "_producer", "_admin"):
            client: AIOKafkaConsumer | AIOKafkaProducer | AIOKafkaAdminClient = getattr(self, name)
            try:
                await asyncio.wait_for(client.close() if name == "_admin" else client.stop(), 15)
            except (TimeoutError, KafkaError, AssertionError) as error:
                log.warning("a client did not close", client=name, error=repr(error))
        await self.processor.stop()
        self._thread.shutdown(wait=False)
        await self.health.close()

    async def _beat(self) -> None:
        """Notices when the process was frozen for so long that its partitions may belong to another worker by now."""
        while True:
            now = time.monotonic()
            if now - self._last_beat > 0.8 * self.settings.session_timeout_s:
                log.warning("the process was frozen", seconds=round(now - self._last_beat, 1))
                self._rebuild(set(self._assigned), "frozen")
            self._last_beat = now
            await asyncio.sleep(0.25)

    # ---- the loop ------------------------------------------------------------------------------------------------------------

    async def _loop(self) -> None:
        in_progress: asyncio.Task[None] | None = None
        while not self._stopping.is_set():
            if self._unprepared or self._to_forget:
                if in_progress:
                    await in_progress
                    in_progress = None
                await self._prepare()
            records = await self._poll()
            epoch = self._epoch
            batch, rejected = self._decode(records)
            metrics.QUEUE_DEPTH.labels(self.role).set(len(batch))
            if in_progress:
                await in_progress
            metrics.QUEUE_DEPTH.labels(self.role).set(0)
            in_progress = asyncio.create_task(self._handle(epoch, records, batch, rejected))
            self.health.progress()
        if in_progress:
            await asyncio.wait([in_progress], timeout=self.settings.revoke_budget_s)
        async with self._turn:
            await self._commit(force=True)

    async def _poll(self) -> Records:
        try:
            records = await self._consumer.getmany(timeout_ms=POLL_MS, max_records=self.settings.max_batch)
        except KafkaError as error:
            log.warning("polling failed", error=repr(error))
            await asyncio.sleep(0.5)
            return {}
        return {at: found for at, found in records.items() if at in self._tails and at not in self._unprepared}

    def _decode(self, records: Records) -> tuple[list[Incoming], list[tuple[Incoming, BadMessage]]]:
        batch, rejected = [], []
        for at, found in records.items():
            for record in found:
                incoming = Incoming(at, record, UNDECODED)
                if poison := self._poison.get((at, record.offset)):
                    rejected.append((incoming, poison))
                    continue
                try:
                    incoming.message = self.processor.decode(record)
                    batch.append(incoming)
                except BadMessage as error:
                    rejected.append((incoming, error))
                except Exception as error:  # a decoder's own defect is a letter too: no message may end a worker
                    rejected.append((incoming, ProcessingFailed(f"{type(error).__name__}: {error}")))
        return batch, rejected

    async def _handle(self, epoch: int, records: Records, batch: list[Incoming], rejected: list[tuple[Incoming, BadMessage]]) -> None:
        async with self._turn:
            if epoch != self._epoch:
                return
            try:
                if records:
                    await self._process(epoch, records, batch, rejected)
                if time.monotonic() >= self._next_tick:
                    self._next_tick = time.monotonic() + 1.0
                    await self._tick(epoch)
                await self._commit()
            except Lost as error:
                log.warning("a batch was given up", error=str(error))
                self._rebuild(set(self._assigned), "lost")
            except KafkaError as error:
                # What was acknowledged is unknown now: state is rebuilt, and the ids in the output tails tell.
                log.warning("writing failed", error=repr(error))
                self._rebuild(set(self._assigned), "write")

    async def _process(self, epoch: int, records: Records, batch: list[Incoming], rejected: list[tuple[Incoming, BadMessage]]) -> None:
        careful = {at for at, found in records.items() if self._careful.get(at, -1) > found[0].offset}
        total = Outcome(letters=[(i, e) for i, e in rejected if self._is_new(i)])
        for step in [[i for i in batch if i.at not in careful], *([i] for i in batch if i.at in careful)]:
            try:
                outcome = await self._in_thread(self._process_step, step)
            except Exception as error:
                self._suspect(step, error)
                return
            total.outputs += outcome.outputs
            total.letters += outcome.letters
            total.repeated += outcome.repeated
        self._count(records, total)
        last = {at: max(found[-1].offset, self._tails[at].checkpoint.processed - 1) for at, found in records.items()}
        await self._write(epoch, total, last)
        for at, found in records.items():
            self._tails[at].checkpoint.processed = last[at] + 1
            self._position[at] = found[-1].offset + 1
            self._newest_ms[at] = max(self._newest_ms.get(at, 0), found[-1].timestamp)

    def _process_step(self, step: list[Incoming]) -> Outcome:
        """Held-back messages first, whose outputs were written before the commit; then new ones.  Runs in the worker thread."""
        old = [i for i in step if not self._is_new(i)]
        new = [i for i in step if self._is_new(i)]
        if old:
            self.processor.process(old)
        for at in {i.at for i in new}:
            self._restore(at)
        return self.processor.process(new) if new else Outcome()

    def _is_new(self, incoming: Incoming) -> bool:
        return incoming.record.offset >= self._tails[incoming.at].checkpoint.processed

    def _restore(self, at: TopicPartition) -> None:
        tail = self._tails[at]
        if tail.emitted:
            self.processor.restore(at, tail.emitted)
            tail.emitted = []

    async def _tick(self, epoch: int) -> None:
        total, last, lag = Outcome(), {}, 0
        for at in self._caught_up():
            processed, end = self._tails[at].checkpoint.processed, self._consumer.highwater(at)
            lag += max(0, (end or 0) - processed)
            at_end = end is None or processed >= end
            now_ns = time.time_ns() if at_end else self._newest_ms.get(at, 0) * 1_000_000
            self._restore(at)
            total.outputs += (await self._in_thread(self.processor.tick, at, now_ns)).outputs
            last[at] = processed - 1
        metrics.LAG.labels(self.role, self.processor.inputs[0].name).set(lag)
        await self._write(epoch, total, last)

    async def _write(self, epoch: int, outcome: Outcome, last: dict[TopicPartition, int]) -> None:
        if epoch != self._epoch:
            raise Lost("the partitions were taken away meanwhile")
        await self._emitter.write(outcome, self._tails, last)

    def _caught_up(self) -> list[TopicPartition]:
        """Partitions whose held-back messages are read again: only their state is whole."""
        prepared = (at for at in self._assigned if at in self._tails and at not in self._unprepared)
        return [at for at in prepared if self._position[at] >= self._tails[at].checkpoint.processed]

    async def _commit(self, *, force: bool = False) -> None:
        """Commit what is processed, held back to what open windows need.  The caller holds the turn."""
        if time.monotonic() < self._next_commit and not force:
            return
        self._next_commit = time.monotonic() + self.settings.commit_every_s
        before = {at: self._tails[at].checkpoint.resume for at in self._caught_up()}
        offsets = {at: self._tails[at].checkpoint.commit(self.processor.hold(at)) for at in before}
        if not offsets:
            return
        try:
            await self._consumer.commit(offsets)
        except KafkaError as error:
            log.info("commit refused; the next owner starts from the one before", error=repr(error))
            return
        metrics.COMMIT_AGE.labels(self.role).set_to_current_time()
        checkpoints = [self._tails[at].checkpoint for at in offsets]
        metrics.HELD_BACK.labels(self.role).set(sum(c.processed - c.resume for c in checkpoints))
        self._poison = {(at, o): e for (at, o), e in self._poison.items() if at not in offsets or o >= offsets[at].offset}

    def _suspect(self, step: list[Incoming], error: Exception) -> None:
        """Processing raised.  A message alone is the culprit and becomes a letter; of several, each is tried alone next time."""
        log.error("processing failed", messages=len(step), error=repr(error), exc_info=error)
        if len(step) == 1:
            self._poison[(step[0].at, step[0].record.offset)] = ProcessingFailed(f"{type(error).__name__}: {error}")
        for incoming in step:
            self._careful[incoming.at] = max(self._careful.get(incoming.at, -1), incoming.record.offset + 1)
        self._rebuild({i.at for i in step}, "exception")

    def _count(self, records: Records, total: Outcome) -> None:
        read, refused = sum(map(len, records.values())), len(total.letters)
        topic = self.processor.inputs[0].name
        metrics.BATCH_MESSAGES.labels(self.role).observe(read)
        metrics.MESSAGES.labels(topic, "rejected").inc(refused)
        metrics.MESSAGES.labels(topic, "repeated").inc(total.repeated)
        metrics.MESSAGES.labels(topic, "used").inc(read - refused - total.repeated)

    async def _in_thread(self, function: Callable[..., T], *arguments: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, function, *arguments)

    # ---- partitions come and go ------------------------------------------------------------------------------------------------

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Let the batch in progress finish (within the budget), commit, let go."""
        try:
            async with asyncio.timeout(self.settings.revoke_budget_s), self._turn:
                await self._commit(force=True)
        except TimeoutError:
            log.warning("revocation did not wait for the batch in progress", budget_s=self.settings.revoke_budget_s)
        self._epoch += 1
        self._to_forget |= self._assigned
        self._assigned, self._unprepared = set(), set()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Nothing is read before `_prepare` has found where to go on."""
        metrics.REBALANCES.labels(self.role).inc()
        log.info("assigned", partitions=sorted(at.partition for at in assigned))
        self._epoch += 1
        self._assigned, self._unprepared = set(assigned), set(assigned)
        if assigned:
            self._consumer.pause(*assigned)

    def _rebuild(self, partitions: set[TopicPartition], cause: str) -> None:
        """Drop the state of partitions and read them again from their commits."""
        metrics.REBUILDS.labels(self.role, cause).inc()
        self._epoch += 1
        self._to_forget |= partitions
        self._unprepared |= partitions & self._assigned
        if self._unprepared:
            self._consumer.pause(*self._unprepared)

    async def _prepare(self) -> None:
        async with self._turn:
            epoch, wanted = self._epoch, sorted(self._unprepared)
            for at in self._to_forget | self._unprepared:
                self.processor.forget(at)
                self._tails.pop(at, None)
            self._to_forget = set()
            if not wanted:
                return
            try:
                commits = await self._admin.list_consumer_group_offsets(self.settings.group(self.role), partitions=wanted)
                begins = await self._consumer.beginning_offsets(wanted)
                inputs = {at: (commits.get(at), begins[at]) for at in wanted}
                tails = await read_tails(self.settings, inputs, lambda at: self._emitter.outputs_of(at, self.processor.outputs))
            except KafkaError as error:
                log.warning("restoring failed, trying again", error=repr(error))
                await asyncio.sleep(0.5)
                return
            if epoch != self._epoch:
                return
            for at, tail in tails.items():
                self._tails[at] = tail
                self._position[at] = tail.checkpoint.resume
                self._consumer.seek(at, tail.checkpoint.resume)
            self._unprepared = set()
            self._consumer.resume(*wanted)
            log.info(
                "restored", partitions=len(wanted), held_back=sum(t.checkpoint.processed - t.checkpoint.resume for t in tails.values())
            )
