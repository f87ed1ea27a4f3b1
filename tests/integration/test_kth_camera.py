"""Real video through the live pipeline: two KTH clips pushed as cameras; who passed first is enrolled, who passes later is looked for.

What the pipeline gives is compared twice: with `kth_pose.npz`, which another run of networks over the same clips left (boxes, joints), and with
`models.evaluation.kth_live`, which claims to give the same events without a broker.

A pass of these clips takes 1.2 to 2.2 s and gives no, one or two windows.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from models.evaluation.kth_live import FRAME_NS, Passage, Vectors, embedded, gallery_of, observations, passages, template_of
from models.matching import DecisionPolicy
from models.matching.evidence import combine
from models.pose.boxes import iou
from models.registry import load_camera_embedder
from streams import topics
from streams.clients import read_partitions
from streams.messages import EmbeddingRecord, IdentityEvent, PeopleSeen, Template, WalkingEvent
from tests.support.brokers import broker_kinds
from tests.support.fetched import require_networks
from tests.support.identity import publish_gallery
from tests.support.pipeline import START_NS, LocalWorker, until
from workers.camera.picture import picture_of
from workers.camera.worker import CameraWorker
from workers.identity.worker import IdentityWorker
from workers.sources.camera_recorded import Video
from workers.sources.cameras import RecordedCamera, publish

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from models.camera_embedder import CameraEmbedder
    from models.pose.boxes import Image
    from streams.settings import Settings

pytestmark = pytest.mark.data

SPREAD = {topic.name: 3 for topic in topics.CO_PARTITIONED}
LATER_NS = 60_000_000_000
"""The later passes are pushed as if they came a minute after: another session of the same cameras."""
CLIPS = {"person01": ((0, 240), (320, 420)), "person04": ((0, 200), (280, 360))}
"""People of scenario d1: frames with their first two passes, and with the third."""
LEAST_SHARE = 0.9
"""Of the known pictures, in which boxes and joints must agree."""
MOST_APART = 0.1
"""Mean distance of the joints, of the person's height."""
IN_SIGHT = 25
"""Frames before and after a known pass in which the walker is partly in the picture."""


class Part:
    """Frames `begin` to `end` of a video; implements `workers.sources.camera_recorded.Recording`."""

    def __init__(self, video: Video, begin: int, end: int) -> None:
        self._video, self._begin, self.length = video, begin, end - begin
        self.step_ns = video.step_ns
        self.duration_ns = (self.length - 1) * self.step_ns

    def pictures(self) -> Iterator[tuple[int, Image]]:
        part = islice(self._video.pictures(), self._begin, self._begin + self.length)
        return ((number * FRAME_NS, image) for number, (_, image) in enumerate(part))


@dataclass(frozen=True, slots=True)
class Pushed:
    """A part of a clip as a camera. expected: the passages that the evaluation finds in the very pictures."""

    person: str
    first_frame: int
    camera: RecordedCamera
    expected: list[Passage]

    def frame_at(self, time_ns: int) -> int:
        return self.first_frame + (time_ns - self.camera.start_ns) // FRAME_NS


@pytest.fixture(scope="module")
def pushed(data_dir: Path) -> list[list[Pushed]]:
    """Both cameras' first passes, and both cameras' later ones."""
    require_networks()
    parts: list[list[Pushed]] = [[], []]
    for person, ways in CLIPS.items():
        video = Video(data_dir / "vision" / "kth_walk" / f"{person}_walking_d1.avi")
        for which, (begin, end) in enumerate(ways):
            camera = RecordedCamera(person, Part(video, begin, end), START_NS + which * LATER_NS)
            pictures = ((frame.time_ns, picture_of(frame, None)) for frame in camera.frames(lambda time_ns: False))
            parts[which].append(Pushed(person, begin, camera, passages(list(observations(pictures)), person, 1)))
    return parts


@pytest.mark.timeout(600)  # 10 s of computing; the machine may be shared
@pytest.mark.parametrize("partitions", [SPREAD], indirect=True, ids=["3 partitions"])
@pytest.mark.parametrize("broker_kind", broker_kinds())
async def test_people_who_pass_again(settings: Settings, pushed: list[list[Pushed]], data_dir: Path) -> None:
    settings = settings.model_copy(update={"camera_delay_s": 0.0})
    first, later = pushed
    embedder = await asyncio.to_thread(load_camera_embedder, "gait-camera")
    async with LocalWorker(settings, CameraWorker(settings)):
        async with LocalWorker(settings, IdentityWorker(settings)):
            await publish(settings, [part.camera for part in first], speed=None)
            events = await until_decided(settings, first)
        assert {event.decision for event in events} <= {"unknown", "undecided"}, "nobody is enrolled yet"
        enrolled = [(passage, vectors) for part in first for passage in part.expected if (vectors := embedded(passage, embedder))]
        await publish_gallery(settings, await templates_of(settings, enrolled, embedder))
        async with LocalWorker(settings, IdentityWorker(settings)):
            await publish(settings, [part.camera for part in later], speed=None)
            events = (await until_decided(settings, [*first, *later]))[len(events) :]
    people = [PeopleSeen.from_bytes(record.value) async for record in read_partitions(settings, topics.CAMERA_PEOPLE.name)]
    assert_as_known(people, [*first, *later], data_dir)
    walks = [WalkingEvent.from_bytes(record.value) async for record in read_partitions(settings, topics.WALKING_EVENTS.name)]
    assert_one_bout_each(walks, [*first, *later])
    assert_as_evaluated(events, later, enrolled, embedder, settings)
    # The best candidate of a pass's last event, which has all its evidence, is the person who was enrolled from the earlier passes.
    last = {event.stream_key: event for event in events}
    assert len(last) == sum(bool(passage.windows) for part in later for passage in part.expected) >= 2
    assert {key: event.candidates[0]["subject"] for key, event in last.items()} == {key: key.split(":")[0] for key in last}
    assert {event.decision for event in last.values()} == {"known"}, "later passes of the same clip are recognised"


async def until_decided(settings: Settings, parts: Sequence[Pushed]) -> list[IdentityEvent]:
    """Wait for an identity event of every window that the evaluation finds; the events in order of their decisions."""
    wanted = sum(len(passage.windows) for part in parts for passage in part.expected)
    events: list[IdentityEvent] = []

    async def enough() -> bool:
        records = [record async for record in read_partitions(settings, topics.IDENTITY_EVENTS.name)]
        events[:] = sorted((IdentityEvent.from_bytes(record.value) for record in records), key=lambda event: event.start_ns)
        return len(events) >= wanted

    await until(enough, 120, f"{wanted} identity events")
    assert len(events) == wanted
    return events


async def templates_of(settings: Settings, enrolled: Sequence[tuple[Passage, Vectors]], embedder: CameraEmbedder) -> list[Template]:
    """One template per enrolled track, of the embeddings that the pipeline published; they must be the evaluation's."""
    published: dict[str, list[EmbeddingRecord]] = defaultdict(list)
    async for record in read_partitions(settings, topics.EMBEDDINGS.name):
        embedding = EmbeddingRecord.from_bytes(record.value)
        published[embedding.stream_key].append(embedding)
    templates = []
    for n, (passage, vectors) in enumerate(enrolled):
        key = f"{passage.person}:{passage.track}"
        rows = sorted(published.pop(key), key=lambda embedding: embedding.start_ns)
        np.testing.assert_allclose(np.stack([row.vector for row in rows]), vectors.vector_WD, atol=1e-5)
        live = Vectors(np.stack([row.vector for row in rows]), np.array([row.quality for row in rows], np.float32), vectors.start_ns_W)
        templates.append(
            Template(
                subject=passage.person, template_id=str(n), modality="camera", space=embedder.space, vector=template_of(live),
                quality=float(live.quality_W.mean()), windows=len(rows), stream_key=key, from_ns=rows[0].start_ns, to_ns=rows[-1].end_ns,
                enrolled_ns=START_NS,
            )
        )  # fmt: skip
    assert not published, "embeddings of tracks that the evaluation does not know"
    return templates


def assert_as_known(people: Sequence[PeopleSeen], parts: Sequence[Pushed], data_dir: Path) -> None:
    """Boxes overlap, joints agree within a tenth of the height, one track per pass, and nobody is seen where nobody walks."""
    known = np.load(data_dir / "vision" / "kth_pose.npz")
    seen = {(p.camera_id, p.time_ns): p.people for p in people}
    overlaps, near = [], []
    for part in parts:
        mine = (known["subject"] == int(part.person[-2:])) & (known["scenario"] == 1)
        looked_at = {part.frame_at(time_ns): time_ns for camera_id, time_ns in seen if camera_id == part.person}
        looked_at = {frame: t for frame, t in looked_at.items() if 0 <= t - part.camera.start_ns < LATER_NS}
        passes = []
        for n in np.flatnonzero(mine):
            rows = np.arange(known["start"][n], known["start"][n] + known["length"][n])
            frames = known["frame"][rows]
            if not part.first_frame <= frames[0] < part.first_frame + part.camera.recording.length:
                continue
            passes.append((int(frames[0]), int(frames[-1])))
            tracks = set()
            # Every second picture is looked at: the cameras give twice as many as the grid needs.
            for row, frame in zip(rows, frames.tolist(), strict=True):
                if (frame - part.first_frame) % 2:
                    continue
                x, y, width, height = known["box"][row].astype(float)
                found = seen.get((part.person, looked_at.get(frame, -1)), [])
                overlap_P = iou(np.array([[x, y, x + width, y + height]]), np.array([p.box for p in found]).reshape(-1, 4))[0]
                overlaps.append(float(overlap_P.max(initial=0.0)))
                near.append(False)
                if len(found):
                    person = found[int(overlap_P.argmax())]
                    tracks.add(person.track)
                    apart_J = np.linalg.norm(person.keypoints[:, :2] - known["keypoints"][row, :, :2], axis=1)
                    near[-1] = bool(apart_J.mean() <= MOST_APART * height)
            assert len(tracks) == 1, f"{part.person} at frame {frames[0]}: {tracks}"
        assert passes
        strays = [
            frame
            for frame, time_ns in looked_at.items()
            if seen[part.person, time_ns] and not any(a - IN_SIGHT <= frame <= b + IN_SIGHT for a, b in passes)
        ]
        assert not strays, f"{part.person}: somebody is seen in frames {strays}"
        assert max(len(seen[part.person, t]) for t in looked_at.values()) == 1, "one walker, one box"
    assert len(near) >= 100, "pictures with a known walker"
    assert np.mean(np.array(overlaps) >= 0.5) >= LEAST_SHARE
    assert np.mean(near) >= LEAST_SHARE


def assert_one_bout_each(walks: Sequence[WalkingEvent], parts: Sequence[Pushed]) -> None:
    """Every pass that gave a window began and ended once, its steps those of somebody who walks."""
    expected = sorted(f"{part.person}:{passage.track}" for part in parts for passage in part.expected if passage.windows)
    for kind in ("began", "ended"):
        assert sorted(walk.stream_key for walk in walks if walk.kind == kind) == expected
    rates_hz = [walk.step_rate_hz for walk in walks if walk.kind == "ended"]
    assert all(rate_hz == 0.0 or 1.3 <= rate_hz <= 2.5 for rate_hz in rates_hz) and any(rates_hz), rates_hz


def assert_as_evaluated(
    events: Sequence[IdentityEvent],
    parts: Sequence[Pushed],
    enrolled: Sequence[tuple[Passage, Vectors]],
    embedder: CameraEmbedder,
    settings: Settings,
) -> None:
    """Every event has the scores and the decision that the evaluation computes from the same pictures."""
    gallery = gallery_of(enrolled, embedder)
    policy = DecisionPolicy(embedder.calibration, settings.camera_target_fpir, settings.camera_min_windows)
    live = {(event.stream_key, event.start_ns): event for event in events}
    for part in parts:
        for passage in part.expected:
            vectors = embedded(passage, embedder)
            for k in range(len(passage.windows)):
                assert vectors is not None
                so_far = slice(0, k + 1)
                evidence_1D, effective_1 = combine([vectors.vector_WD[so_far]], [vectors.quality_W[so_far]], [vectors.start_ns_W[so_far]])
                matches = gallery.match(evidence_1D, 5)
                decisions = policy.decide(matches, effective_1, [k + 1])
                event = live.pop((f"{part.person}:{passage.track}", int(vectors.start_ns_W[k])))
                assert (event.decision, event.subject) == (decisions.outcome[0], decisions.subject[0])
                assert event.decision == "undecided" or k + 1 >= settings.camera_min_windows
                ours = matches.candidates(0)
                assert [c["subject"] for c in event.candidates] == [name for name, _ in ours]
                assert [c["score"] for c in event.candidates] == pytest.approx([score for _, score in ours], abs=1e-4)
                assert event.camera_id == part.person and event.box is not None
                assert event.direction in ("left", "right"), "all of these walk across the picture"
    assert not live
