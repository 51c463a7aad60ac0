"""KPE, the plain keypoint estimation block: features to heat-maps."""

from __future__ import annotations

import itertools

from torch import Tensor, nn

from synthstudio.models.contract import PoseOutputs
from synthstudio.models.layers import conv, resize


class KPE(nn.Module):
    """Features (B, channels, h', w') to one map per joint, resized to `size` cells if needed.

    The "simple decoder" of ViTPose (Xu et al. 2022) with a convolution or more: `width`
    channels, `layers` convolutions.
    """

    def __init__(
        self, channels: int, joints: int, *, size: tuple[int, int], width: int = 48, layers: int = 1
    ) -> None:
        super().__init__()
        self.size = size
        widths = [channels] + [width] * layers
        steps = [conv(a, b) for a, b in itertools.pairwise(widths)]
        self.stem = nn.Sequential(*steps)
        self.maps = nn.Conv2d(widths[-1], joints, 1)

    def forward(self, features: Tensor) -> PoseOutputs:
        return PoseOutputs(logits=(self.maps(self.stem(resize(features, self.size))),))
