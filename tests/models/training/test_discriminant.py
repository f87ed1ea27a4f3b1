"""The discriminant finds what differs between people and ignores what differs between windows, devices and placements."""

from __future__ import annotations

import numpy as np
import pytest

from models.training.discriminant import discriminant
from models.types import Float32

FEATURES, OWN, RESTLESS = 12, 3, 9
"""Feature OWN differs between people, feature RESTLESS from window to window, 100 times as much."""


def people(count: int, seed: int, shift: float = 0.0) -> list[Float32]:
    """Features (40, FEATURES) of people of one device, all of whose features lie `shift` higher."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(count, 40, FEATURES))
    rows[..., OWN] += 3.0 * rng.normal(size=(count, 1))
    rows[..., RESTLESS] *= 100.0
    return list((rows + shift).astype(np.float32))


def test_the_first_direction_is_what_people_differ_in() -> None:
    weight_DF, _ = discriminant({("real", "pocket"): people(40, 1)}, 2)
    assert weight_DF.shape == (2, FEATURES)
    assert np.abs(weight_DF[0]).argmax() == OWN
    assert abs(weight_DF[0, RESTLESS]) < 0.01 * abs(weight_DF[0, OWN])


def test_differences_between_devices_are_no_differences_between_people() -> None:
    one = {("real", "pocket"): people(40, 2)}
    two = {**one, ("real", "wrist"): people(40, 3, shift=50.0)}
    first, second = discriminant(one, 1)[0][0], discriminant(two, 1)[0][0]
    assert abs(first @ second) / np.linalg.norm(first) / np.linalg.norm(second) > 0.98


def test_the_average_person_lies_at_zero() -> None:
    rows = people(30, 4, shift=7.0)
    weight_DF, bias_D = discriminant({("real", "pocket"): rows}, FEATURES)
    centre_D = np.mean([row.mean(0) for row in rows], axis=0) @ weight_DF.T + bias_D
    assert np.abs(centre_D).max() < 1e-3


def test_many_simulated_people_do_not_drown_a_few_real_ones() -> None:
    real, simulated = people(10, 5, shift=0.0), people(500, 6, shift=4.0)
    _, bias_D = discriminant({("real", "pocket"): real, ("simulation", "waist"): simulated}, 1)
    weight_DF, _ = discriminant({("real", "pocket"): real, ("simulation", "waist"): simulated}, 1)
    middle_D = weight_DF @ np.full(FEATURES, 2.0)  # halfway, although 50 times as many are simulated
    own = abs(weight_DF[0, OWN])
    assert abs(middle_D[0] + bias_D[0]) < 3.0 * own


def test_lone_people_make_no_discriminant() -> None:
    with pytest.raises(ValueError, match="two people"):
        discriminant({("real", "pocket"): people(1, 7), ("real", "wrist"): people(1, 8)}, 1)
