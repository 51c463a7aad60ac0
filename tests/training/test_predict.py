"""Predictions: places come back into the picture, sources and boxes fit, bad input is told."""

import dataclasses
import json
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from synthstudio.core.errors import FormatError
from synthstudio.core.skeleton import get_skeleton
from synthstudio.inference import sources, write
from synthstudio.inference.finder import Detector
from synthstudio.inference.networks import network_predictor
from synthstudio.inference.predict import predict, smoothed
from synthstudio.inference.sources import (
    Boxes,
    SourceImage,
    boxes_from_file,
    open_source,
    source_boxes,
)
from synthstudio.models.contract import PoseOutputs

SIZE = (96, 72)
BONES = get_skeleton("coco17")


class RedDot(torch.nn.Module):
    """Predictions every joint with the reddest place; says that all but the first are hidden."""

    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor(1.0))
        self.batch_sizes = []

    def forward(self, images):
        self.batch_sizes.append(len(images))
        rgb = images.float()
        red = (rgb[:, :1] - rgb[:, 1:].amax(1, keepdim=True)).clamp_min(0)
        # As wide as a real network's maps: a map in one cell has no best disc about it.
        wide = F.avg_pool2d(F.avg_pool2d(red, 4), 3, stride=1, padding=1)
        logits = ((wide + 0.01).log() * self.scale).expand(-1, 17, -1, -1)
        fractions = torch.zeros(len(images), 17, 4)
        fractions[:, 0, 0] = 9
        fractions[:, 1:, 3] = 9
        presence = torch.full((len(images), 17), 5.0)
        presence[:, 16] = -5
        quality = torch.zeros(len(images), 17)
        return PoseOutputs(
            logits=(logits,), visibility_fractions=fractions, presence=presence, quality=quality
        )


def _spotted(at, size=(240, 320)):
    rgb = np.full((*size, 3), 90, np.uint8)
    cv2.circle(rgb, (round(at[0] - 0.5), round(at[1] - 0.5)), 5, (255, 0, 0), -1)
    return rgb


def _ask(pictures, boxes=None, **how):
    find = source_boxes if boxes is None else (lambda picture: boxes)
    return list(predict(network_predictor(RedDot(), BONES, **how), pictures, find, size=SIZE))


@pytest.mark.parametrize("at", [(120.5, 90.5), (40.5, 200.5), (300.5, 30.5)])
@pytest.mark.parametrize("flip", [False, True])
def test_a_marker_comes_back_at_its_place_in_the_picture(at, flip):
    box = np.array([[at[0] - 37, at[1] - 55, 80.0, 100.0]])
    boxes = Boxes(xywh=box, score=np.array([0.8]))
    one = _ask([SourceImage(number=3, name="a", rgb=_spotted(at))], boxes, flip=flip)[0]
    assert np.abs(one.xy - at).max() < 2.5  # a cell is 7 px of this picture
    wrong = Boxes(xywh=box + np.array([15, 0, 0, 0]), score=np.ones(1))
    other = _ask([SourceImage(number=3, name="a", rgb=_spotted(at))], wrong)[0]
    assert np.abs(other.xy - at).max() < 2.5  # the box moves, the joint does not
    assert one.confidence == pytest.approx(0.5 * 0.8)
    assert one.causes == ("visible", *["object"] * 15, "truncated")


@pytest.mark.parametrize("flip", [False, True])
def test_peaks_are_all_the_places_that_a_joint_may_be_at(flip, tmp_path):
    rgb = np.full((240, 320, 3), 90, np.uint8)
    for at, red in (((120, 60), 255), ((200, 180), 190)):  # another, paler spot
        cv2.circle(rgb, at, 25, (red, 60, 60), -1)
    rgb = cv2.GaussianBlur(rgb, (0, 0), 12)  # maps of networks have no plateaus
    picture = SourceImage(number=0, name="a", rgb=rgb)
    one = _ask([picture], peaks=4, flip=flip)[0]
    assert one.peaks.shape == (17, 4, 3)
    for peak, at in zip(one.peaks[0], ((120.5, 60.5), (200.5, 180.5)), strict=False):
        assert np.abs(peak[:2] - at).max() < 15  # a cell is 22 px of this picture
    assert one.peaks[0, 0, 2] > one.peaks[0, 1, 2] > 0
    entry = write.results([one])[0]["joints"]["peaks"]
    first = [*(one.peaks[0, 0, :2] - 0.5), one.peaks[0, 0, 2]]
    assert entry[0][0] == pytest.approx(first, abs=1e-4)
    assert len(entry[0]) == np.isfinite(one.peaks[0, :, 0]).sum()
    plain = _ask([picture], flip=flip)[0]
    assert plain.peaks.shape == (17, 0, 3) and (plain.xy == one.xy).all()
    assert "peaks" not in write.results([plain])[0]["joints"]


def test_crops_are_batched_over_the_edges_of_pictures():
    net = RedDot()
    pictures = [
        SourceImage(number=k, name=str(k), rgb=_spotted((50.5 + k, 60.5))) for k in range(7)
    ]
    found = list(predict(network_predictor(net, BONES), pictures, source_boxes, size=SIZE, batch=3))
    assert net.batch_sizes == [3, 3, 1]
    assert [p.image for p in found] == list(range(7))
    assert np.diff([p.xy[0, 0] for p in found]).min() > -2


def test_boxes_that_are_no_place_in_the_picture_are_refused():
    picture = SourceImage(number=0, name="a", rgb=_spotted((50, 50)))
    for box in ([400.0, 10, 50, 50], [0.0, 0, 5000, 10]):
        with pytest.raises(FormatError, match="outside the image"):
            _ask([picture], Boxes(xywh=np.array([box]), score=np.ones(1)))


def test_people_of_a_set_who_are_wholly_outside_are_not_asked_about(tmp_path):
    row = {"amodal_box_px": [10, 10, 50, 90], "modal_box_px": None, "amodal_area_px": 4000}
    changes = (
        {},
        {"amodal_box_px": [-900, 10, 90, 90], "amodal_area_px": 0},
        {"amodal_box_px": [-2000, -1500, 5000, 4000]},
        {"amodal_area_px": None},  # nobody measured it
    )
    people = [row | {"instance": n} | change for n, change in enumerate(changes, 1)]
    dataset = SimpleNamespace(
        frames=1,
        people=len(people),
        shard_digests={},
        labelled=True,
        place=tmp_path,
        index_at=lambda position: position,
        frame=lambda index: {"index": 0, "clip_id": None},
        instances=lambda index: people,
        rgb_of=lambda row: _spotted((50, 50)),
    )
    found = _ask(list(sources._dataset(dataset).read()))
    assert [one.instance for one in found] == [1, 3, 4]


def test_results_are_what_pycocotools_reads_and_pixel_indices(tmp_path):
    from pycocotools.coco import COCO

    found = _ask([SourceImage(number=5, name="a.jpg", rgb=_spotted((120.5, 90.5)))])
    facts = {5: {"file_name": "a.jpg", "width": 320, "height": 240}}
    write.write_results(tmp_path, found, facts, BONES)
    base = COCO()
    base.dataset = json.loads((tmp_path / "pictures.json").read_text()) | {"annotations": []}
    base.createIndex()
    entry = base.loadRes(str(tmp_path / "results.json")).loadAnns([1])[0]
    points = np.array(entry["keypoints"]).reshape(17, 3)
    assert points[:, :2] == pytest.approx(found[0].xy - 0.5, abs=1e-4)
    assert entry["joints"]["cause"][1] == "object"
    assert entry["joints"]["expected_oks"][0] == pytest.approx(0.5)
    assert "instance_number" not in entry
    assert list(base.dataset["categories"][0]["keypoints"]) == list(BONES.joints)


# Sources.


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    (folder / "more").mkdir(parents=True)
    for k, name in enumerate(("b.png", "a.jpg", "more/c.png")):
        Image.fromarray(_spotted((60.5 + 40 * k, 90.5))).save(folder / name)
    (folder / "notes.txt").write_text("no photos")
    return folder


def test_photos_come_in_order_and_what_cannot_be_looked_at_is_one_message(photos, tmp_path):
    source = open_source(photos)
    assert [p.name for p in source.read()] == ["a.jpg", "b.png", "more/c.png"]
    assert source.total == 3
    assert open_source(photos / "a.jpg").total == 1
    (tmp_path / "empty").mkdir()
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "film.mp4").write_bytes(b"\0" * 2000)
    (tmp_path / "none.mp4").write_bytes(b"")
    for name, message in (
        ("empty", "no photos"),
        ("a.txt", "unknown kind"),
        ("gone.jpg", "no such file"),
        ("film.mp4", "no frame"),
        ("none.mp4", "no frame"),
    ):
        with pytest.raises(FormatError, match=message):
            open_source(tmp_path / name)


def film(path, places):
    out = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 25, (320, 240))
    assert out.isOpened()
    for at in places:
        out.write(np.ascontiguousarray(_spotted(at)[..., ::-1]))
    out.release()
    return path


def test_a_video_is_smoothed_along_time_and_its_people_are_numbered(tmp_path):
    places = [(60.5 + 6 * t, 100.5) for t in range(24)]
    source = open_source(film(tmp_path / "a.mp4", places))
    pictures = list(source.read())
    assert source.total == len(pictures) == 24
    found = _ask(pictures, Boxes(xywh=np.array([[20.0, 20, 250, 200]]), score=np.ones(1)))
    steady = smoothed(found, frames=7)
    assert [p.track for p in steady] == [1] * 24
    truth = np.array(places)
    before, after = (np.stack([p.xy[0] for p in people]) for people in (found, steady))
    speed = np.array([6.0, 0])
    lag = ((truth - after) @ speed / (speed @ speed)).mean()
    assert abs(lag) < 0.3
    jerk = [np.abs(np.diff(xy, n=2, axis=0)).mean() for xy in (before, after)]
    assert jerk[1] < 0.6 * jerk[0]
    single = smoothed(_ask([SourceImage(number=0, name="a", rgb=_spotted((9, 9)))]), frames=7)
    assert single[0].track is None


def test_people_of_a_clip_are_who_the_data_set_says_they_are():
    shot = _ask([SourceImage(number=0, name="a", rgb=_spotted((60.5, 100.5)))])[0]
    people = []
    for t in range(8):
        for instance, x in ((1, 20.0 + 20 * t), (2, 160.0 - 20 * t)):  # they walk through another
            box = np.array([x, 50, 40, 100])
            places = shot.xy * 0 + [x, 80]
            people.append(
                dataclasses.replace(
                    shot, instance=instance, box=box, xy=places, time=t, image=t, sequence="clip 0"
                )
            )
    found = smoothed(people[::-1], frames=7)
    assert all(p.track == p.instance for p in found)
    assert all(np.abs(p.xy[:, 0] - p.box[0]).max() < 1e-6 for p in found)  # nobody is mixed up
    nobody = smoothed([dataclasses.replace(p, instance=None) for p in people], frames=7)
    assert {p.track for p in nobody} >= {1, 2}


# Boxes.


def _coco(path, names, boxes):
    entries = [
        {"id": k + 10, "image_id": k, "category_id": 1, "bbox": box, "iscrowd": 0, "area": 1}
        for k, box in enumerate(boxes)
    ]
    images = [{"id": k, "file_name": n, "width": 320, "height": 240} for k, n in enumerate(names)]
    reported = {
        "images": images,
        "annotations": entries,
        "categories": [{"id": 1, "name": "person"}],
    }
    path.write_text(json.dumps(reported))
    return path


def test_given_boxes_belong_to_photos_by_name_and_to_frames_by_number(photos, tmp_path):
    source = open_source(photos)
    file = _coco(tmp_path / "boxes.json", ["b.png", "c.png"], [[1.0, 2, 30, 40], [5.0, 6, 70, 80]])
    find = boxes_from_file(file, source)
    found = {p.name: find(p).xywh.tolist() for p in source.read()}
    assert found == {"a.jpg": [], "b.png": [[1, 2, 30, 40]], "more/c.png": [[5, 6, 70, 80]]}
    results = tmp_path / "results.json"
    rows = [{"image_id": 2, "bbox": [1, 2, 30, 40], "score": s, "category_id": c}
            for s, c in ((0.9, 1), (0.2, 1), (0.9, 17))]  # fmt: skip
    results.write_text(json.dumps(rows))
    find = boxes_from_file(results, source, min_score=0.5)
    assert [find(p).score.tolist() for p in source.read()] == [[], [], [0.9]]


def test_a_coco_file_is_a_source_with_its_own_boxes(photos):
    path = _coco(
        photos / "people.json", ["a.jpg", "more/c.png"], [[1.0, 2, 30, 40], [9.0, 9, 5, 5]]
    )
    got = [
        (p.name, source_boxes(p).xywh.tolist(), source_boxes(p).instance)
        for p in open_source(path).read()
    ]
    assert got == [("a.jpg", [[1, 2, 30, 40]], (10,)), ("more/c.png", [[9, 9, 5, 5]], (11,))]
    named = json.loads(path.read_text())
    for entry, key in zip(named["images"], ("one", "two"), strict=True):
        entry["id"] = key
    for entry, key in zip(named["annotations"], ("one", "two"), strict=True):
        entry |= {"image_id": key, "id": f"person {key}"}
    path.write_text(json.dumps(named))
    results = photos / "results.json"
    results.write_text(json.dumps([{"image_id": "two", "bbox": [3, 3, 5, 5], "score": 0.9}]))
    find = boxes_from_file(results, open_source(path))
    again = [(p.name, source_boxes(p).xywh.tolist(), p.number) for p in open_source(path).read()]
    assert again == [("a.jpg", [[1, 2, 30, 40]], 0), ("more/c.png", [[9, 9, 5, 5]], 1)]
    assert [find(p).xywh.tolist() for p in open_source(path).read()] == [[], [[3, 3, 5, 5]]]
    outside = _coco(photos / "bad.json", ["../x.png"], [[1.0, 2, 3, 4]])
    with pytest.raises(FormatError, match="unsafe file name"):
        list(open_source(outside).read())


@pytest.mark.parametrize(
    "entry",
    [
        {"bbox": [1, 2, -3, 4]},
        {"bbox": "x"},
        {"bbox": [1, 2, 3, 10**299]},
        {"bbox": [1, 2, 3, 10**400]},
        {"bbox": [1, 2, 3, 4], "score": 7},
        {},
    ],
)
def test_bad_boxes_are_told_with_their_entry(photos, tmp_path, entry):
    path = tmp_path / "r.json"
    path.write_text(json.dumps([{"image_id": 0, **entry}]))
    with pytest.raises(FormatError, match="entry 0"):
        boxes_from_file(path, open_source(photos))


def test_a_detector_of_transformers_finds_boxes_inside_the_picture(tmp_path):
    from transformers import YolosConfig, YolosForObjectDetection, YolosImageProcessorPil

    torch.manual_seed(0)
    config = YolosConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        image_size=[64, 64], patch_size=16, num_detection_tokens=12,
        use_mid_position_embeddings=False, id2label={0: "cat", 1: "person"},
    )  # fmt: skip
    YolosForObjectDetection(config).save_pretrained(tmp_path)
    YolosImageProcessorPil(size={"shortest_edge": 64, "longest_edge": 64}).save_pretrained(tmp_path)
    picture = SourceImage(number=0, name="a", rgb=_spotted((50, 50)))
    detector = Detector(str(tmp_path), device=torch.device("cpu"), min_score=0.0)
    found = detector(picture)
    assert 0 < len(found) <= 12
    assert (found.xywh[:, :2] >= 0).all()
    assert (found.xywh[:, :2] + found.xywh[:, 2:] <= [320, 240]).all()
    assert (np.diff(found.score) <= 0).all()
    none = Detector(str(tmp_path), device=torch.device("cpu"), min_score=1.0)
    assert len(none(picture)) == 0
