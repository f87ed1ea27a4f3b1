"""Creating, growing and deleting topics."""

# mypy: disable-error-code="arg-type"
# (kio's integers and names are nominal types over int and str; plain values are what its writers take.)

from kio.schema.create_partitions.v3.request import CreatePartitionsRequest
from kio.schema.create_partitions.v3.response import CreatePartitionsResponse, CreatePartitionsTopicResult
from kio.schema.create_topics.v6.request import CreatableTopic, CreateTopicsRequest
from kio.schema.create_topics.v6.response import CreatableTopicConfigs, CreatableTopicResult, CreateTopicsResponse
from kio.schema.delete_topics.v5.request import DeleteTopicsRequest
from kio.schema.delete_topics.v5.response import DeletableTopicResult, DeleteTopicsResponse
from kio.schema.errors import ErrorCode

from streams.broker.api.configs import source_of
from streams.broker.configs import KEYS, InvalidConfig, TopicConfig
from streams.broker.state import BrokerState, Caller
from streams.broker.topics import InvalidPartitions, InvalidTopic, TopicExists
from streams.broker.wire import NO_THROTTLE

_ERRORS: dict[type[Exception], ErrorCode] = {
    InvalidTopic: ErrorCode.invalid_topic_exception,
    TopicExists: ErrorCode.topic_already_exists,
    InvalidPartitions: ErrorCode.invalid_partitions,
    InvalidConfig: ErrorCode.invalid_config,
    OSError: ErrorCode.kafka_storage_error,
}
_REFUSED = tuple(_ERRORS)


def _code(error: Exception) -> ErrorCode:
    return next(code for kind, code in _ERRORS.items() if isinstance(error, kind))


async def create(broker: BrokerState, caller: Caller, request: CreateTopicsRequest) -> CreateTopicsResponse:
    """Create topics, or only check whether they could be."""
    return CreateTopicsResponse(
        throttle_time=NO_THROTTLE, topics=tuple(_create(broker, topic, request.validate_only) for topic in request.topics)
    )


def _create(broker: BrokerState, wanted: CreatableTopic, validate_only: bool) -> CreatableTopicResult:
    if wanted.replication_factor not in (-1, 1):
        message = f"replication factor {wanted.replication_factor}, but there is one broker"
        return CreatableTopicResult(name=wanted.name, error_code=ErrorCode.invalid_replication_factor, error_message=message, configs=None)
    count = len(wanted.assignments) or wanted.num_partitions
    try:
        config = TopicConfig.parse({entry.name: entry.value for entry in wanted.configs})
        count = broker.topics.check_new(wanted.name, count)
        if not validate_only:
            broker.topics.create(wanted.name, count, config)
    except _REFUSED as error:
        return CreatableTopicResult(name=wanted.name, error_code=_code(error), error_message=str(error), configs=None)
    described = tuple(
        CreatableTopicConfigs(
            name=name,
            value=config.overrides.get(name, key.default),
            read_only=False,
            config_source=source_of(config, name),
            is_sensitive=False,
        )
        for name, key in KEYS.items()
    )
    return CreatableTopicResult(
        name=wanted.name,
        error_code=ErrorCode.none,
        error_message=None,
        num_partitions=count,
        replication_factor=1,
        configs=described,
    )


async def delete(broker: BrokerState, caller: Caller, request: DeleteTopicsRequest) -> DeleteTopicsResponse:
    """Delete topics with their data and committed offsets."""
    responses = []
    for name in request.topic_names:
        error = ErrorCode.none
        topic = broker.topics.get(name)
        if topic is None:
            error = ErrorCode.unknown_topic_or_partition
        else:
            try:
                broker.topics.delete(topic)
                broker.coordinator.forget_topic(name)
            except OSError:
                error = ErrorCode.kafka_storage_error
        responses.append(DeletableTopicResult(name=name, error_code=error))
    return DeleteTopicsResponse(throttle_time=NO_THROTTLE, responses=tuple(responses))


async def create_partitions(broker: BrokerState, caller: Caller, request: CreatePartitionsRequest) -> CreatePartitionsResponse:
    """Add partitions to topics."""
    results = []
    for wanted in request.topics:
        error, message = ErrorCode.none, None
        topic = broker.topics.get(wanted.name)
        if topic is None:
            error = ErrorCode.unknown_topic_or_partition
        else:
            try:
                broker.topics.check_grow(topic, wanted.count)
                if not request.validate_only:
                    broker.topics.grow(topic, wanted.count)
            except _REFUSED as refused:
                error, message = _code(refused), str(refused)
        results.append(CreatePartitionsTopicResult(name=wanted.name, error_code=error, error_message=message))
    return CreatePartitionsResponse(throttle_time=NO_THROTTLE, results=tuple(results))
