"""The traditional baselines as modules: what was fitted survives saving, and nothing runs unfitted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch

from models.inertial.baselines import NotFittedError
from models.inertial.published import CLASSICAL, CLASSICAL_PAIRS
from models.types import Float32


def people(count: int, each: int, seed: int) -> tuple[Float32, np.ndarray]:
    """Samples of people who differ in a constant pattern, with noise."""
    rng = np.random.default_rng(seed)
    pattern = rng.normal(size=(count, 1, 128, 6))
    x = (pattern + 0.5 * rng.normal(size=(count, each, 128, 6))).astype(np.float32)
    return x.reshape(-1, 128, 6), np.repeat(np.arange(count), each)


@pytest.mark.parametrize("name", CLASSICAL)
def test_embedding_survives_saving(name: str, tmp_path: Path) -> None:
    x, label = people(6, 10, 1)
    network = CLASSICAL[name]()
    with pytest.raises(NotFittedError):
        network(torch.from_numpy(x))
    network.fit(x, label)
    path = tmp_path / "weights.safetensors"
    safetensors.torch.save_file(network.state_dict(), path)
    other = CLASSICAL[name]()
    other.load_state_dict(safetensors.torch.load_file(path))
    features = other.features(torch.from_numpy(x[:1]))
    assert features.shape == (1, other.dim)
    assert torch.equal(features, network.features(torch.from_numpy(x[:1])))
    nearest = torch.cdist(other(torch.from_numpy(x[1::2])), other(torch.from_numpy(x[::2]))).argmin(dim=1).numpy()
    assert (label[::2][nearest] == label[1::2]).mean() > 0.9


@pytest.mark.parametrize("name", CLASSICAL_PAIRS)
def test_pair_survives_saving(name: str) -> None:
    a, label = people(6, 10, 2)
    rng = np.random.default_rng(3)
    partner = rng.permutation(len(a))
    partner[::2] = np.roll(np.arange(len(a)).reshape(6, 10), 1, axis=1).ravel()[::2]
    same = label == label[partner]
    network = CLASSICAL_PAIRS[name]()
    network.fit(a, a[partner], same)
    other = CLASSICAL_PAIRS[name]()
    other.load_state_dict(network.state_dict())
    x, y = torch.from_numpy(a[:3]), torch.from_numpy(a[partner][:3])
    logits = other(x, y)
    assert logits.shape == (3, 2)
    assert torch.equal(logits, network(x, y))
    assert torch.equal(other.compare(other.template(x), other.template(y)), logits)
    assert ((other(torch.from_numpy(a), torch.from_numpy(a[partner])).argmax(dim=1).numpy() == other.SAME) == same).mean() > 0.6


def test_state_of_another_method_is_refused() -> None:
    x, label = people(3, 4, 4)
    fourier = CLASSICAL["whugait-fourier"]()
    fourier.fit(x, label)
    with pytest.raises(RuntimeError, match="misses"):
        CLASSICAL["whugait-eigengait"]().load_state_dict(fourier.state_dict())
    eigengait = CLASSICAL["whugait-eigengait"]()
    eigengait.fit(x, label)
    with pytest.raises(RuntimeError, match="axes"):
        CLASSICAL["whugait-fourier"]().load_state_dict(eigengait.state_dict())
