"""ORN, the Occlusion Robust Network block: it reasons from what it sees to what it does not.

It plugs in where KPE does. In order:

1. First maps from the features, as KPE has them, and a map of what covers the person.
2. Attention over visible pixels: each joint reads the features where its first map says it is,
   less where something covers the person.
3. Joints exchange what they read; from that come the outputs about visibility, how far each
   joint's evidence is to be trusted, and how much the poses may say of it.
4. Attention over poses: a bank of poses (bank.py), weighted by how well the *other* joints'
   trusted maps support each, gives every joint a second map, and places in 3D.
5. Refinement: a convolution over features, both maps and the cover corrects the joined maps.
6. The poses have the last word: the more a joint is said to be hidden, the more their map counts.
   How much is fixed and nothing is learnt from it: training people show the poses of the bank, so
   learning finds the poses' help too small for people in other poses (docs/blocks.md).

While training, step 0 hides boxes of the features, so that the steps above have work to do.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthstudio.core.errors import ModelError, explain
from synthstudio.models.bank import PoseBank, fuse
from synthstudio.models.contract import VISIBLE, PoseMaps
from synthstudio.models.heatmaps import blur, probabilities
from synthstudio.models.layers import conv, resize

LAST_WORD = 0.5
"""The power of the poses' map at last for a joint that is surely hidden; one seen has 0."""
_FACTS = 3  # of each joint's first map: peak, entropy, cover where it is believed to be


class ORN(nn.Module):
    """Features (B, channels, h', w') -> everything that PoseMaps holds.

    `attention` and `refine` switch steps 2 and 3, and 5, off for ablations; without a `bank`
    steps 4 and 6 are left out; `last_word` switches 6. `hide`: the chance of step 0.

    `balance` (4,): by what the loss weighs the shares up. What is learnt leans by so much towards
    rare causes; what is answered does not.
    """

    balance: Tensor

    def __init__(  # noqa: PLR0913 - most are switches for ablations
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
        hide: float = 0.5,
    ) -> None:
        """Make the block for `joints` joints and maps of `size` (h, w)."""
        super().__init__()
        if bank is not None and bank.poses.shape[1] != joints:
            raise ModelError(
                explain("the pose bank has another skeleton", where="ORN",
                        expected=f"{joints} joints", got=str(bank.poses.shape[1]))
            )  # fmt: skip
        self.size, self.bank, self.last_word = size, bank, last_word
        self.register_buffer("balance", torch.ones(4))
        self.hide = _Hide(hide)
        self.stem = nn.Sequential(conv(channels, width), conv(width, width))
        self.first = nn.Conv2d(width, joints, 1)
        self.cover = nn.Conv2d(width, 1, 1)
        self.reader = _Reader(width, joints) if attention else None
        self.heads = _Heads(width, joints)
        self.refiner: nn.Sequential | None = None
        if refine:
            maps, narrow = joints * (1 if bank is None else 2), width // 2
            last = nn.Conv2d(narrow, joints, 1)
            nn.init.zeros_(last.weight)
            nn.init.zeros_(last.bias)  # type: ignore[arg-type]  # it has a bias
            self.refiner = nn.Sequential(
                conv(width + maps + 1, narrow, size=1), conv(narrow, narrow), last
            )

    def forward(self, features: Tensor) -> PoseMaps:
        """Return first, joined and refined maps, and all that is said of each joint."""
        x = self.stem(self.hide(resize(features, self.size)))
        first, occluder = self.first(x).float(), self.cover(x).float()
        maps, covered = probabilities(first), torch.sigmoid(occluder)
        attended: dict[str, Tensor] = {}
        if self.reader is None:
            tokens = torch.einsum("bjhw,bchw->bjc", maps.detach(), x)
        else:
            tokens, attended["pixels"], attended["joints"] = self.reader(x, maps, covered)
        told = self.heads(torch.cat([tokens, _facts(maps, covered)], -1))
        said = {name: value.float() for name, value in told.items()}
        stages, second, xyz_m = [first], None, said["xyz_m"]
        if self.bank is not None:
            poses = self.bank(maps, torch.sigmoid(said["trust"] + 2))
            second, attended["poses"] = poses.maps, poses.weights
            power = F.softplus(said["power"])[..., None, None]
            joined = F.log_softmax(first.flatten(2), -1).view_as(first) + power * second.log()
            stages.append(joined)
            xyz_m = xyz_m if poses.xyz is None else xyz_m + poses.xyz
        if self.refiner is not None:
            known = [maps] if second is None else [maps, second]
            seen = torch.cat([x, covered, *(_spread(m) for m in known)], 1)
            stages.append(stages[-1] + self.refiner(seen))
        answer = None
        if second is not None and self.last_word:
            unseen = 1 - torch.softmax(said["shares"], -1)[..., VISIBLE]
            answer = fuse(probabilities(stages[-1]), second, LAST_WORD * unseen[..., None, None])
        return PoseMaps(
            logits=tuple(stages),
            answer=answer,
            presence=said["presence"],
            shares=said["shares"] if self.training else said["shares"] - self.balance.log(),
            quality=said["quality"],
            occluder=occluder,
            xyz_m=xyz_m,
            attention=attended,
        )


class _Hide(nn.Module):
    """Hides one or two boxes of the features of some people while training.

    What is hidden is decided by how often it was asked, which goes with the checkpoint, so that a
    run that was cut off goes on alike; and by the person's place in the batch of all processes.
    """

    drawn: Tensor

    def __init__(self, chance: float) -> None:
        super().__init__()
        self.chance = chance
        self.register_buffer("drawn", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        """Return x (B, C, h, w), nought inside the boxes; x itself when nothing is learnt."""
        if not self.training or not self.chance:
            return x
        rank, world = 0, 1
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            rank, world = torch.distributed.get_rank(), torch.distributed.get_world_size()
        draw = torch.Generator().manual_seed(int(self.drawn))
        self.drawn += 1
        b, _, h, w = x.shape
        numbers = torch.rand(b * world, 2, 5, generator=draw)[rank::world, :, :, None, None]
        y, x_at = torch.arange(h)[:, None] + 0.5, torch.arange(w)[None] + 0.5
        chance = torch.tensor([self.chance, self.chance / 2])[:, None, None]  # of either box
        inside = (
            ((y - numbers[:, :, 0] * h).abs() < (0.1 + 0.2 * numbers[:, :, 1]) * h)
            & ((x_at - numbers[:, :, 2] * w).abs() < (0.1 + 0.2 * numbers[:, :, 3]) * w)
            & (numbers[:, :, 4] < chance)
        )
        return x * (~inside.any(1, keepdim=True)).to(x)


class _Reader(nn.Module):
    """Each joint reads pixels, then the other joints. (B, C, h, w) -> (B, J, C)."""

    def __init__(self, width: int, joints: int) -> None:
        super().__init__()
        # Queries and keys in one, as each joint asks the same of all people. Without a bias: it
        # would move all matches of a joint alike, which softmax does not see.
        self.match = nn.Conv2d(width, joints, 1, bias=False)
        self.value = nn.Linear(width, width)
        # Softplus of it: how much cover repels. High, as the cover of unknown things is found with
        # doubt; learning leaves it about where it starts.
        self.shy = nn.Parameter(torch.tensor(30.0))
        self.name = nn.Parameter(torch.randn(joints, width) * 0.1)
        self.ask, self.tell = nn.Linear(width, width), nn.Linear(width, width)
        self.show = nn.Linear(width, width, bias=False)
        self.norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, maps: Tensor, covered: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return tokens (B, J, C), attention to pixels (B, J, h, w) and to joints (B, J, J)."""
        near = (blur(maps.detach(), 1.5) + 1e-4).log()
        logits = self.match(x) + near - F.softplus(self.shy) * covered.detach()
        pixels = probabilities(logits)
        # The values are linear in the features, so that it is all one when they are made.
        tokens = self.value(torch.einsum("bjhw,bchw->bjc", pixels, x)) + self.name
        asked, shown = self.ask(tokens), self.show(tokens)
        joints = torch.softmax(torch.einsum("bic,bjc->bij", asked, shown) * x.shape[1] ** -0.5, -1)
        return self.norm(tokens + joints @ self.tell(tokens)), pixels, joints


class _Heads(nn.Module):
    """What is said of each joint, from its token: (B, J, C + facts) -> a name -> logits."""

    SIZES = {"presence": 1, "shares": 4, "quality": 1, "xyz_m": 3, "trust": 1, "power": 1}  # noqa: RUF012

    def __init__(self, width: int, joints: int) -> None:
        super().__init__()
        self.hidden = nn.Linear(width + _FACTS, width)
        self.answers = nn.Linear(width, sum(self.SIZES.values()))
        self.own = nn.Parameter(torch.zeros(joints, sum(self.SIZES.values())))

    def forward(self, tokens: Tensor) -> dict[str, Tensor]:
        """Return each answer as (B, J) or (B, J, n)."""
        answers = self.answers(F.relu(self.hidden(tokens))) + self.own
        parts = answers.split(list(self.SIZES.values()), -1)
        named = zip(self.SIZES, parts, strict=True)
        return {name: part.squeeze(-1) if part.shape[-1] == 1 else part for name, part in named}


def _facts(maps: Tensor, covered: Tensor) -> Tensor:
    """Return (B, J, 3): the map's peak, its entropy from 0 to 1, the cover where it is."""
    flat = maps.detach().flatten(2)
    entropy = -(flat * (flat + 1e-9).log()).sum(-1) / torch.tensor(float(flat.shape[-1])).log()
    cover = (flat * covered.flatten(2)).sum(-1)
    return torch.stack([flat.amax(-1), entropy, cover], -1)


def _spread(maps: Tensor) -> Tensor:
    """Return maps in a range that convolutions like: 1 where a map is 16 times an even one."""
    return maps * (maps.shape[-2] * maps.shape[-1] / 16)
