"""Boxes of people from a bottom-up network of whole frames (models/bottom_up)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import torch

from synthstudio.inference.answers import F64, U8
from synthstudio.inference.second_look import MARGIN
from synthstudio.models.bottom_up.contract import BottomUp, FoundPeople


def bottom_up_finder(
    net: BottomUp[Any, Any],
    *,
    size: tuple[int, int],
    device: str = "cpu",
    min_score: float = 0.3,
) -> Callable[[U8], F64]:
    """A function from a picture (H, W, 3) to boxes (P, 4) x y w h, as `ss.live(finder=...)` takes.

    The picture is scaled into `size` (H, W), what the network was trained on, and filled with
    grey. People below `min_score`, or with fewer than three joints, are left out.
    """
    high, wide = size

    def find(rgb: U8) -> F64:
        scale = min(high / rgb.shape[0], wide / rgb.shape[1])
        rows, columns = (max(1, round(side * scale)) for side in rgb.shape[:2])
        sheet = np.full((high, wide, 3), 114, np.uint8)
        sheet[:rows, :columns] = cv2.resize(rgb, (columns, rows), interpolation=cv2.INTER_AREA)
        images = torch.from_numpy(sheet.transpose(2, 0, 1)[None].copy()).to(device)
        with torch.inference_mode():
            (people,) = net.decode(net(images))
        return np.asarray(boxes_of(people, min_score=min_score) / scale)

    return find


def boxes_of(people: FoundPeople, *, min_score: float) -> F64:
    """Boxes (P, 4) x y w h about the joints of people, a margin wider."""
    boxes = []
    for joints, score in zip(people.joints_px, people.score, strict=True):
        there = joints[np.isfinite(joints).all(-1)]
        if score < min_score or len(there) < 3:
            continue
        low, high = there.min(0), there.max(0)
        margin = MARGIN * float((high - low).max())
        if margin > 0:
            boxes.append(np.concatenate([low - margin, high - low + 2 * margin]))
    return np.array(boxes, np.float64).reshape(-1, 4)
