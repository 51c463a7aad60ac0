"""What hiding people in photos costs: `python -m benchmarks.bench_occlude`, part of `make bench`.

Processor time of `occlude` a photo (its clean frame and one in which people are behind cut-outs,
read, drawn, encoded, labelled and written), and over what OpenCV alone takes to decode the photo
and encode it once. Photos are generated and cut-outs drawn.
"""

import os

os.environ.update(OMP_NUM_THREADS="1", OPENBLAS_NUM_THREADS="1", MKL_NUM_THREADS="1")

import json
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from benchmarks.small_inputs import cutout, write_json
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
    "occlude": {"ground": "any", "each": 1, "by": {"cutout": 1}, "min_height_px": 32},
    "targets": {"occluded_fraction": [0.1, 0.6], "max_objects": 2, "effort": 12},
}
FRAMES = 48


def occluding(annotations: Path, images: Path, assets: Path) -> dict[str, float]:
    """What a photo costs, with cut-outs below `assets`. All are made twice, the second counts."""
    hiding = {**RECIPE["occlude"], "cutouts": {"folder": "occluders"}}  # type: ignore[dict-item]
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
        for k, size in enumerate(((200, 260), (120, 300), (280, 180))):
            cutout(size).save(root / "occluders" / f"suitcase{k}.png")
        listed = [{"file": f"suitcase{k}.png", "category": "suitcase"} for k in range(3)]
        write_json(root / "occluders" / "manifest.json", listed)
        return occluding(annotations, root / "coco" / "images" / "train", root)


def main() -> None:
    """Measure and print."""
    for name, value in of_generated().items():
        print(f"{name:<30} {value:10.2f}")


if __name__ == "__main__":
    main()
