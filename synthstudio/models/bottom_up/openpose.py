"""OpenPose: confidence maps of joints and part affinity fields of limbs (Cao et al. 2017, 2019).

The stages of the 2019 paper: fields first, each stage fed with the one before, then maps, fed with
the last fields. grouping.py forms people from both. Letters: contract.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from synthstudio.core.skeleton import Skeleton
from synthstudio.models.bottom_up import contract
from synthstudio.models.bottom_up.grouping import Grouping, group_people
from synthstudio.models.contract import System
from synthstudio.models.heatmaps import cell_centres
from synthstudio.models.layers import conv
from synthstudio.models.losses import masked_mean

SIGMA = 0.875
"""Of a joint's Gaussian in cells: the paper's 7 px of a frame 368 px high."""


@dataclass(frozen=True, kw_only=True)
class OpenPoseTargets:
    """`maps` (B, J + 1, h, w), the last is the background; `fields` (B, L, 2, h, w), x y.

    `maps_mask` (B, J + 1, h, w) and `fields_mask` (B, L, h, w): where the loss counts.
    """

    maps: Tensor
    fields: Tensor
    maps_mask: Tensor
    fields_mask: Tensor


@dataclass(frozen=True, kw_only=True)
class OpenPoseOutputs:
    """Per stage, the last is best: `fields` (B, L, 2, h, w) and `maps` (B, J + 1, h, w)."""

    fields: tuple[Tensor, ...]
    maps: tuple[Tensor, ...]


def confidence_maps(xy: Tensor, h: int, w: int, *, sigma: float) -> Tensor:
    """Maps (J + 1, h, w) of joints (P, J, 2) in cells, and of the background: the maximum of
    people's Gaussians, so close peaks stay separate; none of joints outside the frame."""
    apart = xy[:, :, None] - cell_centres(h, w, xy)  # (P, J, h*w, 2)
    hills = torch.exp(-(apart**2).sum(-1) / (2 * sigma**2))
    hills = torch.where(contract.is_inside(xy, h, w)[..., None], hills, 0.0)
    joints = torch.cat([hills.new_zeros(1, *hills.shape[1:]), hills]).amax(0)
    return torch.cat([joints, 1 - joints.amax(0, keepdim=True)]).view(-1, h, w)


def affinity_fields(xy: Tensor, limbs: Tensor, h: int, w: int, *, width: float) -> Tensor:
    """Fields (L, 2, h, w) of `limbs` (L, 2) between joints (P, J, 2) in cells.

    The limb's unit vector in the cells whose centres lie at most `width` cells from it, the mean
    where people's limbs overlap, else 0. Cells beyond the ends count too (as in the
    authors' code), so that limbs shorter than a cell are covered. Ends may be outside the frame.
    """
    begin, end = xy[:, limbs[:, 0]], xy[:, limbs[:, 1]]  # (P, L, 2)
    length = (end - begin).norm(dim=-1, keepdim=True)
    unit = (end - begin) / length.clamp_min(1e-6)
    from_begin = cell_centres(h, w, xy) - begin[:, :, None]  # (P, L, h*w, 2)
    along = (from_begin * unit[:, :, None]).sum(-1).clamp_min(0).minimum(length)
    away = (from_begin - along[..., None] * unit[:, :, None]).norm(dim=-1)
    on = (away <= width) & (length > 1e-6)  # (P, L, h*w)
    total = torch.einsum("pln,plc->lcn", on.to(xy.dtype), unit.nan_to_num())
    mean: Tensor = total / on.sum(0).clamp_min(1)[:, None]
    return mean.view(-1, 2, h, w)


def openpose_targets(
    people: Sequence[contract.FramePeople],
    limbs: Tensor,
    *,
    stride: int,
    sigma: float,
    width: float,
) -> OpenPoseTargets:
    """The ideal outputs for the frames; `sigma` and `width` in cells."""
    h, w = (side // stride for side in people[0].size)
    maps, fields, maps_mask, fields_mask = [], [], [], []
    for frame in people:
        xy = contract.joints_in_cells(frame, stride)
        known = ~xy.isnan().any(-1)
        maps.append(confidence_maps(xy, h, w, sigma=sigma))
        fields.append(affinity_fields(xy, limbs, h, w, width=width))
        every = known.all(1, keepdim=True)  # the background needs all joints known
        maps_mask.append(contract.loss_mask(frame, torch.cat([known, every], 1), stride))
        fields_mask.append(contract.loss_mask(frame, known[:, limbs].all(-1), stride))
    return OpenPoseTargets(
        maps=torch.stack(maps),
        fields=torch.stack(fields),
        maps_mask=torch.stack(maps_mask),
        fields_mask=torch.stack(fields_mask),
    )


class OpenPose(System):
    """A network of frames. `features`: `channels` at stride 4; `stages`: of fields and of maps."""

    sees_frames = True
    limbs: Tensor

    def __init__(
        self,
        features: nn.Module,
        skeleton: Skeleton,
        *,
        channels: int,
        stride: int = 8,
        stages: tuple[int, int] = (2, 1),
    ) -> None:
        super().__init__()
        self.stride = stride
        self.grouping = Grouping(limbs=skeleton.edges, sigma=SIGMA)
        self.register_buffer("limbs", torch.tensor(skeleton.edges), persistent=False)
        width, limbs = 2 * channels, len(skeleton.edges)
        joints = len(skeleton.joints)
        self.frames = contract.FrameNet(features, multiple=stride)
        self.entry = conv(channels, width, stride=stride // contract.STRIDE)
        extra = [0] + [2 * limbs] * (stages[0] - 1)
        self.field_stages = nn.ModuleList(_stage(width + more, 2 * limbs, width) for more in extra)
        extra = [0] + [joints + 1] * (stages[1] - 1)
        self.map_stages = nn.ModuleList(
            _stage(width + 2 * limbs + more, joints + 1, width) for more in extra
        )

    def forward(self, images: Tensor) -> OpenPoseOutputs:
        features = self.entry(self.frames(images))
        fields: list[Tensor] = []
        for stage in self.field_stages:
            fields.append(stage(torch.cat([features, *fields[-1:]], 1)))
        maps: list[Tensor] = []
        for stage in self.map_stages:
            maps.append(stage(torch.cat([features, fields[-1], *maps[-1:]], 1)))
        return OpenPoseOutputs(
            fields=tuple(f.view(len(f), -1, 2, *f.shape[2:]) for f in fields), maps=tuple(maps)
        )

    def targets(self, people: Sequence[contract.FramePeople]) -> OpenPoseTargets:
        return openpose_targets(
            people, self.limbs.cpu(), stride=self.stride, sigma=SIGMA, width=1.0
        )

    def losses(self, outputs: OpenPoseOutputs, targets: OpenPoseTargets) -> dict[str, Tensor]:
        """Squared errors of all stages, inside the training masks."""
        where = targets.fields_mask[:, :, None].expand_as(targets.fields)
        fields = [masked_mean((f - targets.fields) ** 2, where) for f in outputs.fields]
        maps = [masked_mean((m - targets.maps) ** 2, targets.maps_mask) for m in outputs.maps]
        return {"fields": torch.stack(fields).sum(), "maps": torch.stack(maps).sum()}

    def decode(self, outputs: OpenPoseOutputs) -> list[contract.FoundPeople]:
        return group_people(outputs.maps[-1], outputs.fields[-1], self.grouping, stride=self.stride)


def _stage(inputs: int, outputs: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        conv(inputs, width), conv(width, width), conv(width, width), nn.Conv2d(width, outputs, 1)
    )
