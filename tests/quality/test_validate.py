"""Every planted error is found, each by its name, and an untouched set has none."""

import copy
import json
import math

import cv2
import numpy as np
import pytest
from coco_objects import to_coco
from painted_frames import painted, write_set
from tampered import tamper

from synthstudio.core.errors import DatasetError, FormatError
from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.matching import without
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import pair_rows
from synthstudio.formats.checked import compressed_counts
from synthstudio.quality import checks, rows
from synthstudio.quality import validate as validating
from synthstudio.quality.repair import write_repaired

BONES = get_skeleton("coco17")
STANDARD = ("id", "image_id", "category_id", "iscrowd", "bbox", "area", "segmentation")
STANDARD += ("keypoints", "num_keypoints")


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    frames = [painted(i) for i in range(6)]
    return write_set(tmp_path_factory.mktemp("validate") / "set", frames)


@pytest.fixture(scope="module")
def clean(dataset):
    samples = list(pair_rows(dataset.iter_frames(), dataset.iter_instances()))
    return to_coco(samples, BONES)


@pytest.fixture
def folder(dataset, tmp_path):
    for row in dataset.iter_frames():
        target = tmp_path / row["file_name"]
        target.parent.mkdir(exist_ok=True)
        target.write_bytes(dataset.image_bytes_of(row))
    return tmp_path


def _check(doc, folder=None):
    return validating.validate_coco(
        doc["categories"], lambda: doc["images"], lambda: doc["annotations"], folder=folder
    ).findings


def _plain(doc):
    images = [{k: i[k] for k in ("id", "file_name", "width", "height")} for i in doc["images"]]
    people = [{k: a[k] for k in STANDARD} for a in doc["annotations"]]
    return {**doc, "images": images, "annotations": people}


def _visible(entry):
    seen = [j for j in range(17) if entry["keypoints"][3 * j + 2] == 2]
    return 3 * max(seen, key=lambda j: BONES.joints[j].endswith("wrist"))


def _frontal(doc):
    for entry in doc["annotations"]:
        if all(entry["keypoints"][3 * j + 2] == 2 for j in (0, 1, 2, 5, 6)):
            return entry
    raise AssertionError("nobody is in sight")


def _swap(doc, _):
    entry = _frontal(doc)
    flat = np.array(entry["keypoints"]).reshape(-1, 3)[BONES.flip]
    entry["keypoints"] = flat.ravel().tolist()


def _put(values, place, value):
    values[place] = value


def _joint(entry, *values):
    at = _visible(entry)
    entry["keypoints"][at : at + 3] = values


def _v0(doc, entry):
    entry["keypoints"][_visible(entry) + 2] = 0
    entry["num_keypoints"] -= 1


def _limb(doc, entry):
    flat = np.array(entry["keypoints"]).reshape(-1, 3)
    elbow, wrist = BONES.joints.index("left_elbow"), BONES.joints.index("left_wrist")
    flat[wrist, :2] = flat[elbow, :2] + 10 * (flat[wrist, :2] - flat[elbow, :2])
    flat[wrist, 2] = 1
    entry["keypoints"] = flat.ravel().tolist()


def _twins(doc, entry):
    other = doc["annotations"][1]
    assert entry["image_id"] == other["image_id"]
    other.update({name: copy.copy(entry[name]) for name in ("keypoints", "num_keypoints")})


def _one_point(doc, entry):
    x, y = entry["bbox"][0] + 5, entry["bbox"][1] + 5
    entry.update(keypoints=[x, y, 2] * 17, num_keypoints=17)


def _far(doc, entry):
    entry["keypoints"][_visible(entry)] += 500


BROKEN = {"size": [240, 320], "counts": "0o"}
PLANTED = {  # what is planted in a file and its first person `a`, and the name of the finding
    "swapped left and right": ("swapped", _swap),
    "v=2 outside the image": ("visible_outside", lambda d, a: _joint(a, -40.0, 20.0, 2)),
    "v=0 with coordinates": ("coordinates_without_v", _v0),
    "box not holding its mask": ("box_mask", lambda d, a: _put(a["bbox"], 2, 3.0)),
    "box far too large": ("box_loose", lambda d, a: a.update(bbox=[0, 0, 320, 240])),
    "area off": ("area", lambda d, a: a.update(area=a["area"] + 9)),
    "duplicate id": ("duplicate_id", lambda d, a: a.update(id=d["annotations"][1]["id"])),
    "duplicate image id": ("duplicate_id", lambda d, a: d["images"].append(d["images"][0])),
    "orphan annotation": ("orphan_annotation", lambda d, a: a.update(image_id=999)),
    "NaN": ("not_finite", lambda d, a: _joint(a, math.nan, 20.0, 2)),
    "1e308": ("not_finite", lambda d, a: _joint(a, 1e308, 20.0, 2)),
    "NaN in a box": ("not_finite", lambda d, a: _put(a["bbox"], 0, math.nan)),
    "keypoint count off": ("keypoint_count", lambda d, a: a.update(keypoints=a["keypoints"][:-3])),
    "limb ten times too long": ("limb_length", _limb),
    "two people with the same keypoints": ("duplicate_keypoints", _twins),
    "RLE size off": ("mask_size", lambda d, a: a["segmentation"].update(size=[241, 320])),
    "RLE broken": ("mask_broken", lambda d, a: a.update(segmentation=BROKEN)),
    "a mask that is a number": ("mask_broken", lambda d, a: a.update(segmentation=7)),
    "category mismatch": ("category_mismatch", lambda d, a: a.update(category_id=7)),
    "no keypoints": ("no_keypoint_category", lambda d, a: d["categories"][0].update(keypoints=[])),
    "box of zero width": ("box_empty", lambda d, a: _put(a["bbox"], 2, 0)),
    "joint 500 px outside its box": ("joint_far", _far),
    "all joints at one point": ("joints_one_point", _one_point),
    "v=3": ("bad_visibility", lambda d, a: _joint(a, 20.0, 20.0, 3)),
    "num_keypoints off": ("num_keypoints", lambda d, a: a.update(num_keypoints=1)),
    "no size": ("schema", lambda d, a: d["images"][0].update(width=None)),
    "text for a number": ("schema", lambda d, a: _joint(a, "left", 20.0, 2)),
}


def test_nothing_in_the_untouched_export(clean, folder):
    for doc in (clean, _plain(clean)):
        found = _check(doc, folder)
        assert not found.counts, found.text()
        assert (found.images, found.people) == (6, 12)


@pytest.mark.parametrize("name", PLANTED)
def test_planted_in_a_file(clean, name):
    kind, plant = PLANTED[name]
    for doc in (copy.deepcopy(clean), copy.deepcopy(_plain(clean))):
        plant(doc, doc["annotations"][0])
        found = _check(doc)
        assert found.counts[kind] >= 1, found.text()
        assert found.errors >= 1 or kind == "box_loose"
        assert kind in found.text() and found.as_json()["kinds"][kind]["examples"]


def _rewrite(path, change):
    assert cv2.imwrite(str(path), change(cv2.imread(str(path))))


PICTURES = {
    "missing": ("image_missing", lambda p: p.unlink()),
    "cut short": ("image_broken", lambda p: p.write_bytes(p.read_bytes()[:2000])),
    "no picture": ("image_broken", lambda p: p.write_bytes(b"hello")),
    "other size": ("image_size", lambda p: _rewrite(p, lambda i: cv2.resize(i, (160, 120)))),
    "mirrored": ("image_mirrored", lambda p: _rewrite(p, lambda i: i[:, ::-1])),
    "changed": ("image_changed", lambda p: _rewrite(p, lambda i: cv2.add(i, 6))),
}


@pytest.mark.parametrize("name", PICTURES)
def test_planted_in_a_picture(clean, folder, name):
    kind, plant = PICTURES[name]
    plant(folder / "images/000001.jpg")
    assert dict(_check(clean, folder).counts) == {kind: 1}
    # Only the hash in a file of ours tells that a picture is another one.
    assert dict(_check(_plain(clean), folder).counts) == ({} if name == "changed" else {kind: 1})


def test_names_that_leave_the_folder(clean, folder):
    for name in ("../secret.jpg", "/etc/passwd", "a/../../b.jpg", "C:\\x.jpg"):
        doc = copy.deepcopy(clean)
        doc["images"][0]["file_name"] = name
        assert _check(doc, folder).counts["unsafe_name"] == 1


def test_a_clean_data_set_and_its_damaged_copies(dataset):
    found = validating.validate_dataset(dataset).findings
    assert not found.counts, found.text()

    def check(change):
        samples = _samples(dataset)
        change(*samples[0])
        return set(validating.validate_samples(samples, BONES).findings.counts)

    def put(name, place, value):
        return lambda _, rows: rows[0][name].__setitem__(place, value)

    assert check(lambda *_: None) == set()
    assert "visibility_fractions" in check(put("visibility_fractions", 0, 1.5))
    assert "state" in check(put("state", 5, 3))
    assert "cause" in check(put("cause", 5, "truncated"))
    assert "projection" in check(put("joints_px", 10, 200.0))
    assert "projection" in check(put("joints_world_m", 0, 4.0))
    assert "list_length" in check(lambda _, rows: rows[0]["state"].pop())
    assert "fraction" in check(lambda _, rows: rows[0].update(occluded_fraction=0.9))
    assert "area" in check(lambda _, rows: rows[0].update(modal_area_px=3))
    assert "box_mask" in check(put("modal_box_px", 2, 3.0))
    assert "duplicate_id" in check(lambda _, rows: rows[1].update(instance=1))
    assert "amodal" in check(lambda _, rows: rows[0].update(amodal_counts=rows[1]["modal_counts"]))
    hidden = next(i for i, s in enumerate(_samples(dataset)) if s[1][0]["hidden_joint"])
    samples = _samples(dataset)
    samples[hidden][1][0]["hidden_share"][0] = 0.001
    assert "hidden_by" in validating.validate_samples(samples, BONES).findings.counts


def _samples(dataset):
    return list(pair_rows(dataset.iter_frames(), dataset.iter_instances()))


def test_a_swap_of_everything_is_told_by_the_head(dataset):
    frame, everybody = _samples(dataset)[0]
    row = copy.deepcopy(everybody[0])
    joints = np.array(row["joints_camera_m"]).reshape(-1, 3)
    joints[0, 2] -= 0.03  # the stick head is flat: its nose comes forward, its ears go back
    joints[3:5, 2] += 0.09
    for places, wanted in ((joints, 0), (joints[BONES.flip], 1)):
        row["joints_camera_m"] = places.ravel().tolist()
        (chunk,) = rows.chunks_of_samples([({**frame, "K": None}, [row])])
        (found,) = rows.check_rows(*chunk, BONES)
        assert sum(finding.kind == "swapped" for finding in found) == wanted


def test_stored_pictures_are_held_against_their_hashes(tmp_path):
    dataset = write_set(tmp_path / "set", [painted(i) for i in range(2)])
    path = tmp_path / "set/shards/00000/images/000001.jpg"
    _rewrite(path, lambda image: image[:, ::-1])
    found = validating.validate_dataset(dataset).findings
    assert found.counts["image_mirrored"] == 1 and found.counts["stored_bytes"] >= 1
    path.unlink()
    assert validating.validate_dataset(dataset).findings.counts["image_missing"] == 1


def test_frames_in_another_order_are_a_finding_and_not_paired(tmp_path):
    folder = tmp_path / "set"
    write_set(folder, [painted(i) for i in range(3)])
    tamper(folder, "frames.parquet", lambda table: table.take([1, 0, 2]))
    dataset = Dataset(folder, check=False)
    assert validating.validate_dataset(dataset).findings.counts["table_mismatch"] == 1
    with pytest.raises(DatasetError, match="another order"):
        without(dataset, {2}, tmp_path / "fixed")


def test_a_mended_copy(clean, folder, tmp_path):
    doc = copy.deepcopy(_plain(clean))
    a = doc["annotations"]
    at = _visible(a[0])
    a[0]["keypoints"][at : at + 3] = [-40.0, 20.0, 2]
    a[1]["area"] += 99
    a[2]["bbox"][2] = 0
    a[3]["keypoints"][_visible(a[3])] = math.nan
    a[4]["image_id"] = 999
    a[5]["num_keypoints"] = 1
    a.append(copy.deepcopy(a[6]))
    a.append({**copy.deepcopy(a[7]), "id": a[6]["id"]})
    a[-1]["keypoints"][_visible(a[7])] += 3.0
    (folder / doc["images"][5]["file_name"]).unlink()
    before = copy.deepcopy(doc)
    found = validating.validate_coco(
        doc["categories"], lambda: doc["images"], lambda: a, folder=folder
    )
    head = {k: v for k, v in doc.items() if k not in ("images", "annotations")}
    out = tmp_path / "repaired" / "annotations.json"
    done = write_repaired(head, lambda: doc["images"], lambda: a, out, left_out=found.unusable)
    with pytest.raises(FormatError, match="nothing importable"):
        write_repaired(head, list, list, tmp_path / "none.json", left_out=found.unusable)
    assert str(doc) == str(before)
    mended = json.loads(out.read_bytes())
    again = _check(mended, folder)
    assert not again.errors, again.text()
    assert done["visible_outside"] == 1 and done["duplicate_id"] == 2 and done["box_empty"] == 1
    assert done["not_finite"] == 1 and done["area"] >= 1
    assert len(mended["images"]) == 5
    ids = [entry["id"] for entry in mended["annotations"]]
    assert len(set(ids)) == len(ids) == 10
    assert set(done) <= {kind for kind, reported in checks.KINDS.items() if reported.fix}


def test_polygons_in_an_image_whose_size_overflows(clean):
    """pycocotools ends the process on such a size, so it must never see one."""
    doc = copy.deepcopy(clean)
    doc["images"][0]["height"] = 240_000_000_000
    for person in doc["annotations"]:
        person["segmentation"] = [[10, 10, 90, 10, 90, 90]]
    found = _check(doc).as_json()
    assert "not a whole number from 1" in json.dumps(found)
    with pytest.raises(ValueError, match="in an image of 320 x 240000000000 pixels"):
        compressed_counts([[10, 10, 90, 10, 90, 90]], (240_000_000_000, 320))
