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
_FEW = 2
"""Batches up to this size are summed person by person."""
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
        cell = max(1.0, h / ROWS)
        soft = blur(maps, 1.5 * cell, mass=1 - FLOOR) + FLOOR / (h * w)
        factor = self.sharpness if trust is None else self.sharpness * trust[..., None]
        logs = factor * soft.log().flatten(2)  # (B, J, h*w)
        # Beyond the maps' cells one for each joint outside the crop: it has the worst cell's fit,
        # and its mass is dropped.
        lowest = logs.amin(-1, keepdim=True)
        both = logs.flatten(1), lowest.flatten(1)
        own, xyz_m = None, self.xyz_m
        if sample is None:
            held = self._own_cells(h, w)
            total = held.fits(both)
        else:
            poses = self.poses[sample.rows]
            index, own = _moved_cells(poses, sample.move, h, w), _same(poses, sample.own)
            xyz_m = None if xyz_m is None else xyz_m[sample.rows]
            total = _fits(both, index, joints)  # (B, N)
        if own is not None:
            total = total.masked_fill(own, -1e4)
        weights = torch.softmax(total, -1)
        if own is not None:
            weights = weights.masked_fill(own, 0)  # all of them: no evidence
        # Without the joint's own fit each weight is weights / exp(fit), up to a factor for each
        # joint; the fit is that of the pose's cell, so the division can follow the sum over poses.
        cells = joints * h * w
        sums = held.sums(weights) if sample is None else _sums(weights, index, cells + joints)
        placed, outside = torch.split(sums, [cells, joints], 1)
        placed = placed.view(b, joints, h * w) * torch.exp(lowest - logs)
        whole = (placed.sum(-1) + outside).clamp_min(1e-30)[..., None, None]
        second = blur(placed.view(b, joints, h, w), 1.2 * cell) + whole * (1e-6 / cell**2)
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
                cells = self.poses.shape[1] * (h * w + 1)
                self._index = {key: _Cells.of(_cells(x.t(), y.t(), h, w).contiguous(), cells)}
        return self._index[key]


@dataclass(frozen=True, kw_only=True)
class _Cells:
    """The cells of N poses, and the poses ordered by them.

    `index` (1, J * N): the cells. `of_pose` (N, J): the same. `order` (J * N): the poses by cell.
    `begins` (J * h * w + J): offset of each cell. For exported programs the same in tables of the
    `shapes` (size, cells): `poses` (1, ...) of cells that hold more than size / 2, N where one is
    not full; `place` (1, J * h * w + J): that of each cell in all tables, after these if empty.
    """

    index: Tensor
    of_pose: Tensor
    order: Tensor
    begins: Tensor
    poses: Tensor
    shapes: list[tuple[int, int]]
    place: Tensor

    @classmethod
    def of(cls, index: Tensor, cells: int) -> _Cells:
        """Of cells (J, N) below `cells`."""
        count = index.shape[1]
        order = index.flatten().argsort(stable=True) % count
        held = index.flatten().bincount(minlength=cells)
        begins = held.cumsum(0) - held
        tables, filled, size = [], [], 1
        while size < 2 * held.max():
            own = torch.nonzero((held > size // 2) & (held <= size)).flatten()
            row = torch.arange(size, device=index.device)[:, None]
            at = (begins[own] + row).clamp(max=len(order) - 1)
            tables.append(torch.where(row < held[own], order[at], count))
            filled.append(own)
            size *= 2
        known = torch.cat(filled)
        place = index.new_full((1, cells), len(known))
        place[0, known] = torch.arange(len(known), device=index.device)
        return cls(
            index=index.flatten()[None],
            of_pose=index.t().contiguous(),
            order=order,
            begins=begins,
            poses=torch.cat([table.flatten() for table in tables])[None],
            shapes=[(len(table), table.shape[1]) for table in tables],
            place=place,
        )

    def fits(self, logs: tuple[Tensor, Tensor]) -> Tensor:
        """(B, N): of each pose the sum of its cells' logs, in two parts (B, cells)."""
        if torch.compiler.is_exporting() or logs[0].shape[0] <= _FEW:
            return _fits(logs, self.index, self.of_pose.shape[1])
        return F.embedding_bag(self.of_pose, torch.cat([part.t() for part in logs]), mode="sum").t()

    def sums(self, weights: Tensor) -> Tensor:
        """(B, cells): in each cell the sum of its poses' weights (B, N)."""
        many = weights.shape[0]
        if torch.compiler.is_exporting():
            padded = F.pad(weights, (0, 1))
            each = padded.gather(1, self.poses.expand(many, -1))
            parts = torch.split(each, [size * cells for size, cells in self.shapes], 1)
            sums = [_total(p.view(many, *s)) for p, s in zip(parts, self.shapes, strict=True)]
            return torch.cat([*sums, padded[:, -1:]], 1).gather(1, self.place.expand(many, -1))
        if many <= _FEW:
            return _sums(weights, self.index, len(self.begins))
        rows = F.pad(weights.t(), (0, max(0, _MIN_ROW - many))).contiguous()
        return F.embedding_bag(self.order, rows, self.begins, mode="sum")[:, :many].t().contiguous()


def _fits(logs: tuple[Tensor, Tensor], index: Tensor, joints: int) -> Tensor:
    """(B, N): of each pose the sum of the logs (B, cells) of its cells `index` (B or 1, J * N)."""
    joined = torch.cat(logs, 1)
    picked = joined.gather(1, index.expand(joined.shape[0], -1))
    return _total(picked.view(joined.shape[0], joints, -1))


def _total(x: Tensor) -> Tensor:
    """The sum of x (B, K, N) over K as a product of matrices, which is faster."""
    return (x.new_ones(1, x.shape[1]) @ x).squeeze(1)


def _sums(weights: Tensor, index: Tensor, cells: int) -> Tensor:
    """(B, cells): in each cell the sum of the weights (B, N) of its poses."""
    many, count = weights.shape
    each = weights.repeat(1, index.shape[1] // count)
    return weights.new_zeros(many, cells).scatter_add(1, index.expand(many, -1), each)


def _forget_cells(bank: PoseBank, _: object) -> None:
    bank._index.clear()


def _moved_cells(poses: Tensor, move: Tensor, h: int, w: int) -> Tensor:
    """The cells (B, J * n) of poses (n, J, 2) that moved with each crop, `move` (B, 2, 3)."""
    count, joints, _ = poses.shape
    flat = poses.permute(2, 1, 0).reshape(2, joints * count)
    flat = torch.cat([flat, torch.ones_like(flat[:1])])
    x, y = (move * move.new_tensor([w, h])[:, None] @ flat).unbind(1)
    shape = len(move), joints, count
    return _cells(x.view(shape), y.view(shape), h, w).flatten(1)


def _cells(x: Tensor, y: Tensor, h: int, w: int) -> Tensor:
    """The cell of each point (..., J, N), x and y in cells, numbered through the joints; outside
    the crop a joint's own one after all of these."""
    column, row = x.floor(), y.floor()
    inside = (column >= 0) & (column < w) & (row >= 0) & (row < h)
    joints = x.shape[-2]
    joint = torch.arange(joints, device=x.device)[:, None]
    cell = torch.add(column, row, alpha=w).long() + joint * (h * w)
    return torch.where(inside, cell, joint + joints * h * w)


def _same(poses: Tensor, own: Tensor) -> Tensor:
    """(B, n) whether poses (n, J, 2) are within SAME (RMS) of known labels."""
    known = (~own.isnan()).flatten(1).double()
    flat, label = poses.flatten(1).double(), own.nan_to_num().flatten(1).double()
    apart = known @ flat.square().t() - 2 * label @ flat.t() + label.square().sum(1, keepdim=True)
    return (apart <= SAME**2 * known.sum(1, keepdim=True)) & known.any(1, keepdim=True)


def bank_of(net: nn.Module) -> PoseBank | None:
    """The pose bank that a network attends to, if it has one."""
    bank = getattr(getattr(net, "block", None), "bank", None)
    return bank if isinstance(bank, PoseBank) else None


def fuse(maps: Tensor, logs: Tensor, power: Tensor | float = 0.5) -> Tensor:
    """maps * second ** power, each normalised to one; `logs` are those of the second maps."""
    joined = (maps + 2e-7) * torch.exp(power * logs)
    return joined / joined.sum((-2, -1), keepdim=True)
