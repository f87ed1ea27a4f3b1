"""Whether the control plane gets on: what `/healthz` and `/readyz` answer."""

from __future__ import annotations

import time
from collections import Counter
from typing import TYPE_CHECKING

from streams import metrics
from workers.health import STUCK_AFTER_S

if TYPE_CHECKING:
    from workers.control.executor import Executor
    from workers.control.gallery import GalleryView

COMMAND_STUCK_AFTER_S = 3700.0
"""Longer than the longest scan that an erasure may ask for."""


class ControlHealth:
    """`assigned`: Faust has taken up its partitions and recovered the table.  `pulse_s`: the event loop last turned."""

    def __init__(self, view: GalleryView, executor: Executor) -> None:
        self._view, self._executor = view, executor
        self.assigned = False
        self._spaces: set[str] = set()
        self.pulse_s = time.monotonic()

    def missing(self) -> str | None:
        """None when commands are carried out; else what that waits for."""
        if not self._view.loaded:
            return "the gallery is not loaded"
        return None if self.assigned else "the partitions of gait.commands are not assigned, or the table is not recovered"

    def stuck(self) -> str | None:
        """None while there is progress; else where there is none."""
        now_s = time.monotonic()
        if now_s - self.pulse_s > STUCK_AFTER_S:
            return "the event loop"
        if self._view.loaded and now_s - self._view.last_round_s > STUCK_AFTER_S:
            return "reading the gallery"
        busy_s = self._executor.busy_since_s
        return "a command" if busy_s is not None and now_s - busy_s > COMMAND_STUCK_AFTER_S else None

    def age_s(self) -> float:
        """Since the last progress."""
        return time.monotonic() - self.pulse_s

    def show(self) -> None:
        """Bring the gauges up to date."""
        metrics.LAST_PROGRESS.labels("control").set_to_current_time()
        templates: Counter[str] = Counter(t.space for t in self._view.templates.values())
        people = Counter(space for _, space in {(t.subject, t.space) for t in self._view.templates.values()})
        self._spaces |= set(templates)
        for space in self._spaces:  # one whose last template was erased is shown as empty, not as it was
            metrics.GALLERY_TEMPLATES.labels(space).set(templates[space])
            metrics.GALLERY_SUBJECTS.labels(space).set(people[space])
