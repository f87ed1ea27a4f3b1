"""What the enrolled people of a site say about strangers there: their scores against each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.matching.gallery import Gallery
from models.matching.likelihood import depth

SHIPPED_PEOPLE = 20
"""So many people of a site weigh as much as the shipped calibration."""

LEAST_PEOPLE = 5
"""Fewer people, fewer than ten pairs, say nothing about a spread."""

MOST_PEOPLE = 500
"""125,000 pairs: more people change the quantiles by less than the choice of people does."""

LEAST_SPREAD = 0.01
"""Least difference in depth between mean and upper tenth; people as alike as copies would otherwise leave no distribution."""


@dataclass(frozen=True, slots=True)
class SiteImpostors:
    """Cosines between templates of different people of one site: their mean, and what the most alike tenth of the pairs reaches.

    The same two figures that a calibration has of its impostors, so that like is compared with like.
    """

    mean: float
    upper: float
    people: int

    def correction(self, shipped_mean: float, shipped_upper: float) -> tuple[float, float]:
        """Shift and stretch of depths that take the shipped impostors (depths of mean and upper tenth) to this site's.

        Only as far as the site's number of people is to be trusted.
        """
        weight = self.people / (self.people + SHIPPED_PEOPLE)
        mean, upper = float(depth(self.mean)), float(depth(self.upper))
        stretch = max(upper - mean, LEAST_SPREAD) / (shipped_upper - shipped_mean)
        return weight * (mean - shipped_mean), float(stretch**weight)


def adapt_impostors(gallery: Gallery) -> SiteImpostors | None:
    """Measured over all pairs of up to MOST_PEOPLE enrolled people (the first by name), each as the mean of his or her templates.

    None for fewer than LEAST_PEOPLE. Templates average a whole enrolment, so the result is compared with the calibration's longest probes.
    """
    names = gallery.names()[:MOST_PEOPLE]
    if len(names) < LEAST_PEOPLE:
        return None
    centre_ND = np.array([gallery.vectors_of(name).mean(axis=0, dtype=np.float64) for name in names])
    centre_ND /= np.linalg.norm(centre_ND, axis=1, keepdims=True)
    cosine = (centre_ND @ centre_ND.T)[np.triu_indices(len(names), 1)]
    return SiteImpostors(float(cosine.mean()), float(np.quantile(cosine, 0.9)), len(names))
