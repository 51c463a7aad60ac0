"""What a person changes in another tool comes back; everything else is as it was."""

import json
import re
import shutil

import numpy as np
import pytest
from exchange_sets import differences, rows_of

from synthstudio.dataset.reader import Dataset
from synthstudio.formats.export import export
from synthstudio.formats.imports import import_from

JOINT = 9  # left_wrist


def rewritten(path, change):
    data = json.loads(path.read_text())
    path.write_text(json.dumps(change(data) or data))


def edit_coco(out, row):
    def change(data):
        entry = next(a for a in data["annotations"] if a["id"] == row["frame_index"] * 1000 + 1)
        entry["keypoints"][3 * JOINT : 3 * JOINT + 3] = [49.5, 59.5, 1]

    rewritten(out / "annotations" / "person_keypoints_train.json", change)


def edit_coco_stripped(out, row):
    """As a tool would save that keeps nothing but COCO's own keys."""
    edit_coco(out, row)
    own = {"id", "file_name", "width", "height", "image_id", "category_id", "keypoints", "bbox"}
    own |= {"area", "iscrowd", "segmentation"}

    def change(data):
        for name in ("annotations", "images"):
            data[name] = [{k: v for k, v in a.items() if k in own} for a in data[name]]

    rewritten(out / "annotations" / "person_keypoints_train.json", change)


def edit_yolo(out, row):
    change_lines(out, lambda a, b, c: [moved(a), b, c])


def change_lines(out, change):  # of the first picture, with three people
    path = out / "labels/train/000000.txt"
    path.write_text("\n".join(change(*path.read_text().splitlines())))


def moved(line):
    parts = line.split()
    at = 5 + 3 * JOINT
    return " ".join([*parts[:at], str(50 / 320), str(60 / 240), "1", *parts[at + 3 :]])


def edit_cvat(out, row):
    path = out / "annotations.xml"
    head = '<points label="left_wrist" source="manual"'
    pattern = head + r' outside="\d" occluded="\d" points="[^"]*"'
    new = head + ' outside="0" occluded="1" points="50.00,60.00"'
    path.write_text(re.sub(pattern, new, path.read_text(), count=1))


def edit_label_studio(out, row):
    def change(data):
        for region in data[0]["annotations"][0]["result"]:
            value = region["value"]
            if region.get("parentID") == "0-1" and value["keypointlabels"] == ["left_wrist"]:
                value |= {"x": 100 * 50 / 320, "y": 100 * 60 / 240, "hidden": True}

    rewritten(out / "tasks.json", change)


def edit_mpii(out, row):
    def change(data):
        data[0]["joints"][15], data[0]["is_visible"][15] = [50.5, 60.5], 0

    rewritten(out / "annotations.json", change)


@pytest.mark.parametrize(
    ("name", "edit"),
    [
        ("coco", edit_coco),
        ("coco", edit_coco_stripped),
        ("yolo", edit_yolo),
        ("cvat", edit_cvat),
        ("label-studio", edit_label_studio),
        ("mpii", edit_mpii),
    ],
)
def test_one_joint_is_edited_and_nothing_else(name, edit, original, tmp_path):
    out = tmp_path / "out"
    export(name, original.folder, out)
    stored = list(original.iter_instances())
    assert stored[0]["frame_index"] == 0
    edit(out, stored[0])
    import_from(name, out, tmp_path / "back")
    frames, people = rows_of(tmp_path / "back")
    assert differences(list(original.iter_frames()), frames) == []
    assert differences(stored[1:], people[1:]) == []
    got = people[0]
    assert np.allclose(got["joints_px"][2 * JOINT : 2 * JOINT + 2], (50, 60))
    assert (got["state"][JOINT], got["cause"][JOINT]) == (1, "unknown")
    assert got["origin"].count("human") == 1
    assert got["origin"][JOINT] == "human"
    assert np.isnan(got["visibility_fractions"][5 * JOINT : 5 * JOINT + 5]).all()
    others = [j for j in range(23) if j != JOINT]
    for column in ("state", "cause", "ambiguous", "occluder_id", "origin"):
        assert [got[column][j] for j in others] == [stored[0][column][j] for j in others]
    assert JOINT not in got["hidden_joint"]
    for column in ("joints_world_m", "modal_counts", "modal_box_px", "identity"):
        assert got[column] == stored[0][column]


NEW = "0 0.1 0.8 0.1 0.2" + " 0.1 0.8 2" * 23
PEOPLE = {  # lines of a file; which of the export's people they are, how many are new, and edited
    "removed": (lambda a, b, c: [b, c], [2, 3], 0, 0),
    "copied and changed": (lambda a, b, c: [a, b, c, moved(a)], [1, 2, 3], 1, 1),
    "removed, one added": (lambda a, b, c: [b, c, NEW], [2, 3], 1, 1),
    "changed and swapped": (lambda a, b, c: [moved(b), moved(a), c], [1, 2, 3], 0, 2),
    "changed, one removed": (lambda a, b, c: [moved(b), c], [2, 3], 0, 1),
    "changed, one added": (lambda a, b, c: [NEW, a, c, moved(b)], [1, 2, 3], 1, 2),
}
STAYS = ("instance", "identity", "joints_world_m", "modal_counts", "modal_area_px", "modal_box_px")


@pytest.mark.parametrize("case", PEOPLE)
def test_people_are_known_again(case, original, tmp_path):
    change, known, new, edited = PEOPLE[case]
    export("yolo", original.folder, tmp_path / "out")
    change_lines(tmp_path / "out", change)
    made = import_from("yolo", tmp_path / "out", tmp_path / "back")
    stored, people = original.instances(0), Dataset(made.folder).instances(0)
    assert ([r["instance"] for r in people], made.edited) == (known + [4] * new, edited)
    for row, number in zip(people, known, strict=False):
        assert [row[name] for name in STAYS] == [stored[number - 1][name] for name in STAYS]
        assert row["origin"].count("human") <= 1
    differ = differences([stored[number - 1] for number in known], people[: len(known)])
    assert len({text.split(",")[0] for text in differ}) == edited - new
    for row in people[len(known) :]:
        assert row["identity"] is row["joints_world_m"] is None and {*row["origin"]} == {"human"}


@pytest.mark.parametrize("sidecar", [True, False])
def test_new_people_of_coco_have_numbers_that_nobody_had(sidecar, original, tmp_path):
    def change(data):
        new = {"image_id": 0, "category_id": 1, "bbox": [9, 9, 9, 9], "keypoints": [9, 9, 2] * 23}
        del data["annotations"][2 if sidecar else 0]
        data["annotations"] += [new | {"id": -n} for n in (1, 2)]

    export("coco", original.folder, tmp_path / "out")
    rewritten(tmp_path / "out/annotations/person_keypoints_train.json", change)
    if not sidecar:
        shutil.rmtree(tmp_path / "out/synthstudio")
    back = Dataset(import_from("coco", tmp_path / "out", tmp_path / "back").folder)
    known = [1, 2] if sidecar else [2, 3]
    assert [r["instance"] for r in back.instances(0)] == [*known, 4, 5]
    assert [back.person_ids()[0, number] for number in (4, 5)] == [-2, -1]


def test_label_studios_regions_keep_their_person(original, tmp_path):
    def change(data):
        result = data[0]["annotations"][0]["result"]
        result[:] = [region for region in result if not region["id"].startswith("0-1")]
        for region in result:
            region["value"] |= {"x": 1, "y": 2}

    export("label-studio", original.folder, tmp_path / "out")
    rewritten(tmp_path / "out/tasks.json", change)
    made = import_from("label-studio", tmp_path / "out", tmp_path / "back")
    people = Dataset(made.folder).instances(0)
    assert [r["identity"] for r in people] == [r["identity"] for r in original.instances(0)[1:]]


def test_a_sidecar_of_another_version_is_not_used_and_that_is_said(original, tmp_path):
    export("yolo", original.folder, tmp_path / "out")
    rewritten(tmp_path / "out/synthstudio/sidecar.json", lambda d: d | {"format_version": 99})
    made = import_from("yolo", tmp_path / "out", tmp_path / "back")
    assert "The sidecar was not used" in made.notes[0]
    assert all(r["identity"] is None for r in rows_of(tmp_path / "back")[1])
