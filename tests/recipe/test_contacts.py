"""What people hold is in their hands, what they sit and lean on carries them."""

from functools import cache
from pathlib import Path

import numpy as np
import pytest
import trimesh
from scipy.spatial import cKDTree

from benchmarks import physics
from synthstudio.body import wardrobe
from synthstudio.core.errors import RecipeError
from synthstudio.core.scene import PARTS
from synthstudio.core.spec import ObjectSpec
from synthstudio.generation.stage import FrameGenerator, prepare
from synthstudio.recipe.contacts.contacts import BACK
from synthstudio.recipe.draw import draw
from synthstudio.recipe.sampling.check import check
from synthstudio.recipe.schema.load import parse

TOUCH_M, SOFT_M, DEEPEST_M = 0.03, 0.02, 0.05
"""A strap under a raised arm is the deepest."""
_WORN = ("t_shirt", "shorts", "low_shoes", "short_hair")
REACH_M = 0.12


def stage_of(worn=_WORN, **people: object) -> FrameGenerator:
    left_out = {g.kind: 0.0 for g in wardrobe.garments() if g.kind not in worn}
    wanted = {"count": 1, "identities": 200, "wardrobe": {"kinds": left_out, "hat": 0.0}, **people}
    recipe = parse({"name": "contacts", "frames": 1000, "seed": 77, "people": wanted})
    return FrameGenerator(prepare(recipe, assets=Path(__file__).parent, device="cpu"))


def points_m(stage, obj):
    return physics.solid(stage.object_surfaces(obj, instance=1002, first_texture=0)[0]).points_m


def depth_m(stage, person, points):
    atlas = stage.body.atlas
    place = np.unique(atlas.body_faces[atlas.skin_face], return_inverse=True)[1].reshape(-1, 3)
    mesh = trimesh.Trimesh(stage.skin_m(person, PARTS), place, process=False)
    distance, nearest = cKDTree(mesh.vertices).query(points, distance_upper_bound=REACH_M)
    near = np.isfinite(distance)
    out = mesh.vertices[nearest[near]] - points[near]
    below = (out * mesh.vertex_normals[nearest[near]]).sum(axis=1)
    # Of points beside an edge the nearest vertex tells nothing.
    below[below < 0.6 * np.linalg.norm(out, axis=1)] = 0.0
    return float(below.max(initial=0.0))


def gap_m(stage, person, parts, points):
    return cKDTree(points).query(stage.skin_m(person, parts))[0].min()


@cache
def _stage(kind: str) -> FrameGenerator:
    if kind == "hold":
        return stage_of(hold={"share": 1.0})
    if kind == "lean":
        return stage_of(hold={"lean": 1.0})
    return stage_of(poses={"families": {"sit": 1.0}})


@cache
def _drawn(kind, count):
    stage = _stage(kind)
    specs = [draw(stage.settings.recipe, index, stage) for index in range(count)]
    return tuple((spec.people[0], spec.objects) for spec in specs)


def _grip(obj: ObjectSpec) -> str:
    return next(k.grip for k in _stage("hold").catalogue.objects if k.kind == obj.kind)


def _held(count):
    out = []
    for person, objects in _drawn("hold", count):
        (obj,) = [t for t in objects if t.held_by is not None]
        assert obj.held_by == 0
        out.append((person, obj))
    return out


def test_holders_have_their_objects_in_their_hands():
    stage, gaps, depths, pushed = _stage("hold"), [], [], 0
    for person, obj in _held(12):
        points = points_m(stage, obj)
        palms = stage.palms_m(person)[:, :3, 3]
        if _grip(obj) != BACK:
            gaps.append(cKDTree(points).query(palms)[0].min())
        depths.append(depth_m(stage, person, points))
        assert float(stage.box_m(obj)[0, 2]) > -0.02, obj.kind
        if _grip(obj) in ("push", "walk", "stand"):  # on the floor
            pushed += 1
            assert obj.position_m[2] == 0.0
            assert obj.role == ("held" if _grip(obj) == "stand" else "support")
        else:
            assert obj.role == "held"
    assert len({obj.kind for _, obj in _held(12)}) >= 6 and pushed > 0
    assert max(gaps) < TOUCH_M
    assert np.mean(np.array(depths) < SOFT_M) >= 0.9
    assert max(depths) < DEEPEST_M


def test_tops_touch_the_hands_that_rest_on_them():
    stage, kinds = _stage("lean"), set()
    for person, objects in _drawn("lean", 12):
        (support,) = [t for t in objects if t.role == "support"]
        kinds.add(support.kind)
        points = points_m(stage, support)
        parts = ["left_hand", "right_hand", "left_forearm", "right_forearm"]
        if support.kind == "partition":
            parts += ["torso", "pelvis"]
        assert gap_m(stage, person, tuple(parts), points) < 0.02, (person.pose.name, support)
        assert depth_m(stage, person, points) < SOFT_M + 0.005, (person.pose.name, support.kind)
        assert support.position_m[2] == 0.0
    assert {"counter", "table"} <= kinds


def test_seats_carry_the_hips():
    stage = _stage("sit")
    seated = [(p, t) for p, objects in _drawn("sit", 12) for t in objects if t.role == "seat"]
    assert len(seated) >= 4
    for person, seat in seated:
        under = ("pelvis", "left_thigh", "right_thigh")
        points = points_m(stage, seat)
        assert gap_m(stage, person, under, points) < 0.02, (person.pose.name, seat.kind)
        top = seat.shape.get("seat_height_m", seat.size_m[2])
        lowest = float(stage.skin_m(person, ("pelvis",))[:, 2].min())
        assert -0.02 < lowest - top < 0.06, (person.pose.name, seat.kind)


def test_a_share_of_the_people_holds_something_in_a_pose_of_their_own():
    stage = stage_of(hold={"share": 0.5, "kinds": {"cup": 1.0, "phone": 3.0}})
    other = stage_of().settings.recipe
    found = []
    for index in range(16):
        spec, without = draw(stage.settings.recipe, index, stage), draw(other, index, stage)
        held = [t.kind for t in spec.objects if t.role == "held"]
        found += held
        if not held:
            assert spec == without
        else:
            assert spec.people[0].identity == without.people[0].identity
            assert "hold_" in spec.people[0].pose.name
            assert spec.camera == without.camera
    assert set(found) == {"cup", "phone"}
    assert 3 <= len(found) <= 13


def test_held_out_objects_are_never_in_train():
    hold = {"share": 1.0, "kinds": {"cup": 1.0, "phone": 1.0}}
    stage = stage_of(hold=hold)
    recipe = parse({
        "name": "h",
        "seed": 3,
        "people": {"count": 1, "hold": hold},
        "holdout": {"occluders": ["cup"], "share": 1.0},
        "splits": {"train": 0.5, "val": 0.25, "test": 0.25},
    })  # fmt: skip
    for index in range(8):
        spec = draw(recipe, index, stage)
        (obj,) = [t for t in spec.objects if t.role == "held"]
        assert obj.kind == ("phone" if spec.split == "train" else "cup")


@pytest.mark.parametrize(
    ("people", "reason"),
    [
        ({"hold": {"share": 1.0, "kinds": {"cupp": 1.0}}}, "cup"),
        ({"hold": {"share": 1.0, "kinds": {"table": 1.0}}}, "unknown name"),
        ({"hold": {"share": 2.0}}, "share"),
        ({"hold": {"share": 1.0, "kinds": {}}}, "positive sum"),
    ],
)
def test_what_cannot_be_held_is_refused(people, reason):
    with pytest.raises(RecipeError, match=reason):
        recipe = parse({"name": "a", "people": people}, "test")
        check(recipe, _stage("hold").catalogue)
