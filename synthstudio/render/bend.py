"""The image of a camera with lens distortion, resampled from its pinhole image.

Everything is drawn, and occlusion decided, for `Camera.pinhole`: the rays are the same.
Here each pixel of the picture takes what the ray through its centre met: colours are averaged over
the pixel, in linear light; ids, depths and masks are those of the nearest sample, which lies at
most half a pixel off each way.
"""

import dataclasses
from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from synthstudio.core.arrays import F32, F64, U8, Array, Bool, Intp
from synthstudio.core.camera import NEAR_M, Camera, undistorted_scale
from synthstudio.core.images import linear_to_srgb_u8, srgb_to_linear
from synthstudio.core.masks import mask_edges
from synthstudio.core.scene import Rendering
from synthstudio.render import raster
from synthstudio.render.pack import Packed, near_crossings

_PARTS = 2
"""Colour samples per pixel, in each direction."""
_CUTS = 8
"""Rows of triangles into which a face on the border is subdivided."""


def bent(rendering: Rendering, camera: Camera) -> Rendering:
    """The picture (H, W) of `camera.pinhole`'s; itself without distortion."""
    if camera.distortion is None:
        return rendering
    at = _samples(_lens(camera))
    taken = {
        f.name: _taken(value, at)
        for f in dataclasses.fields(rendering)
        if f.name != "rgb" and (value := getattr(rendering, f.name)) is not None
    }
    return dataclasses.replace(rendering, rgb=_colours(rendering.rgb, camera), **taken)


def bent_map(values: F32, camera: Camera) -> F32:
    """(H, W) of what the pinhole's (h, w) has at the nearest sample."""
    return values if camera.distortion is None else _taken(values, _samples(_lens(camera)))


@dataclass(frozen=True, kw_only=True, eq=False)
class InPicture:
    """One instance drawn alone, in the camera's own picture."""

    mask: Bool  # (H, W)
    depth_m: F32  # (n,) z in camera metres at the mask's pixels
    extent_px: tuple[int, int, int, int]  # x0, y0, x1, y1 on an endless canvas; zeros: nowhere
    outside_share: float  # of the camera-facing surface, outside the picture


def alone(packed: Packed, instance: int, camera: Camera) -> InPicture:
    """An instance alone; `packed` is of a scene before `camera.pinhole`."""
    own = raster.alone(packed, instance)
    if camera.distortion is None:
        return InPicture(
            mask=own.mask((camera.height_px, camera.width_px)),
            depth_m=own.depth_m,
            extent_px=raster.amodal_extent_px(packed, instance),
            outside_share=raster.outside_share(packed, instance),
        )
    pinhole = packed.scene.camera
    depth = np.full((pinhole.height_px, pinhole.width_px), np.inf, np.float32)
    depth[own.mask(depth.shape)] = own.depth_m
    seen = bent_map(depth, camera)
    mask = np.isfinite(seen)
    first, last = packed.face_range(instance)
    kept = (packed.host_instance[first:last] == instance) & packed.host_drawn[first:last]
    faces = packed.host_faces[first:last][kept]
    used = np.zeros(len(packed.host_camera_m), np.bool_)
    used[faces] = True
    points = packed.host_camera_m[used].astype(np.float64)
    px = camera.project(points)
    shown, extent, share = camera.shows(px), mask_edges(mask), 0.0
    if not shown.all():
        faces = (np.cumsum(used, dtype=np.int32) - 1)[faces]
        extent = _extent_px(px[points[:, 2] >= NEAR_M], points[faces], mask, camera)
        share = _outside_share(points[faces], shown[faces], camera)
    return InPicture(mask=mask, depth_m=seen[mask], extent_px=extent, outside_share=share)


def _extent_px(px: F64, corners: F64, mask: Bool, camera: Camera) -> tuple[int, int, int, int]:
    """The pixels of the mask and, where faces (F, 3, 3) leave the picture, of corners `px`."""
    found = [np.array(mask_edges(mask), float).reshape(2, 2)] if mask.any() else []
    px = np.concatenate([px, camera.project(near_crossings(corners))])
    if len(px) and not camera.shows(px).all():
        px = np.clip(px, -(2.0**22), 2.0**22)
        # Pixels whose centres lie between the least and the greatest corner.
        low, high = np.ceil(px.min(axis=0) - 0.5), np.floor(px.max(axis=0) - 0.5) + 1
        if (low < high).all():
            found.append(np.stack([low, high]))
    if not found:
        return 0, 0, 0, 0
    low, high = np.min(found, axis=0)[0], np.max(found, axis=0)[1]
    return int(low[0]), int(low[1]), int(high[0]), int(high[1])


def _outside_share(corners: F64, inside: Bool, camera: Camera) -> float:
    """`raster.outside_share` of faces (F, 3, 3): the border is bent, so faces on it are counted.

    Each is taken apart into 64 equal triangles, by whose middles it is judged.
    """
    middle = corners.sum(axis=1)
    away = np.linalg.norm(middle, axis=1)
    normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    towards = -np.einsum("fk,fk->f", normal, middle)
    weight = np.maximum(np.divide(towards, away, out=np.zeros_like(away), where=away > 0), 0.0)
    total = float(weight.sum())
    if total == 0.0:
        return 0.0
    outside: F64 = np.where(inside.any(axis=1), 0.0, 1.0)
    cut = np.flatnonzero(inside.any(axis=1) & ~inside.all(axis=1))
    parts = np.einsum("mk,fkx->fmx", _middles(), corners[cut])
    outside[cut] = 1.0 - camera.shows(camera.project(parts)).mean(1)
    return float(min((weight * outside).sum() / total, 1.0))


@lru_cache(maxsize=1)
def _middles() -> F64:
    """(64, 3) weights of the corners at the middles of a triangle's equal parts."""
    n, out = _CUTS, []
    for i in range(n):
        for j in range(n - i):
            out.append((i + 1 / 3, j + 1 / 3))
            if i + j < n - 1:
                out.append((i + 2 / 3, j + 2 / 3))
    u, v = np.array(out).T / n
    return np.stack([u, v, 1 - u - v], axis=1)


def _colours(rgb: U8, camera: Camera) -> U8:
    """(H, W, 3) sRGB of the pinhole's (h, w, 3), averaged over each pixel in linear light."""
    column, row = _finer(_lens(camera))
    fine = cv2.remap(
        srgb_to_linear(rgb), column, row, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    size = (camera.width_px, camera.height_px)
    return linear_to_srgb_u8(
        np.asarray(cv2.resize(fine, size, interpolation=cv2.INTER_AREA), np.float32)
    )


def _taken(values: Array, at: Intp) -> Array:
    """(H, W, ...) of the pinhole's (h, w, ...) at flat places (H, W)."""
    return values.reshape(-1, *values.shape[2:]).take(at, axis=0)


def _lens(camera: Camera) -> Camera:
    """The camera at one place: pixels' rays do not depend on its position."""
    return dataclasses.replace(
        camera, position_m=(0.0, 0.0, 0.0), yaw_rad=0.0, pitch_rad=0.0, roll_rad=0.0
    )


@lru_cache(maxsize=2)
def _samples(lens: Camera) -> Intp:
    """(H, W) flat place of the pinhole's pixel in which each pixel's centre lies."""
    column, row = (np.floor(v).astype(np.intp) for v in _places(lens, 1))
    row *= lens.pinhole.width_px
    row += column
    return row


@lru_cache(maxsize=2)
def _finer(lens: Camera) -> tuple[F32, F32]:
    """(n H, n W) column and row, pixel centres at whole numbers, of n x n places a pixel."""
    column, row = ((v - 0.5).astype(np.float32) for v in _places(lens, _PARTS))
    return column, row


def _places(lens: Camera, parts: int) -> tuple[F64, F64]:
    """(n H, n W) continuous x and y in the pinhole's picture."""
    assert lens.distortion is not None
    to = lens.pinhole.K
    x = ((np.arange(lens.width_px * parts) + 0.5) / parts - lens.K[0, 2]) / lens.focal_px
    y = ((np.arange(lens.height_px * parts) + 0.5) / parts - lens.K[1, 2]) / lens.focal_px
    if lens.centre_px is None:  # one of the mirrored quarters is enough
        square = (x * x)[None, : (len(x) + 1) // 2] + (y * y)[: (len(y) + 1) // 2, None]
        quarter = undistorted_scale(lens.distortion, square)
        half = np.concatenate([quarter, quarter[: len(y) // 2][::-1]])
        scale = np.concatenate([half, half[:, : len(x) // 2][:, ::-1]], axis=1)
    else:
        scale = undistorted_scale(lens.distortion, (x * x)[None, :] + (y * y)[:, None])
    column = scale * (x * to[0, 0])
    column += to[0, 2]
    scale *= (y * to[1, 1])[:, None]
    scale += to[1, 2]
    return column, scale
