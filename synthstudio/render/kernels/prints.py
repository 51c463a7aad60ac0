"""Prints on cloth in up to five colours: flowers, shapes, a motif on chest and back (Warp).

Irregular, as photos of printed cloth are: edges follow noise, nothing repeats. What is finer
than a pixel fades to the print's mean.
"""

# mypy: ignore-errors
# (Warp compiles these functions from their source; their types are not Python's.)

import warp as wp

from synthstudio.render.kernels.patterns import Mat, blend, cloud, hashed, smooth

wp.set_module_options({"enable_backward": False, "fuse_fp": False})

_FLORAL, _ABSTRACT = wp.constant(14), wp.constant(15)


@wp.func
def _colour(ms: wp.array[Mat], k: int, chance: float) -> wp.vec3:
    # One of the four colours that are not the ground, for a number in -1..1.
    if chance < -0.4:
        return ms[k].second
    if chance < 0.1:
        return ms[k].third
    if chance < 0.6:
        return ms[k].fourth
    return ms[k].fifth


@wp.func
def _blossoms(ms: wp.array[Mat], k: int, under: wp.vec3, at: wp.vec3, foot: float) -> wp.vec3:
    # One blot a cell of the (x, y) lattice, in two of the colours; `at[2]` names the lattice.
    fx, fy, layer = wp.floor(at[0]), wp.floor(at[1]), int(at[2])
    ix, iy = int(fx), int(fy)
    dx = at[0] - fx - 0.5 - 0.17 * hashed(ix, iy, layer)
    dy = at[1] - fy - 0.5 - 0.17 * hashed(ix, iy, layer + 1)
    away = wp.sqrt(dx * dx + dy * dy) + 1.0e-5
    turn = 7.0 * hashed(ix, iy, layer + 2)
    petal = cloud(dx / away * 2.3 + turn, dy / away * 2.3 + turn)
    reach = (0.24 + 0.07 * hashed(ix, iy, layer + 3)) * (1.0 + 0.45 * petal)
    width = wp.max(foot, 0.02)
    inside = wp.clamp((reach - away) / width + 0.5, 0.0, 1.0)
    core = wp.clamp((0.4 * reach - away) / width + 0.5, 0.0, 1.0)
    chance = hashed(ix, iy, layer + 4)
    petals = _colour(ms, k, chance) * (1.0 - 0.35 * smooth(0.4, 1.0, away / reach))
    rgb = blend(under, petals, inside)
    return blend(rgb, _colour(ms, k, hashed(ix, iy, layer + 5)), core)


@wp.func
def _floral(ms: wp.array[Mat], k: int, u: float, v: float, foot: float) -> wp.vec3:
    mean = ms[k].base * 0.55
    mean += (ms[k].second + ms[k].third + ms[k].fourth + ms[k].fifth) * 0.1
    if foot > 0.7:
        return mean
    x, y = u + 0.3 * cloud(u * 0.9, v * 0.9), v + 0.3 * cloud(v * 0.9 + 5.0, u * 0.9)
    rgb = _blossoms(
        ms, k, ms[k].base, wp.vec3(1.9 * x + 0.8 * y, 1.9 * y - 0.8 * x, 20.0), 2.0 * foot
    )
    rgb = _blossoms(ms, k, rgb, wp.vec3(x, y, 40.0), foot)
    return blend(rgb, mean, smooth(0.25, 0.7, foot))


@wp.func
def _shapes(ms: wp.array[Mat], k: int, u: float, v: float, foot: float) -> wp.vec3:
    # Noise whose own coordinates noise has bent, cut into the colours.
    a, b = cloud(u * 0.7, v * 0.7), cloud(u * 0.7 + 9.3, v * 0.7 + 4.1)
    x, y = u + 1.4 * a, v + 1.4 * b
    t = cloud(x * 0.8, y * 0.8) + 0.45 * cloud(x * 1.9 + 3.3, y * 1.9)
    if foot < 0.5:
        t += 0.25 * cloud(x * 5.1, y * 5.1) * (1.0 - smooth(0.1, 0.5, foot))
    s = cloud(y * 1.1 + 20.7, x * 1.1)
    edge = wp.max(0.03, 1.2 * foot)
    rgb = blend(ms[k].base, ms[k].second, smooth(-edge, edge, t + 0.12))
    rgb = blend(rgb, ms[k].third, smooth(-edge, edge, t - 0.3))
    rgb = blend(rgb, ms[k].fourth, smooth(-edge, edge, s - 0.35))
    return blend(rgb, ms[k].fifth, smooth(-edge, edge, 0.0 - s - 0.5 + 0.3 * t))


@wp.func
def _stroke(x: float, y: float, seed: int, n: int) -> float:
    # How far a point of the square -1..1 is from stroke n.
    ax, ay = 0.85 * hashed(seed, n, 1), 0.85 * hashed(seed, n, 2)
    bx, by = 0.85 * hashed(seed, n, 3), 0.85 * hashed(seed, n, 4)
    ex, ey = bx - ax, by - ay
    along = ((x - ax) * ex + (y - ay) * ey) / wp.max(ex * ex + ey * ey, 1.0e-4)
    along = wp.clamp(along, 0.0, 1.0)
    dx, dy = x - ax - along * ex, y - ay - along * ey
    return wp.sqrt(dx * dx + dy * dy)


@wp.func
def _logo(ms: wp.array[Mat], k: int, c: wp.vec3, foot_m: float) -> wp.vec3:
    # Chest and back have motifs of their own: strokes, rows of letters or a picture.
    seed = int(ms[k].per_m * 4096.0) + wp.where(c[1] < 0.0, 0, 7919)
    half = 0.115 + 0.035 * hashed(seed, 0, 9)
    x, y = c[0] / half, (c[2] - 0.27 - 0.03 * hashed(seed, 0, 8)) / (half * 0.95)
    foot = foot_m / half
    if wp.max(wp.abs(x), wp.abs(y)) > 1.0 + foot:
        return ms[k].base
    soft = wp.max(foot, 0.01)
    rgb = ms[k].base
    what = hashed(seed, 0, 7)
    if what < -0.2:
        near, second = wp.float32(9.0), wp.float32(9.0)
        for n in range(4):
            near = wp.min(near, _stroke(x, y, seed, n))
            second = wp.min(second, _stroke(x, y, seed, n + 4))
        rgb = blend(rgb, ms[k].third, wp.clamp((0.1 - second) / soft + 0.5, 0.0, 1.0))
        rgb = blend(rgb, ms[k].second, wp.clamp((0.14 - near) / soft + 0.5, 0.0, 1.0))
    elif what < 0.35:
        row = wp.floor(y * 2.2)
        wide = 3.5 + 1.5 * hashed(seed, int(row), 11)
        cell = wp.floor(x * wide)
        lx, ly = 2.0 * (x * wide - cell) - 1.0, 2.0 * (y * 2.2 - row) - 1.0
        letter = seed + 31 * int(row) + 7 * int(cell)
        near = wp.float32(9.0)
        for n in range(3):
            near = wp.min(near, _stroke(lx, ly, letter, n))
        ink = wp.where(hashed(seed, int(row), 12) < 0.0, ms[k].second, ms[k].third)
        rgb = blend(rgb, ink, wp.clamp((0.22 - near) / (soft * wide) + 0.5, 0.0, 1.0))
    else:
        rgb = _shapes(ms, k, x * 1.6 + float(seed % 97), y * 1.6, foot * 1.6)
    edge = wp.clamp((1.0 - wp.max(wp.abs(x), wp.abs(y))) / soft + 0.5, 0.0, 1.0)
    return blend(ms[k].base, rgb, edge * (1.0 - smooth(0.8, 3.0, foot)))


@wp.func
def print_rgb(ms: wp.array[Mat], k: int, c: wp.vec3, foot_m: float) -> wp.vec3:
    """The print's colour at `c`, rest metres; it lies in x and z."""
    u = (c[0] * ms[k].cosine + c[2] * ms[k].sine) * ms[k].per_m
    v = (c[2] * ms[k].cosine - c[0] * ms[k].sine) * ms[k].per_m
    # Front and back are cut from two places of the cloth.
    u += wp.where(c[1] < 0.0, 0.0, 13.7)
    foot = foot_m * ms[k].per_m
    if ms[k].pattern == _FLORAL:
        return _floral(ms, k, u, v, foot)
    if ms[k].pattern == _ABSTRACT:
        return _shapes(ms, k, u, v, foot)
    return _logo(ms, k, c, foot_m)
