"""Enrolment: templates from a good walk, reasons in words from a bad one, duplicates under another name found."""

from __future__ import annotations

import numpy as np
import pytest

from models.matching import DecisionPolicy, Gallery, already_enrolled, build_templates
from models.matching.evidence import HOP_NS, WINDOW_NS
from models.matching.vectors import leading
from models.types import Float32, ShapeError
from tests.models.matching.build import calibration, near, units

DIM = 32
ANN, BOB = units(2, DIM, seed=11)


def walk(person_D: Float32, windows: int, cosine: float = 0.95, seed: int = 0) -> Float32:
    """Windows of one person, each at this cosine from the person's centre."""
    return np.stack([near(person_D, cosine, seed * 1000 + i) for i in range(windows)])


def in_a_row(windows: int, first_ns: int = 0) -> np.ndarray:
    return first_ns + np.arange(windows) * HOP_NS


def test_one_bout_makes_one_template() -> None:
    vectors, qualities = walk(ANN, 20), np.linspace(0.5, 1.0, 20)
    result = build_templates(vectors, qualities, in_a_row(20, 7 * HOP_NS))
    assert result.accepted, result.reasons
    (template,) = result.templates
    assert template.vector_D @ ANN > 0.99
    assert template.vector_D.dtype == np.float32
    expected = (vectors * qualities[:, None]).sum(axis=0)
    np.testing.assert_allclose(template.vector_D, expected / np.linalg.norm(expected), atol=1e-6)
    assert (template.windows, template.effective_windows) == (20, 10.5)
    assert (template.from_ns, template.to_ns) == (7 * HOP_NS, 26 * HOP_NS + WINDOW_NS)
    assert template.quality == pytest.approx(0.75)


def test_windows_may_come_in_any_order() -> None:
    vectors, qualities, starts = walk(ANN, 15), np.linspace(0.5, 1.0, 15), in_a_row(15)
    order = np.random.default_rng(0).permutation(15)
    straight, mixed = build_templates(vectors, qualities, starts), build_templates(vectors[order], qualities[order], starts[order])
    assert (straight.templates[0].vector_D == mixed.templates[0].vector_D).all()


def test_a_template_per_bout_the_longest_four() -> None:
    lengths = [8, 3, 12, 7, 20, 6, 9]  # the second is too short; the longest four are 8, 12, 20 and 9
    starts = np.concatenate([in_a_row(length, i * 200_000_000_000) for i, length in enumerate(lengths)])
    result = build_templates(walk(ANN, sum(lengths)), np.ones(sum(lengths)), starts)
    assert [template.windows for template in result.templates] == [8, 12, 20, 9]
    assert [template.from_ns // 200_000_000_000 for template in result.templates] == [0, 2, 4, 6]


def test_many_short_bouts_make_one_template_together() -> None:
    starts = np.concatenate([in_a_row(4, i * 100_000_000_000) for i in range(5)])
    (template,) = build_templates(walk(ANN, 20), np.ones(20), starts).templates
    assert (template.windows, template.effective_windows) == (20, 12.5)


def test_poor_windows_are_left_out() -> None:
    vectors = np.concatenate([walk(ANN, 12), walk(BOB, 6)])
    qualities = np.concatenate([np.ones(12), np.full(6, 0.1)])
    result = build_templates(vectors, qualities, in_a_row(18))
    assert (result.accepted, result.usable_windows, result.mean_quality) == (True, 12, 1.0)
    assert result.templates[0].vector_D @ ANN > 0.99


SLOW = np.concatenate([walk(ANN, 10), walk(BOB, 10)])
TURNS = np.stack([walk(ANN if i % 2 else BOB, 1, seed=i)[0] for i in range(20)])
CARRIED = np.concatenate([walk(ANN, 15), walk(BOB, 5)])


@pytest.mark.parametrize(
    ("vectors", "qualities", "reasons"),
    [
        (np.zeros((0, DIM)), np.zeros(0), ["too little walking: 0 of 0"]),  # nothing
        (walk(ANN, 9), np.ones(9), ["too little walking: 9 of 9"]),  # short
        (walk(ANN, 30), np.full(30, 0.2), ["too little walking: 0 of 30"]),  # none usable
        (walk(ANN, 30), np.full(30, 0.35), ["poor signal: mean quality 0.35"]),  # usable, barely
        (walk(ANN, 5), np.full(5, 0.35), ["too little walking", "poor signal"]),  # both are said
        (walk(ANN, 20, 0.6), np.ones(20), ["does not agree with itself"]),  # no two windows alike
        (SLOW, np.ones(20), ["does not agree", "two people's (or the device moved): its first and second half"]),
        (TURNS, np.ones(20), ["does not agree", "two people's (or the device moved): 50% of it"]),  # halves agree, groups do not
        (CARRIED, np.ones(20), ["does not agree", "two people's"]),  # a quarter of another person
    ],
)
def test_refusals(vectors: Float32, qualities: np.ndarray, reasons: list[str]) -> None:
    result = build_templates(vectors, qualities, in_a_row(len(vectors)))
    assert not result.accepted
    assert result.templates == ()
    assert all(any(expected in reason for reason in result.reasons) for expected in reasons), result.reasons
    if "does not agree with itself" in reasons:
        return
    assert len(result.reasons) >= len(reasons)


def test_a_stumble_is_not_another_person() -> None:
    vectors = np.concatenate([walk(ANN, 18, 0.97), walk(BOB, 2)])
    assert build_templates(vectors, np.ones(20), in_a_row(20)).accepted


def test_arrays_must_fit() -> None:
    for qualities, starts in ((np.ones(3), in_a_row(12)), (np.ones(12), in_a_row(3))):
        with pytest.raises(ShapeError):
            build_templates(walk(ANN, 12), qualities, starts)
    with pytest.raises(ShapeError):
        build_templates(2 * walk(ANN, 12), np.ones(12), in_a_row(12))


@pytest.mark.parametrize(
    ("enrolled", "subject", "now_ns", "found"),
    [
        ({}, None, None, None),  # nobody there
        ({"bob": BOB}, None, None, None),  # others only
        ({"ann": ANN, "bob": BOB}, None, None, "ann"),
        ({"ann": ANN, "bob": BOB}, "ann", None, None),  # enrolled again under the same name
        ({"ann": ANN, "zoe": ANN}, None, None, "ann"),  # there twice already: no margin, still found
        ({"ann": ANN, "zoe": near(ANN, 0.9999)}, "ann", None, "zoe"),  # the other of the two
        ({"ann": ANN, "bob": BOB}, None, 1000, None),  # expired
    ],
)
def test_already_enrolled(enrolled: dict[str, Float32], subject: str | None, now_ns: int | None, found: str | None) -> None:
    gallery = Gallery("space@1", DIM)
    for name, vector_D in enrolled.items():
        gallery.put(name, "t", vector_D, expires_ns=500)
    templates = build_templates(walk(ANN, 20), np.ones(20), in_a_row(20)).templates
    assert already_enrolled(gallery, templates, DecisionPolicy(calibration(), 0.01, 3), subject=subject, now_ns=now_ns) == found


def test_already_enrolled_compares_the_directions_that_the_gallery_holds() -> None:
    other = ANN.copy()
    other[DIM // 2 :] *= -1  # the same in the first half, opposite in the second
    templates = build_templates(walk(ANN, 20), np.ones(20), in_a_row(20)).templates
    for dim, found in ((DIM, None), (DIM // 2, "zoe")):
        gallery = Gallery("space@1", dim)
        gallery.put("zoe", "t", leading(other[None], dim)[0])
        assert already_enrolled(gallery, templates, DecisionPolicy(calibration(), 0.01, 3)) == found
