"""Defocus blur: layers of depth, each convolved with its own disc.

The picture is split by depth. A layer's colours continue a little under nearer ones, so that its
blur excludes these, and the layers are composed from the farthest, by alpha, in linear light
(Porter and Duff 1984). So a sharp person keeps a sharp outline before a blurred room, and a blurred
object before them has a soft edge.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import cv2
import numpy as np

from synthstudio.compose.blend import three
from synthstudio.core.arrays import F32, I32, U8, Bool
from synthstudio.core.camera import NEAR_M
from synthstudio.core.errors import GeometryError
from synthstudio.core.images import linear_to_srgb_u8, srgb_to_linear
from synthstudio.core.masks import mask_edges
from synthstudio.core.scene import PosedPerson
from synthstudio.core.spec import FrameSpec

MAX_CIRCLE_PX = 100.0
SHARP_PX = 1.0
"""Circles smaller than this are a pixel's own size: no blur."""
_STEP = 1.4
"""A layer's largest circle over its smallest."""
_JUMP_PX = 1.0
"""Where circles of neighbours differ by more, one surface ends before another."""
_FEEBLE = 1e-6
"""Weight of a mixed pixel: used if no pure one is within reach."""
_SOFT = np.array([1, 6, 1], np.float32) / 8
_BOX = np.ones((3, 3), np.uint8)
_FRONT = -(2**20)
_MIN_CONTRAST = 0.03
"""Distance of two colours in linear light whose mixtures can be told."""


@dataclass(frozen=True, eq=False)
class _Layer:
    """The contents of a layer: (h, w) about it."""

    level: I32  # 0 its own pixels, above 0 farther ones, below 0 nearer ones
    light: F32  # (h, w, 3)
    pure: Bool  # not at an edge in depth
    surface: I32  # number of the piece between such edges, 0 at them
    reach: int  # how far it may extend under nearer layers, px

    @property
    def own(self) -> Bool:
        """Its own pixels."""
        return np.asarray(self.level == 0)


def out_of_focus(depth_m: F32, people: Sequence[PosedPerson], spec: FrameSpec) -> F32 | None:
    """(H, W) `circles_px` with the focus on one of the people; None: all is in focus."""
    lens, camera = spec.lens, spec.camera
    if lens.aperture_m <= 0:
        return None
    if not 0 <= lens.focus_on < len(people):
        raise GeometryError(
            "invalid person for the focus",
            where="lens.focus_on",
            expected=f"one of {len(people)} people, counted from 0",
            got=str(lens.focus_on),
        )
    joints = camera.to_camera(people[lens.focus_on].joints_m)
    focus_m = max(float(joints[:, 2].mean()) * (1 + lens.focus_error), NEAR_M)
    return circles_px(
        depth_m, aperture_m=lens.aperture_m, focus_m=focus_m, focal_px=camera.focal_px
    )


def circles_px(depth_m: F32, *, aperture_m: float, focus_m: float, focal_px: float) -> F32:
    """(H, W) diameters of the circles of confusion; above 0 behind the focus, below 0 before it.

    By a thin lens of that aperture a point at depth z spreads over a circle of diameter
    aperture x focal x |1 / focus - 1 / z|, focal being the distance from lens to sensor, which
    is what a pinhole camera's focal length is (Potmesil and Chakravarty, "A lens and aperture
    camera model for synthetic image generation", SIGGRAPH 1981). Infinity is a depth. What has
    depth 0 lies before everything at no known distance, and is -inf: sharp, the nearest.
    """
    with np.errstate(divide="ignore"):
        circles = aperture_m * focal_px * (1 / focus_m - 1 / depth_m.astype(np.float64))
    clipped = np.clip(circles, -MAX_CIRCLE_PX, MAX_CIRCLE_PX)
    return np.where(depth_m > 0, clipped, -np.inf).astype(np.float32)


def defocused(rgb: U8, circles: F32) -> U8:
    """(H, W, 3) sRGB with each depth blurred by its disc; `circles` (H, W) by `circles_px`.

    Discs are even about their centre: a point stays where it was.
    """
    level = _levels(circles)
    present = [int(k) for k in np.unique(level)[::-1]]
    if present in ([0], [_FRONT]):
        return rgb
    light = srgb_to_linear(rgb)
    out = light.copy()
    pure = ~_mixed(circles, level)
    surface = np.asarray(cv2.connectedComponents(pure.view(np.uint8))[1], np.int32)
    size = dict.fromkeys((0, _FRONT), 0.0)
    size |= {
        k: float(np.abs(circles[level == k]).mean(dtype=float)) for k in present if k not in size
    }
    for place, k in enumerate(present):
        nearer = max((size[j] for j in present[place + 1 :]), default=0.0)
        reach = math.ceil((size[k] + nearer) / 2) + 1
        box = _box(level == k, reach + math.ceil(size[k] / 2) + 2) if place else np.s_[:, :]
        layer = _Layer(level[box] - k, light[box], pure[box], surface[box], reach)
        out[box] = _laid(out[box], layer, size[k], farthest=place == 0)
    return linear_to_srgb_u8(out)


def disc(diameter_px: float) -> F32:
    """A symmetric square kernel of sum 1: the fraction of each pixel covered by a centred disc."""
    return _disc(round(diameter_px * 50))


@lru_cache(maxsize=64)
def _disc(fiftieths: int) -> F32:
    radius = fiftieths / 100
    reach = max(0, math.ceil(radius - 0.5))
    parts = 16 if reach < 8 else 4
    n = (2 * reach + 1) * parts
    along = (np.arange(n) + 0.5) / parts - n / parts / 2
    inside = along[:, None] ** 2 + along**2 <= radius * radius
    kernel = inside.reshape(2 * reach + 1, parts, 2 * reach + 1, parts).sum(axis=(1, 3))
    return np.asarray(kernel / kernel.sum(), np.float32)


def _levels(circles: F32) -> I32:
    """(H, W) the layer of each pixel: 0 in focus, above 0 behind it, below 0 before it."""
    size = np.maximum(np.abs(circles), np.float32(SHARP_PX / 2))
    steps = np.floor(np.log(np.minimum(size, MAX_CIRCLE_PX) / SHARP_PX) / math.log(_STEP)) + 1
    level = np.where(size < SHARP_PX, 0, np.copysign(steps, circles))
    return np.where(np.isneginf(circles), _FRONT, level).astype(np.int32)


def _mixed(circles: F32, level: I32) -> Bool:
    """(H, W) pixels at an edge in depth, whose colours are of both sides."""
    finite = np.maximum(circles, np.float32(-2 * MAX_CIRCLE_PX))
    jump = cv2.dilate(finite, _BOX) - cv2.erode(finite, _BOX) > _JUMP_PX
    flat = level.astype(np.float32)
    return np.asarray(jump & (cv2.dilate(flat, _BOX) != cv2.erode(flat, _BOX)))


def _box(mask: Bool, margin: int) -> tuple[slice, slice]:
    """The rows and columns that a mask fills, and a margin."""
    x0, y0, x1, y1 = mask_edges(mask)
    return slice(max(0, y0 - margin), y1 + margin), slice(max(0, x0 - margin), x1 + margin)


def _laid(below: F32, layer: _Layer, size_px: float, *, farthest: bool) -> F32:
    """(h, w, 3) a layer over what is below, blurred by its disc: colours as their alpha is."""
    near = cv2.dilate(layer.own.view(np.uint8), np.ones((2 * layer.reach + 1,) * 2, np.uint8)) > 0
    alpha = np.ones(below.shape[:2], np.float32)
    if not farthest:
        alpha = (layer.own | (near & _hidden(layer))).astype(np.float32)
    colour = _filled(layer, layer.own, near & (cv2.dilate(alpha, _BOX) > 0))
    if size_px >= SHARP_PX:
        kernel = disc(size_px)
        soft = cv2.filter2D(alpha, -1, kernel)
        spread: F32 = np.asarray(cv2.filter2D(_times(colour, alpha), -1, kernel), np.float32)
        return _times(below, 1 - soft) + spread
    alpha = _outlined(layer, colour, alpha)
    return _times(below, 1 - alpha) + _times(colour, alpha)


def _hidden(layer: _Layer) -> Bool:
    """(h, w) where the layer continues under nearer ones.

    That is where the nearer one is the same surface, which leads away; and else where most of
    what is about is the layer's, so that nothing sticks out from behind a thin rail.
    """
    side = (2 * layer.reach + 1, 2 * layer.reach + 1)
    like, seen = (
        cv2.boxFilter(mask.astype(np.float32), -1, side, normalize=False)
        for mask in (layer.own, layer.level >= 0)
    )
    of_it = np.zeros(int(layer.surface.max()) + 1, np.uint8)
    of_it[layer.surface[layer.own]] = 1
    of_it[0] = 0
    same = cv2.dilate(of_it[layer.surface], _BOX) > 0
    return np.asarray((layer.level < 0) & (same | (2 * like >= seen - 0.5)))


def _filled(layer: _Layer, own: Bool, wanted: Bool) -> F32:
    """(h, w, 3) the colours of `own` extended over the layer's reach where `wanted`.

    Pure pixels give them, the near ones first, and keep theirs; a mixed one keeps its own only
    where none is within reach, as of a twig, and what is out of reach has the picture's.
    """
    weight = np.where(own, np.where(layer.pure, np.float32(1), np.float32(_FEEBLE)), np.float32(0))
    lit = cv2.merge((_times(layer.light, weight), weight))
    colour, missing = layer.light.copy(), wanted & ~(own & layer.pure)
    for near in sorted({1, min(3, layer.reach), layer.reach}):
        at = np.nonzero(missing)
        if not len(at[0]):
            break
        sums = cv2.boxFilter(lit, -1, (2 * near + 1, 2 * near + 1))[at]
        found = sums[:, 3] > (0 if near == layer.reach else 2 * _FEEBLE)
        at = (at[0][found], at[1][found])
        colour[at] = sums[found, :3] / sums[found, 3:]
        missing[at] = False
    return colour


def _outlined(layer: _Layer, colour: F32, alpha: F32) -> F32:
    """(h, w) alpha of a sharp layer whose outline is as soft as the picture has it.

    Where only what is farther is beside it, a mixed pixel's alpha is its place between the two
    colours; where those are too alike to tell, and elsewhere, a small blur's.
    """
    soft = cv2.sepFilter2D(alpha, -1, _SOFT, _SOFT)
    edge = ~layer.pure & (cv2.erode(layer.level.astype(np.float32), _BOX) >= 0) & (soft > 0)
    behind = _filled(layer, layer.level > 0, edge)
    gap = colour[edge] - behind[edge]
    length = (gap * gap).sum(axis=1)
    share = ((layer.light[edge] - behind[edge]) * gap).sum(axis=1) / np.maximum(length, 1e-6)
    soft[edge] = np.where(length > _MIN_CONTRAST**2, np.clip(share, 0, 1), soft[edge])
    return np.asarray(soft, np.float32)


def _times(colour: F32, weight: Any) -> F32:
    """(h, w, 3) colours times (h, w)."""
    return np.asarray(cv2.multiply(colour, three(weight)), np.float32)
