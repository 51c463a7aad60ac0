"""What an edit makes of a box: drawn, or grown with its joints; a mask's own box stays."""

import numpy as np
import pytest
from imported_photos import import_photos
from review_ops import ANNA, op, seen

from synthstudio.core.errors import Refused
from synthstudio.review import edits, history
from synthstudio.review.check import base_of
from synthstudio.review.datasets import register
from synthstudio.review.reviewed import reviewed
from synthstudio.review.store import open_store
from synthstudio.review.values import Person


def boxes_after(tmp_path, dataset, *, box=None, **joints):
    store = open_store(f"sqlite:///{tmp_path}/review.db")
    key = register(store, dataset, "photos")
    person = Person(dataset=key, frame=0, instance=1)
    base = base_of(dataset, 0, 1)
    change = op(
        "edit", history.state(store, person).revision, person=person, joints=joints, box=box
    )
    edits.apply(store, change, who=ANNA, base=base)
    row = next(reviewed(store, dataset, only="all").iter_instances())
    assert history.state(store, person).box == (None if box is None else list(box))
    assert not history.check_replay(store, key)
    store.close()
    return row


def test_a_box_without_a_mask_grows_with_its_joints(tmp_path):
    dataset = import_photos(tmp_path / "photos", 60)  # box 8 8 40 30 of 64 x 48
    row = boxes_after(tmp_path, dataset, left_wrist=seen(60, 44), nose=seen(2, 20))
    np.testing.assert_allclose(row["modal_box_px"], [2, 8, 58, 36])
    assert row["modal_area_px"] == 58 * 36


def test_a_joint_in_the_box_changes_nothing(tmp_path):
    dataset = import_photos(tmp_path / "photos", 60)
    row = boxes_after(tmp_path, dataset, left_wrist=seen(20, 30))
    assert row["modal_box_px"] == [8, 8, 40, 30] and row["modal_area_px"] == 1200


def test_the_box_of_a_mask_stays(tmp_path, small_set):
    before = small_set.instances(0)[0]
    if not before["modal_counts"]:
        raise AssertionError("the fixture has masks")
    row = boxes_after(tmp_path, small_set, left_wrist=seen(1, 1))
    assert row["modal_box_px"] == before["modal_box_px"]


def test_a_drawn_box_is_the_box(tmp_path):
    dataset = import_photos(tmp_path / "photos", 60)
    row = boxes_after(tmp_path, dataset, box=(4, 6.5, 30, 20), left_wrist=seen(60, 44))
    assert row["modal_box_px"] == [4, 6.5, 30, 20] and row["modal_area_px"] == 600


def test_a_drawn_box_can_be_undone_and_redone(tmp_path):
    dataset = import_photos(tmp_path / "photos", 60)
    boxes_after(tmp_path, dataset, box=(4, 6, 30, 20))
    store = open_store(f"sqlite:///{tmp_path}/review.db")
    (key,) = history.datasets(store)
    person = Person(dataset=key, frame=0, instance=1)
    for revision, expected in ((1, [8, 8, 40, 30]), (2, [4, 6, 30, 20])):
        last = history.events(store, key, person=person)[-1]
        undo = op("revert", revision, person=person, event=last.id)
        edits.apply(store, undo, who=ANNA, base=base_of(dataset, 0, 1))
        row = next(reviewed(store, dataset, only="all").iter_instances())
        assert row["modal_box_px"] == expected
    assert not history.check_replay(store, key)
    store.close()


@pytest.mark.parametrize(
    "box", [(0, 0, 0.5, 9), (-1, 0, 9, 9), (60, 0, 9, 9), (0, 0, 9), (0, 0, "9", 9), "wide",
            (0, 0, float("nan"), 9), (0, 0, True, 9)]
)  # fmt: skip
def test_what_is_no_box_is_refused(tmp_path, box):
    dataset = import_photos(tmp_path / "photos", 60)
    with pytest.raises(Refused, match="box"):
        boxes_after(tmp_path, dataset, box=box)


def test_no_box_is_drawn_over_a_mask_and_none_is_approved(tmp_path, small_set):
    with pytest.raises(Refused, match="of a mask"):
        boxes_after(tmp_path, small_set, box=(4, 6, 30, 20))
    base = base_of(small_set, 0, 1)
    store = open_store(f"sqlite:///{tmp_path}/review.db")
    (key,) = history.datasets(store)
    person = Person(dataset=key, frame=0, instance=1)
    with pytest.raises(Refused, match="no box"):
        approve = op("status", 0, person=person, status="approved", box=(4, 6, 30, 20))
        edits.apply(store, approve, who=ANNA, base=base)
    store.close()
