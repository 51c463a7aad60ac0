"""What is known of a photo: its sidecar NAME.camera.yaml (camera, floor, sun), and estimates of
light, haze, sharpness and noise.

docs/photos.md explains every field.
"""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from types import EllipsisType
from typing import Annotated, Any, Self

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import BaseModel, Field, ValidationError, model_validator

from synthstudio.core import images
from synthstudio.core.arrays import F32, F64, U8, Bool
from synthstudio.core.catalogue import ImageAsset
from synthstudio.core.errors import AssetError
from synthstudio.core.images import LUMINANCE, srgb_to_linear
from synthstudio.core.photo import REACH_M, Ground, PlaceLight, ToneSpec
from synthstudio.core.spec import GreySpec

SUFFIX = ".camera.yaml"
NO_SIDECAR = "no sidecar"
_MAX_BYTES = 16_384
_MAX_REASON, _MIN_AREA = 200, 1e-4
_FILM_MM = math.hypot(36, 24)
_Share = Annotated[float, Field(ge=0, le=1)]


class _Sidecar(BaseModel, extra="forbid", frozen=True, allow_inf_nan=False):
    camera_height_m: Annotated[float, Field(ge=0.05, le=100)] | None = None
    pitch_deg: Annotated[float, Field(ge=-89, le=89)] | None = None
    horizon: Annotated[float, Field(ge=-20, le=20)] | None = None
    vertical_fov_deg: Annotated[float, Field(ge=5, le=150)] | None = None
    roll_deg: Annotated[float, Field(ge=-45, le=45)] = 0.0
    sun_elevation_deg: Annotated[float, Field(ge=3, le=90)] | None = None
    sun_azimuth_deg: Annotated[float, Field(ge=-180, le=180)] | None = None
    floor: Annotated[tuple[tuple[_Share, _Share], ...], Field(min_length=3, max_length=64)] = ()
    stand: bool = True
    reason: str = ""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.pitch_deg is not None and self.horizon is not None:
            raise ValueError("both pitch_deg and horizon: one follows from the other")
        if self.reason and "stand" not in self.model_fields_set:
            raise ValueError("reason without stand: false")
        if self.floor:
            x, y = np.array(self.floor).T
            if abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2 < _MIN_AREA:
                raise ValueError("floor: corners without an area between them")
        return self


def with_sidecar(asset: ImageAsset, path: Path) -> ImageAsset:
    """The photo at `path` with its sidecar's data; AssetError for an invalid sidecar."""
    file = path.with_name(path.stem + SUFFIX)
    if not file.exists():
        return replace(asset, unfit=NO_SIDECAR)
    data = _read(file)
    fov, pitch = _radians(data.vertical_fov_deg), _radians(data.pitch_deg)
    seen = _angle_of_view(path, asset) if fov is None else fov
    if data.horizon is not None and seen is not None:
        below = (data.horizon - 0.5) * 2 * math.tan(seen / 2)
        pitch = math.atan(below * math.cos(math.radians(data.roll_deg)))
    ground, unfit = _ground(asset, data, pitch, seen)
    return replace(
        asset,
        camera_height_m=data.camera_height_m,
        pitch_rad=pitch,
        vertical_fov_rad=fov,
        ground=ground,
        unfit=unfit,
    )


def _ground(
    asset: ImageAsset, data: _Sidecar, pitch_rad: float | None, fov_rad: float | None
) -> tuple[Ground | None, str]:
    """The photo's ground, or None and the reason."""
    height = data.camera_height_m
    lacking = [
        name
        for name, value in (
            ("camera_height_m", height),
            ("vertical_fov_deg (its EXIF does not say it)", fov_rad),
            ("pitch_deg or horizon", data.horizon if data.pitch_deg is None else data.pitch_deg),
        )
        if value is None
    ]
    if not data.stand:
        return None, "stand: false" + (f", {data.reason[:_MAX_REASON]}" if data.reason else "")
    if lacking or height is None or pitch_rad is None or fov_rad is None:
        return None, f"its sidecar lacks {' and '.join(lacking)}"
    ground = Ground(
        camera_height_m=height,
        pitch_rad=pitch_rad,
        vertical_fov_rad=fov_rad,
        roll_rad=math.radians(data.roll_deg),
        floor=data.floor,
        sun_elevation_rad=_radians(data.sun_elevation_deg),
        sun_azimuth_rad=_radians(data.sun_azimuth_deg),
    )
    if not ground.has_room((asset.width_px, asset.height_px)):
        where = "its floor polygon" if data.floor else "it"
        return None, f"{where} shows no floor {REACH_M[0]:g} to {REACH_M[1]:g} m from the camera"
    return ground, ""


def _radians(degrees: float | None) -> float | None:
    return None if degrees is None else math.radians(degrees)


def _angle_of_view(path: Path, asset: ImageAsset) -> float | None:
    """The vertical angle of view that EXIF gives: its focal length is for a film's diagonal."""
    focal_mm = images.focal_35mm(path)
    if focal_mm is None:
        return None
    focal_px = focal_mm / _FILM_MM * math.hypot(asset.width_px, asset.height_px)
    return 2 * math.atan(asset.height_px / 2 / focal_px)


def _read(path: Path) -> _Sidecar:
    """The file's data; AssetError for another shape, an unknown field or a value out of range.

    Only texts, lists and mappings are built, so tags and aliases can do nothing.
    """
    text = images.read_bytes(path, limit=_MAX_BYTES)
    try:
        root = yaml.compose(text, Loader=yaml.BaseLoader)
        data = yaml.load(text, Loader=yaml.BaseLoader)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise _bad(path, "not YAML") from error
    if not isinstance(root, yaml.MappingNode):
        raise _bad(path, "no mapping")
    if len(data) < len(root.value):
        raise _bad(path, "a field twice")
    try:
        return _Sidecar.model_validate(data)
    except ValidationError as error:
        fault = error.errors()[0]
        if not fault["loc"]:
            raise _bad(path, fault["msg"].removeprefix("Value error, ")) from error
        name, got = ".".join(map(str, fault["loc"]))[:40], fault["input"]
        shown = got[:40] if isinstance(got, str) else "a nested value"
        raise _bad(path, f"{name}: {shown} ({fault['msg']})") from error


def _bad(path: Path, got: str) -> AssetError:
    return AssetError(
        "the photo's sidecar cannot be used",
        where=str(path),
        expected="camera_height_m, pitch_deg or horizon, vertical_fov_deg, roll_deg, "
        "sun_elevation_deg, sun_azimuth_deg: numbers; floor: [[x, y], ...] of 0 to 1; "
        "stand: false with a reason",
        got=got,
        then="Mend it, or remove it (docs/photos.md).",
    )


_BLOCK_PX, _SAMPLE = 16, 4000
_COLOURFUL = 75.0
"""In a photo of ordinary colour a twentieth of the pixels differ so much between channels."""


def place_light(rgb: U8, box: Sequence[float]) -> PlaceLight:
    """The light about a box (x, y, w, h) of a photo (H, W, 3).

    A white card: between what a mean albedo of 0.28 makes of the mean and what the brightest
    twentieth shows. The tint is the mean colour, weakened: much of it is the objects' own.
    """
    h, w = rgb.shape[:2]
    x, y, bw, bh = box
    x0, x1 = int(np.clip(x - bw * 0.4, 0, w - 1)), int(np.clip(x + bw * 1.4, 1, w))
    y0, y1 = int(np.clip(y - bh * 0.25, 0, h - 1)), int(np.clip(y + bh * 1.25, 1, h))
    step = max(1, int(math.sqrt((x1 - x0) * (y1 - y0) / 40_000)))
    seen = rgb[y0 : max(y1, y0 + 1) : step, x0 : max(x1, x0 + 1) : step]
    linear = srgb_to_linear(seen).astype(np.float64)
    grey = _luminance(linear)
    mean = float(grey.mean())
    low, high = quantile(grey, 0.1), quantile(grey, 0.95)
    white = math.sqrt(max(mean / 0.28, 0.02) * max(high / 0.85, 0.02))
    colour = np.array(cv2.mean(linear)[:3]) / max(mean, 1e-4)
    tint = np.clip(colour, 0.3, 3.0) ** 0.4
    tint /= float(tint @ LUMINANCE)
    contrast = float(np.clip((high - low) / max(high + low, 1e-3), 0, 1))
    levels = _luminance(seen.astype(np.float64))
    return PlaceLight(
        white=round(float(np.clip(white, 0.06, 1.1)), 4),
        tint=(round(float(tint[0]), 4), round(float(tint[1]), 4), round(float(tint[2]), 4)),
        contrast=round(contrast, 4),
        grey=GreySpec(mean=round(float(levels.mean()), 2), spread=round(float(levels.std()), 2)),
    )


def tone(rgb: U8) -> ToneSpec:
    """The photo's black level and how colourful it is."""
    step = max(1, int(math.sqrt(rgb.shape[0] * rgb.shape[1] / 60_000)))
    few = rgb[::step, ::step]
    black = quantile(_luminance(srgb_to_linear(few).astype(np.float64)), 0.02)
    r, g, b = cv2.split(few)
    apart = cv2.max(cv2.max(r, g), b) - cv2.min(cv2.min(r, g), b)
    spread = quantile(apart.astype(np.float32), 0.95)
    return ToneSpec(
        black=round(min(max(black - 0.003, 0.0), 0.12), 4),
        saturation=round(min(1.0, 0.35 + 0.65 * spread / _COLOURFUL), 3),
        chroma=round(spread, 2),
    )


def _luminance(rgb: F64) -> F64:
    return np.asarray(cv2.transform(rgb, LUMINANCE[None]), np.float64)


def blur_sigma_px(rgb: U8, box: Sequence[float]) -> float:
    """How soft the sharper edges about a box are, as a Gaussian's sigma in pixels.

    The ratio of an edge's gradient to that of the same edge blurred by sigma0 tells its sigma
    (Zhuo and Sim 2011); the quartile of sharper ones among the stronger edges counts.
    """
    h, w = rgb.shape[:2]
    x, y, bw, bh = box
    x0, x1 = int(np.clip(x - bw * 0.3, 0, w - 8)), int(np.clip(x + bw * 1.3, 8, w))
    y0, y1 = int(np.clip(y - bh * 0.2, 0, h - 8)), int(np.clip(y + bh * 1.2, 8, h))
    grey = np.asarray(cv2.cvtColor(rgb[y0:y1, x0:x1], cv2.COLOR_RGB2GRAY), np.float32)
    if min(grey.shape) < 8:
        return 0.5
    sigma0 = 1.0
    sharp = _slope(grey)
    strong = sharp > max(quantile(sharp, 0.93), 12.0)
    if strong.sum() < 30:
        return 1.0
    soft = _slope(cv2.GaussianBlur(grey, (0, 0), sigma0), strong)
    ratio = sharp[strong] / np.maximum(soft, 1e-3)
    known = sigma0 / np.sqrt(np.maximum(ratio**2 - 1, 0.05))
    return round(float(np.clip(np.quantile(known, 0.3), 0.4, 4.0)), 3)


def _slope(grey: Any, where: Bool | EllipsisType = ...) -> F32:
    dx, dy = cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)
    return np.asarray(np.hypot(dx[where], dy[where]), np.float32)


def noise_sigma(rgb: U8) -> float:
    """The photo's noise in grey levels (Immerkaer 1996), from its quietest blocks."""
    grey = np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY), np.float32)
    if min(grey.shape) < 16:
        return 0.0
    kernel = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32)
    high = np.abs(cv2.filter2D(grey, -1, kernel))
    h, w = (side // _BLOCK_PX * _BLOCK_PX for side in grey.shape)
    blocks = [
        part[:h, :w].reshape(h // _BLOCK_PX, _BLOCK_PX, w // _BLOCK_PX, _BLOCK_PX).mean(axis=(1, 3))
        for part in (high, grey)
    ]
    lit = (blocks[1] > 25) & (blocks[1] < 230)
    if lit.sum() < 12:
        return 1.0
    quiet = float(np.quantile(blocks[0][lit], 0.12))
    return round(float(np.clip(quiet * math.sqrt(math.pi / 2) / 6, 0, 12)), 3)


def quantile(values: NDArray[np.floating], share: float) -> float:
    """np.quantile(values, share), but sorting only those that a sample says are about there."""
    flat = values.ravel()
    at = (len(flat) - 1) * share
    low = int(at)
    some = np.sort(flat[:: len(flat) // _SAMPLE + 1])
    last, place, reach = len(some) - 1, int(share * len(some)), len(some) // 40
    minimum, maximum = some[max(0, place - reach)], some[min(last, place + reach)]
    near = np.sort(flat[(flat >= minimum) & (flat <= maximum)])
    below = int(np.count_nonzero(flat < minimum))
    if not below <= low < below + len(near) - 1:  # the sample was none of the whole
        near, below = np.sort(flat), 0
    a, b = near[low - below], near[min(low - below + 1, len(near) - 1)]
    part = at - low
    return float(a + (b - a) * part if part < 0.5 else b - (b - a) * (1 - part))
