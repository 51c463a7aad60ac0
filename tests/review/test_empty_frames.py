"""That nobody is in a frame is a decision: made, taken back, counted and exported like others."""

import json

import pytest
from review_ops import ANNA, BEN, GUEST, LEAD, PEOPLE, refused, seen

from synthstudio.core.errors import Refused, ReviewError
from synthstudio.dataset.derive import origins
from synthstudio.review import history
from synthstudio.review.history import by_status, empty_frames
from synthstudio.review.reviewed import export_reviewed, reviewed_dataset
from synthstudio.review.risk.table import people_table
from synthstudio.review.team.second_review import blinded_among
from synthstudio.review.team.statistics import throughput
from synthstudio.review.values import FRAME

EMPTY = PEOPLE.index(0)


@pytest.fixture
def do(desk):
    return lambda kind, frame, instance=FRAME, **more: desk.do(kind, frame, instance, **more)


def test_an_empty_frame_is_decided_and_taken_back(store, key, do):
    before = by_status(store, key)
    said = do("status", EMPTY, status="no_people")
    assert empty_frames(store, key) == {EMPTY} and history.counts(store, key).empty_frames == 1
    # Nobody is counted as a person for it.
    assert by_status(store, key) == before
    assert history.counts(store, key).status == {"pending": sum(PEOPLE)}
    assert throughput(store, key)[0].people == 0 and throughput(store, key)[0].events == 1
    told = history.event_json(said)
    assert history.is_decision(said) and (told["frame"], told["instance"]) == (EMPTY, FRAME)
    assert told["status"] == "no_people"
    undone = do("revert", EMPTY, event=said.id, who=BEN)
    assert empty_frames(store, key) == set()
    do("revert", EMPTY, event=undone.id)
    assert empty_frames(store, key) == {EMPTY}
    do("status", EMPTY, status="pending")
    assert empty_frames(store, key) == set() and history.check_replay(store, key) == []


def test_nobody_is_said_only_where_nobody_is(store, key, do):
    with refused("invalid", match="frame 1: this frame has people"):
        do("status", 1, status="no_people")
    deleted = do("delete", 1, 1)
    do("status", 1, status="no_people")
    for change in ({"kind": "restore"}, {"kind": "revert", "event": deleted.id}):
        with pytest.raises(Refused, match="marked as empty"):
            do(frame=1, instance=1, **change)
    with pytest.raises(Refused, match="marked as empty"):
        do("add", 1, 7, joints={"nose": seen()})
    do("status", 1, status="pending")
    added = do("add", 1, 7, joints={"nose": seen()})
    with pytest.raises(Refused, match="this frame has people"):
        do("status", 1, status="no_people")
    gone = do("revert", 1, 7, event=added.id)
    do("status", 1, status="no_people")  # who was added and taken back is not there
    with pytest.raises(Refused, match="marked as empty"):
        do("revert", 1, 7, event=gone.id)
    assert empty_frames(store, key) == {1} and history.check_replay(store, key) == []


def test_nothing_else_is_said_of_a_frame(store, key, do):
    statuses = {"status": "approved"}, {"status": "no_people", "revision": 3}
    wrong = [("status", more) for more in (*statuses, {"status": "no_people", "who": GUEST})]
    wrong += [(kind, {"joints": {"nose": seen()}}) for kind in ("edit", "add")]
    for kind, change in (*wrong, ("comment", {"text": "empty"}), ("delete", {}), ("restore", {})):
        with pytest.raises(Refused):
            do(kind, EMPTY, **change)
    with pytest.raises(Refused, match="no such status"):
        do("status", 0, 1, status="no_people")  # it is no status of a person
    assert history.events(store, key) == []


def test_exports_have_the_frames_that_are_empty(store, small_set, do, tmp_path):
    with pytest.raises(ReviewError, match="none is marked as empty"):
        reviewed_dataset(store, small_set, tmp_path / "none")
    do("status", EMPTY, status="no_people")
    do("status", 0, 1, status="approved")
    do("delete", 1, 1)
    for only in ("approved", "touched"):
        made = reviewed_dataset(store, small_set, tmp_path / only, only=only)
        frames = [frame for _, _, frame in origins(made)]
        assert EMPTY in frames and 0 in frames and (1 in frames) == (only == "touched")
        assert not list(made.verify())
    export_reviewed(store, small_set, tmp_path / "coco", form="coco")
    found = json.loads(next((tmp_path / "coco").rglob("person_keypoints*.json")).read_text())
    images = {image["id"] for image in found["images"]}
    assert len(images) == 2 and {a["image_id"] for a in found["annotations"]} < images


def test_that_nobody_is_left_tells_nothing_of_hidden_first_looks(store, small_set, key, do):
    """Whose second review is open would else learn that the first deleted everybody."""
    table = people_table(small_set)
    pairs = {(1, FRAME), (1, 1), (EMPTY, FRAME)}
    do("delete", 1, 1)
    do("status", 1, status="no_people")
    do("status", EMPTY, status="no_people")
    for who, hidden in ((BEN, {(1, FRAME), (1, 1)}), (ANNA, set()), (LEAD, set())):
        assert blinded_among(store, table, pairs, who=who, share=1.0) == hidden
    assert blinded_among(store, table, {(1, FRAME)}, who=BEN, share=1.0) == {(1, FRAME)}
    assert blinded_among(store, table, pairs, who=BEN, share=0.0) == set()
