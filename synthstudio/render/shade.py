"""From visibility to a picture: deferred shading in linear light, composed over the backdrop.

A pixel is shaded once, at its centre, unless its samples differ in surface, by more than 1 % in
depth or in normal; then each sample is shaded and averaged in linear light. Nothing here decides
a label.
"""

import dataclasses
from functools import lru_cache
from typing import Any, get_args

import numpy as np
import warp as wp

from synthstudio.core.arrays import F32, F64, U8, Intp
from synthstudio.core.camera import NEAR_M
from synthstudio.core.images import linear_to_srgb_u8, srgb_to_linear
from synthstudio.core.scene import Rendering, Scene, Surface, painted_backdrop
from synthstudio.core.spec import MaterialKind, Pattern
from synthstudio.render import raster, shadow
from synthstudio.render.kernels import occlusion, paint
from synthstudio.render.kernels.optics import Eye, Lamps, Mesh
from synthstudio.render.kernels.patterns import Mat
from synthstudio.render.kernels.shadow_values import shadow_kernel
from synthstudio.render.light import SH_CONSTANTS
from synthstudio.render.pack import Packed, near_crossings, to_device, to_host
from synthstudio.render.raster import VisibilityBuffer

KINDS = {kind: number for number, kind in enumerate(get_args(MaterialKind))}
PATTERNS = {pattern: number for number, pattern in enumerate(get_args(Pattern))}
"""Numbers in the kernels: they count on the order of the names."""


@lru_cache(maxsize=4)
def tables(device: str) -> tuple[wp.array[Any], wp.array[Any]]:
    """(256,) linear light of each byte and (LUT,) the byte of evenly spaced linear light."""
    linear = srgb_to_linear(np.arange(256, dtype=np.uint8))
    encoded = linear_to_srgb_u8(np.linspace(0.0, 1.0, paint.LUT))
    return to_device(linear, wp.float32, device), to_device(encoded, wp.uint8, device)


def render(packed: Packed, scene: Scene, *, want: frozenset[str] = frozenset()) -> Rendering:
    """Draw a scene: sRGB over its backdrop, with depth, instance and part at pixel centres.

    `want` may name "normal", "surface" and "shadow", which cost a little more. Picture and shadow
    are taken with `scene.supersample` squared samples a pixel; everything else from one sample
    at its centre.
    GeometryError when the scene leaves the rasteriser's range.
    """
    single = raster.rasterise(packed)
    scale = scene.supersample
    fine = single if scale == 1 else raster.rasterise(packed, scale=scale)
    rgb, lit = _painted(packed, fine, shadows="shadow" in want)
    return dataclasses.replace(rendering_of(packed, single, rgb, want), shadow=lit)


def _painted(packed: Packed, fine: VisibilityBuffer, *, shadows: bool) -> tuple[U8, F32 | None]:
    """(H, W, 3) sRGB: the backdrop, shadows on it, then what is drawn.

    With it (H, W, 2): the fractions of sun and sky that reach each pixel, if `shadows` is set.
    """
    camera, device = packed.scene.camera, packed.device
    kind: Any = wp.empty((camera.height_px, camera.width_px), dtype=wp.uint8, device=device)
    thrown = shadow.casters(packed)
    mesh, eye, lamps = _mesh(packed), _eye(packed.scene), _lamps(packed, thrown)
    sheet: Any = paint.Sheet()
    sheet.keys, sheet.scale, sheet.width = fine.keys, fine.scale, camera.width_px
    sheet.linear, sheet.encoded = tables(device)
    wp.launch(
        paint.classify_kernel,
        dim=(camera.height_px, -(-camera.width_px // paint.RUN)),
        inputs=[sheet.keys, sheet.scale, mesh],
        outputs=[kind],
        device=device,
    )
    host_kind = to_host(kind)
    backdrop = painted_backdrop(packed.scene, host_kind != paint.ONE).reshape(-1, 3)
    sheet.rgb = to_device(backdrop.copy(), wp.uint8, device)
    painted = host_kind != paint.BARE
    if packed.scene.window_px is not None:
        x0, y0, x1, y1 = packed.scene.window_px
        painted[:y0], painted[y1:], painted[:, :x0], painted[:, x1:] = False, False, False, False
    _dim(packed, sheet)
    if packed.scene.catches_shadow and thrown is not None:
        reach = shadow.floor_reach(thrown, lamps.contact, packed.scene.light)
        pixels = _shadow_pixels(packed.scene, reach, host_kind)
        _over(paint.catch_kernel, pixels, [eye, lamps, sheet], device)
    _over(
        paint.shade_kernel,
        np.flatnonzero(painted),
        [kind.flatten(), mesh, eye, lamps, sheet],
        device,
    )
    lit = _shadows(packed, kind, [mesh, eye, lamps, sheet]) if shadows else None
    return to_host(sheet.rgb).reshape(camera.height_px, camera.width_px, 3), lit


def _dim(packed: Packed, sheet: Any) -> None:
    """Compute each pixel's visible fraction of the sky, if the light needs it."""
    strength, camera, device = packed.scene.light.occlusion, packed.scene.camera, packed.device
    sheet.dimmed = int(strength > 0)
    size = (camera.height_px, camera.width_px) if sheet.dimmed else (1, 1)
    sheet.open = wp.empty(size, dtype=wp.float32, device=device)
    if not sheet.dimmed:
        return
    seen: Any = wp.empty(size, dtype=wp.vec2, device=device)
    x0, y0, x1, y1 = packed.scene.window_px or (0, 0, size[1], size[0])
    own: Any = wp.vec4i(x0, y0, x1, y1)
    # What is smoothed takes in neighbours of the window's pixels.
    x0, y0 = max(x0 - occlusion.SMOOTH, 0), max(y0 - occlusion.SMOOTH, 0)
    x1, y1 = min(x1 + occlusion.SMOOTH, size[1]), min(y1 + occlusion.SMOOTH, size[0])
    wide: Any = wp.vec4i(x0, y0, x1, y1)
    lens = wp.vec3(*(np.array([camera.focal_px, *camera.K[:2, 2]]) * sheet.scale))
    blocks: Any = wp.zeros([-(-n // occlusion.BLOCK) for n in size], dtype=wp.uint8, device=device)
    mesh = [packed.faces, packed.camera_m, lens, to_device(occlusion.spiral(), wp.vec2, device)]
    for kernel, inputs, window, outputs in (
        (occlusion.obscured_kernel, [sheet.keys, sheet.scale, *mesh], wide, [blocks, seen]),
        (occlusion.open_kernel, [seen, blocks, strength], own, [sheet.open]),
    ):
        wp.launch(
            kernel,
            dim=(window[3] - window[1], -(-(window[2] - window[0]) // paint.RUN)),
            inputs=[*inputs, window],
            outputs=outputs,
            device=device,
        )


def _shadows(packed: Packed, kind: Any, inputs: list[Any]) -> F32:
    shadow: Any = wp.empty(kind.shape, dtype=wp.vec2, device=packed.device)
    wp.launch(
        shadow_kernel,
        dim=kind.shape,
        inputs=[kind, int(packed.scene.catches_shadow), *inputs],
        outputs=[shadow],
        device=packed.device,
    )
    return to_host(shadow)


def _over(kernel: Any, pixels: Intp, inputs: list[Any], device: str) -> None:
    places = to_device(pixels.astype(np.int32), wp.int32, device)
    wp.launch(kernel, dim=-(-len(pixels) // paint.RUN), inputs=[places, *inputs], device=device)


def rendering_of(
    packed: Packed, single: VisibilityBuffer, rgb: U8, want: frozenset[str]
) -> Rendering:
    """A picture (H, W, 3) with the maps of `single`, one sample at each pixel centre."""
    return Rendering(
        rgb=rgb,
        depth_m=single.depth_m,
        instance=raster.instance_map(packed, single),
        part=raster.part_map(packed, single),
        normal=raster.normal_map(packed, single) if "normal" in want else None,
        surface=raster.surface_map(packed, single) if "surface" in want else None,
    )


def _shadow_pixels(scene: Scene, reach: F64, kind: U8) -> Intp:
    """The partly covered pixels where a shadow can fall on the floor z = 0."""
    camera = scene.camera
    corners = camera.to_camera(reach)
    polygon = np.concatenate([corners[corners[:, 2] >= NEAR_M], near_crossings(corners[None])])
    if not len(polygon):
        return np.empty(0, np.intp)
    seen = camera.project(polygon)
    size = np.array([camera.width_px, camera.height_px])
    x0, y0 = np.clip(np.floor(seen.min(axis=0)), 0, size).astype(int)
    x1, y1 = np.clip(np.ceil(seen.max(axis=0)), 0, size).astype(int)
    rows, columns = np.nonzero(kind[y0:y1, x0:x1] != paint.ONE)
    return np.asarray((rows + y0) * size[0] + columns + x0)


def _mesh(packed: Packed) -> Any:
    mesh: Any = Mesh()
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


def material_rows(surfaces: tuple[Surface, ...], texels: list[tuple[int, int, int]]) -> Any:
    """One `Mat` row a surface; `texels` holds (first, width, height) of each texture."""
    dtype = _mat_dtype()
    rows: Any = np.zeros(max(len(surfaces), 1), dtype=dtype)
    for at, surface in enumerate(surfaces):
        material = surface.material
        row: dict[str, Any] = {name: getattr(material, name, 0) for name in dtype.names or ()}
        row["kind"], row["pattern"] = KINDS[material.kind], PATTERNS[material.pattern]
        colours = (material.base_rgb, material.second_rgb, *material.more_rgb)
        for place, name in enumerate(("base", "second", "third", "fourth", "fifth")):
            row[name] = colours[place % len(colours)]
        row["per_m"] = 1.0 / max(material.scale_m, 1e-4)
        row["cosine"], row["sine"] = np.cos(material.angle_rad), np.sin(material.angle_rad)
        if 0 <= material.texture < len(texels):
            row["texel"], row["width"], row["height"] = texels[material.texture]
            row["relief"] = int(material.kind in ("texture", "skin") and material.bump > 0)
            row["height"] //= 1 + row["relief"]
        row["flat"], row["tinted"] = int(surface.flat), int(surface.tint is not None)
        row["framed"] = int(
            material.kind in ("cloth", "skin", "hair", "texture")
            or (material.kind == "matte" and (material.pattern != "plain" or material.bump > 0))
        )
        rows[at] = tuple(row.values())
    return rows


@lru_cache(maxsize=1)
def _mat_dtype() -> Any:
    layout: Any = Mat
    return np.dtype(layout.numpy_dtype())


def _eye(scene: Scene) -> Any:
    camera = scene.camera
    k, turn = camera.K, camera.world_to_camera[:3, :3].T
    eye: Any = Eye()
    eye.place, eye.per_m = wp.vec3(*camera.position_m), camera.focal_px
    eye.right, eye.down = wp.vec3(*(turn[:, 0] / k[0, 0])), wp.vec3(*(turn[:, 1] / k[1, 1]))
    eye.corner = wp.vec3(*(turn @ np.linalg.inv(k)[:, 2]))
    return eye


def _lamps(packed: Packed, thrown: shadow.Casters | None) -> Any:
    light = packed.scene.light
    lamps: Any = Lamps()
    lamps.sun = wp.vec3(*np.asarray(light.sun_direction, np.float64).tolist())
    lamps.sun_rgb = wp.vec3(*np.asarray(light.sun_rgb, np.float64).tolist())
    sh = np.asarray(light.ambient_sh, np.float64) * SH_CONSTANTS[:, None]
    lamps.ambient = to_device(sh.astype(np.float32), wp.vec3, packed.device)
    lamps.curved = int(np.any(sh[4:] != 0.0))
    lamps.flash_rgb = wp.vec3(*light.flash_rgb)
    lamps.flashes = int(any(light.flash_rgb))
    lamps.camera = wp.vec3(*packed.scene.camera.position_m)
    lamps.exposure = light.exposure
    lamps.shadow = shadow.sun_map(packed, thrown, light)
    lamps.contact = shadow.contact_map(packed, thrown)
    return lamps
