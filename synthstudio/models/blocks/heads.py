"""Heads: features to heat maps, plain ones and those of the backbones' papers."""

from __future__ import annotations

import itertools
import math

from torch import Tensor, nn

from synthstudio.models.contract import PoseOutputs
from synthstudio.models.layers import conv, resize


class KPE(nn.Module):
    """Features (B, channels, h', w') to one map per joint: the "simple decoder" of ViTPose (Xu et
    al. 2022) with `layers` convolutions of `width` channels, resized to `size` cells if needed."""

    def __init__(
        self, channels: int, joints: int, *, size: tuple[int, int], width: int = 48, layers: int = 1
    ) -> None:
        super().__init__()
        self.size = size
        widths = [channels] + [width] * layers
        self.stem = nn.Sequential(*[conv(a, b) for a, b in itertools.pairwise(widths)])
        self.maps = nn.Conv2d(widths[-1], joints, 1)

    def forward(self, features: Tensor) -> PoseOutputs:
        return PoseOutputs(logits=(self.maps(self.stem(resize(features, self.size))),))


class PointHead(nn.Module):
    """A 1x1 convolution, on features resized to `size` cells if needed: HRNet, hourglass, FPN."""

    def __init__(self, channels: int, joints: int, *, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size
        self.maps = nn.Conv2d(channels, joints, 1)

    def forward(self, features: Tensor) -> PoseOutputs:
        return PoseOutputs(logits=(self.maps(resize(features, self.size)),))


class KeptHead(nn.Module):
    """The backbone's own joint maps, as logits on `size` cells."""

    def __init__(self, *, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size

    def forward(self, features: Tensor) -> PoseOutputs:
        return PoseOutputs(logits=(resize(features, self.size),))


class ClassicDecoder(nn.Module):
    """Deconvolutions 4x4 that double the size up to `times`, then 1x1 (Xu et al. 2022)."""

    def __init__(self, channels: int, joints: int, *, times: int, width: int = 256) -> None:
        super().__init__()
        steps: list[nn.Module] = []
        for number in range(round(math.log2(times))):
            steps += [
                nn.ConvTranspose2d(width if number else channels, width, 4, 2, 1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(inplace=True),
            ]
        self.grown = nn.Sequential(*steps)
        self.maps = nn.Conv2d(width, joints, 1)

    def forward(self, features: Tensor) -> PoseOutputs:
        return PoseOutputs(logits=(self.maps(self.grown(features)),))
