"""Objects that lie, lean or are held: pitch and roll turn procedural objects and meshes alike."""

from dataclasses import replace

import numpy as np
import pytest
import trimesh

from synthstudio.core.scene import Surface
from synthstudio.core.spec import ObjectSpec
from synthstudio.props import meshes
from synthstudio.props.procedural import build

ANGLES = (0.7, -0.4, 1.1)
SPEC = ObjectSpec(kind="chair", size_m=(0.45, 0.5, 0.9), position_m=(1.0, -2.0, 0.5))


def _rotation(yaw: float, pitch: float, roll: float) -> np.ndarray:
    """Rz Rx Ry by trimesh, which shares no code with the package."""
    turn = np.eye(4)
    for angle, axis in ((yaw, [0, 0, 1]), (pitch, [1, 0, 0]), (roll, [0, 1, 0])):
        turn = turn @ trimesh.transformations.rotation_matrix(angle, axis)
    return np.asarray(turn[:3, :3])


def _points(surfaces: tuple[Surface, ...], field: str = "vertices_m") -> np.ndarray:
    return np.concatenate([getattr(s, field) for s in surfaces]).astype(np.float64)


def _rotated(spec: ObjectSpec) -> ObjectSpec:
    yaw, pitch, roll = ANGLES
    return replace(spec, yaw_rad=yaw, pitch_rad=pitch, roll_rad=roll)


def _drum() -> meshes.MeshData:
    part = meshes.MeshPart(
        vertices_m=np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32),
        faces=np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], np.int32),
        normals=np.eye(4, 3, dtype=np.float32) + np.float32([[0, 0, 0]] * 3 + [[0, 0, 1]]),
        uv=None, texture=-1, colours=None, base_rgb=None, roughness=0.7, two_sided=False,
    )  # fmt: skip
    return meshes.MeshData(parts=(part,), textures=(), size_m=(1.0, 1.0, 1.0))


@pytest.mark.parametrize("field", ["vertices_m", "normals"])
def test_a_procedural_object_turns_about_its_base_centre(field):
    origin = np.array(SPEC.position_m) if field == "vertices_m" else np.zeros(3)
    straight = _points(build(SPEC, instance=1002), field) - origin
    rotated = _points(build(_rotated(SPEC), instance=1002), field) - origin
    assert rotated == pytest.approx(straight @ _rotation(*ANGLES).T, abs=1e-5)
    wrong = straight @ _rotation(ANGLES[0], ANGLES[2], ANGLES[1]).T
    assert np.abs(rotated - wrong).max() > 0.05, "pitch and roll are told apart"


@pytest.mark.parametrize("field", ["vertices_m", "normals"])
def test_a_mesh_turns_as_a_procedural_object_does(field):
    spec = replace(SPEC, kind="mesh", size_m=(1.0, 1.0, 1.0))
    origin = np.array(SPEC.position_m) if field == "vertices_m" else np.zeros(3)

    def made(spec: ObjectSpec) -> np.ndarray:
        surfaces = meshes.mesh_surfaces(spec, _drum(), instance=1002, texture_offset=0)
        return _points(surfaces, field) - origin

    assert made(_rotated(spec)) == pytest.approx(made(spec) @ _rotation(*ANGLES).T, abs=1e-5)
