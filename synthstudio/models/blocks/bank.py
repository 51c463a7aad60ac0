"""A pose bank: where a joint may be, given how well known poses fit the other joints' maps.

Attention over poses instead of pixels: the maps of all joints are the query, poses the keys, and
their joints' positions the values. It needs no training, and is differentiable, so it is also a
layer of ORN.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from synthstudio.core.errors import ModelError
from synthstudio.models.heatmaps import blur

FACTOR = 0.6
"""Factor on each joint's log-map: maps of neighbouring joints are not independent."""
FLOOR = 0.03
"""Share of a uniform map mixed in, so that one misplaced joint rules out no pose."""


@dataclass(frozen=True, kw_only=True)
class Attended:
    """`maps` (B, J, h, w) sum to one each; `weights` (B, N) of the poses, for all joints together;
    `xyz` (B, J, 3): the weighted root-relative 3D joints, or None."""

    maps: Tensor
    weights: Tensor
    xyz: Tensor | None


class PoseBank(nn.Module):
    """Known poses, in units of the crop: x and y from 0 to 1 across it.

    `poses` (N, J, 2); a joint outside the crop takes no part. `xyz_m` (N, J, 3):
    the same poses in 3D, relative to the root, in metres, camera axes.
    """

    poses: Tensor
    xyz_m: Tensor | None

    def __init__(self, poses: Tensor, xyz_m: Tensor | None = None) -> None:
        super().__init__()
        if poses.ndim != 3 or poses.shape[-1] != 2 or not len(poses):
            raise ModelError(
                "no poses",
                where="pose bank",
                expected="(N, J, 2), N > 0",
                got=str(tuple(poses.shape)),
            )
        if xyz_m is not None and xyz_m.shape != (*poses.shape[:2], 3):
            raise ModelError(
                "3D poses do not match the 2D ones",
                where="pose bank",
                expected=f"{(*poses.shape[:2], 3)}",
                got=str(tuple(xyz_m.shape)),
            )
        self.register_buffer("poses", poses.float().contiguous())
        self.register_buffer("xyz_m", None if xyz_m is None else xyz_m.float().contiguous())

    def forward(self, maps: Tensor, trust: Tensor | None = None) -> Attended:
        """Attend to the poses that `maps` (B, J, h, w) support.

        `trust` (B, J): the weight of each joint's evidence, by default 1. A joint's own map does
        not affect its new map, which comes from the others'. Always in float32.
        """
        with torch.autocast(maps.device.type, enabled=False):
            return self._attend(maps.float(), None if trust is None else trust.float())

    def _attend(self, maps: Tensor, trust: Tensor | None) -> Attended:
        b, joints, h, w = maps.shape
        uniform = 1 / (h * w)
        soft = (1 - FLOOR) * blur(maps, 1.5) + FLOOR * uniform
        logs = FACTOR * soft.clamp_min(1e-9).log().flatten(2)  # (B, J, h*w)
        if trust is not None:
            logs = logs * trust[..., None]
        # One more cell for joints outside the crop: it fits as the worst cell does, and its mass is
        # dropped.
        logs = torch.cat([logs, logs.amin(-1, keepdim=True)], -1)
        index = self._cells(h, w).t()[None].expand(b, -1, -1)  # (B, J, N)
        fit = logs.gather(2, index)
        total = fit.sum(1, keepdim=True)  # (B, 1, N)
        others = torch.softmax(total - fit, -1)  # (B, J, N): without the joint itself
        placed = torch.zeros(b, joints, h * w + 1, dtype=maps.dtype, device=maps.device)
        placed = placed.scatter_add(2, index, others)[..., :-1].view(b, joints, h, w)
        second = blur(placed, 1.2) + 1e-6
        second = second / second.sum((-2, -1), keepdim=True)
        weights = torch.softmax(total.squeeze(1), -1)
        xyz = None
        if self.xyz_m is not None:
            xyz = torch.einsum("bn,njc->bjc", weights, self.xyz_m)
        return Attended(maps=second, weights=weights, xyz=xyz)

    def _cells(self, h: int, w: int) -> Tensor:
        """The cell (N, J) of each joint; h * w for one outside the crop."""
        size = self.poses.new_tensor([w, h])
        at = (self.poses * size).floor().long()
        inside = ((self.poses >= 0) & (self.poses < 1)).all(-1)
        column, row = at[..., 0].clamp(0, w - 1), at[..., 1].clamp(0, h - 1)
        return torch.where(inside, row * w + column, h * w)


def fuse(maps: Tensor, second: Tensor, power: Tensor | float = 0.5) -> Tensor:
    """maps * second ** power, each normalised to one."""
    joined = (maps + 2e-7).log() + power * second.clamp_min(1e-9).log()
    return torch.softmax(joined.flatten(2), -1).view_as(maps)
