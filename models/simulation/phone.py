"""A phone on a walker: where it sits, how it hangs there, and what its sensors read.

Rigid-body kinematics of the carrying segment, then what is not rigid: the pocket as a spring and damper (translation and rotation), the
ring of each heel strike, slip, a rattle that grows with the shocks. Acceleration and angular rate come from the same orientation, so a
reader can integrate the gyroscope and find gravity. Legend: T time, 3 axes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.signal import lfilter

from models.simulation.body import Body
from models.simulation.contact import respond, twist_angle
from models.simulation.gait import GRAVITY_MS2
from models.simulation.motion import Motion
from models.simulation.noise import shaped_noise, smooth_noise
from models.simulation.rotation import angular_rate, random_rotation, rotate, rotate_back, rotation_matrix, rotation_vector
from models.simulation.style import Style

Array = npt.NDArray[np.float64]

# Chosen, with the weights in `contact`, so that stride autocorrelation and spectrum meet MotionSense.
RATTLE_ACC = 0.35  # of the level of the shocks
RATTLE_RATE = 0.04  # rad/s per m/s² of that level


@dataclass(frozen=True)
class Placement:
    """Where a phone can be. ``segment``: what carries it; ``follow``: share of that segment's rotation against its parent's (a back pocket
    lies between pelvis and thigh); ``offset_3``: metres from the segment's joint for a phone on the left, per metre of stature; ``shock``:
    how much of the heel strike arrives; ``loose_hz``, ``loose_damping``: of its suspension; ``along``: its long side lies along the
    segment; ``twist``: how much flesh and cloth turn it once per stride."""

    segment: str
    follow: float
    offset_3: tuple[float, float, float]
    shock: float
    loose_hz: float
    loose_damping: float
    along: bool
    twist: float


PLACEMENTS = {
    "pocket_front": Placement("thigh", 1.0, (0.045, 0.02, -0.09), 1.0, 8.0, 0.30, True, 1.0),
    "pocket_back": Placement("thigh", 0.45, (-0.06, 0.0, -0.02), 0.8, 9.0, 0.35, True, 0.6),
    "waist": Placement("pelvis", 1.0, (0.05, 0.07, 0.05), 0.6, 12.0, 0.45, False, 0.35),
    "wrist": Placement("forearm", 1.0, (0.0, 0.015, -0.125), 0.15, 10.0, 0.35, False, 0.6),
    "hand": Placement("forearm", 1.0, (0.02, 0.0, -0.19), 0.15, 7.0, 0.5, False, 0.4),
    "coat": Placement("trunk", 0.9, (0.06, 0.09, -0.06), 0.6, 3.0, 0.2, True, 0.4),
    "bag": Placement("trunk", 0.8, (-0.08, 0.12, -0.10), 0.6, 2.2, 0.15, False, 0.4),
}


@dataclass(frozen=True)
class Mount:
    """How the phone sits in one session. ``mount_33``: phone axes to segment axes; ``loose_hz`` and ``damping`` of the suspension;
    ``rattle``: relative strength; ``slip_rad``: size of slow slipping."""

    placement: str
    left: bool
    offset_3: Array
    mount_33: Array
    loose_hz: float
    damping: float
    rattle: float
    slip_rad: float


def sample_mount(style: Style, body: Body, placement: str, rng: np.random.Generator) -> Mount:
    """The phone put away for one session: any orientation that the placement allows.

    Raises ValueError for an unknown placement.
    """
    if placement not in PLACEMENTS:
        raise ValueError(f"unknown placement {placement!r}; placements: {', '.join(PLACEMENTS)}")
    p = PLACEMENTS[placement]
    left = not style.right_handed
    if p.segment == "forearm" and placement == "wrist":
        left = not left  # watches sit on the other hand
    offset_3 = np.array(p.offset_3) * [1.0, 1.0 if left else -1.0, 1.0] * body.height_m + rng.normal(0.0, 0.012, size=3)
    if p.along:
        up, out = rng.choice([-1.0, 1.0], size=2)  # top up or down, screen out or in
        y, z = np.array([0.0, 0.0, up]), np.array([out, 0.0, 0.0])
        lean = rotation_matrix(rng.normal(0.0, [[0.2, 0.15, 0.35]]))[0]
        mount_33 = lean @ np.stack([np.cross(y, z), y, z], axis=1)
    else:
        mount_33 = random_rotation(rng)
    return Mount(
        placement=placement, left=left, offset_3=offset_3, mount_33=mount_33,
        loose_hz=p.loose_hz * float(np.exp(rng.normal(0.0, 0.12))), damping=p.loose_damping * float(np.exp(rng.normal(0.0, 0.2))),
        rattle=float(np.exp(rng.normal(0.0, 0.25))), slip_rad=float(rng.uniform(0.01, 0.05)),
    )  # fmt: skip


def carried(motion: Motion, mount: Mount) -> tuple[Array, Array]:
    """World rotation (T, 3, 3) and position (T, 3) of the place that carries the phone, before anything non-rigid."""
    p = PLACEMENTS[mount.placement]
    segment = p.segment if p.segment in ("pelvis", "trunk") else p.segment + ("_l" if mount.left else "_r")
    rotation, joint = motion.frame(segment)
    if p.follow < 1.0:
        base, _ = motion.frame("pelvis")
        relative = rotation_vector(np.einsum("tji,tjk->tik", base, rotation))
        rotation = base @ rotation_matrix(p.follow * relative)
    return rotation, joint + rotate(rotation, mount.offset_3)


def _second_order(x_TC: Array, hz: float, damping: float, rate_hz: float, *, relative: bool) -> Array:
    """A spring and damper driven by the motion of its base (bilinear transform).

    ``relative=False``: acceleration of the mass from acceleration of the base; True: displacement against the base per unit of base
    acceleration.
    """
    w, c = 2 * np.pi * hz, 2.0 * rate_hz
    a = np.array([c * c + 2 * damping * w * c + w * w, 2 * w * w - 2 * c * c, c * c - 2 * damping * w * c + w * w])
    b = -np.array([1.0, 2.0, 1.0]) if relative else np.array([2 * damping * w * c + w * w, 2 * w * w, w * w - 2 * damping * w * c])
    settled = x_TC[:1] * (b.sum() / a.sum())
    zi = np.array([(b[1] + b[2]) / a[0] * x_TC[0] - (a[1] + a[2]) / a[0] * settled[0], b[2] / a[0] * x_TC[0] - a[2] / a[0] * settled[0]])
    return np.asarray(lfilter(b / a[0], a / a[0], x_TC, axis=0, zi=zi)[0])


def measure(motion: Motion, style: Style, mount: Mount, rng: np.random.Generator) -> tuple[Array, Array]:
    """Specific force (T, 3) in m/s² and angular rate (T, 3) in rad/s in phone axes at the rate of the motion: a perfect sensor in an
    imperfect pocket."""
    rate_hz, time_T = motion.rate_hz, motion.time_T
    p = PLACEMENTS[mount.placement]
    rotation, position = carried(motion, mount)
    acceleration = np.zeros_like(position)
    acceleration[1:-1] = (position[2:] - 2 * position[1:-1] + position[:-2]) * rate_hz**2
    acceleration[0], acceleration[-1] = acceleration[1], acceleration[-2]
    force = rotate_back(rotation, acceleration + np.array([0.0, 0.0, GRAVITY_MS2]))
    force = _second_order(force, mount.loose_hz, mount.damping, rate_hz, relative=False)

    strikes = motion.strikes
    shock_TC = respond(style.contact, strikes.time_S, strikes.left_S == mount.left, strikes.strength_S, len(time_T), rate_hz) * p.shock
    level_T = lfilter([1.0], [1.0, -np.exp(-1.0 / (0.12 * rate_hz))], np.abs(shock_TC[:, 2])) / (0.12 * rate_hz)
    rattle = shaped_noise(rng, len(time_T), rate_hz, [(6.0, 3.0, 1.0), (13.0, 5.0, 0.7)], 6) * (mount.rattle * level_T)[:, None]
    force += shock_TC[:, :3] + RATTLE_ACC * rattle[:, :3]

    # The suspended phone turns against the segment: its inertia, the shocks, twisting flesh, rattle and slow slip.
    spin = angular_rate(rotation, rate_hz)
    turn = _second_order(np.gradient(spin, 1.0 / rate_hz, axis=0), mount.loose_hz, mount.damping, rate_hz, relative=True)
    stride_s = 1.0 / max(float(np.mean(np.diff(motion.phase_T))) * rate_hz, 1e-6)
    rate_TC = shock_TC[:, 3:] + RATTLE_RATE * rattle[:, 3:]
    turn += _leaky_integral(rate_TC, rate_hz)
    turn += p.twist * motion.stepping_T[:, None] * twist_angle(style.contact, motion.phase_T, stride_s)
    turn += mount.slip_rad * smooth_noise(rng, time_T, 6.0, 3)
    if "handle" in motion.weight:
        held = motion.weight["handle"][:, None]
        turn += held * 0.7 * smooth_noise(rng, time_T, 0.6, 3)
        force += held * 1.2 * smooth_noise(rng, time_T, 0.35, 3)
    wobble = rotation_matrix(turn)
    return rotate_back(wobble @ mount.mount_33, force), angular_rate(rotation @ wobble @ mount.mount_33, rate_hz)


def _leaky_integral(rate_TC: Array, rate_hz: float) -> Array:
    """Angle from angular rate; a pocket pulls the phone back within a quarter of a second."""
    keep = np.exp(-1.0 / (0.25 * rate_hz))
    return np.asarray(lfilter([1.0 / rate_hz], [1.0, -keep], rate_TC, axis=0))


def lying(samples: int, rng: np.random.Generator) -> tuple[Array, Array]:
    """A phone on a table, screen up or down, nearly level: gravity and no turning."""
    down = random_rotation(rng)
    level = rotation_matrix(rng.normal(0.0, [[0.02, 0.02, 1.5]]))[0]
    up_3 = level[2] * rng.choice([1.0, 1.0, -1.0]) if rng.random() < 0.9 else down[2]
    return np.tile(up_3 * GRAVITY_MS2, (samples, 1)), np.zeros((samples, 3))
