"""Cut-outs over a rendering: depth-ordered, in linear light, with soft edges."""

from copy import deepcopy
from typing import Any

import cv2
import numpy as np

from synthstudio.core.arrays import F32, U8, Array
from synthstudio.core.images import linear_to_srgb_u8, srgb_to_linear
from synthstudio.core.scene import NO_PART, CutoutLayer, Rendering, Shadow

OPAQUE = 0.5
"""From this alpha on a cut-out determines the pixel's ids, parts and depth."""
SOLID = 0.9999
"""Above this alpha, surfaces behind change no grey level."""
LIT = 0.995
"""From this transmitted light on there is no shadow."""
_ON_FLOOR = 0.01
"""Of its depth, how far a surface may be from the floor to receive its shadow."""
_DROP_BLUR = 0.012
"""Blur of what a drop on the lens shows, as a share of the frame's height."""


def over(rendering: Rendering, layers: tuple[CutoutLayer, ...]) -> Rendering:
    """The rendering with the layers laid over it, the farthest first.

    Among layers of the same depth the later one lies on top. Where the rendering is nearer
    than a layer it stays in front (a layer of depth 0 is in front of everything). A layer's
    shadow falls on the backdrop and the floor. Light is mixed by alpha in linear light (Porter
    and Duff 1984); `instance`, `depth_m`, `part`, `normal` and `surface` take the layer where
    its alpha is 0.5 or more.
    """
    if not layers:
        return rendering
    out = deepcopy(rendering)
    for layer in sorted(layers, key=lambda layer: -layer.depth_m if layer.depth_m else 0.0):
        if layer.shadow is not None:
            _shade(out, layer.shadow, rendering)
        _lay(out, layer, rendering.depth_m)
    return out


def _shade(out: Rendering, shadow: Shadow, rendering: Rendering) -> None:
    """Let a shadow fall on `out` where that shows the backdrop or the floor."""
    box = window(shadow.left_px, shadow.top_px, shadow.light)
    depth, floor = rendering.depth_m[box], shadow.floor_depth_m
    assert floor is not None  # of a cut-out that stands
    hit = np.isinf(depth) | (np.abs(depth - floor) < _ON_FLOOR * floor)
    hit &= out.instance[box] == rendering.instance[box]  # not on farther layers
    light = np.where(hit, shadow.light, np.float32(1))
    darken(out.rgb[box], light)
    if out.shadow is not None:
        out.shadow[box] *= light[..., None]


def window(left: int, top: int, part: Array) -> tuple[slice, slice]:
    """Rows and columns of a picture that `part` (h, w) covers."""
    return slice(top, top + part.shape[0]), slice(left, left + part.shape[1])


def three(plane: Array) -> Any:
    """A plane (h, w) as three alike (h, w, 3): NumPy is slow along an axis of three."""
    return cv2.merge((plane, plane, plane))


def darken(rgb: U8, light: F32) -> None:
    """Let the share `light` (h, w) of the light of colours (h, w, 3) through, in place."""
    dark = light < LIT
    rgb[dark] = linear_to_srgb_u8(srgb_to_linear(rgb[dark]) * light[dark][:, None])


def _lay(out: Rendering, layer: CutoutLayer, depth_m: F32) -> None:
    """Lay one layer over the arrays of `out`, where it is before the rendering's depth (H, W)."""
    box = window(layer.left_px, layer.top_px, layer.alpha)
    alpha = layer.alpha_before(layer.alpha, depth_m[box])
    alpha = np.where(layer.depth_m <= depth_m[box], alpha, np.float32(0))
    mix(out.rgb[box], layer.rgb if layer.seen_px is None else _seen(out.rgb, layer), alpha)
    owned = alpha >= OPAQUE
    out.instance[box][owned] = layer.instance
    out.depth_m[box][owned] = layer.depth_m
    out.part[box][owned] = NO_PART
    if out.normal is not None:
        out.normal[box][owned] = (0, 0, -1)
    if out.surface is not None:
        out.surface[box][owned] = -1


def _seen(rgb: U8, layer: CutoutLayer) -> U8:
    """(h, w, 3) what drops show of the picture, tinted."""
    smooth = cv2.GaussianBlur(rgb, (0, 0), _DROP_BLUR * len(rgb))
    x, y = cv2.split(np.asarray(layer.seen_px, np.float32) - np.float32(0.5))
    shown = cv2.remap(smooth, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(shown * (layer.rgb / np.float32(255)), np.uint8)


def mix(below: U8, above: U8, alpha: F32) -> None:
    """Lay colours (h, w, 3) with alpha (h, w) over those of `below`, in place."""
    full = alpha > SOLID
    np.copyto(below, above, where=full[..., None])
    touched = np.nonzero((alpha > 0) & ~full)
    weight = np.repeat(alpha[touched], 3).reshape(-1, 3)  # NumPy is slow along an axis of three
    light = srgb_to_linear(above[touched]) * weight + srgb_to_linear(below[touched]) * (1 - weight)
    below[touched] = linear_to_srgb_u8(light)
