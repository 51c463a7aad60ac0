"""Bottom-up networks as finders: pictures go in at their size, boxes come back at the picture's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from synthstudio.inference.bottom_up import bottom_up_finder, boxes_of
from synthstudio.models.bottom_up.contract import FoundPeople


class Corner:
    """Finds one person between the first and the last bright pixel, and one who is unsure."""

    def __call__(self, images: torch.Tensor) -> torch.Tensor:
        assert images.shape == (1, 3, 64, 96) and images.dtype == torch.uint8
        return images

    def decode(self, outputs: torch.Tensor) -> list[FoundPeople]:
        rows, columns = np.nonzero(outputs[0, 0].numpy() > 200)
        low, high = [columns.min(), rows.min()], [columns.max() + 1, rows.max() + 1]
        joints = np.array([low, high, low, [np.nan, np.nan]], float)
        return [
            FoundPeople(
                joints_px=np.stack([joints, joints]),
                scores=np.ones((2, 4)),
                score=np.array([0.9, 0.1]),
            )
        ]


def test_boxes_are_those_of_the_picture() -> None:
    rgb = np.zeros((128, 128, 3), np.uint8)
    rgb[20:100, 40:80] = 255
    net: Any = Corner()
    (box,) = bottom_up_finder(net, size=(64, 96))(rgb)
    margin = 0.07 * 80
    assert box == pytest.approx([40 - margin, 20 - margin, 40 + 2 * margin, 80 + 2 * margin], abs=2)


def test_people_with_too_few_joints_are_left_out() -> None:
    joints = np.full((1, 5, 2), np.nan)
    joints[0, :2] = [[1, 2], [30, 40]]
    people = FoundPeople(joints_px=joints, scores=np.ones((1, 5)), score=np.ones(1))
    assert boxes_of(people, min_score=0).shape == (0, 4)
