"""`gaitstream demo`: the whole pipeline on this machine with simulated walkers, and a summary that can fail.

Embedded broker, every worker as its own process, phones and cameras that publish through Kafka: the same code and the same messages as in
production.  Enrolled people walk on two days for their enrolment by phone, then again, on a third day with the phone put in another way, live.
Between the two, `gaitstream calibrate` fits the thresholds to these people, as an operator would (deploy/README.md).
By camera they are enrolled on that third day, where the live cameras stand, and pass these again on other ways: recognition by cameras from
day to day, in other clothes, or from another side fails too often to be shown (models/evaluation/REPORT.md, Cameras).
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import time
from collections import Counter, defaultdict
from typing import TYPE_CHECKING

import numpy as np
import structlog
import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from models.simulation import LivePhone, Walker
from streams import topics
from streams.clients import read_partitions
from streams.messages import EmbeddingRecord, WalkingEvent
from streams.seal import KeyRing
from workers.control.client import ask
from workers.demo.actors import Actor, cast
from workers.demo.cameras import DemoCameras
from workers.sources.phones import Phone, publish
from workers.supervisor import ROLES, Supervisor
from workers.watching import event_line, identity_events

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streams.messages import IdentityEvent
    from streams.settings import Settings

ENROLMENT_S = 40.0
ENROLMENT_DAYS = 2
PAUSE_S = 10.0
DELAY_S = 120.0
"""No picture of the demo waits longer."""
EMBEDDED_WITHIN_S = 60.0
SETTLE_S = 4.0
"""After the last chunk: look-ahead, hop and a commit; events of the last windows arrive within it."""


class LiveSamples:
    """A simulated phone that never ends."""

    def __init__(self, phone: LivePhone) -> None:
        self._phone = phone

    def next_chunk(self, seconds: float) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
        """See `sources.phones.Samples`."""
        return self._phone.chunk(seconds)


class FinishedSamples:
    """The samples of a finished walk."""

    def __init__(self, acc_N3: NDArray[np.float32], gyro_N3: NDArray[np.float32], rate_hz: float) -> None:
        self._acc, self._gyro, self._rate_hz, self._next = acc_N3, gyro_N3, rate_hz, 0

    def next_chunk(self, seconds: float) -> tuple[NDArray[np.float32], NDArray[np.float32]] | None:
        """See `sources.phones.Samples`."""
        a, b = self._next, min(self._next + round(seconds * self._rate_hz), len(self._acc))
        self._next = b
        return (self._acc[a:b], self._gyro[a:b]) if a < b else None


class Demo:
    """One run; `run` returns the exit code."""

    def __init__(
        self, settings: Settings, *, phones: int, cameras: int, strangers: int, still: int, seconds: float, seed: int, show_logs: bool
    ) -> None:
        # The enrolment's pictures come all at once: none of them is to be dropped for being late.
        self.settings = settings.model_copy(update={"camera_delay_s": DELAY_S})
        self.seconds, self._show_logs = seconds, show_logs
        self._console = Console()
        self._actors = cast(phones, strangers, still, seed, Walker)
        self._enrolled = [actor for actor in self._actors if actor.person is not None]
        self._by_device = {actor.device_id: actor for actor in self._actors}
        self._cameras = DemoCameras(self.settings, self._actors, cameras, seed) if cameras else None
        self._latencies_ms: dict[str, list[float]] = defaultdict(list)
        self._first_event_s: float | None = None
        self._began = time.monotonic()

    async def run(self) -> int:
        """Start everything, enrol, watch, sum up, stop.  0 when people were named, nobody wrongly, and no stranger."""
        supervisor = Supervisor(
            self.settings,
            roles=[role for role in ROLES if role != "camera" or self._cameras is not None],
            broker_dir=self.settings.data_dir / "broker",
            logs=None if self._show_logs else self.settings.data_dir / "logs.txt",
        )
        if not self._show_logs:
            structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.WARNING))
        try:
            self._say("starting the embedded broker and the workers")
            await supervisor.start()
            await supervisor.ready()
            self._say(f"ready on {self.settings.bootstrap}")
            self._say("enrolled by phone: " + ", ".join(await self._enrol_phones()))
            await self._calibrate(supervisor)
            filming = asyncio.create_task(self._enrol_cameras())  # pictures take longer than samples: phones go live meanwhile
            try:
                await self._live(filming)
            finally:
                filming.cancel()
        finally:
            await supervisor.stop()
        return self._summary()

    async def _enrol_phones(self) -> list[str]:
        self._say(f"{len(self._enrolled)} people walk {ENROLMENT_S:.0f} s on each of {ENROLMENT_DAYS} days to be enrolled")
        begin_ns = time.time_ns() - int(ENROLMENT_DAYS * (ENROLMENT_S + PAUSE_S) * 1e9)
        for day in range(ENROLMENT_DAYS):
            start_ns = begin_ns + int(day * (ENROLMENT_S + PAUSE_S) * 1e9)
            phones = []
            for actor in self._enrolled:
                walk = actor.walker.record(duration_s=ENROLMENT_S, session=day, script="walk")
                samples = FinishedSamples(walk.acc_N3, walk.gyro_N3, walk.rate_hz)
                phones.append(Phone(actor.device_id, samples, start_ns, walk.rate_hz, session=f"day-{day + 1}", placement=walk.placement))
            await publish(self.settings, phones, speed=None)
        await self._embedded({actor.device_id: start_ns + int((ENROLMENT_S - 4) * 1e9) for actor in self._enrolled})
        day_ns = int((ENROLMENT_S + PAUSE_S) * 1e9)
        enrolled = []
        for actor in self._enrolled:
            for day in range(ENROLMENT_DAYS):
                begin, end = begin_ns + day * day_ns, begin_ns + (day + 1) * day_ns
                if await self._ask(actor, f"day {day + 1}", {"stream_key": actor.device_id, "from_ns": begin, "to_ns": end}):
                    enrolled.append(actor.truth)
        return list(dict.fromkeys(enrolled))

    async def _calibrate(self, supervisor: Supervisor) -> None:
        """The command itself, in a process of its own; the identity worker starts again with what it wrote."""
        site = self.settings.data_dir / "site.json"
        command = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "workers.cli", "calibrate", "--out", str(site)),
            env=os.environ | self.settings.environment() | {"GAITSTREAM_BOOTSTRAP": self.settings.bootstrap},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await command.communicate()
        if command.returncode:
            self._say(f"[yellow]thresholds stay as shipped: {escape(output.decode().strip())}[/yellow]")
            return
        self._say("gaitstream calibrate fits the thresholds to the enrolled people")
        typer.echo(output.decode().rstrip())
        await supervisor.restart("identity", {"GAITSTREAM_SITE_CALIBRATION": str(site)})
        await supervisor.ready()

    async def _enrol_cameras(self) -> list[str]:
        if self._cameras is None:
            return []
        self._say(f"{len(self._enrolled)} people pass the cameras, {self._cameras.passages} times each, to be enrolled")
        passages = await self._cameras.publish_enrolment(ENROLMENT_DAYS)
        tracks = await self._tracks({passage.camera_id for passage in passages})
        by_truth = {actor.truth: actor for actor in self._enrolled}
        enrolled = []
        for passage in passages:
            if (track := tracks.get(passage.camera_id)) is None:
                self._say(f"[yellow]{passage.subject} was not followed by {passage.camera_id}[/yellow]")
            elif await self._ask(by_truth[passage.subject], passage.camera_id, {"stream_key": track}):
                enrolled.append(passage.subject)
        return list(dict.fromkeys(enrolled))

    async def _ask(self, actor: Actor, what: str, arguments: dict[str, object]) -> bool:
        reply = await ask(self.settings, "enrol", actor.truth, "demo", {"consent": "demo", **arguments}, timeout_s=30)
        if not reply.ok:
            self._say(f"[yellow]{actor.truth}, {what}, could not be enrolled: {reply.error}[/yellow]")
        return reply.ok

    async def _tracks(self, cameras: set[str]) -> dict[str, str]:
        """The longest track of each camera, once all have ended and are embedded (or time is up)."""
        deadline = time.monotonic() + EMBEDDED_WITHIN_S
        ended: dict[str, int] = {}
        while not cameras <= {_camera_of(track) for track in ended} and time.monotonic() < deadline:
            async for record in read_partitions(self.settings, topics.WALKING_EVENTS.name):
                event = WalkingEvent.from_bytes(record.value)
                if event.modality == "camera" and event.kind == "ended":
                    ended[event.stream_key] = event.end_ns
            await asyncio.sleep(0.3)
        await self._embedded(ended)
        windows = Counter[str]()
        async for record in read_partitions(self.settings, topics.EMBEDDINGS.name):
            windows[record.key.decode()] += 1
        found = [(n, track) for track, n in windows.items() if _camera_of(track) in cameras]
        return {_camera_of(track): track for _, track in sorted(found)}

    async def _embedded(self, until_ns: dict[str, int]) -> None:
        """Wait until the pipeline has embedded each device's or track's walk up to that time."""
        deadline = time.monotonic() + EMBEDDED_WITHIN_S
        waiting, ring = set(until_ns), KeyRing(self.settings)
        while waiting and time.monotonic() < deadline:
            async for record in read_partitions(self.settings, topics.EMBEDDINGS.name):
                embedding = EmbeddingRecord.from_bytes(ring.open(topics.EMBEDDINGS.name, record.key, record.value))
                if embedding.end_ns >= until_ns.get(embedding.stream_key, 2**63):
                    waiting.discard(embedding.stream_key)
            await asyncio.sleep(0.2)

    async def _live(self, filming: asyncio.Task[list[str]]) -> None:
        """Phones at once, cameras when everybody has passed them to be enrolled; ends `seconds` after that."""
        self._say("live: everybody walks again, the phone put into the pocket in another way; Ctrl-C ends it")
        now_ns = time.time_ns()
        phones = [
            Phone(
                a.device_id,
                LiveSamples(LivePhone(a.walker, session=ENROLMENT_DAYS, script=a.script, start_ns=now_ns)),
                now_ns,
                session="live",
            )
            for a in self._actors
        ]
        over, stop, started = asyncio.Event(), asyncio.Event(), asyncio.Event()
        watching = asyncio.create_task(self._watch(stop, started))
        await started.wait()
        try:
            await asyncio.gather(publish(self.settings, phones, speed=1.0, until=over), self._film(filming, over))
            await asyncio.sleep(SETTLE_S)
        except asyncio.CancelledError:
            self._say("stopping")
        stop.set()
        await watching

    async def _film(self, filming: asyncio.Task[list[str]], over: asyncio.Event) -> None:
        enrolled = await filming
        if self.seconds:
            asyncio.get_running_loop().call_later(self.seconds, over.set)
        if self._cameras is not None:
            self._say("enrolled by camera: " + ", ".join(enrolled))
            await self._cameras.publish_live(time.time_ns(), ENROLMENT_DAYS, over)

    async def _watch(self, stop: asyncio.Event, started: asyncio.Event) -> None:
        async for event in identity_events(self.settings, until=stop, started=started):
            self._note(event)
            typer.echo(event_line(event))

    def _note(self, event: IdentityEvent) -> None:
        if self._first_event_s is None:
            self._first_event_s = time.monotonic() - self._began
        if event.modality == "inertial":
            self._by_device[event.stream_key].by_phone.note(event)
        elif self._cameras is None or not self._cameras.note(event):
            return  # a passage of the enrolment: its pictures came all at once
        self._latencies_ms[event.modality].append((event.decided_ns - event.received_ns) / 1e6)

    def _summary(self) -> int:
        strays = 0 if self._cameras is None else self._cameras.tally()
        table = Table("who", "by", "known", "unknown", "undecided", "named as", title="What the pipeline said")
        for actor in self._actors:
            for by, tally in (("phone", actor.by_phone), ("camera", actor.by_camera)):
                if by == "camera" and (self._cameras is None or not actor.walks):
                    continue
                named = ", ".join(f"{name} x{n}" for name, n in tally.named.most_common()) or "-"
                style = "red" if tally.wrong(actor.person) else ("green" if tally.named else "yellow" if tally.decisions["unknown"] else "")
                d = tally.decisions
                table.add_row(actor.truth, by, str(d["known"]), str(d["unknown"]), str(d["undecided"]), named, style=style)
        self._console.print(table)
        for modality, latencies_ms in sorted(self._latencies_ms.items()):
            p50, p99 = np.percentile(latencies_ms, [50, 99])
            self._say(f"{modality}: {len(latencies_ms)} events; arrival to event: median {p50:.0f} ms, p99 {p99:.0f} ms")
        if self._first_event_s is not None:
            self._say(f"first event after {self._first_event_s:.0f} s")
        if strays:
            self._say(f"{strays} tracks overlapped nobody and are not counted")
        misnamed = sum(actor.wrong() for actor in self._enrolled)
        let_in = sum(actor.wrong() for actor in self._actors if actor.person is None)
        by_phone = [actor.truth for actor in self._enrolled if actor.by_phone.named]
        self._say(
            f"enrolled walkers misnamed in {misnamed} events, strangers named in {let_in}; named by phone: {', '.join(by_phone) or 'nobody'}"
        )
        by_camera = [actor.truth for actor in self._enrolled if actor.by_camera.named]
        if self._cameras is not None:
            self._say(f"named by camera: {', '.join(by_camera) or 'nobody'}")
        return 1 if misnamed or let_in or not by_phone else 0

    def _say(self, text: str) -> None:
        self._console.print(f"[dim]{time.monotonic() - self._began:6.1f} s[/dim]  {text}")


def _camera_of(track: str) -> str:
    return track.partition(":")[0]
