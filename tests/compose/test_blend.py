"""Alpha over, held against a slow float64 reference."""

from dataclasses import replace

import numpy as np
import pytest

from synthstudio.compose.blend import over
from synthstudio.core.rng import stream
from synthstudio.core.scene import NO_PART, CutoutLayer, Rendering


def _linear(srgb: np.ndarray) -> np.ndarray:
    s = srgb.astype(np.float64) / 255
    return np.where(s <= 0.04045, s / 12.92, ((s + 0.055) / 1.055) ** 2.4)


def _encoded(linear: np.ndarray) -> np.ndarray:
    return 255 * np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def _rendering(seed: int, h: int = 24, w: int = 32) -> Rendering:
    rng = stream(seed, "rendering")
    depth = rng.uniform(1, 6, (h, w)).astype(np.float32)
    depth[rng.random((h, w)) < 0.3] = np.inf
    return Rendering(
        rgb=rng.integers(0, 256, (h, w, 3), np.uint8),
        depth_m=depth,
        instance=rng.integers(0, 3, (h, w)).astype(np.int32),
        part=rng.integers(0, 17, (h, w)).astype(np.uint8),
        normal=rng.normal(size=(h, w, 3)).astype(np.float32),
        surface=rng.integers(0, 9, (h, w)).astype(np.int32),
    )


def _layer(seed, depth_m, instance, shape=(12, 15)):
    rng = stream(seed, "layer")
    alpha = rng.random(shape).astype(np.float32)
    alpha[rng.random(shape) < 0.3] = 1
    alpha[rng.random(shape) < 0.3] = 0
    left, top = int(rng.integers(0, 17)), int(rng.integers(0, 12))
    rgb = rng.integers(0, 256, (*shape, 3), np.uint8)
    return CutoutLayer(
        instance=instance, left_px=left, top_px=top, rgb=rgb, alpha=alpha, depth_m=depth_m
    )


def _reference(rendering: Rendering, layers: tuple[CutoutLayer, ...]) -> tuple[np.ndarray, ...]:
    """Pixel by pixel, float64: the layers behind first."""
    light = _linear(rendering.rgb)
    depth = rendering.depth_m.astype(np.float64)
    instance, part = rendering.instance.copy(), rendering.part.copy()
    order = sorted(range(len(layers)), key=lambda k: (-(layers[k].depth_m or -1e9), k))
    order = sorted(order, key=lambda k: layers[k].depth_m == 0)
    for k in order:
        layer = layers[k]
        for i, j in np.ndindex(layer.alpha.shape):
            y, x = layer.top_px + i, layer.left_px + j
            if layer.depth_m > rendering.depth_m[y, x]:
                continue
            a = float(layer.alpha[i, j])
            light[y, x] = _linear(layer.rgb[i, j]) * a + light[y, x] * (1 - a)
            if a >= 0.5:
                instance[y, x], part[y, x], depth[y, x] = layer.instance, NO_PART, layer.depth_m
    return _encoded(light), instance, part, depth


@pytest.mark.parametrize("seed", range(6))
def test_blending_agrees_with_the_reference(seed):
    rendering = _rendering(seed)
    layers = tuple(
        _layer(10 * seed + k, depth, 1002 + k) for k, depth in enumerate((2.0, 0.0, 4.5, 2.0, 0.0))
    )
    got = over(rendering, layers)
    rgb, instance, part, depth = _reference(rendering, layers)
    # Each of up to five layers is stored in 8 bits.
    assert np.abs(got.rgb - rgb).max() < 4
    assert np.abs(got.rgb - rgb).mean() < 0.5
    assert (got.instance == instance).all()
    assert (got.part == part).all()
    assert np.array_equal(got.depth_m, depth.astype(np.float32))


def test_a_layer_behind_hides_nothing_and_one_in_front_owns_its_pixels():
    rendering = _rendering(2)
    rendering = replace(rendering, depth_m=np.full_like(rendering.depth_m, 3.0))
    behind = over(rendering, (_layer(3, 3.5, 1002),))
    assert np.array_equal(behind.rgb, rendering.rgb)
    layer = _layer(3, 2.5, 1002)
    front = over(rendering, (layer,))
    box = (slice(layer.top_px, layer.top_px + 12), slice(layer.left_px, layer.left_px + 15))
    owned = layer.alpha >= 0.5
    assert (front.surface[box][owned] == -1).all()
    assert (front.normal[box][owned] == [0, 0, -1]).all()
    assert (front.rgb[box][layer.alpha == 1] == layer.rgb[layer.alpha == 1]).all()
    assert (front.rgb[box][layer.alpha == 0] == rendering.rgb[box][layer.alpha == 0]).all()
