"""`People.covered`: joints with somebody or something else in front at their pixel."""

import dataclasses

import numpy as np

NONE = np.array([None, None])


def is_covered(person, j, modal, amodal):
    x, y = person.joints_px[j]
    height, width = amodal.shape
    if not (0 <= x < width and 0 <= y < height):
        return False
    return bool(amodal[int(y), int(x)] and not modal[int(y), int(x)])


def test_covered_joints_are_those_whose_pixel_is_not_their_persons(people):
    found = next(people.people())
    expected = [
        [is_covered(p, j, modal, amodal) for j in range(len(found.joints))]
        for p, modal, amodal in zip(found, found.masks, found.amodal_masks, strict=True)
    ]
    assert found.covered.tolist() == expected
    others = (found.cause == "object") | (found.cause == "person")
    assert found.covered[others].mean() > 0.8 and 0 < found.covered.mean() < 0.5
    assert found.covered[(found.cause == "visible") & (found.visible_share > 0.99)].mean() < 0.02


def test_nothing_is_covered_where_no_outline_is_known(people):
    found = next(people.people())[:2]
    unknown = dataclasses.replace(found, modal_counts=NONE, amodal_counts=NONE)
    assert not unknown.covered.any() and unknown.covered.shape == found.state.shape
    unseen = dataclasses.replace(found, modal_counts=NONE)
    x, y = np.floor(np.nan_to_num(unseen.joints_px, nan=-1)).astype(int).transpose(2, 0, 1)
    height, width = unseen.amodal_masks.shape[1:]
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    whole = [unseen.amodal_masks[p, y[p][inside[p]], x[p][inside[p]]] for p in range(2)]
    assert unseen.covered.sum() == sum(part.sum() for part in whole) > 0
