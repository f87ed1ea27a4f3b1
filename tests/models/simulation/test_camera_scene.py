"""A camera on simulated people: the truth fits the picture, and the picture fits the phone."""

from itertools import islice

import numpy as np
import pytest

from models.simulation.camera_live import simulated_cameras
from models.simulation.camera_noise import frame_times
from models.simulation.camera_view import Camera
from models.simulation.live import LivePhone
from models.simulation.mesh import sample_shape
from models.simulation.scene import HIDDEN, OUTSIDE, VISIBLE, Scene
from models.simulation.scene_actors import Commuter, EndlessMotion, Passage, Visit
from models.simulation.walker import Walker

CAMERA = Camera()
SECOND_NS = 1_000_000_000
LEFT_ANKLE, RIGHT_ANKLE = 15, 16


def across(seed: int, y_m: float, **more) -> Passage:
    """A walker on a way from left to right, at ``y_m`` in front of the camera at y = -6."""
    arguments = {"begin_ns": 0, "duration_s": 6.0, "start_m": (-3.5, y_m), "heading_rad": 0.0} | more
    return Passage(Walker(seed), **arguments)


def test_the_same_arguments_give_the_same_frame_in_any_order():
    def scene():
        return Scene([Walker(1), Walker(2)], CAMERA, seed=5)

    times = [2 * SECOND_NS, 15 * SECOND_NS, 3 * SECOND_NS]
    one, two = scene(), scene()
    forward = [one.frame(t) for t in times]
    backward = [two.frame(t) for t in reversed(times)][::-1]
    for a, b in zip(forward, backward, strict=True):
        assert np.array_equal(a.image_HW3, b.image_HW3) and np.array_equal(a.joints_P17x3, b.joints_P17x3) and a.people == b.people
    assert not np.array_equal(forward[0].image_HW3, Scene([Walker(1), Walker(2)], CAMERA, seed=6).frame(times[0]).image_HW3)


@pytest.mark.parametrize("seed", range(8))
def test_joints_lie_in_boxes_and_masks(seed):
    """Joints lie inside the body: those in the picture on the person's full mask, visible ones on its visible mask."""
    scene = Scene([Walker(3 * seed + i) for i in range(3)], CAMERA, seed=seed)
    on_mask, seen = 0, 0
    for t in range(2, 7):
        f = scene.frame(t * SECOND_NS)
        assert f.image_HW3.shape == (360, 640, 3) and f.image_HW3.dtype == np.uint8
        for box, joints, mask, full in zip(f.boxes_P4, f.joints_P17x3, f.masks_PHW, f.full_masks_PHW, strict=True):
            rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
            assert list(box) == [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
            assert not (mask & ~full).any()
            u, v = np.round(joints[:, :2]).astype(int).T
            there = joints[:, 2] != OUTSIDE
            assert np.array_equal(there, (u >= 0) & (v >= 0) & (u < 640) & (v < 360))
            on_mask += full[v[there], u[there]].sum()
            seen += there.sum()
            visible = joints[:, 2] == VISIBLE
            near = 2.0
            inside = (joints[:, :2] > box[:2] - near) & (joints[:, :2] < box[2:] + near)
            assert inside[visible].all()
    assert seen > 100 and on_mask / seen > 0.97  # wrists and ears lie at the border


def test_the_nearer_person_covers_the_farther():
    near, far = across(1, -2.0, name="near"), across(2, 0.5, name="far", start_m=(3.5, 0.5), heading_rad=np.pi)
    for order in ([near, far], [far, near]):
        scene, hidden, least = Scene(order, Camera(position_m=(0.0, -6.0, 1.4), pitch_rad=0.05)), 0, 1.0
        for k in range(120, 165):  # around the crossing, close enough in time to meet the moment when they are in line
            f = scene.frame(k * SECOND_NS // 50)
            assert not (f.masks_PHW.sum(0) > 1).any()  # a pixel shows one person
            at = {name: i for i, name in enumerate(f.people)}
            if "near" in at:
                assert np.array_equal(f.masks_PHW[at["near"]], f.full_masks_PHW[at["near"]])
            if len(at) == 2:
                i = at["far"]
                least = min(least, f.masks_PHW[i].sum() / f.full_masks_PHW[i].sum())
                hidden += int((f.joints_P17x3[i, :, 2] == HIDDEN).sum() > 12)
                assert f.depth_m_P[at["near"]] < f.depth_m_P[i]
        assert least < 0.4 and hidden >= 1


def step_hz(ankles_T2: np.ndarray, fps: float) -> float:
    """Twice the dominant frequency of the ankles' distance along the way: left ahead, right ahead."""
    apart = ankles_T2[:, 0] - ankles_T2[:, 1]
    apart = (apart - apart.mean()) * np.hanning(len(apart))
    power = np.abs(np.fft.rfft(apart, 8192))
    hz = np.fft.rfftfreq(8192, 1.0 / fps)
    return 2.0 * hz[np.where((hz > 0.5) & (hz < 1.6), power, 0.0).argmax()]


@pytest.mark.parametrize("seed", range(5))
def test_one_person_steps_alike_on_the_phone_and_in_the_picture(seed):
    walker = Walker(seed)
    phone = walker.record(duration_s=6.0, session=1, take=2)
    scene = Scene([across(seed, 0.0, session=1, take=2)], Camera(focal_px=330.0))
    fps, ankles = 25.0, []
    for k in range(15, 140):
        f = scene.frame(round(k / fps * SECOND_NS))
        ankles.append(f.joints_P17x3[0, [LEFT_ANKLE, RIGHT_ANKLE], 0])
        assert f.phase_P[0] == pytest.approx(np.interp(k / fps, phone.time_s_N, phone.phase_N), abs=0.01)
    apart = np.array(ankles)
    cadence = 2.0 * (phone.phase_N[-1] - phone.phase_N[0]) / (phone.time_s_N[-1] - phone.time_s_N[0])
    assert step_hz(apart, fps) == pytest.approx(cadence, rel=0.06)


def test_an_endless_motion_is_that_of_the_live_phone():
    """Blocks continue in the phase in which the phone's blocks continue."""
    walker = Walker(4)
    phone = LivePhone(walker, session=2)
    phone.chunk(130.0)
    assert phone._tail is not None
    motion = EndlessMotion(walker, script="walk", start_ns=0, session=2, rate_hz=50.0)
    pose = motion.block(2)
    for second in (0.0, 20.0, 59.0):
        assert pose.phase(1.0 + second) == pytest.approx(np.interp(second, phone._tail.time_s_N, phone._tail.phase_N), abs=1e-3)


def test_turning_is_seen():
    """A turn in the script turns the person in the picture: shoulders that faced one way face another."""
    script = [("walk", 2.5), ("turn", 2.0), ("walk", 2.5)]
    passage = across(3, 0.0, duration_s=7.0, script=script)
    facing = []
    for t in (1.0, 6.0):
        posed = passage.posed(round(t * SECOND_NS))
        assert posed is not None
        forward = posed.transforms[0]  # the pelvis' x axis
        facing.append(np.arctan2(forward[1], forward[0]))
    turned = abs((facing[1] - facing[0] + np.pi) % (2 * np.pi) - np.pi)
    assert turned > np.radians(60)


def test_feet_stand_on_the_ground():
    passage = across(6, 0.0)
    lowest = []
    for k in range(0, 60):
        posed = passage.posed(k * SECOND_NS // 10)
        assert posed is not None
        lowest.append((posed.figure.skin_V4B @ posed.transforms.astype(np.float32))[:, 2].min())
    assert -0.06 < np.median(lowest) < 0.04 and np.ptp(lowest) < 0.12


def test_bodies_have_the_sizes_that_the_phone_knows():
    for seed in range(20):
        body = Walker(seed).body
        shape = sample_shape(body, np.random.default_rng(seed))
        assert np.ptp(shape.mesh.vertices_V3[:, 2]) == pytest.approx(body.height_m, abs=0.03)
        thigh, calf, foot = shape.joints_B3[[3, 5, 7], 2]
        assert thigh - calf == pytest.approx(body.thigh_m, abs=0.01) and calf - foot == pytest.approx(body.calf_m, abs=0.01)


def test_people_and_days_look_different():
    def image(seed, session):
        return Scene([across(seed, 0.0, session=session)], Camera(noise=0.0)).frame(2 * SECOND_NS).image_HW3.astype(int)

    same, day, person = image(1, 0), image(1, 1), image(2, 0)
    assert np.array_equal(same, image(1, 0)) and np.abs(same - day).sum() > 10_000 and np.abs(same - person).sum() > 10_000


def test_frames_come_at_uneven_times_and_some_are_lost():
    frames = list(islice(frame_times(12.5, 7 * SECOND_NS, 3, jitter=0.2, loss=0.1), 2000))
    assert frames == list(islice(frame_times(12.5, 7 * SECOND_NS, 3, jitter=0.2, loss=0.1), 2000))
    numbers, times = np.array(frames).T
    assert (np.diff(times) > 0).all() and times[0] >= 7 * SECOND_NS
    assert 0.06 < 1 - len(numbers) / (numbers[-1] + 1) < 0.15
    steps = np.diff(times)[np.diff(numbers) == 1] / 1e9
    assert steps.mean() == pytest.approx(0.08, rel=0.02) and 0.01 < steps.std() < 0.04


def test_a_site_of_cameras_shows_walkers_and_strangers_each_in_one_place():
    cameras = simulated_cameras(2, [Walker(1), Walker(2)], [Walker(50), Walker(51)], seed=1, start_ns=5 * SECOND_NS)
    assert [c.camera_id for c in cameras] == ["camera-0", "camera-1"]
    met: set[str] = set()
    for t in range(6, 126, 2):
        seen = [name for c in cameras for name in c.scene.frame(t * SECOND_NS).people]
        assert len(seen) == len(set(seen))
        met |= set(seen)
    assert met == {"walker-1", "walker-2", "stranger-50", "stranger-51"}
    number, frame = next(cameras[0].frames())
    assert frame.time_ns >= 5 * SECOND_NS and number >= 0


@pytest.mark.parametrize(
    "make, words",
    [
        (lambda: Camera(width_px=4), "cannot be rendered"),
        (lambda: Camera(fps=0.0), "positive"),
        (lambda: Camera().ground_at(320, 0.0), "horizon"),
        (lambda: next(frame_times(12.5, 0, 0, loss=1.0)), "loss < 1"),
        (lambda: simulated_cameras(2), "nobody|people"),
        (lambda: simulated_cameras(1, [Walker(1)], script=[("walk", 7.0)]), "no multiple"),
        (lambda: Scene([Walker(1), Walker(1)], CAMERA), "one name"),
        (lambda: Walker(1).motion(duration_s=3.0, script=[("table", 3.0)]), "off the body"),  # nobody to see
    ],
)
def test_wrong_arguments_are_explained(make, words):
    with pytest.raises(ValueError, match=words):
        make()


def test_visits_stay_within_their_block():
    motion = EndlessMotion(Walker(1), script="walk", start_ns=0, session=0, rate_hz=50.0)
    with pytest.raises(ValueError, match="leaves its block"):
        Commuter(motion, [Visit(58 * SECOND_NS, 62 * SECOND_NS, (0.0, 0.0), 0.0)])
