"""Warp kernels of ambient occlusion: the fraction of sky hidden by a pixel's neighbours.

Points round each pixel, taken from the rasteriser's own depths, count by the sine of their height
over its surface (after Bavoil, Sainz and Dimitrov, "Image-Space Horizon-Based Ambient Occlusion",
2008); the result is smoothed over pixels of one depth. What the picture does not show hides
nothing.
"""

import numpy as np
import warp as wp

from synthstudio.render.kernels.shadow import depth_at

wp.set_module_options({"enable_backward": False, "fuse_fp": False})

RUN = wp.constant(32)
_TAPS = wp.constant(10)
_TURNS = 7
_REACH_M = wp.constant(0.35)
_STRENGTH = wp.constant(2.0)
_LEVEL = wp.constant(0.02)  # a surface's own slope is not taken for an edge
_MIN_M = wp.constant(0.002)
SMOOTH = wp.constant(2)
BLOCK = wp.constant(8)  # pixels a side; most have the whole sky


def spiral() -> np.ndarray:
    """(_TAPS, 2) places on a spiral in the unit disc."""
    share = (np.arange(_TAPS) + 0.5) / _TAPS
    angle = share * (_TURNS * 2 * np.pi)
    return (np.stack([np.cos(angle), np.sin(angle)], axis=1) * share[:, None]).astype(np.float32)


@wp.func
def _turn(x: int, y: int) -> float:
    # Interleaved gradient noise (Jimenez 2014): a turn of its own for each pixel.
    v = 0.06711056 * float(x) + 0.00583715 * float(y)
    v = 52.9829189 * (v - wp.floor(v))
    return 6.28318531 * (v - wp.floor(v))


@wp.kernel
def obscured_kernel(  # noqa: PLR0913 - what the launch gives
    keys: wp.array2d[wp.uint64], scale: int, faces: wp.array[wp.vec3i], camera: wp.array[wp.vec3],
    lens: wp.vec3, taps: wp.array[wp.vec2], window: wp.vec4i, blocks: wp.array2d[wp.uint8],
    out: wp.array2d[wp.vec2],
):  # fmt: skip
    """The fraction of the sky hidden by near surfaces at each pixel's middle sample, its depth.

    Of a window's pixels alone: x0, y0, x1, y1. `lens`: focal length and centre in samples.
    Marks the `blocks` of pixels that lose any of it.
    """
    line, part = wp.tid()
    row, first = window[1] + line, window[0] + part * RUN
    for column in range(first, wp.min(first + RUN, window[2])):
        y, x = row * scale + scale / 2, column * scale + scale / 2
        key = keys[y, x]
        face = wp.int32(key & wp.uint64(0xFFFFFFFF))
        loss, depth = wp.float32(0.0), depth_at(key)
        reach = _REACH_M * lens[0] / depth
        if face >= 0 and reach > 1.0:
            per = 1.0 / lens[0]
            left, up = (0.5 - lens[1]) * per, (0.5 - lens[2]) * per
            here = wp.vec3(float(x) * per + left, float(y) * per + up, 1.0) * depth
            f = faces[face]
            a = camera[f[0]]
            n = wp.normalize(wp.cross(camera[f[1]] - a, camera[f[2]] - a))
            if wp.dot(n, here) > 0.0:
                n = -n
            turn = _turn(column, row)
            cosine, sine = wp.cos(turn) * reach, wp.sin(turn) * reach
            for k in range(_TAPS):
                tap = taps[k]
                tx = x + int(wp.rint(tap[0] * cosine - tap[1] * sine))
                ty = y + int(wp.rint(tap[1] * cosine + tap[0] * sine))
                if tx >= 0 and ty >= 0 and tx < keys.shape[1] and ty < keys.shape[0]:
                    z = depth_at(keys[ty, tx])
                    v = wp.vec3((float(tx) * per + left) * z, (float(ty) * per + up) * z, z) - here
                    far, rise = wp.dot(v, v), wp.dot(v, n) - _MIN_M
                    if rise > 0.0 and far < _REACH_M * _REACH_M:
                        rise -= _LEVEL * wp.sqrt(far)
                        loss += wp.max(rise, 0.0) / wp.sqrt(far + 1.0e-6)
            loss = wp.min(_STRENGTH * loss / float(_TAPS), 1.0)
            if loss > 0.0:
                blocks[row / BLOCK, column / BLOCK] = wp.uint8(1)
        out[row, column] = wp.vec2(loss, depth)


@wp.kernel
def open_kernel(
    seen: wp.array2d[wp.vec2], blocks: wp.array2d[wp.uint8], strength: float, window: wp.vec4i,
    out: wp.array2d[wp.float32],
):  # fmt: skip
    """The visible fraction of the sky, smoothed over neighbours of nearly equal depth.

    `seen`: each pixel's loss and depth.
    """
    line, part = wp.tid()
    row, first = window[1] + line, window[0] + part * RUN
    for column in range(first, wp.min(first + RUN, window[2])):
        y0, y1 = wp.max(row - SMOOTH, 0), wp.min(row + SMOOTH, out.shape[0] - 1)
        x0, x1 = wp.max(column - SMOOTH, 0), wp.min(column + SMOOTH, out.shape[1] - 1)
        top, low, left, right = y0 / BLOCK, y1 / BLOCK, x0 / BLOCK, x1 / BLOCK
        lost = blocks[top, left] + blocks[top, right] + blocks[low, left] + blocks[low, right]
        total, count = wp.float32(0.0), wp.float32(0.0)
        if lost > wp.uint8(0):
            depth = seen[row, column][1]
            for y in range(y0, y1 + 1):
                for x in range(x0, x1 + 1):
                    near = seen[y, x]
                    if wp.abs(near[1] - depth) < 0.02 * depth:
                        total += near[0]
                        count += 1.0
        out[row, column] = 1.0 - strength * total / wp.max(count, 1.0)
