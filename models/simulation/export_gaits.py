"""Derive the gait model ``gaits.npz`` from the CMU walks (run once; the result is committed, the recordings are not).

    python -m models.simulation.export_gaits --data ../shared/data/vision/cmu_walk.npz

Every stride becomes Fourier coefficients of 13 segment rotations and of the pelvis offset; principal components of walks and of their
mirror images span the gaits, and how far people and walks of one person scatter along them is kept. Motion capture: CMU Graphics Lab,
mocap.cs.cmu.edu.
"""

from __future__ import annotations

import argparse
import itertools
from pathlib import Path

import numpy as np

from models.simulation.body import PARENT, SEGMENTS
from models.simulation.gait import GAITS_FILE, HARMONICS, PELVIS_OFFSET, Array, fourier_basis, mirrored
from models.simulation.rotation import rotation_vector

COMPONENTS = 16  # more than the 12 that already make a good generator; the tail is small
STRIDE_S = (0.85, 1.5)  # slower or quicker "strides" of the detector are starts, stops and turns
STANCE = slice(10, 30)  # per cent of the stride from heel strike: the foot is flat


def unit(v: Array) -> Array:
    return v / np.linalg.norm(v, axis=-1, keepdims=True)


def bone_frame(main_T3: Array, side_T3: Array, main_axis: str) -> Array:
    """Segment axes (columns x, y, z) from the bone direction and a side vector; ``main_axis`` is where the bone points at rest: +z, -z or
    +x."""
    if main_axis == "+x":
        x = unit(main_T3)
        z = unit(np.cross(x, side_T3))
        return np.stack([x, np.cross(z, x), z], axis=-1)
    z = unit(main_T3) * (1.0 if main_axis == "+z" else -1.0)
    x = unit(np.cross(side_T3, z))
    return np.stack([x, np.cross(z, x), z], axis=-1)


def segment_frames(p: dict[str, Array]) -> dict[str, Array]:
    """World rotation (T, 3, 3) of every segment from joint positions (T, 3) in x forward, y left, z up."""
    hips = p["LeftHip"] - p["RightHip"]
    shoulders = p["LeftShoulder"] - p["RightShoulder"]
    out = {
        "pelvis": bone_frame(p["lowerback"] - (p["LeftHip"] + p["RightHip"]) / 2, hips, "+z"),
        "trunk": bone_frame(p["Neck"] - p["lowerback"], shoulders, "+z"),
        "head": bone_frame(p["Head_end"] - p["Neck"], shoulders, "+z"),
    }
    for end, side in (("_l", "Left"), ("_r", "Right")):
        thigh, calf = unit(p[side + "Knee"] - p[side + "Hip"]), unit(p[side + "Ankle"] - p[side + "Knee"])
        # The knee is a hinge: its axis is seen while it is bent; the pelvis decides while the leg is straight.
        hinge = np.cross(thigh, calf) + 0.3 * unit(hips)
        upper, lower = unit(p[side + "Elbow"] - p[side + "Shoulder"]), unit(p[side + "Wrist"] - p[side + "Elbow"])
        elbow = np.cross(lower, upper) + 0.3 * unit(shoulders)
        out["thigh" + end] = bone_frame(thigh, hinge, "-z")
        out["calf" + end] = bone_frame(calf, hinge, "-z")
        out["foot" + end] = bone_frame(p[side + "Toe_end"] - p[side + "Ankle"], hinge, "+x")
        out["upper_arm" + end] = bone_frame(upper, elbow, "-z")
        out["forearm" + end] = bone_frame(lower, elbow, "-z")
    return out


def pitch(R_T33: Array) -> Array:
    """Rotation about the left-pointing axis, positive forward and down, of the segment's forward axis."""
    return -np.arcsin(np.clip(R_T33[:, 2, 0], -1, 1))


def strides_of(X_TJ3: Array, joints: list[str], fps: float) -> list[dict[str, Array]]:
    """Strides from left heel strike to left heel strike, heading turned to +x; each a dict of joint positions plus ``leg``,
    ``stride_s``."""
    p = {name: X_TJ3[:, j][:, [2, 0, 1]].astype(float) for j, name in enumerate(joints)}
    root = (p["LeftHip"] + p["RightHip"]) / 2
    leg = float(np.median([np.linalg.norm(p[s + "Hip"] - p[s + "Knee"], axis=1) + np.linalg.norm(p[s + "Knee"] - p[s + "Ankle"], axis=1)
                           for s in ("Left", "Right")]))  # fmt: skip
    left = np.cross([0.0, 0.0, 1.0], p["LeftHip"] - p["RightHip"])
    forward = unit(-left * [1, 1, 0])
    reach = np.einsum("ti,ti->t", p["LeftAnkle"] - root, forward)
    smooth = np.convolve(reach, np.ones(5) / 5, "same")
    peaks = [t for t in range(8, len(smooth) - 8) if smooth[t] == smooth[t - 8 : t + 9].max() and smooth[t] > 0.15 * leg]
    out = []
    for a, b in itertools.pairwise(peaks):
        travel = (root[b] - root[a]) * [1, 1, 0]
        if not STRIDE_S[0] <= (b - a) / fps <= STRIDE_S[1] or np.linalg.norm(travel) < 0.8 * leg:
            continue
        if forward[a : b + 1] @ unit(travel) @ np.ones(b - a + 1) < 0.97 * (b - a + 1):
            continue  # a curve, not a straight stride
        yaw = np.arctan2(travel[1], travel[0])
        turn = np.array([[np.cos(yaw), np.sin(yaw), 0], [-np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])
        stride = {name: (x[a : b + 1] - root[a] * [1, 1, 0]) @ turn.T for name, x in p.items()}
        out.append(stride | {"leg": np.array(leg), "stride_s": np.array((b - a) / fps)})
    return out


def fit(y_TC: Array) -> Array:
    """Fourier coefficients (K, C) of one stride; the drift between its two ends is taken out first."""
    t = np.linspace(0.0, 1.0, len(y_TC))
    closed = y_TC - (y_TC[-1] - y_TC[0]) * (t[:, None] - 0.5)
    return np.linalg.lstsq(fourier_basis(t[:-1]), closed[:-1], rcond=None)[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="cmu_walk.npz")
    parser.add_argument("--out", type=Path, default=GAITS_FILE)
    args = parser.parse_args()
    z = np.load(args.data, allow_pickle=False)
    joints, fps = list(z["joints"]), float(z["fps"])

    walks: list[tuple[int, list[dict[str, Array]]]] = []
    for s, n, subject in zip(z["start"], z["length"], z["subject"], strict=True):
        strides = strides_of(z["X"][s : s + n], joints, fps)
        if strides:
            walks.append((int(subject), strides))
    rotations: dict[int, list[dict[str, Array]]] = {subject: [] for subject, _ in walks}
    for subject, strides in walks:
        rotations[subject] += [segment_frames(stride) for stride in strides]

    def mean_pitch(frames: list[dict[str, Array]], segment: str, part: slice) -> float:
        grid = np.linspace(0, 1, 101)[part]
        return float(np.mean([np.interp(grid, np.linspace(0, 1, len(f[segment])), pitch(f[segment])).mean() for f in frames]))

    everyone = [f for frames in rotations.values() for f in frames]
    shared = {s: mean_pitch(everyone, s, slice(None)) for s in ("trunk", "head")}

    vectors, people = [], []
    for subject, strides in walks:
        own = rotations[subject]
        # Marker rigs tilt the pelvis and the feet differently for every subject; the foot is flat in its stance.
        zero = shared | {"pelvis": mean_pitch(own, "pelvis", slice(None)), "foot_l": mean_pitch(own, "foot_l", STANCE)}
        zero["foot_r"] = mean_pitch(own, "foot_r", slice(STANCE.start + 50, STANCE.stop + 50))
        coefs = []
        for stride in strides:
            world = segment_frames(stride)
            for name, angle in zero.items():
                c, s_ = np.cos(-angle), np.sin(-angle)
                world[name] = np.array([[c, 0, s_], [0, 1, 0], [-s_, 0, c]]) @ world[name]
            local = [
                rotation_vector(world[n] if n == "pelvis" else np.einsum("tji,tjk->tik", world[PARENT[n]], world[n])) for n in SEGMENTS
            ]
            root = (stride["LeftHip"] + stride["RightHip"]) / 2
            t = np.linspace(0, 1, len(root))[:, None]
            offset = root - np.array([root[-1, 0], 0, 0]) * t
            offset = (offset - offset[:-1].mean(0)) / float(stride["leg"])
            coef = fit(np.concatenate([*local, offset], axis=1))
            length = float(root[-1, 0] - root[0, 0]) / float(stride["leg"])
            # Time in units of sqrt(leg / g): a pendulum's scaling makes short and tall people comparable.
            tempo = np.log(float(stride["stride_s"]) / np.sqrt(float(stride["leg"]) / 9.81))
            coefs.append(np.concatenate([coef.ravel(), [tempo, length]]))
        vectors.append(np.mean(coefs, axis=0))
        people.append(subject)
    x_NV, who = np.array(vectors), np.array(people)
    x_NV = np.concatenate([x_NV, np.array([mirrored(v) for v in x_NV])])  # a mirrored person is a possible person
    who = np.concatenate([who, who])
    kind = np.arange(len(who)) >= len(who) // 2

    groups = [(p, m) for p in sorted(set(people)) for m in (False, True)]
    means = np.array([x_NV[(who == p) & (kind == m)].mean(0) for p, m in groups])
    mean = means.mean(0)
    scale = np.ones(x_NV.shape[1])
    scale[-2:] = 4.0  # tempo and length weigh as much as a few large coefficients
    _, values, axes = np.linalg.svd((means - mean) * scale, full_matrices=False)
    components = axes[:COMPONENTS] / scale
    between = values[:COMPONENTS] / np.sqrt(len(groups) - 1)
    spread = np.concatenate([x_NV[(who == p) & (kind == m)] - means[i] for i, (p, m) in enumerate(groups)])
    free = len(spread) - len(groups)
    within = np.sqrt((((spread * scale) @ axes[:COMPONENTS].T) ** 2).sum(0) / free)
    explained = (values[:COMPONENTS] ** 2).sum() / (values**2).sum()
    np.savez_compressed(
        args.out, mean_V=mean.astype(np.float32), components_EV=components.astype(np.float32),
        between_E=between.astype(np.float32), within_E=within.astype(np.float32),
    )  # fmt: skip
    strides_n = sum(len(s) for _, s in walks)
    print(
        f"{len(walks)} walks, {strides_n} strides, {len(set(people))} people; {HARMONICS} harmonics, pelvis offset channels {PELVIS_OFFSET}"
    )
    print(f"{COMPONENTS} components hold {explained:.1%} of the variance between people; within/between sd {np.round(within / between, 2)}")
    print(f"{args.out} {args.out.stat().st_size / 1024:.0f} kB")


if __name__ == "__main__":
    main()
