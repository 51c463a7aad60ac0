"""A repaired copy of a COCO file: only what can be repaired from the file itself.

How each kind is repaired stands in `findings.KINDS`; everything else stays as it is.
"""

from __future__ import annotations

import functools
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from synthstudio.dataset.durable import atomic_file, disk_errors
from synthstudio.quality.coco import area_fits, box_problem
from synthstudio.quality.subject import Mask, digest, is_box, is_id, is_number, read_mask

Entries = Callable[[], Iterable[Mapping[str, Any]]]


@dataclass
class _Repairer:
    """State of a repair: `sizes` of images kept, and where new ids begin."""

    sizes: Mapping[Any, tuple[int, int]]
    joints: Mapping[Any, int]
    next_id: int
    seen: dict[Any, int] = field(default_factory=dict)
    done: Counter[str] = field(default_factory=Counter)

    def repair(self, entry: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the annotation as it should be, or None if it is to be left out."""
        if not isinstance(entry, Mapping) or not is_id(entry.get("id")):
            self.done["schema"] += 1
            return None
        out = dict(entry)
        if not is_id(out.get("image_id")) or out["image_id"] not in self.sizes:
            self.done["orphan_annotation"] += 1
            return None
        if not self._identified(out):
            return None
        if out.get("iscrowd"):
            return out
        self._repair_mask_fields(out)
        self._repair_keypoints(out)
        return out

    def _identified(self, out: dict[str, Any]) -> bool:
        mark = digest(json.dumps(out, sort_keys=True, default=str))
        had = self.seen.get(out.get("id"))
        if had is None:
            self.seen[out.get("id")] = mark
            return True
        self.done["duplicate_id"] += 1
        if had == mark:
            return False
        out["id"] = self.next_id
        self.seen[self.next_id] = mark
        self.next_id += 1
        return True

    def _repair_mask_fields(self, out: dict[str, Any]) -> None:
        width, height = self.sizes[out["image_id"]]
        try:
            mask = read_mask(out.get("segmentation"), height, width)
        except ValueError:
            return
        if (mask.height, mask.width) != (height, width) or not mask.area:
            return
        kind = _box_kind(out.get("bbox"), mask)
        if kind:
            out["bbox"] = list(mask.box)
            self.done[kind] += 1
        area = out.get("area")
        finite = is_number(area) and math.isfinite(area)  # type: ignore[arg-type]
        if not finite or not area_fits(mask, float(area or 0)):
            out["area"] = mask.area
            self.done["area"] += 1

    def _repair_keypoints(self, out: dict[str, Any]) -> None:
        flat = out.get("keypoints")
        category = out.get("category_id")
        joints = self.joints.get(category, -1) if isinstance(category, int) else -1
        fits = isinstance(flat, list) and len(flat) == 3 * joints
        if not fits or not isinstance(flat, list) or not all(map(is_number, flat)):
            return
        width, height = self.sizes[out["image_id"]]
        repaired = list(flat)
        for j in range(0, len(flat), 3):
            kind = _joint_kind(flat[j : j + 3], width, height)
            if kind:
                repaired[j : j + 3] = [0, 0, 0]
                self.done[kind] += 1
        out["keypoints"] = repaired
        count = sum(v > 0 for v in repaired[2::3])
        if "num_keypoints" in out and out["num_keypoints"] != count:
            out["num_keypoints"] = count
            self.done["num_keypoints"] += 1


def write_repaired(
    head: Mapping[str, Any],
    images: Entries,
    annotations: Entries,
    out_path: Path,
    *,
    left_out: set[Any],
) -> Counter[str]:
    """Write the repaired file, whole or not at all; return how often each kind was repaired.

    `head`: every top-level entry but images and annotations. `left_out`: ids of images that
    are missing or broken; they go, with their annotations.
    """
    usable = functools.partial(_usable, images, left_out)
    sizes = {image["id"]: (image["width"], image["height"]) for image in usable()}
    joints = {
        c["id"]: len(c["keypoints"])
        for c in head["categories"]
        if isinstance(c, Mapping)
        and isinstance(c.get("id"), int)
        and isinstance(c.get("keypoints"), list)
    }
    numbers = (a.get("id") for a in annotations() if isinstance(a, Mapping))
    largest = max((n for n in numbers if isinstance(n, int)), default=0)
    repairer = _Repairer(sizes=sizes, joints=joints, next_id=largest + 1)
    with disk_errors(out_path):
        out_path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(out_path) as file:
        file.write('{\n"annotations": [')
        _write(file, (repairer.repair(entry) for entry in annotations()))
        file.write('\n],\n"images": [')
        _write(file, usable())
        file.write("\n]")
        for name in sorted(set(head) - {"images", "annotations"}):
            file.write(f",\n{json.dumps(name)}: {_dump(head[name])}")
        file.write("\n}\n")
    if left_out:
        repairer.done["image_missing"] += len(left_out)
    return +repairer.done


def _usable(images: Entries, left_out: set[Any]) -> Iterator[Mapping[str, Any]]:
    """Yield the images that stay: those with an id and a size, each id once."""
    seen: set[Any] = set()
    for image in images():
        number = image.get("id") if isinstance(image, Mapping) else None
        sized = isinstance(image, Mapping) and all(
            isinstance(image.get(side), int) and image[side] > 0 for side in ("width", "height")
        )
        if sized and is_id(number) and number not in left_out and number not in seen:
            seen.add(number)
            yield image


def _write(file: IO[str], entries: Iterable[Mapping[str, Any] | None]) -> None:
    first = True
    for entry in entries:
        if entry is not None:
            file.write(("\n" if first else ",\n") + _dump(entry))
            first = False


def _dump(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _box_kind(box: Any, mask: Mask) -> str:
    if not is_box(box):
        return "not_finite"
    return "box_empty" if box[2] <= 0 or box[3] <= 0 else box_problem(mask, box)[0]


def _joint_kind(joint: list[float], width: int, height: int) -> str:
    x, y, v = joint
    if not all(map(math.isfinite, joint)):
        return "not_finite"
    if v == 0 and (x or y):
        return "coordinates_without_v"
    out = max(-0.5 - x, -0.5 - y, x + 0.5 - width, y + 0.5 - height)
    return "visible_outside" if v == 2 and out > 0.5 else ""
