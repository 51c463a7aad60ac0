import contextlib
import copy
import errno
import io
import json
import math
import os
import shutil
import tracemalloc
import warnings

import cv2
import numpy as np
import pytest
from coco_objects import annotation, document, from_coco, image, to_coco, write_coco
from exchange_sets import WALL, make_set, placed, rows_of
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from stick_people import make_camera, make_frame, make_labels, make_posed, make_spec

from synthstudio.api.quality import validate
from synthstudio.core.errors import DiskError, FormatError
from synthstudio.core.labels import Frame
from synthstudio.core.masks import decode, mask_polygons
from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.manifest import AssetRow
from synthstudio.dataset.rows import frame_row, instance_rows
from synthstudio.formats.coco.entries import dump, dump_entry
from synthstudio.formats.coco.file import annotation_files, image_folder
from synthstudio.formats.export import export
from synthstudio.formats.imports import import_from

COCO17 = get_skeleton("coco17")
ASSETS = (AssetRow(sha256="ab" * 32, name="tree.png", licence="CC0-1.0", source="https://a.b/c"),)


def sample(frame):
    row = frame_row(frame, f"images/{frame.spec.index:06d}.jpg")
    return row, instance_rows(frame)


def crowd_frame(index):
    camera = make_camera(640, 480, position_m=(0.0, -5.0, 4.5), pitch_rad=-0.5)
    people = tuple(
        make_posed(
            COCO17, instance=k + 1, x_m=0.8 * (k % 5) - 1.6 + 0.1 * (k // 5), y_m=0.8 * (k // 5)
        )
        for k in range(25)
    )
    labels = make_labels(camera, COCO17, people)
    return Frame(spec=make_spec(camera, 25, index=index), jpeg=b"", labels=labels)


@pytest.fixture(scope="module")
def samples():
    """A crowd of 25, someone wholly hidden, someone cut by the frame, nobody."""
    return [
        sample(crowd_frame(0)),
        sample(placed(1, "coco17", -0.8, 0.8, panels=(WALL,))),
        *(sample(make_frame(k, people=3)) for k in range(2, 6)),
        sample(placed(6, "coco17", 2.3)),
        sample(make_frame(7, people=0)),
    ]


@pytest.fixture(scope="module")
def written(samples, tmp_path_factory):
    path = tmp_path_factory.mktemp("coco") / "people.json"
    return path, write_coco(iter(samples), path, skeleton=COCO17, assets=ASSETS)


def annotations(written):
    return json.loads(written[0].read_text())["annotations"]


def test_projecting_the_json_alone_gives_its_pixels(written):
    data = json.loads(written[0].read_text())
    images, worst, joints = {i["id"]: i for i in data["images"]}, 0.0, 0
    for entry in data["annotations"]:
        image = images[entry["image_id"]]
        k, m = np.array(image["K"]), np.array(image["world_to_camera"])
        turn = cv2.Rodrigues(m[:3, :3])[0]
        for points, rotation, shift in (
            (entry["keypoints_3d_world_m"], turn, m[:3, 3]),
            (entry["keypoints_3d_camera_m"], np.zeros(3), np.zeros(3)),
        ):
            px = cv2.projectPoints(np.array(points), rotation, shift, k, None)[0][:, 0]
            worst = max(worst, np.abs(px - np.array(entry["keypoints_all"])).max())
            listed = np.array(entry["keypoints"], float).reshape(-1, 3)
            inside = listed[:, 2] > 0
            worst = max(worst, np.abs(px - 0.5 - listed[:, :2])[inside].max(initial=0))
            joints += int(inside.sum())
    assert joints > 500
    assert worst < 1e-5


def test_keypoints_are_indices_and_zero_outside(samples, written):
    rows = {(f["index"], r["instance"]): r for f, people in samples for r in people}
    seen = set()
    for entry in annotations(written):
        row = rows[entry["image_id"], entry["instance_number"]]
        assert entry["id"] == entry["image_id"] * 1000 + entry["instance_number"]
        px = np.reshape(row["joints_px"], (-1, 2))
        for j, (x, y, v) in enumerate(np.reshape(entry["keypoints"], (-1, 3))):
            assert v == row["state"][j]
            seen.add(int(v))
            assert (x, y) == ((0, 0) if v == 0 else (px[j, 0] - 0.5, px[j, 1] - 0.5))
        assert entry["num_keypoints"] == sum(s > 0 for s in row["state"])
        assert entry["iscrowd"] == 0
        mask = decode(entry["segmentation"])
        assert (entry["area"], entry["bbox"]) == (int(mask.sum()), row["modal_box_px"])
    assert seen == {0, 1, 2}


def score(path, kind, *, largest, move=0.0):
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # pycocotools and NumPy 2
        truth = COCO(str(path))
        found = []
        for entry in truth.dataset["annotations"]:
            if kind == "keypoints" and not entry["num_keypoints"]:
                continue
            copied = {k: copy.deepcopy(entry[k]) for k in ("image_id", "category_id", kind)}
            if kind == "keypoints":
                copied[kind] = [v + move if i % 3 == 0 else v for i, v in enumerate(copied[kind])]
            if kind == "segmentation":
                copied[kind] = truth.annToRLE(entry)
            if kind == "bbox":
                copied[kind][0] += move
            found.append({**copied, "score": 0.9})
        run = COCOeval(truth, truth.loadRes(found), kind.replace("segmentation", "segm"))
        run.params.maxDets = [largest] if kind == "keypoints" else [1, 10, largest]
        run.params.kpt_oks_sigmas = COCO17.sigmas
        run.evaluate()
        run.accumulate()
    precision = run.eval["precision"][:, :, 0, 0, -1]  # all areas, the largest maxDets
    return float(precision[precision > -1].mean())


@pytest.mark.parametrize("kind", ["keypoints", "bbox", "segmentation"])
def test_ground_truth_scores_one(kind, written):
    path, _ = written
    assert score(path, kind, largest=25) == pytest.approx(1.0, abs=1e-12)


def test_ours_comes_back(samples, written):
    frames, people = from_coco(written[0])
    lost = ("spec", "layers")
    expected = [{k: v for k, v in f.items() if k not in lost} for f, _ in samples]
    assert [{k: v for k, v in f.items() if k not in lost} for f in frames] == expected
    shown = [row for _, rows in samples for row in rows if row["modal_area_px"] >= 16]
    assert people == shown
    assert written[1] == len(shown) < sum(len(rows) for _, rows in samples)
    by_frame = [[p for p in people if p["frame_index"] == f["index"]] for f in frames]
    again = to_coco(zip(frames, by_frame, strict=True), COCO17, assets=ASSETS)
    assert again == json.loads(written[0].read_text())


def test_polygons_come_back_as_the_same_masks(samples, tmp_path):
    _, people = from_coco(to_coco(samples, COCO17, polygons=True))
    shown = [row for _, rows in samples for row in rows if row["modal_area_px"] >= 16]
    assert [p["modal_counts"] for p in people] == [p["modal_counts"] for p in shown]


def test_a_joint_before_the_near_plane_is_null_and_comes_back():
    row, people = sample(make_frame(2, people=1))
    people[0]["joints_px"][:2] = [float("nan")] * 2
    people[0]["state"][0] = 0
    data = json.loads(json.dumps(to_coco([(row, people)], COCO17), allow_nan=False))
    assert data["annotations"][0]["keypoints_all"][0] == [None, None]
    assert data["annotations"][0]["keypoints"][:3] == [0, 0, 0]
    back = from_coco(data)[1][0]["joints_px"]
    assert np.isnan(back[:2]).all()
    assert back[2:] == people[0]["joints_px"][2:]


def foreign():
    points = [v for j in range(17) for v in (10 + j, 20 + j, j % 3)]
    person = annotation(9, 397133, points, (10, 20, 18, 18), area=99.4)
    person["segmentation"] = [[10, 20, 28, 20, 28, 38, 10, 38]]
    whole = {"size": [60, 80], "counts": [0, 4800]}
    region = {**person, "id": 2, "iscrowd": 1, "segmentation": whole}
    return document([image(397133, "a.jpg", (80, 60))], [{**person, "id": 10}, person, region])


def test_a_file_of_others():
    (frame,), people = from_coco(foreign())
    assert (frame["index"], frame["K"], frame["spec"]) == (397133, None, None)
    assert [p["instance"] for p in people] == [1, 2]  # the iscrowd region is left out
    row = people[0]
    assert row["cause"][:3] == ["unlabelled", "unknown", "visible"]
    assert row["state"][:3] == [255, 1, 2]
    assert np.isnan(row["joints_px"][:2]).all()
    assert row["joints_px"][2:4] == [11.5, 21.5]  # index + 0.5
    assert np.isnan(row["visibility_fractions"]).all()
    assert row["origin"] == ["human"] * 17
    mask = decode({"size": row["mask_size"], "counts": row["modal_counts"]})
    assert mask.sum() == 18 * 18
    assert row["amodal_counts"] is None
    out = to_coco([(frame, people)], COCO17)["annotations"][0]
    points = np.reshape(foreign()["annotations"][1]["keypoints"], (-1, 3))
    assert out["keypoints"] == (points * (points[:, 2:] > 0)).ravel().tolist()
    assert out["num_keypoints"] == 11


def test_a_failed_write_leaves_the_old_file(samples, tmp_path, monkeypatch):
    path = tmp_path / "a.json"
    path.write_text("old")

    def full(*args):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskError, match="disk is full"):
        write_coco(samples[-1:], path, skeleton=COCO17)
    assert [p.name for p in tmp_path.iterdir()] == ["a.json"]
    assert path.read_text() == "old"


def test_memory_stays_far_below_the_file(samples, tmp_path):
    frame, people = samples[1]
    path = tmp_path / "a.json"
    tracemalloc.start()
    write_coco((({**frame, "index": k}, people) for k in range(300)), path, skeleton=COCO17)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert path.stat().st_size > 1_000_000
    assert peak < 0.2 * path.stat().st_size, (peak, path.stat().st_size)


def test_the_head_says_what_it_is(written):
    data = json.loads(written[0].read_text())
    known = {"id": 1, "name": "CC0-1.0", "url": "https://a.b/c"}
    assert data["licenses"] == [known | {"asset": "tree.png", "sha256": "ab" * 32}]
    (category,) = data["categories"]
    assert category["keypoints"] == list(COCO17.joints)
    assert min(v for bone in category["skeleton"] for v in bone) == 1
    described = " ".join(data["info"]) + " ".join(data["info"].values())
    names = ("keypoints_all", "K", "amodal_bbox", "cause", "hidden_by", "truncated")
    for name in (*names, "visibility_fractions"):
        assert name in described
    assert data["images"][0]["date_captured"] == data["info"]["date_created"]


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    root = tmp_path_factory.mktemp("layout")
    export("coco", make_set(root / "set").folder, root / "coco")
    return root / "coco"


def test_a_file_and_a_folder_of_images_per_split(exported):
    files = annotation_files(exported)
    assert [f.name for f in files] == [
        f"person_keypoints_{split}.json" for split in ("test", "train", "val")
    ]
    numbers = []
    for file in files:
        content = json.loads(file.read_text())
        for entry in content["images"]:
            assert "/" not in entry["file_name"]
            assert (image_folder(file) / entry["file_name"]).is_file()
            assert entry["split"] == image_folder(file).name
            numbers.append(entry["id"])
        assert "missing" not in validate(file).text()
    assert sorted(numbers) == list(range(7))


def test_one_split_of_an_export_is_a_set(exported, tmp_path):
    (file,) = [f for f in annotation_files(exported) if "train" in f.name]
    made = import_from("coco", file, tmp_path / "back")
    assert (made.frames, made.edited) == (5, 0)
    frames, _ = rows_of(tmp_path / "back")
    assert [row["index"] for row in frames] == [0, 1, 3, 5, 6]
    assert all(row["spec"] for row in frames)  # from the sidecar


def test_a_folder_as_coco_unpacks(exported, tmp_path):
    """Images in SPLIT/ beside annotations/, ids of the splits overlap, no key of ours."""
    (tmp_path / "annotations").mkdir()
    for split in ("train", "val"):
        shutil.copytree(exported / "images" / split, tmp_path / f"{split}2017")
        file = exported / "annotations" / f"person_keypoints_{split}.json"
        content = json.loads(file.read_text())
        keep = ("id", "image_id", "category_id", "keypoints", "bbox", "area", "segmentation")
        numbers = {image["id"]: k for k, image in enumerate(content["images"])}
        target = tmp_path / "annotations" / f"person_keypoints_{split}2017.json"
        images = [
            {k: i[k] for k in ("file_name", "width", "height")} | {"id": numbers[i["id"]]}
            for i in content["images"]
        ]
        people = [
            {k: a[k] for k in keep} | {"image_id": numbers[a["image_id"]]}
            for a in content["annotations"]
        ]
        categories = content["categories"]
        target.write_text(
            json.dumps({"images": images, "annotations": people, "categories": categories})
        )
    import_from("coco", tmp_path, tmp_path / "back")
    assert [row["split"] for row in rows_of(tmp_path / "back")[0]] == ["train"] * 5 + ["val"]
    alone = import_from("coco", target, tmp_path / "alone")
    assert alone.frames == 1


def test_a_folder_without_a_coco_file_is_one_message(tmp_path):
    with pytest.raises(FormatError, match="there is no COCO file"):
        import_from("coco", tmp_path, tmp_path / "out")
    (tmp_path / "a.json").write_text("{}")
    with pytest.raises(FormatError, match="no list images"):
        import_from("coco", tmp_path / "a.json", tmp_path / "out")


ODD = [0.0, -0.0, 9e-5, 1e-4, 1e15, 1e16, 5e-324]
REALS = st.floats(allow_infinity=False) | st.sampled_from(ODD)
LISTS = st.none() | st.lists(REALS, max_size=12)
OTHERS = st.none() | st.text(max_size=3) | st.sampled_from(["\0", '"\0"', "\\u0000"])


def pairs(values):
    """Numbers as COCO's lists of two, NaN as None."""
    values = None if values is None else [None if v != v else v for v in values]
    return values and [values[i : i + 2] for i in range(0, len(values), 2)]


@given(LISTS, LISTS, OTHERS)
def test_as_json_dumps_writes_them(one, other, text):
    entry = {"m": pairs(one), "b": pairs(other), "c": text, "z": text, "a": [1, 2.5]}
    plain = json.dumps(entry, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    assert dump_entry(entry, ("b", "m")) == plain


@pytest.mark.parametrize("value", [math.inf, -math.inf])
def test_infinity_is_refused(value):
    with pytest.raises(ValueError, match="not JSON compliant"):
        dump_entry({"x": [[0.5, value]]}, ("x",))
    with pytest.raises(ValueError, match="not JSON compliant"):
        dump(math.nan)


def glanced(folder, old="", new=""):
    Image.new("RGB", (80, 60)).save(folder / "a.jpg")
    person = annotation(1, 5, [10, 20, 2] * 17, (10, 20, 18, 18), area=99)
    dog = {"id": 2, "image_id": 5, "category_id": 2, "iscrowd": 0, "area": 77}
    data = document([image(5, "a.jpg", (80, 60))], [person, dog])
    data["categories"].append({"id": 2, "name": "dog"})
    text = json.dumps(data, separators=(",", ":"))
    assert old in text
    (folder / "a.json").write_text(text.replace(old, new))


def test_the_file_as_it_is(tmp_path):
    glanced(tmp_path)
    made = import_from("coco", tmp_path / "a.json", tmp_path / "out")
    assert made.people == 1
    assert any("1 x annotation of category dog" in note for note in made.notes)


@pytest.mark.parametrize("old", ["99", "77"], ids=["a person", "what is left out"])
@pytest.mark.parametrize("new", ["09", "1,", '1,"area":2', '"\t"', "[", "1]", '"\\ud800"'])
def test_what_is_no_json_is_refused(old, new, tmp_path):
    glanced(tmp_path, f'"area":{old}', f'"area":{new}')
    with pytest.raises(FormatError, match="invalid JSON"):
        import_from("coco", tmp_path / "a.json", tmp_path / "out")
    assert not (tmp_path / "out").exists()


RING = np.pad(np.zeros((3, 3), np.bool_), 1, constant_values=True)
DIAGONAL = np.eye(4, dtype=np.bool_)
TOUCHING = np.array([[1, 1, 1, 0], [1, 0, 1, 1], [1, 1, 0, 1], [0, 1, 1, 1]], np.bool_)


def filled(polygons, shape):
    if not polygons:
        return np.zeros(shape, np.bool_)
    merged = coco_mask.merge(coco_mask.frPyObjects(polygons, *shape))
    return decode({"size": merged["size"], "counts": merged["counts"].decode()})


@settings(max_examples=200, deadline=None)
@example(RING)
@example(DIAGONAL)
@example(TOUCHING)
@given(hnp.arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_pycocotools_reads_the_same_mask(mask):
    polygons = mask_polygons(mask)
    assert (filled(polygons, mask.shape) == mask).all()
    assert all(len(p) >= 8 and len(p) % 2 == 0 for p in polygons)


def test_a_rectangle_has_four_corners_at_pixel_edges():
    mask = np.zeros((6, 8), np.bool_)
    mask[2:5, 1:7] = True
    assert mask_polygons(mask) == [[1, 2, 7, 2, 7, 5, 1, 5]]
    assert mask_polygons(np.zeros((3, 3), np.bool_)) == []
