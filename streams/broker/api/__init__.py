"""The requests that the broker answers: which versions, decoded how, handled by whom."""

import importlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from streams.broker.api import cluster, configs, data, groups, offsets, records, topics
from streams.broker.state import BrokerState, Caller

Handler = Callable[[BrokerState, Caller, Any], Awaitable[Any]]


@dataclass(frozen=True)
class Api:
    """Versions ``lowest`` to ``newest`` of one request, which share a handler for the newest form."""

    key: int
    name: str
    lowest: int
    newest: int
    handler: Handler

    def request(self, version: int) -> Any:
        """Request class of a version."""
        return self._load(version, "Request")

    def response(self, version: int) -> Any:
        """Response class of a version."""
        return self._load(version, "Response")

    def _load(self, version: int, kind: str) -> Any:
        name = "".join(part.capitalize() for part in self.name.split("_")) + kind
        return getattr(importlib.import_module(f"kio.schema.{self.name}.v{version}"), name)


API_VERSIONS_KEY = 18

# Fetch, Produce, Metadata and offsets stop before topics are named by id: names are what every client has.
# Where a request changed its shape (one group or many), each shape has its row.
APIS = (
    Api(0, "produce", 3, 9, data.produce),
    Api(1, "fetch", 4, 11, data.fetch),
    Api(2, "list_offsets", 1, 7, records.list_offsets),
    Api(3, "metadata", 0, 9, cluster.metadata),
    Api(8, "offset_commit", 2, 8, offsets.commit),
    Api(9, "offset_fetch", 1, 7, offsets.fetch_one),
    Api(9, "offset_fetch", 8, 8, offsets.fetch_many),
    Api(10, "find_coordinator", 0, 3, cluster.find_coordinator),
    Api(10, "find_coordinator", 4, 4, cluster.find_coordinators),
    Api(11, "join_group", 0, 3, groups.join_at_once),
    Api(11, "join_group", 4, 9, groups.join),
    Api(12, "heartbeat", 0, 4, groups.heartbeat),
    Api(13, "leave_group", 0, 2, groups.leave_one),
    Api(13, "leave_group", 3, 5, groups.leave_many),
    Api(14, "sync_group", 0, 5, groups.sync),
    Api(15, "describe_groups", 0, 5, groups.describe),
    Api(16, "list_groups", 0, 4, groups.list_all),
    Api(18, "api_versions", 0, 3, cluster.api_versions),
    Api(19, "create_topics", 2, 6, topics.create),
    Api(20, "delete_topics", 1, 5, topics.delete),
    Api(21, "delete_records", 0, 2, records.delete),
    Api(22, "init_producer_id", 0, 4, cluster.init_producer_id),
    Api(32, "describe_configs", 1, 4, configs.describe),
    Api(33, "alter_configs", 0, 2, configs.alter),
    Api(37, "create_partitions", 0, 3, topics.create_partitions),
    Api(42, "delete_groups", 0, 2, groups.delete),
    Api(44, "incremental_alter_configs", 0, 1, configs.alter_incrementally),
    Api(47, "offset_delete", 0, 0, offsets.delete),
    Api(60, "describe_cluster", 0, 0, cluster.describe),
)
BY_VERSION = {(api.key, version): api for api in APIS for version in range(api.lowest, api.newest + 1)}

for _api in APIS:
    cluster.advertise(_api.key, _api.lowest, _api.newest)
