"""Walking blocks of one device to bouts, walking events and gait samples.

A bout is a run of walking blocks, at least two long (one gait window).  What only the past knows (where the bout began, its steps
so far) travels in every gait sample, so that a successor takes it over from the last one.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from models.types import GRID_STEP_NS
from streams import metrics
from streams.messages import GaitSample, WalkingEvent
from streams.messages.fields import stable_id

if TYPE_CHECKING:
    from models.types import Float32
    from workers.inertial.ordering import Span

BLOCK_SAMPLES = 64
"""1.28 s: the hop of the gait windows, and the unit in which walking is decided."""
BLOCK_NS = BLOCK_SAMPLES * GRID_STEP_NS
WINDOW_SAMPLES = 2 * BLOCK_SAMPLES
CUT = "fixed-128"
"""Name of this way of cutting: 128 samples (2.56 s) from every block border on."""


@dataclass(frozen=True, slots=True)
class Window:
    """Two walking blocks in a row; `block` is the second."""

    block: int
    samples_T6: Float32
    walking: float
    step_rate_hz: float
    regularity: float
    span: Span


class Bouts:
    """The bouts of one device in one session."""

    __slots__ = ("_bout_id", "_key", "_last_block", "_last_rate_hz", "_last_span", "_session", "_start_block", "_steps")

    def __init__(self, stream_key: str, session: str) -> None:
        self._key, self._session = stream_key, session
        self._start_block: int | None = None
        self._bout_id = ""
        self._steps = 0.0
        # Of the last window only this: its samples are a view of its whole batch, which would stay in memory with it.
        self._last_block: int | None = None
        self._last_rate_hz = 0.0
        self._last_span: Span | None = None

    @property
    def open_since(self) -> int | None:
        """First block of the open bout."""
        return self._start_block

    def walk(self, window: Window) -> tuple[WalkingEvent | None, GaitSample]:
        """The bout goes on (or begins) with this window."""
        began = None
        if self._start_block is None:
            self._begin(window.block - 1)
            self._steps = window.step_rate_hz * BLOCK_NS / 1e9
            self._last_rate_hz = window.step_rate_hz
            began = self._event("began", (window.block - 1) * BLOCK_NS, window.span)
            metrics.BOUTS.labels("inertial").inc()
        self._steps += window.step_rate_hz * BLOCK_NS / 1e9
        self._last_block, self._last_rate_hz, self._last_span = window.block, window.step_rate_hz, window.span
        start_ns = (window.block - 1) * BLOCK_NS
        return began, GaitSample(
            id=stable_id(self._key, self._session, start_ns, CUT),
            stream_key=self._key,
            session=self._session,
            start_ns=start_ns,
            end_ns=start_ns + WINDOW_SAMPLES * GRID_STEP_NS,
            cut=CUT,
            samples=window.samples_T6,
            walking=window.walking,
            step_rate_hz=window.step_rate_hz,
            regularity=window.regularity,
            bout_id=self._bout_id,
            bout_start_ns=(self._start_block or 0) * BLOCK_NS,
            bout_steps=self._steps,
            placement=window.span.placement,
            claimed_subject=window.span.claimed_subject,
            received_ns=window.span.received_ns,
        )

    def end(self) -> WalkingEvent | None:
        """Walking stopped after the last window; None when no bout is open."""
        if self._start_block is None or self._last_block is None or self._last_span is None:
            return None
        event = self._event("ended", (self._last_block + 1) * BLOCK_NS, self._last_span)
        self._start_block, self._last_block, self._last_span, self._steps = None, None, None, 0.0
        return event

    def take_over(self, sample: GaitSample) -> None:
        """An earlier owner of the partition cut this sample: if it is our last window too, its bout is ours."""
        ours = self._last_block is not None and sample.start_ns == (self._last_block - 1) * BLOCK_NS
        if ours and sample.session == self._session:
            self._begin(sample.bout_start_ns // BLOCK_NS)
            self._steps = sample.bout_steps

    def _begin(self, block: int) -> None:
        self._start_block = block
        self._bout_id = stable_id(self._key, self._session, block * BLOCK_NS, "bout")

    def _event(self, kind: str, end_ns: int, span: Span) -> WalkingEvent:
        start_ns = (self._start_block or 0) * BLOCK_NS
        duration_s = (end_ns - start_ns) / 1e9
        return WalkingEvent(
            id=stable_id(self._bout_id, kind),
            kind=kind,  # type: ignore[arg-type]
            stream_key=self._key,
            session=self._session,
            bout_id=self._bout_id,
            start_ns=start_ns,
            end_ns=end_ns,
            steps=self._steps if duration_s else 0.0,
            step_rate_hz=self._steps / duration_s if duration_s else self._last_rate_hz,
            placement=span.placement,
        )
