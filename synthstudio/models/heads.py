"""Heads: features to heat maps; plain ones, those of the backbones' papers, and ORN.

ORN, the Occlusion Robust Network block, infers hidden joints from visible evidence, in place of
KPE. Steps:

1. First maps from the features, as in KPE, and a map of the occluder.
2. Each joint samples the features at its first map.
3. From these: the reliability of each joint's evidence, and how much the pose bank may
   change its map.
4. Attention over a bank of poses (pose_bank.py): poses weighted by how well the *other* joints'
   trusted maps support them give every joint a second map, and 3D joints.
5. Refinement: a convolution over features, both maps and the cover corrects the joined maps.
6. Each joint samples the features again at the refined maps. From these and from step 3
   follow the visibility outputs: here a joint's position is most accurate.
7. Final fusion (`final_fusion`): the higher the predicted occlusion of a joint, the more its map of
   step 4 counts. The power is fixed, not learnt: training people show the poses of the bank, so a
   learnt one would be too small for people in other poses (docs/research/blocks.md).
"""

import itertools
import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthstudio.core.errors import ModelError
from synthstudio.models.contract import VISIBLE, PoseOutputs
from synthstudio.models.heatmaps import log_probabilities
from synthstudio.models.layers import conv, mixed, pointwise, resize
from synthstudio.models.pose_bank import BankSample, PoseBank, fuse


class KPE(nn.Module):
    """Features (B, channels, h', w') to one map per joint: the "simple decoder" of ViTPose (Xu et
    al. 2022) with `layers` convolutions of `width` channels, resized to `size` cells if needed."""

    def __init__(
        self, channels: int, joints: int, *, size: tuple[int, int], width: int = 48, layers: int = 1
    ) -> None:
        super().__init__()
        self.size = size
        widths = [channels] + [width] * layers
        self.stem = nn.Sequential(*[conv(a, b) for a, b in itertools.pairwise(widths)])
        self.maps = nn.Conv2d(widths[-1], joints, 1)

    def forward(self, features: Tensor) -> PoseOutputs:
        return PoseOutputs(logits=(self.maps(self.stem(resize(features, self.size))),))


class PointHead(nn.Module):
    """A 1x1 convolution, on features resized to `size` cells if needed: HRNet, hourglass, FPN."""

    def __init__(self, channels: int, joints: int, *, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size
        self.maps = nn.Conv2d(channels, joints, 1)

    def forward(self, features: Tensor) -> PoseOutputs:
        return PoseOutputs(logits=(self.maps(resize(features, self.size)),))


class KeptHead(nn.Module):
    """The backbone's own joint maps, as logits on `size` cells."""

    def __init__(self, *, size: tuple[int, int]) -> None:
        super().__init__()
        self.size = size

    def forward(self, features: Tensor) -> PoseOutputs:
        return PoseOutputs(logits=(resize(features, self.size),))


class ClassicDecoder(nn.Module):
    """Deconvolutions 4x4 that double the size up to `times`, then 1x1 (Xu et al. 2022)."""

    def __init__(self, channels: int, joints: int, *, times: int, width: int = 256) -> None:
        super().__init__()
        steps: list[nn.Module] = []
        for number in range(round(math.log2(times))):
            steps += [
                nn.ConvTranspose2d(width if number else channels, width, 4, 2, 1, bias=False),
                nn.BatchNorm2d(width),
                nn.ReLU(inplace=True),
            ]
        self.grown = nn.Sequential(*steps)
        self.maps = nn.Conv2d(width, joints, 1)

    def forward(self, features: Tensor) -> PoseOutputs:
        return PoseOutputs(logits=(self.maps(self.grown(features)),))


MIN_POWER, FUSION_POWER = 0.2, 0.7
"""Power of the poses' map in the final fusion for a visible and a hidden joint."""
_OUTPUTS = {"presence": 1, "visibility_fractions": 4, "quality": 1, "xyz_m": 3}
_FACTS = 3  # of each joint's map: peak, entropy, expected cover


class ORN(nn.Module):
    """Features (B, channels, h', w') to all of PoseOutputs.

    `layers`: convolutions before the first maps. Without a `bank` 4 and 7 are skipped.

    `balance` (4,): the loss weights of the fractions. They bias training towards rare causes;
    evaluation mode corrects for it.
    """

    balance: Tensor

    def __init__(
        self,
        channels: int,
        joints: int,
        *,
        size: tuple[int, int],
        bank: PoseBank | None,
        width: int = 48,
        layers: int = 1,
    ) -> None:
        super().__init__()
        if bank is not None and bank.poses.shape[1] != joints:
            raise ModelError(
                "skeletons of pose bank and network differ",
                where="ORN",
                expected=f"{joints} joints",
                got=str(bank.poses.shape[1]),
            )
        self.size, self.bank = size, bank
        self.register_buffer("balance", torch.ones(4))
        widths = [channels] + [width] * layers
        self.stem = nn.Sequential(*(conv(a, b) for a, b in itertools.pairwise(widths)))
        self.first = nn.Conv2d(width, joints, 1)
        self.cover = nn.Conv2d(width, 1, 1)
        self.lean = None
        if bank is not None:
            self.lean = _Heads(width + _FACTS, width, joints, {"trust": 1, "power": 1})
        self.refiner = _Refiner(width, joints, 1 if bank is None else 2)
        maps = 2 if bank is None else 3  # the first, the poses', the last
        self.heads = _Heads(2 * width + maps * _FACTS, width, joints, _OUTPUTS)

    def forward(self, features: Tensor, sample: BankSample | None = None) -> PoseOutputs:
        """`sample`: the part of the bank for a training step."""
        x = self.stem(resize(features, self.size))
        first, occluder = (pointwise(layer, x).float() for layer in (self.first, self.cover))
        logs, covered = log_probabilities(first), torch.sigmoid(occluder)
        maps = logs.exp()
        attended: dict[str, Tensor] = {}
        known = [_read(maps, x), *_facts(maps, logs, covered)]
        stages, before, xyz_m, pose_logs = [first], [maps], None, None
        if self.bank is not None and self.lean is not None:
            lean = self.lean(torch.cat(known, -1))
            poses = self.bank(maps, torch.sigmoid(lean["trust"] + 2), sample)
            attended["poses"], xyz_m = poses.weights, poses.xyz
            power, pose_logs = F.softplus(lean["power"])[..., None, None], poses.maps.log()
            stages.append(logs + power * pose_logs)
            before.append(poses.maps)
            known += _facts(poses.maps, pose_logs, covered)
        stages.append(stages[-1] + self.refiner(x, covered, before))
        logs = log_probabilities(stages[-1])
        last = logs.exp()
        known.insert(1, _read(last, x))
        outputs = self.heads(torch.cat([*known, *_facts(last, logs, covered)], -1))
        fused, fractions = None, outputs["visibility_fractions"]
        if pose_logs is not None:
            unseen = 1 - torch.softmax(fractions, -1)[..., VISIBLE]
            power = MIN_POWER + (FUSION_POWER - MIN_POWER) * unseen
            fused = fuse(last, pose_logs, power[..., None, None])
        return PoseOutputs(
            logits=tuple(stages),
            fused=fused,
            presence=outputs["presence"],
            visibility_fractions=fractions if self.training else fractions - self.balance.log(),
            quality=outputs["quality"],
            occluder=occluder,
            xyz_m=outputs["xyz_m"] if xyz_m is None else outputs["xyz_m"] + xyz_m,
            attention=attended,
        )


class _Refiner(nn.Module):
    """Corrects logits of maps from features, cover and the previous maps."""

    def __init__(self, width: int, joints: int, known: int) -> None:
        super().__init__()
        narrow = width // 2
        # One layer in two parts: features are channels-last, maps contiguous float32.
        self.features = nn.Conv2d(width, narrow, 1, bias=False)
        self.maps = nn.Linear(1 + known * joints, narrow, bias=False)
        self.norm = nn.BatchNorm2d(narrow)
        self.near = conv(narrow, narrow)
        self.last = nn.Conv2d(narrow, joints, 1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]  # it has a bias

    def forward(self, x: Tensor, covered: Tensor, known: list[Tensor]) -> Tensor:
        """The correction (B, J, h, w) to add to logits; zero at initialisation."""
        scale = x.shape[-2] * x.shape[-1] / 16  # 1 where a map is 16 times a uniform one
        from_maps = mixed(self.maps.weight, torch.cat([covered / scale, *known], 1))
        joined = self.norm(torch.add(pointwise(self.features, x), from_maps, alpha=scale))
        joined = F.relu(joined).contiguous(memory_format=torch.channels_last)  # faster on CPUs
        correction: Tensor = pointwise(self.last, self.near(joined))
        return correction


class _Heads(nn.Module):
    """Named float32 outputs per joint: (B, J, inputs) -> {name: (B, J, size)}, size 1 squeezed."""

    def __init__(self, inputs: int, width: int, joints: int, sizes: dict[str, int]) -> None:
        super().__init__()
        self.sizes = sizes
        self.hidden = nn.Linear(inputs, width)
        self.answers = nn.Linear(width, sum(sizes.values()))
        self.own = nn.Parameter(torch.zeros(joints, sum(sizes.values())))

    def forward(self, known: Tensor) -> dict[str, Tensor]:
        answers = (self.answers(F.relu(self.hidden(known))) + self.own).float()
        named = zip(self.sizes, answers.split(list(self.sizes.values()), -1), strict=True)
        return {name: part.squeeze(-1) if part.shape[-1] == 1 else part for name, part in named}


def _read(maps: Tensor, values: Tensor) -> Tensor:
    """The values (B, J, C) of a tensor (B, C, h, w) at the maps' joints."""
    return torch.bmm(maps.detach().flatten(2), values.flatten(2).transpose(1, 2))


def _facts(maps: Tensor, logs: Tensor, covered: Tensor) -> list[Tensor]:
    """(B, J, 1) each: the map's peak, its entropy from 0 to 1, its expected cover. `logs` of
    `maps`."""
    flat = maps.detach().flatten(2)
    entropy = (flat * logs.detach().flatten(2)).sum(-1, keepdim=True) / -math.log(flat.shape[-1])
    return [flat.amax(-1, keepdim=True), entropy, _read(maps, covered)]
