"""Phones: physics that a reader of the sensors can rely on."""

import numpy as np
import pytest

from models.simulation.contact import respond
from models.simulation.motion import Motion
from models.simulation.phone import PLACEMENTS, measure, sample_mount
from models.simulation.rotation import angular_rate, rotation_matrix, rotation_vector
from models.simulation.sensor import ACC_RANGE_MS2, Sensor, low_passed, sample_times_s
from models.simulation.walker import Walker


def true_samples(seed, placement, script, rate_hz=400.0):
    """Specific force and angular rate without any sensor error."""
    walker = Walker(seed)
    mount = sample_mount(walker.style, walker.body, placement, np.random.default_rng([seed, 1]))
    motion = Motion(walker.body, walker.style, script, rate_hz, np.random.default_rng([seed, 2]))
    return (*measure(motion, walker.style, mount, np.random.default_rng([seed, 3])), rate_hz)


def integrated(gyro_T3, rate_hz):
    """Orientation at the end against the beginning, from angular rates alone."""
    total = np.eye(3)
    for step in rotation_matrix(0.5 * (gyro_T3[1:] + gyro_T3[:-1]) / rate_hz):
        total = total @ step
    return total


@pytest.mark.parametrize("placement", PLACEMENTS)
@pytest.mark.parametrize(
    "script",
    [
        [("stand", 3.0), ("walk", 8.0), ("stand", 3.0)],  # through walking with all its shocks
        [("stand", 3.0), ("turn", 2.0), ("walk", 2.0), ("run", 4.0), ("stand", 3.0)],  # through the widest movements
        [("sit", 4.0), ("handle", 5.0), ("stand", 4.0)],  # through other postures and free rotations
    ],
)
def test_the_gyroscope_finds_gravity_again(placement, script):
    """Gravity in the resting phone at the end equals gravity at the start, carried along by the angular rates."""
    acc, gyro, rate_hz = true_samples(5, placement, script)
    rest = int(0.5 * rate_hz)
    start, end = acc[:rest].mean(0), acc[-rest:].mean(0)
    carried = integrated(gyro[rest // 2 : -rest // 2], rate_hz).T @ start
    angle = np.degrees(np.arccos(np.clip(carried @ end / np.linalg.norm(carried) / np.linalg.norm(end), -1, 1)))
    # 1.5 degrees: half a second of sway at either end (0.1 m/s² of 9.81 is 0.6 degrees) and the integration of 400 Hz samples
    assert angle < 1.5


@pytest.mark.parametrize("placement", PLACEMENTS)
def test_at_rest_a_phone_measures_gravity_and_little_else(placement):
    acc, gyro, _ = true_samples(2, placement, [("stand", 20.0)])
    size = np.linalg.norm(acc, axis=1)
    assert size.mean() == pytest.approx(9.81, abs=0.02)
    assert size.std() < 0.25 and np.linalg.norm(gyro, axis=1).mean() < 0.1  # sway, and a fidget in a loose bag


def test_over_whole_strides_the_mean_force_is_gravity():
    """A walker who goes straight gains no speed: averaged in the world, specific force is 9.81 m/s² upwards. Seen through the thigh's pitch
    it is less."""
    for placement in ("waist", "pocket_front"):
        acc, _, _ = true_samples(3, placement, [("walk", 60.0)])
        assert 8.0 < np.linalg.norm(acc.mean(0)) < 10.3


def test_rotation_vectors_and_matrices_invert_each_other():
    vectors = np.random.default_rng(0).normal(size=(500, 3)) * 0.5
    vectors[:3] = [[0, 0, 0], [1e-9, 0, 0], [1e-5, -1e-5, 2e-5]]  # the series near zero
    assert np.allclose(rotation_vector(rotation_matrix(vectors)), vectors, atol=1e-9)


def test_angular_rate_of_a_steady_turn_is_its_rate():
    angle = np.arange(100) / 100.0 * 2.0  # 2 rad/s at 100 Hz
    rate = angular_rate(rotation_matrix(np.outer(angle, [0.0, 0.0, 1.0])), 100.0)
    assert np.allclose(rate, [0.0, 0.0, 2.0], atol=1e-9)


def test_a_heel_strike_rings_near_eleven_hertz_and_dies_out():
    walker = Walker(1)
    strikes_s, near, strength = np.array([1.0, 1.5, 2.0]), np.array([True, False, True]), np.array([1.0, 0.0, 0.0])
    ring = respond(walker.style.contact, strikes_s, near, strength, 800, 200.0)[:, 2]
    assert np.all(ring[:200] == 0.0)
    assert np.abs(ring).max() == np.abs(ring[200:240]).max() > 2.0
    assert np.abs(ring[400:]).max() < 0.05 * np.abs(ring).max()
    spectrum = np.abs(np.fft.rfft(ring[200:240], 4000))
    assert 5.0 < np.argmax(spectrum) * 200.0 / 4000 < 15.0


def test_the_other_leg_strikes_more_softly_on_average():
    near, far = [], []
    for seed in range(40):
        weights_SMC = Walker(seed).style.contact.weights_SMC
        near.append(np.abs(weights_SMC[0, 0, 2]))
        far.append(np.abs(weights_SMC[1, 0, 2]))
    assert np.mean(far) < 0.5 * np.mean(near)


def test_sensor_errors_stay_within_a_calibrated_phone_and_its_range():
    rng = np.random.default_rng(0)
    for _ in range(50):
        sensor = Sensor.sample(rng)
        acc, gyro = sensor.read(np.tile([0.0, 0.0, 9.81], (2000, 1)), np.zeros((2000, 3)), rng)
        assert acc.dtype == gyro.dtype == np.float32
        assert np.linalg.norm(acc.mean(0)) == pytest.approx(9.81, abs=0.5) and np.abs(gyro.mean(0)).max() < 0.03
        assert 0.005 < acc.std(0).mean() < 0.1
    clipped, _ = Sensor.sample(rng).read(np.full((5, 3), 500.0), np.zeros((5, 3)), rng)
    assert clipped.max() == pytest.approx(ACC_RANGE_MS2)


def test_the_anti_alias_filter_keeps_gait_and_removes_what_would_fold():
    time_s = np.arange(4000) / 400.0
    kept, removed = (low_passed(np.sin(2 * np.pi * hz * time_s)[:, None], 400.0, 50.0)[400:-400].std() for hz in (5.0, 60.0))
    assert kept > 0.7 and removed < 0.01


def test_sample_times_regular_and_irregular():
    rng = np.random.default_rng(0)
    assert np.allclose(np.diff(sample_times_s(10.0, 100.0, False, rng)), 0.01)
    steps = np.diff(sample_times_s(60.0, 50.0, True, rng))
    assert steps.min() > 0 and 0.0005 < steps.std() < 0.01
