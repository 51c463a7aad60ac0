"""What an edit makes of a box: drawn, or grown with its joints; a mask's own box stays."""

import pytest
from imported_photos import import_photos
from review_ops import Desk, seen

from synthstudio.core.errors import Refused
from synthstudio.review import history
from synthstudio.review.reviewed import reviewed


@pytest.fixture
def photos(empty_store, tmp_path):
    """Three photos of 64 x 48 with a person each in the box 8 8 40 30, without masks."""
    return Desk(empty_store, import_photos(tmp_path / "photos", 60))


def row_of(desk):
    return next(reviewed(desk.store, desk.dataset, only="all").iter_instances())


def edited(desk, *, box=None, **joints):
    """Return the first person's row after an edit."""
    event = desk.do("edit", 0, joints=joints, box=box)
    assert desk.state(event.person).box == (None if box is None else list(box))
    desk.check()
    return row_of(desk)


@pytest.mark.parametrize(
    ("edit", "box"),
    [
        ({"left_wrist": seen(60, 44), "nose": seen(2, 20)}, [2, 8, 58, 36]),  # it grows
        ({"left_wrist": seen(20, 30)}, [8, 8, 40, 30]),
        ({"box": (4, 6.5, 30, 20), "left_wrist": seen(60, 44)}, [4, 6.5, 30, 20]),
    ],
)
def test_a_box_without_a_mask_holds_its_joints_unless_it_is_drawn(photos, edit, box):
    row = edited(photos, **edit)
    assert row["modal_box_px"] == pytest.approx(box)
    assert row["modal_area_px"] == box[2] * box[3]


def test_the_box_of_a_mask_stays_and_none_is_drawn_over_it(desk, small_set):
    before = small_set.instances(0)[0]
    assert before["modal_counts"]
    row = edited(desk, left_wrist=seen(1, 1))
    assert row["modal_box_px"] == before["modal_box_px"]
    with pytest.raises(Refused, match="of a mask"):
        edited(desk, box=(4, 6, 30, 20))
    with pytest.raises(Refused, match="no box"):
        desk.do("status", 0, status="approved", box=(4, 6, 30, 20))


def test_a_drawn_box_can_be_undone_and_redone(photos):
    edited(photos, box=(4, 6, 30, 20))
    for expected in ([8, 8, 40, 30], [4, 6, 30, 20]):
        photos.do("revert", 0, event=history.events(photos.store, photos.key)[-1].id)
        assert row_of(photos)["modal_box_px"] == expected
    photos.check()


@pytest.mark.parametrize(
    "box", [(0, 0, 0.5, 9), (-1, 0, 9, 9), (60, 0, 9, 9), (0, 0, 9), (0, 0, "9", 9), "wide",
            (0, 0, float("nan"), 9), (0, 0, True, 9)]
)  # fmt: skip
def test_what_is_no_box_is_refused(photos, box):
    with pytest.raises(Refused, match="box"):
        edited(photos, box=box)
