"""Describing and changing configuration."""

# mypy: disable-error-code="arg-type"
# (kio's integers and names are nominal types over int and str; plain values are what its writers take.)

from collections.abc import Callable, Mapping

from kio.schema.alter_configs.v2.request import AlterConfigsRequest, AlterConfigsResource
from kio.schema.alter_configs.v2.response import AlterConfigsResourceResponse, AlterConfigsResponse
from kio.schema.describe_configs.v4.request import DescribeConfigsRequest, DescribeConfigsResource
from kio.schema.describe_configs.v4.response import DescribeConfigsResourceResult, DescribeConfigsResponse, DescribeConfigsResult
from kio.schema.errors import ErrorCode
from kio.schema.incremental_alter_configs.v1.request import (
    AlterConfigsResource as IncrementalResource,
)
from kio.schema.incremental_alter_configs.v1.request import (
    IncrementalAlterConfigsRequest,
)
from kio.schema.incremental_alter_configs.v1.response import (
    AlterConfigsResourceResponse as IncrementalResourceResponse,
)
from kio.schema.incremental_alter_configs.v1.response import (
    IncrementalAlterConfigsResponse,
)

from streams.broker.configs import KEYS, InvalidConfig, TopicConfig
from streams.broker.state import NODE_ID, BrokerState, Caller
from streams.broker.wire import NO_THROTTLE

_TOPIC, _BROKER = 2, 4  # resource types
_SET, _DELETE = 0, 1  # incremental operations
_FROM_TOPIC, _FROM_STATIC, _FROM_DEFAULT = 1, 4, 5  # where a value comes from
_STRING = 2


def source_of(config: TopicConfig, name: str) -> int:
    """The protocol's number for where a value comes from."""
    return _FROM_TOPIC if name in config.overrides else _FROM_DEFAULT


async def describe(broker: BrokerState, caller: Caller, request: DescribeConfigsRequest) -> DescribeConfigsResponse:
    """Configuration of topics, and what little a broker has."""
    return DescribeConfigsResponse(throttle_time=NO_THROTTLE, results=tuple(_described(broker, resource) for resource in request.resources))


def _described(broker: BrokerState, resource: DescribeConfigsResource) -> DescribeConfigsResult:
    wanted = resource.configuration_keys
    topic = broker.topics.get(resource.resource_name) if resource.resource_type == _TOPIC else None
    error, message, entries = ErrorCode.none, None, []
    if topic is not None:
        entries = [
            (name, topic.config.overrides.get(name, key.default), source_of(topic.config, name), key.type_number)
            for name, key in KEYS.items()
        ]
    elif resource.resource_type == _TOPIC:
        error = ErrorCode.unknown_topic_or_partition
    elif resource.resource_type == _BROKER and resource.resource_name in ("", str(NODE_ID)):
        values = {
            "broker.id": str(NODE_ID),
            "auto.create.topics.enable": str(broker.auto_create_topics).lower(),
            "default.replication.factor": "1",
        }
        entries = [(name, value, _FROM_STATIC, _STRING) for name, value in values.items()]
    else:
        error, message = ErrorCode.invalid_request, f"no resource of type {resource.resource_type} named {resource.resource_name!r}"
    configs = tuple(
        DescribeConfigsResourceResult(
            name=name,
            value=value,
            read_only=resource.resource_type == _BROKER,
            config_source=source,
            is_sensitive=False,
            synonyms=(),
            config_type=type_number,
            documentation=None,
        )
        for name, value, source, type_number in entries
        if not wanted or name in wanted
    )
    return DescribeConfigsResult(
        error_code=error,
        error_message=message,
        resource_type=resource.resource_type,
        resource_name=resource.resource_name,
        configs=configs,
    )


def _alter(
    broker: BrokerState,
    resource_type: int,
    name: str,
    change: Callable[[dict[str, str]], Mapping[str, str | None]],
    validate_only: bool,
) -> tuple[ErrorCode, str | None]:
    topic = broker.topics.get(name) if resource_type == _TOPIC else None
    if topic is None:
        if resource_type == _TOPIC:
            return ErrorCode.unknown_topic_or_partition, None
        return ErrorCode.invalid_request, "only the configuration of topics can be changed"
    try:
        config = TopicConfig.parse(change(dict(topic.config.overrides)))
        if not validate_only:
            broker.topics.configure(topic, config)
    except InvalidConfig as error:
        return ErrorCode.invalid_config, str(error)
    except OSError as error:
        return ErrorCode.kafka_storage_error, str(error)
    return ErrorCode.none, None


async def alter(broker: BrokerState, caller: Caller, request: AlterConfigsRequest) -> AlterConfigsResponse:
    """Replace the whole configuration of topics."""
    responses = []
    for resource in request.resources:
        error, message = _alter(broker, resource.resource_type, resource.resource_name, _replaced(resource), request.validate_only)
        responses.append(
            AlterConfigsResourceResponse(
                error_code=error, error_message=message, resource_type=resource.resource_type, resource_name=resource.resource_name
            )
        )
    return AlterConfigsResponse(throttle_time=NO_THROTTLE, responses=tuple(responses))


def _replaced(resource: AlterConfigsResource) -> Callable[[dict[str, str]], Mapping[str, str | None]]:
    return lambda _: {entry.name: entry.value for entry in resource.configs}


def _changed(resource: IncrementalResource) -> Callable[[dict[str, str]], Mapping[str, str | None]]:
    def change(overrides: dict[str, str]) -> Mapping[str, str | None]:
        changed: dict[str, str | None] = dict(overrides)
        for entry in resource.configs:
            if entry.config_operation not in (_SET, _DELETE):
                raise InvalidConfig(f"{entry.name}: only setting and deleting values is supported, not appending to lists")
            changed[entry.name] = entry.value if entry.config_operation == _SET else None
        return changed

    return change


async def alter_incrementally(
    broker: BrokerState, caller: Caller, request: IncrementalAlterConfigsRequest
) -> IncrementalAlterConfigsResponse:
    """Set single values of topics, or take their defaults back."""
    responses = []
    for resource in request.resources:
        error, message = _alter(broker, resource.resource_type, resource.resource_name, _changed(resource), request.validate_only)
        responses.append(
            IncrementalResourceResponse(
                error_code=error, error_message=message, resource_type=resource.resource_type, resource_name=resource.resource_name
            )
        )
    return IncrementalAlterConfigsResponse(throttle_time=NO_THROTTLE, responses=tuple(responses))
