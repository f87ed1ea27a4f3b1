"""Walks as aligned silhouettes, from tidy npz files, on the camera grid.

Format: `sil_packed` (N, 352) packed bits of 64 x 44 pixels, `shape` (3,), `start` and `length` cut out walks, one `subject` each; frame numbers
`frame` where frames were lost, else frames follow one another at 25 Hz.

Shape letters: N frames as recorded, T steps of the camera grid, H x W 64 x 44.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.data.recordings import RecordingError
from models.data.skeletons import PICTURE_RATE_HZ, parts, read_fields
from models.silhouette.alignment import aligned
from models.types import CAMERA_RATE_HZ, CAMERA_STEP_NS, SILHOUETTE_SHAPE, SilhouetteSequence

NEAREST_S = 0.045
"""A step of the grid takes the nearest frame, if it is no further than just over a frame's time."""


@dataclass(frozen=True, slots=True)
class SilhouetteWalk:
    """One walk of one person before a camera. conditions: further entries of the file, for example {"view": "45"}."""

    silhouettes: SilhouetteSequence
    subject: str
    session: str
    source: str
    conditions: Mapping[str, str]


def load_silhouette_walks(path: str | Path) -> list[SilhouetteWalk]:
    """Walks of CASIA-A (by view and run) or KTH (by scenario and pass). Raises RecordingError naming file and field."""
    path = Path(path)
    fields = read_fields(path, ("sil_packed", "shape", "start", "length", "subject"))
    condition, session = ("view", "run") if _has(path, "view") else ("scenario", "pas")
    fields |= read_fields(path, (condition, session))
    shape = tuple(int(side) for side in fields["shape"])
    packed = fields["sil_packed"]
    if len(shape) != 3 or shape[1:] != SILHOUETTE_SHAPE or packed.shape != (shape[0], (shape[1] * shape[2] + 7) // 8):
        raise RecordingError(
            f"{path}: field 'sil_packed' must hold (N, {SILHOUETTE_SHAPE}) bits as 'shape' says, got {packed.shape}, {shape}"
        )
    masks_NHW = np.unpackbits(packed, axis=-1)[:, : shape[1] * shape[2]].reshape(shape).astype(bool)
    frame_N = read_fields(path, ("frame",))["frame"] if _has(path, "frame") else None
    walks = []
    for part, index in parts(path, fields, len(masks_NHW)):
        frames = np.arange(part.stop - part.start) if frame_N is None else frame_N[part]
        sequence = on_camera_grid(frames.astype(np.float64) / PICTURE_RATE_HZ, masks_NHW[part])
        walks.append(
            SilhouetteWalk(
                sequence,
                str(fields["subject"][index]),
                str(fields[session][index]),
                path.stem,
                {condition: str(fields[condition][index])},
            )
        )
    return walks


def on_camera_grid(time_s_N: NDArray[np.float64], masks_NHW: NDArray[np.bool_]) -> SilhouetteSequence:
    """Masks at rising times, brought to the grid by the nearest frame and aligned once more; nobody where none is near."""
    first, last = int(np.ceil(time_s_N[0] * CAMERA_RATE_HZ - 1e-6)), int(np.floor(time_s_N[-1] * CAMERA_RATE_HZ + 1e-6))
    at_s_T = np.arange(first, max(first, last) + 1) / CAMERA_RATE_HZ
    nearest_T = np.abs(at_s_T[:, None] - time_s_N).argmin(axis=1)
    near_T = np.abs(time_s_N[nearest_T] - at_s_T) <= NEAREST_S
    masks_THW = np.stack(
        [aligned(masks_NHW[n]) if near else np.zeros(SILHOUETTE_SHAPE, bool) for n, near in zip(nearest_T, near_T, strict=True)]
    )
    return SilhouetteSequence(masks_THW, first * CAMERA_STEP_NS)


def _has(path: Path, field: str) -> bool:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return field in archive.files
    except (FileNotFoundError, ValueError, OSError):
        return False
