"""The empty place in front of a camera: ground, walls or sky, and things that stand about; and the shadows of people on the ground.

Painted once per camera by tracing a ray per pixel. Deterministic by seed.
"""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from models.simulation.camera_view import Camera
from models.simulation.mesh import BONES
from models.simulation.mesh_pose import ALL_BONES, PARENT_OF

Array = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]

FLOORS = ((120, 125, 130), (95, 100, 105), (150, 160, 170), (80, 120, 110), (110, 130, 155))
WALLS = ((190, 200, 205), (160, 170, 160), (200, 190, 175), (120, 130, 150))
THICKNESS_M = {
    "trunk": 0.34,
    "head": 0.2,
    "pelvis": 0.3,
    "thigh": 0.16,
    "calf": 0.11,
    "foot": 0.08,
    "toes": 0.07,
    "upper_arm": 0.1,
    "forearm": 0.09,
}


def _grain(shape: tuple[int, int], size_px: float, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Smooth random texture of unit standard deviation."""
    small = rng.normal(size=(int(shape[0] / size_px) + 2, int(shape[1] / size_px) + 2)).astype(np.float32)
    return np.asarray(cv2.resize(small, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC), np.float32)


def background(camera: Camera, rng: np.random.Generator) -> Pixels:
    """(H, W, 3) BGR of the place without people."""
    h, w = camera.height_px, camera.width_px
    u, v = np.meshgrid(np.arange(w) - (w - 1) / 2.0, np.arange(h) - (h - 1) / 2.0)
    ray = np.stack([u / camera.focal_px, v / camera.focal_px, np.ones_like(u)], axis=2) @ camera.axes_33
    position = np.asarray(camera.position_m)
    forward = np.array([np.cos(camera.yaw_rad), np.sin(camera.yaw_rad), 0.0])
    across = np.array([-forward[1], forward[0], 0.0])
    to_ground = np.where(ray[:, :, 2] < -1e-6, position[2] / np.maximum(-ray[:, :, 2], 1e-6), np.inf)
    wall_m = rng.uniform(9.0, 16.0)
    to_wall = wall_m / np.maximum(ray @ forward, 1e-6)
    indoor = rng.random() < 0.5
    ground = to_ground < to_wall
    far = np.minimum(to_ground, to_wall)[:, :, None]
    hit = position + ray * far
    x, y, z = hit @ forward, hit @ across, hit[:, :, 2]

    image = np.empty((h, w, 3))
    floor_3, wall_3 = np.array(FLOORS[rng.integers(len(FLOORS))]), np.array(WALLS[rng.integers(len(WALLS))])
    tile_m = rng.uniform(0.5, 1.2)
    joint = (np.abs((x / tile_m) % 1.0 - 0.5) > 0.49) | (np.abs((y / tile_m) % 1.0 - 0.5) > 0.49)
    tone = ((np.floor(x / tile_m) * 7 + np.floor(y / tile_m) * 13) % 5 - 2) * rng.uniform(0.0, 0.03)
    image[:] = floor_3 * (1.0 + tone)[:, :, None]
    image[joint & ground] *= rng.uniform(0.8, 0.98)
    panel_m = rng.uniform(1.5, 3.0)
    wall = wall_3 * (1.0 - 0.12 * ((np.floor(y / panel_m) % 2)[:, :, None])) * (0.9 + 0.04 * np.clip(z, 0, 4))[:, :, None]
    wall[(np.abs((y / panel_m) % 1.0 - 0.5) > 0.485)] *= 0.75
    opening = (np.floor(y / panel_m) % 3 == 0) & (np.abs((y / panel_m) % 1.0 - 0.5) < 0.3)
    opening &= (z > 0.9) & (z < 2.0) if not indoor else z < 2.05
    wall[opening] = wall_3 * rng.uniform(0.3, 0.6) + rng.uniform(0, 30)
    sky_m = 20.0 if indoor else rng.uniform(2.5, 5.0)
    sky = np.array([225.0, 215.0, 205.0]) * (0.85 + 0.15 * np.linspace(1, 0, h))[:, None, None]
    image = np.where(ground[:, :, None], image, np.where((z < sky_m)[:, :, None], wall, np.broadcast_to(sky, wall.shape)))
    image *= (
        1.0 + 0.05 * _grain((h, w), 60, rng)[:, :, None] + 0.025 * _grain((h, w), 3, rng)[:, :, None] + 0.015 * rng.normal(size=(h, w, 1))
    )
    for _ in range(int(rng.integers(0, 4))):  # lockers, bins, columns by the wall
        centre, half, tall = rng.uniform(-6, 6), rng.uniform(0.2, 0.6), rng.uniform(0.6, 2.2)
        thing = ~ground & (np.abs(y - centre) < half) & (z < tall)
        image[thing] = (
            np.clip(rng.uniform(50, 190) + rng.normal(0.0, 18.0, 3), 10, 240) * (1.0 - 0.3 * np.abs(y[thing] - centre) / half)[:, None]
        )
    return np.clip(cv2.GaussianBlur(image, (0, 0), 0.7) * camera.gain, 0, 255).astype(np.uint8)


def cast_shadow(image_HW3: Pixels, joints_B3: Array, camera: Camera, towards_3: Array, strength: float) -> None:
    """Darkens the ground, in place, where the light towards ``towards_3`` does not reach it: bones as thick soft lines.

    ``joints_B3``: world positions of ``ALL_BONES``, metres; ``strength``: share of the light that is lost.
    """
    at = {name: i for i, name in enumerate(ALL_BONES)}
    flat = joints_B3 - towards_3 * (joints_B3[:, 2:3] / towards_3[2])
    crown = joints_B3[at["head"]] + [0.0, 0.0, 0.2]
    pixels = camera.project(np.concatenate([flat, [crown - towards_3 * (crown[2] / towards_3[2])]]))
    if pixels[:, 2].min() < 0.3:
        return
    reach = 0.25 * camera.focal_px / pixels[:, 2].min()
    (left, top), (right, bottom) = pixels[:, :2].min(0) - reach, pixels[:, :2].max(0) + reach
    left, top = max(int(left), 0), max(int(top), 0)
    right, bottom = min(int(right) + 1, camera.width_px), min(int(bottom) + 1, camera.height_px)
    if right <= left or bottom <= top:
        return
    dark = np.zeros((bottom - top, right - left), np.uint8)
    lines = [(at[PARENT_OF[b]], at[b], PARENT_OF[b]) for b in BONES if b in PARENT_OF]
    lines += [(at["forearm_l"], at["carry_l"], "forearm_l"), (at["forearm_r"], at["carry_r"], "forearm_r"), (at["head"], len(flat), "head")]
    for a, b, bone in lines:
        width = THICKNESS_M[bone.removesuffix("_l").removesuffix("_r")] * camera.focal_px / pixels[[a, b], 2].mean() * 0.7
        p, q = (tuple(int(x) for x in np.round(pixels[i, :2] - [left, top])) for i in (a, b))
        cv2.line(dark, p, q, 255, max(round(float(width)), 1), cv2.LINE_8)
    soft = cv2.GaussianBlur(dark, (0, 0), max(reach / 10.0, 0.8))
    place = image_HW3[top:bottom, left:right]
    keep = cv2.merge([cv2.convertScaleAbs(soft, alpha=-strength, beta=255.0)] * 3)
    cv2.multiply(place, keep, dst=place, scale=1 / 255.0)
