"""Optical flow between frames, and maps moved along it. Letters: B pictures, h, w cells."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from synthstudio.core.errors import ModelError
from synthstudio.models.heatmaps import cell_centres

F32 = NDArray[np.float32]
U8 = NDArray[np.uint8]


def flow_from(current: U8, others: Sequence[U8 | None]) -> F32:
    """(T, 2, H, W) pixels x y: where what a pixel of `current` shows lies in each other picture.

    Pictures (H, W, 3) RGB; by DIS (Kroeger et al. 2016). 0 for None, a frame that is missing.
    ModelError for a picture of another size.
    """
    dis = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    grey = cv2.cvtColor(current, cv2.COLOR_RGB2GRAY)
    out = np.zeros((len(others), 2, *grey.shape), np.float32)
    for number, other in enumerate(others):
        if other is None or other is current:
            continue
        if other.shape != current.shape:
            raise ModelError(
                "frames of one clip differ in size",
                where=f"flow_from, picture {number}",
                expected=str(current.shape),
                got=str(other.shape),
                then="Resize them, or begin a new clip where the size changes.",
            )
        start = np.zeros((*grey.shape, 2), np.float32)
        found = dis.calc(grey, cv2.cvtColor(other, cv2.COLOR_RGB2GRAY), start)
        out[number] = np.moveaxis(found, -1, 0)
    return out


def warped(maps: Tensor, flow_px: Tensor) -> Tensor:
    """Maps (B, C, h, w) of other pictures, moved to where the current one shows the same.

    `flow_px` (B, 2, H, W) as `flow_from` has it, of pictures of any multiple of the maps' size.
    Bilinear; what comes from outside the picture is the border's.
    """
    h, w = maps.shape[-2:]
    scale = torch.tensor([w / flow_px.shape[-1], h / flow_px.shape[-2]]).to(maps)
    flow = F.interpolate(flow_px.to(maps), size=(h, w), mode="area")
    at = cell_centres(h, w, maps).view(h, w, 2) + flow.movedim(1, -1) * scale
    grid = 2 * at / torch.tensor([w, h]).to(maps) - 1
    return F.grid_sample(maps, grid, mode="bilinear", padding_mode="border", align_corners=False)
