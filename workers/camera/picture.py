"""From a `CameraFrame` to pixels: inline JPEG or claim check, looked at before it is decoded."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import cv2
import numpy as np

from streams.errors import BadValues
from streams.messages.camera import MOST_SIDE_PX

if TYPE_CHECKING:
    from pathlib import Path

    from models.pose.boxes import Image
    from streams.messages import CameraFrame

MOST_CLAIM_BYTES = 32_000_000
MOST_PIXELS = 40_000_000
"""A picture of more pixels would take half a second and 120 MB to decode; cameras of eight megapixels stay far below."""

_START_OF_FRAME = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_ALONE = frozenset((0x01, *range(0xD0, 0xD9)))


def picture_of(frame: CameraFrame, claim_root: Path | None) -> Image:
    """(H, W, 3) BGR of the size that the frame states.  Raises BadValues that says what is wrong with the picture or the claim."""
    data = frame.jpeg if frame.jpeg is not None else read_claim(frame.claim or "", claim_root)
    width, height = jpeg_size(data)
    if (width, height) != (frame.width, frame.height):
        raise BadValues(
            f"the frame says {frame.width} x {frame.height}, the JPEG is {width} x {height}", reason="picture_size", path="width"
        )
    picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
    if picture is None or picture.shape != (height, width, 3):
        raise BadValues("the JPEG cannot be decoded", reason="picture", path="jpeg")
    return np.asarray(picture, np.uint8)


def jpeg_size(data: bytes) -> tuple[int, int]:
    """Width and height from the header, without decoding.  Raises BadValues for what is no whole JPEG of a sane size."""
    if data[:2] != b"\xff\xd8":
        raise BadValues("not a JPEG: it does not begin with FF D8", reason="picture", path="jpeg")
    if b"\xff\xd9" not in data[-64:]:  # some cameras append a few bytes
        raise BadValues("the JPEG is cut off: its end is missing", reason="picture_cut", path="jpeg")
    at = 2
    while at + 9 < len(data):
        if data[at] != 0xFF:
            raise BadValues("the JPEG's header is damaged", reason="picture", path="jpeg")
        marker = data[at + 1]
        if marker == 0xFF or marker in _ALONE:
            at += 1 if marker == 0xFF else 2
            continue
        if marker in _START_OF_FRAME:
            height, width = int.from_bytes(data[at + 5 : at + 7], "big"), int.from_bytes(data[at + 7 : at + 9], "big")
            if not (1 <= width <= MOST_SIDE_PX and 1 <= height <= MOST_SIDE_PX and width * height <= MOST_PIXELS):
                raise BadValues(f"a picture of {width} x {height} is not decoded", reason="picture_size", path="jpeg")
            return width, height
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    raise BadValues("the JPEG has no size", reason="picture", path="jpeg")


def read_claim(claim: str, root: Path | None) -> bytes:
    """The bytes of a file below `root`.  Raises BadValues for a path that leads elsewhere, links, other things than files, and long ones."""
    if root is None:
        raise BadValues("claim checks are not allowed here: set GAITSTREAM_CAMERA_CLAIM_ROOT", reason="claim_root", path="claim")
    base = root.resolve()
    try:
        path = (base / claim).resolve(strict=True)
    except (OSError, ValueError, RuntimeError) as error:
        raise BadValues(f"the claimed file cannot be found: {type(error).__name__}", reason="claim_missing", path="claim") from None
    if not path.is_relative_to(base) or path == base:
        raise BadValues("the claimed file lies outside of the allowed folder", reason="claim_outside", path="claim")
    try:
        # Without following a link that may have been put there since, and without waiting for a pipe.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError as error:
        raise BadValues(f"the claimed file cannot be read: {error.strerror}", reason="claim_missing", path="claim") from None
    try:
        state = os.fstat(descriptor)
        if not stat.S_ISREG(state.st_mode) or state.st_size > MOST_CLAIM_BYTES:
            raise BadValues(f"the claim is no file of at most {MOST_CLAIM_BYTES} bytes", reason="claim_file", path="claim")
        return os.read(descriptor, MOST_CLAIM_BYTES)
    finally:
        os.close(descriptor)
