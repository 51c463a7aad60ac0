"""The filter form and the query text: each says what the other says."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthstudio.core.errors import DatasetError
from synthstudio.core.skeleton import get_skeleton
from synthstudio.review.risk.review_fields import parse_query
from synthstudio.review.values import STATUSES
from synthstudio.studio.gallery.filters import (
    MAX_JOINT_TESTS,
    RANGES,
    TESTS,
    Form,
    JointCondition,
    form_from_query,
    joint_choices,
    query_text,
    quote,
    with_choice,
    with_joint,
    with_range,
)

JOINTS = get_skeleton("coco17").joints
_hundredths = st.integers(0, 99)
_words = st.text("abc_ -'é12", min_size=1, max_size=8)


@st.composite
def forms(draw):
    ask = st.builds(
        JointCondition, which=st.sampled_from(joint_choices(JOINTS)), test=st.sampled_from(TESTS)
    )
    form = Form(joints=tuple(draw(st.lists(ask, max_size=MAX_JOINT_TESTS, unique=True))))
    for name in RANGES:
        low = draw(_hundredths)
        high = draw(st.integers(low + 1, 100))
        form = with_range(form, name, (low / 100, high / 100))
    form = with_choice(form, "reviewer", draw(st.lists(_words, max_size=3, unique=True)))
    return with_choice(
        form, "status", draw(st.lists(st.sampled_from(STATUSES), max_size=3, unique=True))
    )


@given(forms())
def test_a_form_becomes_text_and_the_text_the_same_form(form):
    text = query_text(form)
    assert form_from_query(parse_query(text, JOINTS) if text else None) == form


MORE = ("nose visible or left_ear visible", "not nose visible", "occluded > 0.3", "occluded <= 0.3")
MORE += ("occluded >= 2", "depth < 4", "left_wrist visible share > 0.2", "no wrist visible")
MORE += ("nose visible and left_eye visible and right_eye visible", "at least 3 joints hidden")
MORE += ("status = pending and status = flagged", "status != pending")
MORE += ("nose cause in (self, person)",)


def test_a_query_that_says_more_has_no_form():
    for text in MORE:
        assert form_from_query(parse_query(text, JOINTS)) is None, text


def test_a_click_adds_a_joint_and_the_oldest_gives_way():
    form = Form()
    for name in ("nose", "left_eye", "right_eye"):
        form = with_joint(form, JointCondition(which=name, test="hidden"))
    assert [ask.which for ask in form.joints] == ["left_eye", "right_eye"]


def test_names_are_quoted_and_one_that_cannot_be_is_refused():
    assert quote("ann") == "ann"
    assert quote("Ann B") == '"Ann B"'
    assert quote('5" screen') == "'5\" screen'"
    with pytest.raises(DatasetError, match="both kinds of quotes"):
        quote("\"'")
