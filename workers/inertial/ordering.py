"""Chunks of one device in log order to pieces of samples in time order.

Every decision depends on the log alone, never on how it was polled: a chunk is used, repeated or late by what came before it in
the log.  A chunk that leaves a hole waits for at most LATE_NS of stream time for the missing one; then the hole is a gap, and the
next piece begins a new segment.  A stream's first chunk waits too, so that a worker which starts in the middle of a log sorts the
same way as one that was there from the beginning.
"""

from __future__ import annotations

from bisect import insort
from collections import deque
from dataclasses import dataclass, field
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from models.types import GRID_RATE_HZ
from streams.errors import BadClock
from workers.inertial.checks import end_ns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streams.messages import ImuChunk
    from workers.processor import Incoming

GAP_NS = 100_000_000
"""Longer pauses between samples end a segment; shorter ones are interpolated."""

LATE_NS = 2_000_000_000
"""Chunks out of order by up to this much are sorted; later ones are refused."""

AVERAGE_FROM_HZ = 1.5 * GRID_RATE_HZ
"""From this rate on several samples fall into one grid step, and picking between two of them would alias."""

MOST_PIECE_NS = 4_000_000_000
"""Longer chunks are cut, so that a piece always fits into the ring of grid values."""

ROUNDING_NS = 1_000
"""The same sample computed from two chunks' starts may differ by a nanosecond; no device samples at a megahertz."""

RECENT_SEQS = 64
"""Sequence numbers remembered per device: a minute of chunks, far more than publishers repeat."""


@dataclass(slots=True)
class Span:
    """What is remembered of a used chunk: until when it reaches, and what an event says of it."""

    end_ns: int
    offset: int
    received_ns: int
    placement: str
    claimed_subject: str | None


@dataclass(slots=True, order=True)
class Piece:
    """Samples [first, n) of a chunk, in time order; `breaks` when they do not continue the segment before.

    acc_N3 in m/s², gyro_N3 in rad/s.  Sample i was taken at `start_ns + i * period_ns`, or at `own_times_ns[i]`.
    averaged: several samples may fall into one grid step, and the grid takes their mean.
    """

    start_ns: int
    offset: int
    last_ns: int = field(compare=False)
    acc_N3: NDArray[np.floating] = field(compare=False)
    gyro_N3: NDArray[np.floating] = field(compare=False)
    averaged: bool = field(compare=False)
    period_ns: float = field(compare=False)
    own_times_ns: NDArray[np.int64] | None = field(compare=False)
    span: Span = field(compare=False)
    first: int = field(compare=False, default=0)
    breaks: bool = field(compare=False, default=False)

    def times_ns(self) -> NDArray[np.int64]:
        """(n,) time of every sample."""
        if self.own_times_ns is not None:
            return self.own_times_ns
        return regular_times_ns(self.start_ns, len(self.acc_N3), self.period_ns)


@dataclass(frozen=True, slots=True)
class Former:
    """The session before the present one, and its last used message."""

    session: str
    offset: int
    received_ns: int


class Ordering:
    """The order of one device's chunks.  `take` returns pieces that are ready, oldest first."""

    __slots__ = ("_last", "_linked", "_pending", "_seqs", "former", "frontier_ns", "last_received_ns", "newest_ns", "session", "spans")

    def __init__(self) -> None:
        self.session: str | None = None
        self.former: Former | None = None
        self.frontier_ns: int | None = None
        self.newest_ns = 0
        self.last_received_ns = 0
        self._last: tuple[int, int] = (0, 0)
        self._linked = False  # whether the next piece may continue the segment that ends at the frontier
        self.spans: deque[Span] = deque()
        self._seqs: dict[int, int] = {}  # start times by sequence number, the newest last
        self._pending: list[Piece] = []

    def restart(self, session: str, decided_ns: int | None = None) -> None:
        """Begin a stream; up to `decided_ns` it was decided before its device fell silent."""
        self.former = Former(self.session, *self._last) if self.session is not None and session != self.session else None
        self.session = session
        self.frontier_ns, self.newest_ns, self._linked = decided_ns, 0, False
        self.spans.clear()
        self._seqs.clear()
        self._pending.clear()

    def take(self, incoming: Incoming, chunk: ImuChunk) -> list[Piece] | None:
        """Pieces that this chunk makes ready; None when the chunk repeats an earlier one.  Raises BadClock when it is too late."""
        if self._seqs.get(chunk.seq) == chunk.start_ns:
            return None  # with another start it is a device that began to count again
        last_ns = end_ns(chunk)
        if chunk.start_ns < self.newest_ns - LATE_NS or (self.frontier_ns is not None and last_ns <= self.frontier_ns):
            behind_s = (self.newest_ns - chunk.start_ns) / 1e9
            raise BadClock(f"the chunk begins {behind_s:.1f} s behind the newest sample of its session", reason="late", path="start_ns")
        self._seqs.pop(chunk.seq, None)
        self._seqs[chunk.seq] = chunk.start_ns
        if len(self._seqs) > RECENT_SEQS:
            del self._seqs[next(iter(self._seqs))]
        self._last = (incoming.record.offset, incoming.received_ns)
        self.newest_ns = max(self.newest_ns, last_ns)
        span = Span(last_ns, incoming.record.offset, incoming.received_ns, chunk.placement, chunk.claimed_subject)
        pieces = split_at_gaps(chunk, last_ns, incoming.record.offset, span)
        if len(pieces) == 1 and not self._pending and self._continues(pieces[0]):
            return self._use(pieces[0], breaks=False)
        for piece in pieces:
            insort(self._pending, piece)
        return self._ready()

    def is_former(self, session: str, received_ns: int, for_ns: int) -> bool:
        """Whether a message belongs to the session that this one followed at most `for_ns` ago.

        The memory ends, because a successor must find it in the log: until then commits are held back to the former session.
        """
        return self.former is not None and self.former.session == session and received_ns - self.former.received_ns <= for_ns

    def oldest_needed(self, needed_ns: int, former_ns: int) -> int | None:
        """Oldest offset of a chunk with samples at or after `needed_ns`, of those still waiting, of a remembered former session."""
        if self.former is not None and self.last_received_ns - self.former.received_ns > former_ns:
            self.former = None
        while self.spans and self.spans[0].end_ns < needed_ns - LATE_NS:
            self.spans.popleft()
        offsets = [span.offset for span in self.spans]
        offsets += [piece.offset for piece in self._pending]
        if self.former is not None:
            offsets.append(self.former.offset)
        return min(offsets, default=None)

    def covering(self, time_ns: int) -> Span:
        """The chunk that brought the sample at `time_ns` (the newest when none reaches that far)."""
        return next((span for span in self.spans if span.end_ns >= time_ns), self.spans[-1])

    def _continues(self, piece: Piece) -> bool:
        return self._linked and self.frontier_ns is not None and piece.start_ns - self.frontier_ns <= GAP_NS

    def _ready(self) -> list[Piece]:
        ready: list[Piece] = []
        while self._pending:
            piece = self._pending[0]
            if self._continues(piece):
                ready += self._use(self._pending.pop(0), breaks=False)
            elif piece.start_ns <= self.newest_ns - LATE_NS:
                ready += self._use(self._pending.pop(0), breaks=True)
            else:
                break
        return ready

    def _use(self, piece: Piece, *, breaks: bool) -> list[Piece]:
        if self.frontier_ns is not None and piece.start_ns <= (covered_ns := self.frontier_ns + ROUNDING_NS):
            if piece.last_ns <= covered_ns:
                return []  # wholly covered by a neighbour: clocks that overlap by a few samples
            piece.first = int(np.searchsorted(piece.times_ns(), covered_ns, side="right"))
        piece.breaks = breaks
        self.frontier_ns, self._linked = piece.last_ns, True
        self.spans.append(piece.span)
        return [piece]


def split_at_gaps(chunk: ImuChunk, last_ns: int, offset: int, span: Span) -> list[Piece]:
    """The chunk as pieces without internal gaps (a device that gives its own times may have paused) and of at most MOST_PIECE_NS."""
    start_ns, acc_N3, gyro_N3 = chunk.start_ns, chunk.acc, chunk.gyro
    # A device with its own times is always averaged: a rate estimated chunk by chunk would make the grid depend on the chunks.
    averaged = chunk.rate_hz is None or chunk.rate_hz >= AVERAGE_FROM_HZ
    if chunk.rate_hz is not None:
        period_ns = 1e9 / chunk.rate_hz
        if last_ns - start_ns <= MOST_PIECE_NS:
            return [Piece(start_ns, offset, last_ns, acc_N3, gyro_N3, averaged, period_ns, None, span)]
        times_ns = regular_times_ns(start_ns, len(acc_N3), period_ns)
        cuts = np.zeros(0, np.int64)
    else:
        assert chunk.offsets_ns is not None
        times_ns = start_ns + chunk.offsets_ns.astype(np.int64)
        cuts = np.flatnonzero(np.diff(times_ns) > GAP_NS) + 1
    if times_ns[-1] - times_ns[0] > MOST_PIECE_NS:
        cuts = np.union1d(cuts, np.searchsorted(times_ns, np.arange(times_ns[0] + MOST_PIECE_NS, times_ns[-1], MOST_PIECE_NS)))
    pieces = []
    for a, b in pairwise([0, *cuts.tolist(), len(times_ns)]):
        part_ns = times_ns[a:b]
        begin_ns, end_ns = int(part_ns[0]), int(part_ns[-1])
        pieces.append(Piece(begin_ns, offset, end_ns, acc_N3[a:b], gyro_N3[a:b], averaged, 0.0, part_ns, span))
    return pieces


def regular_times_ns(start_ns: int, samples: int, period_ns: float) -> NDArray[np.int64]:
    """(samples,) times at a fixed rate, each rounded by itself so that errors do not add up."""
    return start_ns + np.rint(np.arange(samples) * period_ns).astype(np.int64)
