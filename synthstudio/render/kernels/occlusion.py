"""Warp kernels of ambient occlusion: how much of the sky a pixel's neighbours hide from it.

Points round each pixel, taken from the rasteriser's own depths, count by the sine of their height
over its surface (after Bavoil, Sainz and Dimitrov, "Image-Space Horizon-Based Ambient Occlusion",
2008); the result is smoothed over pixels of one depth. What the picture does not show hides
nothing.
"""

# mypy: ignore-errors
# (Warp compiles these functions from their source; their types are not Python's.)

import warp as wp

from synthstudio.render.kernels.optics import Eye, Mesh, ray_to
from synthstudio.render.kernels.shadow import depth_at

wp.set_module_options({"enable_backward": False, "fuse_fp": False})

RUN = wp.constant(32)
_TAPS = wp.constant(10)
_TURNS = wp.constant(43.98229715)  # seven times round
_REACH_M = wp.constant(0.35)
_STRENGTH = wp.constant(2.0)
_LEVEL = wp.constant(0.02)  # a surface's own slope is not taken for an edge
SMOOTH = wp.constant(2)


@wp.func
def _place(eye: Eye, scale: int, x: int, y: int, depth: float) -> wp.vec3:
    at = 1.0 / float(scale)
    return eye.place + ray_to(eye, (float(x) + 0.5) * at, (float(y) + 0.5) * at) * depth


@wp.func
def _rotated(x: int, y: int) -> float:
    # Interleaved gradient noise (Jimenez 2014): a turn of its own for each pixel.
    v = 0.06711056 * float(x) + 0.00583715 * float(y)
    v = 52.9829189 * (v - wp.floor(v))
    return 6.28318531 * (v - wp.floor(v))


@wp.kernel
def obscured_kernel(
    keys: wp.array2d[wp.uint64], scale: int, mesh: Mesh, eye: Eye, window: wp.vec4i,
    out: wp.array2d[wp.float32],
):  # fmt: skip
    """The share of the sky that what is near hides from the middle sample of each pixel.

    Of a window's pixels alone: x0, y0, x1, y1.
    """
    line, part = wp.tid()
    row, first = window[1] + line, window[0] + part * RUN
    for column in range(first, wp.min(first + RUN, window[2])):
        y, x = row * scale + scale / 2, column * scale + scale / 2
        key = keys[y, x]
        face = wp.int32(key & wp.uint64(0xFFFFFFFF))
        loss = wp.float32(0.0)
        if face >= 0:
            depth = depth_at(key)
            reach = _REACH_M * eye.per_m * float(scale) / depth
            if reach > 1.0:
                here = _place(eye, scale, x, y, depth)
                f = mesh.faces[face]
                a = mesh.world[f[0]]
                n = wp.normalize(wp.cross(mesh.world[f[1]] - a, mesh.world[f[2]] - a))
                if wp.dot(n, eye.place - here) < 0.0:
                    n = -n
                turn = _rotated(column, row)
                for tap in range(_TAPS):
                    share = (float(tap) + 0.5) / float(_TAPS)
                    angle = share * _TURNS + turn
                    tx = x + int(wp.round(wp.cos(angle) * share * reach))
                    ty = y + int(wp.round(wp.sin(angle) * share * reach))
                    if tx >= 0 and ty >= 0 and tx < keys.shape[1] and ty < keys.shape[0]:
                        other = keys[ty, tx]
                        if wp.int32(other & wp.uint64(0xFFFFFFFF)) >= 0:
                            v = _place(eye, scale, tx, ty, depth_at(other)) - here
                            far = wp.dot(v, v)
                            if far < _REACH_M * _REACH_M:
                                rise = wp.dot(v, n) - _LEVEL * wp.sqrt(far) - 0.002
                                loss += wp.max(rise, 0.0) / wp.sqrt(far + 1.0e-6)
                loss = wp.min(_STRENGTH * loss / float(_TAPS), 1.0)
        out[row, column] = loss


@wp.kernel
def open_kernel(
    keys: wp.array2d[wp.uint64], scale: int, loss: wp.array2d[wp.float32], strength: float,
    window: wp.vec4i, out: wp.array2d[wp.float32],
):  # fmt: skip
    """What is left of the sky, smoothed over the neighbours of nearly the same depth."""
    line, part = wp.tid()
    row, first = window[1] + line, window[0] + part * RUN
    for column in range(first, wp.min(first + RUN, window[2])):
        depth = depth_at(keys[row * scale + scale / 2, column * scale + scale / 2])
        total, count = wp.float32(0.0), wp.float32(0.0)
        for y in range(wp.max(row - SMOOTH, 0), wp.min(row + SMOOTH + 1, out.shape[0])):
            for x in range(wp.max(column - SMOOTH, 0), wp.min(column + SMOOTH + 1, out.shape[1])):
                near = depth_at(keys[y * scale + scale / 2, x * scale + scale / 2])
                if wp.abs(near - depth) < 0.02 * depth:
                    total += loss[y, x]
                    count += 1.0
        out[row, column] = 1.0 - strength * total / wp.max(count, 1.0)
