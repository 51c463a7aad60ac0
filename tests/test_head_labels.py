"""What is worn on a head hides joints and points of the face just where it lies before them; what
hides hands hides their points. Rays confirm each share."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from synthstudio.body.face import EXPRESSIONS
from synthstudio.core import whole_body
from synthstudio.core.camera import Camera, look_at
from synthstudio.core.rng import stream
from synthstudio.core.spec import GarmentSpec, LensSpec
from synthstudio.generation.audit import fractions_by_rays
from synthstudio.generation.pipeline import build, draw_spec, make_frame
from synthstudio.generation.stage import FrameGenerator, prepare
from synthstudio.recipe.sampling.people import aged
from synthstudio.recipe.schema.load import parse

POSES = {"names": {"stand_relaxed": 1}, "mix": 0, "jitter_deg": 0}
RECIPE = {
    "name": "heads",
    "seed": 8,
    "image": {"width_px": 160, "height_px": 160},
    "people": {"count": 1, "shape": {"female_share": 1}, "poses": POSES},
    "backdrop": {"kind": "plain"},
}
FACE = ("nose", "left_eye", "right_eye", "left_ear", "right_ear")
POINTS = np.arange(23, 91)  # of coco133
EYES, MOUTH, BROWS = POINTS[36:48], POINTS[48:], POINTS[17:27]
NOSE, LOW_JAW = POINTS[29:36], POINTS[5:12]
LEFT_JAW, RIGHT_JAW = POINTS[12:17], POINTS[:5]


@pytest.fixture(scope="module")
def stage():
    assert parse(RECIPE).skeleton == "coco23"  # who does not ask has no points of faces
    return FrameGenerator(prepare(parse(RECIPE), assets=Path(), device="cpu"))


@pytest.fixture(scope="module")
def whole():
    return FrameGenerator(
        prepare(parse(RECIPE | {"skeleton": "coco133"}), assets=Path(), device="cpu")
    )


def wearing(stage, *kinds, years=None, azimuth_deg=0):
    base = draw_spec(stage, 0)
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
    names = stage.skeleton.joints
    ears = stage.joints_m(person)[[names.index("left_ear"), names.index("right_ear")]]
    camera = near(ears.mean(0), azimuth_deg, up_m=0.02)
    return replace(base, people=(person,), objects=(), camera=camera, lens=LensSpec())


def near(place_m, azimuth_deg, up_m=0.0):
    """A camera one metre from a place, in front of it or to its left."""
    x, y, z = (float(v) for v in place_m)
    turn = math.radians(azimuth_deg)
    at = (x + math.sin(turn), y - math.cos(turn), z + up_m)
    yaw, pitch = look_at(at, (x, y, z))
    return Camera(
        width_px=160, height_px=160, focal_px=300, position_m=at, yaw_rad=yaw, pitch_rad=pitch
    )


def labels(stage, spec):
    """Return the labels, which rays confirm. A patch of a lid seen from the side has few points,
    of which some lie within the tolerance: their shares may differ more, states not.
    """
    (label,) = make_frame(stage, spec).labels.people
    built = build(stage, spec)
    (person,) = built.scene.people
    (again,) = fractions_by_rays(built, [(person, person.patches)])
    apart, many = np.abs(label.visibility_fractions - again), stage.skeleton.name == "coco133"
    assert apart.max() < (0.15 if many else 0.03) and apart.mean() < (0.001 if many else 0.03)
    inside = label.state != 0
    np.testing.assert_array_equal(label.state[inside] == 2, again[inside, 0] >= 0.5)
    return label


WORN = {
    # what is worn: hidden joints of FACE, hidden and visible points of whole bodies
    ("short_hair",): ((), (), (EYES, MOUTH, BROWS, NOSE, LOW_JAW)),
    ("glasses", "short_hair"): ((), (), (EYES, MOUTH, NOSE)),
    ("full_beard", "short_hair"): ((), (), (EYES, MOUTH, LOW_JAW)),
    ("moustache", "short_hair"): ((), (), ()),
    ("headband", "ponytail_hair"): ((), (), ()),
    ("helmet", "short_hair"): ((), (), (EYES, MOUTH, NOSE)),
    ("sunglasses", "short_hair"): (("left_eye", "right_eye"), (EYES,), (MOUTH, LOW_JAW)),
    ("medical_mask", "short_hair"): (("nose",), (MOUTH, NOSE[2:]), (EYES, BROWS)),
    ("goggles", "surgical_cap"): ((), (), (EYES, MOUTH)),
    ("headscarf", "long_hair"): (("left_ear", "right_ear"), (), ()),
    ("sunglasses", "medical_mask", "headscarf"): (FACE, (), ()),
}


@pytest.mark.parametrize("kinds", WORN, ids="-".join)
@pytest.mark.parametrize("years", [None, 3.0])
def test_who_wears_what_shows_what(stage, kinds, years):
    label = labels(stage, wearing(stage, *kinds, years=years))
    for joint in FACE:
        j = stage.skeleton.joints.index(joint)
        if joint in WORN[kinds][0]:
            assert (label.state[j], label.cause[j]) == (1, "self"), joint
            assert label.visibility_fractions[j, 0] < 0.3, (joint, label.visibility_fractions[j])
        else:
            assert label.state[j] == 2, (joint, label.visibility_fractions[j])


@pytest.mark.parametrize("kinds", [kinds for kinds, row in WORN.items() if row[2]], ids="-".join)
def test_what_is_worn_hides_points_of_the_face_behind_it(whole, kinds):
    label = labels(whole, wearing(whole, *kinds))
    _, hidden, shown = WORN[kinds]
    for points in hidden:
        assert (label.state[points] == 1).mean() > 0.9, kinds
        assert {label.cause[j] for j in points if label.state[j] == 1} == {"self"}
    for points in shown:
        assert (label.state[points] == 2).all(), (kinds, label.visibility_fractions[points, 0])


@pytest.mark.parametrize("hair", ["bob_hair", "curly_hair", "long_hair"])
def test_full_hair_hides_ears(stage, hair):
    label = labels(stage, wearing(stage, hair, azimuth_deg=60))
    assert label.cause[stage.skeleton.joints.index("left_ear")] == "self"


def test_glasses_beards_and_expressions_change_no_visibility(stage):
    plain = wearing(stage, "short_hair")
    before = labels(stage, plain)
    after = labels(stage, wearing(stage, "short_hair", "glasses", "goatee"))
    assert np.array_equal(before.visibility_fractions, after.visibility_fractions)
    (person,) = plain.people
    for face in EXPRESSIONS.values():
        pose = replace(person.pose, face=dict(face))
        moved = labels(stage, replace(plain, people=(replace(person, pose=pose),)))
        assert np.array_equal(before.state, moved.state)
        assert np.abs(before.joints_px - moved.joints_px).max() < 3
        assert np.array_equal(before.kinematic_joints_world_m, moved.kinematic_joints_world_m)


# Points of faces and hands --------------------------------------------------------------------


def test_the_far_side_of_a_face_is_hidden_by_the_head(whole):
    label = labels(whole, wearing(whole, azimuth_deg=90))  # seen from the person's left
    assert (label.state[LEFT_JAW] == 2).all() and (label.state[POINTS[45]] == 2).all()
    assert (label.state[RIGHT_JAW] == 1).all() and (label.state[POINTS[[36, 37, 39]]] == 1).all()
    behind = labels(whole, wearing(whole, azimuth_deg=180))
    assert (behind.state[POINTS[17:]] == 1).all()
    assert {behind.cause[j] for j in POINTS[17:]} == {"self"}


def test_a_hand_is_seen_from_its_side_and_hidden_by_the_body(whole):
    names = whole.skeleton.joints
    left = np.array([names.index(n) for n in whole_body.LEFT_HAND])
    right = np.array([names.index(n) for n in whole_body.RIGHT_HAND])
    spec = wearing(whole)
    hand = whole.joints_m(spec.people[0])[names.index("left_middle_finger1")]
    here, far = (labels(whole, replace(spec, camera=near(hand, deg))) for deg in (90, -90))
    assert (here.state[left[[5, 9, 13, 17]]] == 2).all()  # the knuckles
    assert (here.state[right] != 2).all()
    assert (far.state[left] == 1).all()  # through the body
    assert {far.cause[j] for j in left} == {"self"}
