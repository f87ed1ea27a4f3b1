"""Owners crash one after the other: each finds outputs of batches that ended elsewhere than its own."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest
from aiokafka import TopicPartition
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from models.data.loading import load_recordings
from models.data.recordings import Recording
from streams.messages import GaitSample
from streams.settings import Settings
from streams.topics import IMU_RAW, SAMPLES_INERTIAL
from tests.support.pipeline import chunks_of, incoming_of
from workers.inertial.worker import InertialWorker
from workers.processor import Emitted, Output

AT = TopicPartition(IMU_RAW.name, 0)


@pytest.fixture(scope="module")
def walks(data_dir: Path) -> list[Recording]:
    return load_recordings(data_dir / "imu" / "motionsense.npz", people="1-2", where="trial=15")


@pytest.fixture(scope="module")
def worker() -> Iterator[InertialWorker]:
    loaded = InertialWorker(Settings())
    loaded._load()
    yield loaded


def bouts_of(outputs: list[Output]) -> dict[str, tuple[str, float]]:
    """Bout and steps so far of each gait sample."""
    samples = [GaitSample.from_bytes(o.value) for o in outputs if o.topic == SAMPLES_INERTIAL.name]
    return {sample.id: (sample.bout_id, pytest.approx(sample.bout_steps, abs=1e-2)) for sample in samples}


@settings(max_examples=8, deadline=None, phases=[Phase.generate])
@given(seed=st.integers(0, 10_000))
def test_bouts_go_on_over_several_crashes(worker: InertialWorker, walks: list[Recording], seed: int) -> None:
    """Owner after owner processes a bit, writes more than it commits, and dies."""
    chance = random.Random(seed)
    messages = incoming_of(worker, chunks_of(walks))
    worker.forget(AT)
    expected = worker.process(messages).outputs + worker.tick(AT, 2**62).outputs
    written: list[Output] = []
    resume = processed = 0
    while processed < len(messages):
        worker.forget(AT)
        if processed > resume:
            worker.process(messages[resume:processed])
        worker.restore(AT, [Emitted(o.topic, o.id, o.key, o.value) for o in written])
        stop = min(len(messages), processed + chance.randint(1, 60))
        ids = {o.id for o in written}
        written += [o for o in worker.process(messages[processed:stop]).outputs if o.id not in ids]
        hold = worker.hold(AT)
        resume, processed = stop if hold is None else hold, stop
        # Written, and never committed: the next owner meets these outputs although their messages are still to come.
        ahead = min(len(messages), stop + chance.randint(0, 60))
        if ahead > stop:
            ids = {o.id for o in written}
            written += [o for o in worker.process(messages[stop:ahead]).outputs if o.id not in ids]
    ids = {o.id for o in written}
    written += [o for o in worker.tick(AT, 2**62).outputs if o.id not in ids]
    assert sorted(o.id for o in written) == sorted(o.id for o in expected)
    assert bouts_of(written) == bouts_of(expected)
