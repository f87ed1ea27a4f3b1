"""What libraries say over and over is said once in a while."""

import logging

import pytest

from workers import logs
from workers.logs import OncePerWhile


def record(sentence: str, *values: object) -> logging.LogRecord:
    return logging.LogRecord("aiokafka", logging.WARNING, __file__, 1, sentence, values, None)


def test_a_repeated_sentence_is_counted_not_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    once = OncePerWhile()
    assert once.filter(record("broker %s is away", 1))
    assert not any(once.filter(record("broker %s is away", n)) for n in range(50))
    assert once.filter(record("another sentence"))
    monkeypatch.setattr(logs, "REPEAT_S", 0.0)  # the while is over
    later = record("broker %s is away", 7)
    assert once.filter(later)
    assert later.getMessage() == "broker 7 is away (and 50 times more)"
