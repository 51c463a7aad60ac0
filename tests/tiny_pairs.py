"""The recipe of a small set of moments, each with and without its occluder."""


def recipe(frames, *, seed=5):
    return {
        "name": "pairs",
        "frames": frames,
        "seed": seed,
        "variants": {"clean": 1},
        "image": {"width_px": 160, "height_px": 120, "supersample": 1},
        "camera": {"distance_m": [2.5, 3.5]},
        "people": {"count": 2, "arrangement": {"kind": "group", "spread_m": [0.5, 1.0]}},
        "objects": [
            {"kind": "procedural", "count": 1, "placement": "in_front", "hides": [0.3, 0.6]}
        ],
        "backdrop": {"kind": "plain"},
    }
