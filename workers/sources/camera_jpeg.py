"""From pictures to `CameraFrame` messages: scaled, JPEG at a quality, inline or as a file that the message claims."""

from __future__ import annotations

import os
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import cv2

from streams.errors import Refused
from streams.messages.camera import MOST_FRAME_BYTES, MOST_SIDE_PX, CameraFrame

if TYPE_CHECKING:
    from models.pose.boxes import Image

LEAST_SIDE_PX = 16
SWEEP_EVERY_S = 30.0
"""Files of claims outlive their messages by about this at most."""


@dataclass(slots=True)
class ClaimFolder:
    """Where pictures lie that are too large for a message: `root`/CAMERA/SESSION-SEQ.jpg, for as long as the messages are kept.

    The camera worker needs the same folder as GAITSTREAM_CAMERA_CLAIM_ROOT.
    """

    root: Path
    keep_s: float
    _swept_s: float = field(default=-SWEEP_EVERY_S, init=False)

    def write(self, camera_id: str, session: str, seq: int, jpeg: bytes) -> str:
        """Write whole or not at all and return the path below `root`.  Raises Refused where the folder cannot be written."""
        # Every letter that a file system may not take is quoted, and no name is hidden, "." or "..".
        folder = self.root / f"camera-{quote(camera_id, safe='')}"
        path = folder / f"{quote(session, safe='')}-{seq:010d}.jpg"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._sweep(folder)
            descriptor, partial = tempfile.mkstemp(dir=folder, suffix=".part")
            try:
                with os.fdopen(descriptor, "wb") as file:
                    file.write(jpeg)
                Path(partial).chmod(0o644)  # mkstemp lets only this user read; the worker may be another one
                Path(partial).replace(path)
            except BaseException:
                Path(partial).unlink(missing_ok=True)
                raise
        except OSError as error:
            raise Refused(f"the picture cannot be written below {self.root}: {error.strerror}") from None
        return path.relative_to(self.root).as_posix()

    def _sweep(self, folder: Path) -> None:
        """Remove pictures whose messages are gone: nobody's picture is kept for longer than the topic keeps it."""
        now_s = time.monotonic()
        if now_s - self._swept_s < SWEEP_EVERY_S:
            return
        self._swept_s = now_s
        oldest_s = time.time() - self.keep_s
        for file in folder.iterdir():
            if file.suffix in {".jpg", ".part"} and file.stat().st_mtime < oldest_s:
                file.unlink(missing_ok=True)


@dataclass(slots=True)
class JpegEncoder:
    """How the pictures of one camera become messages; numbers them from 0.

    `width_px` scales larger pictures down, smaller ones stay as they are.  Raises Refused (from `message`) for pictures that cannot be sent.
    """

    camera_id: str
    session: str
    quality: int = 80
    width_px: int | None = None
    claims: ClaimFolder | None = None
    seq: int = 0

    def message(self, time_ns: int, image: Image) -> CameraFrame:
        """The picture (H, W, 3) BGR, or (H, W) grey, that was taken at `time_ns`."""
        if self.width_px is not None and image.shape[1] > self.width_px:
            height_px = max(round(image.shape[0] * self.width_px / image.shape[1]), 1)
            image = cv2.resize(image, (self.width_px, height_px), interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
        height_px, width_px = image.shape[:2]
        if not all(LEAST_SIDE_PX <= side <= MOST_SIDE_PX for side in (width_px, height_px)):
            raise Refused(f"a picture of {width_px} x {height_px} cannot be sent: sides are {LEAST_SIDE_PX} to {MOST_SIDE_PX} pixels")
        done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, self.quality])
        if not done:
            raise Refused(f"a picture of {width_px} x {height_px} cannot be written as JPEG")
        jpeg = data.tobytes()
        claim = None
        if len(jpeg) > MOST_FRAME_BYTES:
            if self.claims is None:
                raise Refused(
                    f"the picture of {width_px} x {height_px} takes {len(jpeg):,} bytes, a message holds {MOST_FRAME_BYTES:,}: "
                    "lower --quality or --width, or give --claim-root, a folder that the camera worker reads too"
                )
            claim = self.claims.write(self.camera_id, self.session, self.seq, jpeg)
        frame = CameraFrame(
            camera_id=self.camera_id,
            session=self.session,
            seq=self.seq,
            time_ns=time_ns,
            width=width_px,
            height=height_px,
            jpeg=jpeg if claim is None else None,
            claim=claim,
        )
        self.seq += 1
        return frame
