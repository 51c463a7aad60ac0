"""Small inputs of golden, fuzz and faults: a recipe, a training, drawn assets, annotated photos."""

import json
import math
import random
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from synthstudio.core.skeleton import get_skeleton

COCO17 = get_skeleton("coco17").joints
# Shares of a person's height: x from the middle, y from the top, joint by joint.
FIGURE = [(0, 0.08), (0.02, 0.06), (-0.02, 0.06), (0.04, 0.07), (-0.04, 0.07), (0.1, 0.19)]
FIGURE += [(-0.1, 0.19), (0.14, 0.35), (-0.14, 0.35), (0.15, 0.48), (-0.15, 0.48), (0.06, 0.5)]
FIGURE += [(-0.06, 0.5), (0.06, 0.72), (-0.06, 0.72), (0.06, 0.95), (-0.06, 0.95)]

CAMERA = "camera_height_m: 1.5\npitch_deg: -5\nvertical_fov_deg: 50\n"
"""What stands beside a photo in which people may stand."""


def pairs_recipe(frames: int) -> dict[str, Any]:
    """A recipe of small pictures, each moment with and without its occluder."""
    return {
        "name": "pairs",
        "frames": frames,
        "seed": 5,
        "skeleton": "coco17",
        "variants": {"clean": 1},
        "image": {"width_px": 160, "height_px": 120, "supersample": 1},
        "camera": {"distance_m": [2.5, 3.5]},
        "people": {"count": 2, "arrangement": {"kind": "group", "spread_m": [0.5, 1.0]}},
        "objects": [{"kind": "procedural"}],
        "targets": {"occluded_fraction": [0.1, 0.6], "effort": 4},
        "splits": {"train": 0.5, "val": 0.25, "test": 0.25},
        "backdrop": {"kind": "plain"},
    }


def training_config(dataset: str, *, steps: int, **changes: Any) -> dict[str, Any]:
    """A training's config: a very small network."""
    return {
        "name": "tiny",
        "train": [{"dataset": dataset}],
        "val": [{"dataset": dataset}],
        "network": {"head": "orn", "size": [48, 36], "widths": [8, 12], "width": 16, "bank": 8},
        "batch": 8,
        "epochs": 999,
        "steps": steps,
        "save_every": 5,
        "lr": 5e-3,
        "device": "cpu",
        **changes,
    }


def write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=1), encoding="utf-8")  # YAML reads JSON


def make_assets(assets: Path, scenes: Path) -> None:
    """Backgrounds, a panorama, cut-outs and motions below a new folder."""
    for name in ("backgrounds", "hdri", "occluders"):
        (assets / name).mkdir(parents=True)
    shutil.copytree(scenes / "motions", assets / "motions")
    for k in range(3):
        noise(("background", k), (640, 480)).save(assets / "backgrounds" / f"b{k}.png")
        (assets / "backgrounds" / f"b{k}.camera.yaml").write_text(CAMERA)
    (assets / "hdri" / "sky.hdr").write_bytes(panorama(64))
    listed = []
    for name, size in {"suitcase": (70, 90), "dog": (90, 70)}.items():
        cutout(size).save(assets / "occluders" / f"{name}.png")
        listed.append({"file": f"{name}.png", "category": name, "license": "CC0"})
    write_json(assets / "occluders" / "manifest.json", listed)


def noise(key: tuple[Any, ...], size: tuple[int, int]) -> Image.Image:
    """Soft noise of a size (width, height)."""
    data = random.Random(repr(key)).randbytes(24 * 32 * 3)
    small = (np.frombuffer(data, np.uint8).reshape(24, 32, 3) // 2) + 60
    return Image.fromarray(small).resize(size, Image.Resampling.BICUBIC)


def cutout(size: tuple[int, int]) -> Image.Image:
    """An ellipse of a size (width, height) on nothing."""
    wide, high = size
    y, x = np.mgrid[:high, :wide]
    inside = ((x - wide / 2) / (wide / 2 - 3)) ** 2 + ((y - high / 2) / (high / 2 - 3)) ** 2 < 1
    rgba = np.full((high, wide, 4), (180, 90, 40, 255), np.uint8)
    rgba[..., 3] *= inside
    return Image.fromarray(rgba)


def panorama(high: int) -> bytes:
    """A Radiance file, uncompressed, twice as wide as high."""
    rows = np.linspace(200, 60, high)[:, None, None] * np.ones((1, 2 * high, 3))
    rgbe = np.concatenate([rows, np.full((high, 2 * high, 1), 129)], axis=2).astype(np.uint8)
    head = f"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y {high} +X {2 * high}\n".encode()
    return head + rgbe.tobytes()


def make_people(folder: Path, *, photos: int) -> None:
    """Soft noise as photos in `images`, and `coco.json` of two people who stand in each."""
    (folder / "images").mkdir(parents=True)
    listed, people = [], []
    for k in range(photos):
        name = f"p{k:02}.png"
        noise(("photo", k), (320, 240)).save(folder / "images" / name)
        listed.append({"id": k + 1, "file_name": name, "width": 320, "height": 240})
        places = ((110 + 3 * k, 40, 160), (215, 60 + k, 130))
        people += [_person(2 * k + n + 1, k + 1, *p) for n, p in enumerate(places)]
    category = {"id": 1, "name": "person", "keypoints": COCO17, "skeleton": []}
    whole = {"images": listed, "annotations": people, "categories": [category]}
    write_json(folder / "coco.json", whole)


def _person(number: int, image: int, x: float, top: float, tall: float) -> dict[str, Any]:
    points: list[float] = []
    for u, v in FIGURE:
        points += [round(x + u * tall, 2), round(top + v * tall, 2), 2]
    angles = [math.tau * k / 40 for k in range(40)]
    oval: list[float] = []
    for angle in angles:
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
