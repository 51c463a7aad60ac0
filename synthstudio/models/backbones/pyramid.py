"""Backbones: images (B, 3, H, W) to one feature map (B, C, h', w'). `channels` says C.

Blocks plug in after any such module. Pretrained backbones come from `transformers`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from synthstudio.core.errors import ModelError
from synthstudio.models.layers import Residual, conv, resize

if TYPE_CHECKING:
    from collections.abc import Sequence


class ConvPyramid(nn.Module):
    """A small feature pyramid network (FPN, Lin et al. 2017).

    Strides 4, 8, 16, ... with `widths` channels and `depth` residual blocks each; laterals and a
    top-down sum; the output has stride 4 and `channels` channels. `smooth`: a convolution follows
    the sum, as in the paper. On small images it is worth less than wider coarse levels.
    """

    def __init__(
        self,
        *,
        widths: Sequence[int] = (32, 64, 128, 128),
        channels: int = 48,
        depth: int = 1,
        smooth: bool = False,
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
        self.smooth = (
            conv(channels, channels)
            if smooth
            else nn.Sequential(nn.BatchNorm2d(channels), nn.ReLU(inplace=True))
        )

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


class HuggingFaceFeatures(nn.Module):
    """A `transformers` AutoBackbone: its feature maps, concatenated at the finest one's size.

    `frozen`: its weights get no gradient and its norms keep their statistics.
    """

    def __init__(self, backbone: Any, *, frozen: bool = False) -> None:
        super().__init__()
        self.backbone, self.frozen = backbone, frozen
        self.channels = sum(int(c) for c in backbone.channels)
        _freeze(self, frozen)

    def train(self, mode: bool = True) -> HuggingFaceFeatures:
        super().train(mode)
        if self.frozen:
            self.backbone.eval()
        return self

    def forward(self, images: Tensor) -> Tensor:
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            maps = self.backbone(images).feature_maps
        size = maps[0].shape[-2:]
        return torch.cat([resize(m, size) for m in maps], 1)


class VitPoseFeatures(nn.Module):
    """The backbone of a `VitPoseForPoseEstimation` without its head; `frozen` as above."""

    def __init__(self, model: Any, *, frozen: bool = False) -> None:
        super().__init__()
        self.backbone, self.frozen = model.backbone, frozen
        config = model.config.backbone_config
        self.channels = int(config.hidden_size)
        image, patch = config.image_size, config.patch_size
        self.grid = (image[0] // patch[0], image[1] // patch[1])
        self.image_size = (int(image[0]), int(image[1]))
        _freeze(self, frozen)

    def train(self, mode: bool = True) -> VitPoseFeatures:
        super().train(mode)
        if self.frozen:
            self.backbone.eval()
        return self

    def forward(self, images: Tensor) -> Tensor:
        """Features (B, channels, H/16, W/16); ModelError for images of another size."""
        if tuple(images.shape[-2:]) != self.image_size:
            raise ModelError(
                "the images do not fit the backbone",
                where="VitPoseFeatures",
                expected=str(self.image_size),
                got=str(tuple(images.shape[-2:])),
            )
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            tokens = self.backbone(images).feature_maps[-1]
        if tokens.ndim == 4:
            return torch.as_tensor(tokens)
        return torch.as_tensor(tokens.transpose(1, 2).unflatten(2, self.grid))


def _freeze(module: nn.Module, frozen: bool) -> None:
    for parameter in module.parameters():
        parameter.requires_grad_(not frozen)
