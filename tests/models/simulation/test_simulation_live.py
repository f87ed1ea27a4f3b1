"""Endless phones: however they are cut, they are one stream without seams."""

import numpy as np
import pytest

from models.simulation import LivePhone, PhonePool, Walker
from models.simulation.live import BLOCK_S, FADE_S


def stream(phone, pieces):
    return np.concatenate([np.concatenate(phone.chunk(s), axis=1) for s in pieces])


def test_chunks_of_any_length_give_the_same_stream():
    even = stream(LivePhone(Walker(1)), [1.0] * 70)
    odd = stream(LivePhone(Walker(1)), [0.13] * 500 + [5.0])
    assert even.dtype == np.float32 and even.shape == (3500, 6)
    assert np.array_equal(even, odd[:3500])


def test_time_runs_with_the_samples():
    phone = LivePhone(Walker(1), start_ns=1_700_000_000_000_000_000, rate_hz=50.0)
    for _ in range(7):
        phone.chunk(0.5)
    assert phone.next_ns == 1_700_000_003_500_000_000


@pytest.mark.parametrize("script", ["walk", "run", [("walk", 7.0), ("stand", 3.0)]])
def test_blocks_join_without_a_seam(script):
    """Around the joint neither steps between samples nor the spread differ from elsewhere."""
    x = stream(LivePhone(Walker(2), script=script), [1.0] * round(2.2 * BLOCK_S))
    jump = np.linalg.norm(np.diff(x[:, :3], axis=0), axis=1)
    for joint in (BLOCK_S, 2 * BLOCK_S):
        around = jump[int((joint - 1) * 50) : int((joint + 1) * 50)]
        assert around.max() <= jump.max() and np.median(around) < 2.5 * max(np.median(jump), 0.3)


@pytest.mark.parametrize("seed", range(3, 8))
def test_a_person_walks_on_in_step_across_the_joint(seed):
    """The rhythm just after the joint continues the one before: the best match with the strides before lies at whole strides."""
    walker = Walker(seed)
    joint = int(BLOCK_S * 50)
    turn = np.linalg.norm(stream(LivePhone(walker), [BLOCK_S + 8])[:, 3:], axis=1)
    before = walker.record(duration_s=BLOCK_S + FADE_S).phase_N
    stride = 200 / (before[joint] - before[joint - 200])  # samples
    after = turn[joint + 20 : joint + 170]
    lags = np.arange(round(3.5 * stride), round(4.5 * stride))
    matches = [np.corrcoef(after, turn[joint + 20 - lag : joint + 170 - lag])[0, 1] for lag in lags]
    assert max(matches) > 0.5 and abs(lags[int(np.argmax(matches))] / stride - 4.0) < 0.15


def test_a_fade_begins_in_the_old_block_and_ends_in_the_new():
    walker, joint, fade = Walker(2), int(BLOCK_S * 50), round(FADE_S * 50)
    out = stream(LivePhone(walker), [BLOCK_S + 2])
    old = walker.record(duration_s=BLOCK_S + FADE_S)
    new = walker.record(duration_s=BLOCK_S + FADE_S, take=1, start_phase=float(old.phase_N[joint]))
    assert np.allclose(out[joint - 5 : joint + 1, :3], old.acc_N3[joint - 5 : joint + 1])
    assert np.allclose(out[joint + fade : joint + 90, :3], new.acc_N3[fade:90])
    assert not np.allclose(old.acc_N3[joint : joint + fade], new.acc_N3[:fade], atol=0.2)


def test_labels_come_with_the_chunks():
    phone = LivePhone(Walker(4), script=[("walk", 4.0), ("sit", 6.0)])
    seen = []
    for _ in range(20):
        acc, _ = phone.chunk()
        assert len(phone.walk_N) == len(phone.act_N) == len(acc)
        seen += list(phone.walk_N)
    assert set(seen) == {0, 1}


def test_a_chunk_needs_a_positive_length():
    with pytest.raises(ValueError, match="seconds"):
        LivePhone(Walker(0)).chunk(0.0)


@pytest.fixture(scope="module")
def pool():
    return PhonePool(recordings=6, loop_s=40.0, scripts=("walk", "daily"))


def test_a_pool_is_deterministic_and_stateless(pool):
    first, again = pool.phones(range(20)), PhonePool(recordings=6, loop_s=40.0, scripts=("walk", "daily")).phones([7])
    assert np.array_equal(first.chunk(31)[0][7], again.chunk(31)[0][0])


def test_pooled_phones_differ_in_orientation_and_place_in_the_loop(pool):
    acc, gyro, walk = pool.phones(range(200)).chunk(0)
    assert acc.shape == gyro.shape == (200, 50, 3) and acc.dtype == np.float32 and walk.shape == (200, 50)
    assert len(np.unique(acc[:, 0].round(3), axis=0)) == 200
    assert np.abs(acc.mean((0, 1))).max() < 3.0  # gravity points everywhere
    assert 0.4 < pool.walking_share < 1.0


def test_turning_a_phone_keeps_sizes(pool):
    """Orientation is a rotation: norms are those of the recording it plays, and acceleration and angular rate turn together."""
    a, b = pool.phones([0]), pool.phones([6])  # the same recording, other offset and orientation
    x, y = (np.concatenate([p.chunk(k)[0][0] for k in range(40)]) for p in (a, b))
    gx, gy = (np.concatenate([p.chunk(k)[1][0] for k in range(40)]) for p in (a, b))
    size_x, size_y = np.linalg.norm(x, axis=1), np.linalg.norm(y, axis=1)
    assert np.allclose(np.sort(size_x), np.sort(size_y), atol=1e-3)
    assert np.allclose(np.sort((x * gx).sum(1)), np.sort((y * gy).sum(1)), atol=1e-2)


def test_loops_close_without_a_seam(pool):
    p = pool.phones(range(6))
    x = np.concatenate([p.chunk(k)[0] for k in range(80)], axis=1)
    assert np.array_equal(x[:, :2000], x[:, 2000:])  # 40 s
    jump = np.linalg.norm(np.diff(x, axis=1), axis=2)
    assert np.all(jump.max(1) < 60)


@pytest.mark.parametrize("arguments", [{"recordings": 0}, {"loop_s": 0.5}])
def test_an_impossible_pool_is_refused(arguments):
    with pytest.raises(ValueError, match="a pool needs"):
        PhonePool(**arguments)
