"""Lens effects: nothing moves, everything repeats, zero means untouched."""

import random
from dataclasses import replace

import cv2
import numpy as np
import pytest

from synthstudio.compose.lens import develop, motion_kernel, tone_curve
from synthstudio.core.errors import GeometryError
from synthstudio.core.images import decode_rgb, encode_jpeg, srgb_to_linear
from synthstudio.core.rng import stream
from synthstudio.core.spec import LensSpec

NONE = LensSpec()
EVERYTHING = LensSpec(
    blur_sigma_px=0.9, motion_px=4.5, motion_angle_rad=1.1, noise_sigma=4.0, noise_seed=9,
    exposure_ev=-0.4, vignette=0.3, jpeg_quality=75, white_balance_mired=-60.0, tint_ev=0.1,
    iso=800.0, contrast=0.4, sharpening=0.6,
)  # fmt: skip
EFFECTS = {
    "blur": LensSpec(blur_sigma_px=1.7),
    "slight motion": LensSpec(motion_px=1.3, motion_angle_rad=0.3),
    "motion": LensSpec(motion_px=7.4, motion_angle_rad=0.9),
    "long motion": LensSpec(motion_px=19.0, motion_angle_rad=2.2),
    "noise": LensSpec(noise_sigma=6.0, noise_seed=3),
    "brighter": LensSpec(exposure_ev=0.8),
    "darker": LensSpec(exposure_ev=-1.5),
    "vignette": LensSpec(vignette=0.5),
    "warm": LensSpec(white_balance_mired=80.0, tint_ev=-0.1),
    "iso": LensSpec(iso=3200.0, noise_seed=3),
    "contrast": LensSpec(contrast=0.8),
    "sharpened": LensSpec(sharpening=1.0),
    "all": EVERYTHING,
}
TONES = np.arange(256)


def _photo(w: int = 160, h: int = 120, seed: int = 1) -> np.ndarray:
    noise = stream(seed, "photo").random((h, w, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 4)
    smooth = (smooth - smooth.min()) / np.ptp(smooth)
    return np.rint(40 + 170 * smooth).astype(np.uint8)


def _marker(w: int, h: int, at: tuple[float, float], radius: float) -> np.ndarray:
    """A grey disc, antialiased, on a dark ground."""
    y, x = np.mgrid[:h, :w] + 0.5
    cover = np.clip(radius - np.hypot(x - at[0], y - at[1]) + 0.5, 0, 1)
    return np.repeat(np.rint(20 + 130 * cover)[..., None], 3, axis=-1).astype(np.uint8)


def _centroid(rgb: np.ndarray, at: tuple[float, float], reach: float) -> np.ndarray:
    """The centroid of the marker within `reach` of `at`, its edge where the light is half."""
    grey = rgb.astype(float).mean(axis=-1)
    y, x = np.mgrid[: grey.shape[0], : grey.shape[1]] + 0.5
    far = np.hypot(x - at[0], y - at[1])
    ground = np.median(grey[(far > reach) & (far < 1.6 * reach)])
    peak = np.median(grey[far < 2.5])
    # A short ramp about half the height: even where noise or a vignette change the height.
    weight = np.clip((grey - (0.7 * ground + 0.3 * peak)) / (0.4 * (peak - ground)), 0, 1)
    weight[far > reach] = 0
    return np.array([(weight * x).sum(), (weight * y).sum()]) / weight.sum()


def _global_numbers() -> bytes:
    state: bytes = np.random.get_state()[1].tobytes()  # noqa: NPY002 - proves that it stays put
    return state


@pytest.mark.parametrize("name", EFFECTS)
def test_a_markers_centroid_stays_within_a_tenth_of_a_pixel(name):
    for w, h in ((256, 192), (640, 480)):
        at, radius = (0.37 * w + 0.3, 0.61 * h - 0.2), 0.02 * w
        picture = _marker(w, h, at, radius)
        seen = develop(picture, EFFECTS[name])
        before = _centroid(picture, at, 2.2 * radius + 12)
        for again in (seen, decode_rgb(encode_jpeg(seen, 85), "x")):
            assert np.abs(_centroid(again, at, 2.2 * radius + 12) - before).max() < 0.1


@pytest.mark.parametrize("length", [0.2, 1.0, 2.0, 3.7, 8.0, 25.5, 100.0])
@pytest.mark.parametrize("angle", [0.0, 0.4, np.pi / 4, np.pi / 2, 2.0, -1.0])
def test_motion_kernels_are_even_and_as_long_as_asked(length, angle):
    kernel = motion_kernel(length, angle)
    assert kernel.shape[0] == kernel.shape[1]
    assert kernel.shape[0] % 2 == 1
    assert kernel.sum() == pytest.approx(1, abs=1e-5)
    assert np.array_equal(kernel, kernel[::-1, ::-1])
    reach = kernel.shape[0] // 2
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1]
    along = (kernel * (x * np.cos(angle) + y * np.sin(angle)) ** 2).sum()
    across = (kernel * (y * np.cos(angle) - x * np.sin(angle)) ** 2).sum()
    assert along == pytest.approx(length**2 / 12, abs=0.3 + 0.02 * length)
    assert across < 0.35


@pytest.mark.parametrize("name", EFFECTS)
def test_effects_repeat_and_leave_their_input_and_global_randomness_alone(name):
    photo = _photo()
    copy = photo.copy()
    states = (random.getstate(), _global_numbers())
    first = develop(photo, EFFECTS[name])
    assert np.array_equal(first, develop(photo.copy(), EFFECTS[name]))
    assert np.array_equal(photo, copy)
    assert states == (random.getstate(), _global_numbers())
    assert (first.shape, first.dtype) == (photo.shape, np.uint8)
    assert not np.array_equal(first, photo)
    assert np.array_equal(develop(photo, NONE), photo)
    seeded = replace(EFFECTS[name], noise_seed=77)
    noisy = seeded.noise_sigma > 0 or seeded.iso > 0
    assert np.array_equal(first, develop(photo, seeded)) != noisy


def test_noise_has_the_asked_strength():
    grey = np.full((200, 300, 3), 128, np.uint8)
    seen = develop(grey, EFFECTS["noise"]).astype(float) - 128
    assert seen.mean() == pytest.approx(0, abs=0.1)
    assert seen.std() == pytest.approx(6.0, rel=0.02)
    assert abs(np.corrcoef(seen[..., 0].ravel(), seen[..., 1].ravel())[0, 1]) < 0.02
    assert np.mean(np.abs(seen) < 6) == pytest.approx(0.68, abs=0.05), "as a normal curve has it"


def test_exposure_scales_linear_light():
    grey = np.full((4, 4, 3), 100, np.uint8)
    light = srgb_to_linear(develop(grey, EFFECTS["darker"])) / srgb_to_linear(grey)
    assert light == pytest.approx(2**-1.5, rel=0.02)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("blur_sigma_px", -1.0),
        ("blur_sigma_px", float("nan")),
        ("motion_px", 1e6),
        ("vignette", 1.5),
        ("jpeg_quality", 0),
        ("exposure_ev", float("inf")),
        ("iso", -1.0),
        ("iso", float("nan")),
        ("white_balance_mired", 1e4),
        ("tint_ev", -9.0),
    ],
)
def test_senseless_strengths_are_refused(field, value):
    with pytest.raises(GeometryError, match=field):
        develop(_photo(), replace(NONE, **{field: value}))


@pytest.mark.parametrize("contrast", [0.1, 0.4, 0.8, 1.0])
def test_the_tone_curve(contrast):
    curve = tone_curve(contrast).astype(float)
    assert (curve[0], curve[255]) == (0, 255)
    assert (np.diff(curve) >= 0).all()
    assert abs(curve[117] - 117) <= 1  # mid-grey
    slope = np.polyfit(TONES[102:133], curve[102:133], 1)[0]
    assert slope == pytest.approx(1 + contrast, rel=0.06)


def test_sharpening_overshoots_at_edges_alone():
    step = np.full((40, 40, 3), 90, np.uint8)
    step[:, 20:] = 160
    out = develop(step, LensSpec(sharpening=0.5)).astype(int)
    assert (out[:, :16] == 90).all()
    assert (out[:, 24:] == 160).all()
    # A step blurred by sigma is half of it 0.5 px from the edge: Phi(0.5 / 0.8) = 0.734.
    assert np.abs(out[:, 19] - (90 - 0.5 * 70 * (1 - 0.734))).max() <= 1.5
