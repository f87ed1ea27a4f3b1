"""Running statistics of batch normalisation that fade slowly and are right from the first step on."""

from __future__ import annotations

from torch import Tensor, nn


class FadingBatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation without scale or shift whose running statistics are the mean of all batches, weighted by `fading` per step.

    Caffe keeps sums that fade and the sum of their weights, and divides one by the other. In PyTorch's terms that is a momentum that begins
    at 1 and falls to 1 - fading, where PyTorch's own starts from zero mean and unit variance and needs thousands of steps to leave them.
    """

    def __init__(self, channels: int, eps: float = 1e-5, fading: float = 0.999) -> None:
        super().__init__(channels, eps=eps, momentum=1 - fading, affine=False)
        self.fading = fading

    def forward(self, x_BCHW: Tensor) -> Tensor:
        if self.training and self.num_batches_tracked is not None:
            self.momentum = (1 - self.fading) / (1 - self.fading ** (int(self.num_batches_tracked) + 1))
        return super().forward(x_BCHW)
