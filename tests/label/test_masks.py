import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco_mask

from synthstudio.core.errors import GeometryError
from synthstudio.core.masks import (
    EMPTY_BOX,
    amodal_box,
    decode,
    encode,
    mask_box,
)

MASKS = hnp.arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9)))


@given(MASKS)
def test_there_and_back(mask) -> None:
    rle = encode(mask)
    assert isinstance(rle["counts"], str)
    assert rle["size"] == list(mask.shape)
    assert (decode(rle) == mask).all()
    assert coco_mask.area(rle) == mask.sum()


@given(MASKS)
def test_a_box_is_that_of_pycocotools(mask) -> None:
    assert mask_box(mask) == tuple(coco_mask.toBbox(encode(mask)).tolist())


def test_one_pixel_has_a_box_of_one_pixel() -> None:
    mask = np.zeros((5, 7), np.bool_)
    mask[3, 6] = True
    assert mask_box(mask) == (6, 3, 1, 1)
    assert mask_box(np.zeros((5, 7), np.bool_)) == EMPTY_BOX


def test_the_amodal_box_may_leave_the_frame() -> None:
    mask = np.zeros((5, 7), np.bool_)
    mask[0:3, 0:2] = True
    assert amodal_box(mask_box(mask), (-4, -2, 2, 3)) == (-4, -2, 6, 5)
    assert amodal_box(EMPTY_BOX, (9, 1, 12, 3)) == (9, 1, 3, 2)
    assert amodal_box(EMPTY_BOX, (0, 0, 0, 0)) == EMPTY_BOX


@pytest.mark.parametrize(
    "extent", [(1, 0, 3, 3), (0, 0, 2, 2.5), (0, 0, np.nan, 3), (0, 0, np.inf, 3), (3, 0, 0, 3)]
)
def test_an_extent_that_does_not_hold_the_mask_is_refused(extent) -> None:
    mask = np.zeros((5, 7), np.bool_)
    mask[0:3, 0:2] = True
    with pytest.raises(GeometryError, match="extent"):
        amodal_box(mask_box(mask), extent)
