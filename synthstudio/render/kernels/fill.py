"""Warp kernels that find which pixel centres a triangle covers; `raster.py` launches them.

Fixed point: vertices are snapped to 1/256 px, edge functions are int64 and ties go by the
top-left rule, so two triangles that share an edge neither miss a pixel nor draw it twice.
Triangles are clipped at the near plane inside the kernel. Nothing here may be fused or
approximated by a device: these kernels decide labels.
"""

import warp as wp

wp.set_module_options({"enable_backward": False, "fuse_fp": False})

LARGE_PX = 4096
"""Triangles whose box is larger are shared among bands of rows (CUDA)."""
WIDE_PX = 16
"""From this width on, the covered span of a row is solved instead of testing each pixel."""


@wp.struct
class Mesh:
    """The kernels' data of a scene; see pack.Packed."""

    faces: wp.array[wp.vec3i]
    points: wp.array[wp.vec3]
    snapped: wp.array[wp.vec2i]
    instance: wp.array[wp.int32]
    covers: wp.array[wp.uint32]
    drawn: wp.array[wp.bool]
    cull: wp.array[wp.bool]


@wp.struct
class View:
    """Converts a near-clipped point into a snapped screen position."""

    focal: wp.float64
    cx: wp.float64
    cy: wp.float64
    near: wp.float64
    scale: wp.int64
    perspective: wp.bool
    culling: wp.bool
    only: wp.int32  # an instance, 0 for all
    left: wp.int32  # the first column and row of samples that the buffer holds
    top: wp.int32


@wp.struct
class Piece:
    """One snapped triangle: a face, or one of the two that near clipping leaves of it."""

    count: wp.int32
    a: wp.vec2l
    b: wp.vec2l
    c: wp.vec2l
    z: wp.vec3d


@wp.struct
class Edges:
    """Edge functions with their fill-rule bias at one pixel centre, and their steps by a pixel.

    Function k is zero on the edge opposite corner k and `area` at that corner.
    """

    area: wp.int64
    e: wp.vec3l
    dx: wp.vec3l
    dy: wp.vec3l
    bias: wp.vec3l
    z: wp.vec3d


@wp.func
def _corner(snapped: wp.array[wp.vec2i], i: wp.int32, view: View):
    s = snapped[i]
    return wp.vec2l(wp.int64(s[0]) * view.scale, wp.int64(s[1]) * view.scale)


@wp.func
def _meet(inside: wp.vec3, outside: wp.vec3, view: View):
    """Snap where an edge meets the near plane: always from inside, so both its faces agree."""
    z = wp.float64(inside[2])
    t = (view.near - z) / (wp.float64(outside[2]) - z)
    x = wp.float64(inside[0]) + t * (wp.float64(outside[0]) - wp.float64(inside[0]))
    y = wp.float64(inside[1]) + t * (wp.float64(outside[1]) - wp.float64(inside[1]))
    sx = wp.floor((view.focal * x / view.near + view.cx) * wp.float64(256.0) + wp.float64(0.5))
    sy = wp.floor((view.focal * y / view.near + view.cy) * wp.float64(256.0) + wp.float64(0.5))
    return wp.vec2l(wp.int64(sx) * view.scale, wp.int64(sy) * view.scale)


@wp.func
def _rotated(f: wp.vec3i, first: wp.int32):
    if first == 1:
        return wp.vec3i(f[1], f[2], f[0])
    if first == 2:
        return wp.vec3i(f[2], f[0], f[1])
    return f


@wp.func
def _piece(mesh: Mesh, face: wp.vec3i, which: wp.int32, view: View):
    """Piece `which` (0 or 1) of a face after near clipping; `count` says how many."""
    p = Piece()
    in0 = not view.perspective or wp.float64(mesh.points[face[0]][2]) >= view.near
    in1 = not view.perspective or wp.float64(mesh.points[face[1]][2]) >= view.near
    in2 = not view.perspective or wp.float64(mesh.points[face[2]][2]) >= view.near
    n = wp.int32(in0) + wp.int32(in1) + wp.int32(in2)
    p.count = wp.min(n, 1)
    if n == 0:
        return p
    f = face
    if n == 1:
        f = _rotated(face, wp.where(in0, 0, wp.where(in1, 1, 2)))
    if n == 2:
        f = _rotated(face, wp.where(not in0, 1, wp.where(not in1, 2, 0)))
        p.count = 2
    p.a = _corner(mesh.snapped, f[0], view)
    p.b = _corner(mesh.snapped, f[1], view)
    p.c = _corner(mesh.snapped, f[2], view)
    za, zb = wp.float64(mesh.points[f[0]][2]), wp.float64(mesh.points[f[1]][2])
    zc = wp.float64(mesh.points[f[2]][2])
    p.z = wp.vec3d(za, zb, zc)
    if n == 1:
        p.b = _meet(mesh.points[f[0]], mesh.points[f[1]], view)
    if n == 2 and which == 1:
        p.b = _meet(mesh.points[f[1]], mesh.points[f[2]], view)
    if n == 2 and which == 0:
        p.c = _meet(mesh.points[f[1]], mesh.points[f[2]], view)
        p.z = wp.vec3d(za, zb, view.near)
    elif n < 3:
        p.c = _meet(mesh.points[f[0]], mesh.points[f[2]], view)
        p.z = wp.vec3d(za, view.near, view.near)
    return p


@wp.func
def _side(a: wp.vec2l, b: wp.vec2l, at: wp.vec2l):
    """The edge function of the line from a to b: twice the signed area of a, b and `at`."""
    return (b[0] - a[0]) * (at[1] - a[1]) - (b[1] - a[1]) * (at[0] - a[0])


@wp.func
def _doubled_area(p: Piece):
    """Twice the signed area: negative for a face that looks at the camera (y is down)."""
    return _side(p.a, p.b, p.c)


@wp.func
def _bias(along: wp.vec2l):
    """0 for a top or left edge, which owns the centres on it, else -1."""
    if along[1] < wp.int64(0) or (along[1] == wp.int64(0) and along[0] > wp.int64(0)):
        return wp.int64(0)
    return wp.int64(-1)


@wp.func
def _edges(p: Piece, x: wp.int64, y: wp.int64):
    """The edge functions of a piece of non-zero area at the snapped point (x, y)."""
    e = Edges()
    area = _doubled_area(p)
    flipped = area < wp.int64(0)
    e.area = wp.where(flipped, -area, area)
    e.z = wp.where(flipped, wp.vec3d(p.z[0], p.z[2], p.z[1]), p.z)
    b, c = wp.where(flipped, p.c, p.b), wp.where(flipped, p.b, p.c)
    at, pixel = wp.vec2l(x, y), wp.int64(256)
    e.bias = wp.vec3l(_bias(c - b), _bias(p.a - c), _bias(b - p.a))
    e.e = wp.vec3l(_side(b, c, at), _side(c, p.a, at), _side(p.a, b, at)) + e.bias
    e.dx = wp.vec3l(b[1] - c[1], c[1] - p.a[1], p.a[1] - b[1]) * pixel
    e.dy = wp.vec3l(c[0] - b[0], p.a[0] - c[0], b[0] - p.a[0]) * pixel
    return e


@wp.func
def _narrow(span: wp.vec2l, e: wp.int64, dx: wp.int64):
    """Keep the steps k of span (first, last) for which e + k dx >= 0."""
    if dx > wp.int64(0):
        if e < wp.int64(0):
            return wp.vec2l(wp.max(span[0], (dx - wp.int64(1) - e) / dx), span[1])
        return span
    if e < wp.int64(0):
        return wp.vec2l(wp.int64(1), wp.int64(0))
    if dx < wp.int64(0):
        return wp.vec2l(span[0], wp.min(span[1], e / -dx))
    return span


@wp.func
def _span(e: Edges, row: wp.int64, last: wp.int64):
    """(first, last) covered step of a row, counted from where `e` was evaluated."""
    span = wp.vec2l(wp.int64(0), last)
    at = e.e + row * e.dy
    for k in range(3):
        span = _narrow(span, at[k], e.dx[k])
    return span


@wp.func
def _box(p: Piece):
    """(first x, first y, last x, last y) of the pixels whose centres p's box holds."""
    # A centre lies at 256 j + 128.
    low = wp.min(p.a, wp.min(p.b, p.c)) + wp.vec2l(wp.int64(127), wp.int64(127))
    high = wp.max(p.a, wp.max(p.b, p.c)) - wp.vec2l(wp.int64(128), wp.int64(128))
    bits = wp.int64(8)
    return wp.vec4l(low[0] >> bits, low[1] >> bits, high[0] >> bits, high[1] >> bits)


@wp.func
def _fill(
    p: Piece,
    triangle: wp.int32,
    band: wp.int32,
    bands: wp.int32,
    view: View,
    keys: wp.array2d[wp.uint64],
):
    """Write a piece's key to the pixels it covers; a large piece only in the rows of `band`."""
    zero = wp.int64(0)
    box = _box(p)
    j0 = wp.max(box[0], wp.int64(view.left))
    i0 = wp.max(box[1], wp.int64(view.top))
    j1 = wp.min(box[2], wp.int64(view.left + keys.shape[1] - 1))
    i1 = wp.min(box[3], wp.int64(view.top + keys.shape[0] - 1))
    if j0 > j1 or i0 > i1 or _doubled_area(p) == zero:
        return
    step = wp.int64(1)
    start = zero
    if (j1 - j0 + step) * (i1 - i0 + step) > wp.int64(LARGE_PX):
        start = wp.int64(band)
        step = wp.int64(bands)
    elif band > 0:
        return
    centre = wp.int64(128)
    pixel = wp.int64(256)
    e = _edges(p, j0 * pixel + centre, i0 * pixel + centre)
    z = e.z
    area = wp.float64(e.area)
    one = wp.float64(1.0)
    perspective = view.perspective
    if perspective:
        z = wp.vec3d(one / z[0], one / z[1], one / z[2])
    wide = j1 - j0 >= wp.int64(WIDE_PX)
    top, left = wp.int32(i0) - view.top, wp.int32(j0) - view.left
    row = start
    while row <= i1 - i0:
        span = wp.vec2l(zero, j1 - j0)
        if wide:
            span = _span(e, row, j1 - j0)
        k = span[0]
        w = e.e + row * e.dy + k * e.dx
        while k <= span[1]:
            if (w[0] | w[1] | w[2]) >= zero:
                # Without its bias the weight is exact; with it, depths of small faces are off.
                q = (
                    wp.float64(w[0] - e.bias[0]) * z[0]
                    + wp.float64(w[1] - e.bias[1]) * z[1]
                    + wp.float64(w[2] - e.bias[2]) * z[2]
                )
                depth = wp.float32(wp.where(perspective, area, q) / wp.where(perspective, q, area))
                key = (wp.uint64(wp.cast(depth, wp.uint32)) << wp.uint64(32)) | wp.uint64(triangle)
                wp.atomic_min(keys, top + wp.int32(row), left + wp.int32(k), key)
            w = w + e.dx
            k += wp.int64(1)
        row += step


@wp.func
def _first_piece(mesh: Mesh, t: wp.int32, view: View):
    """The first piece of a face; its `count` is 0 where the view does not draw the face."""
    p = Piece()
    if mesh.drawn[t] and (view.only == 0 or mesh.instance[t] == view.only):
        p = _piece(mesh, mesh.faces[t], 0, view)
        if view.culling and mesh.cull[t] and _doubled_area(p) > wp.int64(0):
            p.count = 0
    return p


@wp.func
def _draw(
    mesh: Mesh,
    view: View,
    t: wp.int32,
    band: wp.int32,
    bands: wp.int32,
    keys: wp.array2d[wp.uint64],
):
    p = _first_piece(mesh, t, view)
    if p.count > 0:
        _fill(p, t, band, bands, view, keys)
    if p.count == 2:
        _fill(_piece(mesh, mesh.faces[t], 1, view), t, band, bands, view, keys)


@wp.kernel
def raster_kernel(
    mesh: Mesh,
    view: View,
    first: wp.int32,
    last: wp.int32,
    run: wp.int32,
    bands: wp.int32,
    keys: wp.array2d[wp.uint64],
):
    """Draw the faces first..last - 1: dim (runs of `run` faces, bands)."""
    i, band = wp.tid()
    t = first + i * run
    end = wp.min(t + run, last)
    while t < end:
        _draw(mesh, view, t, band, bands, keys)
        t += 1


@wp.func
def _covered_box(p: Piece, box: wp.vec4l):
    """(first x, first y, last x, last y) of the pixels of `box` that a piece covers."""
    centre, pixel = wp.int64(128), wp.int64(256)
    e = _edges(p, box[0] * pixel + centre, box[1] * pixel + centre)
    one = wp.int64(1)
    covered = wp.vec4l(box[2] + one, box[3] + one, box[0] - one, box[1] - one)
    row = wp.int64(0)
    while row <= box[3] - box[1]:
        span = _span(e, row, box[2] - box[0])
        if span[0] <= span[1]:
            covered = wp.vec4l(
                wp.min(covered[0], box[0] + span[0]),
                wp.min(covered[1], box[1] + row),
                wp.max(covered[2], box[0] + span[1]),
                wp.max(covered[3], box[1] + row),
            )
        row += one
    return covered


@wp.func
def _reach_out(p: Piece, extent: wp.array[wp.int32]):
    """Widen (x0, y0, x1, y1) by the pixels that a piece covers, in the frame or not."""
    box = _box(p)
    if box[0] > box[2] or box[1] > box[3] or _doubled_area(p) == wp.int64(0):
        return
    # Extents only grow: what lies inside one that was read at any time cannot widen it.
    old = wp.vec4i(extent[0], extent[1], extent[2], extent[3])
    if (
        box[0] >= wp.int64(old[0])
        and box[1] >= wp.int64(old[1])
        and box[2] < wp.int64(old[2])
        and box[3] < wp.int64(old[3])
    ):
        return
    # A piece of very many rows goes by its corners: its spans would take too long.
    if box[3] - box[1] < wp.int64(LARGE_PX):
        box = _covered_box(p, box)
    if box[0] <= box[2]:
        wp.atomic_min(extent, 0, wp.int32(box[0]))
        wp.atomic_min(extent, 1, wp.int32(box[1]))
        wp.atomic_max(extent, 2, wp.int32(box[2]) + 1)
        wp.atomic_max(extent, 3, wp.int32(box[3]) + 1)


@wp.kernel
def extent_kernel(mesh: Mesh, view: View, first: wp.int32, extent: wp.array[wp.int32]):
    """Widen `extent` by the pixels that faces from `first` on cover on an endless canvas."""
    t = first + wp.tid()
    p = _first_piece(mesh, t, view)
    if p.count > 0:
        _reach_out(p, extent)
    if p.count == 2:
        _reach_out(_piece(mesh, mesh.faces[t], 1, view), extent)
