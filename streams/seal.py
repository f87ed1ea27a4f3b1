"""Templates and embeddings sealed with AES-256-GCM before they reach a broker: on its disk, in its memory and in every copy of its files.

Why the values and not the files: the embedded broker keeps record batches opaque (a compressed batch of an idempotent producer must be
stored as it came), and Apache Kafka has no encryption at rest at all.  Sealed by who writes and opened by who reads, a value is
protected in the same way on both, and from a broker's administrators too.  The price: keys of records (subject and template id) and
headers stay readable, for compaction, tombstones and receipts need them; and raw samples are not sealed: they leave with their retention of
an hour and a day, and a disk's own encryption is their protection.

    sealed value = magic (4) | length of key id (1) | key id | salt (16) | counter (12) | ciphertext and tag (16)

Associated data is all before the ciphertext, then topic and record key: a value moved to another person's key does not open.  The record
key is part of it although compaction keeps it unchanged; a rename writes a new value anyway.

Each process derives its own key from the ring's key and a random salt (HKDF-SHA-256) and counts its nonces.  Random nonces under one key
would be safe for 2**32 values (NIST SP 800-38D, 8.3), which 5,000 phones embed in 12 days.
"""

from __future__ import annotations

import base64
import binascii
import functools
import itertools
import os
import re
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from streams import topics
from streams.errors import Misconfigured, Undecodable, UnknownSealKey

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from streams.settings import Settings

log = structlog.get_logger()

MAGIC = b"\xc1gs1"
"""0xC1 begins no msgpack value, so a sealed value cannot be mistaken for a message."""

SEALED = (topics.GALLERY, topics.EMBEDDINGS)
"""What holds vectors of people."""

KEY_BYTES, SALT_BYTES, NONCE_BYTES, TAG_BYTES = 32, 16, 12, 16
KEY_ID = re.compile(r"[A-Za-z0-9._-]{1,32}")
FORBIDDEN_MODE = stat.S_IWGRP | stat.S_IROTH | stat.S_IWOTH
"""Of a key file: others may neither read nor write it; a group may read it, as secrets that Kubernetes mounts need."""


@dataclass(frozen=True, slots=True)
class Sealer:
    """A derived key, what stands before its values, and the nonces it has used up."""

    head: bytes
    cipher: AESGCM
    counter: Iterator[int]


class KeyRing:
    """The keys of an installation, newest first; the newest seals, each opens.  Without keys values travel as they are."""

    def __init__(self, settings: Settings) -> None:
        """Read `seal_key` or `seal_key_file`.  Raises Misconfigured; never with a key in the text."""
        self._file: Path | None = settings.seal_key_file
        self._accepts_unsealed = settings.seal_accept_unsealed
        text = settings.seal_key.get_secret_value().strip() if settings.seal_key is not None else ""
        if text and self._file is not None:
            raise Misconfigured("give GAITSTREAM_SEAL_KEY or GAITSTREAM_SEAL_KEY_FILE, not both")
        self._keys = parse_keys(text, "GAITSTREAM_SEAL_KEY") if text else {}
        self._read_at: tuple[int, int] | None = None
        self.readings = 0
        """How often the key file was read: another number means that there may be other keys."""
        self._complaint = ""
        self._sealer = self._new_sealer()
        if self._file is not None:
            self._read(self._file)

    @property
    def newest(self) -> str | None:
        """Id of the key that seals; None without keys."""
        return next(iter(self._keys), None)

    def seal(self, topic: str, key: bytes | None, value: bytes) -> bytes:
        """The value as it may lie on a disk; unchanged without keys."""
        sealer = self._sealer  # taken once: a rotation in another thread may replace it meanwhile
        if sealer is None:
            return value
        head = sealer.head + next(sealer.counter).to_bytes(NONCE_BYTES, "big")
        return head + sealer.cipher.encrypt(head[-NONCE_BYTES:], value, _associated(head, topic, key))

    def open(self, topic: str, key: bytes | None, value: bytes) -> bytes:
        """The value that was sealed.

        Raises UnknownSealKey when the ring has not the key; Undecodable (reason "seal") for a value that was damaged, or sealed for another
        record, and (reason "unsealed") for a value in the clear where keys are given and `seal_accept_unsealed` is not.
        """
        if not value.startswith(MAGIC):
            if self._keys and not self._accepts_unsealed:
                raise Undecodable("the value is not sealed; while you migrate set GAITSTREAM_SEAL_ACCEPT_UNSEALED=true", reason="unsealed")
            return value
        key_id = sealed_under(value)
        if key_id is None:
            raise Undecodable("the head of a sealed value is damaged", reason="seal")
        if key_id not in self._keys:
            self.refresh()  # a rotation may have brought it meanwhile
        if key_id not in self._keys:
            have = f"this process has {', '.join(self._keys)}" if self._keys else "this process has no key"
            text = f"{topic} holds values sealed under the key {key_id}, and {have}: add it to GAITSTREAM_SEAL_KEY_FILE"
            raise UnknownSealKey(text, key_id)
        at = len(MAGIC) + 1 + len(key_id)
        head = value[: at + SALT_BYTES + NONCE_BYTES]
        try:
            cipher = _derived(self._keys[key_id], head[at : at + SALT_BYTES])
            return cipher.decrypt(head[-NONCE_BYTES:], value[len(head) :], _associated(head, topic, key))
        except (InvalidTag, ValueError):
            raise Undecodable(f"a value sealed under {key_id} is damaged, or belongs to another record", reason="seal") from None

    def refresh(self) -> None:
        """Read the key file if it has changed.  One that cannot be read now changes nothing: it is said in the log, once."""
        if self._file is None:
            return
        try:
            self._read(self._file)
            self._complaint = ""
        except Misconfigured as error:
            if str(error) != self._complaint:
                self._complaint = str(error)
                log.error("the keys stay as they were", error=self._complaint)

    def _read(self, file: Path) -> None:
        try:
            status = file.stat()
            if (status.st_mtime_ns, status.st_size) == self._read_at:
                return
            if status.st_mode & FORBIDDEN_MODE:
                raise Misconfigured(f"seal_key_file {file} may be read or changed by others: chmod 600 {file}")
            keys = parse_keys(file.read_text(), str(file))
        except (OSError, UnicodeDecodeError) as error:
            raise Misconfigured(f"seal_key_file {file} cannot be read: {type(error).__name__}") from None
        self._keys, self._read_at = keys, (status.st_mtime_ns, status.st_size)
        self._sealer = self._new_sealer()
        self.readings += 1

    def _new_sealer(self) -> Sealer | None:
        """What seals under the newest key; each has a salt and so a key of its own."""
        newest = self.newest
        if newest is None:
            return None
        salt = os.urandom(SALT_BYTES)
        return Sealer(MAGIC + bytes([len(newest)]) + newest.encode() + salt, _derived(self._keys[newest], salt), itertools.count())


def sealed_under(value: bytes | None) -> str | None:
    """Id of the key that a value is sealed under; None for one in the clear, a tombstone, and a damaged head."""
    if value is None or not value.startswith(MAGIC):
        return None
    at = len(MAGIC)
    end = at + 1 + (value[at] if len(value) > at else 0)
    key_id = value[at + 1 : end].decode("ascii", "replace")
    whole = len(value) >= end + SALT_BYTES + NONCE_BYTES + TAG_BYTES
    return key_id if whole and KEY_ID.fullmatch(key_id) else None


def parse_keys(text: str, source: str) -> dict[str, bytes]:
    """Lines, or parts between semicolons, `KEYID BASE64KEY`, newest first; # begins a comment.  Raises Misconfigured without showing a key."""
    keys: dict[str, bytes] = {}
    for number, line in enumerate(re.split(r"[\n;]", text), 1):
        parts = line.split("#", 1)[0].split()
        if not parts:
            continue
        where = f"{source}, entry {number}"
        if len(parts) != 2 or not KEY_ID.fullmatch(parts[0]):
            raise Misconfigured(f"{where}: KEYID BASE64KEY is needed, the id of at most 32 letters, digits, dots, dashes")
        try:
            secret = base64.b64decode(parts[1], validate=True)
        except binascii.Error:
            raise Misconfigured(f"{where}: the key is not base64") from None
        if len(secret) != KEY_BYTES:
            raise Misconfigured(f"{where}: a key has {KEY_BYTES} bytes, this one {len(secret)} (openssl rand -base64 {KEY_BYTES})")
        if parts[0] in keys:
            raise Misconfigured(f"{where}: the key id {parts[0]} is given already")
        keys[parts[0]] = secret
    if not keys:
        raise Misconfigured(f"{source} holds no key: KEYID BASE64KEY is needed")
    return keys


def _associated(head: bytes, topic: str, key: bytes | None) -> bytes:
    """Unambiguous: the head tells its own length, and a topic's name holds no zero byte."""
    return head + topic.encode() + (b"\0" if key is None else b"\0\0" + key)


@functools.lru_cache(maxsize=4096)
def _derived(secret: bytes, salt: bytes) -> AESGCM:
    """The cipher of one process; a reader meets one salt per process that has written."""
    return AESGCM(HKDF(SHA256(), KEY_BYTES, salt, b"gaitstream seal 1").derive(secret))
