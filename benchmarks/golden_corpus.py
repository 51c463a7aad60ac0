"""Hostile files, always the same: recipes, assets, annotations, data sets, configs, networks.

A case is a small folder and the commands that are asked about it.
"""

from __future__ import annotations

import copy
import io
import json
import os
import random
import shutil
import struct
import tarfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image

Words = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Case:
    """A hostile thing. `{here}` in commands is its folder, `{out}` a free place to write to."""

    name: str
    files: dict[str, bytes] = field(default_factory=dict)
    make: Callable[[Path], None] | None = None
    commands: tuple[Words, ...]


def cases(inputs: Path) -> list[Case]:
    """Return all cases; `inputs` is the folder of golden_inputs.make_inputs."""
    found = [*cases_of_files(), *cases_of_sets(inputs), *_assets(inputs)]
    found += [*_networks(inputs), *_occlusions(inputs)]
    names = [case.name for case in found]
    assert len(set(names)) == len(names), "names of cases"
    return found


def cases_of_files() -> list[Case]:
    """Return the cases that need no inputs and draw nothing: recipes, configs, others' files."""
    return [*_recipes(), *_exchanged(), *_configs()]


def cases_of_sets(inputs: Path) -> list[Case]:
    """Return the cases made of the data set `pairs` and of its export `coco`."""
    return [*_annotations(inputs), *_sets(inputs)]


def write(folder: Path, found: list[Case]) -> None:
    """Write all cases below a folder, once."""
    text = Path(__file__).read_text(encoding="utf-8")
    whole = folder / ".whole"
    if whole.is_file() and whole.read_text(encoding="utf-8") == text:
        return
    shutil.rmtree(folder, ignore_errors=True)
    for case in found:
        here = folder / case.name
        here.mkdir(parents=True)
        for name, data in case.files.items():
            (here / name).parent.mkdir(parents=True, exist_ok=True)
            (here / name).write_bytes(data)
        if case.make is not None:
            case.make(here)
    whole.write_text(text, encoding="utf-8")


def _json(value: Any) -> bytes:
    return json.dumps(value).encode()


def spoilt(data: bytes, name: str) -> dict[str, bytes]:
    """Return a file emptied, cut, with other bytes in it, with a false head, doubled."""
    rng = random.Random(name)
    noisy = bytearray(data)
    for _ in range(max(8, len(data) // 200)):
        noisy[rng.randrange(len(noisy))] = rng.randrange(256)
    return {
        "empty": b"",
        "text": b"this is nothing of the kind\n",
        "cut": data[: len(data) // 2],
        "noisy": bytes(noisy),
        "headless": data[16:],
        "zeros": bytes(len(data)),
    }


# Recipes ----------------------------------------------------------------------------------

_BOMB = "a: &a [x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + k)}: &{chr(98 + k)} [{', '.join(['*' + chr(97 + k)] * 9)}]\n" for k in range(9)
)
RECIPES: dict[str, str | bytes] = {
    "none": "",
    "comment": "# nothing\n",
    "list": "- name: a\n",
    "word": "just text\n",
    "unclosed": "name: [unclosed\n",
    "tab": "\tname: a\n",
    "two-documents": "name: a\n---\nname: b\n",
    "python-object": "name: !!python/object/apply:os.system ['true']\n",
    "anchor": "name: a\nbase: &x {frames: 3}\n",
    "bomb": _BOMB,
    "nul": "name: a\0\n",
    "not-utf8": b"name: \xff\xfe\n",
    "too-deep": "name: " + "[" * 5000,
    "too-large": "name: a\ndescription: " + "x" * 3_000_000,
    "twice": "name: a\nname: b\n",
    "no-name": "frames: 3\n",
    "bad-name": "name: A B\n",
    "unknown-field": "name: a\nsead: 3\n",
    "zero-frames": "name: a\nframes: 0\n",
    "real-frames": "name: a\nframes: 1.5\n",
    "true-frames": "name: a\nframes: yes\n",
    "low-above-high": "name: a\npeople: {count: [3, 1]}\n",
    "nan": "name: a\ncamera: {height_m: .nan}\n",
    "infinite": "name: a\ncamera: {height_m: .inf}\n",
    "far": "name: a\ncamera: {distance_m: [1, 500]}\n",
    "text-number": "name: a\ncamera: {height_m: '3'}\n",
    "narrow": "name: a\nimage: {width_px: 63}\n",
    "wide": "name: a\nimage: {width_px: 99999}\n",
    "splits": "name: a\nsplits: {train: 0.5}\n",
    "skeleton": "name: a\nskeleton: coco18\n",
    "layer": "name: a\nlayers: [depht]\n",
    "layer-twice": "name: a\nlayers: [depth, depth]\n",
    "no-folder": "name: a\nbackdrop: {kind: photo}\n",
    "kind": "name: a\nbackdrop: {kind: foto, folder: x}\n",
    "no-choices": "name: a\nbackdrop: {kind: mix, choices: []}\n",
    "few-identities": "name: a\npeople: {count: 9, identities: 3}\n",
    "photo-view": "name: a\nbackdrop: {kind: photo, folder: x}\nvariants: {view: 2}\n",
    "joint": "name: a\ntargets: {joints: {left_wrst: 0.5}}\n",
    "weights": "name: a\nlight: {warmth: {choice: {0.1: 0}}}\n",
    "climbs": "name: a\ncutouts: {folder: '../x'}\n",
    "absolute": "name: a\ncutouts: {folder: '/etc'}\n",
    "home": "name: a\nbackdrop: {kind: photo, folder: '~/x'}\n",
    "backslash": "name: a\nbackdrop: {kind: photo, folder: 'a\\b'}\n",
    "pose": "name: a\npeople: {poses: {names: {no_such_pose: 1}}}\n",
    "thing": "name: a\nthings: [{kind: procedural, kinds: {no_such_thing: 1}}]\n",
    "quota": "name: a\nquotas: {family: {stand: 1}}\npeople: {hold: {share: 0.5}}\n",
    "clip-photo": "name: a\nclip: {frames: 4}\nbackdrop: {kind: photo, folder: x}\n",
    "good": "name: a\nframes: 1\nimage: {width_px: 64, height_px: 64}\npeople: {count: 1}\n",
}


def _recipes() -> Iterator[Case]:
    for name, text in RECIPES.items():
        data = text if isinstance(text, bytes) else text.encode()
        command = ("generate", "{here}/a.yaml", "--plan", "--json")
        if name != "good":
            command = ("generate", "{here}/a.yaml", "--frames", "1", "--out", "{out}")
        yield Case(name=f"recipe-{name}", files={"a.yaml": data}, commands=(command,))
    for name, words in {
        "absent": ("generate", "{here}/no.yaml", "--out", "{out}"),
        "folder": ("generate", "{here}", "--out", "{out}"),
        "part": ("generate", "{here}/a.yaml", "--part", "5/3", "--out", "{out}"),
        "part-text": ("generate", "{here}/a.yaml", "--part", "x", "--out", "{out}"),
        "workers": ("generate", "{here}/a.yaml", "--workers", "0", "--out", "{out}"),
        "option": ("generate", "{here}/a.yaml", "--colour", "red", "--out", "{out}"),
        "picture-name": ("preview", "{here}/a.yaml", "--out", "{out}.tiff"),
        "command": ("nonsense", "{here}"),
        "taken": ("generate", "{here}/a.yaml", "--out", "{here}"),
    }.items():
        good = RECIPES["good"]
        assert isinstance(good, str)
        yield Case(name=f"call-{name}", files={"a.yaml": good.encode()}, commands=(words,))


# Assets -----------------------------------------------------------------------------------

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
    return Case(name=name, files={"a.yaml": _json(recipe), **held}, commands=(PREVIEW,))


def _assets(inputs: Path) -> Iterator[Case]:
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
        "box.gltf": (_MESH, _json(gltf())),
    }
    for file, (recipe, data) in good.items():
        yield _asset(f"asset-{file}-good", recipe, {file: data})
        for how, bad in spoilt(data, file).items():
            yield _asset(f"asset-{file}-{how}", recipe, {file: bad})
    yield from _odd_pictures()
    yield from _odd_meshes()
    yield from _odd_motions()
    yield _asset("asset-nothing", _PHOTO, {"readme.txt": b"no picture"})
    yield Case(name="asset-no-folder", files={"a.yaml": _json(_PHOTO)}, commands=(PREVIEW,))


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
        yield _asset(f"gltf-{name}", _MESH, {"a.gltf": _json(tree)})
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
    text = _json(tree)
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


# Annotations ------------------------------------------------------------------------------


def _annotations(inputs: Path) -> Iterator[Case]:
    reported = json.loads((inputs / "coco" / "annotations.json").read_text(encoding="utf-8"))
    reported["images"] = reported["images"][:3]
    kept = {image["id"] for image in reported["images"]}
    reported["annotations"] = [a for a in reported["annotations"] if a["image_id"] in kept]
    images = str(inputs / "coco")
    requested: tuple[Words, ...] = (
        ("validate", "{here}/a.json", "--images", images),
        ("import", "{here}/a.json", "--images", images, "--out", "{out}"),
    )
    for how, data in spoilt(_json(reported), "coco").items():
        yield Case(name=f"coco-{how}", files={"a.json": data}, commands=requested)
    for name, change in _COCO.items():
        doc = copy.deepcopy(reported)
        doc = change(doc) or doc
        yield Case(name=f"coco-{name}", files={"a.json": _json(doc)}, commands=requested)
    deep = b'{"images": ' + b"[" * 100_000
    yield Case(name="coco-deep", files={"a.json": deep}, commands=requested)


def _set(where: str, name: str, value: Any, k: int = 0) -> Callable[[dict[str, Any]], None]:
    def change(doc: dict[str, Any]) -> None:
        doc[where][k][name] = value

    return change


def _without(where: str, name: str) -> Callable[[dict[str, Any]], None]:
    def change(doc: dict[str, Any]) -> None:
        del doc[where][0][name]

    return change


_COCO: dict[str, Callable[[dict[str, Any]], Any]] = {
    "good": lambda doc: None,
    "list": lambda doc: [1, 2],
    "no-images": lambda doc: {k: v for k, v in doc.items() if k != "images"},
    "no-categories": lambda doc: {k: v for k, v in doc.items() if k != "categories"},
    "empty-images": lambda doc: {**doc, "images": []},
    "nan": _set("annotations", "keypoints", [float("nan")] * 51),
    "infinite-box": _set("annotations", "bbox", [0, 0, float("inf"), 1]),
    "text-box": _set("annotations", "bbox", "0"),
    "short-points": _set("annotations", "keypoints", [1, 2, 3]),
    "wild-flag": _set("annotations", "keypoints", [1, 2, 7] * 17),
    "null-points": _set("annotations", "keypoints", None),
    "huge-number": _set("annotations", "keypoints", [1e308] * 51),
    "lost-image": _set("annotations", "image_id", 99_999),
    "text-id": _set("annotations", "id", "x"),
    "id-twice": _set("annotations", "id", 2),
    "image-twice": _set("images", "id", 2),
    "huge-id": _set("annotations", "id", 2**70),
    "no-width": _without("images", "width"),
    "no-file": _without("images", "file_name"),
    "no-id": _without("annotations", "id"),
    "climbs": _set("images", "file_name", "../../../etc/passwd"),
    "absolute": _set("images", "file_name", "/etc/passwd"),
    "nul-name": _set("images", "file_name", "a\0.jpg"),
    "wrong-size": _set("images", "width", 7),
    "huge-size": _set("images", "width", 10**9),
    "negative-size": _set("images", "height", -4),
    "mask-size": _set("annotations", "segmentation", {"size": [10**9, 10**9], "counts": "0"}),
    "mask-text": _set("annotations", "segmentation", {"size": [120, 160], "counts": "????"}),
    "mask-odd": _set("annotations", "segmentation", [[0, 0, 1]]),
    "mask-null": _set("annotations", "segmentation", [None]),
    "mask-list": _set("annotations", "segmentation", {"size": [120, 160], "counts": [1, -5]}),
    "category": _set("annotations", "category_id", 9),
    "joints-twice": _set("categories", "keypoints", ["nose"] * 17),
    "joint-names": _set("categories", "keypoints", [None] * 17),
}


# Other tools' files -----------------------------------------------------------------------

_YOLO = "kpt_shape: [17, 3]\ntrain: images\nnames: [person]\n"
_BOX = "0 0.5 0.5 0.1 0.1"
_XML: dict[str, str | bytes] = {
    "entities": '<!DOCTYPE z [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><annotations>&b;</annotations>',
    "system": '<!DOCTYPE z SYSTEM "file:///etc/passwd"><annotations/>',
    "deep": "<annotations>" + "<a>" * 100,
    "utf16": '<?xml version="1.0" encoding="utf-16"?><annotations/>',
    "open": "<annotations><meta/>",
    "empty": "<annotations/>",
    "track": '<annotations><track id="0"/></annotations>',
    "bytes": b"<annotations>\xff</annotations>",
    "none": "",
}
_YOLOS: dict[str, tuple[str, str]] = {
    "nan": (_YOLO, _BOX + " nan 0.5 2" * 17),
    "outside": (_YOLO, _BOX + " 1.5 0.5 2" * 17),
    "flag": (_YOLO, _BOX + " 0.5 0.5 7" * 17),
    "short": (_YOLO, "0 0.5 0.5"),
    "word": (_YOLO, _BOX + " x 0.5 2" * 17),
    "joints": (_YOLO.replace("17", "5"), ""),
    "shape": (_YOLO.replace("[17, 3]", "17"), ""),
    "climbs": (_YOLO.replace("images", "/etc"), ""),
    "nowhere": (_YOLO.replace("images", "nowhere"), ""),
    "alias": ("a: &a [1]\nb: *a\n" + _YOLO, ""),
    "deep": ("[" * 3000, ""),
    "list": ("- 1", ""),
    "open": ("{", ""),
}


def _exchanged() -> Iterator[Case]:
    for name, text in _XML.items():
        data = text if isinstance(text, bytes) else text.encode()
        words = ("import", "{here}/a.xml", "--format", "cvat", "--out", "{out}")
        yield Case(name=f"cvat-{name}", files={"a.xml": data}, commands=(words,))
    for name, (head, label) in _YOLOS.items():
        files = {"data.yaml": head.encode(), "labels/a.txt": label.encode()}
        files["images/a.jpg"] = picture("JPEG")
        words = ("import", "{here}", "--format", "yolo", "--out", "{out}")
        yield Case(name=f"yolo-{name}", files=files, commands=(words,))
    for name, data in _shards().items():
        words = ("import", "{here}/a.tar", "--format", "webdataset", "--out", "{out}")
        yield Case(name=f"tar-{name}", files={"a.tar": data}, commands=(words,))
    forms = ("coco", "crowdpose", "ochuman", "yolo", "cvat", "webdataset", "huggingface")
    for form in (*forms, "label-studio", "mpii", "lsp", "h36m"):
        words = ("import", "{here}", "--format", form, "--out", "{out}")
        absent = ("import", "{here}/none", "--format", form, "--out", "{out}")
        pipe = ("import", "{here}/pipe", "--format", form, "--out", "{out}")
        make = _pipe
        yield Case(name=f"nothing-{form}", make=make, commands=(words, absent, pipe))
    junk = {"data/train-00000.parquet": b"PAR1 no PAR1"}
    words = ("import", "{here}", "--format", "huggingface", "--out", "{out}")
    yield Case(name="hf-junk", files=junk, commands=(words,))
    other = {"data/train-00000.parquet": _table({"index": [1]})}
    yield Case(name="hf-columns", files=other, commands=(words,))


def _pipe(here: Path) -> None:
    os.mkfifo(here / "pipe")


def _table(columns: dict[str, list[Any]]) -> bytes:
    data = io.BytesIO()
    pq.write_table(pa.table(columns), data)
    return data.getvalue()


def _shards() -> dict[str, bytes]:
    def tar(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
        data = io.BytesIO()
        with tarfile.open(fileobj=data, mode="w") as archive:
            for info, body in members:
                info.size = len(body)
                archive.addfile(info, io.BytesIO(body))
        return data.getvalue()

    def link(kind: bytes) -> tuple[tarfile.TarInfo, bytes]:
        info = tarfile.TarInfo("000000.jpg")
        info.type, info.linkname = kind, "/etc/passwd"
        return info, b""

    image, reported = tarfile.TarInfo("000000.jpg"), tarfile.TarInfo("000000.json")
    head = tarfile.TarInfo("x")
    head.type, head.size = tarfile.XHDTYPE, 2 * 1024**3
    return {
        "climbs": tar((tarfile.TarInfo("../000000.jpg"), b"x")),
        "absolute": tar((tarfile.TarInfo("/000000.jpg"), b"x")),
        "symlink": tar(link(tarfile.SYMTYPE)),
        "hardlink": tar(link(tarfile.LNKTYPE)),
        "device": tar(link(tarfile.CHRTYPE)),
        "alone": tar((image, b"x")),
        "no-image": tar((reported, b"{}")),
        "empty-row": tar((image, b"x"), (reported, b"{}")),
        "nothing": tar(),
        "gigabytes": head.tobuf(tarfile.USTAR_FORMAT) + bytes(4096),
        "junk": b"no tar at all",
    }


# Data sets --------------------------------------------------------------------------------


def _sets(inputs: Path) -> Iterator[Case]:
    requested: tuple[Words, ...] = (
        ("stats", "{here}/set"),
        ("validate", "{here}/set"),
        ("frame", "{here}/set", "1"),
        ("export", "{here}/set", "--out", "{out}"),
        ("filter", "{here}/set", "occluded > 0.2", "--count"),
    )
    for name, change in _DAMAGES.items():

        def make(here: Path, change: Callable[[Path], None] = change) -> None:
            shutil.copytree(inputs / "pairs", here / "set")
            change(here / "set")

        yield Case(name=f"set-{name}", make=make, commands=requested)
    for query in ("", "occluded >", "no_such = 1", "left_wrist hidden by fog", "(" * 300):
        words = ("filter", str(inputs / "pairs"), query, "--count")
        name = query.replace("(", "")[:12].strip().replace(" ", "-") or f"q{len(query)}"
        yield Case(name=f"query-{name}", commands=(words,))


def _put(name: str, data: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(data) and None


def _replace(name: str, old: bytes, new: bytes) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        data = (folder / name).read_bytes()
        assert old in data, f"{old!r} in {name}"
        (folder / name).write_bytes(data.replace(old, new, 1))

    return change


def _column(column: str, value: Any) -> Callable[[Path], None]:
    """Write one column of the frames anew and leave the hashes as they are."""

    def change(folder: Path) -> None:
        path = folder / "shards/00000/frames.parquet"
        table = pq.read_table(path, partitioning=None)
        place = table.schema.get_field_index(column)
        values = pa.array([value] * table.num_rows, table.schema.field(place).type)
        pq.write_table(table.set_column(place, table.schema.field(place), values), path)

    return change


def _dropped(folder: Path) -> None:
    path = folder / "shards/00000/frames.parquet"
    pq.write_table(pq.read_table(path, partitioning=None).drop_columns(["seed"]), path)


def _linked(folder: Path) -> None:
    image = folder / "shards/00000/images/000001.jpg"
    outside = folder.parent / "outside.jpg"
    image.rename(outside)
    image.symlink_to(outside)


_SHARD = "shards/00000"
_DAMAGES: dict[str, Callable[[Path], None]] = {
    "good": lambda folder: None,
    "no-identity": lambda folder: (folder / "dataset.json").unlink(),
    "identity-junk": _put("dataset.json", b"{"),
    "identity-deep": _put("dataset.json", b"[" * 100_000),
    "identity-format": _replace("dataset.json", b'"format_version": 3', b'"format_version": 99'),
    "identity-skeleton": _replace("dataset.json", b'"skeleton": "coco17",', b'"skeleton": "x",'),
    "identity-seed": _replace("dataset.json", b'"seed": 5', b'"seed": "five"'),
    "no-index": lambda folder: (folder / "index.json").unlink(),
    "index-climbs": _replace("index.json", b"shards/00000", b"../elsewhere"),
    "index-junk": _put("index.json", b'{"shards": [{}]}'),
    "no-shard": lambda folder: shutil.rmtree(folder / _SHARD),
    "shard-junk": _put(f"{_SHARD}/shard.json", b"[]"),
    "frames-empty": _put(f"{_SHARD}/frames.parquet", b""),
    "frames-junk": _put(f"{_SHARD}/frames.parquet", b"PAR1" * 100),
    "instances-junk": _put(f"{_SHARD}/instances.parquet", b"PAR1" * 100),
    "columns": _dropped,
    "name-climbs": _column("file_name", "../../../etc/passwd"),
    "name-empty": _column("file_name", ""),
    "spec-empty": _column("spec", ""),
    "spec-object": _column("spec", "{}"),
    "spec-seed": _column("spec", '{"seed": "x"}'),
    "no-image": lambda folder: (folder / _SHARD / "images/000001.jpg").unlink(),
    "image-junk": _put(f"{_SHARD}/images/000001.jpg", b"no picture"),
    "image-link": _linked,
}


# Trainings and networks -------------------------------------------------------------------


def _configs() -> Iterator[Case]:
    least: dict[str, Any] = {"train": [{"dataset": "../inputs/pairs"}], "device": "cpu"}
    changes: dict[str, Any] = {
        "none": {},
        "list": [1],
        "unknown": least | {"epoch": 3},
        "block": least | {"network": {"block": "transformer"}},
        "block-name": least | {"network": {"blok": "orn"}},
        "size": least | {"network": {"size": [50, 36]}},
        "widths": least | {"network": {"widths": []}},
        "batch": least | {"batch": 0},
        "rate": least | {"rate": "fast"},
        "split": {"train": [{"dataset": "a", "split": "train"}]},
        "no-source": {"train": [{}]},
        "two-sources": {"train": [{"dataset": "a", "coco": "b"}]},
        "images": {"train": [{"dataset": "a", "images": "b"}]},
        "moments": {"train": [{"recipe": "a"}]},
        "no-set": {"train": [{"dataset": "nowhere"}]},
        "nobody": least | {"train": [{"dataset": "../inputs/pairs", "splits": ["no"]}]},
        "start": least | {"start": "nowhere.safetensors"},
    }
    words = ("train", "{here}/a.yaml", "--out", "{out}", "--fast-dev-run")
    for name, value in changes.items():
        yield Case(name=f"config-{name}", files={"a.yaml": _json(value)}, commands=(words,))
    for name, data in {
        "yaml": b"{",
        "python": b"a: !!python/object/apply:os.system ['true']",
    }.items():
        yield Case(name=f"config-{name}", files={"a.yaml": data}, commands=(words,))


def _networks(inputs: Path) -> Iterator[Case]:
    data = (inputs / "orn" / "last.safetensors").read_bytes()
    pairs = str(inputs / "pairs")
    requested: tuple[Words, ...] = (
        ("evaluate", "{here}/a.safetensors", pairs, "--out", "{out}", "--cache", "{out}-crops"),
        ("predict", "{here}/a.safetensors", pairs, "--out", "{out}-answers"),
    )
    bad = spoilt(data, "network")
    length = int.from_bytes(data[:8], "little")
    head = json.loads(data[8 : 8 + length])
    bad["long-head"] = struct.pack("<Q", 2**60) + data[8:]
    bad["no-config"] = _safetensors({k: v for k, v in head.items() if k != "__metadata__"}, data)
    name = next(k for k in head if k != "__metadata__")
    bad["lost-tensor"] = _safetensors({k: v for k, v in head.items() if k != name}, data)
    lied = {**head, name: {**head[name], "data_offsets": [0, 2**50]}}
    bad["offsets"] = _safetensors(lied, data)
    bad["pickle"] = b"\x80\x04cos\nsystem\n(S'true'\ntR."
    for how, content in bad.items():
        yield Case(name=f"network-{how}", files={"a.safetensors": content}, commands=requested)
    resume = ("train", str(inputs / "orn.yaml"), "--out", "{here}", "--resume")
    yield Case(name="resume-junk", files={"state.safetensors": b"junk"}, commands=(resume,))


def _safetensors(head: dict[str, Any], data: bytes) -> bytes:
    length = int.from_bytes(data[:8], "little")
    text = _json(head)
    return struct.pack("<Q", len(text)) + text + data[8 + length :]


def _occlusions(inputs: Path) -> Iterator[Case]:
    few = inputs / "few"
    recipe = {
        "name": "few",
        "seed": 5,
        "occlude": {"each": 1, "cutouts": {"folder": "occluders"}},
        "targets": {"occluded_fraction": [0.1, 0.5], "effort": 4},
    }
    reported = json.loads((few / "coco.json").read_text(encoding="utf-8"))
    lost = copy.deepcopy(reported)
    lost["images"][0]["file_name"] = "lost.jpg"
    climbs = copy.deepcopy(reported)
    climbs["images"][0]["file_name"] = "../../secret.jpg"
    wrong = copy.deepcopy(reported)
    wrong["images"][0]["width"] = 17
    nobody = {**reported, "annotations": []}
    words = ("occlude", "{here}/a.json", "--images", str(few / "images"), "--recipe")
    words += ("{here}/a.yaml", "--assets", str(inputs / "assets"), "--out", "{out}")
    for name, doc in {"lost": lost, "climbs": climbs, "size": wrong, "nobody": nobody}.items():
        files = {"a.json": _json(doc), "a.yaml": _json(recipe)}
        yield Case(name=f"occlude-{name}", files=files, commands=(words,))
    plain = {k: v for k, v in recipe.items() if k != "occlude"}
    files = {"a.json": _json(reported), "a.yaml": _json(plain)}
    yield Case(name="occlude-no-recipe", files=files, commands=(words,))
