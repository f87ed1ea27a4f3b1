"""The published losses: on probabilities with a small constant, not on logits.

Shape letters: B batch, N classes, T time.
"""

from __future__ import annotations

import torch
from torch import Tensor

TINY = 1e-10
"""Added to, or the least of, a probability under the logarithm."""


def softmax_cross_entropy(logits_BN: Tensor, label_B: Tensor) -> Tensor:
    """Mean of -log(softmax + 1e-10) at the right class; label_B: (B,) int64 from 0. Scalar."""
    probability_BN = torch.softmax(logits_BN.float(), dim=1)
    return -torch.log(probability_BN.gather(1, label_B[:, None]) + TINY).mean()


def clipped_binary_cross_entropy(logits_BT: Tensor, walking_BT: Tensor) -> Tensor:
    """Mean binary cross-entropy of walking_BT (0 or 1), both probabilities not below 1e-10. Scalar.

    The probability of the other class comes from the sigmoid of the negated logit: 1 - p is exactly 0 in float32 from logits of 17 on, and
    the clip would then end the gradient.
    """
    logits_BT = logits_BT.float()
    walking, standing = torch.sigmoid(logits_BT).clamp(min=TINY), torch.sigmoid(-logits_BT).clamp(min=TINY)
    return -(walking_BT * torch.log(walking) + (1.0 - walking_BT) * torch.log(standing)).mean()
