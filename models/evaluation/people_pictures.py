"""Pictures with known people, from tidy npz files: street photographs, sports people, passers-by before a surveillance camera.

What is known differs in kind. Penn-Fudan's boxes and masks were drawn by people, who left out small and hidden pedestrians. LSP-extended's
joints were clicked by paid volunteers and are noisy (Johnson & Everingham 2011). KTH's joints carry the scores of a pose network, so that figures on
them tell whether two networks agree, not how true either is (BlazePose lite comes nearer to them than BlazePose full, median .015 against .020 of
the height); its boxes came with them.

Shape letters: P people, J joints, H x W picture.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from models.data.recordings import RecordingError
from models.data.skeletons import read_fields
from models.pose.boxes import Image
from models.types import Float32

LSP_14 = (
    "right_ankle", "right_knee", "right_hip", "left_hip", "left_knee", "left_ankle", "right_wrist", "right_elbow", "right_shoulder",
    "left_shoulder", "left_elbow", "left_wrist", "neck", "head_top",
)  # fmt: skip
"""Order of the joints of Leeds Sports Poses."""


@dataclass(frozen=True, slots=True)
class Photograph:
    """A picture (H, W, 3) BGR with boxes_P4 x0, y0, x1, y1 and masks_PHW of its people."""

    name: str
    image_HW3: Image
    boxes_P4: Float32
    masks_PHW: NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class SportsPerson:
    """A picture around one person. joints_J3: (14, 3) x, y, visible (0 or 1), in the order LSP_14."""

    name: str
    image_HW3: Image
    joints_J3: Float32


@dataclass(frozen=True, slots=True)
class PasserBy:
    """A frame of a video with one walker. clip: the video that it is from. box_4, keypoints_J3 (17, 3) COCO as an earlier network saw them."""

    clip: str
    image_HW3: Image
    box_4: Float32
    keypoints_J3: Float32


def photographs(path: Path) -> Iterator[Photograph]:
    """Penn-Fudan. Raises RecordingError naming file and field."""
    fields = read_fields(path, ("jpg", "jpg_off", "mask_png", "mask_off", "name", "box"))
    for n, name in enumerate(fields["name"]):
        rows_P6 = fields["box"][fields["box"][:, 0] == n]
        labels_HW = _decoded(path, fields["mask_png"], fields["mask_off"], n, cv2.IMREAD_UNCHANGED)
        masks_PHW = labels_HW[None] == rows_P6[:, 5, None, None]
        yield Photograph(str(name), _decoded(path, fields["jpg"], fields["jpg_off"], n), rows_P6[:, 1:5].astype(np.float32), masks_PHW)


def sports_people(path: Path) -> Iterator[SportsPerson]:
    """LSP-extended. Raises RecordingError naming file and field."""
    fields = read_fields(path, ("jpg", "jpg_off", "joints", "image_id"))
    for n, image_id in enumerate(fields["image_id"]):
        yield SportsPerson(str(image_id), _decoded(path, fields["jpg"], fields["jpg_off"], n), fields["joints"][n].astype(np.float32))


def passers_by(path: Path, clips_dir: Path, every: int) -> Iterator[PasserBy]:
    """Every `every`th known frame of the KTH clips that are there, clip by clip. Raises RecordingError naming file and field."""
    fields = read_fields(path, ("keypoints", "box", "frame", "start", "length", "subject", "scenario"))
    for video in sorted(clips_dir.glob("person*_walking_d*.avi")):
        person, scenario = int(video.stem[6:8]), int(video.stem[-1])
        passes = np.flatnonzero((fields["subject"] == person) & (fields["scenario"] == scenario))
        rows = [row for n in passes for row in range(fields["start"][n], fields["start"][n] + fields["length"][n], every)]
        row_of = {int(fields["frame"][row]): row for row in rows}
        for number, image_HW3 in enumerate(_frames(video)):
            if (row := row_of.get(number)) is not None:
                x, y, width, height = fields["box"][row].astype(np.float32)
                box_4 = np.array([x, y, x + width, y + height], np.float32)
                yield PasserBy(video.stem, image_HW3, box_4, fields["keypoints"][row])


def _frames(video: Path) -> Iterator[Image]:
    capture = cv2.VideoCapture(str(video))
    try:
        while True:
            there, image = capture.read()
            if not there:
                return
            yield np.asarray(image, np.uint8)
    finally:
        capture.release()


def _decoded(path: Path, bytes_N: NDArray[np.uint8], offsets: NDArray[np.int64], n: int, flags: int = cv2.IMREAD_COLOR) -> Image:
    image = cv2.imdecode(bytes_N[offsets[n] : offsets[n + 1]], flags)
    if image is None:
        raise RecordingError(f"{path}: picture {n} cannot be decoded")
    return np.asarray(image, np.uint8)
