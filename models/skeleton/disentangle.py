"""Static and dynamic parts of a walk: an autoencoder with encoders for motion, body and view, and a recognition head on its codes.

Source: "Static and Dynamic Features Analysis from Human Skeletons for Gait Recognition", IJCB 2021; after Yang et al., "TransMoMo", CVPR 2020.
Shape letters: B batch, T = 64 frames, J = 15 joints, 2 is (x, y), R = 30 rows of the network's input, C = 128 channels of a code, F rows of
the head's picture, P people.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from models.video.recipe import Recipe

Layout = Literal["velocity", "channels", "legacy"]
FeatureType = Literal["combined", "combined_all", "pose", "motion", "body", "view"]

FRAMES, JOINTS, ROWS, CODE = 64, 15, 30, 128
SHAPE_ROWS = 28
"""Body and view encoders see the first 28 rows: in TransMoMo the last two are the hip's velocity, which is no shape."""

FEATURE_ROWS: dict[FeatureType, int] = {"combined": 286, "combined_all": 414, "pose": 30, "motion": 128, "body": 128, "view": 128}


MID_HIP = 8
OTHERS = tuple(joint for joint in range(JOINTS) if joint != MID_HIP)


def to_rows(skeleton_BTJ2: Tensor, layout: Layout) -> Tensor:
    """(B, 64, 15, 2) -> (B, 30, 64). Raises ValueError for another shape.

    "velocity", as in TransMoMo: 28 rows of fourteen joints seen from the mid-hip, then the mid-hip's velocity per frame (0 in the first).
    "channels": one coordinate of a joint a row, the last joint in the rows that are no shape elsewhere.  "legacy": the published reshape
    without a transposition, where a row holds 64 consecutive numbers of the stream of frames.
    """
    if tuple(skeleton_BTJ2.shape[1:]) != (FRAMES, JOINTS, 2):
        raise ValueError(f"skeletons must be (B, {FRAMES}, {JOINTS}, 2), not {tuple(skeleton_BTJ2.shape)}")
    if layout == "legacy":
        return skeleton_BTJ2.reshape(-1, ROWS, FRAMES)
    if layout == "channels":
        return skeleton_BTJ2.flatten(2).transpose(1, 2)
    hip_BT12 = skeleton_BTJ2[:, :, MID_HIP : MID_HIP + 1]
    velocity_BT12 = torch.cat([torch.zeros_like(hip_BT12[:, :1]), hip_BT12.diff(dim=1)], dim=1)
    return torch.cat([skeleton_BTJ2[:, :, OTHERS] - hip_BT12, velocity_BT12], dim=2).flatten(2).transpose(1, 2)


def from_rows(rows_BRT: Tensor, layout: Layout) -> Tensor:
    """(B, 30, 64) -> (B, 64, 15, 2): the inverse of `to_rows`; after "velocity" the mid-hip starts at the origin."""
    if layout == "legacy":
        return rows_BRT.reshape(-1, FRAMES, JOINTS, 2)
    stream_BTJ2 = rows_BRT.transpose(1, 2).reshape(-1, FRAMES, JOINTS, 2)
    if layout == "channels":
        return stream_BTJ2
    hip_BT12 = stream_BTJ2[:, :, -1:].cumsum(dim=1)
    others = stream_BTJ2[:, :, :-1] + hip_BT12
    return torch.cat([others[:, :, :MID_HIP], hip_BT12, others[:, :, MID_HIP:]], dim=2)


def encoder(rows: int, middle: int) -> nn.Sequential:
    """(B, rows, T) -> (B, 128, T): three convolutions of three frames, mirrored at the ends."""
    layers: list[nn.Module] = []
    for c_in, c_out in ((rows, 64), (64, middle), (middle, CODE)):
        layers += [nn.Conv1d(c_in, c_out, 3, padding=1, padding_mode="reflect"), nn.LeakyReLU(0.2)]
    return nn.Sequential(*layers)


class Decoder(nn.Sequential):
    """(B, 384, T) codes -> (B, 45, T): three times doubling and a convolution of seven at stride 2."""

    def __init__(self) -> None:
        layers: list[nn.Module] = []
        for c_in, c_out in ((3 * CODE, 256), (256, CODE), (CODE, 3 * JOINTS)):
            layers += [nn.Upsample(scale_factor=2), nn.Conv1d(c_in, c_out, 7, 2, 3, padding_mode="reflect")]
            if c_out != 3 * JOINTS:
                layers += [nn.Dropout(0.2), nn.LeakyReLU(0.2)]
        super().__init__(*layers)


@dataclass(frozen=True, slots=True)
class Codes:
    """motion_BCT: how it moves.  body_BCT and view_BCT: per frame; `body_BC1` and `view_BC1`, their maxima over time, are the codes."""

    motion_BCT: Tensor
    body_BCT: Tensor
    view_BCT: Tensor

    @property
    def body_BC1(self) -> Tensor:
        return self.body_BCT.amax(dim=2, keepdim=True)

    @property
    def view_BC1(self) -> Tensor:
        return self.view_BCT.amax(dim=2, keepdim=True)


class Autoencoder(nn.Module):
    """(B, 30, T) rows -> reconstruction of the same shape. The layout of rows is the caller's (`to_rows`)."""

    recipe = Recipe(
        "adam", 2e-4, 128, iterations=50_000, schedule="step", decay=0.5, decay_every=5_000, betas=(0.5, 0.999), weight_decay=1e-4
    )
    small = Recipe("adam", 5e-4, 32, iterations=1_000, betas=(0.5, 0.999), weight_decay=1e-4, published=False)

    def __init__(self) -> None:
        super().__init__()
        self.motion = encoder(ROWS, 128)
        self.body = encoder(SHAPE_ROWS, 128)
        self.view = encoder(SHAPE_ROWS, 32)
        self.decoder = Decoder()
        for layer in self.modules():
            if isinstance(layer, nn.Conv1d):
                nn.init.kaiming_normal_(layer.weight)
                nn.init.zeros_(layer.bias) if layer.bias is not None else None

    def encode(self, x_BRT: Tensor) -> Codes:
        """Codes of a batch. Raises ValueError for another number of rows than 30."""
        if x_BRT.ndim != 3 or x_BRT.shape[1] != ROWS:
            raise ValueError(f"rows must be (B, {ROWS}, T), not {tuple(x_BRT.shape)}")
        shape_BRT = x_BRT[:, :SHAPE_ROWS]
        return Codes(self.motion(x_BRT), self.body(shape_BRT), self.view(shape_BRT))

    def decode(self, motion_BCT: Tensor, body_BC1: Tensor, view_BC1: Tensor) -> Tensor:
        """(B, 30, T) from a motion and one code of body and view each; of three numbers per joint the first two are kept."""
        frames = motion_BCT.shape[2]
        code = torch.cat([motion_BCT, body_BC1.expand(-1, -1, frames), view_BC1.expand(-1, -1, frames)], dim=1)
        return self.decoder(code).unflatten(1, (JOINTS, 3))[:, :, :2].flatten(1, 2)

    def forward(self, x_BRT: Tensor) -> Tensor:
        codes = self.encode(x_BRT)
        return self.decode(codes.motion_BCT, codes.body_BC1, codes.view_BC1)


class Recognition(nn.Module):
    """(B, 1, F, 64) picture of rows and codes -> (B, 512) features; `head` gives (B, P) logits."""

    def __init__(self, people: int, rows: int) -> None:
        super().__init__()
        self.stem = nn.Sequential(
            nn.Conv2d(1, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.Conv2d(32, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(),
            nn.MaxPool2d(2, 2, padding=1),
        )  # fmt: skip
        self.residual = nn.Sequential(
            nn.Conv2d(64, 64, 3, padding=1), nn.BatchNorm2d(64), nn.ReLU(), nn.Conv2d(64, 64, 3, padding=1), nn.BatchNorm2d(64)
        )
        self.dropout = nn.Dropout(0.5)
        self.embedding = nn.Linear(64 * (rows // 2 + 1) * (FRAMES // 2 + 1), 512)
        self.head = nn.Linear(512, people)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(layer.weight)
                nn.init.zeros_(layer.bias) if layer.bias is not None else None

    def forward(self, x_B1FT: Tensor) -> Tensor:
        x_BCFT = self.stem(x_B1FT)
        return self.embedding(self.dropout((x_BCFT + self.residual(x_BCFT)).flatten(1)))


class Disentangle(nn.Module):
    """(B, 64, 15, 2) skeletons -> (B, P) logits; features (B, 512).

    feature_type: which rows the head sees; "combined" is pose, motion and body. The head's gradients never reach the encoders. The head's
    first linear layer holds nearly all of 156 million parameters for "combined"; "pose" needs a ninth of them.
    """

    DIM = 512

    recipe = Autoencoder.recipe
    small = Autoencoder.small

    def __init__(self, people: int, feature_type: FeatureType = "combined", layout: Layout = "velocity") -> None:
        super().__init__()
        self.people, self.feature_type, self.layout = people, feature_type, layout
        self.autoencoder = Autoencoder()
        self.recognition = Recognition(people, FEATURE_ROWS[feature_type])

    def picture(self, x_BRT: Tensor) -> Tensor:
        """(B, 1, F, 64) the head's input, cut off from the encoders."""
        with torch.no_grad():
            codes = self.autoencoder.encode(x_BRT)
            parts = {"pose": x_BRT, "motion": codes.motion_BCT, "body": codes.body_BCT, "view": codes.view_BCT}
            names = {"combined": ("pose", "motion", "body"), "combined_all": ("pose", "motion", "body", "view")}
            return torch.cat([parts[name] for name in names.get(self.feature_type, (self.feature_type,))], dim=1)[:, None]

    def features(self, skeleton_BTJ2: Tensor) -> Tensor:
        """(B, 512) the vector that is matched (published: nearest neighbour by Euclid)."""
        return self.recognition(self.picture(to_rows(skeleton_BTJ2, self.layout)))

    def forward(self, skeleton_BTJ2: Tensor) -> Tensor:
        return self.recognition.head(self.features(skeleton_BTJ2))
