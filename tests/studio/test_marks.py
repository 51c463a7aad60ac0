"""Labels in small pictures: what is hidden, by what, and on which side, told without colour."""

import itertools

import numpy as np
import pytest
from PIL import Image

from synthstudio.core.labels import CAUSES
from synthstudio.core.skeleton import COLOURS, get_skeleton
from synthstudio.dataset.rows import NO_STATE
from synthstudio.report.draw import INK
from synthstudio.studio.frame_data import JointMarks, draw_marks

BONES = get_skeleton("coco17")
GREY = 120
HIDDEN = ("self", "person", "object", "unknown")


def one(cause, joint="left_wrist", px=90):
    places = np.full((17, 2), np.nan)
    places[BONES.joints.index(joint)] = px
    state = {"visible": 2, "truncated": 0, "unlabelled": NO_STATE}.get(cause, 1)
    labels = JointMarks(skeleton=BONES, px=places, state=[state] * 17, cause=[cause] * 17)
    return draw_marks(np.full((180, 180, 3), GREY, np.uint8), labels)


def test_a_visible_joint_is_filled_and_a_hidden_one_hollow():
    for joint in ("left_wrist", "right_wrist", "nose"):
        side = COLOURS[BONES.sides[BONES.joints.index(joint)]]
        assert np.abs(one("visible", joint)[90, 90].astype(int) - side).max() < 12
        for cause in HIDDEN:
            assert one(cause, joint)[90, 90].max() < 60, (joint, cause)


def test_every_cause_has_a_shape_of_its_own():
    """Also at the size of the gallery's thumbnails, and to who sees no colours."""
    for joint in ("left_wrist", "right_wrist"):
        pictures = (
            Image.fromarray(one(cause, joint)).resize((126, 126))
            for cause in CAUSES
            if cause != "unlabelled"
        )
        grey = [np.asarray(picture) @ np.array([0.2126, 0.7152, 0.0722]) for picture in pictures]
        for a, b in itertools.combinations(grey, 2):
            assert (np.abs(a - b) > 40).sum() >= 8


@pytest.mark.parametrize("cause", ["visible", *HIDDEN])
def test_sides_differ_in_shape_not_only_in_colour(cause):
    wide, lines = {}, {}
    for side in ("left", "right"):
        row = one(cause, f"{side}_wrist")[90].astype(int)
        wide[side] = np.ptp(np.flatnonzero(np.abs(row - GREY).max(axis=1) > 25))
        ink = np.abs(row - np.array(INK)).max(axis=1)
        coloured = np.abs(row - np.array(COLOURS[side])).max(axis=1) < ink
        coloured &= np.abs(row - GREY).max(axis=1) > 25
        lines[side] = int(np.count_nonzero(np.diff(coloured.astype(int)) == 1))
    assert wide["right"] >= wide["left"] + 3
    assert lines["right"] == lines["left"] + 2, "the right one is doubled"


def test_an_unlabelled_joint_is_not_drawn_and_one_outside_lies_at_the_border():
    assert (one("unlabelled") == GREY).all()
    assert (one("visible", px=np.nan) == GREY).all()
    rows, columns = np.nonzero((one("truncated", px=-500) != GREY).any(axis=2))
    assert rows.size and rows.max() < 20 and columns.max() < 20
