"""One broker of each kind for all integration tests: Apache Kafka takes seconds to start.  Each test gets empty topics and its own group."""

import itertools
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
import structlog
from aiokafka.admin import AIOKafkaAdminClient

from streams import topics
from streams.provision import ensure_topics
from streams.settings import Settings
from tests.support.brokers import BrokerProcess, Kind
from tests.support.pipeline import until

ONE_PARTITION = {topic.name: 1 for topic in topics.ALL}
"""Everything in one partition: all messages are neighbours in every batch."""

_groups = itertools.count()


@pytest.fixture(scope="session", autouse=True)
def plain_tracebacks() -> None:
    """Workers in this process log their exceptions; the default renderer spends seconds on the values of local variables."""
    structlog.configure(
        processors=[structlog.processors.add_log_level, structlog.processors.format_exc_info, structlog.dev.ConsoleRenderer()]
    )


@pytest.fixture(scope="session")
def broker_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Kind], BrokerProcess]]:
    """Starts the broker of a kind when it is first asked for."""
    running: dict[Kind, BrokerProcess] = {}

    def get(kind: Kind) -> BrokerProcess:
        if kind not in running:
            running[kind] = BrokerProcess(kind, tmp_path_factory.mktemp(kind) / "broker")
            running[kind].start()
        return running[kind]

    try:
        yield get
    finally:
        for broker in running.values():
            broker.kill()


@pytest.fixture
def partitions(request: pytest.FixtureRequest) -> dict[str, int]:
    """Numbers of partitions of the test's topics: one each, or what the test asks for with indirect parametrisation."""
    return getattr(request, "param", ONE_PARTITION)


@pytest.fixture
async def settings(broker_kind: Kind, broker_of: Callable[[Kind], BrokerProcess], partitions: dict[str, int]) -> AsyncIterator[Settings]:
    """Settings of a pipeline with empty topics."""
    broker = broker_of(broker_kind)
    given = Settings(bootstrap=broker.bootstrap, group_prefix=f"test{next(_groups)}", topic_partitions=partitions, session_timeout_s=6.0)
    admin = AIOKafkaAdminClient(bootstrap_servers=broker.bootstrap)
    await admin.start()
    try:
        ours = {topic.name for topic in topics.ALL}

        async def left() -> set[str]:
            return ours & set(await admin.list_topics())

        if old := await left():
            await admin.delete_topics(list(old))

            async def gone() -> bool:
                return not await left()

            await until(gone, 30, "topics that are gone")
    finally:
        await admin.close()
    await ensure_topics(given)
    yield given
