"""Record batches (magic 2): header, checks, and opening them where keys or timestamps are needed.

The broker keeps batches as the producer made them and rewrites only the base offset, which the checksum does not cover.
Layout: Apache Kafka documentation, "Record Batch".
"""

import struct
import zlib
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import cramjam
from crc32c import crc32c

# base offset, length, leader epoch, magic, checksum, attributes, last offset delta, first and max timestamp,
# producer id, producer epoch, base sequence, record count
_HEADER = struct.Struct(">qiibIhiqqqhii")
HEADER_BYTES = _HEADER.size
_LENGTH_COUNTS_FROM = 12  # the length field counts the bytes behind itself
_CHECKSUM_COVERS_FROM = 21
_CODEC_MASK = 0x07
_LOG_APPEND_TIME = 0x08
_TRANSACTIONAL = 0x10
_CONTROL = 0x20
_SNAPPY_JAVA_MAGIC = b"\x82SNAPPY\x00"


class CorruptBatch(Exception):
    """Bytes that are no whole, sound record batch: error CORRUPT_MESSAGE."""


class InvalidBatch(Exception):
    """A sound batch that this broker must not store: error INVALID_RECORD."""


class BatchHeader(NamedTuple):
    """The fixed fields of a record batch; timestamps in ms since the epoch."""

    base_offset: int
    length: int
    leader_epoch: int
    magic: int
    checksum: int
    attributes: int
    last_offset_delta: int
    first_timestamp_ms: int
    max_timestamp_ms: int
    producer_id: int
    producer_epoch: int
    base_sequence: int
    records: int

    @property
    def size(self) -> int:
        """Bytes of the whole batch."""
        return self.length + _LENGTH_COUNTS_FROM

    @property
    def next_offset(self) -> int:
        """Offset behind the last record."""
        return self.base_offset + self.last_offset_delta + 1


class Record(NamedTuple):
    """One record of an opened batch; ``raw`` is its encoding, length included."""

    offset: int
    timestamp_ms: int
    key: bytes | None
    is_tombstone: bool
    raw: bytes


def read_header(buffer: Any, at: int = 0) -> BatchHeader:
    """The header at ``at``, with its length checked against the bytes that follow.

    Raises:
        CorruptBatch: too short, another magic, or an impossible length.
    """
    if len(buffer) - at < HEADER_BYTES:
        raise CorruptBatch(f"{len(buffer) - at} bytes where a batch header of {HEADER_BYTES} should be")
    header = BatchHeader._make(_HEADER.unpack_from(buffer, at))
    if header.magic != 2:
        raise CorruptBatch(f"magic {header.magic}; only record batches of magic 2 are supported")
    if not HEADER_BYTES <= header.size <= len(buffer) - at:
        raise CorruptBatch(f"a batch of {header.size} bytes where {len(buffer) - at} are left")
    return header


def check(buffer: Any, at: int = 0) -> BatchHeader:
    """Like read_header, and the checksum holds too."""
    header = read_header(buffer, at)
    if crc32c(memoryview(buffer)[at + _CHECKSUM_COVERS_FROM : at + header.size]) != header.checksum:
        raise CorruptBatch("the checksum differs")
    return header


def check_produced(records: bytes) -> BatchHeader:
    """The header of what a producer sent: exactly one sound batch that a non-transactional broker may store.

    Raises:
        CorruptBatch: damaged bytes.
        InvalidBatch: more than one batch, no records, numbering with gaps, or a transactional or control batch.
    """
    header = check(records)
    if header.size != len(records):
        raise InvalidBatch("one request carries one batch per partition")
    if header.records <= 0 or header.last_offset_delta != header.records - 1:
        raise InvalidBatch(f"{header.records} records with a last offset delta of {header.last_offset_delta}")
    if header.attributes & (_TRANSACTIONAL | _CONTROL):
        raise InvalidBatch("transactions are not supported by the embedded broker")
    if header.attributes & _LOG_APPEND_TIME:
        raise InvalidBatch("a producer must not set the log-append time")
    return header


def with_base_offset(batch: bytes, base_offset: int) -> bytes:
    """The batch, renumbered to begin at ``base_offset``."""
    return struct.pack(">q", base_offset) + batch[8:]


def _snappy(data: bytes) -> bytes:
    """Snappy as Kafka clients write it: either raw, or in the blocks of the Java library (16 bytes of header)."""
    if not data.startswith(_SNAPPY_JAVA_MAGIC):
        return bytes(cramjam.snappy.decompress_raw(data))
    out, at = bytearray(), 16
    while at < len(data):
        (size,) = struct.unpack_from(">i", data, at)
        out += bytes(cramjam.snappy.decompress_raw(data[at + 4 : at + 4 + size]))
        at += 4 + size
    return bytes(out)


_DECOMPRESS: dict[int, Callable[[bytes], bytes]] = {
    0: lambda data: data,
    1: lambda data: zlib.decompress(data, wbits=31),
    2: _snappy,
    3: lambda data: bytes(cramjam.lz4.decompress(data)),
    4: lambda data: bytes(cramjam.zstd.decompress(data)),
}
_COMPRESS: dict[int, Callable[[bytes], bytes]] = {
    0: lambda data: data,
    1: lambda data: zlib.compress(data, wbits=31),
    2: lambda data: bytes(cramjam.snappy.compress_raw(data)),
    3: lambda data: bytes(cramjam.lz4.compress(data)),
    4: lambda data: bytes(cramjam.zstd.compress(data)),
}


def _varint(buffer: bytes, at: int) -> tuple[int, int]:
    """A zigzag-coded integer."""
    byte = buffer[at]
    if byte < 0x80:
        return (byte >> 1) ^ -(byte & 1), at + 1
    value, shift = byte & 0x7F, 7
    for after in range(at + 1, at + 10):
        byte = buffer[after]
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return (value >> 1) ^ -(value & 1), after + 1
        shift += 7
    raise CorruptBatch("a variable-length integer of more than ten bytes")


def open_records(batch: bytes) -> Iterator[Record]:
    """The records of one whole batch.

    Raises:
        CorruptBatch: an unknown codec, or records that do not fill the batch exactly.
    """
    header = read_header(batch)
    try:
        body = _DECOMPRESS[header.attributes & _CODEC_MASK](batch[HEADER_BYTES : header.size])
        at = 0
        for _ in range(header.records):
            start = at
            size, at = _varint(body, at)
            end = at + size
            timestamp_delta, at = _varint(body, at + 1)  # one byte of attributes, unused
            offset_delta, at = _varint(body, at)
            key_size, at = _varint(body, at)
            key = None if key_size < 0 else body[at : at + key_size]
            value_size, at = _varint(body, at + max(key_size, 0))
            if size < 0 or end > len(body) or at + max(value_size, 0) > end:
                raise CorruptBatch("a record beyond the end of its batch")
            at = end
            yield Record(
                header.base_offset + offset_delta, header.first_timestamp_ms + timestamp_delta, key, value_size < 0, body[start:end]
            )
    except CorruptBatch:
        raise
    except (KeyError, IndexError, struct.error, zlib.error, cramjam.DecompressionError) as error:
        raise CorruptBatch(f"the records cannot be read: {error}") from error
    if at != len(body):
        raise CorruptBatch(f"{len(body) - at} bytes behind the last record")


def keep(batch: bytes, records: list[Record]) -> bytes:
    """The batch with only ``records`` of it left (at least one); offsets, numbering and codec stay as they are."""
    header = read_header(batch)
    body = _COMPRESS[header.attributes & _CODEC_MASK](b"".join(record.raw for record in records))
    fields = header._replace(
        length=HEADER_BYTES - _LENGTH_COUNTS_FROM + len(body),
        max_timestamp_ms=max(record.timestamp_ms for record in records),
        records=len(records),
    )
    out = bytearray(_HEADER.pack(*fields)) + body
    struct.pack_into(">I", out, _CHECKSUM_COVERS_FROM - 4, crc32c(memoryview(out)[_CHECKSUM_COVERS_FROM:]))
    return bytes(out)
