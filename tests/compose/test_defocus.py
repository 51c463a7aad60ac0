"""Defocus: as wide as a thin lens has it, nothing moves, nothing sharp bleeds, labels stay."""

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from synthstudio.compose.defocus import circles_px, defocused, disc
from synthstudio.compose.lens import develop
from synthstudio.core.errors import GeometryError
from synthstudio.core.images import linear_to_srgb_u8, srgb_to_linear
from synthstudio.core.rng import stream
from synthstudio.core.spec import LensSpec
from synthstudio.generation import pipeline
from synthstudio.generation.stage import FrameGenerator, prepare
from synthstudio.recipe.schema.load import load

SCENES = Path(__file__).resolve().parents[2] / "scenes"
H, W = 120, 160


def _even(size_px: float) -> np.ndarray:
    return np.full((H, W), size_px, np.float32)


def _disc_cover(at: tuple[float, float], radius: float) -> np.ndarray:
    """(H, W) how much of each pixel a disc covers, as an antialiased picture has it."""
    y, x = (np.mgrid[: 8 * H, : 8 * W] + 0.5) / 8
    inside = np.hypot(x - at[0], y - at[1]) < radius
    return inside.reshape(H, 8, W, 8).mean(axis=(1, 3))


def _painted(cover: np.ndarray, above: tuple[float, ...], below: tuple[float, ...]) -> np.ndarray:
    light = cover[..., None] * np.array(above) + (1 - cover[..., None]) * np.array(below)
    return linear_to_srgb_u8(light)


def test_circles_are_a_thin_lens_s():
    """By 1/f = 1/z + 1/v and similar triangles behind the lens, all in metres."""
    f, stop, focus, pixel = 0.050, 2.8, 3.0, 20e-6
    sensor = 1 / (1 / f - 1 / focus)
    depths = np.array([[0.8, 2.0, 3.0, 4.5, 30.0]], np.float32)
    image = 1 / (1 / f - 1 / depths.astype(float))
    wanted = f / stop * (image - sensor) / image / pixel
    found = circles_px(depths, aperture_m=f / stop, focus_m=focus, focal_px=sensor / pixel)
    assert found == pytest.approx(-wanted, rel=1e-4, abs=1e-3)
    far = circles_px(
        np.array([[np.inf, 0.0]], np.float32), aperture_m=0.01, focus_m=2, focal_px=900
    )
    assert far[0, 0] == pytest.approx(0.01 * 900 / 2)
    assert far[0, 1] == -np.inf


@pytest.mark.parametrize("size", [-12.0, -3.0, 2.5, 6.0, 15.0])
def test_an_edge_out_of_focus_is_as_wide_as_its_circle(size):
    picture = np.full((H, W, 3), 40, np.uint8)
    picture[:, W // 2 :] = 200
    seen = srgb_to_linear(defocused(picture, _even(size)))[H // 2, :, 1].astype(float)
    line = np.diff(seen)
    line /= line.sum()
    at = np.arange(1, W) - W / 2
    assert (line * at).sum() == pytest.approx(0, abs=0.02)
    # A disc's variance along a line, and a pixel's.
    assert (line * at * at).sum() == pytest.approx(size**2 / 16 + 1 / 12, rel=0.03, abs=0.07)
    assert np.count_nonzero(np.abs(line) > 2e-3) == pytest.approx(abs(size), abs=1.6)


@pytest.mark.parametrize("size", [-9.0, 2.2, 7.5, 14.0])
def test_a_markers_centroid_stays(size):
    at, radius = (71.3, 58.8), 6.0
    cover = _disc_cover(at, radius)
    picture = _painted(cover, (0.7, 0.6, 0.5), (0.02, 0.02, 0.02))
    y, x = np.mgrid[:H, :W] + 0.5
    # Also a marker that is a layer of its own, before or behind an edge in depth.
    for circles in (_even(size), np.where(cover >= 0.5, size, 20.0).astype(np.float32)):
        light = srgb_to_linear(defocused(picture, circles))[..., 1].astype(float)
        light -= light[0, 0]
        assert (light * x).sum() / light.sum() == pytest.approx(at[0], abs=0.1)
        assert (light * y).sum() / light.sum() == pytest.approx(at[1], abs=0.1)


def test_a_sharp_person_neither_blurs_nor_bleeds():
    cover = _disc_cover((80.0, 60.0), 25.0)
    stripes = (np.arange(W) // 3 % 2)[None, :, None] * np.array([0.3, 0.0, 0.0])
    light = cover[..., None] * (np.array([0.6, 0.02, 0.02]) + stripes)
    picture = linear_to_srgb_u8(light + (1 - cover[..., None]) * np.array([0.1, 0.3, 0.1]))
    circles = np.where(cover >= 0.5, 0.0, 12.0).astype(np.float32)
    seen = defocused(picture, circles)
    inside = cv2.erode((cover == 1).astype(np.uint8), np.ones((3, 3))) > 0
    assert np.abs(seen.astype(int) - picture)[inside].max() <= 1
    outside = cover == 0
    assert np.abs(seen.astype(int) - picture)[outside].max() <= 2, "the ground is even"
    # Also the outline is as soft as before: the ground beside it has not changed.
    assert np.abs(seen.astype(int) - picture).mean(axis=-1)[~inside & ~outside].mean() < 6
    blurred = cv2.filter2D(picture, -1, disc(12.0))
    assert np.abs(blurred.astype(int) - picture)[outside].max() > 40, "a blur of all would bleed"


def test_what_is_in_focus_and_what_has_no_depth_keep_their_bytes():
    photo = stream(1, "photo").integers(0, 256, (H, W, 3), np.uint8)
    assert np.array_equal(defocused(photo, _even(0.6)), photo)
    assert np.array_equal(defocused(photo, _even(-np.inf)), photo)
    assert np.array_equal(develop(photo, LensSpec()), photo)
    before = _even(9.0)
    before[:, :50] = -np.inf
    seen = defocused(photo, before)
    assert np.array_equal(seen[:, :48], photo[:, :48])
    assert seen[:, 60:].std() < 0.5 * photo[:, 60:].std()
    assert np.array_equal(seen, defocused(photo.copy(), before.copy()))


def test_labels_know_nothing_of_it_and_the_focus_is_on_somebody():
    stage = FrameGenerator(prepare(load(SCENES / "quickstart.yaml"), assets=SCENES, device="cpu"))
    spec = replace(pipeline.draw_spec(stage, 2), lens=LensSpec())
    plain = pipeline.make_frame(stage, spec, layers=("depth", "instance"))
    open_wide = replace(spec, lens=LensSpec(aperture_m=0.06))
    frame = pipeline.make_frame(stage, open_wide, layers=("depth", "instance"))
    assert frame.jpeg != plain.jpeg
    assert frame.layers == plain.layers
    assert repr(frame.labels) == repr(plain.labels)
    nobody = replace(spec, lens=LensSpec(aperture_m=0.06, focus_on=len(spec.people)))
    with pytest.raises(GeometryError, match="focus_on"):
        pipeline.make_frame(stage, nobody)
    with pytest.raises(GeometryError, match="aperture_m"):
        pipeline.make_frame(stage, replace(spec, lens=LensSpec(aperture_m=-0.01)))
