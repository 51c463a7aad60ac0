"""COCO-WholeBody: its keys, there and back with all 133 joints, and its own evaluation."""

import json
import re

import numpy as np
import pytest
from exchange_sets import differences, make_set, rows_of

import synthstudio as ss
from synthstudio.core.skeleton import get_skeleton
from synthstudio.evaluation.precision import WHOLE_BODY_PARTS as PARTS
from synthstudio.formats.coco.dialects import keypoints_key
from synthstudio.formats.export import export
from synthstudio.formats.imports import import_from

SIZES = {"body": 17, "foot": 6, "face": 68, "lefthand": 21, "righthand": 21}
TRAIN = "annotations/person_keypoints_train.json"


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    return make_set(tmp_path_factory.mktemp("sticks") / "set", skeleton="coco133")


@pytest.fixture(scope="module")
def exported(original, tmp_path_factory):
    out = tmp_path_factory.mktemp("out") / "whole"
    export("coco-wholebody", original.folder, out)
    return out


def annotations(exported):
    return json.loads((exported / TRAIN).read_text())["annotations"]


def taken(exported, file, out):
    return import_from("coco-wholebody", file, out, images=exported / "images/train")


def test_the_keys_are_the_published_ones(exported):
    file = json.loads((exported / TRAIN).read_text())
    assert file["categories"][0]["keypoints"] == list(get_skeleton("coco17").joints)
    for entry in file["annotations"]:
        for part, count in SIZES.items():
            assert len(entry[keypoints_key(part)]) == 3 * count
            if part != "body":
                labelled = any(entry[keypoints_key(part)][2::3])
                assert entry[f"{part}_valid"] is labelled
        assert entry["num_keypoints"] == sum(v > 0 for v in entry["keypoints"][2::3])
        assert "foot_box" not in entry
        for part in ("face", "lefthand", "righthand"):
            points = np.reshape(entry[f"{part}_kpts"], (-1, 3))
            known = points[points[:, 2] > 0, :2] + 0.5
            wanted = [*known.min(0), *np.ptp(known, 0)] if len(known) else [0.0] * 4
            np.testing.assert_allclose(entry[f"{part}_box"], wanted)


def test_parts_stand_in_the_skeletons_order(original, exported):
    entry = annotations(exported)[0]
    index, instance = divmod(entry["id"], 1000)
    (row,) = (r for r in original.instances(index) if r["instance"] == instance)
    names, px = get_skeleton("coco133").joints, np.reshape(row["joints_px"], (-1, 2))
    for part, place, joint in [
        ("body", 9, "left_wrist"),
        ("foot", 5, "right_heel"),
        ("face", 8, "chin"),
        ("face", 36, "right_eyelid_1"),
        ("face", 54, "left_lip_1"),
        ("lefthand", 8, "left_forefinger4"),
        ("righthand", 20, "right_pinky_finger4"),
    ]:
        j = names.index(joint)
        assert row["state"][j] in (1, 2)
        found = entry[keypoints_key(part)][3 * place : 3 * place + 3]
        np.testing.assert_allclose(found, [*(px[j] - 0.5), row["state"][j]])


def test_all_joints_come_back_with_and_without_the_sidecar(original, exported, tmp_path):
    import_from("coco-wholebody", exported, tmp_path / "back")
    frames, people = rows_of(tmp_path / "back")
    assert differences(list(original.iter_frames()), frames) == []
    assert differences(list(original.iter_instances()), people) == []
    taken(exported, exported / TRAIN, tmp_path / "bare")
    _, bare = rows_of(tmp_path / "bare")
    assert bare and all(len(row["state"]) == 133 for row in bare)
    assert {2, 255} <= {state for row in bare for state in row["state"]}


def as_results(exported, path, *, move="", px=0.0):
    """The annotations as results, one part moved by `px`, unlabelled joints in the person's middle:
    missing parts do not count, nor predictions of them near the person."""
    found = []
    for entry in annotations(exported):
        result = {"image_id": entry["image_id"], "category_id": 1, "score": 0.9}
        x, y, w, h = entry["bbox"]
        for part in SIZES:
            points = np.reshape(entry[keypoints_key(part)], (-1, 3)).astype(float)
            points[points[:, 2] == 0, :2] = (x + w / 2, y + h / 2)
            points[:, :2] += px if part == move else 0.0
            points[:, 2] = 1
            result[keypoints_key(part)] = points.ravel().tolist()
        found.append(result)
    path.write_text(json.dumps(found))
    return path


def evaluated(original, path, out):
    made = ss.evaluate(
        predictions=path, dataset=original.folder, split="train", out=out, progress=False
    )
    return made.metrics["whole_body"]


def test_an_export_scores_one_against_itself(original, exported, tmp_path):
    found = evaluated(original, as_results(exported, tmp_path / "same.json"), tmp_path / "out")
    assert tuple(found) == PARTS
    assert {part: round(each["AP"], 6) for part, each in found.items()} == dict.fromkeys(PARTS, 1.0)


@pytest.mark.parametrize("part", ["foot", "lefthand"])
def test_a_part_that_is_off_costs_that_part(original, exported, tmp_path, part):
    path = as_results(exported, tmp_path / "off.json", move=part, px=40)
    found = evaluated(original, path, tmp_path / "out")
    own = {"lefthand": "left_hand"}.get(part, part)
    assert found[own]["AP"] < 0.2
    assert found["body"]["AP"] == pytest.approx(1.0)
    assert found["right_hand"]["AP"] == pytest.approx(1.0)
    if part == "lefthand":
        assert found["hands"]["AP"] == pytest.approx((found[own]["AP"] + 1) / 2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"face_kpts": [0, 0, 0]}, "face_kpts: 204 numbers"),
        ({"lefthand_kpts": [float("1e999")] * 63}, "lefthand_kpts|byte"),
        ({"righthand_kpts": "x"}, "righthand_kpts"),
        ({"foot_kpts": [0, 0, 9] * 6}, "v must be 0, 1 or 2"),
    ],
)
def test_broken_parts_are_left_out_and_counted(exported, tmp_path, change, message):
    file = json.loads((exported / TRAIN).read_text())
    entry = next(e for e in file["annotations"] if e["foot_valid"] and e["face_valid"])
    entry |= {f"{part}_valid": True for part in ("face", "lefthand", "righthand", "foot")} | change
    (tmp_path / "broken.json").write_text(json.dumps(file))
    made = taken(exported, tmp_path / "broken.json", tmp_path / "back")
    told = [what for what in made.left_out if what.startswith("annotation: ")]
    assert len(told) == 1 and re.search(message, told[0])


def test_a_part_that_is_not_valid_is_unlabelled(exported, tmp_path):
    file = json.loads((exported / TRAIN).read_text())
    for entry in file["annotations"]:
        entry |= {"face_valid": False}
    (tmp_path / "no_faces.json").write_text(json.dumps(file))
    taken(exported, tmp_path / "no_faces.json", tmp_path / "back")
    _, people = rows_of(tmp_path / "back")
    assert {s for row in people for s in row["state"][23:91]} == {255}
