"""What an operator asks of the control plane, what it answers, and the audit trail of both."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from streams.codec import Message
from streams.messages.fields import Name, Nanoseconds, OptionalText

CommandKind = Literal["enrol", "rename", "merge", "erase", "consent", "reseal"]


class Command(Message):
    """One request.  `arguments` depend on `kind` and are checked by the agent that carries it out."""

    id: Name
    kind: CommandKind
    subject: Name
    actor: Name
    sent_ns: Nanoseconds
    arguments: dict[str, Any] = Field(default_factory=dict)


class Reply(Message):
    """The outcome of a command: exactly one per command id."""

    command_id: Name
    kind: CommandKind
    subject: Name
    ok: bool
    error: OptionalText = ""
    result: dict[str, Any] = Field(default_factory=dict)
    finished_ns: Nanoseconds


class AuditEntry(Message):
    """Who did what to whom, and how it ended."""

    actor: Name
    action: Annotated[str, Field(min_length=1, max_length=64)]
    subject: Name | None = None
    outcome: OptionalText
    at_ns: Nanoseconds
    details: dict[str, Any] = Field(default_factory=dict)
