"""What is worn on a head hides eyes, nose and ears from labels just where it lies before them."""

from __future__ import annotations

import math
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from synthstudio.body.face import EXPRESSIONS
from synthstudio.core.camera import Camera, look_at
from synthstudio.core.errors import DeviceError
from synthstudio.core.labels import PersonLabel
from synthstudio.core.rng import stream
from synthstudio.core.spec import FrameSpec, GarmentSpec, LensSpec, PersonSpec, Vec3
from synthstudio.generation.audit import shares_by_rays
from synthstudio.generation.pipeline import build, draw_spec, make_frame
from synthstudio.generation.stage import Stage, prepare
from synthstudio.recipe.sampling.ages import aged
from synthstudio.recipe.schema.load import parse
from synthstudio.render import pyrender_backend, shade
from synthstudio.render.pack import pack

POSES = {"names": {"stand_relaxed": 1}, "mix": 0, "jitter_deg": 0}
RECIPE = {
    "name": "heads",
    "seed": 8,
    "image": {"width_px": 160, "height_px": 160},
    "people": {"count": 1, "shape": {"female_share": 1}, "poses": POSES},
    "backdrop": {"kind": "plain"},
}
FACE = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")


@pytest.fixture(scope="module")
def stage() -> Stage:
    return Stage(prepare(parse(RECIPE), assets=Path(), device="cpu"))


@pytest.fixture(scope="module")
def base(stage: Stage) -> FrameSpec:
    return draw_spec(stage, 0)


def wearing(
    stage: Stage, base: FrameSpec, *kinds: str, years: float | None = None, azimuth_deg: float = 0
) -> FrameSpec:
    """Return a frame of one head alone, seen from in front or to its left."""
    known = {kind.kind: kind for kind in stage.catalogue.garments}
    (person,) = base.people
    kept = [g for g in person.outfit if known[g.kind].slot in ("top", "bottom", "shoes")]
    material = person.outfit[0].material
    worn = [
        GarmentSpec(
            kind=kind,
            shape={k: (low + high) / 2 for k, (low, high) in known[kind].shape.items()},
            material=material,
        )
        for kind in kinds
    ]
    body = person.phenotype if years is None else aged(person.phenotype, years, stream(0, "test"))
    person = replace(
        person,
        phenotype=body,
        outfit=(*kept, *worn),
        yaw_rad=0.0,
        position_m=(0.0, 0.0, 0.0),
        years=years,
    )
    person = replace(person, position_m=(0.0, 0.0, stage.drop_m(person)))
    return replace(
        base,
        people=(person,),
        things=(),
        camera=_close(stage, person, azimuth_deg),
        lens=LensSpec(),
    )


def _close(stage: Stage, person: PersonSpec, azimuth_deg: float) -> Camera:
    names = stage.skeleton.joints
    x, y, z = stage.joints_m(person)[[names.index("left_ear"), names.index("right_ear")]].mean(0)
    turn = math.radians(azimuth_deg)
    at: Vec3 = (float(x + math.sin(turn)), float(y - math.cos(turn)), float(z) + 0.02)
    yaw, pitch = look_at(at, (float(x), float(y), float(z)))
    return Camera(
        width_px=160, height_px=160, focal_px=300, position_m=at, yaw_rad=yaw, pitch_rad=pitch
    )


def labels(stage: Stage, spec: FrameSpec) -> PersonLabel:
    """Return the labels, which rays confirm."""
    (label,) = make_frame(stage, spec).labels.people
    built = build(stage, spec)
    (person,) = built.scene.people
    (again,) = shares_by_rays(built, [(person, person.patches)])
    assert np.abs(label.shares - again).max() < 0.03
    return label


def seen(stage: Stage, label: PersonLabel) -> dict[str, float]:
    names = stage.skeleton.joints
    return {joint: float(label.shares[names.index(joint), 0]) for joint in FACE}


@pytest.mark.parametrize(
    ("kinds", "hidden"),
    [
        (("short_hair",), ()),
        (("glasses", "short_hair"), ()),
        (("full_beard", "short_hair"), ()),
        (("moustache", "short_hair"), ()),
        (("headband", "ponytail_hair"), ()),
        (("helmet", "short_hair"), ()),
        (("sunglasses", "short_hair"), ("left_eye", "right_eye")),
        (("medical_mask", "short_hair"), ("nose",)),
        (("headscarf", "long_hair"), ("left_ear", "right_ear")),
        (("sunglasses", "medical_mask", "headscarf"), FACE),
    ],
)
@pytest.mark.parametrize("years", [None, 3.0])
def test_who_wears_what_shows_what(
    stage: Stage, base: FrameSpec, kinds: tuple[str, ...], hidden: tuple[str, ...], years: float
) -> None:
    label = labels(stage, wearing(stage, base, *kinds, years=years))
    names, shares = stage.skeleton.joints, seen(stage, label)
    for joint in FACE:
        j = names.index(joint)
        if joint in hidden:
            assert (label.state[j], label.cause[j]) == (1, "self"), (joint, shares)
            assert shares[joint] < 0.3, (joint, shares)
        else:
            assert label.state[j] == 2, (joint, shares)


@pytest.mark.parametrize("hair", ["bob_hair", "curly_hair", "long_hair"])
def test_full_hair_hides_ears(stage: Stage, base: FrameSpec, hair: str) -> None:
    label = labels(stage, wearing(stage, base, hair, azimuth_deg=60))
    assert label.cause[stage.skeleton.joints.index("left_ear")] == "self"


@pytest.mark.parametrize(
    "hair", ["ponytail_hair", "plaits_hair", "parted_hair", "undercut_hair", "mohawk_hair"]
)
def test_other_cuts_leave_ears_and_faces(stage: Stage, base: FrameSpec, hair: str) -> None:
    shares = seen(stage, labels(stage, wearing(stage, base, hair, azimuth_deg=30)))
    bare = seen(stage, labels(stage, wearing(stage, base, azimuth_deg=30)))
    for joint in ("nose", "left_eye", "right_eye", "left_ear"):
        assert shares[joint] > bare[joint] - 0.25, (joint, shares, bare)


def test_glasses_beards_and_expressions_change_no_visibility(stage: Stage, base: FrameSpec) -> None:
    plain = wearing(stage, base, "short_hair")
    spec = wearing(stage, base, "short_hair", "glasses", "goatee")
    before = labels(stage, plain)
    after = labels(stage, spec)
    assert np.array_equal(before.shares, after.shares)
    (person,) = plain.people
    for face in EXPRESSIONS.values():
        pose = replace(person.pose, face=dict(face))
        moved = labels(stage, replace(plain, people=(replace(person, pose=pose),)))
        assert np.array_equal(before.state, moved.state)
        assert np.abs(before.joints_px - moved.joints_px).max() < 3
        assert np.array_equal(before.kinematic_joints_world_m, moved.kinematic_joints_world_m)


def test_pyrender_sees_the_same_heads(stage: Stage, base: FrameSpec) -> None:
    for kinds in (("curly_hair", "sunglasses", "medical_mask"), ("headscarf", "glasses")):
        scene = build(stage, wearing(stage, base, *kinds)).scene
        exact = shade.render(pack(scene), scene)
        try:
            other = pyrender_backend.render(scene)
        except DeviceError as error:
            if "egl" in os.environ.get("SYNTHSTUDIO_REQUIRE", ""):
                raise
            pytest.skip(str(error))
        finally:
            pyrender_backend.close()
        own, theirs = exact.instance == 1, other.instance == 1
        # Its ids leave out the inside of open hair that is seen past the neck, long_hair's too.
        assert (theirs & ~own).sum() < 10
        assert (own & theirs).sum() > 0.96 * own.sum()
        both = own & theirs
        assert np.median(np.abs(exact.depth_m[both] - other.depth_m[both])) < 0.001


def test_the_same_bytes_again(stage: Stage, base: FrameSpec) -> None:
    spec = wearing(stage, base, "curly_hair", "sunglasses", "headband", years=6.0)
    (person,) = spec.people
    spec = replace(
        spec, people=(replace(person, pose=replace(person.pose, face=EXPRESSIONS["laugh"])),)
    )
    other = Stage(stage.settings)
    assert make_frame(stage, spec).jpeg == make_frame(other, spec).jpeg
