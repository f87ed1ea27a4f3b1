"""From scores to answers: known, unknown or undecided (1:N); accepted, rejected, undecided or not enrolled (1:1).

Shape letters: B probes, C grid cells, L lengths of probe in the calibration.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.calibration import ScoreCalibration
from models.matching.evidence import windows_in_a_row
from models.matching.likelihood import CENTRE_C, Impostors, cosine_at, depth, genuine_share, posterior
from models.matching.matches import Matches
from models.matching.site import SiteImpostors
from models.types import ShapeError

Outcome = Literal["known", "unknown", "undecided"]
Verdict = Literal["accepted", "rejected", "undecided", "not_enrolled"]
Floats = NDArray[np.float64]

UNKNOWN_BELOW = 0.5
"""Below the threshold a walker is unknown where a stranger is the better explanation; an enrolled walker on a bad stretch stays undecided."""

LEAST_DEPTH_MARGIN = 0.1
"""The second person must be at least 10 % further from the probe (1 - cosine) than the first, or two people are equally good answers."""


@dataclass(frozen=True, slots=True)
class Decisions:
    """Answers to B probes.

    outcome: B words.  subject: B names, None unless known.  score_B, margin_B: of the most alike person; 0 where nobody is enrolled.
    confidence_B: probability that the answer is right if strangers and enrolled walkers are equally frequent; of an undecided one, that
    the most alike person is the walker.  threshold_B: cosine from which a score counts as known.
    """

    outcome: list[Outcome]
    subject: list[str | None]
    score_B: Floats
    margin_B: Floats
    confidence_B: Floats
    threshold_B: Floats

    def __len__(self) -> int:
        return len(self.outcome)


@dataclass(frozen=True, slots=True)
class Verdicts:
    """Answers to B claims. score_B: cosine with the claimed person, 0 if not enrolled. confidence_B: that the claim is true."""

    outcome: list[Verdict]
    score_B: Floats
    confidence_B: Floats
    threshold_B: Floats


class DecisionPolicy:
    """Thresholds and confidences of one embedding space for target error rates; pure, the same arguments give the same answers.

    calibration: of the space.  target_fpir: share of strangers that may be taken for someone.  min_windows: fewer windows decide nothing.
    target_fmr: share of false claims that may be accepted.  site: impostor scores measured among the site's own people, or None.

    The threshold of N comparisons is where one comparison's false match rate is 1 - (1 - FPIR)^(1/N): N independent ones then give FPIR.
    Templates of one person are alike, so counting each errs on the safe side. Rates below the calibration's table are extrapolated
    (models.matching.likelihood): with 53 people behind a table, a target of 1e-5 per comparison rests on that extrapolation.
    """

    def __init__(
        self,
        calibration: ScoreCalibration,
        target_fpir: float,
        min_windows: int,
        *,
        target_fmr: float = 0.01,
        site: SiteImpostors | None = None,
    ) -> None:
        if not (0.0 < target_fpir < 1.0 and 0.0 < target_fmr < 1.0) or min_windows < 1:
            raise ValueError(f"rates must lie between 0 and 1 and min_windows be positive: {target_fpir}, {target_fmr}, {min_windows}")
        self.calibration, self.target_fpir, self.min_windows, self.target_fmr = calibration, target_fpir, min_windows, target_fmr
        tables = zip(calibration.impostor_mean, calibration.impostor_sd, calibration.impostor_quantiles, strict=True)
        self._impostors = [Impostors.from_table(*table) for table in tables]
        if site is not None:
            shift, stretch = site.correction(self._impostors[-1].depth_at(0.5), self._impostors[-1].depth_at(0.1))
            self._impostors = [impostors.moved(shift, stretch) for impostors in self._impostors]
        tables = zip(calibration.genuine_mean, calibration.genuine_sd, calibration.genuine_quantiles, strict=True)
        self._genuine_LC = np.array([genuine_share(*table) for table in tables])
        self._posterior_LC = lru_cache(maxsize=64)(self._posteriors)

    def threshold(self, comparisons: int, effective_B: ArrayLike) -> Floats:
        """(B,) cosine that a stranger's best of `comparisons` scores reaches with probability target_fpir."""
        return self._threshold(_per_comparison(self.target_fpir, comparisons), effective_B)

    def decide(self, matches: Matches, effective_windows_B: ArrayLike, windows_B: ArrayLike, enrolled: int | None = None) -> Decisions:
        """Known: score at or above the threshold and a clear margin. Unknown: enough windows, score below it, and a stranger the better
        explanation. Undecided: everything else. With nobody enrolled a walker is unknown after min_windows, with certainty and score 0.

        effective_windows_B, windows_B: evidence behind each probe (models.matching.evidence).  enrolled: number of people, if more than
        the matches counted. Raises ShapeError if the lengths do not agree.
        """
        effective_B, windows = _per_probe(len(matches), effective_windows_B), _per_probe(len(matches), windows_B)
        comparisons = max(enrolled or 0, matches.templates)
        enough = windows >= self.min_windows
        if not matches.enrolled:
            zero = np.zeros(len(matches))
            words = [_outcome(False, sure) for sure in enough.tolist()]
            return Decisions(words, [None] * len(matches), zero, zero, enough.astype(np.float64), zero + 1.0)
        best, u_best = matches.best, depth(matches.best)
        threshold = self.threshold(comparisons, effective_B)
        probability = self._probability(comparisons, u_best, effective_B)
        reached = best >= threshold
        known = enough & reached & (u_best - depth(matches.second) >= LEAST_DEPTH_MARGIN)
        unknown = enough & ~reached & (probability < UNKNOWN_BELOW)
        return Decisions(
            [_outcome(*pair) for pair in zip(known.tolist(), unknown.tolist(), strict=True)],
            [name if sure else None for name, sure in zip(matches.subject_BP[:, 0], known.tolist(), strict=True)],
            best,
            matches.margin,
            np.where(unknown, 1.0 - probability, probability),
            threshold,
        )

    def verify(self, score_B: ArrayLike, effective_windows_B: ArrayLike, windows_B: ArrayLike, templates: int = 1) -> Verdicts:
        """Whether each walker is the person claimed. score_B: from Gallery.score_subject, NaN for a person not enrolled.

        templates: how many the claimed person has, for the best of several strangers' scores. Accepted at or above the score of
        target_fmr; rejected below it where an impostor is the better explanation; undecided between and before min_windows.
        """
        score = np.asarray(score_B, np.float64)
        effective_B, windows = _per_probe(len(score), effective_windows_B), _per_probe(len(score), windows_B)
        absent = np.isnan(score)
        score = np.where(absent, 0.0, score)
        threshold = self._threshold(_per_comparison(self.target_fmr, templates), effective_B)
        probability = np.where(absent, 0.0, self._probability(templates, depth(score), effective_B))
        enough = windows >= self.min_windows
        accepted = enough & (score >= threshold)
        rejected = enough & (score < threshold) & (probability < UNKNOWN_BELOW)
        words: list[Verdict] = ["undecided", "rejected", "accepted", "not_enrolled"]
        code = np.select([absent, accepted, rejected], [3, 2, 1], 0)
        return Verdicts([words[i] for i in code.tolist()], score, probability, threshold)

    def _threshold(self, rate: float, effective_B: ArrayLike) -> Floats:
        u_L = np.array([impostors.depth_at(rate) for impostors in self._impostors])
        return cosine_at(np.interp(self._position(effective_B), np.arange(len(u_L)), u_L))

    def _probability(self, comparisons: int, u_B: Floats, effective_B: Floats) -> Floats:
        """(B,) probability that the best score is the walker's own, interpolated between cells and between lengths of probe."""
        at_LB = np.array([np.interp(u_B, CENTRE_C, row_C) for row_C in self._posterior_LC(comparisons)])
        position = self._position(effective_B)
        below = np.minimum(position.astype(int), max(len(at_LB) - 2, 0))
        above = np.minimum(below + 1, len(at_LB) - 1)
        weight = position - below
        row = np.arange(len(u_B))
        return (1.0 - weight) * at_LB[below, row] + weight * at_LB[above, row]

    def _position(self, effective_B: ArrayLike) -> Floats:
        """(B,) fractional index into the calibration's lengths of probe, linear in the logarithm of the length, clipped to the table."""
        lengths = np.log(self.calibration.windows)
        return np.interp(np.log(np.maximum(windows_in_a_row(effective_B), 1.0)), lengths, np.arange(len(lengths)))

    def _posteriors(self, comparisons: int) -> NDArray[np.float64]:
        pairs = zip(self._genuine_LC, self._impostors, strict=True)
        return np.array([posterior(genuine_C, impostors.share_of_best(comparisons)) for genuine_C, impostors in pairs])


def _per_comparison(rate: float, comparisons: int) -> float:
    """False match rate per comparison at which one of `comparisons` independent ones is false with probability `rate`."""
    return float(-np.expm1(np.log1p(-rate) / max(comparisons, 1)))


def _per_probe(count: int, values: ArrayLike) -> Floats:
    array = np.asarray(values, np.float64)
    if array.ndim and array.shape != (count,):
        raise ShapeError(f"evidence must have one value per probe, ({count},), got {array.shape}")
    return np.broadcast_to(array, (count,))


def _outcome(known: bool, unknown: bool) -> Outcome:
    return "known" if known else "unknown" if unknown else "undecided"
