"""Checks of a COCO keypoint file, entry by entry, also of entries that importers refuse."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from synthstudio.core.errors import AssetError, FormatError
from synthstudio.core.masks import Mask, read_mask
from synthstudio.core.skeleton import Skeleton
from synthstudio.dataset.rows import INSTANCE_SCHEMA, Row
from synthstudio.formats.coco.entries import INSTANCE, frame_row, instance_row, visible_box
from synthstudio.formats.coco.file import (
    are_joint_names,
    category_skeleton,
    id_key,
    named_skeleton,
    with_size,
)
from synthstudio.formats.exchange import HALF_PX
from synthstudio.quality.checks import FAR, Finding, digest, is_number, subjects_of_rows
from synthstudio.quality.people import check_people, duplicates, mask_problems

_AGREE_PX = 0.01
_TOGETHER = 256
At = dict[str, Any]
"""Location of a finding: fields of Finding by name."""
_CATEGORIES: At = {"where": "categories"}
_NUMBERS = ("keypoints", "bbox", "area", "segmentation", "amodal_bbox", "keypoints_all")


def key_of(entry: Any, name: str) -> int | str | None:
    """Key of an entry's id under `name`; None if missing."""
    try:
        return id_key(entry[name])
    except (KeyError, TypeError, ValueError):
        return None


@dataclass
class CocoChecker:
    """State of a file's checks: numbers only, so a million entries stay small.

    Call with `categories`, then every image, then every annotation, and finally `check_waiting`.
    """

    images: Path | None = None
    """Folder of the images, for sizes that are not stated."""
    skeletons: dict[int | str, Skeleton] = field(default_factory=dict)
    categories: set[int | str] = field(default_factory=set)
    sizes: dict[Any, tuple[int, int]] = field(default_factory=dict)
    cameras: dict[Any, Any] = field(default_factory=dict)
    seen: set[Any] = field(default_factory=set)
    numbers: set[int] = field(default_factory=set)
    files: set[int] = field(default_factory=set)
    twins: dict[int, Any] = field(default_factory=dict)
    last_mask: Mask | None = None
    people: int = 0
    waiting: list[tuple[Skeleton, Row, Row, tuple[Any, Any]]] = field(default_factory=list)
    """Skeleton, frame, row and ids of people checked in batches: see `check_waiting`."""

    def check_categories(self, categories: Sequence[Any]) -> Iterator[Finding]:
        """Register the categories with keypoints and yield their findings."""
        readable = False
        for entry in categories:
            number = key_of(entry, "id")
            if number is None or number in self.categories:
                problem = "a category without id" if number is None else "two categories of one id"
                what = f"{problem}: {str(entry)[:60]}"
                yield Finding(kind="schema", what=what, **_CATEGORIES)
                continue
            self.categories.add(number)
            names = entry.get("keypoints")
            if not names:
                continue
            at: At = {"where": f"category {number}"}
            if not are_joint_names(names):
                yield Finding(kind="schema", what="keypoints is not a list of names", **at)
                continue
            self.skeletons[number] = named_skeleton(names)
            yield from _names_and_limbs(names, entry.get("skeleton") or [], at)
            try:
                readable = category_skeleton(entry, where=at["where"]) is not None or readable
            except FormatError as error:
                yield Finding(kind="schema", what=error.what, **at)
        if not self.skeletons:
            yield Finding(kind="no_keypoint_category", what="none has keypoints", **_CATEGORIES)
        elif not readable:
            what = "none is known: import takes the file with --skeleton (synthstudio skeleton)"
            yield Finding(kind="unknown_skeleton", what=what, **_CATEGORIES)

    def check_image(self, image: Any) -> Iterator[Finding]:
        number = key_of(image, "id")
        if number is None:
            what = f"an image without id: {str(image)[:60]}"
            yield Finding(kind="schema", where="images", what=what)
            return
        at: At = {"where": f"image {number}", "image": number}
        if number in self.sizes:
            yield Finding(kind="duplicate_id", what="duplicate id", **at)
            return
        self.sizes[number] = (0, 0)
        try:
            whole = image if self.images is None else with_size(image, self.images)
            row = frame_row(whole, "coco17", 0)
            self.sizes[number] = (row["width_px"], row["height_px"])
            if row["K"] is not None or image.get("distortion"):
                self.cameras[number] = _camera(image)
        except (FormatError, AssetError) as error:
            yield Finding(kind="schema", what=error.what, **at)
        name = image.get("file_name")
        if not isinstance(name, str) or not name:
            yield Finding(kind="schema", what=f"file_name is {name!r}"[:200], **at)
        elif digest(name) in self.files:
            yield Finding(kind="duplicate_image", what=name, **at)
        else:
            self.files.add(digest(name))

    def check_annotation(self, entry: Any) -> Iterator[Finding]:
        """Yield findings of an annotation; `last_mask` is its mask, if valid."""
        self.last_mask = None
        if not isinstance(entry, Mapping):
            what = f"no object: {str(entry)[:60]}"
            yield Finding(kind="schema", where="annotations", what=what)
            return
        number = key_of(entry, "id")
        image_id, category = key_of(entry, "image_id"), key_of(entry, "category_id")
        at: At = {"where": f"annotation {number}", "image": image_id, "person": number}
        if number is None:
            yield Finding(kind="schema", what="no id", **at)
        elif number in self.seen:
            yield Finding(kind="duplicate_id", what="duplicate id", **at)
        else:
            self.seen.add(number)
        if image_id is None or image_id not in self.sizes:
            yield Finding(kind="orphan_annotation", what=f"no image {image_id!r}"[:200], **at)
            return
        known = category in self.categories
        if not known or ("keypoints" in entry and category not in self.skeletons):
            problem = "has no keypoints" if known else "does not exist"
            yield Finding(kind="category_mismatch", what=f"category {category!r} {problem}", **at)
        if entry.get("iscrowd") or not all(self.sizes[image_id]):
            return
        skeleton = self.skeletons.get(category) if category is not None else None
        self.people += "keypoints" in entry or skeleton is not None
        found = [*_numbers(entry, at), *self._mask(entry, at)]
        if skeleton is not None and entry.get("keypoints"):
            found += _keypoints(entry, skeleton, at)
        yield from found
        if skeleton is not None:
            broken = any(each.severity == "error" for each in found)
            yield from self._as_imported(entry, skeleton, at, broken=broken)

    def _as_imported(
        self, entry: Mapping[str, Any], skeleton: Skeleton, at: At, *, broken: bool
    ) -> Iterator[Finding]:
        """Findings of an import of an entry; valid entries are checked as a row of people.

        For a `broken` one no more import findings, but readable joints are checked too.
        """
        width, height = self.sizes[at["image"]]
        frame = {"index": 0, "width_px": width, "height_px": height, "K": None, "spec": None}
        frame |= self.cameras.get(at["image"], {})
        try:
            row = instance_row(entry, frame, 1, len(skeleton.joints), as_labelled=True)
        except FormatError as error:
            if not broken:
                yield Finding(kind="schema", what=error.what, **at)
            return
        mark = digest(at["image"], row["instance"])
        if INSTANCE in entry and mark in self.numbers and not broken:
            what = f"two people of an image have the {INSTANCE} {row['instance']}"
            yield Finding(kind="schema", what=what, **at)
        self.numbers.add(mark)
        if entry.get("keypoints"):
            self.waiting.append((skeleton, frame, row, (at["image"], at["person"])))
        if len(self.waiting) >= _TOGETHER:
            yield from self.check_waiting()

    def check_waiting(self) -> Iterator[Finding]:
        for skeleton in {one.joints: one for one, *_ in self.waiting}.values():
            own = [w for w in self.waiting if w[0].joints == skeleton.joints]
            _, frames, rows, ids = zip(*own, strict=True)
            table = pa.Table.from_pylist(list(rows), INSTANCE_SCHEMA)
            subjects = subjects_of_rows(frames, table, np.arange(len(rows)), skeleton, ids=ids)
            for found in check_people(subjects):
                yield from found
            for _, twin in duplicates(subjects, subjects.image, self.twins, "annotation"):
                yield twin
        self.waiting.clear()

    def _mask(self, entry: Mapping[str, Any], at: At) -> Iterator[Finding]:
        found = entry.get("segmentation")
        if not found:
            return
        width, height = self.sizes[at["image"]]
        try:
            mask = read_mask(found, height, width)
        except ValueError as error:
            own = found.get("size") if isinstance(found, Mapping) else None
            kind = "mask_broken" if own is None or own == [height, width] else "mask_size"
            yield Finding(kind=kind, what=str(error), **at)
            return
        if (mask.height, mask.width) != (height, width):
            what = f"{mask.width} x {mask.height}, image {width} x {height}"
            yield Finding(kind="mask_size", what=what, **at)
            return
        self.last_mask = mask
        for kind, what in mask_problems(mask, box_of_mask(entry, mask), entry.get("area")):
            yield Finding(kind=kind, what=what, **at)


def box_of_mask(entry: Mapping[str, Any], mask: Mask) -> Any:
    """The box that belongs to an annotation's mask; `bbox` as it is where one is invalid."""
    try:
        return visible_box(entry, (mask.height, mask.width))
    except (KeyError, ValueError):
        return entry.get("bbox")


def _numbers(entry: Mapping[str, Any], at: At) -> Iterator[Finding]:
    for name in (name for name in _NUMBERS if not _finite(entry.get(name))):
        yield Finding(kind="not_finite", what=f"in {name}", **at)
    box = entry.get("bbox")
    listed = isinstance(box, list) and len(box) == 4 and all(map(is_number, box))
    if box is not None and not listed:
        yield Finding(kind="schema", what=f"bbox is {str(box)[:60]}", **at)


def _keypoints(entry: Mapping[str, Any], skeleton: Skeleton, at: At) -> Iterator[Finding]:
    flat, joints = entry["keypoints"], len(skeleton.joints)
    if not isinstance(flat, list) or not all(map(is_number, flat)):
        yield Finding(kind="schema", what="keypoints is not a list of numbers", **at)
    elif len(flat) != 3 * joints:
        what = f"{len(flat)} numbers for {joints} joints, which need {3 * joints}"
        yield Finding(kind="keypoint_count", what=what, **at)
    else:
        yield from _visibility(entry, skeleton, at)
        yield from _against_all(entry, skeleton, at)


def _camera(image: Mapping[str, Any]) -> Row:
    """K and distortion of an image's entry; {} if invalid."""
    K, bent = image.get("K"), image.get("distortion")
    try:
        found = {"K": np.array(K, np.float64).reshape(9).tolist()}
        return found | (
            {"distortion": np.array(bent, np.float64).reshape(4).tolist()} if bent else {}
        )
    except (ValueError, TypeError):
        return {}


def _names_and_limbs(names: list[str], edges: Any, at: At) -> Iterator[Finding]:
    if len(set(names)) != len(names):
        yield Finding(kind="category_keypoints", what="two keypoints of one name", **at)
    if not isinstance(edges, list):
        yield Finding(kind="schema", what="skeleton is not a list", **at)
        return
    flat = [j for edge in edges for j in (edge if isinstance(edge, list) else [edge])]
    if not all(isinstance(j, int) and 1 <= j <= len(names) for j in flat):
        what = f"its skeleton names joints outside 1 to {len(names)}"
        yield Finding(kind="category_keypoints", what=what, **at)


def _visibility(entry: Mapping[str, Any], skeleton: Skeleton, at: At) -> Iterator[Finding]:
    flat = entry["keypoints"]
    seen = flat[2::3]
    for j, v in enumerate(seen):
        name, (x, y) = skeleton.joints[j], flat[3 * j : 3 * j + 2]
        if v not in (0, 1, 2):
            yield Finding(kind="bad_visibility", what=f"{name} v={v}", joint=j, **at)
        elif v == 0 and (x != 0 or y != 0):
            what = f"{name} at ({x:g}, {y:g})"
            yield Finding(kind="coordinates_without_v", what=what, joint=j, **at)
    stated = entry.get("num_keypoints")
    count = sum(v in (1, 2) for v in seen)
    if stated is not None and stated != count:
        yield Finding(kind="num_keypoints", what=f"{stated}, counted {count}", **at)


def _against_all(entry: Mapping[str, Any], skeleton: Skeleton, at: At) -> Iterator[Finding]:
    """Compare `keypoints` with the full arrays of our exports, if present."""
    joints = len(skeleton.joints)
    full, state = entry.get("keypoints_all"), entry.get("state")
    if not (isinstance(full, list) and len(full) == joints and _finite(full)):
        return
    if not all(isinstance(p, list) and len(p) == 2 for p in full):
        return
    if not all(v is None or is_number(v) for p in full for v in p):
        return
    flat = np.array(entry["keypoints"], np.float64).reshape(joints, 3)
    there = np.array(full, np.float64) - HALF_PX
    known = flat[:, 2] > 0
    error = np.where(known[:, None], np.abs(flat[:, :2] - there), 0.0).max(axis=1)
    if (error > _AGREE_PX).any():
        flip = skeleton.flip
        other = np.abs(flat[:, :2] - there[flip]).max(axis=1)
        sided = known & (flip != np.arange(joints))
        if sided.any() and (other[sided] <= _AGREE_PX).all():
            what = "left keypoints are the right ones of keypoints_all"
            yield Finding(kind="swapped", what=what, **at)
        else:
            j = int(np.argmax(error))
            what = f"{skeleton.joints[j]} is {error[j]:.1f} px from keypoints_all"
            yield Finding(kind="fields_disagree", what=what, joint=j, **at)
    if not isinstance(state, list) or len(state) != joints:
        return
    if all(v is None or isinstance(v, int) for v in state):
        for j, (v, s) in enumerate(zip(flat[:, 2], state, strict=True)):
            if v != s and (v or s is not None):
                what = f"{skeleton.joints[j]} has v={v:g} and state {s}"
                yield Finding(kind="fields_disagree", what=what, joint=j, **at)
                return


def _finite(value: Any) -> bool:
    if is_number(value):
        return bool(abs(value) < FAR)  # NaN is not
    if isinstance(value, list):
        return all(map(_finite, value))
    return True
