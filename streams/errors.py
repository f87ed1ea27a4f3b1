"""Every error that gaitstream raises on purpose, and what each means to the outside.

GaitstreamError
├── BadMessage            a message cannot be used: it becomes a dead letter with `reason`, the stream goes on
│   ├── Undecodable       bytes are not the wire format
│   ├── SchemaMismatch    a field is missing or ill-typed; `path` names it
│   ├── BadValues         well-formed but impossible: NaN, absurd magnitude, wrong units
│   ├── BadClock          a time that cannot be: ahead of the broker, behind the stream
│   └── ProcessingFailed  an unforeseen exception while this message was processed
├── Unavailable           a broker or a peer does not answer: try again later
├── Refused               a command cannot be carried out as asked: answer the caller, change nothing
└── Misconfigured         the installation or a setting is wrong: stop and say so
    └── UnknownSealKey    values are sealed under a key that this process was not given
"""

from __future__ import annotations

from typing import ClassVar


class GaitstreamError(Exception):
    """Root of the tree.  `reason` is a short stable word used as metric label and header."""

    reason: ClassVar[str] = "error"
    retry: ClassVar[bool] = False
    letter: ClassVar[bool] = False


class BadMessage(GaitstreamError):
    """A message that cannot be used.  Carries its own `reason`, chosen from a small fixed set per subclass."""

    letter = True
    reason = "bad_message"

    def __init__(self, text: str, *, reason: str | None = None, path: str = "") -> None:
        super().__init__(text)
        self.why: str = reason or self.reason
        self.path = path


class Undecodable(BadMessage):
    """The bytes are not a msgpack map of the expected family, or the version is unknown."""

    reason = "undecodable"


class SchemaMismatch(BadMessage):
    """A field is missing or ill-typed; `path` is the field's path, such as `acc.shape`."""

    reason = "schema"


class BadValues(BadMessage):
    """Values that no sensor gives: NaN, absurd magnitudes, acceleration in g, rates in degrees."""

    reason = "values"


class BadClock(BadMessage):
    """A time that cannot be: ahead of the broker's clock, or behind what the stream has already decided."""

    reason = "clock"


class ProcessingFailed(BadMessage):
    """An exception that nobody foresaw, raised while this message was processed."""

    reason = "internal"


class Unavailable(GaitstreamError):
    """A broker or a peer does not answer; the same call may succeed later."""

    reason = "unavailable"
    retry = True


class Refused(GaitstreamError):
    """A command cannot be carried out as asked.  The text says why and what would help."""

    reason = "refused"


class Misconfigured(GaitstreamError):
    """The installation or a setting is wrong; the text says which and how to mend it."""

    reason = "misconfigured"


class UnknownSealKey(Misconfigured):
    """Values are sealed under a key that this process was not given: nothing is wrong with them, so they are no dead letters."""

    reason = "seal_key"

    def __init__(self, text: str, key_id: str) -> None:
        super().__init__(text)
        self.key_id = key_id
