"""Appearance of a surface point: colour, bump and gloss from its texture coordinates (Warp).

The fields of `core.spec.Material`, beyond their names:
* `stripes` run across the garment at angle 0 (they repeat along z), one repeat is a light and
  a dark band; `bricks`: `scale_m` is a brick's length; `planks`: a plank's width, along x.
* skin: `second_rgb` brows and stubble, `sheen` the strength of stubble, `bump` of freckles,
  `wrinkles` of blotches.
* hair: `second_rgb` the streaks.
"""

# mypy: ignore-errors
# (Warp compiles these functions from their source; their types are not Python's.)

import warp as wp

from synthstudio.render.kernels.patterns import Mat, blend, noise, pattern_rgb, sided, smooth
from synthstudio.render.kernels.prints import print_rgb
from synthstudio.render.kernels.wrinkles import blotched, folded

wp.set_module_options({"enable_backward": False, "fuse_fp": False})

MATTE, CLOTH, SKIN = wp.constant(0), wp.constant(1), wp.constant(2)
EYE, HAIR, TEXTURE = wp.constant(3), wp.constant(4), wp.constant(5)
FIRST_PRINT = wp.constant(14)


@wp.struct
class Look:
    """A surface point ready for light: `slope` is the bump's gradient in texture space."""

    rgb: wp.vec3
    slope: wp.vec3
    roughness: float
    specular: float


@wp.func
def _printed(ms: wp.array[Mat], k: int, c: wp.vec3, foot_m: float) -> wp.vec3:
    if ms[k].pattern >= FIRST_PRINT:
        return print_rgb(ms, k, c, foot_m)
    return pattern_rgb(ms, k, c, foot_m)


@wp.func
def _matte(
    ms: wp.array[Mat], k: int, c: wp.vec3, face: wp.vec3, foot_m: float, tint: wp.vec3
) -> Look:
    out = Look()
    out.rgb = wp.cw_mul(_printed(ms, k, sided(c, face), foot_m), tint)
    out.roughness = ms[k].roughness
    out.specular = ms[k].specular
    out.slope = wp.vec3(0.0, 0.0, 0.0)
    if ms[k].bump > 0.0:
        rough = noise(c * (6.0 * ms[k].per_m))
        fade = 1.0 - smooth(0.05, 0.2, foot_m * ms[k].per_m * 6.0)
        out.slope = wp.vec3(rough[1], rough[2], rough[3]) * (0.12 * ms[k].bump * fade)
    return out


@wp.func
def _cloth(ms: wp.array[Mat], k: int, c: wp.vec3, foot_m: float, tint: wp.vec3) -> Look:
    out = Look()
    rgb = wp.cw_mul(_printed(ms, k, c, foot_m), tint)
    out.slope = wp.vec3(0.0, 0.0, 0.0)
    if foot_m < 0.006:
        # Threads: one noise about 3 mm wide, gone before it could alias.
        weave = noise(c * 330.0)
        fade = 1.0 - smooth(0.001, 0.006, foot_m)
        rgb = rgb * (1.0 + 0.09 * weave[0] * fade)
        out.slope = wp.vec3(weave[1], weave[2], weave[3]) * (0.05 * fade)
    if ms[k].bump > 0.0:
        # Soft folds 10 cm apart, longer along the garment than round it, and creases on them.
        fold = noise(wp.vec3(c[0] * 11.0, c[1] * 11.0, c[2] * 7.0))
        crease = noise(wp.vec3(c[0] * 26.0 + 1.3 * fold[0], c[1] * 26.0, c[2] * 17.0))
        near = 1.0 - smooth(0.008, 0.025, foot_m)
        tight = 0.11 * near * (1.0 - wp.abs(crease[0]))
        out.slope = out.slope + ms[k].bump * wp.vec3(
            0.2 * fold[1] + tight * crease[1],
            0.2 * fold[2] + tight * crease[2],
            0.13 * fold[3] + 0.7 * tight * crease[3],
        )
        rgb = rgb * (1.0 + 0.05 * ms[k].bump * fold[0])
    if ms[k].wrinkles > 0.0:
        worn = folded(c, foot_m, 97.0 * ms[k].roughness)
        out.slope = out.slope + wp.vec3(worn[1], worn[2], worn[3]) * ms[k].wrinkles
        rgb = rgb * wp.exp(worn[0] * ms[k].wrinkles)
    out.rgb = rgb
    out.roughness = ms[k].roughness
    out.specular = ms[k].specular
    return out


@wp.func
def _brow(c: wp.vec3) -> float:
    # Template coordinates: an arc at z 0.669, |x| 0.010 to 0.052, 4.5 mm half-thick, tapering.
    x = wp.abs(c[0])
    if c[1] > -0.07 or c[2] < 0.655 or c[2] > 0.685 or x > 0.056 or x < 0.007:
        return 0.0
    t = (x - 0.010) / 0.042
    arc = 0.6665 + 0.0065 * t * (1.7 - 1.25 * t)
    half = 0.0045 * (1.0 - 0.6 * smooth(0.45, 1.0, t))
    streak = noise(wp.vec3(c[0] * 900.0, c[2] * 420.0 - x * 500.0, 1.5))[0]
    inside = 1.0 - smooth(0.55 * half, half * (1.12 + 0.22 * streak), wp.abs(c[2] - arc))
    ends = smooth(0.007, 0.013, x) * (1.0 - smooth(0.046, 0.054, x))
    return inside * ends * (0.82 + 0.18 * streak)


@wp.func
def _stubble(c: wp.vec3) -> float:
    # Jaw, chin and upper lip: below the cheekbones, in front of the ears, not on the lips.
    if c[1] > -0.01 or c[2] > 0.61 or c[2] < 0.50:
        return 0.0
    x = wp.abs(c[0])
    top = 0.598 + 0.1 * wp.max(x - 0.03, 0.0)
    area = (1.0 - smooth(top - 0.012, top, c[2])) * smooth(0.505, 0.53, c[2])
    lips = smooth(0.006, 0.013, wp.abs(c[2] - 0.580)) + smooth(0.022, 0.03, x)
    dense = 0.72 + 0.28 * noise(c * 700.0)[0]
    return area * wp.min(lips, 1.0) * dense * smooth(-0.01, -0.03, c[1])


@wp.func
def _freckles(c: wp.vec3) -> float:
    spots = noise(c * 260.0)[0] + 0.4 * noise(c * 90.0)[0]
    face = wp.exp(-((c[2] - 0.632) * (c[2] - 0.632)) * 1500.0)
    return smooth(0.45, 0.8, spots) * (0.25 + 0.75 * face * smooth(-0.05, -0.09, c[1]))


@wp.func
def _skin(ms: wp.array[Mat], k: int, c: wp.vec3, foot_m: float, tint: wp.vec3) -> Look:
    out = Look()
    rgb = wp.cw_mul(ms[k].base, tint)
    patch = noise(c * 28.0)
    rgb = wp.cw_mul(rgb, wp.vec3(1.0, 1.0, 1.0) + wp.vec3(0.02, 0.04, 0.045) * patch[0])
    if ms[k].wrinkles > 0.0:
        rgb = wp.cw_mul(rgb, blotched(c, foot_m, ms[k].wrinkles))
    out.slope = wp.vec3(0.0, 0.0, 0.0)
    if foot_m < 0.005:
        pores = noise(c * 240.0)
        fade = 1.0 - smooth(0.0008, 0.005, foot_m)
        rgb = rgb * (1.0 + 0.06 * pores[0] * fade)
        out.slope = wp.vec3(pores[1], pores[2], pores[3]) * (0.045 * fade)
    if c[2] > 0.49 and c[1] < -0.01:
        x = wp.abs(c[0]) - 0.048
        cheek = wp.exp(-(x * x + (c[2] - 0.612) * (c[2] - 0.612)) * 2600.0)
        nose = wp.exp(-(c[0] * c[0] + (c[2] - 0.617) * (c[2] - 0.617)) * 5200.0)
        flush = wp.min(cheek * 0.8 + nose * smooth(-0.11, -0.13, c[1]), 1.0)
        rgb = wp.cw_mul(rgb, wp.vec3(1.0, 1.0, 1.0) - wp.vec3(-0.01, 0.07, 0.065) * flush)
        if ms[k].sheen > 0.0:
            rgb = blend(rgb, wp.cw_mul(rgb, ms[k].second) * 0.9, 0.75 * ms[k].sheen * _stubble(c))
        if ms[k].bump > 0.0:
            rgb = wp.cw_mul(
                rgb, wp.vec3(1.0, 1.0, 1.0) - wp.vec3(0.2, 0.36, 0.45) * (ms[k].bump * _freckles(c))
            )
        rgb = blend(rgb, ms[k].second, 0.9 * _brow(c))
    out.rgb = rgb
    out.roughness = ms[k].roughness + 0.06 * patch[0]
    out.specular = ms[k].specular
    return out


@wp.func
def _eye(ms: wp.array[Mat], k: int, c: wp.vec3) -> Look:
    # Angle to -y: pupil 0.19 rad, iris 0.49, its rim dark from 0.40; compared as cosines.
    forward = -c[1] / wp.max(wp.length(c), 1.0e-6)
    iris = smooth(0.872, 0.892, forward)
    pupil = smooth(0.976, 0.988, forward)
    rim = smooth(0.905, 0.945, forward)
    streak = noise(wp.vec3(c[0] * 14.0, forward * 9.0, c[2] * 14.0))[0]
    colour = ms[k].base * (0.45 + 0.55 * rim) * (1.0 + 0.3 * streak)
    corner = wp.min(wp.abs(c[0]), 1.0)
    sclera = wp.vec3(0.72, 0.68, 0.65) * (1.0 - 0.45 * corner * corner)
    out = Look()
    out.rgb = blend(blend(sclera, colour, iris), wp.vec3(0.008, 0.007, 0.007), pupil)
    out.slope = wp.vec3(0.0, 0.0, 0.0)
    out.roughness = 0.14
    out.specular = 0.05
    return out


@wp.func
def _hair(ms: wp.array[Mat], k: int, c: wp.vec3, foot_m: float, tint: wp.vec3) -> Look:
    # Texture space is an angle about the crown, so 26 strands lie round a circle of 2 pi.
    strand = noise(wp.vec3(c[0] * 13.0, c[1] * 13.0, c[2] * 1.6))
    fine = noise(wp.vec3(c[0] * 41.0, c[1] * 41.0, c[2] * 3.0))
    fade = 1.0 - smooth(0.002, 0.008, foot_m)
    value = 0.24 * strand[0] + 0.22 * fade * fine[0]
    out = Look()
    out.rgb = wp.cw_mul(blend(ms[k].base, ms[k].second, wp.clamp(0.3 + value, 0.0, 1.0)), tint)
    out.rgb = out.rgb * (1.0 + 0.7 * value)
    slope = wp.vec3(strand[1] + fade * fine[1], strand[2] + fade * fine[2], 0.0)
    out.slope = slope * 0.15
    out.roughness = ms[k].roughness
    out.specular = ms[k].specular * (1.0 + 0.6 * value)
    return out


@wp.func
def look(
    ms: wp.array[Mat], k: int, c: wp.vec3, face: wp.vec3, foot_m: float, tint: wp.vec3
) -> Look:
    """The look of material `k` at texture coordinates `c`.

    `face` is the face's normal in texture space, `foot_m` a pixel's width on the surface.
    Texture lookups are the caller's: kind "texture" comes with its texel in `tint`.
    """
    if ms[k].kind == CLOTH:
        return _cloth(ms, k, c, foot_m, tint)
    if ms[k].kind == SKIN:
        return _skin(ms, k, c, foot_m, tint)
    if ms[k].kind == EYE:
        return _eye(ms, k, c)
    if ms[k].kind == HAIR:
        return _hair(ms, k, c, foot_m, tint)
    if ms[k].kind == TEXTURE:
        out = Look()
        out.rgb = wp.cw_mul(ms[k].base, tint)
        out.slope = wp.vec3(0.0, 0.0, 0.0)
        out.roughness = ms[k].roughness
        out.specular = ms[k].specular
        return out
    return _matte(ms, k, c, face, foot_m, tint)
