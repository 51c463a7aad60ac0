"""Networks from a config, banks of poses from training people, and weights from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from synthstudio.core.errors import ModelError, explain
from synthstudio.core.rng import stream
from synthstudio.core.skeleton import Skeleton
from synthstudio.models.bank import PoseBank
from synthstudio.models.contract import PoseNet
from synthstudio.models.features import ConvPyramid, HuggingFaceFeatures, VitPoseFeatures
from synthstudio.models.kpe import KPE
from synthstudio.models.orn import ORN
from synthstudio.training.config import Network
from synthstudio.training.crops import MARGIN, Crops

STRIDE = 4


def cells(network: Network) -> tuple[int, int]:
    """Return (h, w) of the maps: a cell is STRIDE pixels of the network's picture."""
    return network.size[0] // STRIDE, network.size[1] // STRIDE


def build(network: Network, skeleton: Skeleton, *, bank: PoseBank | None) -> PoseNet:
    """Return the network that a config describes, with random weights."""
    features: Any
    if network.pretrained:
        features = _pretrained(network)
    else:
        features = ConvPyramid(widths=network.widths, channels=network.width, depth=network.depth)
    joints, size = len(skeleton.joints), cells(network)
    block: nn.Module
    if network.block == "kpe":
        block = KPE(features.channels, joints, size=size, width=network.width, depth=network.layers)
    else:
        block = ORN(
            features.channels, joints, size=size, bank=bank, width=network.width,
            attention=network.attention, refine=network.refine,
        )  # fmt: skip
    return PoseNet(features, block)


def _pretrained(network: Network) -> nn.Module:
    """Return a backbone of transformers: any AutoBackbone, or that of a ViTPose."""
    from transformers import MODEL_FOR_BACKBONE_MAPPING, AutoConfig, VitPoseForPoseEstimation

    name = network.pretrained
    try:
        config = AutoConfig.from_pretrained(name)
        if config.model_type == "vitpose":
            return VitPoseFeatures(VitPoseForPoseEstimation.from_pretrained(name))
        # AutoBackbone.from_pretrained of transformers 5 takes no folder, and always asks its hub.
        kind: Any = MODEL_FOR_BACKBONE_MAPPING[type(config)]
        return HuggingFaceFeatures(kind.from_pretrained(name))
    except KeyError as error:
        what = f"a {config.model_type} is no backbone"
        raise ModelError(
            explain(what, where=name, expected="one that AutoBackbone knows")
        ) from error
    except (OSError, ValueError) as error:
        raise ModelError(
            explain("the backbone cannot be loaded", where=name,
                    expected="a name or folder of transformers", got=str(error)[:200])
        ) from error  # fmt: skip


def pose_bank(
    crops: Crops, skeleton: Skeleton, *, rows: NDArray[np.int64], size: tuple[int, int],
    count: int, seed: int,
) -> PoseBank | None:  # fmt: skip
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
        for title, names in (("not in the file", self.missing), ("not used", self.unused),
                             ("of another shape", self.misfits)):  # fmt: skip
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
            explain("none of these weights fits the network", where=where,
                    expected=f"names like {next(iter(own))}",
                    got=f"names like {next(iter(state), 'none')}")
        )  # fmt: skip
    net.load_state_dict(fitting, strict=False)
    return Matched(
        taken=tuple(fitting),
        missing=tuple(k for k in own if k not in fitting),
        unused=tuple(k for k in state if k not in own),
        misfits=tuple(k for k in state if k in own and own[k].shape != state[k].shape),
    )
