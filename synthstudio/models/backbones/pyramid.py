"""Backbones: images (B, 3, H, W) to one feature map (B, C, h', w'). `channels` is C.

Blocks plug in after any such module; external.py adapts networks of other libraries.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from synthstudio.models.layers import Residual, conv, resize


class ConvPyramid(nn.Module):
    """A small feature pyramid network (FPN, Lin et al. 2017).

    Strides 4, 8, 16, ... with `widths` channels and `depth` residual blocks each; laterals and a
    top-down sum; the output has stride 4 and `channels` channels. No convolution follows the sum
    as in the paper: on small images wider coarse levels are worth more.
    """

    def __init__(
        self, *, widths: Sequence[int] = (32, 64, 128, 128), channels: int = 48, depth: int = 1
    ) -> None:
        super().__init__()
        self.channels = channels
        self.stem = conv(3, widths[0], stride=2)
        steps, before = [], widths[0]
        for width in widths:
            blocks = [Residual(width) for _ in range(depth)]
            steps.append(nn.Sequential(conv(before, width, stride=2), *blocks))
            before = width
        self.steps = nn.ModuleList(steps)
        self.laterals = nn.ModuleList(nn.Conv2d(width, channels, 1) for width in widths)
        self.smooth = nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(inplace=True))

    def forward(self, images: Tensor) -> Tensor:
        smoothed: Tensor = self.smooth(self.top_down(self.bottom_up(images))[0])
        return smoothed

    def bottom_up(self, images: Tensor) -> list[Tensor]:
        """The strides' features C2, C3, ..., finest first."""
        levels, x = [], self.stem(images)
        for step in self.steps:
            x = step(x)
            levels.append(x)
        return levels

    def top_down(self, levels: list[Tensor]) -> list[Tensor]:
        """P2, P3, ..., finest first: each level's lateral and the next coarser sum."""
        sums = [self.laterals[-1](levels[-1])]
        for level, lateral in zip(levels[-2::-1], list(self.laterals)[-2::-1], strict=True):
            side = lateral(level)
            sums.append(side + resize(sums[-1], side.shape[-2:]))
        return sums[::-1]
