"""The log of one partition: segments, appends, reads, and what may be removed from its front."""

import asyncio
import logging
import shutil
from bisect import bisect_right
from pathlib import Path

from streams.broker import batch, files
from streams.broker.batch import BatchHeader
from streams.broker.configs import TopicConfig
from streams.broker.idempotence import ProducerStates
from streams.broker.segment import SUFFIX, Segment, StorageFull

logger = logging.getLogger(__name__)

_START_FILE = "start-offset.json"


class OffsetOutOfRange(Exception):
    """The offset is below the start or above the end of the log."""


class BatchTooLarge(Exception):
    """The batch exceeds ``max.message.bytes``."""


class Growth:
    """A waiting fetch: done as soon as its partitions have grown by ``wanted_bytes``, or were removed."""

    def __init__(self, wanted_bytes: int) -> None:
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._missing_bytes = wanted_bytes

    def grown(self, size: int) -> None:
        """Note ``size`` new bytes."""
        self._missing_bytes -= size
        if self._missing_bytes <= 0 and not self.done.done():
            self.done.set_result(None)


class PartitionLog:
    """An ordered log of record batches in ``directory``; ``config`` is shared with the topic and may be replaced while it runs."""

    def __init__(self, directory: Path, config: TopicConfig) -> None:
        self.directory = directory
        self.config = config
        self.producers = ProducerStates()
        self.waiting: set[Growth] = set()
        self.segments: list[Segment] = []
        self._removed_before = 0
        self._load()

    def _load(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        for leftover in self.directory.glob("*.cleaned"):  # an unfinished compaction
            leftover.unlink()
        self._removed_before = files.read_json(self.directory / _START_FILE, 0)
        bases = sorted(int(path.stem) for path in self.directory.glob(f"*{SUFFIX}"))
        for base in bases:
            segment = Segment(self.directory, base)
            if self.segments and base < self.segments[-1].next_offset:
                logger.info("%s was replaced by a compaction and is removed", segment.path)
                segment.remove()
                continue
            segment.replay(self.producers.note, verify=base == bases[-1])
            self.segments.append(segment)
        if not self.segments:
            self.segments.append(Segment(self.directory, self._removed_before))

    @property
    def active(self) -> Segment:
        """The segment that is written to; all others are sealed."""
        return self.segments[-1]

    @property
    def start_offset(self) -> int:
        """First offset that may be read."""
        return max(self._removed_before, self.segments[0].base_offset)

    @property
    def end_offset(self) -> int:
        """Offset of the next record to be written."""
        return max(self._removed_before, self.active.next_offset)

    @property
    def size(self) -> int:
        """Bytes of all segments."""
        return sum(segment.size for segment in self.segments)

    # --- writing

    def append(self, data: bytes, header: BatchHeader) -> int:
        """Append one checked batch; return its first offset (the earlier one if it is a repeat of an idempotent producer).

        Raises:
            BatchTooLarge, OutOfOrderSequence, StaleEpoch: refused, nothing is written.
            StorageFull: the disk did not take it, the log is as before.
        """
        if header.size > self.config.max_message_bytes:
            raise BatchTooLarge(f"{header.size} bytes, max.message.bytes is {self.config.max_message_bytes}")
        repeated = self.producers.repeat_of(header)
        if repeated is not None:
            return repeated
        if not self.active.has_room(header.size, self.config.segment_bytes):
            self.roll()
        base_offset = self.end_offset
        self.active.append(data, header, base_offset)
        self.producers.note(header._replace(base_offset=base_offset))
        for growth in self.waiting:
            growth.grown(header.size)
        return base_offset

    def roll(self) -> None:
        """Seal the active segment and begin the next one.

        Raises:
            StorageFull: the new file cannot be created.
        """
        segment = Segment(self.directory, self.end_offset)
        try:
            segment.path.touch()  # an empty active segment must tell the end offset after a restart
        except OSError as error:
            raise StorageFull(f"{segment.path}: {error}") from error
        self.active.seal()
        self.segments.append(segment)

    # --- reading

    def read(self, offset: int, max_bytes: int) -> bytes:
        """Whole batches from ``offset`` on, at least one, else about ``max_bytes`` of one segment; empty at the end.

        Raises:
            OffsetOutOfRange: there is no such offset.
        """
        if not self.start_offset <= offset <= self.end_offset:
            raise OffsetOutOfRange(f"offset {offset}, the log holds {self.start_offset} to {self.end_offset}")
        first = max(0, bisect_right(self.segments, offset, key=lambda segment: segment.base_offset) - 1)
        for segment in self.segments[first:]:
            data = segment.read(offset, max_bytes)
            if data:
                return data
        return b""

    def find_time(self, timestamp_ms: int) -> tuple[int, int] | None:
        """Offset and timestamp of the first record at or after ``timestamp_ms``; None where there is none."""
        for segment in self.segments:
            if segment.max_timestamp_ms >= timestamp_ms:
                found = segment.find_time(timestamp_ms, self.start_offset)
                if found is not None:
                    return found
        return None

    def latest_time(self) -> tuple[int, int] | None:
        """Offset and timestamp of the record with the largest timestamp."""
        return self.find_time(max(segment.max_timestamp_ms for segment in self.segments)) if self.end_offset > self.start_offset else None

    # --- removing

    def remove_before(self, offset: int) -> None:
        """Move the start to ``offset``; files that lie wholly before it are deleted, so at the end offset nothing is left on disk.

        Raises:
            OffsetOutOfRange: there is no such offset.
            OSError: the disk is full; nothing is removed.
        """
        if not self.start_offset <= offset <= self.end_offset:
            raise OffsetOutOfRange(f"offset {offset}, the log holds {self.start_offset} to {self.end_offset}")
        files.write_json(self.directory / _START_FILE, offset)
        self._removed_before = offset
        if offset == self.end_offset and len(self.active):
            self.roll()
        self.drop_leading(sum(segment.next_offset <= offset for segment in self.segments[:-1]))

    def drop_leading(self, count: int) -> None:
        """Delete the first ``count`` sealed segments."""
        for segment in self.segments[:count]:
            segment.remove()
        del self.segments[:count]

    def replace(self, old: list[Segment], cleaned: Segment | None) -> None:
        """Put one compacted segment in place of neighbouring sealed ones.

        The file of ``cleaned`` takes the name of the first; the others are deleted front to back, so that a crash in between never
        leaves an older value of a key behind a tombstone that is gone.
        """
        at = self.segments.index(old[0])
        if cleaned is not None:
            cleaned.path = cleaned.path.rename(old[0].path)
        for segment in old[1:] if cleaned is not None else old:
            segment.remove()
        self.segments[at : at + len(old)] = [cleaned] if cleaned is not None else []

    def close(self) -> None:
        """Close files and let waiting fetches go."""
        for growth in list(self.waiting):
            growth.grown(2**62)
        for segment in self.segments:
            segment.seal()

    def destroy(self) -> None:
        """Delete the partition with all its files."""
        self.close()
        shutil.rmtree(self.directory, ignore_errors=True)


def check_keys(data: bytes) -> None:
    """Every record of a compacted topic needs a key.

    Raises:
        InvalidBatch: one has none.
    """
    if any(record.key is None for record in batch.open_records(data)):
        raise batch.InvalidBatch("a record without a key in a compacted topic")
