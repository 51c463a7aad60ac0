"""Typical real sizes of COCO's categories, chosen by us.

`SIZES` hold for pictures of any part of an object, `HEIGHTS_M` for whole objects seen from about
eye level, better described by height than width.
"""

from __future__ import annotations

from dataclasses import dataclass

from synthstudio.core.catalogue import ImageAsset
from synthstudio.core.spec import Vec2


@dataclass(frozen=True)
class TrueSize:
    """The range of the longer side, and whether the object stands on the floor."""

    low_m: float
    high_m: float
    stands: bool


UNKNOWN = TrueSize(0.3, 0.7, False)
SIZES = {
    "airplane": TrueSize(15, 25, True), "apple": TrueSize(0.07, 0.09, False),
    "backpack": TrueSize(0.45, 0.55, True), "banana": TrueSize(0.17, 0.22, False),
    "baseball_bat": TrueSize(0.8, 0.9, False), "bear": TrueSize(1.4, 2.0, True),
    "bed": TrueSize(1.8, 2.1, False), "bench": TrueSize(1.3, 1.9, True),
    "bicycle": TrueSize(1.65, 1.85, True), "bird": TrueSize(0.15, 0.5, True),
    "boat": TrueSize(2.5, 5, True), "book": TrueSize(0.22, 0.3, False),
    "bottle": TrueSize(0.22, 0.32, False), "bowl": TrueSize(0.16, 0.26, False),
    "broccoli": TrueSize(0.15, 0.2, False), "bus": TrueSize(4.5, 8, True),
    "cake": TrueSize(0.25, 0.35, False), "car": TrueSize(2.8, 4.0, True),
    "carrot": TrueSize(0.15, 0.2, False), "cat": TrueSize(0.38, 0.5, True),
    "cell_phone": TrueSize(0.14, 0.16, False), "chair": TrueSize(0.8, 1.0, True),
    "clock": TrueSize(0.25, 0.4, False), "couch": TrueSize(1.6, 2.1, True),
    "cow": TrueSize(1.8, 2.4, True), "cup": TrueSize(0.09, 0.14, False),
    "dining_table": TrueSize(1.4, 1.9, False), "dog": TrueSize(0.55, 0.85, True),
    "donut": TrueSize(0.09, 0.11, False), "elephant": TrueSize(3, 4.5, True),
    "fire_hydrant": TrueSize(0.75, 1.0, True), "fork": TrueSize(0.18, 0.21, False),
    "frisbee": TrueSize(0.25, 0.28, False), "giraffe": TrueSize(4, 5, True),
    "hair_drier": TrueSize(0.2, 0.28, False), "handbag": TrueSize(0.3, 0.42, True),
    "horse": TrueSize(1.9, 2.4, True), "hot_dog": TrueSize(0.15, 0.2, False),
    "keyboard": TrueSize(0.38, 0.46, False), "kite": TrueSize(1, 2, False),
    "knife": TrueSize(0.2, 0.28, False), "laptop": TrueSize(0.34, 0.42, False),
    "microwave": TrueSize(0.45, 0.55, False), "motorcycle": TrueSize(1.2, 1.6, True),
    "mouse": TrueSize(0.1, 0.12, False), "orange": TrueSize(0.07, 0.09, False),
    "oven": TrueSize(0.6, 0.9, True), "parking_meter": TrueSize(1.2, 1.5, True),
    "pizza": TrueSize(0.28, 0.38, False), "potted_plant": TrueSize(0.7, 1.2, True),
    "refrigerator": TrueSize(1.6, 1.9, True), "remote": TrueSize(0.15, 0.2, False),
    "sandwich": TrueSize(0.15, 0.22, False), "scissors": TrueSize(0.16, 0.22, False),
    "sheep": TrueSize(1.0, 1.3, True), "sink": TrueSize(0.5, 0.7, False),
    "skateboard": TrueSize(0.75, 0.82, False), "skis": TrueSize(1.5, 1.8, False),
    "snowboard": TrueSize(1.4, 1.6, False), "spoon": TrueSize(0.15, 0.2, False),
    "sports_ball": TrueSize(0.2, 0.25, True), "stop_sign": TrueSize(0.7, 0.8, False),
    "suitcase": TrueSize(0.65, 0.8, True), "surfboard": TrueSize(1.8, 2.2, False),
    "teddy_bear": TrueSize(0.3, 0.5, True), "tennis_racket": TrueSize(0.66, 0.7, False),
    "tie": TrueSize(0.5, 0.6, False), "toaster": TrueSize(0.3, 0.4, False),
    "toilet": TrueSize(0.6, 0.75, True), "toothbrush": TrueSize(0.17, 0.19, False),
    "traffic_light": TrueSize(0.9, 1.2, False), "train": TrueSize(8, 15, True),
    "truck": TrueSize(4, 7, True), "tv": TrueSize(0.6, 1.0, False),
    "umbrella": TrueSize(0.9, 1.1, False), "vase": TrueSize(0.25, 0.4, False),
    "wine_glass": TrueSize(0.18, 0.23, False), "zebra": TrueSize(1.9, 2.3, True),
}  # fmt: skip


HEIGHTS_M: dict[str, Vec2] = {
    "backpack": (0.42, 0.52), "bear": (0.9, 1.2), "bench": (0.8, 0.95), "bicycle": (1.0, 1.1),
    "bus": (2.9, 3.2), "car": (1.4, 1.65), "cat": (0.28, 0.4), "chair": (0.8, 1.0),
    "couch": (0.75, 0.9), "cow": (1.3, 1.5), "dog": (0.5, 0.75), "elephant": (2.6, 3.2),
    "fire_hydrant": (0.7, 0.95), "giraffe": (4.0, 5.0), "handbag": (0.28, 0.4),
    "horse": (1.9, 2.3), "motorcycle": (1.05, 1.25), "oven": (0.85, 0.95),
    "parking_meter": (1.3, 1.5), "potted_plant": (0.6, 1.2), "refrigerator": (1.6, 1.9),
    "sheep": (0.8, 1.0), "suitcase": (0.6, 0.75), "teddy_bear": (0.3, 0.5),
    "toilet": (0.7, 0.8), "truck": (2.4, 3.4), "zebra": (1.4, 1.7),
}  # fmt: skip
"""Of floor-standing objects. Beds and tables are left out, as their pictures look down on them:
upright before a level camera they look wrong."""


def _named(category: str) -> str:
    return category.strip().lower().replace(" ", "_").replace("-", "_")


def true_size(category: str) -> TrueSize:
    """The size of a category; blanks and hyphens in its name are ignored."""
    return SIZES.get(_named(category), UNKNOWN)


def stands_m(cutout: ImageAsset) -> Vec2 | None:
    """The range of a cut-out's real height if it is known and stands on a floor."""
    if cutout.height_m is not None:
        return cutout.height_m, cutout.height_m
    return HEIGHTS_M.get(_named(cutout.category))
