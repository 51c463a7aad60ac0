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
def _noise(points: wp.array[wp.vec3], out: wp.array[wp.vec4], flat: wp.array[wp.float32]):
    i = wp.tid()
    out[i] = patterns.noise(points[i])
    flat[i] = patterns.cloud(points[i][0], points[i][1])


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


def noises(points):
    runtime.init("cpu")
    points = np.asarray(points, np.float32)
    out = wp.zeros(len(points), dtype=wp.vec4, device="cpu")
    flat = wp.zeros(len(points), dtype=wp.float32, device="cpu")
    wp.launch(
        _noise,
        dim=len(points),
        inputs=[to_device(points, wp.vec3, "cpu")],
        outputs=[out, flat],
        device="cpu",
    )
    return out.numpy(), flat.numpy()


def scattered(n, span_m, name="points"):
    return stream(2, name).uniform(-span_m, span_m, (n, 3))


def test_noise_is_bounded_centred_and_varied():
    solid, flat = noises(scattered(5_000, 300.0))
    for values in (solid[:, 0], flat):
        assert np.abs(values).max() <= 1.0
        assert abs(values.mean()) < 0.03
        assert 0.2 < values.std() < 0.5


def test_noise_knows_its_slope():
    points = scattered(500, 20.0).astype(np.float32)
    step = 1 / 256
    slope = noises(points)[0][:, 1:]
    for axis in range(3):
        moved = np.eye(3, dtype=np.float32)[axis] * step
        central = (noises(points + moved)[0][:, 0] - noises(points - moved)[0][:, 0]) / (2 * step)
        assert np.median(np.abs(central - slope[:, axis])) < 0.01
        assert np.quantile(np.abs(central - slope[:, axis]), 0.95) < 0.05


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


@pytest.mark.parametrize(
    ("pattern", "share"), [("stripes", 0.5), ("checks", 0.5), ("dots", 2 * math.pi * 0.2**2)]
)
def test_far_away_a_pattern_is_its_mean(pattern, share):
    material = Material(pattern=pattern, base_rgb=(0, 0, 0), second_rgb=(1, 1, 1), scale_m=0.1)
    points = scattered(3000, 2.0)
    near, far = colour(material, points)[:, 0], colour(material, points, 0.4)[:, 0]
    assert near.mean() == pytest.approx(share, abs=0.03)
    np.testing.assert_allclose(far, share, atol=0.04)


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


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_thing_s_pattern_lies_in_its_faces(axis):
    # Moving along a face's normal changes nothing, moving within it does.
    material = Material(pattern="checks", base_rgb=RED, second_rgb=CREAM, scale_m=0.1)
    normal, across = np.eye(3)[axis], np.eye(3)[axis - 1]
    points = scattered(300, 0.5)
    at, deeper, aside = (
        colour(material, points + move, face=tuple(normal))
        for move in (0.0, 0.037 * normal, 0.05 * across)
    )
    np.testing.assert_allclose(deeper, at, atol=0.01)
    assert np.abs(aside - at).max() > 0.2
