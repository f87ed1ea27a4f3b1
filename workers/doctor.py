"""`gaitstream doctor`: what is wrong here, in words, and what would mend it."""

from __future__ import annotations

import asyncio
import importlib.metadata
import platform
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError, TopicAuthorizationFailedError

from models.pose.fetch import DETECTOR, POSE, WeightsUnavailable, cache_dir, path_of
from models.registry import RegistryError
from streams import topics
from streams.clients import read_partitions
from streams.errors import Misconfigured
from streams.provision import partition_mismatches
from streams.seal import KeyRing
from workers.camera.networks import MOTION
from workers.networks import embedder_of, extractor_of, verifier_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from models.pose.fetch import Weights
    from streams.settings import Settings

State = Literal["fine", "note", "wrong"]

NEEDED = {"aiokafka": ("0.14", "0.15"), "faust-streaming": ("0.15.3", "0.16"), "pydantic": ("2.14", "3")}
"""Packages whose other versions are known to break something: from (inclusive), below."""

LEAST_FREE_GB = 2.0
MOST_SKEW_S = 2.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    what: str
    state: State
    text: str
    remedy: str = ""


async def examine(settings: Settings) -> list[Finding]:
    """Everything that is commonly wrong, cheapest first."""
    findings = [_python(), *_packages(), _disk(settings), _gpu(settings), _seal(settings), *_networks(settings), *_pictures(settings)]
    findings += await _broker(settings)
    return findings


def _python() -> Finding:
    return Finding("Python", "fine", platform.python_version())


def _packages() -> list[Finding]:
    findings = []
    for name, (least, below) in NEEDED.items():
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            findings.append(Finding(name, "wrong", "is not installed", "make setup"))
            continue
        good = _numbers(least) <= _numbers(version) < _numbers(below)
        state: State = "fine" if good else "wrong"
        findings.append(Finding(name, state, version, "" if good else f"install {name}>={least},<{below}"))
    return findings


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split(".") if part.isdigit())


def _disk(settings: Settings) -> Finding:
    folder = settings.data_dir.absolute()
    while not folder.exists():
        folder = folder.parent
    free_gb = shutil.disk_usage(folder).free / 1e9
    if free_gb < LEAST_FREE_GB:
        return Finding("disk", "wrong", f"{free_gb:.1f} GB free at {folder}", "free space, or set GAITSTREAM_DATA_DIR to another disk")
    return Finding("disk", "fine", f"{free_gb:.0f} GB free")


def _seal(settings: Settings) -> Finding:
    try:
        newest = KeyRing(settings).newest
    except Misconfigured as error:
        return Finding("sealing", "wrong", str(error), 'see "Keys" in deploy/README.md')
    if newest is None:
        return Finding(
            "sealing", "note", "no key: templates and embeddings lie in the clear on the broker's disk; see GAITSTREAM_SEAL_KEY_FILE"
        )
    if settings.seal_accept_unsealed:
        text = f"under {newest}; values in the clear are read too"
        return Finding("sealing", "note", text, "gaitstream gallery reseal, then without GAITSTREAM_SEAL_ACCEPT_UNSEALED")
    return Finding("sealing", "fine", f"under {newest}")


def _gpu(settings: Settings) -> Finding:
    if torch.cuda.is_available():
        return Finding("GPU", "fine", torch.cuda.get_device_name())
    if settings.device == "cuda":
        return Finding(
            "GPU", "wrong", "GAITSTREAM_DEVICE is cuda and torch sees no GPU", "set it to cpu, or install torch for CUDA and a driver"
        )
    return Finding("GPU", "note", "none: the networks run on the CPU, which is enough for thousands of phones")


def _networks(settings: Settings) -> list[Finding]:
    findings = []
    choices: list[tuple[str, str, Callable[[Settings], object]]] = [
        ("extractor", settings.extractor, extractor_of),
        ("embedder", settings.embedder, embedder_of),
        ("verifier", settings.verifier, verifier_of),
    ]
    for what, name, load in choices:
        try:
            network = load(settings)
        except RegistryError as error:
            findings.append(Finding(what, "wrong", str(error), "gaitstream models list shows what there is"))
        else:
            findings.append(Finding(what, "fine", str(getattr(network, "space", name))))
    return findings


def _pictures(settings: Settings) -> list[Finding]:
    """The networks of the camera worker that are not part of the installation: fetched ones, or the operator's own by path."""
    findings = []
    for what, chosen, weights in (("detector", settings.camera_detector, DETECTOR), ("pose", settings.camera_pose, POSE)):
        if what == "detector" and chosen == MOTION:
            findings.append(Finding(what, "fine", "people are found by motion alone, as GAITSTREAM_CAMERA_DETECTOR says"))
        elif chosen != weights.name:
            known = f'{weights.name}, "{MOTION}"' if what == "detector" else weights.name
            there = Path(chosen).is_file()
            remedy = "" if there else f"GAITSTREAM_CAMERA_{what.upper()} is {known} or the path of an ONNX or TFLite file"
            findings.append(Finding(what, "fine" if there else "wrong", chosen if there else f"there is no file {chosen}", remedy))
        else:
            findings.append(_fetched(what, weights))
    return findings


def _fetched(what: str, weights: Weights) -> Finding:
    """Missing is only a note: phones need neither."""
    try:
        path = path_of(weights)
    except WeightsUnavailable as error:
        damaged = (cache_dir() / weights.file).exists()
        return Finding(what, "wrong" if damaged else "note", str(error), "gaitstream models fetch" if not damaged else "")
    return Finding(what, "fine", f"{weights.name} in {path.parent}")


async def _broker(settings: Settings) -> list[Finding]:
    admin = AIOKafkaAdminClient(**settings.kafka(), request_timeout_ms=5000)
    try:
        await asyncio.wait_for(admin.start(), 10)
    except (KafkaError, TimeoutError, OSError) as error:
        remedy = "start one (gaitstream up, or gaitstream broker), or set GAITSTREAM_BOOTSTRAP"
        return [Finding("broker", "wrong", f"nothing answers at {settings.bootstrap} ({type(error).__name__})", remedy)]
    try:
        described = {t["topic"]: len(t["partitions"]) for t in await admin.describe_topics() if not t["error_code"]}
        findings = [Finding("broker", "fine", settings.bootstrap), _topics(settings, described)]
        if topics.IMU_RAW.name in described:
            findings.append(await _clock(settings))
        return findings
    finally:
        await admin.close()


def _topics(settings: Settings, described: dict[str, int]) -> Finding:
    missing = [topic.name for topic in topics.ALL if topic.name not in described]
    if missing:
        return Finding(
            "topics", "note", f"{len(missing)} are not there yet: {', '.join(missing)}", "the workers create them when they start"
        )
    if wrong := partition_mismatches(settings, described):
        return Finding("topics", "wrong", "; ".join(wrong), "set GAITSTREAM_TOPIC_PARTITIONS, or recreate the topic")
    return Finding("topics", "fine", f"all {len(topics.ALL)} are there")


async def _clock(settings: Settings) -> Finding:
    """Compares this clock with the broker times of the last minute's raw messages: a time ahead of ours tells of skew."""
    newest_ms = 0
    try:
        async for record in read_partitions(settings, topics.IMU_RAW.name, since_ms=int(time.time() * 1000) - 60_000):
            newest_ms = max(newest_ms, record.timestamp)
    except TopicAuthorizationFailedError:
        return Finding("clock", "note", f"not compared: this user may not read {topics.IMU_RAW.name}, as most need not")
    ahead_s = newest_ms / 1000 - time.time()
    if ahead_s > MOST_SKEW_S:
        return Finding(
            "clock", "wrong", f"the newest message is {ahead_s:.1f} s in the future of this clock", "synchronise clocks (chrony, NTP)"
        )
    return Finding("clock", "fine", "no message lies in the future")
