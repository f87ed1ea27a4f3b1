"""Simulated walkers as pictures with joints that train the published pose networks: rendered, with the joints that the renderer knows.

Every walker passes cameras of its own on several days (other clothes, other place and light), so that held-out walkers are held-out places too.
Shape letters: H x W picture, J 16 joints of `models.video.human_pose.JOINTS`; 3 is blue, green, red, or x, y, visible.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from models.data.simulated import FIRST_TRAINING_SEED, SOURCE
from models.data.vision_formats.pictures import JointPicture, decoded
from models.pose.joints import ORDERS, convert
from models.simulation.scene import OUTSIDE
from models.training.camera_film import passage_scene
from models.types import CAMERA_STEP_NS, Float32

WAYS = ((0, 0, 0), (1, 1, 0), (2, 2, 0), (3, 3, 0))
"""Day, camera and take of every passage."""

INSTANTS = 8
"""Pictures of a passage, evenly over it: the strides are not in step with them."""

MIDDLE = (0.1, 0.9)
"""Shares of a passage that are pictured: it begins and ends outside the picture."""

WHOLE_PASSAGE_S = 60.0

OWN_CAMERAS = 1_000_000
"""More sites than walkers: nobody shares a camera."""

BORDER = 0.5
"""Of the longer side of the box around the joints, kept around it on each side: more than any crop shows."""

JPEG_QUALITY = 95

TORSO = tuple(ORDERS["coco-17"].index(f"{side}_{part}") for side in ("left", "right") for part in ("shoulder", "hip"))


def simulated_pictures(walkers: int, cache_dir: Path | None = None) -> list[JointPicture]:
    """Pictures of so many walkers with shoulders and hips in the picture, a walker's behind each other; kept in cache_dir, where there is
    one. COCO has no head top, so that joint is not marked."""
    if not walkers:
        return []
    seeds = range(FIRST_TRAINING_SEED, FIRST_TRAINING_SEED + walkers)
    cache = None if cache_dir is None else cache_dir / f"pictures-{seeds[0]}-{seeds[-1]}-{len(WAYS)}-{INSTANTS}.npz"
    if cache is None or not cache.exists():
        made = [item for seed in seeds for way in WAYS for item in _passage(seed, way)]
        if cache is None:
            return made
        _keep(made, cache)
    return _kept(cache)


def marked(joints_173: Float32) -> Float32:
    """(16, 3) joints of the pose networks from the renderer's (17, 3) of COCO. One that a body hides counts as marked, as in LSP; one outside the
    picture, or made of such, does not."""
    inside_173 = np.array(joints_173, np.float32)
    inside_173[:, 2] = joints_173[:, 2] != OUTSIDE
    joints_J3 = convert(inside_173, "coco-17", "mpii-16")
    joints_J3[:, 2] = joints_J3[:, 2] > 0.99  # the mean of two joints is marked where both are
    return joints_J3


def _passage(seed: int, way: tuple[int, int, int]) -> Iterator[JointPicture]:
    scene, count = passage_scene(seed, way, OWN_CAMERAS, WHOLE_PASSAGE_S)
    for number in np.linspace(MIDDLE[0] * count, MIDDLE[1] * count, INSTANTS).round().astype(int):
        frame = scene.frame(int(number) * CAMERA_STEP_NS)
        if len(frame.people) and (frame.joints_P17x3[0, TORSO, 2] != OUTSIDE).all():
            yield _cut(frame.image_HW3, marked(frame.joints_P17x3[0]), f"sim{seed}")


def _cut(image_HW3: NDArray[np.uint8], joints_J3: Float32, subject: str) -> JointPicture:
    """The picture around the person."""
    place_J2 = joints_J3[joints_J3[:, 2] > 0, :2]
    low_2, high_2 = place_J2.min(axis=0), place_J2.max(axis=0)
    half = (0.5 + BORDER) * (high_2 - low_2).max()
    x0, y0 = np.maximum((low_2 + high_2) / 2 - half, 0).astype(int)
    x1, y1 = ((low_2 + high_2) / 2 + half).astype(int)
    moved_J3 = joints_J3 - np.array([x0, y0, 0], np.float32)
    return JointPicture(image_HW3[y0:y1, x0:x1].copy(), moved_J3, SOURCE, subject)


def _keep(items: list[JointPicture], cache: Path) -> None:
    coded = [cv2.imencode(".jpg", item.picture_HW3, (cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY))[1] for item in items]
    cache.parent.mkdir(parents=True, exist_ok=True)
    temporary = cache.with_suffix(".tmp.npz")
    np.savez(
        temporary, jpg=np.concatenate(coded), jpg_off=np.cumsum([0, *map(len, coded)]), joints=np.stack([item.joints_J3 for item in items]),
        subject=[item.subject for item in items],
    )  # fmt: skip
    temporary.replace(cache)


def _kept(cache: Path) -> list[JointPicture]:
    with np.load(cache, allow_pickle=False) as archive:
        pictures = decoded(cache, "jpg", archive["jpg"], archive["jpg_off"], cv2.IMREAD_COLOR)
        rows = zip(pictures, archive["joints"], archive["subject"].tolist(), strict=True)
    return [JointPicture(picture, joints_J3, SOURCE, subject) for picture, joints_J3, subject in rows]
