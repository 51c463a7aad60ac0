"""Annotations split into training and test photos; what is refused."""

import json
import shutil
from pathlib import Path
from typing import Any

import experiment_world as world
import pytest

from synthstudio.core.errors import AssetError, FormatError
from synthstudio.experiment import photos
from synthstudio.formats.coco.file import CocoFile


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return world.write(tmp_path_factory.mktemp("set") / "people", 12)


def part(root: Path, out: Path, file: str | Path = "coco.json", seed: int = 0) -> dict[str, Any]:
    return photos.split(root / file, root / "images", out, seed=seed)


def read(out: Path, name: str) -> dict[str, Any]:
    return json.loads((out / f"{name}.json").read_text())


def names(out: Path, name: str) -> set[str]:
    return {image["file_name"] for image in read(out, name)["images"]}


def test_every_photo_is_in_one_part_and_the_seed_decides_which(root: Path, tmp_path: Path) -> None:
    facts = part(root, tmp_path / "a")
    assert part(root, tmp_path / "b") == facts
    train, test = (names(tmp_path / "a", part) for part in photos.PARTS)
    assert test == names(tmp_path / "b", "test")
    assert not train & test
    assert len(train | test) == 12 and len(test) == facts["photos"]["test"] == 4
    part(root, tmp_path / "c", seed=1)
    assert names(tmp_path / "c", "test") != test
    for name, people in (("train", 8), ("test", 4)):
        found = read(tmp_path / "a", name)
        assert len(found["annotations"]) == people == facts["people"][name]
        assert {p["image_id"] for p in found["annotations"]} == {i["id"] for i in found["images"]}


def test_a_photo_with_two_names_is_in_one_part(root: Path, tmp_path: Path) -> None:
    mine = tmp_path / "set"
    shutil.copytree(root, mine)
    found = json.loads((mine / "coco.json").read_text())
    for k in range(12):  # every photo once more under another name
        image, who = dict(found["images"][k]), dict(found["annotations"][k])
        shutil.copy(mine / "images" / image["file_name"], mine / "images" / f"again{k}.png")
        image |= {"id": 100 + k, "file_name": f"again{k}.png"}
        found["images"].append(image)
        found["annotations"].append(who | {"id": 100 + k, "image_id": 100 + k})
    (mine / "coco.json").write_text(json.dumps(found))
    part(mine, tmp_path / "out")
    for name in photos.PARTS:
        numbers = {i["id"] for i in read(tmp_path / "out", name)["images"]}
        assert {n + 99 for n in numbers if n < 100} == {n for n in numbers if n >= 100}


@pytest.mark.parametrize("names", [world.COCO17, world.BODY12[::-1]])
def test_joints_are_taken_by_name_and_unused_names_are_no_joints(
    tmp_path: Path, names: tuple[str, ...]
) -> None:
    facts = part(world.write(tmp_path / "people", 5, names=names), tmp_path / "out")
    assert facts["skeleton"] == "body12" and len(facts["joints"]) == 12
    part(world.write(tmp_path / "plain", 5), tmp_path / "same")
    for name in photos.PARTS:
        a, b = (read(tmp_path / o, name)["annotations"] for o in ("out", "same"))
        assert [p["keypoints"] for p in a] == [p["keypoints"] for p in b]


def test_what_a_set_lacks_is_told_and_unusable_people_are_counted(
    root: Path, tmp_path: Path
) -> None:
    used = [name for name in world.COCO17 if name != "left_ear"]
    some = world.write(tmp_path / "people", 5, names=world.COCO17, labelled=used)
    facts = part(some, tmp_path / "some")
    assert facts["skeleton"] == "coco17"
    assert any("Never labelled: left_ear" in note for note in facts["notes"])
    assert not any("v=1" in note for note in part(root, tmp_path / "with")["notes"])

    def spoil(found: dict[str, Any]) -> None:
        for who in found["annotations"]:
            who["keypoints"][2::3] = [2 if v else 0 for v in who["keypoints"][2::3]]
        del found["annotations"][0]["bbox"]
        found["annotations"][1]["bbox"][2] = 0
        found["annotations"][2]["iscrowd"] = 1

    facts = part(root, tmp_path / "out", world.changed(root, spoil))
    assert facts["hidden"] == 0 and any("v=1" in note for note in facts["notes"])
    assert sum(facts["people"].values()) == sum(facts["photos"].values()) == 9
    assert "Left out: 2 x person without a box." in facts["notes"]
    assert "Left out: 1 x crowd region." in facts["notes"]


def test_the_parts_are_read_by_the_importer(root: Path, tmp_path: Path) -> None:
    def no_area(found: dict[str, Any]) -> None:
        for who in found["annotations"]:
            del who["area"]

    part(root, tmp_path / "out", world.changed(root, no_area))
    for name in photos.PARTS:
        opened = CocoFile(tmp_path / "out" / f"{name}.json")
        assert opened.skeleton.name == "body12"
        people = [row for _, rows in opened.samples() for row in rows]
        opened.close()
        assert people and all(row["modal_area_px"] > 0 for row in people)


def _empty(found: dict[str, Any]) -> None:
    found["images"], found["annotations"] = [], []


def _one(found: dict[str, Any]) -> None:
    found["annotations"] = found["annotations"][:1]


def _no_boxes(found: dict[str, Any]) -> None:
    for who in found["annotations"]:
        who.pop("bbox")


def _hidden(found: dict[str, Any]) -> None:
    for who in found["annotations"]:
        who["keypoints"][2::3] = [1] * 12


def _flags(found: dict[str, Any]) -> None:
    found["annotations"][3]["keypoints"][2] = 3


def _strange(found: dict[str, Any]) -> None:
    found["categories"][0]["keypoints"][0] = "antenna"


def _orphans(found: dict[str, Any]) -> None:
    found["images"] = found["images"][:-1]


def _short(found: dict[str, Any]) -> None:
    found["annotations"][2]["keypoints"] = found["annotations"][2]["keypoints"][:30]


def _long(found: dict[str, Any]) -> None:
    found["annotations"][2]["keypoints"] += [5, 5, 2]


BAD = {
    _long: "category 7: people have more labelled joints.*expected 12 joints.*got a label of "
    "joint 13",
    _empty: "no usable person.*expected people",
    _one: "too few photos to split.*expected 4 or more.*got 1 with 1 people",
    _no_boxes: "no usable person.*12 x person without a box",
    _hidden: "every labelled joint is hidden.*got 144 with v=1",
    _flags: "annotations, id 4.*whole number from 0 to 2",
    _strange: "no known skeleton has these joints.*antenna",
    _orphans: "people of images that are not in the file.*got 12",
    _short: "annotation 3",
}


@pytest.mark.parametrize("change", BAD, ids=lambda change: change.__name__.strip("_"))
def test_bad_annotations_are_one_clear_message(root: Path, tmp_path: Path, change: Any) -> None:
    file = world.changed(root, change)
    with pytest.raises(FormatError, match=f"(?s){BAD[change]}"):
        part(root, tmp_path / "out", file)
    assert not (tmp_path / "out").exists()


def test_missing_pictures_are_one_clear_message(root: Path, tmp_path: Path) -> None:
    with pytest.raises(AssetError, match=r"no such folder.*the photos"):
        photos.split(root / "coco.json", tmp_path / "nowhere", tmp_path / "out", seed=0)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FormatError, match=r"image 1: there is no such file.*p00000.png"):
        photos.split(root / "coco.json", tmp_path / "empty", tmp_path / "out", seed=0)
