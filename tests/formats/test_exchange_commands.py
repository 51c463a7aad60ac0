import json
import shutil

import pytest
from command_line import run_json
from exchange_sets import differences, from_behind, make_set, rows_of

from synthstudio.api.arguments import Format
from synthstudio.api.datasets import Dataset, import_photos
from synthstudio.api.review import export_reviewed
from synthstudio.core.errors import FormatError
from synthstudio.formats import FORMATS
from synthstudio.formats.export import export
from synthstudio.formats.imports import import_from
from synthstudio.formats.joints import TARGETS


def test_the_commands_know_every_format_and_skeleton():
    assert Format.__metadata__[0].choices == tuple(FORMATS)
    for function in (Dataset.export, import_photos, export_reviewed):
        assert all(name in " ".join(function.__doc__.split()) for name in TARGETS)


def test_export_and_import(tmp_path):
    original = make_set(tmp_path / "set", frames=3)
    out, back = tmp_path / "out", tmp_path / "back"
    found = run_json("export", tmp_path / "set", "--format", "yolo", "--out", out)
    assert found["annotations"].endswith("data.yaml")
    assert found["left_out"] == 1
    made = run_json("import", out, "--format", "yolo", "--out", back)
    assert made["people"] == original.people
    assert differences(list(original.iter_instances()), rows_of(tmp_path / "back")[1]) == []


@pytest.mark.parametrize("name", ["coco", "yolo"])
def test_faces_left_out_come_back(tmp_path, name):
    original = make_set(tmp_path / "set", frames=3, look=from_behind)
    made = export(name, original.folder, tmp_path / "out", hidden_faces=False)
    if name == "coco":
        whole = export(name, original.folder, tmp_path / "whole")
        assert labelled(made) < labelled(whole)
    back = import_from(name, tmp_path / "out", tmp_path / "back")
    assert back.edited == 0
    assert differences(list(original.iter_instances()), rows_of(tmp_path / "back")[1]) == []


def labelled(made):
    entries = [e for file in made.files for e in json.loads(file.read_text())["annotations"]]
    return sum(entry["num_keypoints"] for entry in entries)


def test_another_skeleton(tmp_path):
    original = make_set(tmp_path / "set", frames=2)
    for skeleton in TARGETS:
        export("yolo", original.folder, tmp_path / skeleton, skeleton=skeleton)
        back = tmp_path / f"{skeleton}-back"
        assert import_from("yolo", tmp_path / skeleton, back).edited == 0
        assert differences(list(original.iter_instances()), rows_of(back)[1]) == []
    with pytest.raises(FormatError, match="has a fixed skeleton"):
        export("mpii", original.folder, tmp_path / "x", skeleton="lsp14")


@pytest.mark.parametrize("joints", ["all", "visible"])
@pytest.mark.parametrize("boxes", ["amodal", "visible", None])
@pytest.mark.parametrize("name", ["coco", "yolo", "coco-wholebody"])
def test_boxes_and_joints_are_chosen_said_and_undone(tmp_path, name, boxes, joints):
    skeleton = "coco133" if name == "coco-wholebody" else "coco23"
    original = make_set(tmp_path / "set", frames=4, skeleton=skeleton)
    made = export(name, original.folder, tmp_path / "out", boxes=boxes, joints=joints)
    said = boxes or "amodal"  # the default: for networks of poses
    assert f"Boxes: {said}" in made.text() and f"Joints: {joints}" in made.text()
    rows = {row["frame_index"] * 1000 + row["instance"]: row for row in original.iter_instances()}
    flags = set()
    if name == "yolo":
        assert f"# boxes: {said}" in made.files[0].read_text()
        texts = [f.read_text() for f in made.annotations.parent.rglob("*.txt")]
        lines = [line.split() for text in texts for line in text.splitlines()]
        flags = {flag for line in lines for flag in line[7::3]}
    for file in made.files if name != "yolo" else []:
        whole = json.loads(file.read_text())
        assert whole["info"]["boxes"].startswith(said)
        for entry in whole["annotations"]:
            row = rows[entry["id"]]
            wanted = row["modal_box_px"] if said == "visible" else row["amodal_box_px"]
            x, y, w, h = wanted
            x1, y1 = min(x + w, 320), min(y + h, 240)
            inside = [max(x, 0), max(y, 0), x1 - max(x, 0), y1 - max(y, 0)]
            assert entry["bbox"] == pytest.approx(wanted if said == "visible" else inside)
            assert ("modal_bbox" in entry) == (said == "amodal")
            flags |= {str(v) for v in entry["keypoints"][2::3]}
    assert ("1" in flags) == (joints == "all")
    back = import_from(name, tmp_path / "out", tmp_path / "back")
    assert back.edited == 0
    assert differences(list(original.iter_instances()), rows_of(tmp_path / "back")[1]) == []


def test_a_box_that_another_tool_moved_counts_without_the_sidecar_too(tmp_path):
    original = make_set(tmp_path / "set", frames=3)
    made = export("coco", original.folder, tmp_path / "out")
    shutil.rmtree(tmp_path / "out" / "synthstudio")
    file = made.files[0]
    whole = json.loads(file.read_text())
    first, second = whole["annotations"][:2]
    first["bbox"] = [5.0, 6.0, 70.0, 80.0]
    file.write_text(json.dumps(whole))
    import_from("coco", tmp_path / "out", tmp_path / "back")
    boxes = {
        row["frame_index"] * 1000 + row["instance"]: row["modal_box_px"]
        for row in rows_of(tmp_path / "back")[1]
    }
    assert boxes[first["id"]] == first["bbox"]
    assert boxes[second["id"]] == second["modal_bbox"] != second["bbox"]


def test_one_split_of_yolo_and_no_amodal_boxes_to_annotate_are_said(tmp_path):
    original = make_set(tmp_path / "set", frames=1)
    made = export("yolo", original.folder, tmp_path / "yolo")
    assert "train and val are the same" in made.text() and "the same" in made.files[0].read_text()
    with pytest.raises(FormatError, match=r"only has visible boxes.*yolo"):
        export("label-studio", original.folder, tmp_path / "out", boxes="amodal")


def test_mmpose_reads_the_joints_from_the_file_beside(tmp_path):
    original = make_set(tmp_path / "set", frames=1)
    export("coco", original.folder, tmp_path / "out", skeleton="coco17")
    found = {}
    exec((tmp_path / "out" / "mmpose_dataset.py").read_text(), found)
    info = found["dataset_info"]
    assert info["keypoint_info"][5]["swap"] == "right_shoulder"
    assert info["keypoint_info"][0]["swap"] == "" and len(info["sigmas"]) == 17
    names = {k["name"] for k in info["keypoint_info"].values()}
    assert info["skeleton_info"][0]["link"][0] in names
