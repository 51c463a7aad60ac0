"""What every block returns, so that blocks, losses and evaluation fit together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from synthstudio.core.errors import ModelError
from synthstudio.models.heatmaps import (
    Decoded,
    decode_peak,
    expected_hits,
    mirrored_maps,
    probabilities,
)

VISIBLE, SELF, PERSON, OBJECT = range(4)
"""The order of `shares`: core.labels.SHARES without `truncated`, which `presence` answers."""


@dataclass(frozen=True, kw_only=True)
class PoseMaps:
    """What a block says of B crops of one person each. Letters: J joints, h, w cells, S stages.

    `logits`: S tensors (B, J, h, w), softmax over the cells, that are learnt from; the last one
    is the answer unless there is an `answer` (B, J, h, w): maps that sum to one.
    Logits too: `presence` (B, J) the joint lies in the picture; `shares` (B, J, 4) of the joint's
    surface: visible, hidden by self, person, object; `quality` (B, J) the OKS to expect;
    `occluder` (B, 1, h, w) a cell is covered by something in front of the person.
    `xyz_m` (B, J, 3): root-relative, camera axes. `attention`: what the block attended to, by
    name ("pixels" (B, J, h, w), "joints" (B, J, J), "poses" (B, N)). None: it does not say.
    """

    logits: tuple[Tensor, ...]
    answer: Tensor | None = None
    presence: Tensor | None = None
    shares: Tensor | None = None
    quality: Tensor | None = None
    occluder: Tensor | None = None
    xyz_m: Tensor | None = None
    attention: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def maps(self) -> Tensor:
        """Return (B, J, h, w) the answer as maps that sum to one."""
        return probabilities(self.logits[-1]) if self.answer is None else self.answer


class PoseNet(nn.Module):
    """A backbone and a block. `features` maps images (B, 3, H, W) to (B, C, h', w')."""

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        features: nn.Module,
        block: nn.Module,
        *,
        mean: tuple[float, float, float] = (0.485, 0.456, 0.406),
        std: tuple[float, float, float] = (0.229, 0.224, 0.225),
    ) -> None:
        """Join them. `mean` and `std`: of sRGB from 0 to 1, as the backbone was trained with."""
        super().__init__()
        self.features, self.block = features, block
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> PoseMaps:
        """Return what the block says of images (B, 3, H, W): uint8, or floats from 0 to 1."""
        if images.ndim != 4 or images.shape[1] != 3:
            raise ModelError(
                "these are no images",
                where="PoseNet",
                expected="(B, 3, H, W)",
                got=str(tuple(images.shape)),
            )
        levels = images.to(self.mean.dtype) / 255 if images.dtype == torch.uint8 else images
        answer: PoseMaps = self.block(self.features((levels - self.mean) / self.std))
        return answer


def joints_of(
    net: nn.Module, images: Tensor, *, flip: Tensor | None = None, hits: bool = True
) -> tuple[Decoded, PoseMaps]:
    """Return the joints of images in cells, and what the block said of the unflipped ones.

    `flip` (J,): also look at the mirrored images, and average the maps (the flip test). `hits`:
    decode by expected hits, else by the highest peak.
    """
    maps, said = maps_of(net, images, flip=flip)
    return (expected_hits(maps) if hits else decode_peak(maps)), said


def maps_of(
    net: nn.Module, images: Tensor, *, flip: Tensor | None = None
) -> tuple[Tensor, PoseMaps]:
    """Return the maps that joints are read from, and what the block said; `flip` as above."""
    said: PoseMaps = net(images)
    maps = said.maps
    if flip is not None:
        maps = (maps + mirrored_maps(net(images.flip(-1)).maps, flip)) / 2
    return maps, said
