"""Small inputs of networks: pictures, and labels of people whom nobody drew."""

from __future__ import annotations

import torch

from synthstudio.models.losses import Labels

J = 17
CELLS = (24, 18)
SIZE = (96, 72)


def images(count: int = 2, size: tuple[int, int] = SIZE) -> torch.Tensor:
    made = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (count, 3, *size), dtype=torch.uint8, generator=made)


def labels(count: int = 2) -> Labels:
    made = torch.Generator().manual_seed(2)
    return Labels(
        xy=torch.rand(count, J, 2, generator=made),
        known=torch.ones(count, J, dtype=torch.bool),
        present=torch.ones(count, J),
        shares=torch.softmax(torch.randn(count, J, 4, generator=made), -1),
        state=torch.full((count, J), 2),
        area=torch.full((count,), 0.5),
        occluder=(torch.rand(count, 1, *CELLS, generator=made) > 0.7).float(),
        xyz_m=torch.randn(count, J, 3, generator=made),
    )
