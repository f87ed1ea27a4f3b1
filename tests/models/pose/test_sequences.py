"""Observations of a track on the camera's grid: windows, interpolation, rhythm, walking, quality."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.pose.blazepose import Pose
from models.pose.sequences import HOP_NS, LEAST_SEEN, CameraWindow, TrackSequence
from models.types import CAMERA_STEP_NS, CAMERA_WINDOW, Float32

START_NS = 1_700_000_000_000_000_000 // HOP_NS * HOP_NS
HEIGHT_PX = 150.0
STEP_RATE_HZ = 1.8


def walker(time_s: float, speed: float = 0.7, swing: float = 0.12) -> Float32:
    """(17, 3) joints of somebody `HEIGHT_PX` tall who walks across: speed in heights per second, ankles `swing` heights to either side."""
    x, phase = speed * time_s, np.pi * STEP_RATE_HZ * time_s
    leg, arm = swing * np.sin(phase), 0.6 * swing * np.sin(phase)
    rows = [(0, 0.08)] * 5 + [(0, 0.2)] * 2 + [(arm / 2, 0.35), (-arm / 2, 0.35), (arm, 0.5), (-arm, 0.5)]
    rows += [(0, 0.52)] * 2 + [(-leg / 2, 0.74), (leg / 2, 0.74), (-leg, 0.95), (leg, 0.95)]
    xy_J2 = (np.array(rows) + np.array([x, 0.0])) * HEIGHT_PX + np.array([40.0, 60.0])
    return np.concatenate([xy_J2, np.full((17, 1), 0.9)], axis=1).astype(np.float32)


def pose_of(keypoints_J3: Float32) -> Pose:
    """With the mask of an upright body in the middle of the crop."""
    mask_HW = np.zeros((128, 128), bool)
    mask_HW[15:115, 54:74] = True
    return Pose(keypoints_J3, 0.95, mask_HW, np.array([[1.0, 0, 0], [0, 1.0, 0]]))


def box_of(keypoints_J3: Float32) -> Float32:
    middle = float(keypoints_J3[:, 0].mean())
    return np.array([middle - 30, 60.0, middle + 30, 60.0 + HEIGHT_PX], np.float32)


def followed(times_ns: list[int], asked: set[int] | None = None, **gait: float) -> list[CameraWindow]:
    """Windows of a walker seen at given times; asked for after the observations numbered in `asked` (None: after each), and at the end."""
    track, windows = TrackSequence(), []
    for n, time_ns in enumerate(times_ns):
        joints = walker((time_ns - START_NS) / 1e9, **gait)
        track.add(time_ns, pose_of(joints), box_of(joints), 0.95)
        if asked is None or n in asked:
            windows += track.windows()
    return windows + track.windows() + track.finish()


def grid_times(seconds: float, step_ns: int = CAMERA_STEP_NS, first_ns: int = START_NS) -> list[int]:
    return list(range(first_ns, first_ns + round(seconds * 1e9), step_ns))


def test_windows_lie_on_the_absolute_grid_and_hold_what_was_seen():
    windows = followed(grid_times(5.2, first_ns=START_NS + 17_000_000))
    starts = [w.start_ns for w in windows]
    assert all(start % HOP_NS == 0 for start in starts) and starts == sorted(set(starts))
    # From 8 moments before the first observation to 8 after the last one, every window of which 24 moments are seen.
    assert starts[0] == START_NS and len(starts) == 6
    whole = windows[1]
    for moment in range(CAMERA_WINDOW):
        truth = walker((whole.start_ns + moment * CAMERA_STEP_NS - START_NS) / 1e9)
        assert np.abs(whole.poses.keypoints_TJ3[moment] - truth).max() < 0.02 * HEIGHT_PX
    assert whole.silhouettes.masks_THW.any(axis=(1, 2)).all()
    assert whole.silhouettes.masks_THW[3].any(axis=1).all()  # the body fills the height


@settings(max_examples=25)
@given(st.lists(st.integers(-35, 35), min_size=60, max_size=75), st.sets(st.integers(0, 74)), st.sets(st.integers(0, 74), max_size=30))
def test_windows_do_not_depend_on_when_they_are_asked_for(jitter_ms, asked, lost):
    """Whatever the times of frames, which are lost, and how the worker batches."""
    times_ns = [START_NS + n * CAMERA_STEP_NS + ms * 1_000_000 for n, ms in enumerate(jitter_ms) if n not in lost]
    each, some = followed(times_ns), followed(times_ns, asked)
    assert [w.start_ns for w in each] == [w.start_ns for w in some]
    for a, b in zip(each, some, strict=True):
        np.testing.assert_array_equal(a.poses.keypoints_TJ3, b.poses.keypoints_TJ3)
        np.testing.assert_array_equal(a.silhouettes.masks_THW, b.silhouettes.masks_THW)
        assert (a.quality, a.step_rate_hz, a.walking, *a.box_4) == (b.quality, b.step_rate_hz, b.walking, *b.box_4)
        assert (a.poses.keypoints_TJ3[:, 0, 2] > 0).sum() >= LEAST_SEEN


@settings(max_examples=25)
@given(st.sets(st.integers(1, 63), min_size=6, max_size=6))
def test_a_tenth_of_the_frames_lost_moves_joints_little(lost):
    """Between the neighbours of a lost frame an ankle's path bends by less than 7 % of the height, a trunk's by nothing."""
    kept = [t for n, t in enumerate(grid_times(64 * 0.08)) if n not in lost]
    whole = {w.start_ns: w for w in followed(grid_times(64 * 0.08))}
    for thinned in followed(kept):
        full = whole[thinned.start_ns]
        seen_T = thinned.poses.keypoints_TJ3[:, 0, 2] > 0
        error = np.linalg.norm((full.poses.keypoints_TJ3 - thinned.poses.keypoints_TJ3)[seen_T][..., :2], axis=-1) / HEIGHT_PX
        runs = max(len(run) for run in "".join("x" if n in lost else " " for n in range(64)).split(" "))
        bound = 0.12 * (np.pi * STEP_RATE_HZ * 0.08 * (runs + 1)) ** 2 / 8  # linear interpolation: swing * (ω h)² / 8
        assert error.max() <= bound + 1e-3
        assert error[:, [11, 12]].max() < 1e-3
        assert abs(full.step_rate_hz - thinned.step_rate_hz) < 0.2


@pytest.mark.parametrize(
    ("missing_s", "windows"),
    [
        ((1.6, 1.95), 6),  # a gap of 0.4 s is bridged
        ((1.6, 2.15), 6),  # seven moments are unseen, 25 remain
        ((1.2, 2.6), 2),  # too long: only the last two windows see 24 moments
    ],
)
def test_gaps(missing_s, windows):
    times_ns = [t for t in grid_times(5.2) if not missing_s[0] <= (t - START_NS) / 1e9 < missing_s[1]]
    found = followed(times_ns)
    assert len(found) == windows
    for window in found:
        at_s_T = (window.start_ns - START_NS) / 1e9 + 0.08 * np.arange(CAMERA_WINDOW)
        unseen_T = window.poses.keypoints_TJ3[:, :, 2].max(axis=1) == 0
        before_s, after_s = (
            max(t for t in times_ns if t < START_NS + missing_s[0] * 1e9),
            min(t for t in times_ns if t > START_NS + missing_s[0] * 1e9),
        )
        long = after_s - before_s > 400_000_000
        in_gap_T = (at_s_T > (before_s - START_NS) / 1e9 + 1e-6) & (at_s_T < (after_s - START_NS) / 1e9 - 1e-6)
        assert (unseen_T[in_gap_T] == long).all()
        assert not window.poses.keypoints_TJ3[unseen_T].any() and not window.silhouettes.masks_THW[unseen_T].any()


@pytest.mark.parametrize(
    ("gait", "walks", "rate_hz"),
    [
        ({}, True, STEP_RATE_HZ),  # across the view
        ({"speed": 0.0}, True, STEP_RATE_HZ),  # a camera that follows the walker
        ({"speed": 0.0, "swing": 0.0}, False, 0.0),  # stands
        ({"speed": 0.0, "swing": 0.004}, False, 0.0),  # stands and sways by half a centimetre
    ],
)
def test_walking_and_rhythm(gait, walks, rate_hz):
    for window in followed(grid_times(5.2), **gait):
        assert (window.walking > 0.9) if walks else (window.walking < 0.2)
        assert window.step_rate_hz == pytest.approx(rate_hz, abs=0.12)


def test_quality_falls_with_what_is_missing():
    full = followed(grid_times(5.2))[2].quality
    holes = followed([t for t in grid_times(5.2) if not 1.6 <= (t - START_NS) / 1e9 < 2.15])[2].quality
    assert 0.9 * 0.9 < full <= 1.0 and holes < 0.85 * full


def test_times_must_increase():
    with pytest.raises(ValueError, match="increasing"):
        followed([START_NS, START_NS])
