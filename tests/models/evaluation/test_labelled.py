"""Embeddings and pair networks are judged by the same figures on the same windows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from models.data.recordings import Recording
from models.data.simulated import simulate
from models.evaluation.labelled import PairScorer, labelled_windows, recognise, recognise_pairs
from models.types import Float32


@pytest.fixture(scope="module")
def walks() -> list[Recording]:
    """Four walkers, two sessions each."""
    return simulate(range(60, 64), sessions=2, duration_s=16)


def features(x_WT6: Float32) -> Float32:
    """Magnitudes of the lowest frequencies of the angular rate: simple, and different people differ in them."""
    spectrum = np.abs(np.fft.rfft(x_WT6[..., 3:], axis=1))[:, 1:12].reshape(len(x_WT6), -1)
    return (spectrum - spectrum.mean(axis=1, keepdims=True)).astype(np.float32)


def cosine(a_BD: Float32, b_BD: Float32) -> Float32:
    return (a_BD * b_BD).sum(1) / np.linalg.norm(a_BD, axis=1) / np.linalg.norm(b_BD, axis=1)


def test_windows_are_walking_and_consecutive(walks: list[Recording]) -> None:
    day = simulate([60], sessions=1, duration_s=60, script="daily")
    (recording, starts, x_WT6), *_ = labelled_windows(day)
    assert all((recording.walk_N[start : start + 128] == 1).mean() >= 0.9 for start in starts)
    assert np.array_equal(x_WT6[1], recording.samples_N6[starts[1] : starts[1] + 128])
    few = labelled_windows(walks[:1], most=3)[0]
    assert len(few[1]) == 3
    assert (np.diff(few[1]) == 64).all()
    assert labelled_windows(simulate([60], sessions=1, duration_s=10, script="still")) == []


def test_a_pair_comparison_by_cosine_agrees_with_the_embedding(walks: list[Recording]) -> None:
    """Window against window both ways is the same cosine, so the figures of single pairs are the same."""
    enrol, probe = labelled_windows(walks[::2], 4), labelled_windows(walks[1::2], 8)
    _, by_embedding = recognise(features, enrol, probe, {})
    identified, by_pairs = recognise_pairs(PairScorer(features, cosine, 4), enrol, probe, {})
    assert by_pairs.figures["eer_pair"].value == pytest.approx(by_embedding.figures["eer_pair"].value, abs=1e-9)
    assert by_pairs.counts["genuine_pair"] == by_embedding.counts["genuine_pair"] == 4 * 4 * 8
    assert by_pairs.counts["genuine_4"] == 4 * 5  # eight windows, four in a row
    assert identified.counts["probes_all"] == 4
    assert identified.figures["rank1_all"].value >= 0.5


def test_confusion_and_curves_are_there(walks: list[Recording]) -> None:
    identified, verified = recognise(features, labelled_windows(walks[::2]), labelled_windows(walks[1::2]), {})
    assert identified.confusion is not None
    assert identified.confusion.names == [f"sim000{n}" for n in range(60, 64)]
    assert np.allclose(identified.confusion.share_GG.sum(1), 1)
    assert np.trace(identified.confusion.share_GG) / 4 == pytest.approx(identified.figures["rank1_1"].value, abs=0.05)
    rows = verified.to_json()["curves"]["1"]
    assert all(0 < fmr <= 1 and 0 <= fnmr <= 1 for fmr, fnmr in rows)
    assert rows[0][0] >= rows[-1][0]


def test_sets_are_never_mixed(walks: list[Recording]) -> None:
    other = labelled_windows([replace(walks[0], source="elsewhere")])
    with pytest.raises(ValueError, match="never compared"):
        recognise(features, labelled_windows(walks[2:4]), other, {})
    with pytest.raises(ValueError, match="never compared"):
        recognise_pairs(PairScorer(features, cosine, 4), labelled_windows(walks[2:4]), other, {})
