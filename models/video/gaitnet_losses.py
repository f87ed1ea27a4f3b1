"""Losses, pair building, clips and score of GaitNet (source: see `models.video.gaitnet`).

Shape letters: B batch, F frames, T frames of a sequence, N sequences, D features, H height, W width.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional as F

from models.video.gaitnet import GaitNet, Stage

MARGIN = 10.0
SEGMENTATION_WEIGHT = 0.01
CONTRASTIVE_WEIGHT = 0.01
FORCED_POSITIVES = 20 / 64
"""20 of 64 pairs are made of one person; the published comment rounds it to 30 %."""


def euclidean_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Caffe's Euclidean loss: half the sum of squares, divided by the number of pictures (first axis)."""
    return (predicted - target).square().sum() / (2 * len(predicted))


def contrastive_loss(a_BD: Tensor, b_BD: Tensor, same_B: Tensor, margin: float = MARGIN) -> Tensor:
    """Half the mean of squared distances of equal pairs and of squared shortfalls from the margin of the others.

    Source: Hadsell, Chopra, LeCun, CVPR 2006, in Caffe's scaling.
    """
    squared_B = (a_BD - b_BD).square().sum(dim=1)
    distance_B = squared_B.clamp(min=1e-12).sqrt()  # the root has no slope at 0
    same_B = same_B.to(squared_B.dtype)
    return (same_B * squared_B + (1 - same_B) * (margin - distance_B).clamp(min=0).square()).mean() / 2


def stage_loss(network: GaitNet, stage: Stage, x_BF3HW: Tensor, mask_BF1HW: Tensor, person_B: Tensor) -> Tensor:
    """The weighted loss of a training stage. In stage "sia" the batch holds the first halves of all pairs, then the second halves."""
    logits_BF1HW = network.mask_logits(x_BF3HW)
    predicted_BF1HW = torch.sigmoid(logits_BF1HW)
    segmentation = euclidean_loss(predicted_BF1HW.flatten(0, 1), mask_BF1HW.flatten(0, 1))
    if stage == "seg":
        return segmentation
    feature_BD = network.masks_to_features(predicted_BF1HW.detach() if stage == "rec" else predicted_BF1HW)
    loss = F.cross_entropy(network.logits(feature_BD), person_B)
    if stage != "rec":
        loss = loss + SEGMENTATION_WEIGHT * segmentation
    if stage == "sia":
        a_BD, b_BD = feature_BD.chunk(2)
        first_B, second_B = person_B.chunk(2)
        loss = loss + CONTRASTIVE_WEIGHT * contrastive_loss(a_BD, b_BD, first_B == second_B)
    return loss


@dataclass(frozen=True, slots=True)
class Pairs:
    """first_N, second_N: indices of sequences.  same_N: whether both show one person."""

    first_N: NDArray[np.int64]
    second_N: NDArray[np.int64]
    same_N: NDArray[np.bool_]


def build_pairs(person_S: NDArray[np.int64], pairs: int, rng: np.random.Generator) -> Pairs:
    """Pairs of sequences as published: the first 20 in 64 of one person, any view; the others the next of the shuffled list."""
    first_N = rng.integers(len(person_S), size=pairs)
    second_N = np.resize(rng.permutation(len(person_S)), pairs)
    for k in range(round(pairs * FORCED_POSITIVES)):
        second_N[k] = rng.choice(np.flatnonzero(person_S == person_S[first_N[k]]))
    return Pairs(first_N, second_N, person_S[first_N] == person_S[second_N])


def random_clip(frames: int, rng: np.random.Generator, length: int = GaitNet.FRAMES) -> slice:
    """`length` consecutive frames at a random place. Raises ValueError for sequences of 10 frames or fewer, as published."""
    if frames <= 10:
        raise ValueError(f"a sequence needs more than 10 frames for clips of {length}, this one has {frames}")
    start = int(rng.integers(frames - length + 1))
    return slice(start, start + length)


def mean_of_clips(network: GaitNet, sequence_T3HW: Tensor, rng: np.random.Generator, clips: int = 20) -> Tensor:
    """(256,) mean feature of random six-frame clips of one sequence of BGR pictures 0-255."""
    clip_BF3HW = torch.stack([sequence_T3HW[random_clip(len(sequence_T3HW), rng)] for _ in range(clips)])
    with torch.no_grad():
        return network.features(clip_BF3HW).mean(dim=0)
