"""Pictures of people with joints, and street photographs with masks, from npz files that keep JPEG and PNG bytes end to end.

Formats: `jpg` uint8 bytes with `jpg_off` (N + 1,); `joints` (N, 14, 3) x, y in pixels and whether visible, in the order of LSP; or `mask_png` with
`mask_off` and `box` (B, 6): picture, x0, y0, x1, y1, and the person's value in the mask.
Shape letters: H height, W width, J 16 joints of `models.video.human_pose.JOINTS`; 3 is blue, green, red, or x, y, visible.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from models.data.recordings import RecordingError
from models.data.skeletons import read_fields
from models.types import Float32
from models.video.human_pose import JOINTS

LSP_14 = (
    "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "right_wrist", "right_elbow", "right_shoulder",
    "left_shoulder", "left_elbow", "left_wrist", "upper_neck", "head_top",
)  # fmt: skip

MARGIN = 0.2
"""Of the longer side of the box around the visible joints, left around it on each side: joints end before heads, hands and feet do."""


@dataclass(frozen=True, slots=True)
class JointPicture:
    """One person. picture_HW3: uint8, blue first.  joints_J3: (16, 3) float32; where visible is 0 the place means nothing.  source: its file, or
    the simulation.  subject: within the source; the picture's number where it is not known who is shown."""

    picture_HW3: NDArray[np.uint8]
    joints_J3: Float32
    source: str
    subject: str


@dataclass(frozen=True, slots=True)
class MaskedPerson:
    """One person cut out of a photograph, height filling the square. picture_3HW: (3, 64, 64) uint8, blue first.  mask_HW: (64, 64) bool.
    photograph: its number, for splits by photograph."""

    picture_3HW: NDArray[np.uint8]
    mask_HW: NDArray[np.bool_]
    photograph: int


def joint_pictures(path: str | Path) -> list[JointPicture]:
    """Pictures with the 14 joints of LSP as 16: the pelvis is between the hips, the thorax is unknown. Raises RecordingError naming file and
    field or picture."""
    path = Path(path)
    fields = read_fields(path, ("jpg", "jpg_off", "joints"))
    pictures = decoded(path, "jpg", fields["jpg"], fields["jpg_off"], cv2.IMREAD_COLOR)
    joints = fields["joints"]
    if joints.shape != (len(pictures), len(LSP_14), 3) or not np.isfinite(joints).all():
        raise RecordingError(f"{path}: field 'joints' must be finite ({len(pictures)}, {len(LSP_14)}, 3), got {joints.shape}")
    pairs = zip(pictures, joints, strict=True)
    return [JointPicture(picture, sixteen(joints_J3), path.stem, str(number)) for number, (picture, joints_J3) in enumerate(pairs)]


def sixteen(lsp_J3: Float32) -> Float32:
    """(16, 3) from (14, 3) joints."""
    joints_J3 = np.zeros((len(JOINTS), 3), np.float32)
    for place, name in enumerate(LSP_14):
        joints_J3[JOINTS.index(name)] = lsp_J3[place]
    hips = lsp_J3[[LSP_14.index("right_hip"), LSP_14.index("left_hip")]]
    joints_J3[JOINTS.index("pelvis")] = [*hips[:, :2].mean(axis=0), hips[:, 2].min()]
    return joints_J3


def squared(item: JointPicture, side_px: int) -> tuple[NDArray[np.uint8], Float32]:
    """(side, side, 3) RGB picture of the square around the person, and the joints in its pixels. Raises ValueError where no joint is
    visible."""
    seen_J = item.joints_J3[:, 2] > 0
    if not seen_J.any():
        raise ValueError("a picture without a visible joint cannot be cropped to its person")
    place_J2 = item.joints_J3[seen_J, :2]
    low_2, high_2 = place_J2.min(axis=0), place_J2.max(axis=0)
    half = float((high_2 - low_2).max()) * (0.5 + MARGIN) + 1.0
    corner_2 = (low_2 + high_2) / 2 - half
    scale = side_px / (2 * half)
    move_23 = np.array([[scale, 0.0, -corner_2[0] * scale], [0.0, scale, -corner_2[1] * scale]])
    square = cv2.warpAffine(item.picture_HW3, move_23, (side_px, side_px), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
    joints_J3 = item.joints_J3.copy()
    joints_J3[:, :2] = (joints_J3[:, :2] - corner_2) * scale
    inside_J = ((joints_J3[:, :2] >= 0) & (joints_J3[:, :2] < side_px)).all(axis=1)
    joints_J3[:, 2] *= inside_J
    return np.ascontiguousarray(square[..., ::-1]).astype(np.uint8), joints_J3.astype(np.float32)


def masked_people(path: str | Path, side_px: int = 64) -> list[MaskedPerson]:
    """Everyone boxed in photographs with instance masks. Raises RecordingError naming file and field or picture."""
    path = Path(path)
    fields = read_fields(path, ("jpg", "jpg_off", "mask_png", "mask_off", "box"))
    pictures = decoded(path, "jpg", fields["jpg"], fields["jpg_off"], cv2.IMREAD_COLOR)
    masks = decoded(path, "mask_png", fields["mask_png"], fields["mask_off"], cv2.IMREAD_UNCHANGED)
    people = []
    for number, x0, y0, x1, y1, value in fields["box"].tolist():
        if not 0 <= number < len(pictures) or masks[number].shape[:2] != pictures[number].shape[:2]:
            raise RecordingError(f"{path}: field 'box' names picture {number}, which has no mask of its size")
        side, centre = y1 - y0 + 1, (x0 + x1) / 2
        move_23 = np.array([[side_px / side, 0.0, (side / 2 - centre) * side_px / side], [0.0, side_px / side, -y0 * side_px / side]])
        own = (masks[number] == value).astype(np.uint8) * 255
        picture = cv2.warpAffine(pictures[number], move_23, (side_px, side_px), flags=cv2.INTER_AREA, borderMode=cv2.BORDER_REPLICATE)
        mask = cv2.warpAffine(own, move_23, (side_px, side_px), flags=cv2.INTER_AREA)
        people.append(MaskedPerson(np.ascontiguousarray(picture.transpose(2, 0, 1)).astype(np.uint8), mask > 127, number))
    return people


def decoded(path: Path, name: str, content: NDArray, offsets: NDArray, flags: int) -> list[NDArray[np.uint8]]:
    """Pictures (H, W, 3) or (H, W), as the flags of `cv2.imdecode` say, from their bytes end to end. Raises RecordingError naming file and
    field or picture."""
    if offsets.ndim != 1 or len(offsets) < 2 or (np.diff(offsets) <= 0).any() or offsets[-1] > len(content):
        raise RecordingError(f"{path}: the offsets of {name!r} must rise and stay within its {len(content)} bytes")
    pictures = []
    for k, (begin, end) in enumerate(pairwise(offsets)):
        picture = cv2.imdecode(content[begin:end], flags)
        if picture is None:
            raise RecordingError(f"{path}: {name!r} number {k} is not a readable picture")
        pictures.append(np.asarray(picture, np.uint8))
    return pictures
