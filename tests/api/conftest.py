"""A folder as a user has it after the first steps: scenes, a small data set, a short config."""

import shutil
from pathlib import Path

import pytest
import yaml

import synthstudio as ss

SCENES = Path(__file__).resolve().parents[2] / "scenes"


@pytest.fixture(scope="session")
def desk(once):
    """scenes/, exports/people (16 frames), photo.jpg and a nano.yaml of one epoch. Read only."""

    def make(folder):
        shutil.copytree(SCENES, folder / "scenes")
        config = folder / "scenes" / "training" / "nano.yaml"
        fields = yaml.safe_load(config.read_text(encoding="utf-8"))
        short = {"epochs": 1, "batch": 8}
        config.write_text(yaml.safe_dump({**fields, **short}), encoding="utf-8")
        recipe = ss.Recipe.load(SCENES / "people.yaml").with_(frames=24)
        people = ss.generate(recipe, folder / "exports" / "people", progress=False)
        (folder / "photo.jpg").write_bytes(people[0].encoded)

    return once("desk", make)


@pytest.fixture(scope="session")
def people(desk):
    return ss.Dataset(desk / "exports" / "people")
