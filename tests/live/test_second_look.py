"""Without boxes: one person a picture, in the box about what a first look finds."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from synthstudio.inference.finder import (
    MARGIN,
    UNSURE,
    agreed_people,
    find_people,
    second_look,
)
from synthstudio.inference.predict import CropPredictions, predict
from synthstudio.inference.sources import Boxes, SourceImage

SIZE = (96, 72)
CORNERS = np.array([[150.0, 60.0], [190.0, 60.0], [190.0, 140.0], [150.0, 140.0]])


def picture(*, person: bool = True) -> SourceImage:
    rgb = np.full((240, 320, 3), 90, np.uint8)
    if person:
        cv2.rectangle(rgb, (150, 60), (189, 139), (255, 0, 0), -1)  # pixels' corners are CORNERS
    return SourceImage(number=0, name="a", rgb=rgb)


def red_corners(crops: NDArray[np.uint8]) -> CropPredictions:
    """A network whose four joints are the corners of what is red; none without."""
    count = len(crops)
    xy, present = np.full((count, 4, 2), -1.0), np.zeros((count, 4))
    for k, crop in enumerate(crops):
        rows, columns = np.nonzero(crop[..., 0].astype(int) - crop[..., 1] > 80)
        if len(rows):
            (x, y), (far_x, far_y) = (
                (columns.min(), rows.min()),
                (columns.max() + 1, rows.max() + 1),
            )
            xy[k], present[k] = [[x, y], [far_x, y], [far_x, far_y], [x, far_y]], 1
    ones = np.ones((count, 4))
    return CropPredictions(
        xy=xy, score=ones, shares=np.full((count, 4, 4), np.nan), quality=ones, present=present,
        peaks=np.zeros((count, 4, 0, 3)),
    )  # fmt: skip


def test_the_second_look_is_at_the_person_and_finds_them_closer() -> None:
    find = second_look(red_corners, size=SIZE)
    box = find(picture()).xywh[0]
    assert box == pytest.approx([150 - 80 * MARGIN, 60 - 80 * MARGIN, 40 + 160 * MARGIN,
                                 80 + 160 * MARGIN], abs=8)  # fmt: skip
    whole = Boxes(xywh=np.array([[0.0, 0, 320, 240]]), score=np.ones(1))
    first = next(predict(red_corners, [picture()], lambda _: whole, size=SIZE))
    second = next(predict(red_corners, [picture()], find, size=SIZE))
    off = [np.abs(person.xy - CORNERS).max() for person in (first, second)]
    assert off[1] < 1.5 < off[0]


def test_nobody_found_or_boxes_that_came_with_it_leave_the_first_boxes() -> None:
    find = second_look(red_corners, size=SIZE)
    assert find(picture(person=False)).xywh.tolist() == [[0, 0, 320, 240]]
    own = Boxes(xywh=np.array([[10.0, 20, 30, 40], [50, 60, 70, 80]]), score=np.ones(2))
    given = picture()
    given = SourceImage(number=0, name="a", rgb=given.rgb, boxes=own)
    assert find(given) is own


def test_detector_and_network_have_to_agree_and_nobody_is_found_twice() -> None:
    """Of four boxes one holds nobody whom the network knows, two hold the same person."""
    boxes = np.array([[145.0, 55, 50, 90], [150, 60, 42, 84], [10, 10, 40, 80], [140, 50, 60, 100]])
    scores = np.array([0.6, 0.5, 0.9, 0.1])

    def detector(image: SourceImage) -> Boxes:
        return Boxes(xywh=boxes, score=scores)

    def sure_of_red(crops: NDArray[np.uint8]) -> CropPredictions:
        found = red_corners(crops)
        sure = np.where(found.present > 0, 0.8, 0.1)
        return dataclasses.replace(found, quality=sure)

    find = agreed_people(detector, sure_of_red, size=SIZE, least=0.3)
    found = find(picture())
    assert found.xywh.tolist() == [boxes[0].tolist()] and found.score.tolist() == [0.6]
    few = agreed_people(detector, sure_of_red, size=SIZE, least=0.05)
    assert few(picture()).xywh.tolist() == boxes[[0, 2]].tolist()  # each once, the better box
    whole = find(picture(person=False))
    assert whole.xywh.tolist() == [[0, 0, 320, 240]]  # nobody: as without a detector
    assert whole.score.tolist() == [UNSURE]
    own = Boxes(xywh=np.zeros((0, 4)), score=np.zeros(0))
    assert find(dataclasses.replace(picture(), boxes=own)) is own


def test_without_onnx_runtime_a_second_look_is_alone_and_that_is_said(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("synthstudio.inference.finder.find_spec", lambda name: None)
    find = find_people(red_corners, size=SIZE)
    own = Boxes(xywh=np.array([[10.0, 20, 30, 40]]), score=np.ones(1))
    assert find(dataclasses.replace(picture(), boxes=own)) is own
    assert not caplog.text  # nothing is missing yet
    found = find(picture())
    assert found.xywh.tolist() == second_look(red_corners, size=SIZE)(picture()).xywh.tolist()
    assert "onnx" in caplog.text
