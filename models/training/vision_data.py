"""Walks before cameras that train and test the published camera networks: joints, and crops of pictures with masks.

Shape letters: T frames, J joints, H height, W width; 3 is x, y, confidence, or blue, green, red.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from models.data.recordings import RecordingError
from models.data.skeletons import filmed, load_pose_walks, load_walks_3d, parts, read_fields
from models.data.vision_formats.pictures import JointPicture, masked_people
from models.types import SILHOUETTE_SHAPE, Float32
from models.video.gaitnet import GaitNet

SIDE_PX = GaitNet.SIZE_PX

PHOTOGRAPHED = 12
"""People of a group of photographs, at least: enough for a clip of six."""

VIEWS_DEG = (90.0, 45.0)
"""Where a camera is placed for 3-D walks unless told otherwise: to the left, and left in front."""


@dataclass(frozen=True, slots=True)
class JointWalk:
    """keypoints_TJ3: (T, 17, 3) COCO joints on the camera's grid.  view: angle, or scenario.  session: which of the person's walks; of
    videos SCENARIO-PASSAGE, and what stands before the dash was one recording."""

    keypoints_TJ3: Float32
    subject: str
    view: str
    session: str
    source: str


@dataclass(frozen=True, slots=True)
class CropWalk:
    """A person in frames of one video, height filling the crop.

    masks_THW: (T, 64, 64) bool.  pictures_T3HW: (T, 3, 64, 64) uint8, blue first; None where only silhouettes were recorded.
    """

    masks_THW: NDArray[np.bool_]
    pictures_T3HW: NDArray[np.uint8] | None
    subject: str
    view: str
    session: str
    source: str


AnyWalk = TypeVar("AnyWalk", JointWalk, CropWalk)
OfPerson = TypeVar("OfPerson", JointWalk, CropWalk, JointPicture)


def joint_walks(path: str | Path, views_deg: Sequence[float] = VIEWS_DEG) -> list[JointWalk]:
    """Walks of a pose network as they are; 3-D walks as cameras at these angles see them. Raises RecordingError naming file and field."""
    path = Path(path)
    if "keypoints" in _names(path):
        return [
            JointWalk(walk.poses.keypoints_TJ3, walk.subject, walk.conditions["scenario"], f"{walk.conditions['scenario']}-{walk.session}", walk.source)
            for walk in load_pose_walks(path)
        ]  # fmt: skip
    return [
        JointWalk(filmed(walk, view).keypoints_TJ3, walk.subject, f"{view:g}", walk.session, walk.source)
        for walk in load_walks_3d(path)
        for view in views_deg
    ]


def silhouette_walks(path: str | Path) -> list[CropWalk]:
    """Walks of a file of packed silhouettes, without pictures. Raises RecordingError naming file and field."""
    path = Path(path)
    names = _names(path)
    condition, session = ("view", "run") if "view" in names else ("scenario", "pas")
    fields = read_fields(path, ("sil_packed", "shape", "start", "length", "subject", condition, session))
    masks_NHW = unpacked(path, fields["sil_packed"], fields["shape"])
    margin = (SIDE_PX - SILHOUETTE_SHAPE[1]) // 2
    walks = []
    for part, index in parts(path, fields, len(masks_NHW)):
        masks_THW = np.pad(masks_NHW[part], ((0, 0), (0, 0), (margin, margin)))
        view, which = str(fields[condition][index]), str(fields[session][index])
        which = f"{view}-{which}" if condition == "scenario" else which
        walks.append(CropWalk(masks_THW, None, str(fields["subject"][index]), view, which, path.stem))
    return walks


def has_masked_photographs(path: str | Path) -> bool:
    """Whether the file holds photographs with masks rather than walks. Raises RecordingError for a file that cannot be read."""
    return "mask_png" in _names(Path(path))


def photographed_crops(path: str | Path) -> list[CropWalk]:
    """People in street photographs with masks as clips without motion, for segmentation alone: everyone in a group of photographs is one
    "walk", so that splits by person keep photographs apart. Raises RecordingError naming file and field."""
    people = masked_people(path, SIDE_PX)
    walks, group = [], list(people[:0])
    for k, person in enumerate(people):
        group.append(person)
        last = k + 1 == len(people) or people[k + 1].photograph != person.photograph
        if last and len(group) >= PHOTOGRAPHED:
            pictures, masks = np.stack([p.picture_3HW for p in group]), np.stack([p.mask_HW for p in group])
            walks.append(CropWalk(masks, pictures, str(group[0].photograph), "street", "0", Path(path).stem))
            group = []
    return walks


def unpacked(path: Path, packed: NDArray, shape: NDArray) -> NDArray[np.bool_]:
    """(N, 64, 44) silhouettes from rows of bits. Raises RecordingError for another size."""
    height, width = SILHOUETTE_SHAPE
    if tuple(shape[-2:].tolist()) != SILHOUETTE_SHAPE or packed.ndim != 2 or packed.shape[1] * 8 < height * width:
        raise RecordingError(
            f"{path}: field 'sil_packed' must hold {height} x {width} bits a frame, got {packed.shape}, shape {shape.tolist()}"
        )
    return np.unpackbits(packed, axis=-1)[:, : height * width].reshape(-1, height, width).astype(bool)


def filmed_crops(silhouettes: str | Path, videos: str | Path) -> list[CropWalk]:
    """Pictures and masks of the passages whose video lies in the folder (`personNN_walking_dS.avi`), from boxes (x, y, width, height).

    Raises RecordingError naming file and field, or the video that ends before a silhouette's frame.
    """
    path, folder = Path(silhouettes), Path(videos)
    fields = read_fields(path, ("sil_packed", "shape", "box", "frame", "start", "length", "subject", "scenario", "pas"))
    masks_NHW = unpacked(path, fields["sil_packed"], fields["shape"])
    walks, video, frames_FHW3 = [], None, np.zeros((0, 1, 1, 3), np.uint8)
    for part, index in parts(path, fields, len(masks_NHW)):
        subject, scenario = int(fields["subject"][index]), int(fields["scenario"][index])
        file = folder / f"person{subject:02d}_walking_d{scenario}.avi"
        if not file.exists():
            continue
        if file != video:
            video, frames_FHW3 = file, read_video(file)
        frame_T = fields["frame"][part].astype(np.int64)
        if frame_T.max() >= len(frames_FHW3):
            raise RecordingError(f"{file}: has {len(frames_FHW3)} frames, {path} names frame {frame_T.max()}")
        crops = [crop(frames_FHW3[f], mask, box) for f, mask, box in zip(frame_T, masks_NHW[part], fields["box"][part], strict=True)]
        pictures, masks = (np.stack(side) for side in zip(*crops, strict=True))
        session = f"{scenario}-{fields['pas'][index]}"
        walks.append(CropWalk(masks, pictures, str(subject), str(scenario), session, path.stem))
    return walks


def read_video(file: Path) -> NDArray[np.uint8]:
    """(F, H, W, 3) all frames, blue first. Raises RecordingError where there is none."""
    capture, frames = cv2.VideoCapture(str(file)), []
    while (read := capture.read())[0]:
        frames.append(read[1])
    capture.release()
    if not frames:
        raise RecordingError(f"{file}: not a readable video")
    return np.stack(frames).astype(np.uint8)


def crop(picture_HW3: NDArray[np.uint8], aligned_HW: NDArray[np.bool_], box: NDArray) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """(3, 64, 64) picture and (64, 64) mask of the square of the box's height around the person's centre of mass.

    An aligned silhouette is brought back to where its box says that it was.
    """
    x, y, width, height = (int(value) for value in box)
    whole_HW = np.zeros(picture_HW3.shape[:2], np.uint8)
    columns, rows = np.flatnonzero(aligned_HW.any(axis=0)), np.flatnonzero(aligned_HW.any(axis=1))
    centre = x + width / 2
    if len(columns):
        tight = aligned_HW[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].astype(np.uint8)
        placed = cv2.resize(tight * 255, (width, height), interpolation=cv2.INTER_LINEAR)
        inside = whole_HW[y : y + height, x : x + width]
        inside[:] = placed[: inside.shape[0], : inside.shape[1]]
        centre = x + float((placed > 127).sum(axis=0) @ np.arange(width)) / max(1, int((placed > 127).sum()))
    left = round(centre - height / 2)
    margin = height + 1
    side = slice(y + margin, y + margin + height), slice(left + margin, left + margin + height)
    picture = cv2.copyMakeBorder(picture_HW3, margin, margin, margin, margin, cv2.BORDER_REPLICATE)[side]
    mask = np.pad(whole_HW, margin)[side]
    small = cv2.resize(picture, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA)
    return (
        np.ascontiguousarray(small.transpose(2, 0, 1)).astype(np.uint8),
        np.asarray(cv2.resize(mask, (SIDE_PX, SIDE_PX), interpolation=cv2.INTER_AREA) > 127),
    )


def people_of(walks: Sequence[OfPerson]) -> list[tuple[str, str]]:
    """Sorted (source, subject) of all walks, or pictures with joints: people of different files are different people."""
    return sorted({(walk.source, walk.subject) for walk in walks}, key=lambda person: (person[0], _number(person[1]), person[1]))


def _number(name: str) -> int:
    return int(name) if name.isdigit() else -1


def split_walks(walks: Sequence[OfPerson], share: float = 1 / 3) -> tuple[list[OfPerson], list[OfPerson]]:
    """(training, held out) by people: the last `share` of each file's people, at least two, is held out."""
    held_out: set[tuple[str, str]] = set()
    people = people_of(walks)
    for source in {walk.source for walk in walks}:
        own = [person for person in people if person[0] == source]
        held_out.update(own[len(own) - max(2, round(share * len(own))) :])
    inside = [walk for walk in walks if (walk.source, walk.subject) in held_out]
    return [walk for walk in walks if (walk.source, walk.subject) not in held_out], inside


def _names(path: Path) -> list[str]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return list(archive.files)
    except FileNotFoundError:
        raise RecordingError(f"{path}: no such file") from None
    except Exception as error:
        raise RecordingError(f"{path}: not a readable npz file ({error})") from error


def enrolment_of(walks: Sequence[AnyWalk]) -> NDArray[np.bool_]:
    """(N,) which walks are the gallery: of every person all views of the first recording; the others are probes."""
    recording = [_recording(walk) for walk in walks]
    first: dict[tuple[str, str], tuple[int, str]] = {}
    for walk, which in zip(walks, recording, strict=True):
        person = (walk.source, walk.subject)
        first[person] = min(first.get(person, which), which)
    return np.array([first[(walk.source, walk.subject)] == which for walk, which in zip(walks, recording, strict=True)], bool)


def _recording(walk: JointWalk | CropWalk) -> tuple[int, str]:
    name = walk.session.split("-")[0]
    return _number(name), name
