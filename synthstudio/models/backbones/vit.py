"""The plain vision transformer of ViTPose (Xu et al. 2022); its decoders are in blocks/heads.py."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthstudio.models.backbones.sizes import ViTSize
from synthstudio.models.layers import require_multiple


class ViT(nn.Module):
    """Images (B, 3, H, W) to features (B, channels, H/patch, W/patch). Learnt position embeddings,
    sines at first (He et al. 2022), of a `picture` (H, W), resized for others."""

    def __init__(self, size: ViTSize, *, picture: tuple[int, int]) -> None:
        super().__init__()
        self.channels, self.patch = size.channels, size.patch
        rows, columns = (side // size.patch for side in picture)
        self.positions = nn.Parameter(_sines(size.channels, rows, columns))
        self.patches = nn.Conv2d(3, size.channels, size.patch, size.patch, size.padding)
        rate = size.drop_path / max(size.depth - 1, 1)  # grows from layer to layer
        self.layers = nn.ModuleList(
            _Layer(size.channels, size.heads, rate * layer) for layer in range(size.depth)
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


class _Layer(nn.Module):
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
