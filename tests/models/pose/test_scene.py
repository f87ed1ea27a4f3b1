"""One camera's state: restarts at reset points, the gate, people who stand, duplicates; and real clips against what is known of them."""

from pathlib import Path

import numpy as np
import pytest

from models.pose.boxes import iou
from models.pose.scene import DETECTOR_EVERY, LONGEST_NS, CameraScene, Look
from models.simulation.camera_view import Camera
from models.simulation.scene import Scene
from models.simulation.scene_actors import Passage
from models.simulation.walker import Walker
from models.types import CAMERA_STEP_NS
from tests.models.pose.conftest import read_clip

VIDEO_STEP_NS = 40_000_000
"""KTH has 25 pictures a second."""
BEGIN_NS = 1_000_000_000


class Counted:
    """A network that counts how often it runs."""

    def __init__(self, network) -> None:
        self.network, self.name, self.calls = network, network.name, 0

    def detect(self, image):
        self.calls += 1
        return self.network.detect(image)

    def pose(self, image, box):
        self.calls += 1
        return self.network.pose(image, box)


def told(look: Look) -> tuple:
    """What a look says, comparable."""
    people = [(s.name, s.track, s.sure, s.score, s.box_4.tolist(), s.pose.keypoints_J3.tolist()) for s in look.seen]
    return look.time_ns, people, look.ended, look.reset, look.gated


@pytest.fixture(scope="module")
def passage() -> list[tuple[int, np.ndarray]]:
    """Somebody walks through the middle of the view, is gone, and comes once more: small pictures, irregular times."""
    camera = Camera(width_px=320, height_px=240, focal_px=260.0, position_m=(0.0, -5.0, 2.2))
    way = {"start_m": (-1.6, 0.0), "heading_rad": 0.0, "duration_s": 1.8}
    people = [Passage(Walker(41), begin_ns=ns, name=f"p{n}", **way) for n, ns in enumerate((400_000_000, 4_600_000_000))]
    scene, jitter = Scene(people, camera, seed=5), np.random.default_rng(5).integers(-12, 12, 90)
    times_ns = [BEGIN_NS + n * CAMERA_STEP_NS + int(ms) * 1_000_000 for n, ms in enumerate(jitter)]
    return [(time_ns, scene.frame(time_ns - BEGIN_NS).image_HW3) for time_ns in times_ns]


def test_a_restart_at_a_reset_point_tells_the_same(detector, pose_network, passage):
    first = CameraScene(detector, pose_network)
    looks, needed = [], []
    for time_ns, image in passage:
        looks.append(first.look(image, time_ns))
        needed.append(first.needed_since_ns())
    resets = [look.time_ns for look in looks if look.reset]
    assert len(resets) >= 2 and resets[0] == passage[0][0] and sorted(set(needed)) == resets
    names = {s.name for look in looks for s in look.seen if s.sure}
    assert len(names) == 2 and names <= {name for look in looks for name in look.ended} | set(first.end().ended)

    second = CameraScene(detector, pose_network)
    again = [second.look(image, time_ns) for time_ns, image in passage if time_ns >= resets[1]]
    assert [told(look) for look in again] == [told(look) for look in looks if look.time_ns >= resets[1]]


def test_networks_rest_while_nothing_moves(detector, pose_network, passage):
    counted = Counted(detector), Counted(pose_network)
    scene = CameraScene(*counted)
    empty = passage[0][1]
    looks = [scene.look(empty, BEGIN_NS + n * CAMERA_STEP_NS) for n in range(20)]
    assert [look.gated for look in looks] == [False] + [True] * 19
    assert (counted[0].calls, counted[1].calls) == (1, 0)


def test_somebody_who_stands_still_is_kept_and_cut_after_half_a_minute(detector, pose_network, passage):
    standing = passage[16][1]
    scene = CameraScene(detector, pose_network)
    step_ns = 400_000_000  # slow, so that half a minute is 75 pictures
    looks = [scene.look(standing, BEGIN_NS + n * step_ns) for n in range(80)]
    assert all(len(look.seen) == 1 for look in looks)
    cut = [n for n, look in enumerate(looks) if look.reset]
    assert cut == [0, LONGEST_NS // step_ns]
    assert looks[cut[1]].ended == [looks[0].seen[0].name] and looks[cut[1]].seen[0].name != looks[0].seen[0].name


@pytest.mark.parametrize(
    ("moves_from", "looks"),
    [
        (99, 1),  # the first picture: then the one person followed explains all that moves
        (5, 1 + 2),  # something moves elsewhere: numbers 6 and 9, too
    ],
)
def test_the_detector_looks_for_what_nobody_followed_explains(detector, pose_network, passage, moves_from, looks):
    counted = Counted(detector), Counted(pose_network)
    scene = CameraScene(*counted)
    for n, (time_ns, image) in enumerate(passage[12:24]):
        picture = image.copy()
        if n >= moves_from:
            picture[:40, :40] = picture[:40, -40:] = 255 * (n // DETECTOR_EVERY % 2)
        scene.look(picture, time_ns)
    assert counted[0].calls == looks
    assert counted[1].calls == 12  # one person


def test_without_a_detector_motion_finds_people(pose_network, passage):
    scene = CameraScene(None, pose_network)
    names = {s.name for time_ns, image in passage[:30] for s in scene.look(image, time_ns).seen if s.sure}
    assert len(names) == 1


def test_times_and_ends(detector, pose_network, passage):
    scene = CameraScene(detector, pose_network)
    image = passage[16][1]
    assert scene.wants(BEGIN_NS)
    name = scene.look(image, BEGIN_NS).seen[0].name
    assert name == f"{BEGIN_NS // 1_000_000}-0"
    assert not scene.wants(BEGIN_NS + VIDEO_STEP_NS) and scene.wants(BEGIN_NS + 50_000_000)
    with pytest.raises(ValueError, match="increasing"):
        scene.look(image, BEGIN_NS)
    other_size = scene.look(np.ascontiguousarray(image[:200]), BEGIN_NS + CAMERA_STEP_NS)
    assert other_size.reset and other_size.ended == [name]
    assert scene.end().ended == [s.name for s in other_size.seen] and scene.end().ended == []
    assert scene.look(image, BEGIN_NS // 2).reset  # a new session may have an earlier clock


@pytest.mark.data
@pytest.mark.parametrize(
    ("person", "scenario"),
    [
        (1, 1),  # outdoors
        (4, 4),  # indoors
    ],
)
def test_real_video_is_followed(detector, pose_network, data_dir: Path, person, scenario):
    """The first pass of a clip: one track, boxes that overlap those of the data set, joints within a tenth of the person's height."""
    known = np.load(data_dir / "vision" / "kth_pose.npz")
    n = int(np.flatnonzero((known["subject"] == person) & (known["scenario"] == scenario))[0])
    rows = range(int(known["start"][n]), int(known["start"][n] + known["length"][n]))
    row_of = {int(known["frame"][row]): row for row in rows}
    clip = read_clip(data_dir, person, scenario)
    scene = CameraScene(detector, pose_network)
    overlaps, near, names = [], [], []
    for frame in range(max(0, min(row_of) - 12), max(row_of) + 1):
        time_ns = BEGIN_NS + frame * VIDEO_STEP_NS
        if not scene.wants(time_ns):
            continue
        look = scene.look(clip[frame], time_ns)
        if frame not in row_of:
            continue
        x, y, width, height = known["box"][row_of[frame]].astype(float)
        truth_4 = np.array([x, y, x + width, y + height])
        best = max(look.seen, key=lambda s: float(iou(s.box_4[None], truth_4[None])[0, 0]), default=None)
        overlaps.append(0.0 if best is None else float(iou(best.box_4[None], truth_4[None])[0, 0]))
        if best is not None:
            names.append(best.name)
            error_J = np.linalg.norm(best.pose.keypoints_J3[:, :2] - known["keypoints"][row_of[frame]][:, :2], axis=1)
            near.append(error_J.mean() <= 0.1 * height)
    assert len(overlaps) > 15 and np.mean(np.array(overlaps) > 0.5) >= 0.9, np.round(overlaps, 2)
    assert np.sum(near) >= 0.9 * len(overlaps)
    assert len(set(names)) == 1
