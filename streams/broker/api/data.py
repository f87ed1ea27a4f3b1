"""Produce and Fetch: the two requests that carry the data."""

# mypy: disable-error-code="arg-type"
# (kio's integers and names are nominal types over int and str; plain values are what its writers take.)

import asyncio

from kio.schema.errors import ErrorCode
from kio.schema.fetch.v11.request import FetchPartition, FetchRequest
from kio.schema.fetch.v11.response import FetchableTopicResponse, FetchResponse, PartitionData
from kio.schema.produce.v9.request import ProduceRequest
from kio.schema.produce.v9.response import PartitionProduceResponse, ProduceResponse, TopicProduceResponse

from streams.broker.batch import CorruptBatch, InvalidBatch, check_produced
from streams.broker.idempotence import OutOfOrderSequence, StaleEpoch
from streams.broker.log import BatchTooLarge, Growth, OffsetOutOfRange, PartitionLog, check_keys
from streams.broker.segment import StorageFull
from streams.broker.state import BrokerState, Caller
from streams.broker.wire import NO_THROTTLE

_PRODUCE_ERRORS: dict[type[Exception], ErrorCode] = {
    CorruptBatch: ErrorCode.corrupt_message,
    InvalidBatch: ErrorCode.invalid_record,
    BatchTooLarge: ErrorCode.message_too_large,
    OutOfOrderSequence: ErrorCode.out_of_order_sequence_number,
    StaleEpoch: ErrorCode.invalid_producer_epoch,
    StorageFull: ErrorCode.kafka_storage_error,
}
_ACKS_NONE = 0


async def produce(broker: BrokerState, caller: Caller, request: ProduceRequest) -> ProduceResponse | None:
    """Append one batch per partition; no answer where the producer wants none."""
    if request.acks not in (-1, 0, 1):
        outcomes = [
            (t.name, [_refused(p.index, ErrorCode.invalid_required_acks, None) for p in t.partition_data]) for t in request.topic_data
        ]
    else:
        outcomes, written = [], []
        for topic in request.topic_data:
            answers = []
            for part in topic.partition_data:
                log = broker.topics.partition(topic.name, part.index)
                answers.append(_append(log, part.index, part.records))
                if log is not None and answers[-1].error_code is ErrorCode.none:
                    written.append(log)
            outcomes.append((topic.name, answers))
        try:
            await broker.sync(written)
        except OSError as error:
            outcomes = [
                (name, [_refused(a.index, ErrorCode.kafka_storage_error, str(error)) for a in answers]) for name, answers in outcomes
            ]
    if request.acks == _ACKS_NONE:
        return None
    return ProduceResponse(
        responses=tuple(TopicProduceResponse(name=name, partition_responses=tuple(answers)) for name, answers in outcomes)
    )


def _append(log: PartitionLog | None, index: int, records: bytes | None) -> PartitionProduceResponse:
    if log is None:
        return _refused(index, ErrorCode.unknown_topic_or_partition, None)
    try:
        header = check_produced(records or b"")
        if log.config.compacted:
            check_keys(records or b"")
        offset = log.append(records or b"", header)
    except tuple(_PRODUCE_ERRORS) as error:
        return _refused(index, _PRODUCE_ERRORS[type(error)], str(error))
    return PartitionProduceResponse(
        index=index, error_code=ErrorCode.none, base_offset=offset, log_start_offset=log.start_offset, record_errors=()
    )


def _refused(index: int, error: ErrorCode, message: str | None) -> PartitionProduceResponse:
    return PartitionProduceResponse(index=index, error_code=error, base_offset=-1, record_errors=(), error_message=message)


async def fetch(broker: BrokerState, caller: Caller, request: FetchRequest) -> FetchResponse:
    """Whole batches of every partition; waits for ``min_bytes`` as long as the client allows, and where nothing is wrong."""
    response, size, failed = _read_all(broker, request)
    missing = min(request.min_bytes, request.max_bytes) - size
    if missing <= 0 or failed or request.max_wait <= NO_THROTTLE or broker.waiting_fetches >= broker.limits.waiting_fetches:
        return response
    logs = {log for topic in request.topics for part in topic.partitions if (log := broker.topics.partition(topic.topic, part.partition))}
    growth = Growth(missing)
    broker.waiting_fetches += 1
    for log in logs:
        log.waiting.add(growth)
    try:
        async with asyncio.timeout(min(request.max_wait.total_seconds(), broker.limits.wait_s)):
            await growth.done
    except TimeoutError:
        pass
    finally:
        broker.waiting_fetches -= 1
        for log in logs:
            log.waiting.discard(growth)
    return _read_all(broker, request)[0]


def _read_all(broker: BrokerState, request: FetchRequest) -> tuple[FetchResponse, int, bool]:
    """The answer as things stand, the bytes in it, and whether a partition failed."""
    left = min(request.max_bytes, broker.limits.response_bytes)
    size, failed, topics = 0, False, []
    for topic in request.topics:
        parts = []
        for wanted in topic.partitions:
            part = _read(broker.topics.partition(topic.topic, wanted.partition), wanted, left - size, is_first=size == 0)
            size += len(part.records or b"")
            failed = failed or part.error_code is not ErrorCode.none
            parts.append(part)
        topics.append(FetchableTopicResponse(topic=topic.topic, partitions=tuple(parts)))
    return FetchResponse(throttle_time=NO_THROTTLE, error_code=ErrorCode.none, responses=tuple(topics)), size, failed


def _read(log: PartitionLog | None, wanted: FetchPartition, left: int, is_first: bool) -> PartitionData:
    """One partition: at least one whole batch if it is the first with data, else as much as fits into ``left``."""
    error, records = ErrorCode.none, b""
    if log is None:
        error = ErrorCode.unknown_topic_or_partition
    else:
        try:
            records = log.read(wanted.fetch_offset, min(wanted.partition_max_bytes, max(left, 0))) if left > 0 or is_first else b""
            if len(records) > max(left, 0) and not is_first:
                records = b""  # its first batch exceeds what is left; the client asks for it again
        except OffsetOutOfRange:
            error = ErrorCode.offset_out_of_range
        except OSError:
            error = ErrorCode.kafka_storage_error
    end = log.end_offset if log is not None else -1
    return PartitionData(
        partition_index=wanted.partition,
        error_code=error,
        high_watermark=end,
        last_stable_offset=end,
        log_start_offset=log.start_offset if log is not None else -1,
        aborted_transactions=None,
        records=records,
    )
