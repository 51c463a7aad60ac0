"""Typical real sizes of COCO's categories, chosen by us.

`SIZES` hold for pictures of any part of an object, `HEIGHTS_M` for whole objects seen from about
eye level, better described by height than width.
"""

from synthstudio.core.catalogue import ImageAsset
from synthstudio.core.spec import Vec2

_UNKNOWN = (0.3, 0.7, False)
SIZES: dict[str, tuple[float, float, bool]] = {
    "airplane": (15, 25, True), "apple": (0.07, 0.09, False), "backpack": (0.45, 0.55, True),
    "banana": (0.17, 0.22, False), "baseball_bat": (0.8, 0.9, False), "bear": (1.4, 2.0, True),
    "bed": (1.8, 2.1, False), "bench": (1.3, 1.9, True), "bicycle": (1.65, 1.85, True),
    "bird": (0.15, 0.5, True), "boat": (2.5, 5, True), "book": (0.22, 0.3, False),
    "bottle": (0.22, 0.32, False), "bowl": (0.16, 0.26, False), "broccoli": (0.15, 0.2, False),
    "bus": (4.5, 8, True), "cake": (0.25, 0.35, False), "car": (2.8, 4.0, True),
    "carrot": (0.15, 0.2, False), "cat": (0.38, 0.5, True), "cell_phone": (0.14, 0.16, False),
    "chair": (0.8, 1.0, True), "clock": (0.25, 0.4, False), "couch": (1.6, 2.1, True),
    "cow": (1.8, 2.4, True), "cup": (0.09, 0.14, False), "dining_table": (1.4, 1.9, False),
    "dog": (0.55, 0.85, True), "donut": (0.09, 0.11, False), "elephant": (3, 4.5, True),
    "fire_hydrant": (0.75, 1.0, True), "fork": (0.18, 0.21, False), "frisbee": (0.25, 0.28, False),
    "giraffe": (4, 5, True), "hair_drier": (0.2, 0.28, False), "handbag": (0.3, 0.42, True),
    "horse": (1.9, 2.4, True), "hot_dog": (0.15, 0.2, False), "keyboard": (0.38, 0.46, False),
    "kite": (1, 2, False), "knife": (0.2, 0.28, False), "laptop": (0.34, 0.42, False),
    "microwave": (0.45, 0.55, False), "motorcycle": (1.2, 1.6, True), "mouse": (0.1, 0.12, False),
    "orange": (0.07, 0.09, False), "oven": (0.6, 0.9, True), "parking_meter": (1.2, 1.5, True),
    "pizza": (0.28, 0.38, False), "potted_plant": (0.7, 1.2, True),
    "refrigerator": (1.6, 1.9, True), "remote": (0.15, 0.2, False), "sandwich": (0.15, 0.22, False),
    "scissors": (0.16, 0.22, False), "sheep": (1.0, 1.3, True), "sink": (0.5, 0.7, False),
    "skateboard": (0.75, 0.82, False), "skis": (1.5, 1.8, False), "snowboard": (1.4, 1.6, False),
    "spoon": (0.15, 0.2, False), "sports_ball": (0.2, 0.25, True), "stop_sign": (0.7, 0.8, False),
    "suitcase": (0.65, 0.8, True), "surfboard": (1.8, 2.2, False), "teddy_bear": (0.3, 0.5, True),
    "tennis_racket": (0.66, 0.7, False), "tie": (0.5, 0.6, False), "toaster": (0.3, 0.4, False),
    "toilet": (0.6, 0.75, True), "toothbrush": (0.17, 0.19, False),
    "traffic_light": (0.9, 1.2, False), "train": (8, 15, True), "truck": (4, 7, True),
    "tv": (0.6, 1.0, False), "umbrella": (0.9, 1.1, False), "vase": (0.25, 0.4, False),
    "wine_glass": (0.18, 0.23, False), "zebra": (1.9, 2.3, True),
}  # fmt: skip
"""The range of the longer side, and whether the object stands on the floor."""
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


def true_size(category: str) -> tuple[float, float, bool]:
    """A category's entry of SIZES; blanks and hyphens in its name are ignored."""
    return SIZES.get(_named(category), _UNKNOWN)


def stands_m(cutout: ImageAsset) -> Vec2 | None:
    """The range of a cut-out's real height if it is known and stands on a floor."""
    if cutout.height_m is not None:
        return cutout.height_m, cutout.height_m
    return HEIGHTS_M.get(_named(cutout.category))
