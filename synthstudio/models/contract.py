"""What the package's networks return and take.

PoseNet is a backbone with a head, which returns PoseOutputs. A bottom-up system is a network of
whole frames that a training loop calls: `net(images)` gives outputs, `net.targets(people)` the
targets, `net.losses(outputs, targets)` weighted terms by name, `net.decode(outputs)` the people.
Letters: B frames of H x W pixels, P people, J joints, L limbs, h, w cells. Cells are continuous as
pixels are: pixels over the stride (heatmaps.py).
"""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn

from synthstudio.core.arrays import F32, F64
from synthstudio.core.errors import ModelError
from synthstudio.models import heatmaps

VISIBLE, SELF, PERSON, OBJECT = range(4)
"""The order of `visibility_fractions`: core.labels.VISIBILITY without `truncated`, which is
`presence`."""
IMAGE_MEAN, IMAGE_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Mean and deviation of sRGB in 0..1 of ImageNet and most backbones."""
Colour = tuple[float, float, float]
STRIDE = 4
"""Pixels of a frame per cell of its features."""


@dataclass(frozen=True, kw_only=True)
class PoseOutputs:
    """A block's outputs for B crops of one person each. Letters: J joints, h, w cells, S stages.

    `logits`: heat-map logits of the S stages (B, J, h, w), all trained; the last one is decoded
    unless there are `fused` maps (B, J, h, w) that sum to one. Logits too: `presence` (B, J), the
    joint lies in the image; `visibility_fractions` (B, J, 4): visible, hidden by self,
    person, object; `quality` (B, J), the expected OKS; `occluder` (B, 1, h, w), a cell is covered
    by something in front of the person. `xyz_m` (B, J, 3): root-relative, camera axes. `attention`:
    attention weights by name ("poses" (B, N)). None: the block has no such output.
    """

    logits: tuple[Tensor, ...]
    fused: Tensor | None = None
    presence: Tensor | None = None
    visibility_fractions: Tensor | None = None
    quality: Tensor | None = None
    occluder: Tensor | None = None
    xyz_m: Tensor | None = None
    attention: Mapping[str, Tensor] = field(default_factory=dict)

    @property
    def maps(self) -> Tensor:
        """The maps (B, J, h, w) that joints are decoded from, each summing to one."""
        return heatmaps.probabilities(self.logits[-1]) if self.fused is None else self.fused


@dataclass(frozen=True, kw_only=True)
class StagedFeatures:
    """Features of a backbone with intermediate maps: `last` (B, C, h', w') for the block,
    and `logits`, the stages before the block's own in PoseOutputs."""

    last: Tensor
    logits: tuple[Tensor, ...] = ()


@dataclass(frozen=True, kw_only=True)
class FoundJoints:
    """`joints_px` (B, J, 2) continuous pixels of the images; `scores` (B, J)."""

    joints_px: Tensor
    scores: Tensor


class System(nn.Module):
    """Interface of our networks. `sees_frames`: bottom-up; else top-down, on one person's picture.
    `has_joint_maps`: one map per joint, as flip test, pose banks, peaks and patches need.
    `finds_joints`: False for a pure person detector."""

    sees_frames: ClassVar[bool] = False
    has_joint_maps: ClassVar[bool] = False
    finds_joints: bool = True


class PictureNet(nn.Module):
    """A network of pictures, with `mean` and `std` (1, 3, 1, 1) of its backbone's training."""

    mean: Tensor
    std: Tensor

    def normalize_by(self, mean: Colour = IMAGE_MEAN, std: Colour = IMAGE_STD) -> None:
        for name, value in (("mean", mean), ("std", std)):
            self.register_buffer(name, torch.tensor(value).view(1, 3, 1, 1), persistent=False)

    def normalized(self, images: Tensor) -> Tensor:
        """The backbone's input from images (B, 3, H, W), uint8 or from 0 to 1; else ModelError."""
        if images.ndim != 4 or images.shape[1] != 3:
            raise ModelError(
                "not a batch of images",
                where=type(self).__name__,
                expected="(B, 3, H, W)",
                got=str(tuple(images.shape)),
            )
        levels = images.to(self.mean.dtype) / 255 if images.dtype == torch.uint8 else images
        return (levels - self.mean) / self.std


class PoseNet(System, PictureNet):
    """A backbone and a block. `features` maps images (B, 3, H, W) to (B, C, h', w'), or to
    StagedFeatures."""

    has_joint_maps = True

    def __init__(
        self,
        features: nn.Module,
        block: nn.Module,
        *,
        mean: Colour = IMAGE_MEAN,
        std: Colour = IMAGE_STD,
        standardize: bool = False,
    ) -> None:
        """`mean` and `std`: of sRGB from 0 to 1, of the backbone's training.

        `standardize`: instead every image by itself to mean 0 and variance 1, over all of its
        pixels and channels.
        """
        super().__init__()
        self.features, self.block, self.standardize = features, block, standardize
        if standardize:
            mean, std = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
        self.normalize_by(mean, std)

    def forward(self, images: Tensor, sample: Any = None) -> PoseOutputs:
        """Run on images (B, 3, H, W), uint8 or from 0 to 1; `sample`: BankSample, in training."""
        found = self.features(self.inputs(images))
        features = found if isinstance(found, StagedFeatures) else StagedFeatures(last=found)
        outputs: PoseOutputs = self.block(features.last, *([] if sample is None else [sample]))
        return dataclasses.replace(outputs, logits=features.logits + outputs.logits)

    def inputs(self, images: Tensor) -> Tensor:
        """The backbone's input from images (B, 3, H, W), uint8 or from 0 to 1."""
        levels = self.normalized(images)
        return standardized(levels) if self.standardize else levels

    def find(self, images: Tensor) -> FoundJoints:
        """Joints of images as in `forward`; ModelError when the maps are not finite."""
        joints, outputs = predict_joints(self, images)
        pixels = images.shape[-1] / outputs.logits[-1].shape[-1]
        return FoundJoints(joints_px=joints.xy * pixels, scores=joints.score)


_MIN_STD = 0.02
"""Minimum standard deviation, five of 255 levels."""


def standardized(images: Tensor) -> Tensor:
    """Images (B, 3, H, W), each less its mean and divided by its standard deviation."""
    spread, middle = torch.var_mean(images, (1, 2, 3), correction=0, keepdim=True)
    return (images - middle) / spread.sqrt().clamp_min(_MIN_STD)


def predict_joints(net: nn.Module, images: Tensor) -> tuple[heatmaps.Decoded, PoseOutputs]:
    """Joints in cells, decoded by expected hits, and the outputs."""
    maps, outputs = predict_maps(net, images)
    return heatmaps.expected_hits(maps), outputs


def predict_maps(
    net: nn.Module, images: Tensor, *, flip: Tensor | None = None
) -> tuple[Tensor, PoseOutputs]:
    """The maps to decode, and all outputs. With `flip` (J,), a skeleton's mirror order, the maps
    are averaged with those of mirrored images. ModelError when a map is not finite."""
    outputs: PoseOutputs = net(images)
    maps = outputs.maps
    if flip is not None:
        maps = (maps + heatmaps.mirrored_maps(net(images.flip(-1)).maps, flip)) / 2
    if not torch.isfinite(maps).all():
        raise not_finite()
    return maps, outputs


def not_finite() -> ModelError:
    return ModelError(
        "the network's maps are not finite",
        got="NaN or infinity",
        then="Its weights are damaged, or the training diverged: use another checkpoint.",
    )


@dataclass(frozen=True, kw_only=True)
class FramePeople:
    """The labels of a frame's P people, in continuous pixels.

    `size`: its (H, W). `joints_px` (P, J, 2), also outside the frame: NaN is unlabelled. `boxes_px`
    (P, 4) x y w h round the whole person: since an unlabelled joint may be anywhere in it, it is
    not trained there. So in the box of a person without any joint people are not
    trained.
    """

    size: tuple[int, int]
    joints_px: F64
    boxes_px: F64


@dataclass(frozen=True, kw_only=True)
class FoundPeople:
    """P people found in a frame, most confident first.

    `joints_px` (P, J, 2) continuous pixels, NaN where a joint was not found; `scores` (P, J), 0
    there; `score` (P,).
    """

    joints_px: F64
    scores: F64
    score: F64

    def __len__(self) -> int:
        return len(self.score)


class FrameNet(PictureNet):
    """Features of whole frames: images (B, 3, H, W) to (B, C, H / STRIDE, W / STRIDE). `multiple`:
    required divisor of H and W."""

    def __init__(self, features: nn.Module, *, multiple: int) -> None:
        super().__init__()
        self.features, self.multiple = features, multiple
        self.normalize_by()

    def forward(self, images: Tensor) -> Tensor:
        """Features; ModelError when the images cannot be divided into cells."""
        features: Tensor = self.features(self.normalized(images))
        size, cells = tuple(images.shape[2:]), tuple(features.shape[2:])
        if any(n % self.multiple for n in size) or size != tuple(m * STRIDE for m in cells):
            raise ModelError(
                "image sides are not multiples of the stride",
                where="FrameNet",
                expected=f"height and width that are multiples of {self.multiple}, and features of "
                f"stride {STRIDE}",
                got=f"{size}, features {cells}",
            )
        return features


def joints_in_cells(frame: FramePeople, stride: int) -> Tensor:
    """Joints (P, J, 2) in cells; NaN is unlabelled."""
    return torch.from_numpy(np.asarray(frame.joints_px, np.float32) / stride)


def is_inside(xy: Tensor, h: int, w: int) -> Tensor:
    """Whether positions (..., 2) are in the frame; False for NaN."""
    x, y = xy.unbind(-1)
    return (x >= 0) & (x < w) & (y >= 0) & (y < h)


def loss_mask(frame: FramePeople, known: Tensor, stride: int) -> Tensor:
    """(C, h, w) where channel c is trained: outside boxes of people whose `known` (P, C) is False.
    An unknown box is the whole frame."""
    h, w = frame.size[0] // stride, frame.size[1] // stride
    x, y = heatmaps.cell_centres(h, w, torch.empty(0)).mul(stride).unbind(-1)
    boxes = torch.from_numpy(np.asarray(frame.boxes_px, np.float32))
    low, high = boxes[:, None, :2], boxes[:, None, :2] + boxes[:, None, 2:]
    beside = (x < low[..., 0]) | (x > high[..., 0]) | (y < low[..., 1]) | (y > high[..., 1])
    inside = ~beside  # (P, h*w); comparisons with NaN are false
    return ~(~known[:, :, None] & inside[:, None]).any(0).view(-1, h, w)


def finite(maps: Tensor) -> F32:
    """A network's output as an array; ModelError when it is not finite."""
    if not torch.isfinite(maps.sum()):
        raise not_finite()
    return maps.detach().float().cpu().numpy()
