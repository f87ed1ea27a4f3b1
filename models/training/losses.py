"""Losses of metric learning on unit vectors. Shape letters: B batch, D embedding, K identities.

Identities are compared within their group (data set and placement) only. Across groups the device gives the answer; pushing groups apart
would teach the network devices and squeeze all people of one device into a corner of the space.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def supervised_contrastive(vector_BD: Tensor, identity_B: Tensor, group_B: Tensor, temperature: float = 0.1) -> Tensor:
    """Mean over the batch of -log(share of the same identity's similarity in its group). Source: Khosla et al., NeurIPS 2020 (L_out)."""
    itself_BB = torch.eye(len(vector_BD), dtype=torch.bool, device=vector_BD.device)
    positive_BB = (identity_B[:, None] == identity_B[None, :]) & ~itself_BB
    similarity_BB = (vector_BD @ vector_BD.T / temperature).masked_fill(itself_BB | (group_B[:, None] != group_B[None, :]), -1e9)
    log_share_BB = similarity_BB - similarity_BB.logsumexp(dim=1, keepdim=True)
    return -((log_share_BB * positive_BB).sum(1) / positive_BB.sum(1).clamp(min=1)).mean()


class AdditiveAngularMargin(nn.Module):
    """Softmax over the identities of a group, the angle to the own centre enlarged by a margin. Source: Deng et al., "ArcFace", CVPR 2019.

    group_K: (K,) the group of every identity.
    """

    group_K: Tensor

    def __init__(self, dim: int, group_K: Tensor, margin: float = 0.2, scale: float = 20.0) -> None:
        super().__init__()
        self.centre_KD = nn.Parameter(F.normalize(torch.randn(len(group_K), dim), dim=1))
        self.register_buffer("group_K", group_K)
        self.margin, self.scale = margin, scale

    def forward(self, vector_BD: Tensor, identity_B: Tensor) -> Tensor:
        cosine_BK = (vector_BD @ F.normalize(self.centre_KD, dim=1).T).clamp(-0.9999, 0.9999)
        own_B1 = identity_B[:, None]
        shifted_B1 = torch.cos(torch.acos(cosine_BK.gather(1, own_B1)) + self.margin)
        other_group_BK = self.group_K[identity_B][:, None] != self.group_K[None, :]
        logit_BK = (self.scale * cosine_BK.scatter(1, own_B1, shifted_B1)).masked_fill(other_group_BK, -1e9)
        return F.cross_entropy(logit_BK, identity_B)
