"""`ImuChunk`: raw inertial samples as a phone or wearable publishes them, about one second per message."""

from __future__ import annotations

from typing import Annotated, Any, Self

from numpy.typing import NDArray
from pydantic import Field, model_validator

from streams.arrays import WireArray
from streams.codec import Message
from streams.messages.fields import Name, Nanoseconds, OptionalText

MAX_CHUNK_SAMPLES = 2048
"""About four seconds at 500 Hz: a longer chunk would delay every event of its device."""


class ImuChunk(Message):
    """Acceleration with gravity in m/s² and angular rate in rad/s, Android axes, sampled together.

    Sample i was taken at `start_ns + i / rate_hz`, or at `start_ns + offsets_ns[i]` when a device gives its own times.
    `session` is new whenever the device starts publishing or sets its clock: times are compared within a session only.
    """

    device_id: Name
    session: OptionalText = ""
    seq: Annotated[int, Field(ge=0, lt=2**63)]
    start_ns: Nanoseconds
    rate_hz: Annotated[float, Field(ge=10.0, le=1000.0)] | None = None
    offsets_ns: Annotated[NDArray[Any], WireArray(ndim=1, kind="i", most=MAX_CHUNK_SAMPLES)] | None = None
    acc: Annotated[NDArray[Any], WireArray(ndim=2, last=3, most=MAX_CHUNK_SAMPLES)]
    gyro: Annotated[NDArray[Any], WireArray(ndim=2, last=3, most=MAX_CHUNK_SAMPLES)]
    placement: OptionalText = ""
    claimed_subject: Name | None = None

    @model_validator(mode="after")
    def _agree(self) -> Self:
        if len(self.acc) != len(self.gyro):
            raise ValueError(f"acc has {len(self.acc)} samples, gyro {len(self.gyro)}")
        if (self.rate_hz is None) == (self.offsets_ns is None):
            raise ValueError("exactly one of rate_hz and offsets_ns must be given")
        if self.offsets_ns is not None and len(self.offsets_ns) != len(self.acc):
            raise ValueError(f"acc has {len(self.acc)} samples, offsets_ns {len(self.offsets_ns)}")
        return self
