"""`GaitSample`: a piece of walking, cut as the embedding network wants it."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from numpy.typing import NDArray
from pydantic import Field

from streams.arrays import WireArray
from streams.codec import Message
from streams.messages.fields import Name, Nanoseconds, OptionalText, Share


class GaitSample(Message):
    """One window of walking of one device.  `id` depends on stream, session, window start and cut only.

    Everything that a successor must know to go on with the bout travels with it: where the bout began and the steps so far.
    """

    id: str
    modality: Literal["inertial"] = "inertial"
    stream_key: Name
    session: OptionalText = ""
    start_ns: Nanoseconds
    end_ns: Nanoseconds
    cut: str
    samples: Annotated[NDArray[Any], WireArray(ndim=2, last=6)]
    walking: Share
    step_rate_hz: Annotated[float, Field(ge=0.0, le=10.0)]
    regularity: Share
    bout_id: str
    bout_start_ns: Nanoseconds
    bout_steps: Annotated[float, Field(ge=0.0)]
    placement: OptionalText = ""
    claimed_subject: Name | None = None
    received_ns: Nanoseconds
    """When the broker got the chunk that completed the window."""
