"""What hiding people in photos costs: `python -m benchmarks.bench_occlude`, part of `make bench`.

Processor time of `occlude` a photo (its clean frame and one in which people are behind cut-outs,
read, drawn, encoded, labelled and written), and over what OpenCV alone takes to decode the photo
and encode it once. Photos are generated and cut-outs drawn, unless yours are named.
"""

from __future__ import annotations

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from synthstudio.core.images import encode_png
from synthstudio.core.rng import stream
from synthstudio.dataset.reader import Dataset
from synthstudio.formats.export import export
from synthstudio.generation import pipeline
from synthstudio.generation.photos import run
from synthstudio.generation.stage import prepare
from synthstudio.recipe.draw_photo import JPEG_QUALITY
from synthstudio.recipe.schema.load import parse

RECIPE = {
    "name": "bench_occlude",
    "seed": 5,
    "occlude": {"ground": "any", "each": 1, "by": {"cutout": 1}, "least_height_px": 32},
    "targets": {"occluded_fraction": [0.1, 0.6], "things_each": 2, "effort": 12},
}
FRAMES = 48


def occluding(
    annotations: Path, images: Path, assets: Path, *, folder: str = "occluders"
) -> dict[str, float]:
    """Return what a photo costs; `folder` of cut-outs below `assets`. All are made twice, the
    second time counts.
    """
    hiding = {**RECIPE["occlude"], "cutouts": {"folder": folder}}  # type: ignore[dict-item]
    settings = prepare(parse({**RECIPE, "occlude": hiding}), assets=assets, device="cpu")
    for _ in range(2):
        with tempfile.TemporaryDirectory() as out:
            start = time.process_time()
            made = run.occlude(settings, annotations, Path(out) / "out", images=images)
            whole = (time.process_time() - start) * 1e3 / made.photos
    named = [image["file_name"] for image in json.loads(annotations.read_bytes())["images"]]
    codec = _codec_ms([images / name for name in named])
    return {
        "photos": made.photos,
        "occlude, ms a photo": whole,
        "decoding and encoding, ms": codec,
        "ratio": whole / codec,
    }


def _codec_ms(photos: Sequence[Path]) -> float:
    took = 0.0
    for path in photos:
        data = np.frombuffer(path.read_bytes(), np.uint8)
        start = time.process_time()
        pixels = cv2.imdecode(data, cv2.IMREAD_COLOR)
        cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, JPEG_QUALITY])
        took += time.process_time() - start
    return took * 1e3 / len(photos)


def of_generated(frames: int = FRAMES) -> dict[str, float]:
    """Return the same of generated photos (640x480, two people) and drawn cut-outs."""
    from benchmarks.bench import settings_for

    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        pipeline.generate(settings_for("bench.yaml", frames=frames), root / "made")
        export("coco", Dataset(root / "made"), root / "coco", skeleton="coco17")
        annotations = root / "coco" / "annotations" / "person_keypoints_train.json"
        (root / "occluders").mkdir()
        for k, (wide, tall) in enumerate(((200, 260), (120, 300), (280, 180))):
            noise = stream(1, "cut-out", k).integers(40, 220, (12, 12, 4)).astype(np.uint8)
            rgba = cv2.resize(noise, (wide, tall), interpolation=cv2.INTER_CUBIC)
            rgba[..., 3] = 0
            middle, axes = (wide // 2, tall // 2), (wide // 2 - 4, tall // 2 - 4)
            alpha = np.ascontiguousarray(rgba[..., 3])
            cv2.ellipse(alpha, middle, axes, 0, 0, 360, 255, -1, cv2.LINE_AA)
            rgba[..., 3] = alpha
            (root / "occluders" / f"suitcase{k}.png").write_bytes(encode_png(rgba))
        credits = [{"file": f"suitcase{k}.png", "category": "suitcase"} for k in range(3)]
        (root / "occluders" / "manifest.json").write_text(json.dumps(credits))
        return occluding(annotations, root / "coco" / "images" / "train", root)


def main() -> None:
    """Measure and print; the last line is the same as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--annotations", type=Path, help="COCO keypoints of your own photos")
    parser.add_argument("--images", type=Path, help="the photos")
    parser.add_argument("--assets", type=Path, help="a folder that holds occluders/, cut-outs")
    options = parser.parse_args()
    given = (options.annotations, options.images, options.assets)
    if any(given) and not all(given):
        parser.error("--annotations, --images and --assets come together")
    found = occluding(*given) if all(given) else of_generated()
    for name, value in found.items():
        print(f"{name:<30} {value:10.2f}")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
