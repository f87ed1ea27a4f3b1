"""`EmbeddingRecord`: one gait sample as a point of an embedding space."""

from __future__ import annotations

from typing import Annotated, Any

from numpy.typing import NDArray

from streams.arrays import WireArray
from streams.codec import Message
from streams.messages.fields import Modality, Name, Nanoseconds, OptionalText, Share


class EmbeddingRecord(Message):
    """A vector of unit length in the named space; enrolment reads these."""

    id: str
    modality: Modality = "inertial"
    stream_key: Name
    session: OptionalText = ""
    sample_id: str
    start_ns: Nanoseconds
    end_ns: Nanoseconds
    bout_id: str
    space: str
    vector: Annotated[NDArray[Any], WireArray(ndim=1)]
    quality: Share
    placement: OptionalText = ""
