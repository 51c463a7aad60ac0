"""A COCO keypoint file, entry by entry, as it stands: also what a strict importer refuses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from synthstudio.core.errors import AssetError, FormatError
from synthstudio.core.skeleton import FOREIGN, SKELETONS, Skeleton
from synthstudio.dataset.rows import INSTANCE_SCHEMA, Row
from synthstudio.formats.coco.entries import INSTANCE, frame_row, instance_row
from synthstudio.formats.coco.file import are_joint_names, category_skeleton, id_key, with_size
from synthstudio.quality.findings import Finding
from synthstudio.quality.masks import Mask, mask_problems, read_mask
from synthstudio.quality.people import check_people, finding_of, keypoint_keys
from synthstudio.quality.subject import FAR, HALF_PX, digest, is_number, subjects_of_rows

_AGREE_PX = 0.01
_TOGETHER = 256
_NUMBERS = ("keypoints", "bbox", "area", "segmentation", "amodal_bbox", "keypoints_all")


def key_of(entry: Any, name: str) -> int | str | None:
    """Key of an entry's id under `name`; None where there is none."""
    try:
        return id_key(entry[name])
    except (KeyError, TypeError, ValueError):
        return None


@dataclass
class CocoChecker:
    """What is known of a file so far: numbers only, so a million entries stay small.

    Feed it `categories`, then every image, then every annotation, and end with `check_waiting`.
    """

    images: Path | None = None
    """Their folder, asked for the size of an image that states none."""
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
    """Skeleton, frame, row and ids of people who are checked together: see `check_waiting`."""

    def check_categories(self, categories: Sequence[Any]) -> Iterator[Finding]:
        """Note the categories with keypoints and yield what is wrong with them."""
        readable = False
        for entry in categories:
            number = key_of(entry, "id")
            if number is None or number in self.categories:
                problem = "a category without id" if number is None else "two categories of one id"
                yield _schema("categories", f"{problem}: {str(entry)[:60]}")
                continue
            self.categories.add(number)
            names = entry.get("keypoints")
            if not names:
                continue
            where = f"category {number}"
            if not are_joint_names(names):
                yield _schema(where, "keypoints is not a list of names")
                continue
            self.skeletons[number] = skeleton_of(names)
            yield from _names_and_limbs(names, entry.get("skeleton") or [], where)
            try:
                readable = category_skeleton(entry, where=where) is not None or readable
            except FormatError as error:
                yield _schema(where, error.what)
        if not self.skeletons:
            yield Finding(
                kind="no_keypoint_category", where="categories", what="none has keypoints"
            )
        elif not readable:
            what = "none is known: import takes the file with --skeleton (synthstudio skeleton)"
            yield Finding(kind="unknown_skeleton", where="categories", what=what)

    def check_image(self, image: Any) -> Iterator[Finding]:
        """Note an image and yield what is wrong with its entry."""
        number = key_of(image, "id")
        if number is None:
            yield _schema("images", f"an image without id: {str(image)[:60]}")
            return
        where = f"image {number}"
        if number in self.sizes:
            yield Finding(
                kind="duplicate_id", where=where, what="this id is used before", image=number
            )
            return
        self.sizes[number] = (0, 0)
        try:
            whole = image if self.images is None else with_size(image, self.images)
            row = frame_row(whole, "coco17", 0)
            self.sizes[number] = (row["width_px"], row["height_px"])
            if row["K"] is not None or image.get("distortion"):
                self.cameras[number] = _camera(image)
        except (FormatError, AssetError) as error:
            yield _schema(where, error.what, image=number)
        name = image.get("file_name")
        if not isinstance(name, str) or not name:
            yield _schema(where, f"file_name is {name!r}"[:200], image=number)
        elif digest(name) in self.files:
            yield Finding(kind="duplicate_image", where=where, what=name, image=number)
        else:
            self.files.add(digest(name))

    def check_annotation(self, entry: Any) -> Iterator[Finding]:
        """Yield what is wrong with an annotation; `last_mask` is its mask, if that is sound."""
        self.last_mask = None
        if not isinstance(entry, Mapping):
            yield _schema("annotations", f"no object: {str(entry)[:60]}")
            return
        number = key_of(entry, "id")
        where = f"annotation {number}"
        image_id, category = key_of(entry, "image_id"), key_of(entry, "category_id")
        at: dict[str, Any] = {"image": image_id, "person": number}
        if number is None:
            yield _schema(where, "no id", **at)
        elif number in self.seen:
            yield Finding(kind="duplicate_id", where=where, what="this id is used before", **at)
        else:
            self.seen.add(number)
        if image_id is None or image_id not in self.sizes:
            yield Finding(
                kind="orphan_annotation", where=where, what=f"no image {image_id!r}"[:200], **at
            )
            return
        known = category in self.categories
        if not known or ("keypoints" in entry and category not in self.skeletons):
            problem = "has no keypoints" if known else "does not exist"
            yield Finding(
                kind="category_mismatch", where=where, what=f"category {category!r} {problem}", **at
            )
        if entry.get("iscrowd") or not all(self.sizes[image_id]):
            return
        skeleton = self.skeletons.get(category) if category is not None else None
        self.people += "keypoints" in entry or skeleton is not None
        found = [*self._numbers(entry, where, at), *self._mask(entry, where, at)]
        if skeleton is not None and entry.get("keypoints"):
            found += self._keypoints(entry, skeleton, where, at)
        yield from found
        if skeleton is not None:
            broken = any(each.severity == "error" for each in found)
            yield from self._as_imported(entry, skeleton, where, at, broken=broken)

    def _as_imported(
        self,
        entry: Mapping[str, Any],
        skeleton: Skeleton,
        where: str,
        at: Mapping[str, Any],
        *,
        broken: bool,
    ) -> Iterator[Finding]:
        """What an import would say of an entry; what it takes is checked as a row of people.

        Of a `broken` one no more is said, but what can be read of its joints is checked too.
        """
        width, height = self.sizes[at["image"]]
        frame = {"index": 0, "width_px": width, "height_px": height, "K": None, "spec": None}
        frame |= self.cameras.get(at["image"], {})
        try:
            row = instance_row(entry, frame, 1, len(skeleton.joints))
        except FormatError as error:
            if not broken:
                yield _schema(where, error.what, **at)
            return
        mark = digest(at["image"], row["instance"])
        if INSTANCE in entry and mark in self.numbers and not broken:
            yield _schema(
                where, f"two people of an image have the {INSTANCE} {row['instance']}", **at
            )
        self.numbers.add(mark)
        if entry.get("keypoints"):
            self.waiting.append((skeleton, frame, row, (at["image"], at["person"])))
        if len(self.waiting) >= _TOGETHER:
            yield from self.check_waiting()

    def check_waiting(self) -> Iterator[Finding]:
        """What is wrong with the people of the annotations since the last call."""
        for skeleton in {one.joints: one for one, *_ in self.waiting}.values():
            own = [w for w in self.waiting if w[0].joints == skeleton.joints]
            _, frames, rows, ids = zip(*own, strict=True)
            table = pa.Table.from_pylist(list(rows), INSTANCE_SCHEMA)
            subjects = subjects_of_rows(frames, table, np.arange(len(rows)), skeleton, ids=ids)
            for found in check_people(subjects):
                yield from found
            for n, key in enumerate(keypoint_keys(subjects)):
                image, person = ids[n]
                first = None if key is None else self.twins.setdefault(digest(image, key), person)
                if key is not None and first != person:
                    yield finding_of(subjects, n, "twins", f"the same as annotation {first}")
        self.waiting.clear()

    def _numbers(self, entry: Mapping[str, Any], where: str, at: Mapping[str, Any]) -> Any:
        bad = [name for name in _NUMBERS if not _finite(entry.get(name))]
        for name in bad:
            yield Finding(kind="not_finite", where=where, what=f"in {name}", **at)
        box = entry.get("bbox")
        if box is None:
            return
        if not isinstance(box, list) or len(box) != 4 or not all(map(is_number, box)):
            yield _schema(where, f"bbox is {str(box)[:60]}", **at)

    def _mask(self, entry: Mapping[str, Any], where: str, at: Mapping[str, Any]) -> Any:
        found = entry.get("segmentation")
        if not found:
            return
        width, height = self.sizes[at["image"]]
        try:
            mask = read_mask(found, height, width)
        except ValueError as error:
            own = found.get("size") if isinstance(found, Mapping) else None
            kind = "mask_broken" if own is None or own == [height, width] else "mask_size"
            yield Finding(kind=kind, where=where, what=str(error), **at)
            return
        if (mask.height, mask.width) != (height, width):
            yield Finding(
                kind="mask_size",
                where=where,
                what=f"{mask.width} x {mask.height}, image {width} x {height}",
                **at,
            )
            return
        self.last_mask = mask
        for kind, what in mask_problems(mask, entry.get("bbox"), entry.get("area")):
            yield Finding(kind=kind, where=where, what=what, **at)

    def _keypoints(
        self, entry: Mapping[str, Any], skeleton: Skeleton, where: str, at: Mapping[str, Any]
    ) -> Iterator[Finding]:
        flat, joints = entry["keypoints"], len(skeleton.joints)
        if not isinstance(flat, list) or not all(map(is_number, flat)):
            yield _schema(where, "keypoints is not a list of numbers", **at)
            return
        if len(flat) != 3 * joints:
            yield Finding(
                kind="keypoint_count",
                where=where,
                what=f"{len(flat)} numbers for {joints} joints, which need {3 * joints}",
                **at,
            )
            return
        yield from _visibility(entry, skeleton, where, at)


def _camera(image: Mapping[str, Any]) -> Row:
    """K and distortion of an image's entry; {} where they are no such numbers."""
    K, bent = image.get("K"), image.get("distortion")
    try:
        found = {"K": np.array(K, np.float64).reshape(9).tolist()}
        return found | (
            {"distortion": np.array(bent, np.float64).reshape(4).tolist()} if bent else {}
        )
    except (ValueError, TypeError):
        return {}


def _names_and_limbs(names: list[str], edges: Any, where: str) -> Iterator[Finding]:
    if len(set(names)) != len(names):
        yield Finding(kind="category_keypoints", where=where, what="two keypoints of one name")
    if not isinstance(edges, list):
        yield _schema(where, "skeleton is not a list")
        return
    flat = [j for edge in edges for j in (edge if isinstance(edge, list) else [edge])]
    if not all(isinstance(j, int) and 1 <= j <= len(names) for j in flat):
        what = f"its skeleton names joints outside 1 to {len(names)}"
        yield Finding(kind="category_keypoints", where=where, what=what)


def _pairs(joints: tuple[str, ...]) -> tuple[tuple[int, int], ...]:
    """Numbers of left joints and their twins, each once, whatever names come twice."""
    names = {name: j for j, name in enumerate(joints)}
    lefts = [(j, names.get("right_" + n[5:])) for n, j in names.items() if n.startswith("left_")]
    return tuple((left, right) for left, right in lefts if right is not None)


def skeleton_of(names: Sequence[str]) -> Skeleton:
    """Return the known skeleton of these joints, or one made of the names alone."""
    plain = tuple(n.strip().lower().replace(" ", "_").replace("-", "_") for n in names)
    for known in (SKELETONS | FOREIGN).values():
        if known.joints == plain:
            return known
    return Skeleton(
        name="other",
        title="other",
        pairs=_pairs(plain),
        known_as=plain,
        joints=plain,
        up=(),
        sigmas=np.full(len(plain), np.nan),
        sigma_source="none",
        places=("unknown",) * len(plain),
        edges=(),
    )


def _visibility(
    entry: Mapping[str, Any], skeleton: Skeleton, where: str, at: Mapping[str, Any]
) -> Iterator[Finding]:
    flat = entry["keypoints"]
    seen = flat[2::3]
    for j, v in enumerate(seen):
        name = skeleton.joints[j]
        if v not in (0, 1, 2):
            yield Finding(kind="bad_visibility", where=where, what=f"{name} v={v}", joint=j, **at)
        elif v == 0 and (flat[3 * j] != 0 or flat[3 * j + 1] != 0):
            yield Finding(
                kind="coordinates_without_v",
                where=where,
                joint=j,
                what=f"{name} at ({flat[3 * j]:g}, {flat[3 * j + 1]:g})",
                **at,
            )
    stated = entry.get("num_keypoints")
    count = sum(v in (1, 2) for v in seen)
    if stated is not None and stated != count:
        yield Finding(kind="num_keypoints", where=where, what=f"{stated}, counted {count}", **at)
    yield from _against_all(entry, skeleton, where, at)


def _against_all(
    entry: Mapping[str, Any], skeleton: Skeleton, where: str, at: Mapping[str, Any]
) -> Iterator[Finding]:
    """Hold `keypoints` against the fuller arrays of our own export, where there are some."""
    joints = len(skeleton.joints)
    full, state = entry.get("keypoints_all"), entry.get("state")
    if not (isinstance(full, list) and len(full) == joints and _finite(full)):
        return
    if not all(isinstance(p, list) and len(p) == 2 for p in full):
        return
    if not all(v is None or is_number(v) for p in full for v in p):
        return
    flat = np.array(entry["keypoints"], np.float64).reshape(joints, 3)
    there = np.array([[np.nan if v is None else v for v in p] for p in full], np.float64) - HALF_PX
    known = flat[:, 2] > 0
    error = np.where(known[:, None], np.abs(flat[:, :2] - there), 0.0).max(axis=1)
    if (error > _AGREE_PX).any():
        flip = skeleton.flip
        other = np.abs(flat[:, :2] - there[flip]).max(axis=1)
        sided = known & (flip != np.arange(joints))
        if sided.any() and (other[sided] <= _AGREE_PX).all():
            yield Finding(
                kind="swapped",
                where=where,
                what="left keypoints are the right ones of keypoints_all",
                **at,
            )
        else:
            j = int(np.argmax(error))
            yield Finding(
                kind="fields_disagree",
                where=where,
                joint=j,
                what=f"{skeleton.joints[j]} is {error[j]:.1f} px from keypoints_all",
                **at,
            )
    if isinstance(state, list) and len(state) == joints and all(map(_is_state, state)):
        for j, (v, s) in enumerate(zip(flat[:, 2], state, strict=True)):
            if v != s and (v or s is not None):
                yield Finding(
                    kind="fields_disagree",
                    where=where,
                    joint=j,
                    what=f"{skeleton.joints[j]} has v={v:g} and state {s}",
                    **at,
                )
                return


def _is_state(value: Any) -> bool:
    return value is None or isinstance(value, int)


def _finite(value: Any) -> bool:
    if is_number(value):
        return bool(abs(value) < FAR)  # NaN is not
    if isinstance(value, list):
        return all(map(_finite, value))
    return True


def _schema(where: str, what: str, **at: Any) -> Finding:
    return Finding(kind="schema", where=where, what=what, **at)
