"""Finding the message that raised."""

import random

from aiokafka import ConsumerRecord, TopicPartition
from hypothesis import given, settings
from hypothesis import strategies as st

from workers.processor import UNDECODED, Incoming
from workers.suspects import Suspects


def incoming(partition: int, offset: int) -> Incoming:
    at = TopicPartition("in", partition)
    return Incoming(at, ConsumerRecord("in", partition, offset, 0, 0, None, b"", None, 0, 0, ()), UNDECODED)


@settings(max_examples=200, deadline=None)
@given(seed=st.integers(0, 2**32))
def test_a_batch_is_split_without_loss_and_in_order(seed: int) -> None:
    chance = random.Random(seed)
    begin = {p: chance.randrange(10) for p in range(3)}
    batch = [incoming(p, begin[p] + n) for p in range(3) for n in range(chance.randrange(12))]
    processed = {p: begin[p] + chance.randrange(12) for p in range(3)}
    suspects = Suspects()
    blamed = {p: begin[p] + chance.randrange(12) for p in range(3) if chance.random() < 0.6}
    for p, offset in blamed.items():
        suspects.blame([incoming(p, offset - 1), incoming(p, offset)], ValueError())
    steps = suspects.steps(batch, lambda i: i.record.offset >= processed[i.at.partition])
    flat = [i for step in steps for i in step]
    assert sorted((i.at.partition, i.record.offset) for i in flat) == sorted((i.at.partition, i.record.offset) for i in batch)
    for p in range(3):
        offsets = [i.record.offset for i in flat if i.at.partition == p]
        assert offsets == sorted(offsets)
    for i in flat:
        suspected = i.record.offset <= blamed.get(i.at.partition, -1) and i.record.offset >= processed[i.at.partition]
        assert [i] in steps or not suspected, "a suspect is tried alone"
    assert all(steps)
    # What was processed before is known to be good: it never costs a step of its own.
    assert not [i for step in steps[1:] for i in step if i.record.offset < processed[i.at.partition]]


def test_a_message_that_raises_alone_is_guilty_until_it_is_committed() -> None:
    suspects = Suspects()
    one, two = incoming(0, 5), incoming(0, 6)
    suspects.blame([one, two], ValueError("x"))
    assert suspects.verdict(one.at, 5) is None
    suspects.blame([two], ValueError("x"))
    verdict = suspects.verdict(two.at, 6)
    assert verdict is not None
    assert (verdict.why, str(verdict)) == ("internal", "ValueError: x")
    suspects.acquit({two.at: 6})
    assert suspects.verdict(two.at, 6) is not None
    suspects.acquit({two.at: 7})
    assert suspects.verdict(two.at, 6) is None
    assert suspects.steps([two, incoming(0, 7)], lambda _: True) == [[two, incoming(0, 7)]]
