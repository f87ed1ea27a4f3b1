"""Record batches: checks, opening in every codec, and what compaction leaves of one."""

import struct

import pytest
from aiokafka.record.default_records import DefaultRecordBatch
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.broker import batch
from tests.streams.broker.builders import CODECS, make_batch

RECORDS = [(b"a", b"1"), (None, b"x" * 300), (b"", b""), (b"gone", None)]
records_strategy = st.lists(st.tuples(st.none() | st.binary(max_size=40), st.none() | st.binary(max_size=400)), min_size=1, max_size=20)


def damaged(data: bytes, at: int, new: bytes) -> bytes:
    return data[:at] + new + data[at + len(new) :]


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", batch.CorruptBatch),  # nothing
        (make_batch(RECORDS)[:60], batch.CorruptBatch),  # less than a header
        (make_batch(RECORDS)[:-1], batch.CorruptBatch),  # the last byte is missing
        (damaged(make_batch(RECORDS), 80, b"\xee"), batch.CorruptBatch),  # a byte differs
        (damaged(make_batch(RECORDS), 16, b"\x01"), batch.CorruptBatch),  # an old message format
        (damaged(make_batch(RECORDS), 8, struct.pack(">i", 2**31 - 1)), batch.CorruptBatch),  # an absurd length
        (damaged(make_batch(RECORDS), 8, struct.pack(">i", -1)), batch.CorruptBatch),  # a negative length
        (make_batch(RECORDS) * 2, batch.InvalidBatch),  # two batches in one request
    ],
)
def test_unsound_batches_are_refused(data: bytes, error: type[Exception]) -> None:
    with pytest.raises(error):
        batch.check_produced(data)


@given(records=records_strategy, codec=st.sampled_from(sorted(CODECS)))
def test_opening_gives_what_the_client_wrote(records: list[tuple[bytes | None, bytes | None]], codec: str) -> None:
    data = batch.with_base_offset(make_batch(records, codec=codec), 1000)
    opened = list(batch.open_records(data))
    assert [(r.offset, r.key, r.is_tombstone) for r in opened] == [(1000 + i, key, value is None) for i, (key, value) in enumerate(records)]
    assert [r.timestamp_ms for r in opened] == [1_700_000_000_000 + i for i in range(len(records))]


@given(records=records_strategy, codec=st.sampled_from(sorted(CODECS)), data=st.data())
def test_kept_records_are_read_by_a_client_as_before(records: list, codec: str, data: st.DataObject) -> None:
    whole = batch.with_base_offset(make_batch(records, codec=codec), 500)
    chosen = data.draw(st.sets(st.sampled_from(range(len(records))), min_size=1))
    kept = batch.keep(whole, [r for i, r in enumerate(batch.open_records(whole)) if i in chosen])
    assert batch.check(kept).next_offset == 500 + len(records)
    reader = DefaultRecordBatch(bytearray(kept))
    assert reader.validate_crc()
    assert [(r.offset, r.key, r.value, r.timestamp) for r in reader] == [
        (500 + i, *records[i], 1_700_000_000_000 + i) for i in sorted(chosen)
    ]


@settings(max_examples=300)
@given(st.binary(max_size=120), st.integers(0, 4))
def test_records_of_nonsense_are_corrupt_and_nothing_else(body: bytes, codec: int) -> None:
    header = batch.BatchHeader(0, 49 + len(body), 0, 2, 0, codec, 4, 0, 0, -1, -1, -1, 5)
    with pytest.raises(batch.CorruptBatch):
        list(batch.open_records(batch._HEADER.pack(*header) + body))
