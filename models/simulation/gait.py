"""A gait: joint rotations and pelvis offset over one stride as Fourier series, sampled from principal components of the CMU walks.

Phase 0 is left heel strike, 1 the next one. Legend: T time, K Fourier terms (1, cos, sin, ...), C channels (13 rotation vectors, then the
pelvis offset in leg lengths), V one gait as a vector (K x C, then log tempo and stride length in leg lengths), E components.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.simulation.body import SEGMENTS, Body
from models.simulation.rotation import rotate, rotation_matrix

Array = npt.NDArray[np.float64]

GAITS_FILE = Path(__file__).with_name("gaits.npz")
HARMONICS = 5  # leave half a degree rms of the captured joint angles
TERMS = 1 + 2 * HARMONICS
PELVIS_OFFSET = slice(3 * len(SEGMENTS), 3 * len(SEGMENTS) + 3)
CHANNELS = PELVIS_OFFSET.stop
GRAVITY_MS2 = 9.81
HANDOVER = 0.05  # of a stride after heel strike: the leading foot is flat, the trailing one leaves
HANDOVER_SHARPNESS = 8.0  # double support lasts a tenth of a stride
EVERYDAY_TEMPO = 1.08  # people asked to walk through a motion-capture laboratory step 8 % slower than people outdoors


def fourier_basis(phase_T: Array) -> Array:
    """The basis 1, cos 2 pi phase, sin 2 pi phase, ... at phases in strides."""
    angle = 2.0 * np.pi * np.asarray(phase_T)[:, None] * np.arange(1, HARMONICS + 1)
    out = np.empty((len(angle), TERMS))
    out[:, 0] = 1.0
    out[:, 1::2] = np.cos(angle)
    out[:, 2::2] = np.sin(angle)
    return out


def channels_of(segment: str) -> slice:
    """The three rotation channels of a segment."""
    i = SEGMENTS.index(segment)
    return slice(3 * i, 3 * i + 3)


def mirrored(gait_V: Array) -> Array:
    """The gait of the mirror image: left and right swap, and time moves by half a stride."""
    coef_KC = gait_V[:-2].reshape(TERMS, CHANNELS).copy()
    coef_KC[1::4] *= -1.0  # odd harmonics, cosine: half a stride later
    coef_KC[2::4] *= -1.0  # odd harmonics, sine
    out = np.empty_like(coef_KC)
    swap = {"_l": "_r", "_r": "_l"}
    for name in SEGMENTS:
        other = name[:-2] + swap[name[-2:]] if name[-2:] in swap else name
        out[:, channels_of(name)] = coef_KC[:, channels_of(other)] * [-1.0, 1.0, -1.0]  # rotation vectors are axial
    out[:, PELVIS_OFFSET] = coef_KC[:, PELVIS_OFFSET] * [1.0, -1.0, 1.0]
    return np.concatenate([out.ravel(), gait_V[-2:]])


@dataclass(frozen=True)
class GaitModel:
    """What ``export_gaits`` derived: mean gait, components, and their standard deviations between people and between walks of one
    person."""

    mean_V: Array
    components_EV: Array
    between_E: Array
    within_E: Array


@cache
def gait_model() -> GaitModel:
    """The committed model ``gaits.npz``."""
    with np.load(GAITS_FILE, allow_pickle=False) as z:
        return GaitModel(**{k: z[k].astype(np.float64) for k in ("mean_V", "components_EV", "between_E", "within_E")})


@dataclass(frozen=True)
class Gait:
    """One way of walking. ``coef_KC`` as in the module's legend; ``stride_s`` and ``stride_m`` of level walking at the person's own
    pace."""

    coef_KC: Array
    stride_s: float
    stride_m: float

    def pose(self, phase_T: Array) -> Array:
        """Rotation vectors (radians) and pelvis offset (leg lengths) at phases in strides."""
        return fourier_basis(phase_T) @ self.coef_KC


def gait_from_vector(gait_V: Array, body: Body) -> Gait:
    """A gait on a body: pelvis height, speed and stride length are re-derived from the foot on the ground."""
    coef_KC = gait_V[:-2].reshape(TERMS, CHANNELS).copy()
    stride_s = float(np.exp(gait_V[-2]) * np.sqrt(body.leg_m / GRAVITY_MS2) / EVERYDAY_TEMPO)
    return grounded(Gait(coef_KC, stride_s, float(gait_V[-1]) * body.leg_m), body)


def soles(pose_TC: Array, body: Body) -> Array:
    """Heel and ball of the left, then of the right foot: (T, 4, 3) metres from mid-hip, heading axes."""
    out = np.empty((len(pose_TC), 4, 3))
    pelvis = rotation_matrix(pose_TC[:, channels_of("pelvis")])
    for i, side in enumerate(("_l", "_r")):
        rotation, position = pelvis, np.zeros((len(pose_TC), 3))
        for segment in ("thigh", "calf", "foot"):
            position = position + rotate(rotation, body.joint_3(segment + side))
            rotation = rotation @ rotation_matrix(pose_TC[:, channels_of(segment + side)])
        for j, point_3 in enumerate(body.sole):
            out[:, 2 * i + j] = position + rotate(rotation, point_3)
    return out


def grounded(gait: Gait, body: Body, points: int = 200, softness_m: float = 0.012) -> Gait:
    """Pelvis height and forward speed such that the standing foot rests on the ground (method: ground contact of the stance foot).

    The weight is handed from foot to foot around ``HANDOVER`` after each heel strike, and from heel to ball by the lower point,
    ``softness_m`` soft.
    """
    phase = np.arange(points) / points
    basis = fourier_basis(phase)
    sole = soles(gait.pose(phase), body)
    left = 1.0 / (1.0 + np.exp(-np.sin(2.0 * np.pi * (phase - HANDOVER)) * HANDOVER_SHARPNESS))
    weight = np.empty((points, 4))
    for foot, share in ((slice(0, 2), left), (slice(2, 4), 1.0 - left)):
        z = sole[:, foot, 2]
        low = np.exp(-(z - z.min(1, keepdims=True)) / softness_m)
        weight[:, foot] = low / low.sum(1, keepdims=True) * share[:, None]
    height = -(weight * sole[:, :, 2]).sum(1)
    step = (np.roll(sole[:, :, 0], -1, 0) - np.roll(sole[:, :, 0], 1, 0)) / 2.0
    advance = -(weight * step).sum(1)  # metres per point of the stride
    stride_m = float(advance.sum())
    drift = np.cumsum(advance - advance.mean())
    coef_KC = gait.coef_KC.copy()
    offset = np.stack([drift - drift.mean(), height], axis=1) / body.leg_m
    x, z_ = PELVIS_OFFSET.start, PELVIS_OFFSET.start + 2
    coef_KC[:, [x, z_]] = np.linalg.lstsq(basis, offset, rcond=None)[0]
    return replace(gait, coef_KC=coef_KC, stride_m=stride_m)
