"""Pieces of walking, cut as the embedding networks want them: `GaitSample` of a device, `CameraSample` of a track."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from numpy.typing import NDArray
from pydantic import Field, model_validator

from streams.arrays import WireArray
from streams.codec import Message
from streams.messages.camera import KEYPOINTS
from streams.messages.fields import Name, Nanoseconds, OptionalText, Share

SILHOUETTE_BYTES = 64 * 44 // 8
"""One silhouette of 64 x 44 pixels as packed bits, first row first, first pixel in the highest bit."""


class Sample(Message):
    """What every piece of walking tells.  `id` depends on stream, session, window start and cut only.

    Everything that a successor must know to go on with the bout travels with it: where the bout began and the steps so far.
    """

    id: str
    stream_key: Name
    session: OptionalText = ""
    start_ns: Nanoseconds
    end_ns: Nanoseconds
    cut: str
    step_rate_hz: Annotated[float, Field(ge=0.0, le=10.0)]
    bout_id: str
    bout_start_ns: Nanoseconds
    bout_steps: Annotated[float, Field(ge=0.0)]
    placement: OptionalText = ""
    claimed_subject: Name | None = None
    received_ns: Nanoseconds
    """When the broker got the raw message that completed the window."""


class GaitSample(Sample):
    """One window of walking of one device."""

    modality: Literal["inertial"] = "inertial"
    samples: Annotated[NDArray[Any], WireArray(ndim=2, last=6)]
    walking: Share
    regularity: Share


class CameraSample(Sample):
    """One window of one track of a camera: joints and silhouettes of the same moments, on the camera grid.

    The stream key is the track's.  Both travel in one message because the default network fuses them: two topics would have to be
    joined again, in an order that nobody promises.
    """

    modality: Literal["camera"] = "camera"
    camera_id: Name
    keypoints: Annotated[NDArray[Any], WireArray(ndim=3, last=3)]
    """(T, 17, 3): x, y in pixels, confidence; 0 where nobody was seen."""
    silhouettes: bytes
    """T silhouettes, each `SILHOUETTE_BYTES`; empty where the person was not seen."""
    box: Annotated[NDArray[Any], WireArray(ndim=1, most=4)]
    """Of the newest picture: x0, y0, x1, y1 in pixels."""
    quality: Share
    """What the picture allows: size, visible joints, occlusion."""

    @model_validator(mode="after")
    def _agree(self) -> Self:
        shape = self.keypoints.shape
        if shape[1] != KEYPOINTS:
            raise ValueError(f"keypoints must be (T, {KEYPOINTS}, 3), got {shape}")
        if len(self.silhouettes) != shape[0] * SILHOUETTE_BYTES:
            raise ValueError(f"{shape[0]} silhouettes need {shape[0] * SILHOUETTE_BYTES} bytes, got {len(self.silhouettes)}")
        if self.box.shape != (4,):
            raise ValueError(f"box must be (4,), got {self.box.shape}")
        return self
