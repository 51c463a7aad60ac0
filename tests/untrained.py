"""The weights of a small network that has learnt nothing."""

import torch

from synthstudio.core.skeleton import get_skeleton
from synthstudio.models.blocks.bank import PoseBank
from synthstudio.training import checkpoint, networks
from synthstudio.training import config as configs


def save(path, *, block="orn", skeleton="coco23", data="none", seed=1):
    """Write the weights of a network of 48 x 36 pixels, "trained" on `data`, and return `path`."""
    network = {"size": [48, 36], "widths": [8, 12], "width": 16, "head": block}
    config, own = _config(network, data), get_skeleton(skeleton)
    torch.manual_seed(seed)
    bank = PoseBank(torch.rand(6, len(own.joints), 2)) if block == "orn" else None
    net = networks.build_network(config.network, own, bank=bank)
    checkpoint.save_weights(path, net, config, skeleton=own, note="untrained")
    return path


def save_system(path, system="fcpose", *, eager=False):
    """The same of a system of whole frames, 96 x 128 pixels. `eager`: it finds people in plenty."""
    network = {"head": system, "size": [96, 128], "widths": [8, 12, 16], "width": 12}
    config, own = _config(network, "none"), get_skeleton("coco23")
    net = networks.build(config.network, own)
    if eager:
        torch.nn.init.constant_(dict(net.named_parameters())["said.bias"][:1], 4.0)
    checkpoint.save_weights(path, net, config, skeleton=own, note="untrained")
    return path


def _config(network, data):
    torch.set_num_threads(1)
    torch.manual_seed(1)
    train = [{"dataset": str(data)}]
    return configs.parse({"train": train, "name": "tiny", "network": network})
