"""Procedural looks: repeats, means far away, noise and its slope, faces drawn on skin."""

import math

import numpy as np
import pytest
import warp as wp

from synthstudio.core.rng import stream
from synthstudio.core.scene import Surface
from synthstudio.core.spec import Material
from synthstudio.render import runtime, shade
from synthstudio.render.kernels import materials, patterns
from synthstudio.render.pack import to_device

RED, CREAM = (0.6, 0.1, 0.1), (0.8, 0.75, 0.6)
FLAT = ["stripes", "checks", "dots", "plaid"]


@wp.kernel
def _look(
    ms: wp.array[patterns.Mat],
    points: wp.array[wp.vec3],
    face: wp.vec3,
    foot_m: float,
    out: wp.array[wp.vec3],
):
    i = wp.tid()
    out[i] = materials.look(ms, 0, points[i], face, foot_m, wp.vec3(1.0, 1.0, 1.0)).rgb


def colour(material, points, foot_m=1e-6, face=(0.0, 1.0, 0.0)):
    """The colour (n, 3) of a material at texture coordinates (n, 3)."""
    runtime.init("cpu")
    points = np.asarray(points, np.float32).reshape(-1, 3)
    triangle = Surface(
        name="",
        instance=1,
        vertices_m=np.eye(3, dtype=np.float32),
        faces=np.array([[0, 1, 2]], np.int32),
        coords=np.eye(3, dtype=np.float32),
        material=material,
    )
    out = wp.zeros(len(points), dtype=wp.vec3, device="cpu")
    rows = to_device(shade.material_rows((triangle,), []), patterns.Mat, "cpu")
    wp.launch(
        _look,
        dim=len(points),
        inputs=[rows, to_device(points, wp.vec3, "cpu"), wp.vec3(*face), foot_m],
        outputs=[out],
        device="cpu",
    )
    return out.numpy().copy()


def scattered(n, span_m, name="points"):
    return stream(2, name).uniform(-span_m, span_m, (n, 3))


@pytest.mark.parametrize("pattern", FLAT)
@pytest.mark.parametrize("kind", ["cloth", "matte"])
def test_patterns_repeat_at_their_scale(pattern, kind):
    material = Material(
        kind=kind, pattern=pattern, base_rgb=RED, second_rgb=CREAM, scale_m=0.08, angle_rad=0.4
    )
    points = scattered(400, 0.5)
    c, s = math.cos(0.4), math.sin(0.4)
    # Weave and folds are no part of the pattern: a footprint of 8 mm leaves them out.
    at = colour(material, points, 0.008)
    for shift in ((c, 0, s), (-s, 0, c), (5 * c, 0, 5 * s)):
        np.testing.assert_allclose(
            colour(material, points + 0.08 * np.array(shift), 0.008), at, atol=0.01
        )
    half = colour(material, points + 0.02 * np.array((-s, 0, c)), 0.008)
    assert np.abs(half - at).max() > 0.2


@pytest.mark.parametrize("pattern", sorted(shade.PATTERNS))
def test_every_pattern_stays_a_colour_and_grows_calm(pattern):
    material = Material(
        pattern=pattern, base_rgb=RED, second_rgb=CREAM, scale_m=0.15, kind="matte", bump=0.5
    )
    points = scattered(3000, 3.0)
    near, far = colour(material, points), colour(material, points, 1.0)
    for seen in (near, far):
        assert np.isfinite(seen).all() and seen.min() >= 0.0 and seen.max() <= 1.0
    if pattern != "plain":
        assert far.std(axis=0).max() < 0.7 * near.std(axis=0).max()


def test_footprints_filter_a_stripe_exactly():
    # A pixel as wide as half a stripe, centred on an edge, sees half of either colour.
    material = Material(pattern="stripes", base_rgb=(0, 0, 0), second_rgb=(1, 1, 1), scale_m=1.0)
    z = np.linspace(0.0, 2.0, 401)
    seen = colour(material, np.stack([z * 0, z * 0, z], axis=1), 0.25)[:, 0]
    fine = np.arange(-2.0, 4.0, 1e-4)
    wave = (fine % 1.0) < 0.5
    want = [wave[np.abs(fine - c) < 0.125].mean() for c in z]
    np.testing.assert_allclose(seen, want, atol=0.003)
