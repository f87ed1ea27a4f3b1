"""Idempotent producers: what each has written to one partition lately, so that a repeat is recognised and a gap refused."""

from collections import deque
from dataclasses import dataclass, field

from streams.broker.batch import BatchHeader

KEPT_BATCHES = 5  # as many as a producer may have in flight
_SEQUENCES = 2**31  # sequence numbers wrap to 0


class OutOfOrderSequence(Exception):
    """A batch is missing between the last one written and this one: error OUT_OF_ORDER_SEQUENCE_NUMBER."""


class StaleEpoch(Exception):
    """A newer incarnation of the producer has written: error INVALID_PRODUCER_EPOCH."""


@dataclass(slots=True)
class _Written:
    epoch: int
    # (first sequence, last sequence, first offset), oldest first
    batches: deque[tuple[int, int, int]] = field(default_factory=lambda: deque(maxlen=KEPT_BATCHES))


class ProducerStates:
    """The last batches of every idempotent producer of one partition."""

    def __init__(self, max_producers: int = 10_000) -> None:
        self._written: dict[int, _Written] = {}  # by producer id, the one silent for longest first
        self._max_producers = max_producers

    def repeat_of(self, header: BatchHeader) -> int | None:
        """First offset of the batch that ``header`` repeats; None where it is new and in order.

        A producer that is not known (its records expired, or the broker dropped its state) may begin with any sequence.

        Raises:
            OutOfOrderSequence: it does not follow the last batch.
            StaleEpoch: its epoch is older than the last one's.
        """
        written = self._written.get(header.producer_id)
        if header.producer_id < 0 or written is None or not written.batches:
            return None
        if header.producer_epoch < written.epoch:
            raise StaleEpoch(f"epoch {header.producer_epoch} of producer {header.producer_id} after {written.epoch}")
        if header.producer_epoch > written.epoch:
            if header.base_sequence != 0:
                raise OutOfOrderSequence(f"producer {header.producer_id} begins epoch {header.producer_epoch} at {header.base_sequence}")
            return None
        last = _last_sequence(header)
        for first_written, last_written, offset in written.batches:
            if (first_written, last_written) == (header.base_sequence, last):
                return offset
        expected = (written.batches[-1][1] + 1) % _SEQUENCES
        if header.base_sequence != expected:
            raise OutOfOrderSequence(f"producer {header.producer_id} sends {header.base_sequence} where {expected} should follow")
        return None

    def note(self, header: BatchHeader) -> None:
        """Remember a batch that was written (its header with the final base offset)."""
        if header.producer_id < 0:
            return
        written = self._written.pop(header.producer_id, None)
        if written is None or written.epoch != header.producer_epoch:
            written = _Written(header.producer_epoch)
        written.batches.append((header.base_sequence, _last_sequence(header), header.base_offset))
        self._written[header.producer_id] = written
        if len(self._written) > self._max_producers:
            del self._written[next(iter(self._written))]


def _last_sequence(header: BatchHeader) -> int:
    return (header.base_sequence + header.last_offset_delta) % _SEQUENCES
