"""Interface and shared parts of the bottom-up systems.

A system is a network of whole frames that a training loop calls: `net(images)` gives outputs,
`net.targets(people)` the targets, `net.losses(outputs, targets)` weighted terms by name,
`net.decode(outputs)` the people. Letters: B frames of H x W pixels, P people, J joints, L limbs,
h, w cells. Cells are continuous as pixels are: pixels over the stride (models/heatmaps.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from synthstudio.core.arrays import F32, F64, Bool
from synthstudio.core.errors import ModelError
from synthstudio.models.contract import PictureNet, not_finite
from synthstudio.models.heatmaps import cell_centres

STRIDE = 4
"""Pixels of a frame per cell of its features."""


@dataclass(frozen=True, kw_only=True)
class FramePeople:
    """The labels of a frame's P people, in continuous pixels.

    `size`: its (H, W). `joints_px` (P, J, 2), also outside the frame: NaN is unlabelled. `boxes_px`
    (P, 4) x y w h round the whole person: since an unlabelled joint may be anywhere in it, it is
    not trained there. So in the box of a person without any joint people are not
    trained. `masks` (P, H, W): visible masks; None: unknown.
    """

    size: tuple[int, int]
    joints_px: F64
    boxes_px: F64
    masks: Bool | None = None


@dataclass(frozen=True, kw_only=True)
class FoundPeople:
    """P people found in a frame, most confident first.

    `joints_px` (P, J, 2) continuous pixels, NaN where a joint was not found; `scores` (P, J), 0
    there; `score` (P,). `masks` (P, h, w): their cells; None: not predicted.
    """

    joints_px: F64
    scores: F64
    score: F64
    masks: Bool | None = None

    def __len__(self) -> int:
        return len(self.score)


class FrameNet(PictureNet):
    """Features of whole frames: images (B, 3, H, W) to (B, C, H / STRIDE, W / STRIDE). `multiple`:
    required divisor of H and W."""

    def __init__(self, features: nn.Module, *, multiple: int) -> None:
        super().__init__()
        self.features, self.multiple = features, multiple
        self.normalize_by()

    def forward(self, images: Tensor) -> Tensor:
        """Features; ModelError when the images cannot be divided into cells."""
        features: Tensor = self.features(self.normalized(images))
        size, cells = tuple(images.shape[2:]), tuple(features.shape[2:])
        if any(n % self.multiple for n in size) or size != tuple(m * STRIDE for m in cells):
            raise ModelError(
                "image sides are not multiples of the stride",
                where="FrameNet",
                expected=f"height and width that are multiples of {self.multiple}, and features of "
                f"stride {STRIDE}",
                got=f"{size}, features {cells}",
            )
        return features


def joints_in_cells(frame: FramePeople, stride: int) -> Tensor:
    """Joints (P, J, 2) in cells; NaN is unlabelled."""
    return torch.from_numpy(np.asarray(frame.joints_px, np.float32) / stride)


def is_inside(xy: Tensor, h: int, w: int) -> Tensor:
    """Whether positions (..., 2) are in the frame; False for NaN."""
    x, y = xy.unbind(-1)
    return (x >= 0) & (x < w) & (y >= 0) & (y < h)


def loss_mask(frame: FramePeople, known: Tensor, stride: int) -> Tensor:
    """(C, h, w) where channel c is trained: outside boxes of people whose `known` (P, C) is False.
    An unknown box is the whole frame."""
    h, w = frame.size[0] // stride, frame.size[1] // stride
    x, y = cell_centres(h, w, torch.empty(0)).mul(stride).unbind(-1)
    boxes = torch.from_numpy(np.asarray(frame.boxes_px, np.float32))
    low, high = boxes[:, None, :2], boxes[:, None, :2] + boxes[:, None, 2:]
    beside = (x < low[..., 0]) | (x > high[..., 0]) | (y < low[..., 1]) | (y > high[..., 1])
    inside = ~beside  # (P, h*w); comparisons with NaN are false
    return ~(~known[:, :, None] & inside[:, None]).any(0).view(-1, h, w)


def finite(maps: Tensor) -> F32:
    """A network's output as an array; ModelError when it is not finite."""
    if not torch.isfinite(maps.sum()):
        raise not_finite()
    return maps.detach().float().cpu().numpy()
