"""What an edit makes of a box: one that no mask gave holds the joints, a mask's own box stays."""

import numpy as np
from imported_photos import import_photos
from review_ops import ANNA, op, seen

from synthstudio.review import edits, history
from synthstudio.review.check import base_of
from synthstudio.review.datasets import register
from synthstudio.review.reviewed import reviewed
from synthstudio.review.store import open_store
from synthstudio.review.values import Person


def boxes_after(tmp_path, dataset, **joints):
    store = open_store(f"sqlite:///{tmp_path}/review.db")
    key = register(store, dataset, "photos")
    person = Person(dataset=key, frame=0, instance=1)
    base = base_of(dataset, 0, 1)
    change = op("edit", history.state(store, person).revision, person=person, joints=joints)
    edits.apply(store, change, who=ANNA, base=base)
    row = next(reviewed(store, dataset, only="all").iter_instances())
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
