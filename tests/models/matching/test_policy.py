"""Open-set decisions: error rates as promised, monotone in score and number of people, undecided where evidence is thin."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from models.matching import DecisionPolicy, Gallery, SiteImpostors, adapt_impostors
from models.matching.likelihood import CENTRE_C, DEEPEST, Impostors, cosine_at, depth, posterior
from models.types import ShapeError
from tests.models.matching.build import GENUINE_DEPTH, IMPOSTOR_DEPTH, calibration, scored, units

CALIBRATION = calibration()
POLICY = DecisionPolicy(CALIBRATION, 0.01, 3)
RANK = {"unknown": 0, "undecided": 1, "known": 2}


@pytest.mark.parametrize(
    ("people", "fpir"),
    [
        (1, 0.05),  # one comparison: inside the table
        (20, 0.05),  # FMR 2.6e-3: inside the table
        (5, 0.2),  # FMR 0.044: between two rows
    ],
)
def test_strangers_are_named_as_often_as_the_target_says(people: int, fpir: float) -> None:
    """20,000 strangers with independent scores; the 99.9 % interval of the rate holds the target."""
    strangers = 20_000
    policy = DecisionPolicy(CALIBRATION, fpir, 1)
    u_SN = np.random.default_rng(people).normal(IMPOSTOR_DEPTH.mean, IMPOSTOR_DEPTH.stdev, (strangers, people))
    best_S = cosine_at(u_SN.max(axis=1))
    rate = float((best_S >= policy.threshold(people, 1.0)).mean())
    assert abs(rate - fpir) <= 3.3 * np.sqrt(fpir * (1 - fpir) / strangers) + 0.05 * fpir  # interpolation between rows
    decisions = policy.decide(scored(best_S.tolist(), enrolled=people), 1.0, 1)
    assert decisions.outcome.count("known") / strangers <= rate


def test_beyond_the_table_the_tail_errs_on_the_safe_side_of_a_lighter_one() -> None:
    """Normal depths fall faster than the exponential tail that continues the table: 500 people at 1 % need FMR 2e-5."""
    rng = np.random.default_rng(0)
    best_S = np.array([rng.normal(IMPOSTOR_DEPTH.mean, IMPOSTOR_DEPTH.stdev, 500).max() for _ in range(5000)])
    rate = float((cosine_at(best_S) >= POLICY.threshold(500, 1.0)).mean())
    assert rate <= 0.01
    power = Impostors.from_table(0.3, 0.3, tuple((fmr, 1 - (fmr / 2) ** (1 / 3)) for fmr in (0.1, 0.01, 0.001)))
    assert cosine_at(power.depth_at(1e-6)) == pytest.approx(1 - (1e-6 / 2) ** (1 / 3), abs=1e-6)  # a true power tail is continued exactly


@settings(max_examples=150, deadline=None)
@given(
    low=st.floats(-1, 1),
    high=st.floats(-1, 1),
    gap=st.floats(0, 0.5),
    enrolled=st.integers(1, 5000),
    effective=st.floats(1, 20),
    windows=st.integers(1, 24),
)
def test_a_higher_score_never_makes_a_known_walker_unknown(
    low: float, high: float, gap: float, enrolled: int, effective: float, windows: int
) -> None:
    """With the second person left where he is."""
    low, high = sorted((low, high))
    second = max(low - gap, -1.0)
    decisions = POLICY.decide(scored([low, high], second, enrolled), effective, windows)
    assert RANK[decisions.outcome[0]] <= RANK[decisions.outcome[1]]
    if decisions.outcome[0] == decisions.outcome[1]:
        rising = decisions.confidence_B[1] - decisions.confidence_B[0]
        assert rising <= 1e-12 if decisions.outcome[0] == "unknown" else rising >= -1e-12
    assert np.isfinite([decisions.score_B, decisions.margin_B, decisions.confidence_B]).all()
    assert (decisions.confidence_B >= 0).all()
    assert (decisions.confidence_B <= 1).all()


@settings(max_examples=100, deadline=None)
@given(few=st.integers(1, 10_000), more=st.integers(1, 10_000), effective=st.floats(1, 30), fpir=st.floats(1e-4, 0.5))
def test_more_people_never_lower_the_threshold(few: int, more: int, effective: float, fpir: float) -> None:
    few, more = sorted((few, more))
    policy = DecisionPolicy(CALIBRATION, fpir, 1)
    few_1, more_1 = policy.threshold(few, [effective]), policy.threshold(more, [effective])
    assert few_1[0] <= more_1[0] < 1
    assert DecisionPolicy(CALIBRATION, fpir / 2, 1).threshold(few, [effective])[0] >= few_1[0]


KNOWN_SCORE = float(cosine_at(GENUINE_DEPTH.mean + 0.7))
AT_THRESHOLD = float(POLICY.threshold(10, 4.0))


@pytest.mark.parametrize(
    ("best", "second", "windows", "outcome"),
    [
        (KNOWN_SCORE, 0.0, 3, "known"),  # clear
        (KNOWN_SCORE, 0.0, 2, "undecided"),  # too few windows for any answer
        (KNOWN_SCORE, KNOWN_SCORE, 9, "undecided"),  # two people alike
        (KNOWN_SCORE, KNOWN_SCORE - 1e-3, 9, "undecided"),  # nearly: 5 % further away
        (AT_THRESHOLD, 0.0, 3, "known"),  # exactly at the threshold
        (AT_THRESHOLD - 1e-9, 0.0, 3, "unknown"),  # just below, where a stranger is the better explanation
        (0.2, 0.0, 3, "unknown"),  # clear
        (0.2, 0.2, 3, "unknown"),  # nobody, twice
        (0.2, 0.0, 2, "undecided"),  # too few windows
        (-1.0, -1.0, 24, "unknown"),  # the other end
        (1.0, -0.5, 24, "known"),  # a copy of a template
    ],
)
def test_outcomes(best: float, second: float, windows: int, outcome: str) -> None:
    decisions = POLICY.decide(scored(best, second), [4.0], [windows])
    assert decisions.outcome == [outcome]
    assert decisions.subject == ["ann" if outcome == "known" else None]
    assert decisions.margin_B[0] == pytest.approx(best - min(second, best))


def test_an_enrolled_walker_on_a_bad_stretch_is_not_called_unknown() -> None:
    """A strict target puts the threshold among the genuine scores; below it lies a zone of no decision, then strangers."""
    strict = DecisionPolicy(CALIBRATION, 1e-5, 3)
    threshold = float(strict.threshold(10, 1.0))
    genuine_5_percent = CALIBRATION.genuine_quantiles[0][0][1]
    assert genuine_5_percent < threshold
    decisions = strict.decide(scored([threshold, threshold - 1e-9, genuine_5_percent, 0.4]), 1.0, 3)
    assert decisions.outcome == ["known", "undecided", "undecided", "unknown"]


def test_nobody_enrolled_is_unknown_with_certainty_once_there_is_enough_walking() -> None:
    matches = Gallery("space@1", 4).match(units(2, 4))
    decisions = POLICY.decide(matches, [1.0, 4.0], [1, 6], 0)
    assert decisions.outcome == ["undecided", "unknown"]
    assert decisions.score_B.tolist() == [0.0, 0.0]
    assert decisions.confidence_B.tolist() == [0.0, 1.0]
    assert decisions.subject == [None, None]


def test_confidence_is_calibrated() -> None:
    """Among walkers half enrolled, half strangers, of those with confidence near c a share near c is enrolled."""
    rng = np.random.default_rng(5)
    count, people = 20_000, 10
    genuine = rng.normal(GENUINE_DEPTH.mean, GENUINE_DEPTH.stdev, count)
    strangers = rng.normal(IMPOSTOR_DEPTH.mean, IMPOSTOR_DEPTH.stdev, (count, people)).max(axis=1)
    score_B = cosine_at(np.concatenate([genuine, strangers]))
    decisions = POLICY.decide(scored(score_B.tolist(), enrolled=people), 1.0, 9)
    enrolled = np.where([word == "unknown" for word in decisions.outcome], 1 - decisions.confidence_B, decisions.confidence_B)
    true = np.arange(2 * count) < count
    for low, high in ((0.0, 0.1), (0.2, 0.5), (0.5, 0.8), (0.9, 1.01)):
        chosen = (enrolled >= low) & (enrolled < high)
        assert chosen.sum() > 200
        assert abs(true[chosen].mean() - enrolled[chosen].mean()) < 0.08


def test_longer_evidence_is_read_from_the_right_row() -> None:
    """n overlapping windows in a row are (n + 1) / 2 effective ones."""
    for index, windows in enumerate(CALIBRATION.windows):
        row = dict(CALIBRATION.impostor_quantiles[index])
        policy = DecisionPolicy(CALIBRATION, 0.01, 1)
        assert policy.threshold(1, (windows + 1) / 2) == pytest.approx(row[0.01], abs=1e-9)
    assert POLICY.threshold(1, 1000.0) == POLICY.threshold(1, 8.5)  # beyond the table: its last row
    between = POLICY.threshold(1, [1.0, 1.5, 2.5])  # 1, 2 and 4 windows in a row
    assert between[0] > between[1] > between[2]


@pytest.mark.parametrize(
    ("score", "windows", "templates", "outcome"),
    [
        (KNOWN_SCORE, 3, 1, "accepted"),
        (KNOWN_SCORE, 2, 1, "undecided"),  # too few windows
        (0.1, 3, 1, "rejected"),
        (0.1, 1, 1, "undecided"),
        (np.nan, 3, 1, "not_enrolled"),
        (np.nan, 1, 1, "not_enrolled"),  # needs no evidence
        (float(cosine_at(IMPOSTOR_DEPTH.inv_cdf(0.9905))), 3, 1, "accepted"),  # one in 105 impostors: below the target of 1 %
        (float(cosine_at(IMPOSTOR_DEPTH.inv_cdf(0.9905))), 3, 4, "rejected"),  # but four templates give each of them four tries
    ],
)
def test_verification(score: float, windows: int, templates: int, outcome: str) -> None:
    verdicts = POLICY.verify([score], [1.0], [windows], templates)
    assert verdicts.outcome == [outcome]
    assert np.isfinite([verdicts.score_B, verdicts.confidence_B, verdicts.threshold_B]).all()


def test_false_claims_are_accepted_as_often_as_the_target_says() -> None:
    u_S = np.random.default_rng(3).normal(IMPOSTOR_DEPTH.mean, IMPOSTOR_DEPTH.stdev, 40_000)
    verdicts = POLICY.verify(cosine_at(u_S), 1.0, 3)
    assert verdicts.outcome.count("accepted") / 40_000 == pytest.approx(0.01, abs=3.3 * np.sqrt(0.01 / 40_000))


def test_one_template_more_counts_as_one_comparison_more() -> None:
    gallery = Gallery("space@1", 8)
    for index, vector_D in enumerate(units(12, 8)):
        gallery.put(f"p{index // 4}", str(index), vector_D)
    decisions = POLICY.decide(gallery.match(units(1, 8, seed=5)), [1.0], [3], gallery.subjects)
    assert decisions.threshold_B[0] == POLICY.threshold(12, 1.0)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"target_fpir": 0.0}, "rates"),
        ({"target_fpir": 1.0}, "rates"),
        ({"target_fpir": 0.01, "target_fmr": 0.0}, "rates"),
        ({"target_fpir": 0.01, "min_windows": 0}, "min_windows"),
    ],
)
def test_impossible_targets_are_refused(arguments: dict, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        DecisionPolicy(CALIBRATION, **{"min_windows": 3, **arguments})


def test_evidence_must_fit_the_probes() -> None:
    with pytest.raises(ShapeError):
        POLICY.decide(scored([0.1, 0.2]), [1.0, 1.0, 1.0], [3, 3])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000))
def test_posterior_rises_and_keeps_the_total(seed: int) -> None:
    rng = np.random.default_rng(seed)
    genuine_C, stranger_C = rng.exponential(size=(2, 30)) * (rng.random((2, 30)) < 0.7)
    p_C = posterior(genuine_C, stranger_C)
    assert (np.diff(p_C) >= -1e-12).all()
    assert (p_C * (genuine_C + stranger_C)).sum() == pytest.approx(genuine_C.sum(), abs=1e-9)


@pytest.mark.parametrize(
    "quantiles",
    [
        (),  # nothing measured in the tail: the moments alone
        ((0.1, 0.7),),  # one row
        ((0.1, 0.7), (0.01, 0.7)),  # two rates at one score
        ((0.1, 0.7), (0.03, 0.69), (0.01, 0.9)),  # not rising
        ((0.1, 0.99999999), (0.01, 1.0)),  # as alike as float32 can be
    ],
)
def test_poor_tables_still_give_rising_thresholds(quantiles: tuple) -> None:
    impostors = Impostors.from_table(0.4, 0.3, quantiles)
    depths = [impostors.depth_at(rate) for rate in (0.5, 0.1, 0.01, 1e-3, 1e-6)]
    assert depths == sorted(depths)
    assert np.isfinite(depths).all()


def test_depth_and_cosine_are_inverse() -> None:
    cosine = np.linspace(-1, 0.99999, 50)
    np.testing.assert_allclose(cosine_at(depth(cosine)), cosine, atol=1e-12)
    assert depth(1.0) == pytest.approx(DEEPEST)
    assert depth(1.0001) == pytest.approx(DEEPEST)
    assert CENTRE_C[0] < 0 < CENTRE_C[-1] < DEEPEST


# The site


def people_of_a_site(count: int, alike: float, seed: int) -> Gallery:
    """People whose vectors share a direction: the larger its part, the more alike strangers are."""
    gallery = Gallery("space@1", 32)
    common = units(1, 32, seed=77)[0]
    for index, own in enumerate(units(count, 32, seed)):
        vector_D = alike * common + np.sqrt(1 - alike**2) * own
        gallery.put(f"p{index:03d}", "t", vector_D / np.linalg.norm(vector_D))
    return gallery


def test_the_site_is_measured_between_people_not_within() -> None:
    gallery = people_of_a_site(40, 0.8, 1)
    once = adapt_impostors(gallery)
    for name in gallery.names():  # a second, equal template of everybody would be a genuine score of 1
        gallery.put(name, "again", gallery.vectors_of(name)[0])
    twice = adapt_impostors(gallery)
    assert once is not None
    assert twice is not None
    assert (twice.mean, twice.upper, twice.people) == (pytest.approx(once.mean), pytest.approx(once.upper), 40)
    assert once.mean == pytest.approx(0.64, abs=0.03)
    assert 0.01 < once.upper - once.mean < 0.2
    assert adapt_impostors(people_of_a_site(4, 0.8, 1)) is None  # too few people


@pytest.mark.parametrize(
    ("mean", "upper", "higher"),
    [
        (0.7, 0.85, True),  # strangers more alike than in the calibration (0.5, 0.7 at its longest probes)
        (0.5, 0.85, True),  # wider
        (0.2, 0.5, False),  # strangers less alike
        (0.5, 0.6, False),  # narrower
    ],
)
def test_thresholds_follow_the_site(mean: float, upper: float, higher: bool) -> None:
    shipped = float(POLICY.threshold(10, 4.0))
    few, many = (
        float(DecisionPolicy(CALIBRATION, 0.01, 3, site=SiteImpostors(mean, upper, people)).threshold(10, 4.0)) for people in (5, 500)
    )
    assert shipped < few < many if higher else shipped > few > many
    assert abs(few - shipped) < 0.5 * abs(many - shipped)  # five people are not trusted far


@settings(max_examples=60, deadline=None)
@given(mean=st.floats(-0.9, 1), upper=st.floats(-1, 1), few=st.integers(1, 5000), more=st.integers(1, 5000))
def test_adapted_thresholds_still_rise_with_people(mean: float, upper: float, few: int, more: int) -> None:
    few, more = sorted((few, more))
    policy = DecisionPolicy(CALIBRATION, 0.01, 3, site=SiteImpostors(mean, upper, 100))
    assert policy.threshold(few, 2.0) <= policy.threshold(more, 2.0) <= 1


def test_a_moved_distribution_is_moved_beyond_its_table_too() -> None:
    impostors = Impostors.from_table(0.4, 0.3, ((0.1, 0.75), (0.01, 0.9), (0.001, 0.95)))
    moved = impostors.moved(0.3, 2.0)
    centre = float(depth(0.4))
    for rate in (0.2, 0.01, 1e-4, 1e-7):
        assert moved.depth_at(rate) - centre - 0.3 == pytest.approx(2 * (impostors.depth_at(rate) - centre))


def test_adapted_to_a_large_site_the_strangers_of_that_site_meet_the_target() -> None:
    """Depths at the site are those of the calibration, moved and stretched; ten people enrolled, 20,000 strangers."""
    u_SN = np.random.default_rng(9).normal(1.3, 0.8, (20_000, 10))
    best_S = cosine_at(u_SN.max(axis=1))
    site = SiteImpostors(float(cosine_at(u_SN).mean()), float(np.quantile(cosine_at(u_SN), 0.9)), 10**9)
    one_length = calibration((1,))
    shipped, adapted = (DecisionPolicy(one_length, 0.05, 1, site=measured) for measured in (None, site))
    assert (best_S >= adapted.threshold(10, 1.0)).mean() == pytest.approx(0.05, abs=0.015)
    assert (best_S >= shipped.threshold(10, 1.0)).mean() > 0.3
