"""The user's meshes: units, axes, textures, places."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from mesh_makers import SIZE, TEXTURED, as_glb, gltf, picture, saved, shifted_box
from PIL import Image

from synthstudio.core.errors import AssetError
from synthstudio.core.rng import stream
from synthstudio.core.spec import AssetRef, ObjectSpec
from synthstudio.props.mesh_files import texture_of
from synthstudio.props.meshes import load_mesh, mesh_surfaces

REF = AssetRef(sha256="0" * 64, name="mesh")


def _across(part):
    corners = part.vertices_m[part.faces].astype(float)
    return corners, np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])


@pytest.mark.parametrize("kind", ["glb", "obj", "ply", "stl"])
def test_every_format_stands_upright_on_its_base(tmp_path, kind):
    data = load_mesh(saved(shifted_box(kind in ("glb", "obj")), tmp_path, "a." + kind))
    assert data.size_m == pytest.approx(SIZE, abs=1e-5)
    assert sum(len(part.faces) for part in data.parts) == 12
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
    (tmp_path / "a.obj").write_text(TEXTURED)
    (tmp_path / "a.mtl").write_text("newmtl m\nKd 0.5 0.5 0.5\nmap_Kd a.png\n")
    (tmp_path / "a.png").write_bytes(picture((9, 8, 7)))
    data = load_mesh(tmp_path / "a.obj")
    assert (data.textures[0][..., :3] == [9, 8, 7]).all()
    assert data.parts[0].texture == 0
    (tmp_path / "a.png").unlink()
    with pytest.raises(AssetError, match=r"a\.png"):
        load_mesh(tmp_path / "a.obj")


# Files as other tools write them: quantized glTF, moved texture coordinates, options in MTL

KINDS = {"i1": 5120, "u1": 5121, "<i2": 5122, "<u2": 5123, "<f4": 5126}
CORNERS = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], float)
FACES = np.array([[0, 2, 1], [0, 1, 3], [0, 3, 2], [1, 2, 3]], np.uint16)
UV = np.array([[0, 0], [1, 0], [0, 1], [1, 1]], float)
SIZE_M = (2.0, 0.5, 1.5)  # of the tetrahedron, in glTF's axes


def quantized(kind: str, normalized: bool, stride: int, **texture: Any) -> tuple[dict, bytes]:
    """glTF of a tetrahedron whose numbers have that type, as gltfpack and gltf-transform write."""
    maximum = 1 if kind == "<f4" else int(np.iinfo(kind).max)
    step = 1.0 if normalized or kind == "<f4" else 1 / maximum
    binary, views, accessors = b"", [], []
    for values, width in ((CORNERS, 3), (UV, 2)):
        stored = np.round(values * maximum).astype(kind)
        row = max(stride, width * stored.itemsize)
        rows = np.zeros((len(values), row), np.uint8)
        rows[:, : width * stored.itemsize] = stored.view(np.uint8).reshape(len(values), -1)
        view = {"buffer": 0, "byteOffset": len(binary), "byteLength": rows.size}
        views.append(view | ({"byteStride": row} if stride else {}))
        binary += rows.tobytes()
        own = {"bufferView": len(views) - 1, "componentType": KINDS[kind], "count": 4}
        accessors.append(
            own | {"type": f"VEC{width}"} | ({"normalized": True} if normalized else {})
        )
    binary += b"\0" * (-len(binary) % 4)
    for data in (FACES.tobytes(), picture((9, 8, 7))):
        views.append({"buffer": 0, "byteOffset": len(binary), "byteLength": len(data)})
        binary += data
    accessors.append({"bufferView": 2, "componentType": 5123, "count": 12, "type": "SCALAR"})
    used = {"POSITION": 0, "TEXCOORD_0": 1}
    tree = {
        "asset": {"version": "2.0"},
        "extensionsRequired": ["KHR_mesh_quantization"],
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0, "scale": [side * step for side in SIZE_M]}],
        "meshes": [{"primitives": [{"attributes": used, "indices": 2, "material": 0}]}],
        "materials": [{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0, **texture}}}],
        "textures": [{"source": 0}],
        "images": [{"bufferView": 3, "mimeType": "image/png"}],
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": len(binary)}],
    }
    return tree, binary


def loaded(folder: Path, tree: dict[str, Any], binary: bytes) -> Any:
    path = folder / "a.glb"
    path.write_bytes(as_glb(tree, binary))
    return load_mesh(path)


@pytest.mark.parametrize("stride", [0, 8, 12])
@pytest.mark.parametrize(
    ("kind", "normalized"),
    [(k, n) for k in KINDS for n in (True, False) if (k, n) != ("<f4", True)],
)
def test_quantized_positions_come_in_at_their_size(tmp_path, kind, normalized, stride):
    tree, binary = quantized(kind, normalized, stride)
    data = loaded(tmp_path, tree, binary)
    assert data.size_m == pytest.approx((SIZE_M[0], SIZE_M[2], SIZE_M[1]), rel=1e-4)
    assert sum(len(part.faces) for part in data.parts) == 4
    assert (data.textures[0][..., :3] == [9, 8, 7]).all()
    if normalized:
        uv = data.parts[0].uv * (1, -1) + (0, 1)  # v goes up here
        np.testing.assert_allclose(uv, UV, atol=1e-4)


@pytest.mark.parametrize(
    ("move", "want"),
    [
        ({"scale": [2, 4]}, UV * (2, 4)),
        ({"offset": [0.5, 0.25]}, UV + np.array([0.5, 0.25])),
        ({"scale": [2, 1], "offset": [0, 1]}, UV * (2, 1) + np.array([0, 1])),
        ({"rotation": np.pi / 2}, np.array([[0, 0], [0, -1], [1, 0], [1, -1]])),
    ],
)
def test_moved_texture_coordinates_are_moved(tmp_path, move, want):
    tree, binary = quantized("<u2", True, 0, extensions={"KHR_texture_transform": move})
    tree["extensionsRequired"].append("KHR_texture_transform")
    uv = loaded(tmp_path, tree, binary).parts[0].uv * (1, -1) + (0, 1)
    np.testing.assert_allclose(uv, want, atol=1e-4)


BAD = {
    "a skin": lambda tree: tree["nodes"][0].update(skin=0),
    "cut short": lambda tree: tree["accessors"][0].update(count=999),
    "an odd type": lambda tree: tree["accessors"][0].update(componentType=5130),
    "a view that is none": lambda tree: tree["accessors"][0].update(bufferView=70),
    "no table": lambda tree: tree["materials"][0].update(pbrMetallicRoughness=3),
}


@pytest.mark.parametrize("fault", BAD)
def test_quantized_glb_that_cannot_be_read_is_refused_by_name(tmp_path, fault):
    tree, binary = quantized("<i2", True, 8)
    BAD[fault](tree)
    with pytest.raises(AssetError, match=r"a\.glb"):
        loaded(tmp_path, tree, binary)


PLAIN = ((1.0, 1.0), (0.0, 0.0))


@pytest.mark.parametrize(
    ("text", "name", "moves"),
    [
        ("wood.png", "wood.png", PLAIN),
        ("-s 2 3 1 wood.png", "wood.png", ((2.0, 3.0), (0.0, 0.0))),
        ("-s 2 wood.png", "wood.png", ((2.0, 1.0), (0.0, 0.0))),
        ("-o 0.5 -.25 0 -s 2 2 2 my wood.png", "my wood.png", ((2.0, 2.0), (0.5, -0.25))),
        ("-clamp on -bm 0.3 -imfchan l wood.png", "wood.png", PLAIN),
        ("-mm 0 1 -blendu off -t 1 1 1 -texres 512 2.png", "2.png", PLAIN),
        (r"tex\wood.png", "tex/wood.png", PLAIN),
        (r"-s 2 2 1 tex\my wood.png", "tex/my wood.png", ((2.0, 2.0), (0.0, 0.0))),
        ('"wood.png"', "wood.png", PLAIN),
        ("./wood.png", "wood.png", PLAIN),
    ],
)
@pytest.mark.parametrize("space", [" ", "\t"])
def test_map_kd_is_read_with_options_and_backslashes(tmp_path, text, name, moves, space):
    (tmp_path / "a.obj").write_text(TEXTURED)
    (tmp_path / "a.mtl").write_text(f"newmtl m\nmap_Kd{space}{text}\n")
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(picture((9, 8, 7)))
    data = load_mesh(tmp_path / "a.obj")
    assert (data.textures[0][..., :3] == [9, 8, 7]).all()
    scale, shift = moves
    assert texture_of(text)[1:] == moves
    want = np.array([[0, 0], [1, 0], [0, 1]]) * scale + shift
    np.testing.assert_allclose(data.parts[0].uv, want, atol=1e-6)


@pytest.mark.parametrize("text", [r"..\wood.png", r"C:\me\wood.png", r"-s 1 1 1 \\host\wood.png"])
def test_map_kd_outside_the_folder_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "a.obj").write_text("mtllib a.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nusemtl m\nf 1 2 3\n")
    (tmp_path / "a.mtl").write_text(f"newmtl m\nmap_Kd {text}\n")
    with pytest.raises(AssetError, match="outside its folder"):
        load_mesh(tmp_path / "a.obj")
