"""A strict reader of BVH files (Biovision hierarchy): HIERARCHY and MOTION, nothing else.

Format: Meredith and Maddock 2001, "Motion Capture File Formats Explained". Channels may come in
any order; a joint turns by the product of its rotations in the order of its channels. Positions
above and at the hips move the whole body (MotionBuilder and Blender write a root above them);
those of other joints are left: bones keep their length. The root's are added to its OFFSET; those
of a joint below it take its OFFSET's place, as Blender's io_anim_bvh reads and writes them, unless
they lie nearer to 0, where three.js' BVHLoader and others write what is added. Every fault is one
AssetError that names the line.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from synthstudio.body.recording import (
    FPS_RANGE,
    MAX_FRAMES,
    MAX_TURNS,
    Motion,
    recorded,
    roles_of,
)
from synthstudio.core.arrays import F64
from synthstudio.core.errors import AssetError
from synthstudio.core.images import read_bytes

MAX_BYTES = 32 * 1024 * 1024
MAX_JOINTS = 256
MAX_DEPTH = 64
_MAX_SIZE = 1e6
_CHANNELS = {
    f"{axis}{kind}": (kind, place)
    for kind in ("position", "rotation")
    for place, axis in enumerate("XYZ")
}


def read_bvh(path: Path) -> Motion:
    """Return the motion in a BVH file; AssetError names file and line of the first fault."""
    raw = read_bytes(path, limit=MAX_BYTES)
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        raise _fault(
            path.name,
            line,
            "this is not a BVH file",
            "text in UTF-8",
            f"byte {raw[error.start]:#04x}",
        ) from error
    return parse_bvh(text, where=path.name)


def parse_bvh(text: str, *, where: str) -> Motion:
    """Return the motion that the text of a BVH file holds; AssetError for anything else."""
    lines = text.splitlines()
    start = next((n for n, line in enumerate(lines) if line.strip() == "MOTION"), None)
    if start is None:
        raise _fault(
            where,
            len(lines),
            "the file has no MOTION part",
            "a line MOTION",
            then="It may have been cut short: copy it again.",
        )
    tree = _Skeleton(where, lines[:start])
    fps, values, numbers = _motion(lines, start, sum(len(c) for c in tree.channels), where)
    if values.shape[0] * len(tree.names) > MAX_TURNS:
        raise _fault(
            where,
            start + 1,
            "the motion is too long",
            f"at most {MAX_TURNS:,} frames times joints",
            f"{values.shape[0] * len(tree.names):,}",
            "Cut it up.",
        )
    hips = roles_of(tuple(tree.names), where=where)["hips"]
    rotations, root = _rotated(tree, values, hips)
    return recorded(
        joints=tuple(tree.names),
        parents=tuple(tree.parents),
        offsets=np.array(tree.offsets),
        rotations=rotations,
        root=root,
        fps=fps,
        where=where,
        at=lambda frame: f"{where}:{numbers[frame]}",
    )


class _Skeleton:
    """The joints of the HIERARCHY part: one root, its joints, nothing after it."""

    def __init__(self, where: str, lines: list[str]) -> None:
        self.where = where
        self.line = 1
        self.words: Iterator[tuple[int, str]] = (
            (number, word) for number, line in enumerate(lines, start=1) for word in line.split()
        )
        self.names: list[str] = []
        self.parents: list[int] = []
        self.offsets: list[tuple[float, ...]] = []
        self.channels: list[tuple[str, ...]] = []
        self.expect("HIERARCHY")
        self.expect("ROOT")
        self.joint(-1, self.word("a name"))
        open_joints = [0]
        while open_joints:
            word = self.word("JOINT, End or }")
            if word == "}":
                open_joints.pop()
                continue
            if word not in ("JOINT", "End"):
                raise self.fault("unexpected word", "JOINT, End or }", word)
            if len(open_joints) >= MAX_DEPTH or len(self.names) >= MAX_JOINTS:
                raise self.fault(
                    "the skeleton is too large", f"at most {MAX_JOINTS} joints, {MAX_DEPTH} deep"
                )
            parent = open_joints[-1]
            if word == "End":
                self.expect("Site")
                self.end(parent)
                self.expect("}")
            else:
                self.joint(parent, self.word("a name"))
                open_joints.append(len(self.names) - 1)
        extra = next(self.words, None)
        if extra is not None:
            self.line = extra[0]
            raise self.fault("unexpected text after the skeleton", "MOTION", extra[1])

    def joint(self, parent: int, name: str) -> None:
        """Read `{ OFFSET x y z CHANNELS n ...` of a joint."""
        if name in self.names:
            raise self.fault("duplicate joint name", "names that differ", name)
        self.end(parent, name)
        self.expect("CHANNELS")
        count = self.number("a number of channels")
        if count not in range(7):
            raise self.fault("wrong number of channels", "0 to 6", f"{count:g}")
        channels = tuple(self.word("a channel") for _ in range(int(count)))
        if any(c not in _CHANNELS for c in channels) or len(set(channels)) < len(channels):
            raise self.fault(
                "wrong channels", "Xposition to Zrotation, each once", " ".join(channels)
            )
        self.channels[-1] = channels

    def end(self, parent: int, name: str = "") -> None:
        """Read `{ OFFSET x y z`."""
        self.expect("{")
        self.expect("OFFSET")
        self.names.append(name or f"{self.names[parent]} end {len(self.names)}")
        self.parents.append(parent)
        self.offsets.append(tuple(self.number("an offset") for _ in range(3)))
        self.channels.append(())

    def word(self, expected: str) -> str:
        found = next(self.words, None)
        if found is None:
            raise self.fault(
                "the skeleton ends too early",
                expected,
                then="The file may have been cut short: copy it again.",
            )
        self.line, word = found
        return word

    def expect(self, expected: str) -> None:
        word = self.word(expected)
        if word != expected:
            raise self.fault("unexpected word", expected, word)

    def number(self, expected: str) -> float:
        word = self.word(expected)
        value = _number(word)
        if value is None:
            raise self.fault("not a usable number", f"{expected}, at most {_MAX_SIZE:g}", word)
        return value

    def fault(self, what: str, expected: str, got: str | None = None, then: str = "") -> AssetError:
        return _fault(self.where, self.line, what, expected, got, then)


def _motion(
    lines: list[str], start: int, channels: int, where: str
) -> tuple[float, F64, list[int]]:
    """Frames a second, (F, channels) values and their lines; `start` is the place of MOTION."""
    head: list[float] = []
    rows = ((n, line.split()) for n, line in enumerate(lines[start + 1 :], start=start + 2))
    filled = [(n, words) for n, words in rows if words]
    for place, key in enumerate(("Frames:", "Frame Time:")):
        number, words = filled[place] if place < len(filled) else (len(lines), [])
        value = _number(words[-1]) if " ".join(words[:-1]) == key else None
        if value is None:
            raise _fault(
                where,
                number,
                "invalid start of the MOTION part",
                f"{key} and a number",
                " ".join(words)[:40],
            )
        head.append(value)
    frames, frame_s = head
    if frames < 1 or frames > MAX_FRAMES or frames != int(frames):
        raise _fault(
            where, start + 2, "wrong number of frames", f"1 to {MAX_FRAMES:,}", f"{frames:g}"
        )
    if not 1 / FPS_RANGE[1] <= frame_s <= 1 / FPS_RANGE[0]:
        raise _fault(where, start + 3, "wrong frame time", "0.001 to 1 s", f"{frame_s:g}")
    if len(filled) - 2 != frames:
        raise _fault(
            where,
            len(lines),
            "the number of frames differs from the header",
            f"{frames:g} lines of numbers",
            str(len(filled) - 2),
            "The file may have been cut short: copy it again.",
        )
    values = np.empty((int(frames), channels))
    for row, (number, words) in enumerate(filled[2:]):
        if len(words) != channels:
            raise _fault(
                where,
                number,
                "wrong number of channels in a frame",
                f"{channels} numbers, as the skeleton has",
                str(len(words)),
            )
        for column, word in enumerate(words):
            value = _number(word)
            if value is None:
                raise _fault(where, number, "not a usable number", "a finite number", word)
            values[row, column] = value
    return 1 / frame_s, values, [number for number, _ in filled[2:]]


def _number(word: str) -> float | None:
    """A plain finite number; None for anything else, also for 1_000, nan and inf."""
    try:
        value = float(word)
    except ValueError:
        return None
    return value if abs(value) <= _MAX_SIZE and "_" not in word else None


def _rotated(tree: _Skeleton, values: F64, hips: int) -> tuple[F64, F64]:
    """(F, J, 3, 3) rotations and (F, 3) places of the root that bring the hips to theirs."""
    rotations = np.tile(np.eye(3), (len(values), len(tree.names), 1, 1))
    given: dict[int, dict[int, F64]] = {}  # joint -> axis -> position
    column = 0
    for joint, channels in enumerate(tree.channels):
        for channel in channels:
            kind, axis = _CHANNELS[channel]
            if kind == "rotation":
                turn = _about(axis, np.radians(values[:, column]))
                rotations[:, joint] = rotations[:, joint] @ turn
            else:
                given.setdefault(joint, {})[axis] = values[:, column]
            column += 1
    root = np.tile(np.array(tree.offsets[0]), (len(values), 1))
    whole = np.eye(3)
    chain = [hips]
    while chain[-1] > 0:
        chain.append(tree.parents[chain[-1]])
    for joint in reversed(chain):
        shift = np.zeros((len(values), 3))
        for axis, place in given.get(joint, {}).items():
            shift[:, axis] = place
        if joint:
            shift -= _replaced(given.get(joint, {}), tree.offsets[joint])
        root += (whole @ shift[..., None])[..., 0]
        whole = whole @ rotations[:, joint]
    return rotations, root


def _replaced(given: dict[int, F64], offset: tuple[float, ...]) -> F64:
    """The parts of a joint's OFFSET replaced by its positions, by axis."""
    out = np.zeros(3)
    out[list(given)] = np.array(offset)[list(given)]
    middle = np.zeros(3)
    middle[list(given)] = [np.median(place) for place in given.values()]
    return out if np.linalg.norm(middle - out) <= np.linalg.norm(middle) else np.zeros(3)


def _about(axis: int, angle_rad: F64) -> F64:
    out = np.zeros((len(angle_rad), 3, 3))
    i, j = (axis + 1) % 3, (axis + 2) % 3
    out[:, axis, axis] = 1
    out[:, i, i] = out[:, j, j] = np.cos(angle_rad)
    out[:, j, i] = np.sin(angle_rad)
    out[:, i, j] = -out[:, j, i]
    return out


def _fault(
    where: str, line: int, what: str, expected: str, got: str | None = None, then: str = ""
) -> AssetError:
    shown = None if got is None else repr(got[:60])
    return AssetError(
        what, where=f"{where}:{line}", expected=expected, got=shown, then=then or None
    )
