"""What a pose is apart from who shows it: contrastive codes, and codes that a decoder joins.

Letters: B pictures, D numbers of a code, C channels of a backbone, K Gaussians, h, w cells.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from synthstudio.core.errors import ModelError
from synthstudio.models.contract import IMAGE_MEAN, IMAGE_STD, StagedFeatures, normalized
from synthstudio.models.heatmaps import cell_centres, probabilities
from synthstudio.models.layers import Residual, conv, resize

_POOLED = (4, 3)
"""Rows and columns that features are averaged to: a pose is also where things are."""
_WORN, _SIGMA = 8, 1.0
"""Numbers of the looks that each Gaussian carries, and how wide it is drawn, in cells."""
_SQUARES = 20.0
"""What squares of differences of pictures count beside their amounts."""


class Normalizing(nn.Module):
    """A backbone `features` with the colours that it was trained with, as PoseNet has them."""

    mean: Tensor
    std: Tensor

    def __init__(self, features: nn.Module) -> None:
        super().__init__()
        self.features = features
        self.register_buffer("mean", torch.tensor(IMAGE_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGE_STD).view(1, 3, 1, 1), persistent=False)

    def maps(self, images: Tensor) -> Tensor:
        """Features (B, C, h, w) of images (B, 3, H, W), uint8 or from 0 to 1."""
        found = self.features(normalized(images, self.mean, self.std, where=type(self).__name__))
        maps: Tensor = found.last if isinstance(found, StagedFeatures) else found
        return maps


class ContrastiveNet(Normalizing):
    """A backbone and a projection head (Chen et al. 2020): images to codes of length one."""

    def __init__(self, features: nn.Module, channels: int, *, width: int = 128) -> None:
        super().__init__(features)
        self.projection = nn.Sequential(
            nn.AdaptiveAvgPool2d(_POOLED),
            nn.Flatten(),
            nn.Linear(channels * _POOLED[0] * _POOLED[1], 2 * width, bias=False),
            nn.BatchNorm1d(2 * width),
            nn.ReLU(inplace=True),
            nn.Linear(2 * width, width),
        )

    def forward(self, images: Tensor) -> Tensor:
        """Codes (B, D)."""
        return F.normalize(self.projection(self.maps(images)).float(), dim=-1)


def info_nce(codes: Tensor, partner: Tensor, pose: Tensor, *, tau: float = 0.1) -> Tensor:
    """The mean over B codes (B, D) of the cross-entropy of finding `partner` (B,) among all others.

    van den Oord et al. 2018, with all codes of the batch as candidates (Chen et al. 2020). `pose`
    (B,) numbers poses: others of one's own pose are no candidates. Codes that tell nothing apart
    have log N for N candidates. ModelError where a partner is oneself or of another pose, so that
    no batch teaches that unlike poses are alike.
    """
    rows = torch.arange(len(codes), device=codes.device)
    if len(codes) < 3 or bool((partner == rows).any() | (pose[partner] != pose).any()):
        raise ModelError(
            "no pairs to contrast",
            where="info_nce",
            expected="each code's partner another one of the same pose, and a third code",
            got=f"{len(codes)} codes",
        )
    alike = codes @ codes.t() / tau
    own = pose[:, None] == pose[None]
    own[rows, partner] = False
    return F.cross_entropy(alike.masked_fill(own, -torch.inf), partner)


@dataclass(frozen=True, kw_only=True)
class PoseCode:
    """Where K Gaussians stand: `xy` (B, K, 2) in cells, of maps with (h, w) cells."""

    xy: Tensor
    cells: tuple[int, int]

    def maps(self, *, sigma: float) -> Tensor:
        """The Gaussians (B, K, h, w), each 1 at its middle."""
        h, w = self.cells
        apart = (self.xy[:, :, None] - cell_centres(h, w, self.xy)).square().sum(-1)
        return torch.exp(-apart / (2 * sigma**2)).view(*self.xy.shape[:2], h, w)


class Disentangler(Normalizing):
    """A picture as a pose code and an appearance code, and a decoder that joins them.

    Jakab et al. 2018: the pose is where K Gaussians stand, read from maps by soft-argmax, and
    nothing else of its picture reaches the decoder; the looks are averages over a picture, which
    know no places. Each Gaussian gets the colours that the looks have for it (Lorenz et al. 2019).
    """

    def __init__(
        self,
        features: nn.Module,
        channels: int,
        *,
        cells: tuple[int, int],
        gaussians: int = 24,
        width: int = 32,
        looks: int = 32,
    ) -> None:
        super().__init__(features)
        self.cells, self.gaussians = cells, gaussians
        self.pose = nn.Conv2d(channels, gaussians, 1)
        # No window at all, so that the looks' averages know of colours and not of directions.
        self.looks = nn.Sequential(
            nn.AvgPool2d(2),
            conv(3, width, size=1),
            conv(width, width, size=1),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(width, looks),
        )
        self.worn = nn.Linear(looks, gaussians * _WORN)
        self.wall = nn.Linear(looks, width)
        self.join = nn.Conv2d(gaussians * (1 + _WORN), width, 1)
        self.decode = nn.Sequential(
            Residual(width),
            Residual(width),
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
            conv(width, width),
            nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False),
            conv(width, width // 2),
            nn.Conv2d(width // 2, 3, 3, padding=1),
        )

    def encode_pose(self, images: Tensor) -> PoseCode:
        """Of images (B, 3, H, W): the means of their K maps, as 1 / 4 cells a pixel."""
        maps = self.pose(self.maps(images)).float()
        maps = resize(maps, self.cells)
        likely = probabilities(maps).flatten(2)
        return PoseCode(xy=likely @ cell_centres(*self.cells, likely), cells=self.cells)

    def encode_looks(self, images: Tensor) -> Tensor:
        """Of images (B, 3, H, W): (B, looks)."""
        found: Tensor = self.looks(normalized(images, self.mean, self.std, where="Disentangler"))
        return found

    def picture(self, pose: PoseCode, looks: Tensor) -> Tensor:
        """The picture (B, 3, 4 h, 4 w) of a pose in other looks; sRGB from 0 to 1 and beyond."""
        maps = pose.maps(sigma=_SIGMA)
        worn = self.worn(looks).unflatten(1, (self.gaussians, _WORN, 1, 1))
        dressed = (maps[:, :, None] * worn).flatten(1, 2)
        joined = self.join(torch.cat([maps, dressed], 1))
        found: Tensor = self.decode(F.relu(joined + self.wall(looks)[..., None, None]))
        return found + 0.5

    def forward(self, pose_of: Tensor, looks_of: Tensor) -> Tensor:
        """The picture of the pose in the one images in the looks of the others."""
        return self.picture(self.encode_pose(pose_of), self.encode_looks(looks_of))


def picture_loss(made: Tensor, true: Tensor) -> Tensor:
    """L1 and squares of the differences of pictures (B, 3, H, W) from 0 to 1, at three sizes, and
    of their edges.

    L1 alone draws the wall where a thin arm is more likely elsewhere than here, and then its
    Gaussian learns nothing; squares draw some of the arm wherever it may be.
    """
    terms = []
    for _ in range(3):
        apart = made - true
        for off in (apart, apart.diff(dim=-1), apart.diff(dim=-2)):
            terms.append(off.abs().mean() + _SQUARES * off.square().mean())
        made, true = F.avg_pool2d(made, 2), F.avg_pool2d(true, 2)
    return torch.stack(terms).sum()


def covariance_loss(pose: Tensor, looks: Tensor) -> Tensor:
    """Mean square correlation of the numbers of two codes (B, D) and (B, E): 0 when the one tells
    nothing, linearly, of the other."""
    a, b = (standardized(code) for code in (pose, looks))
    return ((a.t() @ b) / len(a)).square().mean()


def standardized(code: Tensor) -> Tensor:
    return (code - code.mean(0)) / (code.std(0, unbiased=False) + 1e-4)
