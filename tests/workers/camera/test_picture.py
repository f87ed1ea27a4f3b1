"""Pictures that cannot be used are answered with the reason, before anything large is decoded; claims lead nowhere but below their folder."""

import os
import struct
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.errors import BadMessage
from streams.messages import CameraFrame
from workers.camera.picture import jpeg_size, picture_of, read_claim

IMAGE = np.random.default_rng(3).integers(0, 255, (48, 64, 3), np.uint8)
JPEG = cv2.imencode(".jpg", IMAGE)[1].tobytes()
SIZE_AT = JPEG.index(b"\xff\xc0") + 5


def frame(jpeg: bytes | None = JPEG, claim: str | None = None, width: int = 64, height: int = 48) -> CameraFrame:
    return CameraFrame(camera_id="c", seq=0, time_ns=1, width=width, height=height, jpeg=jpeg, claim=claim)


def with_size(width: int, height: int) -> bytes:
    return JPEG[:SIZE_AT] + struct.pack(">HH", height, width) + JPEG[SIZE_AT + 4 :]


BAD = [
    ("picture", b"\x89PNG\r\n\x1a\n" + b"0" * 50),  # another format
    ("picture_cut", JPEG[: len(JPEG) // 2]),  # a connection broke off
    ("picture", b"\xff\xd8" + b"\x00" * 100 + b"\xff\xd9"),  # no markers
    ("picture", b"\xff\xd8\xff\xd9" + b"\xff" * 20 + b"\xff\xd9"),  # nothing between begin and end
    ("picture_size", with_size(65000, 65000)),  # a bomb: 12 GB when decoded
    ("picture_size", with_size(0, 48)),  # no width
    ("picture_size", with_size(128, 96)),  # not what the frame says
]


@pytest.mark.parametrize(("reason", "data"), BAD)
def test_bad_pictures_are_answered(reason: str, data: bytes) -> None:
    with pytest.raises(BadMessage) as caught:
        picture_of(frame(data), None)
    assert caught.value.why == reason


def test_a_picture_is_decoded() -> None:
    image = picture_of(frame(), None)
    assert image.shape == (48, 64, 3)
    assert np.abs(image.astype(int) - cv2.imdecode(np.frombuffer(JPEG, np.uint8), cv2.IMREAD_COLOR)).max() == 0
    assert picture_of(frame(JPEG + b"\r\n\x00"), None).shape == (48, 64, 3), "a camera that appends a few bytes"


@given(st.binary(max_size=400), st.integers(0, len(JPEG)), st.integers(0, 64))
def test_any_bytes_give_a_picture_or_a_reason(noise: bytes, at: int, cut: int) -> None:
    data = (JPEG[:at] + noise + JPEG[at + cut :])[:900_000]
    try:
        assert picture_of(frame(data if len(data) >= 4 else b"0000"), None).shape == (48, 64, 3)
    except BadMessage as error:
        assert error.why in ("picture", "picture_cut", "picture_size")


def test_the_size_is_read_without_decoding() -> None:
    assert jpeg_size(JPEG) == (64, 48)


def test_claims(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "camera").mkdir(parents=True)
    (root / "camera" / "1.jpg").write_bytes(JPEG)
    (tmp_path / "secret.jpg").write_bytes(JPEG)
    (root / "link.jpg").symlink_to(tmp_path / "secret.jpg")
    os.mkfifo(root / "pipe.jpg")
    assert picture_of(frame(None, "camera/1.jpg"), root).shape == (48, 64, 3)
    bad = [
        ("claim_outside", "../secret.jpg"),  # up and out
        ("claim_outside", str(tmp_path / "secret.jpg")),  # an absolute path
        ("claim_outside", "link.jpg"),  # a link that leads out
        ("claim_outside", "."),  # the folder itself
        ("claim_missing", "camera/2.jpg"),  # nothing there
        ("claim_missing", "camera/1.jpg\x00.png"),  # a path that cannot be
        ("claim_file", "camera"),  # a folder
        ("claim_file", "pipe.jpg"),  # a pipe, which must not be waited for
    ]
    for reason, claim in bad:
        with pytest.raises(BadMessage) as caught:
            read_claim(claim, root)
        assert caught.value.why == reason, claim
    with pytest.raises(BadMessage) as caught:
        read_claim("camera/1.jpg", None)
    assert caught.value.why == "claim_root"
