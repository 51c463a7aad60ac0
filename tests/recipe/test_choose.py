import dataclasses
from collections import Counter

import numpy as np
import pytest
from recipe_fake import CATALOGUE, FakeSolve, mix_of

from synthstudio.core.errors import RecipeError
from synthstudio.recipe.draw import draw
from synthstudio.recipe.sampling.check import check
from synthstudio.recipe.sampling.context import STRATA, split_of, stratified
from synthstudio.recipe.schema.load import parse

HELD = {
    "name": "held",
    "splits": {"train": 0.6, "val": 0.2, "test": 0.2},
    "people": {"count": [1, 3], "identities": 12, "poses": {"mix": 0.5}},
    "objects": [
        {"kind": "procedural", "placement": "around", "offset_m": [1, 2]},
        {"kind": "mesh", "folder": "meshes", "placement": "around", "offset_m": [1, 2]},
    ],
    "cutouts": {"folder": "occluders", "count": 2},
    "backdrop": mix_of(
        {"kind": "photo", "folder": "backgrounds"}, {"kind": "hdri", "folder": "hdri"}
    ),
    "holdout": {
        "poses": ["sit", "reach_up"],
        "occluders": ["lamp_post", "kind1", "drum", "occluders_00"],
        "backgrounds": ["backgrounds_02.jpg", "backgrounds/backgrounds_03.jpg", "hdri_01"],
        "identities": 4,
        "share": 0.5,
    },
}
NEAR = {"kind": "procedural", "placement": "near", "kinds": {"crate": 1}}


def held_objects(spec):
    found = set()
    for person in spec.people:
        if int(person.identity.removeprefix("id-")) > 8:
            found.add("identity")
        if {"sit", "reach_up"} & {person.pose.family, *person.pose.name.split("+")}:
            found.add("pose")
    for obj in spec.objects:
        if obj.kind == "lamp_post" or (obj.asset and "drum" in obj.asset.name):
            found.add(obj.kind)
    if any(c.kind == "kind1" or "occluders_00" in c.asset.name for c in spec.cutouts):
        found.add("cutout")
    stem = spec.backdrop.asset.name.rsplit("/", 1)[-1].removesuffix(".jpg")
    if stem in ("backgrounds_02", "backgrounds_03", "hdri_01"):
        found.add(spec.backdrop.kind)
    return found


def test_training_frames_never_show_what_is_held_out():
    recipe, solve = parse(HELD), FakeSolve()
    seen: Counter = Counter()
    splits: Counter = Counter()
    for index in range(200):
        spec = draw(recipe, index, solve)
        splits[spec.split] += 1
        if spec.split == "train":
            assert held_objects(spec) == set()
        else:
            seen.update(held_objects(spec))
    assert splits == {"train": 120, "val": 40, "test": 40}
    # Negative control: val and test do show every kind of held-out object.
    assert set(seen) == {"identity", "pose", "lamp_post", "mesh", "cutout", "photo", "hdri"}


def test_held_out_seats_are_not_sat_on():
    poses = {"families": {"sit": 3, "stand": 1}}
    wanted = {"people": {"count": 1, "poses": poses}, "holdout": {"occluders": ["chair"]}}
    kinds = Counter()
    for index in range(100):
        spec = draw(parse({"name": "seats", **wanted}), index, FakeSolve())
        kinds[spec.split, spec.people[0].pose.family] += 1
        assert spec.split != "train" or not spec.objects
    assert kinds["train", "sit"] == 0
    assert kinds["val", "sit"] + kinds["test", "sit"] > 4


@pytest.mark.parametrize("fractions", [(0.8, 0.1, 0.1), (0.7, 0.15, 0.15), (1.0, 0, 0), (0, 0, 1)])
def test_every_block_of_20_has_its_shares(fractions):
    names = ("train", "val", "test")
    recipe = parse({"name": "s", "splits": dict(zip(names, fractions, strict=True))})
    for block in range(10):
        counts = Counter(split_of(recipe, block * 20 + i) for i in range(20))
        assert [counts[k] for k in names] == [round(20 * s) for s in fractions]


@pytest.mark.parametrize(
    ("wanted", "says"),
    [
        ({"people": {"poses": {"names": {"stnad": 1}}}}, "Did you mean 'stand'"),
        ({"people": {"poses": {"families": {"fly": 1}}}}, "people.poses.families"),
        ({"people": {"wardrobe": {"kinds": {"tshirt": 1}}}}, "Did you mean 't_shirt'"),
        ({"objects": [{"kind": "procedural", "kinds": {"crat": 1}}]}, "objects.0.kinds"),
        ({"objects": [NEAR]}, "objects.0.kinds"),
        ({"holdout": {"poses": ["flying"]}}, "holdout.poses"),
        ({"holdout": {"occluders": ["unicorn"]}}, "holdout.occluders"),
        ({"holdout": {"backgrounds": ["moon"]}}, "holdout.backgrounds"),
    ],
)
def test_names_that_do_not_exist_are_refused(wanted, says):
    with pytest.raises(RecipeError, match=says):
        check(parse({"name": "names", **wanted}), CATALOGUE)


def test_an_empty_folder_and_a_hold_out_of_everything_are_refused():
    photo = {"name": "n", "backdrop": {"kind": "photo", "folder": "backgrounds"}}
    with pytest.raises(RecipeError, match="nothing to choose from for backgrounds"):
        check(parse(photo), dataclasses.replace(CATALOGUE, backgrounds=()))
    everything = [f"backgrounds_{i:02d}" for i in range(6)]
    with pytest.raises(RecipeError, match="not all held out"):
        check(parse({**photo, "holdout": {"backgrounds": everything}}), CATALOGUE)
    families = sorted({pose.family for pose in CATALOGUE.poses})
    with pytest.raises(RecipeError, match="no pose to train on"):
        check(parse({"name": "n", "holdout": {"poses": families}}), CATALOGUE)


def test_every_block_covers_the_interval_evenly():
    values = np.array([stratified(3, "view", number=n) for n in range(4 * STRATA)])
    assert ((values >= 0) & (values < 1)).all()
    places = np.sort((values.reshape(4, STRATA) * STRATA).astype(int))
    assert (places == np.arange(STRATA)).all()
