"""COCO exports lie as COCO itself does, and COCO's own folders are read."""

import json
import shutil
from pathlib import Path

import pytest
from exchange_sets import make_set, rows_of

from synthstudio.api.quality import validate
from synthstudio.core.errors import FormatError
from synthstudio.formats.coco.file import annotation_files, image_folder
from synthstudio.formats.export import export
from synthstudio.formats.imports import import_from

# Names that FiftyOne's labels keep for themselves: a file with one of them is not opened.
RESERVED = {"instance_id", "instance", "tags", "label", "bounding_box", "mask", "mask_path"} | {
    "confidence", "index", "attributes", "points", "visible", "filled", "closed", "has_mask",
    "logits", "similarity",
}  # fmt: skip


@pytest.fixture(scope="module")
def exported(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("layout")
    export("coco", make_set(root / "set").folder, root / "coco")
    return root / "coco"


def test_a_file_and_a_folder_of_images_per_split(exported) -> None:
    files = annotation_files(exported)
    assert [f.name for f in files] == [
        f"person_keypoints_{split}.json" for split in ("test", "train", "val")
    ]
    numbers = []
    for file in files:
        content = json.loads(file.read_text())
        for image in content["images"]:
            assert "/" not in image["file_name"]
            assert (image_folder(file) / image["file_name"]).is_file()
            assert image["split"] == image_folder(file).name
            numbers.append(image["id"])
        assert "missing" not in validate(file).text()
    assert sorted(numbers) == list(range(7))


def test_no_key_is_one_that_fiftyone_reserves(exported) -> None:
    for file in annotation_files(exported):
        for person in json.loads(file.read_text())["annotations"]:
            assert not RESERVED & set(person)


def test_one_split_of_an_export_is_a_set(exported, tmp_path) -> None:
    (file,) = [f for f in annotation_files(exported) if "train" in f.name]
    made = import_from("coco", file, tmp_path / "back")
    assert (made.frames, made.edited) == (5, 0)
    frames, _ = rows_of(tmp_path / "back")
    assert [row["index"] for row in frames] == [0, 1, 3, 5, 6]
    assert all(row["spec"] for row in frames)  # from the sidecar


def test_a_folder_as_coco_unpacks(exported, tmp_path) -> None:
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
    made = import_from("coco", tmp_path, tmp_path / "back")
    assert made.frames == 6
    alone = import_from("coco", target, tmp_path / "alone")
    assert alone.frames == 1


def test_a_folder_without_a_coco_file_is_one_message(tmp_path) -> None:
    with pytest.raises(FormatError, match="there is no COCO file"):
        import_from("coco", tmp_path, tmp_path / "out")
