"""What downstream services subscribe to: `IdentityEvent` and `WalkingEvent`."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict  # pydantic asks for this one before Python 3.12

from streams.codec import Message
from streams.messages.fields import Modality, Name, Nanoseconds, OptionalText, Share

WalkingKind = Literal["began", "ended"]
Decision = Literal["known", "unknown", "undecided"]
Direction = Literal["towards", "right", "away", "left", "unclear"]
Verification = Literal["accepted", "rejected", "undecided", "not_enrolled"]


@with_config(ConfigDict(extra="ignore", strict=True))
class Candidate(TypedDict):
    """An enrolled person and how alike the walk is (cosine, -1..1).  A plain dictionary: an event has several, and a model of each
    would cost more than finding it."""

    subject: Name
    score: float


class IdentityEvent(Message):
    """Who walks here, as far as the evidence of this bout says at this window.

    `subject` is set only when `decision` is `known`.  `confidence` is the calibrated probability that the decision is right for
    a person met as often as a stranger.  Times: the window's start and end, when the broker got the last raw sample, when decided.
    """

    id: str
    modality: Modality = "inertial"
    stream_key: Name
    session: OptionalText = ""
    bout_id: str
    start_ns: Nanoseconds
    end_ns: Nanoseconds
    decision: Decision
    subject: Name | None = None
    score: float
    confidence: Share
    margin: float
    candidates: list[Candidate]
    windows: Annotated[int, Field(ge=1)]
    effective_windows: float
    target_fpir: Share
    enrolled: Annotated[int, Field(ge=0)]
    gallery_version: int
    space: str
    quality: Share
    placement: OptionalText = ""
    claimed_subject: Name | None = None
    verification: Verification | None = None
    verification_score: float | None = None
    contradicts: Name | None = None
    """Whom an earlier event of the same bout named, when this one does not agree."""
    box: list[float] | None = None
    """Where a camera saw the person last in this window: x0, y0, x1, y1 in pixels."""
    camera_id: Name | None = None
    direction: Direction | None = None
    """Where a camera saw the person walk in this window, in the picture."""
    received_ns: Nanoseconds
    decided_ns: Nanoseconds


class WalkingEvent(Message):
    """A bout of walking began or ended; an `ended` event carries its length, steps and cadence."""

    id: str
    kind: WalkingKind
    modality: Modality = "inertial"
    stream_key: Name
    session: OptionalText = ""
    bout_id: str
    start_ns: Nanoseconds
    end_ns: Nanoseconds
    steps: Annotated[float, Field(ge=0.0)]
    step_rate_hz: Annotated[float, Field(ge=0.0, le=10.0)]
    placement: OptionalText = ""
