"""The slow twin of the rasteriser: plain float64 NumPy, one triangle after another.

It snaps to 1/256 px, clips and breaks ties as `fill.py` does but shares none of its code, so
that tests can hold the two equal, triangle by triangle.
"""

import numpy as np

from synthstudio.core.camera import NEAR_M
from synthstudio.core.scene import F64, I32, Scene

_SUBPIXELS = 256
_CENTRE = 128
Corner = tuple[int, int, float]
"""x and y in 1/256 px (as Python integers, which do not overflow) and z in metres."""


def rasterise(scene: Scene, *, scale: int = 1) -> tuple[I32, F64]:
    """The nearest drawn triangle and its depth at every sample centre of the frame.

    (s H, s W) each: the place of the face when all surfaces are put one after another, -1
    where nothing is; and z in camera metres, inf where nothing is. Of two triangles whose
    depths are one float32 the lower number wins.
    """
    camera = scene.camera
    shape = (camera.height_px * scale, camera.width_px * scale)
    triangle, depth_m = np.full(shape, -1, np.int32), np.full(shape, np.inf)
    before = 0
    for surface in scene.surfaces:
        points = camera.to_camera(surface.vertices_m.astype(np.float64)).astype(np.float32)
        points_m = points.astype(np.float64)
        behind = points_m[:, 2] < NEAR_M
        whole = surface.drawn is None or bool(surface.drawn.all())
        cull = not surface.two_sided and whole and not bool(behind.any())
        for k, face in enumerate(surface.faces):
            if surface.drawn is not None and not surface.drawn[k]:
                continue
            corners = _clipped(points_m[face])
            snapped = [_snapped(scene, corner, scale) for corner in corners]
            if cull and len(snapped) == 3 and _area(*snapped) > 0:
                continue
            for i in range(1, len(snapped) - 1):
                piece = (snapped[0], snapped[i], snapped[i + 1])
                _draw(piece, before + k, triangle, depth_m)
        before += len(surface.faces)
    return triangle, depth_m


def _clipped(corners: F64) -> list[F64]:
    """The polygon that the near plane leaves, from a corner that is inside (n, 3)."""
    inside = [bool(c[2] >= NEAR_M) for c in corners]
    if not any(inside):
        return []
    # The fan of pieces starts at the inside corner that follows an outside one.
    first = next((i for i in range(3) if inside[i] and not inside[i - 1]), 0)
    out: list[F64] = []
    for i in range(first, first + 3):
        a, b = corners[i % 3], corners[(i + 1) % 3]
        if inside[i % 3]:
            out.append(a)
        if inside[i % 3] != inside[(i + 1) % 3]:
            near, far = (a, b) if inside[i % 3] else (b, a)
            t = (NEAR_M - near[2]) / (far[2] - near[2])
            out.append(np.array([*(near[:2] + t * (far[:2] - near[:2])), NEAR_M]))
    return out


def _snapped(scene: Scene, point: F64, scale: int) -> Corner:
    k = scene.camera.K
    x = k[0, 0] * point[0] / point[2] + k[0, 2]
    y = k[1, 1] * point[1] / point[2] + k[1, 2]
    sx, sy = (int(np.floor(v * _SUBPIXELS + 0.5)) * scale for v in (x, y))
    return sx, sy, float(point[2])


def _area(a: Corner, b: Corner, c: Corner) -> int:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _draw(piece: tuple[Corner, Corner, Corner], number: int, triangle: I32, depth_m: F64) -> None:
    a, b, c = piece
    area = _area(a, b, c)
    if area == 0:
        return
    if area < 0:
        b, c, area = c, b, -area
    height, width = triangle.shape
    xs, ys = [p[0] for p in piece], [p[1] for p in piece]
    x0 = max(-(-(min(xs) - _CENTRE) // _SUBPIXELS), 0)
    y0 = max(-(-(min(ys) - _CENTRE) // _SUBPIXELS), 0)
    x1 = min((max(xs) - _CENTRE) // _SUBPIXELS, width - 1)
    y1 = min((max(ys) - _CENTRE) // _SUBPIXELS, height - 1)
    if x0 > x1 or y0 > y1:
        return
    x = np.arange(x0, x1 + 1, dtype=np.int64)[None, :] * _SUBPIXELS + _CENTRE
    y = np.arange(y0, y1 + 1, dtype=np.int64)[:, None] * _SUBPIXELS + _CENTRE
    covered = np.ones((y1 - y0 + 1, x1 - x0 + 1), bool)
    inverse = np.zeros(covered.shape)
    for p, q, opposite in ((b, c, a), (c, a, b), (a, b, c)):
        dx, dy = q[0] - p[0], q[1] - p[1]
        edge = dx * (y - p[1]) - dy * (x - p[0])
        owns = dy < 0 or (dy == 0 and dx > 0)  # a left or a top edge
        covered &= (edge >= 0) if owns else (edge > 0)
        inverse += edge / opposite[2]
    with np.errstate(divide="ignore"):
        z = area / inverse
    here = depth_m[y0 : y1 + 1, x0 : x1 + 1]
    nearer = covered & (z.astype(np.float32) < here.astype(np.float32))
    here[nearer] = z[nearer]
    triangle[y0 : y1 + 1, x0 : x1 + 1][nearer] = number
