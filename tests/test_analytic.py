"""Scenes whose answers are known without a renderer: a plate's edge over known joints."""

import dataclasses
import functools
from pathlib import Path

import numpy as np
import pytest
from stick_people import make_camera

from synthstudio.core.scene import Surface
from synthstudio.core.skeleton import get_skeleton
from synthstudio.core.spec import Material
from synthstudio.dataset import rows
from synthstudio.generation import pipeline
from synthstudio.generation.audit import compare
from synthstudio.generation.stage import FrameGenerator, prepare
from synthstudio.recipe.schema.load import load
from synthstudio.render import points, shade
from synthstudio.render.pack import pack

SCENES = Path(__file__).resolve().parents[1] / "scenes"
NAMES = get_skeleton("coco23").joints
PLATE_Y_M = -1.5  # between the camera and the person, who stands at the origin


@pytest.fixture(scope="module")
def stage():
    recipe = load(SCENES / "quickstart.yaml").model_copy(update={"streams": ""})
    return FrameGenerator(prepare(recipe, assets=SCENES, device="cpu"))


@pytest.fixture(scope="module")
def spec(stage):
    drawn = pipeline.draw_spec(stage, 0)
    person = dataclasses.replace(
        drawn.people[0],
        pose=dataclasses.replace(drawn.people[0].pose, name="rest", family="stand", angles_rad={}),
        position_m=(0.0, 0.0, 0.0),
        yaw_rad=0.0,
    )
    person = dataclasses.replace(person, position_m=(0.0, 0.0, stage.drop_m(person)))
    camera = make_camera(focal_px=300.0)
    return dataclasses.replace(drawn, camera=camera, people=(person,), objects=(), cutouts=())


def _plate(low, high, y_m):
    (x0, z0), (x1, z1) = low, high
    corners = np.array([[x0, y_m, z0], [x1, y_m, z0], [x1, y_m, z1], [x0, y_m, z1]], np.float32)
    return Surface(
        name="plate",
        instance=1002,
        vertices_m=corners,
        faces=np.array([[0, 1, 2], [0, 2, 3]], np.int32),
        coords=corners,
        material=Material(),
        two_sided=True,
    )


def _labelled(stage, spec, objects):
    built = pipeline.build(stage, spec)
    scene = dataclasses.replace(built.scene, objects=objects, supersample=1)
    built = pipeline.Built(
        scene=scene, camera=scene.camera, cutouts=(), objects=((1002, "plate", None),)
    )
    packed = pack(scene)
    return pipeline.decide_labels(stage, spec, built, packed, shade.render(packed, scene))


def _hidden_by_edge(stage, spec, edge_m):
    patches = stage.body.posed(spec.people[0], instance=1).patches
    eye = np.array(spec.camera.position_m)
    towards = eye - patches.points_m
    cosine = (towards * patches.normals).sum(-1) / np.linalg.norm(towards, axis=-1)
    weights = patches.weights * np.maximum(0, cosine)
    along = (PLATE_Y_M - eye[1]) / (patches.points_m[..., 1] - eye[1])
    crossing = eye[0] + along * (patches.points_m[..., 0] - eye[0])
    return (weights * (crossing > edge_m)).sum(1) / np.maximum(weights.sum(1), 1e-9)


@pytest.mark.parametrize("joint", ["left_shoulder", "left_elbow", "left_knee", "nose", "right_hip"])
def test_an_edge_over_a_joint_hides_the_share_that_geometry_says(stage, spec, joint):
    clean = _labelled(stage, spec, ()).people[0]
    j = NAMES.index(joint)
    x, y, _ = clean.joints_world_m[j]
    eye_y = spec.camera.position_m[1]
    for shift_m in (-0.03, 0.0, 0.02):
        edge_m = (x + shift_m) * (PLATE_Y_M - eye_y) / (y - eye_y)
        hidden = _labelled(stage, spec, (_plate((edge_m, -3), (9, 6), PLATE_Y_M),)).people[0]
        by_object = hidden.visibility_fractions[:, 3]
        expected = _hidden_by_edge(stage, spec, edge_m)
        # Whatever the plate hides counts for it, also what the person hid of itself before.
        for k in range(len(NAMES)):
            if clean.visibility_fractions[k][1] < 1e-9:  # nothing of this patch hides itself
                assert by_object[k] == pytest.approx(expected[k], abs=0.02), NAMES[k]
        assert by_object[j] >= expected[j] - clean.visibility_fractions[j][1] - 0.02


def test_a_person_behind_a_wall_is_hidden_by_it_and_by_nothing_else(stage, spec):
    person = _labelled(stage, spec, (_plate((-9, -3), (9, 6), PLATE_Y_M),)).people[0]
    facing = person.visibility_fractions[:, 3] > 0
    assert set(person.cause) <= {"object", "self"}
    assert facing.sum() >= 15
    assert person.visibility_fractions[facing, 3].min() > 0.4
    assert person.modal_area_px == 0
    assert person.occluded_fraction == 1.0
    assert not (person.state == 2).any()
    behind = _labelled(stage, spec, (_plate((-9, -3), (9, 6), 1.5),)).people[0]
    alone = _labelled(stage, spec, ()).people[0]
    np.testing.assert_array_equal(alone.visibility_fractions, behind.visibility_fractions)
    assert {i for found in person.hidden_by for i, _ in found} <= {1, 1002}


def test_a_plate_over_the_left_half_hides_the_left_joints(stage, spec):
    person = _labelled(stage, spec, (_plate((0.01, -3), (9, 6), PLATE_Y_M),)).people[0]
    for joint in ("shoulder", "elbow", "knee", "ankle", "wrist"):
        left, right = NAMES.index(f"left_{joint}"), NAMES.index(f"right_{joint}")
        assert person.cause[left] == "object", joint
        assert person.occluder_id[left] == 1002
        assert person.visibility_fractions[right][3] == 0.0


def test_seen_from_behind_the_face_is_hidden_by_its_own_head(stage, spec):
    rotated = dataclasses.replace(
        spec, people=(dataclasses.replace(spec.people[0], yaw_rad=np.pi),)
    )
    person = _labelled(stage, rotated, ()).people[0]
    for joint in ("nose", "left_eye", "right_eye"):
        assert person.cause[NAMES.index(joint)] == "self"
    for joint in ("left_shoulder", "right_shoulder", "left_knee", "left_heel", "right_elbow"):
        assert person.state[NAMES.index(joint)] == 2, joint


def test_clothes_do_not_hide_the_joints_they_cover(stage, spec):
    person = _labelled(stage, spec, ()).people[0]
    for joint in ("left_shoulder", "right_shoulder", "left_hip", "right_knee", "left_ankle"):
        assert person.visibility_fractions[NAMES.index(joint)][0] > 0.8, joint


# Faults put into one oracle: each must be found by the other.


def _disagreement(stage, spec):
    people = pipeline.make_frame(stage, spec).labels.people
    fresh = [stage.body.fresh_patches(p, points=100, seed=1) for p in spec.people]
    stored = [rows.person_row(person) for person in people]
    built = pipeline.build(stage, spec)
    found = compare(built, stored, fresh, joints=stage.skeleton.joints, frame=0)
    return found.state_differs + found.cause_differs


@pytest.fixture(scope="module")
def drawn(stage):
    return [pipeline.draw_spec(stage, i) for i in range(4)]


def test_the_oracles_agree_without_a_fault(stage, drawn):
    assert sum(_disagreement(stage, spec) for spec in drawn) == 0


SHIFT_M = np.array([0.03, 0, 0])
FAULTS = {
    "points moved by 3 cm": lambda ask, packed, points_m, *others, **more: (
        ask(packed, points_m - SHIFT_M, *others, **more)),
    "garments kept": lambda ask, packed, points_m, owner, part, **more: (
        ask(packed, points_m, owner, np.full_like(part, 31), **more)),
}  # fmt: skip


def test_a_fault_in_the_tolerance_is_found(stage, drawn, monkeypatch):
    monkeypatch.setattr(points, "SELF_TOLERANCE_M", 0.05)
    assert sum(_disagreement(stage, spec) for spec in drawn) > 0


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_one_oracle_is_found(stage, drawn, fault, monkeypatch):
    wrong = functools.partial(FAULTS[fault], points.nearest_blockers)
    monkeypatch.setattr(points, "nearest_blockers", wrong)
    assert sum(_disagreement(stage, spec) for spec in drawn) > 0
