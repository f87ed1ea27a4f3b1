"""One append-only file of a partition, with an index of 16 bytes a batch."""

import logging
import mmap
import os
import time
from array import array
from bisect import bisect_right
from collections.abc import Callable
from pathlib import Path

from streams.broker import batch
from streams.broker.batch import BatchHeader, CorruptBatch

logger = logging.getLogger(__name__)

SUFFIX = ".log"
_MAX_SPAN = 2**31  # offsets and positions are kept relative to the segment, in four bytes each


class StorageFull(Exception):
    """An append failed (disk full, quota, I/O error); the file is back at its last good length."""


class Segment:
    """Batches from ``base_offset`` on, in one file named after it."""

    def __init__(self, directory: Path, base_offset: int) -> None:
        self.base_offset = base_offset
        self.next_offset = base_offset
        self.path = directory / f"{base_offset:020d}{SUFFIX}"
        self.size = 0
        self.max_timestamp_ms = -1
        self.opened_s = time.time()
        self._offsets = array("I")
        self._positions = array("I")
        self._max_timestamps_ms = array("q")
        self._fd = -1

    def __len__(self) -> int:
        """Number of batches."""
        return len(self._positions)

    # --- writing

    def has_room(self, size: int, limit: int) -> bool:
        """Whether ``size`` more bytes fit below ``limit`` (an empty segment takes any batch)."""
        return self.size == 0 or (self.size + size <= limit and self.next_offset - self.base_offset < _MAX_SPAN)

    def append(self, data: bytes, header: BatchHeader, base_offset: int) -> None:
        """Write one batch, renumbered to begin at ``base_offset``.

        Raises:
            StorageFull: nothing was appended.
        """
        try:
            if self._fd < 0:
                self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o644)
            self._write(base_offset.to_bytes(8, "big"), memoryview(data)[8:])
        except OSError as error:
            self._cut_back()
            logger.warning("nothing appended to %s: %s", self.path, error)
            raise StorageFull(f"{self.path}: {error}") from error
        if not self._offsets:
            self.opened_s = time.time()
        self._index(header._replace(base_offset=base_offset))

    def _write(self, *pieces: bytes | memoryview) -> None:
        at, left = self.size, list(pieces)
        while left:
            written = os.pwritev(self._fd, left, at)
            at += written
            while left and written >= len(left[0]):
                written -= len(left.pop(0))
            if left:
                left[0] = memoryview(left[0])[written:]

    def _cut_back(self) -> None:
        """Drop what a failed write left behind; where even that fails, the next append overwrites it."""
        if self._fd >= 0:
            try:
                os.ftruncate(self._fd, self.size)
            except OSError as error:
                logger.warning("cannot truncate %s: %s", self.path, error)

    def _index(self, header: BatchHeader) -> None:
        position = self.size
        self._offsets.append(header.base_offset - self.base_offset)
        self._max_timestamps_ms.append(header.max_timestamp_ms)
        self.size += header.size
        self._positions.append(position)  # last, since a compaction in its thread counts the positions
        self.next_offset = header.next_offset
        self.max_timestamp_ms = max(self.max_timestamp_ms, header.max_timestamp_ms)

    def replay(self, on_batch: Callable[[BatchHeader], None], verify: bool) -> None:
        """Rebuild the index from the file; cut it at the first batch that is incomplete, out of order or, with ``verify``, corrupt."""
        total = self.path.stat().st_size
        self.opened_s = self.path.stat().st_mtime
        if total:
            with self.path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as view:
                while self.size < total:
                    try:
                        header = (batch.check if verify else batch.read_header)(view, self.size)
                        if header.base_offset < self.next_offset:
                            raise CorruptBatch(f"offset {header.base_offset} where {self.next_offset} or later should be")
                    except CorruptBatch as error:
                        logger.warning("%s: cut from %d to %d bytes: %s", self.path, total, self.size, error)
                        break
                    self._index(header)
                    on_batch(header)
        if self.size < total:
            os.truncate(self.path, self.size)

    def seal(self) -> None:
        """Close the file; a later append opens it again."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def duplicate(self) -> int:
        """A file descriptor of its own for a caller that syncs in another thread, and closes it."""
        return os.dup(self._fd) if self._fd >= 0 else os.open(self.path, os.O_RDONLY)

    def remove(self) -> None:
        """Delete the file."""
        self.seal()
        self.path.unlink(missing_ok=True)

    # --- reading

    def _end(self, index: int) -> int:
        return self._positions[index + 1] if index + 1 < len(self._positions) else self.size

    def _pread(self, start: int, end: int) -> bytes:
        if self._fd >= 0:
            return os.pread(self._fd, end - start, start)
        fd = os.open(self.path, os.O_RDONLY)
        try:
            return os.pread(fd, end - start, start)
        finally:
            os.close(fd)

    def batch_at(self, index: int) -> bytes:
        """Bytes of the batch number ``index``."""
        return self._pread(self._positions[index], self._end(index))

    def read(self, offset: int, max_bytes: int) -> bytes:
        """Whole batches from the one that holds ``offset`` (or the next after it), at least one; empty behind the last."""
        first = max(0, bisect_right(self._offsets, offset - self.base_offset) - 1) if offset >= self.base_offset else 0
        while first < len(self._offsets):
            start = self._positions[first]
            end = self.size
            if end - start > max_bytes:
                end = max(self._positions[bisect_right(self._positions, start + max_bytes) - 1], self._end(first))
            data = self._pread(start, end)
            if batch.read_header(data).next_offset > offset:
                return data
            first += 1  # compaction left a gap behind this batch, and the offset lies in it
        return b""

    def find_time(self, timestamp_ms: int, from_offset: int) -> tuple[int, int] | None:
        """Offset and timestamp of the first record at or after ``timestamp_ms``, not before ``from_offset``."""
        for index, latest_ms in enumerate(self._max_timestamps_ms):
            if latest_ms >= timestamp_ms:
                for record in batch.open_records(self.batch_at(index)):
                    if record.timestamp_ms >= timestamp_ms and record.offset >= from_offset:
                        return record.offset, record.timestamp_ms
        return None
