"""Reading and validation of untrusted COCO files of any size.

CocoFile    image by image, for import, occlude, train and gap. The first pass
            indexes images and annotations in a temporary database, the second
            reads them in the order of images. Annotations may precede images.
RawCoco     entry by entry in file order: for `validate`, and for boxes of other tools.
read_entries  the same in one pass: each entry is a JSON object.

All keep only a few entries in memory. core/safe_json.py has the limits.

The rules of an entry are `entries.frame_row` and `entries.instance_row`; `validate` calls the same,
so files that pass can be imported. As in pycocotools (`COCO.createIndex` in PythonAPI/pycocotools/
coco.py) ids are keys of a dictionary, of any kind, and 7.0 is 7; `iscrowd`, `area` and `keypoints`
may be missing. An entry that breaks a rule is left out and counted.
"""

import json
import re
import sqlite3
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from synthstudio.core.errors import AssetError, FormatError, SynthStudioError
from synthstudio.core.images import image_size
from synthstudio.core.safe_files import file_inside, is_file_below
from synthstudio.core.safe_json import BEGIN, Span, quick_scan, read_members
from synthstudio.core.skeleton import FOREIGN, SKELETONS, Skeleton, own_skeleton, side_pairs
from synthstudio.core.spec import OBJECT_BASE
from synthstudio.dataset.manifest import AssetRow
from synthstudio.dataset.rows import Row
from synthstudio.formats import checked
from synthstudio.formats.coco.entries import INFO, INSTANCE, bad, frame_row, instance_row
from synthstudio.formats.exchange import KEPT_NUMBER, SPLITS, Skipped, parse_range

ANNOTATIONS, IMAGES, PREFIX = "annotations", "images", "person_keypoints_"
"""An export in COCO's layout: annotations/person_keypoints_SPLIT.json, images/SPLIT/."""
_ROBOFLOW = "_annotations.coco.json"
"""Roboflow's file in each folder of a split, beside the images."""
_LISTS = ("images", "annotations", "categories")
_TABLES = """
CREATE TABLE images (place INTEGER PRIMARY KEY, key UNIQUE, name, start INTEGER, stop INTEGER);
CREATE TABLE annotations (place INTEGER PRIMARY KEY, key UNIQUE, image, category, start INTEGER,
                          stop INTEGER);
"""
_DUPLICATES = """
SELECT first, key FROM (SELECT key, name, first_value(key) OVER (PARTITION BY name ORDER BY place)
                        AS first FROM images) WHERE key != first AND name IS NOT NULL
"""
_ORPHANS = "image NOT IN (SELECT key FROM images)"
_QUICK_SCANS = {"annotations": quick_scan("id", "image_id", "category_id", zero=["iscrowd"])}
_RAW_LISTS = ("images", "annotations")
_RAW_QUICK_SCANS = {"annotations": quick_scan()}
_URLS = ("flickr_url", "coco_url", "url")
MAX_CATEGORIES = 10_000
_MAX_ID_CHARS = 1000
_MAX_INDEX = 2**40


def annotation_files(folder: Path) -> list[Path]:
    """The annotation files of an export's folder, of its annotations/, or of Roboflow's folders;
    FormatError if none."""
    inside = folder if folder.name == ANNOTATIONS else folder / ANNOTATIONS
    found = sorted(inside.glob(f"{PREFIX}*.json"))
    found = found or sorted([*folder.glob(_ROBOFLOW), *folder.glob(f"*/{_ROBOFLOW}")])
    if not found:
        raise FormatError(
            "there is no COCO file",
            where=str(folder),
            expected=f"{ANNOTATIONS}/{PREFIX}SPLIT.json, or SPLIT/{_ROBOFLOW}",
            then="Or pass the annotation file itself.",
        )
    return found


def split_of(file: Path) -> str:
    """The split that a file's name, or Roboflow's folder, states, e.g. val2017; "" if none."""
    name = file.parent.name if file.name == _ROBOFLOW else file.stem.removeprefix(PREFIX)
    return SPLITS.get(name.rstrip("0123456789").lower(), "")


def image_folder(file: Path) -> Path:
    """The default image folder of an annotation file.

    For annotations/person_keypoints_SPLIT.json images/SPLIT or, as COCO unpacks, SPLIT beside
    annotations/; for other files their own folder.
    """
    if file.parent.name == ANNOTATIONS and file.stem.startswith(PREFIX):
        split = file.stem.removeprefix(PREFIX)
        top = file.parent.parent
        for folder in (top / IMAGES / split, top / split):
            if split and folder.is_dir():
                return folder
    return file.parent


def id_key(value: Any) -> int | str:
    """Canonical key of an id of any JSON type: 7.0 equals 7, "7" differs. ValueError."""
    if type(value) is float and value.is_integer():
        value = int(value)
    if type(value) is int and abs(value) < 2**63:
        return value
    text = value if isinstance(value, str) else json.dumps(value, sort_keys=True)
    if len(text) > _MAX_ID_CHARS:
        raise ValueError(f"an id of more than {_MAX_ID_CHARS} characters: {text[:40]}")
    return text


def named_file(name: Any, folder: Path) -> Any:
    """The path below `folder` of a file name; of C:\\data\\a.jpg or /data/a.jpg the longest suffix
    that exists."""
    if not isinstance(name, str) or not ("\\" in name or name.startswith("/")):
        return name
    parts = name.replace("\\", "/").split("/")
    ends = [parts[k:] for k in range(len(parts))] if ".." not in parts else []
    tried = ("/".join(end) for end in ends if all(end) and ":" not in end[0])
    return next((one for one in tried if is_file_below(folder, one)), name)


def with_size(image: Mapping[str, Any], folder: Path) -> Mapping[str, Any]:
    """An entry of `images` with its file's size if it has none; FormatError, AssetError."""
    if image.get("width") is not None and image.get("height") is not None:
        return image
    name = named_file(image.get("file_name"), folder)
    path = file_inside(folder, name, where=f"image {str(image.get('id'))[:40]}, without a size")
    width, height = image_size(path)
    return {**image, "width": width, "height": height}


class CocoFile:
    """An opened COCO keypoint file; FormatError if unreadable.

    `own`: written by this package. `numbered`: image ids are whole numbers, which are the indices
    of frames; else frames are numbered in file order. `left_out` counts skipped entries by
    reason. `licence`, `source` and `kept` (numbers in the file): of the current image.
    """

    licence = source = ""
    source_id: Any = None
    person_ids: dict[int, Any]
    """Annotation ids of the current image by instance."""

    def __init__(
        self,
        path: Path,
        skeleton: Skeleton | None = None,
        left_out: Skipped | None = None,
        images: Path | None = None,
    ) -> None:
        """Open it; with `skeleton` for the categories that have its joints.

        `images`: their folder, used for the size of images without one.
        """
        self.path = path
        self.person_ids = {}
        self._wanted = skeleton
        self._images = images or image_folder(path)
        self.left_out = Skipped() if left_out is None else left_out
        self._shortened: dict[str, str] = {}
        self.assets: list[AssetRow] = []
        self._categories: dict[int | str, dict[str, Any]] = {}
        self._info: Any = None
        self._licences: dict[int | str, str] = {}
        # An empty name is a temporary database that spills to disk and is gone when closed.
        self._base = sqlite3.connect("")
        self._base.execute("PRAGMA cache_size = -32000")
        self._base.executescript(_TABLES)
        try:
            self._open()
        except BaseException:
            self._base.close()
            raise

    def _open(self) -> None:
        self._scan()
        self._merge_duplicates()
        self.skeleton = self._skeleton()
        stated = self._info.get("description") if isinstance(self._info, dict) else None
        self.own = stated == INFO["description"]
        others = "typeof(key) != 'integer' OR key NOT BETWEEN 0 AND ?"
        self.numbered = not self._count("images", others, _MAX_INDEX)
        self._check()

    def close(self) -> None:
        self._base.close()

    def _count(self, table: str, where: str, *values: Any) -> int:
        query = f"SELECT count(*) FROM {table} WHERE {where}"
        return int(self._base.execute(query, values).fetchone()[0])

    def __len__(self) -> int:
        return self._count("images", "1")

    def ids(self) -> Iterator[int]:
        for place, key in self._base.execute(f"SELECT place, key FROM images ORDER BY {self._by}"):
            yield key if self.numbered else place - 1

    @property
    def _by(self) -> str:
        return "key" if self.numbered else "place"

    def samples(self) -> Iterator[tuple[Row, list[Row]]]:
        """Yield each image's row with those of its people, by rising index; others are counted."""
        for _, found in self.all_samples():
            if isinstance(found, SynthStudioError):
                self.left_out.add("picture", found)
            else:
                yield found

    def all_samples(self) -> Iterator[tuple[int, tuple[Row, list[Row]] | SynthStudioError]]:
        """Yield each image's index and rows, or the error of its entry."""
        marks = ",".join("?" * len(self._person_categories))
        people = self._base.execute(
            "SELECT i.place, p.start, p.stop FROM annotations p JOIN images i ON i.key = p.image "
            f"WHERE p.category IN ({marks}) ORDER BY i.{self._by}, p.{self._by}",
            self._person_categories,
        )
        images = f"SELECT place, key, start, stop FROM images ORDER BY {self._by}"
        entry = next(people, None)
        with self.path.open("rb") as file:
            for place, key, start, stop in self._base.execute(images):
                index = key if self.numbered else place - 1
                sample = self._image(parse_range(file, start, stop, nan=True), index)
                values = []
                while entry is not None and entry[0] == place:
                    values.append(parse_range(file, *entry[1:], nan=True))
                    entry = next(people, None)
                if isinstance(sample, SynthStudioError):
                    self.left_out["person in a picture that is left out"] += len(values)
                else:
                    for value in sorted(values, key=lambda value: INSTANCE not in value):
                        self._add_person(value, *sample)
                yield index, sample

    def _image(self, image: dict[str, Any], index: int) -> tuple[Row, list[Row]] | SynthStudioError:
        try:
            sized = with_size(image, self._images)
            given: Any = image.get("file_name")
            name = named_file(given, self._images)
            if name != given and self._shortened.setdefault(name, given) != given:
                both = f"{self._shortened[name][:100]} and {given[:100]}"
                where = f"image {str(image.get('id'))[:40]}"
                raise bad("two names mean one file", where=where, expected="one", got=both)
            frame = frame_row({**sized, "file_name": name}, self.skeleton.name, index)
        except (FormatError, AssetError) as error:
            return error
        self.source_id, self.person_ids, self.kept = image.get("id"), {}, dict[int, Row]()
        licence = image.get("license")
        known = licence is not None and not isinstance(licence, list | dict)
        self.licence = self._licences.get(id_key(licence), "") if known else ""
        urls = (image.get(name) for name in _URLS)
        self.source = next((u[:500] for u in urls if isinstance(u, str) and u), "")
        return frame, []

    def source_row(self, *, named: bool) -> Row:
        """The current image's `Opened.source`; without `named` its id is the frame's index."""
        number = json.dumps(self.source_id if named else None)
        return {"licence": self.licence, "id": number, "people": json.dumps(self.person_ids)}

    def _add_person(self, value: dict[str, Any], frame: Row, people: list[Row]) -> None:
        try:
            number = 1
            if INSTANCE not in value or "state" not in value:  # above all, those removed, too
                known = (n for p in people for n in (p["instance"], *p["hidden_instance"]))
                number += max((n for n in known if n < OBJECT_BASE), default=0)
            row = self._person(value, frame, number)
            where = f"annotation {str(value.get('id'))[:40]}"
            if any(row["instance"] == other["instance"] for other in people):
                raise bad("two people of an image have one instance_number", where=where)
            people.append(row)
            if value.get(INSTANCE) == row["instance"]:
                self.kept[row["instance"]] = {KEPT_NUMBER: row["instance"]}
            if value.get("id") is not None:
                self.person_ids[row["instance"]] = value["id"]
        except FormatError as error:
            self.left_out.add("annotation", error)

    @property
    def notes(self) -> list[str]:
        return self.left_out.lines()

    @staticmethod
    def joined(entry: Row) -> Row:
        """An annotation's entry with the keypoints of all joints in one list; FormatError."""
        return entry

    def _person(self, entry: dict[str, Any], frame: Row, number: int) -> Row:
        value = self.joined(entry)
        row = instance_row(value, frame, number, len(self.skeleton.joints))
        flat = value.get("keypoints") or []
        joints = zip(flat[::3], flat[1::3], flat[2::3], strict=True)
        unnamed = sum(v == 0 and bool(x or y) for x, y, v in joints)
        if unnamed:
            self.left_out["coordinates of a joint with v=0"] += unnamed
        return row

    def _scan(self) -> None:
        seen = set()
        for key, span in read_members(
            self.path, streamed=_LISTS, loose=["licenses"], nan=True, quick_scans=_QUICK_SCANS
        ):
            if span is BEGIN:
                seen.add(key)
                continue
            ids = None
            try:
                with checked.reading(f"{self.path}, byte {span.start}"):
                    ids = self._read(key, span)
            except FormatError as error:
                self.left_out.add(key.removesuffix("s"), error)
            if ids is not None:
                self._index(key, ids, span)
        _check_lists(seen, _LISTS, self.path)

    def _read(self, key: str, span: Span) -> tuple[int | str | None, ...] | None:
        """The ids of an image or annotation that is indexed; keep an entry of other keys."""
        value = span.value
        if key == "images":
            name = value.get("file_name")
            return id_key(value["id"]), name if isinstance(name, str) else None
        if key != "annotations":
            self._add_head(key, value)
        elif value.get("iscrowd"):
            self.left_out["iscrowd region"] += 1
        else:
            own = id_key(value["id"]) if "id" in value else f"at byte {span.start}"
            return own, id_key(value["image_id"]), id_key(value["category_id"])
        return None

    def _index(self, table: str, ids: tuple[int | str | None, ...], span: Span) -> None:
        """Store an entry's ids and place; one with a duplicate id is counted.

        An annotation that differs from the first of its id is stored under a new key.
        """
        marks = ", ".join("?" * (len(ids) + 2))
        insert = f"INSERT OR IGNORE INTO {table} VALUES (NULL, {marks})"
        if self._base.execute(insert, (*ids, span.start, span.stop)).rowcount:
            return
        if table == "images":
            self.left_out["image whose id is used before"] += 1
            return
        query = "SELECT start, stop FROM annotations WHERE key = ?"
        first = self._base.execute(query, ids[:1]).fetchone()
        with self.path.open("rb") as file:
            values = [parse_range(file, *at, nan=True) for at in (first, (span.start, span.stop))]
        if values[0] == values[1]:
            self.left_out["annotation that is in the file twice"] += 1
        else:
            key = f"{ids[0]} at byte {span.start}"
            self._base.execute(insert, (key, *ids[1:], span.start, span.stop))

    def _merge_duplicates(self) -> None:
        """Give the people of image entries that name one file to the first of them."""
        found = self._base.execute(_DUPLICATES).fetchall()
        if found:
            self._base.execute("CREATE INDEX by_image ON annotations (image)")
            self._base.executemany("UPDATE annotations SET image = ? WHERE image = ?", found)
            self._base.executemany("DELETE FROM images WHERE key = ?", (keys[1:] for keys in found))
            self.left_out["image entry of a file named before (its people are kept)"] += len(found)

    def _add_head(self, key: str, value: Any) -> None:
        if key == "info":
            self._info = value
        elif key == "categories":
            if len(self._categories) >= MAX_CATEGORIES:
                raise ValueError("too many categories")
            if self._categories.setdefault(id_key(value["id"]), value) is not value:
                self.left_out["category whose id is used before"] += 1
        elif key == "licenses" and value is not None:
            self._add_licence(value)

    def _add_licence(self, value: dict[str, Any]) -> None:
        """Take over our own licence ledger; in files of others images refer to licences by id."""
        name, url = checked.text(value.get("name") or ""), checked.text(value.get("url") or "")
        if "sha256" not in value:
            self._licences[id_key(value["id"])] = f"{name} {url}".strip()
            return
        self.assets.append(
            AssetRow(
                sha256=checked.text(value["sha256"]),
                name=checked.text(value["asset"]),
                licence="" if name == "not stated" else name,
                source=url,
            )
        )

    def _skeleton(self) -> Skeleton:
        """The skeleton of the categories with keypoints, and note which they are."""
        self._person_categories: list[int | str] = []
        found: Skeleton | None = None
        for number, category in self._categories.items():
            one = category_skeleton(category, self._wanted, where=f"{self.path}, categories")
            if one is not None and (found is None or one.name == found.name):
                found = one
                self._person_categories.append(number)
        if found is None:
            listed = [str(c.get("keypoints"))[:200] for c in self._categories.values()]
            wanted, known = self._wanted, ", ".join([*SKELETONS, *FOREIGN])
            able = any("keypoints" in category for category in self._categories.values())
            raise FormatError(
                "no category has the keypoints of a skeleton",
                where=f"{self.path}, categories",
                expected=str(list(wanted.joints)) if wanted else f"those of one of {known}",
                got="; ".join(listed[:5]) or "no category",
                then=_MAKE_ONE if able else None,
            )
        return found

    def _check(self) -> None:
        """Count annotations of no image, or of no or another category; they were only scanned."""
        persons = ",".join("?" * len(self._person_categories))
        others = f"{_ORPHANS} OR category NOT IN ({persons})"
        query = f"SELECT image, category, start, stop FROM annotations WHERE {others}"
        with self.path.open("rb") as file:
            for image, category, start, stop in self._base.execute(query, self._person_categories):
                value = parse_range(file, start, stop, nan=True)
                where = f"annotation {str(value.get('id'))[:40]}"
                if category in self._person_categories:
                    self.left_out.add(
                        "annotation", bad("no such image", where=where, got=repr(image))
                    )
                elif category in self._categories:
                    name = str(self._categories[category].get("name"))[:80]
                    self.left_out[f"annotation of category {name}, without keypoints"] += 1
                else:
                    error = bad("no such category", where=where, got=repr(category))
                    self.left_out.add("annotation", error)


def _check_lists(keys: Collection[str], needed: Iterable[str], path: Path) -> None:
    for name in needed:
        if name not in keys:
            raise bad(f"no list {name}", where=str(path))


_ALIASES = {"head": "head_top", "top_head": "head_top", "headtop": "head_top"}
_MAKE_ONE = "Make a skeleton of it: synthstudio skeleton FILE --out NAME.yaml; then --skeleton."


def match_skeleton(names: Any, wanted: Skeleton | None = None) -> Skeleton | None:
    """The skeleton with these joint names in this order, or None; `wanted`: only this one."""
    if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
        return None
    if wanted is not None and tuple(names) == wanted.joints:
        return wanted
    plain = tuple(map(plain_joint_name, names))
    among = (SKELETONS | FOREIGN).values() if wanted is None else (wanted,)
    return next((s for s in among if s.joints == plain), None)


def named_skeleton(names: Sequence[str]) -> Skeleton:
    """The known skeleton of these joints, or a minimal one of the names."""
    plain = tuple(map(plain_joint_name, names))
    return match_skeleton([*names]) or Skeleton(
        name="other",
        title="other",
        pairs=side_pairs(plain),
        known_as=plain,
        joints=plain,
        up=(),
        sigmas=np.full(len(plain), np.nan),
        sigma_source="none",
        places=("unknown",) * len(plain),
        edges=(),
    )


def category_skeleton(
    category: Mapping[str, Any], wanted: Skeleton | None = None, *, where: str
) -> Skeleton | None:
    """The skeleton of a category: the wanted one, that of our export, or a known one."""
    keypoints, defined = category.get("keypoints"), category.get("own_skeleton")
    if wanted is not None or defined is None:
        return match_skeleton(keypoints, wanted)
    with checked.reading(where):
        return match_skeleton(keypoints, own_skeleton(defined, "own_skeleton"))


def are_joint_names(names: Any) -> bool:
    return isinstance(names, list) and all(isinstance(name, str) and name for name in names)


class RawCoco:
    """The raw entries of a file, read each time; FormatError if it is not a COCO file.

    `head`: every top-level entry but images and annotations.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        last = {key: span.value for key, span in self._members(_RAW_QUICK_SCANS)}
        _check_lists(last, _RAW_LISTS, path)
        self.head = {key: value for key, value in last.items() if key not in _RAW_LISTS}
        if not isinstance(self.head.get("categories"), list):
            raise bad("no list categories", where=str(path))

    def images(self) -> Iterator[Any]:
        return self._entries("images", _RAW_QUICK_SCANS)

    def annotations(self) -> Iterator[Any]:
        return self._entries("annotations")

    def _entries(
        self, name: str, quick_scans: Mapping[str, re.Pattern[str]] | None = None
    ) -> Iterator[Any]:
        for key, span in self._members(quick_scans):
            if key == name and span is not BEGIN:
                yield span.value

    def _members(self, scans: Mapping[str, re.Pattern[str]] | None) -> Iterator[tuple[str, Span]]:
        return read_members(self.path, streamed=_RAW_LISTS, nan=True, quick_scans=scans)


def read_entries(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield (list, entry) of images, annotations and categories, and (key, value) of the rest.

    In the order of the file, one at a time; FormatError for an entry that is not a JSON object.
    """
    for key, span in read_members(path, streamed=_LISTS):
        if span is BEGIN:
            continue
        with checked.reading(f"{path}, byte {span.start}"):
            if key in _LISTS and not isinstance(span.value, dict):
                raise ValueError(f"an entry of {key} is not an object")
        yield key, span.value


def plain_joint_name(name: str) -> str:
    """Return a keypoint name in the spelling of skeletons."""
    plain = name.strip().lower().replace(" ", "_").replace("-", "_")
    return _ALIASES.get(plain, plain)
