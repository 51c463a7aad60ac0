"""Shadow fractions of each pixel, for comparing two variants of a frame (Warp)."""

import warp as wp

from synthstudio.render.kernels.optics import Eye, Lamps, Mesh, ray_to, shadow_on, shadow_on_floor
from synthstudio.render.kernels.paint import MIXED, Sheet

wp.set_module_options({"enable_backward": False, "fuse_fp": False})


@wp.kernel
def shadow_kernel(
    kind: wp.array2d[wp.uint8],
    caught: int,
    mesh: Mesh,
    eye: Eye,
    lamps: Lamps,
    sheet: Sheet,
    shadow: wp.array2d[wp.vec2],
):
    """Write the fractions of sun and sky of each pixel, from the samples that paint it.

    `caught`: whether the undrawn floor catches shadows; it is asked at the pixel's centre.
    """
    row, column = wp.tid()
    scale = sheet.scale
    middle = ray_to(eye, float(column) + 0.5, float(row) + 0.5)
    floor = wp.vec2(1.0, 1.0)
    if caught == 1:
        floor = shadow_on_floor(eye, lamps, middle)
    y0, x0, side, step = row * scale + scale / 2, column * scale + scale / 2, 1, 1.0
    if int(kind[row, column]) == MIXED:
        y0, x0, side, step = row * scale, column * scale, scale, 1.0 / float(scale)
    out = wp.vec2(0.0, 0.0)
    for y in range(side):
        for x in range(side):
            triangle = wp.int32(sheet.keys[y0 + y, x0 + x] & wp.uint64(0xFFFFFFFF))
            if triangle < 0:
                out += floor
            else:
                ray = ray_to(
                    eye,
                    float(column) + (float(x) + 0.5) * step,
                    float(row) + (float(y) + 0.5) * step,
                )
                out += shadow_on(mesh, eye, lamps, triangle, ray)
    shadow[row, column] = out * (step * step)
