"""Runs in pieces end as unbroken ones: each kind of data and of network, and each process kill."""

import dataclasses
from pathlib import Path

import pytest
import test_frame_systems as frames
import test_streamed as streamed
import test_systems_training as systems
import test_zoomnet_training as zoomnet
import tiny
import yaml
from tiny_pairs import recipe

from synthstudio.models.packaged import VITS

pytestmark = pytest.mark.nightly("a resume matrix; three cases that differ are in test_loop.py")


def rendered(tmp_path):
    """A config whose people are rendered meanwhile, four of them a pass."""
    scene = tmp_path / "pairs.yaml"
    scene.write_text(yaml.safe_dump(recipe(16)))
    train = [{"recipe": str(scene), "moments": 2, "renew": 1, "variants": ["base"]}]
    val = [{"recipe": str(scene), "moments": 1, "splits": ["test"]}]
    return tiny.config(Path("x"), train=train, val=val, steps=4, batch=4)


MADE = {
    "people": lambda at: tiny.config(at("pairs")),
    "rendered": lambda at: rendered(at("tmp_path")),
    "streamed": lambda at: streamed.streaming(at("shards")),
    "zoomnet": lambda at: zoomnet.config(at("whole_bodies")),
    "vit without some layers": lambda at: systems.config(at("pairs"), "vit", steps=6, save_every=1),
} | {name: lambda at, s=name: frames.config(at("sticks"), s) for name in frames.SYSTEMS}


@pytest.mark.parametrize("name", MADE)
def test_a_run_in_pieces_ends_as_an_unbroken_one(name, tmp_path, request, monkeypatch):
    if name == "vit without some layers":
        monkeypatch.setitem(VITS, "nano", dataclasses.replace(VITS["nano"], drop_path=0.5))
    made = MADE[name](request.getfixturevalue)
    tiny.run(made, tmp_path / "whole")
    for steps in (1, 2, 99):
        tiny.run(made, tmp_path / "pieces", resume=True, steps=steps)
    files = {path.name for path in (tmp_path / "whole").glob("*.safetensors")}
    for file in files - {"state.safetensors"} | {"log.csv"}:
        assert (tmp_path / "pieces" / file).read_bytes() == (tmp_path / "whole" / file).read_bytes()
