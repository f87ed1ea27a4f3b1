"""Two-step samples of the live worker: the very ones that cutting the whole recording gives, however it arrived."""

from pathlib import Path

import numpy as np
import pytest

from models.data.grid import to_grid
from models.data.loading import load_recordings
from models.inertial.steps import two_step_samples
from models.types import GRID_STEP_NS
from streams.messages import GaitSample
from streams.settings import Settings
from tests.support.pipeline import START_NS, chunks_of, undisturbed
from workers.inertial.bouts import BLOCK_SAMPLES, CUT
from workers.inertial.two_step import BACK_BLOCKS, TWO_STEP_CUT

pytestmark = pytest.mark.data

SETTINGS = Settings(cut=TWO_STEP_CUT)


@pytest.mark.parametrize("chunk_s", [1.0, 0.37, 7.0])  # as phones send; in crumbs; more than fits into a ring at once
def test_live_samples_are_those_of_the_recording(data_dir: Path, chunk_s: float) -> None:
    (recording,) = load_recordings(data_dir / "imu" / "motionsense.npz", people="5", where="trial=8")
    outputs = undisturbed(chunks_of([recording], chunk_s=chunk_s), SETTINGS).values()
    samples = [GaitSample.from_bytes(o.value) for o in outputs if o.topic.endswith("inertial")]
    blocks = {sample.start_ns // GRID_STEP_NS // BLOCK_SAMPLES for sample in samples if sample.cut == CUT}
    live = {sample.start_ns // GRID_STEP_NS: sample for sample in samples if sample.cut == TWO_STEP_CUT}

    grid_T6, _, _ = to_grid(recording)
    first_index = START_NS // GRID_STEP_NS
    whole_K, starts_K = two_step_samples(grid_T6, first_index)
    # A sample lives where its block and the six after it walk: each of them begins a fixed window, but for the last.
    expected = {
        start: piece
        for start, piece in zip(starts_K.tolist(), whole_K, strict=True)
        if all(start // BLOCK_SAMPLES + n in blocks for n in range(BACK_BLOCKS))
    }
    assert live.keys() == expected.keys()
    assert len(live) > 20
    for start, sample in live.items():
        np.testing.assert_allclose(sample.samples, expected[start], atol=1e-3)
        assert 35 * 2 <= (sample.end_ns - sample.start_ns) // GRID_STEP_NS <= 152 + 1
