"""Bad meshes: whatever is wrong is one AssetError, and no file outside the folder is opened."""

import base64
import json
import os
import socket
import struct
from pathlib import Path

import numpy as np
import pytest
import trimesh
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from mesh_makers import SIZE, as_glb, exported, gltf, picture, shifted_box, write_gltf

from synthstudio.core.errors import AssetError
from synthstudio.props import mesh_files
from synthstudio.props.meshes import load_mesh

PLY_HEAD = (
    "ply\nformat ascii 1.0\nelement vertex 3\n"
    "property float x\nproperty float y\nproperty float z\n"
)
CORNERS = "0 0 0\n1 0 0\n0 1 0\n"


def _refused(path: Path, reason: str) -> None:
    with pytest.raises(AssetError, match=reason) as caught:
        load_mesh(path)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("kind", ["glb", "obj", "ply", "stl"])
@pytest.mark.parametrize("factor", [1000.0, 0.001, 1e6, 1e-6])
def test_a_mesh_in_other_units_is_refused(tmp_path, kind, factor):
    box = shifted_box(kind in ("glb", "obj"))
    box.apply_scale(factor)
    path = tmp_path / ("a." + kind)
    # Six decimals, as exporters write by habit, would leave nothing of a mesh in kilometres.
    path.write_bytes(
        box.export(file_type=kind, digits=12).encode() if kind == "obj" else exported(box, kind)
    )
    unit = {1000.0: "millimetres", 0.001: "kilometres"}.get(factor, "")
    _refused(path, f"not in metres.*{unit}")


@pytest.mark.parametrize("kind", ["glb", "obj", "ply", "stl"])
@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_vertices_that_are_not_numbers_are_refused(tmp_path, kind, value):
    box = trimesh.creation.box(SIZE)
    marked = 0.123456
    box.vertices[0, 0] = marked
    data = exported(box, kind)
    if kind == "obj":
        old, new = str(marked)[:7].encode(), str(value).encode()
    else:
        number = np.float32 if np.float32(marked).tobytes() in data else np.float64
        old, new = number(marked).tobytes(), number(value).tobytes()
    assert old in data
    (tmp_path / f"a.{kind}").write_bytes(data.replace(old, new, 1))
    _refused(tmp_path / f"a.{kind}", "invalid vertices")


TRIANGLE = "v 0 0 0\nv 1 0 0\nv 0 1 0\n"
FACES = "element face 1\nproperty list uchar int vertex_indices\n"
LINE = trimesh.Trimesh([[0, 0, 0], [1, 0, 0], [2, 0, 0]], [[0, 1, 2]], process=False)


def _gltf_bytes(index=2, **changes):
    tree = gltf(**changes)
    points = np.float32([[0, 0, 0], [1, 0, 0], [0, 1, 0]]).tobytes()
    blob = points + np.uint16([0, 1, index]).tobytes()
    tree["buffers"][0]["uri"] = "data:;base64," + base64.b64encode(blob).decode()
    return json.dumps(tree).encode()


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("a.ply", f"{PLY_HEAD}end_header\n{CORNERS}".encode(), "no faces"),
        ("a.obj", TRIANGLE.encode(), "no faces|damaged"),
        ("a.gltf", _gltf_bytes(meshes=[{"primitives": []}]), "no faces|damaged"),
        ("a.stl", bytes(80) + struct.pack("<I", 0), "no faces|damaged"),
        ("a.ply", f"{PLY_HEAD}{FACES}end_header\n{CORNERS}3 0 1 7\n".encode(), "missing vertices"),
        ("a.obj", f"{TRIANGLE}f 1 2 9\n".encode(), "missing vertices|damaged"),
        ("a.gltf", _gltf_bytes(9), "missing vertices"),
        ("a.ply", exported(LINE, "ply"), "degenerate"),
        ("a.stl", lambda: bytes(80) + struct.pack("<I", 10**6) + bytes(50 * 10**6), "(?i)decimate"),
        ("a.obj", lambda: TRIANGLE.encode() + b"f 1 2 3\n" * 10**6, "(?i)decimate"),
        ("a.ply", lambda: bytes(201 * 2**20), "too large"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_meshes_that_hold_no_surface_or_too_much_are_refused(tmp_path, name, data, reason):
    (tmp_path / name).write_bytes(data() if callable(data) else data)
    _refused(tmp_path / name, reason)


def test_many_copies_of_one_mesh_count_as_many(tmp_path, monkeypatch):
    tree = gltf(nodes=[{"mesh": 0}] * 3, scenes=[{"nodes": [0, 1, 2]}])
    (tmp_path / "a.gltf").write_text(json.dumps(tree))
    assert sum(len(part.faces) for part in load_mesh(tmp_path / "a.gltf").parts) == 3
    monkeypatch.setattr(mesh_files, "MAX_TRIANGLES", 2)
    _refused(tmp_path / "a.gltf", "too many triangles")


OUTSIDE = [
    "../secret.bin", "/etc/passwd", "sub/../../secret.bin", "%2e%2e/secret.bin", "..\\x.bin",
    "http://example.org/a.bin", "https://example.org/a.bin", "file:///etc/passwd", "C:/a.bin",
    "~/a.bin", "//host/a.bin", "ftp://h/base64,AAAA", "link.bin",
]  # fmt: skip


@pytest.mark.parametrize("uri", OUTSIDE)
@pytest.mark.parametrize("use", ["buffer", "image", "glb image", "mtllib", "map_Kd", "ply"])
def test_files_outside_the_folder_are_never_opened(tmp_path, uri, use, monkeypatch):
    folder = tmp_path / "meshes"
    folder.mkdir()
    (tmp_path / "secret.bin").write_bytes(picture((1, 1, 1)) + bytes(100))
    (folder / "link.bin").symlink_to(tmp_path / "secret.bin")
    path = _pointing(folder, uri, use)
    opened, original = [], Path.read_bytes
    monkeypatch.setattr(Path, "read_bytes", lambda p: opened.append(str(p)) or original(p))
    monkeypatch.setattr(socket.socket, "connect", lambda *_: pytest.fail("a connection"))
    _refused(path, "outside its folder")
    assert {Path(p).parent for p in opened} <= {folder}
    assert os.path.realpath(folder / "link.bin") not in map(os.path.realpath, opened)


def _pointing(folder, uri, use):
    if use == "buffer":
        return write_gltf(folder, buffers=[{"byteLength": 42, "uri": uri}])
    if use == "image":
        return write_gltf(folder, images=[{"uri": uri}])
    if use == "glb image":
        name, data = "a.glb", as_glb(gltf(images=[{"uri": uri}]))
    elif use == "ply":
        head = PLY_HEAD.replace("element", f"comment TextureFile {uri}\nelement", 1)
        name, data = "a.ply", f"{head}{FACES}end_header\n{CORNERS}3 0 1 2\n".encode()
    else:
        material = uri if use == "mtllib" else "a.mtl"
        name, data = "a.obj", f"mtllib {material}\n{TRIANGLE}usemtl m\nf 1 2 3\n".encode()
        (folder / "a.mtl").write_text(f"newmtl m\nmap_Kd {uri}\n")
    (folder / name).write_bytes(data)
    return folder / name


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"extensionsRequired": ["KHR_draco_mesh_compression"]}, "extension"),
        ({"accessors": [{"componentType": 5126, "count": 10**12, "type": "VEC3"}]}, "senseless"),
        ({"accessors": [{"componentType": 5126, "count": -4, "type": "VEC3"}]}, "senseless"),
        ({"accessors": 7}, "not a list"),
        ({"buffers": [3]}, "not objects"),
        ({"buffers": [{"byteLength": 42, "uri": "data:;base64,@@@"}]}, "damaged"),
        ({"images": [{"bufferView": 9}]}, "invalid reference"),
        ({"images": [{"bufferView": 0}]}, "not a picture"),
    ],
)
def test_odd_gltf_is_refused(tmp_path, changes, reason):
    _refused(write_gltf(tmp_path, **changes), reason)


@pytest.mark.parametrize("name", ["a.glb", "a.gltf", "a.obj", "a.ply", "a.stl", "a.fbx", "a"])
@pytest.mark.parametrize("data", [b"", b"nonsense", b"[" * 100_000, bytes(300)])
def test_nonsense_is_refused(tmp_path, name, data):
    (tmp_path / name).write_bytes(data)
    _refused(tmp_path / name, ".")


@pytest.fixture(scope="module")
def good_files() -> dict[str, bytes]:
    box = trimesh.creation.box(SIZE)
    box.visual.vertex_colors = np.full((8, 4), 200, np.uint8)
    files = {kind: exported(box, kind) for kind in ("glb", "obj", "ply", "stl")}
    return files | {"gltf": json.dumps(gltf()).encode()}


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    kind=st.sampled_from(["glb", "gltf", "obj", "ply", "stl"]),
    edits=st.lists(st.tuples(st.integers(0, 100_000), st.integers(0, 255)), max_size=5),
    cut=st.integers(0, 60),
)
def test_mutated_meshes_load_or_are_asset_errors(tmp_path, good_files, kind, edits, cut):
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
