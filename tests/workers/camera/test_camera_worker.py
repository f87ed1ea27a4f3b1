"""The camera worker: same pictures, same tracks and samples, however batched or resumed; a camera that is too fast or too slow."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pytest
from aiokafka import TopicPartition

from streams import metrics
from streams.messages import CameraFrame, CameraSample, PeopleSeen, WalkingEvent
from streams.topics import CAMERA_PEOPLE, SAMPLES_CAMERA, WALKING_EVENTS
from tests.support.fetched import require_networks
from tests.support.filming import AT, camera_worker, film, frame_of, incoming_frames, undisturbed_camera
from tests.support.pipeline import START_NS, ordered_ids
from workers.camera.worker import CameraWorker, thin
from workers.processor import Output


@pytest.fixture(scope="module", autouse=True)
def networks() -> None:
    require_networks()


@pytest.fixture(scope="module")
def frames() -> list[CameraFrame]:
    """Two cameras side by side: one person, and two who cross."""
    both = [*film(1, 14.0, seed=1, camera_id="one"), *film(2, 14.0, seed=2, camera_id="two")]
    return sorted(both, key=lambda frame: (frame.time_ns, frame.camera_id))


@pytest.fixture(scope="module")
def expected(frames: list[CameraFrame]) -> list[Output]:
    return undisturbed_camera(frames)


@pytest.fixture
def worker() -> Iterator[CameraWorker]:
    return camera_worker()


def in_batches(worker: CameraWorker, frames: Sequence[CameraFrame], sizes: Sequence[int], first_offset: int = 0) -> list[Output]:
    messages = incoming_frames(worker, frames, first_offset)
    outputs, at, n = [], 0, 0
    while at < len(messages):
        outputs += worker.process(messages[at : at + sizes[n % len(sizes)]]).outputs
        at, n = at + sizes[n % len(sizes)], n + 1
    return outputs


def test_people_are_followed_and_cut(expected: list[Output]) -> None:
    samples = [CameraSample.from_bytes(o.value) for o in expected if o.topic == SAMPLES_CAMERA.name]
    assert {sample.camera_id for sample in samples} == {"one", "two"}
    for sample in samples:
        assert sample.keypoints.shape == (32, 17, 3) and sample.start_ns % 640_000_000 == 0
        masks = np.unpackbits(np.frombuffer(sample.silhouettes, np.uint8)).reshape(32, 64, 44)
        assert masks.any(axis=(1, 2)).mean() > 0.6, "silhouettes of most moments"
    people = [PeopleSeen.from_bytes(o.value) for o in expected if o.topic == CAMERA_PEOPLE.name]
    assert max(len(p.people) for p in people if p.camera_id == "two") == 2
    walks = [WalkingEvent.from_bytes(o.value) for o in expected if o.topic == WALKING_EVENTS.name]
    assert [w.kind for w in walks].count("began") == [w.kind for w in walks].count("ended") > 0
    assert {w.stream_key for w in walks} == {s.stream_key for s in samples}


@pytest.mark.parametrize("sizes", [[1], [7, 2], [50, 1, 13]])
def test_batches_change_nothing(worker: CameraWorker, frames: list[CameraFrame], expected: list[Output], sizes: list[int]) -> None:
    outputs = in_batches(worker, frames, sizes) + worker.tick(AT, 2**62).outputs
    assert ordered_ids(outputs) == ordered_ids(expected)
    values = {o.id: o.value for o in expected}
    assert all(o.value == values[o.id] for o in outputs), "not only the ids: every byte"


@pytest.mark.parametrize("share", [0.3, 0.8])
def test_a_successor_goes_on_exactly(frames: list[CameraFrame], expected: list[Output], share: float) -> None:
    """It reads from the last reset points on; what the first had written already comes again with the same ids."""
    cut = round(share * len(frames))
    first, second = camera_worker(), camera_worker()
    before = in_batches(first, frames[:cut], [11])
    hold = first.hold(AT)
    assert hold is not None and hold <= cut
    second.begin(AT, first.begins(AT), cut)
    messages = incoming_frames(second, frames)[hold:]
    again = second.process(messages[: cut - hold]).outputs
    written = {o.id for o in before}
    assert {o.id for o in again} <= written, "rebuilding the state invents nothing"
    after = second.process(messages[cut - hold :]).outputs + second.tick(AT, 2**62).outputs
    assert not written & {o.id for o in after}
    assert sorted([*written, *(o.id for o in after)]) == sorted(o.id for o in expected)


def test_an_empty_view_holds_nothing_back(worker: CameraWorker) -> None:
    nobody = np.full((120, 160, 3), 90, np.uint8)
    frames = [frame_of("c", n, START_NS + n * 80_000_000, nobody) for n in range(450)]
    assert in_batches(worker, frames, [10]) == []
    hold = worker.hold(AT)
    assert hold is not None and hold >= 450 - 376, "no more than half a minute"


def test_late_fast_and_resized_pictures(worker: CameraWorker) -> None:
    base = np.full((120, 160, 3), 90, np.uint8)
    frames = [
        frame_of("c", 0, START_NS, base),
        frame_of("c", 1, START_NS + 10_000_000, base),  # faster than the grid needs: not looked at
        frame_of("c", 2, START_NS + 80_000_000, base),
        frame_of("c", 3, START_NS + 40_000_000, base),  # earlier than the last: repeated or out of order
        frame_of("c", 4, START_NS + 160_000_000, np.full((60, 80, 3), 90, np.uint8)),  # another size: begins anew
        frame_of("c", 5, START_NS, base, session="another"),  # the clock was set back: another session
    ]
    outcome = worker.process(incoming_frames(worker, frames))
    assert (outcome.letters, outcome.repeated.total()) == ([], 1)


def test_a_bad_picture_is_answered_and_the_next_is_used(worker: CameraWorker) -> None:
    good = film(1, 2.0, seed=1, camera_id="one")
    bad = good[5].model_copy(update={"jpeg": good[5].jpeg[:200]})  # type: ignore[index]
    outcome = worker.process(incoming_frames(worker, [*good[:5], bad, *good[6:]]))
    assert [(i.record.offset, e.why) for i, e in outcome.letters] == [(5, "picture_cut")]


ROWS = [
    (0.5, 0, 100),  # in time: everything
    (2.5, 0, 50),  # late: every second
    (9.0, 0, 20),  # later: a smaller share
    (9.0, 40, 52),  # pictures read again are all kept, of the other 60 every fifth
]


@pytest.mark.parametrize(("waited_s", "again", "kept"), ROWS)
def test_a_camera_that_is_too_fast_is_thinned_evenly(worker: CameraWorker, waited_s: float, again: int, kept: int) -> None:
    image = np.full((32, 32, 3), 90, np.uint8)
    waiting = incoming_frames(worker, [frame_of("c", n, START_NS + n, image) for n in range(100)])
    for incoming in waiting[:again]:
        incoming.again = True
    now_ns = waiting[again].received_ns + round(waited_s * 1e9)
    chosen = thin(waiting, now_ns, 2.0)
    assert len(chosen) == kept
    assert chosen[-1] is waiting[-1], "the newest always"
    assert thin(waiting, now_ns, 0.0) == waiting, "0 drops nothing"
    gaps = np.diff([i.record.offset for i in chosen[again:]])
    assert len(set(gaps.tolist())) == 1, "evenly"


def test_a_partition_that_is_taken_away_is_forgotten(worker: CameraWorker, frames: list[CameraFrame]) -> None:
    worker.process(incoming_frames(worker, frames[:40]))
    worker.forget(AT)
    assert worker.hold(AT) is None
    assert worker.tick(TopicPartition(AT.topic, 0), 2**62).outputs == []


def heard() -> dict[str, float]:
    """When the cameras of one test were last heard, as Prometheus would read it; other tests leave theirs behind."""
    samples = [sample for metric in metrics.LAST_FRAME.collect() for sample in metric.samples]
    return {sample.labels["camera"]: sample.value for sample in samples if sample.labels["camera"] in ("hall", "yard")}


def test_a_camera_is_heard_while_it_sends_and_its_time_series_goes_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = [*film(1, 0.4, camera_id="hall")[:2], *film(1, 0.4, camera_id="yard")[:2]]
    worker = camera_worker(idle_release_s=15.0)
    now_ns = 1_800_000_000_000_000_000
    monkeypatch.setattr("workers.camera.worker.time.time_ns", lambda: now_ns)
    worker.process(incoming_frames(worker, pictures))
    assert heard() == {"hall": now_ns / 1e9, "yard": now_ns / 1e9}

    now_ns += 10_000_000_000
    again = [
        replace(incoming, again=True) for incoming in incoming_frames(worker, pictures[2:])
    ]  # read again after a restart: no sign of life
    worker.process([*incoming_frames(worker, pictures[:1], first_offset=10), *again])
    assert heard() == {"hall": now_ns / 1e9, "yard": now_ns / 1e9 - 10.0}

    now_ns += 10_000_000_000
    worker.tick(AT, now_ns)
    assert heard() == {"hall": now_ns / 1e9 - 10.0}, "a silent camera must not stay: the recording rule remembers it"
    worker.forget(AT)
    assert heard() == {}, "another worker has the partition now"
