"""The published CNN for identification, and its convolution stack, which the pair networks and the fusions share.

Source: Zou et al., "Deep Learning-Based Gait Recognition Using Smartphones in the Wild", IEEE TIFS 15, 2020.
Shape letters: B batch, T time, C channel, S time after the stack (T / 8), R rows (6 axes; 12 for two samples stacked).
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from models.inertial.published import recipe
from models.inertial.published.network import IdentificationNetwork
from models.inertial.published.tensorflow import SameConv2d, truncated_normal_


class ConvStack(nn.Module):
    """(B, T, R) -> (B, S, 128): three convolutions along time per row with two max-pools, then one across all rows."""

    CHANNELS = 128

    REDUCTION = 8
    """Samples per step of the output: stride 2 and two pools of 2."""

    def __init__(self, rows: int = 6) -> None:
        super().__init__()
        self.conv1 = SameConv2d(1, 32, (1, 9), (1, 2))
        self.conv2 = SameConv2d(32, 64, (1, 3))
        self.conv3 = SameConv2d(64, 128, (1, 3))
        self.conv4 = nn.Conv2d(128, self.CHANNELS, (rows, 1))
        truncated_normal_(self.conv4)

    def forward(self, x_BTR: Tensor) -> Tensor:
        h_B1RT = x_BTR.transpose(1, 2).unsqueeze(1)
        h_BCRT = F.max_pool2d(F.relu(self.conv1(h_B1RT)), (1, 2))
        h_BCRT = F.relu(self.conv2(h_BCRT))
        h_BCRT = F.max_pool2d(F.relu(self.conv3(h_BCRT)), (1, 2))
        return F.relu(self.conv4(h_BCRT)).squeeze(2).transpose(1, 2)

    def reset_parameters(self) -> None:
        """Draws all weights anew."""
        for layer in (self.conv1, self.conv2, self.conv3, self.conv4):
            truncated_normal_(layer)


class CNN(IdentificationNetwork):
    """The convolution stack, flattened time-major to 2048 features, and one dense layer."""

    DIM = IdentificationNetwork.WINDOW // ConvStack.REDUCTION * ConvStack.CHANNELS

    def __init__(self, people: int) -> None:
        super().__init__(people, self.DIM, recipe.CNN)
        self.stack = ConvStack()
        truncated_normal_(self.head)

    def features(self, x_BT6: Tensor) -> Tensor:
        """(B, 2048)."""
        return self.stack(x_BT6).flatten(1)
