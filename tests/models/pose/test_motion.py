"""The motion gate: what opens it, and what followed people explain."""

import numpy as np
import pytest

from models.pose.motion import MotionGate

HEIGHT, WIDTH = 360, 640
PERSON = (300, 100, 360, 280)
"""x0, y0, x1, y1 of what moves."""


def room() -> np.ndarray:
    return np.random.default_rng(0).integers(90, 110, (HEIGHT, WIDTH, 3), np.uint8)


def with_block(box: tuple[int, int, int, int]) -> np.ndarray:
    x0, y0, x1, y1 = box
    picture = room()
    picture[y0:y1, x0:x1] = (20, 20, 220)
    return picture


@pytest.fixture
def gate() -> MotionGate:
    """One that knows the empty room."""
    gate = MotionGate()
    for _ in range(20):
        gate.see(room())
    return gate


def test_the_first_picture_opens_it_and_an_empty_room_does_not() -> None:
    gate = MotionGate()
    assert gate.see(room())
    assert not any(gate.see(room()) for _ in range(5))


@pytest.mark.parametrize(
    ("box", "opens"),
    [
        (PERSON, True),
        ((300, 100, 312, 108), False),  # 96 pixels of 230,400: less than LEAST_SHARE
        ((0, 0, WIDTH, HEIGHT), True),  # the light goes on
    ],
)
def test_what_moves_opens_it(gate: MotionGate, box: tuple[int, int, int, int], opens: bool) -> None:
    assert gate.see(with_block(box)) == opens


@pytest.mark.parametrize(
    ("boxes", "outside"),
    [
        ([PERSON], False),  # followed
        ([(310, 110, 350, 270)], False),  # a little smaller: the margin belongs to the person
        ([(20, 100, 80, 280)], True),  # somebody else is followed
        ([(20, 100, 80, 280), PERSON], False),  # both are
        ([(300, 100, 330, 150)], True),  # only the head is covered
        ([(-50, -50, 700, 400)], False),  # a box may reach out of the picture
        ([], True),  # nobody is followed
    ],
)
def test_followed_people_explain_what_moves_near_them(gate: MotionGate, boxes: list[tuple[int, int, int, int]], outside: bool) -> None:
    gate.see(with_block(PERSON))
    assert gate.moves_outside(np.array(boxes, np.float32).reshape(-1, 4)) == outside


def test_asking_changes_nothing(gate: MotionGate) -> None:
    gate.see(with_block(PERSON))
    far = np.array([[20, 100, 80, 280]], np.float32)
    gate.moves_outside(np.array([PERSON], np.float32))
    assert gate.moves_outside(far)
    assert len(gate.people()) == 1


def test_pictures_keep_their_size(gate: MotionGate) -> None:
    with pytest.raises(ValueError, match="must keep their size"):
        gate.see(room()[:180])
