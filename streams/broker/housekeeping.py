"""What happens to logs as time goes by: rolling, retention, compaction."""

import asyncio
import logging
import time
import weakref

from streams.broker import compaction
from streams.broker.batch import CorruptBatch
from streams.broker.log import PartitionLog
from streams.broker.segment import StorageFull
from streams.broker.topics import TopicStore

logger = logging.getLogger(__name__)


class Housekeeper:
    """Tends every partition once a ``period_s``."""

    def __init__(self, topics: TopicStore, period_s: float) -> None:
        self._topics = topics
        self._period_s = period_s
        # Where the last compaction of a log ended: what lies before is clean.
        self._clean_before: weakref.WeakKeyDictionary[PartitionLog, int] = weakref.WeakKeyDictionary()

    async def run(self) -> None:
        """Go round for ever."""
        while True:
            await asyncio.sleep(self._period_s)
            for topic in self._topics:
                for log in topic.partitions:
                    try:
                        await self.tend(log)
                    except (OSError, StorageFull, CorruptBatch) as error:
                        logger.warning("%s: %s", log.directory, error)
                    except Exception:  # one partition must not keep the others from being tended
                        logger.exception("%s", log.directory)
                    await asyncio.sleep(0)

    async def tend(self, log: PartitionLog) -> None:
        """Roll, expire and compact one partition, as its configuration says."""
        roll_aged(log)
        if log.config.expires:
            expire(log)
        if log.config.compacted and self._is_due(log):
            await self._compact(log)

    def _is_due(self, log: PartitionLog) -> bool:
        sealed = log.segments[:-1]
        clean_before = self._clean_before.get(log, 0)
        dirty = [segment for segment in sealed if segment.base_offset >= clean_before and len(segment)]
        if not dirty:
            return False
        ratio = sum(segment.size for segment in dirty) / max(sum(segment.size for segment in sealed), 1)
        oldest_ms = (time.time() - min(segment.opened_s for segment in dirty)) * 1000
        return ratio >= log.config.min_cleanable_dirty_ratio or oldest_ms > log.config.max_compaction_lag_ms

    async def _compact(self, log: PartitionLog) -> None:
        groups, segments, last_offset = compaction.groups_to_clean(log), list(log.segments), log.end_offset - 1
        end_of_sealed = segments[-1].base_offset
        newest = await asyncio.to_thread(compaction.newest_offsets, segments)
        before = sum(segment.size for group in groups for segment in group)
        after = 0
        for group in groups:
            cleaned = await asyncio.to_thread(compaction.clean, group, newest, log.config.delete_retention_ms, last_offset)
            if any(segment not in log.segments for segment in group) or not log.directory.exists():
                compaction.discard(cleaned)  # retention, DeleteRecords or the deletion of the topic came first
                return
            log.replace(group, cleaned)
            after += cleaned.size
        self._clean_before[log] = end_of_sealed
        logger.info("%s compacted from %d to %d bytes", log.directory.name, before, after)


def roll_aged(log: PartitionLog) -> None:
    """Seal an active segment that is older than ``segment.ms``, or than a compacted topic may stay uncompacted."""
    limit_ms = min(log.config.segment_ms, log.config.max_compaction_lag_ms if log.config.compacted else log.config.segment_ms)
    if len(log.active) and (time.time() - log.active.opened_s) * 1000 > limit_ms:
        log.roll()


def expire(log: PartitionLog) -> None:
    """Drop leading segments that exceed ``retention.bytes`` or whose newest record is older than ``retention.ms``."""
    config, count, left = log.config, 0, log.size
    oldest_ms = time.time() * 1000 - config.retention_ms
    if config.retention_ms >= 0 and len(log.active) and log.active.max_timestamp_ms < oldest_ms:
        log.roll()  # all of it has expired
    for segment in log.segments[:-1]:
        too_old = config.retention_ms >= 0 and segment.max_timestamp_ms < oldest_ms
        too_much = config.retention_bytes >= 0 and left - segment.size >= config.retention_bytes
        if not (too_old or too_much):
            break
        count += 1
        left -= segment.size
    log.drop_leading(count)
