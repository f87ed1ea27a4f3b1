"""Losses of the disentangling autoencoder and its recognition head (source: see `models.skeleton.disentangle`).

A triplet is (a; v; i): v the same person from another view, i another person from the same view. Shape letters: B batch, R rows, T frames,
C channels of a code, D = 512 features, P people.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.skeleton.disentangle import Autoencoder, Codes

MAX_SHIFT = 29
CENTRE_WEIGHT = 0.008
SMOOTHING = 0.1

WEIGHTS: dict[str, float] = {
    "reconstruction": 10_000.0, "view_exchange": 10_000.0, "body": 200.0, "motion": 200.0, "view": 500.0, "body_time": 100.0,
    "motion_triplet": 100.0, "body_triplet": 100.0, "view_triplet": 100.0,
}  # fmt: skip

BodyTime = Literal["intended", "legacy"]


def align_loss(x_BRT: Tensor, y_BRT: Tensor, max_shift: int = MAX_SHIFT) -> Tensor:
    """Least over shifts in time, both ways, of the mean squared error on the overlap divided by (T - shift). The last frame is left out.

    Two walks of one person rarely start in the same phase. Raises ValueError where no frame overlaps at the largest shift.
    """
    x_BRT, y_BRT = x_BRT[..., :-1], y_BRT[..., :-1]
    frames = x_BRT.shape[-1]
    if max_shift >= frames:
        raise ValueError(f"shifts up to {max_shift} need more than {max_shift + 1} frames, not {frames + 1}")
    errors = []
    for shift in range(max_shift + 1):
        length = frames - shift
        # the whole clip has frames + 1 frames: T - shift
        for first, second in ((x_BRT, y_BRT), (y_BRT, x_BRT)) if shift else ((x_BRT, y_BRT),):
            errors.append(F.mse_loss(first[..., shift:], second[..., :length]) / (frames + 1 - shift))
    return torch.stack(errors).min()


def body_time_loss(body_BCT: Tensor, form: BodyTime = "intended") -> Tensor:
    """How the body code changes within two frames. "intended": mean of 1 - cos of frames two apart. "legacy": mean |cos| of every channel
    with its copy two frames later, along time, which training as published makes small and so drives the codes apart."""
    early, late = body_BCT[..., :-2], body_BCT[..., 2:]
    if form == "legacy":
        return F.cosine_similarity(early, late, dim=2).abs().mean()
    return (1 - F.cosine_similarity(early, late, dim=1)).mean()


def autoencoder_losses(network: Autoencoder, a_BRT: Tensor, v_BRT: Tensor, i_BRT: Tensor, form: BodyTime = "intended") -> dict[str, Tensor]:
    """Every weighted term by its name in `WEIGHTS`; their sum is the loss."""
    a, v, i = network.encode(a_BRT), network.encode(v_BRT), network.encode(i_BRT)

    def rebuilt(codes: Codes, view: Codes) -> Tensor:
        return network.decode(codes.motion_BCT, codes.body_BC1, view.view_BC1)

    def triplet(anchor: Tensor, positive: Tensor, negative: Tensor) -> Tensor:
        return F.triplet_margin_loss(anchor.flatten(1), positive.flatten(1), negative.flatten(1), margin=1.0, p=2)

    def fastest(codes: Codes) -> Tensor:
        return codes.motion_BCT.amax(dim=2)

    terms = {
        "reconstruction": (align_loss(rebuilt(a, a), a_BRT) + align_loss(rebuilt(v, v), v_BRT)) / 2,
        # a and i were seen from the same side: exchanging their view codes must change nothing
        "view_exchange": (align_loss(rebuilt(a, i), a_BRT) + align_loss(rebuilt(i, a), i_BRT)) / 2,
        "body": F.mse_loss(a.body_BC1, v.body_BC1),
        "motion": F.mse_loss(a.motion_BCT, v.motion_BCT),
        "view": F.mse_loss(a.view_BC1, i.view_BC1),
        "body_time": body_time_loss(a.body_BCT, form) + body_time_loss(v.body_BCT, form),
        "motion_triplet": triplet(fastest(a), fastest(v), fastest(i)),
        "body_triplet": triplet(a.body_BC1, v.body_BC1, i.body_BC1),
        "view_triplet": triplet(a.view_BC1, i.view_BC1, v.view_BC1),
    }
    return {name: WEIGHTS[name] * term for name, term in terms.items()}


class CentreLoss(nn.Module):
    """Mean over the batch of half the squared distance from the own person's centre, which is learnt. Source: Wen et al., ECCV 2016."""

    def __init__(self, people: int, dim: int = 512) -> None:
        super().__init__()
        self.centre_PD = nn.Parameter(torch.randn(people, dim))

    def forward(self, feature_BD: Tensor, person_B: Tensor) -> Tensor:
        return (feature_BD - self.centre_PD[person_B]).square().sum(dim=1).mean() / 2


def recognition_loss(logits_BP: Tensor, feature_BD: Tensor, person_B: Tensor, centres: CentreLoss) -> Tensor:
    """Cross-entropy smoothed by 0.1 + 0.008 * centre loss."""
    return F.cross_entropy(logits_BP, person_B, label_smoothing=SMOOTHING) + CENTRE_WEIGHT * centres(feature_BD, person_B)
