"""The rasteriser's laws: every pixel once, the same bytes whatever the order, exact maps."""

import dataclasses

import numpy as np
import pytest
import trimesh
import warp as wp
from render_scenes import amodal_mask, at_pixels, busy_scene, camera, plate, scene, surface
from scipy.spatial import Delaunay

from synthstudio.core.errors import GeometryError
from synthstudio.core.rng import stream
from synthstudio.core.scene import NO_PART, JointPatches, PosedPerson
from synthstudio.render import points, raster, runtime
from synthstudio.render.kernels import fill, vertices
from synthstudio.render.kernels.fill import raster_kernel
from synthstudio.render.pack import pack


def times_covered(vertices, faces, view):
    """How often each pixel is covered when every face is drawn alone: (H, W)."""
    alone = [
        surface(trimesh.Trimesh(vertices[f], [[0, 1, 2]], process=False), 1 + i, two_sided=True)
        for i, f in enumerate(faces)
    ]
    packed = pack(scene(alone, view))
    return sum(
        (amodal_mask(packed, 1 + i).astype(np.int32) for i in range(len(faces))),
        start=np.zeros((view.height_px, view.width_px), np.int32),
    )


@pytest.mark.parametrize("kind", ["random", "quarter grid", "pixel centres"])
@pytest.mark.parametrize("seed", range(2))
def test_a_cut_up_plane_covers_every_pixel_once(kind, seed):
    view = camera(48, 32, 32.0)
    pixels = stream(seed, "plane").uniform([-9, -9], [57, 41], (150, 2))
    if kind == "quarter grid":
        pixels = np.round(pixels * 4) / 4
    if kind == "pixel centres":
        pixels = np.floor(pixels) + 0.5
    pixels = np.unique(np.concatenate([pixels, [[-9, -9], [57, -9], [-9, 41], [57, 41]]]), axis=0)
    faces = Delaunay(pixels).simplices
    assert (times_covered(at_pixels(view, pixels, 1.0), faces, view) == 1).all()


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("radius", [0.3, 4.0])
def test_a_closed_surface_round_the_camera_covers_every_pixel_once(seed, radius):
    ball = trimesh.creation.icosphere(subdivisions=1, radius=radius)
    turn = stream(seed, "turn").uniform(size=3)
    ball.apply_transform(trimesh.transformations.random_rotation_matrix(turn))
    view = camera(48, 32, 10.0)  # wide, so that many faces reach behind the camera
    behind = view.to_camera(ball.vertices)[:, 2][ball.faces] < 0.05
    assert (behind.any(axis=1) & ~behind.all(axis=1)).sum() > 10
    assert (times_covered(np.asarray(ball.vertices), ball.faces, view) == 1).all()


def test_the_same_bytes_again_and_in_any_order_of_faces():
    made = busy_scene(1)
    packed = pack(made)
    keys = raster.rasterise(packed).keys.numpy()
    assert np.array_equal(keys, raster.rasterise(pack(made)).keys.numpy())
    # Bands, as CUDA takes them, in another order and on the CPU.
    banded = wp.full(keys.shape, raster.NOTHING, dtype=wp.uint64, device="cpu")
    view = raster.view_of(packed, None, scale=1)
    for first in range(len(packed.host_faces) - 1, -1, -1):
        inputs = [raster.mesh_of(packed), view, first, first + 1, 1, 7]
        wp.launch(raster_kernel, dim=(1, 7), inputs=inputs, outputs=[banded], device="cpu")
    assert np.array_equal(keys, banded.numpy())


def peopled(made):
    """The same surfaces in the same order, those of instances 1 and 2 as people's."""
    none = np.zeros((0, 96, 3))
    patches = JointPatches(points_m=none, normals=none, weights=none[..., 0], part=none[..., 0])
    people = []
    for instance in (1, 2):
        own = tuple(s for s in made.objects if s.instance == instance)
        joints = {"joints_m": np.zeros((0, 3)), "kinematic_joints_m": np.zeros((0, 3))}
        people.append(
            PosedPerson(instance=instance, surfaces=own, patches=patches, stature_m=1.7, **joints)
        )
    objects = tuple(s for s in made.objects if s.instance >= 1000)
    return dataclasses.replace(made, people=tuple(people), objects=objects)


def test_pixel_centres_decide_and_depth_is_z_not_distance():
    view = camera(20, 10, 16.0)
    packed = pack(scene([surface(plate(view, 3.49, 2.51, 7.51, 5.5, 2.5), 5)], view))
    expected = np.zeros((10, 20), bool)
    expected[3:5, 3:8] = True  # centres at 3.5..7.5 and 3.5, 4.5; a lower edge owns none
    assert np.array_equal(amodal_mask(packed, 5), expected)
    depth_m = raster.rasterise(packed).depth_m
    assert np.allclose(depth_m[expected], 2.5, rtol=1e-6) and np.isinf(depth_m[~expected]).all()


VIEWS = {
    "whole": {},
    "cut by the frame": {"width_px": 40, "height_px": 24},
    "outside": {"yaw_rad": 0.6},
    "behind": {"yaw_rad": 3.0},
    "among people": {"position_m": (-0.3, -0.12, 1.0)},
}


@pytest.mark.parametrize("name", VIEWS)
def test_people_drawn_alone_and_merged_are_the_whole(name):
    made = busy_scene(3)
    made = dataclasses.replace(made, camera=dataclasses.replace(made.camera, **VIEWS[name]))
    packed = pack(peopled(made))
    together = raster.rasterise(pack(made)).keys.numpy()
    assert np.array_equal(raster.rasterise(packed).keys.numpy(), together)
    shape = (made.camera.height_px, made.camera.width_px)
    for instance in (1, 2):
        own = tuple(s for s in made.objects if s.instance == instance)
        alone = raster.rasterise(pack(dataclasses.replace(made, objects=own)))
        found = raster.alone(packed, instance)
        assert np.array_equal(found.mask(shape), alone.triangle >= 0)
        assert np.array_equal(np.sort(found.depth_m), np.sort(alone.depth_m[alone.triangle >= 0]))
        assert found.inside == whole_in_frame(made, instance)


def whole_in_frame(made, instance):
    """Whether every vertex of the instance is in the frame."""
    points = np.concatenate([s.vertices_m for s in made.surfaces if s.instance == instance])
    pixels = made.camera.project(made.camera.to_camera(points))
    size = (made.camera.width_px, made.camera.height_px)
    return bool(((pixels >= 0) & (pixels <= size)).all())


def test_maps_say_what_is_nearest():
    view = camera(30, 20, 20.0)
    near, far = plate(view, 0, 0, 10, 20, 1.0), plate(view, 5, 0, 20, 20, 2.0)
    surfaces = [
        surface(near, 1, part=np.array([4, 4], np.uint8)),
        surface(far, 1000),
        surface(plate(view, 0, 0, 30, 20, 0.5), 2, drawn=np.zeros(2, bool)),
    ]
    packed = pack(scene(surfaces, view))
    buffer = raster.rasterise(packed)
    for columns, instance, place, part in (
        (slice(0, 10), 1, 0, 4),
        (slice(10, 20), 1000, 1, NO_PART),
        (slice(20, 30), 0, -1, NO_PART),
    ):
        assert (raster.instance_map(packed, buffer)[:, columns] == instance).all()
        assert (raster.surface_map(packed, buffer)[:, columns] == place).all()
        assert (raster.part_map(packed, buffer)[:, columns] == part).all()
    assert raster.part_map(packed, buffer).dtype == np.uint8
    assert np.isinf(buffer.depth_m[:, 20:]).all()
    assert amodal_mask(packed, 1000)[:, 5:20].all()
    assert not amodal_mask(packed, 2).any()
    assert not amodal_mask(packed, 77).any()
    empty = pack(scene([], camera()))
    assert not raster.instance_map(empty, raster.rasterise(empty)).any()


@pytest.mark.parametrize("flat", [False, True])
def test_normals_are_those_of_a_ball_and_face_the_camera(flat):
    ball = trimesh.creation.icosphere(subdivisions=5, radius=0.5)
    ball.apply_translation([0, 2, 0])
    view = camera(120, 90, 100.0, yaw_rad=0.1, pitch_rad=0.05, roll_rad=0.2)
    packed = pack(scene([surface(ball, 1, flat=flat)], view))
    buffer = raster.rasterise(packed)
    normals = raster.normal_map(packed, buffer)
    seen = buffer.triangle >= 0
    i, j = np.nonzero(seen)
    pixels = np.stack([j + 0.5, i + 0.5], axis=-1)
    points = view.unproject(pixels, buffer.depth_m[seen].astype(np.float64))
    radial = points - view.to_camera(np.array([0.0, 2.0, 0.0]))
    radial /= np.linalg.norm(radial, axis=1, keepdims=True)
    apart = np.degrees(np.arccos(np.clip((radial * normals[seen]).sum(axis=1), -1, 1)))
    assert np.percentile(apart, 99) < (4.0 if flat else 0.5)
    assert ((points * normals[seen]).sum(axis=1) <= 1e-6).all()
    assert not normals[~seen].any()


def test_supersampling_beyond_the_exact_range_is_an_error():
    view = camera(32, 24, 3000.0)
    long = trimesh.Trimesh([[-99, 0.1, 0], [99, 0.1, 0], [0, 0.1, 1]], [[0, 1, 2]], process=False)
    packed = pack(scene([surface(long, 1)], view))
    raster.rasterise(packed)
    with pytest.raises(GeometryError, match=r"supersampling.*expected.*got 29700"):
        raster.rasterise(packed, scale=2)


@pytest.mark.parametrize("module", [fill, points, vertices])
def test_label_kernels_compile_for_cuda_and_fuse_nothing(module, tmp_path):
    """No GPU is needed: Warp brings NVIDIA's compiler. A fused product would round otherwise."""
    runtime.init("cpu")
    if 90 not in wp.get_cuda_supported_archs():
        pytest.skip("this build of Warp compiles no CUDA code")
    wp.compile_aot_module(module, arch=90, module_dir=tmp_path, use_ptx=True)
    code = "".join(path.read_text() for path in tmp_path.glob("*.ptx"))
    assert "div.rn.f" in code
    for inexact in ("fma.", ".approx", "div.full", ".ftz"):
        assert inexact not in code


@pytest.mark.gpu
@pytest.mark.parametrize("scale", [1, 2])
def test_cuda_gives_the_same_bytes(scale):
    if not wp.is_cuda_available():
        pytest.skip("no CUDA device")
    made = peopled(busy_scene(4, 640, 480))
    ours, theirs = (
        raster.rasterise(pack(made, device=device), scale=scale) for device in ("cpu", "cuda:0")
    )
    assert np.array_equal(ours.keys.numpy(), theirs.keys.numpy())
