"""Recipes name their random streams; sets of another version's recipes are refused."""

import json

import pytest

import synthstudio as ss
from synthstudio.core.errors import DatasetError, RecipeError
from synthstudio.generation.stage import settings_of

RECIPE = {
    "name": "small",
    "seed": 4,
    "image": {"width_px": 96, "height_px": 72, "supersample": 1},
    "people": {"count": [1, 2], "identities": 4},
}
SHARDS = {"frames_per_shard": 2, "device": "cpu", "progress": False}


def test_names_of_streams_decide_who_is_drawn(tmp_path):
    new, seed_alone, same = (
        ss.generate({**RECIPE, **fields, "frames": 2}, tmp_path / str(k), **SHARDS)
        for k, fields in enumerate(({}, {"streams": ""}, {"name": "other", "streams": "small"}))
    )
    assert new[0].image.tobytes() != seed_alone[0].image.tobytes()
    assert new[0].image.tobytes() == same[0].image.tobytes()
    again = ss.generate({**RECIPE, "frames": 4}, tmp_path / "0", resume=True, **SHARDS)
    assert again[0].image.tobytes() == new[0].image.tobytes()
    assert ss.audit(again, device="cpu", progress=False).passed
    with pytest.raises(DatasetError, match="started with other settings"):
        ss.generate({**RECIPE, "frames": 4, "streams": ""}, tmp_path / "0", resume=True, **SHARDS)


def test_a_recipe_of_another_version_is_refused_by_its_name(tmp_path):
    made = ss.generate({**RECIPE, "frames": 2}, tmp_path / "set", **SHARDS)
    assert made.recipe is not None and made.recipe.streams is None
    path = tmp_path / "set/dataset.json"
    identity = json.loads(path.read_bytes())
    del identity["recipe"]["light"]["from_photo"]
    identity["versions"]["synthstudio"] = "0.0.7"
    path.write_text(json.dumps(identity, sort_keys=True, indent=2) + "\n", "utf-8")
    older = ss.Dataset(path.parent)
    for read in (lambda: older.recipe, lambda: settings_of(older._stored, device="cpu")):
        with pytest.raises(RecipeError, match=r"0\.0\.7"):
            read()
