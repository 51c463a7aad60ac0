"""Reviewed labels go out in every format and come back; the data set on disk never changes."""

import json
import math
import shutil

import pytest
from exchange_sets import tree
from review_ops import GUEST, LEAD, PEOPLE, hidden, refused, seen

from synthstudio.core.errors import ReviewError
from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.shards import hashed_files
from synthstudio.formats import FORMATS
from synthstudio.formats.export import export
from synthstudio.formats.imports import import_from
from synthstudio.quality.validate import validate_dataset
from synthstudio.review import history
from synthstudio.review.check import base_of, labels_of
from synthstudio.review.imports import import_corrections
from synthstudio.review.reviewed import export_reviewed, reviewed_dataset
from synthstudio.review.values import JointLabel

PLAIN = ("id", "image_id", "category_id", "keypoints", "bbox", "area", "iscrowd", "segmentation")
NAMES = get_skeleton("coco17").joints
WRIST = NAMES.index("left_wrist")


@pytest.fixture
def do(desk):
    return desk.do


def review_some(do, small_set):
    labels = base_of(small_set, 0, 1).joints
    x, nose = labels["left_wrist"], labels["nose"]
    moved = JointLabel(x_px=x.x_px + 3, y_px=x.y_px, state=x.state, cause=x.cause)
    gone = hidden(nose.x_px, nose.y_px - 2, "object")
    do("edit", 0, 1, joints={"left_wrist": moved, "nose": gone})
    do("status", 0, 1, status="approved")
    do("delete", 0, 2)
    do("status", 3, 1, status="rejected")
    do("add", 1, 9, joints={"nose": seen(50, 60), "left_hip": seen(70, 90)})
    do("status", 1, 9, status="approved")
    do("comment", 4, 2, text="odd")
    return moved


def test_reviewed_set(store, small_set, key, do, tmp_path):
    before = hashed_files(small_set.folder)
    moved = review_some(do, small_set)
    made = reviewed_dataset(store, small_set, tmp_path / "out", only="all")
    assert hashed_files(small_set.folder) == before
    do("comment", 0, 1, text="no label depends on this")
    reviewed_dataset(store, small_set, tmp_path / "again", only="all")
    assert hashed_files(made.folder) == hashed_files(tmp_path / "again")
    assert not list(made.verify()) and not validate_dataset(made).findings.errors
    assert made.identity.derived["by"] == "review"
    assert made.frames == len(PEOPLE) and made.people == sum(PEOPLE) - 1 + 1
    row, old = made.instances(0)[0], small_set.instances(0)[0]
    joints = labels_of(row, NAMES)
    assert joints["left_wrist"] == moved and joints["nose"].cause == "object"
    # Only its place moved: shares stay, its 3D is stale. State changed: shares are unknown too.
    assert (
        row["visibility_fractions"][5 * WRIST : 5 * WRIST + 5]
        == old["visibility_fractions"][5 * WRIST : 5 * WRIST + 5]
    )
    for name in ("joints_camera_m", "joints_world_m", "kinematic_joints_world_m"):
        assert all(math.isnan(v) for v in row[name][3 * WRIST : 3 * WRIST + 3])
    assert all(math.isnan(v) for v in row["visibility_fractions"][:5])
    assert 0 not in row["hidden_joint"] and row["occluder_id"][0] == 0
    assert row["joints_camera_m"][3:6] == old["joints_camera_m"][3:6]  # an untouched joint
    assert row["origin"].count("human") == 2
    touched = (
        "joints_px joints_camera_m joints_world_m kinematic_joints_world_m visibility_fractions"
    )
    touched += " state cause ambiguous occluder_id origin hidden_joint hidden_instance hidden_share"
    untouched = set(old) - set(touched.split())
    assert {n: row[n] for n in untouched} == {n: old[n] for n in untouched}
    assert [r["instance"] for r in made.instances(0)] == [1, 3]
    rejected = made.instances(3)[0]
    assert set(rejected["state"]) == {255} and rejected["modal_counts"] is not None
    assert [r["instance"] for r in made.instances(1)] == [1, 9]
    added = labels_of(made.instances(1)[1], NAMES)
    assert added["nose"] == seen(50, 60) and added["left_eye"].state is None
    assert made.instances(1)[1]["modal_box_px"] == [50, 60, 20, 30]


def test_only_approved_and_touched(store, small_set, do, tmp_path):
    with pytest.raises(ReviewError, match="approved"):
        reviewed_dataset(store, small_set, tmp_path / "none")
    assert not (tmp_path / "none").exists()
    review_some(do, small_set)
    made = reviewed_dataset(store, small_set, tmp_path / "approved")
    assert made.frames == 2  # those with somebody approved: 0 and 1
    states = [set(row["state"]) == {255} for row in made.iter_instances()]
    assert states == [False, True, True, False]  # who is not approved has no joints
    origins = [row["origin"] for row in made.iter_instances()]
    assert "human" not in origins[1]
    touched = reviewed_dataset(store, small_set, tmp_path / "touched", only="touched")
    assert touched.frames == 4 and touched.people == 2 + 2 + 2 + 4


QUICK = [("coco", only) for only in ("all", "touched", "approved")] + [("yolo", "all")]
SLOW = [(form, only) for form in sorted(FORMATS) for only in ("all", "touched", "approved")]
NIGHTLY = pytest.mark.nightly("all formats; COCO and YOLO are quick")
FORMS = QUICK + [pytest.param(*pair, marks=NIGHTLY) for pair in SLOW if pair not in QUICK]


@pytest.mark.parametrize(("form", "only"), FORMS)
def test_every_format_takes_it_and_gives_it_back(desk, tmp_path, form, only):
    out = tmp_path / "out"
    review_some(desk.do, desk.dataset)
    found = export_reviewed(desk.store, desk.dataset, out, form=form, only=only)
    assert found.images == {"all": 5, "touched": 4, "approved": 2}[only]
    assert [p.name for p in out.parent.iterdir() if p.name.startswith(".")] == []
    events = len(history.events(desk.store, desk.key))
    path = found.annotations if found.annotations.is_file() else out
    made = import_corrections(desk.store, desk.dataset, path, form=form, who=LEAD)
    assert (made.edited, made.added, made.deleted, made.refused) == (0, 0, 0, []), made
    assert len(history.events(desk.store, desk.key)) == events


def pictures_of(out):
    return {name: data for name, data in tree(out).items() if name.endswith(".jpg")}


@pytest.mark.parametrize(
    ("form", "only"), [("coco", "touched"), ("coco", "approved"), ("yolo", "approved")]
)
def test_frames_keep_their_numbers_and_names(store, small_set, do, tmp_path, form, only):
    do("status", 3, 2, status="approved")
    do("status", 4, 1, status="approved")
    export(form, small_set.folder, tmp_path / "whole")
    found = export_reviewed(store, small_set, tmp_path / "part", form=form, only=only)
    whole, part = pictures_of(tmp_path / "whole"), pictures_of(tmp_path / "part")
    assert len(part) == 2 and all("000003" in name or "000004" in name for name in part)
    assert part.items() <= whole.items()
    if form == "coco":
        entries, had = (
            json.loads((tmp_path / d / "annotations" / found.annotations.name).read_text())
            for d in ("part", "whole")
        )
        assert [e["id"] for e in entries["images"]] == [3, 4]
        assert all(e in had["images"] for e in entries["images"])
        assert [a["id"] for a in entries["annotations"]] == [3001, 3002, 4001, 4002, 4003, 4004]
        assert {a["image_id"] for a in entries["annotations"]} == {3, 4}
    path = found.annotations if found.annotations.is_file() else tmp_path / "part"
    back = Dataset(import_from(form, path, tmp_path / "back").folder)
    columns = ["index", "image_sha256", "spec"]
    held = [{name: small_set.frame(k)[name] for name in columns} for k in (3, 4)]
    assert list(back.iter_frames(columns)) == held


def edit_coco(path, edit, *, keep=None):
    data = json.loads(path.read_text())
    if keep is not None:
        data["annotations"] = [{k: a[k] for k in keep} for a in data["annotations"]]
    edit(data["annotations"])
    path.write_text(json.dumps(data))


@pytest.mark.parametrize(("keep", "sidecar"), [(None, True), (PLAIN, True), (PLAIN, False)])
def test_one_moved_joint_is_one_event(store, small_set, key, do, tmp_path, keep, sidecar):
    review_some(do, small_set)
    out = tmp_path / "out"
    path = export_reviewed(store, small_set, out, form="coco", only="all").annotations
    if not sidecar:
        shutil.rmtree(out / "synthstudio")
    events = len(history.events(store, key))
    edit_coco(path, lambda entries: None, keep=keep)
    made = import_corrections(store, small_set, path, form="coco", who=LEAD)
    assert len(history.events(store, key)) == events, made

    def move(entries):
        points = next(a for a in entries if a["image_id"] == 4)["keypoints"]
        points[3 * WRIST : 3 * WRIST + 3] = [99.5, 88.5, 2]

    edit_coco(path, move, keep=keep)
    with refused("role"):
        import_corrections(store, small_set, path, form="coco", who=GUEST)
    made = import_corrections(store, small_set, path, form="coco", who=LEAD)
    new = history.events(store, key)[events:]
    assert (made.edited, made.joints, len(new)) == (1, 1, 1), made
    assert (new[0].kind, new[0].who, new[0].person.frame) == ("edit", "lea", 4)
    assert list(new[0].after["joints"]) == ["left_wrist"]
    label = history.state(store, new[0].person).joints["left_wrist"]
    assert (label.x_px, label.y_px, label.state) == (100, 89, 2)
    again = import_corrections(store, small_set, path, form="coco", who=LEAD)
    assert again.edited == 0 and len(history.events(store, key)) == events + 1
    assert history.check_replay(store, key) == []


def test_added_and_taken_away_elsewhere(store, small_set, key, do, tmp_path):
    out = tmp_path / "out"
    path = export_reviewed(store, small_set, out, form="coco", only="all").annotations

    def change(entries):
        gone = next(a for a in entries if a["image_id"] == 4)
        entries.remove(gone)
        new = {**entries[0], "id": 77777, "image_id": 2, "keypoints": [20.5, 30.5, 2] + [0] * 48}
        entries.append({k: new[k] for k in PLAIN if k != "segmentation"})

    edit_coco(path, change)
    made = import_corrections(store, small_set, path, form="coco", who=LEAD)
    assert (made.edited, made.added, made.deleted) == (0, 1, 1), made
    kinds = {(e.kind, e.person.frame) for e in history.events(store, key)}
    assert kinds == {("add", 2), ("delete", 4)}
