"""NAME.camera.yaml beside a photo: how its camera stood, where its floor is, how the sun stood.

docs/photos.md explains every field.
"""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Self

import numpy as np
import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator

from synthstudio.core import images
from synthstudio.core.catalogue import ImageAsset
from synthstudio.core.errors import AssetError
from synthstudio.core.photo import REACH_M, Ground

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
