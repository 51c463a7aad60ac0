import numpy as np
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco_mask

from synthstudio.core.masks import decode
from synthstudio.formats.coco.masks import mask_polygons

RING = np.pad(np.zeros((3, 3), np.bool_), 1, constant_values=True)
DIAGONAL = np.eye(4, dtype=np.bool_)
TOUCHING = np.array([[1, 1, 1, 0], [1, 0, 1, 1], [1, 1, 0, 1], [0, 1, 1, 1]], np.bool_)


def filled(polygons, shape):
    if not polygons:
        return np.zeros(shape, np.bool_)
    merged = coco_mask.merge(coco_mask.frPyObjects(polygons, *shape))
    return decode({"size": merged["size"], "counts": merged["counts"].decode()})


@settings(max_examples=200, deadline=None)
@example(RING)
@example(DIAGONAL)
@example(TOUCHING)
@given(hnp.arrays(np.bool_, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_pycocotools_reads_the_same_mask(mask):
    polygons = mask_polygons(mask)
    assert (filled(polygons, mask.shape) == mask).all()
    assert all(len(p) >= 8 and len(p) % 2 == 0 for p in polygons)


def test_a_rectangle_has_four_corners_at_pixel_edges():
    mask = np.zeros((6, 8), np.bool_)
    mask[2:5, 1:7] = True
    assert mask_polygons(mask) == [[1, 2, 7, 2, 7, 5, 1, 5]]
    assert mask_polygons(np.zeros((3, 3), np.bool_)) == []
