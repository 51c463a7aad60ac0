"""Conversion of glTF numbers that trimesh reads unscaled into the floats they encode.

Integers marked `normalized` are fractions (Khronos glTF 2.0, 3.6.2.2), with KHR_mesh_quantization
those of positions and normals too. KHR_texture_transform moves texture coordinates, and a texture
may use a second set of them (`texCoord`).
"""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np

from synthstudio.core.errors import AssetError
from synthstudio.core.scene import F32
from synthstudio.props.mesh_files import blob_of, glb_chunks, gltf_tree

_TYPES = {5120: "i1", 5121: "u1", 5122: "<i2", 5123: "<u2", 5126: "<f4"}
_WIDTHS = {"VEC2": 2, "VEC3": 3}
_SIGNS = (b"normalized", b"KHR_texture_transform", b"texCoord")


def with_plain_numbers(data: bytes, suffix: str, where: str, folder: Path) -> tuple[bytes, str]:
    """Return a glTF's bytes and its suffix: unchanged, or as .gltf with floats; AssetError."""
    text, binary = glb_chunks(data, where) if suffix == ".glb" else (data, b"")
    if not any(sign in text for sign in _SIGNS):
        return data, suffix
    tree = gltf_tree(text, where)
    try:
        buffers = tree.get("buffers", [])
        added = _replace(tree, [blob_of(b, where, folder, binary) for b in buffers], where)
    except (LookupError, TypeError, ValueError, AttributeError) as error:
        raise AssetError(
            f"the glTF's accessors are inconsistent ({type(error).__name__}: {error})"[:200],
            where=where,
            then="Export the mesh again.",
        ) from error
    if not added:
        return data, suffix
    for buffer in buffers:
        if "uri" not in buffer:
            buffer["uri"] = _uri(binary)
    buffers.append({"byteLength": len(added), "uri": _uri(added)})
    return json.dumps(tree).encode(), ".gltf"


def _uri(data: bytes) -> str:
    return "data:application/octet-stream;base64," + base64.b64encode(data).decode()


def _replace(tree: dict[str, Any], blobs: list[bytes], where: str) -> bytes:
    """Point primitives at accessors of a further buffer, which is returned."""
    accessors, views, meshes = (tree.get(n, []) for n in ("accessors", "bufferViews", "meshes"))
    skinned = {node.get("mesh") for node in tree.get("nodes", []) if "skin" in node}
    made: dict[tuple[int, str], int] = {}
    added = b""
    for number, mesh in enumerate(meshes):
        for primitive in mesh["primitives"]:
            attributes = primitive["attributes"]
            for name in ("POSITION", "NORMAL", "TEXCOORD_0"):
                source: int | None = attributes.get(name)
                move: dict[str, Any] = {}
                if name == "TEXCOORD_0":
                    texture, move = _texture(tree, primitive)
                    source = attributes.get(f"TEXCOORD_{texture}", source)
                if source is None:
                    continue
                whole = accessors[source].get("normalized")
                if name == "POSITION" and whole and number in skinned:
                    raise AssetError(
                        "the glTF's quantized positions are scaled by a skin, which is not read",
                        where=where,
                        then="Export it without quantization, or without its skeleton.",
                    )
                if not whole and not move and source == attributes.get(name):
                    continue
                key = source, json.dumps(move, sort_keys=True)
                if key not in made:
                    values = _moved(_values(accessors[source], views, blobs), move)
                    made[key] = len(accessors)
                    accessors.append(
                        {
                            "bufferView": len(views),
                            "componentType": 5126,
                            "count": len(values),
                            "type": accessors[source]["type"],
                        }
                    )
                    span = {"byteOffset": len(added), "byteLength": values.nbytes}
                    views.append({"buffer": len(blobs), **span})
                    added += values.tobytes()
                attributes[name] = made[key]
    return added


def _texture(tree: dict[str, Any], primitive: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Return which texture coordinates a primitive's colours use, and how they are moved."""
    material = tree["materials"][primitive["material"]] if "material" in primitive else {}
    info = material.get("pbrMetallicRoughness", {}).get("baseColorTexture", {})
    move = info.get("extensions", {}).get("KHR_texture_transform", {})
    return int(move.get("texCoord", info.get("texCoord", 0))), move


def _values(accessor: dict[str, Any], views: list[Any], blobs: list[bytes]) -> F32:
    view, kind = views[accessor["bufferView"]], np.dtype(_TYPES[accessor["componentType"]])
    width = _WIDTHS[accessor["type"]]
    stored: Any = np.ndarray(
        (accessor["count"], width),
        kind,
        blobs[view["buffer"]],
        view.get("byteOffset", 0) + accessor.get("byteOffset", 0),
        (view.get("byteStride", width * kind.itemsize), kind.itemsize),
    )
    if not accessor.get("normalized"):
        return np.array(stored, np.float32)
    return np.asarray(np.maximum(stored / np.float64(np.iinfo(kind).max), -1), np.float32)


def _moved(uv: F32, move: dict[str, Any]) -> F32:
    """Return coordinates scaled, rotated and shifted by KHR_texture_transform."""
    if not move:
        return uv
    turn = float(move.get("rotation", 0))
    cos, sin = np.cos(turn), np.sin(turn)
    scaled = uv * np.array(move.get("scale", (1, 1)), np.float64)
    rotated = scaled @ np.array([[cos, -sin], [sin, cos]])
    return np.asarray(rotated + np.array(move.get("offset", (0, 0)), np.float64), np.float32)
