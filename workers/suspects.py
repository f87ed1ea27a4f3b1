"""Messages whose processing raised: found by trying each alone, then answered with a letter."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streams.errors import ProcessingFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from aiokafka import TopicPartition

    from streams.errors import BadMessage
    from workers.processor import Incoming


class Suspects:
    """What is known of messages that raised."""

    def __init__(self) -> None:
        self._alone_below: dict[TopicPartition, int] = {}
        self._guilty: dict[tuple[TopicPartition, int], BadMessage] = {}

    def verdict(self, at: TopicPartition, offset: int) -> BadMessage | None:
        """The error of a message that raised when it was processed alone."""
        return self._guilty.get((at, offset))

    def steps(self, batch: Sequence[Incoming], is_new: Callable[[Incoming], bool]) -> list[list[Incoming]]:
        """The batch in one step, or, where a message raised, in several: what was processed before, suspects one by one, the rest.

        The order within each partition is kept.
        """
        before, alone, after = [], [], []
        for incoming in batch:
            below = self._alone_below.get(incoming.at, -1)
            if below < 0 or not is_new(incoming):
                before.append(incoming)
            elif incoming.record.offset < below:
                alone.append(incoming)
            else:
                after.append(incoming)
        return [step for step in (before, *([incoming] for incoming in alone), after) if step]

    def blame(self, step: Sequence[Incoming], error: Exception) -> None:
        """Processing this step raised: a message alone is guilty; of several, each is tried alone next time."""
        if len(step) == 1:
            self._guilty[step[0].at, step[0].record.offset] = ProcessingFailed(f"{type(error).__name__}: {error}")
            return
        for incoming in step:
            self._alone_below[incoming.at] = max(self._alone_below.get(incoming.at, -1), incoming.record.offset + 1)

    def acquit(self, resume: Mapping[TopicPartition, int]) -> None:
        """Forget what lies below the committed offsets: it is never read again."""
        self._guilty = {(at, o): e for (at, o), e in self._guilty.items() if o >= resume.get(at, -1)}
        self._alone_below = {at: o for at, o in self._alone_below.items() if o > resume.get(at, -1)}
