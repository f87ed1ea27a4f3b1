"""One person painted: posed vertices, flat-shaded faces from far to near, twice oversampled (painter's algorithm).

Legend: V vertices, F faces, P key points.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from models.simulation.appearance import Dressed
from models.simulation.camera_view import Camera

Array = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]

OVERSAMPLING = 2
SUBPIXEL_BITS = 3
NEAR_M = 0.3  # nothing closer to the lens is painted
BODY_RADIUS_M = 0.14  # joints lie this deep below the skin at most


@dataclass(frozen=True)
class Light:
    """``towards_3``: unit vector towards the sun or lamp; the rest of the light comes from everywhere."""

    towards_3: Array
    ambient: float


@dataclass(frozen=True)
class Patch:
    """A painted person: ``left`` and ``top`` in pixels, ``bgra_HW4`` with colours already multiplied by alpha."""

    left: int
    top: int
    bgra_HW4: Pixels


def lit_colours(dressed: Dressed, vertices_V3: Array, light: Light, gain: float) -> Array:
    """(F, 3) BGR of every face under the light: Lambert with a soft terminator."""
    a, b, c = (vertices_V3[dressed.mesh.faces_F3[:, i]] for i in range(3))
    normal_F3 = np.cross(b - a, c - a)
    normal_F3 /= np.maximum(np.linalg.norm(normal_F3, axis=1, keepdims=True), 1e-12)
    towards_F = normal_F3 @ light.towards_3
    towards_F = np.where(dressed.closed_F, towards_F, np.abs(towards_F))
    shade_F = light.ambient * (0.85 + 0.15 * normal_F3[:, 2]) + (1.0 - light.ambient) * np.clip(0.15 + 0.85 * towards_F, 0.0, 1.0) * 1.3
    return np.clip(dressed.colour_F3 * (shade_F * gain)[:, None], 0.0, 255.0)


def paint(dressed: Dressed, vertices_V3: Array, pixels_V3: Array, colour_F3: Array, camera: Camera) -> Patch | None:
    """The person in the picture; None where no part of it falls into the picture. ``pixels_V3`` as ``Camera.project`` gives them."""
    faces_F3 = dressed.mesh.faces_F3
    if pixels_V3[:, 2].min() < NEAR_M:
        return None
    left, top = (int(np.floor(pixels_V3[:, i].min())) - 2 for i in (0, 1))
    right, bottom = (int(np.ceil(pixels_V3[:, i].max())) + 3 for i in (0, 1))
    left, top, right, bottom = max(left, 0), max(top, 0), min(right, camera.width_px), min(bottom, camera.height_px)
    if right <= left or bottom <= top:
        return None
    corner_F32 = pixels_V3[faces_F3][:, :, :2]
    edge, other = corner_F32[:, 1] - corner_F32[:, 0], corner_F32[:, 2] - corner_F32[:, 0]
    away_F = edge[:, 0] * other[:, 1] - edge[:, 1] * other[:, 0] >= 0  # v runs down: faces towards the lens turn the other way
    seen = np.flatnonzero(~(away_F & dressed.closed_F))
    order = seen[np.argsort(-pixels_V3[:, 2][faces_F3[seen]].sum(1))]
    scale = OVERSAMPLING * 2**SUBPIXEL_BITS
    points = np.round((corner_F32[order] + 0.5 - [left, top]) * scale - 2 ** (SUBPIXEL_BITS - 1)).astype(np.int32)
    bgra = np.zeros(((bottom - top) * OVERSAMPLING, (right - left) * OVERSAMPLING, 4), np.uint8)
    colours = np.concatenate([colour_F3[order], np.full((len(order), 1), 255.0)], axis=1).tolist()
    fill = cv2.fillConvexPoly
    for corners, colour in zip(points, colours, strict=True):
        fill(bgra, corners, colour, 8, SUBPIXEL_BITS)
    small = cv2.resize(bgra, (right - left, bottom - top), interpolation=cv2.INTER_AREA)
    return Patch(left, top, np.asarray(small, np.uint8))


def blurred(patch: Patch, du_px: float, dv_px: float) -> Patch:
    """Motion blur along a displacement within the exposure; below half a pixel there is none."""
    length = float(np.hypot(du_px, dv_px))
    if length < 0.5:
        return patch
    size = 2 * int(np.ceil(length / 2)) + 1
    kernel = np.zeros((size, size), np.float32)
    middle = size // 2
    for share in np.linspace(-0.5, 0.5, 4 * size):
        u, v = middle + share * du_px, middle + share * dv_px
        i, j = int(v), int(u)
        for di, dj in ((0, 0), (0, 1), (1, 0), (1, 1)):
            weight = (1 - abs(v - i - di)) * (1 - abs(u - j - dj))
            if 0 <= i + di < size and 0 <= j + dj < size:
                kernel[i + di, j + dj] += weight
    kernel /= kernel.sum()
    smeared = cv2.filter2D(patch.bgra_HW4, -1, kernel, borderType=cv2.BORDER_CONSTANT)
    return Patch(patch.left, patch.top, np.asarray(smeared, np.uint8))


def lay_over(image_HW3: Pixels, patch: Patch) -> npt.NDArray[np.bool_]:
    """Puts the patch onto the picture, in place; returns the person's mask of the whole picture (more than half covered)."""
    h, w = patch.bgra_HW4.shape[:2]
    place = image_HW3[patch.top : patch.top + h, patch.left : patch.left + w]
    alpha = patch.bgra_HW4[:, :, 3]
    keep = cv2.merge([255 - alpha] * 3)
    cv2.add(cv2.multiply(place, keep, scale=1 / 255.0), patch.bgra_HW4[:, :, :3], dst=place)
    mask_HW = np.zeros(image_HW3.shape[:2], bool)
    mask_HW[patch.top : patch.top + h, patch.left : patch.left + w] = alpha > 127
    return mask_HW


def hidden_by_itself(dressed: Dressed, pixels_V3: Array, points_P3: Array) -> npt.NDArray[np.bool_]:
    """(P,): key points (u, v, depth) behind another part of the same person: skin more than a body's radius in front of them."""
    corner_F33 = pixels_V3[dressed.mesh.faces_F3]
    a, b, c = corner_F33[:, 0, :2], corner_F33[:, 1, :2], corner_F33[:, 2, :2]

    def side(p: Array, q: Array) -> Array:
        return np.asarray((q[:, 0] - p[:, 0]) * (points_P3[:, None, 1] - p[:, 1]) - (q[:, 1] - p[:, 1]) * (points_P3[:, None, 0] - p[:, 0]))

    ab, bc, ca = side(a, b), side(b, c), side(c, a)
    inside_PF = ((ab >= 0) & (bc >= 0) & (ca >= 0)) | ((ab <= 0) & (bc <= 0) & (ca <= 0))
    front_P = np.where(inside_PF, corner_F33[:, :, 2].mean(1), np.inf).min(1)
    return np.asarray(points_P3[:, 2] - front_P > BODY_RADIUS_M)
