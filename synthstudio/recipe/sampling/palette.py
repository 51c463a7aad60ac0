"""Colours and materials: cloth mostly dull, skin over the human range, floors, walls, objects.

Colours are written as sRGB hex and stored as linear RGB.
"""

import dataclasses
import functools
import math
from collections.abc import Mapping, Sequence

from synthstudio.core.catalogue import MeshAsset, ObjectKind
from synthstudio.core.rng import Generator
from synthstudio.core.spec import Material, Pattern, Vec3
from synthstudio.recipe.schema.distributions import pick


def linear(hex_rgb: str) -> Vec3:
    """The linear RGB of an sRGB colour such as "8a6f4d" (IEC 61966-2-1)."""
    levels = (int(hex_rgb[i : i + 2], 16) / 255 for i in (0, 2, 4))
    r, g, b = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in levels)
    return r, g, b


def _row(text: str) -> tuple[Vec3, ...]:
    return tuple(linear(part) for part in text.split())


# Navy, greys, black, white, khaki, olive, brown, wine, slate, dusty blue, beige, sage.
_DULL = _row(
    "1f2a44 2b2b2e 3c3f45 55585c 7b7e80 a5a6a3 d8d6cf efeee9 b8a888 8d7f5f 5a5a3c 4a3a2c "
    "6b4a36 5b2430 3a4a5c 6f8296 97a7b5 c9b79c 7d8a72 4d5b52 2a3a33 8a5a4a 9c8f86 161618"
)
_SATURATED = _row("b3202c d1602a d9a520 2f7a3f 1f6fa8 2b4fc0 6a3a9a c03a78 0f8a86 e0c030 e87a90")
# Colours that contrast in print with dark and with light cloth.
_PALE = _row("efeee9 e6dfc8 f2d24a f0b6c0 bfe0ea d8d6cf")
_DEEP = _row("161618 1f2a44 5b2430 2a3a33 1f4f8a 3a1f4a")
_WARNING = _row("c8e020 d4ec28 f07020 f28a1c")
_MEDICAL = _row("4a7f84 5b8f8a 3d5f86 6f93ab 8fb0b4 dfe4e4")
_BANDS = _row("c8ccd0 b4b8bc")
_SHOES = _row("1a1a1b 2b211b 4a3222 6e4a2e e6e4df bdbbb5 2d3546 7a2026 8a8d90 39413a")
_SOLES = _row("f0efea d6d3c8 1c1c1c 3a332b 8a7a60")
_HAIR = {
    "130f0e": 34, "231811": 26, "3a261a": 16, "5a3c25": 9, "8b6a42": 5, "b9965f": 4, "c9ae7e": 2,
    "7a3b1d": 3, "96948f": 1,
}  # fmt: skip
_GREY_HAIR = _row("8d8b88 b5b3af dbd9d4 5d5a57")
_DYED_HAIR = _row("8a2f5a 2f5f8a 7a2222")
_IRIS = {"3b2413": 45, "55351c": 25, "6b5a2c": 10, "5c6b3c": 6, "5b7f9c": 9, "7a8790": 5}
_DARK_IRIS = {"2a1a0f": 60, "3b2413": 40}
_FRAMES = _row("141414 1c1a19 3a2a20 6a4a30 8f8f8d b59a5a 2a2f44 5a1f26")
_LENSES = _row("0c0d0f 15120e 101820 1e1a12")
_MASKS = _row("9cc7d6 a9cfdc e8eaea f2f2f0 1c1d20 8fb7a8")
# Linear albedo of the lightest and darkest skin: research with measured prototypes; between
# them each channel is interpolated in the logarithm, as melanin's absorption is.
_LIGHT_SKIN: Vec3 = (0.72, 0.52, 0.42)
_DARK_SKIN: Vec3 = (0.11, 0.055, 0.035)
_PAINT = _row(
    "8a8c8e 5d6064 c9c7c0 3b3d40 7a4a2a a8683a 2f4a66 4f6b4a 9a2a24 d0a83a 22507a e6e2d8 5b4636"
)
# First colours, each with its matching second colour.
_SURFACE_HEX: dict[Pattern, tuple[str, str]] = {
    "wood": ("8f6a43 6b4a2d a9835a 4b3220 c2a27a", "5d4228 4a301c 7c5c39 2f1e12 96764e"),
    "planks": ("8f6a43 6b4a2d a9835a 9a948a c2a27a", "4d3722 38261a 5e452c 5a564f 7a5f3f"),
    "bricks": ("8c4a36 a05c44 7a3c2c b08a6a d8d2c8", "b8b0a4 a8a096 cfc8bd 8a8278 b5aea2"),
    "tiles": ("d8d5cc b9b4a8 8e9aa0 a4917a e8e6e0", "9a968c 7f7b72 b3aea4 6a665f c9c5ba"),
    "concrete": ("9b9a96 85847f b3b1ab 6f6e6a", "7d7c78 6a6965 95938e 575653"),
    "grass": ("4b6a2c 5d7a35 3d5a28 77803f", "2f4a1c 3b5522 263d18 5a5f2c"),
}
_SURFACE = {pattern: (_row(first), _row(other)) for pattern, (first, other) in _SURFACE_HEX.items()}
_SCALE_M: dict[Pattern, tuple[float, float]] = {
    "plain": (0.1, 0.1), "stripes": (0.02, 0.11), "checks": (0.025, 0.09), "dots": (0.025, 0.08),
    "plaid": (0.06, 0.16), "camouflage": (0.12, 0.28), "denim": (0.02, 0.03), "knit": (0.008, 0.02),
    "wood": (0.08, 0.2), "bricks": (0.2, 0.26), "tiles": (0.15, 0.6), "concrete": (0.4, 1.2),
    "grass": (0.1, 0.3), "planks": (0.09, 0.2),
    "floral": (0.06, 0.17), "abstract": (0.08, 0.25), "logo": (0.1, 0.2),
}  # fmt: skip
_DENIM = _row("27374f 33486b 4c6486 1a2230 6f88a6 22252b")

_USUAL = 0.4
"""How often an object has the builder's default colours."""

# Rows of the matrix from linear sRGB to CIE XYZ (IEC 61966-2-1), each over the white's.
_TO_XYZ = (
    (0.4339, 0.3762, 0.1899),
    (0.2126, 0.7152, 0.0722),
    (0.0178, 0.1095, 0.8727),
)


def choose(colours: Sequence[Vec3], rng: Generator) -> Vec3:
    """One of the colours with small random changes of lightness and tint."""
    colour = colours[int(rng.random() * len(colours))]
    gain = math.exp((rng.random() - 0.5) * 0.36)
    tints = [math.exp((rng.random() - 0.5) * 0.1) for _ in range(3)]
    r, g, b = (min(max(c * gain * t, 0.004), 0.9) for c, t in zip(colour, tints, strict=True))
    return r, g, b


def difference(a: Vec3, b: Vec3) -> float:
    """The difference of two linear RGB colours: CIE 1976, sRGB's white."""
    return math.dist(_lab(a), _lab(b))


def _lab(rgb: Vec3) -> Vec3:
    share = [sum(k * c for k, c in zip(row, rgb, strict=True)) for row in _TO_XYZ]
    x, y, z = (s ** (1 / 3) if s > 216 / 24389 else (24389 / 27 * s + 16) / 116 for s in share)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def between(low: float, high: float, rng: Generator) -> float:
    return low + (high - low) * float(rng.random())


def skin_rgb(tone: float, rng: Generator) -> Vec3:
    """Linear albedo of skin: tone 0 the lightest, 1 the darkest."""
    red, blue = between(0.96, 1.06, rng), between(0.94, 1.06, rng)
    r, g, b = _skin(tone)
    return min(r * red, 0.8), g, b * blue


def _skin(tone: float) -> Vec3:
    r, g, b = (
        math.exp(math.log(light) * (1 - tone) + math.log(dark) * tone)
        for light, dark in zip(_LIGHT_SKIN, _DARK_SKIN, strict=True)
    )
    return r, g, b


def from_skin(rgb: Vec3) -> float:
    """The difference of a colour from the nearest skin colour."""
    own = _lab(rgb)
    return min(math.dist(own, other) for other in _skins_lab())


@functools.cache
def _skins_lab() -> tuple[Vec3, ...]:
    return tuple(_lab(_skin(tone / 10)) for tone in range(11))


def hair_rgb(tone: float, age: float, rng: Generator) -> Vec3:
    """Linear albedo of hair: grey with age, fair hair rare with dark skin."""
    grey, dyed = rng.random() < max(0.0, (age - 0.72) * 2.8), rng.random() < 0.01
    if grey:
        return choose(_GREY_HAIR, rng)
    if dyed:
        return choose(_DYED_HAIR, rng)
    fair = max(0.01, 1 - 1.8 * tone)  # all but the three darkest
    weights = {name: of * (fair if i >= 3 else 1.0) for i, (name, of) in enumerate(_HAIR.items())}
    return choose((linear(pick(weights, rng)),), rng)


def iris_rgb(tone: float, rng: Generator) -> Vec3:
    dark = rng.random() < 1.6 * (tone - 0.2)
    weights: Mapping[str, float] = _DARK_IRIS if dark else _IRIS
    return choose((linear(pick(weights, rng)),), rng)


def cloth(
    patterns: Sequence[Pattern], rng: Generator, *, patterned: float, saturated: float
) -> Material:
    """Cloth in one of the garment's patterns; `patterned` and `saturated` are chances.

    Denim and knit are structures of cloth rather than patterns: they share the plain part.
    """
    made = [p for p in patterns if p in ("plain", "denim", "knit")]
    printed = [p for p in patterns if p not in ("plain", "denim", "knit")]
    use = printed if printed and (rng.random() < patterned or not made) else made
    pattern: Pattern = use[int(rng.random() * len(use))] if use else "plain"
    base = choose(_SATURATED if rng.random() < saturated else _DULL, rng)
    second = choose(_SATURATED if rng.random() < saturated * 0.7 else _DULL, rng)
    if pattern == "denim":
        base = choose(_DENIM, rng)
        second = _scaled(base, 1.5)
    return Material(
        kind="cloth",
        base_rgb=base,
        second_rgb=_apart(base, second) if pattern != "denim" else second,
        pattern=pattern,
        scale_m=between(*_SCALE_M[pattern], rng),
        angle_rad=_cloth_angle(pattern, rng),
        roughness=between(0.7, 0.95, rng),
        specular=between(0.01, 0.04, rng),
        sheen=between(0.0, 0.35, rng),
        bump=between(0.3, 1.0, rng),
    )


def high_visibility(rng: Generator) -> tuple[Material, Material]:
    """The materials of a warning vest and of the bands on it."""
    vest = Material(kind="cloth", base_rgb=choose(_WARNING, rng), roughness=0.8, sheen=0.2)
    bands = Material(kind="cloth", base_rgb=choose(_BANDS, rng), roughness=0.35, specular=0.06)
    return vest, bands


def medical(rng: Generator) -> tuple[Material, Material]:
    """The cloth of scrubs, gowns and caps of hospitals, of one colour."""
    cloth = Material(kind="cloth", base_rgb=choose(_MEDICAL, rng), roughness=0.9, sheen=0.1)
    return cloth, cloth


def printed(material: Material, patterns: Sequence[Pattern], rng: Generator) -> Material:
    """The cloth with one of those prints, in its colour and two to four others."""
    pattern = patterns[int(rng.random() * len(patterns))]
    scale_m, turn = between(*_SCALE_M[pattern], rng), between(-math.pi, math.pi, rng)
    count = 1 + int(rng.random() * 3)
    others = [choose(_SATURATED if rng.random() < 0.5 else _DULL, rng) for _ in range(count)]
    dark = luminance(material.base_rgb) < 0.2
    others.insert(0, choose(_PALE if dark else _DEEP, rng))
    return dataclasses.replace(
        material,
        pattern=pattern,
        scale_m=scale_m,
        angle_rad=turn,
        second_rgb=_apart(material.base_rgb, others[0]),
        more_rgb=tuple(others[1:]),
    )


def luminance(rgb: Vec3) -> float:
    return sum(share * c for share, c in zip(_TO_XYZ[1], rgb, strict=True))


def _cloth_angle(pattern: Pattern, rng: Generator) -> float:
    u = rng.random()
    if pattern == "stripes":
        return 0.0 if u < 0.6 else math.pi / 2 if u < 0.85 else math.pi / 4
    return math.pi / 4 if pattern in ("checks", "plaid") and u < 0.15 else 0.0


def _scaled(rgb: Vec3, by: float) -> Vec3:
    r, g, b = (min(c * by, 0.9) for c in rgb)
    return r, g, b


def _apart(base: Vec3, second: Vec3) -> Vec3:
    if max(abs(a - b) for a, b in zip(base, second, strict=True)) > 0.06:
        return second
    if sum(base) > 0.6:
        return _scaled(base, 0.35)
    r, g, b = (min(c + 0.3, 0.9) for c in base)
    return r, g, b


def shoes(rng: Generator) -> tuple[Material, Material]:
    """The materials of upper and sole."""
    upper = Material(
        kind="cloth",
        base_rgb=choose(_SHOES, rng),
        second_rgb=choose(_SHOES, rng),
        roughness=between(0.35, 0.8, rng),
        specular=between(0.03, 0.08, rng),
    )
    return upper, Material(kind="matte", base_rgb=choose(_SOLES, rng), roughness=0.8)


def hair(rgb: Vec3, rng: Generator) -> Material:
    return Material(
        kind="hair",
        base_rgb=rgb,
        second_rgb=_scaled(rgb, between(1.3, 2.2, rng)),
        roughness=between(0.35, 0.55, rng),
        specular=between(0.03, 0.06, rng),
    )


def glasses(rng: Generator) -> tuple[Material, Material]:
    """The materials of a frame and of dark lenses."""
    frame = Material(
        kind="matte",
        base_rgb=choose(_FRAMES, rng),
        roughness=between(0.2, 0.5, rng),
        specular=between(0.06, 0.2, rng),
    )
    return frame, Material(
        kind="matte",
        base_rgb=choose(_LENSES, rng),
        roughness=0.12,
        specular=between(0.03, 0.1, rng),
    )


def mask(rng: Generator) -> Material:
    return Material(kind="cloth", base_rgb=choose(_MASKS, rng), roughness=0.9, specular=0.02)


def surface(pattern: Pattern, rng: Generator) -> Material:
    """A hard surface: floor, wall or part of an object."""
    first, second = _SURFACE.get(pattern, (_PAINT, _PAINT))
    place = int(rng.random() * len(first))
    base = choose(first[place : place + 1], rng)
    other = choose(second[place : place + 1] if pattern in _SURFACE else second, rng)
    upright = pattern == "stripes"
    return Material(
        kind="matte",
        base_rgb=base,
        second_rgb=other if pattern in _SURFACE else _apart(base, other),
        pattern=pattern,
        scale_m=between(*_SCALE_M[pattern], rng),
        angle_rad=math.pi / 2 if upright else 0.0,
        roughness=between(0.4, 0.9, rng),
        specular=between(0.02, 0.06, rng),
        bump=between(0.2, 0.8, rng) if pattern in ("concrete", "bricks", "grass") else 0.0,
    )


def wall(pattern: Pattern, rng: Generator) -> Material:
    """A wall: as a surface, but plain and striped walls are light."""
    material = surface(pattern, rng)
    if pattern in _SURFACE:
        return material
    light = choose(_row("d9d4c8 c8cdd0 e6e0d2 b9c2b4 cfc0b0 a9b3bd dedede"), rng)
    return dataclasses.replace(
        material,
        base_rgb=light,
        second_rgb=_scaled(light, 0.8),
        scale_m=between(0.08, 0.3, rng),
        roughness=0.9,
        specular=0.02,
    )


def drawn_size(kind: ObjectKind, rng: Generator) -> Vec3:
    ranges = zip(kind.size_low_m, kind.size_high_m, strict=True)
    width, depth, height = (between(low, high, rng) for low, high in ranges)
    return width, depth, height


def held_near(kind: ObjectKind, skin_tone: float, rng: Generator) -> tuple[Material, ...]:
    """Skin, sleeve, then what the hand holds."""
    skin = Material(kind="matte", base_rgb=skin_rgb(skin_tone, rng), roughness=0.6)
    sleeve = cloth(("plain", "stripes", "plaid", "knit"), rng, patterned=0.4, saturated=0.3)
    return (skin, sleeve, *(surface("plain", rng) for _ in range(kind.materials - 2)))


def materials(kind: ObjectKind | MeshAsset, rng: Generator) -> tuple[Material, ...]:
    """As many materials as the kind's builder takes; none: its defaults, or a mesh's own.

    Kinds with a variant in their shape keep their own, such as green plants.
    """
    if isinstance(kind, MeshAsset):
        return ()
    patterns = kind.patterns or ("plain",)
    drawn = tuple(
        surface(patterns[int(rng.random() * len(patterns))], rng) for _ in range(kind.materials)
    )
    return () if rng.random() < _USUAL or "variant" in kind.shape else drawn
