"""The generated people that networks for photos learn from: scenes/training/photos.yaml."""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

import synthstudio as ss
from benchmarks.generated_items import changed
from benchmarks.proofs import ROOT
from synthstudio.training import config as configs
from synthstudio.training.config import Config

SETS = ("everyday", "wild")
CONFIG = ROOT / "scenes" / "training" / "photos.yaml"
LARGE_CONFIG = ROOT / "scenes" / "training" / "photos_large.yaml"
FINDER_CONFIG = ROOT / "scenes" / "training" / "people.yaml"


def config_for(generated: Path) -> Config:
    """The config of the training, with the two sets where they are."""
    return with_sets(configs.load(CONFIG), generated)


def with_sets(config: Config, generated: Path) -> Config:
    """A config whose data sets lie in another folder."""
    train = tuple(
        source.model_copy(update={"dataset": str(generated / Path(source.dataset).name)})
        for source in config.train
    )
    return config.model_copy(update={"train": train})


_MAKERS = ("body", "compose", "core", "generation", "label", "props", "recipe", "render")

_OCCLUDE = ("generation/photos/", "recipe/search/photo_", "recipe/draw_photo.py")
"""What `occlude` alone uses, for photos."""


@functools.cache
def digest(*recipes: Path) -> str:
    """A digest of recipes, those of `SETS` unless others are given, and of the code behind them."""
    found = hashlib.sha256()
    for path in recipes or [ROOT / "scenes" / f"{name}.yaml" for name in SETS]:
        found.update(path.read_bytes())
    package = ROOT / "synthstudio"
    for folder in _MAKERS:
        for path in sorted((package / folder).rglob("*")):
            occlude = path.relative_to(package).as_posix().startswith(_OCCLUDE)
            if path.suffix in (".py", ".yaml") and not occlude:
                found.update(path.read_bytes())
    return found.hexdigest()[:12]


def generate(generated: Path, *, frames: int | None = None, item: str = "") -> None:
    """Generate what is missing of the sets, with their own number of frames or another.

    `item`: what of generated_items they leave out or have more.
    """
    for name in SETS:
        if not (generated / name / "index.json").is_file():
            recipe = changed(ss.Recipe.load(ROOT / "scenes" / f"{name}.yaml"), item)
            recipe = recipe if frames is None else recipe.with_(frames=frames)
            out = generated / name
            ss.generate(recipe, out, workers=2, resume=out.exists())
