"""What a paste does to labels of an annotated photo, against a plain loop and by hand."""

import dataclasses
import itertools
import math

import numpy as np
import pytest

from synthstudio.core.labels import VISIBILITY
from synthstudio.core.rng import stream
from synthstudio.core.scene import CutoutLayer
from synthstudio.label.photo import Annotated, crop, patch, radii_px, relabel

SIZE = (60, 50)
OBJECT, PERSON = 1000, 9


def person(**changes):
    """Somebody with four joints: seen, seen, hidden, unlabelled."""
    base = Annotated(
        instance=1,
        joints_px=np.array([(20.3, 15.6), (30.0, 20.0), (25.5, 35.5), (np.nan, np.nan)]),
        visibility_fractions=np.full((4, 5), np.nan),
        state=np.array([2, 2, 1, 255], np.uint8),
        cause=("visible", "visible", "unknown", "unlabelled"),
        ambiguous=np.zeros(4, np.bool_), occluder_id=np.zeros(4, np.int32),
        hidden_by=((), (), (), ()), radius_px=np.array([4.0, 2.0, 3.0, 2.0]),
        mask=np.ones((30, 24), np.bool_), left_px=12, top_px=10, has_mask=True,
    )  # fmt: skip
    return dataclasses.replace(base, **changes)


def layer(x, y, w, h, alpha, instance=OBJECT):
    return CutoutLayer(
        instance=instance, left_px=x, top_px=y, rgb=np.zeros((h, w, 3), np.uint8),
        alpha=np.full((h, w), alpha, np.float32), depth_m=0.0,
    )  # fmt: skip


COVER = (0, 0, 60, 50)
"""The box of a layer over the whole picture."""


def relabelled(*layers, **changes):
    return relabel(person(**changes), layers, frame_px=SIZE)


def looped(who, joint, layers):
    """What each layer hides of a joint's disc: pixel by pixel, in plain Python."""
    x, y = (float(v) for v in who.joints_px[joint])
    r = float(who.radius_px[joint])
    every = itertools.product(range(SIZE[1]), range(SIZE[0]))
    inside = [(i, j) for i, j in every if (j + 0.5 - x) ** 2 + (i + 0.5 - y) ** 2 <= r * r]
    h, w = who.mask.shape
    own = []
    for i, j in inside:
        k, m = i - who.top_px, j - who.left_px
        if 0 <= k < h and 0 <= m < w and who.mask[k, m]:
            own.append((i, j))
    pixels = own if who.has_mask and own else inside
    out = {}
    for i, j in pixels:
        left = 1.0
        for one in layers:
            k, m = i - one.top_px, j - one.left_px
            if 0 <= k < one.alpha.shape[0] and 0 <= m < one.alpha.shape[1]:
                part = left * float(one.alpha[k, m])
                left -= part
                out[one.instance] = out.get(one.instance, 0.0) + part / len(pixels)
    return {k: v for k, v in out.items() if v > 0}


def test_shares_are_those_of_a_plain_loop_for_any_layers():
    rng = stream(7, "layers")
    for _ in range(60):
        layers = []
        for k in range(3):
            x, y = (int(v) for v in rng.integers(0, 40, 2))
            w, h = min(18, SIZE[0] - x), min(14, SIZE[1] - y)
            alpha = rng.random((h, w)).astype(np.float32)
            layers.append(dataclasses.replace(layer(x, y, w, h, 0, OBJECT + k), alpha=alpha))
        mask = rng.random((30, 24)) < 0.7
        who = person(mask=mask)
        after = relabel(who, tuple(layers), frame_px=SIZE)
        for j in range(3):
            want = looped(who, j, tuple(layers))
            assert dict(after.hidden_by[j]) == pytest.approx(want, abs=1e-6)
            if want and j < 2:
                assert after.visibility_fractions[j].sum() == pytest.approx(1, abs=1e-9)
                assert after.visibility_fractions[j][0] == pytest.approx(
                    1 - sum(want.values()), abs=1e-6
                )


def test_what_nothing_touches_stays_bit_by_bit():
    who = person()
    for layers in ((), (layer(50, 40, 8, 8, 1.0),)):
        after = relabel(who, layers, frame_px=SIZE)
        for name in ("visibility_fractions", "state", "ambiguous", "occluder_id", "mask"):
            np.testing.assert_array_equal(getattr(after, name), getattr(who, name))
        assert (after.cause, after.hidden_by) == (who.cause, who.hidden_by)


@pytest.mark.parametrize(
    ("alpha", "state", "cause", "ambiguous"),
    [
        (0.3, 2, "visible", False),
        (0.5, 2, "visible", False),
        (0.55, 1, "object", True),
        (0.9, 1, "object", False),
        (1.0, 1, "object", False),
    ],
)
def test_a_seen_joint_by_how_much_is_hidden(alpha, state, cause, ambiguous):
    after = relabel(person(), (layer(10, 5, 40, 40, alpha),), frame_px=SIZE)
    assert (after.state[1], after.cause[1], after.ambiguous[1]) == (state, cause, ambiguous)
    want = dict(zip(VISIBILITY, [1 - alpha, 0, 0, alpha, 0], strict=True))
    np.testing.assert_allclose(after.visibility_fractions[1], list(want.values()), atol=1e-6)
    assert after.occluder_id[1] == (OBJECT if state == 1 else 0)


def test_a_hidden_joint_stays_hidden_and_only_a_cover_says_by_what():
    for alpha, cause, known in (
        (0.4, "unknown", False),
        (0.6, "object", False),
        (1, "object", True),
    ):
        after = relabelled(layer(10, 5, 40, 40, alpha))
        assert (after.state[2], after.cause[2]) == (1, cause)
        assert np.isfinite(after.visibility_fractions[2]).all() == known
        assert dict(after.hidden_by[2]) == pytest.approx({OBJECT: alpha})


def test_unlabelled_stays_unlabelled_and_a_disc_outside_untouched():
    px = person().joints_px.copy()
    px[0] = (-30.0, 12.0)
    after = relabelled(layer(*COVER, 1.0), joints_px=px)
    assert (after.state[3], after.cause[3]) == (255, "unlabelled")
    assert np.isnan(after.visibility_fractions[3]).all()
    assert (after.state[0], after.cause[0], after.hidden_by[0]) == (2, "visible", ())


def test_people_hide_as_person_and_ties_go_to_objects():
    half = (layer(0, 0, 60, 20, 1.0, PERSON), layer(0, 20, 60, 30, 1.0))
    after = relabel(person(), half, frame_px=SIZE)  # joint 1 is centred on the border
    np.testing.assert_allclose(after.visibility_fractions[1], [0, 0, 0.5, 0.5, 0])
    assert (after.cause[1], after.occluder_id[1]) == ("object", OBJECT)
    only = relabel(person(), half[:1], frame_px=SIZE)
    assert (only.cause[0], only.occluder_id[0]) == ("person", PERSON)


def test_earlier_shares_count_as_far_as_the_paste_leaves_them():
    fractions = np.full((4, 5), np.nan)
    fractions[0] = [0.8, 0.2, 0, 0, 0]
    after = relabelled(
        layer(*COVER, 0.5), visibility_fractions=fractions, hidden_by=(((1, 0.2),), (), (), ())
    )
    np.testing.assert_allclose(after.visibility_fractions[0], [0.4, 0.1, 0, 0.5, 0], atol=1e-6)
    assert dict(after.hidden_by[0]) == pytest.approx({OBJECT: 0.5, 1: 0.1})


def test_the_mask_loses_what_is_opaque_and_one_that_misses_the_disc_does_not_cut_it():
    after = relabelled(layer(12, 10, 24, 15, 0.5))
    assert after.mask.mean() == pytest.approx(0.5)
    assert relabelled(layer(12, 10, 24, 15, 0.49)).mask.all()
    missed = relabelled(layer(*COVER, 1.0), mask=np.zeros((30, 24), np.bool_))
    assert missed.visibility_fractions[0][3] == pytest.approx(1)


@pytest.mark.parametrize("keep", [np.s_[0], np.s_[:, 0], np.s_[-1], np.s_[:, -1]])
def test_the_rim_of_the_mask_is_part_of_it(keep):
    """The mask ends within the disc; only the kept row or column of its rim is the person."""
    mask = np.zeros((2, 2), np.bool_)
    mask[keep] = True
    who = person(mask=mask, left_px=19, top_px=14)
    rows, columns = patch(who, 0, SIZE)
    assert {(i - 14, j - 19) for i, j in zip(rows, columns, strict=True)} == set(
        zip(*np.nonzero(mask), strict=True)
    )


def test_radius_is_two_sigma_root_area_and_two_pixels_at_least():
    np.testing.assert_allclose(
        radii_px(np.array([0.1, 0.001]), 2500.0), [2 * 0.1 * math.sqrt(2500), 2.0]
    )


def test_a_crop_is_zero_beyond_the_layer():
    found = crop(layer(5, 6, 4, 3, 1.0), 3, 4, (6, 7))
    assert found.sum() == 12
    assert found[2:5, 2:6].all()
