"""The closed-set protocols under which the camera systems were published: who is nearest, per view of probe and gallery.

Sources: GaitNet (Song et al., Pattern Recognition 96, 2019): probe view x gallery view, mean with and without the identical view, condition
matrices likewise, exponential score, mean of random clips. GaitFormer (Cosma, Radoi, Sensors 22(18), 2022): one gallery of all other views
for each probe view, L1. The open-set terms are those of `models.evaluation.identification`.
Shape letters: P probes, G gallery entries, D dimensions, V views (or conditions), K clips of a sequence.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.evaluation.scores import equal_error_rate
from models.types import Float32

Metric = Literal["l1", "euclidean", "exponential"]

EXPONENTIAL_SCALE = 256.0
"""Divides differences before the published exponential score, whatever the number of dimensions."""

SLICE = 64
"""Probes whose L1 distances are held at once."""


@dataclass(frozen=True, slots=True)
class LabelledVectors:
    """Embeddings of sequences. vector_ND: (N, D) float32.  subject_N, view_N: (N,) text; a view may be any condition.

    Raises ValueError where the lengths differ.
    """

    vector_ND: Float32
    subject_N: NDArray[np.str_]
    view_N: NDArray[np.str_]

    def __post_init__(self) -> None:
        if self.vector_ND.ndim != 2 or not len(self.vector_ND) == len(self.subject_N) == len(self.view_N):
            shapes = (self.vector_ND.shape, self.subject_N.shape, self.view_N.shape)
            raise ValueError(f"vectors must be (N, D) with a subject and a view each, got {shapes}")

    def __len__(self) -> int:
        return len(self.vector_ND)

    def chosen(self, keep_N: NDArray[np.bool_] | NDArray[np.int64]) -> LabelledVectors:
        """The rows of a mask or of indices."""
        return LabelledVectors(self.vector_ND[keep_N], self.subject_N[keep_N], self.view_N[keep_N])

    def of_view(self, view: str) -> LabelledVectors:
        """The rows of one view."""
        return self.chosen(self.view_N == view)


@dataclass(frozen=True, slots=True)
class ViewMatrix:
    """rank1_VV: share of probes of a view (row) whose nearest gallery entry of a view (column) is of the same person; NaN where there is
    no probe or no gallery.  probes_VV: how many probes that is."""

    probe_views: tuple[str, ...]
    gallery_views: tuple[str, ...]
    rank1_VV: NDArray[np.float64]
    probes_VV: NDArray[np.int64]

    @property
    def identical_VV(self) -> NDArray[np.bool_]:
        """Where probe and gallery have one view."""
        return np.asarray(self.probe_views)[:, None] == np.asarray(self.gallery_views)[None, :]

    @property
    def mean(self) -> float:
        """Mean of all cells."""
        return _mean(self.rank1_VV)

    @property
    def mean_without_identical(self) -> float:
        """Mean of the cells whose views differ."""
        return _mean(self.rank1_VV[~self.identical_VV])

    @property
    def mean_identical(self) -> float:
        """Mean of the cells with one view."""
        return _mean(self.rank1_VV[self.identical_VV])

    @property
    def per_probe_view(self) -> dict[str, float]:
        """Mean over the other gallery views, for each probe view."""
        without_VV = np.where(self.identical_VV, np.nan, self.rank1_VV)
        return {view: _mean(row_V) for view, row_V in zip(self.probe_views, without_VV, strict=True)}


def _mean(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def scores(probe_PD: Float32, gallery_GD: Float32, metric: Metric) -> NDArray[np.floating]:
    """(P, G), higher is more alike: negative distance, or exp(-sum of (difference / 256)²).

    The exponential score is float32 as published: near 1 it has steps of 6e-8, and different distances tie.
    """
    if metric == "l1":
        parts = [np.abs(probe_PD[k : k + SLICE, None] - gallery_GD[None]).sum(axis=2) for k in range(0, len(probe_PD), SLICE)]
        return -np.concatenate(parts) if parts else np.zeros((0, len(gallery_GD)))
    probe, gallery = probe_PD.astype(np.float64), gallery_GD.astype(np.float64)
    squared_PG = (probe**2).sum(axis=1)[:, None] + (gallery**2).sum(axis=1)[None] - 2 * probe @ gallery.T
    squared_PG = np.maximum(squared_PG, 0.0)
    if metric == "exponential":
        return np.exp(-(squared_PG / EXPONENTIAL_SCALE**2).astype(np.float32))
    return -np.sqrt(squared_PG)


def rank_rates(gallery: LabelledVectors, probes: LabelledVectors, metric: Metric, ranks: Sequence[int] = (1,)) -> dict[int, float]:
    """Share of probes that have their own person among the nearest `rank` gallery entries. NaN without probes or gallery.

    Of equal scores the gallery's first counts as nearest, as numpy's argmax does in the published scripts.
    """
    if not len(gallery) or not len(probes):
        return dict.fromkeys(ranks, float("nan"))
    order_PG = np.argsort(-scores(probes.vector_ND, gallery.vector_ND, metric), axis=1, kind="stable")[:, : max(ranks)]
    own_PG = gallery.subject_N[order_PG] == probes.subject_N[:, None]
    return {rank: float(own_PG[:, :rank].any(axis=1).mean()) for rank in ranks}


def view_matrix(gallery: LabelledVectors, probes: LabelledVectors, metric: Metric, rank: int = 1) -> ViewMatrix:
    """Rank-`rank` of every probe view against every gallery view."""
    probe_views = tuple(sorted(set(probes.view_N.tolist()), key=_order))
    gallery_views = tuple(sorted(set(gallery.view_N.tolist()), key=_order))
    rate_VV = np.full((len(probe_views), len(gallery_views)), np.nan)
    probes_VV = np.zeros(rate_VV.shape, np.int64)
    for i, seen in enumerate(probe_views):
        own = probes.of_view(seen)
        for j, enrolled in enumerate(gallery_views):
            rate_VV[i, j] = rank_rates(gallery.of_view(enrolled), own, metric, (rank,))[rank]
            probes_VV[i, j] = len(own)
    return ViewMatrix(probe_views, gallery_views, rate_VV, probes_VV)


def _order(view: str) -> tuple[float, str]:
    """Angles by their size, names after them by the alphabet."""
    return (float(view), "") if view.replace(".", "", 1).isdigit() else (float("inf"), view)


def pooled_gallery(gallery: LabelledVectors, probes: LabelledVectors, metric: Metric) -> dict[str, float]:
    """Rank-1 of each probe view against all gallery entries of the other views at once: easier than the mean over gallery views."""
    views = sorted(set(probes.view_N.tolist()), key=_order)
    return {view: rank_rates(gallery.chosen(gallery.view_N != view), probes.of_view(view), metric)[1] for view in views}


def chance_level(gallery: LabelledVectors, probes: LabelledVectors) -> float:
    """Rank-1 of a guess: mean over probes of their own person's share of the gallery entries. Raises ValueError without gallery or probes."""
    if not len(gallery) or not len(probes):
        raise ValueError(f"a chance level needs gallery and probes, got {len(gallery)} and {len(probes)}")
    people, counts = np.unique(gallery.subject_N, return_counts=True)
    share = dict(zip(people.tolist(), (counts / len(gallery)).tolist(), strict=True))
    return float(np.mean([share.get(str(subject), 0.0) for subject in probes.subject_N]))


def equal_error_of(gallery: LabelledVectors, probes: LabelledVectors, metric: Metric) -> float:
    """Equal error rate over all pairs of probe and gallery entry. Raises ValueError where one kind of pair is missing."""
    score_PG = scores(probes.vector_ND, gallery.vector_ND, metric).astype(np.float64)
    same_PG = probes.subject_N[:, None] == gallery.subject_N[None, :]
    return equal_error_rate(score_PG[same_PG], score_PG[~same_PG])


def mean_of_clips(clip_NKD: Float32) -> Float32:
    """(N, D) mean over K random clips of a sequence. Raises ValueError for another number of axes or no clips."""
    if clip_NKD.ndim != 3 or clip_NKD.shape[1] == 0:
        raise ValueError(f"clips must be (N, K >= 1, D), not {clip_NKD.shape}")
    return clip_NKD.mean(axis=1, dtype=np.float32)
