"""Predictions of a file become a layer: whose each is, what is refused, what taking one means."""

import dataclasses
import json

import numpy as np
import pytest
from imported_photos import import_photos
from review_ops import BEN, LEAD, Desk, seen

from synthstudio.core.errors import FormatError, Refused
from synthstudio.core.skeleton import get_skeleton
from synthstudio.review import history
from synthstudio.review.history import content_key
from synthstudio.review.imports import import_predictions
from synthstudio.review.reviewed import export_reviewed, reviewed
from synthstudio.review.risk.predictions import is_predicted, iter_predictions
from synthstudio.review.values import PREDICTED, JointLabel
from synthstudio.studio.editor.suggestions import frame_predictions
from synthstudio.studio.frame_data import Frames

SKELETON = get_skeleton("coco17")


@pytest.fixture
def photos(tmp_path):
    """Three photos with a person each, joint j at x = 14.5 + j, y = 20.5; nobody is in the last."""
    return import_photos(tmp_path / "photos", 60, empty=2)


@pytest.fixture
def desk(empty_store, photos):
    return Desk(empty_store, photos)


def entry(image, *, dx=0.0, dy=0.0, lost=(), **more):
    """A result: everybody's joints moved by dx, dy, without those that are `lost`."""
    flat = []
    for j in range(17):
        flat += [0, 0, 0] if j in lost else [14 + dx + j, 20 + dy, 0.8]
    return {"image_id": image, "category_id": 1, "keypoints": flat, "score": 0.9, **more}


def take_in(store, photos, tmp_path, value, *, who=LEAD, **more):
    path = tmp_path / "results.json"
    path.write_text(json.dumps(value))
    return import_predictions(store, photos, path, layer="net", who=who, **more)


def shown_in(store, photos, frame):
    key = content_key(photos)
    told = [p for p in iter_predictions(store, key, "net") if p.frame == frame]
    states = history.states(store, key, frames=[frame])
    return frame_predictions(told, Frames(photos, SKELETON).get(frame), states, SKELETON)


def test_each_prediction_belongs_to_the_person_it_is_most_like(store, photos, key, tmp_path):
    cause = ["object", "self", None, "truncated"] + [None] * 13
    value = [
        entry(0, dy=14, score=0.4),  # somebody else, below
        entry(0, dx=1, lost=[16], joints={"cause": cause}),
        entry(2, bbox=[1, 1, 20, 20]),
        entry(7),
    ]
    made = take_in(store, photos, tmp_path, value)
    assert made.as_json() == {"layer": "net", "frames": 2, "matched": 1, "found": 2, "unknown": 1}
    stored = list(iter_predictions(store, key, "net"))
    assert [(p.frame, p.instance) for p in stored] == [(0, 1), (0, 1000), (2, 1000)]
    mine = stored[0]
    assert mine.joints["nose"] == (15.5, 20.5, 0.8) and "right_ankle" not in mine.joints
    assert mine.causes == {"nose": "object", "left_eye": "self"}
    of, found = shown_in(store, photos, 0)
    assert of[1]["off"] == 1.0 and 0.5 < of[1]["oks"] < 0.95
    assert of[1]["joints"][0] == [15.5, 20.5, 0.8, "object"]
    assert of[1]["joints"][16] is None
    assert [one["oks"] for one in found] == [None]


def test_an_added_person_takes_the_prediction_that_was_nobodys(desk, store, photos, tmp_path):
    take_in(store, photos, tmp_path, [entry(2)])
    assert len(shown_in(store, photos, 2)[1]) == 1
    desk.do("add", 2, joints={"nose": seen(14.5, 20.5)})
    of, found = shown_in(store, photos, 2)
    assert not found and of[1]["oks"] == 1.0
    desk.do("delete", 2)
    assert len(shown_in(store, photos, 2)[1]) == 1


def test_a_keypoints_file_is_matched_by_its_pictures(store, photos, key, tmp_path):
    folder = tmp_path / "photos-coco"
    value = json.loads((folder / "annotations.json").read_text())
    for one in (*value["images"], *value["annotations"]):  # numbers that are of no frame
        one["id"] += 500
        if "image_id" in one:
            one["image_id"] += 500
        else:  # and names
            (folder / "images" / one["file_name"]).rename(folder / "images" / f"{one['id']}.jpg")
            one["file_name"] = f"{one['id']}.jpg"
    value["annotations"][0]["keypoints"][2] = 1
    with pytest.raises(FormatError, match="no prediction belongs"):
        take_in(store, photos, tmp_path, value)
    made = take_in(store, photos, tmp_path, value, images=folder / "images")
    assert (made.frames, made.matched, made.found, made.unknown) == (2, 2, 0, 0)
    first = next(iter_predictions(store, key, "net"))
    assert "nose" not in first.causes and first.causes["left_eye"] == "visible"


WRONG = [
    ({"keypoints": [1, 2, 3]}, "17 joints need 51 numbers"),
    ({"keypoints": "many"}, "invalid entry"),
    ({"image_id": "a", "keypoints": [1]}, "17 joints need 51 numbers"),
    ({"score": None}, "number missing"),
    ({"bbox": [0, 0]}, "invalid entry"),
    ({"instance_number": [1]}, "whole number"),
    ({"joints": {"cause": ["visible"]}}, "out of range"),
]


def test_what_is_no_prediction_is_named(store, photos, key, tmp_path):
    take_in(store, photos, tmp_path, [entry(0)])
    with pytest.raises(Refused, match="may not import"):
        take_in(store, photos, tmp_path, [entry(1)], who=BEN)
    for change, said in WRONG:
        with pytest.raises(FormatError, match=said):
            take_in(store, photos, tmp_path, [entry(1), entry(0) | change])
    assert [p.frame for p in iter_predictions(store, key, "net")] == [0], "all or nothing"


def test_a_taken_joint_says_so_and_an_edited_one_is_human(desk, store, photos, key, tmp_path):
    take_in(store, photos, tmp_path, [entry(0, dx=1)])
    label = JointLabel(x_px=15.5, y_px=20.5, state=2, cause="visible", origin=PREDICTED)
    other = dataclasses.replace(seen(19, 21), origin="rendered")  # nobody can say that
    assert is_predicted(store, key, 0, {"nose": label})
    assert not is_predicted(store, key, 0, {"left_eye": label})
    assert not is_predicted(store, key, 1, {"nose": label})
    event = desk.do("edit", 0, joints={"nose": label, "left_eye": other})
    kept = desk.state(event.person).joints
    assert (kept["nose"].origin, kept["left_eye"].origin) == (PREDICTED, "human")
    row = next(reviewed(store, photos, only="all").iter_instances())
    assert row["origin"][:3] == [PREDICTED, "human", "human"]
    np.testing.assert_allclose(row["joints_px"][:2], [15.5, 20.5])
    export_reviewed(store, photos, tmp_path / "out", form="coco", only="all")
    desk.do("revert", 0, event=event.id)
    desk.check()
    assert next(reviewed(store, photos, only="all").iter_instances())["origin"][0] == "human"
