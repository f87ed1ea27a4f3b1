"""`PlacedGaitTCN`: the default gait embedding, with a last step for each place where the device is carried.

What one discriminant learns on several placements is their average, and what varies within a person at the hip is not what varies in a
pocket or on a foot. Here every place has a discriminant of its own, and a gate tells the place from the same features. Scores of two
recordings mean something if both were carried in the same place, which is so for one discriminant too.

Shape letters: B batch, F features, K places, D embedding.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.inertial.networks import GaitTCN

PLACES = ("pocket_front", "waist", "wrist", "foot_l")
"""Where people of the data sets carry the device."""


class PlacedGaitTCN(GaitTCN):
    """(B, 128, 6) raw samples of walking -> (B, 128) embedding of unit length and (B,) quality in [0, 1].

    Trunk, output for the losses and quality are GaitTCN's. discriminant: the K discriminants as one layer.
    """

    MATCHED_DIM = GaitTCN.DIM
    """All: the research set is for accuracy, not for large galleries."""

    def __init__(self, width: int = 48) -> None:
        super().__init__(width)
        self.gate = nn.Linear(self.feature_count, len(PLACES))
        self.discriminant = nn.Linear(self.feature_count, len(PLACES) * self.DIM)

    def places(self, features_BF: Tensor) -> Tensor:
        """(B, K) probabilities of the places."""
        return torch.softmax(self.gate(features_BF), dim=1)

    def embed_features(self, features_BF: Tensor) -> Tensor:
        """(B, DIM) unit rows: the places' discriminants, weighted by the probabilities of the places."""
        each_BKD = self.discriminant(features_BF).unflatten(1, (len(PLACES), self.DIM))
        return F.normalize((each_BKD * self.places(features_BF)[..., None]).sum(1), dim=1)
