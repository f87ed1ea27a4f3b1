"""KTH through the live path: what counts as right, wrong, unknown, undecided; the path itself is compared in `tests/integration/test_kth_camera.py`."""

import numpy as np
import pytest

from models.evaluation import kth_live
from models.evaluation.kth_live import Passage, Vectors, identify, markdown, passages, tasks
from models.pose.blazepose import Pose
from models.pose.sequences import HOP_NS
from models.registry import load_camera_embedder
from tests.models.pose.test_sequences import box_of, walker
from workers.camera import view
from workers.sources.camera_jpeg import JpegEncoder


@pytest.fixture(scope="module")
def embedder():
    return load_camera_embedder("gait-camera")


def passage(person: str, scenario: int = 1, track: str = "t", windows: int = 1) -> Passage:
    return Passage(person, scenario, track, 0, 20, (None,) * windows)  # type: ignore[arg-type]


@pytest.fixture
def vectors(monkeypatch, embedder):
    """Every passage's windows are the unit vector that its person has here; None where it has no windows."""
    of: dict[str, np.ndarray] = {}

    def embedded(passage, _):
        if not passage.windows:
            return None
        count = len(passage.windows)
        start_ns_W = np.arange(count, dtype=np.int64) * HOP_NS
        return Vectors(np.repeat(of[passage.track][None], count, axis=0), np.ones(count, np.float32), start_ns_W)

    monkeypatch.setattr(kth_live, "embedded", embedded)

    def put(track: str, *cosines: float) -> None:
        """A vector with these cosines to the first axes."""
        row = np.zeros(embedder.dim, np.float32)
        row[: len(cosines)] = cosines
        row[-1] = np.sqrt(max(0.0, 1.0 - float((row**2).sum())))
        of[track] = row

    put("a", 1.0)
    put("b", 0.0, 1.0)
    return put


ROWS = [
    ((1.0,), 3, "right"),  # the same walk again
    ((0.0, 1.0), 3, "wrong"),  # a's pass that looks like b
    ((0.0, 0.0), 3, "unknown"),  # like nobody
    ((1.0,), 2, "undecided"),  # too few windows to say so
    ((1.0,), 0, "no window"),  # too short for one
]


@pytest.mark.parametrize(("cosines", "windows", "word"), ROWS)
def test_a_pass_is_counted_once(vectors, embedder, cosines, windows, word):
    vectors("probe", *cosines)
    enrol = [passage("p1", track="a"), passage("p2", track="b")]
    found = identify("task", enrol, [passage("p1", track="probe", windows=windows)], embedder, 3)
    assert found.words == dict.fromkeys(kth_live.WORDS, 0) | {word: 1}
    assert (found.people, found.passes) == (2, 1)
    assert found.rank1 == pytest.approx(float(word in ("right", "undecided")), nan_ok=True) or word in ("unknown", "no window")


def test_a_stranger_who_is_named_is_counted(vectors, embedder):
    vectors("probe", 0.0, 1.0)  # p1 looks like p2: wrong, and also named when p1 is not enrolled
    found = identify("t", [passage("p1", track="a"), passage("p2", track="b")], [passage("p1", track="probe", windows=3)], embedder, 3)
    assert found.stranger_named == 1
    alone = identify("t", [passage("p1", track="a")], [passage("p1", track="a", windows=3), passage("p9", track="b")], embedder, 3)
    assert (alone.passes, alone.stranger_named) == (1, 0), "who is not enrolled is not looked for"
    assert "| t | 3 | 1 | 1 |" in markdown([passage("p1")], [alone])


def test_tasks_enrol_the_first_two_passes():
    found = [passage(person, scenario, f"{person}{scenario}{n}") for scenario in (1, 3, 4) for person in ("p1", "p2") for n in range(4)]
    by_name = {name: (enrol, probe) for name, enrol, probe in tasks(found)}
    enrol, probe = by_name["d1 passes 1-2 → d1 later"]
    assert [p.track for p in enrol] == ["p110", "p111", "p210", "p211"] and [p.track for p in probe] == ["p112", "p113", "p212", "p213"]
    enrol, probe = by_name["d1 → d4"]
    assert (len(enrol), len(probe), {p.scenario for p in probe}) == (8, 8, {4})


def test_tracks_that_never_became_sure_are_nobody():
    def seen(track: str, pictures: int, sure_from: int) -> list[kth_live.Observed]:
        found = []
        for n in range(pictures):
            joints = walker(n * 0.08)
            pose = Pose(joints, 0.95, None, np.array([[1.0, 0, 0], [0, 1.0, 0]]))
            found.append(kth_live.Observed(track, kth_live.BEGIN_NS + n * 80_000_000, pose, box_of(joints), 0.95, n >= sure_from))
        return found

    found = passages([*seen("long", 40, 2), *seen("ghost", 2, 2), *seen("short", 15, 2)], "p1", 1)
    assert [(p.track, p.pictures, len(p.windows) > 0) for p in found] == [("long", 40, True), ("short", 15, False)]


def test_constants_are_those_of_the_workers():
    assert kth_live.LEAST_WALKING == view.LEAST_WALKING
    assert JpegEncoder("c", "s").quality == kth_live.JPEG_QUALITY
