"""ORN, the Occlusion Robust Network block: it reasons from what it sees to what it does not.

It plugs in where KPE does. In order:

1. First maps from the features, as KPE has them, and a map of what covers the person.
2. Attention over visible pixels: each joint reads the features where its first map says it is,
   by the odds that nothing covers the person there.
3. Joints exchange what they read; from that comes how far each joint's evidence is to be trusted,
   and how much the poses may say of it.
4. Attention over poses: a bank of poses (bank.py), weighted by how well the *other* joints'
   trusted maps support each, gives every joint a second map, and places in 3D.
5. Refinement: a convolution over features, both maps and the cover corrects the joined maps.
6. Each joint reads the features once more, where it is believed to be by now. From that and from
   what was read before comes all that is said of its visibility: its place is known best here.
7. The poses have the last word: the more a joint is said to be hidden, the more their map counts.
   How much is fixed and nothing is learnt from it: training people show the poses of the bank, so
   learning finds the poses' help too small for people in other poses (docs/blocks.md).
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthstudio.core.errors import ModelError
from synthstudio.models.blocks.bank import PoseBank, fuse
from synthstudio.models.contract import VISIBLE, PoseMaps
from synthstudio.models.heatmaps import blur, probabilities
from synthstudio.models.layers import conv, resize

LAST_WORD = 0.5
"""The power of the poses' map at last for a joint that is surely hidden; one seen has 0."""
SHYNESS = 1.5
"""The power by which attention counts a place's odds that nothing covers it. Above 1, as the cover
of unknown things is found with doubt."""
_SAID = {"presence": 1, "shares": 4, "quality": 1, "xyz_m": 3}
_FACTS = 3  # of each joint's map: peak, entropy, cover where it is believed to be


class ORN(nn.Module):
    """Features (B, channels, h', w') -> everything that PoseMaps holds.

    `attention` and `refine` switch steps 2 and 3, and 5, off for ablations; without a `bank`
    steps 4 and 7 are left out; `last_word` switches 7.

    `balance` (4,): by what the loss weighs the shares up. What is learnt leans by so much towards
    rare causes; what is answered does not.
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
        attention: bool = True,
        refine: bool = True,
        last_word: bool = True,
    ) -> None:
        """Make the block for `joints` joints and maps of `size` (h, w)."""
        super().__init__()
        if bank is not None and bank.poses.shape[1] != joints:
            raise ModelError(
                "the pose bank has another skeleton",
                where="ORN",
                expected=f"{joints} joints",
                got=str(bank.poses.shape[1]),
            )
        self.size, self.bank, self.last_word = size, bank, last_word
        self.register_buffer("balance", torch.ones(4))
        self.stem = nn.Sequential(conv(channels, width), conv(width, width))
        self.first = nn.Conv2d(width, joints, 1)
        self.cover = nn.Conv2d(width, 1, 1)
        self.reader = _Reader(width, joints) if attention else None
        self.lean = None
        if bank is not None:
            self.lean = _Heads(width + _FACTS, width, joints, {"trust": 1, "power": 1})
        self.refiner = _Refiner(width, joints, 1 if bank is None else 2) if refine else None
        maps = 2 if bank is None else 3  # the first, the poses', the last
        self.heads = _Heads(2 * width + maps * _FACTS, width, joints, _SAID)

    def forward(self, features: Tensor) -> PoseMaps:
        """Return first, joined and refined maps, and all that is said of each joint."""
        x = self.stem(resize(features, self.size))
        first, occluder = self.first(x).float(), self.cover(x).float()
        maps, covered = probabilities(first), torch.sigmoid(occluder)
        attended: dict[str, Tensor] = {}
        if self.reader is None:
            tokens = _read(x, maps)
        else:
            tokens, attended["pixels"], attended["joints"] = self.reader(x, maps, occluder)
        stages, known, xyz_m, facts = [first], [maps], None, [_facts(maps, covered)]
        if self.bank is not None and self.lean is not None:
            lean = self.lean(torch.cat([tokens, *facts], -1))
            poses = self.bank(maps, torch.sigmoid(lean["trust"] + 2))
            attended["poses"], xyz_m = poses.weights, poses.xyz
            power = F.softplus(lean["power"])[..., None, None]
            joined = F.log_softmax(first.flatten(2), -1).view_as(first) + power * poses.maps.log()
            stages.append(joined)
            known.append(poses.maps)
            facts.append(_facts(poses.maps, covered))
        if self.refiner is not None:
            stages.append(stages[-1] + self.refiner(x, covered, known))
        last = probabilities(stages[-1])
        facts.append(_facts(last, covered))
        said = self.heads(torch.cat([tokens, _read(x, last), *facts], -1))
        answer = None
        if self.bank is not None and self.last_word:
            unseen = 1 - torch.softmax(said["shares"], -1)[..., VISIBLE]
            answer = fuse(last, known[1], LAST_WORD * unseen[..., None, None])
        return PoseMaps(
            logits=tuple(stages),
            answer=answer,
            presence=said["presence"],
            shares=said["shares"] if self.training else said["shares"] - self.balance.log(),
            quality=said["quality"],
            occluder=occluder,
            xyz_m=said["xyz_m"] if xyz_m is None else said["xyz_m"] + xyz_m,
            attention=attended,
        )


class _Reader(nn.Module):
    """Each joint reads pixels, then the other joints. (B, C, h, w) -> (B, J, C)."""

    def __init__(self, width: int, joints: int) -> None:
        super().__init__()
        # Queries and keys in one, as each joint asks the same of all people. Without a bias: it
        # would move all matches of a joint alike, which softmax does not see.
        self.match = nn.Conv2d(width, joints, 1, bias=False)
        self.value = nn.Linear(width, width)
        self.name = nn.Parameter(torch.randn(joints, width) * 0.1)
        self.ask, self.tell = nn.Linear(width, width), nn.Linear(width, width)
        self.show = nn.Linear(width, width, bias=False)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, maps: Tensor, occluder: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return tokens (B, J, C), attention to pixels (B, J, h, w) and to joints (B, J, J).

        `occluder` (B, 1, h, w): the logits of cover, the log of the odds that something is there.
        """
        near = (blur(maps.detach(), 1.5) + 1e-4).log()
        pixels = probabilities(self.match(x) + near - SHYNESS * occluder.detach())
        # The values are linear in the features, so that it is all one when they are made.
        tokens = self.value(torch.einsum("bjhw,bchw->bjc", pixels, x)) + self.name
        asked, shown = self.ask(tokens), self.show(tokens)
        joints = torch.softmax(torch.einsum("bic,bjc->bij", asked, shown) * x.shape[1] ** -0.5, -1)
        return self.norm(tokens + joints @ self.tell(tokens)), pixels, joints


class _Refiner(nn.Module):
    """Corrects logits of maps from features, cover and the maps known so far."""

    def __init__(self, width: int, joints: int, known: int) -> None:
        super().__init__()
        narrow = width // 2
        # One layer in two: features come in the network's layout, maps in float32 rows.
        self.features = nn.Conv2d(width, narrow, 1, bias=False)
        self.maps = nn.Linear(1 + known * joints, narrow, bias=False)
        self.norm = nn.BatchNorm2d(narrow)
        self.near = conv(narrow, narrow)
        self.last = nn.Conv2d(narrow, joints, 1)
        nn.init.zeros_(self.last.weight)
        nn.init.zeros_(self.last.bias)  # type: ignore[arg-type]  # it has a bias

    def forward(self, x: Tensor, covered: Tensor, known: list[Tensor]) -> Tensor:
        """Return what to add (B, J, h, w); it is nought before anything was learnt."""
        rows = torch.cat([covered, *(_spread(m) for m in known)], 1).flatten(2)
        told = torch.bmm(self.maps.weight.expand(len(x), -1, -1), rows).view(
            len(x), -1, *x.shape[2:]
        )
        both: Tensor = self.norm(self.features(x) + told)
        more: Tensor = self.last(self.near(F.relu(both)))
        return more


class _Heads(nn.Module):
    """Answers about each joint: (B, J, inputs) -> a name of `sizes` -> (B, J, size), float32."""

    def __init__(self, inputs: int, width: int, joints: int, sizes: dict[str, int]) -> None:
        super().__init__()
        self.sizes = sizes
        self.hidden = nn.Linear(inputs, width)
        self.answers = nn.Linear(width, sum(sizes.values()))
        self.own = nn.Parameter(torch.zeros(joints, sum(sizes.values())))

    def forward(self, known: Tensor) -> dict[str, Tensor]:
        """Return each answer as (B, J) or (B, J, n)."""
        answers = (self.answers(F.relu(self.hidden(known))) + self.own).float()
        parts = answers.split(list(self.sizes.values()), -1)
        named = zip(self.sizes, parts, strict=True)
        return {name: part.squeeze(-1) if part.shape[-1] == 1 else part for name, part in named}


def _read(x: Tensor, maps: Tensor) -> Tensor:
    """Return the features (B, J, C) where maps believe the joints to be."""
    return torch.einsum("bjhw,bchw->bjc", maps.detach(), x)


def _facts(maps: Tensor, covered: Tensor) -> Tensor:
    """Return (B, J, 3): the map's peak, its entropy from 0 to 1, the cover where it is."""
    flat = maps.detach().flatten(2)
    entropy = -(flat * (flat + 1e-9).log()).sum(-1) / math.log(flat.shape[-1])
    cover = (flat * covered.flatten(2)).sum(-1)
    return torch.stack([flat.amax(-1), entropy, cover], -1)


def _spread(maps: Tensor) -> Tensor:
    """Return maps in a range that convolutions like: 1 where a map is 16 times an even one."""
    return maps * (maps.shape[-2] * maps.shape[-1] / 16)
