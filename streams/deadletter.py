"""Dead letters: the original bytes with the reason in headers; list them, show one, put one back.

A letter lies in partition `original partition modulo letters' partitions`, so that each worker knows where its own letters are.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiokafka import TopicPartition

from streams import topics
from streams.clients import consumer_of, partitions_of, producer_of, read_partitions
from streams.codec import MAX_MESSAGE_BYTES
from streams.errors import BadMessage, Refused

if TYPE_CHECKING:
    from collections.abc import Sequence

    from aiokafka import ConsumerRecord

    from streams.settings import Settings

Headers = list[tuple[str, bytes]]
REPLAYED_FROM = "gaitstream-replayed"
"""Header on a message that was put back: which letter it came from."""
CUT_FROM = "cut_from"
"""Header on the letter of an oversized message: its length in bytes; the letter carries only the beginning."""

MOST_LETTER_BYTES = MAX_MESSAGE_BYTES
"""Larger messages are refused as oversized anyway; with a letter's headers they could exceed what the broker takes."""
CUT_TO_BYTES, CUT_KEY_TO_BYTES = 65_536, 1_024


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter as read back from the topic."""

    id: str
    reason: str
    text: str
    path: str
    topic: str
    partition: int
    offset: int
    at_ms: int
    worker: str
    key: bytes | None
    value: bytes | None
    cut_from: int | None
    """Length of the original when the letter carries only its beginning."""
    place: str
    """PARTITION:OFFSET of the letter itself: what `show` and `replay` take."""


def letter_headers(error: BadMessage, topic: str, partition: int, offset: int, worker: str) -> Headers:
    """Headers of a letter: why, from where, when, by whom."""
    return [
        ("reason", error.why.encode()),
        ("text", str(error)[:500].encode()),
        ("path", error.path.encode()),
        ("topic", topic.encode()),
        ("partition", str(partition).encode()),
        ("offset", str(offset).encode()),
        ("time_ms", str(int(time.time() * 1000)).encode()),
        ("worker", worker.encode()),
    ]


def letter_content(key: bytes | None, value: bytes | None) -> tuple[bytes | None, bytes | None, Headers]:
    """Key and value of a letter, and the header that says so when an oversized message was cut."""
    if key is None and value is None:
        return None, b"", []  # a producer refuses a message with neither
    size = len(key or b"") + len(value or b"")
    if size <= MOST_LETTER_BYTES:
        return key, value, []
    return key and key[:CUT_KEY_TO_BYTES], value and value[:CUT_TO_BYTES], [(CUT_FROM, str(size).encode())]


def letter_of(record: ConsumerRecord) -> Letter:
    """The letter in a record of the dead-letter topic."""
    headers = {name: (value or b"").decode("utf-8", "replace") for name, value in record.headers}
    return Letter(
        id=headers.get("id", ""),
        reason=headers.get("reason", ""),
        text=headers.get("text", ""),
        path=headers.get("path", ""),
        topic=headers.get("topic", ""),
        partition=_integer(headers.get("partition"), -1),
        offset=_integer(headers.get("offset"), -1),
        at_ms=_integer(headers.get("time_ms"), record.timestamp),
        worker=headers.get("worker", ""),
        key=record.key,
        value=record.value,
        cut_from=_integer(headers[CUT_FROM], 0) if CUT_FROM in headers else None,
        place=f"{record.partition}:{record.offset}",
    )


def _integer(text: str | None, otherwise: int) -> int:
    """The number in a header; anyone may write to the topic, and listing must not stop at what is not ours."""
    try:
        return int(text or "")
    except ValueError:
        return otherwise


async def list_letters(settings: Settings, *, reason: str | None = None, limit: int = 100) -> list[Letter]:
    """The newest letters first."""
    letters = [letter_of(r) async for r in read_partitions(settings, topics.DEAD_LETTER.name)]
    wanted = [letter for letter in letters if reason is None or letter.reason == reason]
    return sorted(wanted, key=lambda letter: letter.at_ms, reverse=True)[:limit]


async def show_letter(settings: Settings, place: str) -> Letter:
    """The letter at PARTITION:OFFSET.  Raises Refused when there is none."""
    try:
        partition, offset = (int(part) for part in place.split(":"))
    except ValueError:
        raise Refused(f"a letter's place is PARTITION:OFFSET as `deadletter list` prints it, got {place!r}") from None
    consumer = consumer_of(settings)
    await consumer.start()
    try:
        at = TopicPartition(topics.DEAD_LETTER.name, partition)
        if partition not in await partitions_of(settings, at.topic):
            raise Refused(f"there is no partition {partition} of {at.topic}")
        consumer.assign([at])
        if not (await consumer.beginning_offsets([at]))[at] <= offset < (await consumer.end_offsets([at]))[at]:
            raise Refused(f"there is no letter at {place} (it may have passed its retention)")
        consumer.seek(at, offset)
        return letter_of(await consumer.getone(at))
    finally:
        await consumer.stop()


async def replay_letters(settings: Settings, places: Sequence[str]) -> list[Letter]:
    """Put letters back on the topic and partition they came from; their order among newer messages is the end of the queue.

    Raises Refused when there is no such letter, or when it carries only the beginning of an oversized message.
    """
    letters = [await show_letter(settings, place) for place in places]
    if cut := [letter.place for letter in letters if letter.cut_from is not None]:
        raise Refused(f"the letter at {', '.join(cut)} carries only the beginning of an oversized message")
    producer = producer_of(settings)
    await producer.start()
    try:
        for letter in letters:
            headers = [(REPLAYED_FROM, letter.place.encode())]
            await producer.send_and_wait(letter.topic, letter.value, key=letter.key, partition=letter.partition, headers=headers)
    finally:
        await producer.stop()
    return letters
