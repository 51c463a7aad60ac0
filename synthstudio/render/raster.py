"""The exact rasteriser: which triangle is nearest at each pixel centre, and maps made of that.

One thread takes one triangle and writes `depth bits << 32 | triangle` with an atomic minimum:
the result does not depend on the order of threads, and of two triangles at one depth the lower
number wins. `fill.py` has the kernels, `reference.py` a slow twin that tests hold equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import warp as wp
from numpy.typing import NDArray

from synthstudio.core.camera import NEAR_M
from synthstudio.core.errors import GeometryError, explain
from synthstudio.core.scene import F32, I32, NO_PART, U8, Bool
from synthstudio.render.fill import Mesh, View, raster_kernel
from synthstudio.render.pack import REACH_PX, Packed, to_device, to_host
from synthstudio.render.vertices import normal_map_kernel

NOTHING = (0x7F800000 << 32) | 0xFFFFFFFF
"""The key of a pixel that nothing covers: depth inf, triangle -1."""
CUDA_BANDS = 32
"""On CUDA the rows of a large triangle are shared among this many threads."""


@dataclass(frozen=True, kw_only=True, eq=False)
class VisibilityBuffer:
    """The nearest triangle and its depth at every sample centre, (scale H, scale W)."""

    keys: wp.array[Any]  # (H, W) uint64: depth bits << 32 | triangle
    scale: int = 1

    @cached_property
    def _host(self) -> NDArray[np.uint32]:
        """Return (H, W, 2): triangle, depth bits. Warp's platforms are all little-endian."""
        keys = to_host(self.keys)
        return keys.view(np.uint32).reshape(*keys.shape, 2)

    @cached_property
    def triangle(self) -> I32:
        """Return (H, W) the place in Packed.faces, -1 where nothing is."""
        return self._host[..., 0].astype(np.int32)

    @cached_property
    def depth_m(self) -> F32:
        """Return (H, W) z in camera metres, inf where nothing is."""
        return np.ascontiguousarray(self._host[..., 1]).view(np.float32)


def rasterise(
    packed: Packed,
    *,
    scale: int = 1,
    only_instance: int | None = None,
    drawn_only: bool = True,
) -> VisibilityBuffer:
    """Return the nearest triangle at every sample centre of the frame.

    `scale` s gives (s H, s W) samples; geometry is snapped at scale 1, so it is the same at
    every scale. `only_instance` draws that instance alone. `drawn_only` False draws skin under
    clothes too. GeometryError when the scene's reach times `scale` leaves the exact range.
    """
    if packed.reach_px * scale >= REACH_PX:
        raise GeometryError(
            explain(
                "the scene reaches too far beyond the frame for this supersampling",
                where="render",
                expected=f"screen coordinates times {scale} below {REACH_PX} px",
                got=f"{packed.reach_px:.0f} px",
                then="Render at scale 1, or bring the mesh nearer to the frame.",
            )
        )
    camera = packed.scene.camera
    view = view_of(packed, only_instance, scale=scale)
    view.drawn_only = drawn_only
    return VisibilityBuffer(
        keys=_draw(packed, view, (camera.height_px * scale, camera.width_px * scale)), scale=scale
    )


def rasterise_projected(
    packed: Packed,
    *,
    points: wp.array[wp.vec3],
    snapped: wp.array[wp.vec2i],
    width_px: int,
    height_px: int,
) -> VisibilityBuffer:
    """Return the nearest drawn triangle of `packed` under another, orthographic projection.

    `points` (V,): only z is read, a depth above 0; `snapped` (V,): x, y in 1/256 px, below
    2^30. Depth is linear over a triangle, there is no near plane and both sides are drawn:
    what a shadow map wants. The caller keeps coordinates in range and depths positive.
    """
    view: Any = View()
    view.scale, view.perspective, view.drawn_only = 1, False, True
    mesh = mesh_of(packed)
    mesh.points, mesh.snapped = points, snapped
    return VisibilityBuffer(keys=_draw(packed, view, (height_px, width_px), mesh=mesh))


def instance_map(packed: Packed, buffer: VisibilityBuffer) -> I32:
    """Return (H, W) instance ids, 0 where nothing is."""
    return np.append(packed.host_instance, np.int32(0))[buffer.triangle]


def surface_map(packed: Packed, buffer: VisibilityBuffer) -> I32:
    """Return (H, W) places in Scene.surfaces, -1 where nothing is."""
    return np.append(packed.host_surface, np.int32(-1))[buffer.triangle]


def part_map(packed: Packed, buffer: VisibilityBuffer) -> U8:
    """Return (H, W) PARTS ids on bare skin, NO_PART elsewhere."""
    return np.append(packed.host_part, np.uint8(NO_PART))[buffer.triangle]


def normal_map(packed: Packed, buffer: VisibilityBuffer) -> F32:
    """Return (H, W, 3) unit normals in camera axes that face the camera; 0 where nothing is.

    Those of the light: smooth, or the face's own where the surface is flat.
    """
    height, width = buffer.keys.shape
    out = wp.zeros((height, width), dtype=wp.vec3, device=packed.device)
    flat = np.array([s.flat for s in packed.surfaces], np.bool_)[packed.host_surface]
    camera, s = packed.scene.camera, buffer.scale
    wp.launch(
        normal_map_kernel,
        dim=(height, width),
        inputs=[
            buffer.keys,
            packed.faces,
            packed.camera_m,
            packed.normals,
            to_device(flat, wp.bool, packed.device),
            wp.mat33(*camera.world_to_camera[:3, :3].ravel()),
            wp.vec3(camera.focal_px * s, camera.K[0, 2] * s, camera.K[1, 2] * s),
        ],
        outputs=[out],
        device=packed.device,
    )
    return to_host(out)


def amodal_mask(packed: Packed, instance: int) -> Bool:
    """Return (H, W) where the instance would be seen if it were alone."""
    return rasterise(packed, only_instance=instance).triangle >= 0


def mesh_of(packed: Packed) -> Any:
    """Return the fill.Mesh of a scene."""
    mesh: Any = Mesh()
    mesh.faces, mesh.points, mesh.snapped = packed.faces, packed.camera_m, packed.snapped
    mesh.instance, mesh.drawn, mesh.cull = packed.instance, packed.drawn, packed.cull
    return mesh


def view_of(packed: Packed, only_instance: int | None, *, scale: int) -> Any:
    """Return the fill.View of the scene's camera: drawn faces, of one instance or (None) all."""
    view: Any = View()
    k = packed.scene.camera.K
    view.focal, view.cx, view.cy, view.near = k[0, 0], k[0, 2], k[1, 2], NEAR_M
    view.scale, view.perspective, view.culling, view.drawn_only = scale, True, True, True
    view.only = only_instance or 0
    return view


def _draw(packed: Packed, view: Any, shape: tuple[int, int], *, mesh: Any = None) -> wp.array[Any]:
    """Return (H, W) keys of the faces that `view` lets through."""
    keys = wp.full(shape, NOTHING, dtype=wp.uint64, device=packed.device)
    first, last = packed.face_range(view.only) if view.only else (0, len(packed.host_faces))
    bands = 1 if packed.device == "cpu" else CUDA_BANDS
    wp.launch(
        raster_kernel,
        dim=(last - first, bands),
        inputs=[mesh or mesh_of(packed), view, first, bands],
        outputs=[keys],
        device=packed.device,
    )
    return keys
