"""Photos and data sets that are wrong, thin or of other joints: right figures or one message."""

import json
import math
import shutil

import cv2
import numpy as np
import pytest
from gap_world import FRAMES, by_key
from painted_frames import painted, write_set

import synthstudio as ss
from synthstudio.api.quality import gap as run_gap
from synthstudio.core.errors import AssetError, DatasetError, DiskError, FormatError


def _drop(told, joints):
    names = told["categories"][0]["keypoints"]
    for entry in told["annotations"]:
        for j, name in enumerate(names):
            if not joints or name.endswith(joints):
                entry["keypoints"][3 * j : 3 * j + 3] = [0, 0, 0]


@pytest.mark.parametrize(
    ("joints", "lacks"),
    [((), {"roll_deg", "distance_m", "row"}), (("hip", "knee", "ankle"), {"roll_deg", "row"})],
)
def test_unlabelled_joints_are_left_out(gap_world, gap_photos, joints, lacks):
    file, images = gap_photos(lambda told: _drop(told, joints))
    report = run_gap(gap_world / "set", file, images=images)
    found = by_key(report)
    assert all(math.isnan(found[key].distance) for key in lacks)
    assert found["size"].distance < 1e-6 and "Too few people to compare" in report.text()
    assert (report.found.poses is None) == (not joints)
    assert bool(report.found.labels.joints) == bool(joints)


def test_one_person_is_told_and_not_compared(gap_world, gap_photos, tmp_path):
    def one(told):
        (first,) = told["annotations"] = told["annotations"][:1]
        told["images"] = [i for i in told["images"] if i["id"] == first["image_id"]]

    file, images = gap_photos(one)
    page, out = tmp_path / "page.html", tmp_path / "next.yaml"
    report = run_gap(gap_world / "set", file, images=images, out=page, recipe=out)
    assert report.found.classifier is None and not report.found.ranked
    assert b"Too few pictures" in page.read_bytes()
    assert "too few people tell it" in out.read_text()
    assert json.loads(json.dumps(report.as_json(), allow_nan=False))["classifier"] is None


def test_a_few_missing_photos_are_counted(gap_world, gap_photos):
    def damage(told):  # entries that cannot be read are counted, too
        told["annotations"][-1]["keypoints"].pop()
        told["annotations"][-2].update(bbox=[0, 0, -1, 4])
        told["images"][3].update(width=10**9)

    file, images = gap_photos(damage)
    names = sorted(p.name for p in images.iterdir())
    (images / names[0]).unlink()
    (images / names[1]).write_bytes(b"no picture")
    cv2.imwrite(str(images / names[2]), np.zeros((10, 10, 3), np.uint8))
    report = run_gap(gap_world / "set", file, images=images)
    text = repr(report)
    assert "1 x photo whose file is missing" in text and "1 x photo that cannot be read" in text
    assert "1 x photo whose size differs from the file's" in text
    assert report.found.sides[1].pictures == FRAMES - 4
    assert text.count("1 x ") == 7, text


WRONG = {
    "of another structure": lambda told: told.update(images="none"),
    "no list annotations": lambda told: told.pop("annotations"),
    "no people in the photos": lambda told: told.update(annotations=[]),
    "no usable photos": lambda told: told.update(images=[], annotations=[]),
    "no category": lambda told: told["categories"][0].pop("keypoints"),
    "unsafe file name": lambda told: told["images"][0].update(file_name="../../photo.jpg"),
}


@pytest.mark.parametrize("says", WRONG)
def test_a_file_that_is_wrong_is_one_message(gap_world, gap_photos, says):
    file, images = gap_photos(WRONG[says])
    with pytest.raises(FormatError, match=says):
        run_gap(gap_world / "set", file, images=images)


def test_no_pictures_and_no_files(gap_world, gap_photos, tmp_path):
    file, images = gap_photos()
    with pytest.raises(AssetError, match="no such folder"):
        run_gap(gap_world / "set", file, images=tmp_path / "none")
    with pytest.raises(FormatError, match="no such file"):
        run_gap(gap_world / "set", tmp_path / "none.json", images=images)
    for path in sorted(images.iterdir())[2:]:
        path.unlink()
    with pytest.raises(FormatError, match="most photos are missing"):
        run_gap(gap_world / "set", file, images=images)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FormatError, match="no usable photos"):
        run_gap(gap_world / "set", file, images=tmp_path / "empty")
    broken = tmp_path / "broken.json"
    broken.write_bytes(file.read_bytes()[:900])
    with pytest.raises(FormatError):
        run_gap(gap_world / "set", broken, images=images)


def test_data_sets_that_cannot_be_measured(gap_world, gap_photos, tmp_path):
    file, images = gap_photos()
    write_set(tmp_path / "nobody", [painted(k, people=0) for k in range(2)])
    with pytest.raises(DatasetError, match="no visible people"):
        run_gap(tmp_path / "nobody", file, images=images)
    shutil.copytree(gap_world / "set", tmp_path / "unfinished")
    (tmp_path / "unfinished/index.json").unlink()
    with pytest.raises(DatasetError, match="unfinished"):
        run_gap(tmp_path / "unfinished", file, images=images)
    ss.import_(file, tmp_path / "imported", images=images)
    report = run_gap(tmp_path / "imported", file, images=images, out=tmp_path / "page.html")
    assert not report.found.labels.validated and by_key(report)["size"].distance < 1e-6
    with pytest.raises(DatasetError, match="imported"):
        run_gap(tmp_path / "imported", file, images=images, recipe=tmp_path / "next.yaml")
    shutil.copytree(gap_world / "set", tmp_path / "occluded")
    identity = tmp_path / "occluded/dataset.json"
    head = json.loads(identity.read_text())
    identity.write_text(json.dumps(head | {"recipe": head["recipe"] | {"photos": {"count": 3}}}))
    with pytest.raises(DatasetError, match="the recipe of a photo set"):
        run_gap(tmp_path / "occluded", file, images=images, recipe=tmp_path / "next.yaml")
    with pytest.raises(DiskError, match="invalid output file"):
        run_gap(gap_world / "set", file, images=images, recipe=tmp_path)
