"""CVAT for images 1.1 with skeletons: annotations.xml and images/SPLIT/.

Points are continuous pixels. occluded="1": hidden; outside="1": outside the picture or unlabelled,
both are read as unlabelled. `subset` is the split. To the sidecar: boxes, masks, fractions, causes.

Read as CVAT writes it (cvat-ai/cvat, cvat/apps/dataset_manager/formats/cvat.py,
`dump_as_cvat_annotation` and `CvatExtractor._load_items`): labels with `parent` are joints of
that label's skeleton; of a project each image has `subset`, and lies in images/SUBSET/NAME; of a
video's task names have no suffix. Labels with the joints of a known skeleton are people.

The XML is read twice by Expat without DTD, entities and other encodings, a picture at a time.
"""

from __future__ import annotations

import shutil
import tempfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.parsers import expat
from xml.sax.saxutils import quoteattr

from synthstudio.core.errors import FormatError, SynthStudioError
from synthstudio.core.images import SUFFIXES
from synthstudio.core.labels import STATE_HIDDEN, STATE_VISIBLE
from synthstudio.core.safe_files import file_inside, is_file_below, plain_name
from synthstudio.core.skeleton import FOREIGN, SKELETONS, Skeleton, get_skeleton, known_joints
from synthstudio.dataset.rows import Row
from synthstudio.formats import checked, exchange

FILE_NAME = "annotations.xml"
MAX_IMAGE_BYTES = 16 * 1024 * 1024
"""Maximum characters of one picture's element, and of any token."""
MAX_DEPTH = 32
_CHUNK = 1 << 18
_FOLDER = "images/"
Attributes = dict[str, str]
Shape = tuple[str, Attributes, list[Attributes]]
"""A shape's tag and attributes, and those of the points in it."""
Image = tuple[Attributes, list[Shape]]
_PERSON, _SKELETON = "person", "skeleton"


def head(skeleton: Skeleton, count: int) -> str:
    labels = [("person", "skeleton", "")] + [(j, "points", "person") for j in skeleton.joints]
    lines = "".join(
        f"<label><name>{name}</name><type>{kind}</type><attributes></attributes>"
        + (f"<parent>{parent}</parent>" if parent else "")
        + "</label>\n"
        for name, kind, parent in labels
    )
    return (
        '<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n<version>1.1</version>\n'
        f"<meta><task><size>{count}</size><mode>annotation</mode><labels>\n{lines}"
        "</labels></task></meta>\n"
    )


TAIL = "</annotations>\n"


def to_cvat(frame: Row, people: Iterable[Row], skeleton: Skeleton) -> str:
    name, split = quoteattr(Path(frame["file_name"]).name), frame["split"]
    lines = [
        f'<image id="{frame["index"]}" name={name} width="{frame["width_px"]}" '
        f'height="{frame["height_px"]}"{f" subset={quoteattr(split)}" if split else ""}>\n'
    ]
    for order, row in enumerate(people):
        lines.append(f'<skeleton label="person" source="manual" z_order="{order}">\n')
        for joint, (x, y, v) in zip(skeleton.joints, checked.points_of(row), strict=True):
            place = f"{exchange.format_number(x)},{exchange.format_number(y)}"
            lines.append(
                f'<points label="{joint}" source="manual" outside="{int(not v)}" '
                f'occluded="{int(v == STATE_HIDDEN)}" points="{place}"></points>\n'
            )
        lines.append("</skeleton>\n")
    return "".join([*lines, "</image>\n"])


@dataclass(frozen=True, kw_only=True)
class Labels:
    """The skeleton of people, and by label: point name -> joint.

    `all_off`: whether a skeleton with all points outside counts.
    """

    skeleton: Skeleton
    joints: Mapping[str, Mapping[str, str]]
    all_off: bool = False


def from_cvat(
    shapes: Iterable[Shape], frame: Row, labels: Labels, left: exchange.Skipped
) -> list[Row]:
    """Undo `to_cvat` for an image's shapes; ValueError. `left` counts other skeletons."""
    people: list[dict[str, checked.Point]] = []
    for tag, attributes, points in shapes:
        label = attributes.get("label", _PERSON)
        if tag == _SKELETON and label in labels.joints:
            people.append(_joints_of(points, labels.joints[label]))
        elif tag == _SKELETON:
            left[f"skeleton of the label {label[:80]}, whose joints are not people's"] += 1
    kept = [one for one in people if labels.all_off or any(v for _, _, v in one.values())]
    left["skeleton whose points are all switched off (outside)"] += len(people) - len(kept)
    joints = labels.skeleton.joints
    return [
        checked.person_of([person.get(j, checked.ABSENT) for j in joints], frame, number)
        for number, person in enumerate(kept, 1)
    ]


def _joints_of(points: Iterable[Attributes], joints: Mapping[str, str]) -> dict[str, checked.Point]:
    found: dict[str, checked.Point] = {}
    for point in points:
        joint = joints.get(point["label"])
        if joint is None or joint in found:
            raise ValueError(f"the joint {point['label'][:80]} is unknown or duplicated")
        found[joint] = _point(point)
    return found


def _point(attributes: Attributes) -> checked.Point:
    x, y = (checked.number(float(v)) for v in attributes["points"].split(","))
    if attributes.get("outside", "0") == "1":
        return checked.ABSENT
    return x, y, STATE_HIDDEN if attributes.get("occluded", "0") == "1" else STATE_VISIBLE


def write(pictures: Iterable[exchange.Picture], out: Path, target: exchange.Target) -> Path:
    """Write annotations.xml; return it. OSError."""
    path, count = out / FILE_NAME, 0
    with tempfile.TemporaryFile("w+", dir=out, encoding="utf-8") as body:
        for frame, people, _ in pictures:
            body.write(to_cvat(frame, people, target.skeleton))
            count += 1
        body.seek(0)
        with path.open("w", encoding="utf-8") as file:
            file.write(head(target.skeleton, count))
            shutil.copyfileobj(body, file)
            file.write(TAIL)
    return path


def round_trip(frame: Row, people: Sequence[Row], extras: bool) -> list[Row]:
    skeleton = get_skeleton(frame["skeleton"])
    text = to_cvat(frame, people, skeleton)
    own = Labels(skeleton=skeleton, joints={_PERSON: {j: j for j in skeleton.joints}}, all_off=True)
    root = f"<annotations>{text}</annotations>"
    ((_, shapes),) = _Reader("round trip").feed(root.encode(), last=True)
    return from_cvat(shapes, frame, own, exchange.Skipped())


def read(
    path: Path, images: Path | None, also: Sequence[str], *, skeleton: Skeleton | None = None
) -> exchange.Opened:
    """Open annotations.xml (or its folder); pictures lie in images/, or `images`. FormatError."""
    file, root = exchange.locate(path, FILE_NAME, images, "images")
    scan = _Scan(file)
    labels = _people_labels(scan, skeleton, all_off=bool(also), where=str(file))
    places = [_picture(root, subset, name) for subset, name in scan.names]
    left = scan.left
    missing = [place for place in places if not is_file_below(root, place)]
    if missing and len(missing) == len(places):
        file_inside(root, missing[0], where=f"image {missing[0]}")
    left["picture that is not there"] += len(missing)
    gone = set(missing)

    def samples() -> Iterator[exchange.ReadSample | SynthStudioError]:
        for place, image in zip(places, _images(file, _Reader(str(file))), strict=True):
            if place in gone:
                continue
            try:
                yield _sample(image, root, place, labels, left)
            except FormatError as error:
                yield error

    return exchange.Opened(
        skeleton=labels.skeleton,
        names=[_FOLDER + place for place in places if place not in gone],
        samples=samples(),
        left_out=left,
    )


def _people_labels(scan: _Scan, wanted: Skeleton | None, *, all_off: bool, where: str) -> Labels:
    """The labels with the joints of the first matching skeleton; FormatError."""
    among = [wanted] if wanted else [*SKELETONS.values(), *FOREIGN.values()]
    found = {name: known_joints(joints, among) for name, joints in scan.joints.items()}
    known = {name: one for name, one in found.items() if one is not None}
    used = [name for name in known if name in scan.used] or list(known)
    first = _PERSON if _PERSON in used else next(iter(used), None)
    if first is None:
        listed = [f"{name}: {', '.join(joints)[:200]}" for name, joints in scan.joints.items()]
        raise FormatError(
            "no label matches a known skeleton",
            where=where,
            expected=", ".join(skeleton.title for skeleton in among)[:300],
            got="; ".join(listed)[:400] or "no joints",
            then="Define a skeleton of these joints (docs/skeletons.md) for --skeleton.",
        )
    skeleton = known[first][0]
    return Labels(
        skeleton=skeleton,
        joints={name: same for name, (one, same) in known.items() if one is skeleton},
        all_off=all_off,
    )


def _picture(root: Path, subset: str, name: str) -> str:
    inside = f"{subset}/{name}" if subset else name
    wanted = [inside, name]
    if Path(name).suffix.lower() not in SUFFIXES:
        endings = (".png", ".PNG", *SUFFIXES, *(suffix.upper() for suffix in SUFFIXES))
        wanted += [one + ending for one in (inside, name) for ending in endings]
    return next((one for one in wanted if is_file_below(root, one)), inside)


def _sample(
    image: Image, root: Path, place: str, labels: Labels, left: exchange.Skipped
) -> exchange.ReadSample:
    attributes, shapes = image
    where = f"image {attributes.get('name', '')[:200]}"
    with checked.reading(where):
        size = checked.size(int(attributes["width"]), int(attributes["height"]))
        split = exchange.SPLITS.get(attributes.get("subset", "").lower(), "")
        frame = checked.frame_of(_FOLDER + place, size, labels.skeleton.name, split=split)
        people = from_cvat(shapes, frame, labels, left)
    return frame, people, file_inside(root, place, where=where)


class _Reader:
    """Images with their shapes, and the joints of labels, by Expat with limits."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.joints: dict[str, list[str]] = {}
        self._path: list[str] = []
        self._label: dict[str, str] = {}
        self._image: Image = ({}, [])
        self._ended: list[Image] = []
        self._begin = self._fed = 0  # bytes
        self._parser = expat.ParserCreate()
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self._text
        self._parser.StartDoctypeDeclHandler = self._refuse_doctype
        self._parser.XmlDeclHandler = self._check_declaration

    def feed(self, data: bytes, *, last: bool = False) -> list[Image]:
        """The images that end in the next bytes of the file; FormatError."""
        self._fed += len(data)
        try:
            self._parser.Parse(data, last)
        except expat.ExpatError as error:
            raise FormatError(f"invalid XML: {error}", where=self.where) from error
        at = self._parser.CurrentByteIndex
        if self._fed - at > MAX_IMAGE_BYTES:
            raise FormatError("one token is too long", where=f"{self.where}, {at}")
        ended, self._ended = self._ended, []
        return ended

    def _start(self, tag: str, attributes: Attributes) -> None:
        self._path.append(tag)
        if len(self._path) > MAX_DEPTH:
            raise FormatError(f"nested deeper than {MAX_DEPTH}", where=self.where)
        if tag == "label":
            self._label = {"name": "", "parent": ""}
        elif self._path[:2] == ["annotations", "image"]:
            self._add(tag, attributes)
        elif tag == "track":
            raise FormatError(
                "CVAT for video is not supported",
                where=self.where,
                expected="CVAT for images 1.1",
                got=f"a track of the label {attributes.get('label', '')[:80]}",
                then="Export the task again in the format CVAT for images 1.1.",
            )

    def _add(self, tag: str, attributes: Attributes) -> None:
        """Add an element to its image: a shape, or a point of the last shape."""
        depth, shapes = len(self._path), self._image[1]
        if depth == 2:
            self._image, self._begin = (attributes, []), self._parser.CurrentByteIndex
        elif depth == 3:
            shapes.append((tag, attributes, []))
        elif tag == "points" and self._path[-2] == _SKELETON:
            shapes[-1][2].append(attributes)
        self._check_size()

    def _check_size(self) -> None:
        if self._parser.CurrentByteIndex - self._begin > MAX_IMAGE_BYTES:
            raise FormatError("one picture's element is too large", where=self.where)

    def _text(self, data: str) -> None:
        if len(self._path) > 1 and self._path[-2] == "label" and self._path[-1] in self._label:
            self._label[self._path[-1]] += data

    def _end(self, tag: str) -> None:
        if tag == "label" and self._label.get("parent"):
            self.joints.setdefault(self._label["parent"], []).append(self._label["name"])
        elif self._path == ["annotations", "image"]:
            self._check_size()
            self._ended.append(self._image)
        self._path.pop()

    def _refuse_doctype(self, *declaration: Any) -> None:
        raise FormatError("a DTD is not allowed", where=self.where)

    def _check_declaration(self, version: str, encoding: str | None, standalone: int) -> None:
        if encoding and encoding.lower() not in ("utf-8", "utf8", "us-ascii"):
            raise FormatError("XML must be UTF-8", where=self.where, got=encoding)


def _images(path: Path, reader: _Reader) -> Iterator[Image]:
    if not path.is_file():
        raise FormatError("there is no such file", where=str(path))
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                yield from reader.feed(chunk)
        yield from reader.feed(b"", last=True)
    except OSError as error:
        raise FormatError(f"cannot be read: {error}", where=str(path)) from error


class _Scan:
    """What a file has: subset and name of images, joints by label, labels that images use."""

    def __init__(self, path: Path) -> None:
        reader, where = _Reader(str(path)), str(path)
        self.names: list[tuple[str, str]] = []
        self.joints, self.used = reader.joints, set[str]()
        self.left = exchange.Skipped()
        for attributes, shapes in _images(path, reader):
            name = plain_name(attributes.get("name"), where=where)
            subset = attributes.get("subset", "")
            self.names.append((plain_name(subset, where=where) if subset else "", name))
            for tag, own, _ in shapes:
                if tag == _SKELETON:
                    self.used.add(own.get("label", _PERSON))
                else:
                    self.left[f"{tag[:40]} outside a skeleton"] += 1
        double = next((name for name, n in Counter(self.names).items() if n > 1), None)
        if double is not None:
            raise FormatError(
                "duplicate image",
                where=where,
                got="/".join(part for part in double if part)[:200],
                then="Export the tasks one by one, or give them subsets.",
            )
