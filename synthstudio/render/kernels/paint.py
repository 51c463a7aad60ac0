"""Warp kernels of `shade.py`: classification of pixels, backdrop shadows, the picture."""

import warp as wp

from synthstudio.render.kernels.optics import Eye, Lamps, Mesh, floor_keeps, ray_to, shaded
from synthstudio.render.kernels.shadow import depth_at

# Structs are handed to functions by value; only what is inlined does not copy them for every
# pixel: with Warp's own threshold shading takes half as long again. Fused and reciprocal
# arithmetic save another eighth; only pictures come from here, never labels.
wp.set_module_options(
    {
        "enable_backward": False,
        "fuse_fp": False,
        "cpu_compiler_flags": "-march=native -mllvm=-inline-threshold=100000"
        " -mllvm=-inline-cold-callsite-threshold=100000 -mllvm=-slp-recursion-max-depth=4"
        " -ffp-contract=fast -freciprocal-math",
    }
)

LUT = 16384
_LAST = wp.constant(float(LUT - 1))
RUN = wp.constant(32)
"""Pixels per thread: kernel arguments are large and copied for each thread."""
_CREASE = wp.constant(0.9)  # cosine between face normals above which a pixel is smooth
BARE, ONE, MIXED = wp.constant(0), wp.constant(1), wp.constant(2)
"""Classes of pixels by their samples: nothing, one smooth surface, several surfaces."""


@wp.struct
class Sheet:
    """The paint target: keys at `scale` samples a side of a pixel, and the tables."""

    keys: wp.array2d[wp.uint64]
    scale: int
    width: int
    linear: wp.array[wp.float32]  # (256,)
    encoded: wp.array[wp.uint8]  # (LUT,)
    rgb: wp.array2d[wp.uint8]  # (H W, 3)
    dimmed: int  # whether `open` holds a share of the sky for each pixel, (H, W)
    open: wp.array2d[wp.float32]


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
def classify_kernel(
    keys: wp.array2d[wp.uint64], scale: int, mesh: Mesh, kind: wp.array2d[wp.uint8]
):
    """Classify each pixel: its samples see nothing, one smooth surface or several."""
    row, part = wp.tid()
    for column in range(part * RUN, wp.min((part + 1) * RUN, kind.shape[1])):
        y0, x0 = row * scale, column * scale
        first = _face(keys[y0, x0])
        same = wp.int32(1)
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
def catch_kernel(pixels: wp.array[wp.int32], eye: Eye, lamps: Lamps, sheet: Sheet):
    """Darken the backdrop of listed pixels by the shadows on the floor z = 0."""
    start = wp.tid() * RUN
    for k in range(start, wp.min(start + RUN, pixels.shape[0])):
        i = pixels[k]
        x, y = float(i % sheet.width) + 0.5, float(i / sheet.width) + 0.5
        kept = floor_keeps(eye, lamps, ray_to(eye, x, y))
        if wp.min(kept) < 1.0:
            _write(sheet, i, wp.cw_mul(_behind(sheet, i), kept))


@wp.kernel
def shade_kernel(
    pixels: wp.array[wp.int32],
    kind: wp.array[wp.uint8],
    mesh: Mesh,
    eye: Eye,
    lamps: Lamps,
    sheet: Sheet,
):
    """Paint listed pixels: once at the centre, or sample by sample over the backdrop."""
    start = wp.tid() * RUN
    scale = sheet.scale
    i = pixels[start]
    row, column = i / sheet.width, i % sheet.width
    for n in range(start, wp.min(start + RUN, pixels.shape[0])):
        # Listed pixels mostly follow one another; a division costs as much as a shadow.
        column += pixels[n] - i
        i = pixels[n]
        if column >= sheet.width:
            row, column = i / sheet.width, i % sheet.width
        # A smooth pixel is one sample at its centre, on the triangle nearest to that.
        y0, x0, side, step = row * scale + scale / 2, column * scale + scale / 2, 1, 1.0
        if int(kind[i]) == MIXED:
            y0, x0, side, step = row * scale, column * scale, scale, 1.0 / float(scale)
        light = wp.vec3(0.0, 0.0, 0.0)
        open = wp.float32(1.0)
        if sheet.dimmed == 1:
            open = sheet.open[row, column]
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
                    light += shaded(mesh, eye, lamps, triangle, ray, open)
        _write(sheet, i, light * (step * step))
