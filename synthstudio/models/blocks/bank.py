"""A pose bank: a prior of a joint's position from stored poses that fit the other joints' maps.

Attention over poses instead of pixels: the maps of all joints are the query, poses the keys, and
their joints' positions the values. It needs no training, and is differentiable, so it is also a
layer of ORN.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthstudio.core.errors import ModelError
from synthstudio.models.heatmaps import blur

OUTSIDE = -9.0
"""A coordinate outside every augmented crop, for ignored joints."""
SHARPNESS = 0.6
"""Factor on each joint's log-map: maps of neighbouring joints are not independent."""
SAME = 0.01
"""Maximum RMS distance of equal poses, relative to the crop."""
FLOOR = 0.03
"""Weight of a uniform map mixed in, so that one misplaced joint does not exclude a pose."""
ROWS = 24
"""Rows of maps at which blur is defined; larger maps are blurred by the same part of the crop, so
distances of poses do not depend on resolution."""
GROUP = 16
"""Poses of a cell summed at once: scatter-adds are the most expensive step."""
_MIN_ROW = 8
"""PyTorch sums shorter rows sequentially."""


@dataclass(frozen=True, kw_only=True)
class Attended:
    """`maps` (B, J, h, w) sum to one each; `weights` (B, N) of the poses, for all joints together;
    `xyz` (B, J, 3): the weighted root-relative 3D joints, or None."""

    maps: Tensor
    weights: Tensor
    xyz: Tensor | None


@dataclass(frozen=True, kw_only=True)
class BankSample:
    """The part of a bank for a training step, as useful as in inference.

    `rows` (n,): the sampled poses, which are augmented like each person:
    `move` (B, 2, 3) in units of the crop, `turn` (B, 2, 2) its rotation in pixels, for 3D. `own`
    (B, J, 2): the labels before augmentation, NaN unknown; a pose that agrees with
    them is excluded, so that training does not find its own pose in the bank.
    """

    rows: Tensor
    move: Tensor
    turn: Tensor
    own: Tensor


class PoseBank(nn.Module):
    """Known poses, in units of the crop: x and y from 0 to 1 across it.

    `poses` (N, J, 2); joints outside the crop are ignored. `xyz_m` (N, J, 3):
    the same poses in 3D, relative to the root, in metres, camera axes. `sharpness`: weight of
    the maps' evidence against the prior of poses; above 0.
    """

    poses: Tensor
    xyz_m: Tensor | None

    def __init__(
        self, poses: Tensor, xyz_m: Tensor | None = None, *, sharpness: float = SHARPNESS
    ) -> None:
        super().__init__()
        self.sharpness = sharpness
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
        self._index: dict[tuple[int, int, torch.device], _Cells] = {}
        self.register_load_state_dict_post_hook(_forget_cells)  # type: ignore[no-untyped-call]

    def forward(
        self, maps: Tensor, trust: Tensor | None = None, sample: BankSample | None = None
    ) -> Attended:
        """Attend to the poses that `maps` (B, J, h, w) support; to those of `sample` only.

        `trust` (B, J): the weight of each joint's evidence, by default 1. A joint's own map does
        not affect its new map, which comes from the others'. Always in float32.
        """
        with torch.autocast(maps.device.type, enabled=False):
            return self._attend(maps.float(), None if trust is None else trust.float(), sample)

    def _attend(self, maps: Tensor, trust: Tensor | None, sample: BankSample | None) -> Attended:
        b, joints, h, w = maps.shape
        cells = max(1.0, h / ROWS)
        soft = (1 - FLOOR) * blur(maps, 1.5 * cells) + FLOOR / (h * w)
        logs = self.sharpness * soft.clamp_min(1e-9).log().flatten(2)  # (B, J, h*w)
        if trust is not None:
            logs = logs * trust[..., None]
        # One more cell for joints outside the crop: it has the worst cell's fit, and its mass is
        # dropped.
        logs = torch.cat([logs, logs.amin(-1, keepdim=True)], -1)
        own, xyz_m = None, self.xyz_m
        if sample is None:
            held = self._own_cells(h, w)
            total = held.fits(logs)
        else:
            poses = self.poses[sample.rows]
            index, own = _moved_cells(poses, sample.move, h, w), _same(poses, sample.own)
            xyz_m = None if xyz_m is None else xyz_m[sample.rows]
            total = logs.gather(2, index).sum(1)  # (B, N)
        if own is not None:
            total = total.masked_fill(own, -1e4)
        weights = torch.softmax(total, -1)
        if own is not None:
            weights = weights.masked_fill(own, 0)  # all of them: no evidence
        # Without the joint's own fit each weight is weights / exp(fit), up to a factor for each
        # joint; the fit is that of the pose's cell, so the division can follow the sum over poses.
        if sample is None:
            placed = held.sums(weights)
        else:
            placed = maps.new_zeros(b, joints, h * w + 1)
            placed = placed.scatter_add(2, index, weights[:, None].expand(-1, joints, -1))
        placed = placed * torch.exp(logs.amin(-1, keepdim=True) - logs)
        placed = placed / placed.sum(-1, keepdim=True).clamp_min(1e-30)
        second = blur(placed[..., :-1].view(b, joints, h, w), 1.2 * cells) + 1e-6 / cells**2
        second = second / second.sum((-2, -1), keepdim=True)
        xyz = None
        if xyz_m is not None:
            xyz = (weights @ xyz_m.flatten(1)).view(b, joints, 3)
            if sample is not None:
                flat = torch.einsum("bik,bjk->bji", sample.turn, xyz[..., :2])
                xyz = torch.cat([flat, xyz[..., 2:]], -1)
        return Attended(maps=second, weights=weights, xyz=xyz)

    def _own_cells(self, h: int, w: int) -> _Cells:
        key = (h, w, self.poses.device)
        if key not in self._index:
            with torch.inference_mode(False), torch.no_grad():  # kept: must allow gradients
                x, y = (self.poses * self.poses.new_tensor([w, h])).unbind(-1)
                self._index = {key: _Cells.of(_cells(x, y, h, w).t().contiguous(), h * w)}
        return self._index[key]


@dataclass(frozen=True, kw_only=True)
class _Cells:
    """The cells `index` (1, J, N) of N poses, and the poses ordered by them.

    `of_pose` (N, J): the same, numbered through all joints' cells. `order` (J * N): each joint's
    poses by cell. `begins` (J * cells): offset of each cell. For exported programs the same
    in groups: `poses` (1, J * G * GROUP) are for each joint G groups of poses in one cell, N where
    a group is not full; `cell` (1, J, G) that of each group, where there is none the last.
    """

    index: Tensor
    of_pose: Tensor
    order: Tensor
    begins: Tensor
    poses: Tensor
    cell: Tensor

    @classmethod
    def of(cls, index: Tensor, last: int) -> _Cells:
        """Of cells (J, N) from 0 to `last`."""
        joints, count = index.shape
        cells, order = index.sort(stable=True)
        of_joint = torch.arange(joints, device=index.device)[:, None]
        held = torch.zeros(joints, last + 1, dtype=torch.long, device=index.device)
        held = held.scatter_add(1, index, torch.ones_like(index))
        groups = (held + GROUP - 1) // GROUP
        in_cell = torch.arange(count, device=index.device) - (held.cumsum(1) - held).gather(
            1, cells
        )
        group = (groups.cumsum(1) - groups).gather(1, cells) + in_cell // GROUP
        maximum = int(groups.sum(1).max())
        poses = index.new_full((joints, maximum, GROUP), count)
        poses[of_joint, group, in_cell % GROUP] = order
        cell = index.new_full((joints, maximum), last)
        cell[of_joint, group] = cells
        return cls(
            index=index[None],
            of_pose=(index + of_joint * (last + 1)).t().contiguous(),
            order=order.flatten(),
            begins=held.flatten().cumsum(0) - held.flatten(),
            poses=poses.view(1, -1),
            cell=cell[None],
        )

    def fits(self, logs: Tensor) -> Tensor:
        """(B, N): of each pose the sum of its cells' logs (B, J, cells)."""
        many = logs.shape[0]
        if torch.compiler.is_exporting() or many < _MIN_ROW:
            return logs.gather(2, self.index.expand(many, -1, -1)).sum(1)
        return F.embedding_bag(self.of_pose, logs.flatten(1).t().contiguous(), mode="sum").t()

    def sums(self, weights: Tensor) -> Tensor:
        """(B, J, cells): in each cell the sum of its poses' weights (B, N)."""
        many, joints = weights.shape[0], self.cell.shape[1]
        if not torch.compiler.is_exporting():
            rows = F.pad(weights.t(), (0, max(0, _MIN_ROW - many))).contiguous()
            sums = F.embedding_bag(self.order, rows, self.begins, mode="sum")
            return sums[:, :many].t().reshape(many, joints, -1)
        padded = torch.cat([weights, weights.new_zeros(many, 1)], 1)
        each = padded.gather(1, self.poses.expand(many, -1)).view(many, joints, -1, GROUP)
        placed = weights.new_zeros(many, joints, len(self.begins) // joints)
        return placed.scatter_add(2, self.cell.expand(many, -1, -1), each.sum(-1))


def _forget_cells(bank: PoseBank, _: object) -> None:
    bank._index.clear()


def _moved_cells(poses: Tensor, move: Tensor, h: int, w: int) -> Tensor:
    """The cells (B, J, n) of poses (n, J, 2) that moved with each crop, `move` (B, 2, 3)."""
    count, joints, _ = poses.shape
    flat = poses.permute(2, 1, 0).reshape(2, joints * count)
    flat = torch.cat([flat, torch.ones_like(flat[:1])])
    x, y = (move * move.new_tensor([w, h])[:, None] @ flat).unbind(1)
    return _cells(x, y, h, w).view(len(move), joints, count)


def _cells(x: Tensor, y: Tensor, h: int, w: int) -> Tensor:
    """The cell of each point, x and y in cells; h * w for one outside the crop."""
    column, row = x.floor(), y.floor()
    inside = (column >= 0) & (column < w) & (row >= 0) & (row < h)
    return torch.where(inside, torch.add(column, row, alpha=w), h * w).long()


def _same(poses: Tensor, own: Tensor) -> Tensor:
    """(B, n) whether poses (n, J, 2) are within SAME (RMS) of known labels."""
    known = (~own.isnan()).flatten(1).double()
    flat, label = poses.flatten(1).double(), own.nan_to_num().flatten(1).double()
    apart = known @ flat.square().t() - 2 * label @ flat.t() + label.square().sum(1, keepdim=True)
    return (apart <= SAME**2 * known.sum(1, keepdim=True)) & known.any(1, keepdim=True)


def fuse(maps: Tensor, logs: Tensor, power: Tensor | float = 0.5) -> Tensor:
    """maps * second ** power, each normalised to one; `logs` are those of the second maps."""
    joined = (maps + 2e-7).log() + power * logs
    return torch.softmax(joined.flatten(2), -1).view_as(maps)
