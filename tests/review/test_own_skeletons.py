"""A COCO file of joints that the package does not know: taken in, reviewed, and out again."""

import json

import numpy as np
import pytest
from own_skeleton_sets import JOINTS, PAIRS, coco, horse_set, write_coco
from review_ops import LEAD, Desk

from synthstudio.core.errors import FormatError
from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.reader import Dataset
from synthstudio.formats.export import export
from synthstudio.formats.imports import import_from
from synthstudio.formats.skeleton_file import read_skeleton
from synthstudio.quality.validate import validate_dataset
from synthstudio.review.history import register
from synthstudio.review.imports import import_corrections, import_predictions
from synthstudio.review.reviewed import export_reviewed, reviewed_dataset
from synthstudio.review.risk.predictions import predictions_in
from synthstudio.review.values import JointLabel

FORMATS = ("coco", "yolo", "cvat", "label-studio", "webdataset", "huggingface")


@pytest.fixture(scope="module")
def horses(tmp_path_factory):
    return horse_set(tmp_path_factory.mktemp("horses"))


def entries(folder):
    (file,) = (folder / "annotations").glob("*.json")
    return json.loads(file.read_text("utf-8"))


def test_the_set_says_what_its_joints_are(horses):
    skeleton = horses.skeleton
    assert skeleton.own and skeleton.title == "horse" and list(skeleton.joints) == JOINTS
    assert [[JOINTS[a], JOINTS[b]] for a, b in skeleton.pairs] == PAIRS
    stored = json.loads((horses.folder / "dataset.json").read_text("utf-8"))["skeleton"]
    assert stored["joints"] == JOINTS and stored["category"] == "Horse"
    assert get_skeleton(horses.identity.skeleton).joints == skeleton.joints
    # Nothing knows a body there: no joint is COCO's, and none is called wrong.
    assert set(skeleton.known_as) == {""}
    found = validate_dataset(horses).findings
    assert found.images == 4 and not found.counts


def test_one_joint_moved_is_all_that_an_export_differs_in(horses, store, tmp_path):
    desk = Desk(store, horses)
    before = desk.base(desk.person(2)).joints["Root of tail"]
    moved = JointLabel(x_px=70.5, y_px=30.5, state=before.state, cause=before.cause)
    person = desk.do("edit", 2, joints={"Root of tail": moved}).person
    export_reviewed(store, horses, tmp_path / "out", form="coco", only="all")
    found, truth = entries(tmp_path / "out"), coco()
    category = found["categories"][0]
    assert category["name"] == "Horse" and category["keypoints"] == JOINTS
    assert category["skeleton"] == truth["categories"][0]["skeleton"]
    at = JOINTS.index("Root of tail")
    for entry, wanted in zip(found["annotations"], truth["annotations"], strict=True):
        assert entry["image_id"] == wanted["image_id"]
        if entry["image_id"] == 3:  # the third picture of the file, frame 2
            wanted["keypoints"][3 * at : 3 * at + 2] = [70.0, 30.0]
        assert entry["keypoints"] == wanted["keypoints"]

    # Back again: the export says its own skeleton, so nothing else is needed, and nothing differs.
    again = import_corrections(store, horses, tmp_path / "out", form="coco", who=LEAD)
    assert (again.edited, again.added, again.deleted) == (0, 0, 0)
    assert desk.state(person).revision == 1
    made = reviewed_dataset(store, horses, tmp_path / "reviewed", only="all")
    assert Dataset(tmp_path / "reviewed").skeleton.name == horses.skeleton.name
    assert made.frames == 4


def results_file(folder, names):
    """What a network of nine joints found in the first frame, as `predict` writes it."""
    flat = [v for k in range(9) for v in (20 + k, 30 + k, 0.9)]
    entry = {"image_id": 1, "category_id": 1, "score": 0.9, "keypoints": flat}
    category = {"id": 1, "name": "Horse", "keypoints": names, "skeleton": []}
    images = [{"id": 1, "file_name": "1.jpg"}]
    head = {"images": images, "categories": [category]}
    (folder / "pictures.json").write_text(json.dumps(head), "utf-8")
    (folder / "results.json").write_text(json.dumps([entry | {"instance_number": 1}]), "utf-8")
    return folder / "results.json"


def test_predictions_of_a_file_keep_every_joint(horses, store, tmp_path):
    key = register(store, horses, "horses")
    file = results_file(tmp_path, JOINTS)
    assert import_predictions(store, horses, file, layer="net", who=LEAD).matched == 1
    (found,) = predictions_in(store, key, "net", {0})[0]
    assert set(found.joints) == set(JOINTS)

    other = results_file(tmp_path, [f"point {k}" for k in range(9)])
    with pytest.raises(FormatError, match=r"no common joints.*Root of tail.*got point 0"):
        import_predictions(store, horses, other, layer="net", who=LEAD)
    export("coco", horses.folder, tmp_path / "out")
    (file,) = (tmp_path / "out" / "annotations").glob("*.json")
    assert import_predictions(store, horses, file, layer="net", who=LEAD).matched == 4
    found = predictions_in(store, key, "net", {0, 1, 2, 3})
    assert all(set(each.joints) == set(JOINTS) for (each,) in found.values())


@pytest.mark.parametrize("name", FORMATS)
def test_formats_hold_it_there_and_back(horses, tmp_path, name):
    export(name, horses.folder, tmp_path / "out")
    back = Dataset(import_from(name, tmp_path / "out", tmp_path / "set").folder)
    assert back.skeleton.name == horses.skeleton.name
    for ours, theirs in zip(horses.iter_instances(), back.iter_instances(), strict=True):
        np.testing.assert_allclose(theirs["joints_px"], ours["joints_px"], atol=0.01)
        assert theirs["state"] == ours["state"]


def test_a_file_of_unknown_joints_says_what_to_do(tmp_path):
    file = write_coco(tmp_path / "coco", 1)
    with pytest.raises(FormatError, match="synthstudio skeleton FILE"):
        import_from("coco", file, tmp_path / "set")
    other = read_skeleton(file)
    file.write_text(file.read_text("utf-8").replace("withers", "back"), "utf-8")
    with pytest.raises(FormatError, match=r"withers.*got.*back"):
        import_from("coco", file, tmp_path / "set", skeleton=other)
    assert not (tmp_path / "set").exists()
