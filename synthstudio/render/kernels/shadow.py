"""Warp code that makes and reads the shadow maps of `shadow.py`."""

import warp as wp

wp.set_module_options({"enable_backward": False, "fuse_fp": False})

RUN = wp.constant(32)
"""Vertices or faces that one thread takes."""
TILE = wp.constant(8)
"""Texels a side of the sun map's tiles, each of which knows whether it is empty."""


@wp.struct
class SunMap:
    """Depth from the sun. A world point's texel is (dot(across, p) + x0, dot(up, p) + y0)."""

    on: int
    keys: wp.array2d[wp.uint64]
    crowded: wp.array2d[wp.uint8]  # of each tile: whether anything is in it or at its rim
    across: wp.vec3
    up: wp.vec3
    towards: wp.vec3
    x0: float
    y0: float
    far: float  # depth = far - dot(towards, p), metres
    texel_m: float
    size: int


@wp.struct
class ContactMap:
    """Share of the sky's light that the floor loses, bilinear; 0 outside."""

    loss: wp.array2d[wp.float32]
    x0: float
    y0: float
    per_m: float
    size: int


@wp.kernel
def cast_kernel(
    world: wp.array[wp.vec3],
    matrix: wp.mat33,
    offset: wp.vec3,
    points: wp.array[wp.vec3],
    snapped: wp.array[wp.vec2i],
):
    """Project every vertex to texels and depth; x, y in 1/256 texel, clamped far outside."""
    start = wp.tid() * RUN
    for i in range(start, wp.min(start + RUN, world.shape[0])):
        place = matrix * world[i] + offset
        x = wp.clamp(place[0], -65536.0, 65536.0)
        y = wp.clamp(place[1], -65536.0, 65536.0)
        points[i] = place
        snapped[i] = wp.vec2i(int(wp.floor(x * 256.0 + 0.5)), int(wp.floor(y * 256.0 + 0.5)))


@wp.struct
class Choice:
    """Which faces a shadow map needs."""

    casts_shadow: wp.array[wp.bool]  # (S,)
    closed: wp.array[wp.bool]  # (S,) their back faces hide nothing that a front face does not
    surface: wp.array[wp.int32]  # (F,)
    drawn: wp.array[wp.bool]  # (F,)
    facing: int  # sign of the area of faces that look at the light
    deepest: float
    size: int


@wp.kernel
def choose_kernel(
    faces: wp.array[wp.vec3i],
    choice: Choice,
    points: wp.array[wp.vec3],
    snapped: wp.array[wp.vec2i],
    chosen: wp.array[wp.bool],
    crowded: wp.array2d[wp.uint8],
):
    """Choose the faces to draw: they throw, lie on the map and, if closed, face the light.

    Marks the tiles that their boxes touch, two texels wider: what filtering could read.
    """
    start = wp.tid() * RUN
    edge = 256 * choice.size
    for t in range(start, wp.min(start + RUN, faces.shape[0])):
        chosen[t] = False
        k = choice.surface[t]
        if choice.casts_shadow[k] and choice.drawn[t]:
            f = faces[t]
            a, b, c = snapped[f[0]], snapped[f[1]], snapped[f[2]]
            left = wp.int64(b[0] - a[0]) * wp.int64(c[1] - a[1])
            right = wp.int64(b[1] - a[1]) * wp.int64(c[0] - a[0])
            nearest = wp.min(points[f[0]][2], wp.min(points[f[1]][2], points[f[2]][2]))
            low = wp.min(a, wp.min(b, c)) - wp.vec2i(512, 512)
            high = wp.max(a, wp.max(b, c)) + wp.vec2i(512, 512)
            chosen[t] = (
                (not choice.closed[k] or (left - right) * wp.int64(choice.facing) > wp.int64(0))
                and nearest <= choice.deepest
                and high[0] >= 0
                and high[1] >= 0
                and low[0] < edge
                and low[1] < edge
            )
            if chosen[t] and crowded.shape[0] > 1:
                x0, x1 = wp.max(low[0], 0) / (256 * TILE), wp.min(high[0], edge - 1) / (256 * TILE)
                y0, y1 = wp.max(low[1], 0) / (256 * TILE), wp.min(high[1], edge - 1) / (256 * TILE)
                for y in range(y0, y1 + 1):
                    for x in range(x0, x1 + 1):
                        crowded[y, x] = wp.uint8(1)


@wp.func
def depth_at(key: wp.uint64) -> float:
    """The depth that a key holds; inf where nothing is."""
    return wp.cast(wp.uint32(key >> wp.uint64(32)), wp.float32)


@wp.func
def sunlight(m: SunMap, p: wp.vec3) -> float:
    """The share 0..1 of the sun that reaches world point `p`; 1 outside the map.

    Percentage-closer filtering with a tent two texels wide: nine comparisons, weighted.
    """
    if m.on == 0:
        return 1.0
    x = wp.dot(m.across, p) + m.x0 - 0.5
    y = wp.dot(m.up, p) + m.y0 - 0.5
    ix, iy = int(wp.floor(x + 0.5)), int(wp.floor(y + 0.5))
    if ix < 1 or iy < 1 or ix >= m.size - 1 or iy >= m.size - 1:
        return 1.0
    if m.crowded[iy / TILE, ix / TILE] == wp.uint8(0):
        return 1.0
    depth = m.far - wp.dot(m.towards, p)
    fx, fy = x - float(ix), y - float(iy)
    top = _row_lit(m.keys, iy - 1, ix, depth, fx)
    middle = _row_lit(m.keys, iy, ix, depth, fx)
    low = _row_lit(m.keys, iy + 1, ix, depth, fx)
    share = top * (0.25 - 0.5 * fy) + middle * 0.5 + low * (0.25 + 0.5 * fy)
    # Rounding must not tell a lit point beside a shadow from one in an empty tile.
    return wp.where(share > 0.99999, 1.0, share)


@wp.func
def _row_lit(
    keys: wp.array2d[wp.uint64], row: int, column: int, depth: float, across: float
) -> float:
    lit = wp.float32(0.0)
    if depth_at(keys[row, column - 1]) >= depth:
        lit += 0.25 - 0.5 * across
    if depth_at(keys[row, column]) >= depth:
        lit += 0.5
    if depth_at(keys[row, column + 1]) >= depth:
        lit += 0.25 + 0.5 * across
    return lit


@wp.func
def sky_loss(m: ContactMap, x_m: float, y_m: float) -> float:
    """The share of the sky's light that the floor loses at (x_m, y_m)."""
    x, y = x_m * m.per_m + m.x0 - 0.5, y_m * m.per_m + m.y0 - 0.5
    fx, fy = wp.floor(x), wp.floor(y)
    ix, iy = int(fx), int(fy)
    if ix < 0 or iy < 0 or ix >= m.size - 1 or iy >= m.size - 1:
        return 0.0
    u, v = x - fx, y - fy
    top = m.loss[iy, ix] * (1.0 - u) + m.loss[iy, ix + 1] * u
    low = m.loss[iy + 1, ix] * (1.0 - u) + m.loss[iy + 1, ix + 1] * u
    return top * (1.0 - v) + low * v
