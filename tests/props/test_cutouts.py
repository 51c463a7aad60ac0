"""Cut-outs: the right place and size, no fringe of foreign colour, clipped to the frame."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from synthstudio.core.errors import GeometryError
from synthstudio.core.images import srgb_to_linear
from synthstudio.core.scene import CutoutLayer
from synthstudio.core.spec import AssetRef, CutoutSpec
from synthstudio.props.cutouts import cutout_layer

SPEC = CutoutSpec(
    asset=AssetRef(sha256="0" * 64, name="a.png"),
    kind="object",
    top_left_px=(20.0, 10.0),
    size_px=(30, 40),
    feather_px=0.0,
)
FRAME = (100, 80)


def _disc(inside: int, outside: int, side: int = 120) -> np.ndarray:
    """A soft-edged disc of one grey on transparent pixels of another."""
    y, x = np.mgrid[:side, :side] + 0.5
    alpha = np.clip(side * 0.4 - np.hypot(x - side / 2, y - side / 2) + 0.5, 0, 1)
    rgba = np.full((side, side, 4), outside, np.uint8)
    rgba[alpha > 0, :3] = inside
    rgba[..., 3] = np.rint(alpha * 255)
    return rgba


def _block() -> np.ndarray:
    """Left half red, right half blue, with a clear border."""
    rgba = np.zeros((24, 40, 4), np.uint8)
    rgba[4:20, 5:20] = [255, 0, 0, 255]
    rgba[4:20, 20:35] = [0, 0, 255, 255]
    return rgba


def _over(layer: CutoutLayer, ground: int) -> np.ndarray:
    """The layer's linear light over a grey ground."""
    alpha = layer.alpha[..., None]
    return srgb_to_linear(layer.rgb) * alpha + srgb_to_linear(np.uint8([ground])) * (1 - alpha)


@pytest.mark.parametrize("size", [(9, 9), (47, 47), (96, 96), (300, 300)])
@pytest.mark.parametrize("feather", [0.0, 1.5])
@pytest.mark.parametrize("grey", [255, 30])
def test_no_fringe_of_the_colour_behind_transparent_pixels(size, feather, grey):
    spec = replace(SPEC, size_px=size, top_left_px=(30.0, 30.0), feather_px=feather)
    layer = cutout_layer(spec, _disc(grey, 255 - grey), instance=1003, frame_wh=(400, 400))
    over_itself = _over(layer, grey)
    assert np.abs(over_itself - srgb_to_linear(np.uint8([grey]))).max() < 0.004


def test_size_place_and_clipping():
    layer = cutout_layer(SPEC, _block(), instance=1003, frame_wh=FRAME)
    assert (layer.left_px, layer.top_px) == (20, 10)
    assert layer.alpha.shape == (40, 30)
    assert layer.rgb.shape == (40, 30, 3)
    assert layer.instance == 1003
    assert layer.depth_m == 0.0
    assert layer.alpha[1:-1, 1:-1].min() > 0.999, "the crop to what is opaque fills the size"
    moved = replace(SPEC, top_left_px=(-10.4, 60.2), depth_m=2.5)
    clipped = cutout_layer(moved, _block(), instance=1003, frame_wh=FRAME)
    assert (clipped.left_px, clipped.top_px) == (0, 60)
    assert clipped.alpha.shape == (20, 20)
    assert clipped.depth_m == 2.5
    assert (clipped.rgb == layer.rgb[:20, 10:]).all()


@pytest.mark.parametrize("at", [(-500.0, 0.0), (500.0, 500.0), (0.0, -40.0), (100.0, 0.0)])
def test_a_layer_outside_the_frame_is_empty(at):
    layer = cutout_layer(replace(SPEC, top_left_px=at), _block(), instance=1, frame_wh=FRAME)
    assert layer.alpha.size == 0
    assert 0 <= layer.left_px <= 100
    assert 0 <= layer.top_px <= 80


@pytest.mark.parametrize("size", [(0, 5), (5, -1), (100_000, 5)])
def test_senseless_sizes_are_refused(size):
    with pytest.raises(GeometryError, match=r"a\.png"):
        cutout_layer(replace(SPEC, size_px=size), _block(), instance=1, frame_wh=FRAME)


@settings(max_examples=25, deadline=None)
@given(
    left=st.floats(-150, 150),
    top=st.floats(-150, 150),
    w=st.integers(1, 120),
    h=st.integers(1, 120),
    feather=st.floats(0, 4),
)
def test_layers_always_lie_in_the_frame(left, top, w, h, feather):
    spec = replace(SPEC, top_left_px=(left, top), size_px=(w, h), feather_px=feather)
    layer = cutout_layer(spec, _block(), instance=1, frame_wh=FRAME)
    rows, columns = layer.alpha.shape
    assert 0 <= layer.left_px <= layer.left_px + columns <= FRAME[0]
    assert 0 <= layer.top_px <= layer.top_px + rows <= FRAME[1]
    assert layer.rgb.shape == (rows, columns, 3)
    if layer.alpha.size:
        assert 0 <= layer.alpha.min() <= layer.alpha.max() <= 1
