"""The user's meshes: units, axes, textures; whatever is bad is one AssetError."""

import base64
import contextlib
import json
import os
import socket
import struct
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trimesh
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from synthstudio.core.errors import AssetError
from synthstudio.core.rng import stream
from synthstudio.core.scene import Surface
from synthstudio.core.spec import AssetRef, Material, ThingSpec
from synthstudio.props import mesh_files
from synthstudio.props.meshes import load_mesh, mesh_surfaces

REF = AssetRef(sha256="0" * 64, name="mesh")
SIZE = (0.6, 0.4, 1.0)  # across, deep, high after loading


def _box(y_up: bool) -> trimesh.Trimesh:
    extents = (SIZE[0], SIZE[2], SIZE[1]) if y_up else SIZE
    box = trimesh.creation.box(extents)
    box.apply_translation([3, 4, 5])
    return box


def _save(mesh: Any, folder: Path, name: str) -> Path:
    path = folder / name
    path.write_bytes(_bytes(mesh, path.suffix[1:]))
    return path


def _bytes(mesh: Any, kind: str) -> bytes:
    data = mesh.export(file_type=kind)
    if isinstance(data, dict):
        raise AssertionError("a set of files")
    return data.encode() if isinstance(data, str) else data


def _gltf(**changes: Any) -> dict[str, Any]:
    """A glTF of one triangle, 1 m wide and high, with all data inside."""
    points = np.float32([[0, 0, 0], [1, 0, 0], [0, 1, 0]]).tobytes()
    blob = points + np.uint16([0, 1, 2]).tobytes()
    tree: dict[str, Any] = {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [{"attributes": {"POSITION": 0}, "indices": 1}]}],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": 3, "type": "VEC3"},
            {"bufferView": 1, "componentType": 5123, "count": 3, "type": "SCALAR"},
        ],
        "bufferViews": [
            {"buffer": 0, "byteOffset": 0, "byteLength": 36},
            {"buffer": 0, "byteOffset": 36, "byteLength": 6},
        ],
        "buffers": [
            {
                "byteLength": 42,
                "uri": "data:application/octet-stream;base64," + base64.b64encode(blob).decode(),
            }
        ],
    }
    return tree | changes


def _write_gltf(folder: Path, **changes: Any) -> Path:
    path = folder / "a.gltf"
    path.write_text(json.dumps(_gltf(**changes)))
    return path


def _as_glb(tree: dict[str, Any], binary: bytes = b"") -> bytes:
    text = json.dumps(tree).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text
    if binary:
        binary += b"\0" * (-len(binary) % 4)
        chunks += struct.pack("<I4s", len(binary), b"BIN\0") + binary
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def _picture(colour: tuple[int, int, int], size: tuple[int, int] = (4, 4)) -> bytes:
    out = BytesIO()
    Image.new("RGB", size, colour).save(out, "PNG")
    return out.getvalue()


@pytest.mark.parametrize("kind", ["glb", "obj", "ply", "stl"])
def test_every_format_stands_upright_on_its_base(tmp_path: Path, kind: str) -> None:
    data = load_mesh(_save(_box(kind in ("glb", "obj")), tmp_path, "a." + kind))
    assert data.size_m == pytest.approx(SIZE, abs=1e-5)
    assert data.triangles == 12
    low = np.concatenate([p.vertices_m for p in data.parts]).min(axis=0)
    assert low == pytest.approx([-0.3, -0.2, 0], abs=1e-5)
    for part in data.parts:
        assert not part.two_sided, "a closed box needs no back faces"
        corners = part.vertices_m[part.faces]
        across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        assert (np.einsum("ij,ij->i", across, corners.mean(axis=1) - [0, 0, 0.5]) > 0).all()
        assert np.linalg.norm(part.normals, axis=1) == pytest.approx(1, abs=1e-5)


def test_an_inside_out_solid_is_turned_and_an_open_sheet_shows_both_sides(tmp_path: Path) -> None:
    box = _box(False)
    box.invert()
    inverted = load_mesh(_save(box, tmp_path, "a.ply")).parts[0]
    corners = inverted.vertices_m[inverted.faces].astype(float)
    volume = np.einsum("ij,ij->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2])) / 6
    assert volume == pytest.approx(np.prod(SIZE), rel=1e-4)
    sheet = trimesh.Trimesh([[0, 0, 0], [1, 0, 0], [1, 0, 1]], [[0, 1, 2]], process=False)
    assert load_mesh(_save(sheet, tmp_path, "b.ply")).parts[0].two_sided


def test_a_mirroring_node_keeps_outsides_outside(tmp_path: Path) -> None:
    scene = trimesh.Scene()
    mirror = np.diag([-1.0, 1, 1, 1])
    scene.add_geometry(_box(True), transform=mirror)
    path = tmp_path / "a.glb"
    path.write_bytes(scene.export(file_type="glb"))
    part = load_mesh(path).parts[0]
    corners = part.vertices_m[part.faces].astype(float)
    across = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    mean = part.normals[part.faces].mean(axis=1)
    assert (np.einsum("ij,ij->i", across, mean) > 0).all()
    assert (np.einsum("ij,ij->i", across, corners.mean(axis=1) - [0, 0, 0.5]) > 0).all()


def test_a_texture_keeps_its_colours_and_place(tmp_path: Path) -> None:
    box = _box(True)
    uv = stream(1, "uv").random((len(box.vertices), 2))
    material = trimesh.visual.material.PBRMaterial(
        baseColorTexture=Image.new("RGB", (8, 4), (200, 30, 60)), roughnessFactor=0.3
    )
    box.visual = trimesh.visual.TextureVisuals(uv=uv, material=material)
    data = load_mesh(_save(box, tmp_path, "a.glb"))
    assert len(data.textures) == 1
    assert data.textures[0].shape == (4, 8, 4)
    assert (data.textures[0] == [200, 30, 60, 255]).all()
    spec = ThingSpec(kind="mesh", size_m=data.size_m, asset=REF)
    (surface,) = mesh_surfaces(spec, data, instance=1002, texture_offset=5)
    assert surface.material.kind == "texture"
    assert surface.material.texture == 5
    assert surface.material.roughness == pytest.approx(0.3)
    assert surface.coords[:, :2] == pytest.approx(uv, abs=1e-5)


def test_large_textures_are_shrunk(tmp_path: Path) -> None:
    tree = _gltf(
        images=[{"uri": "a.png"}],
        textures=[{"source": 0}],
        materials=[{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0}}}],
    )
    primitive = tree["meshes"][0]["primitives"][0]
    primitive["material"] = 0
    tree["accessors"].append({"bufferView": 0, "componentType": 5126, "count": 3, "type": "VEC2"})
    primitive["attributes"]["TEXCOORD_0"] = 2
    (tmp_path / "a.png").write_bytes(_picture((1, 2, 3), (5000, 50)))
    (tmp_path / "a.gltf").write_text(json.dumps(tree))
    (texture,) = load_mesh(tmp_path / "a.gltf").textures
    assert texture.shape[1] == 2048


def test_colours_of_vertices_and_materials_arrive_linear(tmp_path: Path) -> None:
    box = _box(False)
    box.visual.vertex_colors = np.tile([188, 0, 255, 255], (len(box.vertices), 1)).astype(np.uint8)
    part = load_mesh(_save(box, tmp_path, "a.ply")).parts[0]
    assert part.colours is not None
    assert part.colours[0] == pytest.approx([0.5029, 0, 1], abs=1e-3)
    tree = _gltf(materials=[{"pbrMetallicRoughness": {"baseColorFactor": [0.5, 0.25, 1, 1]}}])
    tree["meshes"][0]["primitives"][0]["material"] = 0
    (tmp_path / "b.gltf").write_text(json.dumps(tree))
    base = load_mesh(tmp_path / "b.gltf").parts[0].base_rgb
    assert base == pytest.approx((0.5, 0.25, 1), abs=0.01)


def test_colours_of_faces_become_colours_of_vertices(tmp_path: Path) -> None:
    box = _box(False)
    box.visual.face_colors = np.column_stack(
        [np.arange(12) * 20, np.zeros(12), np.zeros(12), np.full(12, 255)]
    ).astype(np.uint8)
    part = load_mesh(_save(box, tmp_path, "a.ply")).parts[0]
    assert part.colours is not None
    assert len(part.colours) == len(part.vertices_m) == 36
    assert np.ptp(part.colours[part.faces], axis=1).max() == 0, "each face has one colour"


def test_obj_takes_its_material_file_and_picture(tmp_path: Path) -> None:
    (tmp_path / "a.obj").write_text(
        "mtllib a.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 0 1\nusemtl m\nf 1/1 2/2 3/3\n"
    )
    (tmp_path / "a.mtl").write_text("newmtl m\nKd 0.5 0.5 0.5\nmap_Kd a.png\n")
    (tmp_path / "a.png").write_bytes(_picture((9, 8, 7)))
    data = load_mesh(tmp_path / "a.obj")
    assert (data.textures[0][..., :3] == [9, 8, 7]).all()
    assert data.parts[0].texture == 0
    (tmp_path / "a.png").unlink()
    with pytest.raises(AssetError, match=r"a\.png"):
        load_mesh(tmp_path / "a.obj")


def _extent(surfaces: tuple[Surface, ...]) -> np.ndarray:
    points = np.concatenate([s.vertices_m for s in surfaces])
    return np.stack([points.min(axis=0), points.max(axis=0)])


def test_surfaces_are_scaled_turned_and_placed(tmp_path: Path) -> None:
    data = load_mesh(_save(_box(False), tmp_path, "a.stl"))
    wood = Material(pattern="wood")
    spec = ThingSpec(
        kind="mesh", size_m=(1.2, 0.4, 2.0), asset=REF, yaw_rad=np.pi / 2,
        position_m=(1.0, 2.0, 0.5), materials=(wood,),
    )  # fmt: skip
    surfaces = mesh_surfaces(spec, data, instance=1007, texture_offset=0)
    low, high = _extent(surfaces)
    assert low == pytest.approx([0.8, 1.4, 0.5], abs=1e-5)
    assert high == pytest.approx([1.2, 2.6, 2.5], abs=1e-5)
    assert surfaces[0].instance == 1007
    assert surfaces[0].material == wood, "an uncoloured mesh takes the spec's material"
    normals = surfaces[0].normals
    assert normals is not None
    assert np.abs(normals).max(axis=1) == pytest.approx(1, abs=1e-5)


# Bad input.


def _refused(path: Path, reason: str) -> None:
    with pytest.raises(AssetError, match=reason) as caught:
        load_mesh(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("kind", ["glb", "obj", "ply", "stl"])
@pytest.mark.parametrize("factor", [1000.0, 0.001, 1e6, 1e-6])
def test_a_mesh_in_other_units_is_refused(tmp_path: Path, kind: str, factor: float) -> None:
    box = _box(kind in ("glb", "obj"))
    box.apply_scale(factor)
    path = tmp_path / ("a." + kind)
    # Six decimals, as exporters write by habit, would leave nothing of a mesh in kilometres.
    path.write_bytes(
        box.export(file_type=kind, digits=12).encode() if kind == "obj" else _bytes(box, kind)
    )
    unit = {1000.0: "millimetres", 0.001: "kilometres"}.get(factor, "")
    _refused(path, f"not in metres.*{unit}")


@pytest.mark.parametrize("kind", ["glb", "obj", "ply", "stl"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_vertices_that_are_not_numbers_are_refused(tmp_path: Path, kind: str, value: float) -> None:
    box = trimesh.creation.box(SIZE)
    marked = 0.123456
    box.vertices[0, 0] = marked
    if kind in ("obj",):
        text = box.export(file_type=kind).replace(str(marked)[:7], str(value), 1)
        assert str(value) in text
        (tmp_path / "a.obj").write_text(text)
    else:
        data = bytearray(_bytes(box, kind))
        raw = np.float32(marked).tobytes()
        if kind == "ply":
            raw = raw if raw in data else np.float64(marked).tobytes()
        assert raw in data
        at = data.index(raw)
        kind_of = np.float32 if len(raw) == 4 else np.float64
        data[at : at + len(raw)] = kind_of(value).tobytes()
        (tmp_path / ("a." + kind)).write_bytes(data)
    _refused(tmp_path / ("a." + kind), "not numbers")


def test_meshes_without_faces_are_refused(tmp_path: Path) -> None:
    cloud = (
        "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\n"
        "property float z\nend_header\n0 0 0\n1 0 0\n0 1 0\n"
    )
    (tmp_path / "a.ply").write_text(cloud)
    _refused(tmp_path / "a.ply", "no faces")
    (tmp_path / "a.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\n")
    _refused(tmp_path / "a.obj", "no faces|damaged")
    _refused(_write_gltf(tmp_path, meshes=[{"primitives": []}]), "no faces|damaged")
    (tmp_path / "a.stl").write_bytes(bytes(80) + struct.pack("<I", 0))
    _refused(tmp_path / "a.stl", "no faces|damaged")


def test_faces_that_name_missing_vertices_are_refused(tmp_path: Path) -> None:
    head = (
        "ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\n"
        "property float z\nelement face 1\nproperty list uchar int vertex_indices\nend_header\n"
        "0 0 0\n1 0 0\n0 1 0\n3 0 1 7\n"
    )
    (tmp_path / "a.ply").write_text(head)
    _refused(tmp_path / "a.ply", "do not exist")
    (tmp_path / "a.obj").write_text("v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 9\n")
    _refused(tmp_path / "a.obj", "do not exist|damaged")
    tree = _gltf()
    blob = np.float32([[0, 0, 0], [1, 0, 0], [0, 1, 0]]).tobytes() + np.uint16([0, 1, 9]).tobytes()
    tree["buffers"][0]["uri"] = "data:;base64," + base64.b64encode(blob).decode()
    (tmp_path / "a.gltf").write_text(json.dumps(tree))
    _refused(tmp_path / "a.gltf", "do not exist")


def test_a_mesh_without_area_is_refused(tmp_path: Path) -> None:
    line = trimesh.Trimesh([[0, 0, 0], [1, 0, 0], [2, 0, 0]], [[0, 1, 2]], process=False)
    _refused(_save(line, tmp_path, "a.ply"), "degenerate")


def test_a_million_triangles_are_refused_with_advice(tmp_path: Path) -> None:
    count = 1_000_000
    (tmp_path / "a.stl").write_bytes(bytes(80) + struct.pack("<I", count) + bytes(50 * count))
    _refused(tmp_path / "a.stl", "(?i)decimate")
    (tmp_path / "a.obj").write_bytes(b"v 0 0 0\nv 1 0 0\nv 0 1 0" + b"\nf 1 2 3" * count)
    _refused(tmp_path / "a.obj", "(?i)decimate")
    tree = _gltf(nodes=[{"mesh": 0}] * 3, scenes=[{"nodes": [0, 1, 2]}])
    path = tmp_path / "a.gltf"
    path.write_text(json.dumps(tree))
    assert load_mesh(path).triangles == 3


def test_many_copies_of_one_mesh_count_as_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mesh_files, "MAX_TRIANGLES", 2)
    tree = _gltf(nodes=[{"mesh": 0}] * 3, scenes=[{"nodes": [0, 1, 2]}])
    (tmp_path / "a.gltf").write_text(json.dumps(tree))
    _refused(tmp_path / "a.gltf", "too many triangles")


def test_the_file_size_has_a_limit(tmp_path: Path) -> None:
    path = tmp_path / "a.ply"
    with path.open("wb") as file:
        file.truncate(201 * 2**20)
    _refused(path, "too large")


@pytest.mark.parametrize(
    "uri",
    [
        "../secret.bin", "/etc/passwd", "sub/../../secret.bin", "%2e%2e/secret.bin", "..\\x.bin",
        "http://example.org/a.bin", "https://example.org/a.bin", "file:///etc/passwd", "C:/a.bin",
        "~/a.bin", "//host/a.bin", "ftp://h/base64,AAAA", "link.bin",
    ],
)  # fmt: skip
@pytest.mark.parametrize("use", ["buffer", "image", "glb image", "mtllib", "map_Kd", "ply"])
def test_files_outside_the_folder_are_never_opened(
    tmp_path: Path, uri: str, use: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "meshes"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(_picture((1, 1, 1)) + bytes(100))
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    path = _pointing(folder, uri, use)
    opened: list[str] = []
    original = Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda p: opened.append(str(p)) or original(p))
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("a connection"))
    _refused(path, "outside its folder")
    assert {Path(p).parent for p in opened} <= {folder}
    assert os.path.realpath(folder / "link.bin") not in map(os.path.realpath, opened)


def _pointing(folder: Path, uri: str, use: str) -> Path:
    """Write a mesh that names `uri`."""
    if use == "buffer":
        return _write_gltf(folder, buffers=[{"byteLength": 42, "uri": uri}])
    if use == "image":
        return _write_gltf(folder, images=[{"uri": uri}])
    if use == "glb image":
        path = folder / "a.glb"
        path.write_bytes(_as_glb(_gltf(images=[{"uri": uri}])))
        return path
    if use == "ply":
        path = folder / "a.ply"
        path.write_text(
            f"ply\nformat ascii 1.0\ncomment TextureFile {uri}\nelement vertex 3\n"
            "property float x\nproperty float y\nproperty float z\nelement face 1\n"
            "property list uchar int vertex_indices\nend_header\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n"
        )
        return path
    path = folder / "a.obj"
    name = uri if use == "mtllib" else "a.mtl"
    path.write_text(f"mtllib {name}\nv 0 0 0\nv 1 0 0\nv 0 1 0\nusemtl m\nf 1 2 3\n")
    (folder / "a.mtl").write_text(f"newmtl m\nmap_Kd {uri}\n")
    return path


def test_files_inside_the_folder_and_below_are_used(tmp_path: Path) -> None:
    blob = base64.b64decode(_gltf()["buffers"][0]["uri"].split(",")[1])
    (tmp_path / "sub dir").mkdir()
    (tmp_path / "sub dir" / "a.bin").write_bytes(blob)
    path = _write_gltf(tmp_path, buffers=[{"byteLength": 42, "uri": "sub%20dir/a.bin"}])
    assert load_mesh(path).triangles == 1


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"extensionsRequired": ["KHR_draco_mesh_compression"]}, "extension"),
        ({"accessors": [{"componentType": 5126, "count": 10**12, "type": "VEC3"}]}, "senseless"),
        ({"accessors": [{"componentType": 5126, "count": -4, "type": "VEC3"}]}, "senseless"),
        ({"accessors": 7}, "not a list"),
        ({"buffers": [3]}, "not objects"),
        ({"buffers": [{"byteLength": 42, "uri": "data:;base64,@@@"}]}, "damaged"),
        ({"images": [{"bufferView": 9}]}, "points nowhere"),
        ({"images": [{"bufferView": 0}]}, "not a picture"),
        ({"nodes": [{"mesh": 0, "children": [0]}]}, ""),
    ],
)
def test_odd_gltf_is_refused(tmp_path: Path, changes: dict[str, Any], reason: str) -> None:
    path = _write_gltf(tmp_path, **changes)
    if reason:
        _refused(path, reason)
    else:
        with contextlib.suppress(AssetError):
            load_mesh(path)


@pytest.mark.parametrize("name", ["a.glb", "a.gltf", "a.obj", "a.ply", "a.stl", "a.fbx", "a"])
@pytest.mark.parametrize("data", [b"", b"nonsense", b"[" * 100_000, bytes(300)])
def test_nonsense_is_refused(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    _refused(tmp_path / name, ".")


@pytest.fixture(scope="module")
def good_files() -> dict[str, bytes]:
    box = trimesh.creation.box(SIZE)
    box.visual.vertex_colors = np.full((8, 4), 200, np.uint8)
    files = {kind: _bytes(box, kind) for kind in ("glb", "obj", "ply", "stl")}
    return files | {"gltf": json.dumps(_gltf()).encode()}


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    kind=st.sampled_from(["glb", "gltf", "obj", "ply", "stl"]),
    edits=st.lists(st.tuples(st.integers(0, 100_000), st.integers(0, 255)), max_size=5),
    cut=st.integers(0, 60),
)
def test_mutated_meshes_load_or_are_asset_errors(
    tmp_path: Path,
    good_files: dict[str, bytes],
    kind: str,
    edits: list[tuple[int, int]],
    cut: int,
) -> None:
    data = bytearray(good_files[kind])
    for place, value in edits:
        data[place % min(len(data), 2_000)] = value
    path = tmp_path / ("fuzz." + kind)
    path.write_bytes(data[: len(data) - cut % 50])
    try:
        mesh = load_mesh(path)
    except AssetError as error:
        assert path.name in str(error)
        return
    for part in mesh.parts:
        assert np.isfinite(part.vertices_m).all()
        assert 0 <= part.faces.min() <= part.faces.max() < len(part.vertices_m)
        assert np.isfinite(part.normals).all()
