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
"""More people change the moments by less than the deviation of their estimate, and the pairs grow with the square."""


@dataclass(frozen=True, slots=True)
class SiteImpostors:
    """Mean and standard deviation of the depth -ln(1 - cosine) between templates of different people of one site."""

    mean: float
    sd: float
    people: int

    def correction(self, shipped_mean: float, shipped_sd: float) -> tuple[float, float]:
        """Shift and stretch that take the shipped impostors to this site's, as far as its number of people is to be trusted."""
        weight = self.people / (self.people + SHIPPED_PEOPLE)
        return weight * (self.mean - shipped_mean), float(np.exp(weight * np.log(self.sd / shipped_sd)))


def adapt_impostors(gallery: Gallery) -> SiteImpostors | None:
    """Measured over all pairs of up to MOST_PEOPLE enrolled people (the first by name), each as the mean of his or her templates.

    None for fewer than LEAST_PEOPLE. Templates average a whole enrolment, so the result is compared with the calibration's longest probes.
    """
    names = gallery.names()[:MOST_PEOPLE]
    if len(names) < LEAST_PEOPLE:
        return None
    centre_ND = np.array([gallery.vectors_of(name).mean(axis=0, dtype=np.float64) for name in names])
    centre_ND /= np.linalg.norm(centre_ND, axis=1, keepdims=True)
    u = depth((centre_ND @ centre_ND.T)[np.triu_indices(len(names), 1)])
    return SiteImpostors(float(u.mean()), max(float(u.std()), 1e-3), len(names))
