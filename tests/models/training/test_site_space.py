"""A site's own space: strangers are those who taught nothing, and few people do not decide what hardly any stranger reaches."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from models.matching import DecisionPolicy, Gallery
from models.training.site_space import LEAST_PAIRS, adapt_space, walk_scores
from models.types import Float32

DIM, OWN_DIMS, MATCHED = 32, 10, 16
SITE, SITES, STRANGERS, WALKS, WINDOWS = 12, 12, 40, 2, 24

Person = list[Float32]


def unit(rows: NDArray[np.float64]) -> Float32:
    return np.asarray(rows / np.linalg.norm(rows, axis=-1, keepdims=True), np.float32)


def person(rng: np.random.Generator) -> Person:
    """Walks (W, D) of somebody: people differ in some directions, days and windows in all."""
    own = 1.5 * np.r_[rng.normal(size=OWN_DIMS), np.zeros(DIM - OWN_DIMS)]
    days = own + 0.15 * rng.normal(size=(WALKS, DIM))
    return [unit(1.0 + day + 0.4 * rng.normal(size=(WINDOWS, DIM))) for day in days]


def test_strangers_probe_against_those_who_are_none() -> None:
    rng = np.random.default_rng(1)
    people = {name: person(rng) for name in "abcd"}
    genuine, impostor = walk_scores(people, 4, unit_like, ["a", "b"])
    probes = WINDOWS - 4 + 1
    assert len(genuine) == 2 * WALKS * probes * (WALKS - 1)
    assert len(impostor) == 2 * WALKS * probes * 2 * WALKS  # of c and d
    everybody = walk_scores(people, 4, unit_like)
    assert len(everybody[0]) == 2 * len(genuine)
    assert len(everybody[1]) == 4 * WALKS * probes * 3 * WALKS
    alone = walk_scores({"a": people["a"], "c": people["c"]}, 4, unit_like, ["a"])
    probe = unit(people["a"][0][:4].mean(axis=0))
    assert np.isclose(alone[1], float(probe @ unit(people["c"][1].mean(axis=0)))).any()
    assert not np.isclose(alone[0], float(probe @ unit(people["a"][0].mean(axis=0)))).any()  # never its own walk


def test_rates_that_few_pairs_would_decide_are_not_read_off() -> None:
    rng = np.random.default_rng(2)
    for count in (8, 12, 20):
        site = adapt_space("net@0", {f"p{i}": person(rng) for i in range(count)}, MATCHED)
        assert site is not None
        rates = {rate for table in site.calibration.impostor_quantiles for rate, _ in table}
        assert all(rate * count * (count - 1) / 2 >= LEAST_PAIRS for rate in rates)
        assert site.calibration.counts[0][0] * 0.003 > 10, "there are scores enough: it is people who are few"


def test_a_small_site_names_no_more_strangers_than_it_was_told_to() -> None:
    """Over several sites: read off the closest pair of people, thresholds would let 8.5 % in here."""
    rng = np.random.default_rng(3)
    strangers = [person(rng) for _ in range(STRANGERS)]
    named = asked = 0
    for _ in range(SITES):
        walks = {f"p{i}": person(rng) for i in range(SITE)}
        site = adapt_space("net@0", walks, MATCHED)
        assert site is not None
        gallery = Gallery("net@0", MATCHED)
        for name, own in walks.items():
            template = unit(np.concatenate(own).mean(axis=0, dtype=np.float64))
            gallery.put(name, "1", site.transform.apply(template[None])[0])
        policy = DecisionPolicy(site.calibration, 0.05, 1)
        probes = np.stack([unit(site.transform.apply(walk[:4]).mean(axis=0)) for own in strangers for walk in own])
        decisions = policy.decide(gallery.match(probes), np.full(len(probes), 4.0), np.full(len(probes), 4))
        named += sum(subject is not None for subject in decisions.subject)
        asked += len(probes)
    assert named / asked <= 0.05


def unit_like(rows: Float32) -> Float32:
    """As they are."""
    return rows
