"""The kinds of things that people hold: sizes, materials, how and where a hand takes them.

What may also stand about on a floor has the role "occluder" too.
"""

from __future__ import annotations

from synthstudio.core.spec import Pattern
from synthstudio.props import carried, screens, sports, street
from synthstudio.props.kinds import (
    BLACK,
    CARRIED,
    CARTON,
    CLOTH_BLUE,
    GLASS,
    ORANGE,
    PALE_WOOD,
    PICTURE,
    RED,
    RUBBER,
    STEEL,
    WHITE,
    WOOD,
    Kind,
    of,
)

_HELD: tuple[str, ...] = ("held",)
_LEATHER = of((0.2, 0.08, 0.035), rough=0.45)
_BRASS = of((0.55, 0.38, 0.12), rough=0.3)
_PAPER = of((0.75, 0.72, 0.64), "stripes", scale_m=0.02, rough=0.9)
_TAN = of((0.42, 0.3, 0.16), rough=0.9)
_GREEN = of((0.05, 0.22, 0.12), rough=0.5)
_YELLOW = of((0.72, 0.55, 0.02), rough=0.6)
_CLOTH: tuple[Pattern, ...] = ("plain", "stripes", "checks", "dots", "plaid")

HELD: dict[str, Kind] = {
    "phone": Kind(
        build=screens.phone, low_m=(0.07, 0.008, 0.142), high_m=(0.079, 0.0095, 0.165),
        materials=(BLACK, GLASS, STEEL), patterns=("plain",), roles=_HELD,
        grip="phone", grip_share=(0.0, 0.5, 0.42),
    ),
    "tablet": Kind(
        build=screens.tablet, low_m=(0.2, 0.007, 0.15), high_m=(0.29, 0.009, 0.21),
        materials=(BLACK, GLASS, PICTURE), patterns=("plain", "stripes", "checks"), roles=_HELD,
        grip="read", grip_share=(0.0, 0.5, 0.4),
    ),
    "book": Kind(
        build=carried.book, low_m=(0.24, 0.05, 0.19), high_m=(0.36, 0.07, 0.26),
        materials=(RED, _PAPER), patterns=("plain", "stripes"), roles=_HELD,
        grip="read", grip_share=(0.0, 0.15, 0.3),
    ),
    "cup": Kind(
        build=carried.cup, low_m=(0.078, 0.078, 0.11), high_m=(0.09, 0.09, 0.16),
        materials=(WHITE, BLACK, CARTON), patterns=("plain", "stripes"), roles=_HELD,
        grip="cup", grip_share=(0.0, 0.0, 0.5),
    ),
    "bottle": Kind(
        build=carried.bottle, low_m=(0.06, 0.06, 0.2), high_m=(0.075, 0.075, 0.28),
        materials=(_GREEN, WHITE, _PAPER), patterns=("plain", "stripes"), roles=_HELD,
        grip="cup", grip_share=(0.0, 0.0, 0.4),
    ),
    "tray": Kind(
        build=carried.tray, low_m=(0.36, 0.27, 0.025), high_m=(0.48, 0.36, 0.04),
        materials=(WOOD, BLACK), patterns=("plain", "wood"), roles=_HELD,
        grip="tray", grip_share=(0.0, 0.0, 0.0),
    ),
    "handbag": Kind(
        build=carried.handbag, low_m=(0.24, 0.09, 0.28), high_m=(0.34, 0.13, 0.4),
        materials=(_LEATHER, _LEATHER, _BRASS), patterns=("plain", "checks"), roles=CARRIED,
        grip="hang", grip_share=(0.0, 0.0, 0.98),
    ),
    "shopping_bag": Kind(
        build=carried.shopping_bag, low_m=(0.28, 0.11, 0.38), high_m=(0.38, 0.16, 0.5),
        materials=(_TAN, WHITE, RED), patterns=("plain", "stripes", "dots"), roles=CARRIED,
        grip="hang", grip_share=(0.0, 0.0, 0.985),
    ),
    "briefcase": Kind(
        build=carried.briefcase, low_m=(0.38, 0.08, 0.32), high_m=(0.45, 0.12, 0.38),
        materials=(_LEATHER, BLACK, _BRASS), patterns=("plain",), roles=CARRIED,
        grip="hang", grip_share=(0.0, 0.0, 0.975),
    ),
    "bucket": Kind(
        build=carried.bucket, low_m=(0.26, 0.26, 0.38), high_m=(0.31, 0.31, 0.46),
        materials=(CLOTH_BLUE, STEEL), patterns=("plain",), roles=CARRIED,
        grip="hang", grip_share=(0.0, 0.0, 0.985),
    ),
    "backpack": Kind(
        build=carried.backpack, low_m=(0.27, 0.15, 0.4), high_m=(0.33, 0.22, 0.5),
        materials=(CLOTH_BLUE, BLACK, STEEL), patterns=("plain", "camouflage", "checks"),
        roles=CARRIED, grip="back",
        shape=(
            *(f"strap_{k}_m" for k in range(carried.STRAP_LEVELS)),
            "shoulder_m", "arm_pit_m", "side_m", "body_m",
        ),
    ),
    "trolley_case": Kind(
        build=carried.trolley_case, low_m=(0.33, 0.2, 0.72), high_m=(0.45, 0.26, 1.05),
        materials=(_YELLOW, BLACK), patterns=("plain",), roles=CARRIED,
        grip="stand", grip_share=(0.0, 0.0, 0.985),
    ),
    "cane_umbrella": Kind(
        build=street.cane_umbrella, low_m=(0.12, 0.08, 0.72), high_m=(0.15, 0.1, 1.0),
        materials=(BLACK, STEEL, WOOD), patterns=("plain",), roles=_HELD,
        grip="stand", grip_share=(0.0, 0.0, 0.98),
    ),
    "surfboard": Kind(
        build=sports.surfboard, low_m=(0.48, 0.16, 1.7), high_m=(0.55, 0.2, 2.2),
        materials=(WHITE, RED), patterns=("plain", "stripes"),
    ),
    "hand_umbrella": Kind(
        build=street.hand_umbrella, low_m=(0.9, 0.9, 0.78), high_m=(1.15, 1.15, 0.92),
        materials=(CLOTH_BLUE, STEEL, WOOD), patterns=_CLOTH, roles=_HELD,
        grip="shaft", grip_share=(0.0, 0.0, 0.07),
    ),
    "racket": Kind(
        build=sports.racket, low_m=(0.25, 0.036, 0.66), high_m=(0.28, 0.04, 0.7),
        materials=(RED, BLACK, WHITE), patterns=("plain",), roles=_HELD,
        grip="bar", grip_share=(0.0, 0.0, 0.12),
    ),
    "bat": Kind(
        build=sports.bat, low_m=(0.062, 0.062, 0.72), high_m=(0.068, 0.068, 0.86),
        materials=(PALE_WOOD, BLACK), patterns=("wood", "plain"), roles=_HELD,
        grip="bar", grip_share=(0.0, 0.0, 0.14),
    ),
    "hammer": Kind(
        build=sports.hammer, low_m=(0.11, 0.026, 0.28), high_m=(0.13, 0.032, 0.34),
        materials=(WOOD, STEEL), patterns=("plain", "wood"), roles=_HELD,
        grip="bar", grip_share=(0.0, 0.0, 0.2),
    ),
    "dumbbell": Kind(
        build=sports.dumbbell, low_m=(0.12, 0.12, 0.28), high_m=(0.17, 0.17, 0.38),
        materials=(RUBBER, STEEL), patterns=("plain",), roles=_HELD,
        grip="bar", grip_share=(0.0, 0.0, 0.5),
    ),
    "skateboard": Kind(
        build=sports.skateboard, low_m=(0.74, 0.1, 0.19), high_m=(0.82, 0.12, 0.21),
        materials=(PALE_WOOD, BLACK, WHITE), patterns=("plain", "stripes", "checks"), roles=_HELD,
        grip="hang", grip_share=(0.0, -0.44, 0.96),
    ),
    "ball": Kind(
        build=sports.ball, low_m=(0.21, 0.21, 0.21), high_m=(0.25, 0.25, 0.25),
        materials=(ORANGE, BLACK), patterns=("plain", "checks"), roles=CARRIED,
        grip="ball", grip_share=(0.0, 0.0, 0.5),
    ),
    "broom": Kind(
        build=sports.broom, low_m=(0.3, 0.07, 1.25), high_m=(0.42, 0.09, 1.6),
        materials=(PALE_WOOD, RED, _YELLOW), patterns=("wood", "plain"), roles=_HELD,
        grip="pole",
    ),
    "rake": Kind(
        build=sports.rake, low_m=(0.4, 0.07, 1.3), high_m=(0.55, 0.09, 1.65),
        materials=(PALE_WOOD, _GREEN), patterns=("wood", "plain"), roles=_HELD, grip="pole",
    ),
    "shovel": Kind(
        build=sports.shovel, low_m=(0.22, 0.04, 1.0), high_m=(0.28, 0.06, 1.35),
        materials=(PALE_WOOD, STEEL, BLACK), patterns=("wood", "plain"), roles=_HELD, grip="pole",
    ),
}  # fmt: skip
