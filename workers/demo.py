"""`gaitstream demo`: the whole pipeline on this machine with simulated walkers, and a summary that can fail.

Embedded broker, every worker as its own process, phones that publish through Kafka: the same code and the same messages as in
production.  Enrolled people walk on two days for their enrolment (the phone in the pocket as they put it that day), then again, on a third day with
the phone put in another way, live.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import structlog
import typer
from rich.console import Console
from rich.table import Table

from models.simulation import LivePhone, Walker
from streams import topics
from streams.clients import read_partitions
from streams.messages import EmbeddingRecord
from workers.control.client import ask
from workers.sources.phones import Phone, publish
from workers.supervisor import Supervisor
from workers.watching import event_line, identity_events

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streams.messages import IdentityEvent
    from streams.settings import Settings

NAMES = ("Ada", "Bela", "Chidi", "Dana", "Emil", "Farah", "Gita", "Hugo", "Ines", "Jun", "Kaya", "Liv")
ENROLMENT_S = 40.0
ENROLMENT_DAYS = 2
PAUSE_S = 10.0
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


@dataclass(slots=True)
class Actor:
    """Someone (or something) with a phone, and what the pipeline said of them."""

    device_id: str
    truth: str
    person: str | None
    walker: Walker
    script: str
    decisions: Counter[str] = field(default_factory=Counter)
    named: Counter[str] = field(default_factory=Counter)

    def wrong(self) -> int:
        """Events that name somebody else, or name anybody when this is a stranger or a thing."""
        return sum(n for name, n in self.named.items() if name != self.person)


class Demo:
    """One run; `run` returns the exit code."""

    def __init__(self, settings: Settings, *, phones: int, strangers: int, still: int, seconds: float, seed: int, show_logs: bool) -> None:
        self.settings, self.seconds, self._show_logs = settings, seconds, show_logs
        self._console = Console()
        names = [NAMES[i] if i < len(NAMES) else f"Person{i + 1}" for i in range(phones)]
        self.enrolled = [Actor(f"phone-{n.lower()}", n, n, Walker(seed + i), "walk") for i, n in enumerate(names)]
        later = seed + phones
        self.strangers = [Actor(f"phone-stranger-{i + 1}", "a stranger", None, Walker(later + i), "walk") for i in range(strangers)]
        scripts = ("still", "vehicle")
        walkers = [Walker(later + strangers + i) for i in range(still)]
        self.things = [
            Actor(f"phone-{scripts[i % 2]}-{i + 1}", "lies still" if i % 2 == 0 else "rides", None, walker, scripts[i % 2])
            for i, walker in enumerate(walkers)
        ]
        self.actors = {a.device_id: a for a in (*self.enrolled, *self.strangers, *self.things)}
        self._latencies_ms: list[float] = []
        self._first_event_s: float | None = None
        self._began = time.monotonic()

    async def run(self) -> int:
        """Start everything, enrol, watch, sum up, stop.  0 when people were named, nobody wrongly, and no stranger."""
        supervisor = Supervisor(
            self.settings,
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
            await self._enrol()
            await self._live()
        finally:
            await supervisor.stop()
        return self._summary()

    async def _enrol(self) -> None:
        self._say(f"{len(self.enrolled)} people walk {ENROLMENT_S:.0f} s on each of {ENROLMENT_DAYS} days to be enrolled")
        begin_ns = time.time_ns() - int(ENROLMENT_DAYS * (ENROLMENT_S + PAUSE_S) * 1e9)
        for day in range(ENROLMENT_DAYS):
            start_ns = begin_ns + int(day * (ENROLMENT_S + PAUSE_S) * 1e9)
            phones = []
            for actor in self.enrolled:
                walk = actor.walker.record(duration_s=ENROLMENT_S, session=day, script="walk")
                samples = FinishedSamples(walk.acc_N3, walk.gyro_N3, walk.rate_hz)
                phones.append(Phone(actor.device_id, samples, start_ns, walk.rate_hz, session=f"day-{day + 1}", placement=walk.placement))
            await publish(self.settings, phones, speed=None)
        await self._embedded({actor.device_id for actor in self.enrolled}, start_ns + int((ENROLMENT_S - 4) * 1e9))
        day_ns = int((ENROLMENT_S + PAUSE_S) * 1e9)
        enrolled = []
        for actor in self.enrolled:
            for day in range(ENROLMENT_DAYS):
                begin, end = begin_ns + day * day_ns, begin_ns + (day + 1) * day_ns
                arguments = {"stream_key": actor.device_id, "from_ns": begin, "to_ns": end, "consent": "demo"}
                reply = await ask(self.settings, "enrol", actor.truth, "demo", arguments, timeout_s=30)
                if not reply.ok:
                    self._say(f"[yellow]{actor.truth}, day {day + 1}, could not be enrolled: {reply.error}[/yellow]")
                elif actor.truth not in enrolled:
                    enrolled.append(actor.truth)
        self._say("enrolled: " + ", ".join(enrolled))

    async def _embedded(self, devices: set[str], until_ns: int) -> None:
        """Wait until the pipeline has embedded the walks nearly to their end."""
        deadline = time.monotonic() + 30
        waiting = set(devices)
        while waiting and time.monotonic() < deadline:
            async for record in read_partitions(self.settings, topics.EMBEDDINGS.name):
                embedding = EmbeddingRecord.from_bytes(record.value)
                if embedding.end_ns >= until_ns:
                    waiting.discard(embedding.stream_key)
            await asyncio.sleep(0.2)

    async def _live(self) -> None:
        self._say("live: everybody walks again, the phone put into the pocket in another way; Ctrl-C ends it")
        now_ns = time.time_ns()
        phones = [
            Phone(
                a.device_id,
                LiveSamples(LivePhone(a.walker, session=ENROLMENT_DAYS, script=a.script, start_ns=now_ns)),
                now_ns,
                session="live",
            )
            for a in self.actors.values()
        ]
        over, stop, started = asyncio.Event(), asyncio.Event(), asyncio.Event()
        watching = asyncio.create_task(self._watch(stop, started))
        await started.wait()
        if self.seconds:
            asyncio.get_running_loop().call_later(self.seconds, over.set)
        try:
            await publish(self.settings, phones, speed=1.0, until=over)
            await asyncio.sleep(SETTLE_S)
        except asyncio.CancelledError:
            self._say("stopping")
        stop.set()
        await watching

    async def _watch(self, stop: asyncio.Event, started: asyncio.Event) -> None:
        async for event in identity_events(self.settings, until=stop, started=started):
            self._note(event)
            typer.echo(event_line(event))

    def _note(self, event: IdentityEvent) -> None:
        if self._first_event_s is None:
            self._first_event_s = time.monotonic() - self._began
        actor = self.actors[event.stream_key]
        actor.decisions[event.decision] += 1
        if event.subject:
            actor.named[event.subject] += 1
        self._latencies_ms.append((event.decided_ns - event.received_ns) / 1e6)

    def _summary(self) -> int:
        table = Table("phone", "who", "known", "unknown", "undecided", "named as", title="What the pipeline said")
        for actor in self.actors.values():
            named = ", ".join(f"{name} x{n}" for name, n in actor.named.most_common()) or "-"
            style = "red" if actor.wrong() else ("green" if actor.named else "yellow" if actor.decisions["unknown"] else "")
            d = actor.decisions
            table.add_row(actor.device_id, actor.truth, str(d["known"]), str(d["unknown"]), str(d["undecided"]), named, style=style)
        self._console.print(table)
        misnamed = sum(actor.wrong() for actor in self.enrolled)
        let_in = sum(actor.wrong() for actor in (*self.strangers, *self.things))
        never = [actor.truth for actor in self.enrolled if not actor.named]
        if self._latencies_ms:
            p50, p99 = np.percentile(self._latencies_ms, [50, 99])
            self._say(f"first event after {self._first_event_s:.0f} s; arrival to event: median {p50:.0f} ms, p99 {p99:.0f} ms")
        self._say(
            f"enrolled walkers misnamed in {misnamed} events, strangers named in {let_in}, never named: {', '.join(never) or 'nobody'}"
        )
        return 1 if misnamed or let_in or len(never) == len(self.enrolled) else 0

    def _say(self, text: str) -> None:
        self._console.print(f"[dim]{time.monotonic() - self._began:6.1f} s[/dim]  {text}")
