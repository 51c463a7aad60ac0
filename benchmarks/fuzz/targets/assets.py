"""The user's files that a recipe names: pictures, cut-outs, panoramas, meshes, motions."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from PIL import Image

from benchmarks.fuzz.cases import Case, Target
from benchmarks.fuzz.mutate import Files, as_json
from benchmarks.fuzz.targets.calls import command
from benchmarks.small_inputs import CAMERA, cutout, noise, panorama

ROOT = Path(__file__).resolve().parents[3]
_IMAGE = {"width_px": 64, "height_px": 64, "supersample": 1}
_EMPTY: dict[str, Any] = {"name": "a", "frames": 1, "image": _IMAGE, "people": {"count": 0}}
_PERSON: dict[str, Any] = {**_EMPTY, "people": {"count": 1}}
RECIPES: dict[str, dict[str, Any]] = {
    "photo": {**_EMPTY, "backdrop": {"kind": "photo", "folder": "in", "ground": "any"}},
    "sky": {**_EMPTY, "backdrop": {"kind": "hdri", "folder": "in"}},
    "cutout": {**_EMPTY, "cutouts": {"folder": "in", "size": "share", "count": 1}},
    "mesh": {**_EMPTY, "things": [{"kind": "mesh", "folder": "in", "placement": "beside"}]},
    "motion": {**_PERSON, "motion": {"folder": "in", "share": 1.0}},
}
_SIDECAR = CAMERA.encode()
_FLOOR = (
    b"camera_height_m: 1.5\nhorizon: 0.4\nvertical_fov_deg: 50\nroll_deg: 2\n"
    b"sun_elevation_deg: 40\n"
    b"floor: [[0, 1], [0.3, 0.6], [1, 1.0]]\nstand: false\nreason: a ford\n"
)


def _manifest(name: str) -> bytes:
    return (
        b'[{"file": "%s", "category": "dog", "license": "CC0", "source": "drawn"}]' % name.encode()
    )


def photos(sound: Path) -> list[Files]:
    picture = noise(("photo",), (96, 64))
    found: list[Files] = [
        {f"a.{kind.lower()}": _saved(picture, kind)} for kind in ("PNG", "JPEG", "WEBP")
    ]
    first = found[0]["a.png"]
    found.append({"a.png": first, "a.camera.yaml": _SIDECAR, "manifest.json": _manifest("a.png")})
    found.append({"a.png": first, "a.camera.yaml": _FLOOR})
    return found


def cutouts(sound: Path) -> list[Files]:
    data = _saved(cutout((96, 64)), "PNG")
    return [{"a.png": data}, {"a.png": data, "manifest.json": _manifest("a.png")}]


def skies(sound: Path) -> list[Files]:
    head = b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\nEXPOSURE=1.0\n\n-Y 16 +X 32\n"
    row = b"\x02\x02\x00\x20" + b"\xa0\x80" * 4  # 32 equal values, run-length coded, four times
    return [{"a.hdr": panorama(16)}, {"a.hdr": head + row * 16}]


def meshes(sound: Path) -> list[Files]:
    box = trimesh.creation.box()
    plain = box.export(file_type="obj").encode()
    material = b"newmtl red\nKd 1 0 0\nmap_Kd a.png\n"
    picture = _saved(noise(("mesh",), (96, 64)), "PNG")
    parts = trimesh.Scene(box).export(file_type="gltf")
    tree = json.loads(parts["model.gltf"])
    for buffer in tree["buffers"]:
        data = base64.b64encode(parts[buffer["uri"]]).decode()
        buffer["uri"] = f"data:application/octet-stream;base64,{data}"
    return [
        {"a.obj": plain},
        {"a.obj": b"mtllib a.mtl\nusemtl red\n" + plain, "a.mtl": material, "a.png": picture},
        {"a.ply": box.export(file_type="ply", encoding="ascii")},
        {"a.stl": box.export(file_type="stl")},
        {"a.glb": box.export(file_type="glb")},
        *[{"a.gltf": as_json(tree)}] * 2,
    ]


def _saved(picture: Image.Image, kind: str) -> bytes:
    data = io.BytesIO()
    picture.save(data, kind)
    return data.getvalue()


def motions(sound: Path) -> list[Files]:
    lines = (ROOT / "scenes" / "motions" / "stroll.bvh").read_text(encoding="utf-8").splitlines()
    at = next(k for k, line in enumerate(lines) if line.startswith("Frames:"))
    few = [*lines[:at], "Frames: 24", *lines[at + 1 : at + 26]]
    return [
        {"a.bvh": "\n".join(lines).encode()},
        {"a.bvh": "\n".join(few).encode()},
        {"a.npz": _amass()},
    ]


def _amass() -> bytes:
    """Return an AMASS file of somebody who sways."""
    poses = np.zeros((24, 156))
    poses[:, 0] = np.pi / 2
    poses[:, 3:66] = 0.1 * np.sin(np.arange(24)[:, None] / 4 + np.arange(63))
    data = io.BytesIO()
    np.savez(data, trans=np.zeros((24, 3)), poses=poses, mocap_framerate=np.array(30.0))
    return data.getvalue()


def ask(kind: str, *, draws: float = 1.0) -> Callable[[Case], None]:
    """Ask for a frame that uses the folder; the others are only looked for and checked."""

    def asked(case: Case) -> None:
        import synthstudio as ss
        from synthstudio.api import generation

        recipe, number = RECIPES[kind], case.rng.randrange(50)
        if case.rng.random() < 0.02:
            file = case.out.with_name("cwd") / "a.yaml"
            file.write_bytes(as_json(recipe))
            try:
                command(case, "preview", file, "--assets", case.input.parent, "--device", "cpu",
                        "--out", case.out.with_name("out.png"))  # fmt: skip
            finally:
                file.unlink()
                case.out.with_name("out.png").unlink(missing_ok=True)
            return
        case.done.append(f"{kind}: settings_for")
        generation.settings_for(recipe, assets=case.input.parent, device="cpu")
        if case.rng.random() < draws:
            case.done.append(f"{kind}: preview {number}")
            ss.preview(recipe, number, assets=case.input.parent, device="cpu")

    return asked


TARGETS = (
    Target(name="images", weight=16, inputs=photos, ask=ask("photo")),
    Target(name="cutouts", weight=8, inputs=cutouts, ask=ask("cutout")),
    Target(name="hdr", weight=10, inputs=skies, ask=ask("sky")),
    Target(name="meshes", weight=16, inputs=meshes, ask=ask("mesh")),
    Target(name="bvh", weight=10, inputs=motions, ask=ask("motion", draws=0.3)),
)
