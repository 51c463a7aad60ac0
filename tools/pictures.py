"""Make the pictures of the README: docs/images/labels.jpg and docs/images/scenes.jpg."""

import sys
from pathlib import Path

from synthstudio import pipeline
from synthstudio.core.images import decode_rgb, encode_jpeg, resample
from synthstudio.core.scene import U8
from synthstudio.core.skeleton import skeleton
from synthstudio.dataset.draw import contact_sheet, draw_labels
from synthstudio.pictures import save
from synthstudio.recipe.load import dump, load, parse
from synthstudio.stage import Stage, prepare

ROOT = Path(__file__).resolve().parents[1]
LABELS = (("quickstart.yaml", 1), ("rooms.yaml", 5), ("crowd.yaml", 0))
SCENES = (
    ("rooms.yaml", 2), ("rooms.yaml", 5), ("close_ups.yaml", 4),
    ("close_ups.yaml", 3), ("crowd.yaml", 1), ("rooms.yaml", 8),
)  # fmt: skip
MOST_BYTES = 290_000
WIDTH_PX = 1920


def frame(scene: str, index: int, *, labels: bool) -> U8:
    """Return a frame (480, 640, 3) of a scene, with its labels drawn in or without."""
    text = dump(load(ROOT / "scenes" / scene))
    text["image"] |= {"width_px": 640, "height_px": 480}
    stage = Stage(prepare(parse(text), assets=ROOT / "scenes", device="cpu"))
    made = pipeline.make_frame(stage, pipeline.draw_spec(stage, index))
    rgb = decode_rgb(made.jpeg, scene)
    if not labels:
        return rgb
    return draw_labels(rgb, made.labels, skeleton(stage.skeleton.name), rows_px=960)


def sheet(wanted: tuple[tuple[str, int], ...], out: Path, *, labels: bool) -> None:
    """Write frames side by side as a JPEG of at most `MOST_BYTES`."""
    picture = contact_sheet([frame(s, i, labels=labels) for s, i in wanted], columns=3)
    height, width = picture.shape[:2]
    whole = (0.0, 0.0, float(width), float(height))
    picture = resample(picture, whole, (WIDTH_PX, round(WIDTH_PX * height / width)))
    for quality in range(88, 40, -4):
        data = encode_jpeg(picture, quality)
        if len(data) <= MOST_BYTES:
            break
    save(out, data)
    sys.stderr.write(f"{out.relative_to(ROOT)}: {len(data)} bytes\n")


if __name__ == "__main__":
    sheet(LABELS, ROOT / "docs/images/labels.jpg", labels=True)
    sheet(SCENES, ROOT / "docs/images/scenes.jpg", labels=False)
