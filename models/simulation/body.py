"""The body of a walker: segment lengths, mass and the tree of joints. Nothing here moves and nothing here measures.

Ratios to stature are those of Drillis and Contini (1966) as tabled by Winter, Biomechanics and Motor Control of Human Movement; each walker
deviates from them, limb by limb, by a few per cent, as people do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

SEGMENTS = (
    "pelvis", "trunk", "head", "thigh_l", "thigh_r", "calf_l", "calf_r",
    "foot_l", "foot_r", "upper_arm_l", "upper_arm_r", "forearm_l", "forearm_r",
)  # fmt: skip
"""The 13 rotating segments; their order is the order of the rotation channels of a gait."""

PARENT = {
    "trunk": "pelvis", "head": "trunk", "thigh_l": "pelvis", "thigh_r": "pelvis", "calf_l": "thigh_l", "calf_r": "thigh_r",
    "foot_l": "calf_l", "foot_r": "calf_r", "upper_arm_l": "trunk", "upper_arm_r": "trunk",
    "forearm_l": "upper_arm_l", "forearm_r": "upper_arm_r",
}  # fmt: skip

LIMB_SD = 0.03  # limb-length ratios of people vary by 3-8 %


@dataclass(frozen=True)
class Body:
    """Sizes in metres, mass in kg. At rest the body stands upright, arms hanging, facing +x, left is +y."""

    height_m: float
    mass_kg: float
    thigh_m: float
    calf_m: float
    ankle_height_m: float
    foot_m: float
    hip_width_m: float
    trunk_m: float
    shoulder_width_m: float
    head_m: float
    upper_arm_m: float
    forearm_m: float

    @property
    def leg_m(self) -> float:
        """Hip to ankle: the unit of the pelvis offset and of the stride length of a gait."""
        return self.thigh_m + self.calf_m

    def joint_3(self, segment: str) -> Array:
        """Where a segment hangs on its parent: (3,) metres in the parent's axes, from the parent's own joint. The pelvis' joint is
        mid-hip."""
        side = 1.0 if segment.endswith("_l") else -1.0
        kind = segment.removesuffix("_l").removesuffix("_r")
        joints = {
            "pelvis": (0.0, 0.0, 0.0),
            "trunk": (0.0, 0.0, 0.3 * self.trunk_m),
            "head": (0.0, 0.0, 0.7 * self.trunk_m),
            "thigh": (0.0, side * self.hip_width_m / 2.0, 0.0),
            "calf": (0.0, 0.0, -self.thigh_m),
            "foot": (0.0, 0.0, -self.calf_m),
            "upper_arm": (0.0, side * self.shoulder_width_m / 2.0, 0.64 * self.trunk_m),
            "forearm": (0.0, 0.0, -self.upper_arm_m),
        }
        return np.array(joints[kind])

    @property
    def sole(self) -> Array:
        """Heel and ball of a foot, (2, 3) metres from the ankle in foot axes: the points that touch the ground."""
        return np.array([[-0.25 * self.foot_m, 0.0, -self.ankle_height_m], [0.48 * self.foot_m, 0.0, -self.ankle_height_m]])


def sample_body(rng: np.random.Generator) -> Body:
    """A random adult: sex, stature, body mass index, and limb ratios around the tables."""
    male = rng.random() < 0.5
    height = float(np.clip(rng.normal(1.77, 0.07) if male else rng.normal(1.64, 0.065), 1.45, 2.05))
    bmi = float(np.clip(rng.lognormal(np.log(24.5), 0.15), 17.0, 42.0))

    def length(ratio: float) -> float:
        return height * ratio * (1.0 + LIMB_SD * float(np.clip(rng.normal(), -2.5, 2.5)))

    return Body(
        height_m=height, mass_kg=bmi * height**2,
        thigh_m=length(0.245), calf_m=length(0.246), ankle_height_m=length(0.039), foot_m=length(0.152),
        hip_width_m=length(0.107), trunk_m=length(0.40), shoulder_width_m=length(0.21), head_m=length(0.13),
        upper_arm_m=length(0.186), forearm_m=length(0.146),
    )  # fmt: skip
