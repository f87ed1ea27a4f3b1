"""Small processors for tests of the runtime: real outputs, and a way to make each thing go wrong."""

import threading
from collections.abc import Callable, Sequence

from aiokafka import ConsumerRecord, TopicPartition

from streams import topics
from streams.codec import Message
from workers.processor import Emitted, Incoming, Outcome, Output, Processor


class Note(Message):
    """What travels in these tests."""

    text: str


class Echo(Processor):
    """Writes every note once, with its place in the log as id; remembers what the runtime asked of it."""

    role = "echo"
    inputs: tuple[topics.Topic, ...] = (topics.IMU_RAW,)
    outputs: tuple[topics.Topic, ...] = (topics.SAMPLES_INERTIAL,)

    def __init__(self) -> None:
        self.decoded = 0
        self.batches: list[list[str]] = []
        self.held: dict[TopicPartition, int | None] = {}
        self.forgotten: list[TopicPartition] = []
        self.restored: list[Emitted] = []
        self.missing: str | None = None
        self.before_each: Callable[[Incoming], None] = lambda incoming: None
        self.on_tick: Callable[[], None] = lambda: None
        self.on_restore: Callable[[], None] = lambda: None

    async def start(self) -> None:
        """Nothing to load."""

    async def stop(self) -> None:
        """Nothing to release."""

    def ready(self) -> str | None:
        return self.missing

    def decode(self, record: ConsumerRecord) -> Note:
        self.decoded += 1
        return Note.from_bytes(record.value)

    def process(self, batch: Sequence[Incoming]) -> Outcome:
        self.batches.append([incoming.message.text for incoming in batch])  # type: ignore[attr-defined]
        outcome = Outcome()
        for incoming in batch:
            self.before_each(incoming)
            place = f"{incoming.at.partition}/{incoming.record.offset}"
            outcome.outputs.append(Output(incoming.at, self.outputs[0].name, b"key", incoming.record.value, place))
        return outcome

    def tick(self, at: TopicPartition, now_ns: int) -> Outcome:
        self.on_tick()
        return Outcome()

    def hold(self, at: TopicPartition) -> int | None:
        return self.held.get(at)

    def restore(self, at: TopicPartition, emitted: Sequence[Emitted]) -> None:
        self.restored += emitted
        self.on_restore()

    def forget(self, at: TopicPartition) -> None:
        self.forgotten.append(at)


class Gate:
    """Stops the worker thread at a message until it is opened."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.reached, self.opened = threading.Event(), threading.Event()

    def __call__(self, incoming: Incoming) -> None:
        if incoming.message.text == self._text:  # type: ignore[attr-defined]
            self.reached.set()
            assert self.opened.wait(60)
