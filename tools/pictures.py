"""Make the pictures of docs/images: `python tools/pictures.py [labels scenes targets ...]`."""

import dataclasses
import sys
from collections.abc import Callable
from pathlib import Path

from synthstudio.body.meetings import meetings
from synthstudio.body.pose_library import library
from synthstudio.core.images import decode_rgb, encode_jpeg, resample
from synthstudio.core.rng import stream
from synthstudio.core.scene import U8
from synthstudio.core.skeleton import get_skeleton
from synthstudio.core.spec import LensSpec
from synthstudio.generation import pipeline
from synthstudio.generation.stage import Stage, prepare
from synthstudio.recipe.draw import draw
from synthstudio.recipe.schema.load import dump, load, parse
from synthstudio.report.draw import contact_sheet, draw_labels

ROOT = Path(__file__).resolve().parents[1]
LABELS = (("quickstart.yaml", 1), ("rooms.yaml", 5), ("crowd.yaml", 0))
SCENES = (
    ("rooms.yaml", 2),
    ("rooms.yaml", 5),
    ("close_ups.yaml", 4),
    ("close_ups.yaml", 3),
    ("crowd.yaml", 1),
    ("rooms.yaml", 8),
)
TARGETS = (
    ("target_bell.yaml", 4),
    ("target_bell.yaml", 10),
    ("target_bell.yaml", 7),
    ("target_causes.yaml", 3),
    ("target_causes.yaml", 5),
    ("target_crowd.yaml", 2),
)
HOLDING = tuple(("holding.yaml", k) for k in (0, 2, 4, 8, 9, 11))
GALLERY, SHEETS = ("wild", "everyday"), 5
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
    return draw_labels(rgb, made.labels, get_skeleton(stage.skeleton.name), rows_px=960)


def pose(stage: Stage, name: str, number: int) -> U8:
    """Return somebody in a pose of the library as it stands there, three quarters from in front."""
    poses = {"names": {name: 1}, "mirror": 0, "mix": 0, "jitter_deg": 0, "hands": 0}
    stage.settings = prepare(
        parse(
            {
                "name": "poses",
                "seed": 5,
                "image": {"width_px": 320, "height_px": 320},
                "camera": {
                    "distance_m": 3.6,
                    "height_m": 1.35,
                    "vertical_fov_deg": 36,
                    "aim_height_m": 0.9,
                    "off_centre": 0,
                },
                "people": {
                    "count": 1,
                    "facing_deg": 35,
                    "poses": poses,
                    "arrangement": {"kind": "group", "spread_m": 0},
                },
                "things": [],
                "backdrop": {"kind": "plain"},
            }
        ),
        assets=ROOT / "scenes",
        device="cpu",
    )
    spec = dataclasses.replace(draw(stage.settings.recipe, number, stage), lens=LensSpec())
    return decode_rgb(pipeline.make_frame(stage, spec).jpeg, name)


def pose_sheet(out: Path) -> None:
    """Write one picture of each pose that holds nothing, the families side by side."""
    stage = Stage(prepare(parse({"name": "poses"}), assets=ROOT / "scenes", device="cpu"))
    free = [key for key in library() if not (key.holds or key.leans)]
    free.sort(key=lambda key: (key.family, key.name))
    write([pose(stage, key.name, k) for k, key in enumerate(free)], out, columns=16)


def sheet(wanted: tuple[tuple[str, int], ...], out: Path, *, labels: bool) -> None:
    """Write frames side by side as a JPEG of at most `MOST_BYTES`."""
    write([frame(s, i, labels=labels) for s, i in wanted], out, columns=3)


def together(out: Path) -> None:
    """Write one picture of each thing that people do together, the first that shows it."""
    made = []
    for number, meeting in enumerate(meetings()):
        facing = [-30, 30] if meeting.turn_rad < 1 and meeting.stand == "pair" else [50, 110]
        recipe = parse(
            {
                "name": "together",
                "seed": number,
                "image": {"width_px": 384, "height_px": 320},
                "camera": {
                    "distance_m": 3.4,
                    "height_m": 1.5,
                    "vertical_fov_deg": 36,
                    "aim_height_m": 0.9,
                    "off_centre": 0,
                },
                "people": {
                    "count": min(meeting.most, 3),
                    "facing_deg": facing,
                    "arrangement": {"kind": "group", "spread_m": 0},
                    "wardrobe": {"prints": 0.4, "patterned": 0.4, "wrinkles": 0.7},
                    "together": {"share": 1, "kinds": {meeting.name: 1}},
                },
                "backdrop": {"kind": "room", "walls": 1, "ceilings": 1},
                "lens": {"contrast": 0.6},
            }
        )
        stage = Stage(prepare(recipe, assets=ROOT / "scenes", device="cpu"))
        specs = (pipeline.draw_spec(stage, k) for k in range(20))
        spec = next(s for s in specs if all(p.pose.family == meeting.name for p in s.people))
        made.append(decode_rgb(pipeline.make_frame(stage, spec).jpeg, meeting.name))
    write(made, out, columns=5, most=200_000)


def gallery(out: Path) -> None:
    """Write random frames of the training recipes as they are, six to a sheet."""
    for name in GALLERY:
        recipe = load(ROOT / "scenes" / f"{name}.yaml")
        stage = Stage(prepare(recipe, assets=ROOT / "scenes", device="cpu"))
        chosen = stream(0, "gallery").choice(recipe.frames, SHEETS * 6, replace=False)
        made = [pipeline.make_frame(stage, pipeline.draw_spec(stage, int(k))) for k in chosen]
        pictures = [decode_rgb(frame.jpeg, name) for frame in made]
        for k in range(SHEETS):
            sheet = out.with_name(f"gallery_{name}_{k + 1}.jpg")
            write_jpeg(contact_sheet(pictures[6 * k : 6 * k + 6], columns=3), sheet)


def write(pictures: list[U8], out: Path, *, columns: int, most: int = MOST_BYTES) -> None:
    """Write pictures side by side as a JPEG of at most so many bytes."""
    picture = contact_sheet(pictures, columns=columns)
    height, width = picture.shape[:2]
    whole = (0.0, 0.0, float(width), float(height))
    write_jpeg(resample(picture, whole, (WIDTH_PX, round(WIDTH_PX * height / width))), out, most)


def write_jpeg(picture: U8, out: Path, most: int = MOST_BYTES) -> None:
    for quality in range(88, 40, -4):
        data = encode_jpeg(picture, quality)
        if len(data) <= most:
            break
    out.write_bytes(data)
    sys.stderr.write(f"{out.relative_to(ROOT)}: {len(data)} bytes\n")


PICTURES: dict[str, Callable[[Path], None]] = {
    "labels": lambda out: sheet(LABELS, out, labels=True),
    "scenes": lambda out: sheet(SCENES, out, labels=False),
    "targets": lambda out: sheet(TARGETS, out, labels=False),
    "holding": lambda out: sheet(HOLDING, out, labels=False),
    "poses": pose_sheet,
    "together": together,
    "gallery": gallery,
}

if __name__ == "__main__":
    for name in sys.argv[1:] or PICTURES:
        PICTURES[name](ROOT / "docs/images" / f"{name}.jpg")
