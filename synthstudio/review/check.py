"""Validation of a client's edits of a person: types, limits, names and consistency."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from synthstudio.core.labels import HIDDEN_CAUSES, STATE_HIDDEN, STATE_OUTSIDE, STATE_VISIBLE
from synthstudio.core.masks import as_rle
from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import NO_STATE, Row
from synthstudio.formats.checked import beyond
from synthstudio.quality.checks import is_number
from synthstudio.review.masks import drawn_masks, masks_on_disk
from synthstudio.review.values import (
    FRAME,
    FRAME_STATUSES,
    MAIN,
    STATUSES,
    JointLabel,
    Op,
    invalid,
)

MAX_TEXT = 2_000
MAX_NAME = 80
MAX_INT = 2**31 - 1
FIRST_OBJECT = 1_000
"""Instances from here are objects (docs/conventions.md)."""
MAX_FRAME_SIZES = 4.0
"""Maximum distance of a joint from the frame's corner, in frame widths and heights."""
MIN_BOX_PX = 1
CAUSES_OF: dict[int | None, tuple[str, ...]] = {
    STATE_VISIBLE: ("visible",),
    STATE_HIDDEN: HIDDEN_CAUSES,
    STATE_OUTSIDE: ("truncated",),
    None: ("unlabelled",),
}
"""State -> allowed causes."""


@dataclass(frozen=True, kw_only=True)
class Base:
    """A person on disk. `joints` None and not `exists`: not in the data set.

    `skeleton`: the names of its joints, in order. `masks`: the counts of its valid masks, by
    name. `people`: the numbers of all on disk in the frame. `clip`: that of the frame, None for
    none; `tracks`: number -> track of those on disk who have one.
    """

    skeleton: tuple[str, ...]
    width_px: int
    height_px: int
    joints: Mapping[str, JointLabel] | None
    exists: bool
    masks: Mapping[str, str] = field(default_factory=dict)
    people: tuple[int, ...] = ()
    clip: str | None = None
    tracks: Mapping[int, int] = field(default_factory=dict)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the picture."""
        return self.height_px, self.width_px


def base_of(dataset: Dataset, frame: int, instance: int) -> Base:
    """Read a person from a data set; DatasetError if the frame is missing."""
    names = get_skeleton(dataset.identity.skeleton).joints
    people = {row["instance"]: row for row in dataset.instances(frame)}
    return base_in(dataset.frame(frame), people, instance, names)


def base_in(frame: Row, people: Mapping[int, Row], instance: int, names: tuple[str, ...]) -> Base:
    """A person by a frame's rows; `people`: number -> row, `names`: of the joints."""
    row, size = people.get(instance), (frame["height_px"], frame["width_px"])
    return Base(
        skeleton=names,
        width_px=size[1],
        height_px=size[0],
        joints=None if row is None else labels_of(row, names),
        exists=row is not None,
        masks=masks_on_disk(row, size),
        people=tuple(people),
        clip=frame["clip_id"],
        tracks={n: r["track_id"] for n, r in people.items() if r["track_id"] is not None},
    )


def labels_of(row: Row, names: tuple[str, ...]) -> dict[str, JointLabel]:
    px = row["joints_px"]
    return {
        name: JointLabel(
            x_px=finite_or_none(px[2 * j]),
            y_px=finite_or_none(px[2 * j + 1]),
            state=None if row["state"][j] == NO_STATE else row["state"][j],
            cause=row["cause"][j],
            origin=row["origin"][j],
        )
        for j, name in enumerate(names)
    }


def finite_or_none(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None


def checked_op(op: Op, base: Base) -> Op:
    """An op with its masks as codes, checked without the database; Refused("invalid").

    Types, and numbers that identify it, were checked by studio.editor.ops, or are our own.
    """
    if op.kind in ("edit", "add"):
        _check_joints(op.joints, base)
        if op.box is not None:
            _check_box(op.box, base)
        if op.masks is not None:
            if op.person.layer != MAIN:
                invalid("a second review has no masks", "layer", expected=MAIN, got=op.person.layer)
            drawn = drawn_masks(op.masks, base.size)
            codes = {which: as_rle(counts, base.size) for which, counts in drawn.items()}
            op = replace(op, masks=codes)
        rest = (op.box, op.masks, op.track, op.keyframe)
        if not op.joints and (op.kind == "add" or all(part is None for part in rest)):
            invalid(f"an {op.kind} has joints", "joints", expected="at least one joint")
    elif op.joints or op.box is not None or op.masks is not None:
        invalid(f"{op.kind} has no joints, no box and no masks", "joints", expected="none")
    if op.kind == "add" and not 1 <= op.person.instance < FIRST_OBJECT:
        expected = f"1 to {FIRST_OBJECT - 1}"
        invalid("invalid person number", "instance", expected=expected, got=op.person.instance)
    _check_time(op, base)
    _check_status(op)
    check_text(op.text, "text")
    _check_thread(op, base)
    if op.kind == "reject_prediction":
        check_name(op.text, "text")
    if op.kind == "revert":
        check_int(op.event, "event", minimum=1)
    return op


def _check_thread(op: Op, base: Base) -> None:
    if op.kind == "comment" and not op.text.strip():
        invalid("empty comment", "text", expected="some text")
    if op.kind in ("resolve", "reopen") or (op.kind == "comment" and op.event is not None):
        check_int(op.event, "event", minimum=1)
    if op.joint is None:
        return
    if op.kind != "comment" or op.event is not None:
        invalid("only a thread's first comment points at a joint", "joint", expected="none")
    if op.joint not in base.skeleton:
        expected = ", ".join(base.skeleton[:4]) + "..."
        invalid("the skeleton has no such joint", "joint", expected=expected, got=op.joint)


def _check_time(op: Op, base: Base) -> None:
    if op.track is None and op.keyframe is None:
        return
    if op.kind not in ("edit", "add"):
        invalid(f"{op.kind} has no track and no key frame", "track", expected="none")
    if base.clip is None:
        invalid("only people of a clip have tracks", op.person.where, expected="a frame of a clip")
    if op.person.layer != MAIN:
        invalid("tracks are those of the layer main", "layer", expected=MAIN, got=op.person.layer)


def _check_status(op: Op) -> None:
    whole = op.person.instance == FRAME
    if whole and op.kind not in ("status", "revert"):
        invalid(
            "a whole frame has only a status: no_people or pending",
            "instance",
            expected="the number of a person",
            got=FRAME,
        )
    statuses = FRAME_STATUSES if whole else STATUSES
    if op.kind == "status" and op.status not in statuses:
        invalid("no such status", "status", expected=", ".join(statuses), got=op.status)


def check_name(name: object, where: str) -> None:
    """Check a name: 1 to 80 characters, without control characters."""
    expected = f"1 to {MAX_NAME} characters"
    if not isinstance(name, str) or not 1 <= len(name) <= MAX_NAME or not name.strip():
        invalid("not a valid name", where, expected=expected, got=name)
    if any(ord(c) < 32 or 127 <= ord(c) < 160 for c in name):
        invalid("a name must not contain control characters", where, expected=expected, got=name)
    _check_encodable(name, where)


def check_text(text: object, where: str) -> None:
    """Check a text: at most 2,000 characters, no NUL."""
    if not isinstance(text, str) or len(text) > MAX_TEXT or "\0" in text:
        got = f"{len(text)} characters" if isinstance(text, str) else text
        expected = f"at most {MAX_TEXT:,} characters, no NUL"
        invalid("invalid text", where, expected=expected, got=got)
    _check_encodable(text, where)


def check_int(value: object, where: str, *, minimum: int = 0) -> None:
    """Check a whole number that fits a column (True is none)."""
    if type(value) is not int or not minimum <= value <= MAX_INT:
        invalid("not a valid number", where, expected=f"a whole number from {minimum}", got=value)


def is_share(value: object) -> bool:
    return is_number(value) and 0 <= value <= 1  # type: ignore[operator]


def check_joint(label: JointLabel, where: str, base: Base) -> None:
    if type(label.state) not in (int, type(None)) or label.state not in CAUSES_OF:
        invalid("no such state", where, expected="2, 1, 0 or nothing", got=label.state)
    if label.cause not in CAUSES_OF[label.state]:
        expected = f"for state {label.state}: {', '.join(CAUSES_OF[label.state])}"
        invalid("state and cause do not go together", where, expected=expected, got=label.cause)
    for value, size, axis in ((label.x_px, base.width_px, "x"), (label.y_px, base.height_px, "y")):
        maximum = MAX_FRAME_SIZES * size
        if value is not None and not (is_number(value) and abs(value) <= maximum):
            expected = f"pixels, at most {maximum:g}"
            invalid("invalid position", f"{where}.{axis}_px", expected=expected, got=value)
    if (label.x_px is None) != (label.y_px is None):
        invalid("x without y", where, expected="both or none")
    if label.x_px is None and label.state in (STATE_VISIBLE, STATE_HIDDEN):
        invalid("visible or hidden joint without a position", where, expected="x and y")
    if label.state and label.place is not None and beyond(label.place, base.size):
        expected = "a position in the picture, or state 0"
        invalid("visible or hidden joint outside the picture", where, expected=expected)


def _check_box(box: object, base: Base) -> None:
    size = (base.width_px, base.height_px)
    expected = f"x, y, width and height from {MIN_BOX_PX} px inside {size[0]} x {size[1]}"
    values = list(box) if isinstance(box, list | tuple) else []
    if len(values) != 4 or not all(type(v) in (int, float) and abs(v) <= MAX_INT for v in values):
        invalid("invalid box", "box", expected=expected, got=box)
    for low, wide, maximum in zip(values[:2], values[2:], size, strict=True):
        if low < 0 or wide < MIN_BOX_PX or low + wide > maximum + 1e-3:
            invalid("box outside the picture", "box", expected=expected, got=box)


def _check_joints(joints: Mapping[str, JointLabel], base: Base) -> None:
    for name, label in joints.items():
        if name not in base.skeleton:
            expected = ", ".join(base.skeleton[:4]) + "..."
            invalid("the skeleton has no such joint", "joints", expected=expected, got=name)
        check_joint(label, name, base)


def _check_encodable(text: str, where: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        invalid("incomplete character in the text", where, expected="whole characters")


def moved(now: JointLabel, to: JointLabel) -> bool:
    """Whether a joint moved by more than rounding to a hundredth of a pixel."""
    here, there = now.place, to.place
    if here is None or there is None:
        return here is not there
    return max(abs(here[0] - there[0]), abs(here[1] - there[1])) > 0.01
