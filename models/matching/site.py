"""What the enrolled people of a site say about that site: how alike strangers are there, and in which directions people vary.

Two things are learnt, apart from one another. `SiteImpostors` moves the distribution of impostor scores. `SiteTransform` changes the space
itself: it centres the embeddings on the site's people and whitens them by the covariance within people (within-class covariance
normalisation: Hatch, Kajarekar & Stolcke, Interspeech 2006), so that what differs from window to window of one person counts less than what
differs between people, and keeps the directions in which the site's windows then differ most. A transform is a space of its own, named after what it holds: vectors of the network's space go in, nothing that was
enrolled is changed, and leaving the transform away leads back.

Shape letters: N vectors, P people, D embedding, M directions that are matched.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from models.matching.gallery import Gallery
from models.matching.likelihood import depth
from models.matching.vectors import unit_rows
from models.types import Float32, ShapeError

SHIPPED_PEOPLE = 20
"""So many people of a site weigh as much as the shipped calibration."""

LEAST_PEOPLE = 5
"""Fewer people, fewer than ten pairs, say nothing about a spread."""

MOST_PEOPLE = 500
"""125,000 pairs: more people change the quantiles by less than the choice of people does."""

LEAST_SPREAD = 0.01
"""Least difference in depth between mean and upper tenth; people as alike as copies would otherwise leave no distribution."""

SHRINKAGE = 0.3
"""Share of the covariance within people that is replaced by a multiple of the identity: a dozen people span few directions."""

LEAST_VECTORS = 8
"""Of one person; fewer say little about how one person varies."""

LEAST_PEOPLE_TO_TRANSFORM = 8
"""Fewer people's covariance, in 64 or more dimensions, is an accident of who they are."""


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


@dataclass(frozen=True, eq=False)
class SiteTransform:
    """Centring and whitening of one embedding space for one site.

    space: the embedding space that goes in.  mean_D, matrix_DM: y = normalise((x - mean) matrix), float64.  people: whom it was learnt from.
    Raises ShapeError if mean and matrix do not fit each other or are not finite.
    """

    space: str
    mean_D: NDArray[np.float64]
    matrix_DM: NDArray[np.float64]
    people: int

    def __post_init__(self) -> None:
        mean, matrix = self.mean_D.shape, self.matrix_DM.shape
        if len(mean) != 1 or len(matrix) != 2 or matrix[0] != mean[0] or not 0 < matrix[1] <= mean[0]:
            raise ShapeError(f"mean and matrix must be (D,) and (D, M) with M at most D, got {mean} and {matrix}")
        if not (np.isfinite(self.mean_D).all() and np.isfinite(self.matrix_DM).all()):
            raise ShapeError("mean and matrix of a site's transform must be finite")

    @property
    def dim(self) -> int:
        """M, the length of what comes out."""
        return self.matrix_DM.shape[1]

    @cached_property
    def adapted_space(self) -> str:
        """Id of the space that comes out: the one that goes in, "+site-" and eight digits of the hash of mean and matrix."""
        content = self.mean_D.astype("<f8").tobytes() + self.matrix_DM.astype("<f8").tobytes()
        return f"{self.space}+site-{hashlib.sha256(content).hexdigest()[:8]}"

    def apply(self, vectors_ND: ArrayLike) -> Float32:
        """(N, D) unit rows of `space` -> (N, M) unit rows of `adapted_space`. Each row alone decides its result. Raises ShapeError."""
        rows_ND = unit_rows(vectors_ND, len(self.mean_D)).astype(np.float64)
        moved_NM = np.einsum("nd,dm->nm", rows_ND - self.mean_D, self.matrix_DM)  # not BLAS: the same row, the same bits in any batch
        length_N1 = np.linalg.norm(moved_NM, axis=1, keepdims=True)
        moved_NM[length_N1[:, 0] < 1e-12] = np.eye(1, self.dim)  # the mean itself has no direction
        return np.asarray(moved_NM / np.linalg.norm(moved_NM, axis=1, keepdims=True), np.float32)


def learn_transform(
    space: str,
    people: Sequence[ArrayLike],
    matched_dim: int | None = None,
    shrinkage: float = SHRINKAGE,
    least_people: int = LEAST_PEOPLE_TO_TRANSFORM,
) -> SiteTransform | None:
    """From the window embeddings (N_p, D) of every person of a site, best of several walks each. Every person weighs the same.

    matched_dim: M, as many directions of the whitened space as are kept, those in which windows differ most; None keeps all.
    None if fewer than `least_people` people have LEAST_VECTORS vectors. Raises ShapeError for vectors that are no embeddings and
    ValueError for a shrinkage outside (0, 1] or a matched_dim outside 1 to D.
    """
    if not 0.0 < shrinkage <= 1.0:
        raise ValueError(f"shrinkage must be in (0, 1], got {shrinkage}")
    groups = [rows.astype(np.float64) for rows in map(unit_rows, people) if len(rows) >= LEAST_VECTORS]
    if len(groups) < least_people:
        return None
    dims = sorted({rows.shape[1] for rows in groups})
    if len(dims) > 1:
        raise ShapeError(f"vectors of one space have one length, got {dims}")
    mean_PD = np.array([rows.mean(axis=0) for rows in groups])
    within_DD = np.mean([(rows - mean).T @ (rows - mean) / (len(rows) - 1) for rows, mean in zip(groups, mean_PD, strict=True)], axis=0)
    round_DD = np.trace(within_DD) / dims[0] * np.eye(dims[0])
    value_D, vector_DD = np.linalg.eigh((1.0 - shrinkage) * within_DD + shrinkage * round_DD)
    floor = max(float(value_D[-1]) * 1e-6, 1e-12)  # walks that are copies of one another have no spread
    matrix_DD = vector_DD / np.sqrt(np.maximum(value_D, floor)) @ vector_DD.T  # symmetric: the whitening that turns vectors least
    mean_D = mean_PD.mean(axis=0)
    if matched_dim is None or matched_dim == dims[0]:
        return SiteTransform(space, mean_D, matrix_DD, len(groups))
    if not 0 < matched_dim < dims[0]:
        raise ValueError(f"matched_dim must be 1 to {dims[0]}, got {matched_dim}")
    moved = [(rows - mean_D) @ matrix_DD for rows in groups]
    total_DD = np.mean([rows.T @ rows / len(rows) for rows in moved], axis=0)
    return SiteTransform(space, mean_D, matrix_DD @ np.linalg.eigh(total_DD)[1][:, : -matched_dim - 1 : -1], len(groups))
