"""Palm frames: on the palm's skin, out of the palm, along the bar, alike on both sides."""

import math
from dataclasses import replace

import numpy as np
import pytest
import trimesh

from synthstudio.body import anny, palms
from synthstudio.body.pose_library import library
from synthstudio.core.rng import stream
from synthstudio.core.scene import PARTS
from synthstudio.core.spec import Look, PersonSpec, Phenotype, PoseSpec
from synthstudio.recipe.sampling.people import mirrored

LOOK = Look(skin_rgb=(0.5, 0.4, 0.3), hair_rgb=(0.1, 0.1, 0.1), iris_rgb=(0.2, 0.1, 0.1))
POSES = {pose.name: pose for pose in library()}
MIRROR = np.diag([-1.0, 1.0, 1.0])


def _phenotype(number: int) -> Phenotype:
    rng = stream(7, "palms", number)
    values = {name: 0.3 + 0.4 * float(rng.random()) for name in ("muscle", "weight", "height")}
    return Phenotype(gender=float(number % 2), age=0.7, proportions=0.5, **values)


def _person(angles: dict[str, float], number: int = 0, **more: object) -> PersonSpec:
    pose = PoseSpec(name="test", family="test", angles_rad=angles)
    person = PersonSpec(identity="p", phenotype=_phenotype(number), look=LOOK, pose=pose, outfit=())
    return replace(person, **more)  # type: ignore[arg-type]


def _hand(body: anny.AnnyBody, person: PersonSpec, side: str) -> trimesh.Trimesh:
    """The skin of the whole body, made only of what the body says of it."""
    atlas = body.atlas
    faces = atlas.body_faces[atlas.skin_face]
    used = np.unique(faces)
    place = np.zeros(used.max() + 1, np.intp)
    place[used] = np.arange(len(used))
    hand = faces[(atlas.part[atlas.skin_face] == PARTS.index(f"{side}_hand"))]
    return trimesh.Trimesh(body.skin_m(person, PARTS), place[hand], process=False)


@pytest.mark.parametrize("pose", ["stand_relaxed", "hold_cup", "hold_box", "lean_hands_on_counter"])
@pytest.mark.parametrize("number", range(4))
def test_the_origin_is_where_a_bar_would_be(pose: str, number: int) -> None:
    body = anny.load()
    person = _person(POSES[pose].angles_rad, number, yaw_rad=0.8, position_m=(1.0, 2.0, 0.9))
    for frame, side in zip(body.palms_m(person), ("left", "right"), strict=True):
        hand = _hand(body, person, side)
        towards = frame[:3, 3] - hand.triangles_center
        distance = np.linalg.norm(towards, axis=1)
        nearest = int(distance.argmin())
        assert 0.01 < distance[nearest] < 0.04
        # The nearest skin looks to the origin: it lies outside the hand.
        assert towards[nearest] @ hand.face_normals[nearest] > 0


@pytest.mark.parametrize("number", range(3))
def test_axes_are_square_and_turn_with_the_person(number: int) -> None:
    body = anny.load()
    straight = _person(POSES["hold_cup"].angles_rad, number)
    turned = replace(straight, yaw_rad=math.pi / 2, position_m=(3.0, 0.0, 1.0))
    for plain, moved in zip(body.palms_m(straight), body.palms_m(turned), strict=True):
        axes = plain[:3, :3]
        assert axes.T @ axes == pytest.approx(np.eye(3), abs=1e-6)
        assert np.linalg.det(axes) == pytest.approx(1)
        turn = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]])
        assert moved[:3, :3] == pytest.approx(turn @ axes, abs=1e-6)
        assert moved[:3, 3] == pytest.approx(turn @ plain[:3, 3] + [3, 0, 1], abs=1e-5)


def test_hanging_arms_have_palms_to_the_thighs_and_thumbs_ahead() -> None:
    left, right = anny.load().palms_m(_person({}))
    ahead = np.array([0.0, -1.0, 0.0])
    assert left[:3, 2] @ [-1, 0, 0] > 0.95
    assert right[:3, 2] @ [1, 0, 0] > 0.95
    assert left[:3, 0] @ ahead > 0.9
    assert right[:3, 0] @ ahead > 0.9
    assert left[:3, 1] @ [0, 0, 1] > 0.9, "to the wrist"
    assert right[:3, 1] @ [0, 0, 1] < -0.9, "to the fingertips"


@pytest.mark.parametrize("pose", ["stand_relaxed", "hold_cup", "throw", "hold_broom"])
def test_mirrored_people_have_mirrored_palms(pose: str) -> None:
    body, angles = anny.load(), POSES[pose].angles_rad
    left, right = body.palms_m(_person(angles))
    other_left, other_right = body.palms_m(_person(mirrored(angles)))
    for one, other in ((left, other_right), (right, other_left)):
        assert other[:3, 3] == pytest.approx(MIRROR @ one[:3, 3], abs=2e-3)
        assert other[:3, 0] == pytest.approx(MIRROR @ one[:3, 0], abs=5e-3)
        assert other[:3, 2] == pytest.approx(MIRROR @ one[:3, 2], abs=5e-3)
        assert other[:3, 1] == pytest.approx(-MIRROR @ one[:3, 1], abs=5e-3)
    assert np.abs(left[:3, 3] - right[:3, 3]).max() > 0.05


def test_palms_are_of_the_skin_below_the_knuckles() -> None:
    for side in ("L", "R"):
        skin, _ = palms._palm(side)
        assert 30 < len(skin) < 120
        part = PARTS.index("left_hand" if side == "L" else "right_hand")
        assert (anny.load().atlas.vertex_part[skin] == part).all()
