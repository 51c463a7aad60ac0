"""What both sides are fed: pictures, annotations and recipes of the harness, sets of the base."""

from __future__ import annotations

import hashlib
import json
import math
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.golden_sides import Context, Job, Side, need, run_batches

SIDED = ("eye", "ear", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
COCO17 = ["nose", *(f"{side}_{part}" for part in SIDED for side in ("left", "right"))]
# Shares of a person's height: x from the middle, y from the top, joint by joint.
FIGURE = [(0, 0.08), (0.02, 0.06), (-0.02, 0.06), (0.04, 0.07), (-0.04, 0.07), (0.1, 0.19)]
FIGURE += [(-0.1, 0.19), (0.14, 0.35), (-0.14, 0.35), (0.15, 0.48), (-0.15, 0.48), (0.06, 0.5)]
FIGURE += [(-0.06, 0.5), (0.06, 0.72), (-0.06, 0.72), (0.06, 0.95), (-0.06, 0.95)]


def pairs_recipe(frames: int) -> dict[str, Any]:
    """Return a recipe of small pictures, each moment with and without its occluder."""
    return {
        "name": "pairs",
        "frames": frames,
        "seed": 5,
        "skeleton": "coco17",
        "variants": {"clean": 1},
        "image": {"width_px": 160, "height_px": 120, "supersample": 1},
        "camera": {"distance_m": [2.5, 3.5]},
        "people": {"count": 2, "arrangement": {"kind": "group", "spread_m": [0.5, 1.0]}},
        "things": [{"kind": "procedural"}],
        "targets": {"occluded_fraction": [0.1, 0.6], "effort": 4},
        "splits": {"train": 0.5, "val": 0.25, "test": 0.25},
        "backdrop": {"kind": "plain"},
    }


def training_config(dataset: str, *, steps: int, **changes: Any) -> dict[str, Any]:
    """Return a training's config: a very small network, in the base's words."""
    return {
        "name": "tiny",
        "train": [{"dataset": dataset}],
        "validate_on": [{"dataset": dataset}],
        "network": {"size": [48, 36], "widths": [8, 12], "width": 16, "bank": 8},
        "batch": 8,
        "epochs": 999,
        "steps": steps,
        "save_every": 5,
        "rate": 5e-3,
        "device": "cpu",
        "losses": {"agreement": 0.5},
        **changes,
    }


def make_inputs(base: Side, context: Context) -> None:
    """Make the inputs of both sides once: `.whole` says that they are complete."""
    folder = base.inputs
    found = f"{context.frames} {context.shared} {Path(__file__).read_text(encoding='utf-8')}"
    mark, whole = hashlib.sha256(found.encode()).hexdigest(), folder / ".whole"
    if whole.is_file() and whole.read_text(encoding="utf-8") == mark:
        return
    shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(folder.parent / "corpus", ignore_errors=True)  # made of them
    folder.mkdir(parents=True)
    make_assets(folder, base.scenes, context.shared)
    make_people(folder / "people", context.shared, photos=context.frames // 2)
    make_people(folder / "few", context.shared, photos=4)
    _write(folder / "pairs.yaml", pairs_recipe(24))
    other = {**pairs_recipe(8), "seed": 6, "name": "others"}
    _write(folder / "others.yaml", other)
    for block in ("orn", "kpe"):
        config = training_config("../inputs/pairs", steps=12, network=_network(block))
        _write(folder / f"{block}.yaml", config)
    sets = [
        Job(name=name, arguments=("generate", f"{name}.yaml", "--out", name), folder=INSIDE)
        for name in ("pairs", "others")
    ]
    few = (
        "occlude",
        "few/coco.json",
        "--images",
        "few/images",
        "--assets",
        "assets",
        "--each",
        "1",
    )
    recipe = str(base.scenes / "occlude.yaml")
    few += ("--recipe", recipe, "--out", "occlude", "--device", "cpu")
    hidden = Job(name="occlude", arguments=few, folder=INSIDE)
    need(run_batches(base, [sets, [hidden]], context), base)
    runs = [
        Job(name=b, arguments=("train", f"{b}.yaml", "--out", b), folder=INSIDE)
        for b in ("orn", "kpe")
    ]
    judge = [
        Job(
            name=f"judge {b}",
            arguments=("evaluate", b, "pairs", "--out", f"evaluation-{b}"),
            folder=INSIDE,
        )
        for b in ("orn", "kpe")
    ]
    coco = Job(name="coco", arguments=("export", "pairs", "--out", "coco"), folder=INSIDE)
    need(run_batches(base, [[*runs, *judge, coco]], context), base)
    make_flat(base.inputs / "coco")
    whole.write_text(mark, encoding="utf-8")


INSIDE = "../inputs"


def make_flat(export: Path, *, images: bool = False) -> None:
    """Give a COCO export one annotations.json, as it was before a file per split: all read it.

    `images`: put its images into one folder as well.
    """
    parts = sorted((export / "annotations").glob("*.json"))
    whole: dict[str, Any] = {}
    for path in parts:
        part = json.loads(path.read_text(encoding="utf-8"))
        split = path.stem.removeprefix("person_keypoints_")
        for image in part["images"]:
            name = image["file_name"]
            image["file_name"] = f"images/{name}" if images else f"images/{split}/{name}"
        for name in ("images", "annotations"):
            part[name] = sorted(whole.get(name, []) + part[name], key=lambda one: one["id"])
        whole = part
        path.unlink()
        if images:
            for picture in (export / "images" / split).iterdir():
                picture.rename(export / "images" / picture.name)
            (export / "images" / split).rmdir()
    if parts:
        (export / "annotations").rmdir()
        _write(export / "annotations.json", whole)


def _network(block: str) -> dict[str, Any]:
    bank = {"bank": 8} if block == "orn" else {}
    return {"block": block, "size": [48, 36], "widths": [8, 12], "width": 16, **bank}


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1), encoding="utf-8")  # YAML reads JSON


def make_assets(folder: Path, scenes: Path, shared: Path) -> Path:
    """Copy or make backgrounds, panoramas, cut-outs and motions below `assets`."""
    assets = folder / "assets"
    assets.mkdir(parents=True)
    shutil.copytree(scenes / "motions", assets / "motions")
    makers = {"backgrounds": _backgrounds, "hdri": _panoramas, "occluders": _cutouts}
    for name, make in makers.items():
        if (shared / name).is_dir():
            shutil.copytree(shared / name, assets / name)
        else:
            (assets / name).mkdir()
            make(assets / name)
    return assets


def make_people(folder: Path, shared: Path, *, photos: int) -> None:
    """Write `coco.json` and `images` of annotated photos, at most so many."""
    images = folder / "images"
    images.mkdir(parents=True)
    source = shared / "people"
    if (source / "person_keypoints.json").is_file():
        found = json.loads((source / "person_keypoints.json").read_text(encoding="utf-8"))
        found["images"] = found["images"][:photos]
        kept = {image["id"] for image in found["images"]}
        found["annotations"] = [a for a in found["annotations"] if a["image_id"] in kept]
        for image in found["images"]:
            shutil.copyfile(source / "images" / image["file_name"], images / image["file_name"])
    else:
        found = drawn_people(images, photos)
    (folder / "coco.json").write_text(json.dumps(found), encoding="utf-8")


def drawn_people(images: Path, photos: int) -> dict[str, Any]:
    """Write soft noise as photos; return annotations of two people who stand in each."""
    listed, people = [], []
    for k in range(photos):
        name = f"p{k:02}.png"
        _noise(("photo", k), (320, 240)).save(images / name)
        listed.append({"id": k + 1, "file_name": name, "width": 320, "height": 240})
        places = ((110 + 3 * k, 40, 160), (215, 60 + k, 130))
        people += [_somebody(2 * k + n + 1, k + 1, *p) for n, p in enumerate(places)]
    category = {"id": 1, "name": "person", "keypoints": COCO17, "skeleton": []}
    return {"images": listed, "annotations": people, "categories": [category]}


def _somebody(number: int, image: int, x: float, top: float, tall: float) -> dict[str, Any]:
    points: list[float] = []
    for u, v in FIGURE:
        points += [round(x + u * tall, 2), round(top + v * tall, 2), 2]
    oval = []
    for k in range(40):
        angle = math.tau * k / 40
        oval += [round(x + 0.17 * tall * math.cos(angle), 2)]
        oval += [round(top + tall * (0.5 + 0.5 * math.sin(angle)), 2)]
    return {
        "id": number,
        "image_id": image,
        "category_id": 1,
        "iscrowd": 0,
        "keypoints": points,
        "num_keypoints": 17,
        "bbox": [x - 0.17 * tall, top, 0.34 * tall, tall],
        "area": round(math.pi * 0.17 * 0.5 * tall * tall, 2),
        "segmentation": [oval],
    }


def _noise(key: tuple[Any, ...], size: tuple[int, int]) -> Image.Image:
    data = random.Random(repr(key)).randbytes(24 * 32 * 3)
    small = (np.frombuffer(data, np.uint8).reshape(24, 32, 3) // 2) + 60
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)


def _backgrounds(folder: Path) -> None:
    for k in range(3):
        _noise(("background", k), (640, 480)).save(folder / f"b{k}.png")


def _panoramas(folder: Path) -> None:
    wide, high = 128, 64
    rows = np.linspace(200, 60, high)[:, None, None] * np.ones((1, wide, 3))
    rgbe = np.concatenate([rows, np.full((high, wide, 1), 129)], axis=2).astype(np.uint8)
    head = f"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y {high} +X {wide}\n".encode()
    (folder / "sky.hdr").write_bytes(head + rgbe.tobytes())


def _cutouts(folder: Path) -> None:
    found = []
    for name, (wide, high) in {"suitcase": (70, 90), "dog": (90, 70)}.items():
        y, x = np.mgrid[:high, :wide]
        inside = ((x - wide / 2) / (wide / 2 - 3)) ** 2 + ((y - high / 2) / (high / 2 - 3)) ** 2 < 1
        rgba = np.full((high, wide, 4), (180, 90, 40, 255), np.uint8)
        rgba[..., 3] *= inside
        Image.fromarray(rgba).save(folder / f"{name}.png")
        found.append({"file": f"{name}.png", "category": name, "license": "CC0"})
    _write(folder / "manifest.json", found)
