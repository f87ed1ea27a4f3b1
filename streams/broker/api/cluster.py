"""Who is there: versions, nodes, topics, coordinators, producer ids."""

# mypy: disable-error-code="arg-type"
# (kio's integers and names are nominal types over int and str; plain values are what its writers take.)

from kio.schema.api_versions.v3.request import ApiVersionsRequest
from kio.schema.api_versions.v3.response import ApiVersion, ApiVersionsResponse
from kio.schema.describe_cluster.v0.request import DescribeClusterRequest
from kio.schema.describe_cluster.v0.response import DescribeClusterBroker, DescribeClusterResponse
from kio.schema.errors import ErrorCode
from kio.schema.find_coordinator.v3.request import FindCoordinatorRequest as FindOneRequest
from kio.schema.find_coordinator.v3.response import FindCoordinatorResponse as FindOneResponse
from kio.schema.find_coordinator.v4.request import FindCoordinatorRequest
from kio.schema.find_coordinator.v4.response import Coordinator, FindCoordinatorResponse
from kio.schema.init_producer_id.v4.request import InitProducerIdRequest
from kio.schema.init_producer_id.v4.response import InitProducerIdResponse
from kio.schema.metadata.v9.request import MetadataRequest
from kio.schema.metadata.v9.response import (
    MetadataResponse,
    MetadataResponseBroker,
    MetadataResponsePartition,
    MetadataResponseTopic,
)

from streams.broker.configs import TopicConfig
from streams.broker.state import LEADER_EPOCH, NODE_ID, BrokerState, Caller
from streams.broker.topics import InvalidPartitions, InvalidTopic, Topic, TopicExists, check_name
from streams.broker.wire import NO_THROTTLE

NO_TRANSACTIONS = "the embedded broker has no transactions"
_GROUP = 0  # key type of a coordinator

_advertised: dict[int, tuple[int, int]] = {}


def advertise(key: int, lowest: int, newest: int) -> None:
    """Add a range of versions to what ApiVersions tells."""
    before = _advertised.get(key, (lowest, newest))
    _advertised[key] = (min(before[0], lowest), max(before[1], newest))


def versions_response(error: ErrorCode) -> ApiVersionsResponse:
    """The list of supported versions, also the answer to a version of ApiVersions that is not known."""
    keys = tuple(ApiVersion(api_key=key, min_version=low, max_version=high) for key, (low, high) in sorted(_advertised.items()))
    return ApiVersionsResponse(error_code=error, api_keys=keys, throttle_time=NO_THROTTLE)


async def api_versions(broker: BrokerState, caller: Caller, request: ApiVersionsRequest) -> ApiVersionsResponse:
    """Which requests are known, in which versions."""
    return versions_response(ErrorCode.none)


async def metadata(broker: BrokerState, caller: Caller, request: MetadataRequest) -> MetadataResponse:
    """The node and the topics asked for; all topics where none are named."""
    if request.topics is None:
        topics = tuple(_known(topic) for topic in broker.topics)
    else:
        topics = tuple(_topic(broker, named.name, request.allow_auto_topic_creation) for named in request.topics)
    return MetadataResponse(
        throttle_time=NO_THROTTLE,
        brokers=(MetadataResponseBroker(node_id=NODE_ID, host=broker.host, port=broker.port),),
        cluster_id=broker.cluster_id,
        controller_id=NODE_ID,
        topics=topics,
    )


def _topic(broker: BrokerState, name: str, may_create: bool) -> MetadataResponseTopic:
    topic = broker.topics.get(name)
    error = ErrorCode.unknown_topic_or_partition
    if topic is None:
        try:
            check_name(name)
            if broker.auto_create_topics and may_create:
                topic = broker.topics.create(name, -1, TopicConfig.parse({}))
        except InvalidTopic:
            error = ErrorCode.invalid_topic_exception
        except (InvalidPartitions, TopicExists, OSError):
            error = ErrorCode.leader_not_available
    return _known(topic) if topic is not None else MetadataResponseTopic(error_code=error, name=name, partitions=())


def _known(topic: Topic) -> MetadataResponseTopic:
    partitions = tuple(
        MetadataResponsePartition(
            error_code=ErrorCode.none,
            partition_index=index,
            leader_id=NODE_ID,
            leader_epoch=LEADER_EPOCH,
            replica_nodes=(NODE_ID,),
            isr_nodes=(NODE_ID,),
        )
        for index in range(len(topic.partitions))
    )
    return MetadataResponseTopic(error_code=ErrorCode.none, name=topic.name, partitions=partitions)


async def describe(broker: BrokerState, caller: Caller, request: DescribeClusterRequest) -> DescribeClusterResponse:
    """The one node."""
    return DescribeClusterResponse(
        throttle_time=NO_THROTTLE,
        error_code=ErrorCode.none,
        cluster_id=broker.cluster_id,
        controller_id=NODE_ID,
        brokers=(DescribeClusterBroker(broker_id=NODE_ID, host=broker.host, port=broker.port),),
    )


async def find_coordinator(broker: BrokerState, caller: Caller, request: FindOneRequest) -> FindOneResponse:
    """This node coordinates every group."""
    is_group = request.key_type == _GROUP
    return FindOneResponse(
        throttle_time=NO_THROTTLE,
        error_code=ErrorCode.none if is_group else ErrorCode.transactional_id_authorization_failed,
        error_message=None if is_group else NO_TRANSACTIONS,
        node_id=NODE_ID if is_group else -1,
        host=broker.host if is_group else "",
        port=broker.port if is_group else -1,
    )


async def find_coordinators(broker: BrokerState, caller: Caller, request: FindCoordinatorRequest) -> FindCoordinatorResponse:
    """The same for several keys."""
    answers = []
    for key in request.coordinator_keys:
        one = await find_coordinator(broker, caller, FindOneRequest(key=key, key_type=request.key_type))
        answers.append(
            Coordinator(
                key=key, node_id=one.node_id, host=one.host, port=one.port, error_code=one.error_code, error_message=one.error_message
            )
        )
    return FindCoordinatorResponse(throttle_time=NO_THROTTLE, coordinators=tuple(answers))


async def init_producer_id(broker: BrokerState, caller: Caller, request: InitProducerIdRequest) -> InitProducerIdResponse:
    """A new producer id, or the next epoch of one that recovers from an error."""
    error, producer_id, epoch = ErrorCode.none, -1, -1
    if request.transactional_id is not None:
        error = ErrorCode.transactional_id_authorization_failed
    elif request.producer_id >= 0 and 0 <= request.producer_epoch < 2**15 - 1:
        producer_id, epoch = request.producer_id, request.producer_epoch + 1
    else:
        try:
            producer_id, epoch = broker.producer_ids.new(), 0
        except OSError:
            error = ErrorCode.coordinator_not_available
    return InitProducerIdResponse(throttle_time=NO_THROTTLE, error_code=error, producer_id=producer_id, producer_epoch=epoch)
