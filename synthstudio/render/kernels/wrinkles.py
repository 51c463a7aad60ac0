"""Wrinkles of worn cloth and blotches of skin, from texture coordinates in metres (Warp).

Cloth: two rows of folds about 12 and 6 cm apart, that lean to either side, bend with noise and
come and go, and crumples of 2 cm. Their valleys are sharp. Sky does not reach into valleys: how
dark they are comes from the height itself, its mean over cloth taken off.
"""

# mypy: ignore-errors
# (Warp compiles these functions from their source; their types are not Python's.)

import warp as wp

from synthstudio.render.kernels.patterns import noise, smooth

wp.set_module_options({"enable_backward": False, "fuse_fp": False})


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
