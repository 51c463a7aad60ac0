"""The user's meshes: units, axes, textures, places."""

import json

import numpy as np
import pytest
import trimesh
from mesh_makers import SIZE, gltf, picture, saved, shifted_box
from PIL import Image

from synthstudio.core.errors import AssetError
from synthstudio.core.rng import stream
from synthstudio.core.spec import AssetRef, ObjectSpec
from synthstudio.props.meshes import load_mesh, mesh_surfaces

REF = AssetRef(sha256="0" * 64, name="mesh")


def _across(part):
    """Return the corners of a part's faces, and their normals by the order of the corners."""
    corners = part.vertices_m[part.faces].astype(float)
    return corners, np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])


@pytest.mark.parametrize("kind", ["glb", "obj", "ply", "stl"])
def test_every_format_stands_upright_on_its_base(tmp_path, kind):
    data = load_mesh(saved(shifted_box(kind in ("glb", "obj")), tmp_path, "a." + kind))
    assert data.size_m == pytest.approx(SIZE, abs=1e-5)
    assert data.triangles == 12
    low = np.concatenate([p.vertices_m for p in data.parts]).min(axis=0)
    assert low == pytest.approx([-0.3, -0.2, 0], abs=1e-5)
    for part in data.parts:
        assert not part.two_sided, "a closed box needs no back faces"
        corners, across = _across(part)
        assert (np.einsum("ij,ij->i", across, corners.mean(axis=1) - [0, 0, 0.5]) > 0).all()
        assert np.linalg.norm(part.normals, axis=1) == pytest.approx(1, abs=1e-5)


def test_an_inside_out_solid_is_turned_and_an_open_sheet_shows_both_sides(tmp_path):
    box = shifted_box(False)
    box.invert()
    inverted = load_mesh(saved(box, tmp_path, "a.ply")).parts[0]
    corners = inverted.vertices_m[inverted.faces].astype(float)
    volume = np.einsum("ij,ij->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6
    assert volume == pytest.approx(np.prod(SIZE), rel=1e-4)
    sheet = trimesh.Trimesh([[0, 0, 0], [1, 0, 0], [1, 0, 1]], [[0, 1, 2]], process=False)
    assert load_mesh(saved(sheet, tmp_path, "b.ply")).parts[0].two_sided


def test_a_mirroring_node_keeps_outsides_outside(tmp_path):
    scene = trimesh.Scene()
    scene.add_geometry(shifted_box(True), transform=np.diag([-1.0, 1, 1, 1]))
    (tmp_path / "a.glb").write_bytes(scene.export(file_type="glb"))
    part = load_mesh(tmp_path / "a.glb").parts[0]
    corners, across = _across(part)
    for outward in (part.normals[part.faces].mean(axis=1), corners.mean(axis=1) - [0, 0, 0.5]):
        assert (np.einsum("ij,ij->i", across, outward) > 0).all()


def test_a_texture_keeps_its_colours_and_place(tmp_path):
    box = shifted_box(True)
    uv = stream(1, "uv").random((len(box.vertices), 2))
    material = trimesh.visual.material.PBRMaterial(
        baseColorTexture=Image.new("RGB", (8, 4), (200, 30, 60)), roughnessFactor=0.3
    )
    box.visual = trimesh.visual.TextureVisuals(uv=uv, material=material)
    data = load_mesh(saved(box, tmp_path, "a.glb"))
    assert len(data.textures) == 1
    assert data.textures[0].shape == (4, 8, 4)
    assert (data.textures[0] == [200, 30, 60, 255]).all()
    spec = ObjectSpec(kind="mesh", size_m=data.size_m, asset=REF)
    (surface,) = mesh_surfaces(spec, data, instance=1002, texture_offset=5)
    assert surface.material.kind == "texture"
    assert surface.material.texture == 5
    assert surface.material.roughness == pytest.approx(0.3)
    assert surface.coords[:, :2] == pytest.approx(uv, abs=1e-5)


def test_colours_of_vertices_and_materials_arrive_linear(tmp_path):
    box = shifted_box(False)
    box.visual.vertex_colors = np.tile([188, 0, 255, 255], (len(box.vertices), 1)).astype(np.uint8)
    part = load_mesh(saved(box, tmp_path, "a.ply")).parts[0]
    assert part.colours is not None
    assert part.colours[0] == pytest.approx([0.5029, 0, 1], abs=1e-3)
    tree = gltf(materials=[{"pbrMetallicRoughness": {"baseColorFactor": [0.5, 0.25, 1, 1]}}])
    tree["meshes"][0]["primitives"][0]["material"] = 0
    (tmp_path / "b.gltf").write_text(json.dumps(tree))
    base = load_mesh(tmp_path / "b.gltf").parts[0].base_rgb
    assert base == pytest.approx((0.5, 0.25, 1), abs=0.01)


def test_obj_takes_its_material_file_and_picture(tmp_path):
    (tmp_path / "a.obj").write_text(
        "mtllib a.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 0 1\nusemtl m\nf 1/1 2/2 3/3\n"
    )
    (tmp_path / "a.mtl").write_text("newmtl m\nKd 0.5 0.5 0.5\nmap_Kd a.png\n")
    (tmp_path / "a.png").write_bytes(picture((9, 8, 7)))
    data = load_mesh(tmp_path / "a.obj")
    assert (data.textures[0][..., :3] == [9, 8, 7]).all()
    assert data.parts[0].texture == 0
    (tmp_path / "a.png").unlink()
    with pytest.raises(AssetError, match=r"a\.png"):
        load_mesh(tmp_path / "a.obj")
