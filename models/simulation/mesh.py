"""The shape of a walker's body: vertices, faces, joints and key points in the rest pose of ``body``, and skinning.

Shapes are principal components of bodies of the ``anny`` package (``export_bodies``). A walker's shape is drawn by its identity and meets
the walker's stature, mass and limb lengths, so that the picture and the phone show one person. Rest pose: facing +x, left is +y, arms
hanging, the soles on z = 0, mid-hip above the origin.

Legend: V vertices, B bones, P key points (COCO-17), F faces, E components, X vertices, joints and key points in one row, M measures.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.simulation.body import PARENT, SEGMENTS, Body

Array = npt.NDArray[np.float64]
Float32 = npt.NDArray[np.float32]

MODEL_FILE = Path(__file__).with_name("walker_model.npz")
BONES = (*SEGMENTS, "toes_l", "toes_r")
BONE_PARENT = PARENT | {"toes_l": "foot_l", "toes_r": "foot_r"}
MEASURES = ("height_m", "volume_m3", "female", "shoulder_width_m")
DENSITY_KGM3 = 1000.0  # of a body, lungs half full
COCO17 = 17
MAX_SD = 2.5  # nobody is further from the mean along a component before the walker's own measures are met


@dataclass(frozen=True)
class BodyModel:
    """``walker_model.npz``: components in metres per standard deviation; ``measure_EM``: first row constant, then per component."""

    mean_X3: Array
    components_EX3: Array
    measure_EM: Array
    faces_F3: npt.NDArray[np.int64]
    weights_VB: Array
    point_weights_PB: Array


@cache
def body_model() -> BodyModel:
    """The committed model."""
    with np.load(MODEL_FILE, allow_pickle=False) as z:
        arrays = {k: z[k].astype(np.float64) for k in ("mean_X3", "components_EX3", "measure_EM", "weights_VB", "point_weights_PB")}
        for name in ("weights_VB", "point_weights_PB"):  # half floats: sums are one again
            arrays[name] /= arrays[name].sum(1, keepdims=True)
        return BodyModel(**arrays, faces_F3=z["faces_F3"].astype(np.int64))


@dataclass(frozen=True)
class Mesh:
    """A body or a thing on it in the rest pose. ``weights_VB`` over BONES (and what ``mesh_pose`` adds)."""

    vertices_V3: Array
    faces_F3: npt.NDArray[np.int64]
    weights_VB: Array


@dataclass(frozen=True)
class Shape:
    """A walker's body at rest: ``mesh``, ``joints_B3`` and key points ``points_P3`` with their own skinning weights."""

    mesh: Mesh
    joints_B3: Array
    points_P3: Array
    point_weights_PB: Array
    female: bool


def sample_shape(body: Body, rng: np.random.Generator) -> Shape:
    """A random shape that meets the body's stature, mass and shoulder width, with its limbs at exactly the body's lengths.

    Components are normal; they are conditioned on the measures (Gaussian conditioning), then every bone is stretched along itself.
    """
    model = body_model()
    # Statures of `sample_body`: men 1.77 +- .07, women 1.64 +- .065.
    woman, man = (np.exp(-0.5 * ((body.height_m - mean) / sd) ** 2) / sd for mean, sd in ((1.64, 0.065), (1.77, 0.07)))
    female = bool(rng.random() < woman / (woman + man))
    z_E = np.clip(rng.normal(size=len(model.components_EX3)), -MAX_SD, MAX_SD)
    wanted_M = np.array([body.height_m, body.mass_kg / DENSITY_KGM3, float(female), body.shoulder_width_m])
    slope_EM = model.measure_EM[1:]
    tolerance_M = np.array([0.01, 0.004, 0.1, 0.02])
    gain = slope_EM @ np.linalg.inv(slope_EM.T @ slope_EM + np.diag(tolerance_M**2))
    z_E = z_E + gain @ (wanted_M - model.measure_EM[0] - z_E @ slope_EM)
    row_X3 = model.mean_X3 + np.tensordot(z_E, model.components_EX3, axes=1)
    v, b = len(model.weights_VB), len(BONES)
    return _stretched(row_X3[:v], row_X3[v : v + b], row_X3[v + b :], body, female)


def _stretched(vertices_V3: Array, joints_B3: Array, points_P3: Array, body: Body, female: bool) -> Shape:
    """Bones at the lengths of ``body``: limbs and feet exactly, pelvis to head by what is left of the stature."""
    model, at = body_model(), {name: i for i, name in enumerate(BONES)}
    scale = np.ones((len(BONES), 3))
    for side in ("_l", "_r"):
        for bone, tip, length_m in (
            ("thigh", "calf", body.thigh_m),
            ("calf", "foot", body.calf_m),
            ("upper_arm", "forearm", body.upper_arm_m),
        ):
            scale[at[bone + side], 2] = length_m / np.linalg.norm(joints_B3[at[tip + side]] - joints_B3[at[bone + side]])
        scale[at["forearm" + side], 2] = scale[at["upper_arm" + side], 2]
        scale[at["foot" + side], 2] = scale[at["toes" + side], 2] = body.ankle_height_m / joints_B3[at["foot" + side], 2]
    leg_m = body.leg_m + body.ankle_height_m
    top = vertices_V3[:, 2].max() - joints_B3[0, 2]
    scale[[at["pelvis"], at["trunk"], at["head"]], 2] = (body.height_m - leg_m) / top
    new_B3 = np.empty_like(joints_B3)
    for i, bone in enumerate(BONES):
        if bone not in BONE_PARENT:
            new_B3[i] = [0.0, 0.0, leg_m]
        else:
            p = at[BONE_PARENT[bone]]
            new_B3[i] = new_B3[p] + scale[p] * (joints_B3[i] - joints_B3[p])

    def moved(points_V3: Array, weights_VB: Array) -> Array:
        each_VB3 = new_B3 + scale * (points_V3[:, None] - joints_B3)
        return np.einsum("vb,vbi->vi", weights_VB, each_VB3)

    mesh = Mesh(moved(vertices_V3, model.weights_VB), model.faces_F3, model.weights_VB)
    return Shape(mesh, new_B3, moved(points_P3, model.point_weights_PB), model.point_weights_PB, female)


def skinning_matrix(points_V3: Array, weights_VB: Array, joints_B3: Array) -> Float32:
    """(V, 4 B) matrix whose product with stacked bone transforms (4 B, 3), see ``mesh_pose``, gives the posed points: linear-blend
    skinning as one matrix product. Raises ValueError where weights and joints disagree about B."""
    if weights_VB.shape[1] != len(joints_B3):
        raise ValueError(f"{weights_VB.shape[1]} columns of weights for {len(joints_B3)} bones")
    local_VB4 = np.ones((*weights_VB.shape, 4))
    local_VB4[:, :, :3] = points_V3[:, None] - joints_B3
    return (local_VB4 * weights_VB[:, :, None]).reshape(len(points_V3), -1).astype(np.float32)
