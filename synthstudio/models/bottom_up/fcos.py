"""A small detector of people without anchors, after FCOS (Tian et al. 2019).

Every cell of three levels is a *location*: it says whether it lies near the middle of a person, and
how far that person's box reaches to its left, top, right and bottom. Boxes are those inside the
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
"""Which level has a box, by the longest of its four sides in px: the authors' first two limits."""
_NEAR = 1.5
"""A person's locations lie so many of a level's strides from the box's middle, at the most."""


@dataclass(frozen=True, kw_only=True)
class Locations:
    """`xy` (N, 2) px, `stride` (N,) px and `level` (N,) of the locations of a frame."""

    xy: Tensor
    stride: Tensor
    level: Tensor


def locations(sizes: list[tuple[int, int]], strides: list[int], like: Tensor) -> Locations:
    """Those of levels of `sizes` (h, w)."""
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
    """What N locations of a frame should say: `owner` (N,) the number of their person or -1,
    `sides` (N, 4) left, top, right, bottom in px, `taught` (N,): whether there is a person."""

    owner: Tensor
    sides: Tensor
    taught: Tensor


def assign(frame: FramePeople, where: Locations) -> Boxes:
    """Give locations to people: the smallest of the boxes whose middle is near and size fits.

    Somebody without a labelled joint in the frame has none, and their box is not taught; nothing is
    in a frame where somebody's box is not known.
    """
    high, wide = frame.size
    joints = torch.from_numpy(np.asarray(frame.joints_px, np.float32))
    told = is_inside(joints, high, wide).any(1)  # (P,)
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
    mine = inside & fits & near & (told & known)[:, None]
    cost = torch.where(mine, area[:, None], torch.inf)
    owner = torch.cat([cost.new_full((1, len(where.xy)), torch.inf), cost]).argmin(0) - 1
    chosen = torch.cat([sides.new_zeros(1, *sides.shape[1:]), sides])
    sides = chosen[owner + 1, torch.arange(len(owner))]
    hidden = (inside & ~told[:, None]).any(0) | ~known.all()
    return Boxes(owner=owner, sides=sides, taught=~hidden | (owner >= 0))


def centre_ness(sides: Tensor) -> Tensor:
    """(...) 1 in the middle of a box, 0 at its edge, of sides (..., 4)."""
    across, along = sides[..., 0::2], sides[..., 1::2]
    ratios = [s.amin(-1) / s.amax(-1).clamp_min(1e-6) for s in (across, along)]
    return (ratios[0] * ratios[1]).clamp_min(0).sqrt()


def focal_loss(logits: Tensor, truth: Tensor, taught: Tensor) -> Tensor:
    """The focal loss (Lin et al. 2017; alpha 0.25, gamma 2), summed, a person's location each."""
    entropy = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    chance = logits.sigmoid()
    miss = torch.where(truth > 0, 1 - chance, chance)
    weight = torch.where(truth > 0, 0.25, 0.75)
    return (weight * miss**2 * entropy * taught).sum() / truth.sum().clamp_min(1)


def box_loss(predicted: Tensor, truth: Tensor, mine: Tensor) -> Tensor:
    """1 - GIoU (Rezatofighi et al. 2019) of sides (..., 4) that begin in one place."""

    def area(sides: Tensor) -> Tensor:
        return (sides[..., 0] + sides[..., 2]) * (sides[..., 1] + sides[..., 3])

    truth = torch.where(mine[..., None], truth, torch.ones_like(truth))
    shared, hull = area(predicted.minimum(truth)), area(predicted.maximum(truth))
    union = area(predicted) + area(truth) - shared
    return masked_mean(1 - shared / union + (hull - union) / hull, mine)
