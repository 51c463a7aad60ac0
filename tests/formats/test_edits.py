"""What a person changes in another tool comes back; everything else is as it was."""

import json
import re

import numpy as np
import pytest
from exchange_sets import differences, rows_of

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
    path = out / "labels" / "train" / "000000.txt"
    lines = path.read_text().splitlines()
    parts = lines[0].split()
    parts[5 + 3 * JOINT : 8 + 3 * JOINT] = [str(50 / 320), str(60 / 240), "1"]
    path.write_text("\n".join([" ".join(parts), *lines[1:]]))


def edit_cvat(out, row):
    path = out / "annotations.xml"
    text = path.read_text()
    pattern = (
        r'<points label="left_wrist" source="manual" outside="\d" occluded="\d" points="[^"]*"'
    )
    changed = (
        '<points label="left_wrist" source="manual" outside="0" occluded="1" points="50.00,60.00"'
    )
    path.write_text(re.sub(pattern, changed, text, count=1))


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


def test_a_person_taken_away_or_added(original, tmp_path):
    export("yolo", original.folder, tmp_path / "out")
    path = tmp_path / "out" / "labels" / "train" / "000000.txt"
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[1:]))
    made = import_from("yolo", tmp_path / "out", tmp_path / "less")
    stored = [r for r in original.iter_instances() if r["frame_index"] == 0]
    people = [r for r in rows_of(tmp_path / "less")[1] if r["frame_index"] == 0]
    assert made.edited == 0
    assert differences(stored[1:], people) == []
    moved = lines[0].split()
    moved[5:8] = ["0.5", "0.5", "2"]
    path.write_text("\n".join([*lines, " ".join(moved)]))
    made = import_from("yolo", tmp_path / "out", tmp_path / "more")
    people = [r for r in rows_of(tmp_path / "more")[1] if r["frame_index"] == 0]
    assert made.edited == 1
    assert differences(stored, people[:-1]) == []
    assert people[-1]["instance"] == len(stored) + 1
    assert people[-1]["origin"] == ["human"] * 23


def test_a_sidecar_of_another_version_is_not_used_and_that_is_said(original, tmp_path):
    export("yolo", original.folder, tmp_path / "out")
    rewritten(tmp_path / "out/synthstudio/sidecar.json", lambda d: d | {"format_version": 99})
    made = import_from("yolo", tmp_path / "out", tmp_path / "back")
    assert "The sidecar was not used" in made.notes[0]
    assert all(r["identity"] is None for r in rows_of(tmp_path / "back")[1])
