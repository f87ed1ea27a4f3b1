"""Committed offsets of groups."""

# mypy: disable-error-code="arg-type"
# (kio's integers and names are nominal types over int and str; plain values are what its writers take.)

from collections.abc import Iterable

from kio.schema.errors import ErrorCode
from kio.schema.offset_commit.v8.request import OffsetCommitRequest
from kio.schema.offset_commit.v8.response import OffsetCommitResponse, OffsetCommitResponsePartition, OffsetCommitResponseTopic
from kio.schema.offset_delete.v0.request import OffsetDeleteRequest
from kio.schema.offset_delete.v0.response import OffsetDeleteResponse, OffsetDeleteResponsePartition, OffsetDeleteResponseTopic
from kio.schema.offset_fetch.v7.request import OffsetFetchRequest as FetchOneRequest
from kio.schema.offset_fetch.v7.response import (
    OffsetFetchResponse as FetchOneResponse,
)
from kio.schema.offset_fetch.v7.response import (
    OffsetFetchResponsePartition,
    OffsetFetchResponseTopic,
)
from kio.schema.offset_fetch.v8.request import OffsetFetchRequest
from kio.schema.offset_fetch.v8.response import (
    OffsetFetchResponse,
    OffsetFetchResponseGroup,
    OffsetFetchResponsePartitions,
    OffsetFetchResponseTopics,
)

from streams.broker.coordinator import MAX_METADATA_BYTES, Committed
from streams.broker.members import GroupError
from streams.broker.state import BrokerState, Caller
from streams.broker.wire import NO_THROTTLE

_NOTHING = Committed(-1, -1, "", -1)


async def commit(broker: BrokerState, caller: Caller, request: OffsetCommitRequest) -> OffsetCommitResponse:
    """Store offsets with their metadata; all of the request or, if the disk is full, nothing of it."""
    common = ErrorCode.none
    errors: dict[tuple[str, int], ErrorCode] = {}
    new: dict[tuple[str, int], tuple[int, int, str]] = {}
    for topic in request.topics:
        for part in topic.partitions:
            key, metadata = (topic.name, part.partition_index), part.committed_metadata or ""
            if broker.topics.partition(*key) is None:
                errors[key] = ErrorCode.unknown_topic_or_partition
            elif len(metadata.encode()) > MAX_METADATA_BYTES:
                errors[key] = ErrorCode.offset_metadata_too_large
            else:
                new[key] = (part.committed_offset, part.committed_leader_epoch, metadata)
    try:
        group = broker.coordinator.check_commit(
            request.group_id, request.member_id, request.group_instance_id, request.generation_id_or_member_epoch
        )
        broker.coordinator.commit(group, new)
    except GroupError as error:
        common = error.code
    except OSError:
        common = ErrorCode.not_coordinator  # retriable, and what Kafka answers when its offsets topic cannot be written
    topics = tuple(
        OffsetCommitResponseTopic(
            name=topic.name,
            partitions=tuple(
                OffsetCommitResponsePartition(
                    partition_index=part.partition_index,
                    error_code=common if common is not ErrorCode.none else errors.get((topic.name, part.partition_index), ErrorCode.none),
                )
                for part in topic.partitions
            ),
        )
        for topic in request.topics
    )
    return OffsetCommitResponse(throttle_time=NO_THROTTLE, topics=topics)


def _wanted(
    broker: BrokerState, group_id: str, topics: Iterable[tuple[str, tuple[int, ...]]] | None
) -> list[tuple[str, list[tuple[int, Committed]]]]:
    """Committed offsets by topic: of the partitions asked for, or all there are."""
    offsets = broker.coordinator.offsets(group_id)
    if topics is not None:
        return [(name, [(index, offsets.get((name, index), _NOTHING)) for index in indexes]) for name, indexes in topics]
    by_topic: dict[str, list[tuple[int, Committed]]] = {}
    for (name, index), committed in sorted(offsets.items()):
        by_topic.setdefault(name, []).append((index, committed))
    return list(by_topic.items())


async def fetch_one(broker: BrokerState, caller: Caller, request: FetchOneRequest) -> FetchOneResponse:
    """Offsets of one group, -1 where nothing is committed."""
    named = None if request.topics is None else [(topic.name, topic.partition_indexes) for topic in request.topics]
    topics = tuple(
        OffsetFetchResponseTopic(
            name=name,
            partitions=tuple(
                OffsetFetchResponsePartition(
                    partition_index=index,
                    committed_offset=committed.offset,
                    committed_leader_epoch=committed.leader_epoch,
                    metadata=committed.metadata,
                    error_code=ErrorCode.none,
                )
                for index, committed in partitions
            ),
        )
        for name, partitions in _wanted(broker, request.group_id, named)
    )
    return FetchOneResponse(throttle_time=NO_THROTTLE, topics=topics)


async def fetch_many(broker: BrokerState, caller: Caller, request: OffsetFetchRequest) -> OffsetFetchResponse:
    """Offsets of several groups."""
    groups = []
    for group in request.groups:
        named = None if group.topics is None else [(topic.name, topic.partition_indexes) for topic in group.topics]
        topics = tuple(
            OffsetFetchResponseTopics(
                name=name,
                partitions=tuple(
                    OffsetFetchResponsePartitions(
                        partition_index=index,
                        committed_offset=committed.offset,
                        committed_leader_epoch=committed.leader_epoch,
                        metadata=committed.metadata,
                        error_code=ErrorCode.none,
                    )
                    for index, committed in partitions
                ),
            )
            for name, partitions in _wanted(broker, group.group_id, named)
        )
        groups.append(OffsetFetchResponseGroup(group_id=group.group_id, topics=topics))
    return OffsetFetchResponse(throttle_time=NO_THROTTLE, groups=tuple(groups))


async def delete(broker: BrokerState, caller: Caller, request: OffsetDeleteRequest) -> OffsetDeleteResponse:
    """Delete committed offsets of a group without members."""
    group = broker.coordinator.get(request.group_id)
    error = ErrorCode.none
    if group is None:
        error = ErrorCode.group_id_not_found
    elif group.members:
        error = ErrorCode.non_empty_group
    else:
        try:
            broker.coordinator.forget(group, {(topic.name, part.partition_index) for topic in request.topics for part in topic.partitions})
        except OSError:
            error = ErrorCode.not_coordinator
    topics = tuple(
        OffsetDeleteResponseTopic(
            name=topic.name,
            partitions=tuple(
                OffsetDeleteResponsePartition(partition_index=part.partition_index, error_code=ErrorCode.none) for part in topic.partitions
            ),
        )
        for topic in (request.topics if error is ErrorCode.none else ())
    )
    return OffsetDeleteResponse(error_code=error, throttle_time=NO_THROTTLE, topics=topics)
