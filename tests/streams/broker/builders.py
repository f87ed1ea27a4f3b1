"""Record batches made by aiokafka's encoder, for tests below the protocol."""

from collections.abc import Sequence

from aiokafka.record.default_records import DefaultRecordBatchBuilder

CODECS = {"none": 0, "gzip": 1, "snappy": 2, "lz4": 3, "zstd": 4}


def make_batch(
    records: Sequence[tuple[bytes | None, bytes | None]],
    *,
    timestamps_ms: Sequence[int] | None = None,
    codec: str = "none",
    producer: tuple[int, int, int] = (-1, -1, -1),
) -> bytes:
    """One batch of (key, value) records; ``producer`` is (id, epoch, first sequence)."""
    producer_id, epoch, sequence = producer
    builder = DefaultRecordBatchBuilder(2, CODECS[codec], 0, producer_id, epoch, sequence, 2**24)
    for offset, (key, value) in enumerate(records):
        assert builder.append(offset, timestamps_ms[offset] if timestamps_ms else 1_700_000_000_000 + offset, key, value, [])
    return bytes(builder.build())
