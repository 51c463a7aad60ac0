"""A small data set of pairs, made once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_pairs import recipe

from synthstudio.generation.pipeline import generate
from synthstudio.generation.stage import prepare
from synthstudio.recipe.schema.load import parse


@pytest.fixture(scope="session")
def pairs(once: Callable[..., Path]) -> Path:
    """Return the folder of a data set of eight moments, each with and without its occluder."""

    def make(folder: Path) -> None:
        settings = prepare(parse(recipe(16)), assets=folder, device="cpu")
        generate(settings, folder / "pairs", workers=1)

    return once("training", make) / "pairs"
