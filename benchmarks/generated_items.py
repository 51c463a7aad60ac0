"""Generated people without one of the things that were made to be like photos, or with one more.

The recipes that networks for photos learn from, `everyday` and `wild`, with one group of their
fields as it is where nobody asks for it (scenes/README.md), or otherwise; the rest as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import synthstudio as ss

ITEMS: dict[str, dict[str, Any]] = {
    "poses": {
        "camera": {"roll_deg": None},
        "people": {
            "poses": {
                "athletic": 0.0,
                "random": 0.0,
                "mix": None,
                "jitter_deg": None,
                "arms": None,
            },
            "together": None,
        },
    },
    "framing": {
        "camera": {
            "distance_m": [3.0, 4.5],
            "height_m": [1.1, 1.7],
            "vertical_fov_deg": [38, 50],
            "aim_height_m": None,
            "off_centre": None,
        },
        "people": {
            "count": 2,
            "facing_deg": None,
            "arrangement": {"kind": "group", "spread_m": [0.5, 1.0]},
        },
    },
    "surfaces": {
        "people": {
            "shape": {"blotches": None},
            "wardrobe": {"prints": None, "patterned": 0.0, "wrinkles": None, "saturated": None},
        },
        "light": {"occlusion": None},
    },
    "heads": {
        "people": {
            "shape": {"age_years": None},
            "wardrobe": dict.fromkeys(("kinds", "over", "neck", "hands", "legs", "sport")),
            "face": None,
        },
    },
    "places": {"backdrop": {"kind": "plain"}},
    "sensor": {
        "lens": {
            **dict.fromkeys(("iso", "white_balance_mired", "tint_ev", "contrast", "sharpening")),
            **dict.fromkeys(("defocus", "distortion", "jpeg_quality")),
            **{"blur": 0.0, "motion": 0.0, "noise": 0.0, "vignette": 0.0, "exposure_ev": 0.0},
        },
        "light": {"flash": None},
    },
}
"""The fields that each changes; None: to their defaults. Poses of sport, of random limbs and of
people who do things together; cameras, groups and crops as photos have them; prints, wrinkles,
blotches and shaded corners; hair, hats, faces, ages and most garments; rooms, streets and fields;
what lens, flash and sensor do."""

_SURROUNDINGS = {
    "kind": "room",
    "walls": 0.7,
    "furnished": 1.0,
    "ceilings": 0.8,
    "skies": 0.9,
    "wall_patterns": {"plain": 1, "bricks": 3, "tiles": 3, "stripes": 2, "concrete": 1},
}
_AROUND = {"kind": "procedural", "placement": "around", "count": [3, 7], "offset_m": [-4, 4]}
MORE: dict[str, dict[str, Any]] = {
    "clutter": {"backdrop": _SURROUNDINGS, "lens": {"defocus": 0.1}, "things": [_AROUND]}
}
"""What each has more: things all about, patterned walls, sharp surroundings. Lists are added."""


def changed(recipe: ss.Recipe, item: str) -> ss.Recipe:
    """The recipe without an item of `ITEMS` or with one of `MORE`; "": as it is."""
    if not item:
        return recipe
    return ss.Recipe.parse(_changed(recipe.to_dict(), (ITEMS | MORE)[item]))


def _changed(fields: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    out = dict(fields)
    for name, value in changes.items():
        if value is None:
            out.pop(name, None)
        elif isinstance(value, Mapping) and "kind" not in value:
            out[name] = _changed(out[name], value)
        elif isinstance(value, list) and name == "things":
            out[name] = [*out[name], *value]
        else:
            out[name] = value
    return out
