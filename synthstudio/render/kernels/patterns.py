"""Procedural colour over a surface: hash value noise and box-filtered square waves (Warp).

They fade to their mean where they are finer than a pixel. `wp.noise`, `pow` and `sin` would
cost more than the rest of shading. Square waves: the wave's integral over the pixel's
footprint divided by the footprint (Quilez, "Filtering procedural textures").
"""

import warp as wp

wp.set_module_options({"enable_backward": False, "fuse_fp": False})


@wp.struct
class Mat:
    """One surface's material on the device."""

    kind: int
    pattern: int
    base: wp.vec3
    second: wp.vec3
    third: wp.vec3  # third to fifth: of prints
    fourth: wp.vec3
    fifth: wp.vec3
    per_m: float  # repeats a metre
    cosine: float
    sine: float
    roughness: float
    specular: float
    sheen: float
    bump: float
    wrinkles: float
    texel: int  # first texel of its texture
    width: int
    height: int
    relief: int  # whether a normal map follows the texture, of the same size
    flat: int
    tinted: int
    framed: int  # whether it needs the face's normal in texture space


@wp.func
def hashed(x: int, y: int, z: int) -> float:
    """A number in -1..1 that the three decide."""
    h = wp.uint32(x) * wp.uint32(0x1B56C4E9) ^ wp.uint32(y) * wp.uint32(0x2F0B4C47)
    h = (h ^ wp.uint32(z) * wp.uint32(0x4B1AB31F)) * wp.uint32(0x27D4EB2D)
    h = (h ^ (h >> wp.uint32(15))) * wp.uint32(0x2C1B3C6D)
    return float(wp.int32(h)) * (1.0 / 2147483648.0)


@wp.func
def smooth(low: float, high: float, x: float) -> float:
    """The cubic step from 0 at `low` to 1 at `high`."""
    t = wp.clamp((x - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


@wp.func
def blend(a: wp.vec3, b: wp.vec3, t: float) -> wp.vec3:
    """A at t 0, b at t 1."""
    return a + (b - a) * t


@wp.func
def noise(p: wp.vec3) -> wp.vec4:
    """Value noise in -1..1 at `p` and, after it, its gradient."""
    fx, fy, fz = wp.floor(p[0]), wp.floor(p[1]), wp.floor(p[2])
    ix, iy, iz = int(fx), int(fy), int(fz)
    x, y, z = p[0] - fx, p[1] - fy, p[2] - fz
    u, v, w = x * x * (3.0 - 2.0 * x), y * y * (3.0 - 2.0 * y), z * z * (3.0 - 2.0 * z)
    a, b = hashed(ix, iy, iz), hashed(ix + 1, iy, iz)
    c, d = hashed(ix, iy + 1, iz), hashed(ix + 1, iy + 1, iz)
    e, f = hashed(ix, iy, iz + 1), hashed(ix + 1, iy, iz + 1)
    g, h = hashed(ix, iy + 1, iz + 1), hashed(ix + 1, iy + 1, iz + 1)
    kx, ky, kz = b - a, c - a, e - a
    kxy, kyz, kzx = a - b - c + d, a - c - e + g, a - b - e + f
    kxyz = b + c + e + h - a - d - f - g
    value = a + kx * u + ky * v + kz * w + kxy * u * v + kyz * v * w + kzx * w * u
    return wp.vec4(
        value + kxyz * u * v * w,
        6.0 * x * (1.0 - x) * (kx + kxy * v + kzx * w + kxyz * v * w),
        6.0 * y * (1.0 - y) * (ky + kyz * w + kxy * u + kxyz * w * u),
        6.0 * z * (1.0 - z) * (kz + kzx * u + kyz * v + kxyz * u * v),
    )


@wp.func
def cloud(x: float, y: float) -> float:
    """Value noise in -1..1 over a plane: a third of the cost of `noise`."""
    fx, fy = wp.floor(x), wp.floor(y)
    ix, iy, u, v = int(fx), int(fy), x - fx, y - fy
    u, v = u * u * (3.0 - 2.0 * u), v * v * (3.0 - 2.0 * v)
    a, b = hashed(ix, iy, 0), hashed(ix + 1, iy, 0)
    c, d = hashed(ix, iy + 1, 0), hashed(ix + 1, iy + 1, 0)
    return a + (b - a) * u + (c - a) * v + (a - b - c + d) * u * v


@wp.func
def _wave_integral(x: float, duty: float) -> float:
    whole = wp.floor(x)
    return whole * duty + wp.min(x - whole, duty)


@wp.func
def wave(x: float, duty: float, foot: float) -> float:
    """A 0/1 square wave of period 1, high for `duty`, box-filtered over `foot`."""
    width = wp.max(foot, 1.0e-4)
    if width > 8.0:
        return duty
    half = 0.5 * width
    return (_wave_integral(x + half, duty) - _wave_integral(x - half, duty)) / width


@wp.func
def _dots(u: float, v: float, foot: float) -> float:
    # Two square lattices, the second shifted by half a repeat; coverage 2 pi r^2 at r = 0.2.
    a = wp.vec2(u - wp.floor(u) - 0.5, v - wp.floor(v) - 0.5)
    b = wp.vec2(u + 0.5 - wp.floor(u + 0.5) - 0.5, v + 0.5 - wp.floor(v + 0.5) - 0.5)
    away = wp.sqrt(wp.min(wp.dot(a, a), wp.dot(b, b)))
    width = wp.max(foot, 0.01)
    disc = wp.clamp((0.2 - away) / width + 0.5, 0.0, 1.0)
    return disc + (0.2513 - disc) * smooth(0.3, 0.9, foot)


@wp.func
def _plaid(u: float, v: float, foot: float) -> float:
    wide = 0.4 * wave(u, 0.5, foot) + 0.4 * wave(v, 0.5, foot)
    fine = wp.max(wave(u + 0.72, 0.06, foot), wave(v + 0.72, 0.06, foot))
    return wp.min(wide + 0.35 * fine, 1.0)


@wp.func
def _faded(strength: float, x: float, y: float, foot: float, limit: float) -> float:
    # Noise of unit scale, gone (and not even computed) where a pixel covers `limit` of it.
    if foot >= limit:
        return 0.0
    return strength * cloud(x, y) * (1.0 - smooth(0.3 * limit, limit, foot))


@wp.func
def _camouflage(ms: wp.array[Mat], k: int, q: wp.vec3, foot: float) -> wp.vec3:
    n1 = noise(q * 1.6)
    n2 = noise(q * 4.1 + wp.vec3(7.3, 1.7, 4.1))
    n3 = noise(q * 1.3 + wp.vec3(17.7, 5.2, 9.4))
    rgb = ms[k].base
    if n1[0] + 0.45 * n2[0] > 0.12:
        rgb = ms[k].second
    if n3[0] - 0.4 * n2[0] > 0.38:
        rgb = wp.cw_mul(ms[k].base, ms[k].second) * 0.6 + ms[k].base * 0.12
    if n3[0] + 0.5 * n2[0] < -0.55:
        rgb = blend(ms[k].base, ms[k].second, 0.5) * 1.25
    mean = blend(ms[k].base, ms[k].second, 0.4) * 0.9
    return blend(rgb, mean, smooth(0.3, 1.2, foot))


@wp.func
def _denim(ms: wp.array[Mat], k: int, c: wp.vec3, foot_m: float) -> wp.vec3:
    # Slubs run along the cloth; the twill shows only close by.
    t = 0.22 + _faded(0.2, c[0] * 9.0 + c[1] * 5.0, c[2] * 6.0, foot_m * 9.0, 2.0)
    if foot_m < 0.007:
        slub = cloud((c[0] + c[1]) * 420.0, c[2] * 38.0)
        t += 0.22 * slub * (1.0 - smooth(0.002, 0.007, foot_m))
    return blend(ms[k].base, ms[k].second, wp.clamp(t, 0.0, 1.0))


@wp.func
def _knit(ms: wp.array[Mat], k: int, u: float, v: float, foot: float) -> wp.vec3:
    # Columns of V-shaped stitches: the phase along v is sheared up, then down, across a column.
    across = u - wp.floor(u)
    shear = wp.abs(across - 0.5)
    thread = wave(v * 1.4 + shear, 0.72, foot * 1.4)
    groove = wave(u + 0.08, 0.16, foot)
    return ms[k].base * (0.72 + 0.4 * thread) * (1.0 - 0.3 * groove)


@wp.func
def _wood(ms: wp.array[Mat], k: int, u: float, v: float, foot: float) -> wp.vec3:
    ring = u * 2.0 + 1.6 * cloud(u * 1.1, v * 0.22)
    saw = ring - wp.floor(ring)
    # The ring's mean where it is finer than a pixel; its jump softened by the same width.
    soft = wp.clamp(foot * 2.0, 0.08, 1.0)
    ramp = saw * saw * wp.clamp((1.0 - saw) / soft, 0.0, 1.0)
    ramp = ramp + (0.33 - ramp) * smooth(0.4, 1.0, foot * 2.0)
    t = 0.62 * ramp + 0.1 + _faded(0.22, u * 22.0, v * 1.1, foot * 22.0, 1.0)
    return blend(ms[k].base, ms[k].second, wp.clamp(t, 0.0, 1.0))


@wp.func
def _bricks(ms: wp.array[Mat], k: int, u: float, v: float, foot: float) -> wp.vec3:
    course = v * 3.0
    row = wp.floor(course)
    along = u + 0.5 * (row - 2.0 * wp.floor(row * 0.5))
    mortar = wp.max(wave(along, 0.045, foot), wave(course, 0.13, foot * 3.0))
    tone = 0.22 * hashed(int(wp.floor(along)), int(row), 11) * (1.0 - smooth(0.5, 1.5, foot))
    tone += 0.85 + _faded(0.1, u * 14.0, v * 14.0, foot * 14.0, 2.0)
    return blend(ms[k].base * tone, ms[k].second, mortar)


@wp.func
def _tiles(ms: wp.array[Mat], k: int, u: float, v: float, foot: float) -> wp.vec3:
    grout = wp.max(wave(u, 0.025, foot), wave(v, 0.025, foot))
    tone = 0.05 * hashed(int(wp.floor(u)), int(wp.floor(v)), 5) * (1.0 - smooth(0.5, 1.5, foot))
    tone += 0.97 + _faded(0.03, u * 3.1, v * 3.1, foot * 3.1, 1.5)
    return blend(ms[k].base * tone, ms[k].second, grout)


@wp.func
def _concrete(ms: wp.array[Mat], k: int, u: float, v: float, foot: float) -> wp.vec3:
    t = 0.5 + _faded(0.3, u * 0.9, v * 0.9, foot * 0.9, 2.0)
    t += _faded(0.18, u * 3.7, v * 3.7, foot * 3.7, 1.5)
    t += _faded(0.2, u * 31.0, v * 31.0, foot * 31.0, 1.2)
    return blend(ms[k].base, ms[k].second, wp.clamp(t, 0.0, 1.0))


@wp.func
def _grass(ms: wp.array[Mat], k: int, u: float, v: float, foot: float) -> wp.vec3:
    # Floors lie level: without a grain along either axis.
    blade = _faded(1.0, u * 37.0 + 5.0 * v, v * 31.0 - 4.0 * u, foot * 37.0, 1.3)
    t = 0.45 + _faded(0.25, u * 0.8, v * 0.8, foot * 0.8, 2.0) + 0.3 * blade
    t += _faded(0.25, u * 6.3, v * 6.3, foot * 6.3, 1.5)
    return blend(ms[k].base, ms[k].second, wp.clamp(t, 0.0, 1.0)) * (1.0 + 0.15 * blade)


@wp.func
def _planks(ms: wp.array[Mat], k: int, u: float, v: float, foot: float) -> wp.vec3:
    plank = wp.floor(u)
    shift = 3.7 * hashed(int(plank), 3, 1)
    end = wp.floor(v * 0.12 + shift)
    gap = wp.max(wave(u, 0.03, foot), wave(v * 0.12 + shift, 0.004, foot * 0.12))
    tone = 0.9 + 0.14 * hashed(int(plank), int(end), 7) * (1.0 - smooth(0.5, 1.5, foot))
    grain = _faded(0.18, u * 19.0 + plank * 7.0, v * 0.9 + shift * 9.0, foot * 19.0, 1.5)
    return blend(blend(ms[k].base, ms[k].second, 0.25 + grain) * tone, ms[k].second * 0.45, gap)


@wp.func
def _two_tone(ms: wp.array[Mat], k: int, u: float, v: float, foot: float) -> float:
    t = wp.float32(0.0)
    if ms[k].pattern == 1:
        t = wave(v, 0.5, foot)
    elif ms[k].pattern == 2:
        a, b = wave(u, 0.5, foot), wave(v, 0.5, foot)
        t = a + b - 2.0 * a * b
    elif ms[k].pattern == 3:
        t = _dots(u, v, foot)
    elif ms[k].pattern == 4:
        t = _plaid(u, v, foot)
    return t


@wp.func
def _built(ms: wp.array[Mat], k: int, u: float, v: float, foot: float) -> wp.vec3:
    rgb = ms[k].base
    if ms[k].pattern == 8:
        rgb = _wood(ms, k, u, v, foot)
    elif ms[k].pattern == 9:
        rgb = _bricks(ms, k, u, v, foot)
    elif ms[k].pattern == 10:
        rgb = _tiles(ms, k, u, v, foot)
    elif ms[k].pattern == 11:
        rgb = _concrete(ms, k, u, v, foot)
    elif ms[k].pattern == 12:
        rgb = _grass(ms, k, u, v, foot)
    elif ms[k].pattern == 13:
        rgb = _planks(ms, k, u, v, foot)
    return rgb


@wp.func
def pattern_rgb(ms: wp.array[Mat], k: int, c: wp.vec3, foot_m: float) -> wp.vec3:
    """The pattern's colour at `c` (metres; the pattern lies in x and z)."""
    if ms[k].pattern == 0:
        return ms[k].base
    u = (c[0] * ms[k].cosine + c[2] * ms[k].sine) * ms[k].per_m
    v = (c[2] * ms[k].cosine - c[0] * ms[k].sine) * ms[k].per_m
    foot = foot_m * ms[k].per_m
    if ms[k].pattern <= 4:
        return blend(ms[k].base, ms[k].second, _two_tone(ms, k, u, v, foot))
    if ms[k].pattern == 5:
        return _camouflage(ms, k, wp.vec3(u, c[1] * ms[k].per_m, v), foot)
    if ms[k].pattern == 6:
        return _denim(ms, k, c, foot_m)
    if ms[k].pattern == 7:
        return _knit(ms, k, u, v, foot)
    return _built(ms, k, u, v, foot)


@wp.func
def sided(c: wp.vec3, face: wp.vec3) -> wp.vec3:
    """`c` turned so that x and z lie in the plane that the `face` normal is nearest to."""
    ax, ay, az = wp.abs(face[0]), wp.abs(face[1]), wp.abs(face[2])
    if az > ax and az > ay:
        return wp.vec3(c[0], c[2], c[1])
    if ax > ay and ax > az:
        return wp.vec3(c[1], c[0], c[2])
    return c


# Prints on cloth in up to five colours: flowers, shapes, a motif on chest and back. Irregular, as
# photos of printed cloth are: edges follow noise, nothing repeats. What is finer than a pixel fades
# to the print's mean.

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
