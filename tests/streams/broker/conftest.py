"""Brokers for the tests of this folder: one process of each kind for tests that share, and helpers to make topics and batches."""

import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from streams.broker import EmbeddedBroker
from tests.support.brokers import BrokerProcess, broker_kinds

NO_AUTO_CREATION = {"KAFKA_EXTRA": "auto.create.topics.enable=false"}  # as the embedded broker has it


@pytest.fixture(scope="session", params=broker_kinds())
def shared_broker(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    """A broker process of each kind, for tests that neither kill it nor look at its files."""
    with BrokerProcess(request.param, tmp_path_factory.mktemp(request.param), extra_env=NO_AUTO_CREATION) as broker:
        yield broker
        if broker.kind == "embedded":
            assert "Traceback" not in broker.log()  # a failed request closes the connection, and clients hide that by trying again


@pytest.fixture
def bootstrap(shared_broker: BrokerProcess) -> str:
    """Address of the shared broker."""
    return shared_broker.bootstrap


@pytest.fixture
async def embedded(tmp_path: Path) -> AsyncIterator[EmbeddedBroker]:
    """An embedded broker on the loop of the test, with busy housekeeping."""
    async with EmbeddedBroker(tmp_path / "broker", housekeeping_s=0.02) as broker:
        yield broker


@pytest.fixture
def name() -> str:
    """A name for topics and groups that no other test uses."""
    return f"t-{uuid.uuid4().hex[:12]}"
