"""Every recipe in scenes/ makes frames; photo_backdrop also on real photos where there are some."""

import itertools
import shutil
from pathlib import Path

import asset_roots
import numpy as np
import pytest

from synthstudio.generation import pipeline
from synthstudio.generation.stage import prepare
from synthstudio.recipe.schema.load import dump, load, parse

SCENES = Path(__file__).resolve().parents[1] / "scenes"
FOLDERS = (".", "systems", "challenges", "uses")
FILES = [path for folder in FOLDERS for path in (SCENES / folder).glob("*.yaml")]
NAMES = sorted(path.relative_to(SCENES).as_posix() for path in FILES)


@pytest.fixture(scope="session")
def small_assets(tmp_path_factory):
    root = tmp_path_factory.mktemp("assets")
    shutil.copytree(SCENES / "motions", root / "motions")
    asset_roots.fill(root)
    return root


def _settings(name, assets, *, frames, width=256):
    text = dump(load(SCENES / name))
    height = round(width * text["image"]["height_px"] / text["image"]["width_px"])
    text["image"] |= {"width_px": width, "height_px": height}
    return prepare(parse({**text, "frames": frames}, name), assets=assets, device="cpu")


def _check(labels):
    for person in labels.people:
        np.testing.assert_allclose(person.visibility_fractions.sum(axis=1), 1.0, atol=1e-9)
        assert person.modal_area_px <= person.amodal_area_px
        assert ((person.state == 2) == (person.visibility_fractions[:, 0] >= 0.5)).all()


NIGHTLY = pytest.mark.nightly("every scene: a few of each kind run quickly, and all are read")
FEW = ("everyday.yaml", "photo_backdrop.yaml", "clips.yaml", "counterfactuals.yaml")


@pytest.mark.parametrize("name", NAMES)
def test_every_scene_is_read(name, small_assets):
    assert _settings(name, small_assets, frames=1).recipe.frames == 1


@pytest.mark.parametrize(
    "name", [name if name in FEW else pytest.param(name, marks=NIGHTLY) for name in NAMES]
)
def test_every_scene_makes_frames(name, small_assets):
    frames = list(itertools.islice(pipeline.stream(_settings(name, small_assets, frames=2)), 2))
    assert len(frames) == 2
    assert all(frame.jpeg.startswith(b"\xff\xd8") for frame in frames)
    assert sum(len(frame.labels.people) for frame in frames) >= 1
    for frame in frames:
        _check(frame.labels)
