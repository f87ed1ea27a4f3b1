"""Folders with one picture or silhouette per frame: CASIA-B, TUM GAID, Outdoor-Gait, SZU. Shape letters: T frames, H height, W width."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from models.data.recordings import RecordingError
from models.data.vision_formats.names import WalkName, read_name
from models.silhouette.alignment import aligned

ENDINGS = (".png", ".jpg", ".jpeg", ".bmp")


def walks(dataset: str, root: str | Path) -> Iterator[tuple[WalkName, Path]]:
    """(who walks, folder) for every folder with pictures, in the order of names. Raises RecordingError naming a folder that says nothing."""
    root = Path(root)
    if not root.is_dir():
        raise RecordingError(f"{root}: no such folder")
    folders = sorted({file.parent for file in root.rglob("*") if file.suffix.lower() in ENDINGS})
    if not folders:
        raise RecordingError(f"{root}: no folder in it holds pictures ({', '.join(ENDINGS)})")
    for folder in folders:
        try:
            yield read_name(dataset, folder.relative_to(root).as_posix()), folder
        except RecordingError as error:
            raise RecordingError(f"{folder}: {error}") from None


def pictures(folder: Path, *, grey: bool = False) -> list[NDArray[np.uint8]]:
    """Frames in the order of names: (H, W, 3) blue first, or (H, W). Raises RecordingError naming the file that is no picture."""
    frames = []
    for file in sorted(file for file in folder.iterdir() if file.suffix.lower() in ENDINGS):
        frame = cv2.imread(str(file), cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR)
        if frame is None:
            raise RecordingError(f"{file}: not a readable picture")
        frames.append(np.asarray(frame, np.uint8))
    if not frames:
        raise RecordingError(f"{folder}: holds no pictures ({', '.join(ENDINGS)})")
    return frames


def silhouettes(folder: Path) -> NDArray[np.bool_]:
    """(T, 64, 44) aligned silhouettes of a folder of black and white frames; frames without a person are all False.

    Raises RecordingError naming a file that is no picture, or the folder where nobody is seen in any frame.
    """
    masks_THW = np.stack([aligned(frame > 127) for frame in pictures(folder, grey=True)])
    if not masks_THW.any():
        raise RecordingError(f"{folder}: no frame holds a silhouette")
    return masks_THW
