"""Clothes cover what they should, in deep poses too, and know which parts lie under them."""

import numpy as np
import pytest
from wardrobe_people import dressed, person

from synthstudio.body import wardrobe
from synthstudio.body.atlas import Atlas, load_atlas
from synthstudio.body.clothes.garment_mesh import Known, clipped, weave_of
from synthstudio.core.errors import GeometryError
from synthstudio.core.rng import stream
from synthstudio.core.scene import PARTS


@pytest.fixture(scope="module")
def atlas() -> Atlas:
    return load_atlas()


# Cutting ------------------------------------------------------------------------------------


def test_answers_are_right_when_more_is_asked_than_is_kept():
    numbers = stream(0, "known").random((2, 300_000), np.float32)
    known = Known(2, np.zeros(2))
    for asked in (numbers, numbers[:, ::-1], numbers[:, :9]):
        got = known.get(asked, lambda new, asked=asked: 2.0 * asked[:, new].T)
        np.testing.assert_array_equal(got, 2.0 * asked.T)


def test_a_cut_that_leaves_nothing_is_an_error(atlas):
    weave = weave_of(atlas, atlas.groups["tights"], fine=False)
    with pytest.raises(GeometryError, match="leaves no cloth"):
        clipped(weave, np.full(weave.rows.shape[0], -1, np.float32))


# What clothes cover ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "covered", "free"),
    [
        ("t_shirt", "torso left_upper_arm right_upper_arm pelvis neck", "left_hand head left_shin"),
        ("shirt", "torso left_forearm right_forearm left_upper_arm", "head left_shin"),
        ("jeans", "pelvis left_thigh right_shin left_foot", "left_hand right_forearm head"),
        ("skirt", "pelvis left_thigh right_thigh", "left_hand right_hand head"),
        ("sports_top", "torso left_upper_arm right_upper_arm neck", "left_hand head left_shin"),
        ("leotard", "torso pelvis left_upper_arm", "left_hand head left_shin"),
        ("leggings", "pelvis left_thigh right_thigh", "left_hand right_forearm head"),
        ("boots", "left_foot right_foot left_shin right_shin", "left_thigh pelvis"),
        ("gloves", "left_hand right_hand", "left_upper_arm torso"),
        ("scarf", "neck torso", "head left_hand"),
        ("long_socks", "left_shin right_foot", "pelvis torso"),
        ("blazer", "torso left_forearm right_upper_arm", "head left_shin"),
    ],
)
def test_parts_under_each_garment(atlas, kind, covered, free):
    slot = wardrobe.GARMENTS[kind].kind.slot
    rest = [k for k in ("t_shirt", "shorts") if wardrobe.GARMENTS[k].kind.slot != slot]
    union = 0
    for s in dressed(atlas, person("man", "stand_relaxed", kind, *rest)).surfaces:
        if s.name == kind:
            assert (s.covers > 0).all()
            union |= int(np.bitwise_or.reduce(s.covers))
    for part in covered.split():
        assert union >> PARTS.index(part) & 1, part
    for part in free.split():
        assert not union >> PARTS.index(part) & 1, part
