"""Photos and occluders split into training and test; what is refused."""

import json
import shutil

import asset_roots
import experiment_world as world
import pytest

from synthstudio.core.errors import AssetError, FormatError
from synthstudio.experiment import splits
from synthstudio.formats.coco.file import CocoFile
from synthstudio.props import procedural
from synthstudio.recipe.schema.load import parse


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return world.write(tmp_path_factory.mktemp("set") / "people", 12)


def part(root, out, file="coco.json", seed=0):
    return splits.split_photos(root / file, root / "images", out, seed=seed)


def read(out, name):
    return json.loads((out / f"{name}.json").read_text())


def names(out, name):
    return {image["file_name"] for image in read(out, name)["images"]}


def test_every_photo_is_in_one_part_and_the_seed_decides_which(root, tmp_path):
    facts = part(root, tmp_path / "a")
    assert part(root, tmp_path / "b") == facts
    train, test = (names(tmp_path / "a", part) for part in splits.PARTS)
    assert test == names(tmp_path / "b", "test")
    assert not train & test
    assert len(train | test) == 12 and len(test) == facts["photos"]["test"] == 4
    part(root, tmp_path / "c", seed=1)
    assert names(tmp_path / "c", "test") != test
    for name, people in (("train", 8), ("test", 4)):
        found = read(tmp_path / "a", name)
        assert len(found["annotations"]) == people == facts["people"][name]
        assert {p["image_id"] for p in found["annotations"]} == {i["id"] for i in found["images"]}


def test_a_photo_with_two_names_is_in_one_part(root, tmp_path):
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
    for name in splits.PARTS:
        numbers = {i["id"] for i in read(tmp_path / "out", name)["images"]}
        assert {n + 99 for n in numbers if n < 100} == {n for n in numbers if n >= 100}


@pytest.mark.parametrize("names", [world.COCO17, world.BODY12[::-1]])
def test_joints_are_taken_by_name_and_unused_names_are_no_joints(tmp_path, names):
    facts = part(world.write(tmp_path / "people", 5, names=names), tmp_path / "out")
    assert facts["skeleton"] == "body12" and len(facts["joints"]) == 12
    part(world.write(tmp_path / "plain", 5), tmp_path / "same")
    for name in splits.PARTS:
        a, b = (read(tmp_path / o, name)["annotations"] for o in ("out", "same"))
        assert [p["keypoints"] for p in a] == [p["keypoints"] for p in b]


def test_what_a_set_lacks_is_told_and_unusable_people_are_counted(root, tmp_path):
    used = [name for name in world.COCO17 if name != "left_ear"]
    some = world.write(tmp_path / "people", 5, names=world.COCO17, labelled=used)
    facts = part(some, tmp_path / "some")
    assert facts["skeleton"] == "coco17"
    assert any("Never labelled: left_ear" in note for note in facts["notes"])
    assert not any("v=1" in note for note in part(root, tmp_path / "with")["notes"])

    def spoil(found):
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


def test_the_parts_are_read_by_the_importer(root, tmp_path):
    def no_area(found):
        for who in found["annotations"]:
            del who["area"]

    part(root, tmp_path / "out", world.changed(root, no_area))
    for name in splits.PARTS:
        opened = CocoFile(tmp_path / "out" / f"{name}.json")
        assert opened.skeleton.name == "body12"
        people = [row for _, rows in opened.samples() for row in rows]
        opened.close()
        assert people and all(row["modal_area_px"] > 0 for row in people)


def points_of(number, change):
    """A change of the keypoints of one annotation."""
    return lambda found: change(found["annotations"][number]["keypoints"])


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (points_of(2, lambda xyv: xyv.extend([5, 5, 2])),
         "people have more labelled joints.*expected 12 joints.*got a label of joint 13"),
        (lambda found: found.update(images=[], annotations=[]), "no usable person.*people"),
        (lambda found: found.update(annotations=found["annotations"][:1]),
         "too few photos to split.*expected 4 or more.*got 1 with 1 people"),
        (lambda found: [who.pop("bbox") for who in found["annotations"]],
         "no usable person.*12 x person without a box"),
        (lambda found: [who["keypoints"].__setitem__(slice(2, None, 3), [1] * 12)
                        for who in found["annotations"]],
         "every labelled joint is hidden.*got 144 with v=1"),
        (points_of(3, lambda xyv: xyv.__setitem__(2, 3)),
         "annotations, id 4.*whole number from 0 to 2"),
        (lambda found: found["categories"][0]["keypoints"].__setitem__(0, "antenna"),
         "no known skeleton has these joints.*antenna"),
        (lambda found: found["images"].pop(), "people of images that are not in the file.*got 12"),
        (points_of(2, lambda xyv: xyv.__delitem__(slice(30, None))), "annotation 3"),
    ],
)  # fmt: skip
def test_bad_annotations_are_one_clear_message(root, tmp_path, change, says):
    file = world.changed(root, change)
    with pytest.raises(FormatError, match=f"(?s){says}"):
        part(root, tmp_path / "out", file)
    assert not (tmp_path / "out").exists()


def test_missing_pictures_are_one_clear_message(root, tmp_path):
    with pytest.raises(AssetError, match=r"no such folder.*the photos"):
        splits.split_photos(root / "coco.json", tmp_path / "nowhere", tmp_path / "out", seed=0)
    (tmp_path / "empty").mkdir()
    with pytest.raises(FormatError, match=r"image 1: there is no such file.*p00000.png"):
        splits.split_photos(root / "coco.json", tmp_path / "empty", tmp_path / "out", seed=0)


# What hides people in training never hides them in the test.


def test_kinds_are_known_and_in_one_part():
    known = {obj.kind for obj in procedural.kinds()}
    assert not set(splits.KINDS["train"]) & set(splits.KINDS["test"])
    assert set(splits.KINDS["train"]) | set(splits.KINDS["test"]) <= known
    for name in splits.KINDS:
        for cutouts in (False, True):
            made = parse(splits.occlusion_recipe(name, seed=4, cutouts=cutouts))
            assert made.photo_options.ground == "any"
            assert not made.occlude.by.get("person")


def held(tmp_path, folder, seed=0):
    return splits.split_cutouts(folder, tmp_path / f"out-{seed}", seed=seed)


def test_cutouts_are_parted_by_category_with_their_licences(tmp_path):
    folder = asset_roots.cutouts(tmp_path / "objects")
    extra = json.loads((folder / "manifest.json").read_text())
    (folder / "dog2.png").write_bytes((folder / "dog.png").read_bytes() + b"\0")
    (folder / "manifest.json").write_text(
        json.dumps([*extra, {"file": "dog2.png", "category": "dog", "license": "CC0"}])
    )
    found = held(tmp_path, folder)
    assert sorted(found["train"] + found["test"]) == sorted(p.name for p in folder.glob("*.png"))
    assert found["train"] and found["test"]
    assert ("dog.png" in found["train"]) == ("dog2.png" in found["train"])
    for name, files in found.items():
        ledger = json.loads((tmp_path / "out-0" / name / "cutouts/manifest.json").read_text())
        assert sorted(entry["file"] for entry in ledger) == sorted(files)
        assert all(entry["license"] == "CC0" for entry in ledger)
    assert any(held(tmp_path, folder, seed)["test"] != found["test"] for seed in (1, 2, 3))


def test_cutouts_without_categories_are_parted_by_file_and_too_few_are_refused(tmp_path):
    folder = asset_roots.cutouts(tmp_path / "objects")
    (folder / "manifest.json").unlink()
    found = held(tmp_path, folder)
    assert len(found["train"]) == len(found["test"]) == 2
    for name in ("clock", "dog", "tv"):
        (folder / f"{name}.png").unlink()
    with pytest.raises(AssetError):
        held(tmp_path, folder, seed=1)


@pytest.mark.parametrize(
    ("categories", "use"),
    [
        (("backpack", "office chair", "suitcase", "chair"), "hide people in training"),
        (("bicycle", "dining table", "table", "fence"), "are held out for the test"),
    ],
)
def test_kin_of_the_objects_of_one_part_alone_is_told_as_such(tmp_path, categories, use):
    folder = asset_roots.cutouts(tmp_path / "objects")
    ledger = json.loads((folder / "manifest.json").read_text())
    reported = [entry | {"category": c} for entry, c in zip(ledger, categories, strict=True)]
    (folder / "manifest.json").write_text(json.dumps(reported))
    with pytest.raises(AssetError, match=f"all cut-outs belong to built-in kinds that {use}"):
        held(tmp_path, folder)
    reported[0]["category"] = "dog"
    (folder / "manifest.json").write_text(json.dumps(reported))
    assert all(held(tmp_path, folder).values())
