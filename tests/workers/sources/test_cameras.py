"""Recorded and simulated cameras through Kafka: every picture once, in order, with its own time."""

import asyncio
import itertools
import os
import stat
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from models.simulation import Walker
from models.simulation.camera_live import simulated_cameras
from streams.errors import Refused
from streams.messages.camera import MOST_FRAME_BYTES
from streams.settings import Settings
from tests.workers.sources.conftest import Published
from workers.camera.picture import picture_of
from workers.sources.camera_jpeg import ClaimFolder, JpegEncoder
from workers.sources.camera_recorded import Folder, Video
from workers.sources.cameras import RecordedCamera, publish, publish_cameras

START_NS = 1_790_000_000_000_000_000
MS_NS = 1_000_000


@pytest.fixture
def clip(data_dir: Path) -> Path:
    """Real people on a real video: 160 x 120, 25 pictures a second."""
    return data_dir / "vision" / "kth_walk" / "person01_walking_d1.avi"


def write_pictures(folder: Path, number: int, suffix: str = ".png") -> list[np.ndarray]:
    """Smooth pictures, which JPEG keeps nearly as they are."""
    images = [cv2.GaussianBlur(np.random.default_rng(n).integers(0, 255, (48, 64, 3), np.uint8), (0, 0), 6) for n in range(number)]
    for n, image in enumerate(images):
        cv2.imwrite(str(folder / f"{n:03d}{suffix}"), image)
    return images


def texture(height_px: int, width_px: int) -> np.ndarray:
    """Noise: the picture that JPEG can do least about."""
    return np.random.default_rng(0).integers(0, 255, (height_px, width_px, 3), np.uint8)


async def test_a_video_file_as_it_is(clip: Path, settings: Settings, published: Published):
    camera = RecordedCamera("kth", Video(clip), START_NS)
    sent = await publish(settings, [camera], speed=None)
    frames = (await published())["kth"]
    originals = [image for _, image in Video(clip).pictures()]
    assert sent == len(frames) == len(originals) == 555  # data README
    assert [frame.time_ns - START_NS for frame in frames] == [n * 40 * MS_NS for n in range(555)]
    assert [frame.seq for frame in frames] == list(range(555))
    assert {frame.session for frame in frames} == {str(START_NS)}
    for frame, original in zip(frames, originals, strict=True):
        difference = np.abs(picture_of(frame, None).astype(int) - original).mean()
        assert difference < 6, "grey levels; JPEG at quality 80"


async def test_cameras_side_by_side_thinned_and_scaled(clip: Path, tmp_path: Path, settings: Settings, published: Published):
    write_pictures(tmp_path, 7)
    cameras = [
        RecordedCamera("thin", Video(clip), START_NS, width_px=80, most_hz=12.5),
        RecordedCamera("folder", Folder(tmp_path, 5.0), START_NS),
    ]
    sent = await publish(settings, cameras, speed=None)
    frames = await published()
    assert sent == len(frames["thin"]) + len(frames["folder"])
    assert [frame.time_ns - START_NS for frame in frames["thin"]] == [n * 80 * MS_NS for n in range(278)]
    assert {(frame.width, frame.height) for frame in frames["thin"]} == {(80, 60)}
    assert picture_of(frames["thin"][0], None).shape == (60, 80, 3)


async def test_a_directory_in_the_order_of_names(tmp_path: Path, settings: Settings, published: Published):
    images = write_pictures(tmp_path, 5)
    (tmp_path / "notes.txt").write_text("no picture")
    await publish(settings, [RecordedCamera("names", Folder(tmp_path, 10.0), START_NS, quality=95)], speed=None)
    frames = (await published())["names"]
    assert [frame.time_ns - START_NS for frame in frames] == [n * 100 * MS_NS for n in range(5)]
    for frame, image in zip(frames, images, strict=True):
        assert np.abs(picture_of(frame, None).astype(int) - image).mean() < 2


async def test_a_loop_goes_on_with_a_new_session_until_it_is_told_to_stop(tmp_path: Path, settings: Settings, published: Published):
    write_pictures(tmp_path, 3)
    until = asyncio.Event()
    camera = RecordedCamera("loop", Folder(tmp_path, 50.0), START_NS, loop=True)
    await publish(settings, [camera], speed=None, until=until, on_progress=lambda n: until.set() if n >= 8 else None)
    frames = (await published())["loop"]
    assert [frame.time_ns - START_NS for frame in frames[:8]] == [n * 20 * MS_NS for n in range(8)]
    assert [frame.session for frame in frames[:8]] == [str(START_NS + k * 60 * MS_NS) for k in (0, 0, 0, 1, 1, 1, 2, 2)]
    assert [frame.seq for frame in frames[:8]] == [0, 1, 2, 0, 1, 2, 0, 1]


async def test_no_picture_is_sent_before_its_time(tmp_path: Path, settings: Settings, published: Published):
    """At twice real time, 1 s of pictures takes at least half a second; it may take longer."""
    write_pictures(tmp_path, 11)
    began = time.monotonic()
    at_s: list[float] = []
    camera = RecordedCamera("paced", Folder(tmp_path, 10.0), START_NS)
    await publish(settings, [camera], speed=2.0, on_progress=lambda n: at_s.append(time.monotonic() - began))
    assert all(at >= n * 0.05 - 0.01 for n, at in enumerate(at_s))
    assert len(at_s) == 11, "recorded pictures are never dropped"


# ---- pictures that are too large for a message ------------------------------------------------------------------------------------------


async def test_large_pictures_go_by_claim_check_and_small_ones_inline(tmp_path: Path, settings: Settings, published: Published):
    pictures, root = tmp_path / "pictures", tmp_path / "claims"
    pictures.mkdir()
    cv2.imwrite(str(pictures / "0.png"), np.full((1200, 1600, 3), 128, np.uint8))
    cv2.imwrite(str(pictures / "1.png"), texture(1200, 1600))
    # A camera's name may be anything printable but a slash; the path stays below the folder.
    camera = RecordedCamera("..", Folder(pictures), START_NS, quality=90, claims=ClaimFolder(root, keep_s=900))
    await publish(settings, [camera], speed=None)
    small, large = (await published())[".."]
    assert small.claim is None and small.jpeg is not None
    assert large.jpeg is None and large.claim is not None
    assert (root / large.claim).stat().st_size > MOST_FRAME_BYTES
    assert stat.S_IMODE((root / large.claim).stat().st_mode) == 0o644, "the worker may be another user"
    assert picture_of(large, root).shape == (1200, 1600, 3)
    assert [file.suffix for file in root.rglob("*") if file.is_file()] == [".jpg"], "nothing half-written stays"


def test_claims_are_kept_no_longer_than_their_messages(tmp_path: Path):
    folder = ClaimFolder(tmp_path, keep_s=900)
    old = tmp_path / folder.write("door", "1", 0, b"picture")
    kept = tmp_path / folder.write("door", "1", 1, b"picture")
    past_s = time.time() - 1000
    os.utime(old, (past_s, past_s))
    ClaimFolder(tmp_path, keep_s=900).write("door", "2", 0, b"picture")
    assert (old.exists(), kept.exists()) == (False, True)


@pytest.mark.parametrize(
    ("shape", "quality", "claims", "says"),
    [
        ((1200, 1600), 90, None, "--claim-root"),
        ((1200, 1600), 90, "file", "cannot be written"),  # the folder is a file
        ((8, 8), 80, None, "sides are 16 to 8192"),
    ],
)
def test_pictures_that_cannot_be_sent_are_refused_in_words(
    shape: tuple[int, int], quality: int, claims: str | None, says: str, tmp_path: Path
):
    (tmp_path / "file").touch()
    encoder = JpegEncoder("door", "1", quality, claims=ClaimFolder(tmp_path / claims, 900) if claims else None)
    with pytest.raises(Refused, match=says):
        encoder.message(START_NS, texture(*shape))
    assert encoder.seq == 0


async def test_the_largest_inline_picture_passes_the_broker(settings: Settings, published: Published, tmp_path: Path):
    quality = next(q for q in itertools.count(100, -1) if len(cv2.imencode(".jpg", texture(800, 1100), [1, q])[1]) <= MOST_FRAME_BYTES)
    cv2.imwrite(str(tmp_path / "0.png"), texture(800, 1100))
    await publish(settings, [RecordedCamera("large", Folder(tmp_path), START_NS, quality=quality)], speed=None)
    (frame,) = (await published())["large"]
    assert len(frame.jpeg or b"") > 0.9 * MOST_FRAME_BYTES


# ---- what cannot be read ----------------------------------------------------------------------------------------------------------------


def test_a_directory_without_pictures(tmp_path: Path):
    with pytest.raises(Refused, match="no pictures here"):
        Folder(tmp_path)


def test_a_file_that_is_no_video(tmp_path: Path):
    (tmp_path / "x.avi").write_bytes(b"not a video" * 100)
    with pytest.raises(Refused, match=r"x\.avi: not a video"):
        Video(tmp_path / "x.avi")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"not a picture", r"001\.png: not a picture.*the 1 before it were sent"),
        (cv2.imencode(".png", np.zeros((20, 20, 3), np.uint8))[1].tobytes(), r"001\.png: 20 x 20.*one size"),
    ],
)
async def test_a_picture_that_cannot_be_sent_ends_the_push(
    content: bytes, says: str, tmp_path: Path, settings: Settings, published: Published
):
    write_pictures(tmp_path, 3)
    (tmp_path / "001.png").write_bytes(content)
    name = f"broken-{len(content)}"
    with pytest.raises(Refused, match=says):
        await publish(settings, [RecordedCamera(name, Folder(tmp_path), START_NS)], speed=None)
    assert len((await published())[name]) == 1


# ---- simulated cameras ------------------------------------------------------------------------------------------------------------------


async def test_simulated_cameras(settings: Settings, published: Published):
    """All pictures of the first seconds, the scene's own, in order; lost ones keep their numbers."""
    cameras = simulated_cameras(2, [Walker(1)], [Walker(2)], seed=3, start_ns=START_NS, width_px=320, height_px=180)
    sent = await publish_cameras(settings, cameras, seconds=2.0, speed=None, quality=90)
    frames = await published()
    assert sent == sum(len(frames[camera.camera_id]) for camera in cameras)
    for camera in cameras:
        expected = list(itertools.takewhile(lambda shot: shot[1] < START_NS + 2 * 10**9, camera.times()))
        assert [(frame.seq, frame.time_ns) for frame in frames[camera.camera_id]] == expected
        frame = frames[camera.camera_id][-1]
        original = camera.scene.frame(frame.time_ns).image_HW3
        assert np.abs(picture_of(frame, None).astype(int) - original).mean() < 6


async def test_a_simulated_camera_that_cannot_keep_up_loses_pictures(settings: Settings, published: Published):
    """At a thousand times real time nothing can be rendered in time: the push ends, having skipped what was due long ago."""
    (camera,) = simulated_cameras(1, [Walker(1)], seed=4, start_ns=START_NS, width_px=320, height_px=180)
    camera.camera_id = "overloaded"
    sent = await publish_cameras(settings, [camera], seconds=600.0, speed=1000.0)
    frames = (await published())["overloaded"]
    assert 0 < sent == len(frames) < 600 * 12
    assert all(a.seq < b.seq and a.time_ns < b.time_ns for a, b in itertools.pairwise(frames))
