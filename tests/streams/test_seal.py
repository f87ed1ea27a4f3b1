"""Sealed values open for whoever has the key, for the record they were sealed for, and for nobody else."""

import base64
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.errors import BadMessage, Misconfigured, UnknownSealKey
from streams.seal import MAGIC, KeyRing, parse_keys, sealed_under
from streams.settings import Settings

OLD, NEW = (base64.b64encode(bytes([n]) * 32).decode() for n in (1, 2))
TOPIC, KEY = "gait.gallery", b"Ada/1"


def ring(keys: str | None, **more: object) -> KeyRing:
    """A ring with these keys."""
    return KeyRing(Settings(seal_key=keys, **more))


@given(value=st.binary(max_size=300), key=st.none() | st.binary(max_size=40))
def test_what_was_sealed_opens_and_shows_nothing(value: bytes, key: bytes | None) -> None:
    sealed = ring(f"old {OLD}").seal(TOPIC, key, value)
    assert sealed.startswith(MAGIC) and sealed_under(sealed) == "old"
    assert len(value) < 8 or value not in sealed
    assert ring(f"new {NEW}; old {OLD}").open(TOPIC, key, sealed) == value


@given(value=st.binary(min_size=1, max_size=60), data=st.data())
def test_a_changed_value_does_not_open(value: bytes, data: st.DataObject) -> None:
    """Whichever byte is changed, and wherever it is cut: dead letter or another key's, never a value and never another exception."""
    keys = ring(f"old {OLD}")
    sealed = bytearray(keys.seal(TOPIC, KEY, value))
    if data.draw(st.booleans()):
        sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= data.draw(st.integers(1, 255))
    else:
        del sealed[data.draw(st.integers(0, len(sealed) - 1)) :]
    with pytest.raises((BadMessage, UnknownSealKey)):
        keys.open(TOPIC, KEY, bytes(sealed))


ELSEWHERE = [
    ("gait.gallery", b"Bela/1"),  # one person's template under another's name
    ("gait.gallery", None),
    ("gait.embeddings", b"Ada/1"),
    ("gait.galleryA", b"da/1"),  # the border between topic and key cannot be moved
]


@pytest.mark.parametrize(("topic", "key"), ELSEWHERE)
def test_a_value_does_not_open_elsewhere(topic: str, key: bytes | None) -> None:
    keys = ring(f"old {OLD}")
    with pytest.raises(BadMessage, match="belongs to another record") as raised:
        keys.open(topic, key, keys.seal(TOPIC, KEY, b"template"))
    assert raised.value.why == "seal"


def test_the_newest_key_seals_and_each_opens() -> None:
    before, after = ring(f"old {OLD}"), ring(f"new {NEW}\nold {OLD}")
    assert after.open(TOPIC, KEY, before.seal(TOPIC, KEY, b"x")) == b"x"
    assert sealed_under(after.seal(TOPIC, KEY, b"x")) == after.newest == "new"
    with pytest.raises(UnknownSealKey, match="sealed under the key new, and this process has old: add it") as raised:
        before.open(TOPIC, KEY, after.seal(TOPIC, KEY, b"x"))
    assert raised.value.key_id == "new" and NEW not in str(raised.value)
    with pytest.raises(UnknownSealKey, match="this process has no key"):
        ring(None).open(TOPIC, KEY, after.seal(TOPIC, KEY, b"x"))


def test_no_nonce_is_used_twice_under_one_key() -> None:
    """Neither by one process nor by two that were given the same key."""
    keys = [ring(f"old {OLD}"), ring(f"old {OLD}")]
    heads = [k.seal(TOPIC, KEY, b"")[:-16] for k in keys for _ in range(100)]
    assert len(set(heads)) == 200
    assert len({head[:-12] for head in heads}) == 2  # salts


def test_values_in_the_clear() -> None:
    assert ring(None).seal(TOPIC, KEY, b"\x80") == b"\x80"
    assert ring(None).open(TOPIC, KEY, b"\x80") == b"\x80"
    assert ring("").newest is None  # as compose passes a variable that is not set
    with pytest.raises(BadMessage, match="SEAL_ACCEPT_UNSEALED") as raised:  # who has no key may not bring in templates
        ring(f"old {OLD}").open(TOPIC, KEY, b"\x80")
    assert raised.value.why == "unsealed"
    assert ring(f"old {OLD}", seal_accept_unsealed=True).open(TOPIC, KEY, b"\x80") == b"\x80"


WRONG = [
    ("", "holds no key"),
    ("# nothing\n", "holds no key"),
    (OLD, "entry 1: KEYID BASE64KEY"),  # no id
    (f"a/b {OLD}", "entry 1: KEYID BASE64KEY"),
    (f"{'k' * 33} {OLD}", "entry 1: KEYID BASE64KEY"),  # its length is one byte, its use a label
    ("old not-base64!", "not base64"),
    (f"old {OLD[:-4]}", r"32 bytes, this one \d+ \(openssl rand -base64 32\)"),
    (f"old {OLD};old {NEW}", "entry 2: the key id old is given already"),  # which one was meant?
]


@pytest.mark.parametrize(("text", "said"), WRONG)
def test_unusable_keys_are_refused_without_being_shown(text: str, said: str) -> None:
    with pytest.raises(Misconfigured, match=said) as raised:
        parse_keys(text, "keys")
    assert OLD[:20] not in str(raised.value)


def test_a_key_file_is_private_and_read_again_when_it_changes(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    with pytest.raises(Misconfigured, match="cannot be read: FileNotFoundError"):
        KeyRing(Settings(seal_key_file=file))
    file.write_text(f"old {OLD}\n")
    for mode, fits in ((0o600, True), (0o400, True), (0o440, True), (0o644, False), (0o660, False), (0o602, False)):
        file.chmod(mode)
        if fits:
            KeyRing(Settings(seal_key_file=file))
        else:
            with pytest.raises(Misconfigured, match="chmod 600"):
                KeyRing(Settings(seal_key_file=file))
    file.chmod(0o600)
    keys = KeyRing(Settings(seal_key_file=file))
    sealed = ring(f"new {NEW}").seal(TOPIC, KEY, b"x")
    with pytest.raises(UnknownSealKey):
        keys.open(TOPIC, KEY, sealed)
    replaced = tmp_path / "replaced"
    replaced.write_text(f"new {NEW}\nold {OLD}\n")
    replaced.chmod(0o600)
    replaced.replace(file)
    assert keys.open(TOPIC, KEY, sealed) == b"x"
    assert sealed_under(keys.seal(TOPIC, KEY, b"x")) == "new"
    file.write_text("nonsense")  # a slip of the hand must not stop what runs
    keys.refresh()
    assert keys.open(TOPIC, KEY, sealed) == b"x" and keys.newest == "new"


def test_one_place_for_keys_and_none_in_print(tmp_path: Path) -> None:
    with pytest.raises(Misconfigured, match="not both"):
        KeyRing(Settings(seal_key=f"old {OLD}", seal_key_file=tmp_path / "keys"))
    assert OLD not in f"{Settings(seal_key=f'old {OLD}')!r}"
    assert os.environ.get("GAITSTREAM_SEAL_KEY") is None
