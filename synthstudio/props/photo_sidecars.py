"""NAME.camera.yaml beside a photo: how its camera stood, where its floor is, how the sun stood.

docs/photos.md explains every field.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import yaml

from synthstudio.core import images
from synthstudio.core.catalogue import ImageAsset
from synthstudio.core.errors import AssetError
from synthstudio.core.ground import REACH_M, Ground
from synthstudio.core.spec import Vec2

SUFFIX = ".camera.yaml"
NO_SIDECAR = "no sidecar"
_MAX_BYTES = 16_384
_RANGES = {
    "camera_height_m": (0.05, 100.0),
    "pitch_deg": (-89.0, 89.0),
    "horizon": (-20.0, 20.0),
    "vertical_fov_deg": (5.0, 150.0),
    "roll_deg": (-45.0, 45.0),
    "sun_elevation_deg": (3.0, 90.0),
    "sun_azimuth_deg": (-180.0, 180.0),
}
_OTHERS = ("floor", "stand", "reason")
_MAX_CORNERS, _MAX_REASON = 64, 200
_MIN_AREA = 1e-4
_FILM_MM = math.hypot(36, 24)


@dataclass(frozen=True, kw_only=True)
class _Sidecar:
    numbers: dict[str, float]
    floor: tuple[Vec2, ...] = ()
    stand: bool = True
    reason: str = ""

    def radians(self, key: str) -> float | None:
        return math.radians(self.numbers[key]) if key in self.numbers else None


def with_sidecar(asset: ImageAsset, path: Path) -> ImageAsset:
    """The photo at `path` with what its sidecar says; AssetError for a sidecar that is wrong."""
    file = path.with_name(path.stem + SUFFIX)
    if not file.exists():
        return replace(asset, unfit=NO_SIDECAR)
    told = _read(file)
    fov = told.radians("vertical_fov_deg")
    seen = _angle_of_view(path, asset) if fov is None else fov
    pitch = told.radians("pitch_deg")
    if "horizon" in told.numbers and seen is not None:
        roll = told.radians("roll_deg") or 0.0
        below = (told.numbers["horizon"] - 0.5) * 2 * math.tan(seen / 2)
        pitch = math.atan(below * math.cos(roll))
    ground, unfit = _ground(asset, told, pitch, seen)
    return replace(
        asset,
        camera_height_m=told.numbers.get("camera_height_m"),
        pitch_rad=pitch,
        vertical_fov_rad=fov,
        ground=ground,
        unfit=unfit,
    )


def _ground(
    asset: ImageAsset, told: _Sidecar, pitch_rad: float | None, fov_rad: float | None
) -> tuple[Ground | None, str]:
    """The photo's ground, or None and the reason why nobody could stand there."""
    numbers = told.numbers
    height = numbers.get("camera_height_m")
    lacking = [
        name
        for name, value in (
            ("camera_height_m", height),
            ("vertical_fov_deg (its EXIF does not say it)", fov_rad),
            ("pitch_deg or horizon", numbers.get("pitch_deg", numbers.get("horizon"))),
        )
        if value is None
    ]
    if not told.stand:
        return None, "stand: false" + (f", {told.reason}" if told.reason else "")
    if lacking or height is None or pitch_rad is None or fov_rad is None:
        return None, f"its sidecar lacks {' and '.join(lacking)}"
    ground = Ground(
        camera_height_m=height,
        pitch_rad=pitch_rad,
        vertical_fov_rad=fov_rad,
        roll_rad=told.radians("roll_deg") or 0.0,
        floor=told.floor,
        sun_elevation_rad=told.radians("sun_elevation_deg"),
        sun_azimuth_rad=told.radians("sun_azimuth_deg"),
    )
    if not ground.has_room((asset.width_px, asset.height_px)):
        where = "its floor polygon" if told.floor else "it"
        return None, f"{where} shows no floor {REACH_M[0]:g} to {REACH_M[1]:g} m from the camera"
    return ground, ""


def _angle_of_view(path: Path, asset: ImageAsset) -> float | None:
    """The vertical angle of view that EXIF gives: its focal length is for a film's diagonal."""
    focal_mm = images.focal_35mm(path)
    if focal_mm is None:
        return None
    focal_px = focal_mm / _FILM_MM * math.hypot(asset.width_px, asset.height_px)
    return 2 * math.atan(asset.height_px / 2 / focal_px)


def _read(path: Path) -> _Sidecar:
    """What the file says; AssetError for another shape, an unknown field or a value out of range.

    Nodes are read without building objects, so tags and aliases can do nothing.
    """
    try:
        root = yaml.compose(images.read_bytes(path, limit=_MAX_BYTES), Loader=yaml.SafeLoader)
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise _bad(path, "not YAML") from error
    if not isinstance(root, yaml.MappingNode):
        raise _bad(path, "no mapping")
    fields: dict[str, yaml.Node] = {}
    for key, value in root.value:
        name = key.value if isinstance(key, yaml.ScalarNode) else "a nested key"
        if name not in (*_RANGES, *_OTHERS):
            raise _bad(path, f"an unknown field {name[:40]}")
        if name in fields:
            raise _bad(path, f"{name} twice")
        fields[name] = value
    if {"pitch_deg", "horizon"} <= set(fields):
        raise _bad(path, "both pitch_deg and horizon: one follows from the other")
    if "reason" in fields and "stand" not in fields:
        raise _bad(path, "reason without stand: false")
    return _Sidecar(
        numbers={name: _number(path, name, fields[name]) for name in _RANGES if name in fields},
        floor=_floor(path, fields["floor"]) if "floor" in fields else (),
        stand=_stand(path, fields["stand"]) if "stand" in fields else True,
        reason=_text(path, "reason", fields["reason"])[:_MAX_REASON] if "reason" in fields else "",
    )


def _text(path: Path, name: str, node: yaml.Node) -> str:
    if not isinstance(node, yaml.ScalarNode):
        raise _bad(path, f"{name}: a nested value")
    return str(node.value)


def _number(path: Path, name: str, node: yaml.Node) -> float:
    low, high = _RANGES.get(name, (0.0, 1.0))
    text = _text(path, name, node)
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not low <= number <= high:
        raise _bad(path, f"{name}: {text[:40]} (allowed {low:g} to {high:g})")
    return number


def _stand(path: Path, node: yaml.Node) -> bool:
    text = _text(path, "stand", node).lower()
    if text not in ("true", "false"):
        raise _bad(path, f"stand: {text[:40]} (true or false)")
    return text == "true"


def _floor(path: Path, node: yaml.Node) -> tuple[Vec2, ...]:
    """The polygon's corners; AssetError unless it is one and has an area."""
    corners = node.value if isinstance(node, yaml.SequenceNode) else []
    if not 3 <= len(corners) <= _MAX_CORNERS:
        raise _bad(path, f"floor: {len(corners)} corners (3 to {_MAX_CORNERS})")
    found = []
    for corner in corners:
        if not isinstance(corner, yaml.SequenceNode) or len(corner.value) != 2:
            raise _bad(path, "floor: a corner that is no [x, y]")
        x, y = (_number(path, "floor", part) for part in corner.value)
        found.append((x, y))
    x, y = np.array(found).T
    if abs(float(x @ np.roll(y, -1) - y @ np.roll(x, -1))) / 2 < _MIN_AREA:
        raise _bad(path, "floor: corners without an area between them")
    return tuple(found)


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
