"""A site's own space, from the enrolled people to the identity worker: learnt from some, better for others, gone with its file."""

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from aiokafka import ConsumerRecord, TopicPartition
from numpy.typing import NDArray

from models.data.loading import load_recordings
from models.matching.vectors import leading
from models.registry import load_embedder
from models.training.scoring import walking_windows
from models.types import Float32
from streams.errors import Misconfigured
from streams.messages import EmbeddingRecord, GaitSample, IdentityEvent, Template
from streams.settings import Settings
from streams.topics import EMBEDDINGS, IDENTITY_EVENTS, SAMPLES_INERTIAL
from workers.control.site import measure_site
from workers.identity.worker import IdentityWorker
from workers.processor import Incoming

pytestmark = pytest.mark.data

AT = TopicPartition(SAMPLES_INERTIAL.name, 0)
SITE_PEOPLE = 14
WALK = 8
"""Windows of a walk that is enrolled."""


def template(subject: str, walk_WD: Float32, number: int, space: str) -> Template:
    mean = walk_WD.mean(axis=0)
    return Template(
        subject=subject, template_id=str(number), space=space, vector=(mean / np.linalg.norm(mean)).astype(np.float32), quality=1.0,
        windows=len(walk_WD), stream_key=subject, from_ns=0, to_ns=1, enrolled_ns=1,
    )  # fmt: skip


@pytest.fixture(scope="module")
def walks(data_dir: Path) -> dict[str, list[NDArray[np.float32]]]:
    """Windows of level walking of people, and with a device, that the networks never saw: by person, by walk."""
    found: dict[str, list[NDArray[np.float32]]] = defaultdict(list)
    for recording in load_recordings(data_dir / "imu" / "hapt.npz"):
        windows = walking_windows(recording)
        found[recording.subject] += [windows[i : i + WALK] for i in range(0, len(windows) - WALK + 1, WALK)]
    return {name: own for name, own in sorted(found.items()) if len(own) >= 2}


def events_of(worker: IdentityWorker, walk: NDArray[np.float32]) -> tuple[list[IdentityEvent], set[str]]:
    """Events of a walk, and the spaces of its embeddings."""
    worker.forget(AT)
    messages = []
    for i, window in enumerate(walk):
        start_ns = 1_800_000_000_000_000_000 + i * 1_280_000_000
        sample = GaitSample(
            id=f"s{i}", stream_key="phone", session="s", start_ns=start_ns, end_ns=start_ns + 2_560_000_000, cut="fixed-128", samples=window,
            walking=1.0, step_rate_hz=1.8, regularity=0.9, bout_id="b", bout_start_ns=start_ns, bout_steps=1.0, received_ns=start_ns,
        ).to_bytes()  # fmt: skip
        record = ConsumerRecord(AT.topic, 0, i, 1_800_000_000_000, 0, b"phone", sample, 0, 0, len(sample), ())
        messages.append(Incoming(AT, record, worker.decode(record)))
    outputs = worker.process(messages).outputs

    spaces = {EmbeddingRecord.from_bytes(o.value).space for o in outputs if o.topic == EMBEDDINGS.name}
    return [IdentityEvent.from_bytes(o.value) for o in outputs if o.topic == IDENTITY_EVENTS.name], spaces


def test_a_site_adapts_and_goes_back(walks: dict[str, list[NDArray[np.float32]]], tmp_path: Path) -> None:
    embedder = load_embedder()
    embedded = {name: [embedder.embed(walk)[0] for walk in own] for name, own in walks.items()}
    names = list(embedded)
    site_people, others = names[:SITE_PEOPLE], names[SITE_PEOPLE:]
    templates = [template(name, walk, i, embedder.space) for name in site_people for i, walk in enumerate(embedded[name])]
    site = measure_site(templates, {name: embedded[name] for name in site_people}, embedder.space, embedder.matched_dim)
    transform, calibration = site.transform(), site.calibration()
    assert transform is not None and calibration is not None and site.own is not None
    assert calibration.people == SITE_PEOPLE and set(calibration.windows) >= {1, 4}
    assert all(after < before for before, after in site.own.eer.values()), "cross-fitted people are told apart better"

    # People who did not teach it: the next walk against the first ones.
    assert len(others) >= 5
    ranks = {}
    for kind, apply in (("shipped", lambda rows: leading(rows, embedder.matched_dim)), ("site", transform.apply)):
        centres = np.stack([apply(embedded[name][0].mean(0)[None] / np.linalg.norm(embedded[name][0].mean(0)))[0] for name in others])
        right = [names_i == int(np.argmax(centres @ apply(walk).mean(0))) for names_i, n in enumerate(others) for walk in embedded[n][1:]]
        ranks[kind] = float(np.mean(right))
    assert ranks["site"] >= ranks["shipped"]

    # The worker: same embeddings, same templates, another space of decisions.
    file = tmp_path / "site.json"
    file.write_text(site.model_dump_json())
    found = {}
    for kind, settings in (("site", Settings(site_calibration=file)), ("shipped", Settings())):
        worker = IdentityWorker(settings)
        worker.load()
        for offset, t in enumerate(templates):
            if t.template_id != str(len(embedded[t.subject]) - 1):  # the last walk probes
                worker.feed.changes.put((offset, t.subject, t.template_id, t))
        events, spaces = events_of(worker, walks[site_people[0]][-1])
        assert spaces == {embedder.space}, "embeddings stay in the network's space: enrolments outlive a calibration"
        found[kind] = events
    assert {event.space for event in found["site"]} == {transform.adapted_space}
    assert {event.space for event in found["shipped"]} == {embedder.space}
    assert not {event.id for event in found["site"]} & {event.id for event in found["shipped"]}
    expected = transform.apply(embedded[site_people[0]][-1]).mean(0)
    centres = transform.apply(np.stack([t.vector for t in templates if t.template_id != str(len(embedded[t.subject]) - 1)]))
    assert found["site"][-1].score == pytest.approx(float((centres @ (expected / np.linalg.norm(expected))).max()), abs=0.02)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("{}", "cannot be used"),  # nothing in it
        ('{"space": "other@1", "mean": 0.1, "upper": 0.3, "people": 9, "made_ns": 1}', "calibrate again"),  # of another network
    ],
)
def test_a_wrong_file_is_refused(content: str, says: str, tmp_path: Path) -> None:
    file = tmp_path / "site.json"
    file.write_text(content)
    with pytest.raises(Misconfigured, match=says):
        IdentityWorker(Settings(site_calibration=file)).load()
