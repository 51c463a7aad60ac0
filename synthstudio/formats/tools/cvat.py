"""CVAT for images 1.1 with skeletons, there and back: annotations.xml and images/.

Points are continuous pixels. occluded="1": hidden; outside="1": outside the picture or unlabelled,
both come back as unlabelled. To the sidecar: boxes, masks, shares, causes, 3D.

The XML is read by Expat without DTD, entities and other encodings, a picture at a time.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.parsers import expat
from xml.sax.saxutils import quoteattr

from synthstudio.core.errors import FormatError
from synthstudio.core.labels import STATE_HIDDEN, STATE_VISIBLE
from synthstudio.core.safe_files import file_inside, plain_name
from synthstudio.core.skeleton import Skeleton, get_skeleton
from synthstudio.dataset.rows import Row
from synthstudio.formats import checked
from synthstudio.formats.coco.file import match_skeleton
from synthstudio.formats.exchange import (
    Opened,
    Picture,
    ReadSample,
    Target,
    format_number,
    locate,
    save_image,
)

FILE_NAME = "annotations.xml"
MAX_IMAGE_BYTES = 16 * 1024 * 1024
"""Of the text of one picture's element, and of any single token."""
MAX_DEPTH = 32
_CHUNK = 1 << 18
_FOLDER = "images/"
Element = tuple[str, dict[str, str]]


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
            place = f"{format_number(x)},{format_number(y)}" if inside else "0,0"
            lines.append(
                f'<points label="{joint}" source="manual" outside="{int(not inside)}" '
                f'occluded="{int(state == STATE_HIDDEN)}" points="{place}"></points>\n'
            )
        lines.append("</skeleton>\n")
    return "".join([*lines, "</image>\n"])


def from_cvat(found: Sequence[Element], frame: Row, skeleton: Skeleton) -> list[Row]:
    """Undo `to_cvat` for the elements inside an image; ValueError."""
    people: list[dict[str, tuple[float, float, int]]] = []
    for tag, attributes in found:
        if tag == "skeleton":
            people.append({})
        elif tag == "points" and people:
            joint = attributes["label"]
            if joint not in skeleton.joints or joint in people[-1]:
                raise ValueError(f"the joint {joint[:80]} is unknown or comes twice")
            people[-1][joint] = _point(attributes)
    if len(people) > checked.MAX_PEOPLE:
        raise ValueError("too many people in a picture")
    absent = (0.0, 0.0, 0)
    return [
        checked.person_of([person.get(j, absent) for j in skeleton.joints], frame, number)
        for number, person in enumerate(people, 1)
    ]


def _point(attributes: dict[str, str]) -> tuple[float, float, int]:
    x, y = (checked.number(float(v)) for v in attributes["points"].split(","))
    if attributes.get("outside", "0") == "1":
        return 0.0, 0.0, 0
    return x, y, STATE_HIDDEN if attributes.get("occluded", "0") == "1" else STATE_VISIBLE


def write(pictures: Iterable[Picture], out: Path, target: Target) -> Path:
    """Write annotations.xml and images/; return the former. OSError."""
    (out / "images").mkdir()
    path = out / FILE_NAME
    count = 0
    with (out / "body.xml").open("w+", encoding="utf-8") as body:
        for picture in pictures:
            save_image(out, picture)
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
    return from_cvat(elements(text.encode(), "round trip")[1:], frame, skeleton)


def read(
    path: Path, images: Path | None, also: Sequence[str], *, skeleton: Skeleton | None = None
) -> Opened:
    """Open annotations.xml (or its folder); pictures lie in images/, or `images`. FormatError."""
    file, root = locate(path, FILE_NAME, images, "images")
    scan = _scan(file)
    found = match_skeleton(scan.joints, skeleton)
    if found is None:
        raise FormatError(
            "no label is a skeleton that is known",
            where=str(file),
            got=", ".join(scan.joints)[:300] or "no joints",
        )

    def samples() -> Iterator[ReadSample]:
        with file.open("rb") as opened:
            for start, stop in zip(scan.starts, scan.stops, strict=True):
                opened.seek(start)
                one = elements(opened.read(stop - start), f"{file}, byte {start}")
                yield _sample(one, root, found)

    return Opened(
        skeleton=found,
        names=[_FOLDER + name for name in scan.names],
        samples=samples(),
        notes=lambda: [f"{n} x {tag} outside a skeleton" for tag, n in scan.left.items()],
    )


def _sample(found: list[Element], root: Path, skeleton: Skeleton) -> ReadSample:
    attributes = found[0][1]
    where = f"image {attributes.get('name', '')[:200]}"
    with checked.reading(where):
        width, height = checked.size(int(attributes["width"]), int(attributes["height"]))
        name = plain_name(attributes["name"], where=where)
        frame = checked.frame_of(
            index=0, file_name=_FOLDER + name, width=width, height=height, skeleton=skeleton.name
        )
        people = from_cvat(found[1:], frame, skeleton)
    return frame, people, file_inside(root, name, where=where)


@dataclass
class _Scan:
    """Where the images of a file lie, and what its labels are."""

    names: list[str] = field(default_factory=list)
    starts: array[int] = field(default_factory=lambda: array("q"))
    stops: array[int] = field(default_factory=lambda: array("q"))
    joints: list[str] = field(default_factory=list)
    left: Counter[str] = field(default_factory=Counter)


class _Parser:
    """Expat with our limits: it says at which byte an element begins and ends."""

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
            raise FormatError(f"no XML: {error}", where=self.where) from error
        if self._fed - self.byte > MAX_IMAGE_BYTES:
            raise FormatError("one token is too long", where=f"{self.where}, {self.byte}")

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        """Take an element's begin."""

    def end(self, tag: str) -> None:
        """Take an element's end."""

    def text(self, data: str) -> None:
        """Take text between tags."""

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
            raise FormatError("XML is read as UTF-8 only", where=self.where, got=encoding)


class _Scanner(_Parser):
    """Notes where images lie and which joints the labels name."""

    def __init__(self, where: str) -> None:
        super().__init__(where)
        self.found = _Scan()
        self._label: dict[str, str] = {}

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        if tag == "label":
            self._label = {"name": "", "type": "", "parent": ""}
        elif self.path == ["annotations", "image"]:
            self._close()
            self.found.names.append(plain_name(attributes.get("name"), where=self.where))
            self.found.starts.append(self.byte)
        elif self.path[:2] == ["annotations", "image"] and len(self.path) == 3:
            if tag != "skeleton":
                self.found.left[tag[:40]] += 1
        elif tag == "track":
            raise FormatError(
                "this is CVAT for video", where=self.where, expected="CVAT for images 1.1"
            )

    def text(self, data: str) -> None:
        if len(self.path) > 1 and self.path[-2] == "label" and self.path[-1] in self._label:
            self._label[self.path[-1]] += data

    def end(self, tag: str) -> None:
        if tag == "label" and self._label.get("parent"):
            self.found.joints.append(self._label["name"])
        elif self.path == ["annotations"]:
            self._close()

    def _close(self) -> None:
        """Let an image's text end where the next element begins: tags may close themselves."""
        if len(self.found.stops) < len(self.found.starts):
            self.found.stops.append(self.byte)
            if self.byte - self.found.starts[-1] > MAX_IMAGE_BYTES:
                raise FormatError("one picture has too much", where=self.where)


class _EndOfImage(Exception):
    """The image's element has ended; what follows is not read."""


class _Collector(_Parser):
    def __init__(self, where: str) -> None:
        super().__init__(where)
        self.found: list[Element] = []

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        # Points that are no part of a skeleton are none of its joints.
        if tag != "points" or self.path[-2] == "skeleton":
            self.found.append((tag, attributes))

    def end(self, tag: str) -> None:
        if len(self.path) == 1:
            raise _EndOfImage


def _scan(path: Path) -> _Scan:
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
    names = scanner.found.names
    if len(set(names)) != len(names) or len(names) != len(scanner.found.stops):
        raise FormatError("an image comes twice", where=str(path))
    return scanner.found


def elements(data: bytes, where: str) -> list[Element]:
    """Return the image's element in some text, and those inside it; FormatError."""
    collector = _Collector(where)
    with suppress(_EndOfImage):
        collector.feed(data, last=True)
    return collector.found
