"""One broker of each kind and one control plane on it for all tests here; tests keep apart by the names of people and devices."""

import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from streams.provision import ensure_topics
from streams.settings import Settings
from tests.support.brokers import BrokerProcess, broker_kinds
from tests.workers.control.plane import HOP_NS, Plane, person, run

_numbers = itertools.count(1)


@pytest.fixture(scope="package", params=broker_kinds())
def bootstrap(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A broker with all topics."""
    with BrokerProcess(request.param, tmp_path_factory.mktemp("broker")) as broker:
        run(ensure_topics(Settings(bootstrap=broker.bootstrap)))
        yield broker.bootstrap


@pytest.fixture(scope="package")
def settings(bootstrap: str) -> Settings:
    """Settings of the test and of the control plane."""
    return Settings(bootstrap=bootstrap, group_prefix="test", session_timeout_s=6.0)


@pytest.fixture(scope="package")
def running(settings: Settings, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    """The control plane that all tests share."""
    plane = Plane(settings, tmp_path_factory.mktemp("control"), "--expiry-every-s", "1")
    plane.start()
    yield plane
    plane.kill()


@pytest.fixture
def plane(running: Plane) -> Plane:
    """The shared control plane, running."""
    assert running.process is not None
    if running.process.poll() is not None:
        running.start()
    return running


@pytest.fixture(scope="session")
def scratch(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for files of tests."""
    return tmp_path_factory.mktemp("files")


@pytest.fixture
def fresh() -> tuple[str, str, int]:
    """A name, a device and a seed that no other test uses."""
    number = next(_numbers)
    return f"Person{number}", f"phone-{number}", 1000 + number


@pytest.fixture
def walked(plane: Plane) -> Callable[..., tuple[str, str, dict[str, object]]]:
    """Somebody new has walked: name, device, arguments that enrol them."""

    def walk(windows: int = 20, seed: int | None = None) -> tuple[str, str, dict[str, object]]:
        number = next(_numbers)
        start_ns = time.time_ns() - 600 * 10**9
        device = f"phone-{number}"
        plane.walk(device, person(1000 + number if seed is None else seed, windows), start_ns)
        arguments: dict[str, object] = {"stream_key": device, "from_ns": start_ns, "to_ns": start_ns + (windows + 1) * HOP_NS}
        return f"Person{number}", device, arguments

    return walk
