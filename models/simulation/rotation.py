"""Rotations of whole time series at once.

World frame: x forward at heading 0, y left, z up (metres, right-handed). ``R_T33`` maps segment coordinates into world (or parent)
coordinates.
Suffixes: T time, 3 axes.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]


def rotation_matrix(rotvec_T3: Array) -> Array:
    """Rotation matrices (T, 3, 3) of rotation vectors (T, 3) in radians (Rodrigues' formula, series near zero)."""
    angle2_T = np.einsum("ti,ti->t", rotvec_T3, rotvec_T3)
    angle_T = np.sqrt(angle2_T)
    small_T = angle_T < 1e-4
    safe_T = np.where(small_T, 1.0, angle_T)
    s_T = np.where(small_T, 1.0 - angle2_T / 6.0, np.sin(safe_T) / safe_T)
    c_T = np.where(small_T, 0.5 - angle2_T / 24.0, (1.0 - np.cos(safe_T)) / safe_T**2)
    x, y, z = rotvec_T3.T
    out = np.empty((len(rotvec_T3), 3, 3))
    out[:, 0, 0] = 1.0 - c_T * (y * y + z * z)
    out[:, 1, 1] = 1.0 - c_T * (x * x + z * z)
    out[:, 2, 2] = 1.0 - c_T * (x * x + y * y)
    out[:, 0, 1] = c_T * x * y - s_T * z
    out[:, 1, 0] = c_T * x * y + s_T * z
    out[:, 0, 2] = c_T * x * z + s_T * y
    out[:, 2, 0] = c_T * x * z - s_T * y
    out[:, 1, 2] = c_T * y * z - s_T * x
    out[:, 2, 1] = c_T * y * z + s_T * x
    return out


def rotation_vector(R_T33: Array) -> Array:
    """Rotation vectors (T, 3) of rotation matrices (T, 3, 3); angles below pi (joints never get there)."""
    skew_T3 = np.stack([R_T33[:, 2, 1] - R_T33[:, 1, 2], R_T33[:, 0, 2] - R_T33[:, 2, 0], R_T33[:, 1, 0] - R_T33[:, 0, 1]], axis=1) / 2.0
    sin_T = np.linalg.norm(skew_T3, axis=1)
    angle_T = np.arctan2(sin_T, (np.trace(R_T33, axis1=1, axis2=2) - 1.0) / 2.0)
    return skew_T3 * np.where(sin_T > 1e-9, angle_T / np.maximum(sin_T, 1e-9), 1.0)[:, None]


def yaw_rotation(yaw_T: Array) -> Array:
    """Rotations about the vertical by ``yaw_T`` radians (anticlockwise seen from above)."""
    zero = np.zeros_like(yaw_T)
    return rotation_matrix(np.stack([zero, zero, yaw_T], axis=1))


def rotate(R_T33: Array, v_T3: Array) -> Array:
    """``R_T33 @ v_T3`` for every instant; ``v_T3`` may be one vector (3,)."""
    return np.einsum("tij,tj->ti", R_T33, np.broadcast_to(v_T3, (len(R_T33), 3)))


def rotate_back(R_T33: Array, v_T3: Array) -> Array:
    """``R_T33.T @ v_T3``: world vectors seen from the segment."""
    return np.einsum("tji,tj->ti", R_T33, np.broadcast_to(v_T3, (len(R_T33), 3)))


def angular_rate(R_T33: Array, rate_hz: float) -> Array:
    """Angular rate in rad/s in segment axes, as a gyroscope reads it, by central differences (ends repeat their neighbour)."""
    out = np.empty((len(R_T33), 3))
    out[1:-1] = rotation_vector(np.einsum("tji,tjk->tik", R_T33[:-2], R_T33[2:])) * (rate_hz / 2.0)
    out[0], out[-1] = out[1], out[-2]
    return out


def random_rotation(rng: np.random.Generator) -> Array:
    """A uniformly distributed rotation matrix (from a normal quaternion)."""
    w, x, y, z = (q := rng.normal(size=4)) / np.linalg.norm(q)
    angle = 2.0 * np.arccos(np.clip(abs(w), -1.0, 1.0))
    axis = np.array([x, y, z]) * np.sign(w) / max(float(np.linalg.norm([x, y, z])), 1e-12)
    return rotation_matrix((axis * angle)[None])[0]
