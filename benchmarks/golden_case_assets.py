"""Hostile assets: pictures, skies, meshes, motions; and the small sound ones they are made of."""

from __future__ import annotations

import io
import random
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.golden_case import Case, Words, json_bytes, spoilt

_SMALL: dict[str, Any] = {
    "name": "a",
    "frames": 1,
    "image": {"width_px": 64, "height_px": 64, "supersample": 1},
    "people": {"count": 1},
}
_PHOTO = {**_SMALL, "backdrop": {"kind": "photo", "folder": "in"}}
_SKY = {**_SMALL, "backdrop": {"kind": "hdri", "folder": "in"}}
_CUTOUT = {**_SMALL, "cutouts": {"folder": "in", "count": 1}}
_MESH = {**_SMALL, "things": [{"kind": "mesh", "folder": "in", "placement": "beside"}]}
_MOTION = {**_SMALL, "motion": {"folder": "in", "share": 1.0}}
PREVIEW: Words = ("preview", "{here}/a.yaml", "--out", "{out}.png", "--device", "cpu")


def _asset(name: str, recipe: dict[str, Any], files: dict[str, bytes]) -> Case:
    held = {f"in/{file}": data for file, data in files.items()}
    return Case(name=name, files={"a.yaml": json_bytes(recipe), **held}, commands=(PREVIEW,))


def assets(inputs: Path) -> Iterator[Case]:
    good = {
        "photo.png": (_PHOTO, picture("PNG")),
        "photo.jpg": (_PHOTO, picture("JPEG")),
        "photo.webp": (_PHOTO, picture("WEBP")),
        "cutout.png": (_CUTOUT, picture("PNG", alpha=True)),
        "sky.hdr": (_SKY, sky()),
        "walk.bvh": (_MOTION, (inputs / "assets/motions/stroll.bvh").read_bytes()),
        "box.obj": (_MESH, OBJ.encode()),
        "box.ply": (_MESH, PLY.encode()),
        "box.stl": (_MESH, stl()),
        "box.glb": (_MESH, glb(gltf())),
        "box.gltf": (_MESH, json_bytes(gltf())),
    }
    for file, (recipe, data) in good.items():
        yield _asset(f"asset-{file}-good", recipe, {file: data})
        for how, bad in spoilt(data, file).items():
            yield _asset(f"asset-{file}-{how}", recipe, {file: bad})
    yield from _odd_pictures()
    yield from _odd_meshes()
    yield from _odd_motions()
    yield _asset("asset-nothing", _PHOTO, {"readme.txt": b"no picture"})
    yield Case(name="asset-no-folder", files={"a.yaml": json_bytes(_PHOTO)}, commands=(PREVIEW,))


def _odd_pictures() -> Iterator[Case]:
    yield _asset("picture-huge", _PHOTO, {"a.png": png_head(20_000, 6_000)})
    yield _asset("picture-bomb", _PHOTO, {"a.png": png_head(60_000, 60_000)})
    yield _asset("picture-gif", _PHOTO, {"a.png": picture("GIF")})
    yield _asset("picture-tiff", _PHOTO, {"a.jpg": picture("TIFF")})
    yield _asset("cutout-opaque", _CUTOUT, {"a.png": picture("PNG")})
    for name, text in {
        "open": "{",
        "object": "{}",
        "numbers": "[1]",
        "no-file": '[{"file": 3}]',
        "twice": '[{"file": "a.png"}, {"file": "a.png"}]',
        "deep": "[" * 100_000,
    }.items():
        files = {"a.png": picture("PNG"), "manifest.json": text.encode()}
        yield _asset(f"manifest-{name}", _PHOTO, files)
    for name, text in {
        "word": "camera_height_m: high",
        "negative": "camera_height_m: -1",
        "nan": "camera_height_m: .nan",
        "pitch": "pitch_deg: 91",
        "unknown": "height: 2",
        "alias": "a: &a 1\nb: *a",
        "twice": "pitch_deg: 1\npitch_deg: 2",
        "nul": "\x00",
    }.items():
        files = {"a.png": picture("PNG"), "a.camera.yaml": text.encode()}
        yield _asset(f"sidecar-{name}", _PHOTO, files)
    flat = sky()
    for name, data in {
        "size": flat.replace(b"-Y 16 +X 32", b"-Y 16 +X 33"),
        "turned": flat.replace(b"-Y 16", b"+Y 16"),
        "zero": flat.replace(b"-Y 16 +X 32", b"-Y 0 +X 0"),
        "huge": flat.replace(b"-Y 16 +X 32", b"-Y 9000 +X 18000"),
        "format": flat.replace(b"rgbe", b"xyze"),
        "exposure": flat.replace(b"\n\n", b"\nEXPOSURE=nan\n\n", 1),
        "endless": b"#?RADIANCE\n" + b"x" * 100_000,
    }.items():
        yield _asset(f"sky-{name}", _SKY, {"a.hdr": data})


def _odd_meshes() -> Iterator[Case]:
    far = gltf()
    far["buffers"][0]["uri"] = "file:///etc/passwd"
    climbs = gltf()
    climbs["buffers"][0]["uri"] = "../../secret.bin"
    web = gltf()
    web["buffers"][0]["uri"] = "http://example.org/a.bin"
    missing = gltf()
    missing["accessors"][1]["count"] = 999_999
    loop = gltf()
    loop["nodes"] = [{"mesh": 0, "children": [0]}]
    for name, tree in {
        "file": far,
        "climbs": climbs,
        "web": web,
        "count": missing,
        "loop": loop,
        "empty": {},
    }.items():
        yield _asset(f"gltf-{name}", _MESH, {"a.gltf": json_bytes(tree)})
        yield _asset(f"glb-{name}", _MESH, {"a.glb": glb(tree)})
    for name, text in {
        "nan": OBJ.replace("v 0 0 0", "v nan 0 0"),
        "far-index": OBJ + "f 1 2 999\n",
        "no-faces": "v 0 0 0\nv 1 0 0\n",
        "millimetres": OBJ.replace(" 1", " 1000"),
        "material": "mtllib /etc/passwd\n" + OBJ,
        "flat": "v 0 0 0\nv 1 0 0\nv 2 0 0\nf 1 2 3\n",
    }.items():
        yield _asset(f"obj-{name}", _MESH, {"a.obj": text.encode()})
    many = PLY.replace("element vertex 8", "element vertex 2000000000")
    yield _asset("ply-many", _MESH, {"a.ply": many.encode()})
    yield _asset("stl-many", _MESH, {"a.stl": bytes(80) + struct.pack("<I", 2**31) + bytes(50)})


def _odd_motions() -> Iterator[Case]:
    for name, text in {
        "nan": WALK.replace("0.00 90.00", "nan 90.00", 1),
        "word": WALK.replace("0.00 90.00", "x 90.00", 1),
        "channels": WALK.replace("CHANNELS 3 Z", "CHANNELS 2 Z", 1),
        "channel": WALK.replace("Zrotation", "Wrotation", 1),
        "joint-twice": WALK.replace("JOINT RightHip", "JOINT LeftHip"),
        "nameless": WALK.replace("JOINT LeftKnee", "JOINT b7"),
        "no-legs": WALK.replace("OFFSET 0 -42 0", "OFFSET 0 0 0"),
        "frames": WALK.replace("Frames: 12", "Frames: 900000000"),
        "time": WALK.replace("Frame Time: 0.05", "Frame Time: 0"),
        "two-roots": WALK.replace("\nMOTION", "\nROOT More\n{\n}\nMOTION"),
        "deep": "HIERARCHY\nROOT a\n{\n" + "JOINT b\n{\n" * 2000,
    }.items():
        yield _asset(f"bvh-{name}", _MOTION, {"a.bvh": text.encode()})


def picture(kind: str, *, alpha: bool = False) -> bytes:
    """Return a small picture of noise."""
    values = np.frombuffer(random.Random(kind).randbytes(96 * 64 * 3), np.uint8)
    image = Image.fromarray(values.reshape(64, 96, 3))
    if alpha:
        mask = np.zeros((64, 96), np.uint8)
        mask[12:52, 20:76] = 255
        image.putalpha(Image.fromarray(mask))
    data = io.BytesIO()
    image.save(data, kind)
    return data.getvalue()


def png_head(wide: int, high: int) -> bytes:
    """Return a PNG that promises pixels and holds none."""

    def chunk(name: bytes, body: bytes) -> bytes:
        return (
            struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
        )

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", wide, high, 8, 2, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def sky() -> bytes:
    """Return a small panorama without compression."""
    pixels = np.full((16, 32, 4), (120, 130, 150, 128), np.uint8).tobytes()
    return b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 16 +X 32\n" + pixels


_CORNERS = [(x, y, z) for z in (0, 1) for y in (0, 1) for x in (0, 1)]
_FACES = [(0, 2, 1), (1, 2, 3), (4, 5, 6), (5, 7, 6), (0, 1, 4), (1, 5, 4)]
_FACES += [(2, 6, 3), (3, 6, 7), (0, 4, 2), (2, 4, 6), (1, 3, 5), (3, 7, 5)]
OBJ = "".join(f"v {x} {y} {z}\n" for x, y, z in _CORNERS)
OBJ += "".join(f"f {a + 1} {b + 1} {c + 1}\n" for a, b, c in _FACES)
PLY = "ply\nformat ascii 1.0\nelement vertex 8\nproperty float x\nproperty float y\n"
PLY += "property float z\nelement face 12\nproperty list uchar int vertex_indices\nend_header\n"
PLY += "".join(f"{x} {y} {z}\n" for x, y, z in _CORNERS)
PLY += "".join(f"3 {a} {b} {c}\n" for a, b, c in _FACES)


def stl() -> bytes:
    """Return a box as binary STL."""
    data = bytes(80) + struct.pack("<I", len(_FACES))
    for face in _FACES:
        data += bytes(12) + b"".join(struct.pack("<3f", *_CORNERS[k]) for k in face) + bytes(2)
    return data


def gltf() -> dict[str, Any]:
    """Return a box as glTF with its data inside."""
    import base64

    points = np.float32(_CORNERS).tobytes()
    blob = points + np.uint16(_FACES).tobytes()
    attributes = {"attributes": {"POSITION": 0}, "indices": 1}
    return {
        "asset": {"version": "2.0"},
        "scene": 0,
        "scenes": [{"nodes": [0]}],
        "nodes": [{"mesh": 0}],
        "meshes": [{"primitives": [attributes]}],
        "accessors": [
            {"bufferView": 0, "componentType": 5126, "count": 8, "type": "VEC3"},
            {"bufferView": 1, "componentType": 5123, "count": 36, "type": "SCALAR"},
        ],
        "bufferViews": [
            {"buffer": 0, "byteOffset": 0, "byteLength": 96},
            {"buffer": 0, "byteOffset": 96, "byteLength": 72},
        ],
        "buffers": [
            {
                "byteLength": len(blob),
                "uri": "data:application/octet-stream;base64," + base64.b64encode(blob).decode(),
            }
        ],
    }


def glb(tree: dict[str, Any]) -> bytes:
    """Return a glTF in its binary wrapping."""
    text = json_bytes(tree)
    text += b" " * (-len(text) % 4)
    body = struct.pack("<II", len(text), 0x4E4F534A) + text
    return struct.pack("<4sII", b"glTF", 2, 12 + len(body)) + body


def _walk() -> str:
    tree: dict[str, list[str]] = {
        "Hips": ["LeftHip", "RightHip", "Chest"],
        "LeftHip": ["LeftKnee"],
        "LeftKnee": ["LeftAnkle"],
        "RightHip": ["RightKnee"],
        "RightKnee": ["RightAnkle"],
        "Chest": ["Neck", "LeftShoulder", "RightShoulder"],
        "Neck": ["Head"],
        "LeftShoulder": ["LeftElbow"],
        "LeftElbow": ["LeftWrist"],
        "RightShoulder": ["RightElbow"],
        "RightElbow": ["RightWrist"],
    }
    across = {"LeftHip": 9.5, "RightHip": -9.5, "LeftShoulder": 17, "RightShoulder": -17}
    down = {"Knee": "0 -42 0", "Ankle": "0 -42 0", "Chest": "0 20 0", "Neck": "0 25 0"}
    down |= {"Head": "0 10 0", "Elbow": "0 -28 0", "Wrist": "0 -25 0"}
    count = 0

    def node(name: str, word: str) -> str:
        nonlocal count
        count += 1
        part = name.removeprefix("Left").removeprefix("Right")
        offset = f"{across[name]} {-4 if part == 'Hip' else 22} 0" if name in across else ""
        offset = offset or down.get(part, "0 0 0")
        places = "6 Xposition Yposition Zposition " if word == "ROOT" else "3 "
        inner = "".join(node(child, "JOINT") for child in tree.get(name, []))
        inner = inner or "End Site\n{\nOFFSET 0 -12 0\n}\n"
        turns = "Zrotation Xrotation Yrotation"
        return f"{word} {name}\n{{\nOFFSET {offset}\nCHANNELS {places}{turns}\n{inner}}}\n"

    text = "HIERARCHY\n" + node("Hips", "ROOT")
    rows = [f"0.00 90.00 {4 * k:.2f} " + " ".join(["0.00"] * 3 * count) for k in range(12)]
    return f"{text}MOTION\nFrames: 12\nFrame Time: 0.05\n" + "\n".join(rows) + "\n"


WALK = _walk()
