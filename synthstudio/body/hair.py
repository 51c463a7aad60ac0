"""Hair and hats, cut from the head of the template. They cover only the scalp."""

from __future__ import annotations

import numpy as np

from synthstudio.body.cloth import Cut
from synthstudio.body.garments import Shape, Tailored, step
from synthstudio.body.weave import Basis, Places, Weave, clipped, places, weave_of
from synthstudio.core.scene import F32, PARTS

SCALP = 1 << PARTS.index("scalp")
_CENTRE_M = (0.0, -0.030, 0.660)  # of the skull
_HAIRLINE_DEG = (0, 30, 45, 57, 64, 74, 86, 98, 115, 140, 180)
_HAIRLINE_M = (0.722, 0.721, 0.708, 0.688, 0.645, 0.640, 0.668, 0.640, 0.606, 0.598, 0.596)


def azimuth(at: F32) -> F32:
    """Return (V,) degrees round the head from straight ahead, 0..180 on both sides."""
    return np.degrees(np.arctan2(np.abs(at[:, 0]), -(at[:, 1] - _CENTRE_M[1])))


def hairline(at: F32) -> F32:
    """Return (V,) metres above the hairline (negative: face, ears' root and neck)."""
    return at[:, 2] - np.interp(azimuth(at), _HAIRLINE_DEG, _HAIRLINE_M)


def strands(at: F32) -> F32:
    """Return (V, 3) (cos phi, sin phi, theta) about the crown."""
    d = at - np.array(_CENTRE_M)
    d /= np.maximum(np.linalg.norm(d, axis=1, keepdims=True), 1e-9)
    # The crown lies behind the top of the skull.
    up = np.array((0.0, 0.42, 0.91))
    back = np.array((0.0, 0.91, -0.42))
    phi = np.arctan2(d[:, 0], d @ back)
    theta = np.arccos(np.clip(d @ up, -1, 1))
    return np.stack([np.cos(phi), np.sin(phi), theta], axis=1).astype(np.float32)


def _nowhere(p: Places) -> F32:
    return np.full(len(p.at), -1, np.float32)


def _head(base: Basis, line: F32, *, clear_ears: bool) -> tuple[Weave, Places]:
    """Return the head's skin above the zero of `line` (N,), ears left out."""
    atlas = base.atlas
    weave = weave_of(atlas, _head_faces(base, clear_ears=clear_ears))
    p = places(atlas, weave.rows)
    field = hairline(p.at) if line is None else line(p.at)
    weave = clipped(weave, field.astype(np.float32))
    return weave, places(atlas, weave.rows)


def _head_faces(base: Basis, *, clear_ears: bool) -> F32:
    atlas = base.atlas
    head = np.isin(atlas.part, [PARTS.index("head"), PARTS.index("scalp"), PARTS.index("neck")])
    keep = head & atlas.skin_face
    if clear_ears:
        keep &= ~(atlas.masks["ears"][atlas.body_faces] > 0.5).any(axis=1)
    keep &= ~(atlas.masks["inside-mouth"][atlas.body_faces] > 0.5).any(axis=1)
    return atlas.body_faces[keep]


def _lumps(at: F32) -> F32:
    """Return (V,) smooth noise in -1..1 with features of 2 to 4 cm."""
    x, y, z = at.T
    return (
        np.sin(130 * x + 3 * np.sin(90 * z))
        + np.sin(150 * y + 2 * np.sin(110 * x))
        + np.sin(120 * z + 3 * np.sin(80 * y))
    ) / 3


def short_hair(base: Basis, shape: Shape) -> Tailored:
    """A cap of hair, `thick` metres at the top."""
    weave, p = _head(base, None, clear_ears=True)
    deep = step(hairline(p.at), 0.0, 0.035)
    top = step(p.at[:, 2], 0.66, 0.75)
    offset = 0.0015 + deep * (0.35 + 0.65 * top) * shape["thick"] * (1 + 0.25 * _lumps(p.at))
    return _hair(weave, p, offset, passes=2)


def cropped_hair(base: Basis, shape: Shape) -> Tailored:
    """Stubble on the scalp."""
    weave, p = _head(base, None, clear_ears=True)
    return _hair(weave, p, np.full(len(p.at), shape["thick"]), passes=1)


def afro_hair(base: Basis, shape: Shape) -> Tailored:
    """A round, thick cap."""
    weave, p = _head(base, None, clear_ears=True)
    deep = step(hairline(p.at), -0.005, 0.05)
    offset = 0.002 + deep * shape["thick"] * (1 + 0.10 * _lumps(1.3 * p.at))
    return _hair(weave, p, offset, passes=4)


def _hair(weave: Weave, p: Places, offset: F32, *, passes: int) -> Tailored:
    cut = Cut(
        weave=weave,
        offset_m=offset,
        least_m=np.full(len(offset), 0.0008),
        passes=passes,
        folds_m=0.0,
        rim_m=0.002,
        covers=SCALP,
        coords=strands(p.at),
        level=False,
    )
    return Tailored(pieces=(cut,), inside=_nowhere)


def cap(base: Basis, shape: Shape) -> Tailored:
    """A baseball cap without its peak yet: a smooth dome."""
    return _hat(base, front_m=0.705, back_m=0.665, thick_m=0.018, passes=10)


def beanie(base: Basis, shape: Shape) -> Tailored:
    """Knitted, down to the ears."""
    return _hat(base, front_m=0.700, back_m=0.640, thick_m=0.017 + shape["slouch"], passes=8)


def _hat(base: Basis, *, front_m: float, back_m: float, thick_m: float, passes: int) -> Tailored:
    def line(at: F32) -> F32:
        return at[:, 2] - (front_m + (at[:, 1] + 0.13) * (back_m - front_m) / 0.19)

    weave, p = _head(base, line, clear_ears=False)
    offset = thick_m * (0.45 + 0.55 * step(line(p.at), 0.0, 0.05))
    cut = Cut(
        weave=weave,
        offset_m=offset,
        least_m=np.full(len(offset), 0.004),
        passes=passes,
        folds_m=0.0,
        covers=SCALP,
        level=False,
    )
    return Tailored(pieces=(cut,), inside=lambda p: np.full(len(p.at), -1, np.float32))
