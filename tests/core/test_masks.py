import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco_mask

from synthstudio.core import masks as rle
from synthstudio.core.errors import GeometryError
from synthstudio.core.masks import amodal_box, decode, encode, mask_box

MASKS = hnp.arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9)))

EMPTY_BOX = (0.0, 0.0, 0.0, 0.0)


def test_one_pixel_has_a_box_of_one_pixel():
    mask = np.zeros((5, 7), np.bool_)
    mask[3, 6] = True
    assert mask_box(mask) == (6, 3, 1, 1)
    assert mask_box(np.zeros((5, 7), np.bool_)) == EMPTY_BOX


def test_the_amodal_box_may_leave_the_frame():
    mask = np.zeros((5, 7), np.bool_)
    mask[0:3, 0:2] = True
    assert amodal_box(mask_box(mask), (-4, -2, 2, 3)) == (-4, -2, 6, 5)
    assert amodal_box(EMPTY_BOX, (9, 1, 12, 3)) == (9, 1, 3, 2)
    assert amodal_box(EMPTY_BOX, (0, 0, 0, 0)) == EMPTY_BOX


@pytest.mark.parametrize(
    "extent", [(1, 0, 3, 3), (0, 0, 2, 2.5), (0, 0, np.nan, 3), (0, 0, np.inf, 3), (3, 0, 0, 3)]
)
def test_an_extent_that_does_not_hold_the_mask_is_refused(extent):
    mask = np.zeros((5, 7), np.bool_)
    mask[0:3, 0:2] = True
    with pytest.raises(GeometryError, match="extent"):
        amodal_box(mask_box(mask), extent)


@settings(deadline=None, max_examples=80)
@given(hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=40)))
def test_runs_are_those_of_pycocotools(mask):
    code = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
    flat = mask.T.ravel()
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flat)).astype(int)))
    wanted = np.diff(np.concatenate(([0], edges, [flat.size])))
    assert rle.runs(code)[: len(wanted)].tolist() == wanted.tolist()
    assert rle.check_counts(code, mask.shape) == mask.sum()
    with pytest.raises(ValueError, match="not of size"):
        rle.check_counts(code, (mask.shape[0] + 1, mask.shape[1]))


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@settings(deadline=None, max_examples=60)
@given(st.text(max_size=40))
@example("7=")  # one that fits
def test_any_text_is_refused_or_fits(counts):
    assert not rle.runs("").size
    try:
        area = rle.check_counts(counts, (4, 5))
    except ValueError:
        return
    decoded = coco_mask.decode({"size": [4, 5], "counts": counts})
    assert decoded.sum() == area


@pytest.mark.parametrize("counts", [[1, 2], [21], [-1, 21], [1.0, 19], "x", None, [True, 19]])
def test_plain_counts(counts):
    with pytest.raises(ValueError, match="not of size"):
        rle.check_plain_counts(counts, (4, 5))
    rle.check_plain_counts([1, 19], (4, 5))


@pytest.mark.parametrize(
    "polygons",
    ["x", [[1, 2, 3, 4]], [[1, 2, 3, 4, 5]], [[0, 0, 1e9, 0, 1, 1]], [["a"] * 6],
     [[float("nan")] * 6], [[0, 0, 900_000, 900_000] * 10], [[1, 2, 3, 4, True, 5]]],
)  # fmt: skip
def test_polygons(polygons):
    with pytest.raises(ValueError, match=r"polygon"):
        rle.check_polygons(polygons)
    rle.check_polygons([[0, 0, 4, 0, 4, 4]])


@given(MASKS)
def test_there_and_back_with_the_box_of_pycocotools(mask):
    code = encode(mask)
    assert isinstance(code["counts"], str)
    assert code["size"] == list(mask.shape)
    assert (decode(code) == mask).all()
    assert coco_mask.area(code) == mask.sum()
    assert mask_box(mask) == tuple(coco_mask.toBbox(code).tolist())
