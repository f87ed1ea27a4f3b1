"""The 42 soft attributes of the published appearance head, in the order of its outputs, and the heads of both skeleton networks.

Source: Cosma, Radoi, "Learning Gait Representations with Noisy Multi-Task Learning", Sensors 22(18), 2022. Shape letters: B batch, D = 256,
A = 42 attributes, K = 128 values of the contrastive head.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "gender": ("Female",),
    "body": ("Thin", "Normal", "Fat"),
    "viewpoint": ("Front", "Side", "Back"),
    "age": ("Child", "YoungAdult", "MediumAdult", "OldAdult", "Senior"),
    "accessory": ("Backpack", "Bag", "HandTrunk", "No accessory", "OtherAttchment", "No carrying"),
    "footware": ("Sandals", "Shoes", "LeatherShoes", "SportShoes", "Boots", "Sneaker", "ClothShoes"),
    "clothing": (
        "CasualWear", "Jacket", "FormalWear", "LongTrousers", "CarryingOther", "Dress", "LongCoat", "Trousers", "LongSleeve",
    ),
    "action": (
        "Calling", "Talking", "Gathering", "Holding", "Pulling", "CarryingbyArm", "CarryingbyHand", "HoldObjectsInFront",
    ),
}  # fmt: skip
"""Groups and names as the columns of the published table spell them, misspellings included: files are read by these names."""

NAMES: tuple[str, ...] = tuple(name for names in ATTRIBUTES.values() for name in names)

SUBSETS: dict[str, tuple[str, ...]] = {
    "demographic": ("gender", "body", "viewpoint", "age"),
    "clothing": ("accessory", "footware", "clothing"),
    "all": tuple(ATTRIBUTES),
}


def columns(subset: str) -> tuple[int, ...]:
    """Indices among the 42 of a subset's attributes. Raises KeyError for an unknown subset."""
    groups = SUBSETS[subset]
    chosen = {name for group in groups for name in ATTRIBUTES[group]}
    return tuple(k for k, name in enumerate(NAMES) if name in chosen)


@dataclass(frozen=True, slots=True)
class SkeletonOutput:
    """What training needs. embedding_BD: unit vectors that are matched.  contrast_BK: unit vectors of the contrastive head.
    attribute_BA: logits of the 42 attributes."""

    embedding_BD: Tensor
    contrast_BK: Tensor
    attribute_BA: Tensor


def supervised_contrastive(contrast_BK: Tensor, track_B: Tensor, temperature: float = 0.001, base_temperature: float = 0.07) -> Tensor:
    """Mean over anchors of -log of the positives' share of similarity, scaled by temperature / base_temperature.

    Positives have the anchor's track. As published: 1e-6 within the logarithm of the sum. An anchor without a positive adds 0.
    Source: Khosla et al., NeurIPS 2020.
    """
    similarity_BB = contrast_BK @ contrast_BK.T / temperature
    similarity_BB = similarity_BB - similarity_BB.amax(dim=1, keepdim=True).detach()
    itself_BB = torch.eye(len(track_B), dtype=torch.bool, device=track_B.device)
    positive_BB = (track_B[:, None] == track_B[None, :]) & ~itself_BB
    total_B1 = (similarity_BB.exp() * ~itself_BB).sum(dim=1, keepdim=True)
    log_share_BB = similarity_BB - torch.log(total_B1 + 1e-6)
    mean_B = (log_share_BB * positive_BB).sum(dim=1) / positive_BB.sum(dim=1).clamp(min=1)
    return -(temperature / base_temperature) * mean_B.mean()


def appearance_loss(attribute_BA: Tensor, soft_BA: Tensor) -> Tensor:
    """Binary cross-entropy against probabilities 0-1, mean over attributes and batch."""
    return F.binary_cross_entropy_with_logits(attribute_BA, soft_BA)


def multi_task_loss(output: SkeletonOutput, track_B: Tensor, soft_BA: Tensor, temperature: float = 0.001) -> Tensor:
    """Contrastive loss + 0.5 * appearance loss."""
    return supervised_contrastive(output.contrast_BK, track_B, temperature) + 0.5 * appearance_loss(output.attribute_BA, soft_BA)


def attribute_head(dim: int) -> nn.Linear:
    """(B, dim) -> (B, 42) logits."""
    return nn.Linear(dim, len(NAMES))
