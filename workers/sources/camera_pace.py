"""When a picture is taken and which pictures are enough: `CaptureClock` of live cameras, `Thinner` of fast ones, `Backoff` of lost ones."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_CLOCK_STEP_NS = 1_000_000_000
"""A wall clock that differs by more from the steady one was set: the camera begins a session."""

FIRST_PAUSE_S = 0.5
MOST_PAUSE_S = 30.0


@dataclass(slots=True)
class CaptureClock:
    """Wall-clock times that only grow within a session, whatever happens to the wall clock.

    They follow the steady clock from the session's beginning on; a session is named by the time at which it began.
    """

    wall_ns: Callable[[], int] = time.time_ns
    steady_ns: Callable[[], int] = time.monotonic_ns
    session: str = ""
    _began_wall_ns: int = field(default=0, init=False)
    _began_steady_ns: int = field(default=0, init=False)
    _last_ns: int = field(default=-1, init=False)

    def now_ns(self) -> int:
        """The time of a picture that was taken just now, later than any before it of the same session."""
        steady_ns, wall_ns = self.steady_ns(), self.wall_ns()
        time_ns = self._began_wall_ns + steady_ns - self._began_steady_ns
        if not self.session or abs(wall_ns - time_ns) > MOST_CLOCK_STEP_NS:
            self._began_wall_ns, self._began_steady_ns, self._last_ns = wall_ns, steady_ns, -1
            self.session = str(wall_ns)
            time_ns = wall_ns
        self._last_ns = max(time_ns, self._last_ns + 1)
        return self._last_ns


@dataclass(slots=True)
class Thinner:
    """Keeps at most `hz` pictures a second, on average exactly so many where there are more; None keeps all."""

    hz: float | None
    _due_ns: int | None = field(default=None, init=False)

    def keeps(self, time_ns: int) -> bool:
        """Whether the picture of that time is kept.  Times must not fall."""
        if self.hz is None:
            return True
        step_ns = round(1e9 / self.hz)
        if self._due_ns is None:
            self._due_ns = time_ns
        if time_ns < self._due_ns - step_ns // 8:  # cameras are late and early by a little
            return False
        # From the time that was due, so that the average is met; anew after a gap, so that what was missed is not caught up with.
        self._due_ns = self._due_ns + step_ns if time_ns < self._due_ns + step_ns else time_ns + step_ns
        return True


@dataclass(slots=True)
class Backoff:
    """How long to wait before a lost camera is tried again: twice as long each time, up to MOST_PAUSE_S, short again after success."""

    _next_s: float = field(default=FIRST_PAUSE_S, init=False)

    def pause_s(self) -> float:
        """The pause after one more failure."""
        pause_s = self._next_s
        self._next_s = min(2 * pause_s, MOST_PAUSE_S)
        return pause_s

    def succeeded(self) -> None:
        """A picture came."""
        self._next_s = FIRST_PAUSE_S
