"""The weights of a small network that has learnt nothing."""

import torch

from synthstudio.core.skeleton import get_skeleton
from synthstudio.models.pose_bank import PoseBank
from synthstudio.training import checkpoint, networks
from synthstudio.training import config as configs


def save(path, *, block="orn", skeleton="coco23", data="none", seed=1, **more):
    network = {"size": [48, 36], "widths": [8, 12], "width": 16, "head": block} | more
    torch.set_num_threads(1)
    train, own = [{"dataset": str(data)}], get_skeleton(skeleton)
    config = configs.parse({"train": train, "name": "tiny", "network": network})
    torch.manual_seed(seed)
    bank = PoseBank(torch.rand(6, len(own.joints), 2)) if block == "orn" else None
    net = networks.build(config.network, own, bank=bank)
    checkpoint.save_weights(path, net, config, skeleton=own, note="untrained")
    return path
