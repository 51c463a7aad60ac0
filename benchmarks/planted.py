"""How often validate finds what labels can tell: swaps, long limbs, mirrored pictures.

    python -m benchmarks.planted DATASET ... [--coco FILE --images DIR]

Every person of each set gets every error in turn; a second count says how often the untouched
one is blamed. docs/validate.md quotes the figures.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from synthstudio.core.images import decode_rgb
from synthstudio.core.labels import U8
from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import pair_rows
from synthstudio.quality.coco import skeleton_of
from synthstudio.quality.people import check_person
from synthstudio.quality.subject import (
    Mask,
    Subject,
    flip_of,
    read_mask,
    subject_of_entry,
    subject_of_row,
)
from synthstudio.quality.validate import mirror_score, outlines

_LIMBS = (
    ("left_elbow", "left_wrist"),
    ("right_elbow", "right_wrist"),
    ("left_knee", "left_ankle"),
    ("right_knee", "right_ankle"),
)
_TIMES = 10
Picture = tuple[U8, list[Mask], list[Subject]]


def of_dataset(folder: Path) -> Iterator[Picture]:
    """Yield each frame's picture, masks and people."""
    dataset = Dataset(folder)
    skeleton = get_skeleton(dataset.identity.skeleton)
    for frame, people in pair_rows(dataset.iter_frames(), dataset.iter_instances()):
        size = [frame["height_px"], frame["width_px"]]
        masks = [read_mask({"size": size, "counts": p["modal_counts"]}, *size) for p in people]
        rgb = decode_rgb(dataset.image_bytes_of(frame), frame["file_name"])
        yield rgb, masks, [subject_of_row(frame, person, skeleton) for person in people]


def of_coco(path: Path, images: Path) -> Iterator[Picture]:
    """Yield each image of a COCO file with masks and people."""
    data = json.loads(path.read_bytes())
    skeleton = {c["id"]: skeleton_of(c["keypoints"]) for c in data["categories"]}
    for image in data["images"]:
        size = (image["height"], image["width"])
        own = [
            a for a in data["annotations"] if a["image_id"] == image["id"] and not a.get("iscrowd")
        ]
        rgb = decode_rgb((images / image["file_name"]).read_bytes(), image["file_name"])
        masks = [read_mask(a["segmentation"], *size) for a in own]
        yield rgb, masks, [subject_of_entry(image, a, skeleton[a["category_id"]]) for a in own]


def count(pictures: Iterator[Picture]) -> Counter[str]:
    """Return how often each error was planted, found, and blamed on the untouched."""
    found: Counter[str] = Counter()
    for rgb, masks, people in pictures:
        places = np.frombuffer(outlines(masks), np.float32).reshape(-1, 2)
        for name, picture in (("untouched", rgb), ("mirrored", rgb[:, ::-1])):
            z = mirror_score(np.ascontiguousarray(picture), places)
            if z is not None:
                found[f"{name} pictures"] += 1
                found[f"{name} pictures, called mirrored"] += z < -3.5
        for person in people:
            _person(person, found)
    return found


def _person(person: Subject, found: Counter[str]) -> None:
    flat = dataclasses.replace(person, camera_m=None, K=None)
    found["untouched people"] += 1
    found["untouched people, blamed"] += any(check_person(person)) or any(check_person(flat))
    flip = flip_of(person.skeleton.joints)
    if person.camera_m is not None:
        both = dataclasses.replace(
            person, px=person.px[flip], state=person.state[flip], camera_m=person.camera_m[flip]
        )
        found["swapped with 3D"] += 1
        found["swapped with 3D, found"] += _says(both, "swapped")
    if (person.state[:3] == 2).all() and person.labelled[[5, 6]].all():
        found["swapped without 3D, face in sight"] += 1
        swapped = dataclasses.replace(flat, px=flat.px[flip], state=flat.state[flip])
        found["swapped without 3D, face in sight, found"] += _says(swapped, "swapped")
    names = person.skeleton.joints
    for a, b in ((names.index(a), names.index(b)) for a, b in _LIMBS):
        if person.labelled[[a, b]].all():
            px = flat.px.copy()
            px[b] = px[a] + _TIMES * (px[b] - px[a])
            found["limb ten times too long"] += 1
            found["limb ten times too long, found"] += any(
                check_person(dataclasses.replace(flat, px=px))
            )


def _says(person: Subject, kind: str) -> bool:
    return any(finding.kind == kind for finding in check_person(person))


def main() -> None:
    """Print the counts of all sets together, then of the COCO file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("datasets", type=Path, nargs="*")
    parser.add_argument("--coco", type=Path)
    parser.add_argument("--images", type=Path)
    args = parser.parse_args()
    total: Counter[str] = Counter()
    for folder in args.datasets:
        total.update(count(of_dataset(folder)))
    parts = {"data sets": total} if args.datasets else {}
    if args.coco is not None:
        parts[args.coco.name] = count(of_coco(args.coco, args.images or args.coco.parent))
    for title, counts in parts.items():
        print(title)
        for name, n in counts.items():
            print(f"  {name:<46}{n:>7}")


if __name__ == "__main__":
    main()
