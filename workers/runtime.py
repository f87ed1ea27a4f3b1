"""The loop that every data-plane worker runs: poll, decode, process, produce, commit.

* One poll is one batch: under light load it holds one message and leaves at once, under heavy load it is large.
* While a batch is processed in the worker thread (the networks release the interpreter lock), the next one is read and decoded;
  at most one batch waits, so memory is bounded and the consumer's own buffer fills up to its limit: that is the back-pressure.
* Heartbeats go on during a long forward pass.  A revocation waits for the batch in progress for `revoke_budget_s`, then gives it
  up: its outputs are dropped, and the next owner computes them again.
* Commits and restarts: see `workers.checkpoint`; a frozen process: see `workers.fence`.
* A message that raises is found by processing its batch again one by one from rebuilt state, and becomes a dead letter: see
  `workers.suspects`.
"""

from __future__ import annotations

import asyncio
import gc
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import structlog
from aiokafka import ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from streams import metrics
from streams.clients import consumer_of
from workers import __version__
from workers.batch import Batches
from workers.checkpoint import read_tails
from workers.emit import Emitter
from workers.fence import Pulse
from workers.health import Health
from workers.processor import Outcome

if TYPE_CHECKING:
    from aiokafka import OffsetAndMetadata

    from streams.settings import Settings
    from workers.batch import Batch, Records
    from workers.checkpoint import Tail
    from workers.processor import Processor

log = structlog.get_logger()

POLL_MS = 100
"""Longest wait for messages: bounds how late a stop or a tick is noticed."""

ON_ITS_WAY_NS = 3_000_000_000
"""Streams are let go this much later than their silence says: a message may be on its way, and clocks differ."""

FROZEN_SHARE = 0.7
"""Share of the session timeout that a process may stand still: the last heartbeat may be a quarter of it older than the freeze."""


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
        self._batches = Batches(processor, self._tails, self._thread)
        self._next_commit = self._next_tick = 0.0
        self._pulse = Pulse(FROZEN_SHARE * settings.session_timeout_s)
        self._emitter = Emitter(settings, f"{self.role}/{__version__}", self._pulse)
        self._joined = False
        self._trouble: str | None = None

    def ready(self) -> str | None:
        """None when messages are being processed (or would be: a spare worker has no partitions), else what is missing."""
        if not self._joined:
            return "no partitions are assigned yet"
        if not self._assigned and not self._consumer.partitions_for_topic(self.processor.inputs[0].name):
            return f"there is no topic {self.processor.inputs[0].name}"
        if self._unprepared:
            return f"{len(self._unprepared)} partitions are being restored" + (f": {self._trouble}" if self._trouble else "")
        return self._trouble or self.processor.ready()

    def stop(self) -> None:
        """Finish the batch in progress, commit, leave the group."""
        self._stopping.set()

    async def run(self) -> None:
        """Process until stopped."""
        self._consumer = consumer_of(self.settings, group=self.settings.group(self.role))
        self._admin = AIOKafkaAdminClient(**self.settings.kafka())
        await self.health.serve(self.settings.http_host, self.settings.http_port)
        log.info("listening", metrics_port=self.health.port)
        beat = asyncio.create_task(self._beat())
        try:
            await self.processor.start()
            settle_garbage_collector()
            await self._admin.start()
            await self._emitter.open()
            await self._consumer.start()
            self._consumer.subscribe([topic.name for topic in self.processor.inputs], listener=self)
            await self._loop()
        finally:
            beat.cancel()
            await self._close()

    async def _close(self) -> None:
        for name, closing in (("consumer", self._consumer.stop), ("producer", self._emitter.close), ("admin", self._admin.close)):
            try:
                await asyncio.wait_for(closing(), 15)
            except (TimeoutError, KafkaError, AssertionError) as error:
                log.warning("a client did not close", client=name, error=repr(error))
        await self.processor.stop()
        self._thread.shutdown(wait=False)
        await self.health.close()

    async def _beat(self) -> None:
        """Notices when the process was frozen for so long that its partitions may belong to another worker by now."""
        while True:
            if self._pulse.lost:
                log.warning("the process was frozen", seconds=round(self._pulse.silent_s, 1))
                self._rebuild(set(self._assigned), "frozen")
            self._pulse.beat()
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
            batch = self._batches.decode(self._epoch, records)
            metrics.QUEUE_DEPTH.labels(self.role).set(len(batch.messages))
            if in_progress:
                await in_progress
            metrics.QUEUE_DEPTH.labels(self.role).set(0)
            in_progress = asyncio.create_task(self._handle(batch))
            self.health.progress()
        if in_progress and not (await asyncio.wait([in_progress], timeout=self.settings.revoke_budget_s))[0]:
            log.warning("stopping did not wait for the batch in progress", budget_s=self.settings.revoke_budget_s)
            return
        async with self._turn:
            await self._commit(force=True)

    async def _poll(self) -> Records:
        try:
            records = await self._consumer.getmany(timeout_ms=POLL_MS, max_records=self.settings.max_batch)
        except KafkaError as error:
            log.warning("polling failed", error=repr(error))
            self._trouble = f"polling failed: {error!r}"
            await asyncio.sleep(0.5)
            return {}
        return {at: found for at, found in records.items() if at in self._tails and at not in self._unprepared}

    async def _handle(self, batch: Batch) -> None:
        async with self._turn:
            if batch.epoch != self._epoch:
                return
            try:
                if batch.records:
                    await self._process(batch)
                if time.monotonic() >= self._next_tick:
                    self._next_tick = time.monotonic() + 1.0
                    await self._tick(self._epoch)
                await self._commit()
                self._trouble = None
            except Lost as error:
                log.warning("a batch was given up", error=str(error))
                self._rebuild(set(self._assigned), "lost")
            except KafkaError as error:
                # What was acknowledged is unknown now: state is rebuilt, and the ids in the output tails tell.
                log.warning("writing failed", error=repr(error))
                self._trouble = f"writing failed: {error!r}"
                self._rebuild(set(self._assigned), "write")
            except Exception as error:
                # A defect outside of any message (a tick, a hold): tried again from rebuilt state, and /readyz says so.
                log.error("the worker failed", error=repr(error), exc_info=error)
                self._trouble = f"{type(error).__name__}: {error}"
                self._rebuild(set(self._assigned), "defect")
                await asyncio.sleep(1.0)

    async def _process(self, batch: Batch) -> None:
        done = await self._batches.run(batch)
        self._count(batch.records, done.outcome)
        await self._write(batch.epoch, done.outcome, done.last)
        for at, found in batch.records.items():
            self._tails[at].checkpoint.processed = done.last[at] + 1
            self._position[at] = found[-1].offset + 1
            self._newest_ms[at] = max(self._newest_ms.get(at, 0), found[-1].timestamp)
        if done.unfinished:
            # Their state is unknown, so what to hold back is too: the commit says only how far they were processed.
            checkpoints = {at: self._tails[at].checkpoint for at in done.unfinished}
            await self._commit_offsets({at: checkpoint.commit(checkpoint.resume) for at, checkpoint in checkpoints.items()})
            self._rebuild(done.unfinished, "exception")

    async def _tick(self, epoch: int) -> None:
        total, last = Outcome(), {}
        lag = {topic.name: 0 for topic in self.processor.inputs}
        for at in self._caught_up():
            processed, end = self._tails[at].checkpoint.processed, self._consumer.highwater(at)
            lag[at.topic] += max(0, (end or 0) - processed)
            at_end = end is None or processed >= end
            now_ns = time.time_ns() - ON_ITS_WAY_NS if at_end else self._newest_ms.get(at, 0) * 1_000_000
            self._batches.restore(at)
            total.outputs += (await self._batches.in_thread(self.processor.tick, at, now_ns)).outputs
            last[at] = processed - 1
        for topic, messages in lag.items():
            metrics.LAG.labels(self.role, topic).set(messages)
        await self._write(epoch, total, last)

    async def _write(self, epoch: int, outcome: Outcome, last: dict[TopicPartition, int]) -> None:
        if epoch != self._epoch:
            raise Lost("the partitions were taken away meanwhile")
        if not self._emitter.is_open:
            raise Lost("the process stood still")
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
        for at in before:
            self._tails[at].checkpoint.begins = self.processor.begins(at)
        offsets = {at: self._tails[at].checkpoint.commit(self.processor.hold(at)) for at in before}
        if offsets and await self._commit_offsets(offsets):
            metrics.COMMIT_AGE.labels(self.role).set_to_current_time()
            checkpoints = [self._tails[at].checkpoint for at in offsets]
            metrics.HELD_BACK.labels(self.role).set(sum(c.processed - c.resume for c in checkpoints))
            self._batches.suspects.acquit({at: committed.offset for at, committed in offsets.items()})

    async def _commit_offsets(self, offsets: dict[TopicPartition, OffsetAndMetadata]) -> bool:
        try:
            await self._consumer.commit(offsets)
        except KafkaError as error:
            log.info("commit refused; the next owner starts from the one before", error=repr(error))
            return False
        return True

    def _count(self, records: Records, total: Outcome) -> None:
        metrics.BATCH_MESSAGES.labels(self.role).observe(sum(map(len, records.values())))
        for topic in {at.topic for at in records}:
            rejected = sum(incoming.at.topic == topic for incoming, _ in total.letters)
            read = sum(len(found) for at, found in records.items() if at.topic == topic)
            metrics.MESSAGES.labels(topic, "rejected").inc(rejected)
            metrics.MESSAGES.labels(topic, "repeated").inc(total.repeated[topic])
            metrics.MESSAGES.labels(topic, "used").inc(read - rejected - total.repeated[topic])

    # ---- partitions come and go ------------------------------------------------------------------------------------------------

    async def on_partitions_revoked(self, revoked: set[TopicPartition]) -> None:
        """Let the batch in progress finish (within the budget), commit, let go."""
        try:
            async with asyncio.timeout(self.settings.revoke_budget_s), self._turn:
                await self._commit(force=True)
        except TimeoutError:
            log.warning("revocation did not wait for the batch in progress", budget_s=self.settings.revoke_budget_s)
            self._emitter.give_up()
        except Exception as error:
            log.error("letting go failed", error=repr(error), exc_info=error)
        finally:
            self._epoch += 1
            self._to_forget |= self._assigned
            self._assigned, self._unprepared = set(), set()

    async def on_partitions_assigned(self, assigned: set[TopicPartition]) -> None:
        """Nothing is read before `_prepare` has found where to go on."""
        metrics.REBALANCES.labels(self.role).inc()
        log.info("assigned", partitions=sorted(at.partition for at in assigned))
        self._epoch += 1
        self._assigned, self._unprepared, self._joined = set(assigned), set(assigned), True
        if assigned:
            self._consumer.pause(*assigned)

    def _rebuild(self, partitions: set[TopicPartition], cause: str) -> None:
        """Drop the state of partitions and read them again from their commits."""
        metrics.REBUILDS.labels(self.role, cause).inc()
        self._epoch += 1
        if cause != "exception":
            self._emitter.give_up()  # what still waits in the producer must not follow what the rebuilt state writes
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
                if not self._emitter.is_open:
                    await self._emitter.open()
                commits = await self._admin.list_consumer_group_offsets(self.settings.group(self.role), partitions=wanted)
                begins = await self._consumer.beginning_offsets(wanted)
                inputs = {at: (commits.get(at), begins[at]) for at in wanted}
                tails = await read_tails(self.settings, inputs, lambda at: self._emitter.outputs_of(at, self.processor.outputs))
            except (KafkaError, OSError, TimeoutError) as error:
                log.warning("restoring failed, trying again", error=repr(error))
                self._trouble = f"restoring failed: {error!r}"
                await asyncio.sleep(0.5)
                return
            if epoch != self._epoch:
                return
            for at, tail in tails.items():
                self._tails[at] = tail
                self._position[at] = tail.checkpoint.resume
                if tail.checkpoint.begins is not None:
                    self.processor.begin(at, tail.checkpoint.begins, tail.checkpoint.processed)
                self._consumer.seek(at, tail.checkpoint.resume)
            self._unprepared = set()
            self._consumer.resume(*wanted)
            log.info(
                "restored", partitions=len(wanted), held_back=sum(t.checkpoint.processed - t.checkpoint.resume for t in tails.values())
            )


def settle_garbage_collector() -> None:
    """Take what was loaded (networks, libraries) out of the collector's sight and let it look less often.

    A batch makes thousands of short-lived messages without cycles; each full collection otherwise walks over everything that
    torch has loaded, which took a fifth of the identity worker's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
