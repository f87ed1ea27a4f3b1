"""Structured logs: one JSON object per line for programs, short coloured lines for people."""

from __future__ import annotations

import logging
import sys
import time
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from streams.settings import Settings


REPEAT_S = 10.0
"""A library's sentence appears once in so long: aiokafka says a hundred times a second that a broker is away."""

MOST_SENTENCES = 1000


class OncePerWhile(logging.Filter):
    """Lets a sentence (its template, whatever the values in it) through once in REPEAT_S and says how many were left out."""

    def __init__(self) -> None:
        super().__init__()
        self._said: dict[tuple[str, str], tuple[float, int]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        sentence = (record.name, str(record.msg))
        if len(self._said) > MOST_SENTENCES:  # a library that formats its values into the sentence
            self._said.clear()
        said_s, left_out = self._said.get(sentence, (-REPEAT_S, 0))
        now_s = time.monotonic()
        if now_s - said_s < REPEAT_S:
            self._said[sentence] = (said_s, left_out + 1)
            return False
        self._said[sentence] = (now_s, 0)
        if left_out:
            record.msg = f"{record.msg} (and {left_out} times more)"
        return True


def configure_logs(settings: Settings, role: str) -> None:
    """Set up structlog and the standard library's logging (aiokafka, Faust) for this process, to standard error."""
    level = logging.getLevelNamesMapping()[settings.log_level.upper()]
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    human = settings.log_format == "console"
    renderer: structlog.typing.Processor = structlog.dev.ConsoleRenderer() if human else structlog.processors.JSONRenderer()
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    structlog.contextvars.bind_contextvars(role=role)
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(OncePerWhile())
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processor=renderer, foreign_pre_chain=shared))
    logging.basicConfig(handlers=[handler], level=max(level, logging.WARNING), force=True)
