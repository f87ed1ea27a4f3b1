"""An embedded broker for the sources, and everything that cameras have published to it.  Tests keep apart by camera ids."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator

import pytest

from streams.clients import read_partitions
from streams.messages import CameraFrame
from streams.provision import ensure_topics
from streams.settings import Settings
from streams.topics import CAMERA_FRAMES
from tests.support.brokers import BrokerProcess

Published = Callable[[], Awaitable[dict[str, list[CameraFrame]]]]


@pytest.fixture(scope="package")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BrokerProcess]:
    with BrokerProcess("embedded", tmp_path_factory.mktemp("sources") / "broker") as process:
        yield process


@pytest.fixture
async def settings(broker: BrokerProcess) -> Settings:
    given = Settings(bootstrap=broker.bootstrap)
    await ensure_topics(given)
    return given


@pytest.fixture
def published(settings: Settings) -> Published:
    """Reads every frame, by camera.  Each has its camera's key, and a camera stays in one partition."""

    async def read() -> dict[str, list[CameraFrame]]:
        frames = defaultdict(list)
        where: dict[str, int] = {}
        async for record in read_partitions(settings, CAMERA_FRAMES.name):
            frame = CameraFrame.from_bytes(record.value)
            assert record.key == frame.camera_id.encode()
            assert where.setdefault(frame.camera_id, record.partition) == record.partition
            frames[frame.camera_id].append(frame)
        return frames

    return read
