"""Opening videos and cameras with OpenCV."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

# Read by OpenCV when it first opens a video: what cannot be played is said by us in words, not by FFmpeg on the terminal.
os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")

import cv2

from workers.sources.camera_uri import UsbCamera

if TYPE_CHECKING:
    from pathlib import Path

    from workers.sources.camera_uri import NetworkCamera

TIMEOUT_MS = 10_000
"""A network camera that says nothing for so long is lost.  OpenCV's own limit is 30 s, in which people have walked by."""


def open_file(path: Path) -> cv2.VideoCapture | None:
    """A video file; None where it cannot be played."""
    # FFmpeg alone: other back-ends take digits in a file's name for the pattern of an image sequence.
    return _opened(cv2.VideoCapture(str(path), cv2.CAP_FFMPEG))


def open_camera(source: NetworkCamera | UsbCamera) -> cv2.VideoCapture | None:
    """A camera; None where none answers.  Blocks for up to TIMEOUT_MS."""
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)  # each back-end tells at length why it is not the right one
    if isinstance(source, UsbCamera):
        capture = cv2.VideoCapture(source.index)
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # the driver's queue holds old pictures
        return _opened(capture)
    limits = [cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, TIMEOUT_MS, cv2.CAP_PROP_READ_TIMEOUT_MSEC, TIMEOUT_MS]
    return _opened(cv2.VideoCapture(source.uri, cv2.CAP_FFMPEG, limits))


def _opened(capture: cv2.VideoCapture) -> cv2.VideoCapture | None:
    if capture.isOpened():
        return capture
    capture.release()
    return None
