"""From visibility to a picture: deferred shading in linear light, composed over the backdrop.

A pixel is shaded once, at its centre, unless its samples differ in surface, by more than 1 % in
depth or in normal; then each sample is shaded and averaged in linear light. Nothing here decides
a label.
"""

# mypy: disable-error-code="valid-type,no-any-return"

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import warp as wp
from numpy.typing import NDArray

from synthstudio.core.camera import NEAR_M
from synthstudio.core.scene import U8, Bool, F64, Rendering, Scene
from synthstudio.render import shadow
from synthstudio.render.materials import material_rows
from synthstudio.render.optics import (
    Eye, Lamps, Mesh, face_normal, floor_keeps, point_under, ray_to, shaded,
)
from synthstudio.render.pack import Packed, to_device
from synthstudio.render.patterns import Mat
from synthstudio.render.raster import VisibilityBuffer, instance_map, part_map, rasterise, surface_map
from synthstudio.render.shadow import depth_at

wp.set_module_options({"enable_backward": False, "fuse_fp": False})

LUT = 16384
_LAST = wp.constant(float(LUT - 1))
_CREASE = wp.constant(0.9)  # cosine between face normals above which a pixel is smooth
BARE, ONE, MIXED = wp.constant(0), wp.constant(1), wp.constant(2)
"""What a pixel's samples see: nothing, one smooth surface, several things."""


@wp.struct
class Sheet:
    """What is painted on: keys at `scale` samples a side of a pixel, and the tables."""

    keys: wp.array2d[wp.uint64]
    scale: int
    width: int
    linear: wp.array[wp.float32]  # (256,)
    encoded: wp.array[wp.uint8]  # (LUT,)
    rgb: wp.array2d[wp.uint8]  # (H W, 3)


def srgb_encoded(linear: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return sRGB in 0..1 of linear light in 0..1 (IEC 61966-2-1)."""
    linear = np.clip(np.asarray(linear, np.float64), 0.0, 1.0)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def srgb_decoded(encoded: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return linear light in 0..1 of sRGB in 0..1 (IEC 61966-2-1)."""
    encoded = np.asarray(encoded, np.float64)
    return np.where(encoded <= 0.04045, encoded / 12.92, ((encoded + 0.055) / 1.055) ** 2.4)


@lru_cache(maxsize=4)
def tables(device: str) -> tuple[wp.array[wp.float32], wp.array[wp.uint8]]:
    """Return (256,) linear light of each byte and (LUT,) the byte of evenly spaced linear light."""
    linear = srgb_decoded(np.arange(256) / 255).astype(np.float32)
    encoded = np.rint(srgb_encoded(np.arange(LUT) / (LUT - 1)) * 255).astype(np.uint8)
    return to_device(linear, wp.float32, device), to_device(encoded, wp.uint8, device)


def render(packed: Packed, scene: Scene, *, want: frozenset[str] = frozenset()) -> Rendering:
    """Draw a scene: sRGB over its backdrop, with depth, instance and part at pixel centres.

    `want` may name "normal" and "surface", which cost a little more. The picture is taken with
    `scene.supersample` squared samples a pixel; everything else from one sample at its centre.
    GeometryError when the scene leaves the rasteriser's range.
    """
    single = rasterise(packed)
    scale = scene.supersample
    fine = single if scale == 1 else rasterise(packed, scale=scale)
    return _rendering(packed, single, _painted(packed, fine), want)


def _painted(packed: Packed, fine: VisibilityBuffer) -> U8:
    """Return (H, W, 3) sRGB: the backdrop, shadows on it, then what is drawn."""
    camera, device = packed.scene.camera, packed.device
    kind = wp.empty(camera.height_px * camera.width_px, dtype=wp.uint8, device=device)
    thrown = shadow.casters(packed)
    mesh, eye, lamps = _mesh(packed), _eye(packed.scene), _lamps(packed, thrown)
    sheet = _sheet(packed, fine)
    wp.launch(
        _classify,
        dim=len(kind),
        inputs=[sheet.keys, sheet.scale, sheet.width, mesh.surface, mesh.faces, mesh.points],
        outputs=[kind],
        device=device,
    )
    host_kind = kind.numpy()
    if packed.scene.catches_shadow and thrown is not None:
        reach = shadow.floor_reach(thrown, lamps.contact, packed.scene.light)
        pixels = _shadow_pixels(packed.scene, reach, host_kind != ONE)
        _over(_catch, pixels, [eye, lamps, sheet], device)
    _over(_shade, np.flatnonzero(host_kind != BARE), [kind, mesh, eye, lamps, sheet], device)
    return sheet.rgb.numpy().reshape(camera.height_px, camera.width_px, 3)


def _over(kernel: Any, pixels: NDArray[np.intp], inputs: list[Any], device: str) -> None:
    places = to_device(pixels.astype(np.int32), wp.int32, device)
    wp.launch(kernel, dim=len(pixels), inputs=[places, *inputs], device=device)


def _rendering(
    packed: Packed, single: VisibilityBuffer, rgb: U8, want: frozenset[str]
) -> Rendering:
    normal = None
    if "normal" in want:
        normals = wp.zeros(rgb.shape[:2], dtype=wp.vec3, device=packed.device)
        wp.launch(
            _normals,
            dim=rgb.shape[:2],
            inputs=[single.keys, _mesh(packed), _eye(packed.scene)],
            outputs=[normals],
            device=packed.device,
        )
        normal = normals.numpy()
    return Rendering(
        rgb=rgb,
        depth_m=single.depth_m,
        instance=instance_map(packed, single),
        part=part_map(packed, single),
        normal=normal,
        surface=surface_map(packed, single) if "surface" in want else None,
    )


def _shadow_pixels(scene: Scene, reach: F64, open_pixels: Bool) -> NDArray[np.intp]:
    """Return those of (H W) `open_pixels` where a shadow can fall on the floor z = 0."""
    camera = scene.camera
    corners = camera.to_camera(reach)
    polygon = []
    for a, b in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        if a[2] >= NEAR_M:
            polygon.append(a)
        if (a[2] >= NEAR_M) != (b[2] >= NEAR_M):
            polygon.append(a + (b - a) * (NEAR_M - a[2]) / (b[2] - a[2]))
    if not polygon:
        return np.empty(0, np.intp)
    seen = camera.project(np.array(polygon) + [0.0, 0.0, 1e-6])
    size = np.array([camera.width_px, camera.height_px])
    x0, y0 = np.clip(np.floor(seen.min(axis=0)), 0, size).astype(int)
    x1, y1 = np.clip(np.ceil(seen.max(axis=0)), 0, size).astype(int)
    window = open_pixels.reshape(size[1], size[0])[y0:y1, x0:x1]
    rows, columns = np.nonzero(window)
    return (rows + y0) * size[0] + columns + x0


def _mesh(packed: Packed) -> Any:
    mesh = Mesh()
    mesh.faces, mesh.points = packed.faces, packed.camera_m
    mesh.normals, mesh.coords, mesh.tint = packed.normals, packed.coords, packed.tint
    mesh.surface, mesh.instance = packed.surface, packed.instance
    textures = packed.scene.textures
    places, start = [], 0
    for texture in textures:
        places.append((start, texture.shape[1], texture.shape[0]))
        start += texture.shape[0] * texture.shape[1]
    flat = [np.ascontiguousarray(t).view(np.uint32).ravel() for t in textures]
    texels = np.concatenate(flat) if flat else np.zeros(1, np.uint32)
    mesh.texels = to_device(texels, wp.uint32, packed.device)
    mesh.linear = tables(packed.device)[0]
    mesh.materials = to_device(material_rows(packed.surfaces, places), Mat, packed.device)
    return mesh


def _eye(scene: Scene) -> Any:
    eye = Eye()
    eye.focal = scene.camera.focal_px
    eye.cx, eye.cy = float(scene.camera.K[0, 2]), float(scene.camera.K[1, 2])
    eye.turn = wp.mat33(*scene.camera.world_to_camera[:3, :3].T.ravel().tolist())
    eye.place = wp.vec3(*scene.camera.position_m)
    return eye


def _lamps(packed: Packed, thrown: shadow.Casters | None) -> Any:
    light = packed.scene.light
    lamps = Lamps()
    lamps.sun = wp.vec3(*np.asarray(light.sun_direction, np.float64).tolist())
    lamps.sun_rgb = wp.vec3(*np.asarray(light.sun_rgb, np.float64).tolist())
    lamps.ambient = to_device(np.asarray(light.ambient_sh, np.float32), wp.vec3, packed.device)
    lamps.exposure = light.exposure
    lamps.shadow = shadow.sun_map(packed, thrown, light)
    lamps.contact = shadow.contact_map(packed, thrown)
    return lamps


def _sheet(packed: Packed, fine: VisibilityBuffer) -> Any:
    sheet = Sheet()
    sheet.keys, sheet.scale = fine.keys, fine.scale
    sheet.width = packed.scene.camera.width_px
    sheet.linear, sheet.encoded = tables(packed.device)
    backdrop = packed.scene.backdrop.reshape(-1, 3).copy()
    sheet.rgb = to_device(backdrop, wp.uint8, packed.device)
    return sheet


@wp.kernel
def _classify(
    keys: wp.array2d[wp.uint64],
    scale: int,
    width: int,
    surface: wp.array[wp.int32],
    faces: wp.array[wp.vec3i],
    points: wp.array[wp.vec3],
    kind: wp.array[wp.uint8],
):
    i = wp.tid()
    y0, x0 = i / width * scale, i % width * scale
    key = keys[y0, x0]
    first = wp.int32(key & wp.uint64(0xFFFFFFFF))
    near = depth_at(key)
    far = near
    out = wp.where(first < 0, BARE, ONE)
    for k in range(1, scale * scale):
        key = keys[y0 + k / scale, x0 + k % scale]
        other = wp.int32(key & wp.uint64(0xFFFFFFFF))
        if other != first and out != MIXED:
            if other < 0 or first < 0 or surface[other] != surface[first]:
                out = MIXED
            else:
                near, far = wp.min(near, depth_at(key)), wp.max(far, depth_at(key))
                a, b = face_normal(faces, points, first), face_normal(faces, points, other)
                if wp.dot(a, b) < _CREASE or far > near * 1.01:
                    out = MIXED
    kind[i] = wp.uint8(out)


@wp.func
def _behind(sheet: Sheet, i: int) -> wp.vec3:
    return wp.vec3(
        sheet.linear[int(sheet.rgb[i, 0])],
        sheet.linear[int(sheet.rgb[i, 1])],
        sheet.linear[int(sheet.rgb[i, 2])],
    )


@wp.func
def _write(sheet: Sheet, i: int, light: wp.vec3):
    for c in range(3):
        sheet.rgb[i, c] = sheet.encoded[int(wp.clamp(light[c], 0.0, 1.0) * _LAST + 0.5)]


@wp.kernel
def _catch(pixels: wp.array[wp.int32], eye: Eye, lamps: Lamps, sheet: Sheet):
    i = pixels[wp.tid()]
    row, column = i / sheet.width, i % sheet.width
    kept = floor_keeps(eye, lamps, ray_to(eye, float(column) + 0.5, float(row) + 0.5))
    if wp.min(kept) < 1.0:
        _write(sheet, i, wp.cw_mul(_behind(sheet, i), kept))


@wp.kernel
def _shade(
    pixels: wp.array[wp.int32],
    kind: wp.array[wp.uint8],
    mesh: Mesh,
    eye: Eye,
    lamps: Lamps,
    sheet: Sheet,
):
    i = pixels[wp.tid()]
    row, column = i / sheet.width, i % sheet.width
    scale = sheet.scale
    # A smooth pixel is one sample at its centre, on the triangle nearest to that.
    first, count, share = (scale * scale) / 2 + (scale / 2) * (1 - scale % 2), 1, 1.0
    if int(kind[i]) == MIXED:
        first, count, share = 0, scale * scale, 1.0 / float(scale * scale)
    light = wp.vec3(0.0, 0.0, 0.0)
    for k in range(first, first + count):
        y, x = row * scale + k / scale, column * scale + k % scale
        triangle = wp.int32(sheet.keys[y, x] & wp.uint64(0xFFFFFFFF))
        if triangle < 0:
            light += _behind(sheet, i) * share
        else:
            px = wp.where(count == 1, float(column) + 0.5, (float(x) + 0.5) / float(scale))
            py = wp.where(count == 1, float(row) + 0.5, (float(y) + 0.5) / float(scale))
            light += shaded(mesh, eye, lamps, triangle, ray_to(eye, px, py)) * share
    _write(sheet, i, light)


@wp.kernel
def _normals(
    keys: wp.array2d[wp.uint64], mesh: Mesh, eye: Eye, normals: wp.array2d[wp.vec3]
):
    i, j = wp.tid()
    triangle = wp.int32(keys[i, j] & wp.uint64(0xFFFFFFFF))
    if triangle >= 0:
        p = point_under(mesh, eye, triangle, ray_to(eye, float(j) + 0.5, float(i) + 0.5))
        normals[i, j] = wp.transpose(eye.turn) * p.normal
