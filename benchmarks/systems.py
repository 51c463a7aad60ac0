"""Parameters and operations of every system: the table of docs/systems.md.

    python -m benchmarks.systems

Operations are those of one picture's convolutions and products, a multiplication and an addition
each counted (PyTorch's FlopCounterMode). Networks without a pose bank are built and run on
PyTorch's meta device, which knows shapes alone, so the largest cost nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch  # noqa: TID253 - it counts networks
from torch.utils.flop_counter import FlopCounterMode  # noqa: TID253

from synthstudio.core.skeleton import get_skeleton
from synthstudio.models.blocks.bank import PoseBank
from synthstudio.training.config_network import Network
from synthstudio.training.networks import build_network

SMALL, LARGE = (96, 72), (256, 192)
JOINTS = "coco17"
BANK = 1000
SYSTEMS: dict[str, dict[str, Any]] = {
    "pyramid": {"size": SMALL},
    "hrnet nano": {"backbone": "hrnet", "size": SMALL},
    "hrnet w32": {"backbone": "hrnet", "variant": "w32", "size": LARGE},
    "hrnet w48": {"backbone": "hrnet", "variant": "w48", "size": LARGE},
    "hourglass nano, 2": {"backbone": "hourglass", "size": SMALL},
    "hourglass base, 2": {"backbone": "hourglass", "variant": "base", "size": LARGE},
    "hourglass base, 8": {
        "backbone": "hourglass", "variant": "base", "stacks": 8, "size": LARGE,
    },
    "vit nano, classic": {"backbone": "vit", "size": SMALL},
    "vit nano, simple": {"backbone": "vit", "decoder": "simple", "size": SMALL},
    "vit small, classic": {"backbone": "vit", "variant": "small", "size": LARGE},
    "vit base, classic": {"backbone": "vit", "variant": "base", "size": LARGE},
    "vit base, simple": {
        "backbone": "vit", "variant": "base", "decoder": "simple", "size": LARGE,
    },
}  # fmt: skip
BLOCKS = ("own", "kpe", "orn")


@dataclass(frozen=True, kw_only=True)
class Cost:
    parameters: int
    operations: int


def cost(network: Network) -> Cost:
    """What a network with a bank of BANK poses has and does for one picture in evaluation."""
    skeleton = get_skeleton(JOINTS)
    with torch.device("cpu" if network.block == "orn" else "meta"):
        bank = PoseBank(torch.rand(BANK, len(skeleton.joints), 2))
        net = build_network(network, skeleton, bank=bank if network.block == "orn" else None)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            net.eval()(torch.zeros(1, 3, *network.size))
    return Cost(
        parameters=sum(p.numel() for p in net.parameters()),
        operations=int(counter.get_total_flops()),
    )


def rows() -> list[str]:
    """The lines of the table: picture, then parameters in M and operations in G of each block."""
    out = []
    for name, fields in SYSTEMS.items():
        height, width = fields["size"]
        cells = [name, f"{height}x{width}"]
        for block in BLOCKS:
            found = cost(Network(block=block, **fields))
            cells.append(f"{found.parameters / 1e6:.2f}, {found.operations / 1e9:.3f}")
        out.append(f"| {' | '.join(cells)} |")
    return out


def main() -> None:
    """Print the table."""
    print("| system | picture | own head: M, G | KPE: M, G | ORN: M, G |")
    print("|---|---|---|---|---|")
    print("\n".join(rows()))


if __name__ == "__main__":
    main()
