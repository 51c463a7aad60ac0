"""Checks of a mesh file and the files it refers to, before any loader opens them; numbers of glTF.

Nothing outside the mesh's own folder is ever opened, and nothing is fetched. Numbers that trimesh
reads unscaled are converted into the floats they encode: integers marked `normalized` are fractions
(Khronos glTF 2.0, 3.6.2.2), with KHR_mesh_quantization those of positions and normals too.
KHR_texture_transform moves texture coordinates, and a texture may use a second set of them
(`texCoord`).
"""

import base64
import json
import re
import struct
from pathlib import Path
from typing import Any

import numpy as np

from synthstudio.core.arrays import F32
from synthstudio.core.errors import AssetError
from synthstudio.core.images import decode, read_bytes
from synthstudio.core.safe_files import inside, inside_skins, is_file_below, leaves_folder

MAX_BYTES = 200 * 1024 * 1024
MAX_TRIANGLES = 500_000
_MAX_JSON = 32 * 1024 * 1024
_GLB_MAGIC = 0x46546C67
_NAMING_LINES = {
    ".obj": rb"^mtllib\s+(.+)$",
    ".mtl": rb"(?i)^\s*map_kd\s+(.+)$",
    ".ply": rb"^comment TextureFile +(.+)$",
    ".mhclo": rb"^(?:obj_file|material)\s+(.+)$",
    ".mhmat": rb"^(?:diffuse|normalmap)Texture\s+(.+)$",
}
# glTF extensions that may be required without changing where triangles lie.
_KNOWN_EXTENSIONS = (
    "KHR_materials_",
    "KHR_mesh_quantization",
    "KHR_lights_punctual",
    "KHR_texture_transform",
)
_OPTIONS = {"-o": 3, "-s": 3, "-t": 3, "-mm": 2}
"""Numbers after an option of a texture in MTL at the most; all others have one word."""


def named_files(path: Path) -> tuple[Path, ...]:
    """The files beside it that a mesh or its material names, not what these name in turn.

    MakeHuman's are optional: those that exist.
    """
    suffix, where = path.suffix.lower(), str(path)
    if suffix not in (".gltf", ".glb", *_NAMING_LINES):
        return ()
    data = read_bytes(path, limit=MAX_BYTES)
    names: list[str] = []
    if suffix in (".gltf", ".glb"):
        tree = gltf_tree(glb_chunks(data, where)[0] if suffix == ".glb" else data, where)
        items = _dicts(tree, "buffers", where) + _dicts(tree, "images", where)
        uris = [item["uri"] for item in items if isinstance(item.get("uri"), str)]
        names = [uri for uri in uris if not uri.startswith("data:")]
    else:
        found = re.findall(_NAMING_LINES[suffix], data, re.MULTILINE)
        names = [name.decode("utf-8", "replace").strip() for name in found]
        if suffix == ".mtl":
            names = [texture_of(name)[0] for name in names]
    files = tuple(inside_skins(path, name, where) for name in dict.fromkeys(names))
    optional = suffix in (".mhclo", ".mhmat")
    return tuple(f for f in files if not optional or is_file_below(f.parent, f.name))


def texture_of(text: str) -> tuple[str, tuple[float, float], tuple[float, float]]:
    """The name in a `map_Kd` line of MTL, its coordinates' factors and offsets.

    Options come first (Wavefront's "Object Files (.mtl)"): `-s 2 2 1 -o 0.5 -clamp on wood.png`.
    """
    moves = {"-s": [1.0, 1.0], "-o": [0.0, 0.0]}
    while option := re.match(r"(-[a-z]+)\s+", text.lower()):
        text = text[option.end() :]
        for place in range(_OPTIONS.get(option[1], 1)):
            value = re.match(r"([-+.\deE]+)\s+" if option[1] in _OPTIONS else r"(\S+)\s+", text)
            if value is None:
                break
            text = text[value.end() :]
            if option[1] in moves and place < 2:
                moves[option[1]][place] = float(value[1])
    (su, sv), (ou, ov) = moves["-s"], moves["-o"]
    return text.strip().strip('"'), (su, sv), (ou, ov)


def check_picture(data: bytes, where: str) -> None:
    """Raise AssetError unless `data` is the start of a picture of an allowed size."""
    decode(data, where, lambda image: image.size)


def check_header(data: bytes, suffix: str, where: str, folder: Path) -> None:
    """Raise AssetError if the file's header already exceeds a limit."""
    if suffix in (".gltf", ".glb"):
        _check_gltf(data, suffix, where, folder)
    elif suffix == ".obj":
        check_triangles(data.count(b"\nf "), where)
        odd = re.findall(rb"(?i)^v .*(?:nan|inf)", data, re.MULTILINE)
        if odd:
            raise not_numbers(where, len(odd))
    elif suffix == ".stl" and data[:5].lower() != b"solid" and len(data) >= 84:
        check_triangles(struct.unpack_from("<I", data, 80)[0], where)
    elif suffix == ".ply":
        _check_ply(data, where)


def check_triangles(count: int, where: str) -> None:
    if count > MAX_TRIANGLES:
        raise AssetError(
            "the mesh has too many triangles",
            where=where,
            expected=f"at most {MAX_TRIANGLES:,}",
            got=f"{count:,}",
            then="Decimate it (in Blender: Modifiers > Decimate) and save it again.",
        )


def not_numbers(where: str, count: int) -> AssetError:
    """The error of a mesh with `count` vertices that are NaN or infinite."""
    return AssetError(
        "the mesh has invalid vertices",
        where=where,
        expected="finite coordinates",
        got=f"{count} with NaN or infinity",
        then="Clean it up and export it again.",
    )


def bad(
    what: str, where: str, got: str | None = None, *, expected: str | None = None
) -> AssetError:
    """The error of a mesh that its program wrote wrongly."""
    return AssetError(what, where=where, expected=expected, got=got, then="Export the mesh again.")


def _check_ply(data: bytes, where: str) -> None:
    head = data[: data.find(b"end_header") + 1]
    if not data.startswith(b"ply") or not head:
        raise bad("this is not a PLY file", where)
    for element, count in re.findall(rb"element +(\w+) +(\d+)", head):
        if element == b"face":
            check_triangles(int(count), where)
        if int(count) > len(data):
            raise bad("the header promises more than the file holds", where, f"{int(count)} items")


def _check_gltf(data: bytes, suffix: str, where: str, folder: Path) -> None:
    """Check a glTF's JSON: required extensions, sizes, referenced files."""
    text, binary = glb_chunks(data, where) if suffix == ".glb" else (data, b"")
    tree = gltf_tree(text, where)
    for name in _list(tree, "extensionsRequired", where):
        if not isinstance(name, str) or not name.startswith(_KNOWN_EXTENSIONS):
            raise AssetError(
                "the glTF requires an unsupported extension",
                where=where,
                got=str(name)[:60],
                then="Export it again without compression or extensions.",
            )
    for accessor in _dicts(tree, "accessors", where):
        count = accessor.get("count")
        if not isinstance(count, int) or not 0 <= count <= 3 * MAX_TRIANGLES:
            raise bad("the glTF promises a senseless amount of data", where, f"count {count}")
    buffers = [blob_of(b, where, folder, binary) for b in _dicts(tree, "buffers", where)]
    views = _dicts(tree, "bufferViews", where)
    for number, image in enumerate(_dicts(tree, "images", where)):
        picture = _image_bytes(image, views, buffers, where, folder)
        check_picture(picture, f"{where}: image {number}")


def glb_chunks(data: bytes, where: str) -> tuple[bytes, bytes]:
    """The JSON and the binary chunk of a GLB (Khronos glTF 2.0, section 4.4)."""
    if len(data) < 20 or struct.unpack_from("<I", data)[0] != _GLB_MAGIC:
        raise bad("this is not a GLB file", where)
    length = struct.unpack_from("<I", data, 12)[0]
    if data[16:20] != b"JSON" or 20 + length > len(data):
        raise bad("the GLB is cut off or damaged", where)
    rest = data[20 + length :]
    return data[20 : 20 + length], rest[8:]


def gltf_tree(text: bytes, where: str) -> dict[str, Any]:
    if len(text) > _MAX_JSON and b"base64," not in text:
        raise bad("the glTF's JSON is too large", where, f"{len(text) / 2**20:.0f} MB")
    try:
        tree = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise bad(f"the glTF is not JSON: {error}", where) from error
    if not isinstance(tree, dict):
        raise bad("the glTF is not a JSON object", where)
    return tree


def _list(tree: dict[str, Any], key: str, where: str) -> list[Any]:
    value = tree.get(key, [])
    if not isinstance(value, list):
        raise bad(f"the glTF's {key} are not a list", where)
    return value


def _dicts(tree: dict[str, Any], key: str, where: str) -> list[dict[str, Any]]:
    value = _list(tree, key, where)
    if not all(isinstance(item, dict) for item in value):
        raise bad(f"the glTF's {key} are not objects", where)
    return value


def blob_of(item: dict[str, Any], where: str, folder: Path, binary: bytes) -> bytes:
    """The bytes of a buffer or image: of the GLB, in the JSON, or in a file beside it."""
    uri = item.get("uri")
    if uri is None:
        return binary
    if not isinstance(uri, str):
        raise bad("a uri is not text", where)
    if uri.startswith("data:"):
        _, mark, payload = uri.partition("base64,")
        if not mark:
            raise bad("a data URI is not base64", where)
        try:
            return base64.b64decode(payload)
        except ValueError as error:
            raise bad("a data URI is damaged", where) from error
    if "base64," in uri:
        raise leaves_folder(uri, where)
    return read_bytes(inside(folder, uri, where), limit=MAX_BYTES)


def _image_bytes(
    image: dict[str, Any],
    views: list[dict[str, Any]],
    buffers: list[bytes],
    where: str,
    folder: Path,
) -> bytes:
    if "bufferView" not in image:
        return blob_of(image, where, folder, b"")
    try:
        view = views[image["bufferView"]]
        start = view.get("byteOffset", 0)
        buffer: bytes = buffers[view["buffer"]]
        return buffer[start : start + view["byteLength"]]
    except (LookupError, TypeError) as error:
        raise bad("an image of the glTF has an invalid reference", where) from error


# Numbers of glTF ------------------------------------------------------------------------------

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
        what = f"the glTF's accessors are inconsistent ({type(error).__name__}: {error})"[:200]
        raise bad(what, where) from error
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
    """Which texture coordinates a primitive's colours use, and how they are moved."""
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
    if not move:
        return uv
    turn = float(move.get("rotation", 0))
    cos, sin = np.cos(turn), np.sin(turn)
    scaled = uv * np.array(move.get("scale", (1, 1)), np.float64)
    rotated = scaled @ np.array([[cos, -sin], [sin, cos]])
    return np.asarray(rotated + np.array(move.get("offset", (0, 0)), np.float64), np.float32)
