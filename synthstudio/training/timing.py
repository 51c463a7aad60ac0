"""How long a step of a training takes, timed on random pictures before it begins."""

from __future__ import annotations

import time

import torch

from synthstudio.core.skeleton import Skeleton
from synthstudio.models.blocks.bank import PoseBank
from synthstudio.training import devices, networks
from synthstudio.training.config import Config


def step_seconds(config: Config, skeleton: Skeleton, *, steps: int = 3) -> float:
    """Time the fastest of a few steps, forward and back; data and optimizer are not counted.

    A pretrained backbone is loaded for it.
    """
    device, network = devices.get_device(config.device), config.network
    held = min(network.bank, network.bank_sample) or network.bank
    with torch.random.fork_rng(devices=[]):
        bank = PoseBank(torch.rand(held, len(skeleton.joints), 2)) if held else None
        net = networks.build_network(network, skeleton, bank=bank).to(device).train()
        images = torch.rand(config.batch, 3, *network.size, device=device)
    seconds = []
    for _ in range(steps):
        began = time.monotonic()
        with devices.autocast(device, config.precision):
            outputs = net(images.contiguous(memory_format=torch.channels_last))
        loss = torch.stack([stage.float().logsumexp((2, 3)).sum() for stage in outputs.logits])
        torch.autograd.backward(loss.sum())
        loss.tolist()  # waits for a GPU
        seconds.append(time.monotonic() - began)
    return config.accumulate * min(seconds)
