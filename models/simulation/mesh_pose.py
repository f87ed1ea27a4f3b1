"""A motion as bone transforms at any instant: what turns a body at rest into a body in mid-stride.

The rotations are those of ``Motion``, so a phone on the same motion feels what the picture shows. Two things are added that a phone does not
feel: toes bend while the heel is up, and a carried thing hangs from the hand (bones ``carry_l``, ``carry_r``).

Legend: T time, B bones (``ALL_BONES``).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from models.simulation.gait import channels_of
from models.simulation.mesh import BONE_PARENT, BONES, Shape
from models.simulation.motion import Motion
from models.simulation.rotation import rotation_matrix, yaw_rotation

Array = npt.NDArray[np.float64]

ALL_BONES = (*BONES, "carry_l", "carry_r")
PARENT_OF = BONE_PARENT | {"carry_l": "forearm_l", "carry_r": "forearm_r"}
TOE_BEND_RAD = 0.7  # at most; the ball of the foot carries, the toes stay on the ground


class MeshPose:
    """Bone transforms of one body in one motion. ``joints_B3``: rest joints of ``ALL_BONES``."""

    def __init__(self, shape: Shape, motion: Motion) -> None:
        wrists_23 = shape.points_P3[[9, 10]]
        self.joints_B3 = np.concatenate([shape.joints_B3, wrists_23])
        self.rate_hz = motion.rate_hz
        self.end_s = float(motion.time_T[-1])
        self._root_T3, self._yaw_T, self._phase_T = motion.root_T3, motion.yaw_T, motion.phase_T
        # 13 rotation vectors side by side: between two samples they are so close that their mean is the mean rotation.
        self._vectors_TC = np.concatenate([motion.pose(channels_of(bone)) for bone in BONES[:-2]], axis=1)

    def _at(self, x_TC: Array, time_s: float) -> Array:
        place = min(max(time_s * self.rate_hz, 0.0), len(x_TC) - 1.001)
        i = int(place)
        return np.asarray(x_TC[i] + (x_TC[i + 1] - x_TC[i]) * (place - i))

    def root_3(self, time_s: float) -> Array:
        """Mid-hip in metres in the motion's own world."""
        return self._at(self._root_T3, time_s)

    def phase(self, time_s: float) -> float:
        """Strides: the left heel strikes at integers."""
        return float(self._at(self._phase_T[:, None], time_s)[0])

    def transforms(self, time_s: float) -> Array:
        """Stacked bone transforms (4 B, 3) for ``mesh.skinning_matrix``: per bone three columns of its rotation, then its joint, metres.

        ``time_s`` since the beginning of the motion; outside it the ends stand still.
        """
        rotvec_B3 = self._at(self._vectors_TC, time_s).reshape(-1, 3)
        local_B33 = rotation_matrix(rotvec_B3)
        heading_33 = yaw_rotation(self._at(self._yaw_T[:, None], time_s))[0]
        at = {name: i for i, name in enumerate(ALL_BONES)}
        turn_B33, place_B3 = np.empty((len(ALL_BONES), 3, 3)), np.empty((len(ALL_BONES), 3))
        turn_B33[0], place_B3[0] = heading_33 @ local_B33[0], self.root_3(time_s)
        for i, bone in enumerate(ALL_BONES[1:], start=1):
            p = at[PARENT_OF[bone]]
            place_B3[i] = place_B3[p] + turn_B33[p] @ (self.joints_B3[i] - self.joints_B3[p])
            if bone.startswith("carry"):
                turn_B33[i] = heading_33
            elif bone.startswith("toes"):
                # The foot points down by this angle: the toes lie flat again.
                down = float(np.clip(np.arcsin(np.clip(-turn_B33[p][2, 0], -1.0, 1.0)), 0.0, TOE_BEND_RAD))
                turn_B33[i] = turn_B33[p] @ rotation_matrix(np.array([[0.0, -down, 0.0]]))[0]
            else:
                turn_B33[i] = turn_B33[p] @ local_B33[i]
        stacked = np.concatenate([turn_B33.transpose(0, 2, 1), place_B3[:, None]], axis=1)
        return stacked.reshape(-1, 3)
