"""Occluders of points by ray casting: the second oracle, for the audit and tests.

It follows the rules at the top of `points.py` by other means: no projection, no rasteriser and
none of their data, but a bounding volume hierarchy over the scene's own surfaces in world space
and one ray a point, which steps from hit to hit until it meets a blocker or the point.
"""

# mypy: disable-error-code="index,operator,no-untyped-def,attr-defined,no-untyped-call"
# (Warp compiles the kernel from its source; its types are not Python's.)

from typing import Any

import numpy as np
import warp as wp

from synthstudio.core.arrays import F32, F64, I32, U8, U32
from synthstudio.core.camera import NEAR_M
from synthstudio.core.scene import Scene
from synthstudio.core.visibility import SELF_TOLERANCE_M
from synthstudio.render import runtime
from synthstudio.render.points import Blockers

wp.set_module_options({"enable_backward": False, "fuse_fp": False})

STEP = 2.0e-6
"""A ray goes on this far behind a hit that does not count: a few float32 steps, metres a metre."""


@wp.struct
class Targets:
    """The points that rays go to, with the camera at the origin."""

    place: wp.array[wp.vec3]
    owner: wp.array[wp.int32]
    bit: wp.array[wp.uint32]  # of the part under the point


@wp.kernel
def cast_kernel(
    mesh: wp.uint64,
    forward: wp.vec3,
    targets: Targets,
    instance: wp.array[wp.int32],
    covers: wp.array[wp.uint32],
    limits: wp.vec2,  # near, self tolerance
    found: wp.array[wp.int32],
    depth: wp.array[wp.float32],
):
    """Cast a ray from the origin to each point; write the first face that counts."""
    i = wp.tid()
    distance = wp.length(targets.place[i])
    direction = targets.place[i] / distance
    slope = wp.dot(direction, forward)
    t = limits[0] / slope
    while t < distance:
        query = wp.mesh_query_ray(mesh, t * direction, direction, distance - t)
        if not query.result:
            return
        t += query.t
        z = t * slope
        own = instance[query.face] == targets.owner[i]
        covered = own and (covers[query.face] & targets.bit[i]) != wp.uint32(0)
        limit = distance * slope - wp.where(own, limits[1], 0.0)
        if z < limit and not covered:
            found[i] = instance[query.face]
            depth[i] = z
            return
        t += wp.static(STEP) * wp.max(t, 1.0)


def nearest_blockers_by_rays(
    scene: Scene,
    points_m: F64,  # (Q, 3) world
    owner: I32,  # (Q,) instance of the person each point belongs to
    part: U8,  # (Q,) the body part each point lies on
) -> Blockers:
    """The blocker of each point, as `points.nearest_blockers`.

    Everything is moved so that the camera is the origin, in float64, before it becomes float32.
    """
    runtime.init("cpu")
    pose = scene.camera.world_to_camera
    eye, forward = -pose[:3, :3].T @ pose[:3, 3], pose[2, :3]
    rays = np.asarray(points_m, np.float64) - eye
    selected = rays @ forward >= NEAR_M
    instance = np.zeros(len(rays), np.int32)
    depth_m = np.full(len(rays), np.inf, np.float32)
    if not selected.any() or not scene.surfaces:
        return Blockers(instance=instance, depth_m=depth_m)
    vertices, faces, face_instance, face_covers = _gathered(scene, eye)
    mesh = wp.Mesh(
        points=wp.array(vertices, dtype=wp.vec3),
        indices=wp.array(faces, dtype=wp.int32),
    )
    # NO_PART, or any part beyond 31, is covered by nothing.
    bits = np.where(part < 32, np.left_shift(1, part.astype(np.int64) % 32), 0)[selected]
    targets: Any = Targets()
    targets.place = wp.array(rays[selected].astype(np.float32), dtype=wp.vec3)
    targets.owner = wp.array(np.asarray(owner)[selected], dtype=wp.int32)
    targets.bit = wp.array(bits.astype(np.uint32), dtype=wp.uint32)
    found = wp.zeros(len(bits), dtype=wp.int32)
    depth = wp.full(len(bits), np.inf, dtype=wp.float32)
    wp.launch(
        cast_kernel,
        dim=len(bits),
        inputs=[
            mesh.id,
            wp.vec3(*forward),
            targets,
            wp.array(face_instance, dtype=wp.int32),
            wp.array(face_covers, dtype=wp.uint32),
            wp.vec2(NEAR_M, SELF_TOLERANCE_M),
        ],
        outputs=[found, depth],
    )
    instance[selected], depth_m[selected] = found.numpy(), depth.numpy()
    return Blockers(instance=instance, depth_m=depth_m)


def _gathered(scene: Scene, eye: F64) -> tuple[F32, I32, I32, U32]:
    """Vertices relative to the eye (V, 3), corners (3 F,), instance and covers (F,)."""
    vertices, corners, instances, covers = [], [], [], []
    before = 0
    for s in scene.surfaces:
        vertices.append((s.vertices_m.astype(np.float64) - eye).astype(np.float32))
        corners.append(s.faces.ravel() + before)
        instances.append(np.full(len(s.faces), s.instance, np.int32))
        covers.append(np.zeros(len(s.faces), np.uint32) if s.covers is None else s.covers)
        before += len(s.vertices_m)
    every_vertex, every_corner = np.concatenate(vertices), np.concatenate(corners)
    return every_vertex, every_corner, np.concatenate(instances), np.concatenate(covers)
