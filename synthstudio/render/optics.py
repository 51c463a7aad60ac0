"""Light on a surface point: what a ray hits, and how much light it sends back (Warp).

Lambert and GGX (Walter et al. 2007, with Karis' approximations for shading without `pow`, 2014),
sheen for cloth, wrapped light with a red terminator for skin.
"""

# mypy: disable-error-code="valid-type,no-any-return"

from __future__ import annotations

import warp as wp

from synthstudio.render.materials import EYE, SKIN, TEXTURE, Look, look
from synthstudio.render.patterns import Mat, smooth
from synthstudio.render.shadow import ContactMap, SunMap, sky_loss, sunlight

wp.set_module_options({"enable_backward": False, "fuse_fp": False})


@wp.struct
class Mesh:
    """The scene's triangles, as `Packed` holds them."""

    faces: wp.array[wp.vec3i]
    points: wp.array[wp.vec3]  # camera metres
    normals: wp.array[wp.vec3]  # world
    coords: wp.array[wp.vec3]
    tint: wp.array[wp.vec3]
    surface: wp.array[wp.int32]
    instance: wp.array[wp.int32]
    materials: wp.array[Mat]
    texels: wp.array[wp.uint32]
    linear: wp.array[wp.float32]  # (256,) linear light of an sRGB byte


@wp.struct
class Eye:
    """The camera: a camera vector v lies along `turn` v in the world."""

    focal: float
    cx: float
    cy: float
    turn: wp.mat33
    place: wp.vec3


@wp.struct
class Lamps:
    """All light, with both shadow maps."""

    sun: wp.vec3  # direction towards it
    sun_rgb: wp.vec3
    ambient: wp.array[wp.vec3]  # (9,)
    exposure: float
    shadow: SunMap
    contact: ContactMap


@wp.struct
class Point:
    """A surface point under a ray."""

    world: wp.vec3
    view: wp.vec3  # unit, towards the camera, world
    normal: wp.vec3  # shading normal, towards the viewer
    face: wp.vec3  # geometric normal, towards the viewer
    coords: wp.vec3
    coords_face: wp.vec3  # the face's normal in texture space
    tint: wp.vec3
    foot_m: float  # a pixel's width on the surface


@wp.func
def ray_to(eye: Eye, x: float, y: float) -> wp.vec3:
    """Return the camera ray (z = 1) through the continuous pixel (x, y)."""
    return wp.vec3((x - eye.cx) / eye.focal, (y - eye.cy) / eye.focal, 1.0)


@wp.func
def face_normal(faces: wp.array[wp.vec3i], points: wp.array[wp.vec3], triangle: int) -> wp.vec3:
    """Return a triangle's unit normal in the space of `points`."""
    f = faces[triangle]
    a = points[f[0]]
    return wp.normalize(wp.cross(points[f[1]] - a, points[f[2]] - a))


@wp.func
def _weights(a: wp.vec3, b: wp.vec3, c: wp.vec3, ray: wp.vec3) -> wp.vec3:
    # Barycentric weights where the ray meets the triangle; just outside, its nearest rim.
    w = wp.vec3(
        wp.dot(ray, wp.cross(b, c)), wp.dot(ray, wp.cross(c, a)), wp.dot(ray, wp.cross(a, b))
    )
    total = w[0] + w[1] + w[2]
    if total == 0.0:
        return wp.vec3(1.0, 0.0, 0.0)
    w = w / total
    w = wp.vec3(wp.max(w[0], 0.0), wp.max(w[1], 0.0), wp.max(w[2], 0.0))
    return w / (w[0] + w[1] + w[2])


@wp.func
def _mixed(values: wp.array[wp.vec3], f: wp.vec3i, w: wp.vec3) -> wp.vec3:
    return values[f[0]] * w[0] + values[f[1]] * w[1] + values[f[2]] * w[2]


@wp.func
def point_under(mesh: Mesh, eye: Eye, triangle: int, ray: wp.vec3) -> Point:
    """Return the surface point where a camera ray meets a triangle."""
    f = mesh.faces[triangle]
    a, b, c = mesh.points[f[0]], mesh.points[f[1]], mesh.points[f[2]]
    w = _weights(a, b, c, ray)
    here = a * w[0] + b * w[1] + c * w[2]
    out = Point()
    out.world = eye.turn * here + eye.place
    out.view = -wp.normalize(eye.turn * ray)
    out.face = wp.normalize(eye.turn * wp.cross(b - a, c - a))
    out.normal = _mixed(mesh.normals, f, w)
    if mesh.materials[mesh.surface[triangle]].flat == 1 or wp.length_sq(out.normal) < 1.0e-12:
        out.normal = out.face
    out.normal = wp.normalize(out.normal)
    if wp.dot(out.face, out.view) < 0.0:
        out.face = -out.face
    if wp.dot(out.normal, out.face) < 0.0:
        out.normal = -out.normal
    out.coords = _mixed(mesh.coords, f, w)
    ca = mesh.coords[f[0]]
    out.coords_face = wp.cross(mesh.coords[f[1]] - ca, mesh.coords[f[2]] - ca)
    out.tint = _mixed(mesh.tint, f, w)
    slant = wp.max(wp.dot(out.face, out.view), 0.15)
    out.foot_m = here[2] / (eye.focal * wp.sqrt(slant))
    return out


@wp.func
def _texel(mesh: Mesh, m: Mat, x: int, y: int) -> wp.vec3:
    column = x - (x / m.width) * m.width
    row = y - (y / m.height) * m.height
    if column < 0:
        column += m.width
    if row < 0:
        row += m.height
    value = mesh.texels[m.texel + row * m.width + column]
    byte = wp.uint32(255)
    return wp.vec3(
        mesh.linear[int(value & byte)],
        mesh.linear[int((value >> wp.uint32(8)) & byte)],
        mesh.linear[int((value >> wp.uint32(16)) & byte)],
    )


@wp.func
def _texture(mesh: Mesh, m: Mat, c: wp.vec3) -> wp.vec3:
    # Row 0 lies at v = 1; outside 0..1 the texture repeats.
    x = c[0] * float(m.width) - 0.5
    y = (1.0 - c[1]) * float(m.height) - 0.5
    fx, fy = wp.floor(x), wp.floor(y)
    ix, iy, u, v = int(fx), int(fy), x - fx, y - fy
    top = _texel(mesh, m, ix, iy) * (1.0 - u) + _texel(mesh, m, ix + 1, iy) * u
    low = _texel(mesh, m, ix, iy + 1) * (1.0 - u)
    low += _texel(mesh, m, ix + 1, iy + 1) * u
    return top * (1.0 - v) + low * v


@wp.func
def _bumped(p: Point, slope: wp.vec3) -> wp.vec3:
    # The slope's tangential part, turned with the shortest turn from rest normal to normal.
    rest = p.coords_face
    size = wp.length(rest)
    if wp.length_sq(slope) == 0.0 or size < 1.0e-12:
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
def ambient_light(sh: wp.array[wp.vec3], n: wp.vec3) -> wp.vec3:
    """Return what a white matte surface with normal `n` reflects of the ambient light."""
    x, y, z = n[0], n[1], n[2]
    out = sh[0] * 0.28209479 + sh[1] * (0.48860251 * y) + sh[2] * (0.48860251 * z)
    out += sh[3] * (0.48860251 * x) + sh[4] * (1.09254843 * x * y)
    out += sh[5] * (1.09254843 * y * z) + sh[6] * (0.31539157 * (3.0 * z * z - 1.0))
    out += sh[7] * (1.09254843 * x * z) + sh[8] * (0.54627422 * (x * x - y * y))
    return wp.max(out, wp.vec3(0.0, 0.0, 0.0))


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
    return sunlight(lamps.shadow, p.world + p.face * lift + lamps.sun * away)


@wp.func
def _open_sky(lamps: Lamps, p: Point) -> float:
    # Floors lose sky to what stands on them; what stands loses it low down, facing down.
    z = wp.max(p.world[2], 0.0)
    if z > 0.6:
        return 1.0
    loss = float(0.0)
    if p.face[2] > 0.7:
        loss = sky_loss(lamps.contact, p.world[0], p.world[1]) * (1.0 - smooth(0.01, 0.05, z))
    down = 0.5 - 0.5 * p.normal[2]
    return (1.0 - loss) * (1.0 - 0.7 * down * wp.exp(-z * 9.0))


@wp.func
def _lit(lamps: Lamps, p: Point, s: Look, m: Mat) -> wp.vec3:
    n = _bumped(p, s.slope)
    facing = wp.max(wp.dot(n, p.view), 0.0)
    sky = ambient_light(lamps.ambient, n) * _open_sky(lamps, p)
    cosine = wp.dot(n, lamps.sun)
    sun = lamps.sun_rgb * 0.0
    bright = wp.vec3(0.0, 0.0, 0.0)
    if cosine > -0.3:
        share = _sun_share(lamps, p, m)
        if share > 0.0:
            sun = wp.cw_mul(lamps.sun_rgb, _wrapped(m, cosine)) * share
            bright = lamps.sun_rgb * (share * _gloss(n, p.view, lamps.sun, s))
    rim = 1.0 - facing
    rim = rim * rim
    out = wp.cw_mul(s.rgb, sky + sun) * (1.0 - s.specular) + bright
    if m.sheen > 0.0 and m.kind != SKIN:
        # Fibres that stand up catch light at the rim: half the cloth's colour, half white.
        fibres = s.rgb * 0.5 + wp.vec3(0.06, 0.06, 0.06)
        out += wp.cw_mul(fibres, sky + sun) * (m.sheen * rim * rim)
    mirror = sky
    if s.roughness < 0.5:
        mirror = ambient_light(lamps.ambient, n * (2.0 * facing) - p.view)
    grazing = s.specular + (1.0 - s.specular) * rim * rim * rim * (1.0 - s.roughness) * 0.5
    return (out + mirror * wp.min(grazing, 1.0)) * lamps.exposure


@wp.func
def _toned(x: float) -> float:
    # Above 0.8 highlights roll off towards 1 with a continuous slope; below nothing changes.
    if x <= 0.8:
        return wp.max(x, 0.0)
    return 1.0 - 0.2 * wp.exp((0.8 - x) * 5.0)


@wp.func
def shaded(mesh: Mesh, eye: Eye, lamps: Lamps, triangle: int, ray: wp.vec3) -> wp.vec3:
    """Return the light, toned to 0..1, that a triangle sends along a camera ray."""
    p = point_under(mesh, eye, triangle, ray)
    m = mesh.materials[mesh.surface[triangle]]
    tint = p.tint
    if m.kind == TEXTURE and m.width > 0:
        tint = wp.cw_mul(tint, _texture(mesh, m, p.coords))
    rgb = _lit(lamps, p, look(m, p.coords, p.coords_face, p.foot_m, tint), m)
    return wp.vec3(_toned(rgb[0]), _toned(rgb[1]), _toned(rgb[2]))


@wp.func
def floor_keeps(eye: Eye, lamps: Lamps, ray: wp.vec3) -> wp.vec3:
    """Return what the undrawn floor under a ray keeps of its light; 1 where no shadow falls."""
    one = wp.vec3(1.0, 1.0, 1.0)
    way = eye.turn * ray
    if way[2] > -1.0e-4 or eye.place[2] <= 0.0:
        return one
    p = eye.place - way * (eye.place[2] / way[2])
    loss = sky_loss(lamps.contact, p[0], p[1])
    texel = lamps.shadow.texel_m
    share = sunlight(lamps.shadow, p + lamps.sun * (0.002 + 0.5 * texel))
    if loss <= 0.0 and share >= 1.0:
        return one
    up = wp.vec3(0.0, 0.0, 1.0)
    sky = wp.max(ambient_light(lamps.ambient, up), wp.vec3(1.0e-4, 1.0e-4, 1.0e-4))
    sun = lamps.sun_rgb * wp.max(lamps.sun[2], 0.0)
    kept = wp.cw_div(sky * (1.0 - loss) + sun * share, sky + sun)
    # Near the horizon the floor is a guess: shadows fade out there.
    sure = smooth(0.01, 0.06, -way[2] / wp.length(way))
    return one + (kept - one) * sure
