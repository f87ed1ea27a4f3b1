"""Motion: scripts become continuous trajectories with honest labels."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.simulation.activities import ACTIVITIES, SCRIPTS, expand
from models.simulation.motion import Motion
from models.simulation.walker import Walker

BODY_ACTIVITIES = [name for name in ACTIVITIES if name != "table"]


def motion(script, seed=0, rate_hz=100.0, phase_at=None):
    walker = Walker(seed)
    return Motion(walker.body, walker.style, script, rate_hz, np.random.default_rng(seed), phase_at)


@settings(max_examples=25, deadline=None)
@given(
    script=st.lists(st.tuples(st.sampled_from(BODY_ACTIVITIES), st.floats(0.3, 6.0)), min_size=1, max_size=6),
    seed=st.integers(0, 10_000),
)
def test_any_script_gives_a_continuous_finite_motion(script, seed):
    m = motion(script, seed)
    assert np.allclose(sum(m.weight.values()), 1.0) and min(w.min() for w in m.weight.values()) > -1e-9
    assert np.all(np.diff(m.phase_T) > 0)
    assert np.linalg.norm(np.diff(m.root_T3, axis=0), axis=1).max() * m.rate_hz < 45  # m/s: nobody jumps (the vehicle is the fastest)
    for segment in ("thigh_l", "forearm_r", "head"):
        rotation, position = m.frame(segment)
        assert np.isfinite(position).all()
        assert np.allclose(rotation @ rotation.transpose(0, 2, 1), np.eye(3), atol=1e-9)


@pytest.mark.parametrize(
    "script, forward_m, up_m",
    [
        ([("stand", 10.0)], (0.0, 0.0), (0.0, 0.0)),  # standing goes nowhere
        ([("walk", 20.0)], (12.0, 42.0), (0.0, 0.0)),  # 0.6 to 2.1 m/s on the level
        ([("run", 20.0)], (25.0, 95.0), (0.0, 0.0)),
        ([("stairs_up", 10.0)], (2.0, 10.0), (1.8, 4.0)),  # some 17 steps of 17 cm
        ([("stairs_down", 10.0)], (2.0, 10.0), (-4.2, -1.8)),
    ],
)
def test_the_root_goes_where_the_feet_take_it(script, forward_m, up_m):
    for seed in range(5):
        m = motion(script, seed)
        path = np.linalg.norm(np.diff(m.root_T3[:, :2] - m.root_T3[0, :2], axis=0), axis=1).sum()
        if script[0][0] == "stand":
            assert np.ptp(m.root_T3, axis=0).max() < 0.01
        else:
            assert forward_m[0] < path < forward_m[1]
        climbed = m.root_T3[-50:, 2].mean() - m.root_T3[:50, 2].mean()
        assert up_m[0] - 0.1 <= climbed <= up_m[1] + 0.1


def test_turning_changes_the_heading_and_standing_does_not():
    turned = motion([("walk", 4.0), ("turn", 2.0), ("walk", 4.0)], 3)
    before, after = turned.yaw_T[(turned.time_T < 3.5)], turned.yaw_T[(turned.time_T > 6.5)]
    assert abs(after.mean() - before.mean()) > np.radians(60)
    assert np.ptp(motion([("stand", 10.0)]).yaw_T) == 0.0


def test_getting_up_is_labelled_as_motion_and_not_as_walking():
    m = motion([("sit", 5.0), ("walk", 6.0), ("stand", 4.0)])
    at = {second: (m.act_T[int(second * m.rate_hz)], m.walk_T[int(second * m.rate_hz)]) for second in (1.0, 5.0, 8.0, 14.0)}
    assert at == {1.0: (0, 0), 5.0: (7, 0), 8.0: (1, 1), 14.0: (0, 0)}


def test_a_performance_can_meet_a_phase():
    for script in ([("walk", 5.0)], [("run", 5.0)], [("stand", 2.0), ("walk", 3.0)]):
        m = motion(script, 4, phase_at=(1.0, 7.25))
        assert np.interp(1.0, m.time_T, m.phase_T) == pytest.approx(7.25, abs=0.02)


def test_steps_are_irregular_and_left_differs_from_right():
    m = motion([("walk", 120.0)], 1)
    steps_s = np.diff(m.strikes.time_S)
    assert 0.01 < steps_s.std() / steps_s.mean() < 0.06  # people: 2 to 4 %
    differences = []
    for seed in range(30):
        m = motion([("walk", 60.0)], seed)
        steps_s = np.diff(m.strikes.time_S)
        differences.append(abs(steps_s[::2].mean() - steps_s[1::2].mean()) / steps_s.mean())
    assert 0.005 < np.mean(differences) < 0.06


@pytest.mark.parametrize("name", SCRIPTS)
@pytest.mark.parametrize("duration_s", [0.5, 7.3, 95.0])
def test_named_scripts_fill_the_time_exactly(name, duration_s):
    parts = expand(name, duration_s, np.random.default_rng(0))
    assert sum(seconds for _, seconds in parts) == pytest.approx(duration_s)
    assert all(activity in ACTIVITIES and seconds > 0 for activity, seconds in parts)


def test_a_list_is_repeated_until_the_time_is_filled():
    assert expand([("walk", 4), ("stand", 2)], 9.0, np.random.default_rng(0)) == [("walk", 4.0), ("stand", 2.0), ("walk", 3.0)]
