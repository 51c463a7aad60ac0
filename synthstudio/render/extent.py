"""How far a person reaches beyond the frame: its endless mask's extent and what is cut off."""

from __future__ import annotations

import numpy as np
import warp as wp
from numpy.typing import NDArray

from synthstudio.core.camera import NEAR_M, Camera
from synthstudio.core.scene import F64
from synthstudio.render.fill import extent_kernel
from synthstudio.render.pack import Packed, to_device, to_host
from synthstudio.render.raster import alone, mesh_of, view_of
from synthstudio.render.vertices import CUT, OUTSIDE, facing_kernel


def amodal_extent_px(packed: Packed, instance: int) -> tuple[int, int, int, int]:
    """(x0, y0, x1, y1), pixel edges of the instance's mask on an endless canvas.

    Inside the frame it is the extent of `amodal_mask` itself; it may leave the frame. Four
    zeros when no pixel centre anywhere is covered, as when all is before the near plane.
    """
    own = alone(packed, instance)
    if own.inside:
        return own.box_px
    unset = np.array([2**30, 2**30, -(2**30), -(2**30)], np.int32)
    extent = to_device(unset, wp.int32, packed.device)
    first, last = packed.face_range(instance)
    view = view_of(packed, instance, scale=1)
    wp.launch(
        extent_kernel,
        dim=last - first,
        inputs=[mesh_of(packed), view, first],
        outputs=[extent],
        device=packed.device,
    )
    x0, y0, x1, y1 = (int(v) for v in to_host(extent))
    return (x0, y0, x1, y1) if x0 < x1 else (0, 0, 0, 0)


def outside_share(packed: Packed, instance: int) -> float:
    """The share of the instance's camera-facing surface that the frame leaves out.

    Over its drawn faces, the sum of world area x max(0, cosine of the angle between the normal
    and the way to the camera) outside the frame or before the near plane, divided by the sum
    of all. Faces on the border are cut exactly. 0 when no face looks at the camera.
    """
    if alone(packed, instance).inside:
        return 0.0
    first, last = packed.face_range(instance)
    planes = _frustum(packed.scene.camera)
    weight, side = np.zeros(last - first), np.zeros(last - first, np.int32)
    wp.launch(
        facing_kernel,
        dim=last - first,
        inputs=[
            to_device(packed.host_camera_m, wp.vec3, "cpu"),
            to_device(packed.host_faces, wp.vec3i, "cpu"),
            to_device(planes, wp.vec4d, "cpu"),
            first,
        ],
        outputs=[to_device(weight, wp.float64, "cpu"), to_device(side, wp.int32, "cpu")],
        device="cpu",
    )
    mine = (packed.host_instance[first:last] == instance) & packed.host_drawn[first:last]
    weight[~mine] = 0.0
    total = float(weight.sum())
    if total == 0.0:
        return 0.0
    lost = float(weight[side == OUTSIDE].sum())
    cut = np.flatnonzero((side == CUT) & (weight > 0))
    if len(cut):
        corners = packed.host_camera_m[packed.host_faces[first + cut]].astype(np.float64)
        lost += float((weight[cut] * (1.0 - _kept(corners, planes))).sum())
    return min(max(lost / total, 0.0), 1.0)


def _frustum(camera: Camera) -> F64:
    """(5, 4) planes (n, d): n . p + d >= 0 for the camera points that the frame shows."""
    f, cx, cy = camera.focal_px, camera.K[0, 2], camera.K[1, 2]
    return np.array(
        [
            [0, 0, 1, -NEAR_M],
            [f, 0, cx, 0],
            [-f, 0, camera.width_px - cx, 0],
            [0, f, cy, 0],
            [0, -f, camera.height_px - cy, 0],
        ]
    )


def _kept(corners: F64, planes: F64) -> F64:
    pieces, owner = corners, np.arange(len(corners))
    for plane in planes:
        pieces, owner = _cut(pieces, owner, plane)
    inside = np.bincount(owner, weights=_areas(pieces), minlength=len(corners))
    return np.asarray(np.minimum(inside / _areas(corners), 1.0))


def _areas(corners: F64) -> F64:
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    return np.asarray(np.sqrt((normals**2).sum(axis=1)) / 2)


def _cut(corners: F64, owner: NDArray[np.int64], plane: F64) -> tuple[F64, NDArray[np.int64]]:
    distance = corners @ plane[:3] + plane[3]
    inside = distance >= 0
    count = inside.sum(axis=1)
    kept, kept_owner = [corners[count == 3]], [owner[count == 3]]
    for n in (1, 2):
        rows = np.flatnonzero(count == n)
        # Turn each so that corner 0 is alone on its side of the plane.
        alone = np.argmax(inside[rows] == (n == 1), axis=1)
        turn = (alone[:, None] + np.arange(3)) % 3
        p, d = corners[rows[:, None], turn], distance[rows[:, None], turn]
        t = d[:, :1] / (d[:, :1] - d[:, 1:])  # where edges 0-1 and 0-2 meet the plane
        q = p[:, :1] + t[..., None] * (p[:, 1:] - p[:, :1])
        if n == 1:
            pieces = [np.stack([p[:, 0], q[:, 0], q[:, 1]], axis=1)]
        else:
            pieces = [
                np.stack([q[:, 0], p[:, 1], p[:, 2]], axis=1),
                np.stack([q[:, 0], p[:, 2], q[:, 1]], axis=1),
            ]
        kept += pieces
        kept_owner += [owner[rows]] * len(pieces)
    return np.concatenate(kept), np.concatenate(kept_owner)
