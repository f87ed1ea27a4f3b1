"""Membership of consumer groups."""

# mypy: disable-error-code="arg-type"
# (kio's integers and names are nominal types over int and str; plain values are what its writers take.)

from kio.schema.delete_groups.v2.request import DeleteGroupsRequest
from kio.schema.delete_groups.v2.response import DeletableGroupResult, DeleteGroupsResponse
from kio.schema.describe_groups.v5.request import DescribeGroupsRequest
from kio.schema.describe_groups.v5.response import DescribedGroup, DescribedGroupMember, DescribeGroupsResponse
from kio.schema.errors import ErrorCode
from kio.schema.heartbeat.v4.request import HeartbeatRequest
from kio.schema.heartbeat.v4.response import HeartbeatResponse
from kio.schema.join_group.v9.request import JoinGroupRequest
from kio.schema.join_group.v9.response import JoinGroupResponse, JoinGroupResponseMember
from kio.schema.leave_group.v2.request import LeaveGroupRequest as LeaveOneRequest
from kio.schema.leave_group.v2.response import LeaveGroupResponse as LeaveOneResponse
from kio.schema.leave_group.v5.request import LeaveGroupRequest
from kio.schema.leave_group.v5.response import LeaveGroupResponse, MemberResponse
from kio.schema.list_groups.v4.request import ListGroupsRequest
from kio.schema.list_groups.v4.response import ListedGroup, ListGroupsResponse
from kio.schema.sync_group.v5.request import SyncGroupRequest
from kio.schema.sync_group.v5.response import SyncGroupResponse

from streams.broker.groups import Group
from streams.broker.members import GroupError, GroupState, JoinRequest
from streams.broker.state import BrokerState, Caller
from streams.broker.wire import NO_THROTTLE

MIN_SESSION_S, MAX_SESSION_S = 0.1, 1800.0  # Kafka's lower limit is 6 s; tests of dying members need not wait that long here


async def join_at_once(broker: BrokerState, caller: Caller, request: JoinGroupRequest) -> JoinGroupResponse:
    """Versions before 4: a new member gets its id with the answer."""
    return await _join(broker, caller, request, requires_known_id=False)


async def join(broker: BrokerState, caller: Caller, request: JoinGroupRequest) -> JoinGroupResponse:
    """Join a group; a new dynamic member is told its id first and comes back with it."""
    return await _join(broker, caller, request, requires_known_id=True)


async def _join(broker: BrokerState, caller: Caller, request: JoinGroupRequest, requires_known_id: bool) -> JoinGroupResponse:
    session_s = request.session_timeout.total_seconds()
    rebalance_s = request.rebalance_timeout.total_seconds()
    try:
        if not MIN_SESSION_S <= session_s <= MAX_SESSION_S:
            raise GroupError(ErrorCode.invalid_session_timeout, request.member_id)
        if request.member_id and broker.coordinator.get(request.group_id) is None:
            raise GroupError(ErrorCode.unknown_member_id, request.member_id)
        joined = await broker.coordinator.get_or_create(request.group_id).join(
            JoinRequest(
                member_id=request.member_id,
                instance_id=request.group_instance_id,
                client_id=caller.client_id,
                client_host=caller.host,
                session_timeout_s=session_s,
                rebalance_timeout_s=rebalance_s if rebalance_s > 0 else session_s,  # version 0 has none
                protocol_type=request.protocol_type,
                protocols=tuple((protocol.name, protocol.metadata) for protocol in request.protocols),
                requires_known_id=requires_known_id,
            )
        )
    except GroupError as error:
        return JoinGroupResponse(
            throttle_time=NO_THROTTLE,
            error_code=error.code,
            protocol_name="",
            leader="",
            member_id=error.member_id or request.member_id,
            members=(),
        )
    return JoinGroupResponse(
        throttle_time=NO_THROTTLE,
        error_code=ErrorCode.none,
        generation_id=joined.generation,
        protocol_type=joined.protocol_type,
        protocol_name=joined.protocol,
        leader=joined.leader,
        member_id=joined.member_id,
        members=tuple(
            JoinGroupResponseMember(member_id=member_id, group_instance_id=instance_id, metadata=metadata)
            for member_id, instance_id, metadata in joined.members
        ),
    )


async def sync(broker: BrokerState, caller: Caller, request: SyncGroupRequest) -> SyncGroupResponse:
    """Hand in (leader) or fetch (all) the assignment."""
    try:
        group = broker.coordinator.member_group(request.group_id)
        if request.protocol_name not in (None, group.protocol) or request.protocol_type not in (None, group.protocol_type):
            raise GroupError(ErrorCode.inconsistent_group_protocol)
        assignments = {assigned.member_id: assigned.assignment for assigned in request.assignments}
        mine = await group.sync(request.member_id, request.group_instance_id, request.generation_id, assignments)
    except GroupError as error:
        return SyncGroupResponse(throttle_time=NO_THROTTLE, error_code=error.code, assignment=b"")
    return SyncGroupResponse(
        throttle_time=NO_THROTTLE,
        error_code=ErrorCode.none,
        protocol_type=group.protocol_type,
        protocol_name=group.protocol,
        assignment=mine,
    )


async def heartbeat(broker: BrokerState, caller: Caller, request: HeartbeatRequest) -> HeartbeatResponse:
    """A member lives."""
    error = ErrorCode.none
    try:
        group = broker.coordinator.member_group(request.group_id)
        group.heartbeat(request.member_id, request.group_instance_id, request.generation_id)
    except GroupError as refused:
        error = refused.code
    return HeartbeatResponse(throttle_time=NO_THROTTLE, error_code=error)


def _leave(broker: BrokerState, group_id: str, member_id: str, instance_id: str | None) -> ErrorCode:
    try:
        broker.coordinator.member_group(group_id).leave(member_id, instance_id)
    except GroupError as error:
        return error.code
    return ErrorCode.none


async def leave_one(broker: BrokerState, caller: Caller, request: LeaveOneRequest) -> LeaveOneResponse:
    """A member goes."""
    return LeaveOneResponse(throttle_time=NO_THROTTLE, error_code=_leave(broker, request.group_id, request.member_id, None))


async def leave_many(broker: BrokerState, caller: Caller, request: LeaveGroupRequest) -> LeaveGroupResponse:
    """Members go, or an operator takes static ones out."""
    answers = tuple(
        MemberResponse(
            member_id=member.member_id,
            group_instance_id=member.group_instance_id,
            error_code=_leave(broker, request.group_id, member.member_id, member.group_instance_id),
        )
        for member in request.members
    )
    return LeaveGroupResponse(throttle_time=NO_THROTTLE, error_code=ErrorCode.none, members=answers)


async def describe(broker: BrokerState, caller: Caller, request: DescribeGroupsRequest) -> DescribeGroupsResponse:
    """State and members of groups; a group that does not exist is described as dead."""
    groups = tuple(_described(group_id, broker.coordinator.get(group_id)) for group_id in request.groups)
    return DescribeGroupsResponse(throttle_time=NO_THROTTLE, groups=groups)


def _described(group_id: str, group: Group | None) -> DescribedGroup:
    if group is None:
        return DescribedGroup(
            error_code=ErrorCode.none,
            group_id=group_id,
            group_state=GroupState.DEAD.value,
            protocol_type="",
            protocol_data="",
            members=(),
        )
    is_stable = group.state is GroupState.STABLE
    members = tuple(
        DescribedGroupMember(
            member_id=member.member_id,
            group_instance_id=member.instance_id,
            client_id=member.client_id,
            client_host=member.client_host,
            member_metadata=member.metadata(group.protocol) if is_stable else b"",
            member_assignment=member.assignment if is_stable else b"",
        )
        for member in group.members.values()
    )
    return DescribedGroup(
        error_code=ErrorCode.none,
        group_id=group_id,
        group_state=group.state.value,
        protocol_type=group.protocol_type,
        protocol_data=group.protocol if is_stable else "",
        members=members,
    )


async def list_all(broker: BrokerState, caller: Caller, request: ListGroupsRequest) -> ListGroupsResponse:
    """Every group, or those in the given states."""
    groups = tuple(
        ListedGroup(group_id=group.group_id, protocol_type=group.protocol_type, group_state=group.state.value)
        for group in broker.coordinator
        if not request.states_filter or group.state.value in request.states_filter
    )
    return ListGroupsResponse(throttle_time=NO_THROTTLE, error_code=ErrorCode.none, groups=groups)


async def delete(broker: BrokerState, caller: Caller, request: DeleteGroupsRequest) -> DeleteGroupsResponse:
    """Delete groups that have no members."""
    results = []
    for group_id in request.groups_names:
        error = ErrorCode.none
        try:
            broker.coordinator.delete(group_id)
        except GroupError as refused:
            error = refused.code
        results.append(DeletableGroupResult(group_id=group_id, error_code=error))
    return DeleteGroupsResponse(throttle_time=NO_THROTTLE, results=tuple(results))
