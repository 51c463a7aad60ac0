"""FCPose: convolutions with dynamic filters per person (Mao et al. 2021).

A small detector without anchors, after FCOS (Tian et al. 2019), finds people: every cell of three
levels is a *location* that predicts whether a person's centre is near, and the distances to the
left, top, right and bottom of that person's box, clipped to the frame. At each person a controller
generates the filters of three 1x1 convolutions; applied to shared channels and to coordinates
relative to that person, they give the maps of this person's joints. Letters: models/contract.py; N
locations of all levels, level after level, row by row; M people.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthstudio.core.arrays import F64
from synthstudio.core.masks import nms
from synthstudio.core.skeleton import Skeleton
from synthstudio.models.contract import (
    FoundPeople,
    FrameNet,
    FramePeople,
    System,
    finite,
    is_inside,
)
from synthstudio.models.heatmaps import cell_centres, decode_peak, probabilities
from synthstudio.models.layers import conv, resize
from synthstudio.models.losses import gaussian_cross_entropy, masked_mean

BASES, UPSAMPLED, LEVELS = 32, 4, 3
_MAX_FOUND = 100
REACH = (0.0, 64.0, 128.0, torch.inf)
"""Assignment of boxes to levels by the longest of the four sides in px (the authors')."""
_NEAR = 1.5
"""Maximum distance of a person's locations from the box's centre, in strides."""


def parameter_count(joints: int) -> int:
    """Number of parameters of a person's filters: weights and biases of three 1x1 convolutions,
    (BASES + 2) -> BASES -> BASES -> joints."""
    return (BASES + 2) * BASES + BASES + BASES**2 + BASES + BASES * joints + joints


def person_maps(shared: Tensor, relative: Tensor, filters: Tensor, *, joints: int) -> Tensor:
    """Logits (M, J, h, w) of M people's joints, of `shared` channels (M, BASES, h, w), cells from
    the person `relative` (M, 2, h, w), and `filters` (M, parameter_count)."""
    m, _, h, w = shared.shape
    x = torch.cat([shared, relative], 1).flatten(2)
    at, inputs = 0, BASES + 2
    for outputs in (BASES, BASES, joints):
        weight = filters[:, at : at + inputs * outputs].reshape(m, outputs, inputs)
        bias = filters[:, at + inputs * outputs : at + (inputs + 1) * outputs]
        x = torch.baddbmm(bias[..., None], weight, x if at == 0 else F.relu(x))
        at, inputs = at + (inputs + 1) * outputs, outputs
    return x.reshape(m, joints, h, w)


@dataclass(frozen=True, kw_only=True)
class FCPoseTargets:
    """Of N locations: `owner` (B, N) the number of their person or -1, `sides` (B, N, 4) px of the
    box, `loss_mask` (B, N). `joints_px` (B, P, J, 2): NaN unlabelled, outside, or padding."""

    owner: Tensor
    sides: Tensor
    loss_mask: Tensor
    joints_px: Tensor


@dataclass(frozen=True, kw_only=True)
class FCPoseOutputs:
    """Of N locations: logits `person` and `centre` (B, N), `sides` (B, N, 4) px, and `features`
    (B, N, C) input of the controller. `bases` (B, 32, h, w)."""

    person: Tensor
    centre: Tensor
    sides: Tensor
    features: Tensor
    bases: Tensor


class FCPose(System):
    """A network of frames with sides that are multiples of 32. `features`: `channels` at stride 4.

    The bases have stride 8, the maps of joints are upsampled four times. `sigma`: of their
    targets in cells of 2 px (the paper has single cells, which are no finer than that). A person
    has a score above `minimum`, and boxes an IoU of at most `overlap`. `maximum`: locations per
    batch whose maps are trained. `map_weight`: of their loss; 0: a detector alone.
    """

    sees_frames = True

    def __init__(
        self,
        features: nn.Module,
        skeleton: Skeleton,
        *,
        channels: int,
        sigma: float = 2.0,
        minimum: float = 0.2,
        overlap: float = 0.6,
        maximum: int = 32,
        map_weight: float = 1.0,
    ) -> None:
        super().__init__()
        self.stride, self.sigma, self.joints = 8, sigma, len(skeleton.joints)
        self.minimum, self.overlap, self.maximum = minimum, overlap, maximum
        self.map_weight, self.finds_joints = map_weight, map_weight > 0
        width = 2 * channels
        self.frames = FrameNet(features, multiple=self.stride << (LEVELS - 1))
        self.levels = nn.ModuleList(
            conv(channels if k == 0 else width, width, stride=2) for k in range(LEVELS)
        )
        self.tower = nn.Sequential(conv(width, width), conv(width, width))
        self.said = nn.Conv2d(width, 6, 1)  # person, centre, four sides
        nn.init.constant_(self.said.get_parameter("bias")[:1], -4.0)  # few locations are positive
        self.controller = nn.Linear(width, parameter_count(self.joints))
        self.bases = nn.Sequential(conv(width, width), conv(width, width), conv(width, BASES))

    def forward(self, images: Tensor) -> FCPoseOutputs:
        x = self.frames(images)
        pyramid, towers, outputs = [], [], []
        for k, level in enumerate(self.levels):
            x = level(x)
            pyramid.append(x)
            tower = self.tower(x)
            heads = self.said(tower).flatten(2)
            sides = (heads[:, 2:].clamp_max(6).exp()) * self.stride * 2**k
            outputs.append(torch.cat([heads[:, :2], sides], 1))
            towers.append(tower.flatten(2))
        heads_out = torch.cat(outputs, 2)
        return FCPoseOutputs(
            person=heads_out[:, 0],
            centre=heads_out[:, 1],
            sides=heads_out[:, 2:].movedim(1, 2),
            features=torch.cat(towers, 2).movedim(1, 2),
            bases=self.bases(pyramid[0]),
        )

    def places(self, bases: Tensor) -> Locations:
        """The locations that belong to bases (B, 32, h, w)."""
        (h, w), steps = bases.shape[-2:], [self.stride << k for k in range(LEVELS)]
        each = [cell_centres(h >> k, w >> k, bases) * step for k, step in enumerate(steps)]
        counts = torch.tensor([len(xy) for xy in each], device=bases.device)
        strides = torch.tensor(steps, device=bases.device).to(bases.dtype)
        return Locations(
            xy=torch.cat(each),
            stride=strides.repeat_interleave(counts),
            level=torch.arange(LEVELS, device=bases.device).repeat_interleave(counts),
        )

    def maps(self, outputs: FCPoseOutputs, frame: Tensor, location: Tensor) -> Tensor:
        """Logits (M, J, 4 h, 4 w) of the joints of people found in frames (M,), locations (M,)."""
        h, w = outputs.bases.shape[-2:]
        where = self.places(outputs.bases)
        filters = self.controller(outputs.features[frame, location])
        cells = cell_centres(h, w, where.xy) * self.stride
        away = (cells - where.xy[location][:, None]) / (8 * where.stride[location][:, None, None])
        logits = person_maps(
            outputs.bases[frame],
            away.movedim(-1, 1).reshape(-1, 2, h, w),
            filters,
            joints=self.joints,
        )
        return resize(logits, (UPSAMPLED * h, UPSAMPLED * w))

    def targets(self, people: Sequence[FramePeople]) -> FCPoseTargets:
        h, w = (side // self.stride for side in people[0].size)
        where = self.places(torch.empty(1, 1, h, w))
        each = zip(*(assign(frame, where) for frame in people), strict=True)
        owner, sides, loss_mask = map(torch.stack, each)
        maximum = max(1, *(len(frame.joints_px) for frame in people))  # 1 for empty frames
        joints = torch.full((len(people), maximum, self.joints, 2), torch.nan)
        for row, frame in zip(joints, people, strict=True):
            xy = torch.from_numpy(np.asarray(frame.joints_px, np.float32))
            row[: len(xy)] = torch.where(is_inside(xy, *frame.size)[..., None], xy, torch.nan)
        return FCPoseTargets(owner=owner, sides=sides, loss_mask=loss_mask, joints_px=joints)

    def losses(self, outputs: FCPoseOutputs, targets: FCPoseTargets) -> dict[str, Tensor]:
        """Terms of the detector, and `map_weight` times the cross-entropy of maps, unless 0."""
        mine = targets.owner >= 0
        centre = centre_ness(targets.sides)
        entropy = F.binary_cross_entropy_with_logits(outputs.centre, centre, reduction="none")
        terms = {
            "person": focal_loss(outputs.person, mine.to(outputs.person.dtype), targets.loss_mask),
            "box": box_loss(outputs.sides, targets.sides, mine),
            "centre": masked_mean(entropy, mine),
        }
        if self.map_weight:
            frame, location = best_locations(targets.owner, centre, maximum=self.maximum)
            terms["map"] = self.map_weight * joint_loss(
                self.maps(outputs, frame, location),
                targets.joints_px[frame, targets.owner[frame, location]],
                stride=self.stride / UPSAMPLED,
                sigma=self.sigma,
            )
        return terms

    def detections(self, outputs: FCPoseOutputs) -> tuple[Tensor, Tensor]:
        """Scores (B, N) and boxes (B, N, 4: x0 y0 x1 y1) px of all locations."""
        xy = self.places(outputs.bases).xy
        score = (outputs.person.sigmoid() * outputs.centre.sigmoid()).sqrt()
        corners = torch.cat([xy - outputs.sides[..., :2], xy + outputs.sides[..., 2:]], -1)
        return score, corners

    def decode(self, outputs: FCPoseOutputs) -> list[FoundPeople]:
        score, corners = self.detections(outputs)
        scores, boxes = finite(score).astype(np.float64), finite(corners).astype(np.float64)
        found = []
        for b, (chance, box) in enumerate(zip(scores, boxes, strict=True)):
            likely = np.flatnonzero(chance > self.minimum)
            best = likely[nms(box[likely], chance[likely], overlap=self.overlap)][:_MAX_FOUND]
            location = torch.from_numpy(best).to(score.device)
            maps = self.maps(outputs, torch.full_like(location, b), location)
            joints, sharp = decode_joints(maps, stride=self.stride / UPSAMPLED, sigma=self.sigma)
            found.append(FoundPeople(joints_px=joints, scores=sharp, score=chance[best]))
        return found


def best_locations(owner: Tensor, centre: Tensor, *, maximum: int) -> tuple[Tensor, Tensor]:
    """Frames and locations (M,) of `owner` (B, N) with the highest `centre` (B, N), at most
    `maximum`: first each person's best, then each one's second."""
    frame, location = torch.nonzero(owner >= 0, as_tuple=True)
    order = centre[frame, location].argsort(descending=True, stable=True)
    frame, location = frame[order], location[order]
    person = torch.stack([frame, owner[frame, location]], 1)
    same = (person[:, None] == person).all(-1)
    chosen = same.tril(-1).sum(1).argsort(stable=True)[:maximum]
    return frame[chosen], location[chosen]


def joint_loss(logits: Tensor, joints_px: Tensor, *, stride: float, sigma: float) -> Tensor:
    """Cross-entropy, over the cells, of maps (M, J, h, w) with known joints (M, J, 2)."""
    each = gaussian_cross_entropy(logits, joints_px.nan_to_num() / stride, sigma=sigma)
    return masked_mean(each, ~joints_px.isnan().any(-1))


def decode_joints(logits: Tensor, *, stride: float, sigma: float) -> tuple[F64, F64]:
    """Positions (M, J, 2) px and scores (M, J): peak height, 1 for a target's."""
    found = decode_peak(probabilities(logits.detach().float()), sigma=sigma)
    sharp = (found.score * 2 * np.pi * sigma**2).clamp(0, 1)
    return finite(found.xy).astype(np.float64) * stride, finite(sharp).astype(np.float64)


@dataclass(frozen=True, kw_only=True)
class Locations:
    """`xy` (N, 2) px, `stride` (N,) px and `level` (N,) of the locations of a frame."""

    xy: Tensor
    stride: Tensor
    level: Tensor


def assign(frame: FramePeople, where: Locations) -> tuple[Tensor, Tensor, Tensor]:
    """Assign N locations to the smallest box with a near centre and matching size.

    `owner` (N,), `sides` (N, 4: left, top, right, bottom) and `loss_mask` (N,) of FCPoseTargets. A
    person without a labelled joint in the frame has none, and their box is ignored, as is
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
    return owner, sides, ~hidden | (owner >= 0)


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
