import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from pycocotools import mask as coco_mask

from synthstudio.core import masks as rle


@settings(deadline=None, max_examples=80)
@given(hnp.arrays(np.bool_, hnp.array_shapes(min_dims=2, max_dims=2, max_side=40)))
def test_runs_are_those_of_pycocotools(mask) -> None:
    code = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"].decode()
    flat = mask.T.ravel()
    edges = np.flatnonzero(np.diff(np.concatenate(([False], flat)).astype(int)))
    wanted = np.diff(np.concatenate(([0], edges, [flat.size])))
    assert rle.runs(code)[: len(wanted)].tolist() == wanted.tolist()
    assert rle.check_counts(code, mask.shape) == mask.sum()
    with pytest.raises(ValueError, match="not of size"):
        rle.check_counts(code, (mask.shape[0] + 1, mask.shape[1]))


@settings(deadline=None, max_examples=150)
@given(st.text(max_size=40))
def test_any_text_is_refused_or_fits(counts) -> None:
    try:
        area = rle.check_counts(counts, (4, 5))
    except ValueError:
        return
    decoded = coco_mask.decode({"size": [4, 5], "counts": counts})
    assert decoded.sum() == area


def test_a_long_run() -> None:
    mask = np.zeros((3000, 2000), np.uint8, order="F")
    mask[:, 500:1500] = 1
    code = coco_mask.encode(mask)["counts"].decode()
    assert rle.check_counts(code, mask.shape) == 3_000_000


@pytest.mark.parametrize("counts", [[1, 2], [21], [-1, 21], [1.0, 19], "x", None, [True, 19]])
def test_plain_counts(counts) -> None:
    with pytest.raises(ValueError, match="not of size"):
        rle.check_plain_counts(counts, (4, 5))
    rle.check_plain_counts([1, 19], (4, 5))


@pytest.mark.parametrize(
    "polygons",
    [
        "x",
        [[1, 2, 3, 4]],
        [[1, 2, 3, 4, 5]],
        [[0, 0, 1e9, 0, 1, 1]],
        [["a"] * 6],
        [[float("nan")] * 6],
        [[0, 0, 900_000, 900_000] * 10],
        [[1, 2, 3, 4, True, 5]],
    ],
)
def test_polygons(polygons) -> None:
    with pytest.raises(ValueError, match=r"polygon"):
        rle.check_polygons(polygons)
    rle.check_polygons([[0, 0, 4, 0, 4, 4]])
