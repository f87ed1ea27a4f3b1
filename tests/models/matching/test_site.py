"""The transform a site learns: it finds the directions in which people vary, names its space, and helps people it never saw."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from models.evaluation.scores import equal_error_rate
from models.matching.site import LEAST_PEOPLE_TO_TRANSFORM, LEAST_VECTORS, SiteTransform, learn_transform
from models.types import Float32, ShapeError

DIM = 16


def people_of_a_site(count: int, seed: int, windows: int = 30) -> list[Float32]:
    """People on the unit sphere around an offset they share; windows of one person scatter, ten times as much in three directions."""
    rng = np.random.default_rng(seed)
    offset = np.r_[2.0, np.zeros(DIM - 1)]
    spread = np.r_[0.05 * np.ones(DIM - 3), 0.5 * np.ones(3)]
    rows = [
        offset + 0.3 * rng.normal(size=DIM) * (np.arange(DIM) < DIM - 3) + rng.normal(size=(windows, DIM)) * spread for _ in range(count)
    ]
    return [(row / np.linalg.norm(row, axis=1, keepdims=True)).astype(np.float32) for row in rows]


def error_rate(people: list[Float32]) -> float:
    """Equal error rate of single windows against the mean of the first half of everybody's windows."""
    centre_PD = np.array([rows[:15].mean(0) for rows in people])
    centre_PD /= np.linalg.norm(centre_PD, axis=1, keepdims=True)
    scores = np.stack([rows[15:] @ centre_PD.T for rows in people])
    own = np.eye(len(people), dtype=bool)[:, None, :].repeat(scores.shape[1], axis=1)
    return equal_error_rate(scores[own].astype(np.float64), scores[~own].astype(np.float64))


def learnt(people: list[Float32]) -> SiteTransform:
    transform = learn_transform("net@0", people)
    assert transform is not None
    return transform


def test_people_it_never_saw_are_told_apart_better() -> None:
    transform, others = learnt(people_of_a_site(12, 1)), people_of_a_site(20, 2)
    assert error_rate([transform.apply(rows) for rows in others]) < 0.5 * error_rate(others)


def test_directions_that_vary_within_people_lose_weight() -> None:
    gain_D = np.linalg.norm(learnt(people_of_a_site(40, 3)).matrix_DM, axis=1)
    assert gain_D[-3:].max() < 0.5 * gain_D[:-3].min()


def test_the_directions_that_are_kept_are_those_in_which_people_differ() -> None:
    people, others = people_of_a_site(40, 1), people_of_a_site(20, 2)
    few, every = learn_transform("net@0", people, 10), learnt(people)
    assert few is not None and few.dim == 10 and few.apply(others[0]).shape == (30, 10)
    lengths = np.linalg.norm(few.matrix_DM, axis=1)
    assert lengths[-3:].max() < 0.5 * lengths[:-3].min()  # not those in which one person's windows scatter
    kept = error_rate([few.apply(rows) for rows in others])
    assert kept < 0.5 * error_rate(others) and kept < error_rate([every.apply(rows) for rows in others]) + 0.05


def test_a_row_gives_the_same_whatever_else_is_in_the_batch() -> None:
    transform, rows = learnt(people_of_a_site(10, 4)), np.concatenate(people_of_a_site(3, 5))
    assert np.array_equal(transform.apply(rows)[17], transform.apply(rows[17:18])[0])


def test_its_space_is_named_after_what_it_holds() -> None:
    people = people_of_a_site(12, 6)
    assert learnt(people).adapted_space == learnt(people).adapted_space  # the same people, the same space
    assert learnt(people).adapted_space != learnt(people[1:]).adapted_space
    assert learnt(people).adapted_space.startswith("net@0+site-")


def test_the_mean_itself_still_gets_a_unit_vector() -> None:
    mean_D = np.eye(DIM)[0]
    out = SiteTransform("net@0", mean_D, np.eye(DIM), 8).apply(mean_D[None].astype(np.float32))
    assert np.linalg.norm(out) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("count", "windows"),
    [
        (LEAST_PEOPLE_TO_TRANSFORM - 1, 30),  # too few people
        (30, LEAST_VECTORS - 1),  # too little of each
        (0, 30),  # nobody
    ],
)
def test_too_little_gives_no_transform(count: int, windows: int) -> None:
    assert learn_transform("net@0", people_of_a_site(count, 7, windows)) is None


def test_people_as_alike_as_copies_give_a_finite_transform() -> None:
    same = np.tile(np.eye(DIM, dtype=np.float32)[:1], (LEAST_VECTORS, 1))
    assert np.isfinite(learnt([same] * LEAST_PEOPLE_TO_TRANSFORM).apply(same)).all()


@pytest.mark.parametrize(
    ("mean_D", "matrix_DM"),
    [
        (np.zeros(4), np.eye(5)),  # of different spaces
        (np.zeros(4), np.ones((4, 5))),  # more directions than there are
        (np.zeros(4), np.ones((4, 0))),  # none
        (np.zeros(4), np.ones(4)),  # not a matrix
        (np.zeros((4, 4)), np.eye(4)),  # not a vector
        (np.full(4, np.nan), np.eye(4)),  # not finite
    ],
)
def test_what_does_not_fit_is_refused(mean_D: NDArray[np.float64], matrix_DM: NDArray[np.float64]) -> None:
    with pytest.raises(ShapeError):
        SiteTransform("net@0", mean_D, matrix_DM, 8)


def test_ill_formed_input_is_refused() -> None:
    people = people_of_a_site(9, 8)
    with pytest.raises(ValueError, match="shrinkage"):
        learn_transform("net@0", people, shrinkage=0.0)
    for dim in (0, DIM + 1):
        with pytest.raises(ValueError, match="matched_dim"):
            learn_transform("net@0", people, dim)
    with pytest.raises(ShapeError):
        learn_transform("net@0", [2.0 * rows for rows in people])
    with pytest.raises(ShapeError, match="one length"):
        learn_transform("net@0", [*people, np.tile(np.eye(3, dtype=np.float32)[:1], (30, 1))])
