"""Who is in a picture, when nobody says: bottom-up networks, the detector, a second look."""

import dataclasses

import cv2
import numpy as np
import pytest
import torch

from synthstudio.core.errors import ModelError
from synthstudio.inference.finder import (
    MARGIN,
    UNSURE,
    Finder,
    agreed_people,
    find_one,
    find_people,
)
from synthstudio.inference.networks import bottom_up_finder
from synthstudio.inference.predict import CropPredictions, predict
from synthstudio.inference.sources import Boxes, SourceImage
from synthstudio.models.contract import FoundPeople
from synthstudio.models.packaged import default_model


class Corner(torch.nn.Linear):
    """Finds one person between the first and the last bright pixel, one who is unsure, and one
    with too few joints."""

    finds_joints = True

    def forward(self, images):
        assert images.shape == (1, 3, 64, 96) and images.dtype == torch.uint8
        return images

    def decode(self, outputs):
        rows, columns = np.nonzero(outputs[0, 0].numpy() > 200)
        low, high = [columns.min(), rows.min()], [columns.max() + 1, rows.max() + 1]
        joints = np.array([[low, high, low, [np.nan] * 2]] * 3, float)
        joints[2, 2] = np.nan
        return [
            FoundPeople(joints_px=joints, scores=np.ones((3, 4)), score=np.array([0.9, 0.1, 0.9]))
        ]


def test_boxes_are_those_of_the_picture():
    rgb = np.zeros((128, 128, 3), np.uint8)
    rgb[20:100, 40:80] = 255
    net = Corner(1, 1)
    (box,) = bottom_up_finder(net, size=(64, 96))(rgb)
    assert box == pytest.approx([40 - 8, 20 - 8, 40 + 16, 80 + 16], abs=2)


SIZE = (96, 128)


class Bright:
    """A session that finds what is bright three times: surely, less so, and elsewhere unsurely."""

    def run(self, names, feed):
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


def finder(**options):
    return Finder(session=Bright(), name="bright", size=SIZE, **options)


def bright_box(low, high, size):
    rgb = np.zeros((*size, 3), np.uint8)
    rgb[low[1] : high[1], low[0] : high[0]] = 255
    return SourceImage(number=0, name="a", rgb=rgb)


@pytest.mark.parametrize("size", [(96, 128), (240, 320), (200, 600), (600, 200), (48, 64)])
def test_boxes_are_in_the_pictures_own_pixels(size):
    low, high = (size[1] // 4, size[0] // 4), (size[1] // 2, size[0] // 2)
    found = finder()(bright_box(low, high, size))
    cell = max(size[0] / SIZE[0], size[1] / SIZE[1])
    wanted = [*low, high[0] - low[0], high[1] - low[1]]
    assert found.xywh == pytest.approx(np.array([wanted]), abs=2 * cell)
    assert found.score.tolist() == pytest.approx([0.9])


def test_boxes_end_with_the_picture_and_doubles_go():
    whole = bright_box((0, 0), (320, 100), (100, 320))
    found = finder()(whole)
    assert found.xywh.tolist() == [[0, 0, 320, 100]]
    assert len(finder(min_score=0.95)(whole)) == 0
    assert len(finder(min_score=0.15)(whole)) == 1  # its other box lies in the grey above


def test_bad_files_and_answers_are_one_message(tmp_path):
    with pytest.raises(ModelError, match="not a person finder"):
        Finder.load(default_model())
    (tmp_path / "cut.onnx").write_bytes(default_model().read_bytes()[:1000])
    with pytest.raises(ModelError, match="cannot load"):
        Finder.load(tmp_path / "cut.onnx")
    with pytest.raises(ModelError, match="cannot be read"):
        Finder.load(tmp_path / "none.onnx")

    class Broken(Bright):
        def run(self, names, feed):
            return [np.full((1, 3), np.nan), np.zeros((1, 3, 4))]

    with pytest.raises(ModelError, match="not finite"):
        Finder(session=Broken(), name="", size=SIZE)(bright_box((0, 0), (9, 9), SIZE))


# Without boxes: whom detector and network agree on, or one person by a look at the whole picture.

CROP = (96, 72)
CORNERS = np.array([[150.0, 60.0], [190.0, 60.0], [190.0, 140.0], [150.0, 140.0]])


def picture(*, person=True):
    rgb = np.full((240, 320, 3), 90, np.uint8)
    if person:
        cv2.rectangle(rgb, (150, 60), (189, 139), (255, 0, 0), -1)  # pixels' corners are CORNERS
    return SourceImage(number=0, name="a", rgb=rgb)


def red_corners(crops):
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
        xy=xy, score=ones, quality=ones, present=present, peaks=np.zeros((count, 4, 0, 3)),
        visibility_fractions=np.full((count, 4, 4), np.nan),
    )  # fmt: skip


def test_the_second_look_is_at_the_person_and_finds_them_closer():
    find = find_one(red_corners, size=CROP)
    box = find(picture()).xywh[0]
    assert box == pytest.approx([150 - 80 * MARGIN, 60 - 80 * MARGIN, 40 + 160 * MARGIN,
                                 80 + 160 * MARGIN], abs=8)  # fmt: skip
    whole = Boxes(xywh=np.array([[0.0, 0, 320, 240]]), score=np.ones(1))
    first = next(predict(red_corners, [picture()], lambda _: whole, size=CROP))
    second = next(predict(red_corners, [picture()], find, size=CROP))
    off = [np.abs(person.xy - CORNERS).max() for person in (first, second)]
    assert off[1] < 1.5 < off[0]


def test_nobody_found_or_boxes_that_came_with_it_leave_the_first_boxes():
    find = find_one(red_corners, size=CROP)
    assert find(picture(person=False)).xywh.tolist() == [[0, 0, 320, 240]]
    own = Boxes(xywh=np.array([[10.0, 20, 30, 40], [50, 60, 70, 80]]), score=np.ones(2))
    given = picture()
    given = SourceImage(number=0, name="a", rgb=given.rgb, boxes=own)
    assert find(given) is own


def test_detector_and_network_have_to_agree_and_nobody_is_found_twice(monkeypatch):
    """Of four boxes one holds nobody whom the network knows, two hold the same person."""
    boxes = np.array([[145.0, 55, 50, 90], [150, 60, 42, 84], [10, 10, 40, 80], [140, 50, 60, 100]])
    scores = np.array([0.6, 0.5, 0.9, 0.1])

    def detector(image):
        return Boxes(xywh=boxes, score=scores)

    def sure_of_red(crops):
        found = red_corners(crops)
        sure = np.where(found.present > 0, 0.8, 0.1)
        return dataclasses.replace(found, quality=sure)

    find = agreed_people(detector, sure_of_red, size=CROP)
    monkeypatch.setattr("synthstudio.inference.finder.AGREED", 0.3)
    found = find(picture())
    assert found.xywh.tolist() == [boxes[0].tolist()] and found.score.tolist() == [0.6]
    monkeypatch.setattr("synthstudio.inference.finder.AGREED", 0.05)
    assert find(picture()).xywh.tolist() == boxes[[0, 2]].tolist()  # each once, the better box
    monkeypatch.setattr("synthstudio.inference.finder.AGREED", 0.3)
    whole = find(picture(person=False))
    assert whole.xywh.tolist() == [[0, 0, 320, 240]]  # nobody: as without a detector
    assert whole.score.tolist() == [UNSURE]
    own = Boxes(xywh=np.zeros((0, 4)), score=np.zeros(0))
    assert find(dataclasses.replace(picture(), boxes=own)) is own


def test_without_onnx_runtime_a_second_look_is_alone_and_that_is_said(monkeypatch, caplog):
    monkeypatch.setattr("synthstudio.inference.finder.find_spec", lambda name: None)
    find = find_people(red_corners, size=CROP)
    own = Boxes(xywh=np.array([[10.0, 20, 30, 40]]), score=np.ones(1))
    assert find(dataclasses.replace(picture(), boxes=own)) is own
    assert not caplog.text  # nothing is missing yet
    found = find(picture())
    assert found.xywh.tolist() == find_one(red_corners, size=CROP)(picture()).xywh.tolist()
    assert "ONNX" in caplog.text
    monkeypatch.undo()
    find_people(red_corners, size=CROP)(picture())
    assert "Pass boxes, or a detector" in caplog.text
