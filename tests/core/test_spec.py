"""A stored spec reads back equal; anything else is one clear error."""

import dataclasses
import json
import os
import pickle

import pytest
from programs import python
from stick_people import make_camera, make_person_spec, make_spec

from synthstudio.core import spec as specs
from synthstudio.core.errors import RecipeError
from synthstudio.core.skeleton import get_skeleton
from synthstudio.core.spec import from_json, to_json

ASSET = specs.AssetRef(sha256="ab" * 32, name="folder/é.jpg")
BACKDROPS = [
    specs.PhotoBackdrop(asset=ASSET, crop_px=(0.0, 1.0, 2.5, 3.0)),
    specs.HdriBackdrop(asset=ASSET, yaw_rad=0.1),
    specs.RoomBackdrop(
        size_m=(4.0, 5.0, 3.0), centre_m=(0.0, 1.0), floor=specs.Material(), wall=specs.Material()
    ),
    specs.PlainBackdrop(top_rgb=(1.0, 1.0, 1.0), bottom_rgb=(0.1, 0.2, 0.3)),
]


def _spec(backdrop):
    person = dataclasses.replace(
        make_person_spec("id-0001"),
        pose=specs.PoseSpec(name="stand", family="stand", angles_rad={"left_knee_flexion": 0.3}),
        outfit=(
            specs.GarmentSpec(kind="t_shirt", shape={"hem_m": 1e-17}, material=specs.Material()),
        ),
    )
    moving = specs.MovingSpec(
        person=0, after_s=-0.01, pose=person.pose, position_m=(0.1, 0.0, 0.0), yaw_rad=0.3
    )
    cutout = specs.CutoutSpec(asset=ASSET, kind="cat", top_left_px=(-3.5, 4.0), size_px=(9, 8))
    return dataclasses.replace(
        make_spec(make_camera(64, 48, focal_px=1 / 3, yaw_rad=0.1 + 0.2), 0, index=7),
        seed=2**63,
        people=(person,),
        objects=(specs.ObjectSpec(kind="mesh", asset=ASSET, held_by=0, shape={"a": 1.0}),),
        cutouts=(cutout,),
        backdrop=backdrop,
        lens=specs.LensSpec(noise_seed=2**60, exposure_s=0.02, readout_s=0.01),
        moving=(moving,),
        attempt=2,
    )


@pytest.mark.parametrize("backdrop", BACKDROPS, ids=lambda b: b.kind)
def test_there_and_back(backdrop):
    spec = _spec(backdrop)
    assert from_json(to_json(spec)) == spec
    assert json.loads(to_json(spec)) == json.loads(json.dumps(dataclasses.asdict(spec)))


BROKEN = [
    (lambda d: d.update(colour=1), "spec.colour"),
    (lambda d: d.pop("camera"), "spec.camera"),
    (lambda d: d.update(index="7"), "spec.index"),
    (lambda d: d.update(index=True), "spec.index"),
    (lambda d: d.update(split="tain"), "'train', 'val' or 'test'"),
    (lambda d: d["backdrop"].update(kind="painting"), "backdrop.*painting"),
    (lambda d: d["backdrop"]["asset"].update(name=3), r"PhotoBackdrop\.asset\.name.*valid string"),
    (lambda d: d["camera"].update(position_m=[1, 2]), r"camera\.position_m"),
]


def test_anything_else_is_one_error_that_says_where():
    texts = [("{", "not a stored"), ("[]", "an object"), ("[" * 100_000, "not a stored frame spec")]
    for change, message in BROKEN:
        data = json.loads(to_json(_spec(BACKDROPS[0])))
        change(data)
        texts.append((json.dumps(data), message))
    for text, message in texts:
        with pytest.raises(RecipeError, match=message):
            from_json(text)


def test_unknown_skeleton_names_the_known_ones():
    with pytest.raises(RecipeError, match="coco17 or coco23"):
        get_skeleton("coco18")


def test_specs_are_keys_that_cross_to_other_processes():
    spec = _spec(BACKDROPS[0])
    person = spec.people[0]
    assert {person: 1}[pickle.loads(pickle.dumps(person))] == 1
    assert pickle.loads(pickle.dumps(spec)) == spec
    code = "import pickle as k, sys; p=k.load(sys.stdin.buffer); print({p: 1}[type(p)(**vars(p))])"
    env = {**os.environ, "PYTHONHASHSEED": "1"}
    child = python("-c", code, text=False, input=pickle.dumps(person), env=env)
    assert child.stdout.strip() == b"1"
