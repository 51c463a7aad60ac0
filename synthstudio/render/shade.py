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
from synthstudio.render.light import SH_CONSTANTS
from synthstudio.render.materials import material_rows
from synthstudio.render.optics import (
    Eye,
    Lamps,
    Mesh,
    floor_keeps,
    ray_to,
    shaded,
)
from synthstudio.render.pack import Packed, to_device, to_host
from synthstudio.render.patterns import Mat
from synthstudio.render.raster import (
    VisibilityBuffer,
    instance_map,
    normal_map,
    part_map,
    rasterise,
    surface_map,
)
from synthstudio.render.shadow import depth_at

wp.set_module_options({"enable_backward": False, "fuse_fp": False})

LUT = 16384
_LAST = wp.constant(float(LUT - 1))
RUN = wp.constant(32)
"""Pixels that one thread takes: what a kernel is handed is large and copied for each thread."""
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
    kind = wp.empty((camera.height_px, camera.width_px), dtype=wp.uint8, device=device)
    thrown = shadow.casters(packed)
    mesh, eye, lamps = _mesh(packed), _eye(packed.scene), _lamps(packed, thrown)
    sheet = _sheet(packed, fine)
    wp.launch(
        _classify,
        dim=(camera.height_px, -(-camera.width_px // RUN)),
        inputs=[sheet.keys, sheet.scale, mesh],
        outputs=[kind],
        device=device,
    )
    host_kind = to_host(kind)
    if packed.scene.catches_shadow and thrown is not None:
        reach = shadow.floor_reach(thrown, lamps.contact, packed.scene.light)
        pixels = _shadow_pixels(packed.scene, reach, host_kind)
        _over(_catch, pixels, [eye, lamps, sheet], device)
    _over(
        _shade, np.flatnonzero(host_kind != BARE), [kind.flatten(), mesh, eye, lamps, sheet], device
    )
    return to_host(sheet.rgb).reshape(camera.height_px, camera.width_px, 3)


def _over(kernel: Any, pixels: NDArray[np.intp], inputs: list[Any], device: str) -> None:
    places = to_device(pixels.astype(np.int32), wp.int32, device)
    wp.launch(kernel, dim=-(-len(pixels) // RUN), inputs=[places, *inputs], device=device)


def _rendering(
    packed: Packed, single: VisibilityBuffer, rgb: U8, want: frozenset[str]
) -> Rendering:
    return Rendering(
        rgb=rgb,
        depth_m=single.depth_m,
        instance=instance_map(packed, single),
        part=part_map(packed, single),
        normal=normal_map(packed, single) if "normal" in want else None,
        surface=surface_map(packed, single) if "surface" in want else None,
    )


def _shadow_pixels(scene: Scene, reach: F64, kind: U8) -> NDArray[np.intp]:
    """Return the pixels not wholly covered where a shadow can fall on the floor z = 0."""
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
    rows, columns = np.nonzero(kind[y0:y1, x0:x1] != ONE)
    return (rows + y0) * size[0] + columns + x0


def _mesh(packed: Packed) -> Any:
    mesh = Mesh()
    mesh.faces, mesh.world = packed.faces, packed.world_m
    mesh.normals, mesh.coords, mesh.tint = packed.normals, packed.coords, packed.tint
    mesh.surface = packed.surface
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
    camera = scene.camera
    k, turn = camera.K, camera.world_to_camera[:3, :3].T
    eye = Eye()
    eye.place, eye.per_m = wp.vec3(*camera.position_m), camera.focal_px
    eye.right, eye.down = wp.vec3(*(turn[:, 0] / k[0, 0])), wp.vec3(*(turn[:, 1] / k[1, 1]))
    eye.corner = wp.vec3(*(turn @ np.linalg.inv(k)[:, 2]))
    return eye


def _lamps(packed: Packed, thrown: shadow.Casters | None) -> Any:
    light = packed.scene.light
    lamps = Lamps()
    lamps.sun = wp.vec3(*np.asarray(light.sun_direction, np.float64).tolist())
    lamps.sun_rgb = wp.vec3(*np.asarray(light.sun_rgb, np.float64).tolist())
    sh = np.asarray(light.ambient_sh, np.float64) * SH_CONSTANTS[:, None]
    lamps.ambient = to_device(sh.astype(np.float32), wp.vec3, packed.device)
    lamps.curved = int(np.any(sh[4:] != 0.0))
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


@wp.func
def _face(key: wp.uint64) -> int:
    return wp.int32(key & wp.uint64(0xFFFFFFFF))


@wp.func
def _crease(keys: wp.array2d[wp.uint64], place: wp.vec2i, scale: int, mesh: Mesh) -> int:
    # Whether the samples of a pixel, not all on one triangle, need shading one by one.
    key = keys[place[0], place[1]]
    first = _face(key)
    if first < 0:
        return MIXED
    near, far = depth_at(key), depth_at(key)
    seen, surface = first, mesh.surface[first]
    normal = _normal(mesh, first)
    for y in range(scale):
        for x in range(scale):
            key = keys[place[0] + y, place[1] + x]
            other = _face(key)
            if other != seen and other != first:
                if other < 0:
                    return MIXED
                if mesh.surface[other] != surface or wp.dot(_normal(mesh, other), normal) < _CREASE:
                    return MIXED
                near, far = wp.min(near, depth_at(key)), wp.max(far, depth_at(key))
                seen = other
    return wp.where(far > near * 1.01, MIXED, ONE)


@wp.func
def _normal(mesh: Mesh, triangle: int) -> wp.vec3:
    f = mesh.faces[triangle]
    a = mesh.world[f[0]]
    return wp.normalize(wp.cross(mesh.world[f[1]] - a, mesh.world[f[2]] - a))


@wp.kernel
def _classify(keys: wp.array2d[wp.uint64], scale: int, mesh: Mesh, kind: wp.array2d[wp.uint8]):
    row, part = wp.tid()
    for column in range(part * RUN, wp.min((part + 1) * RUN, kind.shape[1])):
        y0, x0 = row * scale, column * scale
        first = _face(keys[y0, x0])
        same = int(1)
        if scale == 2:
            a, b, c = keys[y0, x0 + 1], keys[y0 + 1, x0], keys[y0 + 1, x0 + 1]
            if _face(a) != first or _face(b) != first or _face(c) != first:
                same = 0
        else:
            for y in range(scale):
                for x in range(scale):
                    if _face(keys[y0 + y, x0 + x]) != first:
                        same = 0
        out = wp.where(first < 0, BARE, ONE)
        if same == 0:
            out = _crease(keys, wp.vec2i(y0, x0), scale, mesh)
        kind[row, column] = wp.uint8(out)


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
    start = wp.tid() * RUN
    for k in range(start, wp.min(start + RUN, pixels.shape[0])):
        i = pixels[k]
        x, y = float(i % sheet.width) + 0.5, float(i / sheet.width) + 0.5
        kept = floor_keeps(eye, lamps, ray_to(eye, x, y))
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
    start = wp.tid() * RUN
    scale = sheet.scale
    for n in range(start, wp.min(start + RUN, pixels.shape[0])):
        i = pixels[n]
        row, column = i / sheet.width, i % sheet.width
        # A smooth pixel is one sample at its centre, on the triangle nearest to that.
        y0, x0, side, step = row * scale + scale / 2, column * scale + scale / 2, 1, 1.0
        if int(kind[i]) == MIXED:
            y0, x0, side, step = row * scale, column * scale, scale, 1.0 / float(scale)
        light = wp.vec3(0.0, 0.0, 0.0)
        for y in range(side):
            for x in range(side):
                triangle = _face(sheet.keys[y0 + y, x0 + x])
                if triangle < 0:
                    light += _behind(sheet, i)
                else:
                    ray = ray_to(
                        eye,
                        float(column) + (float(x) + 0.5) * step,
                        float(row) + (float(y) + 0.5) * step,
                    )
                    light += shaded(mesh, eye, lamps, triangle, ray)
        _write(sheet, i, light * (step * step))
