"""Losses, augmentations and the Fourier matcher, against plain numpy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.skeleton.appearance import SkeletonOutput, multi_task_loss, supervised_contrastive
from models.skeleton.augment import MIRRORED, PACES, Form, augmented, centred, mirror, repace, squeeze
from models.skeleton.disentangle import Autoencoder, to_rows
from models.skeleton.disentangle_losses import WEIGHTS, CentreLoss, align_loss, autoencoder_losses, body_time_loss
from models.skeleton.fourier import nearest, spectral_distance, spectrum
from models.skeleton.gaitformer import GaitFormer


def test_contrastive_agrees_with_numpy() -> None:
    rng = np.random.default_rng(0)
    vector = rng.normal(size=(6, 4))
    vector /= np.linalg.norm(vector, axis=1, keepdims=True)
    track = np.array([0, 0, 1, 1, 1, 2])
    terms = []
    for a in range(6):
        similarity = vector @ vector[a] / 0.1
        others = [b for b in range(6) if b != a]
        positives = [b for b in others if track[b] == track[a]]
        total = np.log(sum(np.exp(similarity[b]) for b in others))
        terms.append(np.mean([similarity[b] - total for b in positives]) if positives else 0.0)
    expected = -(0.1 / 0.07) * np.mean(terms)
    assert supervised_contrastive(torch.tensor(vector), torch.tensor(track), 0.1).item() == pytest.approx(expected, rel=1e-3)


def test_multi_task_weighs_appearance_by_half() -> None:
    contrast, track = torch.nn.functional.normalize(torch.ones(2, 128)), torch.tensor([0, 1])
    output = SkeletonOutput(contrast, contrast, torch.zeros(2, 42))
    assert multi_task_loss(output, track, torch.full((2, 42), 0.5)).item() == pytest.approx(0.5 * np.log(2))


@settings(max_examples=15)
@given(shift=st.integers(0, 29), ahead=st.booleans(), seed=st.integers(0, 99))
def test_alignment_forgives_a_shift(shift: int, ahead: bool, seed: int) -> None:
    stream = torch.randn(2, 3, 64 + shift, generator=torch.Generator().manual_seed(seed))
    a, b = stream[..., :64], stream[..., shift:]
    assert align_loss(*((b, a) if ahead else (a, b))).item() == pytest.approx(0.0, abs=1e-12)


def test_alignment_agrees_with_numpy_and_leaves_out_the_last_frame() -> None:
    x, y = torch.randn(2, 3, 10), torch.randn(2, 3, 10)
    y[..., -1] = 1e6
    a, b = x.numpy()[..., :-1], y.numpy()[..., :-1]
    errors = [np.mean((p[..., s:] - q[..., : 9 - s]) ** 2) / (10 - s) for s in range(4) for p, q in ((a, b), (b, a))]
    assert align_loss(x, y, 3).item() == pytest.approx(min(errors), rel=1e-5)


def test_body_time_forms() -> None:
    steady = torch.rand(2, 8, 1).expand(2, 8, 20)
    assert body_time_loss(steady).item() == pytest.approx(0.0, abs=1e-6)
    assert body_time_loss(steady, "legacy").item() == pytest.approx(1.0, abs=1e-6)  # it punishes what it should reward


def test_centre_loss() -> None:
    loss = CentreLoss(3, 2)
    with torch.no_grad():
        loss.centre_PD.copy_(torch.tensor([[0.0, 0.0], [1.0, 1.0], [5.0, 5.0]]))
    feature = torch.tensor([[3.0, 4.0], [1.0, 1.0]])
    assert loss(feature, torch.tensor([0, 1])).item() == pytest.approx(25 / 2 / 2)


@pytest.mark.parametrize(
    ("pace", "form", "frames"),
    [
        (0.25, "faithful", 384),  # four times slower
        (0.5, "faithful", 192),
        (0.75, "faithful", 96),  # the published truncation: no change
        (1.75, "faithful", 96),
        (2.0, "faithful", 48),
        (0.75, "fixed", 127),  # 95 / 0.75 + 1
        (2.0, "fixed", 48),
    ],
)
def test_paces(pace: float, form: Form, frames: int) -> None:
    assert pace in PACES
    assert len(repace(np.zeros((96, 18, 3), np.float32), pace, form)) == frames


def test_pace_interpolates() -> None:
    clip = np.arange(96, dtype=np.float32)[:, None, None] * np.ones((1, 18, 3), np.float32)
    assert np.allclose(repace(clip, 0.75, "fixed")[:4, 0, 0], [0, 0.75, 1.5, 2.25])


def test_squeeze_and_mirror_forms() -> None:
    clip = np.random.default_rng(0).normal(size=(5, 18, 3)).astype(np.float32)
    assert np.allclose(squeeze(clip, 0.9, "fixed")[..., 0], 0.9 * clip[..., 0])
    assert np.array_equal(squeeze(clip, 0.9, "faithful")[:, 1:], clip[:, 1:])  # joint 0 alone is touched
    assert np.array_equal(mirror(mirror(clip, "fixed"), "fixed"), clip)
    assert np.array_equal(mirror(clip, "fixed")[:, 4, 1], clip[:, 7, 1])  # the right wrist was the left one
    assert [MIRRORED[k] for k in MIRRORED] == list(range(18))


@settings(max_examples=20)
@given(frames=st.integers(1, 150), seed=st.integers(0, 999), form=st.sampled_from(["fixed", "faithful"]))
def test_augmented_clips_have_48_frames(frames: int, seed: int, form: Form) -> None:
    clip = np.random.default_rng(seed).normal(size=(frames, 18, 3)).astype(np.float32)
    before = clip.copy()
    assert augmented(clip, np.random.default_rng(seed), form).shape == (48, 18, 3)
    assert np.array_equal(clip, before)  # the caller's clip stays as it is
    assert centred(clip).shape == (48, 18, 3)


def test_fourier_distance() -> None:
    rng = np.random.default_rng(0)
    walks = {name: spectrum(rng.normal(size=(frames, 16, 2))) for name, frames in (("a", 40), ("b", 50))}
    assert nearest(walks["b"] + 0.01, walks)[0] == "b"
    one, other = np.ones((3, 8)), np.zeros((5, 8))
    assert spectral_distance(one, other) == pytest.approx(3.0)  # common length 3, each joint 3
    assert spectral_distance(one, other, legacy=True) == pytest.approx(3.0 * 4.5)  # mean of 3, 6, ... 24


def test_spectrum_sees_heights_of_the_used_joints_only() -> None:
    place = np.random.default_rng(1).normal(size=(30, 16, 2))
    moved = place.copy()
    moved[:, :, 0] += 5.0  # sideways
    moved[:, 0, 1] += 5.0  # an ankle, not used
    assert np.array_equal(spectrum(place), spectrum(moved))


Clips = tuple[np.ndarray, np.ndarray]


@pytest.fixture(scope="module")
def kth(data_dir: Path) -> Clips:
    """(16, 64, 15, 2) joints of two passes of eight people, centred and scaled to a deviation of 1, and their persons.

    Of the 17 joints of COCO the eyes are left out; short passes are repeated.
    """
    path = data_dir / "vision" / "kth_pose.npz"
    if not path.exists():
        pytest.skip("no recordings: vision/kth_pose.npz is absent")
    with np.load(path) as z:
        keypoints, start, length, subject = (z[name] for name in ("keypoints", "start", "length", "subject"))
    rows = [row for person in np.unique(subject)[:8] for row in np.flatnonzero(subject == person)[:2]]
    passes = [np.delete(keypoints[start[row] : start[row] + length[row], :, :2], [1, 2], axis=1) for row in rows]
    clips = np.stack([centred(one, 64) for one in passes]).astype(np.float32)
    clips -= clips.mean(axis=2, keepdims=True)
    return clips / clips.std(), np.unique(subject[rows], return_inverse=True)[1]


def test_disentangling_loss_falls_on_real_walks(kth: Clips) -> None:
    torch.manual_seed(0)
    clips, person = kth
    network = Autoencoder()
    optimizer = network.small.build(network)
    own = to_rows(torch.tensor(clips), "channels")
    again = torch.tensor([np.flatnonzero(person == p)[-1] for p in person])
    other = torch.tensor([np.flatnonzero(person != p)[0] for p in person])
    history = []
    for _ in range(8):
        terms = autoencoder_losses(network, own, own[again], own[other])
        assert set(terms) == set(WEIGHTS)
        loss = torch.stack(list(terms.values())).sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(loss.item())
    assert history[-1] < 0.7 * history[0]


def test_gaitformer_loss_falls_on_real_walks(kth: Clips) -> None:
    torch.manual_seed(0)
    clips, person = kth
    # three joints are missing among the 15: their confidence is 0
    skeleton = torch.zeros(len(clips), 3, 48, 18)
    skeleton[:, :2, :, :15] = torch.tensor(clips[:, :48]).permute(0, 3, 1, 2)
    skeleton[:, 2, :, :15] = 1.0
    network = GaitFormer(2)
    optimizer = network.small.build(network)
    history = []
    for _ in range(30):
        loss = supervised_contrastive(network(skeleton).contrast_BK, torch.tensor(person), 0.1)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        history.append(loss.item())
    assert np.mean(history[-3:]) < 0.8 * np.mean(history[:3])
