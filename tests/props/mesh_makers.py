"""Mesh files for tests: a box in every format, and a glTF of one triangle to change at will."""

import base64
import json
import struct
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from PIL import Image

SIZE = (0.6, 0.4, 1.0)  # across, deep, high after loading
TEXTURED = (
    "mtllib a.mtl\nv 0 0 0\nv 1 0 0\nv 0 1 0\nvt 0 0\nvt 1 0\nvt 0 1\nusemtl m\nf 1/1 2/2 3/3\n"
)
"""An OBJ of one triangle that takes its material from a.mtl."""


def shifted_box(y_up: bool) -> trimesh.Trimesh:
    extents = (SIZE[0], SIZE[2], SIZE[1]) if y_up else SIZE
    box = trimesh.creation.box(extents)
    box.apply_translation([3, 4, 5])
    return box


def saved(mesh: Any, folder: Path, name: str) -> Path:
    path = folder / name
    path.write_bytes(exported(mesh, path.suffix[1:]))
    return path


def exported(mesh: Any, kind: str) -> bytes:
    data = mesh.export(file_type=kind)
    return data.encode() if isinstance(data, str) else data


def gltf(**changes: Any) -> dict[str, Any]:
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
        "buffers": [{"byteLength": 42, "uri": "data:;base64," + base64.b64encode(blob).decode()}],
    }
    return tree | changes


def write_gltf(folder: Path, **changes: Any) -> Path:
    path = folder / "a.gltf"
    path.write_text(json.dumps(gltf(**changes)))
    return path


def as_glb(tree: dict[str, Any], binary: bytes = b"") -> bytes:
    text = json.dumps(tree).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<I4s", len(text), b"JSON") + text
    if binary:
        binary += b"\0" * (-len(binary) % 4)
        chunks += struct.pack("<I4s", len(binary), b"BIN\0") + binary
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def picture(colour: tuple[int, int, int], size: tuple[int, int] = (4, 4)) -> bytes:
    out = BytesIO()
    Image.new("RGB", size, colour).save(out, "PNG")
    return out.getvalue()
