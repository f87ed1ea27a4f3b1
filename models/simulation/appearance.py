"""What a walker looks like on one day: skin and hair by identity; clothes, shoes, bags and coats by session.

Colours are per face, BGR 0-255. Clothes widen the body along its normals; skirts, coats and bags are further vertices and faces that hang
on the same bones.

Legend: V vertices, F faces, B bones (``mesh_pose.ALL_BONES``).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from models.simulation.mesh import BONES, Mesh, Shape
from models.simulation.mesh_pose import ALL_BONES

Array = npt.NDArray[np.float64]

SKINS = ((150, 180, 225), (125, 160, 210), (95, 130, 185), (70, 100, 150), (45, 70, 110), (35, 50, 80))
HAIRS = ((30, 30, 35), (35, 50, 75), (60, 90, 130), (90, 140, 180), (130, 130, 135), (40, 40, 110))
RING = 14  # corners of a skirt's hem


@dataclass(frozen=True)
class Outfit:
    """A session's clothes. ``coat_m``, ``trousers_m``: how far the cloth stands off; ``hem``: share of the leg that a skirt or coat covers,
    0 for none; ``leg`` and ``sleeve``: share of the limb that trousers and sleeves cover; ``bag``: "none", "backpack", "shoulder", "hand"."""

    coat_m: float
    trousers_m: float
    hem: float
    leg: float
    sleeve: float
    bag: str
    left_bag: bool
    top_3: Array
    bottom_3: Array
    shoes_3: Array
    bag_3: Array


def sample_outfit(female: bool, rng: np.random.Generator) -> Outfit:
    """What somebody might wear."""

    def colour(low: float, high: float) -> Array:
        grey = rng.uniform(low, high)
        return np.clip(grey + rng.normal(0.0, 45.0, 3) * (rng.random() < 0.7), 10.0, 245.0)

    coat = rng.random() < 0.2
    skirt = not coat and female and rng.random() < 0.25
    return Outfit(
        coat_m=float(rng.uniform(0.02, 0.04) if coat else rng.uniform(0.004, 0.016)),
        trousers_m=float(rng.uniform(0.004, 0.02)),
        hem=float(rng.uniform(0.25, 0.5) if coat else rng.uniform(0.35, 0.6) if skirt else 0.0),
        leg=0.0 if skirt else float(rng.choice([1.0, 1.0, 1.0, 0.55])),
        sleeve=1.0 if coat else float(rng.choice([0.3, 1.0])),
        bag=str(rng.choice(["none", "backpack", "shoulder", "hand"], p=[0.6, 0.18, 0.12, 0.1])),
        left_bag=bool(rng.random() < 0.5),
        top_3=colour(40, 220), bottom_3=colour(25, 130), shoes_3=colour(20, 200), bag_3=colour(20, 140),
    )  # fmt: skip


@dataclass(frozen=True)
class Dressed:
    """A body in its clothes at rest: ``mesh``, ``colour_F3`` BGR, and ``closed_F``: faces whose back is never seen."""

    mesh: Mesh
    colour_F3: Array
    closed_F: npt.NDArray[np.bool_]


def dressed(shape: Shape, outfit: Outfit, identity: np.random.Generator) -> Dressed:
    """``identity``: generator of the person, for skin and hair."""
    skin_3 = np.array(SKINS[identity.integers(len(SKINS))]) * identity.uniform(0.92, 1.05)
    hair_3 = np.array(HAIRS[identity.integers(len(HAIRS))]) * identity.uniform(0.8, 1.2)
    mesh, at = shape.mesh, {name: i for i, name in enumerate(BONES)}
    v_V3, joints = mesh.vertices_V3, shape.joints_B3
    main_V = mesh.weights_VB.argmax(1)
    kind_V = np.array([BONES[b].removesuffix("_l").removesuffix("_r") for b in main_V])
    hip_m, knee_m, ankle_m = joints[0, 2], joints[at["calf_l"], 2], joints[at["foot_l"], 2]
    waist_m = hip_m + 0.07
    sole = v_V3[:, 2]
    wrist_m, shoulder_m = shape.points_P3[9, 2], joints[at["upper_arm_l"], 2]
    arm = np.isin(kind_V, ["upper_arm", "forearm"])
    leg = np.isin(kind_V, ["pelvis", "thigh", "calf"])
    cuff_m = hip_m - outfit.leg * (hip_m - ankle_m + 0.01)
    sleeve_m = shoulder_m - outfit.sleeve * (shoulder_m - wrist_m - 0.02)
    face_m = shape.points_P3[0, 2]  # the nose
    ear_x = shape.points_P3[[3, 4], 0].mean()
    top_m = v_V3[:, 2].max()
    head = kind_V == "head"
    hairline_m = face_m + 0.62 * (top_m - face_m)
    hair = head & (((v_V3[:, 0] < ear_x) & (sole > face_m - 0.04)) | (sole > hairline_m))
    trunk = (kind_V == "trunk") & (sole > waist_m) | (kind_V == "pelvis") & (sole > waist_m)
    neckline = (kind_V == "trunk") & (sole > shoulder_m + 0.07)
    top = (trunk & ~neckline) | (arm & (sole > sleeve_m))
    bottom = leg & ~top & (sole > cuff_m) if outfit.leg else leg & ~top & (sole > knee_m + 0.1)
    shoes = np.isin(kind_V, ["foot", "toes"]) | (leg & (sole < ankle_m + 0.005))
    colour_V3 = np.where(hair[:, None], hair_3, np.tile(skin_3, (len(v_V3), 1)))
    for part, part_3 in ((bottom, outfit.bottom_3), (top, outfit.top_3), (shoes, outfit.shoes_3)):
        colour_V3[part] = part_3
    off_V = np.select([top, bottom, shoes, hair], [outfit.coat_m, outfit.trousers_m, 0.008, 0.012], 0.0)
    off_V = np.where(arm & top, np.minimum(off_V, 0.015), off_V)
    normal_V3 = vertex_normals(v_V3, mesh.faces_F3)
    body = Mesh(v_V3 + normal_V3 * off_V[:, None], mesh.faces_F3, np.pad(mesh.weights_VB, ((0, 0), (0, len(ALL_BONES) - len(BONES)))))
    colours = [_of_faces(colour_V3, mesh.faces_F3)]
    parts, closed = [body], [np.ones(len(mesh.faces_F3), bool)]
    if outfit.hem > 0:
        hem = _hem(body.vertices_V3, main_V, waist_m, hip_m - outfit.hem * (hip_m - ankle_m), hip_m, shape)
        parts.append(hem)
        colours.append(np.tile(outfit.top_3 if outfit.coat_m > 0.018 else outfit.bottom_3, (len(hem.faces_F3), 1)))
        closed.append(np.zeros(len(hem.faces_F3), bool))
    if outfit.bag != "none":
        bag = _bag(outfit, body.vertices_V3, kind_V, shape)
        parts.append(bag)
        colours.append(np.tile(outfit.bag_3, (len(bag.faces_F3), 1)))
        closed.append(np.ones(len(bag.faces_F3), bool))
    return Dressed(_joined(parts), np.concatenate(colours), np.concatenate(closed))


def _of_faces(colour_V3: Array, faces_F3: npt.NDArray[np.int64]) -> Array:
    """The colour of the corner whose colour another corner shares, else of the first: borders follow faces."""
    a, b, c = (colour_V3[faces_F3[:, i]] for i in range(3))
    return np.where((b == c).all(1, keepdims=True), b, a)


def vertex_normals(vertices_V3: Array, faces_F3: npt.NDArray[np.int64]) -> Array:
    """Unit normals (V, 3), outward for faces anticlockwise seen from outside, weighted by area."""
    a, b, c = (vertices_V3[faces_F3[:, i]] for i in range(3))
    normal_F3 = np.cross(b - a, c - a)
    out = np.zeros_like(vertices_V3)
    for i in range(3):
        np.add.at(out, faces_F3[:, i], normal_F3)
    return np.asarray(out / np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-12))


def _weights(n: int, shares: dict[str, float | Array]) -> Array:
    out = np.zeros((n, len(ALL_BONES)))
    for bone, share in shares.items():
        out[:, ALL_BONES.index(bone)] = share
    return out


def _hem(body_V3: Array, main_V: Array, top_m: float, hem_m: float, hip_m: float, shape: Shape) -> Mesh:
    """A skirt from the waist to ``hem_m``: rings around both legs that follow pelvis and thighs."""
    torso = np.isin(main_V, [BONES.index(b) for b in ("pelvis", "trunk", "thigh_l", "thigh_r")])
    rings = np.linspace(top_m, hem_m, 6)
    angle = 2 * np.pi * np.arange(RING) / RING
    points, weights = [], []
    for i, z in enumerate(rings):
        near = body_V3[torso & (np.abs(body_V3[:, 2] - max(z, hip_m - 0.25)) < 0.06)]
        middle = (near[:, :2].max(0) + near[:, :2].min(0)) / 2
        half = (near[:, :2].max(0) - near[:, :2].min(0)) / 2 + 0.02 + 0.02 * i  # room for the swinging thighs
        points.append(np.stack([middle[0] + half[0] * np.cos(angle), middle[1] + half[1] * np.sin(angle), np.full(RING, z)], axis=1))
        follow = 0.8 * i / (len(rings) - 1)
        left = 0.5 + 0.5 * np.sin(angle)
        weights.append(_weights(RING, {"pelvis": 1 - follow, "thigh_l": follow * left, "thigh_r": follow * (1 - left)}))
    return Mesh(np.concatenate(points), _tube_faces(len(rings)), np.concatenate(weights))


def _tube_faces(rings: int) -> npt.NDArray[np.int64]:
    faces = []
    for i in range(rings - 1):
        for j in range(RING):
            a, b, c, d = i * RING + j, i * RING + (j + 1) % RING, (i + 1) * RING + j, (i + 1) * RING + (j + 1) % RING
            faces += [(a, c, b), (b, c, d)]
    return np.array(faces)


def _bag(outfit: Outfit, body_V3: Array, kind_V: npt.NDArray[np.str_], shape: Shape) -> Mesh:
    """A rounded box on the back, at the hip or under the hand."""
    side, end = (1.0, "_l") if outfit.left_bag else (-1.0, "_r")
    hip_m = shape.joints_B3[0, 2]
    if outfit.bag == "backpack":
        trunk_V3 = body_V3[kind_V == "trunk"]
        chest_m = shape.joints_B3[BONES.index("upper_arm_l"), 2] - 0.2
        back = trunk_V3[np.abs(trunk_V3[:, 2] - chest_m) < 0.1, 0].min()
        return _box(np.array([back - 0.06, 0.0, chest_m]), np.array([0.09, 0.15, 0.24]), {"trunk": 1.0})
    if outfit.bag == "shoulder":
        near = body_V3[np.isin(kind_V, ["pelvis", "thigh"]) & (np.abs(body_V3[:, 2] - hip_m) < 0.1), 1]
        return _box(
            np.array([-0.06, side * (np.abs(near).max() + 0.03), hip_m]), np.array([0.16, 0.05, 0.13]), {"pelvis": 0.6, "trunk": 0.4}
        )
    hand_3 = shape.points_P3[9 if outfit.left_bag else 10]
    return _box(hand_3 - [0.0, -side * 0.02, 0.32], np.array([0.17, 0.05, 0.17]), {"carry" + end: 1.0})


def _box(centre_3: Array, half_3: Array, shares: dict[str, float]) -> Mesh:
    """A box with rounded corners (a superellipsoid) of half sizes ``half_3`` metres."""
    rows, n = 6, RING
    up = np.linspace(-0.5 * np.pi, 0.5 * np.pi, rows)
    round_ = np.linspace(0, 2 * np.pi, n, endpoint=False)

    def bulge(x: Array) -> Array:
        return np.sign(x) * np.abs(x) ** 0.4

    points = np.stack(
        [
            np.outer(bulge(np.cos(up)), bulge(np.cos(round_))), np.outer(bulge(np.cos(up)), bulge(np.sin(round_))),
            np.repeat(bulge(np.sin(up))[:, None], n, 1),
        ],
        axis=2,
    ).reshape(-1, 3)  # fmt: skip
    return Mesh(centre_3 + points * half_3, _tube_faces(rows)[:, ::-1], _weights(len(points), dict(shares)))


def _joined(parts: list[Mesh]) -> Mesh:
    begin = np.cumsum([0, *(len(p.vertices_V3) for p in parts[:-1])])
    return Mesh(
        np.concatenate([p.vertices_V3 for p in parts]),
        np.concatenate([p.faces_F3 + b for p, b in zip(parts, begin, strict=True)]),
        np.concatenate([p.weights_VB for p in parts]),
    )
