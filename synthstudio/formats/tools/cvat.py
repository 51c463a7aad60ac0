"""CVAT for images 1.1 with skeletons: annotations.xml and images/.

Points are continuous pixels. occluded="1": hidden; outside="1": outside the picture or unlabelled,
both are read as unlabelled. To the sidecar: boxes, masks, shares, causes, 3D.

Read as CVAT writes it (cvat-ai/cvat, cvat/apps/dataset_manager/formats/cvat.py,
`dump_as_cvat_annotation` and `CvatExtractor._load_items`): labels with `parent` are joints of
that label's skeleton; of a project each image has `subset`, and lies in images/SUBSET/NAME; of a
video's task names have no suffix. Labels with the joints of a known skeleton are people.

The XML is read by Expat without DTD, entities and other encodings, a picture at a time.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
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
Element = tuple[str, dict[str, str]]
_SPLITS = {"train": "train", "val": "val", "validation": "val", "valid": "val", "test": "test"}
_PERSON = "person"


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
    lines = [
        f'<image id="{frame["index"]}" name={quoteattr(frame["file_name"].removeprefix(_FOLDER))} '
        f'width="{frame["width_px"]}" height="{frame["height_px"]}">\n'
    ]
    for order, row in enumerate(people):
        lines.append(f'<skeleton label="person" source="manual" z_order="{order}">\n')
        px = row["joints_px"]
        for joint, state, x, y in zip(
            skeleton.joints, row["state"], px[::2], px[1::2], strict=True
        ):
            inside = state in (STATE_HIDDEN, STATE_VISIBLE)
            place = f"{exchange.format_number(x)},{exchange.format_number(y)}" if inside else "0,0"
            lines.append(
                f'<points label="{joint}" source="manual" outside="{int(not inside)}" '
                f'occluded="{int(state == STATE_HIDDEN)}" points="{place}"></points>\n'
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
    found: Sequence[Element], frame: Row, labels: Labels, left: exchange.Skipped
) -> list[Row]:
    """Undo `to_cvat` for the elements inside an image; ValueError. `left` counts the others."""
    skeleton = labels.skeleton
    people: list[dict[str, tuple[float, float, int]]] = []
    joints: Mapping[str, str] | None = None
    for tag, attributes in found:
        if tag == "skeleton":
            joints = labels.joints.get(label := attributes.get("label", _PERSON))
            if joints is None:
                left[f"skeleton of the label {label[:80]}, whose joints are not people's"] += 1
            else:
                people.append({})
        elif tag == "points" and joints is not None:
            joint = joints.get(attributes["label"])
            if joint is None or joint in people[-1]:
                raise ValueError(f"the joint {attributes['label'][:80]} is unknown or duplicated")
            people[-1][joint] = _point(attributes)
    kept = [one for one in people if labels.all_off or any(v for _, _, v in one.values())]
    left["skeleton whose points are all switched off (outside)"] += len(people) - len(kept)
    if len(kept) > checked.MAX_PEOPLE:
        raise ValueError("too many people in a picture")
    absent = (0.0, 0.0, 0)
    return [
        checked.person_of([person.get(j, absent) for j in skeleton.joints], frame, number)
        for number, person in enumerate(kept, 1)
    ]


def _point(attributes: dict[str, str]) -> tuple[float, float, int]:
    x, y = (checked.number(float(v)) for v in attributes["points"].split(","))
    if attributes.get("outside", "0") == "1":
        return 0.0, 0.0, 0
    return x, y, STATE_HIDDEN if attributes.get("occluded", "0") == "1" else STATE_VISIBLE


def write(pictures: Iterable[exchange.Picture], out: Path, target: exchange.Target) -> Path:
    """Write annotations.xml and images/; return the former. OSError."""
    (out / "images").mkdir()
    path = out / FILE_NAME
    count = 0
    with (out / "body.xml").open("w+", encoding="utf-8") as body:
        for picture in pictures:
            exchange.save_image(out, picture)
            body.write(to_cvat(picture[0], picture[1], target.skeleton))
            count += 1
        body.seek(0)
        with path.open("w", encoding="utf-8") as file:
            file.write(head(target.skeleton, count))
            while chunk := body.read(_CHUNK):
                file.write(chunk)
            file.write(TAIL)
    (out / "body.xml").unlink()
    return path


def round_trip(frame: Row, people: Sequence[Row], extras: bool) -> list[Row]:
    skeleton = get_skeleton(frame["skeleton"])
    text = to_cvat(frame, people, skeleton)
    own = Labels(skeleton=skeleton, joints={_PERSON: {j: j for j in skeleton.joints}}, all_off=True)
    return from_cvat(elements(text.encode(), "round trip")[1:], frame, own, exchange.Skipped())


def read(
    path: Path, images: Path | None, also: Sequence[str], *, skeleton: Skeleton | None = None
) -> exchange.Opened:
    """Open annotations.xml (or its folder); pictures lie in images/, or `images`. FormatError."""
    file, root = exchange.locate(path, FILE_NAME, images, "images")
    scan = _scan(file)
    labels = _people_labels(scan, skeleton, all_off=bool(also), where=str(file))
    places = [_picture(root, subset, name) for subset, name in scan.names]
    left = exchange.Skipped({f"{tag} outside a skeleton": n for tag, n in scan.left.items()})
    missing = [place for place in places if not is_file_below(root, place)]
    if missing and len(missing) == len(places):
        file_inside(root, missing[0], where=f"image {missing[0]}")
    left["picture that is not there"] += len(missing)

    def samples() -> Iterator[exchange.ReadSample | SynthStudioError]:
        with file.open("rb") as opened:
            for k, place in enumerate(places):
                start, stop = scan.starts[k], scan.stops[k]
                opened.seek(start)
                one = elements(opened.read(stop - start), f"{file}, byte {start}")
                if not is_file_below(root, place):
                    continue
                try:
                    yield _sample(one, root, place, labels, left)
                except FormatError as error:
                    yield error

    gone = set(missing)
    return exchange.Opened(
        skeleton=labels.skeleton,
        names=[_FOLDER + place for place in places if place not in gone],
        samples=samples(),
        left_out=left,
    )


def _people_labels(scan: _Scanner, wanted: Skeleton | None, *, all_off: bool, where: str) -> Labels:
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
    found: list[Element], root: Path, place: str, labels: Labels, left: exchange.Skipped
) -> exchange.ReadSample:
    attributes = found[0][1]
    where = f"image {attributes.get('name', '')[:200]}"
    with checked.reading(where):
        width, height = checked.size(int(attributes["width"]), int(attributes["height"]))
        frame = checked.frame_of(
            index=0,
            file_name=_FOLDER + place,
            width=width,
            height=height,
            skeleton=labels.skeleton.name,
            split=_SPLITS.get(attributes.get("subset", "").lower(), ""),
        )
        people = from_cvat(found[1:], frame, labels, left)
    return frame, people, file_inside(root, place, where=where)


class _Parser:
    """Expat with limits, reporting byte offsets of elements."""

    def __init__(self, where: str) -> None:
        self.where = where
        self.path: list[str] = []
        self._parser = expat.ParserCreate()
        self._parser.buffer_text = False
        self._parser.StartElementHandler = self._start
        self._parser.EndElementHandler = self._end
        self._parser.CharacterDataHandler = self.text
        self._parser.StartDoctypeDeclHandler = self._refuse_doctype
        self._parser.XmlDeclHandler = self._check_declaration
        self._fed = 0

    @property
    def byte(self) -> int:
        return self._parser.CurrentByteIndex

    def feed(self, data: bytes, last: bool) -> None:
        self._fed += len(data)
        try:
            self._parser.Parse(data, last)
        except expat.ExpatError as error:
            raise FormatError(f"invalid XML: {error}", where=self.where) from error
        if self._fed - self.byte > MAX_IMAGE_BYTES:
            raise FormatError("one token is too long", where=f"{self.where}, {self.byte}")

    def start(self, tag: str, attributes: dict[str, str]) -> None: ...

    def end(self, tag: str) -> None: ...

    def text(self, data: str) -> None: ...

    def _start(self, tag: str, attributes: dict[str, str]) -> None:
        self.path.append(tag)
        if len(self.path) > MAX_DEPTH:
            raise FormatError(f"nested deeper than {MAX_DEPTH}", where=self.where)
        self.start(tag, attributes)

    def _end(self, tag: str) -> None:
        self.end(tag)
        self.path.pop()

    def _refuse_doctype(self, *declaration: Any) -> None:
        raise FormatError("a DTD is not allowed", where=self.where)

    def _check_declaration(self, version: str, encoding: str | None, standalone: int) -> None:
        if encoding and encoding.lower() not in ("utf-8", "utf8", "us-ascii"):
            raise FormatError("XML must be UTF-8", where=self.where, got=encoding)


class _Scanner(_Parser):
    """Collects image spans, joints of labels and used skeletons."""

    def __init__(self, where: str) -> None:
        super().__init__(where)
        self.names: list[tuple[str, str]] = []  # subset, name
        self.starts, self.stops = array("q"), array("q")
        self.joints: dict[str, list[str]] = {}
        self.used: set[str] = set()
        self.left = Counter[str]()
        self._label: dict[str, str] = {}

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "label":
            self._label = {"name": "", "type": "", "parent": ""}
        elif self.path == ["annotations", "image"]:
            self._close()
            name = plain_name(attributes.get("name"), where=self.where)
            subset = attributes.get("subset", "")
            self.names.append((plain_name(subset, where=self.where) if subset else "", name))
            self.starts.append(self.byte)
        elif self.path[:2] == ["annotations", "image"] and len(self.path) == 3:
            if tag != "skeleton":
                self.left[tag[:40]] += 1
            else:
                self.used.add(attributes.get("label", _PERSON))
        elif tag == "track":
            raise FormatError(
                "CVAT for video is not supported",
                where=self.where,
                expected="CVAT for images 1.1",
                got=f"a track of the label {attributes.get('label', '')[:80]}",
                then="Export the task again in the format CVAT for images 1.1.",
            )

    def text(self, data: str) -> None:
        if len(self.path) > 1 and self.path[-2] == "label" and self.path[-1] in self._label:
            self._label[self.path[-1]] += data

    def end(self, tag: str) -> None:
        if tag == "label" and self._label.get("parent"):
            self.joints.setdefault(self._label["parent"], []).append(self._label["name"])
        elif self.path == ["annotations"]:
            self._close()

    def _close(self) -> None:
        """End an image's text where the next element begins: tags may be self-closing."""
        if len(self.stops) < len(self.starts):
            self.stops.append(self.byte)
            if self.byte - self.starts[-1] > MAX_IMAGE_BYTES:
                raise FormatError("one picture's element is too large", where=self.where)


class _EndOfImage(Exception):
    """The image's element has ended; the rest is not read."""


class _Collector(_Parser):
    def __init__(self, where: str) -> None:
        super().__init__(where)
        self.found: list[Element] = []

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        # Points outside a skeleton are ignored.
        if tag != "points" or self.path[-2] == "skeleton":
            self.found.append((tag, attributes))

    def end(self, tag: str) -> None:
        if len(self.path) == 1:
            raise _EndOfImage


def _scan(path: Path) -> _Scanner:
    scanner = _Scanner(str(path))
    if not path.is_file():
        raise FormatError("there is no such file", where=str(path))
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                scanner.feed(chunk, last=False)
        scanner.feed(b"", last=True)
    except OSError as error:
        raise FormatError(f"cannot be read: {error}", where=str(path)) from error
    names = scanner.names
    if len(set(names)) != len(names) or len(names) != len(scanner.stops):
        double = next((name for name, n in Counter(names).items() if n > 1), ("", ""))
        raise FormatError(
            "duplicate image",
            where=str(path),
            got="/".join(part for part in double if part)[:200],
            then="Export the tasks one by one, or give them subsets.",
        )
    return scanner


def elements(data: bytes, where: str) -> list[Element]:
    """Return the image's element in some text, and those inside it; FormatError."""
    collector = _Collector(where)
    with suppress(_EndOfImage):
        collector.feed(data, last=True)
    return collector.found
