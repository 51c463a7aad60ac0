"""Bottom-up networks as finders: pictures go in at their size, boxes come back at the picture's."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from synthstudio.core.errors import ModelError
from synthstudio.inference.finder import Finder
from synthstudio.inference.frames import bottom_up_finder
from synthstudio.inference.sources import SourceImage
from synthstudio.models.bottom_up.contract import FoundPeople
from synthstudio.models.packaged import WEIGHTS, default_model


class Corner(torch.nn.Linear):
    """Finds one person between the first and the last bright pixel, one who is unsure, and one
    with too few joints."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        assert images.shape == (1, 3, 64, 96) and images.dtype == torch.uint8
        return images

    def decode(self, outputs: torch.Tensor) -> list[FoundPeople]:
        rows, columns = np.nonzero(outputs[0, 0].numpy() > 200)
        low, high = [columns.min(), rows.min()], [columns.max() + 1, rows.max() + 1]
        joints = np.array([[low, high, low, [np.nan] * 2]] * 3, float)
        joints[2, 2] = np.nan
        return [
            FoundPeople(joints_px=joints, scores=np.ones((3, 4)), score=np.array([0.9, 0.1, 0.9]))
        ]


def test_boxes_are_those_of_the_picture() -> None:
    rgb = np.zeros((128, 128, 3), np.uint8)
    rgb[20:100, 40:80] = 255
    net: Any = Corner(1, 1)
    (box,) = bottom_up_finder(net, size=(64, 96))(rgb)
    assert box == pytest.approx([40 - 8, 20 - 8, 40 + 16, 80 + 16], abs=2)


SIZE = (96, 128)


class Bright:
    """A session that finds what is bright three times: surely, less so, and elsewhere unsurely."""

    def run(self, names: list[str], feed: dict[str, Any]) -> list[np.ndarray]:
        assert names == ["scores", "boxes"]
        pixels = feed["images"]
        assert pixels.shape == (1, 3, *SIZE) and pixels.dtype == np.uint8
        rows, columns = np.nonzero(pixels[0, 0] > 200)
        if not len(rows):
            return [np.full((1, 1), 0.1, np.float32), np.zeros((1, 1, 4), np.float32)]
        box = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        near = [box[0] - 1, box[1], box[2], box[3]]
        scores = np.array([[0.6, 0.9, 0.2]], np.float32)
        return [scores, np.array([[near, box, [0, 0, 20, 20]]], np.float32)]


def finder(**options: Any) -> Finder:
    return Finder(session=Bright(), name="bright", size=SIZE, **options)


def bright_box(low: tuple[int, int], high: tuple[int, int], size: tuple[int, int]) -> SourceImage:
    rgb = np.zeros((*size, 3), np.uint8)
    rgb[low[1] : high[1], low[0] : high[0]] = 255
    return SourceImage(number=0, name="a", rgb=rgb)


@pytest.mark.parametrize("size", [(96, 128), (240, 320), (200, 600), (600, 200), (48, 64)])
def test_boxes_are_in_the_pictures_own_pixels(size: tuple[int, int]) -> None:
    low, high = (size[1] // 4, size[0] // 4), (size[1] // 2, size[0] // 2)
    found = finder()(bright_box(low, high, size))
    cell = max(size[0] / SIZE[0], size[1] / SIZE[1])
    wanted = [*low, high[0] - low[0], high[1] - low[1]]
    assert found.xywh == pytest.approx(np.array([wanted]), abs=2 * cell)
    assert found.score.tolist() == pytest.approx([0.9])


def test_boxes_end_with_the_picture_and_doubles_go() -> None:
    whole = bright_box((0, 0), (320, 100), (100, 320))
    found = finder()(whole)
    assert found.xywh.tolist() == [[0, 0, 320, 100]]
    assert len(finder(min_score=0.95)(whole)) == 0
    assert len(finder(min_score=0.15)(whole)) == 1  # its other box lies in the grey above


def test_bad_files_and_answers_are_one_message(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no person finder"):
        Finder.load(default_model())
    (tmp_path / "cut.onnx").write_bytes(default_model().read_bytes()[:1000])
    with pytest.raises(ModelError, match="cannot load"):
        Finder.load(tmp_path / "cut.onnx")
    with pytest.raises(ModelError, match="cannot be read"):
        Finder.load(tmp_path / "none.onnx")

    class Broken(Bright):
        def run(self, names: list[str], feed: dict[str, Any]) -> list[np.ndarray]:
            return [np.full((1, 3), np.nan), np.zeros((1, 3, 4))]

    with pytest.raises(ModelError, match="not finite"):
        Finder(session=Broken(), name="", size=SIZE)(bright_box((0, 0), (9, 9), SIZE))


def test_the_packages_networks_name_no_place_of_where_they_were_made() -> None:
    for file in WEIGHTS.iterdir():
        assert not re.search(rb"/(tmp|home|work|root|Users)/", file.read_bytes()), file.name
