"""Networks from a config, banks of poses from training people, and weights from elsewhere."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from synthstudio.core.errors import ModelError
from synthstudio.core.rng import stream
from synthstudio.core.skeleton import Skeleton
from synthstudio.models.backbones.pyramid import ConvPyramid, HuggingFaceFeatures, VitPoseFeatures
from synthstudio.models.blocks.bank import PoseBank
from synthstudio.models.blocks.kpe import KPE
from synthstudio.models.blocks.orn import ORN
from synthstudio.models.contract import PoseNet
from synthstudio.training.config import STRIDE, Network
from synthstudio.training.crops import MARGIN, Crops


def cells(network: Network) -> tuple[int, int]:
    """Return (h, w) of the maps: a cell is STRIDE pixels of the network's picture."""
    return network.size[0] // STRIDE, network.size[1] // STRIDE


def build(
    network: Network, skeleton: Skeleton, *, bank: PoseBank | None, backbone: str = ""
) -> PoseNet:
    """Return the network that a config describes, with random weights.

    A pretrained backbone comes with its own ones, unless `backbone` (what `told_backbone` says)
    describes it: then it is random too, and nothing is read from disk or network.
    """
    features: Any
    if network.pretrained:
        features = _described(backbone) if backbone else _pretrained(network)
    else:
        features = ConvPyramid(widths=network.widths, channels=network.width, depth=network.depth)
    joints, size = len(skeleton.joints), cells(network)
    block: nn.Module
    if network.block == "kpe":
        block = KPE(features.channels, joints, size=size, width=network.width, depth=network.layers)
    else:
        block = ORN(
            features.channels,
            joints,
            size=size,
            bank=bank,
            width=network.width,
            attention=network.attention,
            refine=network.refine,
            last_word=network.last_word,
        )
    return PoseNet(features, block)


def _pretrained(network: Network) -> nn.Module:
    """Return a backbone of transformers: any AutoBackbone, or that of a ViTPose."""
    from transformers import AutoConfig

    name = network.pretrained
    try:
        return _backbone(AutoConfig.from_pretrained(name), name)
    except (OSError, ValueError, ImportError) as error:
        raise ModelError(
            "the backbone cannot be loaded",
            where=name,
            expected="a name or folder of transformers",
            got=str(error)[:200],
        ) from error


def _backbone(config: Any, name: str) -> nn.Module:
    """Return the backbone of a config: with the weights of `name`, or random ones for ""."""
    from transformers import MODEL_FOR_BACKBONE_MAPPING, VitPoseForPoseEstimation

    if config.model_type == "vitpose":
        vitpose: Any = VitPoseForPoseEstimation
        return VitPoseFeatures(vitpose.from_pretrained(name) if name else vitpose(config))
    if type(config) not in MODEL_FOR_BACKBONE_MAPPING:
        raise ModelError(
            f"a {config.model_type} is no backbone",
            where=name or "checkpoint",
            expected="one that AutoBackbone knows",
        )
    # AutoBackbone.from_pretrained of transformers 5 takes no folder, and always asks its hub.
    kind: Any = MODEL_FOR_BACKBONE_MAPPING[type(config)]
    return HuggingFaceFeatures(kind.from_pretrained(name) if name else kind(config))


def told_backbone(net: nn.Module) -> str:
    """Return what describes the backbone of transformers in a network, for `build`; "": none."""
    features = getattr(net, "features", None)
    if not isinstance(features, HuggingFaceFeatures | VitPoseFeatures):
        return ""
    told = features.backbone.config.to_dict()
    if isinstance(features, VitPoseFeatures):
        told = {"model_type": "vitpose", "backbone_config": told}
    return json.dumps(told, sort_keys=True)


def _described(backbone: str) -> nn.Module:
    from transformers import AutoConfig

    try:
        told = json.loads(backbone)
        return _backbone(AutoConfig.for_model(**told), "")
    except (OSError, ValueError, TypeError, KeyError, ImportError) as error:
        raise ModelError(
            "the backbone's description is damaged",
            where="checkpoint",
            expected="a config of transformers",
            got=str(error)[:200],
        ) from error


def below_top(net: nn.Module) -> dict[str, int]:
    """Return how many layers of the backbone lie above each of its parameters, by name.

    A layer is the first number in a name. What comes before the first layer (embeddings, a stem)
    is one below it, what comes behind the last one belongs to it.
    """
    level, found = 0, {}
    for name, _ in net.named_parameters():
        if name.startswith("features."):
            number = next((int(part) for part in name.split(".") if part.isdigit()), None)
            level = level if number is None else number + 1
            found[name] = level
    top = max(found.values(), default=0)
    return {name: top - level for name, level in found.items()}


def pose_bank(
    crops: Crops,
    skeleton: Skeleton,
    *,
    rows: NDArray[np.int64],
    size: tuple[int, int],
    count: int,
    seed: int,
) -> PoseBank | None:
    """Return `count` poses of people and their mirror images, spread over what they do.

    `rows` (R,): the crops to take from, none but those that are learnt from. Only people whose
    joints are all known take part, hidden or not; poses are drawn without putting back. None
    when nobody's pose is whole, or `count` is 0.
    """
    rows = np.sort(rows)
    whole = rows[np.isfinite(crops.xy[rows]).all((1, 2)) & (crops.state[rows] != 255).all(1)]
    if not count or not len(whole):
        return None
    _, first = np.unique(
        crops.group[whole] * 1000 + crops.instance[whole] % 1000, return_index=True
    )
    whole = whole[np.sort(first)]  # a moment's variants show one pose
    drawn = stream(seed, "bank").permutation(whole)[: max(count // 2, 1)]
    wide_high = np.array([size[1], size[0]], np.float64)
    poses = (crops.xy[drawn] - wide_high * (MARGIN - 1) / 2) / wide_high
    mirrored = (poses * [-1, 1] + [1, 0])[:, skeleton.flip]
    xyz = crops.xyz_m[drawn]
    both = np.concatenate([xyz, (xyz * [-1, 1, 1])[:, skeleton.flip]])
    return PoseBank(
        torch.from_numpy(np.concatenate([poses, mirrored])).float(),
        torch.from_numpy(both).float() if np.isfinite(both).all() else None,
    )


def empty_bank(state: Mapping[str, Tensor]) -> PoseBank | None:
    """Return a bank of the size that a checkpoint holds, for its weights to be loaded into."""
    poses = state.get("block.bank.poses")
    if poses is None:
        return None
    xyz = state.get("block.bank.xyz_m")
    return PoseBank(torch.zeros_like(poses), None if xyz is None else torch.zeros_like(xyz))


@dataclass(frozen=True, kw_only=True)
class Matched:
    """What of a checkpoint went into a network: names of tensors."""

    taken: tuple[str, ...]
    missing: tuple[str, ...]  # of the network, kept as they were
    unused: tuple[str, ...]  # of the checkpoint
    misfits: tuple[str, ...]  # in both, of other shapes

    def text(self) -> str:
        """Return it as lines."""
        lines = [f"{len(self.taken)} of {len(self.taken) + len(self.missing)} tensors loaded"]
        for title, names in (
            ("not in the file", self.missing),
            ("not used", self.unused),
            ("of another shape", self.misfits),
        ):
            if names:
                more = f" and {len(names) - 5} more" if len(names) > 5 else ""
                lines.append(f"  {title}: {', '.join(names[:5])}{more}")
        return "\n".join(lines)


def take_weights(net: nn.Module, state: Mapping[str, Tensor], *, where: str) -> Matched:
    """Load what fits by name and shape; ModelError when nothing does."""
    own = net.state_dict()
    fitting = {k: v for k, v in state.items() if k in own and own[k].shape == v.shape}
    if not fitting:
        raise ModelError(
            "none of these weights fits the network",
            where=where,
            expected=f"names like {next(iter(own))}",
            got=f"names like {next(iter(state), 'none')}",
        )
    net.load_state_dict(fitting, strict=False)
    return Matched(
        taken=tuple(fitting),
        missing=tuple(k for k in own if k not in fitting),
        unused=tuple(k for k in state if k not in own),
        misfits=tuple(k for k in state if k in own and own[k].shape != state[k].shape),
    )


def weigh(net: PoseNet, balance: NDArray[np.float64]) -> None:
    """Tell a block that says shares by what the loss weighs them, (4,), for it to undo that."""
    if isinstance(net.block, ORN):
        net.block.balance.copy_(torch.from_numpy(balance))
