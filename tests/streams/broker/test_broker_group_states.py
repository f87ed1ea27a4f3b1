"""The state machine of a group, request by request, where clients would need luck to hit the order."""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from kio.schema.errors import ErrorCode

from streams.broker.coordinator import Coordinator
from streams.broker.groups import Group
from streams.broker.members import GroupError, GroupState, Joined, JoinRequest

WAIT_S = 10


def request(member_id: str = "", **changes: Any) -> JoinRequest:
    fields: dict[str, Any] = {
        "member_id": member_id,
        "instance_id": None,
        "client_id": "client",
        "client_host": "127.0.0.1",
        "session_timeout_s": 30.0,
        "rebalance_timeout_s": 30.0,
        "protocol_type": "consumer",
        "protocols": (("range", b"range metadata"),),
        "requires_known_id": False,
    }
    return JoinRequest(**(fields | changes))


@pytest.fixture
async def group() -> AsyncIterator[Group]:
    group = Group("g", lambda _: None)
    yield group
    group.close()


async def refused(awaitable: Any) -> ErrorCode:
    """The error code that a request is answered with."""
    with pytest.raises(GroupError) as caught:
        async with asyncio.timeout(WAIT_S):
            await awaitable
    return caught.value.code


def code_of(call: Callable[..., object], *arguments: object) -> ErrorCode:
    with pytest.raises(GroupError) as caught:
        call(*arguments)
    return caught.value.code


async def formed(group: Group, *requests: JoinRequest) -> list[Joined]:
    """All join together and get their assignment, named after them; the leader comes first."""
    joined = await asyncio.gather(*(group.join(r) for r in requests))
    joined.sort(key=lambda j: j.member_id != j.leader)
    shares = {j.member_id: b"share of " + j.member_id.encode() for j in joined}
    for j in joined:
        assert await group.sync(j.member_id, None, j.generation, shares if j.member_id == j.leader else {}) == shares[j.member_id]
    assert group.state is GroupState.STABLE
    return joined


async def test_the_first_members_join_together_and_one_leads(group: Group) -> None:
    joined = await formed(group, *(request() for _ in range(5)))
    assert {j.generation for j in joined} == {1}
    assert [len(j.members) for j in joined] == [5, 0, 0, 0, 0]
    assert all(metadata == b"range metadata" for _, _, metadata in joined[0].members)


async def test_a_new_member_is_told_its_id_first(group: Group) -> None:
    with pytest.raises(GroupError) as told:
        await group.join(request(requires_known_id=True))
    assert told.value.code is ErrorCode.member_id_required
    assert (await group.join(request(told.value.member_id, requires_known_id=True))).member_id == told.value.member_id
    assert await refused(group.join(request("never-heard-of"))) is ErrorCode.unknown_member_id


async def test_a_rebalance_waits_for_every_known_member(group: Group) -> None:
    old = await formed(group, request(), request())
    newcomer = asyncio.ensure_future(group.join(request()))
    await asyncio.sleep(0)
    for member in old:
        assert code_of(group.heartbeat, member.member_id, None, 1) is ErrorCode.rebalance_in_progress
        assert await refused(group.sync(member.member_id, None, 1, {})) is ErrorCode.rebalance_in_progress
    first = asyncio.ensure_future(group.join(request(old[1].member_id)))
    await asyncio.sleep(0.15)  # longer than the initial delay, which has no part in this
    assert not newcomer.done()
    last = await group.join(request(old[0].member_id))
    assert {j.generation for j in (last, await first, await newcomer)} == {2}
    assert last.leader == old[0].member_id  # it keeps its place


async def test_who_does_not_join_in_time_is_dropped(group: Group) -> None:
    old = await formed(group, request(rebalance_timeout_s=0.05), request(rebalance_timeout_s=0.05))
    joined = await group.join(request(old[1].member_id, protocols=(("range", b"changed"),), rebalance_timeout_s=0.05))
    assert [member_id for member_id, _, _ in joined.members] == [old[1].member_id]
    assert code_of(group.heartbeat, old[0].member_id, None, 2) is ErrorCode.unknown_member_id


async def test_followers_wait_for_the_leader(group: Group) -> None:
    joined = sorted(await asyncio.gather(group.join(request()), group.join(request())), key=lambda j: j.member_id != j.leader)
    follower = asyncio.ensure_future(group.sync(joined[1].member_id, None, 1, {}))
    await asyncio.sleep(0)
    assert not follower.done()
    assert await group.sync(joined[0].member_id, None, 1, {joined[1].member_id: b"all of it"}) == b""
    assert await follower == b"all of it"


async def test_followers_that_wait_for_a_slow_leader_are_not_silent(group: Group) -> None:
    joined = await asyncio.gather(*(group.join(request(session_timeout_s=0.1)) for _ in range(2)))
    leader = next(j for j in joined if j.member_id == j.leader)
    follower = next(j for j in joined if j is not leader)
    waiting = asyncio.ensure_future(group.sync(follower.member_id, None, 1, {}))
    for _ in range(10):
        await asyncio.sleep(0.03)  # in all three sessions long
        group.heartbeat(leader.member_id, None, 1)
    assert await group.sync(leader.member_id, None, 1, {follower.member_id: b"share"}) == b""
    assert await waiting == b"share"


async def test_a_leader_that_never_assigns_is_dropped(group: Group) -> None:
    joined = await asyncio.gather(*(group.join(request(rebalance_timeout_s=0.05)) for _ in range(2)))
    follower = next(j for j in joined if j.member_id != j.leader)
    assert await refused(group.sync(follower.member_id, None, 1, {})) is ErrorCode.rebalance_in_progress
    again = await group.join(request(follower.member_id))
    assert again.leader == follower.member_id
    assert len(again.members) == 1


async def test_joining_again_cancels_the_earlier_join(group: Group) -> None:
    old = await formed(group, request(), request())
    first = asyncio.ensure_future(group.join(request(old[0].member_id)))
    await asyncio.sleep(0)
    second = asyncio.ensure_future(group.join(request(old[0].member_id)))
    assert await refused(first) is ErrorCode.rebalance_in_progress
    await group.join(request(old[1].member_id))
    assert (await second).generation == 2


async def test_silent_members_are_dropped_and_the_group_goes_on(group: Group) -> None:
    silent, lively = await formed(group, request(session_timeout_s=0.3), request(session_timeout_s=0.3))
    async with asyncio.timeout(WAIT_S):
        while group.state is GroupState.STABLE:
            group.heartbeat(lively.member_id, None, 1)
            await asyncio.sleep(0.02)
            if group.state is GroupState.STABLE:
                assert lively.member_id in group.members
            if silent.member_id in group.members and group.state is GroupState.STABLE:
                continue
    assert list(group.members) == [lively.member_id]
    assert len((await group.join(request(lively.member_id))).members) == 1


async def test_a_client_that_goes_away_while_joining_is_dropped_after_its_session(group: Group) -> None:
    stayed, gone = await formed(group, request(), request())
    joining = asyncio.ensure_future(group.join(request(gone.member_id, session_timeout_s=0.05, protocols=(("range", b"new"),))))
    await asyncio.sleep(0)
    joining.cancel()
    joined = await group.join(request(stayed.member_id))
    assert [member_id for member_id, _, _ in joined.members] == [stayed.member_id]


async def test_leaving(group: Group) -> None:
    first, second = await formed(group, request(), request())
    group.leave(first.member_id, None)
    assert code_of(group.leave, first.member_id, None) is ErrorCode.unknown_member_id
    assert (await group.join(request(second.member_id))).generation == 2
    group.leave(second.member_id, None)
    assert group.state is GroupState.EMPTY
    assert code_of(group.heartbeat, second.member_id, None, 2) is ErrorCode.unknown_member_id
    assert (await group.join(request())).generation == 4  # 3 was the empty one


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"protocols": ()}, ErrorCode.inconsistent_group_protocol),  # nothing on offer
        ({"protocols": (("sticky", b""),)}, ErrorCode.inconsistent_group_protocol),  # nothing in common
        ({"protocol_type": "connect"}, ErrorCode.inconsistent_group_protocol),  # another kind of group
        ({"protocol_type": ""}, ErrorCode.inconsistent_group_protocol),  # no kind at all
    ],
)
async def test_members_that_do_not_fit_are_refused(group: Group, changes: dict[str, Any], expected: ErrorCode) -> None:
    (member,) = await formed(group, request())
    assert await refused(group.join(request(**changes))) is expected
    group.heartbeat(member.member_id, None, 1)  # and the group does not notice


async def test_the_protocol_that_most_like_best_wins(group: Group) -> None:
    offers = [("a", "b", "c"), ("b", "a"), ("b", "a", "c")]
    joined = await asyncio.gather(*(group.join(request(protocols=tuple((name, name.encode()) for name in names))) for names in offers))
    assert {j.protocol for j in joined} == {"b"}


async def test_old_generations_are_refused(group: Group) -> None:
    (member,) = await formed(group, request())
    for generation in (0, 2, -1):
        assert code_of(group.heartbeat, member.member_id, None, generation) is ErrorCode.illegal_generation
        assert await refused(group.sync(member.member_id, None, generation, {})) is ErrorCode.illegal_generation


async def test_a_static_member_takes_its_place_again_and_fences_its_former_self(group: Group) -> None:
    static = {"instance_id": "i", "requires_known_id": True}
    old = await formed(group, request(**static), request())
    before = next(j for j in old if group.members[j.member_id].instance_id == "i")
    back = await group.join(request(**static))
    assert (back.generation, group.state) == (1, GroupState.STABLE)
    assert back.member_id != before.member_id
    assert back.leader != back.member_id  # it must not assign anew
    assert await group.sync(back.member_id, "i", 1, {}) == b"share of " + before.member_id.encode()
    assert code_of(group.heartbeat, before.member_id, "i", 1) is ErrorCode.fenced_instance_id
    assert await refused(group.join(request(before.member_id, instance_id="i"))) is ErrorCode.fenced_instance_id
    assert code_of(group.leave, before.member_id, "i") is ErrorCode.fenced_instance_id
    changed = asyncio.ensure_future(group.join(request(protocols=(("range", b"other topics"),), **static)))
    await asyncio.sleep(0)
    assert group.state is GroupState.PREPARING  # it wants something else: everyone has to agree again
    other = next(j for j in old if j is not before)
    await group.join(request(other.member_id))
    assert (await changed).generation == 2
    group.leave("", "i")  # an operator takes it out by its name


async def test_a_stalled_broker_does_not_drop_members_whose_heartbeats_wait(group: Group, monkeypatch: pytest.MonkeyPatch) -> None:
    (member,) = await formed(group, request(session_timeout_s=0.1))
    loop = asyncio.get_running_loop()
    late_s = loop.time() + 5
    monkeypatch.setattr(group, "_loop", type("Late", (), {"time": lambda _: late_s, "call_later": loop.call_later})())
    await asyncio.sleep(0.2)  # the timer fires, and finds that it is seconds late
    group.heartbeat(member.member_id, None, 1)


async def test_nobody_commits_between_two_generations(tmp_path: Path) -> None:
    coordinator = Coordinator(tmp_path)
    group = coordinator.get_or_create("g")
    joined = await group.join(request())
    assert code_of(coordinator.check_commit, "g", joined.member_id, None, 1) is ErrorCode.rebalance_in_progress
    await group.sync(joined.member_id, None, 1, {})
    assert coordinator.check_commit("g", joined.member_id, None, 1) is group
    coordinator.close()


async def test_commits_and_groups_survive_and_a_full_disk_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    coordinator = Coordinator(tmp_path)
    coordinator.load()
    odd_name = "grüppe/../" + "x" * 300
    group = coordinator.get_or_create(odd_name)
    (member,) = await formed(group, request())
    assert code_of(coordinator.check_commit, odd_name, "", None, -1) is ErrorCode.unknown_member_id
    assert code_of(coordinator.check_commit, odd_name, member.member_id, None, 7) is ErrorCode.illegal_generation
    coordinator.commit(coordinator.check_commit(odd_name, member.member_id, None, 1), {("t", 3): (5, -1, "meta")})

    def full(*_: object) -> None:
        raise OSError("no space")

    with monkeypatch.context() as patch, pytest.raises(OSError, match="no space"):
        patch.setattr(Path, "write_text", full)
        coordinator.commit(group, {("t", 3): (6, -1, ""), ("t", 4): (1, -1, "")})
    joining = asyncio.ensure_future(group.join(request()))  # a rebalance is under way when the broker dies
    await asyncio.sleep(0)
    coordinator.commit(group, {("t", 5): (2, -1, "")})

    again = Coordinator(tmp_path)
    again.load()
    assert {key: (c.offset, c.metadata) for key, c in again.offsets(odd_name).items()} == {("t", 3): (5, "meta"), ("t", 5): (2, "")}
    restored = again.get(odd_name)
    assert restored is not None
    assert list(restored.members) == [member.member_id]  # the rebalance that had begun is forgotten
    restored.heartbeat(member.member_id, None, 1)
    assert await restored.sync(member.member_id, None, 1, {}) == b"share of " + member.member_id.encode()
    joining.cancel()
    await asyncio.gather(joining, return_exceptions=True)
    coordinator.close()
    again.close()
