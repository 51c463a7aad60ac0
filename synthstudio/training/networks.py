"""Networks from a config, and weights from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from synthstudio.core.errors import ModelError
from synthstudio.core.extras import import_extra
from synthstudio.core.skeleton import Skeleton
from synthstudio.core.whole_body import SKELETON as WHOLE_BODY
from synthstudio.models.backbones.hourglass import StackedHourglass
from synthstudio.models.backbones.hrnet import HRNet
from synthstudio.models.backbones.pyramid import ConvPyramid, HuggingFaceFeatures, VitPoseFeatures
from synthstudio.models.backbones.sizes import HOURGLASSES, HRNETS, VITS
from synthstudio.models.backbones.vit import ViT
from synthstudio.models.blocks.bank import PoseBank
from synthstudio.models.blocks.heads import ClassicDecoder, PointHead
from synthstudio.models.blocks.kpe import KPE
from synthstudio.models.blocks.orn import ORN
from synthstudio.models.bottom_up.fcpose import FCPose
from synthstudio.models.bottom_up.openpose import OpenPose
from synthstudio.models.bottom_up.personlab import PersonLab
from synthstudio.models.contract import PoseNet
from synthstudio.models.zoomnet import ZoomNet
from synthstudio.training.config import PERSON_HEADS, STRIDE, Network

_LEAST_WINDOW = 8
_STACKS = {"nano": 2, "base": 8}
"""Hourglasses in a row."""
BottomUpNet = OpenPose | PersonLab | FCPose
PersonNet = PoseNet | ZoomNet
"""A network of one person's picture."""
Pretrained = VitPoseFeatures | HuggingFaceFeatures


def build(
    network: Network,
    skeleton: Skeleton,
    *,
    bank: PoseBank | None = None,
    backbone: str = "",
    say: Callable[[str], None] = lambda text: None,
) -> PersonNet | BottomUpNet:
    """Build the network that a config names, with random weights.

    `bank`, `backbone` and `say`: see `build_network`. ModelError for zoomnet unless for people of
    coco133.
    """
    if network.head in PERSON_HEADS:
        return build_network(network, skeleton, bank=bank, backbone=backbone, say=say)
    if network.head == "zoomnet" and skeleton.name != WHOLE_BODY:
        raise ModelError(
            "zoomnet learns whole bodies: face, hands and feet",
            where="network.head",
            expected=f"people of the skeleton {WHOLE_BODY}",
            got=skeleton.title,
            then="Train on people of a recipe with skeleton: coco133, or take another head.",
        )
    features: Any = _features(network, len(skeleton.joints))
    channels = features.channels
    if network.head == "zoomnet":
        # A window has a third of the picture's shorter side in cells: parts up to a quarter of that
        # side are seen at three times the rate of the body's maps or more.
        cells = max(_LEAST_WINDOW, min(network.size) // 12 * 4)
        return ZoomNet(features, channels=channels, width=network.width, cells=cells)
    if network.head == "openpose":
        return OpenPose(features, skeleton, channels=channels)
    if network.head == "personlab":
        return PersonLab(features, skeleton, channels=channels)
    map_weight = 0.0 if network.head == "detector" else 1.0
    return FCPose(features, skeleton, channels=channels, map_weight=map_weight)


def build_network(
    network: Network,
    skeleton: Skeleton,
    *,
    bank: PoseBank | None,
    backbone: str = "",
    say: Callable[[str], None] = lambda text: None,
) -> PoseNet:
    """Build a top-down network with random weights.

    A pretrained backbone comes with its own weights, and `say` gets a report of what matched,
    unless `backbone` (of `describe_backbone`) describes it: then it is random too, and nothing is
    read from disk or the internet.
    """
    joints, size = len(skeleton.joints), network.cells
    if bank is not None:
        bank.sharpness = network.bank_sharpness
    features: Any
    if network.is_external:
        name = network.backbone.removeprefix("transformers:")
        features = _described(backbone) if backbone else _pretrained(name, say)
    else:
        features = _features(network, joints)
    block: nn.Module
    if network.head == "own":
        block = _own_head(network, features.channels, joints)
    elif network.head == "kpe":
        block = KPE(
            features.channels, joints, size=size, width=network.width, layers=network.layers
        )
    else:
        block = ORN(
            features.channels,
            joints,
            size=size,
            bank=bank,
            width=network.width,
            layers=network.layers,
        )
    return PoseNet(features, block, standardize=network.standardize)


def _features(network: Network, joints: int) -> nn.Module:
    """A backbone of our own."""
    size = network.variant
    if network.family == "hrnet":
        return HRNet(HRNETS[size])
    if network.family == "hourglass":
        cells, stacks = network.cells, _STACKS[size]
        return StackedHourglass(HOURGLASSES[size], joints, cells=cells, stacks=stacks)
    if network.family == "vit":
        return ViT(VITS[size], picture=network.size)
    return ConvPyramid(widths=network.widths, channels=network.width, depth=network.depth)


def _own_head(network: Network, channels: int, joints: int) -> nn.Module:
    if network.family != "vit":
        return PointHead(channels, joints, size=network.cells)
    size = VITS[network.variant]
    return ClassicDecoder(channels, joints, times=size.patch // STRIDE, width=size.decoder)


def _pretrained(name: str, say: Callable[[str], None]) -> nn.Module:
    transformers = import_extra("transformers", extra="train")
    try:
        kind, features = _kind(transformers.AutoConfig.from_pretrained(name), name)
        model, found = kind.from_pretrained(
            name, output_loading_info=True, ignore_mismatched_sizes=True
        )
    except (OSError, ValueError, ImportError) as error:
        raise ModelError(
            "the backbone cannot be loaded",
            where=name,
            expected="the name or folder of a transformers model",
            got=str(error)[:200],
        ) from error
    net = features(model)
    prefix = "backbone." if isinstance(net, VitPoseFeatures) else ""
    own = {f"{prefix}{key}" for key in net.backbone.state_dict()}
    missing = sorted(own & set(found["missing_keys"]))
    reshaped = sorted(own & {key for key, *_ in found["mismatched_keys"]})
    loaded = len(own.difference(missing, reshaped))
    if not loaded:
        raise ModelError(
            "none of these weights fits the backbone",
            where=name,
            expected=f"names like {min(own)}",
            got=f"names like {min(found['unexpected_keys'], default='none')}",
            then="Take the folder as it was published, with its config.json.",
        )
    unused = sorted(found["unexpected_keys"])
    lines = matching_report(loaded, missing=missing, unused=unused, reshaped=reshaped)
    say("\n".join([f"pretrained backbone {name}: {lines[0]}", *lines[1:]]))
    return net


def matching_report(
    loaded: int, *, missing: Sequence[str], unused: Sequence[str], reshaped: Sequence[str]
) -> list[str]:
    """What of a file's weights a network took, in lines; the rest by names of its tensors."""
    total = loaded + len({*missing, *reshaped})
    lines = [f"{loaded} of {total} tensors loaded"]
    for title, names in (
        ("not in the file", missing),
        ("not used", unused),
        ("of another shape", reshaped),
    ):
        if names:
            more = f" and {len(names) - 5} more" if len(names) > 5 else ""
            lines.append(f"  {title}: {', '.join(names[:5])}{more}")
    return lines


def _kind(config: Any, name: str) -> tuple[Any, Callable[[Any], Pretrained]]:
    """The class of a transformers config's backbone, and what makes features of such a model."""
    transformers = import_extra("transformers", extra="train")
    if config.model_type == "vitpose":
        return transformers.VitPoseForPoseEstimation, VitPoseFeatures
    backbones = transformers.MODEL_FOR_BACKBONE_MAPPING
    if type(config) not in backbones:
        raise ModelError(
            f"a {config.model_type} is no backbone",
            where=name or "checkpoint",
            expected="one that AutoBackbone knows",
        )
    # AutoBackbone.from_pretrained of transformers 5 takes no folder, and always asks its hub.
    return backbones[type(config)], HuggingFaceFeatures


def describe_backbone(net: nn.Module) -> str:
    """The config of a network's transformers backbone as JSON, for `build_network`; "": none."""
    features = getattr(net, "features", None)
    if not isinstance(features, HuggingFaceFeatures | VitPoseFeatures):
        return ""
    config = features.backbone.config.to_dict()
    if isinstance(features, VitPoseFeatures):
        config = {"model_type": "vitpose", "backbone_config": config}
    return json.dumps(config, sort_keys=True)


def _described(backbone: str) -> nn.Module:
    transformers = import_extra("transformers", extra="train")
    try:
        config = transformers.AutoConfig.for_model(**json.loads(backbone))
        kind, features = _kind(config, "")
        return features(kind(config))
    except (OSError, ValueError, TypeError, KeyError, ImportError) as error:
        raise ModelError(
            "the backbone's description is damaged",
            where="checkpoint",
            expected="a config of transformers",
            got=str(error)[:200],
        ) from error


def layers_below_top(net: nn.Module) -> dict[str, int]:
    """How many backbone layers lie above each of the backbone's parameters, by name.

    A layer is the first number in a name. Embeddings and stems, before the first layer, count as
    one below it; what follows the last layer belongs to it.
    """
    level, found = 0, {}
    for name, _ in net.named_parameters():
        if name.startswith("features."):
            number = next((int(part) for part in name.split(".") if part.isdigit()), None)
            level = level if number is None else number + 1
            found[name] = level
    top = max(found.values(), default=0)
    return {name: top - level for name, level in found.items()}


def empty_bank(state: Mapping[str, Tensor]) -> PoseBank | None:
    """A bank of the size that a checkpoint holds, for its weights to be loaded into."""
    poses = state.get("block.bank.poses")
    if poses is None:
        return None
    xyz = state.get("block.bank.xyz_m")
    return PoseBank(torch.zeros_like(poses), None if xyz is None else torch.zeros_like(xyz))


def set_share_balance(net: nn.Module, balance: NDArray[np.float64]) -> None:
    """Store the loss weights (4,) of the shares in a block that undoes them in evaluation."""
    block = getattr(net, "block", None)
    if isinstance(block, ORN):
        block.balance.copy_(torch.from_numpy(balance))


def use_channels_last(net: nn.Module) -> None:
    """Lay convolutions' weights out as they are fastest."""
    for parameter in net.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)
