"""OpenPose: confidence maps of joints and part affinity fields of limbs (Cao et al. 2017, 2019).

The stages of the 2019 paper: fields first, each stage fed with the one before, then maps, fed with
the last fields. People are grouped from both in NumPy, frame by frame. Letters: models/contract.py.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from synthstudio.core.arrays import F64, I64
from synthstudio.core.skeleton import Skeleton
from synthstudio.models import contract
from synthstudio.models.contract import FoundPeople, System, finite
from synthstudio.models.heatmaps import cell_centres, find_peaks
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

    def decode(self, outputs: OpenPoseOutputs) -> list[FoundPeople]:
        return group_people(outputs.maps[-1], outputs.fields[-1], self.grouping, stride=self.stride)


def _stage(inputs: int, outputs: int, width: int) -> nn.Sequential:
    return nn.Sequential(
        conv(inputs, width), conv(width, width), conv(width, width), nn.Conv2d(width, outputs, 1)
    )


@dataclass(frozen=True, kw_only=True)
class Grouping:
    """Thresholds of peaks, limbs and people; defaults are the authors'.

    `limbs` (L pairs of joints). `sigma`: of the maps' Gaussians, in cells. A limb needs affinity
    above `affinity` in a share `agree` of `samples` along it; a person `joints` of them and a mean
    score above `score`. `maximum`: peaks of a joint in a frame.
    Among limbs of equal affinity shorter ones are preferred: one as long as the frame's
    diagonal loses `length`. (Shoulders of people in a row are collinear.)
    """

    limbs: tuple[tuple[int, int], ...]
    sigma: float
    peak: float = 0.1
    affinity: float = 0.05
    agree: float = 0.8
    samples: int = 10
    joints: int = 3
    score: float = 0.2
    maximum: int = 64
    length: float = 0.1


def group_people(
    maps: Tensor, fields: Tensor, grouping: Grouping, *, stride: int
) -> list[FoundPeople]:
    """The people of each frame; maps (B, J + 1, h, w), fields (B, L, 2, h, w)."""
    joints, whole = torch.from_numpy(finite(maps[:, :-1])), finite(fields)
    count, minimum = grouping.maximum, grouping.peak
    peaks = find_peaks(joints, count=count, minimum=minimum, sigma=grouping.sigma)
    places, scores = peaks.xy.numpy(), peaks.score.numpy()
    found = []
    for xy, score, field in zip(places, scores, whole, strict=True):
        sides, agreed = find_limbs(xy, score, field, grouping)
        found.append(_people(xy, score, sides, agreed, grouping, stride))
    return found


def find_limbs(xy: F64, score: F64, fields: F64, grouping: Grouping) -> tuple[I64, F64]:
    """The limbs between peaks `xy` (J, K, 2) of `score` (J, K), 0 where there is none: of each the
    pairs of highest mean affinity, greedily, a peak once; best first, the peaks at both ends (C, 2)
    as joint * K + place among the joint's, and the affinities (C,)."""
    ends, width = np.array(grouping.limbs), xy.shape[1]
    pair = (score[ends[:, 0]] > 0)[:, :, None] & (score[ends[:, 1]] > 0)[:, None]
    limb, begin, end = np.nonzero(pair)  # all pairs of all limbs at once
    a, b = xy[ends[limb, 0], begin], xy[ends[limb, 1], end]
    at = np.linspace(0, 1, grouping.samples)
    minimum = int(np.ceil(grouping.agree * grouping.samples - 1e-9))
    few = at[1 : 2 + grouping.samples - minimum]  # if all of these disagree, too many do
    hopeful = np.flatnonzero((_affinity(fields, limb, a, b, few) > grouping.affinity).any(1))
    limb, begin, end = limb[hopeful], begin[hopeful], end[hopeful]
    a, b = a[hopeful], b[hopeful]
    along = _affinity(fields, limb, a, b, at)
    kept = (along > grouping.affinity).sum(1) >= minimum
    limb, begin, end, mean = limb[kept], begin[kept], end[kept], along[kept].mean(1)
    reach = np.sqrt(((b - a)[kept] ** 2).sum(1)) / np.hypot(*fields.shape[-2:])
    order = np.argsort(grouping.length * reach - mean, kind="stable")
    begins = (limb * 2 * width + begin)[order].tolist()
    ends_taken = (limb * 2 * width + width + end)[order].tolist()
    taken: set[int] = set()
    best = []
    for c, first, second in zip(order.tolist(), begins, ends_taken, strict=True):
        if first not in taken and second not in taken:
            taken |= {first, second}
            best.append(c)
    return (ends[limb] * width + np.stack([begin, end], 1))[best], mean[best]


def _affinity(fields: F64, limb: I64, a: F64, b: F64, at: F64) -> F64:
    """(C, S) affinity of the fields from a to b (C, 2) in the cells at fractions `at` (S,)."""
    _, _, h, w = fields.shape
    along = b - a
    unit = along / np.maximum(np.sqrt((along**2).sum(1, keepdims=True)), 1e-6)
    column = (a[:, :1] + at * along[:, :1]).astype(np.int64).clip(0, w - 1)
    row = (a[:, 1:] + at * along[:, 1:]).astype(np.int64).clip(0, h - 1)
    cell = (2 * limb[:, None] * h + row) * w + column
    flat = fields.reshape(-1)
    return np.asarray(unit[:, :1] * flat[cell] + unit[:, 1:] * flat[cell + h * w])


def _people(
    xy: F64, score: F64, sides: I64, agreed: F64, grouping: Grouping, stride: int
) -> FoundPeople:
    """Limbs merged into people at common peaks, best first; one that would give a person two peaks
    of a joint is dropped."""
    width = xy.shape[1]
    owner = {peak: peak for peak in np.unique(sides).tolist()}  # initially each peak is a person
    people = {peak: [peak] for peak in owner}
    joints = {peak: 1 << peak // width for peak in owner}  # bit mask of a person's joints
    affinities: dict[int, list[float]] = {peak: [] for peak in owner}
    for begin, end, value in zip(*sides.T.tolist(), agreed.tolist(), strict=True):
        into, other = owner[begin], owner[end]
        if into != other:
            if joints[into] & joints[other]:
                continue
            for peak in people[other]:
                owner[peak] = into
            people[into] += people.pop(other)
            joints[into] |= joints[other]
            affinities[into] += affinities.pop(other)
        affinities[into].append(value)
    return collect_people(xy, score, people.values(), affinities.values(), grouping, stride)


def collect_people(
    xy: F64,
    score: F64,
    people: Collection[list[int]],
    limbs: Collection[list[float]],
    grouping: Grouping,
    stride: int,
) -> FoundPeople:
    """People of enough joints, and of a score above the minimum: the mean over peaks and limbs.

    A person is the numbers of peaks: joint * K + place among the K of `xy` (J, K, 2), `score`
    (J, K). `limbs`: the scores of each person's limbs.
    """
    width = xy.shape[1]
    who = np.repeat(np.arange(len(people)), [len(each) for each in people])
    peaks = np.array([peak for each in people for peak in each], np.int64)
    places = np.full((len(people), len(xy), 2), np.nan)
    scores = np.zeros(places.shape[:2])
    places[who, peaks // width] = xy.reshape(-1, 2)[peaks]
    scores[who, peaks // width] = score.reshape(-1)[peaks]
    count = (scores > 0).sum(1)
    total = scores.sum(1) + [sum(each) for each in limbs]
    mean = total / np.maximum(count + [len(each) for each in limbs], 1)
    kept = np.flatnonzero((count >= grouping.joints) & (mean > grouping.score))
    kept = kept[np.argsort(-mean[kept], kind="stable")]
    return FoundPeople(
        joints_px=places[kept] * stride, scores=scores[kept].clip(0, 1), score=mean[kept].clip(0, 1)
    )
