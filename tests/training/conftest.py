"""A small data set of pairs, made once."""

from __future__ import annotations

from pathlib import Path

import pytest

from synthstudio.pipeline import generate
from synthstudio.recipe.load import parse
from synthstudio.stage import prepare

RECIPE = {
    "name": "pairs", "frames": 16, "seed": 5, "variants": {"clean": 1},
    "image": {"width_px": 160, "height_px": 120, "supersample": 1},
    "camera": {"distance_m": [2.5, 3.5]},
    "people": {"count": 2, "arrangement": {"kind": "group", "spread_m": [0.5, 1.0]}},
    "things": [{"kind": "procedural", "count": 1, "placement": "in_front", "hides": [0.3, 0.6]}],
    "backdrop": {"kind": "plain"},
}  # fmt: skip


@pytest.fixture(scope="session")
def pairs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a data set of eight moments, each with and without its occluder."""
    out = tmp_path_factory.mktemp("training") / "pairs"
    generate(prepare(parse(RECIPE), assets=out.parent, device="cpu"), out, workers=1)
    return out
