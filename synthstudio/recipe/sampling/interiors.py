"""Kinds of rooms: their furniture, accessories beside, on or above it, and its materials."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Literal

from synthstudio.core.catalogue import ObjectKind
from synthstudio.core.rng import Generator
from synthstudio.core.spec import Material, Pattern, Vec2, Vec3
from synthstudio.recipe.sampling import palette

Where = Literal["on", "beside", "row", "before", "above", "below", "over"]
"""Relative place: on top; at its side, back to the wall; at its side without a gap and equally
high and deep; in front; above or below it on the wall; in front of it on the wall."""


@dataclass(frozen=True, kw_only=True)
class Extra:
    """An object's frequent accessory, its probability, and its own accessories."""

    kind: str
    where: Where
    share: float
    gap_m: Vec2 = (0.06, 0.16)
    then: tuple[Extra, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Interior:
    weight: float
    first: str  # defining object; placed first, at the back wall
    stands: Mapping[str, float]
    hangs: Mapping[str, float]
    lamp: str = "ceiling_lamp"
    goes_with: Mapping[str, tuple[Extra, ...]] = field(default_factory=dict)  # in this room only

    def company(self, kind: str) -> tuple[Extra, ...]:
        return self.goes_with.get(kind, ()) + _GOES_WITH.get(kind, ())


def _at(where: Where, gap_m: Vec2 = (0.06, 0.16), **fractions: float) -> tuple[Extra, ...]:
    return tuple(Extra(kind=k, where=where, share=v, gap_m=gap_m) for k, v in fractions.items())


_on = partial(_at, "on")
_above = partial(_at, "above", (0.15, 0.45))

_RUG = (0.06, 0.25)
_SEATING = (Extra(kind="coffee_table", where="on", share=0.7),)
_GOES_WITH: dict[str, tuple[Extra, ...]] = {
    "sofa": (
        Extra(kind="rug", where="before", share=0.6, gap_m=_RUG, then=_SEATING),
        *_at("beside", floor_lamp=0.45, side_table=0.35),
        *_above(picture=0.5),
    ),
    "armchair": _at("beside", floor_lamp=0.4, side_table=0.3),
    "bed": (
        Extra(kind="side_table", where="beside", share=0.7),
        Extra(kind="side_table", where="beside", share=0.5),
        Extra(kind="rug", where="before", share=0.3, gap_m=_RUG),
        *_above(picture=0.5),
    ),
    "hospital_bed": _at("beside", side_table=0.8, chair=0.3),
    "desk": (
        *_at("before", chair=0.85),
        *_on(monitor=0.6, table_lamp=0.35, books=0.45, cup=0.4),
        *_above(wall_shelf=0.25),
    ),
    "table": (
        *_at("before", chair=0.8),
        *_on(vase=0.35, fruit_bowl=0.25, books=0.3, cup=0.4, bottle=0.2),
    ),
    "coffee_table": _on(books=0.5, fruit_bowl=0.2, vase=0.25, cup=0.4),
    "side_table": _on(table_lamp=0.5, vase=0.25, books=0.3),
    "cupboard": (*_on(vase=0.4, books=0.35, table_lamp=0.2), *_above(picture=0.25, mirror=0.15)),
    "bookcase": _on(vase=0.5),
    "filing_cabinet": _on(books=0.5, vase=0.3),
    "fireplace": (*_on(vase=0.6, books=0.2), *_above(mirror=0.4, picture=0.5)),
    "piano": (*_at("before", stool=0.8), *_on(vase=0.3), *_above(picture=0.3)),
    "wall_shelf": _on(books=0.8, vase=0.5, cup=0.3),
    "window": (*_at("below", radiator=0.6), *_at("over", curtains=0.55)),
    "lockers": (Extra(kind="gym_bench", where="before", share=0.5, gap_m=(0.35, 0.7)),),
}
_HOMELY = {"picture": 4.0, "mirror": 1.0, "wall_clock": 1.0, "wall_shelf": 1.0}
_PLAIN = {"picture": 2.0, "wall_clock": 2.0}

INTERIORS: dict[str, Interior] = {
    "living_room": Interior(
        weight=2.5,
        first="sofa",
        stands={"armchair": 2, "tv_bench": 2, "bookcase": 2, "potted_plant": 2, "cupboard": 1,
                "piano": 0.7, "fireplace": 0.9, "table": 1, "floor_lamp": 0.7, "screen": 0.3,
                "chair": 0.5, "sofa": 0.5},
        hangs=_HOMELY,
    ),
    "bedroom": Interior(
        weight=1.3,
        first="bed",
        stands={"wardrobe": 3, "cupboard": 1, "desk": 1, "armchair": 1, "potted_plant": 0.7,
                "laundry_basket": 0.7, "bookcase": 0.7, "chair": 0.7, "suitcase": 0.4},
        hangs=_HOMELY,
    ),
    "kitchen": Interior(
        weight=1.8,
        first="counter",
        stands={"table": 3, "fridge": 1.5, "cupboard": 2, "counter": 1, "stool": 1, "bin": 1,
                "potted_plant": 0.5},
        hangs={"wall_clock": 2, "picture": 1, "wall_shelf": 1.5},
        goes_with={
            "counter": (
                *_at("row", sink_unit=0.8, stove=0.8, fridge=0.5),
                *_on(fruit_bowl=0.35, cup=0.4, bottle=0.4),
                Extra(kind="wall_cupboard", where="above", share=0.6, gap_m=(0.5, 0.6)),
            ),
        },
    ),
    "office": Interior(
        weight=1.6,
        first="desk",
        stands={"desk": 2, "filing_cabinet": 2, "bookcase": 2, "cupboard": 1.5, "table": 1,
                "bin": 1, "potted_plant": 1.5, "coat_rack": 0.7, "cardboard_box": 0.5,
                "partition": 0.3},
        hangs=_PLAIN,
        lamp="strip_lamp",
    ),
    "classroom": Interior(
        weight=1.0,
        first="blackboard",
        stands={"table": 3, "bookcase": 1, "cupboard": 2, "lockers": 0.5, "bin": 0.7, "chair": 1,
                "screen": 0.5, "piano": 0.3},
        hangs=_PLAIN,
        lamp="strip_lamp",
        goes_with={
            "blackboard": (Extra(kind="desk", where="before", share=0.7, gap_m=(0.7, 1.1)),),
        },
    ),
    "sports_hall": Interior(
        weight=1.0,
        first="wall_bars",
        stands={"gym_bench": 3, "wall_bars": 2, "vaulting_box": 2, "ball": 1},
        hangs={"basketball_hoop": 3, "wall_clock": 1},
        lamp="strip_lamp",
    ),
    "changing_room": Interior(
        weight=0.6,
        first="lockers",
        stands={"lockers": 3, "gym_bench": 2, "bin": 1, "clothes_rail": 0.5, "stool": 0.5},
        hangs={"mirror": 2, "wall_clock": 1},
        lamp="strip_lamp",
    ),
    "shop": Interior(
        weight=1.2,
        first="shop_shelf",
        stands={"shop_shelf": 4, "clothes_rail": 3, "counter": 1.5, "cardboard_box": 0.7,
                "crate": 0.5, "potted_plant": 0.5},
        hangs={"picture": 3, "mirror": 1, "wall_clock": 0.5},
        lamp="strip_lamp",
        goes_with={"counter": _on(monitor=0.7, cup=0.3, books=0.3)},
    ),
    "hallway": Interior(
        weight=1.0,
        first="coat_rack",
        stands={"cupboard": 2, "side_table": 1.5, "stool": 1, "potted_plant": 1, "chair": 1,
                "suitcase": 0.7, "bin": 0.4},
        hangs={"mirror": 3, "picture": 3, "wall_clock": 1},
    ),
    "laundry_room": Interior(
        weight=0.7,
        first="washing_machine",
        stands={"laundry_basket": 2, "cupboard": 1.5, "wardrobe": 0.7, "clothes_rail": 0.8,
                "bin": 0.6, "washing_machine": 0.5},
        hangs={"wall_shelf": 2, "wall_clock": 1},
        goes_with={
            "washing_machine": (
                *_at("row", washing_machine=0.4, sink_unit=0.5),
                *_at("beside", laundry_basket=0.6),
                *_on(bottle=0.6),
                *_above(wall_shelf=0.4),
            ),
        },
    ),
    "store": Interior(
        weight=1.0,
        first="shop_shelf",
        stands={"crate": 2, "cardboard_box": 3, "cupboard": 1, "bookcase": 1, "barrel": 1,
                "suitcase": 1, "partition": 0.5, "shop_shelf": 0.5},
        hangs={"wall_clock": 1},
        lamp="strip_lamp",
    ),
    "ward": Interior(
        weight=0.0,
        first="hospital_bed",
        stands={"hospital_bed": 1.5, "side_table": 1, "chair": 2, "screen": 1,
                "wardrobe": 0.7},
        hangs=_PLAIN,
        lamp="strip_lamp",
    ),
}  # fmt: skip
"""Kinds of rooms by name. `picture`, windows and doors are possible in all."""


# Materials of furniture: wood, paint, cloth and metal, some shared by a room --------------------

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


def _masonry(rng: Generator) -> Material:
    u = float(rng.random())
    return _light(rng) if u < 0.4 else palette.surface("bricks" if u < 0.7 else "concrete", rng)


def _cloth(rng: Generator, patterned: float = 0.35) -> Material:
    cloth = palette.cloth(_SOFT, rng, patterned=patterned, saturated=0.2)
    return replace(cloth, kind="matte", bump=0.0)


def _patterned(rng: Generator) -> Material:
    return replace(_cloth(rng, 0.75), scale_m=palette.between(0.06, 0.35, rng))


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
    "worktop": lambda rng: palette.surface("wood" if rng.random() < 0.5 else "concrete", rng),
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
        return palette.materials(kind, rng)
    made: list[Material] = []
    for name in row:
        if name == "same":
            made.append(made[-1])
        elif rng.random() < _SHARED.get(name, 0.0):
            made.append(shared.setdefault(name, _MADE[name](rng)))
        else:
            made.append(_MADE[name](rng))
    return tuple(made)
