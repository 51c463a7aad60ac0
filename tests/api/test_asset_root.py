"""Asset folders of a recipe are found beside it, one folder above, or in `assets`."""

from pathlib import Path

import pytest

from synthstudio.api import generation
from synthstudio.core.errors import SynthStudioError

SCENES = Path(__file__).parents[2] / "scenes"
RECIPE = "name: walk\nclip: {frames: 2}\nmotion: {folder: motions}\n"


@pytest.mark.parametrize("name", ["clips.yaml", "challenges/fast.yaml"])
def test_shipped_scenes_find_their_motions_from_any_folder(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    settings = generation.settings_for(SCENES / name)
    assert settings.assets.root.resolve() == SCENES


@pytest.mark.parametrize("place", ["set/deep", "set", "assets", ""])
def test_the_first_complete_folder_is_taken(place, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "set" / "deep").mkdir(parents=True)
    file = tmp_path / "set" / "deep" / "walk.yaml"
    file.write_text(RECIPE)
    if not place:
        with pytest.raises(SynthStudioError, match="motions"):
            generation.settings_for(file)
        return
    motions = tmp_path / place / "motions"
    motions.mkdir(parents=True)
    (motions / "a.bvh").write_bytes((SCENES / "motions" / "stroll.bvh").read_bytes())
    settings = generation.settings_for(file)
    assert settings.assets.root.resolve() == motions.parent
