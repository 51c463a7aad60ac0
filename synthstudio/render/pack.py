"""A scene as a few flat arrays on one device: the input of every kernel.

Camera and screen coordinates are computed here, always on the CPU and in float64, so that a
CPU and a GPU start from equal numbers. Screen coordinates are snapped to 1/256 px.
"""

from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import warp as wp

from synthstudio.core.arrays import F32, F64, I32, I64, U8, Array, Bool
from synthstudio.core.camera import NEAR_M, Camera
from synthstudio.core.errors import GeometryError
from synthstudio.core.scene import NO_PART, Scene, Surface
from synthstudio.render import runtime
from synthstudio.render.kernels.vertices import add_normals_kernel, normalise_kernel, project_kernel

SUBPIXELS = 256
REACH_PX = 2**22
"""Screen coordinates stay below this, or the edge functions would overflow 64 bits."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Packed:
    """All surfaces of a scene, one after another. S surfaces; V, F over the whole scene.

    A name without a suffix is a Warp array on `device`; `host_` names NumPy arrays (on the CPU
    the same memory). Screen x, y of a vertex before the near plane are 0 and mean nothing.
    """

    scene: Scene
    device: str
    faces: wp.array[wp.vec3i]  # (F,)
    camera_m: wp.array[wp.vec3]  # (V,)
    snapped: wp.array[wp.vec2i]  # (V,) screen x, y in 1/256 px
    surface: wp.array[wp.int32]  # (F,) place in scene.surfaces
    instance: wp.array[wp.int32]  # (F,)
    covers: wp.array[wp.uint32]  # (F,)
    drawn: wp.array[wp.bool]  # (F,)
    cull: wp.array[wp.bool]  # (F,) back faces are left out
    host_world_m: F32  # (V, 3)
    host_faces: I32  # (F, 3)
    host_camera_m: F32  # (V, 3)
    host_snapped: I32  # (V, 2)
    host_surface: I32  # (F,)
    host_instance: I32  # (F,)
    host_part: U8  # (F,)
    host_drawn: Bool  # (F,)
    vertex_start: I64  # (S + 1,) first vertex of each surface
    face_start: I64  # (S + 1,) first face of each surface
    reach_px: float  # the largest |screen coordinate| after near clipping
    alone: dict[int, Any] = field(default_factory=dict)  # instance -> raster.AmodalRender

    @property
    def surfaces(self) -> tuple[Surface, ...]:
        """The scene's surfaces; `surface` holds places in this."""
        return self.scene.surfaces

    @cached_property
    def world_m(self) -> wp.array[wp.vec3]:
        """(V,) world positions on the device."""
        return to_device(self.host_world_m, wp.vec3, self.device)

    @cached_property
    def coords(self) -> wp.array[wp.vec3]:
        """(V,) texture coordinates on the device."""
        return self._per_vertex([s.coords for s in self.surfaces])

    @cached_property
    def tint(self) -> wp.array[wp.vec3]:
        """(V,) linear RGB factors on the device; ones where a surface has none."""
        return self._per_vertex(
            [np.ones_like(s.vertices_m) if s.tint is None else s.tint for s in self.surfaces]
        )

    @cached_property
    def normals(self) -> wp.array[wp.vec3]:
        """(V,) unit world normals: the surface's own, else smooth ones.

        Smooth: the sum of the area-weighted normals of a vertex's faces, in the order of faces
        (on the CPU a kernel runs in that order), so equal on every device. A vertex without
        faces, or whose faces cancel, gets zero.
        """
        missing = [s.normals is None for s in self.surfaces]
        out = _smooth_normals(self, missing) if any(missing) else np.empty_like(self.host_world_m)
        for k, s in enumerate(self.surfaces):
            if s.normals is not None:
                out[self.vertex_start[k] : self.vertex_start[k + 1]] = s.normals
        return to_device(out, wp.vec3, self.device)

    def face_range(self, instance: int) -> tuple[int, int]:
        """The least range of faces that holds all of `instance`'s; (0, 0) when none."""
        own = [k for k, s in enumerate(self.surfaces) if s.instance == instance]
        if not own:
            return 0, 0
        return int(self.face_start[own[0]]), int(self.face_start[own[-1] + 1])

    def screen_box(self, instance: int) -> I32 | None:
        """(2, 2) least and greatest screen x, y of the instance's vertices, in 1/256 px.

        None when it has none, or one before the near plane.
        """
        own = [k for k, s in enumerate(self.surfaces) if s.instance == instance]
        if not own:
            return None
        span = slice(self.vertex_start[own[0]], self.vertex_start[own[-1] + 1])
        if float(self.host_camera_m[span, 2].min()) < NEAR_M:
            return None
        x, y = self.host_snapped[span].T
        return np.array([[x.min(), y.min()], [x.max(), y.max()]])

    def _per_vertex(self, arrays: list[F32]) -> wp.array[wp.vec3]:
        return to_device(_joined(arrays, np.float32, (0, 3)), wp.vec3, self.device)


def pack(scene: Scene, *, device: str = "cpu") -> Packed:
    """Put a scene on a device ("cpu" or "cuda:0").

    GeometryError, naming the surface, when it is empty, not finite, has a face that points at
    no vertex, or reaches beyond 2^22 px on the screen; DeviceError without that device.
    """
    runtime.init(device)
    surfaces = scene.surfaces
    for s in surfaces:
        _check_faces(s)
    vertex_start = np.cumsum([0] + [len(s.vertices_m) for s in surfaces])
    face_start = np.cumsum([0] + [len(s.faces) for s in surfaces])
    counts = np.diff(face_start)
    faces = np.empty((face_start[-1], 3), np.int32)
    for s, vertex, face in zip(surfaces, vertex_start, face_start, strict=False):
        np.add(s.faces, np.int32(vertex), out=faces[face : face + len(s.faces)])
    world = _joined([s.vertices_m for s in surfaces], np.float32, (0, 3))
    camera, snapped = _project(scene.camera, world)
    _check_finite(surfaces, vertex_start, camera)
    behind = camera[:, 2].astype(np.float64) < NEAR_M
    reach_px = _check_reach(surfaces, vertex_start, snapped)
    crosses = [bool(behind[a:b].any()) for a, b in pairwise(vertex_start)]
    for k in np.flatnonzero(crosses):
        own = camera[faces[face_start[k] : face_start[k + 1]]].astype(np.float64)
        lens = scene.camera.K
        crossing = (near_crossings(own)[:, :2] * (lens[0, 0] / NEAR_M) + lens[:2, 2]) * SUBPIXELS
        start = np.array([0, len(crossing)])
        reach_px = max(reach_px, _check_reach(surfaces[k : k + 1], start, crossing))
    surface = np.repeat(np.arange(len(surfaces), dtype=np.int32), counts)
    instance = np.repeat(np.array([s.instance for s in surfaces], np.int32), counts)
    part = _per_face(surfaces, "part", np.uint8, NO_PART)
    drawn = _per_face(surfaces, "drawn", np.bool_, True)
    covers = _per_face(surfaces, "covers", np.uint32, 0)
    culled = [_culled(s, c) for s, c in zip(surfaces, crosses, strict=True)]
    return Packed(
        scene=scene,
        device=device,
        faces=to_device(faces, wp.vec3i, device),
        camera_m=to_device(camera, wp.vec3, device),
        snapped=to_device(snapped, wp.vec2i, device),
        surface=to_device(surface, wp.int32, device),
        instance=to_device(instance, wp.int32, device),
        covers=to_device(covers, wp.uint32, device),
        drawn=to_device(drawn, wp.bool, device),
        cull=to_device(np.repeat(np.array(culled, np.bool_), counts), wp.bool, device),
        host_world_m=world,
        host_faces=faces,
        host_camera_m=camera,
        host_snapped=snapped,
        host_surface=surface,
        host_instance=instance,
        host_part=part,
        host_drawn=drawn,
        vertex_start=vertex_start,
        face_start=face_start,
        reach_px=reach_px,
    )


def to_device(values: Array, dtype: Any, device: str) -> wp.array[Any]:
    """`values` as a Warp array of `dtype`; on the CPU it shares their memory."""
    return wp.array(np.ascontiguousarray(values), dtype=dtype, device=device, copy=False)


def to_host(array: Any) -> Array:
    """A Warp array as NumPy's; on the CPU it shares its memory."""
    return np.asarray(array.numpy())


def _project(camera: Camera, world_m: F32) -> tuple[F32, I32]:
    """Camera-space (V, 3) and snapped screen (V, 2) coordinates, in a CPU kernel."""
    camera_m, snapped = np.empty_like(world_m), np.zeros((len(world_m), 2), np.int32)
    m, k = camera.world_to_camera, camera.K
    wp.launch(
        project_kernel,
        dim=len(world_m),
        inputs=[
            to_device(world_m, wp.vec3, "cpu"),
            wp.mat33d(*m[:3, :3].ravel()),
            wp.vec3d(*m[:3, 3]),
            k[0, 0],
            wp.vec2d(k[0, 2], k[1, 2]),
            NEAR_M,
        ],
        outputs=[to_device(camera_m, wp.vec3, "cpu"), to_device(snapped, wp.vec2i, "cpu")],
        device="cpu",
    )
    return camera_m, snapped


def _smooth_normals(packed: Packed, wanted: list[bool]) -> F32:
    """(V, 3) smooth unit normals of the surfaces `wanted` (S), zeros elsewhere."""
    out = np.zeros_like(packed.host_world_m)
    normals = to_device(out, wp.vec3, "cpu")
    inputs = [
        to_device(packed.host_world_m, wp.vec3, "cpu"),
        to_device(packed.host_faces, wp.vec3i, "cpu"),
        to_device(packed.host_surface, wp.int32, "cpu"),
        to_device(np.array(wanted, np.bool_), wp.bool, "cpu"),
    ]
    wp.launch(
        add_normals_kernel,
        dim=len(packed.host_faces),
        inputs=inputs,
        outputs=[normals],
        device="cpu",
    )
    wp.launch(normalise_kernel, dim=len(out), inputs=[normals], device="cpu")
    return out


def _culled(surface: Surface, crosses: bool) -> bool:
    """Whether back faces of a surface may be culled: only where they are invisible.

    The camera may be inside a surface that crosses the near plane, and undrawn faces leave
    holes through which the far side shows.
    """
    whole = surface.drawn is None or bool(surface.drawn.all())
    return whole and not surface.two_sided and not crosses


def near_crossings(corners: F64) -> F64:
    """(n, 3) where edges of polygons (F, K, 3) in camera metres meet the near plane."""
    a, b = corners.reshape(-1, 3), np.roll(corners, -1, axis=1).reshape(-1, 3)
    crossing = (a[:, 2] >= NEAR_M) != (b[:, 2] >= NEAR_M)
    a, b = a[crossing], b[crossing]
    t = (NEAR_M - a[:, 2:]) / (b[:, 2:] - a[:, 2:])
    met: F64 = np.asarray(a + t * (b - a))
    met[:, 2] = NEAR_M
    return met


def _check_faces(s: Surface) -> None:
    if len(s.faces) == 0:
        raise _bad(s, "the mesh is empty", expected="at least one face")
    # As unsigned numbers negative ones are large, so one pass finds both ends.
    if s.faces.view(np.uint32).max() >= len(s.vertices_m):
        raise _bad(
            s,
            "a face points at no vertex",
            expected=f"indices from 0 to {len(s.vertices_m) - 1}",
            got=f"{s.faces.min()} to {s.faces.max()}",
        )


def _check_finite(surfaces: tuple[Surface, ...], start: I64, camera_m: F32) -> None:
    if not np.isfinite(camera_m).all():
        first = int(np.argmin(np.isfinite(camera_m).all(axis=1)))
        raise _bad(
            surfaces[int(np.searchsorted(start, first, side="right")) - 1],
            "a vertex has no finite place before the camera",
            expected="finite coordinates in metres",
        )


def _check_reach(surfaces: tuple[Surface, ...], start: I64, screen: Array) -> float:
    """The greatest |screen coordinate| in px, or raise.

    `screen` holds coordinates in 1/256 px, a row for each vertex or face.
    """
    worst = float(max(screen.max(initial=0), -screen.min(initial=0))) / SUBPIXELS
    if worst >= REACH_PX:
        first = int(np.argmax(np.abs(screen).reshape(len(screen), -1).max(axis=1)))
        raise _bad(
            surfaces[int(np.searchsorted(start, first, side="right")) - 1],
            "the mesh reaches too far beyond the frame to be drawn exactly",
            expected=f"screen coordinates below {REACH_PX} px",
            got=f"{worst:.0f} px or more",
        )
    return worst


def _bad(s: Surface, what: str, *, expected: str, got: str | None = None) -> GeometryError:
    where = f"surface {s.name!r} of instance {s.instance}"
    return GeometryError(
        what, where=where, expected=expected, got=got, then="Mend, scale or move it."
    )


def _joined(arrays: list[Array], dtype: Any, empty: tuple[int, ...]) -> Array:
    return np.concatenate([np.zeros(empty, dtype), *arrays], dtype=dtype, casting="same_kind")


def _per_face(surfaces: tuple[Surface, ...], name: str, dtype: Any, default: int) -> Array:
    given = [getattr(s, name) for s in surfaces]
    filled = [
        np.full(len(s.faces), default, dtype) if values is None else values
        for s, values in zip(surfaces, given, strict=True)
    ]
    return _joined(filled, dtype, (0,))
