"""A disc drawn at a joint lies where each format says, by that format's own rule.

The disc's edge pixels hold the share of their area that it covers, so its centre of mass, with a
pixel's centre at .5, is the continuous place. The rules below are written down here once more, from
each format's own documentation, and share no code with the exporters.
"""

import dataclasses
import json
import re
import tarfile

import numpy as np
import pyarrow.parquet as pq
import pytest
from fake_frames import identity
from stick_people import make_camera, make_labels, make_posed, make_spec
from written_sets import stored

from synthstudio.core.images import decode_rgb, encode_jpeg
from synthstudio.core.labels import Frame
from synthstudio.core.masks import encode
from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.reader import Dataset
from synthstudio.formats import FORMATS
from synthstudio.formats.checked import person_of
from synthstudio.formats.export import export

W, H, JOINT = 320, 240, "left_wrist"


def disc(x, y, radius=5.0):
    fine = (np.arange(16) + 0.5) / 16
    across = (np.arange(W)[:, None] + fine).ravel()
    down = (np.arange(H)[:, None] + fine).ravel()
    inside = (across[None] - x) ** 2 + (down[:, None] - y) ** 2 <= radius**2
    share = inside.reshape(H, 16, W, 16).mean(axis=(1, 3))
    return np.repeat(np.rint(share * 255).astype(np.uint8)[..., None], 3, axis=2)


def centroid(jpeg):
    glow = decode_rgb(jpeg, "disc")[..., 0].astype(float)
    glow[glow < 16] = 0  # what JPEG leaves around an edge
    j, i = np.meshgrid(np.arange(W), np.arange(H))
    return np.array([(glow * (j + 0.5)).sum(), (glow * (i + 0.5)).sum()]) / glow.sum()


@pytest.fixture(scope="module")
def exports(tmp_path_factory):
    root = tmp_path_factory.mktemp("marker")
    joints, camera = get_skeleton("coco23"), make_camera()
    person = make_posed(joints, instance=1, x_m=0.313, sway=0.1)
    labels = make_labels(camera, joints, (person,))
    x, y = labels.people[0].joints_px[joints.joints.index(JOINT)]
    spec = make_spec(camera, 1, skeleton="coco23")
    frame = Frame(
        spec=dataclasses.replace(spec, split="train"),
        jpeg=encode_jpeg(disc(x, y), 98),
        labels=labels,
    )
    stored(root / "set", identity(skeleton="coco23", frames=1), lambda k: frame)
    for name in FORMATS:
        export(name, root / "set", root / name)
    return root


def read_json(root, name, file):
    return json.loads((root / name / file).read_text())


def coco_like(root, name, index):
    file = read_json(root, name, "annotations/person_keypoints_train.json")
    points = file["annotations"][0]["keypoints"]
    return np.array(points[3 * index : 3 * index + 2]) + 0.5  # pixel indices


def ochuman(root):
    points = read_json(root, "ochuman", "ochuman.json")["images"][0]["annotations"][0]["keypoints"]
    return np.array(points[15:17]) + 0.5  # the sixth of its 19; pixel indices


def yolo(root):
    parts = (root / "yolo/labels/train/000000.txt").read_text().split()
    return np.array([float(v) for v in parts[5 + 27 : 7 + 27]]) * (W, H)


def cvat(root):
    text = (root / "cvat/annotations.xml").read_text()
    found = re.search(rf'label="{JOINT}"[^>]* points="([^"]*)"', text)
    return np.array([float(v) for v in found[1].split(",")])


def webdataset(root):
    with tarfile.open(root / "webdataset/000000.tar") as shard:
        value = json.loads(shard.extractfile("000000.json").read())
    return np.array(value["people"][0]["joints_px"][18:20])


def huggingface(root):
    row = pq.read_table(root / "huggingface/data/train-00000.parquet").to_pylist()[0]
    return np.array(row["people"][0]["joints_px"][18:20])


def label_studio(root):
    result = read_json(root, "label-studio", "tasks.json")[0]["annotations"][0]["result"]
    value = next(r["value"] for r in result if r["value"].get("keypointlabels") == [JOINT])
    return np.array([value["x"], value["y"]]) / 100 * (W, H)


def mpii(root):
    return np.array(read_json(root, "mpii", "annotations.json")[0]["joints"][15]) - 0.5  # from 1


def lsp(root):
    with np.load(root / "lsp/joints.npz") as arrays:
        return arrays["joints"][0, :2, 11] + 0.5  # pixel indices


def h36m(root):
    with np.load(root / "h36m/poses.npz") as arrays:
        camera = arrays["positions_3d"][0, 13]
        projected = arrays["K"][0] @ camera
        # The rotation centre, not the regressed joint, of which the 2D is the projection.
        off = np.abs(projected[:2] / projected[2] - arrays["positions_2d"][0, 13]).max()
        assert 0.1 < off < 10
        return arrays["positions_2d"][0, 13]


RULES = {
    "coco": lambda root: coco_like(root, "coco", 9),
    "crowdpose": lambda root: coco_like(root, "crowdpose", 4),
    "coco-wholebody": lambda root: coco_like(root, "coco-wholebody", 9),  # the tenth of its 17
    "ochuman": ochuman,
    "yolo": yolo,
    "cvat": cvat,
    "webdataset": webdataset,
    "huggingface": huggingface,
    "label-studio": label_studio,
    "mpii": mpii,
    "lsp": lsp,
    "h36m": h36m,
}


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_the_marker_is_where_the_format_says(name, exports):
    seen = centroid(Dataset(exports / "set").image_bytes(0))
    assert np.abs(RULES[name](exports) - seen).max() < 0.05


def test_joints_beyond_the_picture_are_outside_and_an_area_is_the_masks():
    points, mask = [(-0.6, 4, 2), (3, 4, 2), (20.5, 4, 1), (20.6, 4, 1)], np.eye(20) > 0
    frame = {"index": 0, "height_px": 20, "width_px": 20}
    row = person_of(points, frame, 1, modal_counts=encode(mask)["counts"])
    assert row["state"] == [0, 2, 1, 0] and row["modal_area_px"] == 20
    assert row["cause"] == ["truncated", "visible", "unknown", "truncated"]
    assert row["joints_px"][0] == -0.6
