"""Opening and checking COCO files of any size: the one home of it. Nothing here is trusted.

CocoFile    strict, image by image, for imports. The first reading notes in a database (a temporary
            file) where each image and annotation lies, the second fetches them in the order of
            images. Annotations may come before images, as in our own files.
RawCoco     entry by entry as the file stands: for `validate`, and for boxes of other tools.
read_entries  the same without a second reading: each entry is a JSON object.

None keeps more than a few entries in memory. core/safe_json.py has the limits.
"""

from __future__ import annotations

import json
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from synthstudio.core.errors import FormatError, RecipeError
from synthstudio.core.own_skeletons import own_skeleton
from synthstudio.core.safe_json import BEGIN, Span, glance, read_members
from synthstudio.core.skeleton import FOREIGN, SKELETONS, Skeleton
from synthstudio.dataset.manifest import AssetRow
from synthstudio.dataset.rows import Row
from synthstudio.formats import checked
from synthstudio.formats.coco.entries import bad, frame_row, instance_row
from synthstudio.formats.coco.info import INFO
from synthstudio.formats.exchange import parse_range

ANNOTATIONS, IMAGES, PREFIX = "annotations", "images", "person_keypoints_"
"""An export, as COCO lays its own out: annotations/person_keypoints_SPLIT.json, images/SPLIT/."""
FLAT_NAME = "annotations.json"
"""The one file of exports before, whose images have their folder in their names."""
_LISTS = ("images", "annotations", "categories")
_STREAMED = (*_LISTS, "licenses")
_TABLES = """
CREATE TABLE images (id INTEGER PRIMARY KEY, start INTEGER, stop INTEGER);
CREATE TABLE people (id INTEGER PRIMARY KEY, image INTEGER, category INTEGER, start INTEGER,
                     stop INTEGER);
"""
_BATCH = 2000
_GLANCES = {"annotations": glance("id", "image_id", "category_id", zero=["iscrowd"])}
_RAW_LISTS = ("images", "annotations")
_RAW_GLANCES = {"annotations": glance()}
_URLS = ("flickr_url", "coco_url", "url")
MAX_CATEGORIES = 10_000


def annotation_files(folder: Path) -> list[Path]:
    """The annotation files of an export's folder, or of its annotations/; FormatError if none."""
    flat = folder / FLAT_NAME
    inside = folder if folder.name == ANNOTATIONS else folder / ANNOTATIONS
    found = sorted(inside.glob(f"{PREFIX}*.json"))
    if not found and not flat.is_file():
        raise FormatError(
            "there is no COCO file",
            where=str(folder),
            expected=f"{ANNOTATIONS}/{PREFIX}SPLIT.json, or {FLAT_NAME}",
        )
    return found or [flat]


def image_folder(file: Path) -> Path:
    """Where the images of an annotation file lie by default.

    Of annotations/person_keypoints_SPLIT.json in images/SPLIT or, as COCO unpacks, in SPLIT beside
    annotations/; of any other file beside it.
    """
    if file.parent.name == ANNOTATIONS and file.stem.startswith(PREFIX):
        split = file.stem.removeprefix(PREFIX)
        top = file.parent.parent
        for folder in (top / IMAGES / split, top / split):
            if split and folder.is_dir():
                return folder
    return file.parent


class _Entry(NamedTuple):
    id: int
    image: int
    category: int
    start: int
    stop: int


class CocoFile:
    """An opened COCO keypoint file; FormatError for whatever is wrong with it.

    `ours`: written by this package, so image ids are frame indices. `left_out` counts what is
    no person with keypoints, by reason. `licence` and `source`: of the image that came last.
    """

    licence = source = ""
    source_id: Any = None

    def __init__(self, path: Path, skeleton: Skeleton | None = None) -> None:
        """Open it; with `skeleton` for the categories that have its joints."""
        self.path = path
        self._wanted = skeleton
        self.left_out: Counter[str] = Counter()
        self.assets: list[AssetRow] = []
        self._categories: dict[int, dict[str, Any]] = {}
        self._info: Any = None
        self._licences: dict[int, str] = {}
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
        self.skeleton = self._skeleton()
        self.ours = isinstance(self._info, dict) and (
            self._info.get("description") == INFO["description"]
        )
        self._check()

    def close(self) -> None:
        self._base.close()

    def __len__(self) -> int:
        return int(self._base.execute("SELECT count(*) FROM images").fetchone()[0])

    def ids(self) -> Iterator[int]:
        for (found,) in self._base.execute("SELECT id FROM images ORDER BY id"):
            yield found

    def samples(self) -> Iterator[tuple[Row, list[Row]]]:
        """Yield each image's row with those of its people, by rising id; `index` is the id."""
        marks = ",".join("?" * len(self._person_categories))
        people = map(
            _Entry._make,
            self._base.execute(
                f"SELECT * FROM people WHERE category IN ({marks}) ORDER BY image, id",
                self._person_categories,
            ),
        )
        entry = next(people, None)
        with self.path.open("rb") as file:
            for number, start, stop in self._base.execute("SELECT * FROM images ORDER BY id"):
                image = parse_range(file, start, stop)
                frame = frame_row(image, self.skeleton)
                self.source_id = image.get("id")
                with checked.reading(f"image {number}"):
                    self.licence = self._licences.get(image.get("license"), "")
                urls = (image.get(name) for name in _URLS)
                self.source = next((u[:500] for u in urls if isinstance(u, str) and u), "")
                found: list[Row] = []
                while entry is not None and entry.image == number:
                    value = parse_range(file, entry.start, entry.stop)
                    found.append(self._person(value, frame, len(found) + 1))
                    if len(found) > checked.MAX_PEOPLE:
                        raise bad("too many people in a picture", where=f"image {number}")
                    entry = next(people, None)
                _check_numbers(found, number)
                yield frame, found

    @property
    def notes(self) -> list[str]:
        """What was left out, and how often."""
        return [f"{n} x {what}" for what, n in sorted(self.left_out.items())]

    def _person(self, value: dict[str, Any], frame: Row, number: int) -> Row:
        row = instance_row(value, frame, number, len(self.skeleton.joints))
        unnamed = sum(
            1
            for x, y, v in zip(*(value["keypoints"][k::3] for k in range(3)), strict=True)
            if v == 0 and (x or y)
        )
        if unnamed:
            self.left_out["coordinates of a joint with v=0"] += unnamed
        return row

    def _scan(self) -> None:
        images: list[tuple[int, ...]] = []
        people: list[_Entry] = []
        seen = set()
        for key, span in read_members(self.path, streamed=_STREAMED, glances=_GLANCES):
            if span is BEGIN:
                seen.add(key)
            elif key == "images":
                with checked.reading(f"{self.path}, byte {span.start}"):
                    images.append((checked.integer(span.value["id"]), span.start, span.stop))
            elif key == "annotations":
                entry = self._entry(span)
                people += [entry] if entry else []
            else:
                self._add_head(key, span)
            if len(images) + len(people) >= _BATCH:
                self._store(images, people)
        self._store(images, people)
        for name in _LISTS:
            if name not in seen:
                raise bad(f"no list {name}", where=str(self.path))

    def _add_head(self, key: str, span: Span) -> None:
        if key == "info":
            self._info = span.value
        elif key == "categories":
            self._add_category(span)
        elif key == "licenses":
            self._add_licence(span)

    def _store(self, images: list[tuple[int, ...]], people: list[_Entry]) -> None:
        try:
            self._base.executemany("INSERT INTO images VALUES (?, ?, ?)", images)
            self._base.executemany("INSERT INTO people VALUES (?, ?, ?, ?, ?)", people)
        except sqlite3.IntegrityError as error:
            raise bad("two images or two annotations have one id", where=str(self.path)) from error
        images.clear()
        people.clear()

    def _entry(self, span: Span) -> _Entry | None:
        value = span.value
        with checked.reading(f"{self.path}, byte {span.start}"):
            if value.get("iscrowd"):
                self.left_out["iscrowd region"] += 1
                return None
            number, image = checked.integer(value["id"]), checked.integer(value["image_id"])
            category = checked.integer(value["category_id"])
            return _Entry(number, image, category, span.start, span.stop)

    def _add_category(self, span: Span) -> None:
        with checked.reading(f"{self.path}, byte {span.start}"):
            number = checked.integer(span.value["id"])
            if number in self._categories or len(self._categories) >= MAX_CATEGORIES:
                raise ValueError("two categories have one id, or there are too many")
            self._categories[number] = span.value

    def _add_licence(self, span: Span) -> None:
        """Take over our own licence ledger; in files of others images refer to licences by id."""
        value = span.value
        with checked.reading(f"{self.path}, byte {span.start}"):
            name, url = checked.text(value.get("name", "")), checked.text(value.get("url", ""))
            if "sha256" not in value:
                self._licences[checked.integer(value["id"])] = f"{name} {url}".strip()
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
        """Return the skeleton of the categories with keypoints, and note which they are."""
        self._person_categories: list[int] = []
        found: Skeleton | None = None
        for number, category in self._categories.items():
            one = self._skeleton_of(category)
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

    def _skeleton_of(self, category: dict[str, Any]) -> Skeleton | None:
        """The skeleton of a category: as wanted, as our own export defines it, or a known one."""
        keypoints, defined = category.get("keypoints"), category.get("own_skeleton")
        if self._wanted is not None or defined is None:
            return match_skeleton(keypoints, self._wanted)
        with checked.reading(f"{self.path}, categories"):
            try:
                return match_skeleton(keypoints, own_skeleton(defined, "own_skeleton"))
            except RecipeError as error:
                raise ValueError(str(error)) from error

    def _check(self) -> None:
        orphan = self._base.execute(
            "SELECT id, image FROM people WHERE image NOT IN (SELECT id FROM images) LIMIT 1"
        ).fetchone()
        if orphan:
            raise bad("no such image", where=f"annotation {orphan[0]}", got=orphan[1])
        for category, count in self._base.execute(
            "SELECT category, count(*) FROM people GROUP BY category"
        ):
            if category not in self._categories:
                raise bad("no such category", where=str(self.path), got=category)
            if category not in self._person_categories:
                name = str(self._categories[category].get("name"))[:80]
                self.left_out[f"annotation of category {name}, without keypoints"] += count
                self._check_left_out(category)

    def _check_left_out(self, category: int) -> None:
        """Parse what nobody else will: the first reading may only have glanced at it."""
        found = self._base.execute("SELECT start, stop FROM people WHERE category = ?", [category])
        with self.path.open("rb") as file:
            for start, stop in found:
                parse_range(file, start, stop)


_ALIASES = {"head": "head_top", "top_head": "head_top", "headtop": "head_top"}


_MAKE_ONE = "Make a skeleton of it: synthstudio skeleton FILE --out NAME.yaml; then --skeleton."


def match_skeleton(names: Any, wanted: Skeleton | None = None) -> Skeleton | None:
    """Return the skeleton that has joints of these names in this order, or None.

    `wanted`: that one, or none.
    """
    if not isinstance(names, list) or not all(isinstance(n, str) for n in names):
        return None
    if wanted is not None and tuple(names) == wanted.joints:
        return wanted
    plain = tuple(map(plain_joint_name, names))
    among = (SKELETONS | FOREIGN).values() if wanted is None else (wanted,)
    return next((s for s in among if s.joints == plain), None)


def _check_numbers(people: list[Row], image: int) -> None:
    numbers = [row["instance"] for row in people]
    if len(set(numbers)) != len(numbers):
        raise FormatError(f"image {image}: two people have one instance_number.")


class RawCoco:
    """The entries of a file as they stand, inside `with`; FormatError when it is no COCO file.

    `head`: every top-level entry but images and annotations. Annotations are read each time;
    images, which often come behind them, are kept in a temporary file.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.head: dict[str, Any] = {}
        self._images = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - see close
        try:
            self._read()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> RawCoco:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._images.close()

    def _read(self) -> None:
        seen = set()
        for key, span in read_members(
            self.path, streamed=_RAW_LISTS, nan=True, glances=_RAW_GLANCES
        ):
            if key not in _RAW_LISTS:
                self.head[key] = span.value
            elif span is BEGIN:
                seen.add(key)
            elif key == "images":
                self._images.write(json.dumps(span.value) + "\n")
        for name in _RAW_LISTS:
            if name not in seen:
                raise bad(f"no list {name}", where=str(self.path))
        if not isinstance(self.head.get("categories"), list):
            raise bad("no list categories", where=str(self.path))

    def images(self) -> Iterator[Any]:
        """Yield the entries of `images`; one iterator at a time."""
        self._images.seek(0)
        for line in self._images:
            yield json.loads(line)

    def annotations(self) -> Iterator[Any]:
        for key, span in read_members(self.path, streamed=_RAW_LISTS, nan=True):
            if key == "annotations" and span is not BEGIN:
                yield span.value


def read_entries(path: Path) -> Iterator[tuple[str, Any]]:
    """Yield (list, entry) of images, annotations and categories, and (key, value) of the rest.

    In the order of the file, one at a time; FormatError for an entry that is no JSON object.
    """
    for key, span in read_members(path, streamed=_LISTS):
        if span is BEGIN:
            continue
        with checked.reading(f"{path}, byte {span.start}"):
            if key in _LISTS and not isinstance(span.value, dict):
                raise ValueError(f"an entry of {key} is no object")
        yield key, span.value


def plain_joint_name(name: str) -> str:
    """Return a keypoint name as skeletons spell it."""
    plain = name.strip().lower().replace(" ", "_").replace("-", "_")
    return _ALIASES.get(plain, plain)
