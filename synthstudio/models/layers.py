"""Layers shared by backbones and blocks."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthstudio.core.errors import ModelError


def conv(inputs: int, outputs: int, *, size: int = 3, stride: int = 1) -> nn.Sequential:
    """Convolution, batch norm, ReLU; the size is divided by `stride`."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, size, stride, size // 2, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )


def pointwise(layer: nn.Conv2d, x: Tensor) -> Tensor:
    """A 1x1 convolution of x (B, C, h, w) as a product of matrices: faster on CPUs."""
    rows = mixed(layer.weight.flatten(1), x)
    return rows if layer.bias is None else rows + layer.bias[:, None, None]


def mixed(weight: Tensor, x: Tensor) -> Tensor:
    """The sums (B, D, h, w) of the channels of x (B, C, h, w) by `weight` (D, C)."""
    rows = torch.bmm(weight.expand(x.shape[0], -1, -1), x.flatten(2))
    return rows.view(x.shape[0], -1, *x.shape[2:])


class Residual(nn.Module):
    """Two convolutions beside a shortcut (He et al. 2016); the shape stays."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.first = conv(channels, channels)
        self.second = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        self.norm = nn.BatchNorm2d(channels)
        nn.init.zeros_(self.norm.weight)  # initialised as the identity

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.norm(self.second(self.first(x))))


def resize(x: Tensor, size: tuple[int, int]) -> Tensor:
    """Bilinear resize of x (B, C, *, *) to (B, C, h, w), with edges aligned."""
    if tuple(x.shape[-2:]) == tuple(size):
        return x
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False)


def require_multiple(images: Tensor, of: int, *, where: str) -> None:
    """ModelError unless height and width are multiples of `of`: cells would shift the joints."""
    if any(side % of or not side for side in images.shape[-2:]):
        raise ModelError(
            "unsupported image size for the backbone",
            where=where,
            expected=f"height and width that are multiples of {of}",
            got=str(tuple(images.shape[-2:])),
        )
