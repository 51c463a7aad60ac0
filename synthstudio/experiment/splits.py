"""What an experiment trains on and what it tests: photos, and occluders to hide people.

The photos of a COCO keypoint file are disjoint by their bytes. The parts are COCO files of the
smallest known skeleton that holds every labelled joint. Built-in objects are split by kind,
cut-outs by category (a cut-out bicycle goes with the built-in one) or, with fewer than two
categories, by file. Rendered people are never pasted.
"""

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from synthstudio.core.errors import AssetError, FormatError
from synthstudio.core.safe_files import file_inside, plain_name
from synthstudio.core.skeleton import FOREIGN, SKELETONS, Skeleton
from synthstudio.dataset.durable import canonical_json, file_sha256, whole_folder
from synthstudio.formats import checked
from synthstudio.formats.coco.file import plain_joint_name, read_entries
from synthstudio.props.assets import scan_images

PARTS = ("train", "test")
TEST_SHARE = 0.3
MIN_PHOTOS = 4
FACTS = "facts.json"
_LISTS = ("images", "annotations", "categories")
_IMAGE = ("id", "file_name", "width", "height", "license", "flickr_url", "coco_url", "url")
_PERSON = 1
Flags = tuple[Counter[int], Counter[int], Counter[int]]
"""People with v = 0, 1 and 2 by joint index."""


@dataclass(kw_only=True)
class _Summary:
    """Results of a first pass. Counts are by category and joint index."""

    names: dict[int, tuple[str, ...]] = field(default_factory=dict)  # of categories with joints
    images: dict[int, str] = field(default_factory=dict)
    people: Counter[int] = field(default_factory=Counter)  # usable ones of each image
    flags: dict[int, Flags] = field(default_factory=dict)  # [category][v][j]
    left_out: Counter[str] = field(default_factory=Counter)


def split_photos(annotations: Path, images: Path, out: Path, *, seed: int) -> dict[str, Any]:
    """Write PARTS as COCO files and FACTS into the new folder `out`; return the facts. AssetError
    without a folder of pictures; FormatError for unusable annotations."""
    if not images.is_dir():
        raise AssetError("no such folder", where=str(images), expected="the photos")
    found = _read(annotations)
    names, category = _names(found, annotations)
    flags = found.flags[category]
    labelled = {names[j] for v in (1, 2) for j in flags[v]}
    _check_flags(flags, found, annotations)
    skeleton = _skeleton(names, labelled, annotations)
    test = _test_photos(found, images, annotations, seed=seed)
    facts = _facts(found, flags, labelled, skeleton, test)
    with whole_folder(out) as unfinished:
        for name in PARTS:
            photos = {i for i in found.people if (i in test) == (name == "test")}
            _write(unfinished / f"{name}.json", annotations, photos, category, names, skeleton)
        (unfinished / FACTS).write_bytes(canonical_json(facts))
    return facts


def _read(path: Path) -> _Summary:
    found = _Summary()
    for key, entry in read_entries(path):
        if key not in _LISTS:
            continue
        with checked.reading(f"{path}: {key}, id {str(entry.get('id'))[:40]}"):
            if key == "images":
                name = plain_name(checked.text(entry["file_name"], 1024), where=str(path))
                found.images[checked.integer(entry["id"])] = name
            elif key == "categories" and entry.get("keypoints"):
                found.names[checked.integer(entry["id"])] = tuple(
                    plain_joint_name(checked.text(name, 80)) for name in entry["keypoints"]
                )
            elif key == "annotations":
                _count(entry, found)
    return found


def _count(entry: dict[str, Any], found: _Summary) -> None:
    if why := _unusable(entry):
        found.left_out[why] += 1
        return
    found.people[checked.integer(entry["image_id"])] += 1
    flags = found.flags.setdefault(
        checked.integer(entry["category_id"]), (Counter(), Counter(), Counter())
    )
    for j, v in enumerate(entry["keypoints"][2::3]):
        flags[checked.integer(checked.whole(v), 0, 2)][j] += 1


def _unusable(entry: dict[str, Any]) -> str:
    """Why an annotation is unusable, or ""."""
    if entry.get("iscrowd"):
        return "crowd region"
    points = entry.get("keypoints")
    if not isinstance(points, list) or not any(points[2::3]):
        return "annotation without a labelled joint"
    box = entry.get("bbox")
    if not isinstance(box, list) or len(box) != 4 or min(map(checked.number, box[2:])) <= 0:
        return "person without a box"
    return ""


def _names(found: _Summary, path: Path) -> tuple[tuple[str, ...], int]:
    left_out = ", ".join(f"{n} x {what}" for what, n in sorted(found.left_out.items()))
    used = [number for number in found.flags if number in found.names]
    if not used:
        raise FormatError(
            "no usable person",
            where=str(path),
            expected="people of a category with keypoints, with a box and a labelled joint",
            got=left_out
            or f"{sum(found.people.values())} people, {len(found.names)} categories with keypoints",
        )
    if len(used) > 1 or len(found.flags) > 1:
        raise FormatError(
            "people are of several categories",
            where=str(path),
            expected="one",
            got=", ".join(map(str, sorted(found.flags))),
            then="Leave the others out of the file.",
        )
    names, flags = found.names[used[0]], found.flags[used[0]]
    maximum = 1 + max((j for v in (1, 2) for j in flags[v]), default=-1)
    if maximum > len(names):
        raise FormatError(
            "people have more labelled joints than their category has names",
            where=f"{path}: category {used[0]}",
            expected=f"{len(names)} joints at most",
            got=f"a label of joint {maximum}",
            then="Name all joints in the category's keypoints, in the order of the labels.",
        )
    return names, used[0]


def _check_flags(flags: Flags, found: _Summary, path: Path) -> None:
    if not flags[2]:
        raise FormatError(
            "every labelled joint is hidden",
            where=str(path),
            expected="some with v=2",
            got=f"{flags[1].total()} with v=1",
            then="Check how the file marks visibility (v=2 is visible).",
        )
    unknown = [i for i in found.people if i not in found.images]
    if unknown:
        raise FormatError(
            "people of images that are not in the file",
            where=str(path),
            got=", ".join(map(str, unknown[:5])),
        )


def _skeleton(names: Sequence[str], labelled: set[str], path: Path) -> Skeleton:
    known = [*SKELETONS.values(), *FOREIGN.values()]
    fitting = [s for s in known if labelled <= set(s.joints)]
    if not fitting or len(set(names)) != len(names):
        raise FormatError(
            "no known skeleton has these joints",
            where=f"{path}: categories",
            expected=f"names of one of {', '.join(s.name for s in known)}",
            got=", ".join(names)[:300],
        )
    return min(fitting, key=lambda s: len(s.joints))


def _test_photos(found: _Summary, images: Path, path: Path, *, seed: int) -> set[int]:
    """The test images: a function of the seed and each photo's bytes."""
    same: dict[str, list[int]] = {}
    for number in sorted(found.people):
        file = file_inside(images, found.images[number], where=f"image {number}")
        same.setdefault(file_sha256(file), []).append(number)
    if len(same) < MIN_PHOTOS:
        raise FormatError(
            "too few photos to split",
            where=str(path),
            expected=f"{MIN_PHOTOS} or more with usable people",
            got=f"{len(same)} with {found.people.total()} people",
        )
    order = sorted(same, key=lambda sha: hashlib.blake2b(f"{seed} {sha}".encode()).digest())
    return {i for sha in order[: max(1, round(TEST_SHARE * len(order)))] for i in same[sha]}


def _facts(
    found: _Summary, flags: Flags, used: set[str], skeleton: Skeleton, test: set[int]
) -> dict[str, Any]:
    notes = [f"Left out: {n} x {what}." for what, n in sorted(found.left_out.items())]
    if never := [name for name in skeleton.joints if name not in used]:
        notes.append(f"Never labelled: {', '.join(never)}; neither trained nor tested.")
    tested = sum(found.people[i] for i in test)
    if not flags[1]:
        notes.append(
            "No joint is marked as hidden (v=1): only joints hidden by pastes are tested as hidden."
        )
    return {
        "skeleton": skeleton.name,
        "joints": sorted(used),
        "notes": notes,
        "photos": {"train": len(found.people) - len(test), "test": len(test)},
        "people": {"train": found.people.total() - tested, "test": tested},
        "visible": flags[2].total(),
        "hidden": flags[1].total(),
    }


def _write(
    out: Path,
    source: Path,
    photos: set[int],
    category: int,
    names: Sequence[str],
    skeleton: Skeleton,
) -> None:
    """Write the entries of some photos, one by one: the file may be large."""
    place = [names.index(name) if name in names else -1 for name in skeleton.joints]
    head = {"id": _PERSON, "name": "person", "keypoints": list(skeleton.joints), "skeleton": []}
    with out.open("w", encoding="utf-8") as file:
        file.write('{"info": {}, "categories": [' + json.dumps(head) + "]")
        for key in ("images", "annotations"):
            file.write(f',\n"{key}": [')
            between = "\n"
            for kind, entry in read_entries(source):
                if kind != key:
                    continue
                row = _image(entry, photos) if key == "images" else _person(entry, photos, place)
                if row is not None and (key == "images" or entry["category_id"] == category):
                    file.write(between + json.dumps(row))
                    between = ",\n"
            file.write("]")
        licences: Any = next((v for key, v in read_entries(source) if key == "licenses"), [])
        file.write(f',\n"licenses": {json.dumps(licences)}}}\n')


def _image(entry: dict[str, Any], photos: set[int]) -> dict[str, Any] | None:
    return {k: entry[k] for k in _IMAGE if k in entry} if entry["id"] in photos else None


def _person(entry: dict[str, Any], photos: set[int], place: Sequence[int]) -> dict[str, Any] | None:
    if entry.get("image_id") not in photos or _unusable(entry):
        return None
    points = entry["keypoints"]
    with checked.reading(f"annotation {str(entry.get('id'))[:40]}"):
        taken = [points[3 * j : 3 * j + 3] if j >= 0 else [0, 0, 0] for j in place]
        flat = [value for joint in taken for value in joint]
        if len(flat) != 3 * len(place):
            raise ValueError(f"keypoints: expected three numbers a joint; got {len(points)}")
        _, _, wide, high = entry["bbox"]
        return {
            "id": entry["id"],
            "image_id": entry["image_id"],
            "category_id": _PERSON,
            "iscrowd": 0,
            "keypoints": flat,
            "num_keypoints": sum(v > 0 for v in flat[2::3]),
            "bbox": entry["bbox"],
            "area": entry.get("area", wide * high),
            "segmentation": entry.get("segmentation", []),
        }


FOLDER = "cutouts"
KINDS = {
    "train": (
        "backpack", "barrel", "bench", "bin", "cardboard_box", "chair", "crate", "handbag",
        "low_wall", "pole", "shopping_bag", "stool", "suitcase", "traffic_cone", "trolley_case",
    ),
    "test": (
        "bicycle", "fence", "pillar", "pram", "railing", "shopping_cart", "sign_board", "table",
    ),
}  # fmt: skip
EACH = {"train": 3, "test": 2}
"""Occluded frames of each photo, beside the clean one."""
_CUTOUT_TEST_SHARE = 0.4


def occlusion_recipe(name: str, *, seed: int, cutouts: bool) -> dict[str, Any]:
    """The recipe that occludes the people of a part."""
    occlude: dict[str, Any] = {
        "ground": "any",  # as many hidden joints as possible, plausible or not
        "each": EACH[name],
        "hide": [1, 3],
        "by": {"cutout": 1, "object": 1},
        "min_height_px": 32,
    }
    if cutouts:
        occlude["cutouts"] = {"folder": FOLDER}
    return {
        "name": f"experiment_{name}",
        "seed": seed,
        "occlude": occlude,
        "targets": {"occluded_fraction": [0.1, 0.6], "max_objects": 2, "effort": 12},
        "objects": [{"kind": "procedural", "kinds": dict.fromkeys(KINDS[name], 1)}],
    }


def split_cutouts(folder: Path, out: Path, *, seed: int) -> dict[str, list[str]]:
    """Copy the cut-outs of `folder` into out/train and out/test; return the names of each.
    AssetError when they cannot be split or one has no transparency."""
    folder = folder.resolve()
    found = scan_images(folder.parent, folder.name, kind="cutout")
    by_file = len({picture.category for picture in found}) < 2
    key = {p: p.asset.sha256 if by_file else p.category for p in found}
    held = _test_kinds(set(key.values()), seed=seed)
    parts = {n: [p for p in found if (key[p] in held) == (n == "test")] for n in PARTS}
    if not all(parts.values()):
        raise _one_sided(folder, key.values(), "test" if held else "train")
    with whole_folder(out) as unfinished:
        for name, pictures in parts.items():
            target = unfinished / name / FOLDER
            target.mkdir(parents=True)
            for picture in pictures:
                shutil.copyfile(
                    folder.parent / picture.asset.name, target / Path(picture.asset.name).name
                )
            ledger = [
                {
                    "file": Path(p.asset.name).name,
                    "category": p.category,
                    "license": p.licence,
                    "source": p.source,
                }
                for p in pictures
            ]
            (target / "manifest.json").write_bytes(canonical_json(ledger))
    return {n: [Path(p.asset.name).name for p in pictures] for n, pictures in parts.items()}


def _one_sided(folder: Path, keys: Collection[str], part: str) -> AssetError:
    """The error for cut-outs that cannot be split: too few, or all of `part`'s kinds."""
    kinds = sorted(set(keys))
    if len(kinds) < 2:
        return AssetError(
            "too few cut-outs to hold some out for the test",
            where=str(folder),
            expected="two or more, best of several categories",
            got=str(len(keys)),
        )
    use = {"train": "hide people in training", "test": "are held out for the test"}[part]
    return AssetError(
        f"all cut-outs belong to built-in kinds that {use}",
        where=str(folder),
        got=", ".join(kinds)[:300],
        expected=f"some of other categories than {', '.join(KINDS[part])}",
        then="Add cut-outs of another kind.",
    )


def _test_kinds(kinds: set[str], *, seed: int) -> set[str]:
    """The kinds of cut-outs for the test: those of its built-in objects, then by hash."""
    as_objects = {name: {k for k in kinds if _is_one_of(k, KINDS[name])} for name in KINDS}
    free = sorted(
        kinds - as_objects["train"] - as_objects["test"],
        key=lambda k: hashlib.blake2b(f"{seed} {k}".encode()).digest(),
    )
    count = max(1, round(_CUTOUT_TEST_SHARE * len(kinds))) - len(as_objects["test"])
    return as_objects["test"] | set(free[: max(0, min(count, len(kinds) - 1))])


def _is_one_of(category: str, kinds: tuple[str, ...]) -> bool:
    """Whether a category is a built-in kind, or a subtype of one ("dining table")."""
    plain = "_" + category.strip().lower().replace(" ", "_")
    return any(plain.endswith("_" + kind) for kind in kinds)
