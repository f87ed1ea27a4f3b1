"""The state machine of one consumer group (Apache Kafka's classic protocol).

    Empty ──join──> PreparingRebalance ──all joined──> CompletingRebalance ──leader's sync──> Stable
                          ^                                   │                                 │
                          └────── a member joins, leaves, is silent, or changes what it wants ──┘

All of it runs on one event loop, so nothing here needs a lock.
"""

import asyncio
import uuid
from collections import Counter
from collections.abc import Callable
from typing import Any

from kio.schema.errors import ErrorCode

from streams.broker.members import GroupError, GroupState, Joined, JoinRequest, Member

INITIAL_DELAY_S = 0.1  # members of a new group tend to come together; waiting for them saves a rebalance (Kafka: 3 s)
STALL_S = 0.25  # a session timer this late tells of a stalled broker, and the member's heartbeat may still lie in a socket
GRACE_S = 1.0


class Group:
    """One group; ``on_settled`` is called whenever its members or assignment are worth keeping."""

    def __init__(self, group_id: str, on_settled: Callable[["Group"], None]) -> None:
        self.group_id = group_id
        self.state = GroupState.EMPTY
        self.generation = 0
        self.protocol_type = ""
        self.protocol = ""
        self.leader = ""
        self.members: dict[str, Member] = {}
        self._promised: dict[str, asyncio.TimerHandle] = {}  # ids handed out to members that have yet to join with them
        self._timer: asyncio.TimerHandle | None = None
        self._is_first = False  # this rebalance began with an empty group: the initial delay decides when it ends
        self._on_settled = on_settled
        self.settled = self._to_json()
        self._loop = asyncio.get_running_loop()

    # --- requests

    async def join(self, request: JoinRequest) -> Joined:
        """Join, or join again; returns when the group has agreed on a generation.

        Raises:
            GroupError: refused.
        """
        self._check_protocols(request)
        came_back = request.instance_id is not None and not request.member_id
        member = self._member_of_join(request)
        known_before = member.member_id in self.members
        settled = (GroupState.STABLE,) if came_back else (GroupState.STABLE, GroupState.COMPLETING)
        unchanged = known_before and member.protocols == request.protocols and self.state in settled
        self.members[member.member_id] = member
        member.client_id, member.client_host = request.client_id, request.client_host
        member.session_timeout_s, member.rebalance_timeout_s = request.session_timeout_s, request.rebalance_timeout_s
        member.protocols = request.protocols
        self.protocol_type = request.protocol_type
        if unchanged and not (self.state is GroupState.STABLE and member.member_id == self.leader):
            self._restart_timer(member)
            if came_back:
                self._settle()
            return self._joined(member)
        member.fail_waiting(ErrorCode.rebalance_in_progress)
        member.stop_timer()
        waiting = member.join = self._loop.create_future()
        self._prepare()
        self._complete_if_ready()
        try:
            return await waiting
        except asyncio.CancelledError:
            # The connection is gone. The member stays until its session ends, as one that went silent.
            if self.members.get(member.member_id) is member and member.timer is None:
                self._restart_timer(member)
            raise

    async def sync(self, member_id: str, instance_id: str | None, generation: int, assignments: dict[str, bytes]) -> bytes:
        """The member's assignment; waits for the leader to send it.

        Raises:
            GroupError: the generation has ended, or the member is unknown.
        """
        member = self.check_member(member_id, instance_id, generation)
        if self.state is GroupState.PREPARING:
            raise GroupError(ErrorCode.rebalance_in_progress)
        self._restart_timer(member)
        if self.state is GroupState.STABLE:
            return member.assignment
        waiting = member.sync if member.sync is not None and member.is_syncing else self._loop.create_future()
        member.sync = waiting
        if member_id == self.leader:
            self._assign(assignments)
        return await asyncio.shield(waiting)

    def heartbeat(self, member_id: str, instance_id: str | None, generation: int) -> None:
        """Note that the member lives.

        Raises:
            GroupError: it should join again, or is unknown.
        """
        member = self.check_member(member_id, instance_id, generation)
        self._restart_timer(member)
        if self.state is GroupState.PREPARING:
            raise GroupError(ErrorCode.rebalance_in_progress)

    def leave(self, member_id: str, instance_id: str | None) -> None:
        """Take a member out (a static one may be named by its instance id alone).

        Raises:
            GroupError: there is no such member.
        """
        promise = self._promised.pop(member_id, None)
        if promise is not None:
            promise.cancel()
            self._complete_if_ready()
            return
        if instance_id is not None:
            static = self._static(instance_id)
            if static is None:
                raise GroupError(ErrorCode.unknown_member_id)
            if member_id not in ("", static.member_id):
                raise GroupError(ErrorCode.fenced_instance_id)
            member_id = static.member_id
        if member_id not in self.members:
            raise GroupError(ErrorCode.unknown_member_id)
        self._remove([member_id])

    def check_member(self, member_id: str, instance_id: str | None, generation: int) -> Member:
        """The member, if it is one and speaks of the present generation.

        Raises:
            GroupError: otherwise.
        """
        if instance_id is not None:
            static = self._static(instance_id)
            if static is not None and static.member_id != member_id:
                raise GroupError(ErrorCode.fenced_instance_id)
        member = self.members.get(member_id)
        if member is None:
            raise GroupError(ErrorCode.unknown_member_id)
        if generation != self.generation:
            raise GroupError(ErrorCode.illegal_generation)
        return member

    def touch(self, member: Member) -> None:
        """Note that the member lives: a commit is as good as a heartbeat."""
        if not member.is_joining:
            self._restart_timer(member)

    def close(self) -> None:
        """End the group: timers stop, whoever waits is told to look for the coordinator again."""
        self.state = GroupState.DEAD
        for timer in (self._timer, *self._promised.values()):
            if timer is not None:
                timer.cancel()
        for member in self.members.values():
            member.stop_timer()
            member.fail_waiting(ErrorCode.not_coordinator)

    # --- joining

    def _check_protocols(self, request: JoinRequest) -> None:
        names = {name for name, _ in request.protocols}
        others = [m for m in self.members.values() if m.member_id != request.member_id and (m.instance_id or "") != request.instance_id]
        if not names or not request.protocol_type:
            raise GroupError(ErrorCode.inconsistent_group_protocol)
        if others and (request.protocol_type != self.protocol_type or not names & _common_protocols(others)):
            raise GroupError(ErrorCode.inconsistent_group_protocol)

    def _static(self, instance_id: str) -> Member | None:
        return next((member for member in self.members.values() if member.instance_id == instance_id), None)

    def _member_of_join(self, request: JoinRequest) -> Member:
        """The member that a join speaks for: known, promised, static and back again, or new."""
        static = self._static(request.instance_id) if request.instance_id is not None else None
        if request.member_id:
            if static is not None and static.member_id != request.member_id:
                raise GroupError(ErrorCode.fenced_instance_id)
            promise = self._promised.pop(request.member_id, None)
            if promise is not None:
                promise.cancel()
                return Member.from_request(request, request.member_id)
            if request.member_id not in self.members:
                raise GroupError(ErrorCode.unknown_member_id)
            return self.members[request.member_id]
        member_id = f"{request.instance_id or request.client_id}-{uuid.uuid4()}"
        if static is not None:
            return self._replace_static(static, member_id)
        if request.requires_known_id and request.instance_id is None:
            self._promised[member_id] = self._loop.call_later(request.session_timeout_s, self._break_promise, member_id)
            raise GroupError(ErrorCode.member_id_required, member_id)
        return Member.from_request(request, member_id)

    def _replace_static(self, old: Member, member_id: str) -> Member:
        """A static member that came back: a new id, the old assignment; its former self is fenced."""
        old.fail_waiting(ErrorCode.fenced_instance_id)
        old.stop_timer()
        new = Member.from_json(member_id, old.to_json())
        self.members = {member_id if key == old.member_id else key: new if key == old.member_id else m for key, m in self.members.items()}
        # The leader's place stays with the old id: while the group is stable nobody may take the one that came back for a leader
        # that has to assign anew. The next rebalance names another.
        return new

    def _break_promise(self, member_id: str) -> None:
        self._promised.pop(member_id, None)
        self._complete_if_ready()

    # --- rebalancing

    def _prepare(self) -> None:
        """Begin a rebalance unless one has begun."""
        if self.state is GroupState.PREPARING:
            return
        for member in self.members.values():
            if member.is_syncing:
                self._restart_timer(member)
            member.fail_sync(ErrorCode.rebalance_in_progress)
        self._is_first = self.state is GroupState.EMPTY
        self.state = GroupState.PREPARING
        timeout_s = max((member.rebalance_timeout_s for member in self.members.values()), default=0.0)
        self._set_timer(INITIAL_DELAY_S if self._is_first else timeout_s, self._complete)

    def _complete_if_ready(self) -> None:
        """End the rebalance once everyone has joined, except while a new group waits for its first members."""
        if self.state is not GroupState.PREPARING:
            return
        if not self.members or (not self._is_first and not self._promised and all(m.is_joining for m in self.members.values())):
            self._complete()

    def _complete(self) -> None:
        """Begin a generation with those who have joined; static members keep their place until their session ends."""
        for member in [m for m in self.members.values() if not m.is_joining and m.instance_id is None]:
            member.stop_timer()
            del self.members[member.member_id]
        joining = [m.member_id for m in self.members.values() if m.is_joining]
        if self.members and not joining:
            self._set_timer(max(m.rebalance_timeout_s for m in self.members.values()), self._complete)
            return
        self.generation += 1
        if not self.members:
            self.state, self.protocol, self.leader = GroupState.EMPTY, "", ""
            self._set_timer(None, None)
            self._settle()
            return
        self.protocol = self._vote()
        self.state = GroupState.COMPLETING
        if self.leader not in joining:
            self.leader = joining[0]
        for member in self.members.values():
            waiting, member.join = member.join, None
            self._restart_timer(member)
            if waiting is not None and not waiting.done():
                waiting.set_result(self._joined(member))
        self._set_timer(max(m.rebalance_timeout_s for m in self.members.values()), self._drop_unsynced)

    def _vote(self) -> str:
        """The protocol that most members like best among those that all support."""
        common = _common_protocols(list(self.members.values()))
        votes = Counter(next(name for name, _ in member.protocols if name in common) for member in self.members.values())
        return votes.most_common(1)[0][0]

    def _joined(self, member: Member) -> Joined:
        everyone = tuple((m.member_id, m.instance_id, m.metadata(self.protocol)) for m in self.members.values())
        return Joined(
            generation=self.generation,
            protocol_type=self.protocol_type,
            protocol=self.protocol,
            leader=self.leader,
            member_id=member.member_id,
            members=everyone if member.member_id == self.leader else (),
        )

    def _assign(self, assignments: dict[str, bytes]) -> None:
        """The leader has spoken: the generation is stable."""
        self.state = GroupState.STABLE
        self._set_timer(None, None)
        for member in self.members.values():
            member.assignment = assignments.get(member.member_id, b"")
            if member.sync is not None and not member.sync.done():
                member.sync.set_result(member.assignment)
            member.sync = None
            self._restart_timer(member)
        self._settle()

    def _drop_unsynced(self) -> None:
        """The assignment did not come in time: whoever has not asked for it is gone, the leader among them."""
        self._remove([m.member_id for m in self.members.values() if m.sync is None])

    def _remove(self, member_ids: list[str]) -> None:
        for member_id in member_ids:
            member = self.members.pop(member_id)
            member.stop_timer()
            member.fail_waiting(ErrorCode.unknown_member_id)
        if self.state in (GroupState.STABLE, GroupState.COMPLETING):
            self._prepare()
        self._complete_if_ready()

    # --- time

    def _set_timer(self, delay_s: float | None, action: Callable[[], None] | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None if delay_s is None or action is None else self._loop.call_later(delay_s, action)

    def _restart_timer(self, member: Member, delay_s: float | None = None) -> None:
        member.stop_timer()
        delay_s = member.session_timeout_s if delay_s is None else delay_s
        member.timer = self._loop.call_later(delay_s, self._expire, member, self._loop.time() + delay_s)

    def _expire(self, member: Member, deadline_s: float) -> None:
        if self.members.get(member.member_id) is not member or member.is_joining or member.is_syncing:
            return  # whoever waits for the others sends no heartbeats; the timer starts again with the answer
        if self._loop.time() - deadline_s > STALL_S:
            self._restart_timer(member, GRACE_S)
            return
        self._remove([member.member_id])

    # --- over a restart of the broker

    def _settle(self) -> None:
        self.settled = self._to_json()
        self._on_settled(self)

    def _to_json(self) -> dict[str, Any]:
        return {
            "generation": self.generation,
            "protocol_type": self.protocol_type,
            "protocol": self.protocol,
            "leader": self.leader,
            "members": {member.member_id: member.to_json() for member in self.members.values()},
        }

    def restore(self, entry: dict[str, Any]) -> None:
        """Take up the last settled generation: its members have a session timeout to show themselves."""
        self.generation, self.protocol_type = entry["generation"], entry["protocol_type"]
        self.protocol, self.leader = entry["protocol"], entry["leader"]
        self.members = {member_id: Member.from_json(member_id, data) for member_id, data in entry["members"].items()}
        if self.members:
            self.state = GroupState.STABLE
            for member in self.members.values():
                self._restart_timer(member)
        self.settled = self._to_json()


def _common_protocols(members: list[Member]) -> set[str]:
    return set.intersection(*({name for name, _ in member.protocols} for member in members))
