"""A lifter: 2D joints and their visibility to 3D joints, by a residual MLP (Martinez et al. 2017).

It sees where the joints lie in the person's box, never the picture. Unlike the paper's, its first
layer has weights of their own for visible, hidden and missing joints, so that the guess at a hidden
joint is not taken for a sighting. Letters: P people, J joints.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from synthstudio.core.errors import ModelError

F64 = NDArray[np.float64]
_SPREAD = 0.2  # about the standard deviation of joints in their box: inputs are about one
_LEAST = 3  # joints that fix where the root is, with one to spare


def _layer(inputs: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Linear(inputs, outputs, bias=False), nn.BatchNorm1d(outputs), nn.ReLU(inplace=True)
    )


def sightings(xy: Tensor, visible: Tensor) -> Tensor:
    """What a lifter sees, (..., 6 J), of joints (..., J, 2) and visibility (..., J).

    x and y times the visibility and times the rest, the visibility, and whether there is a joint:
    all zero where `xy` is NaN.
    """
    given = torch.isfinite(xy).all(-1)
    seen = torch.where(given, visible, 0.0)[..., None]
    xy = torch.where(given[..., None], xy, 0.0) / _SPREAD
    parts = (seen * xy, (1 - seen) * xy, seen, given[..., None].to(xy.dtype))
    return torch.cat(parts, -1).flatten(-2)


class Lifter(nn.Module):
    """2D joints in their box (P, J, 2) and visibility (P, J) to root-relative metres (P, J, 3)."""

    def __init__(self, joints: int, *, width: int = 256, blocks: int = 2) -> None:
        super().__init__()
        self.joints = joints
        self.first = _layer(6 * joints, width)
        self.blocks = nn.ModuleList(
            nn.Sequential(_layer(width, width), _layer(width, width)) for _ in range(blocks)
        )
        self.last = nn.Linear(width, 3 * joints)

    def forward(self, xy: Tensor, visible: Tensor) -> Tensor:
        """`xy` is NaN where nobody says where a joint is; `visible` is 0 to 1."""
        x: Tensor = self.first(sightings(xy, visible))
        for block in self.blocks:
            x = x + block(x)
        out: Tensor = self.last(x).unflatten(1, (self.joints, 3))
        return out


@torch.no_grad()
def lift(net: Lifter, xy: F64, visible: F64) -> F64:
    """(P, J, 3) metres in camera axes, relative to the midpoint of the hips.

    `xy` (P, J, 2) are joints as `in_box` has them, NaN where a joint was not found; `visible`
    (P, J) is the share of each that is seen, or how likely it is visible. ModelError for other
    shapes.
    """
    wanted = (len(xy), net.joints)
    if xy.shape != (*wanted, 2) or visible.shape != wanted:
        raise ModelError(
            "the joints do not fit the lifter",
            where="lift",
            expected=f"xy (P, {net.joints}, 2) and visible (P, {net.joints})",
            got=f"{xy.shape} and {visible.shape}",
        )
    net.eval()
    weight = net.last.weight
    found = net(
        *(torch.from_numpy(np.asarray(a)).to(weight.device, weight.dtype) for a in (xy, visible))
    )
    return np.asarray(found.cpu().numpy(), np.float64)


def in_box(joints_px: F64, boxes_px: F64) -> F64:
    """(P, J, 2) joints about the middle of their boxes (P, 4: x y w h), over the longer side.

    ModelError for a box without extent.
    """
    side = boxes_px[:, 2:].max(1)
    wrong = ~((side > 0) & np.isfinite(boxes_px).all(1))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise ModelError(
            "a person's box has no extent",
            where=f"in_box, person {row}",
            expected="x y w h in pixels",
            got=str(boxes_px[row].tolist()),
        )
    middle = boxes_px[:, :2] + boxes_px[:, 2:] / 2
    return np.asarray((joints_px - middle[:, None]) / side[:, None, None])


def root_translation_m(xyz_m: F64, joints_px: F64, K: F64, *, weight: F64) -> F64:
    """(P, 3) where the root stands in camera metres; the last number is its depth.

    The least squares of projecting root-relative joints (P, J, 3) onto joints in continuous pixels
    (P, J, 2), each counted `weight` (P, J) times, 0 for what is hidden: of u, v every joint says
    (K1 - u K3)(X + t) = 0 and (K2 - v K3)(X + t) = 0, which are linear in t (Hartley and Zisserman
    2004, 4.1). A person who is taken for k times as tall as they are is put k times as far: with a
    known stature scale `xyz_m` first. Pixels are a pinhole's: straighten bent ones
    first. NaN for people with fewer than three joints of any weight.
    """
    use = np.isfinite(xyz_m).all(-1) & np.isfinite(joints_px).all(-1) & (weight > 0)
    rows = K[:2] - np.nan_to_num(joints_px)[..., None] * K[2]  # (P, J, 2, 3)
    rows = rows * np.sqrt(np.where(use, weight, 0.0))[..., None, None]
    wanted = -np.einsum("pjkc,pjc->pjk", rows, np.nan_to_num(xyz_m))
    people = len(xyz_m)
    inverse = np.linalg.pinv(rows.reshape(people, -1, 3))
    out = np.einsum("pck,pk->pc", inverse, wanted.reshape(people, -1))
    return np.asarray(np.where((use.sum(1) >= _LEAST)[:, None], out, np.nan))
