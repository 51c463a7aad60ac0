"""Meshes as other tools write them: quantized glTF, moved texture coordinates, options in MTL."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mesh_makers import as_glb, picture

from synthstudio.core.errors import AssetError
from synthstudio.props.mesh_files import texture_of
from synthstudio.props.meshes import load_mesh

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
        accessors.append(
            {
                "bufferView": len(views) - 1,
                "componentType": KINDS[kind],
                "count": 4,
                "type": f"VEC{width}",
                **({"normalized": True} if normalized else {}),
            }
        )
    binary += b"\0" * (-len(binary) % 4)
    views += [
        {"buffer": 0, "byteOffset": len(binary), "byteLength": FACES.nbytes},
        {"buffer": 0, "byteOffset": len(binary) + FACES.nbytes, "byteLength": 0},
    ]
    binary += FACES.tobytes()
    skin = picture((9, 8, 7))
    views[3] = {"buffer": 0, "byteOffset": len(binary), "byteLength": len(skin)}
    binary += skin
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
def test_quantized_positions_come_in_at_their_size(
    tmp_path: Path, kind: str, normalized: bool, stride: int
) -> None:
    tree, binary = quantized(kind, normalized, stride)
    data = loaded(tmp_path, tree, binary)
    assert data.size_m == pytest.approx((SIZE_M[0], SIZE_M[2], SIZE_M[1]), rel=1e-4)
    assert data.triangles == 4
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
def test_moved_texture_coordinates_are_moved(
    tmp_path: Path, move: dict[str, Any], want: np.ndarray
) -> None:
    tree, binary = quantized("<u2", True, 0, extensions={"KHR_texture_transform": move})
    tree["extensionsRequired"].append("KHR_texture_transform")
    uv = loaded(tmp_path, tree, binary).parts[0].uv * (1, -1) + (0, 1)
    np.testing.assert_allclose(uv, want, atol=1e-4)


def _skinned(tree: dict[str, Any]) -> None:
    tree["nodes"][0]["skin"] = 0


def _cut_short(tree: dict[str, Any]) -> None:
    tree["accessors"][0]["count"] = 999


def _odd_type(tree: dict[str, Any]) -> None:
    tree["accessors"][0]["componentType"] = 5130


def _nowhere(tree: dict[str, Any]) -> None:
    tree["accessors"][0]["bufferView"] = 70


def _no_table(tree: dict[str, Any]) -> None:
    tree["materials"][0]["pbrMetallicRoughness"] = 3


@pytest.mark.parametrize("change", [_skinned, _cut_short, _odd_type, _nowhere, _no_table])
def test_quantized_glb_that_cannot_be_read_is_refused_by_name(tmp_path: Path, change: Any) -> None:
    tree, binary = quantized("<i2", True, 8)
    change(tree)
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
def test_map_kd_is_read_with_options_and_backslashes(
    tmp_path: Path, text: str, name: str, moves: Any, space: str
) -> None:
    (tmp_path / "a.obj").write_text(
        "mtllib a.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 0 1\nusemtl m\nf 1/1 2/2 3/3\n"
    )
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
