"""Packing: checks with names in them, coordinates, normals, culling."""

import os
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import trimesh
from render_scenes import busy_scene, camera, plate, scene, surface

from synthstudio.core.errors import DeviceError, GeometryError
from synthstudio.core.scene import NO_PART
from synthstudio.render import runtime
from synthstudio.render.pack import pack


def ball(place=(0.0, 2.0, 0.0), radius=0.5):
    mesh = trimesh.creation.icosphere(subdivisions=2, radius=radius)
    mesh.apply_translation(place)
    return mesh


def test_surfaces_lie_one_after_another():
    made = busy_scene(0)
    packed = pack(made)
    for k, s in enumerate(made.surfaces):
        faces = slice(*packed.face_start[k : k + 2])
        vertices = slice(*packed.vertex_start[k : k + 2])
        assert np.array_equal(packed.host_world_m[vertices], s.vertices_m)
        assert np.array_equal(packed.host_faces[faces], s.faces + packed.vertex_start[k])
        assert (packed.surface.numpy()[faces] == k).all()
        assert (packed.instance.numpy()[faces] == s.instance).all()
        assert (packed.covers.numpy()[faces] == (0 if s.covers is None else s.covers)).all()
        assert (packed.host_part[faces] == (NO_PART if s.part is None else s.part)).all()
        assert (packed.drawn.numpy()[faces] == (True if s.drawn is None else s.drawn)).all()
    assert packed.face_range(2) == (packed.face_start[2], packed.face_start[4])
    assert packed.face_range(77) == (0, 0)


def test_camera_and_screen_coordinates_are_the_cameras_own():
    made = busy_scene(1)
    packed, view = pack(made), made.camera
    camera_m = view.to_camera(packed.host_world_m)
    assert np.allclose(packed.host_camera_m, camera_m, rtol=0, atol=1e-5)
    pixels = view.project(packed.host_camera_m.astype(np.float64))
    front = np.isfinite(pixels[:, 0])
    assert np.abs(packed.host_snapped[front] / 256 - pixels[front]).max() <= 0.5 / 256 + 1e-9
    assert not packed.host_snapped[~front].any()


def test_reach_is_the_farthest_screen_coordinate_also_at_the_near_plane():
    view = camera(32, 24, 100.0)
    wall = plate(view, -500, 0, 700, 20, 2.0)
    assert pack(scene([surface(wall, 1)], view)).reach_px == pytest.approx(700)
    through = trimesh.Trimesh([[1, 1, 0], [1, -1, 0], [1, 1, 0.1]], [[0, 1, 2]], process=False)
    at_near = 100 * 1 / 0.05 + 16
    assert pack(scene([surface(through, 1)], view)).reach_px == pytest.approx(at_near, abs=0.01)


def test_back_faces_go_only_where_nobody_sees_them():
    faces = len(ball().faces)
    surfaces = [
        surface(ball(), 1),
        surface(ball(), 2, two_sided=True),
        surface(ball(), 3, drawn=np.arange(faces) > 3),
        surface(ball((0, 0, 0)), 4),
    ]
    culled = pack(scene(surfaces, camera())).cull.numpy()[::faces]
    assert [bool(c) for c in culled] == [True, False, False, False]


def wing(v=None, f=None):
    mesh = plate(camera(), 0, 0, 9, 9, 1.0)
    vertices, faces = mesh.vertices if v is None else v, mesh.faces if f is None else f
    return surface(trimesh.Trimesh(vertices, faces, process=False), 7, name="wing")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"f": np.zeros((0, 3), int)}, "the mesh is empty"),
        ({"f": [[0, 1, 4]]}, "a face points at no vertex.*0 to 3.*0 to 4"),
        ({"f": [[0, 1, -1]]}, "a face points at no vertex.*-1 to 1"),
        ({"v": np.full((4, 3), np.nan)}, "finite"),
        ({"v": np.full((4, 3), -np.inf)}, "finite"),
        ({"v": np.eye(4, 3) * 4000 + [0, 0.06, 0]}, "too far"),
        ({"v": [[9000, 1, 0], [9000, -1, 0], [0, 1, 1], [0, 1, 0]]}, "too far.*px"),
    ],
)
def test_a_bad_surface_is_named(change, message):
    good = surface(ball(), 1, name="good")
    with pytest.raises(GeometryError, match=f"'wing' of instance 7: .*{message}"):
        pack(scene([good, wing(**change), good], camera()))


def test_devices():
    assert runtime.resolve_device("cpu") == "cpu"
    assert runtime.resolve_device("auto") in ("cpu", "cuda:0")
    assert runtime.device_model("cpu") == "cpu"
    with pytest.raises(DeviceError, match="expected auto, cpu or cuda; got tpu"):
        runtime.resolve_device("tpu")
    with pytest.raises(DeviceError, match="expected cpu or cuda:0"):
        runtime.init("gpu")


def test_no_cuda_is_one_clear_error():
    code = """
        from synthstudio.core.errors import DeviceError
        from synthstudio.render import runtime
        try:
            runtime.resolve_device("cuda")
        except DeviceError as error:
            print(error)
        print(runtime.resolve_device("auto"))
        """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    hidden = os.environ | {"CUDA_VISIBLE_DEVICES": ""}
    child = subprocess.run(command, env=hidden, capture_output=True, text=True)
    assert child.stderr == ""
    assert "there is no CUDA device" in child.stdout and "Use `device` cpu" in child.stdout
    assert child.stdout.endswith("cpu\n")
