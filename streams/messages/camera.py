"""What cameras publish, and who is seen in each picture: `CameraFrame` and `PeopleSeen`."""

from __future__ import annotations

from typing import Annotated, Any, Self

from numpy.typing import NDArray
from pydantic import Field, model_validator

from streams.arrays import WireArray
from streams.codec import Message
from streams.messages.fields import Name, Nanoseconds, Share

MOST_FRAME_BYTES = 900_000
"""A frame inline must fit Kafka's default largest message of 1 MB; a larger one goes by claim check."""
MOST_SIDE_PX = 8192
KEYPOINTS = 17
"""COCO-17: nose, eyes, ears, shoulders, elbows, wrists, hips, knees, ankles, left before right."""

Pixels = Annotated[int, Field(ge=16, le=MOST_SIDE_PX)]


class CameraFrame(Message):
    """One picture as JPEG: inline, or by claim check, a path below a folder that the worker allows.

    `time_ns` is when the picture was taken.  `session` is new whenever the camera starts publishing or sets its clock.
    """

    camera_id: Name
    session: Annotated[str, Field(max_length=64)] = ""
    seq: Annotated[int, Field(ge=0, lt=2**63)]
    time_ns: Nanoseconds
    width: Pixels
    height: Pixels
    jpeg: Annotated[bytes, Field(min_length=4, max_length=MOST_FRAME_BYTES)] | None = None
    claim: Annotated[str, Field(min_length=1, max_length=1024)] | None = None

    @model_validator(mode="after")
    def _one_picture(self) -> Self:
        if (self.jpeg is None) == (self.claim is None):
            raise ValueError("exactly one of jpeg and claim must be given")
        return self


class PersonSeen(Message):
    """One person in one picture.  `track` is the stream key of that person's samples and events."""

    track: Name
    box: Annotated[NDArray[Any], WireArray(ndim=1, most=4)]
    """x0, y0, x1, y1 in pixels."""
    keypoints: Annotated[NDArray[Any], WireArray(ndim=2, last=3, most=KEYPOINTS)]
    """(17, 3): x, y in pixels, confidence."""
    score: Share

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.box.shape != (4,) or self.keypoints.shape != (KEYPOINTS, 3):
            raise ValueError(f"box must be (4,) and keypoints ({KEYPOINTS}, 3), got {self.box.shape} and {self.keypoints.shape}")
        return self


class PeopleSeen(Message):
    """Everybody in one analysed picture of a camera; also sent for the first picture with nobody after one with people."""

    id: str
    camera_id: Name
    time_ns: Nanoseconds
    width: Pixels
    height: Pixels
    people: list[PersonSeen]
    received_ns: Nanoseconds
