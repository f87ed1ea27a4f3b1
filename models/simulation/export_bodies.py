"""Derives ``walker_model.npz``, the body shapes of simulated walkers, from the ``anny`` package (0.6.2). Needed only to make it anew.

python -m models.simulation.export_bodies --bodies 2000

``anny`` (code Apache-2.0, NAVER; its body data from MakeHuman, CC0) samples adults. Each is brought into the rest pose of ``body`` (facing
+x, legs and arms hanging straight, feet flat and ahead) by linear-blend skinning, its bones are merged into those that a gait moves, and
principal components of vertices, joints and key points together are kept. Needs the package and torch, which the running system does not.
The topologies "smpl" and "smplx" must not be used: their terms are non-commercial.

Legend: N bodies, V vertices, B bones (``mesh.BONES``), A bones of the package, P key points, F faces, E components, M measures.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt

from models.simulation.mesh import BONE_PARENT, BONES, MEASURES, MODEL_FILE

Array = npt.NDArray[np.float64]

COMPONENTS = 48  # reproduce the sampled bodies to a tenth of a millimetre rms
BATCH = 40
COCO17 = (
    "nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow", "right_elbow",
    "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle", "right_ankle",
)  # fmt: skip
FROM_ANNY = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])  # the package faces -y with its left at +x
SHARES = {"Root": {"pelvis": 1.0}, "spine_01": {"pelvis": 0.5, "trunk": 0.5}, "neck_01": {"trunk": 0.5, "head": 0.5}}
HEADS = {
    "trunk": "spine_02", "head": "neck_01", "thigh": "thigh", "calf": "calf", "foot": "foot", "toes": "ball", "upper_arm": "upperarm",
    "forearm": "lowerarm",
}  # fmt: skip


def shares_of(bone: str) -> dict[str, float]:
    """The bones of a gait that carry a bone of the package."""
    if bone in SHARES:
        return SHARES[bone]
    side = bone[-2:] if bone[-2:] in ("_l", "_r") else ""
    kind = bone.removesuffix(side)
    for ours, theirs in HEADS.items():
        if kind == theirs:
            return {ours + side: 1.0}
    if kind in ("pelvis", "head"):
        return {kind: 1.0}
    if kind.startswith("spine") or kind == "clavicle":
        return {"trunk": 1.0}
    return {"forearm" + side: 1.0}  # hand and fingers


def phenotypes(names: list[str], n: int, rng: np.random.Generator) -> dict[str, Array]:
    """Adults: statures of 1.55, 1.72, 1.90 m at 5, 50, 95 %."""
    out = {name: np.clip(rng.normal(0.5, 0.18, n), 0.05, 0.95) for name in names}
    out["gender"] = np.where(rng.random(n) < 0.5, rng.uniform(0.0, 0.12, n), rng.uniform(0.88, 1.0, n))
    out["age"] = rng.uniform(0.6, 0.95, n)
    out["height"] = np.clip(rng.normal(0.42, 0.07, n), 0.2, 0.65)
    origin = rng.dirichlet([0.7, 0.7, 0.7], n)
    for i, name in enumerate(("african", "asian", "caucasian")):
        out[name] = origin[:, i]
    return out


def turning(from_N3: Array, to_3: Array) -> Array:
    """The smallest rotations (N, 3, 3) that take directions into one direction."""
    a = from_N3 / np.linalg.norm(from_N3, axis=1, keepdims=True)
    v, c = np.cross(a, to_3), a @ to_3
    k = np.zeros((len(a), 3, 3))
    k[:, 0, 1], k[:, 0, 2], k[:, 1, 0] = -v[:, 2], v[:, 1], v[:, 2]
    k[:, 1, 2], k[:, 2, 0], k[:, 2, 1] = -v[:, 0], -v[:, 1], v[:, 0]
    return np.eye(3) + k + k @ k / (1.0 + c)[:, None, None]


def straightened(heads_NB3: Array, hand_N23: Array) -> tuple[Array, Array]:
    """Rotations (N, B, 3, 3) and new joints (N, B, 3) that hang arms and legs and turn the feet ahead; ``hand_N23``: wrists."""
    n = len(heads_NB3)
    turn = np.tile(np.eye(3), (n, len(BONES), 1, 1))
    at = {name: i for i, name in enumerate(BONES)}
    down, ahead = np.array([0.0, 0.0, -1.0]), np.array([1.0, 0.0, 0.0])
    for i, side in enumerate(("_l", "_r")):
        for bone, tip in (("thigh", "calf"), ("calf", "foot"), ("upper_arm", "forearm")):
            turn[:, at[bone + side]] = turning(heads_NB3[:, at[tip + side]] - heads_NB3[:, at[bone + side]], down)
        turn[:, at["forearm" + side]] = turning(hand_N23[:, i] - heads_NB3[:, at["forearm" + side]], down)
        foot = (heads_NB3[:, at["toes" + side]] - heads_NB3[:, at["foot" + side]]) * [1.0, 1.0, 0.0]
        turn[:, at["foot" + side]] = turn[:, at["toes" + side]] = turning(foot, ahead)
    new = np.empty_like(heads_NB3)
    for i, bone in enumerate(BONES):  # parents stand before children
        if bone not in BONE_PARENT:
            new[:, i] = heads_NB3[:, i]
            continue
        p = at[BONE_PARENT[bone]]
        new[:, i] = new[:, p] + np.einsum("nij,nj->ni", turn[:, p], heads_NB3[:, i] - heads_NB3[:, p])
    return turn, new


def skinned(points_NV3: Array, weights_VB: Array, heads_NB3: Array, turn_NB33: Array, new_NB3: Array) -> Array:
    """Linear-blend skinning of rest points."""
    out = np.zeros_like(points_NV3)
    for b in range(len(BONES)):
        rows = np.flatnonzero(weights_VB[:, b])
        moved = np.einsum("nij,nvj->nvi", turn_NB33[:, b], points_NV3[:, rows] - heads_NB3[:, b, None]) + new_NB3[:, b, None]
        out[:, rows] += moved * weights_VB[rows, b, None]
    return out


def volume(vertices_NV3: Array, faces_F3: npt.NDArray[np.int64]) -> Array:
    """Volumes (N,) in m³ enclosed by the faces: signed tetrahedra."""
    a, b, c = (vertices_NV3[:, faces_F3[:, i]] for i in range(3))
    return np.abs(np.einsum("nfi,nfi->n", a, np.cross(b, c))) / 6.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bodies", type=int, default=2000)
    parser.add_argument("--out", type=Path, default=MODEL_FILE)
    args = parser.parse_args()
    import anny  # type: ignore[import-not-found]  # a build-time extra
    import torch

    coarse = anny.Anny(rig="game_engine", topology="notoes_collapse10pc", phenotypes="all")
    fine = anny.Anny(rig="game_engine", topology="anny", phenotypes="all")
    regressor = anny.KeypointsRegressor.coco(fine)
    order = [regressor.labels.index(name) for name in COCO17]
    regress_PV = regressor.regression_weights.double().numpy()[order]
    merge_AB = np.zeros((len(coarse.bone_labels), len(BONES)))
    for a, name in enumerate(coarse.bone_labels):
        for ours, share in shares_of(name).items():
            merge_AB[a, BONES.index(ours)] = share

    def weights(model: object) -> Array:
        index, weight = model.vertex_bone_indices.numpy(), model.vertex_bone_weights.double().numpy()  # type: ignore[attr-defined]
        dense = np.zeros((len(index), len(merge_AB)))
        np.put_along_axis(dense, index, 0.0, axis=1)
        for k in range(index.shape[1]):
            dense[np.arange(len(index)), index[:, k]] += weight[:, k]
        dense @= np.eye(len(merge_AB))
        merged = dense @ merge_AB
        return np.asarray(merged / merged.sum(1, keepdims=True))

    weights_VB = weights(coarse)
    point_weights_PB = regress_PV @ weights(fine)
    point_weights_PB[point_weights_PB < 0.02] = 0.0
    point_weights_PB /= point_weights_PB.sum(1, keepdims=True)
    faces = coarse.get_triangular_faces().numpy().astype(np.int64)
    rng = np.random.default_rng(0)
    drawn = phenotypes(list(coarse.phenotype_labels), args.bodies, rng)
    label = {name: i for i, name in enumerate(coarse.bone_labels)}
    rows, measures = [], []
    for begin in range(0, args.bodies, BATCH):
        part = {k: torch.tensor(v[begin : begin + BATCH], dtype=coarse.dtype) for k, v in drawn.items()}
        with torch.no_grad():
            out, full = coarse(phenotype_kwargs=part), fine(phenotype_kwargs=part)
        vertices = out["rest_vertices"].double().numpy() @ FROM_ANNY.T
        points = np.einsum("pv,nvi->npi", regress_PV, full["rest_vertices"].double().numpy()) @ FROM_ANNY.T
        ends = out["rest_bone_poses"][..., :3, 3].double().numpy() @ FROM_ANNY.T
        heads = np.empty((len(vertices), len(BONES), 3))
        for i, bone in enumerate(BONES):
            side = bone[-2:] if bone[-2:] in ("_l", "_r") else ""
            if bone == "pelvis":
                heads[:, i] = (ends[:, label["thigh_l"]] + ends[:, label["thigh_r"]]) / 2.0
            else:
                heads[:, i] = ends[:, label[HEADS[bone.removesuffix(side)] + side]]
        turn, new = straightened(heads, ends[:, [label["hand_l"], label["hand_r"]]])
        body = skinned(vertices, weights_VB, heads, turn, new)
        marks = skinned(points, point_weights_PB, heads, turn, new)
        floor = body[:, :, 2].min(1)
        height = body[:, :, 2].max(1) - floor
        ground = np.stack([new[:, 0, 0], new[:, 0, 1], floor], axis=1)[:, None]
        body, new, marks = body - ground, new - ground, marks - ground
        rows.append(np.concatenate([body, new, marks], axis=1).reshape(len(body), -1))
        measures.append(np.stack([height, volume(body, faces), drawn["gender"][begin : begin + BATCH], _width(new)], axis=1))
        print(f"{begin + len(body)} bodies", flush=True)
    x_NX, m_NM = np.concatenate(rows), np.concatenate(measures)
    assert m_NM.shape[1] == len(MEASURES)
    mean = x_NX.mean(0)
    _, values, axes = np.linalg.svd(x_NX - mean, full_matrices=False)
    components = axes[:COMPONENTS]
    scores = (x_NX - mean) @ components.T
    sd = values[:COMPONENTS] / np.sqrt(len(x_NX) - 1)
    z = scores / sd
    design = np.concatenate([np.ones((len(z), 1)), z], axis=1)
    measure_fit, *_ = np.linalg.lstsq(design, m_NM, rcond=None)
    rest = m_NM - design @ measure_fit
    error = x_NX - mean - scores @ components
    shape = (COMPONENTS, -1, 3)
    np.savez_compressed(
        args.out, mean_X3=mean.reshape(-1, 3).astype(np.float32), components_EX3=(components * sd[:, None]).reshape(shape).astype(np.float16),
        measure_EM=measure_fit.astype(np.float32), faces_F3=faces.astype(np.uint16), weights_VB=weights_VB.astype(np.float16),
        point_weights_PB=point_weights_PB.astype(np.float16),
    )  # fmt: skip
    print(f"{len(x_NX)} bodies, {weights_VB.shape[0]} vertices, {len(faces)} faces")
    print(
        f"{COMPONENTS} components: {1e3 * np.sqrt((error.reshape(-1, 3) ** 2).sum(1).mean()):.2f} mm rms, {1e3 * np.abs(error).max():.1f} at most"
    )
    print("measures", MEASURES, "mean", m_NM.mean(0).round(3), "sd", m_NM.std(0).round(3), "residual", rest.std(0).round(4))
    print(f"{args.out} {args.out.stat().st_size / 1024:.0f} kB")


def _width(heads_NB3: Array) -> Array:
    """Distance between the shoulder joints."""
    left, right = BONES.index("upper_arm_l"), BONES.index("upper_arm_r")
    return np.asarray(heads_NB3[:, left, 1] - heads_NB3[:, right, 1])


if __name__ == "__main__":
    main()
