"""What hides faces and hands hides their points, and nothing else; rays confirm each share."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from test_head_labels import RECIPE, wearing

from synthstudio.core import whole_body
from synthstudio.core.camera import Camera, look_at
from synthstudio.core.labels import PersonLabel
from synthstudio.core.spec import FrameSpec, Vec3
from synthstudio.generation.audit import shares_by_rays
from synthstudio.generation.pipeline import build, draw_spec, make_frame
from synthstudio.generation.stage import Stage, prepare
from synthstudio.recipe.schema.load import parse

FACE = np.arange(23, 91)
EYES, MOUTH, BROWS = FACE[36:48], FACE[48:], FACE[17:27]
NOSE, LOW_JAW = FACE[29:36], FACE[5:12]
LEFT_JAW, RIGHT_JAW = FACE[12:17], FACE[:5]


@pytest.fixture(scope="module")
def stage() -> Stage:
    return Stage(prepare(parse(RECIPE | {"skeleton": "coco133"}), assets=Path(), device="cpu"))


@pytest.fixture(scope="module")
def base(stage: Stage) -> FrameSpec:
    return draw_spec(stage, 0)


def labels(stage: Stage, spec: FrameSpec) -> PersonLabel:
    """The labels, which rays confirm. A patch of a lid seen from the side has few points, of which
    some lie within the tolerance: their shares may differ, states not.
    """
    (label,) = make_frame(stage, spec).labels.people
    built = build(stage, spec)
    (person,) = built.scene.people
    (again,) = shares_by_rays(built, [(person, person.patches)])
    apart = np.abs(label.shares - again)
    assert apart.mean() < 0.001 and apart.max() < 0.15
    inside = label.state != 0
    np.testing.assert_array_equal(label.state[inside] == 2, again[inside, 0] >= 0.5)
    return label


@pytest.mark.parametrize(
    ("kinds", "hidden", "seen"),
    [
        (("short_hair",), (), (EYES, MOUTH, BROWS, NOSE, LOW_JAW)),
        (("glasses", "short_hair"), (), (EYES, MOUTH, NOSE)),
        (("full_beard", "short_hair"), (), (EYES, MOUTH, LOW_JAW)),
        (("sunglasses", "short_hair"), (EYES,), (MOUTH, LOW_JAW)),
        (("medical_mask", "short_hair"), (MOUTH, NOSE[2:]), (EYES, BROWS)),
        (("helmet", "short_hair"), (), (EYES, MOUTH, NOSE)),
    ],
)
def test_what_is_worn_hides_what_lies_behind_it(
    stage: Stage, base: FrameSpec, kinds: tuple[str, ...], hidden: tuple, seen: tuple
) -> None:
    label = labels(stage, wearing(stage, base, *kinds))
    for points in hidden:
        assert (label.state[points] == 1).mean() > 0.9, (kinds, label.shares[points, 0])
        assert {label.cause[j] for j in points if label.state[j] == 1} == {"self"}
    for points in seen:
        assert (label.state[points] == 2).all(), (kinds, label.shares[points, 0])


def test_the_far_side_of_a_face_is_hidden_by_the_head(stage: Stage, base: FrameSpec) -> None:
    label = labels(stage, wearing(stage, base, azimuth_deg=90))  # seen from the person's left
    assert (label.state[LEFT_JAW] == 2).all() and (label.state[FACE[45]] == 2).all()
    assert (label.state[RIGHT_JAW] == 1).all() and (label.state[FACE[[36, 37, 39]]] == 1).all()
    behind = labels(stage, wearing(stage, base, azimuth_deg=180))
    assert (behind.state[FACE[17:]] == 1).all()
    assert {behind.cause[j] for j in FACE[17:]} == {"self"}


def hand_label(stage: Stage, base: FrameSpec, side: str, azimuth_deg: float) -> PersonLabel:
    """A hand that hangs, seen from near."""
    spec = wearing(stage, base)
    (person,) = spec.people
    at = stage.joints_m(person)[stage.skeleton.joints.index(f"{side}_middle_finger1")]
    turn = math.radians(azimuth_deg)
    eye: Vec3 = (float(at[0] + math.sin(turn)), float(at[1] - math.cos(turn)), float(at[2]))
    yaw, pitch = look_at(eye, (float(at[0]), float(at[1]), float(at[2])))
    camera = Camera(
        width_px=160, height_px=160, focal_px=300, position_m=eye, yaw_rad=yaw, pitch_rad=pitch
    )
    return labels(stage, replace(spec, camera=camera))


def test_a_hand_is_seen_from_its_side_and_hidden_by_the_body(stage: Stage, base: FrameSpec) -> None:
    left = np.array([stage.skeleton.joints.index(n) for n in whole_body.LEFT_HAND])
    right = np.array([stage.skeleton.joints.index(n) for n in whole_body.RIGHT_HAND])
    near = hand_label(stage, base, "left", 90)
    knuckles = left[[5, 9, 13, 17]]
    assert (near.state[knuckles] == 2).all()
    assert (near.state[right] != 2).all()
    far = hand_label(stage, base, "left", -90)  # through the body
    assert (far.state[left] == 1).all()
    assert {far.cause[j] for j in left} == {"self"}


def test_recipes_that_do_not_ask_have_no_faces(base: FrameSpec) -> None:
    assert parse(RECIPE).skeleton == "coco23"
    assert base.skeleton == "coco133"
