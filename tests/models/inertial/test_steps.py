"""Steps of real and of simulated walkers; cutting does not depend on where a stream begins."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.data.loading import load_recordings
from models.inertial.steps import CONTEXT, LOOKAHEAD, step_bounds, stretch, stride_period, two_step_samples
from models.simulation.walker import SimulatedRecording, Walker
from models.types import Float32, ShapeError

WALKERS = range(9000, 9003)
SYMMETRIC = 9003
"""A walker whose feet strike alike at the front pocket, so that the magnitude hardly tells the sides apart."""


def samples(made: SimulatedRecording) -> Float32:
    return np.concatenate([made.acc_N3, made.gyro_N3], axis=1)


@pytest.fixture(scope="module")
def walk() -> Float32:
    """A minute of one simulated walker."""
    return samples(Walker(9000).record(duration_s=60))


@pytest.mark.parametrize("placement", ["pocket_front", "waist", "wrist"])
@pytest.mark.parametrize("seed", WALKERS)
def test_simulated_steps_are_strides_of_one_side(seed: int, placement: str) -> None:
    """The length is the walker's stride, and marks lie at one phase of it: never now at one foot, now at the other."""
    made = Walker(seed).record(duration_s=30, placement=placement)
    bounds = step_bounds(samples(made))
    length = np.diff(bounds, axis=1)[:, 0]
    assert np.median(length) / 50.0 == pytest.approx(made.stride_s, rel=0.06)
    phase = made.phase_N[bounds[:, 0]]
    usual = np.angle(np.exp(2j * np.pi * phase).mean()) / (2 * np.pi)
    assert (np.abs((phase - usual + 0.5) % 1.0 - 0.5) < 0.2).mean() > 0.95
    within = 30.0 - 2 * LOOKAHEAD / 50.0  # the ends are undecided
    assert len(length) * made.stride_s > 0.85 * within


def test_alike_feet_lose_steps_and_invent_none() -> None:
    made = Walker(SYMMETRIC).record(duration_s=60)
    length = np.diff(step_bounds(samples(made)), axis=1)[:, 0]
    assert len(length) * made.stride_s > 0.5 * (60.0 - 2 * LOOKAHEAD / 50.0)
    assert np.abs(length / 50.0 / made.stride_s - 1.0).max() < 0.25


def test_real_steps_are_about_51_samples(data_dir: Path) -> None:
    """The published steps have a median of 50 and 90 % of them within 44 to 57; MotionSense's people walk a little slower."""
    lengths, beginnings, covered = [], [], []
    for record in load_recordings(data_dir / "imu" / "motionsense.npz", None, "trial=7,8"):
        walking = record.samples_N6[record.walk_N == 1]
        bounds = step_bounds(walking)
        magnitude = np.linalg.norm(walking[:, :3], axis=1)
        beginnings.append(((magnitude - magnitude.mean()) / magnitude.std())[bounds[:, 0]].mean())
        lengths.append(np.diff(bounds, axis=1)[:, 0])
        covered.append(lengths[-1].sum() / (len(walking) - 2 * LOOKAHEAD))
    length = np.concatenate(lengths)
    assert 50 <= np.median(length) <= 54
    low, high = np.percentile(length, [5, 95])
    assert low >= 43 and high <= 60
    assert 1.2 < np.mean(beginnings) < 2.7  # published: +1.55 at the first sample, +2.65 at the last
    assert np.median(covered) > 0.85


def test_rest_and_sitting_have_no_steps(data_dir: Path) -> None:
    rest = np.zeros((1500, 6), np.float32)
    rest[:, 2] = 9.81
    assert len(step_bounds(rest)) == 0
    sitting = load_recordings(data_dir / "imu" / "motionsense.npz", "1-6", "trial=5")
    steps, seconds = sum(len(step_bounds(r.samples_N6)) for r in sitting), sum(r.duration_s for r in sitting)
    assert steps / seconds < 0.02  # walking has about one a second


def test_samples_share_one_step_or_none(walk: Float32) -> None:
    shared, starts = two_step_samples(walk, 1000)
    bounds = step_bounds(walk, 1000)
    assert shared.shape == (len(starts), 128, 6) and shared.dtype == np.float32
    assert set(starts.tolist()) <= set(bounds[:, 0].tolist())
    assert len(starts) >= len(bounds) - 4
    apart, apart_starts = two_step_samples(walk, 1000, overlap=False)
    assert 0.4 * len(shared) < len(apart) <= 0.5 * len(shared) + 2
    ends = {int(start): int(stop) for start, stop in bounds}
    assert all(ends[ends[int(a)]] <= b for a, b in pairwise(apart_starts))


def test_a_sample_runs_from_peak_to_peak_and_over_no_gap() -> None:
    walk = samples(Walker(SYMMETRIC).record(duration_s=60))
    cut, starts = two_step_samples(walk)
    ends = dict(step_bounds(walk).tolist())
    assert 0 < len(cut) < len(ends) - 1  # there are gaps
    for sample, start in zip(cut, starts.tolist(), strict=True):
        assert np.allclose(sample[0], walk[start]) and np.allclose(sample[-1], walk[ends[ends[start]]])


@settings(max_examples=12)
@given(offset=st.integers(0, 700), first_index=st.integers(0, 10**9), drop=st.integers(0, 700))
def test_a_part_of_a_stream_is_cut_alike(walk: Float32, offset: int, first_index: int, drop: int) -> None:
    """Steps far enough from both ends are the same whatever else is known: live pieces agree with the whole recording."""
    whole = step_bounds(walk, first_index)
    stop = len(walk) - drop
    part = step_bounds(walk[offset:stop], first_index + offset)
    period = stride_period(walk[offset:stop], first_index + offset)
    sure = slice(160, -160)  # a window of the period and half a block lie on either side
    assert np.allclose(period[sure], stride_period(walk, first_index)[offset:stop][sure])

    def inner(bounds: np.ndarray) -> list[list[int]]:
        keep = (bounds[:, 0] >= first_index + offset + CONTEXT) & (bounds[:, 1] < first_index + stop - LOOKAHEAD)
        return bounds[keep].tolist()

    assert inner(part) == inner(whole)
    assert len(inner(whole)) > 10


@pytest.mark.parametrize("turn", [[1, 2, 0], [2, 0, 1]])
def test_orientation_does_not_matter(walk: Float32, turn: list[int]) -> None:
    turned = walk[:, [*turn, *(3 + axis for axis in turn)]]
    assert np.array_equal(step_bounds(turned), step_bounds(walk))


@pytest.mark.parametrize(
    ("piece", "points", "expected"),
    [
        ([0.0, 1.0, 2.0], 5, [0.0, 0.5, 1.0, 1.5, 2.0]),  # stretched
        ([0.0, 3.0, 6.0, 9.0], 2, [0.0, 9.0]),  # shortened
        ([4.0], 3, [4.0, 4.0, 4.0]),  # one sample
    ],
)
def test_stretch_is_linear_and_keeps_the_ends(piece: list[float], points: int, expected: list[float]) -> None:
    piece_T6 = np.repeat(np.array(piece, np.float32)[:, None], 6, axis=1)
    assert stretch(piece_T6, points)[:, 3].tolist() == pytest.approx(expected)


def test_too_little_and_wrong_shape() -> None:
    for length in (0, 1, 100, 191):
        cut, starts = two_step_samples(np.ones((length, 6), np.float32))
        assert cut.shape == (0, 128, 6) and starts.shape == (0,)
        assert np.isnan(stride_period(np.ones((length, 6), np.float32))).all()
    with pytest.raises(ShapeError, match=r"\(T, 6\)"):
        two_step_samples(np.zeros((300, 3), np.float32))
