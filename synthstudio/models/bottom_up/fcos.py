"""A small detector of people without anchors, after FCOS (Tian et al. 2019).

Every cell of three levels is a *location*: it predicts whether a person's centre is near, and
the distances to the left, top, right and bottom of that person's box. Boxes are clipped to the
frame. Letters: contract.py; N locations of all levels, level after level, row by row.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from synthstudio.models.bottom_up.contract import FramePeople, is_inside
from synthstudio.models.heatmaps import cell_centres
from synthstudio.models.losses import masked_mean

REACH = (0.0, 64.0, 128.0, torch.inf)
"""Assignment of boxes to levels by the longest of the four sides in px (the authors')."""
_NEAR = 1.5
"""Maximum distance of a person's locations from the box's centre, in strides."""


@dataclass(frozen=True, kw_only=True)
class Locations:
    """`xy` (N, 2) px, `stride` (N,) px and `level` (N,) of the locations of a frame."""

    xy: Tensor
    stride: Tensor
    level: Tensor


def locations(sizes: list[tuple[int, int]], strides: list[int], like: Tensor) -> Locations:
    """The locations of levels of `sizes` (h, w)."""
    each = [cell_centres(h, w, like) * s for (h, w), s in zip(sizes, strides, strict=True)]
    counts = torch.tensor([len(xy) for xy in each], device=like.device)
    steps = torch.tensor(strides, device=like.device)
    return Locations(
        xy=torch.cat(each),
        stride=steps.to(like.dtype).repeat_interleave(counts),
        level=torch.arange(len(sizes), device=like.device).repeat_interleave(counts),
    )


@dataclass(frozen=True, kw_only=True)
class Boxes:
    """Targets of N locations of a frame: `owner` (N,) the number of their person or -1,
    `sides` (N, 4) left, top, right, bottom in px, `loss_mask` (N,): included in the loss."""

    owner: Tensor
    sides: Tensor
    loss_mask: Tensor


def assign(frame: FramePeople, where: Locations) -> Boxes:
    """Assign locations to the smallest box with a near centre and matching size.

    A person without a labelled joint in the frame has none, and their box is ignored, as is
    a whole frame with an unknown box.
    """
    high, wide = frame.size
    joints = torch.from_numpy(np.asarray(frame.joints_px, np.float32))
    labelled = is_inside(joints, high, wide).any(1)  # (P,)
    boxes = torch.from_numpy(np.asarray(frame.boxes_px, np.float32))
    known = boxes.isfinite().all(1)
    limit = boxes.new_tensor([wide, high])
    low, top = boxes[:, :2].clamp_min(0), (boxes[:, :2] + boxes[:, 2:]).minimum(limit)
    sides = torch.cat([where.xy - low[:, None], top[:, None] - where.xy], -1)  # (P, N, 4)
    inside = (sides > 0).all(-1)
    longest = sides.amax(-1)
    limits = boxes.new_tensor(REACH)
    fits = (longest > limits[where.level]) & (longest <= limits[where.level + 1])
    middle = (low + top)[:, None] / 2
    near = ((where.xy - middle).abs() <= _NEAR * where.stride[:, None]).all(-1)
    area = (top - low).clamp_min(0).prod(-1)
    mine = inside & fits & near & (labelled & known)[:, None]
    cost = torch.where(mine, area[:, None], torch.inf)
    owner = torch.cat([cost.new_full((1, len(where.xy)), torch.inf), cost]).argmin(0) - 1
    chosen = torch.cat([sides.new_zeros(1, *sides.shape[1:]), sides])
    sides = chosen[owner + 1, torch.arange(len(owner))]
    hidden = (inside & ~labelled[:, None]).any(0) | ~known.all()
    return Boxes(owner=owner, sides=sides, loss_mask=~hidden | (owner >= 0))


def centre_ness(sides: Tensor) -> Tensor:
    """Centreness (...): 1 in the centre of a box, 0 at its edge, of sides (..., 4)."""
    across, along = sides[..., 0::2], sides[..., 1::2]
    ratios = [s.amin(-1) / s.amax(-1).clamp_min(1e-6) for s in (across, along)]
    return (ratios[0] * ratios[1]).clamp_min(0).sqrt()


def focal_loss(logits: Tensor, truth: Tensor, loss_mask: Tensor) -> Tensor:
    """The focal loss (Lin et al. 2017; alpha 0.25, gamma 2), summed, a person's location each."""
    entropy = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    chance = logits.sigmoid()
    miss = torch.where(truth > 0, 1 - chance, chance)
    weight = torch.where(truth > 0, 0.25, 0.75)
    return (weight * miss**2 * entropy * loss_mask).sum() / truth.sum().clamp_min(1)


def box_loss(predicted: Tensor, truth: Tensor, mine: Tensor) -> Tensor:
    """1 - GIoU (Rezatofighi et al. 2019) of sides (..., 4) with a common origin."""

    def area(sides: Tensor) -> Tensor:
        return (sides[..., 0] + sides[..., 2]) * (sides[..., 1] + sides[..., 3])

    truth = torch.where(mine[..., None], truth, torch.ones_like(truth))
    shared, hull = area(predicted.minimum(truth)), area(predicted.maximum(truth))
    union = area(predicted) + area(truth) - shared
    return masked_mean(1 - shared / union + (hull - union) / hull, mine)
