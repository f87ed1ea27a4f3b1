"""What the runtime promises every worker: commits, restarts, rebalances, exceptions, back-pressure, batching, health."""

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Iterable

import pytest
from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from streams import topics
from streams.clients import consumer_of, producer_of, read_partitions
from streams.deadletter import list_letters
from streams.settings import Settings
from tests.support.brokers import broker_kinds
from tests.support.pipeline import LocalWorker, until
from tests.support.processors import Echo, Gate, Note
from workers import health
from workers.fence import Fence, Fenced, Pulse
from workers.processor import Incoming

RAW, OUT = topics.IMU_RAW.name, topics.SAMPLES_INERTIAL.name
AT = TopicPartition(RAW, 0)
TWO_PARTITIONS = {topic.name: 2 for topic in topics.CO_PARTITIONED}

pytestmark = pytest.mark.parametrize("broker_kind", broker_kinds())
two_partitions = pytest.mark.parametrize("partitions", [TWO_PARTITIONS], indirect=True, ids=["2 partitions"])


async def publish(settings: Settings, texts: Iterable[str], partition: int = 0) -> None:
    await publish_bytes(settings, *(Note(text=text).to_bytes() for text in texts), partition=partition)


async def publish_bytes(settings: Settings, *values: bytes, partition: int = 0) -> None:
    producer = producer_of(settings)
    await producer.start()
    try:
        await asyncio.gather(*[await producer.send(RAW, value, partition=partition) for value in values])
    finally:
        await producer.stop()


async def written(settings: Settings) -> list[str]:
    """Texts in the output topic, partition by partition, in order."""
    found = [(record.partition, Note.from_bytes(record.value).text) async for record in read_partitions(settings, OUT)]
    return [text for _, text in sorted(found, key=lambda row: row[0])]


async def until_written(settings: Settings, texts: list[str], timeout_s: float = 60.0) -> None:
    """Wait for as many outputs, then compare exactly."""

    async def enough() -> bool:
        return len(await written(settings)) >= len(texts)

    await until(enough, timeout_s, f"{len(texts)} outputs")
    assert await written(settings) == texts


async def committed(settings: Settings, partition: int = 0) -> tuple[int, dict[str, object]]:
    """Offset and metadata that the group has committed."""
    admin = AIOKafkaAdminClient(bootstrap_servers=settings.bootstrap)
    await admin.start()
    try:
        at = TopicPartition(RAW, partition)
        found = (await admin.list_consumer_group_offsets(settings.group("echo"), partitions=[at]))[at]
        return found.offset, json.loads(found.metadata or "{}")
    finally:
        await admin.close()


def answer(worker: LocalWorker, path: str) -> int:
    """HTTP status of a worker's endpoint."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{worker.runtime.health.port}{path}", timeout=5) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        return error.code


async def status(worker: LocalWorker, path: str) -> int:
    return await asyncio.to_thread(answer, worker, path)


# ---- batching and back-pressure ------------------------------------------------------------------------------------------------


async def test_light_load_gives_batches_of_one_and_a_backlog_large_ones(settings: Settings) -> None:
    processor = Echo()
    async with LocalWorker(settings, processor):
        for n in range(3):
            await publish(settings, [f"light {n}"])
            await until_written(settings, [f"light {i}" for i in range(n + 1)])
    assert processor.batches == [["light 0"], ["light 1"], ["light 2"]]
    backlog = [f"heavy {n}" for n in range(500)]
    await publish(settings, backlog)
    processor = Echo()
    async with LocalWorker(settings, processor):
        await until_written(settings, [*(f"light {i}" for i in range(3)), *backlog])
    assert sum(map(len, processor.batches)) == 500
    assert len(processor.batches) <= 5


async def test_at_most_one_batch_waits(settings: Settings) -> None:
    """While a batch is processed, one more is read and decoded, and no third."""
    settings = settings.model_copy(update={"max_batch": 10})
    texts = [str(n) for n in range(100)]
    await publish(settings, texts)
    processor, gate = Echo(), Gate("5")
    processor.before_each = gate
    async with LocalWorker(settings, processor):
        await until(lambda: gate.reached.is_set() and processor.decoded == 20, 60, "a batch in progress and one that waits")
        await publish(settings, ["later"])  # meanwhile the loop could have gone round many times
        assert await written(settings) == []
        assert processor.decoded == 20
        gate.opened.set()
        await until_written(settings, [*texts, "later"])
    assert max(map(len, processor.batches)) == 10


# ---- commits and restarts ------------------------------------------------------------------------------------------------------


async def test_a_commit_is_held_back_and_a_successor_repeats_nothing(settings: Settings) -> None:
    settings = settings.model_copy(update={"commit_every_s": 0.1})
    texts = [str(n) for n in range(20)]
    first = Echo()
    first.held[AT] = 12
    async with LocalWorker(settings, first):
        await publish(settings, texts)
        await until_written(settings, texts)
    offset, metadata = await committed(settings)
    assert (offset, metadata["p"]) == (12, 20)
    second = Echo()
    second.held[AT] = 12
    async with LocalWorker(settings, second):
        await publish(settings, ["20"])
        await until_written(settings, [*texts, "20"])
    # Held-back messages come first, apart from new ones; what was written of them is handed over.
    assert [text for batch in second.batches for text in batch] == [*texts[12:], "20"]
    assert not [batch for batch in second.batches if "20" in batch and len(batch) > 1]
    assert {emitted.id for emitted in second.restored} >= {f"0/{offset}" for offset in range(12, 20)}
    third = Echo()
    async with LocalWorker(settings, third):

        async def let_go() -> bool:
            return (await committed(settings))[0] == 21

        await until(let_go, 30, "a commit without a hold")
    assert await written(settings) == [*texts, "20"]


async def test_a_crash_before_the_commit_repeats_nothing(settings: Settings) -> None:
    """Outputs and letters were written, the commit was not: the successor finds them at the end of the output topics."""
    settings = settings.model_copy(update={"commit_every_s": 1000.0})
    texts = [str(n) for n in range(10)]
    for n in range(3):
        processor = Echo()
        async with LocalWorker(settings, processor) as worker:
            if n == 0:
                await publish(settings, texts[:4])
                await publish_bytes(settings, b"not a note")
                await publish(settings, texts[4:])
            await until_written(settings, texts)
            await until(lambda processor=processor: sum(map(len, processor.batches)) == len(texts), 30, "everything read again")
            await worker.crash()
        assert (await committed(settings))[0] in (0, -1)
    async with LocalWorker(settings, Echo()):
        await publish(settings, ["10"])
        await until_written(settings, [*texts, "10"])
    assert [letter.reason for letter in await list_letters(settings)] == ["undecodable"]


async def test_a_commit_of_another_program_is_understood(settings: Settings) -> None:
    """Offsets that an operator resets carry no metadata of ours: processing starts there, and what is in the tails is not repeated."""
    texts = [str(n) for n in range(10)]
    async with LocalWorker(settings, Echo()):
        await publish(settings, texts)
        await until_written(settings, texts)
    consumer = consumer_of(settings, group=settings.group("echo"))
    await consumer.start()
    try:
        consumer.assign([AT])
        await consumer.commit({AT: 4})
    finally:
        await consumer.stop()
    processor = Echo()
    async with LocalWorker(settings, processor):
        await publish(settings, ["10"])
        await until_written(settings, [*texts, "10"])
    assert [text for batch in processor.batches for text in batch] == [*texts[4:], "10"]


# ---- exceptions ----------------------------------------------------------------------------------------------------------------


@two_partitions
async def test_a_message_that_raises_becomes_a_letter_and_all_others_are_processed_once(settings: Settings) -> None:
    """Bad ones among good ones in two partitions, all in one batch; the next worker does not trip over them again."""
    settings = settings.model_copy(update={"commit_every_s": 0.1})
    bad = {"p0 3", "p0 4", "p0 29", "p1 0", "p1 17"}

    def fussy(incoming: Incoming) -> None:
        if incoming.message.text in bad:  # type: ignore[attr-defined]
            raise RuntimeError(f"cannot stand {incoming.message.text}")  # type: ignore[attr-defined]

    texts = {p: [f"p{p} {n}" for n in range(30)] for p in (0, 1)}
    for p in (0, 1):
        await publish(settings, texts[p], p)
    good = [text for p in (0, 1) for text in texts[p] if text not in bad]

    async def answered() -> bool:
        return len(await list_letters(settings)) >= len(bad)

    for _ in range(2):
        processor = Echo()
        processor.before_each = fussy
        processor.held = {TopicPartition(RAW, 0): 0, TopicPartition(RAW, 1): 0}  # the successor reads everything again
        async with LocalWorker(settings, processor) as worker:
            await until_written(settings, good)
            await until(answered, 60, "the letters")
            await until(worker.is_ready, 60, "the worker")
    letters = await list_letters(settings)
    assert sorted(Note.from_bytes(letter.value).text for letter in letters) == sorted(bad)
    assert {letter.reason for letter in letters} == {"internal"}
    assert all("cannot stand" in letter.text for letter in letters)


async def test_outputs_that_cannot_be_taken_over_do_not_stop_the_messages_behind(settings: Settings) -> None:
    settings = settings.model_copy(update={"commit_every_s": 0.1})
    first = Echo()
    first.held[AT] = 0
    async with LocalWorker(settings, first):
        await publish(settings, ["0", "1"])
        await until_written(settings, ["0", "1"])
    second = Echo()
    second.held[AT] = 0

    def damaged() -> None:
        raise ValueError("cannot read this output")

    second.on_restore = damaged
    async with LocalWorker(settings, second):
        await publish(settings, ["2"])
        await until_written(settings, ["0", "1", "2"])
    assert second.restored
    assert await list_letters(settings) == []


async def test_a_defect_outside_of_messages_is_shown_and_survived(settings: Settings) -> None:
    processor = Echo()
    broken = True

    def tick() -> None:
        if broken:
            raise ZeroDivisionError("a defect of the worker")

    processor.on_tick = tick
    worker = LocalWorker(settings, processor)
    async with worker:
        await until(lambda: "ZeroDivisionError" in (worker.runtime.ready() or ""), 30, "/readyz that names the defect")
        broken = False
        await publish(settings, ["0", "1"])
        await until_written(settings, ["0", "1"])
        await until(worker.is_ready, 30, "the worker")


# ---- rebalances ----------------------------------------------------------------------------------------------------------------


async def test_a_long_forward_pass_does_not_cost_the_membership(settings: Settings) -> None:
    """Processing stands still for longer than the session timeout; heartbeats go on, and the batch counts."""
    processor, gate = Echo(), Gate("1")
    processor.before_each = gate
    async with LocalWorker(settings, processor) as worker:
        await publish(settings, ["0", "1", "2"])
        await until(gate.reached.is_set, 30, "the long batch")
        forgotten, began_s = len(processor.forgotten), asyncio.get_running_loop().time()
        await until(lambda: asyncio.get_running_loop().time() > began_s + 1.3 * settings.session_timeout_s, 60, "the session timeout")
        gate.opened.set()
        await until_written(settings, ["0", "1", "2"])
        assert len(processor.forgotten) == forgotten, "the state was rebuilt: the membership was lost"
        assert worker.is_ready()
    assert sum(map(len, processor.batches)) == 3


@two_partitions
async def test_revoked_partitions_are_forgotten_and_a_spare_worker_is_ready(settings: Settings) -> None:
    first, second, third = Echo(), Echo(), Echo()
    async with LocalWorker(settings, first) as one:
        assert len(one.runtime._assigned) == 2
        async with LocalWorker(settings, second) as two:
            await until(lambda: one.is_ready() and len(one.runtime._assigned) == 1, 60, "one partition each")
            assert set(first.forgotten) >= {TopicPartition(RAW, 0), TopicPartition(RAW, 1)}
            assert one.runtime._assigned | two.runtime._assigned == {TopicPartition(RAW, 0), TopicPartition(RAW, 1)}
            async with LocalWorker(settings, third) as three:
                # More workers than partitions: one has nothing to do and would take over at once.
                await until(lambda: sum(not worker.runtime._assigned for worker in (one, two, three)) == 1, 60, "a spare worker")
                await until(lambda: all(worker.is_ready() for worker in (one, two, three)), 60, "three ready workers")
                for p in (0, 1):
                    await publish(settings, [f"p{p}"], p)
                await until_written(settings, ["p0", "p1"])


async def test_a_batch_beyond_the_budget_is_given_up_and_done_by_the_next_owner(settings: Settings) -> None:
    """A new member joins while a batch takes long: the group does not wait for it, and nothing of it is written twice."""
    settings = settings.model_copy(update={"revoke_budget_s": 0.5})
    slow, gate = Echo(), Gate("1")
    slow.before_each = gate
    texts = [str(n) for n in range(6)]
    async with LocalWorker(settings, slow) as first:
        await publish(settings, texts)
        await until(gate.reached.is_set, 30, "the long batch")
        other = LocalWorker(settings, Echo())
        joining = asyncio.create_task(other.__aenter__())
        await until(lambda: not first.runtime._assigned or first.runtime._unprepared, 60, "the rebalance")
        gate.opened.set()
        await joining
        try:
            await until_written(settings, texts)
            await until(first.is_ready, 60, "the first worker")
            await publish(settings, ["6"])
            await until_written(settings, [*texts, "6"])
        finally:
            await other.stop()


async def test_after_a_freeze_nothing_leaves_the_producer(settings: Settings) -> None:
    """Messages wait in the producer when the process stands still; when it wakes up, they must not follow those of the successor."""
    now_s = 0.0
    pulse = Pulse(4.0, clock=lambda: now_s)
    producer = producer_of(settings, linger_ms=0)
    await producer.start()
    try:
        fence = Fence(producer, pulse)
        await producer.send_and_wait(OUT, Note(text="before").to_bytes(), partition=0)
        waiting = await producer.send(OUT, Note(text="frozen").to_bytes(), partition=0)
        now_s = 5.0  # no await since the send: the message has not left yet
        with pytest.raises(Fenced):
            await waiting
        assert fence.down
        pulse.beat()
        with pytest.raises(KafkaError):
            await producer.send_and_wait(OUT, Note(text="after").to_bytes(), partition=0)
    finally:
        await producer.stop()
    assert await written(settings) == ["before"]


# ---- health --------------------------------------------------------------------------------------------------------------------


async def test_health_follows_progress(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(health, "STUCK_AFTER_S", 0.5)
    processor, gate = Echo(), Gate("stuck")
    processor.before_each = gate
    async with LocalWorker(settings, processor) as worker:
        assert await status(worker, "/readyz") == 200
        assert await status(worker, "/healthz") == 200
        processor.missing = "the gallery"
        assert await status(worker, "/readyz") == 503
        processor.missing = None
        await publish(settings, ["stuck"])
        await until(gate.reached.is_set, 30, "the batch")

        async def is_stuck() -> bool:
            return await status(worker, "/healthz") == 503

        await until(is_stuck, 30, "/healthz that notices")
        gate.opened.set()

        async def goes_on() -> bool:
            return await status(worker, "/healthz") == 200

        await until(goes_on, 30, "/healthz that notices")
        await until_written(settings, ["stuck"])
