"""PersonLab: discs of joints, offsets to joints, and the masks of people (Papandreou et al. 2018).

Short offsets lead from a joint's disc to the joint, mid offsets from there to the joint at the
other end of a limb, long ones from any cell of a person to each of their joints. voting.py forms
people from them. Letters: contract.py; E directed limbs, each way once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthstudio.core.skeleton import Skeleton
from synthstudio.models.bottom_up import contract
from synthstudio.models.bottom_up.voting import Voting, vote_people
from synthstudio.models.contract import System
from synthstudio.models.heatmaps import cell_centres
from synthstudio.models.layers import conv
from synthstudio.models.losses import masked_mean


@dataclass(frozen=True, kw_only=True)
class PersonLabTargets:
    """Offsets are in cells. `discs` (B, J, h, w) 1 inside, `short` (B, J, 2, h, w), `mid`
    (B, E, 2, h, w), `long` (B, J, 2, h, w), `body` (B, 1, h, w) 1 where a person is visible.

    Training masks: `discs_mask` (B, J, h, w), `mid_mask` (B, E, h, w),
    `long_mask` (B, J, h, w), `body_mask` (B, 1, h, w); short offsets inside the discs.
    """

    discs: Tensor
    short: Tensor
    mid: Tensor
    long: Tensor
    body: Tensor
    discs_mask: Tensor
    mid_mask: Tensor
    long_mask: Tensor
    body_mask: Tensor


@dataclass(frozen=True, kw_only=True)
class PersonLabOutputs:
    """`discs` (B, J, h, w) and `body` (B, 1, h, w) are logits; offsets as in the targets."""

    discs: Tensor
    short: Tensor
    mid: Tensor
    long: Tensor
    body: Tensor


WEIGHTS = {"discs": 4.0, "short": 1.0, "mid": 0.25, "long": 0.125, "body": 2.0}
"""Weights of the loss terms, the paper's."""


def directed_limbs(skeleton: Skeleton) -> tuple[tuple[int, int], ...]:
    """E pairs (from, to): limbs in both directions. Links across shoulders, hips and eyes, which
    the paper lacks, connect a person whose head is outside the frame."""
    return tuple(skeleton.edges) + tuple((b, a) for a, b in skeleton.edges)


def personlab_targets(
    people: Sequence[contract.FramePeople], limbs: Tensor, *, stride: int, radius: float
) -> PersonLabTargets:
    """The ideal outputs for the frames: `limbs` (E, 2), `radius` of a disc in cells."""
    each = [_frame_targets(frame, limbs, stride, radius) for frame in people]
    return PersonLabTargets(**{k: torch.stack([t[k] for t in each]) for k in each[0]})


def _frame_targets(
    frame: contract.FramePeople, limbs: Tensor, stride: int, radius: float
) -> dict[str, Tensor]:
    h, w = frame.size[0] // stride, frame.size[1] // stride
    xy = contract.joints_in_cells(frame, stride)
    discs_mask = contract.loss_mask(frame, ~xy.isnan().any(-1), stride)
    if len(xy) == 0:  # a person without labels has no disc
        xy = torch.full((1, *xy.shape[1:]), torch.nan)
    centres = cell_centres(h, w, xy)
    offsets = xy[:, :, None] - centres  # (P, J, h*w, 2)
    away = offsets.norm(dim=-1)
    near = (away <= radius) & contract.is_inside(xy, h, w)[..., None]  # (P, J, h*w)
    owner = torch.where(near, away, torch.inf).argmin(0)  # (J, h*w) the nearest disc's person
    discs = near.any(0)
    begin, end = limbs[:, 0], limbs[:, 1]
    towards = xy[owner[begin], end[:, None]]  # (E, h*w, 2) the other joint of the same person
    mid_mask = discs[begin] & ~towards.isnan().any(-1)
    body, of = _owners(frame, h, w)
    ends = xy[of].movedim(1, 0)  # (J, h*w, 2) the joints of the cell's visible person
    index = owner[None, ..., None].expand(1, -1, -1, 2)
    nearest = offsets.gather(0, index)[0]  # (J, h*w, 2) of each cell's disc
    long_mask = body & ~ends.isnan().any(-1)
    flat = {
        "discs": discs.to(xy.dtype),
        "short": torch.where(discs[..., None], nearest, 0.0).movedim(-1, 1),
        "mid": torch.where(mid_mask[..., None], towards - centres, 0.0).movedim(-1, 1),
        "long": torch.where(long_mask[..., None], ends - centres, 0.0).movedim(-1, 1),
        "body": body.to(xy.dtype)[None],
        "mid_mask": mid_mask,
        "long_mask": long_mask,
        "body_mask": torch.full((1, h * w), frame.masks is not None),
    }
    found = {name: value.reshape(*value.shape[:-1], h, w) for name, value in flat.items()}
    return found | {"discs_mask": discs_mask}


def _owners(frame: contract.FramePeople, h: int, w: int) -> tuple[Tensor, Tensor]:
    """(h*w) whether people cover half of a cell or more, and (h*w) its main person."""
    if frame.masks is None or len(frame.masks) == 0:
        return torch.zeros(h * w, dtype=torch.bool), torch.zeros(h * w, dtype=torch.int64)
    share = F.adaptive_avg_pool2d(torch.from_numpy(frame.masks).float()[None], (h, w))[0]
    return (share.sum(0) >= 0.5).flatten(), share.argmax(0).flatten()


class PersonLab(System):
    """A network of frames. `features`: `channels` at stride 4; `radius`: of a disc in cells, at
    least 1; the paper's 32 px are 4 cells."""

    sees_frames = True
    limbs: Tensor

    def __init__(
        self,
        features: nn.Module,
        skeleton: Skeleton,
        *,
        channels: int,
        stride: int = 8,
        radius: float = 4.0,
    ) -> None:
        super().__init__()
        self.stride, self.radius = stride, radius
        limbs, width = directed_limbs(skeleton), 2 * channels
        joints = len(skeleton.joints)
        self.voting = Voting(limbs=limbs, radius=radius)
        self.register_buffer("limbs", torch.tensor(limbs), persistent=False)
        self.frames = contract.FrameNet(features, multiple=stride)
        self.trunk = nn.Sequential(
            conv(channels, width, stride=stride // contract.STRIDE),
            conv(width, width),
            conv(width, width),
        )
        outputs = {"discs": joints, "short": 2 * joints, "mid": 2 * len(limbs)}
        outputs |= {"long": 2 * joints, "body": 1}
        self.heads = nn.ModuleDict({k: nn.Conv2d(width, n, 1) for k, n in outputs.items()})

    def forward(self, images: Tensor) -> PersonLabOutputs:
        features = self.trunk(self.frames(images))
        heads = {name: head(features) for name, head in self.heads.items()}
        for name in ("short", "mid", "long"):
            heads[name] = self.radius * heads[name].unflatten(1, (-1, 2))
        return PersonLabOutputs(**heads)

    def targets(self, people: Sequence[contract.FramePeople]) -> PersonLabTargets:
        return personlab_targets(people, self.limbs.cpu(), stride=self.stride, radius=self.radius)

    def losses(self, outputs: PersonLabOutputs, targets: PersonLabTargets) -> dict[str, Tensor]:
        """Cross-entropies of discs and bodies, absolute errors of offsets in radii."""
        entropies = {
            name: masked_mean(
                F.binary_cross_entropy_with_logits(
                    getattr(outputs, name), getattr(targets, name), reduction="none"
                ),
                getattr(targets, f"{name}_mask"),
            )
            for name in ("discs", "body")
        }
        short = targets.discs > 0
        masks = {"short": short, "mid": targets.mid_mask, "long": targets.long_mask}
        errors = {
            name: masked_mean(
                (getattr(outputs, name) - getattr(targets, name)).abs().sum(2) / self.radius, where
            )
            for name, where in masks.items()
        }
        terms = entropies | errors
        return {name: weight * terms[name] for name, weight in WEIGHTS.items()}

    def decode(self, outputs: PersonLabOutputs) -> list[contract.FoundPeople]:
        """The people of each frame, without masks: nothing reads them."""
        chances = {"discs": outputs.discs.sigmoid(), "body": outputs.body.sigmoid()}
        return vote_people(vars(outputs) | chances, self.voting, stride=self.stride, masks=False)
