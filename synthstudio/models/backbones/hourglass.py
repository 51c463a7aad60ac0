"""Stacked Hourglass (Newell et al. 2016): down to a few cells and up again, several times.

After each hourglass but the last a 1x1 head predicts the joints' maps; they are trained too, and
go into the next one: its input is the one before plus 1x1 (features) plus 1x1 (prediction). The
last one's features go to a block; its own head is one more 1x1 convolution.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from synthstudio.models.backbones.sizes import HourglassSize
from synthstudio.models.contract import StagedFeatures
from synthstudio.models.layers import conv, require_multiple

DEPTH, MIN_CELLS = 4, 3
"""The paper's depth, and the minimum cells of the shorter side at the bottom: a 256x192
crop's 64x48 cells become 4x3 there."""


class StackedHourglass(nn.Module):
    """Images (B, 3, H, W) to features (B, channels, H/4, W/4), and to intermediate maps."""

    def __init__(
        self, size: HourglassSize, joints: int, *, cells: tuple[int, int], stacks: int = 2
    ) -> None:
        """`cells`: rows and columns of the maps, which limit the hourglasses' depth."""
        super().__init__()
        self.channels = size.channels
        self.stem = nn.Sequential(
            conv(3, size.stem, size=7, stride=2),
            _Residual(size.stem, size.early),
            nn.MaxPool2d(2),
            _Residual(size.early, size.early),
            _Residual(size.early, size.channels),
        )
        depth, each = depth_of(cells), size.channels
        self.stacks = nn.ModuleList(
            nn.Sequential(_Hourglass(each, depth), _Residual(each, each), conv(each, each, size=1))
            for _ in range(stacks)
        )
        self.heads = nn.ModuleList(nn.Conv2d(each, joints, 1) for _ in range(stacks - 1))
        self.onward = nn.ModuleList(nn.Conv2d(each, each, 1) for _ in range(stacks - 1))
        self.returned = nn.ModuleList(nn.Conv2d(joints, each, 1) for _ in range(stacks - 1))

    def forward(self, images: Tensor) -> StagedFeatures:
        """ModelError for images whose sides are not multiples of 4."""
        require_multiple(images, 4, where="StackedHourglass")
        x = self.stem(images)
        features, logits = self.stacks[0](x), []
        between = zip(self.heads, self.onward, self.returned, strict=True)
        for stack, (head, onward, returned) in zip(list(self.stacks)[1:], between, strict=True):
            logits.append(head(features))
            x = x + onward(features) + returned(logits[-1])
            features = stack(x)
        return StagedFeatures(last=features, logits=tuple(logits))


def depth_of(cells: tuple[int, int]) -> int:
    """Number of halvings of maps of these rows and columns: 4 times, or down to MIN_CELLS."""
    shorter = min(cells)
    depths = (d for d in range(DEPTH, 1, -1) if -(-shorter // 2**d) >= MIN_CELLS)
    return next(depths, 1)


class _Hourglass(nn.Module):
    """Down by 2, `depth` times, and up again; at each size a residual goes round what is below."""

    def __init__(self, channels: int, depth: int) -> None:
        super().__init__()
        self.side = _Residual(channels, channels)
        self.down = _Residual(channels, channels)
        self.inner: nn.Module = (
            _Hourglass(channels, depth - 1) if depth > 1 else _Residual(channels, channels)
        )
        self.up = _Residual(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        # An odd side is rounded up, so that cell k of the lower map covers 2k and 2k + 1 above.
        low = self.up(self.inner(self.down(F.max_pool2d(x, 2, ceil_mode=True))))
        side: Tensor = self.side(x)
        return side + F.interpolate(low, size=x.shape[-2:])


class _Residual(nn.Module):
    """A bottleneck half as wide beside a shortcut, norms first (He et al. 2016)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        narrow = outputs // 2
        self.deep = nn.Sequential(
            _activated(inputs, narrow, 1),
            _activated(narrow, narrow, 3),
            _activated(narrow, outputs, 1),
        )
        self.side = nn.Identity() if inputs == outputs else nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        total: Tensor = self.side(x) + self.deep(x)
        return total


def _activated(inputs: int, outputs: int, size: int) -> nn.Sequential:
    """Batch norm, ReLU, convolution; the shape stays."""
    return nn.Sequential(
        nn.BatchNorm2d(inputs),
        nn.ReLU(inplace=True),
        nn.Conv2d(inputs, outputs, size, 1, size // 2),
    )
