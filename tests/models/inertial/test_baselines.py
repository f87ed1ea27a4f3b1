"""EigenGait, Wavelet and Fourier: the transforms against their mathematics, the features on real walkers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from models.data.loading import load_recordings
from models.inertial.baselines import (
    BASELINES,
    EigenGait,
    Fourier,
    Layout,
    LinearMachine,
    NotFittedError,
    PairBaseline,
    Wavelet,
    daubechies,
    wavelet_transform,
)
from models.inertial.steps import two_step_samples
from models.types import Float32, ShapeError


def random_samples(count: int, seed: int = 0, time: int = 128) -> Float32:
    return np.random.default_rng(seed).normal(size=(count, time, 6)).astype(np.float32)


@pytest.mark.parametrize(
    ("moments", "expected"),
    [
        (1, [0.70710678, 0.70710678]),  # Haar
        (2, [0.48296291, 0.83651630, 0.22414387, -0.12940952]),  # Daubechies 1992, table 6.1
        (4, [0.23037781, 0.71484657, 0.63088077, -0.02798377, -0.18703481, 0.03084138, 0.03288301, -0.01059740]),
    ],
)
def test_daubechies_filters(moments: int, expected: list[float]) -> None:
    assert daubechies(moments) == pytest.approx(expected, abs=1e-7)


def test_wavelet_transform_is_orthonormal_and_blind_to_cubics() -> None:
    basis = wavelet_transform(np.eye(128)[None], 4)[0]
    assert np.allclose(basis @ basis.T, np.eye(128), atol=1e-9)
    cubic = np.linspace(-1.0, 1.0, 128) ** 3
    finest = wavelet_transform(cubic[None, None], 1)[0, 0, 64:]
    assert np.abs(finest[:-4]).max() < 1e-9  # four vanishing moments; the last ones reach around the end
    with pytest.raises(ShapeError, match="divisible by 16"):
        wavelet_transform(np.zeros((1, 1, 100)), 4)


def test_a_step_lies_in_the_coarse_wavelets_and_noise_in_the_fine() -> None:
    slow = np.sin(2 * np.pi * np.arange(128) / 128)
    fast = np.sin(2 * np.pi * np.arange(128) * 60 / 128)
    energy = wavelet_transform(np.stack([slow, fast])[None], 4)[0] ** 2
    assert energy[0, :16].sum() > 0.99 * energy[0].sum()
    assert energy[1, 64:].sum() > 0.9 * energy[1].sum()


def test_fourier_magnitude_forgets_the_phase_of_a_whole_cycle() -> None:
    x = random_samples(4)
    assert np.allclose(Fourier().coefficients(np.roll(x, 17, axis=1)), Fourier().coefficients(x))
    tone = np.zeros((1, 128, 6), np.float32)
    tone[0, :, 2] = np.cos(2 * np.pi * 5 * np.arange(128) / 128)
    magnitude = Fourier().coefficients(tone).reshape(40, 6)
    assert magnitude[5, 2] == pytest.approx(64.0) and magnitude.sum() == pytest.approx(64.0, abs=1e-4)


def test_eigengait_keeps_the_stated_variance() -> None:
    rng = np.random.default_rng(1)
    x = (rng.normal(size=(200, 8)) @ rng.normal(size=(8, 768)) + 3.0).reshape(200, 128, 6).astype(np.float32)
    eigengait = EigenGait().fit(x)
    features = eigengait.features(x)
    assert features.shape[1] <= 8
    total = x.reshape(200, -1).var(axis=0).sum()
    assert features.var(axis=0).sum() >= 0.995 * total
    fewer = EigenGait(0.5).fit(x).features(x)
    assert 0.5 * total <= fewer.var(axis=0).sum() < 0.9 * total
    distances = np.linalg.norm(features[:, None] - features[None], axis=2)
    flat = x.reshape(200, -1)
    assert np.allclose(distances, np.linalg.norm(flat[:, None] - flat[None], axis=2), rtol=0.1, atol=2.0)


@pytest.mark.parametrize(("name", "dim"), [("wavelet", 768), ("fourier", 240)])
def test_standardised_features(name: str, dim: int) -> None:
    x = random_samples(50) * 3.0 + 5.0
    x[:, :, 4] = 1.5  # a dead axis: constant, but finite
    features = BASELINES[name]().fit(x, np.arange(50)).features(x)
    assert features.shape == (50, dim) and features.dtype == np.float32
    assert np.isfinite(features).all()
    assert np.allclose(features.mean(axis=0), 0.0, atol=1e-4)
    deviation = features.std(axis=0)
    assert (np.isclose(deviation, 1.0, atol=1e-3) | (deviation < 1e-3)).all()


@pytest.mark.parametrize("name", BASELINES)
def test_wrong_use_is_named(name: str) -> None:
    baseline = BASELINES[name]()
    with pytest.raises(NotFittedError, match="fit"):
        baseline.features(random_samples(2))
    with pytest.raises(ShapeError, match="N >= 2"):
        baseline.fit(random_samples(1))
    baseline.fit(random_samples(5))
    assert len(baseline.features(random_samples(0))) == 0
    with pytest.raises(ShapeError, match="fitted on"):
        baseline.features(random_samples(2)[:, :, :3])


def test_linear_machine_separates_what_a_line_separates() -> None:
    rng = np.random.default_rng(2)
    x = rng.normal(size=(400, 3)).astype(np.float32) * [1.0, 100.0, 0.01]
    positive = x[:, 0] + x[:, 1] / 100.0 > 0.3
    assert ((LinearMachine().fit(x, positive).decide(x) > 0) == positive).mean() > 0.98
    with pytest.raises(ValueError, match="both classes"):
        LinearMachine().fit(x, np.ones(400, bool))


def two_walks(data_dir: Path, people: str) -> tuple[Float32, Float32, np.ndarray]:
    """Two-step samples of trials 7 and 8, and whose they are; 30 of each person and trial."""
    taken: list[list[Float32]] = [[], []]
    names = []
    for which, trial in enumerate(("trial=7", "trial=8")):
        for record in load_recordings(data_dir / "imu" / "motionsense.npz", people, trial):
            taken[which].append(two_step_samples(record.samples_N6[record.walk_N == 1])[0][:30])
            assert len(taken[which][-1]) == 30
            if not which:
                names.append([record.subject] * 30)
    return np.concatenate(taken[0]), np.concatenate(taken[1]), np.concatenate(names)


@pytest.mark.parametrize(("name", "least"), [("eigengait", 0.8), ("wavelet", 0.65), ("fourier", 0.85)])
def test_features_know_real_walkers_of_another_walk(data_dir: Path, name: str, least: float) -> None:
    """Eight people, fitted on others: nearest neighbour across walks is far above the one in eight of chance."""
    strangers, _, labels = two_walks(data_dir, "1-10")
    gallery, probe, names = two_walks(data_dir, "11-18")
    baseline = BASELINES[name]().fit(strangers, labels)
    g, p = baseline.features(gallery), baseline.features(probe)
    nearest = np.linalg.norm(p[:, None] - g[None], axis=2).argmin(axis=1)
    assert (names[nearest] == names).mean() > least


@pytest.mark.parametrize(
    ("name", "layout", "least", "most"),
    [
        ("eigengait", "difference", 0.55, 1.0),
        ("wavelet", "difference", 0.8, 1.0),
        ("fourier", "difference", 0.85, 1.0),
        ("fourier", "horizontal", 0.8, 1.0),  # published: 92.70 %
        ("fourier", "vertical", 0.4, 0.7),  # a line cannot compare two halves that are kept apart; published: 61.86 %
        ("wavelet", "vertical", 0.4, 0.7),
    ],
)
def test_pairs_of_people_never_seen(data_dir: Path, name: str, layout: Layout, least: float, most: float) -> None:
    rng = np.random.default_rng(3)

    def pairs(people: str) -> tuple[Float32, Float32, np.ndarray]:
        a, b, names = two_walks(data_dir, people)
        same = np.arange(len(names)) % 2 == 0
        partner = np.array([rng.choice(np.flatnonzero((names == names[i]) == same[i])) for i in range(len(names))])
        return a, b[partner], same

    matcher = PairBaseline(BASELINES[name](), layout).fit(*pairs("1-12"))
    a, b, same = pairs("13-18")
    accuracy = ((matcher.score(a, b) > 0) == same).mean()
    assert least < accuracy <= most


def test_pairs_need_a_fit() -> None:
    with pytest.raises(NotFittedError, match="fit before score"):
        PairBaseline(Wavelet(), "vertical").score(random_samples(2), random_samples(2))
