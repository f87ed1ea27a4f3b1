"""A member of a consumer group, and what the group tells it."""

import asyncio
import enum
from dataclasses import dataclass, field
from typing import Any

from kio.schema.errors import ErrorCode


class GroupState(enum.Enum):
    """Named as DescribeGroups reports them."""

    EMPTY = "Empty"
    PREPARING = "PreparingRebalance"
    COMPLETING = "CompletingRebalance"
    STABLE = "Stable"
    DEAD = "Dead"


class GroupError(Exception):
    """A request to a group that is answered with an error code."""

    def __init__(self, code: ErrorCode, member_id: str = "") -> None:
        super().__init__(code.name)
        self.code = code
        self.member_id = member_id


@dataclass(frozen=True)
class JoinRequest:
    """What a client says when it joins; timeouts in seconds."""

    member_id: str
    instance_id: str | None
    client_id: str
    client_host: str
    session_timeout_s: float
    rebalance_timeout_s: float
    protocol_type: str
    protocols: tuple[tuple[str, bytes], ...]
    requires_known_id: bool  # from version 4 on, a new dynamic member is first told its id


@dataclass(frozen=True)
class Joined:
    """The answer to a join; ``members`` (id, instance id, metadata) is filled for the leader only."""

    generation: int
    protocol_type: str
    protocol: str
    leader: str
    member_id: str
    members: tuple[tuple[str, str | None, bytes], ...] = ()


@dataclass
class Member:
    """State of one member; a join or sync that waits holds a future."""

    member_id: str
    instance_id: str | None
    client_id: str
    client_host: str
    session_timeout_s: float
    rebalance_timeout_s: float
    protocols: tuple[tuple[str, bytes], ...]
    assignment: bytes = b""
    join: "asyncio.Future[Joined] | None" = field(default=None, repr=False)
    sync: "asyncio.Future[bytes] | None" = field(default=None, repr=False)
    timer: asyncio.TimerHandle | None = field(default=None, repr=False)

    def metadata(self, protocol: str) -> bytes:
        """Metadata for one of its protocols."""
        return dict(self.protocols).get(protocol, b"")

    @property
    def is_joining(self) -> bool:
        """Whether a join of it waits."""
        return self.join is not None and not self.join.done()

    @property
    def is_syncing(self) -> bool:
        """Whether it waits for the leader's assignment."""
        return self.sync is not None and not self.sync.done()

    def fail_sync(self, code: ErrorCode) -> None:
        """Answer a sync that waits with an error."""
        if self.sync is not None and not self.sync.done():
            self.sync.set_exception(GroupError(code))
        self.sync = None

    def fail_waiting(self, code: ErrorCode) -> None:
        """Answer whatever it waits for with an error."""
        self.fail_sync(code)
        if self.join is not None and not self.join.done():
            self.join.set_exception(GroupError(code))
        self.join = None

    def stop_timer(self) -> None:
        """Forget the session deadline."""
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None

    @classmethod
    def from_request(cls, request: JoinRequest, member_id: str) -> "Member":
        """A new member as it introduces itself."""
        return cls(
            member_id=member_id,
            instance_id=request.instance_id,
            client_id=request.client_id,
            client_host=request.client_host,
            session_timeout_s=request.session_timeout_s,
            rebalance_timeout_s=request.rebalance_timeout_s,
            protocols=request.protocols,
        )

    def to_json(self) -> dict[str, Any]:
        """What survives a restart of the broker."""
        return {
            "instance_id": self.instance_id,
            "client_id": self.client_id,
            "client_host": self.client_host,
            "session_timeout_s": self.session_timeout_s,
            "rebalance_timeout_s": self.rebalance_timeout_s,
            "protocols": [[name, metadata.hex()] for name, metadata in self.protocols],
            "assignment": self.assignment.hex(),
        }

    @classmethod
    def from_json(cls, member_id: str, entry: dict[str, Any]) -> "Member":
        """The reverse of to_json."""
        return cls(
            member_id=member_id,
            instance_id=entry["instance_id"],
            client_id=entry["client_id"],
            client_host=entry["client_host"],
            session_timeout_s=entry["session_timeout_s"],
            rebalance_timeout_s=entry["rebalance_timeout_s"],
            protocols=tuple((name, bytes.fromhex(metadata)) for name, metadata in entry["protocols"]),
            assignment=bytes.fromhex(entry["assignment"]),
        )
