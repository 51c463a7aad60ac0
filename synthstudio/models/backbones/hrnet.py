"""HRNet (Sun et al. 2019): high resolution throughout.

Branches at strides 4, 8, 16 and 32 run in parallel and exchange features repeatedly;
the stride-4 branch is never sampled down. Its own head is a 1x1 convolution on that branch.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from synthstudio.models.backbones.sizes import HRNetSize
from synthstudio.models.layers import Residual, conv, require_multiple


class HRNet(nn.Module):
    """Images (B, 3, H, W) to the stride-4 branch (B, width, H/4, W/4). Bottlenecks at stride 4,
    then stages that begin with one more branch at half the lowest resolution: modules of residual
    blocks in each branch, then a fusion."""

    def __init__(self, size: HRNetSize) -> None:
        super().__init__()
        self.channels = size.width
        wide = 4 * size.narrow
        inputs = [size.stem] + [wide] * (size.first - 1)
        self.stem = nn.Sequential(
            conv(3, size.stem, stride=2),
            conv(size.stem, size.stem, stride=2),
            *(_Bottleneck(channels, size.narrow) for channels in inputs),
        )
        self.transitions, self.stages = nn.ModuleList(), nn.ModuleList()
        before = [wide]
        for number, modules in enumerate(size.modules):
            widths = [size.width * 2**branch for branch in range(number + 2)]
            self.transitions.append(_Transition(before, widths))
            last = number == len(size.modules) - 1
            fused = [len(widths)] * (modules - 1) + [1 if last else len(widths)]
            self.stages.append(nn.Sequential(*(_Exchange(widths, size.depth, n) for n in fused)))
            before = widths

    def forward(self, images: Tensor) -> Tensor:
        """ModelError for images whose sides are not multiples of 4."""
        require_multiple(images, 4, where="HRNet")
        branches: list[Tensor] = [self.stem(images)]
        for transition, stage in zip(self.transitions, self.stages, strict=True):
            branches = stage(transition(branches))
        return branches[0]


class _Bottleneck(nn.Module):
    """1x1, 3x3 and 1x1 convolutions beside a shortcut, to 4 `narrow` channels (He et al. 2016)."""

    def __init__(self, channels: int, narrow: int) -> None:
        super().__init__()
        wide = 4 * narrow
        self.first = nn.Sequential(conv(channels, narrow, size=1), conv(narrow, narrow))
        self.last = _plain(narrow, wide, 1)
        self.side = nn.Identity() if channels == wide else _plain(channels, wide, 1)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.side(x) + self.last(self.first(x)))


class _Transition(nn.Module):
    """An additional branch: the lowest one at half its resolution. Widths are adapted if needed."""

    def __init__(self, before: Sequence[int], after: Sequence[int]) -> None:
        super().__init__()
        self.kept = nn.ModuleList(
            nn.Identity() if a == b else conv(a, b) for a, b in zip(before, after, strict=False)
        )
        self.new = conv(before[-1], after[-1], stride=2)

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        kept = [keep(x) for keep, x in zip(self.kept, branches, strict=True)]
        return [*kept, self.new(branches[-1])]


class _Exchange(nn.Module):
    """A module: `depth` residual blocks in each branch, then a fusion to the first `outputs`."""

    def __init__(self, widths: Sequence[int], depth: int, outputs: int) -> None:
        super().__init__()
        self.branches = nn.ModuleList(
            nn.Sequential(*(Residual(width) for _ in range(depth))) for width in widths
        )
        self.fusion = _Fusion(widths, outputs)

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        found = [branch(x) for branch, x in zip(self.branches, branches, strict=True)]
        fused: list[Tensor] = self.fusion(found)
        return fused


class _Fusion(nn.Module):
    """Each output is the sum of all branches at its resolution, after a ReLU."""

    def __init__(self, widths: Sequence[int], outputs: int) -> None:
        super().__init__()
        self.paths = nn.ModuleList(
            nn.ModuleList(_path(widths, source, target) for source in range(len(widths)))
            for target in range(outputs)
        )

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        fused = []
        for target, paths in enumerate(self.paths):
            total, size = branches[target], branches[target].shape[-2:]
            for source, path in enumerate(paths.children()):
                if source < target:
                    total = total + path(branches[source])
                elif source > target:
                    total = total + F.interpolate(path(branches[source]), size=size)
            fused.append(F.relu(total))
        return fused


def _path(widths: Sequence[int], source: int, target: int) -> nn.Module:
    """From a higher branch one convolution of stride 2 for each halving, from a lower one 1x1."""
    if source == target:
        return nn.Identity()
    if source > target:
        return _plain(widths[source], widths[target], 1)
    channels = [widths[source]] * (target - source) + [widths[target]]
    *steps, last = itertools.pairwise(channels)
    return nn.Sequential(*(conv(a, b, stride=2) for a, b in steps), _plain(*last, 3, stride=2))


def _plain(inputs: int, outputs: int, size: int, *, stride: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False), nn.BatchNorm2d(outputs)
    )
