"""Networks from a config, and weights from elsewhere."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from synthstudio.core.errors import ModelError
from synthstudio.core.skeleton import Skeleton
from synthstudio.core.whole_body import SKELETON as WHOLE_BODY
from synthstudio.models import external_backbones
from synthstudio.models.backbones import ConvPyramid, HRNet, StackedHourglass, ViT
from synthstudio.models.bottom_up.fcpose import FCPose
from synthstudio.models.bottom_up.openpose import OpenPose
from synthstudio.models.bottom_up.personlab import PersonLab
from synthstudio.models.contract import PoseNet, System
from synthstudio.models.heads import KPE, ORN, ClassicDecoder, KeptHead, PointHead
from synthstudio.models.packaged import HOURGLASSES, HRNETS, VITS
from synthstudio.models.pose_bank import PoseBank
from synthstudio.models.zoomnet import ZoomNet
from synthstudio.training.config import STRIDE, Network

_MIN_WINDOW = 8
_STACKS = {"nano": 2, "base": 8}
"""Hourglasses in a row."""
BottomUpNet = OpenPose | PersonLab | FCPose
NECK = ("features.laterals.", "features.norm.")
"""Parameters with the head's learning rate: an external backbone's new parts, a vit's last norm."""


def build(
    network: Network,
    skeleton: Skeleton,
    *,
    bank: PoseBank | None = None,
    backbone: str = "",
    weights: str = "",
    log: Callable[[str], None] = lambda text: None,
) -> System:
    """Build the network of a config, with random weights.

    An external backbone comes with its published weights, those of a file (`weights`) or
    external_backbones.RANDOM ones, and `log` receives a report of matches, unless `backbone` (of
    `describe_backbone`; "{}": of ours) is a checkpoint's: then nothing is read from disk or the
    internet. ModelError for zoomnet unless for people of coco133.
    """
    if network.system != "topdown":
        return _other_system(network, skeleton)
    joints, levels = len(skeleton.joints), {}
    features: Any
    if network.is_external:
        request = external_backbones.Request(
            name=network.backbone,
            size=network.size,
            weights=weights,
            own_head=network.head == "own",
            stored=backbone,
        )
        features = external_backbones.build(request, joints=joints, width=network.width, log=log)
        levels = {"mean": features.mean, "std": features.std}
    else:
        features = _features(network, joints)
    block = _block(network, features.channels, joints, bank, stored=bool(backbone))
    if ":" in network.head and not backbone:
        external_backbones.check_head(network.head, features, block, joints, size=network.size)
    return PoseNet(features, block, standardize=network.standardize, **levels)


def _block(
    network: Network, channels: int, joints: int, bank: PoseBank | None, *, stored: bool
) -> nn.Module:
    """The head of a top-down network, after a backbone of `channels`."""
    size, width = network.cells, network.width
    if ":" in network.head:
        head: nn.Module = external_backbones.call(
            network.head, channels, joints, size=size, width=width, stored=stored, part="head"
        )
        return head
    if network.head == "own" and network.is_external:
        return KeptHead(size=size)
    if network.head == "own" and network.family == "vit":
        vit = VITS[network.variant]
        return ClassicDecoder(channels, joints, times=vit.patch // STRIDE, width=vit.decoder)
    if network.head == "own":
        return PointHead(channels, joints, size=size)
    if network.head == "kpe":
        return KPE(channels, joints, size=size, width=width, layers=network.layers)
    if bank is not None:
        bank.sharpness = network.bank_sharpness
    return ORN(channels, joints, bank=bank, size=size, width=width, layers=network.layers)


def _other_system(network: Network, skeleton: Skeleton) -> System:
    """ZoomNet, or a system of whole frames; ModelError for zoomnet unless for people of coco133."""
    if network.head == "zoomnet" and skeleton.name != WHOLE_BODY:
        raise ModelError(
            "zoomnet learns whole bodies: face, hands and feet",
            where="network.head",
            expected=f"people of the skeleton {WHOLE_BODY}",
            got=skeleton.title,
            then="Train on people of a recipe with skeleton: coco133, or use another head.",
        )
    features: Any = _features(network, len(skeleton.joints))
    channels = features.channels
    if network.head == "zoomnet":
        # A window has a third of the picture's shorter side in cells: parts up to a quarter of that
        # side are sampled at three times the rate of the body's maps or more.
        cells = max(_MIN_WINDOW, min(network.size) // 12 * 4)
        return ZoomNet(features, channels=channels, width=network.width, cells=cells)
    if network.head == "openpose":
        return OpenPose(features, skeleton, channels=channels)
    if network.head == "personlab":
        return PersonLab(features, skeleton, channels=channels)
    map_weight = 0.0 if network.head == "detector" else 1.0
    return FCPose(features, skeleton, channels=channels, map_weight=map_weight)


def _features(network: Network, joints: int) -> nn.Module:
    size = network.variant
    if network.family == "hrnet":
        return HRNet(HRNETS[size])
    if network.family == "hourglass":
        cells, stacks = network.cells, _STACKS[size]
        return StackedHourglass(HOURGLASSES[size], joints, cells=cells, stacks=stacks)
    if network.family == "vit":
        return ViT(VITS[size], picture=network.size)
    assert network.family == "pyramid", network.family
    return ConvPyramid(widths=network.widths, channels=network.width, depth=network.depth)


def describe_backbone(net: nn.Module) -> str:
    """Description of a network's external backbone for `build`; "": none."""
    return getattr(getattr(net, "features", None), "description", "")


def layers_below_top(net: nn.Module) -> dict[str, int]:
    """Number of layers above each parameter of the backbone, by name. A layer is the first number
    in a name; stems count as one below the first, parameters after the last as of it."""
    level, found = 0, {}
    for name, _ in net.named_parameters():
        if name.startswith("features.") and not name.startswith(NECK):
            number = next((int(part) for part in name.split(".") if part.isdigit()), None)
            level = level if number is None else number + 1
            found[name] = level
    top = max(found.values(), default=0)
    return {name: top - level for name, level in found.items()}


def empty_bank(state: Mapping[str, Tensor]) -> PoseBank | None:
    """An empty bank of a checkpoint's size, to load its weights into."""
    poses = state.get("block.bank.poses")
    if poses is None:
        return None
    xyz = state.get("block.bank.xyz_m")
    return PoseBank(torch.zeros_like(poses), None if xyz is None else torch.zeros_like(xyz))
