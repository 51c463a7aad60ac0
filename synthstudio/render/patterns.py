"""Procedural colour over a surface: hash value noise and box-filtered square waves (Warp).

They fade to their mean where they are finer than a pixel. `wp.noise`, `pow` and `sin` would
cost more than the rest of shading. Square waves: the wave's integral over the pixel's
footprint divided by the footprint (Quilez, "Filtering procedural textures").
"""

# mypy: disable-error-code="valid-type,no-any-return"

import warp as wp

wp.set_module_options({"enable_backward": False, "fuse_fp": False})

@wp.struct
class Mat:
    """One surface's material on the device."""

    kind: int
    pattern: int
    base: wp.vec3
    second: wp.vec3
    per_m: float  # repeats a metre
    cosine: float
    sine: float
    roughness: float
    specular: float
    sheen: float
    bump: float
    texel: int  # first texel of its texture
    width: int
    height: int
    flat: int
    tinted: int
    framed: int  # whether it needs the face's normal in texture space


@wp.func
def _hash(x: int, y: int, z: int) -> float:
    h = wp.uint32(x) * wp.uint32(0x1B56C4E9) ^ wp.uint32(y) * wp.uint32(0x2F0B4C47)
    h = (h ^ wp.uint32(z) * wp.uint32(0x4B1AB31F)) * wp.uint32(0x27D4EB2D)
    h = (h ^ (h >> wp.uint32(15))) * wp.uint32(0x2C1B3C6D)
    return float(wp.int32(h)) * (1.0 / 2147483648.0)


@wp.func
def smooth(low: float, high: float, x: float) -> float:
    """Return the cubic step from 0 at `low` to 1 at `high`."""
    t = wp.clamp((x - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


@wp.func
def blend(a: wp.vec3, b: wp.vec3, t: float) -> wp.vec3:
    """Return a at t 0, b at t 1."""
    return a + (b - a) * t


@wp.func
def noise(p: wp.vec3) -> wp.vec4:
    """Return value noise in -1..1 at `p` and, after it, its gradient."""
    fx, fy, fz = wp.floor(p[0]), wp.floor(p[1]), wp.floor(p[2])
    ix, iy, iz = int(fx), int(fy), int(fz)
    x, y, z = p[0] - fx, p[1] - fy, p[2] - fz
    u, v, w = x * x * (3.0 - 2.0 * x), y * y * (3.0 - 2.0 * y), z * z * (3.0 - 2.0 * z)
    a, b = _hash(ix, iy, iz), _hash(ix + 1, iy, iz)
    c, d = _hash(ix, iy + 1, iz), _hash(ix + 1, iy + 1, iz)
    e, f = _hash(ix, iy, iz + 1), _hash(ix + 1, iy, iz + 1)
    g, h = _hash(ix, iy + 1, iz + 1), _hash(ix + 1, iy + 1, iz + 1)
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
def _wave_integral(x: float, duty: float) -> float:
    whole = wp.floor(x)
    return whole * duty + wp.min(x - whole, duty)


@wp.func
def wave(x: float, duty: float, foot: float) -> float:
    """Return a 0/1 square wave of period 1, high for `duty`, box-filtered over `foot`."""
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
def _camouflage(m: Mat, q: wp.vec3) -> wp.vec3:
    n1 = noise(q * 1.6)
    n2 = noise(q * 4.1 + wp.vec3(7.3, 1.7, 4.1))
    n3 = noise(q * 1.3 + wp.vec3(17.7, 5.2, 9.4))
    rgb = m.base
    if n1[0] + 0.45 * n2[0] > 0.12:
        rgb = m.second
    if n3[0] - 0.4 * n2[0] > 0.38:
        rgb = wp.cw_mul(m.base, m.second) * 0.6 + m.base * 0.12
    if n3[0] + 0.5 * n2[0] < -0.55:
        rgb = blend(m.base, m.second, 0.5) * 1.25
    return rgb


@wp.func
def _denim(m: Mat, c: wp.vec3, foot_m: float) -> wp.vec3:
    # Slubs run along the cloth; the twill shows only close by.
    slub = noise(wp.vec3(c[0] * 420.0, c[1] * 420.0, c[2] * 38.0))[0]
    worn = noise(wp.vec3(c[0] * 9.0, c[1] * 9.0, c[2] * 6.0))[0]
    fine = 1.0 - smooth(0.002, 0.007, foot_m)
    t = wp.clamp(0.22 + 0.2 * worn + 0.22 * slub * fine, 0.0, 1.0)
    return blend(m.base, m.second, t)


@wp.func
def _knit(m: Mat, u: float, v: float, foot: float) -> wp.vec3:
    # Columns of V-shaped stitches: the phase along v is sheared up, then down, across a column.
    across = u - wp.floor(u)
    shear = wp.abs(across - 0.5)
    thread = wave(v * 1.4 + shear, 0.72, foot * 1.4)
    groove = wave(u + 0.08, 0.16, foot)
    return m.base * (0.72 + 0.4 * thread) * (1.0 - 0.3 * groove)


@wp.func
def _wood(m: Mat, q: wp.vec3) -> wp.vec3:
    slow = noise(wp.vec3(q[0] * 1.1, q[1] * 1.1, q[2] * 0.22))[0]
    ring = q[0] * 2.0 + 1.6 * slow
    saw = ring - wp.floor(ring)
    grain = noise(wp.vec3(q[0] * 22.0, q[1] * 22.0, q[2] * 1.1))[0]
    return blend(m.base, m.second, wp.clamp(0.62 * saw * saw + 0.22 * grain + 0.1, 0.0, 1.0))


@wp.func
def _bricks(m: Mat, u: float, v: float, foot: float) -> wp.vec3:
    course = v * 3.0
    row = wp.floor(course)
    along = u + 0.5 * (row - 2.0 * wp.floor(row * 0.5))
    mortar = wp.max(wave(along, 0.045, foot), wave(course, 0.13, foot * 3.0))
    tone = 0.85 + 0.22 * _hash(int(wp.floor(along)), int(row), 11)
    speck = noise(wp.vec3(u * 14.0, v * 14.0, 3.3))[0]
    tone = tone + 0.1 * speck * (1.0 - smooth(0.05, 0.15, foot))
    return blend(m.base * tone, m.second, mortar)


@wp.func
def _tiles(m: Mat, u: float, v: float, foot: float) -> wp.vec3:
    grout = wp.max(wave(u, 0.025, foot), wave(v, 0.025, foot))
    tone = 0.97 + 0.05 * _hash(int(wp.floor(u)), int(wp.floor(v)), 5)
    cloud = noise(wp.vec3(u * 3.1, v * 3.1, 0.7))[0]
    return blend(m.base * (tone + 0.03 * cloud), m.second, grout)


@wp.func
def _concrete(m: Mat, q: wp.vec3, foot: float) -> wp.vec3:
    broad = noise(q * 0.9)[0]
    mid = noise(q * 3.7 + wp.vec3(3.1, 8.2, 1.9))[0]
    fine = noise(q * 31.0)[0] * (1.0 - smooth(0.015, 0.04, foot))
    t = wp.clamp(0.5 + 0.3 * broad + 0.18 * mid + 0.2 * fine, 0.0, 1.0)
    return blend(m.base, m.second, t)


@wp.func
def _grass(m: Mat, q: wp.vec3, foot: float) -> wp.vec3:
    patch = noise(q * 0.8)[0]
    tuft = noise(q * 6.3)[0] * (1.0 - smooth(0.08, 0.2, foot))
    blade = noise(wp.vec3(q[0] * 46.0, q[1] * 46.0, q[2] * 17.0))[0]
    blade = blade * (1.0 - smooth(0.01, 0.03, foot))
    t = wp.clamp(0.45 + 0.25 * patch + 0.25 * tuft + 0.3 * blade, 0.0, 1.0)
    return blend(m.base, m.second, t) * (1.0 + 0.15 * blade)


@wp.func
def _planks(m: Mat, u: float, v: float, foot: float) -> wp.vec3:
    plank = wp.floor(u)
    shift = 3.7 * _hash(int(plank), 3, 1)
    end = wp.floor(v * 0.12 + shift)
    gap = wp.max(wave(u, 0.03, foot), wave(v * 0.12 + shift, 0.004, foot * 0.12))
    tone = 0.9 + 0.14 * _hash(int(plank), int(end), 7)
    grain = noise(wp.vec3(u * 19.0, v * 0.9 + shift * 9.0, plank))[0]
    grain = grain * (1.0 - smooth(0.03, 0.09, foot))
    warm = blend(m.base, m.second, 0.25 + 0.18 * grain)
    return blend(warm * tone, m.second * 0.45, gap)


@wp.func
def _two_tone(m: Mat, u: float, v: float, foot: float) -> float:
    t = float(0.0)
    if m.pattern == 1:
        t = wave(v, 0.5, foot)
    elif m.pattern == 2:
        a, b = wave(u, 0.5, foot), wave(v, 0.5, foot)
        t = a + b - 2.0 * a * b
    elif m.pattern == 3:
        t = _dots(u, v, foot)
    elif m.pattern == 4:
        t = _plaid(u, v, foot)
    return t


@wp.func
def _built(m: Mat, q: wp.vec3, foot: float) -> wp.vec3:
    rgb = m.base
    if m.pattern == 9:
        rgb = _bricks(m, q[0], q[2], foot)
    elif m.pattern == 10:
        rgb = _tiles(m, q[0], q[2], foot)
    elif m.pattern == 11:
        rgb = _concrete(m, q, foot)
    elif m.pattern == 12:
        rgb = _grass(m, q, foot)
    elif m.pattern == 13:
        rgb = _planks(m, q[0], q[2], foot)
    return rgb


@wp.func
def pattern_rgb(m: Mat, c: wp.vec3, foot_m: float) -> wp.vec3:
    """Return the pattern's colour at `c` (metres; the pattern lies in x and z)."""
    if m.pattern == 0:
        return m.base
    u = (c[0] * m.cosine + c[2] * m.sine) * m.per_m
    v = (c[2] * m.cosine - c[0] * m.sine) * m.per_m
    q = wp.vec3(u, c[1] * m.per_m, v)
    foot = foot_m * m.per_m
    if m.pattern <= 4:
        return blend(m.base, m.second, _two_tone(m, u, v, foot))
    if m.pattern == 5:
        return _camouflage(m, q)
    if m.pattern == 6:
        return _denim(m, c, foot_m)
    if m.pattern == 7:
        return _knit(m, u, v, foot)
    if m.pattern == 8:
        return _wood(m, q)
    return _built(m, q, foot)


@wp.func
def sided(c: wp.vec3, face: wp.vec3) -> wp.vec3:
    """Return `c` turned so that x and z lie in the plane that the `face` normal is nearest to."""
    ax, ay, az = wp.abs(face[0]), wp.abs(face[1]), wp.abs(face[2])
    if az > ax and az > ay:
        return wp.vec3(c[0], c[2], c[1])
    if ax > ay and ax > az:
        return wp.vec3(c[1], c[0], c[2])
    return c
