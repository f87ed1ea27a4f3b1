"""Camera protocols: every cell, mean and score against a plain count."""

from __future__ import annotations

import numpy as np
import pytest

from models.evaluation.vision_protocols import (
    LabelledVectors,
    Metric,
    chance_level,
    equal_error_of,
    mean_of_clips,
    pooled_gallery,
    rank_rates,
    scores,
    view_matrix,
)


def drawn(seed: int, walks: int, people: int = 6, views: tuple[str, ...] = ("0", "18", "90"), spread: float = 1.0) -> LabelledVectors:
    """Walks of people whose vectors depend on person and view, with noise."""
    rng, fixed = np.random.default_rng(seed), np.random.default_rng(0)
    person, view = fixed.normal(size=(people, 5)), fixed.normal(size=(len(views), 5))
    rows = [(p, v) for p in range(people) for v in range(len(views)) for _ in range(walks)]
    vectors = np.array([person[p] + 0.8 * view[v] + spread * 0.5 * rng.normal(size=5) for p, v in rows], np.float32)
    return LabelledVectors(vectors, np.array([f"p{p}" for p, _ in rows]), np.array([views[v] for _, v in rows]))


@pytest.mark.parametrize("metric", ["l1", "euclidean", "exponential"])
def test_scores_agree_with_their_definitions(metric: Metric) -> None:
    rng = np.random.default_rng(1)
    probe, gallery = rng.normal(size=(70, 4)).astype(np.float32) * 50, rng.normal(size=(9, 4)).astype(np.float32) * 50
    difference = probe[:, None].astype(np.float64) - gallery[None]
    expected = {
        "l1": -np.abs(difference).sum(axis=2),
        "euclidean": -np.sqrt((difference**2).sum(axis=2)),
        "exponential": np.exp(-((difference / 256) ** 2).sum(axis=2)),
    }[metric]
    assert np.allclose(scores(probe, gallery, metric), expected, rtol=1e-4)


def test_the_exponential_score_ties_where_distances_do_not() -> None:
    probe, gallery = np.zeros((1, 2), np.float32), np.array([[2e-3, 0], [1e-3, 0]], np.float32)
    assert scores(probe, gallery, "exponential")[0].tolist() == [1.0, 1.0]  # float32, as published
    assert scores(probe, gallery, "euclidean")[0].argmax() == 1


def test_view_matrix_counts_every_cell() -> None:
    gallery, probes = drawn(1, 2), drawn(2, 3)
    matrix = view_matrix(gallery, probes, "euclidean")
    assert matrix.probe_views == ("0", "18", "90")  # by angle, not by the alphabet
    for i, seen in enumerate(matrix.probe_views):
        for j, enrolled in enumerate(matrix.gallery_views):
            hits = []
            for vector, subject in zip(probes.of_view(seen).vector_ND, probes.of_view(seen).subject_N, strict=True):
                own = gallery.of_view(enrolled)
                hits.append(own.subject_N[((own.vector_ND - vector) ** 2).sum(axis=1).argmin()] == subject)
            assert matrix.rank1_VV[i, j] == pytest.approx(np.mean(hits))
    off = [matrix.rank1_VV[i, j] for i in range(3) for j in range(3) if i != j]
    assert matrix.mean_without_identical == pytest.approx(np.mean(off))
    assert matrix.mean_identical == pytest.approx(np.trace(matrix.rank1_VV) / 3)
    assert matrix.mean == pytest.approx(matrix.rank1_VV.mean())
    assert matrix.per_probe_view["18"] == pytest.approx((matrix.rank1_VV[1, 0] + matrix.rank1_VV[1, 2]) / 2)
    assert matrix.mean_identical > matrix.mean_without_identical


def test_the_pooled_gallery_leaves_the_own_view_out_and_is_easier_than_the_mean() -> None:
    gallery, probes = drawn(1, 2, spread=0.6), drawn(2, 3, spread=0.6)
    pooled = pooled_gallery(gallery, probes, "l1")
    expected = rank_rates(gallery.chosen(gallery.view_N != "18"), probes.of_view("18"), "l1")[1]
    assert pooled["18"] == expected
    assert np.mean(list(pooled.values())) >= view_matrix(gallery, probes, "l1").mean_without_identical


def test_a_missing_view_is_not_a_zero() -> None:
    gallery, probes = drawn(1, 2, views=("0", "18")), drawn(2, 2)
    matrix = view_matrix(gallery, probes, "euclidean")
    assert matrix.rank1_VV.shape == (3, 2)
    empty = LabelledVectors(np.zeros((0, 5), np.float32), np.zeros(0, str), np.zeros(0, str))
    assert np.isnan(rank_rates(empty, probes, "l1")[1])
    assert np.isnan(view_matrix(gallery.of_view("0"), probes.of_view("0"), "l1").mean_without_identical)


def test_ranks_rise_and_chance_is_the_share_of_own_entries() -> None:
    gallery, probes = drawn(1, 2), drawn(2, 1)
    rates = rank_rates(gallery, probes, "euclidean", (1, 2, 36))
    assert rates[1] <= rates[2] <= rates[36] == 1.0
    assert chance_level(gallery, probes) == pytest.approx(1 / 6)
    assert 0.0 < equal_error_of(gallery, probes, "euclidean") < 0.5


def test_clips_are_averaged_and_bad_shapes_named() -> None:
    clips = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    assert np.array_equal(mean_of_clips(clips)[0], clips[0].mean(axis=0))
    with pytest.raises(ValueError, match=r"\(2, 0, 4\)"):
        mean_of_clips(clips[:, :0])
    with pytest.raises(ValueError, match="subject"):
        LabelledVectors(np.zeros((2, 3), np.float32), np.array(["a"]), np.array(["0", "0"]))
