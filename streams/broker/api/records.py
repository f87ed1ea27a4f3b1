"""ListOffsets and DeleteRecords: where records are, and removing the old ones."""

# mypy: disable-error-code="arg-type"
# (kio's integers and names are nominal types over int and str; plain values are what its writers take.)

from kio.schema.delete_records.v2.request import DeleteRecordsRequest
from kio.schema.delete_records.v2.response import DeleteRecordsPartitionResult, DeleteRecordsResponse, DeleteRecordsTopicResult
from kio.schema.errors import ErrorCode
from kio.schema.list_offsets.v7.request import ListOffsetsRequest
from kio.schema.list_offsets.v7.response import ListOffsetsPartitionResponse, ListOffsetsResponse, ListOffsetsTopicResponse

from streams.broker.batch import CorruptBatch
from streams.broker.log import OffsetOutOfRange, PartitionLog
from streams.broker.segment import StorageFull
from streams.broker.state import LEADER_EPOCH, BrokerState, Caller
from streams.broker.wire import NO_THROTTLE

_LATEST, _EARLIEST, _MAX_TIMESTAMP = -1, -2, -3
_END = -1  # DeleteRecords: everything there is


async def list_offsets(broker: BrokerState, caller: Caller, request: ListOffsetsRequest) -> ListOffsetsResponse:
    """Offsets by time: the first record at or after a timestamp, the start, the end, or the latest timestamp."""
    topics = []
    for topic in request.topics:
        parts = tuple(
            _find(broker.topics.partition(topic.name, wanted.partition_index), wanted.partition_index, wanted.timestamp)
            for wanted in topic.partitions
        )
        topics.append(ListOffsetsTopicResponse(name=topic.name, partitions=parts))
    return ListOffsetsResponse(throttle_time=NO_THROTTLE, topics=tuple(topics))


def _find(log: PartitionLog | None, index: int, timestamp_ms: int) -> ListOffsetsPartitionResponse:
    error, found = ErrorCode.none, None
    if log is None:
        error = ErrorCode.unknown_topic_or_partition
    elif timestamp_ms == _LATEST:
        found = (log.end_offset, -1)
    elif timestamp_ms == _EARLIEST:
        found = (log.start_offset, -1)
    elif timestamp_ms < _MAX_TIMESTAMP:
        error = ErrorCode.unsupported_version
    else:
        try:
            found = log.latest_time() if timestamp_ms == _MAX_TIMESTAMP else log.find_time(timestamp_ms)
        except CorruptBatch:
            error = ErrorCode.corrupt_message
        except OSError:
            error = ErrorCode.kafka_storage_error
    offset, timestamp_ms = found or (-1, -1)
    return ListOffsetsPartitionResponse(
        partition_index=index, error_code=error, timestamp=timestamp_ms, offset=offset, leader_epoch=LEADER_EPOCH if found else -1
    )


async def delete(broker: BrokerState, caller: Caller, request: DeleteRecordsRequest) -> DeleteRecordsResponse:
    """Erase everything before an offset."""
    topics = []
    for topic in request.topics:
        parts = []
        for wanted in topic.partitions:
            log = broker.topics.partition(topic.name, wanted.partition_index)
            error = _delete(log, wanted.offset)
            start = log.start_offset if log is not None and error is ErrorCode.none else -1
            parts.append(DeleteRecordsPartitionResult(partition_index=wanted.partition_index, low_watermark=start, error_code=error))
        topics.append(DeleteRecordsTopicResult(name=topic.name, partitions=tuple(parts)))
    return DeleteRecordsResponse(throttle_time=NO_THROTTLE, topics=tuple(topics))


def _delete(log: PartitionLog | None, offset: int) -> ErrorCode:
    if log is None:
        return ErrorCode.unknown_topic_or_partition
    if not log.config.expires:
        return ErrorCode.policy_violation  # a compacted topic forgets by tombstones
    try:
        log.remove_before(log.end_offset if offset == _END else offset)
    except OffsetOutOfRange:
        return ErrorCode.offset_out_of_range
    except (OSError, StorageFull):
        return ErrorCode.kafka_storage_error
    return ErrorCode.none
