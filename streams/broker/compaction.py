"""Compaction: of every key, the newest record stays; tombstones stay for a while, so that every reader can see them.

Like Kafka's log cleaner it works on sealed segments only. Those never change, so the work is done in a thread, and the event loop
only exchanges files at the end.
"""

import os
import time
from pathlib import Path

from streams.broker import batch
from streams.broker.log import PartitionLog
from streams.broker.segment import Segment

_CLEANED = ".cleaned"


def groups_to_clean(log: PartitionLog) -> list[list[Segment]]:
    """Sealed segments in neighbouring groups, each small enough to become one segment."""
    groups: list[list[Segment]] = []
    for segment in log.segments[:-1]:
        group = groups[-1] if groups else []
        span = segment.next_offset - group[0].base_offset if group else 0
        if group and sum(s.size for s in group) + segment.size <= log.config.segment_bytes and span < 2**31:
            group.append(segment)
        else:
            groups.append([segment])
    return groups


def newest_offsets(segments: list[Segment]) -> dict[bytes, int]:
    """Offset of the newest record of every key."""
    newest: dict[bytes, int] = {}
    for segment in segments:
        for index in range(len(segment)):
            for record in batch.open_records(segment.batch_at(index)):
                if record.key is not None:
                    newest[record.key] = record.offset
    return newest


def clean(group: list[Segment], newest: dict[bytes, int], delete_retention_ms: int, last_offset: int) -> Segment:
    """Write what stays of a group of segments into a new segment beside them; it may be empty.

    Args:
        newest: for every key the offset of its newest record in the whole log.
        delete_retention_ms: tombstones stay this long after their segment was last written to.
        last_offset: of the log; that record stays whatever it is, so that a reader that goes up to the end offset gets there.
    """
    cleaned = Segment(group[0].path.parent, group[0].base_offset)
    cleaned.path = cleaned.path.with_suffix(_CLEANED)
    cleaned.path.write_bytes(b"")
    written_s = 0.0
    for segment in group:
        segment_written_s = segment.path.stat().st_mtime
        written_s = max(written_s, segment_written_s)
        drop_tombstones = (time.time() - segment_written_s) * 1000 > delete_retention_ms
        for index in range(len(segment)):
            data = segment.batch_at(index)
            header = batch.read_header(data)
            records = list(batch.open_records(data))
            staying = [
                r
                for r in records
                if r.offset == last_offset
                or (r.key is not None and newest.get(r.key) == r.offset and not (r.is_tombstone and drop_tombstones))
            ]
            if staying:
                data = data if len(staying) == len(records) else batch.keep(data, staying)
                cleaned.append(data, batch.read_header(data), header.base_offset)
    cleaned.seal()
    os.utime(cleaned.path, (written_s, written_s))  # the age of its tombstones goes on counting
    return cleaned


def discard(cleaned: Segment) -> None:
    """Drop the result of a compaction that was overtaken."""
    Path(cleaned.path).unlink(missing_ok=True)
