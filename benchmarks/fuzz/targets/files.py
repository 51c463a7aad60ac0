"""Recipes, the files that they name, and files of other tools."""

import base64
import io
import json
import random
import sys
from collections.abc import Callable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
import trimesh
from PIL import Image

from benchmarks.fuzz.cases import Case, Target
from benchmarks.fuzz.mutate import Files, as_json, mutate
from benchmarks.small_inputs import CAMERA, cutout, noise, panorama
from synthstudio.core.errors import SynthStudioError

SCENES = Path(__file__).resolve().parents[3] / "scenes"
SMALL = {"width_px": 64, "height_px": 64, "supersample": 1}


# Calls that all targets share -------------------------------------------------------------


def command(case: Case, *words: object) -> str:
    """Run `synthstudio WORDS`; SynthStudioError when it refuses, RuntimeError for anything odd."""
    from synthstudio import cli

    case.done.append("synthstudio " + " ".join(map(str, words)))
    out, errors = io.StringIO(), io.StringIO()
    arguments, sys.argv = sys.argv, ["synthstudio", *map(str, words)]
    try:
        with redirect_stdout(out), redirect_stderr(errors):
            cli.main()
        status: object = 0
    except SystemExit as stop:
        status = stop.code or 0
    finally:
        sys.argv = arguments
    printed = errors.getvalue()
    if status not in (0, 1, 2) or "Traceback (most" in printed:
        raise RuntimeError(f"status {status}: {printed[-3000:]}")
    if status and not printed.strip() and not out.getvalue().strip():
        raise RuntimeError(f"status {status} without a word")
    if status and "error: " in printed:
        raise SynthStudioError(printed[-2000:])
    return out.getvalue()


def read_whole(folder: Path) -> None:
    """Open a data set and read all of it: rows, people, pictures, hashes."""
    import synthstudio as ss

    dataset = ss.Dataset(folder)
    for frame in dataset:
        assert len(frame.people) >= 0
        assert frame.image.ndim == 3
    assert not list(dataset._stored.verify()), "what was written is not whole"


def tree(folder: Path) -> Files:
    """The files below a folder."""
    found = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


# Recipes ----------------------------------------------------------------------------------


def recipes(sound: Path) -> list[Files]:
    return [{"a.yaml": path.read_bytes()} for path in sorted(SCENES.glob("*.yaml"))]


def ask_recipe(case: Case) -> None:
    """Read, write back, and now and then draw a small frame of few people."""
    import synthstudio as ss

    file = case.input / "a.yaml"
    if case.rng.random() < 0.1:
        command(case, "generate", file, "--frames", "0", "--out", case.out)
        return
    case.done.append("Recipe.load, save, load")
    recipe = ss.Recipe.load(file)
    recipe.save(case.out)
    assert ss.Recipe.load(case.out).to_dict() == recipe.to_dict(), "not the same when read again"
    if case.rng.random() < 0.04:
        case.done.append("preview")
        try:
            small = recipe.with_(image=SMALL, layers=[])
            people = small.to_dict()["people"]["count"]
            if isinstance(people, int) and people <= 2:
                ss.preview(small, case.rng.randrange(100), device="cpu", assets=case.sound)
        finally:
            case.out.unlink()


# Assets -----------------------------------------------------------------------------------

EMPTY: dict[str, Any] = {"name": "a", "frames": 1, "image": SMALL, "people": {"count": 0}}
USES: dict[str, dict[str, Any]] = {
    "photo": {**EMPTY, "backdrop": {"kind": "photo", "folder": "in", "ground": "any"}},
    "sky": {**EMPTY, "backdrop": {"kind": "hdri", "folder": "in"}},
    "cutout": {**EMPTY, "cutouts": {"folder": "in", "size": "share", "count": 1}},
    "mesh": {**EMPTY, "objects": [{"kind": "mesh", "folder": "in", "placement": "beside"}]},
    "motion": {**EMPTY, "people": {"count": 1}, "motion": {"folder": "in", "share": 1.0}},
}
_FLOOR = b"""camera_height_m: 1.5
horizon: 0.4
vertical_fov_deg: 50
roll_deg: 2
sun_elevation_deg: 40
floor: [[0, 1], [0.3, 0.6], [1, 1.0]]
stand: false
reason: a ford
"""
_MANIFEST = b'[{"file": "a.png", "category": "dog", "license": "CC0", "source": "drawn"}]'


def _saved(picture: Image.Image, kind: str) -> bytes:
    data = io.BytesIO()
    picture.save(data, kind)
    return data.getvalue()


def photos(sound: Path) -> list[Files]:
    picture = noise(("photo",), (96, 64))
    found: list[Files] = [
        {f"a.{kind.lower()}": _saved(picture, kind)} for kind in ("PNG", "JPEG", "WEBP")
    ]
    first = found[0]["a.png"]
    sidecar = {"a.png": first, "a.camera.yaml": CAMERA.encode(), "manifest.json": _MANIFEST}
    return [*found, sidecar, {"a.png": first, "a.camera.yaml": _FLOOR}]


def cutouts(sound: Path) -> list[Files]:
    data = _saved(cutout((96, 64)), "PNG")
    return [{"a.png": data}, {"a.png": data, "manifest.json": _MANIFEST}]


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
    gltf = json.loads(parts["model.gltf"])
    for buffer in gltf["buffers"]:
        data = base64.b64encode(parts[buffer["uri"]]).decode()
        buffer["uri"] = f"data:application/octet-stream;base64,{data}"
    return [
        {"a.obj": plain},
        {"a.obj": b"mtllib a.mtl\nusemtl red\n" + plain, "a.mtl": material, "a.png": picture},
        {"a.ply": box.export(file_type="ply", encoding="ascii")},
        {"a.stl": box.export(file_type="stl")},
        {"a.glb": box.export(file_type="glb")},
        *[{"a.gltf": as_json(gltf)}] * 2,
    ]


def motions(sound: Path) -> list[Files]:
    poses = np.zeros((24, 156))  # an AMASS file of somebody who sways
    poses[:, 0] = np.pi / 2
    poses[:, 3:66] = 0.1 * np.sin(np.arange(24)[:, None] / 4 + np.arange(63))
    data = io.BytesIO()
    np.savez(data, trans=np.zeros((24, 3)), poses=poses, mocap_framerate=np.array(30.0))
    return [{"a.bvh": (SCENES / "motions" / "stroll.bvh").read_bytes()}, {"a.npz": data.getvalue()}]


def ask_asset(kind: str, *, draws: float = 1.0) -> Callable[[Case], None]:
    """Ask for a frame that uses the folder; without `draws` it is only looked for and checked."""

    def ask(case: Case) -> None:
        import synthstudio as ss
        from synthstudio.api import generation

        number = case.rng.randrange(50)
        case.done.append(f"{kind}: settings_for")
        generation.settings_for(USES[kind], assets=case.input.parent, device="cpu")
        if case.rng.random() < draws:
            case.done.append(f"{kind}: preview {number}")
            ss.preview(USES[kind], number, assets=case.input.parent, device="cpu")

    return ask


# Other tools' files -----------------------------------------------------------------------

OTHERS = ("crowdpose", "ochuman", "yolo", "cvat", "webdataset", "huggingface")
OTHERS += ("label-studio", "mpii", "lsp", "h36m")
COCO_FILE = "annotations/person_keypoints_train.json"


def _without_sidecar(files: Files) -> Files:
    return {name: data for name, data in files.items() if not name.startswith("synthstudio/")}


def coco(sound: Path) -> list[Files]:
    whole, polygons = tree(sound / "exports" / "coco"), tree(sound / "exports" / "polygons")
    plain = _without_sidecar(whole)
    few = json.loads(plain[COCO_FILE])
    few["annotations"] = few["annotations"][:2]
    short = {**plain, COCO_FILE: as_json(few)}
    return [short, short, plain, _without_sidecar(polygons), whole]


def ask_coco(case: Case) -> None:
    import synthstudio as ss
    from synthstudio.api import quality

    file = case.input / COCO_FILE

    def take() -> None:
        case.done.append("import_ coco")
        ss.import_(case.input if case.rng.random() < 0.5 else file, case.out)
        read_whole(case.out)

    def validate() -> None:
        case.done.append("validate, report, fix")
        pictures, fix = case.rng.random() < 0.5, case.out.with_name("out2")
        made = quality.validate(file, pictures=pictures, report=case.out, fix=fix)
        made.text(), made.as_json()

    def by_command() -> None:
        words = case.rng.choice((("validate", file, "--json"), ("import", file, "--out", case.out)))
        command(case, *words)

    case.pick(take, take, validate, validate, by_command)


def other(form: str) -> Callable[[Path], list[Files]]:
    def inputs(sound: Path) -> list[Files]:
        whole = tree(sound / "exports" / form)
        return [_without_sidecar(whole), _without_sidecar(whole), whole]

    return inputs


def ask_other(form: str) -> Callable[[Case], None]:
    def ask(case: Case) -> None:
        import synthstudio as ss

        case.done.append(f"import_ {form}")
        if case.rng.random() < 0.08:
            command(case, "import", case.input, "--format", form, "--out", case.out)
        else:
            ss.import_(case.input, case.out, format=form)
        read_whole(case.out)

    return ask


def _mostly_not_pictures(files: Files, rng: random.Random) -> Files:
    return mutate(files, rng, keep=("images/",) if rng.random() < 0.9 else ())


TARGETS = (
    Target(name="recipes", weight=14, inputs=recipes, ask=ask_recipe),
    Target(name="images", weight=16, inputs=photos, ask=ask_asset("photo")),
    Target(name="cutouts", weight=8, inputs=cutouts, ask=ask_asset("cutout")),
    Target(name="hdr", weight=10, inputs=skies, ask=ask_asset("sky")),
    Target(name="meshes", weight=16, inputs=meshes, ask=ask_asset("mesh")),
    Target(name="bvh", weight=10, inputs=motions, ask=ask_asset("motion", draws=0.3)),
    Target(name="coco", weight=14, inputs=coco, ask=ask_coco, mutate=_mostly_not_pictures),
    *(
        Target(
            name=form,
            weight=2,
            inputs=other(form),
            ask=ask_other(form),
            mutate=_mostly_not_pictures,
        )
        for form in OTHERS
    ),
)
