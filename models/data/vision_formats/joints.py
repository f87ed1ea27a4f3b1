"""Skeleton files: one npy per walk as GaitFormer reads them, and the arrays of all walks as the disentangling network reads them.

Shape letters: T frames, J 18 joints of OpenPose, N walks; 3 is x, y, confidence.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from models.data.recordings import RecordingError
from models.data.skeletons import read_fields
from models.data.vision_formats.names import WalkName, read_name
from models.types import Float32

JOINTS = 18

EMPTY_JOINTS = (6, 7, 13, 14)
"""Left elbow, wrist, knee and ankle of the fifteen joints: a frame in which they all have x = 0 holds nobody."""


@dataclass(frozen=True, slots=True)
class StoredWalk:
    """joints_TJ3 or, of fifteen joints, (T, 15, 2)."""

    joints: Float32
    name: WalkName


def load_openpose(path: str | Path, *, upside_down: bool = False) -> Float32:
    """(T, 18, 3) of one npy file. upside_down: y is negated, as the published code does for all data but CASIA-B and FVG.

    Raises RecordingError naming the file and the frame.
    """
    path = Path(path)
    try:
        joints_TJ3 = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise RecordingError(f"{path}: no such file") from None
    except (ValueError, OSError, EOFError) as error:
        raise RecordingError(f"{path}: not a readable npy file ({error})") from error
    if not isinstance(joints_TJ3, np.ndarray) or joints_TJ3.ndim != 3 or joints_TJ3.shape[0] < 1 or joints_TJ3.shape[1:] != (JOINTS, 3):
        raise RecordingError(f"{path}: must hold (frames, {JOINTS}, 3), got {getattr(joints_TJ3, 'shape', 'several arrays')}")
    if not np.issubdtype(joints_TJ3.dtype, np.number):
        raise RecordingError(f"{path}: must hold numbers, got {joints_TJ3.dtype}")
    bad_T = ~np.isfinite(joints_TJ3).all(axis=(1, 2))
    if bad_T.any():
        raise RecordingError(f"{path}: frame {int(bad_T.argmax())} holds NaN or infinity")
    joints_TJ3 = joints_TJ3.astype(np.float32)
    if upside_down:
        joints_TJ3[..., 1] *= -1.0
    return joints_TJ3


def pose_folder(dataset: str, root: str | Path, *, upside_down: bool = False) -> Iterator[StoredWalk]:
    """The walks of a folder of npy files that are named like the data set's walks. Raises RecordingError naming the file."""
    root = Path(root)
    files = sorted(root.rglob("*.npy"))
    if not files:
        raise RecordingError(f"{root}: holds no npy files")
    for file in files:
        try:
            name = read_name(dataset, file.relative_to(root).with_suffix("").as_posix())
        except RecordingError as error:
            raise RecordingError(f"{file}: {error}") from None
        yield StoredWalk(load_openpose(file, upside_down=upside_down), name)


def load_fifteen(path: str | Path) -> list[StoredWalk]:
    """The walks of an npz of `joints` (N, T, 15, 2) with `label`, `angle` and `situation` (N,): each as long as it is before the first empty
    frame; walks without a frame are left out, as published. Raises RecordingError naming file, field and walk."""
    path = Path(path)
    fields = read_fields(path, ("joints", "label", "angle", "situation"))
    joints = fields["joints"]
    if joints.ndim != 4 or joints.shape[2:] != (15, 2):
        raise RecordingError(f"{path}: field 'joints' must be (N, T, 15, 2), got {joints.shape}")
    for name in ("label", "angle", "situation"):
        if fields[name].shape != (len(joints),):
            raise RecordingError(f"{path}: field {name!r} must have {len(joints)} entries, got {fields[name].shape}")
    walks = []
    for n, walk_TJ2 in enumerate(joints.astype(np.float32)):
        length = true_length(walk_TJ2)
        if not np.isfinite(walk_TJ2[:length]).all():
            raise RecordingError(f"{path}: field 'joints', walk {n} holds NaN or infinity")
        if length:
            about = WalkName(str(fields["label"][n]), str(fields["situation"][n]), 1, str(fields["angle"][n]))
            walks.append(StoredWalk(walk_TJ2[:length], about))
    return walks


def true_length(walk_TJ2: NDArray[np.float32]) -> int:
    """Frames before the first empty one."""
    empty_T = (walk_TJ2[:, EMPTY_JOINTS, 0] == 0).all(axis=1)
    return int(empty_T.argmax()) if empty_T.any() else len(walk_TJ2)
