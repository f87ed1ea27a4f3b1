"""`GaitSkeleton`, our own network on joints in pictures: statistics of how joints stand and move together, then a small network.

Joints are brought to the person's own measure: the trunk's middle at the origin, the trunk's length one (a straight line over the window, since
people come nearer). Joints the pose network did not see weigh nothing. A camera on the other side of a person sees the same joints with x the
other way round; so both are looked at, weighed by which of them is the standard side (from the front, from the left). The direction of walking
through the picture does not matter then, and what a person does with one side only is not lost.

A window is summed up by its means and by how its joints move with and after each other (covariances a step and two steps apart). Noise of the
pose network is independent from picture to picture, so that these, unlike spreads, do not grow with it; and a network on them learns from a
tenth of the computation of convolutions along time, which were tried.

Shape letters: B batch, T 32 steps at 12.5 Hz, J 17 joints of COCO, K 13 joints used, P 26 their x and y, M statistics, F features, D embedding;
3 is x, y (pixels, y down) and confidence.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from models.pose.joints import ORDERS
from models.types import CAMERA_HOP, CAMERA_WINDOW, KEYPOINTS

PREPROCESSING = "joint-covariances-3"

BODY = ORDERS["coco-17"][5:]
"""The 12 joints below the head, left and right in turn."""

FACE_WEIGHT = (0.5, 0.5, 0.5, 1.0, 1.0)
"""Of nose, eyes and ears in the head's place: the ears lie on the head's axis and are what stays when somebody walks away."""

JOINTS = 1 + len(BODY)
"""K: the head, then BODY."""

SIDE_SHARPNESS, FORWARD_GAIN, SPEED_GAIN = 6.0, 2.0, 4.0
"""Of `standard_side`: shoulders and hips together are 1.2 trunk lengths wide; bent knees and swinging feet make about 0.6 together."""

BONES = ((0, 1), (0, 2), (1, 2), (1, 3), (2, 4), (3, 5), (4, 6), (7, 8), (1, 7), (2, 8), (7, 9), (8, 10), (9, 11), (10, 12))
"""Pairs of joints whose distances in the picture are measured."""

LEAST_CONFIDENCE = 0.1
"""Joints below it are not used: BlazePose gives hidden joints a place, and 0.0-0.1."""

PLACES = 2 * JOINTS
"""P: x of all joints, then y of all joints."""

AUTO_LAGS = (2, 3, 4, 5, 6)
"""Steps of 80 ms at which every place is compared with itself: the beat of the walk, whose stride takes 11 to 16 steps."""

STATISTICS = 2 * PLACES + 2 * len(BONES) + PLACES * (PLACES + 1) // 2 + PLACES * (PLACES - 1) // 2 + len(AUTO_LAGS) * PLACES
"""M: means of places and speeds, means and spreads of bones, covariances one step apart, and (odd part) two steps apart, autocovariances."""

LEAST_COVARIANCE = 0.003
"""Square trunk lengths: covariances enter as c / sqrt(|c| + this), as amplitudes; below it noise would be blown up."""

WELL_KNOWN = 2.5
"""A joint that is seen in this inverse share of the window's pictures, or more, is known well enough."""

FARTHEST = 4.0
"""Trunk lengths from the middle beyond which a joint is cut off: a slip of the pose network."""


def body_frame(x_BTJ3: Tensor) -> tuple[Tensor, Tensor]:
    """(B, T, 17, 3) -> places (B, T, K, 2) in trunk lengths around the trunk's middle, unseen joints at their mean; confidences (B, T, K)."""
    place_BTK2, sure_BTK = used_joints(x_BTJ3)
    trunk = [1 + BODY.index(f"{side}_{part}") for part in ("shoulder", "hip") for side in ("left", "right")]
    step_BT = (sure_BTK[..., trunk].amin(dim=-1) > 0).to(x_BTJ3.dtype)
    trunk_BT42 = place_BTK2[:, :, trunk]
    length_BT = (trunk_BT42[:, :, :2].mean(2) - trunk_BT42[:, :, 2:].mean(2)).norm(dim=-1)
    scale_BT = _line(length_BT, step_BT).clamp(min=1e-3)
    place_BTK2 = ((place_BTK2 - trunk_BT42.mean(dim=2, keepdim=True)) / scale_BT[..., None, None]).clamp(-FARTHEST, FARTHEST)
    sure_BTK = sure_BTK * step_BT[..., None]
    return _filled(place_BTK2, sure_BTK), sure_BTK


def used_joints(x_BTJ3: Tensor) -> tuple[Tensor, Tensor]:
    """(B, T, K, 2) places and (B, T, K) confidences: the head from what is seen of the face, then the joints of the body."""
    sure_BTJ = torch.where(x_BTJ3[..., 2] >= LEAST_CONFIDENCE, x_BTJ3[..., 2], 0.0).clamp(max=1.0)
    face_BT5 = sure_BTJ[..., :5] * sure_BTJ.new_tensor(FACE_WEIGHT)
    share_BT5 = face_BT5 / face_BT5.sum(-1, keepdim=True).clamp(min=1e-6)
    head_BT2 = (x_BTJ3[..., :5, :2] * share_BT5[..., None]).sum(-2)
    place_BTK2 = torch.cat([head_BT2[..., None, :], x_BTJ3[..., 5:, :2]], dim=-2)
    return place_BTK2, torch.cat([sure_BTJ[..., :5].amax(-1, keepdim=True), sure_BTJ[..., 5:]], dim=-1)


def statistics(place_BTK2: Tensor, sure_BTK: Tensor) -> Tensor:
    """(B, M) statistics of places and confidences as `body_frame` gives them. Zero where nobody was seen."""
    first, second = zip(*BONES, strict=True)
    step_BT = (sure_BTK.amax(dim=-1) > 0).to(place_BTK2.dtype)
    bone_BTN = (place_BTK2[:, :, list(first)] - place_BTK2[:, :, list(second)]).norm(dim=-1)
    place_BTP = torch.cat([place_BTK2[..., 0], place_BTK2[..., 1]], dim=-1)
    mean_BP, bone_BN = _mean(place_BTP, step_BT), _mean(bone_BTN, step_BT)
    bone_sd_BN = (_mean((bone_BTN - bone_BN[:, None]).square(), step_BT) + 1e-5).sqrt()
    away_BTP = (place_BTP - mean_BP[:, None]) * step_BT[..., None]
    speed_BP = _mean((away_BTP[:, 2:] - away_BTP[:, :-2]).abs(), step_BT[:, 2:] * step_BT[:, :-2])
    one_BPP, two_BPP = _lagged(away_BTP, step_BT, 1), _lagged(away_BTP, step_BT, 2)
    upper = torch.triu_indices(PLACES, PLACES, device=place_BTP.device)
    beyond = torch.triu_indices(PLACES, PLACES, 1, device=place_BTP.device)
    even_BM = ((one_BPP + one_BPP.transpose(1, 2)) / 2)[:, upper[0], upper[1]]
    odd_BM = ((two_BPP - two_BPP.transpose(1, 2)) / 2)[:, beyond[0], beyond[1]]
    auto_BM = torch.cat([_autocovariance(away_BTP, step_BT, lag) for lag in AUTO_LAGS], dim=1)
    covariance_BM = torch.cat([even_BM, odd_BM, auto_BM], dim=1)
    amplitude_BM = covariance_BM / (covariance_BM.abs() + LEAST_COVARIANCE).sqrt()
    return torch.cat([mean_BP, speed_BP, bone_BN, bone_sd_BN, amplitude_BM], dim=1)


def other_side_signs() -> Tensor:
    """(M,) of 1 and -1: statistics times this are those of a camera on the opposite side of the person, far away and level: x changes its
    sign, left stays left (unlike in a mirror)."""
    sign_P = torch.cat([-torch.ones(JOINTS), torch.ones(JOINTS)])
    pair_PP = torch.outer(sign_P, sign_P)
    upper, beyond = torch.triu_indices(PLACES, PLACES), torch.triu_indices(PLACES, PLACES, 1)
    ones = torch.ones(PLACES + 2 * len(BONES)), torch.ones(len(AUTO_LAGS) * PLACES)
    return torch.cat([sign_P, ones[0], pair_PP[upper[0], upper[1]], pair_PP[beyond[0], beyond[1]], ones[1]])


def standard_side(x_BTJ3: Tensor, place_BTK2: Tensor, sure_BTK: Tensor) -> Tensor:
    """(B,) how sure it is, 0..1, that the window shows the person from the front or from its left (1) rather than from behind or its right.

    From the front a person's left is at larger x. Seen from the left it walks towards smaller x: it gets there, if the camera stands still, it
    looks there, knees bend forwards, and feet swing forwards faster than they stay behind (the one cue that every source of joints gives, and
    the weakest).
    """
    step_BT = (sure_BTK.amax(dim=-1) > 0).to(place_BTK2.dtype)
    k = {name: 1 + BODY.index(name) for name in BODY}
    x_BTK = place_BTK2[..., 0]
    x_BK = _mean(x_BTK, step_BT)
    across_B = sum((x_BK[:, k[f"left_{part}"]] - x_BK[:, k[f"right_{part}"]] for part in ("shoulder", "hip")), torch.zeros_like(x_BK[:, 0]))
    bends = [(k[f"{side}_hip"], k[f"{side}_knee"], k[f"{side}_ankle"]) for side in ("left", "right")]
    bent_B = sum((x_BK[:, knee] - (x_BK[:, hip] + x_BK[:, ankle]) / 2 for hip, knee, ankle in bends), torch.zeros_like(x_BK[:, 0]))
    ankle_BT2 = x_BTK[:, :, [k["left_ankle"], k["right_ankle"]]]
    speed_BT2, both_BT = (ankle_BT2[:, 1:] - ankle_BT2[:, :-1]) * SPEED_GAIN, step_BT[:, 1:] * step_BT[:, :-1]
    swung_B = _mean(speed_BT2**3, both_BT).sum(1) / (_mean(speed_BT2.square(), both_BT).sum(1) + 0.05)
    trunk_BT4 = x_BTJ3[:, :, [5, 6, 11, 12], 0]
    size_B = (x_BTJ3[:, :, [5, 6], 1].mean(-1) - x_BTJ3[:, :, [11, 12], 1].mean(-1)).abs()
    size_B = _mean(size_B[..., None], step_BT)[:, 0].clamp(min=1e-3)
    middle_BT = trunk_BT4.mean(dim=-1)
    travelled_B = (_mean((middle_BT[:, 1:] - middle_BT[:, :-1])[..., None], both_BT)[:, 0] / size_B).clamp(-0.4, 0.4)
    face_BT = (x_BTJ3[..., [0, 3, 4], 2] >= LEAST_CONFIDENCE).all(dim=-1) * step_BT
    looked_B = (_mean((x_BTJ3[..., 0, 0] - x_BTJ3[..., 3:5, 0].mean(-1))[..., None], face_BT)[:, 0] / size_B).clamp(-0.4, 0.4)
    told_B = ((looked_B.abs() + travelled_B.abs()) / 0.1).clamp(max=1.0)
    forward_B = bent_B + 2.0 * looked_B + 2.0 * travelled_B + (1.0 - 0.8 * told_B) * swung_B
    return torch.sigmoid(SIDE_SHARPNESS * (across_B - FORWARD_GAIN * forward_B))


def roughness(place_BTK2: Tensor, step_BT: Tensor) -> Tensor:
    """(B,) mean second difference of head, shoulders and hips in trunk lengths: they move smoothly, a pose network's errors do not."""
    quiet_BTX = place_BTK2[:, :, [0, 1, 2, 7, 8]].flatten(2)
    second_BTX = (quiet_BTX[:, 2:] - 2.0 * quiet_BTX[:, 1:-1] + quiet_BTX[:, :-2]).abs()
    return _mean(second_BTX, step_BT[:, 2:] * step_BT[:, 1:-1] * step_BT[:, :-2]).mean(dim=1)


def involved_joints() -> tuple[Tensor, Tensor]:
    """(M,) and (M,): the two joints (the same one twice, where it is one) that each statistic is about."""
    place = torch.arange(PLACES) % JOINTS
    upper, beyond = torch.triu_indices(PLACES, PLACES), torch.triu_indices(PLACES, PLACES, 1)
    first, second = (torch.tensor(joints) for joints in zip(*BONES, strict=True))
    one = [place, place, first, first, place[upper[0]], place[beyond[0]], place.repeat(len(AUTO_LAGS))]
    two = [place, place, second, second, place[upper[1]], place[beyond[1]], place.repeat(len(AUTO_LAGS))]
    return torch.cat(one), torch.cat(two)


def _mean(rows_BTX: Tensor, weight_BT: Tensor) -> Tensor:
    """(B, X) weighted mean over time; zero without any weight."""
    return torch.einsum("btx,bt->bx", rows_BTX, weight_BT) / weight_BT.sum(dim=1, keepdim=True).clamp(min=1e-6)


def _lagged(away_BTP: Tensor, step_BT: Tensor, lag: int) -> Tensor:
    """(B, P, P) covariance of every place with every place `lag` steps later."""
    pairs_B = (step_BT[:, lag:] * step_BT[:, :-lag]).sum(dim=1).clamp(min=1.0)
    return away_BTP[:, :-lag].transpose(1, 2) @ away_BTP[:, lag:] / pairs_B[:, None, None]


def _autocovariance(away_BTP: Tensor, step_BT: Tensor, lag: int) -> Tensor:
    """(B, P) covariance of every place with itself `lag` steps later."""
    return _mean(away_BTP[:, :-lag] * away_BTP[:, lag:], step_BT[:, lag:] * step_BT[:, :-lag])


def _line(value_BT: Tensor, weight_BT: Tensor) -> Tensor:
    """Weighted straight line through values over the window, never below 0.4 nor above 2.5 of the weighted mean; 1 without any weight."""
    t_T = torch.linspace(-1.0, 1.0, value_BT.shape[1], dtype=value_BT.dtype, device=value_BT.device)
    total_B1 = weight_BT.sum(1, keepdim=True).clamp(min=1e-6)
    mean_B1 = (weight_BT * value_BT).sum(1, keepdim=True) / total_B1
    middle_B1 = (weight_BT * t_T).sum(1, keepdim=True) / total_B1
    away_BT = t_T - middle_B1
    slope_B1 = (weight_BT * away_BT * value_BT).sum(1, keepdim=True) / (
        (weight_BT * away_BT.square()).sum(1, keepdim=True) + 0.02 * total_B1
    )
    mean_B1 = torch.where(mean_B1 > 1e-6, mean_B1, torch.ones_like(mean_B1))
    return torch.minimum(torch.maximum(mean_B1 + slope_B1 * away_BT, 0.4 * mean_B1), 2.5 * mean_B1)


def _filled(place_BTK2: Tensor, sure_BTK: Tensor) -> Tensor:
    """Unseen joints at their confidence-weighted mean place in the window; joints never seen at the origin."""
    total_BK = sure_BTK.sum(1)
    mean_BK2 = (place_BTK2 * sure_BTK[..., None]).sum(1) / total_BK.clamp(min=1e-6)[..., None]
    return torch.where(sure_BTK[..., None] > 0, place_BTK2, mean_BK2[:, None])


class GaitSkeleton(nn.Module):
    """(B, 32, 17, 3) joints in pixels -> (B, D) embedding of unit length and (B,) quality in [0, 1].

    The embedding is a linear discriminant of the statistics and of what the network makes of them. As in
    `models.inertial.networks.GaitTCN`, the output for the losses is another one.
    """

    WINDOW, HOP, DIM = CAMERA_WINDOW, CAMERA_HOP, 128

    HEAD_DIM = 128
    """Of the output for the losses."""

    side_M: Tensor
    first_M: Tensor
    second_M: Tensor

    def __init__(self, width: int = 256) -> None:
        super().__init__()
        self.register_buffer("side_M", other_side_signs(), persistent=False)
        for name, joint_M in zip(("first_M", "second_M"), involved_joints(), strict=True):
            self.register_buffer(name, joint_M, persistent=False)
        self.scale = nn.BatchNorm1d(STATISTICS, affine=False)
        self.first = nn.Sequential(nn.Dropout(0.1), nn.Linear(STATISTICS, width), nn.BatchNorm1d(width), nn.ReLU())
        self.second = nn.Sequential(nn.Dropout(0.1), nn.Linear(width, width), nn.BatchNorm1d(width), nn.ReLU())
        self.feature_count = STATISTICS + 2 * width
        self.discriminant = nn.Linear(self.feature_count, self.DIM)
        self.head = nn.Linear(2 * width, self.HEAD_DIM)
        self.quality = nn.Sequential(nn.Linear(3, 8), nn.ReLU(), nn.Linear(8, 1))

    def measured(self, x_BTJ3: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """(B, M) statistics, (B,) weight of the standard side, (B, K) how well each joint is known, (B, 3) how well the window was seen (as
        `features`). Nothing here is learnt."""
        if x_BTJ3.ndim != 4 or tuple(x_BTJ3.shape[2:]) != (KEYPOINTS, 3):
            raise ValueError(f"joints must be (B, T, {KEYPOINTS}, 3), not {tuple(x_BTJ3.shape)}")
        place_BTK2, sure_BTK = body_frame(x_BTJ3)
        step_BT = (sure_BTK.amax(dim=-1) > 0).to(x_BTJ3.dtype)
        known_BK = (_mean((sure_BTK > 0).to(x_BTJ3.dtype), step_BT) * WELL_KNOWN).clamp(max=1.0)
        seen_B3 = torch.stack([step_BT.mean(dim=1), known_BK.mean(dim=1), roughness(place_BTK2, step_BT)], dim=1)
        return statistics(place_BTK2, sure_BTK), standard_side(x_BTJ3, place_BTK2, sure_BTK), known_BK, seen_B3

    def features_of(self, statistics_BM: Tensor, side_B: Tensor, known_BK: Tensor) -> Tensor:
        """(B, F). In training one side is drawn by its weight; in use both are looked at."""
        known_BM = known_BK[:, self.first_M] * known_BK[:, self.second_M]
        if self.training:
            standard_B = torch.rand(len(side_B), device=side_B.device) < side_B
            return self._layers(torch.where(standard_B[:, None], statistics_BM, statistics_BM * self.side_M), known_BM)
        both = self._layers(torch.cat([statistics_BM, statistics_BM * self.side_M]), known_BM.repeat(2, 1))
        return torch.lerp(both[len(side_B) :], both[: len(side_B)], side_B[:, None])

    def features(self, x_BTJ3: Tensor) -> tuple[Tensor, Tensor]:
        """(B, F) features; (B, 3) how well the window was seen: share of steps, share of joints, roughness of what was seen."""
        statistics_BM, side_B, known_BK, seen_B3 = self.measured(x_BTJ3)
        return self.features_of(statistics_BM, side_B, known_BK), seen_B3

    def _layers(self, statistics_BM: Tensor, known_BM: Tensor) -> Tensor:
        """Statistics of joints that are not known stand at everybody's mean."""
        scaled_BM = self.scale(statistics_BM).clamp(-6.0, 6.0) * known_BM
        first = self.first(scaled_BM)
        return torch.cat([scaled_BM, first, self.second(first)], dim=1)

    def trained_vector(self, features_BF: Tensor) -> Tensor:
        """(B, HEAD_DIM) unit rows: what the losses see."""
        return F.normalize(self.head(features_BF[:, STATISTICS:]), dim=1)

    def embed_features(self, features_BF: Tensor) -> Tensor:
        """(B, DIM) unit rows."""
        return F.normalize(self.discriminant(features_BF), dim=1)

    def quality_of(self, seen_B3: Tensor) -> Tensor:
        """(B,) quality in [0, 1]; 0 where nobody was seen. It looks at how well the person was seen and not at what it did: a network that
        judged by its own features would take every other kind of camera for a bad one, which was tried."""
        return torch.sigmoid(self.quality(seen_B3)[:, 0]) * (seen_B3[:, 0] > 0)

    def forward(self, x_BTJ3: Tensor) -> tuple[Tensor, Tensor]:
        features_BF, seen_B3 = self.features(x_BTJ3)
        return self.embed_features(features_BF), self.quality_of(seen_B3)
