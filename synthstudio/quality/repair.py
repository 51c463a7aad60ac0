"""A repaired copy of a COCO file: only what can be repaired from the file itself.

Repairs by kind are in `checks.KINDS`; everything else is unchanged.
"""

import functools
import json
import math
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from synthstudio.core.errors import AssetError, FormatError
from synthstudio.core.masks import Mask, read_mask
from synthstudio.dataset.durable import atomic_file, disk_errors, json_ready
from synthstudio.dataset.rows import Row
from synthstudio.formats.coco.entries import INSTANCE, frame_row, instance_row
from synthstudio.formats.coco.file import are_joint_names, category_skeleton, with_size
from synthstudio.quality.checks import digest, is_box, is_number
from synthstudio.quality.coco import box_of_mask, key_of
from synthstudio.quality.people import area_fits, box_problem

Entries = Callable[[], Iterable[Mapping[str, Any]]]


@dataclass
class _Repairer:
    """State of a repair: `sizes` of kept images, and the first new id."""

    sizes: Mapping[Any, tuple[int, int]]
    categories: set[Any]
    joints: Mapping[Any, int]
    next_id: int
    seen: dict[Any, int] = field(default_factory=dict)
    numbers: set[int] = field(default_factory=set)
    done: Counter[str] = field(default_factory=Counter)

    def repair(self, entry: Mapping[str, Any]) -> dict[str, Any] | None:
        """Return the repaired annotation, or None to leave it out."""
        if not isinstance(entry, Mapping):
            self.done["schema"] += 1
            return None
        out = dict(entry)
        image = key_of(out, "image_id")
        if image is None or image not in self.sizes:
            self.done["orphan_annotation"] += 1
            return None
        if not self._identified(out):
            return None
        if out.get("iscrowd"):
            return self._without_nan(out)
        width, height = self.sizes[image]
        self._repair_mask_fields(out, width, height)
        self._repair_keypoints(out, width, height)
        out = self._without_nan(out)
        frame = {"index": 0, "width_px": width, "height_px": height}
        return out if self._importable(out, image, frame) else None

    def _without_nan(self, out: dict[str, Any]) -> dict[str, Any]:
        plain = json_ready(out)
        self.done["not_finite"] += plain != out
        return dict(plain)

    def _importable(self, out: Mapping[str, Any], image: Any, frame: Row) -> bool:
        """Whether the annotation can be imported, if its category has keypoints."""
        category = key_of(out, "category_id")
        if category not in self.categories:
            self.done["category_mismatch"] += 1
            return False
        if category not in self.joints:
            return True
        try:
            row = instance_row(out, frame, 1, self.joints[category], as_labelled=True)
        except FormatError:
            self.done["schema"] += 1
            return False
        mark = digest(image, row["instance"])
        if INSTANCE in out and mark in self.numbers:
            self.done["schema"] += 1
            return False
        self.numbers.add(mark)
        return True

    def _identified(self, out: dict[str, Any]) -> bool:
        mark = digest(json.dumps(out, sort_keys=True, default=str))
        key = key_of(out, "id")
        had = self.seen.get(key)
        if had is None and key is not None:
            self.seen[key] = mark
            return True
        self.done["schema" if key is None else "duplicate_id"] += 1
        if had == mark:
            return False
        out["id"] = self.next_id
        self.seen[self.next_id] = mark
        self.next_id += 1
        return True

    def _repair_mask_fields(self, out: dict[str, Any], width: int, height: int) -> None:
        try:
            mask = read_mask(out.get("segmentation"), height, width)
        except ValueError:
            return
        if (mask.height, mask.width) != (height, width) or not mask.area:
            return
        kind = _box_kind(box_of_mask(out, mask), mask)
        if kind:
            out["bbox"] = list(mask.box)
            self.done[kind] += 1
        area: Any = out.get("area")
        fits = is_number(area) and math.isfinite(area) and area_fits(mask, float(area))
        if not fits:
            out["area"] = mask.area
            self.done["no_area" if area is None else "area"] += 1

    def _repair_keypoints(self, out: dict[str, Any], width: int, height: int) -> None:
        flat = out.get("keypoints")
        joints = self.joints.get(key_of(out, "category_id"), -1)
        if not isinstance(flat, list) or len(flat) != 3 * joints or not all(map(is_number, flat)):
            return
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
    folder: Path | None = None,
) -> Counter[str]:
    """Write the repaired file atomically; return the number of repairs by kind.

    `head`: every top-level entry but images and annotations. `left_out`: ids of images that
    are unusable; they are removed with their annotations. `folder`: that of the images, used for
    missing sizes. FormatError, and no file, if nothing importable is left.
    """
    done = Counter[str]()
    usable = functools.partial(_usable, images, left_out, folder or Path())
    sizes = {key_of(i, "id"): (i["width"], i["height"]) for i in usable(done)}
    categories = _categories(head["categories"], done)
    joints = {
        key_of(c, "id"): len(c["keypoints"]) for c in categories if are_joint_names(c["keypoints"])
    }
    if not sizes or not any(joints.values()):
        raise FormatError(
            "nothing importable would be left of this file",
            where=str(out_path),
            expected="an existing image, and a category with the names of its keypoints",
            then="Check it with: synthstudio validate, without --fix.",
        )
    numbers = (key_of(a, "id") for a in annotations())
    repairer = _Repairer(
        sizes=sizes,
        categories={key_of(c, "id") for c in categories},
        joints={number: count for number, count in joints.items() if count},
        next_id=max((n for n in numbers if isinstance(n, int)), default=0) + 1,
        done=done,
    )
    head = {**head, "categories": categories}
    with disk_errors(out_path):
        out_path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(out_path) as file:
        file.write('{\n"annotations": [')
        _write(file, (repairer.repair(entry) for entry in annotations()))
        file.write('\n],\n"images": [')
        _write(file, usable(Counter()))
        file.write("\n]")
        for name in sorted(set(head) - {"images", "annotations"}):
            file.write(f",\n{json.dumps(name)}: {_dump(head[name])}")
        file.write("\n}\n")
    if left_out:
        repairer.done["image_missing"] += len(left_out)
    return +repairer.done


def _categories(categories: Iterable[Any], done: Counter[str]) -> list[Mapping[str, Any]]:
    kept: dict[Any, Mapping[str, Any]] = {}
    for category in categories:
        number = key_of(category, "id")
        names = category.get("keypoints") or [] if isinstance(category, Mapping) else None
        with suppress(FormatError):
            if number is not None and number not in kept and are_joint_names(names):
                plain = {**json_ready(category), "keypoints": names}
                category_skeleton(plain, where="categories")
                kept[number] = plain
                continue
        done["category_left_out"] += 1
    return list(kept.values())


def _usable(
    images: Entries, left_out: set[Any], folder: Path, done: Counter[str]
) -> Iterator[Mapping[str, Any]]:
    seen: set[Any] = set()
    for image in images():
        number = key_of(image, "id")
        if number in left_out:
            continue
        name = image.get("file_name") if number is not None else None
        if not name or number in seen:
            done["duplicate_id" if name else "image_left_out"] += 1
            continue
        plain = json_ready(dict(image))
        try:
            row = frame_row(with_size(plain, folder), "coco17", 0)
        except (FormatError, AssetError):
            done["image_left_out"] += 1
            continue
        size = {"width": row["width_px"], "height": row["height_px"]}
        done["image_size_written"] += repr(size) != repr({name: plain.get(name) for name in size})
        seen.add(number)
        yield {**plain, **size}


def _write(file: IO[str], entries: Iterable[Mapping[str, Any] | None]) -> None:
    first = True
    for entry in entries:
        if entry is not None:
            file.write(("\n" if first else ",\n") + _dump(entry))
            first = False


def _dump(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _box_kind(box: Any, mask: Mask) -> str:
    if box is None:
        return "box_empty"
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
