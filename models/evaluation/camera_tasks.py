"""What camera networks are evaluated on: who is enrolled from what, and who is looked for in what.

All windows are cut as the camera worker cuts them: 32 steps every 8; a walk shorter than a window lies in the middle of one, the rest unseen.

Shape letters: W windows, T 32 steps, J 17 joints of COCO, H x W 64 x 44 pixels; 3 is x, y in pixels and confidence.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from models.data.recordings import RecordingError
from models.data.silhouettes import load_silhouette_walks
from models.data.skeletons import Walk3D, filmed, load_pose_walks, load_walks_3d
from models.training.camera_scenes import ACROSS, CLOTHES, ENROL, EVALUATION_SEEDS, SAME, passes
from models.training.camera_walks import held_out_of
from models.types import CAMERA_HOP, CAMERA_WINDOW, KEYPOINTS, SILHOUETTE_SHAPE, Float32

SIDE, FRONT = 90.0, 0.0

JOINT_NOISE = 0.05
"""Standard deviation of the noise of the noisy figures, in trunk lengths."""


@dataclass(frozen=True, slots=True)
class Item:
    """One walk of one person, cut into windows.

    keypoints_WTJ3, masks_WTHW: either may be all zero where the set does not have it.
    """

    person: str
    keypoints_WTJ3: Float32
    masks_WTHW: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Task:
    """One row of the report. inputs: "joints", "masks" or both: what the set has."""

    name: str
    enrol: list[Item]
    probe: list[Item]
    inputs: tuple[str, ...]


def cut(rows_T: NDArray) -> NDArray:
    """(W, 32, ...) windows of a sequence (T, ...); what a short one does not fill is zero."""
    short = CAMERA_WINDOW - len(rows_T)
    if short > 0:
        widths = [(short // 2, short - short // 2), *[(0, 0)] * (rows_T.ndim - 1)]
        return np.pad(rows_T, widths)[None]
    starts = np.arange(0, -short + 1, CAMERA_HOP)
    return rows_T[starts[:, None] + np.arange(CAMERA_WINDOW)]


def joints_item(person: str, keypoints_TJ3: Float32) -> Item:
    windows = cut(keypoints_TJ3)
    return Item(person, windows, np.zeros((len(windows), CAMERA_WINDOW, *SILHOUETTE_SHAPE), bool))


def masks_item(person: str, masks_THW: NDArray[np.bool_]) -> Item:
    windows = cut(masks_THW)
    return Item(person, np.zeros((len(windows), CAMERA_WINDOW, KEYPOINTS, 3), np.float32), windows)


Walk = TypeVar("Walk")


def first_and_others(walks: Sequence[Walk], person: Callable[[Walk], str]) -> tuple[list[Walk], list[Walk]]:
    """(each person's first walk, all further walks)."""
    seen: set[str] = set()
    enrol: list[Walk] = []
    probe: list[Walk] = []
    for walk in walks:
        (probe if person(walk) in seen else enrol).append(walk)
        seen.add(person(walk))
    return enrol, probe


def noisy(keypoints_TJ3: Float32, rng: np.random.Generator) -> Float32:
    """Places with Gaussian noise of JOINT_NOISE trunk lengths."""
    trunk = np.linalg.norm(keypoints_TJ3[:, 5:7, :2].mean(1) - keypoints_TJ3[:, 11:13, :2].mean(1), axis=-1).mean()
    out = keypoints_TJ3.copy()
    out[..., :2] += rng.normal(0, JOINT_NOISE * trunk, out[..., :2].shape).astype(np.float32)
    return out


def walks_3d_tasks(name: str, walks: Sequence[Walk3D]) -> list[Task]:
    """One gallery walk each: the same view, across views, with noise."""
    enrol, probe = first_and_others(walks, lambda walk: walk.subject)

    def items(chosen: Sequence[Walk3D], azimuth: float, seed: int | None = None) -> list[Item]:
        rng = np.random.default_rng(seed)
        poses = [(walk.subject, filmed(walk, azimuth).keypoints_TJ3) for walk in chosen]
        return [joints_item(person, noisy(pose, rng) if seed is not None else pose) for person, pose in poses]

    return [
        Task(f"{name} side", items(enrol, SIDE), items(probe, SIDE), ("joints",)),
        Task(f"{name} front", items(enrol, FRONT), items(probe, FRONT), ("joints",)),
        Task(f"{name} side, 5 % joint noise", items(enrol, SIDE, 1), items(probe, SIDE, 2), ("joints",)),
        Task(f"{name} front → side", items(enrol, FRONT), items(probe, SIDE), ("joints",)),
    ]


def kgbd_tasks(data_dir: Path) -> list[Task]:
    """110 people of a depth camera, each trial 1 enrolled and the others looked for."""
    return walks_3d_tasks("KGBD", load_walks_3d(data_dir / "vision" / "kgbd.npz"))


def kth_tasks(data_dir: Path) -> list[Task]:
    """People who pass a camera: passes 0 and 1 of a scenario enrol; the later ones, or those of another scenario, are looked for."""
    poses = load_pose_walks(data_dir / "vision" / "kth_pose.npz")
    masks = load_silhouette_walks(data_dir / "vision" / "kth_sil.npz")
    items = []
    for pose, mask in zip(poses, masks, strict=True):
        item = Item(pose.subject, cut(pose.poses.keypoints_TJ3), cut(mask.silhouettes.masks_THW))
        items.append((pose.conditions["scenario"], int(pose.session), item))
    both = ("joints", "masks")
    tasks = [
        Task(
            f"KTH d{scenario} → d{scenario}",
            [item for s, session, item in items if s == scenario and session < 2],
            [item for s, session, item in items if s == scenario and session >= 2],
            both,
        )
        for scenario in "1234"
    ]
    for other in "34":
        enrol = [item for s, _, item in items if s == "1"]
        tasks.append(Task(f"KTH d1 → d{other}", enrol, [item for s, _, item in items if s == other], both))
    return tasks


def casia_tasks(data_dir: Path) -> list[Task]:
    """12 people, three views, four runs: runs 1 and 3 enrol, 2 and 4 are looked for (1 and 3 walk one way, 2 and 4 the other)."""
    walks = load_silhouette_walks(data_dir / "vision" / "casia_a_sil.npz")
    items = [(walk.conditions["view"], int(walk.session), masks_item(walk.subject, walk.silhouettes.masks_THW)) for walk in walks]
    tasks = []
    for a in ("0", "45", "90"):
        for b in ("0", "45", "90"):
            if a == b:
                enrol = [item for view, run, item in items if view == a and run <= 2]
                probe = [item for view, run, item in items if view == b and run > 2]
            else:
                enrol = [item for view, _, item in items if view == a]
                probe = [item for view, _, item in items if view == b]
            tasks.append(Task(f"CASIA-A {a}° → {b}°", enrol, probe, ("masks",)))
    return tasks


def cmu_tasks(data_dir: Path) -> list[Task]:
    """The few people of the motion capture who are held out from training."""
    walks = load_walks_3d(data_dir / "vision" / "cmu_walk.npz")
    people = held_out_of({walk.subject for walk in walks})
    return walks_3d_tasks("CMU held out", [walk for walk in walks if walk.subject in people])


def simulated_tasks(cache_dir: Path | None = None) -> list[Task]:
    """Simulated people: the same camera, other clothes on another day, another camera."""
    seen = [(p.kind, Item(p.person, cut(p.keypoints_TJ3), cut(p.masks_THW))) for p in passes(EVALUATION_SEEDS, cache_dir)]
    enrol = [item for kind, item in seen if kind == ENROL]
    return [
        Task(f"simulated, {kind}", enrol, [item for other, item in seen if other == kind], ("joints", "masks"))
        for kind in (SAME, CLOTHES, ACROSS)
    ]


def all_tasks(data_dir: Path, cache_dir: Path | None = None) -> list[Task]:
    """Every task whose files are there. Raises RecordingError if none of them is."""
    tasks: list[Task] = []
    for make in (kgbd_tasks, casia_tasks, kth_tasks, cmu_tasks):
        try:
            tasks += make(data_dir)
        except RecordingError as error:
            if "no such file" not in str(error):
                raise
    if not tasks:
        raise RecordingError(f"{data_dir}: no vision/*.npz to evaluate on")
    return tasks + simulated_tasks(cache_dir)
