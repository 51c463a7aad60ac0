"""The kinds of things that stand about: who builds each, natural sizes, materials."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from synthstudio.core.spec import Material, Pattern, Vec3
from synthstudio.props import furniture, plants, screens, sports, street, wheels
from synthstudio.props.shapes import Piece

Builder = Callable[[Vec3, dict[str, float]], list[Piece]]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of thing: who builds it, which sizes are natural, what it is made of."""

    build: Builder
    low_m: Vec3
    high_m: Vec3
    materials: tuple[Material, ...]  # what it is made of when a spec names nothing
    patterns: tuple[Pattern, ...]
    roles: tuple[str, ...] = ("occluder", "scenery")
    shape: tuple[str, ...] = ()  # the names that ThingSpec.shape may hold
    grip: str = ""  # how a hand holds it: a key of recipe.grips.GRIPS
    grip_share: Vec3 = (0.0, 0.0, 0.5)  # where: the share of its size from its base's centre


def of(
    rgb: Vec3, pattern: Pattern = "plain", *, scale_m: float = 0.1, rough: float = 0.7
) -> Material:
    """A material of that colour; its pattern's second colour is darker."""
    dark = (rgb[0] * 0.55, rgb[1] * 0.55, rgb[2] * 0.55)
    return Material(
        base_rgb=rgb, second_rgb=dark, pattern=pattern, scale_m=scale_m, roughness=rough
    )


WOOD = of((0.34, 0.2, 0.1), "wood", scale_m=0.12, rough=0.6)
PALE_WOOD = of((0.55, 0.4, 0.24), "wood", scale_m=0.12, rough=0.55)
STEEL = of((0.33, 0.34, 0.36), rough=0.35)
BLACK = of((0.03, 0.03, 0.035), rough=0.5)
WHITE = of((0.78, 0.78, 0.75), rough=0.5)
LEAF = of((0.07, 0.2, 0.045), rough=0.6)
EARTH = of((0.06, 0.04, 0.025), rough=0.95)
BRICK = of((0.42, 0.16, 0.1), "bricks", scale_m=0.24, rough=0.9)
STONE = of((0.48, 0.46, 0.42), "concrete", scale_m=0.4, rough=0.9)
ORANGE = of((0.85, 0.16, 0.02), rough=0.55)
CLOTH_BLUE = of((0.08, 0.16, 0.34), rough=0.9)
RED = of((0.5, 0.03, 0.03), rough=0.4)
CARTON = of((0.45, 0.3, 0.17), rough=0.9)
TAPE = of((0.55, 0.42, 0.22), rough=0.35)
TERRACOTTA = of((0.48, 0.19, 0.1), rough=0.85)
GLASS = of((0.012, 0.015, 0.02), rough=0.12)
RUBBER = of((0.018, 0.018, 0.02), rough=0.85)
PAINT = of((0.12, 0.16, 0.22), rough=0.25)
LAMP = of((0.62, 0.6, 0.56), rough=0.2)
PICTURE = of((0.2, 0.32, 0.5), "checks", scale_m=0.09, rough=0.4)
CARRIED: tuple[str, ...] = ("occluder", "scenery", "held")
SEAT: tuple[str, ...] = ("occluder", "scenery", "seat")
TIMBER: tuple[Pattern, ...] = ("wood", "planks", "plain")

STANDING: dict[str, Kind] = {
    "crate": Kind(
        build=furniture.crate,
        low_m=(0.4, 0.35, 0.3),
        high_m=(1.2, 1.0, 1.1),
        materials=(PALE_WOOD,),
        patterns=("wood", "plain"),
        roles=SEAT,
    ),
    "cardboard_box": Kind(
        build=furniture.cardboard_box,
        low_m=(0.3, 0.25, 0.2),
        high_m=(0.9, 0.7, 1.0),
        materials=(CARTON, TAPE),
        patterns=("plain",),
        roles=CARRIED,
        grip="carry",
    ),
    "pole": Kind(
        build=street.pole,
        low_m=(0.05, 0.05, 0.9),
        high_m=(0.3, 0.3, 3.5),
        materials=(STEEL,),
        patterns=("plain", "stripes", "concrete"),
    ),
    "fence": Kind(
        build=street.fence,
        low_m=(1.0, 0.05, 0.7),
        high_m=(3.5, 0.08, 1.5),
        materials=(PALE_WOOD,),
        patterns=("wood", "plain"),
        shape=("slat_m", "gap_m"),
    ),
    "low_wall": Kind(
        build=street.low_wall,
        low_m=(1.0, 0.2, 0.4),
        high_m=(3.5, 0.4, 1.2),
        materials=(BRICK, STONE),
        patterns=("bricks", "concrete", "tiles", "plain"),
    ),
    "table": Kind(
        build=furniture.table,
        low_m=(0.8, 0.6, 0.68),
        high_m=(2.0, 1.0, 0.95),
        materials=(WOOD, WOOD),
        patterns=TIMBER,
    ),
    "chair": Kind(
        build=furniture.chair,
        low_m=(0.4, 0.42, 0.8),
        high_m=(0.52, 0.54, 1.0),
        materials=(WOOD, PALE_WOOD),
        patterns=TIMBER,
        roles=SEAT,
        shape=("seat_height_m",),
    ),
    "stool": Kind(
        build=furniture.stool,
        low_m=(0.32, 0.32, 0.42),
        high_m=(0.42, 0.42, 0.75),
        materials=(WOOD, STEEL),
        patterns=("wood", "plain"),
        roles=SEAT,
    ),
    "sofa": Kind(
        build=furniture.sofa,
        low_m=(0.9, 0.8, 0.78),
        high_m=(2.2, 0.95, 0.95),
        materials=(CLOTH_BLUE, CLOTH_BLUE, BLACK),
        patterns=("plain", "stripes", "plaid", "knit"),
        roles=SEAT,
        shape=("seat_height_m",),
    ),
    "bench": Kind(
        build=street.bench,
        low_m=(1.0, 0.4, 0.42),
        high_m=(2.0, 0.6, 0.9),
        materials=(WOOD, BLACK),
        patterns=TIMBER,
        roles=SEAT,
        shape=("seat_height_m",),
    ),
    "bookcase": Kind(
        build=furniture.bookcase,
        low_m=(0.6, 0.26, 0.9),
        high_m=(1.4, 0.4, 2.1),
        materials=(PALE_WOOD, RED, CLOTH_BLUE),
        patterns=("wood", "plain"),
    ),
    "counter": Kind(
        build=furniture.counter,
        low_m=(1.0, 0.5, 0.85),
        high_m=(2.6, 0.75, 1.1),
        materials=(WHITE, WOOD, STEEL),
        patterns=("plain", "wood", "planks", "tiles"),
    ),
    "door": Kind(
        build=furniture.door,
        low_m=(0.8, 0.08, 1.9),
        high_m=(1.1, 0.16, 2.2),
        materials=(WHITE, PALE_WOOD, STEEL),
        patterns=TIMBER,
    ),
    "divider": Kind(
        build=furniture.divider,
        low_m=(1.2, 0.25, 1.4),
        high_m=(2.1, 0.5, 1.9),
        materials=(WOOD, WHITE),
        patterns=("plain", "wood", "stripes", "dots"),
    ),
    "suitcase": Kind(
        build=furniture.suitcase,
        low_m=(0.34, 0.2, 0.75),
        high_m=(0.52, 0.34, 1.1),
        materials=(RED, BLACK),
        patterns=("plain",),
    ),
    "barrel": Kind(
        build=street.barrel,
        low_m=(0.4, 0.4, 0.6),
        high_m=(0.75, 0.75, 1.1),
        materials=(WOOD, STEEL),
        patterns=("planks", "wood", "plain"),
    ),
    "pillar": Kind(
        build=street.pillar,
        low_m=(0.3, 0.3, 1.8),
        high_m=(0.6, 0.6, 3.2),
        materials=(STONE,),
        patterns=("concrete", "plain"),
    ),
    "traffic_cone": Kind(
        build=street.traffic_cone,
        low_m=(0.28, 0.28, 0.45),
        high_m=(0.5, 0.5, 1.0),
        materials=(ORANGE, WHITE),
        patterns=("plain",),
    ),
    "sign_board": Kind(
        build=street.sign_board,
        low_m=(0.5, 0.08, 1.4),
        high_m=(1.6, 0.14, 2.4),
        materials=(RED, WHITE, STEEL),
        patterns=("plain", "stripes", "checks"),
    ),
    "umbrella": Kind(
        build=street.umbrella,
        low_m=(1.6, 1.6, 2.0),
        high_m=(2.8, 2.8, 2.6),
        materials=(ORANGE, PALE_WOOD),
        patterns=("plain", "stripes"),
    ),
    "bicycle_rack": Kind(
        build=street.bicycle_rack,
        low_m=(1.2, 0.5, 0.7),
        high_m=(3.0, 0.9, 0.95),
        materials=(STEEL,),
        patterns=("plain",),
    ),
    "railing": Kind(
        build=street.railing,
        low_m=(1.2, 0.05, 0.8),
        high_m=(3.5, 0.08, 1.15),
        materials=(BLACK,),
        patterns=("plain",),
    ),
    "bin": Kind(
        build=street.bin_,
        low_m=(0.35, 0.35, 0.6),
        high_m=(0.6, 0.6, 1.1),
        materials=(STEEL, BLACK),
        patterns=("plain", "planks"),
    ),
    "potted_plant": Kind(
        build=plants.potted_plant,
        low_m=(0.5, 0.5, 0.7),
        high_m=(1.0, 1.0, 1.8),
        materials=(TERRACOTTA, EARTH, LEAF),
        patterns=("plain",),
        shape=("variant",),
    ),
    "hedge": Kind(
        build=plants.hedge,
        low_m=(0.8, 0.35, 0.5),
        high_m=(2.5, 0.7, 1.5),
        materials=(of((0.02, 0.05, 0.015), rough=0.95), LEAF),
        patterns=("plain",),
        shape=("variant",),
    ),
    "shrub": Kind(
        build=plants.shrub,
        low_m=(0.6, 0.6, 0.6),
        high_m=(1.6, 1.6, 1.7),
        materials=(of((0.02, 0.05, 0.015), rough=0.95), WOOD, LEAF),
        patterns=("plain",),
        shape=("variant",),
    ),
    "bicycle": Kind(
        build=wheels.bicycle,
        low_m=(0.56, 1.65, 0.88),
        high_m=(0.64, 1.85, 1.15),
        materials=(RED, BLACK, STEEL),
        patterns=("plain",),
        roles=(*CARRIED, "support"),
        grip="walk",
        grip_share=(0.4, -0.135, 0.985),
    ),
    "motor_scooter": Kind(
        build=wheels.motor_scooter,
        low_m=(0.62, 1.65, 1.02),
        high_m=(0.74, 1.9, 1.2),
        materials=(ORANGE, BLACK, STEEL),
        patterns=("plain",),
    ),
    "car": Kind(
        build=wheels.car,
        low_m=(1.62, 3.5, 1.4),
        high_m=(1.85, 4.5, 1.55),
        materials=(PAINT, GLASS, RUBBER, LAMP),
        patterns=("plain",),
    ),
    "pram": Kind(
        build=wheels.pram,
        low_m=(0.54, 0.9, 0.88),
        high_m=(0.64, 1.1, 1.14),
        materials=(CLOTH_BLUE, STEEL, BLACK),
        patterns=("plain", "checks", "dots"),
        roles=(*CARRIED, "support"),
        grip="push",
        grip_share=(0.0, 0.48, 0.985),
    ),
    "shopping_cart": Kind(
        build=wheels.shopping_cart,
        low_m=(0.54, 0.85, 0.88),
        high_m=(0.6, 1.0, 1.14),
        materials=(STEEL, RED, BLACK),
        patterns=("plain",),
        roles=(*CARRIED, "support"),
        grip="push",
        grip_share=(0.0, 0.48, 0.985),
    ),
    "partition": Kind(
        build=furniture.partition,
        low_m=(1.2, 0.1, 1.9),
        high_m=(2.6, 0.18, 2.5),
        materials=(WHITE, WOOD),
        patterns=("plain", "bricks", "concrete", "wood", "tiles"),
    ),
    "ladder": Kind(
        build=sports.ladder,
        low_m=(0.45, 0.6, 1.2),
        high_m=(0.62, 1.1, 2.2),
        materials=(STEEL, STEEL),
        patterns=("plain", "wood"),
    ),
    "screen": Kind(
        build=screens.screen,
        low_m=(0.8, 0.35, 1.2),
        high_m=(1.4, 0.45, 1.75),
        materials=(BLACK, GLASS, PICTURE),
        patterns=("plain", "stripes", "checks"),
    ),
    "kiosk": Kind(
        build=screens.kiosk,
        low_m=(0.4, 0.3, 1.2),
        high_m=(0.6, 0.5, 1.7),
        materials=(CLOTH_BLUE, GLASS, PICTURE),
        patterns=("plain",),
    ),
    "barbell": Kind(
        build=sports.barbell,
        low_m=(1.5, 0.3, 0.3),
        high_m=(1.9, 0.45, 0.45),
        materials=(BLACK, STEEL),
        patterns=("plain",),
        roles=CARRIED,
        grip="barbell",
        grip_share=(0.0, 0.0, 0.5),
    ),
}
