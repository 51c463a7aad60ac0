"""The own heads of backbones: features to heat-maps, as their papers have it."""

from __future__ import annotations

import math

from torch import Tensor, nn

from synthstudio.models.contract import PoseOutputs
from synthstudio.models.layers import resize


class PointHead(nn.Module):
    """A 1x1 convolution, on features resized to `size` cells if needed: HRNet, hourglass, FPN."""

    def __init__(self, channels: int, joints: int, *, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size
        self.maps = nn.Conv2d(channels, joints, 1)

    def forward(self, features: Tensor) -> PoseOutputs:
        return PoseOutputs(logits=(self.maps(resize(features, self.size)),))


class KeptHead(nn.Module):
    """Maps of joints as they are, as logits on `size` cells: of a network whose head is kept."""

    def __init__(self, *, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size

    def forward(self, features: Tensor) -> PoseOutputs:
        return PoseOutputs(logits=(resize(features, self.size),))


class ClassicDecoder(nn.Module):
    """Deconvolutions 4x4 that double the size until it has grown `times`, then 1x1.

    Xu et al. 2022 after Xiao et al. 2018: two of them for patches of 16 pixels.
    """

    def __init__(self, channels: int, joints: int, *, times: int, width: int = 256) -> None:
        super().__init__()
        steps: list[nn.Module] = []
        for number in range(round(math.log2(times))):
            inputs = width if number else channels
            steps += [
                nn.ConvTranspose2d(inputs, width, 4, 2, 1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(inplace=True),
            ]
        self.grown = nn.Sequential(*steps)
        self.maps = nn.Conv2d(width, joints, 1)

    def forward(self, features: Tensor) -> PoseOutputs:
        return PoseOutputs(logits=(self.maps(self.grown(features)),))
