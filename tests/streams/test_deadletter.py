"""Letters: what their headers say, and what they carry of large messages."""

import pytest
from aiokafka import ConsumerRecord

from streams.deadletter import CUT_FROM, CUT_TO_BYTES, MOST_LETTER_BYTES, letter_content, letter_headers, letter_of
from streams.errors import BadClock, BadMessage, BadValues, GaitstreamError, ProcessingFailed, SchemaMismatch, Undecodable


def as_record(headers: list[tuple[str, bytes]], key: bytes | None, value: bytes | None) -> ConsumerRecord:
    return ConsumerRecord("gait.deadletter", 2, 17, 1000, 0, key, value, None, 0, 0, tuple(headers))


@pytest.mark.parametrize(
    ("error", "reason", "path"),
    [
        (Undecodable("not msgpack"), "undecodable", ""),
        (Undecodable("version 2", reason="version", path="v"), "version", "v"),
        (SchemaMismatch("acc is missing", path="acc"), "schema", "acc"),
        (BadValues("NaN", reason="not_finite", path="gyro"), "not_finite", "gyro"),
        (BadClock("late", reason="late", path="start_ns"), "late", "start_ns"),
        (ProcessingFailed("ValueError: ü" + "x" * 1000), "internal", ""),
    ],
)
def test_headers_say_why_and_from_where(error: BadMessage, reason: str, path: str) -> None:
    headers = letter_headers(error, "gait.imu.raw", 5, 99, "inertial/1")
    letter = letter_of(as_record([("id", b"gait.imu.raw/5/99"), *headers], b"k", b"v"))
    assert (letter.reason, letter.path, letter.topic, letter.partition, letter.offset) == (reason, path, "gait.imu.raw", 5, 99)
    assert (letter.id, letter.worker, letter.place, letter.key, letter.value) == ("gait.imu.raw/5/99", "inertial/1", "2:17", b"k", b"v")
    assert letter.text == str(error)[:500]
    assert letter.cut_from is None


def test_a_foreign_record_among_the_letters_is_shown_as_it_is() -> None:
    """Anyone may write to the topic; listing must not stop at what is not ours."""
    letter = letter_of(as_record([("reason", b"\xff")], None, b"x"))
    assert (letter.id, letter.topic, letter.partition, letter.offset) == ("", "", -1, -1)
    letter = letter_of(as_record([("partition", b"many"), ("offset", b""), ("time_ms", b"today")], None, b"x"))
    assert (letter.partition, letter.offset, letter.at_ms) == (-1, -1, 1000)


@pytest.mark.parametrize(
    ("key", "value", "expected_value", "cut"),
    [
        (b"k", b"v", b"v", False),
        (None, b"v", b"v", False),
        (b"k", None, None, False),
        (None, None, b"", False),  # no producer sends neither
        (b"k", b"v" * (MOST_LETTER_BYTES - 1), b"v" * (MOST_LETTER_BYTES - 1), False),
        (b"k", b"v" * MOST_LETTER_BYTES, b"v" * CUT_TO_BYTES, True),
        (b"k" * 2_000_000, None, None, True),  # a key can be too large as well
    ],
)
def test_oversized_messages_are_cut(key: bytes | None, value: bytes | None, expected_value: bytes | None, cut: bool) -> None:
    cut_key, cut_value, headers = letter_content(key, value)
    assert cut_value == expected_value
    assert len(cut_key or b"") <= 1024
    assert headers == ([(CUT_FROM, str(len(key or b"") + len(value or b"")).encode())] if cut else [])


def test_every_error_has_a_word_of_its_own() -> None:
    def below(error: type[GaitstreamError]) -> list[type[GaitstreamError]]:
        return [error, *(e for child in error.__subclasses__() for e in below(child))]

    reasons = [error.reason for error in below(GaitstreamError) if error.__module__ == "streams.errors"]
    assert len(set(reasons)) == len(reasons)
    assert all(error.letter == issubclass(error, BadMessage) for error in below(GaitstreamError))
