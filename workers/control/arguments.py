"""What each kind of command takes, checked before anything is done."""

from __future__ import annotations

from typing import Annotated, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from streams.messages import Command
from streams.messages.fields import Name, Nanoseconds, OptionalText
from workers.control.refusal import Refusal


class Arguments(BaseModel):
    """Unknown arguments are refused: a misspelt expiry must not mean "for ever"."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class EnrolArguments(Arguments):
    """Whose stream, which stretch of time (or the last seconds of its walking), and what the person agreed to."""

    stream_key: Name
    from_ns: Nanoseconds | None = None
    to_ns: Nanoseconds | None = None
    last_s: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    consent: OptionalText = ""
    expires_ns: Nanoseconds | None = None
    replace: bool = False
    """Templates that the person has already are erased."""

    @model_validator(mode="after")
    def _one_stretch(self) -> Self:
        if self.last_s is not None and (self.from_ns is not None or self.to_ns is not None):
            raise ValueError("give last_s, or from_ns and to_ns, not both")
        if self.from_ns is not None and self.to_ns is not None and self.from_ns >= self.to_ns:
            raise ValueError("from_ns must be before to_ns")
        return self


class NewName(Arguments):
    """Of rename and merge."""

    to: Name


class ConsentArguments(Arguments):
    """What is not given stays; `expires_ns` None means without end."""

    consent: OptionalText | None = None
    expires_ns: Nanoseconds | None = None

    @model_validator(mode="after")
    def _something(self) -> Self:
        if not self.model_fields_set:
            raise ValueError("give consent, expires_ns or both")
        return self


class EraseArguments(Arguments):
    """`expired`: only templates past their expiry, and no receipt (the timer asks for it).

    `cut`: also cut the partitions of samples and embeddings behind the person's last record there, which takes older records of
    other devices along.  `scan_s`: how long the topics may be searched; the receipt says when that was too short.
    """

    expired: bool = False
    cut: bool = False
    scan_s: Annotated[float, Field(gt=0, le=3600)] = 120.0


Family = TypeVar("Family", bound=Arguments)


def arguments_of(command: Command, family: type[Family]) -> Family:
    """Checked arguments of a command.  Raises Refusal that names the field."""
    try:
        return family.model_validate(command.arguments)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        path = ".".join(map(str, first["loc"]))
        raise Refusal(f"{command.kind}: {path + ': ' if path else ''}{first['msg']}", "arguments") from None
