"""The operator's page in a real browser, and a real Prometheus that scrapes the same processes: both show the same numbers."""

import asyncio
import base64
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import pytest
from aiokafka import TopicPartition

from models.simulation import Walker
from streams.messages import ImuChunk, Template
from streams.provision import ensure_topics
from streams.settings import Settings
from streams.topics import IMU_RAW, SAMPLES_INERTIAL
from tests.deploy.scraping import Prometheus
from tests.deploy.tools import program
from tests.support.brokers import BrokerProcess
from tests.support.chromium import Browser, chromium_path
from tests.support.identity import templates_of, undisturbed_identity
from tests.support.pipeline import WorkerProcess, chunks_of, record_of, send, undisturbed, until
from workers.control.export import import_templates
from workers.inertial.worker import InertialWorker
from workers.processor import Incoming

PHONES, ENROLLED = 4, 2
BEFORE_S, AFTER_S = 8, 8
"""Seconds that were walked before somebody opens the page, and while it is open."""

PATIENCE_S = 180.0
"""For everything that is waited for: bounds a failing test, not a slow machine."""

DECISIONS = ("known", "unknown", "undecided")
EVENTS = ", ".join(f"#events .event.{decision}" for decision in DECISIONS)
DELAY = "delay of all events, ms"

NUMBERS = """(events, delay) => {
  const rows = (css) => [...document.querySelectorAll(css)];
  const sum = (numbers) => numbers.reduce((a, b) => a + b, 0);
  const templates = rows('#gallery tbody tr').map((row) => Number(row.cells[1].innerText));
  const [all, known, unknown, unsure] = document.getElementById('counts').innerText.match(/\\d+/g).map(Number);
  return {
    'devices': all, 'streams decided': known + unknown + unsure, 'people enrolled': templates.length, 'templates': sum(templates),
    'events known': rows('#events .event.known').length, 'events unknown': rows('#events .event.unknown').length,
    'events undecided': rows('#events .event.undecided').length,
    [delay]: sum(rows(events).map((row) => Number(row.innerText.match(/(\\d+) ms$/)[1]))),
  };
}"""
"""JavaScript: the numbers that the page shows."""


def walkers() -> list[SimpleNamespace]:
    """Simulated people, each with a phone."""
    records = [Walker(seed).record(duration_s=BEFORE_S + AFTER_S) for seed in range(PHONES)]
    return [
        SimpleNamespace(subject=f"p{n}", name="walk", rate_hz=r.rate_hz, acc_N3=r.acc_N3, gyro_N3=r.gyro_N3) for n, r in enumerate(records)
    ]


def enrolled(walks: list[SimpleNamespace]) -> list[Template]:
    """Templates of the first of them."""
    samples = list(undisturbed(chunks_of(walks)).values())  # type: ignore[arg-type]
    return templates_of(undisturbed_identity(samples), [f"p{n}-walk" for n in range(ENROLLED)])


@dataclass(frozen=True)
class Second:
    """What all phones send in a second, and how many identity events it completes."""

    chunks: list[ImuChunk]
    events: int


def seconds_from_now(walks: list[SimpleNamespace]) -> list[Second]:
    """They begin to walk now; each gait sample that the inertial worker cuts becomes one identity event."""
    chunks = chunks_of(walks, start_ns=time.time_ns())  # type: ignore[arg-type]
    worker = InertialWorker(Settings())
    asyncio.run(worker.start())
    found = []
    for n in range(BEFORE_S + AFTER_S):
        sent = [chunk for chunk in chunks if chunk.seq == n]
        outputs = worker.process([received(n * PHONES + i, chunk) for i, chunk in enumerate(sent)]).outputs
        streams = Counter(output.key for output in outputs if output.topic == SAMPLES_INERTIAL.name)
        assert n < BEFORE_S or max(streams.values(), default=0) <= 1, (
            "the page shows the newest event of a stream, so they must come one by one"
        )
        found.append(Second(sent, streams.total()))
    return found


def received(offset: int, chunk: ImuChunk) -> Incoming:
    """A message that the broker received at once."""
    record = record_of(offset, chunk.device_id.encode(), chunk.to_bytes(), received_ms=chunk.start_ns // 1_000_000 + 1000)
    return Incoming(TopicPartition(IMU_RAW.name, 0), record, chunk)


@dataclass(frozen=True)
class Numbers:
    """The same numbers on the page and in Prometheus, by what they mean."""

    shown: dict[str, float]
    scraped: dict[str, float]


@dataclass(frozen=True)
class Installation:
    """Workers and control plane, Prometheus, and the window for the page."""

    settings: Settings
    prometheus: Prometheus
    page: Browser
    url: str

    async def shown(self) -> dict[str, float]:
        """Numbers that the page shows, by what they mean."""
        found: dict[str, float] = await self.page.run(f"({NUMBERS})({EVENTS!r}, {DELAY!r})")
        return found

    def scraped(self) -> dict[str, float]:
        """The same from Prometheus; what has no time series yet is 0."""
        queries = {
            "devices": 'sum(gaitstream_streams{role="inertial"})',
            "streams decided": 'sum(gaitstream_streams{role="identity"})',
            "people enrolled": 'sum(gaitstream_gallery_subjects{job="control"})',
            "templates": 'sum(gaitstream_gallery_templates{job="control"})',
            **{f"events {d}": f'sum(gaitstream_decisions_total{{decision="{d}"}})' for d in DECISIONS},
            DELAY: "1000 * sum(gaitstream_event_latency_seconds_sum)",
        }
        answers = {name: self.prometheus.query(expr) for name, expr in queries.items()}
        return {name: answer[0][1] if answer else 0.0 for name, answer in answers.items()}

    async def settled(self, names: Iterable[str], page: Mapping[str, float], prometheus: Mapping[str, float]) -> Numbers:
        """What both show, once they agree about `names`, counted from `page` and `prometheus` on."""
        deadline_s = time.monotonic() + PATIENCE_S
        while True:
            shown, scraped = await self.shown(), self.scraped()
            apart = {
                name: (shown[name] - page.get(name, 0.0), scraped[name] - prometheus.get(name, 0.0))
                for name in names
                if shown[name] - page.get(name, 0.0) != scraped[name] - prometheus.get(name, 0.0)
            }
            if not apart:
                return Numbers(shown, scraped)
            assert time.monotonic() < deadline_s, f"page and Prometheus: {apart}"
            await asyncio.sleep(0.2)

    async def walk_on(self, second: Second) -> None:
        """The phones send a second, and its events are on the page before the next: the page joins what comes within a quarter of one."""
        rows = f"document.querySelectorAll({EVENTS!r}).length"
        before = await self.page.run(rows)
        await send(self.settings, second.chunks)
        await self.page.until(f"{rows} >= {before + second.events}")


@asynccontextmanager
async def installation(folder: Path) -> AsyncIterator[Installation]:
    """Everything on this machine, started and scraped; the page is not open yet."""
    with ExitStack() as stack:
        broker = stack.enter_context(BrokerProcess("embedded", folder / "broker"))
        settings = Settings(bootstrap=broker.bootstrap)
        await ensure_topics(settings)
        given = {"GAITSTREAM_DATA_DIR": str(folder / "data"), "GAITSTREAM_IDLE_RELEASE_S": "600"}
        workers = [stack.enter_context(WorkerProcess(role, settings, folder, **given)) for role in ("inertial", "identity", "control")]
        prometheus = stack.enter_context(Prometheus(folder, {worker.role: worker.port for worker in workers}))
        async with Browser(folder / "profile") as page:
            for worker in workers:
                await until(worker.is_ready, timeout_s=PATIENCE_S, what=f"{worker.role} is ready")
            await until(prometheus.up, PATIENCE_S, "a scrape of every role")
            yield Installation(settings, prometheus, page, f"http://127.0.0.1:{workers[-1].port}")


async def side_by_side(page: Browser, folder: Path, numbers: Numbers) -> Path:
    """One picture: the page as it was, and beside it what each number is on it and in Prometheus."""
    await page.picture(folder / "page.png")
    cells = [(name, f"{shown:g}", f"{numbers.scraped[name]:g}") for name, shown in numbers.shown.items()]
    rows = "".join(f"<tr><td>{'<td>'.join(row)}" for row in cells)
    table = f"<table border=1 cellpadding=6><tr><th><th>page<th>Prometheus{rows}</table>"
    image = base64.b64encode((folder / "page.png").read_bytes()).decode()
    html = f"<body style='display:flex;gap:20px;font:14px sans-serif'><img width=800 src='data:image/png;base64,{image}'><div>{table}</div>"
    (folder / "both.html").write_text(html)
    await page.open((folder / "both.html").as_uri())
    await page.until("document.images[0]?.complete")
    await page.picture(folder / "both.png")
    return folder / "both.png"


ALWAYS = ("devices", "streams decided", "people enrolled", "templates")
"""Numbers of the present moment: they are the same whenever the page was opened."""


@pytest.mark.timeout(600)
def test_page_and_prometheus_show_the_same_numbers(tmp_path: Path) -> None:
    program("prometheus"), chromium_path()
    asyncio.run(compare(tmp_path))


async def compare(folder: Path) -> None:
    walks = await asyncio.to_thread(walkers)
    templates = await asyncio.to_thread(enrolled, walks)
    async with installation(folder) as made:
        await import_templates(made.settings, templates, "test")
        await until(lambda: made.prometheus.query('gaitstream_gallery_subjects{job="identity"} == 2'), what="the gallery in the worker")
        seconds = await asyncio.to_thread(seconds_from_now, walks)
        for second in seconds[:BEFORE_S]:
            await send(made.settings, second.chunks)
        so_far = sum(second.events for second in seconds[:BEFORE_S])
        await until(lambda: made.prometheus.query(f"sum(gaitstream_decisions_total) == {so_far}"), what=f"{so_far} events in Prometheus")

        # A page that opens now shows the last minute: the newest event of each stream.
        await made.page.open(made.url)
        await made.page.until(f"document.querySelectorAll({EVENTS!r}).length >= {PHONES}")
        opened = await made.settled(ALWAYS, {}, {})
        assert [opened.shown[name] for name in ALWAYS] == [PHONES, PHONES, ENROLLED, ENROLLED]

        # From now on every event is on both.
        for second in seconds[BEFORE_S:]:
            await made.walk_on(second)
        since = tuple(f"events {decision}" for decision in DECISIONS)
        await made.settled(since, opened.shown, opened.scraped)
        end = await made.settled(ALWAYS, {}, {})
        new = Numbers(*({name: later[name] - first[name] for name in (*since, DELAY)} for first, later in pairs(opened, end)))
        events = sum(second.events for second in seconds[BEFORE_S:])
        assert sum(new.shown[name] for name in since) == events > 2 * PHONES
        assert new.shown["events known"] > 0, "of the enrolled"
        assert new.shown[DELAY] == pytest.approx(new.scraped[DELAY], abs=0.5 * events), "the page rounds each to a millisecond"

        picture = await side_by_side(made.page, folder, Numbers(*({**ends, **news} for ends, news in pairs(end, new))))
        assert picture.stat().st_size > 10_000
        assert not [line for line in made.page.console if "exceptionThrown" in line], made.page.console


def pairs(first: Numbers, second: Numbers) -> tuple[tuple[dict[str, float], dict[str, float]], ...]:
    """What the page showed at both times, and what Prometheus did."""
    return (first.shown, second.shown), (first.scraped, second.scraped)
