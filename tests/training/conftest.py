"""A small data set of pairs and one of a clip, each made once."""

import functools
from pathlib import Path

import pytest
import tiny
import two_processes
from painted_frames import painted, write_set
from safetensors.torch import load_file
from tiny_pairs import recipe

import synthstudio as ss
from synthstudio.generation.pipeline import generate
from synthstudio.generation.stage import prepare
from synthstudio.recipe.schema.load import dump, load, parse

SCENES = Path(__file__).parents[2] / "scenes"


@pytest.fixture(scope="session")
def pairs(once):
    def make(folder):
        settings = prepare(parse(recipe(16)), assets=folder, device="cpu")
        generate(settings, folder / "pairs", workers=1)

    return once("training", make) / "pairs"


@pytest.fixture(scope="session")
def learnt(once, pairs):
    def make(folder):
        for block in ("orn", "kpe"):
            network = {"head": block, "standardize": block == "orn"}
            changes = {"network": network}
            tiny.run(tiny.config(pairs, steps=60, augment=tiny.STILL, **changes), folder / block)
        ss.Model.load(folder / "orn", device="cpu").export(folder / "orn.onnx")

    return once("learnt", make)


@pytest.fixture(scope="session")
def shards(once):
    """Return the folder of a data set of twelve moments, each with and without its occluder, in six
    shards: 24 people with something in front of them."""

    def make(folder):
        settings = prepare(parse(recipe(24, seed=6)), assets=folder, device="cpu")
        generate(settings, folder / "shards", workers=1, frames_per_shard=4)

    return once("shards", make) / "shards"


@pytest.fixture(scope="session")
def by_two(once, pairs):
    make = functools.partial(two_processes.make, pairs=pairs)
    return two_processes.done_in(once("two-processes", make))


@pytest.fixture(scope="session")
def sticks(once):
    def make(folder):
        splits = ["train"] * 6 + ["val"] * 2 + ["test"] * 2
        frames = [painted(i, people=0 if i == 5 else 2, split=s) for i, s in enumerate(splits)]
        write_set(folder / "set", frames)

    return once("frames of sticks", make) / "set"


@pytest.fixture(scope="session")
def whole_bodies(once):
    def make(folder):
        splits = ["train"] * 8 + ["val"] * 2 + ["test"] * 2
        frames = [painted(i, skeleton="coco133", split=s) for i, s in enumerate(splits)]
        write_set(folder / "set", frames)

    return once("sticks with hands", make) / "set"


@pytest.fixture(scope="session")
def people(pairs, tmp_path_factory):
    """The people of the pairs, cut out; without validation the same."""
    return tiny.loaded(tiny.config(pairs), tmp_path_factory.mktemp("people"))


@pytest.fixture(scope="session")
def rendered_clip(once):
    """Eight frames of scenes/clips.yaml, three people who walk."""

    def make(folder):
        written = dump(load(SCENES / "clips.yaml"))
        written |= {"frames": 8, "image": {"width_px": 240, "height_px": 180}}
        written["clip"] |= {"frames": 8}
        written["people"]["count"], written["motion"]["share"] = 3, 1.0
        settings = prepare(parse(written), assets=SCENES, device="cpu")
        generate(settings, folder / "clip", workers=1)

    return once("tracking", make) / "clip"


@pytest.fixture(scope="session")
def tensors():
    def read(run):
        found = load_file(run / "last.safetensors")
        return {name: value.numpy().tobytes() for name, value in found.items()}

    return read
