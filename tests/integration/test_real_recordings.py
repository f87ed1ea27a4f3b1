"""Real walks through the live pipeline, by the command line alone: enrolled people are named, strangers are not, and the evaluation agrees.

The evaluation is told at which grid index the recordings were pushed, so it cuts at the same phase: same windows, vectors and figures.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from models.data.loading import load_recordings
from models.data.recordings import Recording
from models.evaluation.embedded import EmbeddedRecording, embed_recordings
from models.evaluation.identification import evaluate_identification
from models.matching.vectors import leading
from models.registry import load_embedder, load_extractor
from models.types import GRID_STEP_NS, Float32
from streams.clients import read_partitions
from streams.messages import EmbeddingRecord
from streams.provision import ensure_topics
from streams.settings import Settings
from streams.topics import EMBEDDINGS, IDENTITY_EVENTS
from tests.support.brokers import BrokerProcess
from tests.support.pipeline import START_NS, WorkerProcess, until

pytestmark = pytest.mark.data

PEOPLE = "13-18"
ENROL, PROBE = "trial=7", "trial=8,15"
FIRST_INDEX = START_NS // GRID_STEP_NS + 17
"""Anything but a multiple of the block length of 64: a live device's grid begins with its second sample (a grid value lies between two),
which would cost one block there."""

PUSHED_NS = FIRST_INDEX * GRID_STEP_NS
STRANGERS = 2

MOST_STRANGER_SHARE = 0.2
"""Of a stranger's events that may name somebody.  Thresholds aim at 1 % of people, but two strangers' neighbouring windows are no
independent draws: one unlucky bout is a share."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Walked:
    """What the pipeline has made of the recordings."""

    recordings: dict[str, Recording]  # by device
    enrolled: list[str]
    replies: dict[str, Json]
    embeddings: dict[str, list[EmbeddingRecord]]  # by device, in order of time
    events: list[Json]


def gaitstream(settings: Settings, *arguments: object) -> str:
    """Run the command line in a process of its own; what it printed."""
    command = [sys.executable, "-m", "workers.cli", "--bootstrap", settings.bootstrap, *map(str, arguments)]
    done = subprocess.run(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, f"{' '.join(map(str, arguments))}\n{done.stderr}"
    return done.stdout


async def embeddings_by_device(settings: Settings) -> dict[str, list[EmbeddingRecord]]:
    found: dict[str, list[EmbeddingRecord]] = defaultdict(list)
    async for record in read_partitions(settings, EMBEDDINGS.name):
        found[record.key.decode()].append(EmbeddingRecord.from_bytes(record.value))
    return {device: sorted(rows, key=lambda row: row.start_ns) for device, rows in found.items()}


async def until_decided(settings: Settings, windows: int) -> None:
    """Wait until every window has its identity event."""

    async def decided() -> bool:
        return len([None async for _ in read_partitions(settings, IDENTITY_EVENTS.name)]) >= windows

    await until(decided, 90, f"{windows} identity events")


@pytest.fixture(scope="module")
def evaluated(data_dir: Path) -> dict[str, EmbeddedRecording]:
    """What the evaluation makes of the same recordings at the same grid phase, by device."""
    recordings = [r for where in (ENROL, PROBE) for r in load_recordings(data_dir / "imu" / "motionsense.npz", people=PEOPLE, where=where)]
    rows = embed_recordings(load_extractor("default"), load_embedder("default"), recordings, FIRST_INDEX)
    return {f"{row.recording.subject}-{row.recording.name}": row for row in rows}


@pytest.fixture(scope="module")
def walked(data_dir: Path, evaluated: dict[str, EmbeddedRecording], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Walked]:
    """One run of the whole pipeline: walk, enrol, walk again, watch."""
    folder = tmp_path_factory.mktemp("real")
    file = data_dir / "imu" / "motionsense.npz"
    recordings = {device: row.recording for device, row in evaluated.items()}
    windows = {trial: sum(len(r.starts_W) for r in evaluated.values() if r.recording.trial == trial) for trial in ("7", "8", "15")}
    people = sorted({recording.subject for recording in recordings.values()})
    enrolled = people[:-STRANGERS]
    first = {r.subject: device for device, r in recordings.items() if r.trial == "7"}
    with BrokerProcess("embedded", folder / "broker") as broker:
        settings = Settings(bootstrap=broker.bootstrap)
        asyncio.run(ensure_topics(settings))
        workers = [WorkerProcess(role, settings, folder, GAITSTREAM_DATA_DIR=str(folder)) for role in ("inertial", "identity", "control")]
        try:
            for worker in workers:
                worker.start()
            for worker in workers:
                asyncio.run(until(worker.is_ready, 60, f"{worker.role} that is ready"))
            push = ("push", "imu", file, "--people", PEOPLE, "--speed", "max", "--start-ns", PUSHED_NS, "--where")
            gaitstream(settings, *push, ENROL)
            asyncio.run(until_decided(settings, windows["7"]))

            def enrol(person: str) -> Json:
                stretch = ("--from", PUSHED_NS, "--to", PUSHED_NS + int(recordings[first[person]].duration_s * 1e9))
                reply: Json = json.loads(gaitstream(settings, "enrol", person, "--device", first[person], *stretch, "--json"))
                return reply

            with ThreadPoolExecutor(2) as pool:
                replies = dict(zip(enrolled, pool.map(enrol, enrolled), strict=True))
            gaitstream(settings, *push, PROBE)
            asyncio.run(until_decided(settings, sum(windows.values())))
            events = [
                json.loads(line) for line in gaitstream(settings, "watch", "--from", "beginning", "--seconds", 1, "--json").splitlines()
            ]
            embeddings = asyncio.run(embeddings_by_device(settings))
        finally:
            for worker in workers:
                worker.kill()
    yield Walked(recordings, enrolled, replies, embeddings, events)


def test_enrolled_people_are_named_and_strangers_are_not(walked: Walked) -> None:
    probes = [e for e in walked.events if walked.recordings[e["stream_key"]].trial != "7"]
    names: dict[str, Counter[str]] = defaultdict(Counter)
    for event in probes:
        names[walked.recordings[event["stream_key"]].subject][event["subject"] or event["decision"]] += 1
    shares = {person: {name: round(n / count.total(), 3) for name, n in count.most_common()} for person, count in sorted(names.items())}
    print("\nshares of events by person:", json.dumps(shares, indent=1))
    rightly = []
    for person in walked.enrolled:
        known = {name: n for name, n in names[person].items() if name in walked.enrolled}
        if known.get(person, 0) > sum(known.values()) / 2:
            rightly.append(person)
    assert len(rightly) >= len(walked.enrolled) - 1, shares
    for person in shares.keys() - set(walked.enrolled):
        named = sum(n for name, n in names[person].items() if name in walked.enrolled) / names[person].total()
        assert named <= MOST_STRANGER_SHARE, shares


def test_before_anybody_is_enrolled_nobody_is_named(walked: Walked) -> None:
    before = [e for e in walked.events if walked.recordings[e["stream_key"]].trial == "7"]
    assert before and {(e["decision"], e["enrolled"]) for e in before} <= {("unknown", 0), ("undecided", 0)}


def test_every_window_is_answered_once(walked: Walked) -> None:
    windows = {record.id for records in walked.embeddings.values() for record in records}
    assert len(windows) == sum(map(len, walked.embeddings.values())), "an embedding twice"
    assert len({event["id"] for event in walked.events}) == len(walked.events) == len(windows)


def test_templates_come_from_the_walk_that_was_named(walked: Walked) -> None:
    for person in walked.enrolled:
        reply = walked.replies[person]
        (device,) = [d for d, r in walked.recordings.items() if r.subject == person and r.trial == "7"]
        assert 10 <= reply["windows"] <= len(walked.embeddings[device])


def test_the_evaluation_cuts_and_embeds_alike(walked: Walked, evaluated: dict[str, EmbeddedRecording]) -> None:
    assert walked.embeddings.keys() == {device for device, row in evaluated.items() if len(row.starts_W)}
    for device, records in walked.embeddings.items():
        row = evaluated[device]
        assert [record.start_ns for record in records] == (row.starts_W * GRID_STEP_NS).tolist(), device
        live_WM = leading(np.stack([record.vector for record in records]), row.vector_WD.shape[1])
        cosine_W = np.sum(live_WM.astype(np.float64) * row.vector_WD, axis=1)
        assert cosine_W.min() >= 1 - 1e-4, device
        np.testing.assert_allclose([record.quality for record in records], row.quality_W, atol=1e-3, err_msg=device)


def test_the_evaluation_gives_the_figures_of_the_live_vectors(walked: Walked) -> None:
    """Rank-1 by the plain definition, from what lies in `gait.embeddings`, against what `gaitstream evaluate` computes."""
    recordings = list(walked.recordings.values())
    enrol, probe = [r for r in recordings if r.trial == "7"], [r for r in recordings if r.trial != "7"]
    report = evaluate_identification(load_extractor("default"), load_embedder("default"), enrol, probe, FIRST_INDEX).to_json()
    people = sorted({recording.subject for recording in recordings})
    template_PD = np.stack([unit(vectors(walked, person, ("7",)).mean(axis=0)) for person in people])
    right = [
        int(np.argmax(template_PD @ vector_D)) == index
        for index, person in enumerate(people)
        for vector_D in vectors(walked, person, ("8", "15"))
    ]
    assert report["counts"]["probes_1"] == len(right)
    # One window within the rounding error of two people may fall to either side.
    assert abs(report["figures"]["rank1_1"]["value"] - np.mean(right)) <= 1 / len(right)


def vectors(walked: Walked, person: str, trials: tuple[str, ...]) -> Float32:
    """(N, M) live embeddings of a person's recordings of these trials, as they are compared."""
    devices = [d for d, r in walked.recordings.items() if r.subject == person and r.trial in trials]
    live_ND = np.stack([record.vector for device in devices for record in walked.embeddings[device]])
    return leading(live_ND, load_embedder("default").matched_dim)


def unit(vector_D: Float32) -> Float32:
    return vector_D / np.linalg.norm(vector_D)
