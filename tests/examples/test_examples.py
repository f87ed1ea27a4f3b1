"""The two programs of the README, executed as they are: a device of one's own publishes, a consumer of one's own learns who walks."""

import asyncio
import os
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import numpy as np
import pytest

from models.matching import combine
from models.simulation import Walker
from streams.clients import producer_of, read_partitions
from streams.messages import EmbeddingRecord, Template
from streams.settings import Settings
from streams.topics import EMBEDDINGS, GALLERY, IDENTITY_EVENTS
from tests.support.brokers import BrokerProcess
from tests.support.pipeline import WorkerProcess, header_ids, until

REPOSITORY = Path(__file__).resolve().parents[2]
EXAMPLES = REPOSITORY / "deploy" / "examples"
PROGRAMS = sorted(path.name for path in EXAMPLES.glob("*.py"))


def test_there_are_two_programs() -> None:
    assert PROGRAMS == ["publish.py", "subscribe.py"]


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_readme_shows_the_program_as_it_is(name: str) -> None:
    blocks = re.findall(r"```python\n(.*?)```", (REPOSITORY / "README.md").read_text(), re.DOTALL)
    assert (EXAMPLES / name).read_text() in blocks


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_program_is_short_and_needs_nothing_of_gaitstream(name: str) -> None:
    text = (EXAMPLES / name).read_text()
    imported = set(re.findall(r"^(?:import|from) (\w+)", text, re.MULTILINE))
    assert imported - set(sys.stdlib_module_names) <= {"aiokafka", "msgpack", "numpy"}
    lines = text.split('"""')[2].splitlines()  # behind the docstring
    code = [line for line in lines if line.strip() and not line.startswith(("import", "from", "asyncio.run"))]
    assert len(code) <= 20


@pytest.fixture(scope="module")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Settings]:
    """Embedded broker, inertial and identity worker."""
    folder = tmp_path_factory.mktemp("examples")
    with BrokerProcess("embedded", folder / "broker") as broker:
        settings = Settings(bootstrap=broker.bootstrap)
        with WorkerProcess("inertial", settings, folder) as inertial:
            asyncio.run(until(inertial.is_ready, what="inertial is ready"))  # it has created the topics then
            with WorkerProcess("identity", settings, folder) as identity:
                asyncio.run(until(identity.is_ready, what="identity is ready"))
                yield settings


def walk_of(walker: Walker, session: int) -> str:
    """Half a minute of walking that ends now, as the lines that a device would log."""
    walk = walker.record(duration_s=30.0, session=session, script="walk")
    begin_ns = time.time_ns() - round(len(walk.acc_N3) * 1e9 / walk.rate_hz)
    rows = np.concatenate([walk.acc_N3, walk.gyro_N3], axis=1).tolist()
    return "".join(
        f"{begin_ns + round(i * 1e9 / walk.rate_hz)},{','.join(f'{value:.6f}' for value in row)}\n" for i, row in enumerate(rows)
    )


def publish(settings: Settings, device_id: str, lines: str) -> None:
    """Run publish.py as it is."""
    command = [sys.executable, str(EXAMPLES / "publish.py"), settings.bootstrap, device_id]
    done = subprocess.run(command, input=lines, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


class Subscriber:
    """subscribe.py as it is, in a process of its own."""

    def __init__(self, settings: Settings, group: str, log: Path) -> None:
        self._log = log
        with log.open("wb") as output:
            command = [sys.executable, str(EXAMPLES / "subscribe.py"), settings.bootstrap, group]
            self._process = subprocess.Popen(command, stdout=output, stderr=output, env=os.environ)

    def lines(self) -> list[str]:
        """What it has printed of events."""
        assert self._process.poll() is None, self._log.read_text()
        return [line for line in self._log.read_text().splitlines() if ", event " in line]

    def __enter__(self) -> "Subscriber":
        return self

    def __exit__(self, *exception: object) -> None:
        self._process.kill()
        self._process.wait()


async def embeddings_of(settings: Settings, device_id: str) -> list[EmbeddingRecord]:
    """What the pipeline has embedded of a device."""
    records = [EmbeddingRecord.from_bytes(record.value) async for record in read_partitions(settings, EMBEDDINGS.name)]
    return [record for record in records if record.stream_key == device_id]


async def enrol(settings: Settings, subject: str, records: list[EmbeddingRecord]) -> None:
    """Put a template into the gallery, as the control plane does, so that these tests need only the two data-plane workers."""
    starts_ns = [record.start_ns for record in records]
    vectors_BD, _ = combine([[record.vector for record in records]], [[record.quality for record in records]], [starts_ns])
    template = Template(
        subject=subject, template_id="1", space=records[0].space, vector=vectors_BD[0], quality=1.0, windows=len(records),
        stream_key=records[0].stream_key, from_ns=min(starts_ns), to_ns=max(r.end_ns for r in records), enrolled_ns=time.time_ns(),
    )  # fmt: skip
    producer = producer_of(settings)
    await producer.start()
    try:
        await producer.send_and_wait(GALLERY.name, template.to_bytes(), key=template.key)
    finally:
        await producer.stop()


@pytest.fixture
async def enrolled(pipeline: Settings) -> AsyncIterator[Walker]:
    """A walker who has published half a minute with publish.py and is enrolled as Ada."""
    walker = Walker(1)
    await asyncio.to_thread(publish, pipeline, "ada-phone", walk_of(walker, session=0))

    async def embedded() -> bool:
        return len(await embeddings_of(pipeline, "ada-phone")) >= 15

    await until(embedded, what="half a minute of walking is embedded")
    await enrol(pipeline, "Ada", await embeddings_of(pipeline, "ada-phone"))
    yield walker


async def test_a_device_and_a_consumer_of_ones_own(pipeline: Settings, enrolled: Walker, tmp_path: Path) -> None:
    """Unknown before enrolment, named after it; a consumer that is killed and started again goes on where it was."""
    with Subscriber(pipeline, "my-service", tmp_path / "first.log") as subscriber:
        await until(lambda: any(line.startswith("ada-phone: unknown") for line in subscriber.lines()), what="unknown before enrolment")
        await asyncio.to_thread(publish, pipeline, "ada-phone", walk_of(enrolled, session=0))
        await until(lambda: any(line.startswith("ada-phone: Ada") for line in subscriber.lines()), what="named after enrolment")
        seen = subscriber.lines()
    await asyncio.to_thread(publish, pipeline, "other-phone", walk_of(Walker(50), session=0))
    with Subscriber(pipeline, "my-service", tmp_path / "second.log") as subscriber:
        await until(lambda: any(line.startswith("other-phone: ") for line in subscriber.lines()), what="events of the other phone")

        async def all_seen() -> bool:
            return {line.rsplit(" ", 1)[1] for line in seen + subscriber.lines()} >= set(await header_ids(pipeline, IDENTITY_EVENTS.name))

        await until(all_seen, what="every event seen")
        repeated = {line.rsplit(" ", 1)[1] for line in seen} & {line.rsplit(" ", 1)[1] for line in subscriber.lines()}
    assert len(repeated) <= 1, "only the event whose commit the kill preceded may come again"
