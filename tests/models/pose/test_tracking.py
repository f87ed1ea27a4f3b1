"""Association, birth and death of tracks, on observations made by hand; clothes."""

import numpy as np
import pytest

from models.pose.appearance import UNKNOWN, appearance, distance
from models.pose.blazepose import Pose
from models.pose.tracking import DEATH_NS, Observation, Tracker, body_box, without_duplicates
from models.types import CAMERA_STEP_NS
from tests.models.pose.test_sequences import walker

STEP_S = CAMERA_STEP_NS / 1e9
WIDTH_PX, HEIGHT_PX = 640, 360
RED, BLUE = (np.eye(2, 8, k, dtype=np.float32).ravel() for k in (0, 4))
"""Clothes with nothing in common."""


def person(x_px: float, clothes=None, score: float = 0.9, detected: bool = True) -> Observation:
    """Somebody whose hips are at column `x_px`."""
    joints_J3 = walker(0.0)
    joints_J3[:, 0] += x_px - 40.0
    return Observation(Pose(joints_J3, score, None, np.eye(2, 3)), body_box(joints_J3), clothes, detected)


def follow(tracker: Tracker, pictures: list[list[Observation]], first: int = 0) -> list[tuple[dict[str, float], list[str]]]:
    """Per picture the columns of people by name, and who ended."""
    told = []
    for n, observations in enumerate(pictures, first):
        tracks, ended = tracker.step(observations, n * CAMERA_STEP_NS, WIDTH_PX, HEIGHT_PX)
        told.append(({t.name: float(t.observation.place_2[0]) for t in tracks}, ended))
    return told


def test_a_track_is_sure_after_three_pictures_and_keeps_its_name():
    tracker = Tracker()
    for n in range(5):
        tracks, _ = tracker.step([person(100 + 8 * n)], n * CAMERA_STEP_NS, WIDTH_PX, HEIGHT_PX)
        assert [(t.name, t.sure) for t in tracks] == [("0-0", n >= 2)]


@pytest.mark.parametrize(
    ("observation", "born"),
    [
        (person(100), True),
        (person(100, score=0.4), False),  # the pose network sees nobody
        (person(100, detected=False), False),  # found where a track led: no new person
    ],
)
def test_birth(observation, born):
    assert bool(follow(Tracker(), [[observation]])[0][0]) == born


@pytest.mark.parametrize(
    ("pictures_unseen", "same"),
    [
        (10, True),  # 0.9 s between two sightings
        (18, False),  # 1.5 s: gone
    ],
)
def test_somebody_hidden_for_a_while_is_taken_up_again(pictures_unseen, same):
    speed_px = 6.0
    pictures = [[person(100 + speed_px * n)] if n < 8 or n >= 8 + pictures_unseen else [] for n in range(40)]
    told = follow(Tracker(), pictures)
    assert (list(told[-1][0]) == ["0-0"]) == same
    ended = [(n, name) for n, (_, names) in enumerate(told) for name in names]
    assert ended == ([] if same else [(7 + DEATH_NS // CAMERA_STEP_NS + 1, "0-0")])


def test_leaving_the_picture_ends_a_track_at_once():
    told = follow(Tracker(), [[person(560 + 12 * n)] if n < 6 else [] for n in range(12)])
    assert [n for n, (_, names) in enumerate(told) if names] == [7]  # the first picture with the middle beyond column 640, and not in view


def test_a_false_detection_ends_soon_and_was_never_sure():
    tracker = Tracker()
    told = follow(tracker, [[person(100)], [], [], [], [], []])
    assert not tracker.tracks and [names for _, names in told if names] == [["0-0"]]


@pytest.mark.parametrize("clothes", [(RED, BLUE), (None, None)], ids=["other clothes", "clothes unknown"])
@pytest.mark.parametrize("hidden", [0, 6], ids=["both always seen", "one hidden for half a second"])
def test_crossing_people_keep_their_names(clothes, hidden):
    pictures = []
    for n in range(40):
        left, right = person(100 + 8 * n, clothes[0]), person(420 - 8 * n, clothes[1])
        meet = abs(n - 20) < hidden / 2
        pictures.append([right] if meet else [right, left] if n % 2 else [left, right])
    told = follow(Tracker(), pictures)
    first, last = told[3][0], told[-1][0]
    (a, b) = sorted(first, key=lambda name: first[name])
    assert sorted(last, key=lambda name: last[name]) == [b, a]
    assert len({name for seen, _ in told for name in seen}) == 2


def test_the_same_person_seen_from_two_crops_is_one():
    twice = [person(100, score=0.8), person(104, score=0.99, detected=False), person(300)]
    kept = without_duplicates(twice)
    assert [round(float(o.place_2[0])) for o in kept] == [104, 300]
    assert kept[0].detected  # a detector had found it too


def test_the_order_of_observations_changes_nothing():
    rng = np.random.default_rng(7)
    pictures = [[person(60 + 6 * n, RED), person(300 + 3 * n, BLUE), person(600 - 7 * n)] for n in range(30)]
    shuffled = [[picture[k] for k in rng.permutation(3)] for picture in pictures]
    assert follow(Tracker(), pictures) == follow(Tracker(), shuffled)


def test_crops_lead_and_leave_out_who_is_behind_somebody():
    tracker = Tracker()
    follow(tracker, [[person(100 + 10 * n), person(300 - 10 * n)] for n in range(10)])
    assert [round(float(box_4[[0, 2]].mean())) for box_4 in tracker.crops(10 * CAMERA_STEP_NS, 0)] == pytest.approx([200], abs=6)
    apart = tracker.crops(14 * CAMERA_STEP_NS, 0)
    assert sorted(float(box_4[[0, 2]].mean()) for box_4 in apart) == pytest.approx([160, 240], abs=12)


def test_clothes_tell_colours_apart_and_bear_noise():
    rng = np.random.default_rng(3)
    joints_J3 = walker(0.0)

    def dressed(bgr: tuple[int, int, int]) -> np.ndarray:
        picture = np.full((240, 160, 3), 90, np.float64)
        picture[60:220, 20:70] = bgr
        return np.clip(picture + rng.normal(0, 4, picture.shape), 0, 255).astype(np.uint8)

    red, again, blue = (appearance(dressed(bgr), joints_J3) for bgr in ((40, 40, 160), (40, 40, 160), (160, 60, 40)))
    assert distance(red, again) < 0.15 < 0.6 < distance(red, blue)
    assert distance(red, None) == UNKNOWN
    assert appearance(dressed((40, 40, 160)), joints_J3 + np.float32(1000)) is None
