"""Recorded pictures in order, each with its time since the first: video files and directories of pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import cv2

from models.types import CAMERA_RATE_HZ
from streams.errors import Refused
from workers.sources.camera_capture import open_file

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from models.pose.boxes import Image

SUFFIXES = {".jpg", ".jpeg", ".png"}
FALLBACK_HZ = 25.0
"""Of a video that states no frame rate and no times."""


class Recording(Protocol):
    """Pictures that exist already."""

    length: int
    """Number of pictures; of a video what its header says, which may be off by a few."""
    duration_ns: int
    """Time from the first picture to the last."""
    step_ns: int
    """Time between two pictures, usually."""

    def pictures(self) -> Iterator[tuple[int, Image]]:
        """Nanoseconds since the first picture and the picture (H, W, 3) BGR, once through.  Raises Refused for what cannot be read."""


class Video:
    """A video file; the times are its own.  Raises Refused for what is no video."""

    def __init__(self, path: Path) -> None:
        self._path = path
        capture = self._open()
        try:
            hz = capture.get(cv2.CAP_PROP_FPS)
            self.step_ns = round(1e9 / hz) if 0.1 < hz < 1000 else round(1e9 / FALLBACK_HZ)
            self.length = int(capture.get(cv2.CAP_PROP_FRAME_COUNT))
            if self.length <= 0:  # streams that were cut from a network do not say
                self.length = sum(1 for _ in iter(capture.grab, False))
        finally:
            capture.release()
        self.duration_ns = max(self.length - 1, 0) * self.step_ns

    def pictures(self) -> Iterator[tuple[int, Image]]:
        """See `Recording`.  A picture whose own time does not grow follows the one before by the frame rate's step."""
        capture = self._open()
        try:
            first_ns = last_ns = -1
            while True:
                there, image = capture.read()
                if not there:
                    break
                own_ns = round(capture.get(cv2.CAP_PROP_POS_MSEC) * 1e6)
                if last_ns < 0:
                    first_ns = last_ns = max(own_ns, 0)
                else:
                    last_ns = own_ns if own_ns > last_ns else last_ns + self.step_ns
                yield last_ns - first_ns, image  # type: ignore[misc]
        finally:
            capture.release()
        if last_ns < 0:
            raise Refused(f"{self._path}: no picture can be decoded")

    def _open(self) -> cv2.VideoCapture:
        capture = open_file(self._path)
        if capture is None:
            raise Refused(f"{self._path}: not a video that OpenCV can play")
        return capture


class Folder:
    """Pictures of a directory in the order of their names, `hz` a second.  Raises Refused where there are none."""

    def __init__(self, path: Path, hz: float = CAMERA_RATE_HZ) -> None:
        self._files = sorted(file for file in path.iterdir() if file.suffix.lower() in SUFFIXES)
        if not self._files:
            raise Refused(f"{path}: no pictures here ({', '.join(sorted(SUFFIXES))})")
        self._hz = hz
        self.length, self.step_ns = len(self._files), round(1e9 / hz)
        self.duration_ns = round((self.length - 1) * 1e9 / hz)

    def pictures(self) -> Iterator[tuple[int, Image]]:
        """See `Recording`."""
        shape: tuple[int, ...] | None = None
        for n, file in enumerate(self._files):
            image = cv2.imread(str(file), cv2.IMREAD_COLOR)
            if image is None:
                raise Refused(f"{file}: not a picture that can be read (number {n + 1} of {self.length}, the {n} before it were sent)")
            if shape not in (None, image.shape):
                raise Refused(f"{file}: {image.shape[1]} x {image.shape[0]}, the pictures before are another size: one camera has one size")
            shape = image.shape
            yield round(n * 1e9 / self._hz), image  # type: ignore[misc]
