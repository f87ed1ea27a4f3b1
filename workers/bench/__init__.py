"""`gaitstream bench`: the speed of the pipeline as ratios measured in one run, per second of CPU time of the workers.

Everything runs on this machine: the embedded broker and every worker as processes of their own, simulated phones, real networks.
"""

from __future__ import annotations

import asyncio
import json
import os
import platform
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from rich.console import Console

from models.types import GRID_RATE_HZ
from streams import provision, topics
from streams.clients import producer_of
from streams.errors import Unavailable
from streams.messages import Template
from streams.seal import KeyRing
from workers.bench.backlog import BacklogResult, run_backlog
from workers.bench.broker import run_broker
from workers.bench.cameras import CAMERAS, run_cameras
from workers.bench.live import run_live
from workers.bench.load import BROKER_TOPIC, FAUST_TOPIC, phone_pool
from workers.bench.networks import BareNetworks
from workers.bench.processes import Process, Worker
from workers.bench.report import print_table, targets
from workers.supervisor import free_port

if TYPE_CHECKING:
    from streams.settings import Settings

CORES = 2
GALLERY_PEOPLE = 200
CAMERA_S = 24
"""Twice through the film's slots."""
LIVE_S = 20
FAUST_MESSAGES = 2000
FAUST_WARM_UP_S = 6
"""The agent looks at a phone only once it has gathered an input of the extractor (4.5 s): what comes before does not count."""
BROKER_MESSAGES = 40_000
FROZEN_UP_TO_S = 120.0
"""Session timeout of the workers under measurement: they are frozen while the backlog is published, and must not be taken for dead."""


async def run_bench(settings: Settings, *, phones: int, seconds: int, as_json: bool) -> int:
    """Measure everything and print it.  0 when every measurement was made, whether or not its target was reached.

    Raises Unavailable or Misconfigured when a measurement could not be made.
    """
    with tempfile.TemporaryDirectory(prefix="gaitstream-bench-") as name:
        settings = settings.model_copy(update={"bootstrap": f"127.0.0.1:{free_port()}", "data_dir": Path(name)})
        bench = Bench(settings, Path(name), phones, seconds)
        try:
            figures = await bench.run()
        finally:
            await bench.stop()
    if as_json:
        print(json.dumps(figures))
    else:
        print_table(figures, bench.promised)
    return 0


class Bench:
    """One run: `run` returns the figures by name."""

    def __init__(self, settings: Settings, folder: Path, phones: int, seconds: int) -> None:
        self.settings, self._folder, self._phones, self._seconds = settings, folder, phones, seconds
        self._console = Console(stderr=True)
        self._networks = BareNetworks(settings)
        extractor, embedder = self._networks.extractor, self._networks.embedder
        self.promised = targets(embedder.hop_samples / GRID_RATE_HZ * 1e3, extractor.lookahead_samples / GRID_RATE_HZ * 1e3)
        self._pool = phone_pool()
        port = settings.bootstrap.rsplit(":", 1)[1]
        self._broker = Process(
            ["-m", "workers.cli", "broker", "--data", str(folder / "broker"), "--port", port], settings, folder / "broker.log"
        )
        patient = {"GAITSTREAM_SESSION_TIMEOUT_S": str(FROZEN_UP_TO_S)}
        self._inertial, self._identity = (Worker(role, settings, folder, patient) for role in ("inertial", "identity"))
        self._camera = Worker("camera", settings, folder, patient | {"GAITSTREAM_CAMERA_DELAY_S": "0"})

    async def run(self) -> dict[str, Any]:
        """Every measurement, one after the other, so that none disturbs another."""
        began = time.monotonic()
        self._say("the networks alone")
        batch_gain = self._networks.batch_gain()
        self._say("the gallery of 200,000 templates")
        gallery = await self._gallery()
        self._say("starting the broker and the workers")
        await self._start()
        self._say(f"a backlog of {self._phones} phones x {self._seconds} s")
        backlog = await run_backlog(self.settings, self._pool, self._inertial, self._identity, self._phones, self._seconds)
        self._say("the networks alone, on as many blocks and windows in batches of the same size")
        extraction_s, embedding_s = self._networks.extraction_s(backlog.extraction), self._networks.embedding_s(backlog.embedding)
        self._say("the Faust agent")
        faust = await self._faust(backlog.messages)
        self._say("the broker")
        count = min(BROKER_MESSAGES, 10 * backlog.messages)
        broker = await run_broker(self.settings, self._pool, self._broker, count)
        capacity = backlog.messages / backlog.cpu_s * CORES
        live_phones = max(1, round(capacity / 2))
        self._say(f"live: {live_phones} phones, half of what was measured")
        live = await run_live(self.settings, live_phones, min(LIVE_S, max(4, self._seconds // 3)), self._folder)
        camera_s = min(CAMERA_S, self._seconds)
        self._say(f"{CAMERAS} cameras: a backlog of {camera_s} s, then live")
        await self._inertial.stop()
        await self._camera.start()
        await self._camera.ready()
        cameras = await run_cameras(self.settings, self._camera, self._folder, camera_s)
        return {
            "pipeline_to_bare_ratio": round((extraction_s + embedding_s) / backlog.cpu_s, 3),
            "phones_realtime": round(capacity),
            "versus_faust_per_message": round(backlog.messages / backlog.cpu_s / (faust["messages"] / faust["cpu_s"]), 2),
            "batch_gain": round(batch_gain, 2),
            "event_latency_p99_ms": round(live.p99_ms),
            "event_latency_p50_ms": round(live.p50_ms),
            "gallery_match_ms_200k": gallery["match_ms_min"],
            "erase_s_200k": round(gallery["erase_s_max"], 6),
            "broker_messages_per_s": round(broker),
            "camera_frames_per_s": round(cameras.backlog.frames / cameras.backlog.cpu_s * CORES, 1),
            "people_poses_per_s": round(cameras.backlog.poses / cameras.backlog.cpu_s * CORES, 1),
            "camera_pipeline_to_bare_ratio": round(cameras.backlog.bare_s / cameras.backlog.cpu_s, 3),
            "camera_latency_p99_ms": round(cameras.p99_ms),
            "camera_latency_p50_ms": round(cameras.p50_ms),
            "cameras": {
                "cameras": CAMERAS,
                "frames": cameras.backlog.frames,
                "poses": cameras.backlog.poses,
                "detections": cameras.backlog.detections,
                "people_per_frame": round(cameras.people_per_frame, 2),
                "events": cameras.events,
                "rss_mb": round(cameras.rss_mb, 1),
            },
            "walking_share": round(self._pool.walking_share, 3),
            "rss_mb": backlog.rss_mb,
            "parts": self._parts(backlog, extraction_s, embedding_s),
            "live": {
                "phones": live.phones,
                "events": live.events,
                "generator_late_ms": round(live.generator_late_ms, 1),
                "load_average": round(live.load_average, 2),
            },
            "faust_messages_per_cpu_s": round(faust["messages"] / faust["cpu_s"]),
            "machine": {
                "cores": os.cpu_count() or 0,
                "threads_per_worker": self.settings.threads,
                "took_s": round(time.monotonic() - began),
            },
            "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        }

    async def stop(self) -> None:
        """End every process."""
        await asyncio.gather(self._inertial.stop(), self._identity.stop(), self._camera.stop())
        await self._broker.stop()

    async def _start(self) -> None:
        await self._broker.start()
        host, port = self.settings.bootstrap.rsplit(":", 1)
        deadline = time.monotonic() + 30
        while True:
            try:
                _, writer = await asyncio.open_connection(host, int(port))
                writer.close()
                break
            except OSError:
                if time.monotonic() > deadline:
                    raise Unavailable(f"the broker does not answer:\n{self._broker.output()[-2000:]}") from None
                await asyncio.sleep(0.1)
        await provision.ensure_topics(self.settings)
        await self._create_topics()
        await self._enrol()
        await asyncio.gather(self._inertial.start(), self._identity.start())
        await asyncio.gather(self._inertial.ready(), self._identity.ready())

    async def _create_topics(self) -> None:
        """Topics of the measurements themselves: the broker creates none by itself."""
        admin = AIOKafkaAdminClient(**self.settings.kafka())
        await admin.start()
        try:
            partitions = self.settings.partitions(topics.IMU_RAW)
            await admin.create_topics([NewTopic(name, partitions, 1) for name in (BROKER_TOPIC, FAUST_TOPIC)])
        finally:
            await admin.close()

    async def _enrol(self) -> None:
        """A gallery of people whom nobody of the load is: a match costs the same whoever walks."""
        embedder = self._networks.embedder
        vector_ND = np.random.default_rng(1).standard_normal((GALLERY_PEOPLE, embedder.dim)).astype(np.float32)
        vector_ND /= np.linalg.norm(vector_ND, axis=1, keepdims=True)
        now_ns = time.time_ns()
        ring, producer = KeyRing(self.settings), producer_of(self.settings)
        await producer.start()
        try:
            for i, vector_D in enumerate(vector_ND):
                template = Template(
                    subject=f"person-{i}", template_id="1", space=embedder.space, vector=vector_D, quality=0.9, windows=20,
                    stream_key=f"phone-{i}", from_ns=now_ns - 60_000_000_000, to_ns=now_ns, enrolled_ns=now_ns, enrolled_by="bench",
                    consent="simulated",
                )  # fmt: skip
                value = ring.seal(topics.GALLERY.name, template.key, template.to_bytes())
                await producer.send(topics.GALLERY.name, value, key=template.key, partition=0)
            await producer.flush()
        finally:
            await producer.stop()

    async def _gallery(self) -> dict[str, float]:
        """`models.matching.bench` in a process of its own: how many threads BLAS has is settled when numpy is imported."""
        found = await self._child(["-m", "models.matching.bench"], 120.0)
        return {key: float(value) for key, value in found.items()}

    async def _faust(self, available: int) -> dict[str, float]:
        warm_up = FAUST_WARM_UP_S * self._phones
        arguments = ["-m", "workers.bench", "faust", str(min(FAUST_MESSAGES, available - warm_up)), str(warm_up)]
        return await self._child(arguments, 120.0)

    async def _child(self, arguments: list[str], timeout_s: float) -> dict[str, float]:
        """Run a module that prints one JSON object as its last line.  Raises Unavailable when it does not."""
        process = Process(arguments, self.settings, self._folder / f"{arguments[-1]}.log")
        await process.start()
        try:
            code = await process.finish(timeout_s)
            found: dict[str, float] = json.loads(process.output().splitlines()[-1])
        except (TimeoutError, IndexError, ValueError) as error:
            raise Unavailable(f"{arguments[1]} did not measure ({type(error).__name__}):\n{process.output()[-2000:]}") from None
        finally:
            await process.stop()
        if code:
            raise Unavailable(f"{arguments[1]} ended with {code}:\n{process.output()[-2000:]}")
        return found

    def _parts(self, backlog: BacklogResult, extraction_s: float, embedding_s: float) -> dict[str, float]:
        """The two halves of the ratio, in microseconds of CPU time per message."""

        def per_message(seconds: float) -> float:
            return round(seconds / backlog.messages * 1e6, 1)

        return {
            "messages": backlog.messages,
            "blocks": backlog.extraction.items,
            "windows": backlog.windows,
            "extraction_batch": backlog.extraction.batch,
            "embedding_batch": backlog.embedding.batch,
            "inertial_us": per_message(backlog.inertial_s),
            "identity_us": per_message(backlog.identity_s),
            "bare_extraction_us": per_message(extraction_s),
            "bare_embedding_us": per_message(embedding_s),
            "inertial_ratio": round(extraction_s / backlog.inertial_s, 3),
            "identity_ratio": round(embedding_s / max(backlog.identity_s, 1e-9), 3),
        }

    def _say(self, text: str) -> None:
        if sys.stderr.isatty():
            self._console.print(f"[dim]{text}[/dim]")
