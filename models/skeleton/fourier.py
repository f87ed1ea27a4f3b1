"""The matcher of the published system's fork: how far two walks differ in the Fourier transforms of their joints' heights. No network.

Source: the description of "Biometric recognition using gait analysis" (a fork of HumanPoseNN). Shape letters: T frames, J = 16 joints of
`models.video.human_pose.JOINTS`, K = 8 joints used, F frequencies; 2 is (x, y).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from models.video.human_pose import JOINTS

Float64 = NDArray[np.float64]

USED = ("right_hip", "left_hip", "right_knee", "left_knee", "right_wrist", "left_wrist", "head_top", "pelvis")
INDICES = tuple(JOINTS.index(name) for name in USED)


def spectrum(place_TJ2: Float64) -> Float64:
    """(T, 8) real part of the Fourier transform over time of the heights of the eight joints. Raises ValueError for another shape."""
    if place_TJ2.ndim != 3 or tuple(place_TJ2.shape[1:]) != (len(JOINTS), 2) or len(place_TJ2) == 0:
        raise ValueError(f"joints must be (T, {len(JOINTS)}, 2) with T >= 1, not {tuple(place_TJ2.shape)}")
    return np.fft.fft(place_TJ2[:, INDICES, 1], axis=0).real


def spectral_distance(a_FK: Float64, b_FK: Float64, *, legacy: bool = False) -> float:
    """Mean over joints of the summed | |a| - |b| | over the common length.

    legacy: the published list of errors is never emptied between joints, so every joint's sum holds those before it.
    """
    common = min(len(a_FK), len(b_FK))
    sum_K = np.abs(np.abs(a_FK[:common]) - np.abs(b_FK[:common])).sum(axis=0)
    return float(np.mean(np.cumsum(sum_K) if legacy else sum_K))


def nearest(probe_FK: Float64, gallery: Mapping[str, Float64], *, legacy: bool = False) -> tuple[str, float]:
    """(name, distance) of the gallery's nearest walk. Raises ValueError for an empty gallery."""
    if not gallery:
        raise ValueError("the gallery is empty")
    distances = {name: spectral_distance(probe_FK, template_FK, legacy=legacy) for name, template_FK in gallery.items()}
    best = min(distances, key=lambda name: distances[name])
    return best, distances[best]
