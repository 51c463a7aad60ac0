"""Appearance of a surface point: colour, bump and gloss from its texture coordinates (Warp).

The fields of `core.spec.Material`, beyond their names:
* `stripes` run across the garment at angle 0 (they repeat along z), one repeat is a light and
  a dark band; `bricks`: `scale_m` is a brick's length; `planks`: a plank's width, along x.
* skin: `second_rgb` brows and stubble, `sheen` the strength of stubble, `bump` of freckles,
  `wrinkles` of blotches.
* hair: `second_rgb` the streaks.
"""

import warp as wp

from synthstudio.render.kernels.patterns import (
    Mat,
    blend,
    noise,
    pattern_rgb,
    print_rgb,
    sided,
    smooth,
)

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
def _plain(ms: wp.array[Mat], k: int, rgb: wp.vec3) -> Look:
    out = Look()
    out.rgb = rgb
    out.roughness = ms[k].roughness
    out.specular = ms[k].specular
    return out


@wp.func
def _printed(ms: wp.array[Mat], k: int, c: wp.vec3, foot_m: float) -> wp.vec3:
    if ms[k].pattern >= FIRST_PRINT:
        return print_rgb(ms, k, c, foot_m)
    return pattern_rgb(ms, k, c, foot_m)


@wp.func
def _matte(
    ms: wp.array[Mat], k: int, c: wp.vec3, face: wp.vec3, foot_m: float, tint: wp.vec3
) -> Look:
    out = _plain(ms, k, wp.cw_mul(_printed(ms, k, sided(c, face), foot_m), tint))
    if ms[k].bump > 0.0:
        rough = noise(c * (6.0 * ms[k].per_m))
        fade = 1.0 - smooth(0.05, 0.2, foot_m * ms[k].per_m * 6.0)
        out.slope = wp.vec3(rough[1], rough[2], rough[3]) * (0.12 * ms[k].bump * fade)
    return out


@wp.func
def _cloth(ms: wp.array[Mat], k: int, c: wp.vec3, foot_m: float, tint: wp.vec3) -> Look:
    out = _plain(ms, k, wp.cw_mul(_printed(ms, k, c, foot_m), tint))
    if foot_m < 0.006:
        # Threads: one noise about 3 mm wide, gone before it could alias.
        weave = noise(c * 330.0)
        fade = 1.0 - smooth(0.001, 0.006, foot_m)
        out.rgb = out.rgb * (1.0 + 0.09 * weave[0] * fade)
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
        out.rgb = out.rgb * (1.0 + 0.05 * ms[k].bump * fold[0])
    if ms[k].wrinkles > 0.0:
        worn = folded(c, foot_m, 97.0 * ms[k].roughness)
        out.slope = out.slope + wp.vec3(worn[1], worn[2], worn[3]) * ms[k].wrinkles
        out.rgb = out.rgb * wp.exp(worn[0] * ms[k].wrinkles)
    return out


# Wrinkles of worn cloth and blotches of skin, from texture coordinates in metres. Cloth: two rows
# of folds about 12 and 6 cm apart, that lean to either side, bend with noise and come and go, and
# crumples of 2 cm. Their valleys are sharp. Sky does not reach into valleys: how dark they are
# comes from the height itself, its mean over cloth taken off.


@wp.func
def _folds(phase: float) -> wp.vec2:
    # How far into a valley of a row of folds of period 1 a point is (a third on average), and
    # the slope: ridges are round, valleys at the halves sharp.
    t = phase - wp.floor(phase)
    d = wp.abs(2.0 * t - 1.0)
    rise = 4.0 * (1.0 - d) * smooth(0.0, 0.2, d)
    return wp.vec2((1.0 - d) * (1.0 - d), wp.where(t < 0.5, -rise, rise))


@wp.func
def folded(c: wp.vec3, foot_m: float, shift: float) -> wp.vec4:
    """The logarithm of how much lighter worn cloth is at `c`, and the slope of its folds.

    `shift` tells one piece of cloth from another.
    """
    if foot_m > 0.15:
        return wp.vec4(0.0, 0.0, 0.0, 0.0)
    away = wp.vec3(shift, 1.7 * shift, 0.6 * shift)
    place = noise(c * 5.0 + away)
    bent = noise(c * 8.5 + away + wp.vec3(3.1, 5.7, 1.9))
    sway = wp.vec3(place[1], place[2], place[3])
    turn = wp.vec3(bent[1], bent[2], bent[3])
    # Long folds that lean one way, shorter ones that lean the other; each comes and goes.
    ahead = wp.vec3(6.0, 3.0, -6.0)
    one = _folds(wp.dot(ahead, c) + 0.8 * place[0] + 0.45 * bent[0] + shift)
    fade = 1.0 - smooth(0.03, 0.09, foot_m)
    much = 0.12 + 0.88 * smooth(-0.4, 0.5, bent[0]) * smooth(-0.8, 0.6, bent[2] + place[1])
    much *= fade
    tone = much * (0.3333 - one[0])
    out = (ahead + sway * 4.0 + turn * 3.8) * (one[1] * much * 0.06)
    fade = 1.0 - smooth(0.015, 0.045, foot_m)
    if fade > 0.0:
        back = wp.vec3(9.0, -4.0, 13.0)
        two = _folds(wp.dot(back, c) + 0.7 * bent[0] - 1.0 * place[0])
        much = fade * smooth(-0.25, 0.4, 0.0 - place[0]) * smooth(-0.9, 0.5, bent[1] - place[3])
        tone += 0.9 * much * (0.3333 - two[0])
        out = out + (back + turn * 6.0 - sway * 5.0) * (two[1] * much * 0.03)
    fade = 1.0 - smooth(0.006, 0.02, foot_m)
    if fade > 0.0:
        fine = noise(wp.vec3((c[0] + 0.5 * c[2]) * 45.0 + 1.5 * bent[0], c[1] * 45.0, c[2] * 24.0))
        valley = 1.0 - wp.abs(fine[0])
        much = fade * smooth(-0.3, 0.6, place[0]) * valley * valley
        tone += 0.4 * (fade * smooth(-0.3, 0.6, place[0]) * 0.45 - much)
        out = out + wp.vec3(fine[1], fine[2], fine[3] * 0.6) * (0.4 * much)
    tone = 2.4 * tone + 0.25 * bent[0] * (1.0 - smooth(0.05, 0.15, foot_m))
    return wp.vec4(tone, out[0] * 1.4, out[1] * 1.4, out[2] * 1.4)


@wp.func
def blotched(c: wp.vec3, foot_m: float, strength: float) -> wp.vec3:
    """Factor of blotches on skin: redder and paler patches of 2 to 10 cm, darker spots."""
    wide = noise(c * 11.0 + wp.vec3(8.3, 1.1, 4.7))[0]
    mid = noise(c * 37.0 + wp.vec3(1.7, 6.1, 2.3))[0] * (1.0 - smooth(0.008, 0.03, foot_m))
    red = 0.6 * wide + 0.4 * mid
    dark = 0.5 * mid - 0.5 * noise(c * 19.0)[0]
    tone = wp.vec3(0.1, -0.12, -0.16) * red + wp.vec3(0.16, 0.2, 0.2) * dark
    return wp.vec3(1.0, 1.0, 1.0) + tone * strength


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
            # The fourth colour is the second unless brows are worn.
            rgb = blend(rgb, wp.cw_mul(rgb, ms[k].fourth) * 0.9, 0.75 * ms[k].sheen * _stubble(c))
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
    rgb = wp.cw_mul(blend(ms[k].base, ms[k].second, wp.clamp(0.3 + value, 0.0, 1.0)), tint)
    out = _plain(ms, k, rgb * (1.0 + 0.7 * value))
    slope = wp.vec3(strand[1] + fade * fine[1], strand[2] + fade * fine[2], 0.0)
    out.slope = slope * 0.15
    out.specular = ms[k].specular * (1.0 + 0.6 * value)
    return out


@wp.func
def look(
    ms: wp.array[Mat], k: int, c: wp.vec3, face: wp.vec3, foot_m: float, tint: wp.vec3
) -> Look:
    """The look of material `k` at texture coordinates `c`.

    `face` is the face's normal in texture space, `foot_m` a pixel's width on the surface.
    Texture lookups are the caller's: a texture comes with its texel in `tint`.
    """
    if ms[k].kind == CLOTH:
        return _cloth(ms, k, c, foot_m, tint)
    if ms[k].kind == SKIN and ms[k].width == 0:
        return _skin(ms, k, c, foot_m, tint)
    if ms[k].kind == EYE:
        return _eye(ms, k, c)
    if ms[k].kind == HAIR:
        return _hair(ms, k, c, foot_m, tint)
    if ms[k].kind == TEXTURE or ms[k].kind == SKIN:
        return _plain(ms, k, wp.cw_mul(ms[k].base, tint))
    return _matte(ms, k, c, face, foot_m, tint)
