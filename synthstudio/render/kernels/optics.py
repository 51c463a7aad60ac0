"""Light on a surface point: ray intersection and reflected light (Warp).

Lambert and GGX (Walter et al. 2007, with Karis' approximations for shading without `pow`, 2014),
sheen for cloth, wrapped light with a red terminator for skin.
"""

import warp as wp

from synthstudio.core.images import KNEE
from synthstudio.render.kernels.materials import EYE, SKIN, Look, look
from synthstudio.render.kernels.patterns import Mat, smooth
from synthstudio.render.kernels.shadow import ContactMap, SunMap, sky_loss, sunlight

wp.set_module_options({"enable_backward": False, "fuse_fp": False})

_KNEE = wp.constant(KNEE)


@wp.struct
class Mesh:
    """The scene's triangles, as `Packed` holds them."""

    faces: wp.array[wp.vec3i]
    world: wp.array[wp.vec3]
    normals: wp.array[wp.vec3]
    coords: wp.array[wp.vec3]
    tint: wp.array[wp.vec3]
    surface: wp.array[wp.int32]
    materials: wp.array[Mat]
    texels: wp.array[wp.uint32]
    linear: wp.array[wp.float32]  # (256,) linear light of an sRGB byte


@wp.struct
class Eye:
    """The camera: the ray through pixel (x, y) is corner + x right + y down, in the world."""

    place: wp.vec3
    corner: wp.vec3
    right: wp.vec3
    down: wp.vec3
    per_m: float  # pixels a metre at one metre: the focal length


@wp.struct
class Lamps:
    """All light, with both shadow maps."""

    sun: wp.vec3  # direction towards it
    sun_rgb: wp.vec3
    ambient: wp.array[wp.vec3]  # (9,) multiplied by the constants of the harmonics
    curved: int  # whether the last five of them are not all zero
    flash_rgb: wp.vec3  # at 1 m from the camera, whose own shadows nobody sees from there
    flashes: int  # whether it is not zero
    camera: wp.vec3
    exposure: float
    shadow: SunMap
    contact: ContactMap


@wp.struct
class Point:
    """A surface point under a ray, world metres."""

    place: wp.vec3
    view: wp.vec3  # unit, towards the camera
    normal: wp.vec3  # shading normal, towards the viewer
    face: wp.vec3  # geometric normal, towards the viewer
    coords: wp.vec3
    coords_face: wp.vec3  # the face's normal in texture space, not unit; 0 if unused
    coords_per_m: float  # how much longer than metres texture coordinates are; 0 likewise
    tint: wp.vec3
    foot_m: float  # a pixel's width on the surface


@wp.func
def ray_to(eye: Eye, x: float, y: float) -> wp.vec3:
    """The world ray through the continuous pixel (x, y); its depth along z is 1."""
    return eye.corner + eye.right * x + eye.down * y


@wp.func
def _rim(v: float, w: float) -> wp.vec3:
    # Weights of a point just outside a triangle, moved to its rim.
    a, b, c = wp.max(1.0 - v - w, 0.0), wp.max(v, 0.0), wp.max(w, 0.0)
    return wp.vec3(a, b, c) / (a + b + c)


@wp.func
def _mixed(values: wp.array[wp.vec3], f: wp.vec3i, w: wp.vec3) -> wp.vec3:
    return values[f[0]] * w[0] + values[f[1]] * w[1] + values[f[2]] * w[2]


@wp.func
def point_under(mesh: Mesh, m: Mat, eye: Eye, f: wp.vec3i, ray: wp.vec3) -> Point:
    """The surface point where a ray meets face `f`; queries the material for its needs.

    Weights after Moeller and Trumbore 1997, for both sides of a face.
    """
    a = mesh.world[f[0]]
    e1, e2, back = mesh.world[f[1]] - a, mesh.world[f[2]] - a, eye.place - a
    n = wp.cross(e1, e2)
    across = wp.cross(back, ray)
    slant = wp.dot(ray, n)
    per = wp.where(slant == 0.0, 0.0, 1.0 / slant)
    v, w = -wp.dot(across, e2) * per, wp.dot(across, e1) * per
    weights = wp.vec3(1.0 - v - w, v, w)
    if wp.min(weights) < 0.0:
        weights = _rim(v, w)
    out = Point()
    out.place = a + e1 * weights[1] + e2 * weights[2]
    out.view = ray * (-1.0 / wp.length(ray))
    out.face = n * (1.0 / wp.max(wp.length(n), 1.0e-20))
    open = wp.dot(out.face, out.view)
    # Beyond a silhouette the pixel's own ray may see the face's back by a hair: no turn there.
    if open < -0.05:
        out.face = -out.face
    out.normal = out.face
    if m.flat == 0:
        soft = _mixed(mesh.normals, f, weights)
        size = wp.length(soft)
        if size > 1.0e-6:
            out.normal = soft * (wp.where(wp.dot(soft, out.face) < 0.0, -1.0, 1.0) / size)
    out.coords = _mixed(mesh.coords, f, weights)
    out.tint = wp.vec3(1.0, 1.0, 1.0)
    if m.tinted == 1:
        out.tint = _mixed(mesh.tint, f, weights)
    if m.framed == 1:
        ca = mesh.coords[f[0]]
        out.coords_face = wp.cross(mesh.coords[f[1]] - ca, mesh.coords[f[2]] - ca)
        grown = wp.length(out.coords_face) / wp.max(wp.length(n), 1.0e-20)
        out.coords_per_m = wp.sqrt(grown)
    depth = wp.abs(wp.dot(back, n) * per)
    out.foot_m = depth / (eye.per_m * wp.sqrt(wp.max(wp.abs(open), 0.15)))
    return out


@wp.func
def _texel(mesh: Mesh, m: Mat, first: int, x: int, y: int) -> wp.vec3:
    column = x - (x / m.width) * m.width
    row = y - (y / m.height) * m.height
    if column < 0:
        column += m.width
    if row < 0:
        row += m.height
    value = mesh.texels[first + row * m.width + column]
    byte = wp.uint32(255)
    return wp.vec3(
        mesh.linear[int(value & byte)],
        mesh.linear[int((value >> wp.uint32(8)) & byte)],
        mesh.linear[int((value >> wp.uint32(16)) & byte)],
    )


@wp.func
def _bilinear(mesh: Mesh, m: Mat, first: int, x: float, y: float) -> wp.vec3:
    fx, fy = wp.floor(x), wp.floor(y)
    ix, iy, u, v = int(fx), int(fy), x - fx, y - fy
    top = _texel(mesh, m, first, ix, iy) * (1.0 - u) + _texel(mesh, m, first, ix + 1, iy) * u
    low = _texel(mesh, m, first, ix, iy + 1) * (1.0 - u)
    low += _texel(mesh, m, first, ix + 1, iy + 1) * u
    return top * (1.0 - v) + low * v


@wp.func
def _texture(mesh: Mesh, m: Mat, first: int, p: Point) -> wp.vec3:
    # Row 0 lies at v = 1; outside 0..1 the texture repeats. A pixel that spans more than a
    # texel and a half takes 16 of those it spans.
    x, y = p.coords[0] * float(m.width), (1.0 - p.coords[1]) * float(m.height)
    span = p.foot_m * p.coords_per_m
    wide, high = span * float(m.width), span * float(m.height)
    if wp.max(wide, high) <= 1.5:
        return _bilinear(mesh, m, first, x - 0.5, y - 0.5)
    out = wp.vec3(0.0, 0.0, 0.0)
    for k in range(16):
        across, down = (float(k % 4) - 1.5) * 0.25, (float(k / 4) - 1.5) * 0.25
        ix, iy = int(wp.floor(x + across * wide)), int(wp.floor(y + down * high))
        out += _texel(mesh, m, first, ix, iy)
    return out * (1.0 / 16.0)


@wp.func
def _relief(mesh: Mesh, m: Mat, f: wp.vec3i, p: Point) -> wp.vec3:
    # The normal that the normal map gives: red along the texture's u, green along its v.
    a, ca = mesh.world[f[0]], mesh.coords[f[0]]
    e1, e2 = mesh.world[f[1]] - a, mesh.world[f[2]] - a
    c1, c2 = mesh.coords[f[1]] - ca, mesh.coords[f[2]] - ca
    side = wp.where(c1[0] * c2[1] < c1[1] * c2[0], -1.0, 1.0)
    u, v = (e1 * c2[1] - e2 * c1[1]) * side, (e2 * c1[0] - e1 * c2[0]) * side
    u, v = u - p.normal * wp.dot(u, p.normal), v - p.normal * wp.dot(v, p.normal)
    n = _texture(mesh, m, m.texel + m.width * m.height, p) * 2.0 - wp.vec3(1.0, 1.0, 1.0)
    slope = wp.normalize(u) * n[0] + wp.normalize(v) * n[1]
    if wp.dot(wp.cross(e1, e2), p.face) < 0.0:  # seen from behind
        slope = -slope
    return wp.normalize(p.normal * wp.max(n[2], 0.1) + slope)


@wp.func
def _bumped(p: Point, slope: wp.vec3) -> wp.vec3:
    # The slope's tangential part, turned with the shortest turn from rest normal to normal.
    rest = p.coords_face
    size = wp.length(rest)
    if size < 1.0e-12:
        return p.normal
    rest = rest / size
    flat = slope - rest * wp.dot(rest, slope)
    axis = wp.cross(rest, p.normal)
    cosine = wp.dot(rest, p.normal)
    if cosine > -0.98:
        first = wp.cross(axis, flat)
        flat = flat + first + wp.cross(axis, first) / (1.0 + cosine)
    flat = flat - p.normal * wp.dot(p.normal, flat)
    return wp.normalize(p.normal - flat)


@wp.func
def ambient_light(lamps: Lamps, n: wp.vec3) -> wp.vec3:
    """The light reflected by a white matte surface with normal `n` from the ambient."""
    x, y, z = n[0], n[1], n[2]
    out = lamps.ambient[0] + lamps.ambient[1] * y + lamps.ambient[2] * z + lamps.ambient[3] * x
    if lamps.curved == 1:
        out += lamps.ambient[4] * (x * y) + lamps.ambient[5] * (y * z)
        out += lamps.ambient[6] * (3.0 * z * z - 1.0)
        out += lamps.ambient[7] * (x * z) + lamps.ambient[8] * (x * x - y * y)
    return wp.max(out, wp.vec3(0.0, 0.0, 0.0))


@wp.func
def _flash_at(lamps: Lamps, place: wp.vec3) -> wp.vec3:
    # What white that faces the camera reflects of the flash: by the square of its distance.
    return lamps.flash_rgb * (1.0 / wp.max(wp.length_sq(place - lamps.camera), 0.01))


@wp.func
def _wrapped(m: Mat, cosine: float) -> wp.vec3:
    # Light that enters skin comes out beyond the terminator, red farthest.
    lit = wp.max(cosine, 0.0)
    if m.kind == SKIN:
        soft = wp.vec3(0.26, 0.12, 0.08)
        return wp.vec3(
            wp.max(cosine + soft[0], 0.0) / (1.0 + soft[0]),
            wp.max(cosine + soft[1], 0.0) / (1.0 + soft[1]),
            wp.max(cosine + soft[2], 0.0) / (1.0 + soft[2]),
        )
    return wp.vec3(lit, lit, lit)


@wp.func
def _gloss(n: wp.vec3, view: wp.vec3, sun: wp.vec3, s: Look) -> float:
    # GGX times visibility times Schlick's Fresnel, as pi f cos: 1 where Lambert white has 1.
    half = wp.normalize(view + sun)
    nh, lh = wp.max(wp.dot(n, half), 0.0), wp.max(wp.dot(sun, half), 0.05)
    alpha = s.roughness * s.roughness
    d = nh * nh * (alpha * alpha - 1.0) + 1.0
    lobe = alpha * alpha / (4.0 * d * d * lh * lh * (s.roughness + 0.5))
    away = 1.0 - lh
    fresnel = s.specular + (1.0 - s.specular) * away * away * away * away * away
    return lobe * fresnel * wp.max(wp.dot(n, sun), 0.0)


@wp.func
def _sun_share(lamps: Lamps, p: Point, m: Mat) -> float:
    # Step off the surface by about two texels, so that it does not shade itself.
    slope = wp.dot(p.face, lamps.sun)
    texel = lamps.shadow.texel_m
    lift = texel * (0.5 + 2.0 * (1.0 - slope))
    away = 0.002 + 0.5 * texel
    if m.kind == SKIN or m.kind == EYE:
        lift, away = 0.004 + texel, 0.004 + texel
    elif slope <= 0.0:
        return 0.0
    return sunlight(lamps.shadow, p.place + p.face * lift + lamps.sun * away)


@wp.func
def _open_sky(lamps: Lamps, p: Point) -> float:
    # Floors lose sky to what stands on them; what stands loses it low down, facing down.
    z = p.place[2]
    if z > 0.6 or z < -0.01:
        return 1.0
    loss = wp.float32(0.0)
    if p.face[2] > 0.7:
        loss = sky_loss(lamps.contact, p.place[0], p.place[1]) * (1.0 - smooth(0.01, 0.05, z))
        return 1.0 - loss
    return 1.0 - 0.35 * (1.0 - p.normal[2]) * wp.exp(-z * 9.0)


@wp.func
def _lit(lamps: Lamps, p: Point, s: Look, m: Mat, open: float) -> wp.vec3:
    n = p.normal
    if wp.length_sq(s.slope) > 1.0e-8:
        n = _bumped(p, s.slope)
    facing = wp.max(wp.dot(n, p.view), 0.0)
    sky = ambient_light(lamps, n) * (_open_sky(lamps, p) * open)
    cosine = wp.dot(n, lamps.sun)
    sun = lamps.sun_rgb * 0.0
    bright = wp.vec3(0.0, 0.0, 0.0)
    if cosine > -0.3:
        share = _sun_share(lamps, p, m)
        if share > 0.0:
            sun = wp.cw_mul(lamps.sun_rgb, _wrapped(m, cosine)) * share
            if cosine > 0.0 and s.specular > 0.0:
                bright = lamps.sun_rgb * (share * _gloss(n, p.view, lamps.sun, s))
    if lamps.flashes == 1:
        flash = _flash_at(lamps, p.place)
        sun += wp.cw_mul(flash, _wrapped(m, facing))
        if s.specular > 0.0:
            bright += flash * _gloss(n, p.view, p.view, s)
    rim = 1.0 - facing
    rim = rim * rim
    out = wp.cw_mul(s.rgb, sky + sun) * (1.0 - s.specular) + bright
    if m.sheen > 0.0 and m.kind != SKIN:
        # Fibres that stand up catch light at the rim: half the cloth's colour, half white.
        fibres = s.rgb * 0.5 + wp.vec3(0.06, 0.06, 0.06)
        out += wp.cw_mul(fibres, sky + sun) * (m.sheen * rim * rim)
    mirror = sky
    if s.roughness < 0.5:
        mirror = ambient_light(lamps, n * (2.0 * facing) - p.view)
    grazing = s.specular + (1.0 - s.specular) * rim * rim * rim * (1.0 - s.roughness) * 0.5
    return (out + mirror * wp.min(grazing, 1.0)) * lamps.exposure


@wp.func
def _toned(x: float) -> float:
    # core.images.toned
    if x <= _KNEE:
        return wp.max(x, 0.0)
    return _KNEE + (1.0 - _KNEE) * (x - _KNEE) / (x + (1.0 - 2.0 * _KNEE))


@wp.func
def shaded(mesh: Mesh, eye: Eye, lamps: Lamps, triangle: int, ray: wp.vec3, open: float) -> wp.vec3:
    """The light, toned to 0..1, that a triangle sends along a ray; `open`: its share of the sky."""
    k = mesh.surface[triangle]
    m = mesh.materials[k]
    f = mesh.faces[triangle]
    p = point_under(mesh, m, eye, f, ray)
    tint = p.tint
    if m.width > 0:
        tint = wp.cw_mul(tint, _texture(mesh, m, m.texel, p))
    if m.relief == 1:
        p.normal = _relief(mesh, m, f, p)
    rgb = _lit(lamps, p, look(mesh.materials, k, p.coords, p.coords_face, p.foot_m, tint), m, open)
    return wp.vec3(_toned(rgb[0]), _toned(rgb[1]), _toned(rgb[2]))


@wp.func
def shadow_on(mesh: Mesh, eye: Eye, lamps: Lamps, triangle: int, ray: wp.vec3) -> wp.vec2:
    """The fractions of the sun and of the sky that reach a triangle under a ray."""
    m = mesh.materials[mesh.surface[triangle]]
    p = point_under(mesh, m, eye, mesh.faces[triangle], ray)
    return wp.vec2(_sun_share(lamps, p, m), _open_sky(lamps, p))


@wp.func
def shadow_on_floor(eye: Eye, lamps: Lamps, ray: wp.vec3) -> wp.vec2:
    """The fractions of the sun and of the sky that reach the undrawn floor under a ray."""
    if ray[2] > -1.0e-4 or eye.place[2] <= 0.0:
        return wp.vec2(1.0, 1.0)
    p = eye.place - ray * (eye.place[2] / ray[2])
    texel = lamps.shadow.texel_m
    share = sunlight(lamps.shadow, p + lamps.sun * (0.002 + 0.5 * texel))
    return wp.vec2(share, 1.0 - sky_loss(lamps.contact, p[0], p[1]))


@wp.func
def floor_keeps(eye: Eye, lamps: Lamps, ray: wp.vec3) -> wp.vec3:
    """The floor's remaining fraction of light under a ray; 1 without shadow."""
    one = wp.vec3(1.0, 1.0, 1.0)
    lit = shadow_on_floor(eye, lamps, ray)
    if lit[0] >= 1.0 and lit[1] >= 1.0:
        return one
    up = wp.vec3(0.0, 0.0, 1.0)
    sky = wp.max(ambient_light(lamps, up), wp.vec3(1.0e-4, 1.0e-4, 1.0e-4))
    sun = lamps.sun_rgb * wp.max(lamps.sun[2], 0.0)
    rise = -ray[2] / wp.length(ray)
    flash = wp.vec3(0.0, 0.0, 0.0)
    if lamps.flashes == 1:
        # The flash throws no shadow that the camera sees: what it adds is kept.
        flash = _flash_at(lamps, eye.place - ray * (eye.place[2] / ray[2])) * rise
    kept = wp.cw_div(sky * lit[1] + sun * lit[0] + flash, sky + sun + flash)
    # Near the horizon the floor is a guess: shadows fade out there.
    return one + (kept - one) * smooth(0.01, 0.06, rise)
