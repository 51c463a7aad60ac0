"""Backbones: images (B, 3, H, W) to one feature map (B, C, h', w'), whose C is `channels`.

A small feature pyramid; HRNet, the stacked hourglass and ViTPose's transformer in the sizes of
packaged.py. Heads plug in after any such module (heads.py); external_backbones.py adapts networks
of other libraries.
"""

import itertools
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthstudio.models.contract import StagedFeatures
from synthstudio.models.layers import Residual, conv, require_multiple, resize
from synthstudio.models.packaged import HourglassSize, HRNetSize, ViTSize


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


class HRNet(nn.Module):
    """Images (B, 3, H, W) to the branch of stride 4, (B, width, H/4, W/4) (Sun et al. 2019).

    Bottlenecks at stride 4, then stages that begin with one more branch at half the lowest
    resolution: modules of residual blocks in each branch, then a fusion. The stride-4 branch is
    never sampled down.
    """

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


DEPTH, MIN_CELLS = 4, 3
"""The hourglass paper's depth, and the minimum cells of the shorter side at the bottom: a 256x192
crop's 64x48 cells become 4x3 there."""


class StackedHourglass(nn.Module):
    """Images (B, 3, H, W) to features (B, channels, H/4, W/4), and to intermediate maps.

    Newell et al. 2016: down to a few cells and up again, several times. After each hourglass but
    the last a 1x1 head predicts the joints' maps; they are trained too, and go into the next one:
    its input is the one before plus 1x1 (features) plus 1x1 (prediction).
    """

    def __init__(
        self, size: HourglassSize, joints: int, *, cells: tuple[int, int], stacks: int = 2
    ) -> None:
        """`cells`: rows and columns of the maps, which limit the hourglasses' depth."""
        super().__init__()
        self.channels = size.channels
        self.stem = nn.Sequential(
            conv(3, size.stem, size=7, stride=2),
            _PreActivated(size.stem, size.early),
            nn.MaxPool2d(2),
            _PreActivated(size.early, size.early),
            _PreActivated(size.early, size.channels),
        )
        depth, each = depth_of(cells), size.channels
        self.stacks = nn.ModuleList(
            nn.Sequential(
                _Hourglass(each, depth), _PreActivated(each, each), conv(each, each, size=1)
            )
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
        self.side = _PreActivated(channels, channels)
        self.down = _PreActivated(channels, channels)
        self.inner: nn.Module = (
            _Hourglass(channels, depth - 1) if depth > 1 else _PreActivated(channels, channels)
        )
        self.up = _PreActivated(channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        # An odd side is rounded up, so that cell k of the lower map covers 2k and 2k + 1 above.
        low = self.up(self.inner(self.down(F.max_pool2d(x, 2, ceil_mode=True))))
        side: Tensor = self.side(x)
        return side + F.interpolate(low, size=x.shape[-2:])


class _PreActivated(nn.Module):
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


class ViT(nn.Module):
    """The plain vision transformer of ViTPose (Xu et al. 2022): images (B, 3, H, W) to features
    (B, channels, H/patch, W/patch). Learnt position embeddings, sines at first (He et al. 2022), of
    a `picture` (H, W), resized for others."""

    def __init__(self, size: ViTSize, *, picture: tuple[int, int]) -> None:
        super().__init__()
        self.channels, self.patch = size.channels, size.patch
        rows, columns = (side // size.patch for side in picture)
        self.positions = nn.Parameter(_sines(size.channels, rows, columns))
        self.patches = nn.Conv2d(3, size.channels, size.patch, size.patch, size.padding)
        rate = size.drop_path / max(size.depth - 1, 1)  # grows from layer to layer
        self.layers = nn.ModuleList(
            _TransformerLayer(size.channels, size.heads, rate * layer)
            for layer in range(size.depth)
        )
        self.norm = nn.LayerNorm(size.channels, eps=1e-6)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, images: Tensor) -> Tensor:
        """ModelError for images whose sides are not multiples of the patch."""
        require_multiple(images, self.patch, where="ViT")
        x = self.patches(images)
        grid = (x.shape[-2], x.shape[-1])
        tokens = (x + resized_positions(self.positions, grid)).flatten(2).transpose(1, 2)
        for layer in self.layers:
            tokens = layer(tokens)
        features: Tensor = self.norm(tokens).transpose(1, 2).unflatten(2, grid)
        return features


def resized_positions(positions: Tensor, grid: tuple[int, int]) -> Tensor:
    """Position embeddings (C, h, w) for another grid of rows and columns, bicubic."""
    if tuple(positions.shape[-2:]) == tuple(grid):
        return positions
    return F.interpolate(positions[None], size=grid, mode="bicubic", align_corners=False)[0]


def _sines(channels: int, rows: int, columns: int) -> Tensor:
    """Sines and cosines (C, rows, columns) of the column, then of the row (Vaswani et al. 2017)."""
    quarter = channels // 4
    speeds = 10000.0 ** -(torch.arange(quarter) / quarter)
    y, x = torch.meshgrid(torch.arange(rows), torch.arange(columns), indexing="ij")
    angles = [speeds[:, None, None] * at for at in (x, y)]
    return torch.cat([wave(angle) for angle in angles for wave in (torch.sin, torch.cos)])


class _TransformerLayer(nn.Module):
    """Attention, then two linear layers, norms first; each beside a shortcut, in training skipped
    for a fraction `rate` of the pictures (stochastic depth, Huang et al. 2016)."""

    def __init__(self, channels: int, heads: int, rate: float) -> None:
        super().__init__()
        self.heads, self.rate = heads, rate
        self.before = nn.LayerNorm(channels, eps=1e-6)
        self.qkv = nn.Linear(channels, 3 * channels)  # queries, keys, values
        self.projection = nn.Linear(channels, channels)
        self.after = nn.LayerNorm(channels, eps=1e-6)
        self.wide = nn.Linear(channels, 4 * channels)
        self.narrow = nn.Linear(4 * channels, channels)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self._some(self._attend(self.before(x)))
        return x + self._some(self.narrow(F.gelu(self.wide(self.after(x)))))

    def _attend(self, x: Tensor) -> Tensor:
        query, key, value = (
            part.unflatten(-1, (self.heads, -1)).transpose(1, 2)
            for part in self.qkv(x).chunk(3, -1)
        )  # each (B, heads, N, C / heads)
        weights = torch.softmax(query @ key.transpose(-2, -1) * query.shape[-1] ** -0.5, -1)
        output: Tensor = self.projection((weights @ value).transpose(1, 2).flatten(2))
        return output

    def _some(self, branch: Tensor) -> Tensor:
        if not self.training or not self.rate:
            return branch
        kept = torch.rand(len(branch), 1, 1, device=branch.device) >= self.rate
        return branch * kept / (1 - self.rate)
