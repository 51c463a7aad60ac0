"""Every kind of garment, hair and hat: its catalogue entry, its layer and its cut.

To add a kind: write its cut, and one line here, in `_NAMED` if recipes have to name it.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from synthstudio.body.clothes import bottoms, face_wear, hair, hats, outerwear, tops
from synthstudio.body.clothes.garment_mesh import Basis
from synthstudio.body.clothes.tailor import Shape, Tailored
from synthstudio.core.catalogue import Dye, GarmentKind, Slot, Worn
from synthstudio.core.spec import Pattern, Vec2

SOCKS, TIGHTS, SHOES, GLOVES, SKIN, BOTTOM, TOP = 5, 7, 10, 12, 15, 20, 30
OVER, COAT, SCARF, HAIR, HAT = 33, 35, 37, 40, 50
BEARD, GLASSES, MASK = 60, 70, 80
"""Layers from the skin outwards; SKIN is a top that is tucked in."""

FIT = "loose"
"""The one shape parameter that scales a design at no cost; every other one is a new cut."""

ALL: tuple[Pattern, ...] = ("plain", "stripes", "checks", "dots", "plaid", "camouflage")
SHIRT: tuple[Pattern, ...] = ("plain", "stripes", "checks", "plaid")
WOOL: tuple[Pattern, ...] = ("plain", "knit", "stripes")
PLAIN: tuple[Pattern, ...] = ("plain",)
TORSO, PELVIS = frozenset({"torso"}), frozenset({"pelvis"})
BOTH = TORSO | PELVIS
ANYBODY: Vec2 = (0.0, 1.0)
MEN: Vec2 = (0.0, 0.5)
WOMEN: Vec2 = (0.5, 1.0)

_EXCEPTIONS: dict[Worn, str] = {
    "always": "t_shirt tank_top shorts sneakers",
    "sport": "sports_top leotard leggings",
    "named": "ponytail_hair plaits_hair bob_hair curly_hair parted_hair undercut_hair mohawk_hair"
    " balding_hair helmet headband headscarf",
    "named_sport": "sports_bra running_shorts wetsuit gi",
    "named_always": "basketball_jersey track_jacket track_pants raglan_shirt numbered_shirt joggers"
    " high_tops",
}
_WORN = {kind: worn for worn, kinds in _EXCEPTIONS.items() for kind in kinds.split()}
"""When a kind is worn, if unlike the other kinds of its table."""
_AGES: dict[str, Vec2] = {
    "balding_hair": (0.7, 1.0),
    "mohawk_hair": (0.4, 0.85),
    **dict.fromkeys(("full_beard", "goatee", "moustache"), (0.6, 1.0)),
    **dict.fromkeys(("sports_bra", "crop_top", "mini_skirt"), (0.6, 1.0)),
    **dict.fromkeys(("sunglasses", "medical_mask", "headscarf"), (0.25, 1.0)),
}
_NOTHING_OVER = (
    "sweater", "hoodie", "track_jacket", "gi", "tunic", "overalls", "long_coat", "wetsuit",
    "sports_bra",
)  # fmt: skip
_GOES_WITH: dict[str, tuple[Slot, ...]] = {
    "coat": ("neck", "hands"),
    "sports_top": ("hands",),
    "leotard": ("hands",),
    "dress": ("legs",),
}
"""Compatible garments, if not decided by slot and layer."""
_DYES: dict[str, Dye] = {
    "hi_vis_vest": "high_visibility",
    **dict.fromkeys(("scrub_top", "scrub_trousers", "gown", "surgical_cap"), "medical"),
}
_SHOW_LEGS = (
    "shorts", "skirt", "strap_dress", "shirt_dress", "pleated_skirt", "mini_skirt",
    "running_shorts",
)  # fmt: skip
_TWO_TONE = ("raglan_shirt", "overalls", "wetsuit", "basketball_jersey")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A kind's catalogue entry, its cut, its layer, and what it certainly hides."""

    kind: GarmentKind
    cut: Callable[[Basis, Shape], Tailored]
    layer: int
    hides: frozenset[str] = frozenset()


def _goes_with(name: str, slot: Slot, layer: int, hides: frozenset[str]) -> tuple[Slot, ...]:
    if name in _GOES_WITH:
        return _GOES_WITH[name]
    goes: tuple[Slot, ...] = ()
    if slot == "top" and layer == TOP:
        goes = ("neck", "hands") if name in _NOTHING_OVER else ("over", "neck", "hands")
    return (*goes, "legs") if hides >= PELVIS and name in _SHOW_LEGS else goes


def _entry(
    cut: Callable[[Basis, Shape], Tailored],
    slot: Slot,
    layer: int,
    patterns: tuple[Pattern, ...] = PLAIN,
    gender: Vec2 = ANYBODY,
    hides: frozenset[str] = frozenset(),
    /,
    name: str = "",
    **shape: Vec2,
) -> Entry:
    name = name or cut.__name__
    kind = GarmentKind(
        kind=name,
        slot=slot,
        shape=shape,
        patterns=patterns,
        steps=3,
        gender=gender,
        age=_AGES.get(name, (-1.0, 1.0)),
        worn=_WORN.get(name, "everyday"),
        whole=slot == "top" and hides >= PELVIS,
        goes_with=_goes_with(name, slot, layer, hides),
        two_tone=name in _TWO_TONE,
        dye=_DYES.get(name, "cloth"),
    )
    return Entry(kind=kind, cut=cut, layer=layer, hides=hides)


_HEM: Vec2 = (-0.06, -0.025)
_LONG: Vec2 = (-0.80, -0.77)
_LOOSE: Vec2 = (0.8, 1.4)
_FITTED: Vec2 = (0.9, 1.2)
_SQUARE: Vec2 = (0.0, 1.0)

_USUAL = (
    _entry(tops.t_shirt, "top", TOP, ALL, ANYBODY, TORSO, name="t_shirt", sleeve=(0.11, 0.21),
           hem=(-0.06, -0.02), vee=(0.0, 0.05), loose=(0.7, 1.6)),
    _entry(tops.tank_top, "top", TOP, ALL, ANYBODY, TORSO, name="tank_top", hem=(-0.06, -0.01),
           vee=(0.0, 0.04), loose=(0.7, 1.6)),
    _entry(tops.shirt, "top", TOP, SHIRT, ANYBODY, TORSO, sleeve=(0.44, 0.475),
           hem=(-0.06, -0.035), tucked=(0.0, 1.0), loose=(0.7, 1.6)),
    _entry(tops.sweater, "top", TOP, WOOL, ANYBODY, TORSO, name="sweater", sleeve=(0.45, 0.48),
           hem=(-0.055, -0.025), loose=(0.8, 1.5)),
    _entry(tops.hoodie, "top", TOP, WOOL[:2], ANYBODY, TORSO, sleeve=(0.45, 0.48),
           hem=(-0.055, -0.025), loose=(0.9, 1.5)),
    _entry(tops.coat, "top", COAT, ("plain", "plaid"), ANYBODY, TORSO, hem=(-0.45, -0.25),
           loose=_FITTED),
    _entry(tops.dress, "top", TOP, ALL, WOMEN, BOTH, hem=(-0.62, -0.33), sleeve=(0.0, 0.16),
           width=(0.01, 0.06), loose=_FITTED),
    _entry(tops.sports_top, "top", TOP, ALL, ANYBODY, TORSO, sleeve=(0.0, 0.32), hem=(-0.05, 0.0)),
    _entry(tops.leotard, "top", SKIN, ALL, WOMEN, BOTH, sleeve=(0.0, 0.475), leg=(-0.19, -0.105)),
    _entry(bottoms.leggings, "bottom", BOTTOM, ALL, ANYBODY, PELVIS, hem=(-0.80, -0.20)),
    _entry(bottoms.trousers, "bottom", BOTTOM, ("plain", "camouflage"), ANYBODY, PELVIS,
           hem=(-0.80, -0.76), width=(0.002, 0.018), loose=(0.8, 1.2)),
    _entry(bottoms.trousers, "bottom", BOTTOM, ("denim",), ANYBODY, PELVIS, name="jeans",
           hem=_LONG, width=(0.0, 0.010), loose=(0.8, 1.2)),
    _entry(bottoms.shorts, "bottom", BOTTOM, ALL, ANYBODY, PELVIS, hem=(-0.42, -0.26),
           width=(0.006, 0.018), loose=(0.8, 1.3)),
    _entry(bottoms.skirt, "bottom", BOTTOM, ALL, WOMEN, PELVIS, hem=(-0.62, -0.33),
           width=(0.0, 0.05), loose=_FITTED),
    _entry(partial(bottoms.shoes, offset_m=0.0065), "shoes", SHOES,
           name="sneakers", top=(0.0, 0.05), sole=(0.014, 0.026)),
    _entry(partial(bottoms.shoes, thick_m=0.007, offset_m=0.004, heel_m=0.012), "shoes", SHOES,
           name="low_shoes", top=(-0.015, 0.01), open=(0.0, 0.025)),
    _entry(partial(bottoms.shoes, thick_m=0.014, offset_m=0.011, heel_m=0.012), "shoes", SHOES,
           name="boots", top=(0.07, 0.22)),
    _entry(hair.short_hair, "hair", HAIR, thick=(0.008, 0.026)),
    _entry(hair.cropped_hair, "hair", HAIR, PLAIN, MEN, thick=(0.0015, 0.004)),
    _entry(hair.afro_hair, "hair", HAIR, thick=(0.025, 0.06)),
    _entry(hair.bun_hair, "hair", HAIR, PLAIN, WOMEN, size=(0.03, 0.045), height=(-0.02, 0.06)),
    _entry(hair.long_hair, "hair", HAIR, PLAIN, WOMEN, length=(0.0, 0.18), volume=(0.012, 0.022),
           fringe=(0.0, 1.0)),
    _entry(hats.cap, "hat", HAT, peak=(0.055, 0.08)),
    _entry(hats.beanie, "hat", HAT, WOOL, slouch=(0.0, 0.02)),
    _entry(hats.hard_hat, "hat", HAT),
    _entry(hair.ponytail_hair, "hair", HAIR, PLAIN, WOMEN, height=(-0.02, 0.06),
           tail=(0.14, 0.30)),
    _entry(hair.plaits_hair, "hair", HAIR, PLAIN, WOMEN, tail=(0.15, 0.30)),
    _entry(hair.long_hair, "hair", HAIR, PLAIN, WOMEN, name="bob_hair",
           length=(-0.045, -0.005), volume=(0.024, 0.036), fringe=(0.0, 1.0)),
    _entry(hair.curly_hair, "hair", HAIR, PLAIN, WOMEN, length=(0.0, 0.10),
           volume=(0.030, 0.050), fringe=(0.0, 0.5)),
    _entry(hair.parted_hair, "hair", HAIR, thick=(0.026, 0.044)),
    _entry(hair.undercut_hair, "hair", HAIR, PLAIN, MEN, thick=(0.016, 0.040)),
    _entry(hair.mohawk_hair, "hair", HAIR, thick=(0.035, 0.070)),
    _entry(hair.balding_hair, "hair", HAIR, PLAIN, MEN, bald=(0.0, 1.0), thick=(0.003, 0.012)),
    _entry(hats.helmet, "hat", HAT, thick=(0.026, 0.036)),
    _entry(hats.headband, "hat", HAT, WOOL, width=(0.022, 0.045)),
    _entry(hats.headscarf, "hat", HAT, ALL, WOMEN, length=(0.07, 0.16)),
    _entry(face_wear.full_beard, "beard", BEARD, PLAIN, MEN, length=(0.004, 0.030)),
    _entry(face_wear.goatee, "beard", BEARD, PLAIN, MEN, length=(0.004, 0.018)),
    _entry(face_wear.moustache, "beard", BEARD, PLAIN, MEN, width=(0.026, 0.036)),
    _entry(face_wear.glasses, "glasses", GLASSES, width=(0.044, 0.052), square=_SQUARE,
           rim=(0.0009, 0.0022)),
    _entry(face_wear.sunglasses, "glasses", GLASSES, width=(0.048, 0.056), square=_SQUARE),
    _entry(face_wear.medical_mask, "mask", MASK, top=(0.629, 0.638)),
)  # fmt: skip
_NAMED = (
    _entry(tops.polo, "top", TOP, ALL, ANYBODY, TORSO,
           sleeve=(0.13, 0.20), hem=_HEM, loose=_LOOSE),
    _entry(tops.v_neck_sweater, "top", TOP, WOOL, ANYBODY, TORSO, name="v_neck_sweater",
           sleeve=(0.45, 0.47), hem=_HEM, vee=(0.07, 0.14), loose=_LOOSE),
    _entry(tops.turtleneck, "top", TOP, WOOL, ANYBODY, TORSO,
           sleeve=(0.46, 0.475), hem=_HEM, loose=(0.8, 1.3)),
    _entry(tops.blouse, "top", TOP, ALL, WOMEN, TORSO,
           hem=(-0.05, -0.02), puff=(0.015, 0.035), loose=(0.9, 1.2)),
    _entry(tops.crop_top, "top", TOP, ALL, WOMEN, TORSO,
           hem=(0.10, 0.17), sleeve=(0.0, 0.16)),
    _entry(tops.sports_bra, "top", TOP, ALL, WOMEN, TORSO, hem=(0.19, 0.225)),
    _entry(tops.raglan_shirt, "top", TOP, ALL, ANYBODY, TORSO,
           sleeve=(0.15, 0.45), hem=_HEM, loose=_LOOSE),
    _entry(tops.numbered_shirt, "top", TOP, ("plain", "stripes"), ANYBODY, TORSO,
           sleeve=(0.15, 0.21), hem=_HEM, number=(10, 98), loose=_LOOSE),
    _entry(tops.basketball_jersey, "top", TOP, PLAIN, ANYBODY, TORSO,
           hem=(-0.07, -0.04), loose=(0.9, 1.5)),
    _entry(tops.track_jacket, "top", TOP, PLAIN, ANYBODY, TORSO, hem=(-0.05, -0.02)),
    _entry(tops.gi, "top", COAT, PLAIN, ANYBODY, TORSO, sleeve=(0.30, 0.43)),
    _entry(tops.tunic, "top", TOP, ALL, ANYBODY, TORSO, hem=(-0.42, -0.25), sleeve=(0.32, 0.46)),
    _entry(partial(tops.coat, width_m=0.05, belted=False), "top", COAT, ("plain", "plaid"),
           ANYBODY, TORSO, name="long_coat", hem=(-0.70, -0.52)),
    _entry(tops.strap_dress, "top", TOP, ALL, WOMEN, BOTH, hem=(-0.62, -0.27),
           width=(0.02, 0.07)),
    _entry(partial(tops.dress, drop_m=0.015, vee_m=0.02, width_m=0.05), "top", TOP, ALL, WOMEN,
           BOTH, name="long_dress", hem=(-0.74, -0.66), sleeve=(0.0, 0.46)),
    _entry(tops.shirt_dress, "top", TOP, SHIRT, WOMEN, BOTH, hem=(-0.50, -0.30),
           sleeve=(0.16, 0.46)),
    _entry(tops.jumpsuit, "top", TOP, ("plain", "denim", "camouflage"), ANYBODY, BOTH,
           hem=(-0.80, -0.77), sleeve=(0.16, 0.47)),
    _entry(tops.overalls, "top", TOP, ("denim", "plain"), ANYBODY, BOTH,
           hem=(-0.79, -0.40), sleeve=(0.14, 0.46)),
    _entry(tops.wetsuit, "top", TOP, PLAIN, ANYBODY, BOTH,
           leg=(-0.79, -0.30), sleeve=(0.16, 0.47)),
    _entry(tops.t_shirt, "top", TOP, PLAIN, ANYBODY, TORSO, name="scrub_top",
           sleeve=(0.17, 0.22), hem=(-0.08, -0.05), vee=(0.07, 0.10), loose=(1.2, 1.7)),
    _entry(tops.tunic, "top", TOP, PLAIN, ANYBODY, TORSO, name="gown",
           hem=(-0.62, -0.50), sleeve=(0.46, 0.475)),
    _entry(outerwear.open_shirt, "over", OVER, SHIRT, sleeve=(0.18, 0.46)),
    _entry(outerwear.cardigan, "over", OVER, WOOL, hem=(-0.07, -0.02)),
    _entry(outerwear.blazer, "over", OVER, ("plain", "plaid")),
    _entry(outerwear.bomber_jacket, "over", OVER, ("plain", "camouflage", "denim")),
    _entry(outerwear.puffer_jacket, "over", OVER, PLAIN, hem=(-0.06, 0.0), thick=(0.012, 0.026)),
    _entry(partial(outerwear.puffer_jacket, sleeve_m=0.0), "over", OVER, PLAIN,
           name="puffer_vest", hem=(-0.04, 0.01), thick=(0.012, 0.022)),
    _entry(outerwear.waistcoat, "over", OVER, ("plain", "stripes", "plaid"), MEN),
    _entry(outerwear.sweater_vest, "over", OVER, WOOL),
    _entry(outerwear.hi_vis_vest, "over", OVER),
    _entry(outerwear.apron, "over", OVER, SHIRT, hem=(-0.45, -0.25)),
    _entry(bottoms.wide_trousers, "bottom", BOTTOM, ALL, WOMEN, PELVIS, width=(0.030, 0.055)),
    _entry(bottoms.flared_jeans, "bottom", BOTTOM, ("denim",), ANYBODY, PELVIS,
           flare=(0.025, 0.055)),
    _entry(bottoms.cargo_trousers, "bottom", BOTTOM, ("plain", "camouflage"), ANYBODY, PELVIS,
           hem=(-0.80, -0.42)),
    _entry(bottoms.joggers, "bottom", BOTTOM, PLAIN, ANYBODY, PELVIS, width=(0.006, 0.020)),
    _entry(bottoms.track_pants, "bottom", BOTTOM, PLAIN, ANYBODY, PELVIS, width=(0.004, 0.016)),
    _entry(partial(bottoms.trousers, width_m=0.008, hang=0.7), "bottom", BOTTOM,
           ("plain", "denim"), ANYBODY, PELVIS, name="cropped_trousers", hem=(-0.66, -0.52)),
    _entry(bottoms.running_shorts, "bottom", BOTTOM, PLAIN, ANYBODY, PELVIS, hem=(-0.23, -0.175)),
    _entry(bottoms.trousers, "bottom", BOTTOM, PLAIN, ANYBODY, PELVIS, name="scrub_trousers",
           hem=(-0.80, -0.77), width=(0.012, 0.022), loose=(1.0, 1.3)),
    _entry(bottoms.pleated_skirt, "bottom", BOTTOM, ALL, WOMEN, PELVIS, hem=(-0.60, -0.25)),
    _entry(partial(bottoms.skirt, waist_m=0.085), "bottom", BOTTOM, ALL, WOMEN, PELVIS,
           name="long_skirt", hem=(-0.74, -0.66), width=(0.0, 0.06)),
    _entry(bottoms.skirt, "bottom", BOTTOM, ALL, WOMEN, PELVIS,
           name="mini_skirt", hem=(-0.27, -0.20), width=(0.0, 0.03)),
    _entry(bottoms.sandals, "shoes", SHOES),
    _entry(partial(bottoms.shoes, thick_m=0.030, offset_m=0.009), "shoes", SHOES,
           name="high_tops", top=(0.07, 0.12)),
    _entry(bottoms.long_socks, "legs", SOCKS, ("plain", "stripes"), top=(-0.47, -0.42)),
    _entry(bottoms.tights, "legs", TIGHTS, PLAIN, WOMEN),
    _entry(outerwear.gloves, "hands", GLOVES, cuff=(-0.01, 0.05)),
    _entry(outerwear.wristbands, "hands", GLOVES, width=(0.03, 0.07)),
    _entry(outerwear.scarf, "neck", SCARF, ("plain", "knit", "plaid", "stripes"), end=(0.15, 0.35)),
    _entry(hats.sun_hat, "hat", HAT, brim=(0.07, 0.11)),
    _entry(hats.bucket_hat, "hat", HAT, ALL, brim=(0.04, 0.055)),
    _entry(hats.fedora, "hat", HAT, brim=(0.045, 0.065)),
    _entry(hats.beret, "hat", HAT, wide=(0.022, 0.038)),
    _entry(hats.turban, "hat", HAT, PLAIN, MEN, thick=(0.022, 0.036)),
    _entry(hats.visor, "hat", HAT, peak=(0.06, 0.085)),
    _entry(hats.swim_cap, "hat", HAT),
    _entry(hats.headphones, "hat", HAT, pad=(0.030, 0.038)),
    _entry(hats.swim_cap, "hat", HAT, name="surgical_cap"),
    _entry(face_wear.goggles, "glasses", GLASSES, rim=(0.0035, 0.0055)),
)  # fmt: skip


NAMED: dict[str, Entry] = {
    entry.kind.kind: replace(
        entry, kind=replace(entry.kind, worn=_WORN.get(entry.kind.kind, "named"))
    )
    for entry in _NAMED
}
GARMENTS: dict[str, Entry] = {entry.kind.kind: entry for entry in _USUAL} | NAMED
