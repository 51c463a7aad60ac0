"""Furniture materials: wood, paint, cloth and metal by kind of object, some of them by room."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial

from synthstudio.core.catalogue import ObjectKind
from synthstudio.core.rng import Generator
from synthstudio.core.spec import Material, Pattern, Vec3
from synthstudio.recipe.contacts.supports import materials
from synthstudio.recipe.sampling import palette

_SHARED = {"timber": 0.75, "front": 0.6, "unit": 1.0, "worktop": 1.0, "white goods": 0.8}
"""How often an object shares these finishes with the room's other objects."""
_DAYLIGHT: tuple[Vec3, ...] = ((0.9, 0.95, 1.0), (1.0, 1.0, 1.0), (0.7, 0.85, 1.0))
_PRINTS: tuple[Pattern, ...] = (
    "plain", "stripes", "checks", "dots", "plaid", "camouflage", "wood", "tiles",
)  # fmt: skip
_SOFT: tuple[Pattern, ...] = ("plain", "stripes", "checks", "plaid", "knit")


def _colours(text: str, *, rough: float, specular: float = 0.04) -> Callable[[Generator], Material]:
    colours = tuple(palette.linear(one) for one in text.split())

    def made(rng: Generator) -> Material:
        rgb = palette.choose(colours, rng)
        return Material(base_rgb=rgb, second_rgb=rgb, roughness=rough, specular=specular)

    return made


_timber = partial(palette.surface, "wood")
_light = partial(palette.wall, "plain")


def _timber_or_light(rng: Generator) -> Material:
    return _timber(rng) if rng.random() < 0.5 else _light(rng)


def _worktop(rng: Generator) -> Material:
    return palette.surface("wood" if rng.random() < 0.5 else "concrete", rng)


def _masonry(rng: Generator) -> Material:
    u = float(rng.random())
    return _light(rng) if u < 0.4 else palette.surface("bricks" if u < 0.7 else "concrete", rng)


def _cloth(rng: Generator, patterned: float = 0.35) -> Material:
    cloth = palette.cloth(_SOFT, rng, patterned=patterned, saturated=0.2)
    return replace(cloth, kind="matte", bump=0.0)


def _patterned(rng: Generator) -> Material:
    cloth = _cloth(rng, 0.75)
    return replace(cloth, scale_m=palette.between(0.06, 0.35, rng))


def _print(rng: Generator) -> Material:
    pattern = _PRINTS[int(rng.random() * len(_PRINTS))]
    return replace(palette.surface(pattern, rng), scale_m=palette.between(0.05, 0.4, rng))


def _pane(rng: Generator) -> Material:
    bright = palette.choose(_DAYLIGHT, rng) if rng.random() < 0.8 else (0.02, 0.025, 0.04)
    return Material(base_rgb=bright, roughness=0.2, specular=0.05)


_MADE: dict[str, Callable[[Generator], Material]] = {
    "black": _colours("18181a 242326 2e2a28", rough=0.5),
    "board": _colours("17352a 1c2b26 22272b 1f3f32", rough=0.8),
    "bright": _colours("b3202c d1602a d9a520 2f7a3f 1f6fa8 e6e2d8 5a3a7a", rough=0.5),
    "chalk": _colours("e8e6e0 d8d8d0 c0cfe0", rough=0.9),
    "cloth": _cloth,
    "flower": _colours("c22a3a e0a020 d8d0e0 b04a90 e8e4d8", rough=0.8),
    "front": _timber_or_light,
    "glass": _colours("1a1c20 202226", rough=0.12),
    "leaf": _colours("3a5a24 4a6a2c 2c4a20", rough=0.6),
    "light": _light,
    "masonry": _masonry,
    "metal": _colours("9a9c9e 7c7e82 b8b9ba", rough=0.3, specular=0.12),
    "orange": _colours("d8501a c8401a", rough=0.5),
    "paint": partial(palette.surface, "plain"),
    "pane": _pane,
    "patterned": _patterned,
    "print": _print,
    "reflection": _colours("8f9a9e a2abad 7a868a", rough=0.08, specular=0.1),
    "shade": _colours("efe6d0 f4f0e6 e2cfa8 d8d8d4", rough=0.7),
    "soot": _colours("161412 1c1a18", rough=0.95),
    "timber": _timber,
    "unit": _timber_or_light,
    "white": _colours("e8e8e4 dcdcd8 e4e0d8", rough=0.6),
    "white goods": _colours("e8e8e6 e2e3e4 b4b6b8 3a3c40", rough=0.35),
    "wicker": _colours("a07a4a 8a6a42 c0a070 b8b4a8", rough=0.9),
    "worktop": _worktop,
}

_FINISHES: dict[str, tuple[str, ...]] = {
    kind: tuple(part.strip() for part in row.split(","))
    for kind, row in {
        "armchair": "cloth, same, black",
        "basketball_hoop": "white, orange, metal",
        "bed": "timber, white, patterned",
        "blackboard": "timber, board, chalk",
        "books": "bright, bright, white",
        "ceiling_lamp": "white, shade",
        "chair": "timber, same",
        "clothes_rail": "metal, cloth, cloth, cloth",
        "coat_rack": "timber, cloth, cloth",
        "coffee_table": "timber, same",
        "counter": "unit, worktop, metal",
        "cupboard": "timber, front, metal",
        "curtains": "metal, patterned",
        "desk": "timber, front, metal",
        "door": "light, front, metal",
        "filing_cabinet": "metal, same, black",
        "fireplace": "masonry, soot, timber",
        "floor_lamp": "black, shade",
        "fridge": "white goods, same, metal",
        "fruit_bowl": "light, orange, bright",
        "gym_bench": "timber, same",
        "hospital_bed": "white, white, metal, patterned",
        "laundry_basket": "wicker, cloth",
        "lockers": "metal, paint, metal",
        "mirror": "timber, reflection",
        "monitor": "black, glass, black",
        "piano": "soot, white, black",
        "picture": "paint, print",
        "radiator": "white, metal",
        "rug": "patterned, patterned",
        "shop_shelf": "light, bright, bright, bright",
        "side_table": "timber, front, metal",
        "sink_unit": "unit, worktop, metal",
        "sofa": "cloth, same, black",
        "stove": "white goods, glass, metal",
        "strip_lamp": "white, shade",
        "switch": "white, same",
        "table": "timber, same",
        "table_lamp": "bright, shade",
        "tv_bench": "timber, front, black, glass",
        "vase": "bright, leaf, flower",
        "vaulting_box": "timber, cloth",
        "wall_bars": "timber, same",
        "wall_clock": "black, white, black",
        "wall_cupboard": "unit, same, metal",
        "wall_shelf": "timber, black",
        "wardrobe": "timber, front, metal",
        "washing_machine": "white goods, metal, glass",
        "window": "light, pane",
    }.items()
}
Shared = dict[str, Material]


def finish(kind: ObjectKind, shared: Shared, rng: Generator) -> tuple[Material, ...]:
    """An object's materials; `shared` holds the room's finishes and is extended."""
    row = _FINISHES.get(kind.kind)
    if row is None:
        return materials(kind, rng)
    made: list[Material] = []
    for name in row:
        if name == "same":
            made.append(made[-1])
        elif rng.random() < _SHARED.get(name, 0.0):
            made.append(shared.setdefault(name, _MADE[name](rng)))
        else:
            made.append(_MADE[name](rng))
    return tuple(made)
