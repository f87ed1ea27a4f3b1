"""Folds over people: nobody who is looked for has taught the discriminant, and both rank-1 rates are what they say."""

from __future__ import annotations

import numpy as np

from models.evaluation.camera_folds import FOLDS, fitted, hits
from models.evaluation.camera_tasks import Item, Task
from models.training.discriminant import moments

PEOPLE = [f"p{n}" for n in range(9)]
FEATURES = 12


class Described:
    """Features of items as they were drawn."""

    def __init__(self) -> None:
        self.rows: dict[int, np.ndarray] = {}

    def of(self, item: Item, kind: str) -> np.ndarray:
        """(W, F)"""
        return self.rows[id(item)]


def a_task(features: Described, shift: float) -> Task:
    """Everybody enrolled from one walk and looked for in another; the last one walks like the first, seen `shift` away."""
    rng = np.random.default_rng(0)
    enrol, probe = [], []
    for index, person in enumerate(PEOPLE):
        centre_F = 10.0 * np.eye(FEATURES)[0 if index == len(PEOPLE) - 1 else index] + shift * (index == len(PEOPLE) - 1)
        for walks in (enrol, probe):
            item = Item(person, np.zeros((4, 32, 17, 3), np.float32), np.zeros((4, 32, 64, 44), bool))
            features.rows[id(item)] = (centre_F + rng.standard_normal((4, FEATURES))).astype(np.float32)
            walks.append(item)
    return Task("drawn", enrol, probe, ("joints",))


def test_who_is_looked_for_has_taught_nothing() -> None:
    features, taught = Described(), []

    def fit(teachers):
        taught.append(teachers)
        return [lambda rows_WF: rows_WF / np.linalg.norm(rows_WF, axis=1, keepdims=True)]

    task = a_task(features, 5.0)
    found = hits(task, ("joints",), features, fit)
    assert set(found) == set(PEOPLE)
    assert len(taught) == FOLDS
    assert sorted(person for teachers in taught for person in set(PEOPLE) - teachers) == PEOPLE
    assert all(found[person] == [(True, True)] for person in PEOPLE)


def test_a_double_in_another_fold_counts_among_all_only() -> None:
    """The last person is the double of the first, who is in another fold: within the folds both are found."""
    features = Described()
    task = a_task(features, 0.0)
    first, last = task.enrol[0], task.enrol[-1]
    features.rows[id(last)] = -features.rows[id(first)]  # enrolled as somebody else, probed as the first
    found = hits(task, ("joints",), features, lambda teachers: [lambda rows: rows / np.linalg.norm(rows, axis=1, keepdims=True)])
    assert found[PEOPLE[0]] == [(True, True)]
    assert found[PEOPLE[-1]][0][1] is False


def test_the_discriminant_keeps_what_tells_people_apart() -> None:
    rng = np.random.default_rng(1)
    people = [np.column_stack([np.full(40, n), 50 * rng.standard_normal(40)]) + 0.1 * rng.standard_normal((40, 2)) for n in range(5)]
    one = fitted([(1, moments([rows.astype(np.float32) for rows in people]))], 1)
    low, high = (float(one(rows[:, :].mean(axis=0, keepdims=True).astype(np.float32))[0, 0]) for rows in (people[0], people[-1]))
    assert low * high < 0  # the first axis, on which they differ, and not the second, which varies within each
