"""Kinds that are worn only where a recipe names them. To add one: its cut, and one line here."""

from __future__ import annotations

from synthstudio.body.clothes import brims, limbs, outerwear, shirts, suits
from synthstudio.body.clothes.entry import (
    ALL,
    ANYBODY,
    BOTTOM,
    COAT,
    GLOVES,
    HAT,
    MEN,
    OVER,
    PELVIS,
    PLAIN,
    SCARF,
    SHIRT,
    SHOES,
    SOCKS,
    TIGHTS,
    TOP,
    TORSO,
    WOMEN,
    WOOL,
    Cutter,
    Entry,
)
from synthstudio.core.catalogue import GarmentKind, Slot, Worn
from synthstudio.core.spec import Pattern, Vec2

_GROWN: Vec2 = (0.6, 1.0)
_LOOSE: Vec2 = (0.8, 1.4)
_NOTHING_OVER = ("track_jacket", "gi", "tunic", "overalls", "long_coat", "wetsuit", "sports_bra")
_WORN: dict[str, Worn] = {
    **dict.fromkeys(("sports_bra", "running_shorts", "wetsuit", "gi"), "named_sport"),
    **dict.fromkeys(
        (
            "basketball_jersey",
            "track_jacket",
            "track_pants",
            "raglan_shirt",
            "numbered_shirt",
            "joggers",
            "high_tops",
        ),
        "named_always",
    ),
}
_AGES: dict[str, Vec2] = dict.fromkeys(("sports_bra", "crop_top", "mini_skirt"), _GROWN)
_TWO_TONE = ("raglan_shirt", "overalls", "wetsuit", "basketball_jersey")
_SKIRTS: tuple[Slot, ...] = ("legs",)


def _entry(
    cut: Cutter,
    slot: Slot,
    layer: int,
    patterns: tuple[Pattern, ...] = PLAIN,
    gender: Vec2 = ANYBODY,
    hides: frozenset[str] = frozenset(),
    /,
    **shape: Vec2,
) -> Entry:
    name = cut.__name__
    goes: tuple[Slot, ...] = ()
    if slot == "top" and layer == TOP:
        goes = ("neck", "hands") if name in _NOTHING_OVER else ("over", "neck", "hands")
    if hides >= PELVIS and name in _SHOW_LEGS:
        goes = (*goes, *_SKIRTS)
    return Entry(
        kind=GarmentKind(
            kind=name,
            slot=slot,
            shape=shape,
            patterns=patterns,
            steps=3,
            gender=gender,
            age=_AGES.get(name, (-1.0, 1.0)),
            worn=_WORN.get(name, "named"),
            whole=slot == "top" and hides >= PELVIS,
            goes_with=goes,
            two_tone=name in _TWO_TONE,
            dye="high_visibility" if name == "hi_vis_vest" else "cloth",
        ),
        cut=cut,
        layer=layer,
        hides=hides,
    )


_SHOW_LEGS = (
    "strap_dress", "shirt_dress", "pleated_skirt", "mini_skirt", "running_shorts",
)  # fmt: skip
_BOTH = TORSO | PELVIS
_HEM: Vec2 = (-0.06, -0.025)

_TOPS = (
    _entry(shirts.polo, "top", TOP, ALL, ANYBODY, TORSO,
           sleeve=(0.13, 0.20), hem=_HEM, loose=_LOOSE),
    _entry(shirts.v_neck_sweater, "top", TOP, WOOL, ANYBODY, TORSO,
           sleeve=(0.45, 0.47), hem=_HEM, vee=(0.07, 0.14), loose=_LOOSE),
    _entry(shirts.turtleneck, "top", TOP, WOOL, ANYBODY, TORSO,
           sleeve=(0.46, 0.475), hem=_HEM, loose=(0.8, 1.3)),
    _entry(shirts.blouse, "top", TOP, ALL, WOMEN, TORSO,
           hem=(-0.05, -0.02), puff=(0.015, 0.035), loose=(0.9, 1.2)),
    _entry(shirts.crop_top, "top", TOP, ALL, WOMEN, TORSO,
           hem=(0.10, 0.17), sleeve=(0.0, 0.16)),
    _entry(shirts.sports_bra, "top", TOP, ALL, WOMEN, TORSO, hem=(0.19, 0.225)),
    _entry(shirts.raglan_shirt, "top", TOP, ALL, ANYBODY, TORSO,
           sleeve=(0.15, 0.45), hem=_HEM, loose=_LOOSE),
    _entry(shirts.numbered_shirt, "top", TOP, ("plain", "stripes"), ANYBODY, TORSO,
           sleeve=(0.15, 0.21), hem=_HEM, number=(10, 98), loose=_LOOSE),
    _entry(shirts.basketball_jersey, "top", TOP, PLAIN, ANYBODY, TORSO,
           hem=(-0.07, -0.04), loose=(0.9, 1.5)),
    _entry(shirts.track_jacket, "top", TOP, PLAIN, ANYBODY, TORSO, hem=(-0.05, -0.02)),
    _entry(shirts.gi, "top", COAT, PLAIN, ANYBODY, TORSO, sleeve=(0.30, 0.43)),
    _entry(shirts.tunic, "top", TOP, ALL, ANYBODY, TORSO, hem=(-0.42, -0.25), sleeve=(0.32, 0.46)),
    _entry(shirts.long_coat, "top", COAT, ("plain", "plaid"), ANYBODY, TORSO, hem=(-0.70, -0.52)),
    _entry(shirts.strap_dress, "top", TOP, ALL, WOMEN, _BOTH, hem=(-0.62, -0.27),
           width=(0.02, 0.07)),
    _entry(shirts.long_dress, "top", TOP, ALL, WOMEN, _BOTH, hem=(-0.74, -0.66),
           sleeve=(0.0, 0.46)),
    _entry(shirts.shirt_dress, "top", TOP, SHIRT, WOMEN, _BOTH, hem=(-0.50, -0.30),
           sleeve=(0.16, 0.46)),
    _entry(suits.jumpsuit, "top", TOP, ("plain", "denim", "camouflage"), ANYBODY, _BOTH,
           hem=(-0.80, -0.77), sleeve=(0.16, 0.47)),
    _entry(suits.overalls, "top", TOP, ("denim", "plain"), ANYBODY, _BOTH,
           hem=(-0.79, -0.40), sleeve=(0.14, 0.46)),
    _entry(suits.wetsuit, "top", TOP, PLAIN, ANYBODY, _BOTH,
           leg=(-0.79, -0.30), sleeve=(0.16, 0.47)),
)  # fmt: skip
_OVER = (
    _entry(outerwear.open_shirt, "over", OVER, SHIRT, sleeve=(0.18, 0.46)),
    _entry(outerwear.cardigan, "over", OVER, WOOL, hem=(-0.07, -0.02)),
    _entry(outerwear.blazer, "over", OVER, ("plain", "plaid")),
    _entry(outerwear.bomber_jacket, "over", OVER, ("plain", "camouflage", "denim")),
    _entry(outerwear.puffer_jacket, "over", OVER, PLAIN, hem=(-0.06, 0.0), thick=(0.012, 0.026)),
    _entry(outerwear.puffer_vest, "over", OVER, PLAIN, hem=(-0.04, 0.01), thick=(0.012, 0.022)),
    _entry(outerwear.waistcoat, "over", OVER, ("plain", "stripes", "plaid"), MEN),
    _entry(outerwear.sweater_vest, "over", OVER, WOOL),
    _entry(outerwear.hi_vis_vest, "over", OVER),
    _entry(outerwear.apron, "over", OVER, SHIRT, hem=(-0.45, -0.25)),
)  # fmt: skip
_BOTTOMS = (
    _entry(suits.wide_trousers, "bottom", BOTTOM, ALL, WOMEN, PELVIS, width=(0.030, 0.055)),
    _entry(suits.flared_jeans, "bottom", BOTTOM, ("denim",), ANYBODY, PELVIS, flare=(0.025, 0.055)),
    _entry(suits.cargo_trousers, "bottom", BOTTOM, ("plain", "camouflage"), ANYBODY, PELVIS,
           hem=(-0.80, -0.42)),
    _entry(suits.joggers, "bottom", BOTTOM, PLAIN, ANYBODY, PELVIS, width=(0.006, 0.020)),
    _entry(suits.track_pants, "bottom", BOTTOM, PLAIN, ANYBODY, PELVIS, width=(0.004, 0.016)),
    _entry(suits.cropped_trousers, "bottom", BOTTOM, ("plain", "denim"), ANYBODY, PELVIS,
           hem=(-0.66, -0.52)),
    _entry(suits.running_shorts, "bottom", BOTTOM, PLAIN, ANYBODY, PELVIS, hem=(-0.23, -0.175)),
    _entry(suits.pleated_skirt, "bottom", BOTTOM, ALL, WOMEN, PELVIS, hem=(-0.60, -0.25)),
    _entry(suits.long_skirt, "bottom", BOTTOM, ALL, WOMEN, PELVIS, hem=(-0.74, -0.66),
           width=(0.0, 0.06)),
    _entry(suits.mini_skirt, "bottom", BOTTOM, ALL, WOMEN, PELVIS, hem=(-0.27, -0.20),
           width=(0.0, 0.03)),
)  # fmt: skip
_LIMBS = (
    _entry(limbs.sandals, "shoes", SHOES),
    _entry(limbs.high_tops, "shoes", SHOES, top=(0.07, 0.12)),
    _entry(limbs.long_socks, "legs", SOCKS, ("plain", "stripes"), top=(-0.47, -0.42)),
    _entry(limbs.tights, "legs", TIGHTS, PLAIN, WOMEN),
    _entry(limbs.gloves, "hands", GLOVES, cuff=(-0.01, 0.05)),
    _entry(limbs.wristbands, "hands", GLOVES, width=(0.03, 0.07)),
    _entry(limbs.scarf, "neck", SCARF, ("plain", "knit", "plaid", "stripes"), end=(0.15, 0.35)),
)  # fmt: skip
_HATS = (
    _entry(brims.sun_hat, "hat", HAT, brim=(0.07, 0.11)),
    _entry(brims.bucket_hat, "hat", HAT, ALL, brim=(0.04, 0.055)),
    _entry(brims.fedora, "hat", HAT, brim=(0.045, 0.065)),
    _entry(brims.beret, "hat", HAT, wide=(0.022, 0.038)),
    _entry(brims.turban, "hat", HAT, PLAIN, MEN, thick=(0.022, 0.036)),
    _entry(brims.visor, "hat", HAT, peak=(0.06, 0.085)),
    _entry(brims.swim_cap, "hat", HAT),
    _entry(brims.headphones, "hat", HAT, pad=(0.030, 0.038)),
)  # fmt: skip

NAMED: dict[str, Entry] = {
    entry.kind.kind: entry for entry in (*_TOPS, *_OVER, *_BOTTOMS, *_LIMBS, *_HATS)
}
