"""Bodies and gaits: plausible people whose feet stand on the ground."""

import numpy as np
import pytest

from models.simulation.body import PARENT, SEGMENTS, sample_body
from models.simulation.gait import GAITS_FILE, PELVIS_OFFSET, channels_of, fourier_basis, gait_model, mirrored, soles
from models.simulation.style import sample_style, stepping


def person(seed):
    return sample_body(np.random.default_rng([0, seed])), sample_style(np.random.default_rng([1, seed]))


def test_the_committed_model_is_small_and_complete():
    model = gait_model()
    assert GAITS_FILE.stat().st_size < 500_000
    assert model.components_EV.shape == (len(model.between_E), len(model.mean_V))
    assert all(np.isfinite(x).all() for x in (model.mean_V, model.components_EV, model.between_E, model.within_E))


def test_a_mirror_image_of_a_mirror_image_is_the_gait_itself():
    gait_V = gait_model().mean_V + gait_model().components_EV.sum(0)
    assert np.allclose(mirrored(mirrored(gait_V)), gait_V)
    assert not np.allclose(mirrored(gait_V), gait_V, atol=0.01)


def test_the_mean_gait_is_symmetric_and_walks_like_a_human():
    """Components come from walks and their mirror images; knees bend one way only, thighs swing to both sides of the vertical."""
    assert np.allclose(mirrored(gait_model().mean_V), gait_model().mean_V, atol=1e-5)
    pose_TC = fourier_basis(np.arange(100) / 100) @ gait_model().mean_V[:-2].reshape(11, -1)
    knee = np.degrees(pose_TC[:, channels_of("calf_l").start + 1])
    hip = np.degrees(pose_TC[:, channels_of("thigh_l").start + 1])
    assert knee.min() > -5 and 45 < knee.max() < 80  # flexion of the knee in swing is about 60 degrees
    assert hip.min() < -15 and hip.max() > 5  # forward is negative: rotation about the axis to the left
    assert np.argmin(hip) / 100 > 0.8 or np.argmin(hip) / 100 < 0.1  # the left thigh is forward at the left heel strike (phase 0)


def test_bodies_are_adults_of_different_build():
    bodies = [person(seed)[0] for seed in range(300)]
    height_m = np.array([b.height_m for b in bodies])
    ratio = np.array([b.thigh_m / b.calf_m for b in bodies])
    assert 1.45 <= height_m.min() < 1.6 and 1.85 < height_m.max() <= 2.05
    assert 0.02 < ratio.std() < 0.08
    assert set(PARENT) == set(SEGMENTS) - {"pelvis"}


def test_speed_cadence_and_stride_of_people_are_those_of_walking():
    walks = [stepping(style, body)["walk"].gait for body, style in map(person, range(200))]
    speed_m_s = np.array([g.stride_m / g.stride_s for g in walks])
    step_hz = np.array([2.0 / g.stride_s for g in walks])
    assert 1.0 < np.median(speed_m_s) < 1.5
    assert np.percentile(speed_m_s, 2) > 0.5 and np.percentile(speed_m_s, 98) < 2.2
    assert 1.8 < np.median(step_hz) < 2.05 and 0.08 < step_hz.std() < 0.25


@pytest.mark.parametrize(
    "name, slack_m",
    [
        ("walk", 0.06),  # the grounding is soft: centimetres at the change of feet, and the pelvis bounces more than the mean foot asks
        ("stairs_up", 0.09),  # height is right on average only: steps are stairs-like, not captured
        ("stairs_down", 0.09),
        ("run", 0.12),  # both feet leave the ground
    ],
)
def test_the_lowest_foot_is_near_the_ground(name, slack_m):
    phase = np.arange(50) / 50
    for body, style in map(person, range(20)):
        pose_TC = stepping(style, body)[name].gait.pose(phase)
        lowest_m = soles(pose_TC, body)[:, :, 2].min(1) + pose_TC[:, PELVIS_OFFSET.stop - 1] * body.leg_m
        assert abs(lowest_m.mean()) < slack_m / 2, name
        assert np.abs(lowest_m).max() < slack_m, name


def test_the_standing_foot_hardly_slides():
    """While a foot is flat (10 to 40 % after its strike) its ball travels with the ground, on average over people."""
    phase = np.arange(200) / 200
    slides = []
    for body, style in map(person, range(30)):
        gait = stepping(style, body)["walk"].gait
        pose_TC = gait.pose(phase)
        forward_m = phase * gait.stride_m + pose_TC[:, PELVIS_OFFSET.start] * body.leg_m
        ball_m = soles(pose_TC, body)[:, 1, 0] + forward_m
        slides.append(abs(ball_m[80] - ball_m[20]) / (0.3 * gait.stride_m))
    assert np.median(slides) < 0.25  # of the way the body makes meanwhile
