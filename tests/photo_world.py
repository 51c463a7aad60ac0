"""Two small photos of people who stand there, annotated, with two cut-outs: to hide them."""

import json

import asset_roots
import cv2
import numpy as np
from coco_objects import annotation, document, image
from PIL import Image

from synthstudio.core.rng import stream
from synthstudio.core.skeleton import SKELETONS
from synthstudio.generation.photos.album import gather
from synthstudio.generation.photos.make import PhotoStage
from synthstudio.generation.photos.run import occlude, settings_for
from synthstudio.generation.stage import prepare
from synthstudio.recipe.schema.load import parse

BONES = SKELETONS["coco17"]
EACH = 2
BY = {"cutout": 1.0, "object": 1.0, "person": 2.0}
RECIPE = {
    "name": "small",
    "seed": 5,
    "streams": "",  # what tests look for is there with these
    "occlude": {"ground": "any", "each": EACH, "cutouts": {"folder": "occluders"}},
    "targets": {"occluded_fraction": [0.1, 0.5], "effort": 6, "max_objects": 2},
    "objects": [{"kind": "procedural", "kinds": {"crate": 1, "pillar": 1, "chair": 1}}],
    "people": {"poses": {"families": {"stand": 1}}},
}
# Shares of a person's height (x of the middle, y of the top), joint by joint.
FIGURE = [
    (0.0, 0.08), (0.02, 0.06), (-0.02, 0.06), (0.04, 0.07), (-0.04, 0.07), (0.1, 0.19),
    (-0.1, 0.19), (0.14, 0.35), (-0.14, 0.35), (0.15, 0.48), (-0.15, 0.48), (0.06, 0.5),
    (-0.06, 0.5), (0.06, 0.72), (-0.06, 0.72), (0.06, 0.95), (-0.06, 0.95),
]  # fmt: skip


def someone(number, image_id, x, top, tall):
    keypoints = []
    for j, (u, v) in enumerate(FIGURE):
        flag = 0 if j == 4 else 1 if j == 9 else 2
        place = (x + u * tall, top + v * tall) if flag else (0, 0)
        keypoints += [round(place[0], 2), round(place[1], 2), flag]
    angles = np.linspace(0, 2 * np.pi, 40, endpoint=False)
    across, down = x + 0.17 * tall * np.cos(angles), top + tall * (0.5 + 0.5 * np.sin(angles))
    oval = np.stack([across, down], axis=1).round(2).ravel().tolist()
    box = [x - 0.17 * tall, top, 0.34 * tall, tall]
    area = round(np.pi * 0.17 * 0.5 * tall * tall, 2)
    return annotation(number, image_id, keypoints, box, area=area, segmentation=[oval])


def write(root):
    (root / "images").mkdir()
    for k in range(2):
        noise = stream(3, "photo", k).integers(60, 190, (24, 32, 3)).astype(np.uint8)
        picture = cv2.resize(noise, (320, 240), interpolation=cv2.INTER_CUBIC)
        Image.fromarray(picture).save(root / "images" / f"p{k}.png")
    for name, size in (("disc", (70, 70)), ("bar", (90, 40))):
        asset_roots.save(root / "occluders" / f"{name}.png", asset_roots.disc(size, (180, 90, 40)))
    credits = [
        {"file": f"{n}.png", "category": "suitcase", "license": "CC0"} for n in ("disc", "bar")
    ]
    (root / "occluders" / "manifest.json").write_text(json.dumps(credits))
    (root / "coco.json").write_text(json.dumps(annotations()))
    return root


def annotations():
    crowd = {"iscrowd": 1, "segmentation": {"counts": [0, 76800], "size": [240, 320]}}
    people = [
        someone(1, 1, 120, 40, 160),
        someone(2, 1, 215, 60, 130),
        someone(3, 2, 160, 50, 150),
        annotation(4, 2, [0] * 51, (0, 0, 40, 40), **crowd),
    ]
    images = [
        image(k + 1, f"p{k}.png", (320, 240), license=4, flickr_url=f"http://example.org/{k}")
        for k in range(2)
    ]
    licence = {"id": 4, "name": "CC BY 2.0", "url": "http://example.org/by"}
    return {"info": {}, "licenses": [licence], **document(images, people)}


def settings(world, **changes):
    return prepare(parse({**RECIPE, **changes}), assets=world, device="cpu")


def run(world, out, **options):
    return occlude(
        settings(world),
        world / "coco.json",
        out,
        images=world / "images",
        frames_per_shard=2,
        **options,
    )


def opened(base, world, scratch):
    found = gather(world / "coco.json", world / "images", scratch)
    own = settings_for(base, found)
    return PhotoStage(own, world / "images", found.album, found.skeleton.name)


def varied(world, **of_occlude):
    """Settings by which people are hidden in every way, and photos are in several splits."""
    own = {"ground": "any", "each": 4, "cutouts": {"folder": "occluders"}, "by": BY, **of_occlude}
    splits = {"train": 0.5, "val": 0, "test": 0.5}
    people = {**RECIPE["people"], "identities": 2, "count": 1}
    return settings(world, occlude=own, splits=splits, people=people)
