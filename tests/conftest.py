"""Fixtures that every test may use: where the real recordings lie, a broker of each kind."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from tests.support.brokers import BrokerProcess

REPOSITORY = Path(__file__).resolve().parents[1]

# A change lands or not by what it does, never by luck: the same examples each time. HYPOTHESIS_PROFILE=explore looks for new ones.
settings.register_profile("repeatable", derandomize=True, deadline=None)
settings.register_profile("explore", deadline=None, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "repeatable"))


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Folder of the real recordings; the test is skipped where there is none."""
    folder = Path(os.environ.get("GAITSTREAM_DATA", REPOSITORY / ".." / "shared" / "data"))
    if not (folder / "imu").is_dir():
        pytest.skip("the real recordings are not here: set GAITSTREAM_DATA to their folder")
    return folder


@pytest.fixture
def broker(broker_kind: str, tmp_path: Path) -> Iterator[BrokerProcess]:
    """A fresh broker of the kind that the test is parametrised with."""
    with BrokerProcess(broker_kind, tmp_path / "broker") as process:  # type: ignore[arg-type]
        yield process
