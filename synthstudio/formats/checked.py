"""Validation of untrusted values and rows (ValueError), and rows to and from JSON.

Importers turn errors into a FormatError with the place (`reading`).
"""

import functools
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from pycocotools import mask as coco_mask

from synthstudio.core import labels
from synthstudio.core.errors import FormatError, RecipeError
from synthstudio.core.images import MAX_PIXELS
from synthstudio.core.masks import check_counts, check_plain_counts, check_polygons
from synthstudio.core.people import HIDDEN
from synthstudio.core.skeleton import Skeleton, get_skeleton
from synthstudio.core.visibility import is_labelled
from synthstudio.dataset.rows import COLUMNS, NO_STATE, OBJECTS, Row

MAX_PEOPLE = 999
"""Per picture: object ids start at 1,000."""
LARGEST_PX = 1e7
"""Maximum magnitude of a joint's coordinate."""
MAX_TEXT = 1_000_000
MAX_SPEC = 16_000_000
"""Maximum characters of a FrameSpec."""
_INT64 = 2**63 - 1
_CAUSES = ("unlabelled", "unknown", "visible")
EDGE_PX = 0.5
"""How far beyond the picture a joint may be and still count as inside: rounding."""
Point = tuple[float, float, int]
"""A joint's continuous px, and v: 0 outside or unlabelled, 1 hidden, 2 visible."""
ABSENT: Point = (0.0, 0.0, 0)
_FAULTS = (ValueError, KeyError, TypeError, IndexError, OverflowError, AttributeError, RecipeError)


@contextmanager
def reading(where: str) -> Iterator[None]:
    """Turn errors of checks and conversions into a FormatError that names the place."""
    try:
        yield
    except _FAULTS as error:
        problem = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise FormatError(
            f"invalid entry: {problem[:300]}", where=where, then="Fix or remove it."
        ) from error


def integer(value: Any, low: int = 0, high: int = _INT64) -> int:
    if type(value) is not int or not low <= value <= high:
        raise ValueError(f"not a whole number from {low} to {high}: {value!r:.40}")
    return value


def number(value: Any, limit: float = LARGEST_PX) -> float:
    if type(value) not in (int, float) or not abs(value) <= limit:
        raise ValueError(f"number missing or out of range: {value!r:.40}")
    return float(value)


def numbers(values: Any, limit: float) -> list[float]:
    """Return finite numbers below `limit` as floats, null as NaN."""
    kinds = set(map(type, values)) if isinstance(values, list) else {None}
    if not kinds <= {int, float, type(None)}:
        raise ValueError(f"not a list of numbers: {str(values)[:80]}")
    found = np.array(values, np.float64)
    if (np.abs(found) > limit).any():  # infinity too; NaN compares as False
        raise ValueError("a number is out of range")
    return found.tolist()


def text(value: Any, limit: int = MAX_TEXT) -> str:
    if not isinstance(value, str) or len(value) > limit:
        raise ValueError(f"not a text of at most {limit} characters: {str(value)[:40]}")
    value.encode("utf-8")  # a lone surrogate is a ValueError
    return value


def whole(value: Any) -> Any:
    """A float without a fraction, as 2.0 of a float array, as an int; other values as they are."""
    return int(value) if type(value) is float and value.is_integer() else value


def size(width: Any, height: Any) -> tuple[int, int]:
    """Sides of a picture; 160.0 is accepted for 160, as pandas writes."""
    found = tuple(integer(whole(v), 1, 2**24) for v in (width, height))
    if found[0] * found[1] > MAX_PIXELS:
        raise ValueError(f"a picture of {found[0]} x {found[1]} is too large")
    return found[0], found[1]


def box(values: Any) -> list[float]:
    """Return x, y, w, h; a box may be empty but not inverted."""
    if not isinstance(values, Sequence) or len(values) != 4:
        raise ValueError(f"not a box x, y, w, h: {str(values)[:80]}")
    x, y, w, h = (number(v) for v in values)
    if w < 0 or h < 0:
        raise ValueError(f"a box with a negative side: {values}")
    return [x, y, w, h]


def complete(row: Mapping[str, Any], table: Mapping[str, labels.Label]) -> Row:
    """Return the row with every column of a table."""
    if unknown := sorted(row.keys() - table.keys()):
        raise ValueError(f"unknown columns {', '.join(unknown)}")
    return {name: row[name] if name in row else _empty(one) for name, one in table.items()}


def _empty(label: labels.Label) -> Any:
    if label.null:
        return None
    return [] if label.shape else "" if label.kind == "string" else 0


def frame_of(file_name: Any, size: tuple[int, int], skeleton: str, **more: Any) -> Row:
    """A row of the frames table of a picture (width, height), of which only this is known."""
    known = {"index": 0, "file_name": file_name, "width_px": size[0], "height_px": size[1]}
    return complete({**known, "skeleton": skeleton, **more}, labels.FRAME_LABELS)


def beyond(xy: tuple[float, float], size: tuple[int, int]) -> bool:
    """Whether a position is more than EDGE_PX beyond a picture of (height, width); not if NaN."""
    (x, y), (height, width) = xy, size
    return max(-x, x - width, -y, y - height) > EDGE_PX


def person_of(
    points: Sequence[Point],
    frame: Mapping[str, Any],
    instance: int,
    *,
    box_px: Sequence[float] | None = None,
    as_labelled: bool = False,
    **more: Any,
) -> Row:
    """Return a row of the instances table for joints with only x, y and v known.

    The box defaults to that of the labelled joints, the area to that of the mask, else of the
    box. Joints more than EDGE_PX beyond the picture are outside, unless `as_labelled`.
    """
    if instance > MAX_PEOPLE:
        raise ValueError("too many people in a picture")
    size = frame["height_px"], frame["width_px"]
    state = [integer(v, 0, 2) for _, _, v in points]
    px = [(number(x), number(y)) if v else (math.nan, math.nan) for x, y, v in points]
    if box_px is None or not (as_labelled or min(box_px[2:]) > 0):
        box_px = around_points(px)
    outside = [not as_labelled and beyond(xy, size) for xy in px]
    known = {
        "frame_index": frame["index"],
        "instance": instance,
        "joints_px": [v for pair in px for v in pair],
        "visibility_fractions": [math.nan] * (len(labels.VISIBILITY) * len(state)),
        "state": [
            labels.STATE_OUTSIDE if out else v or NO_STATE
            for v, out in zip(state, outside, strict=True)
        ],
        "cause": [
            "truncated" if out else _CAUSES[v] for v, out in zip(state, outside, strict=True)
        ],
        "ambiguous": [False] * len(state),
        "occluder_id": [0] * len(state),
        "origin": ["human"] * len(state),
        "mask_size": [*size],
        "modal_box_px": [*box_px],
    }
    if "modal_area_px" not in more:
        known["modal_area_px"] = area_of(more.get("modal_counts"), box_px, size)
    return complete({**known, **more}, labels.LABELS)


def area_of(counts: str | None, box_px: Sequence[float], size: Sequence[int]) -> int:
    """The area of a mask's code, else of the box."""
    return round(box_px[2] * box_px[3]) if counts is None else check_counts(counts, size)


def points_of(row: Mapping[str, Any]) -> list[Point]:
    """The joints of a row, ABSENT those that are neither visible nor hidden."""
    px = row["joints_px"]
    return [
        (x, y, state) if state in (labels.STATE_HIDDEN, labels.STATE_VISIBLE) else ABSENT
        for state, x, y in zip(row["state"], px[::2], px[1::2], strict=True)
    ]


def around_points(px: Sequence[tuple[float, float]]) -> list[float]:
    known = [pair for pair in px if pair[0] == pair[0]]
    if not known:
        return [0.0] * 4
    x, y = min(p[0] for p in known), min(p[1] for p in known)
    return [x, y, max(p[0] for p in known) - x, max(p[1] for p in known) - y]


def check_frame(row: Mapping[str, Any]) -> None:
    """ValueError for an impossible row of the frames table."""
    size(row["width_px"], row["height_px"])
    integer(row["index"], 0, 2**40)
    _check_values(row, labels.FRAME_LABELS, 0)
    _check_alike(row, OBJECTS)
    if nan := [name for name, value in row.items() if value != value]:
        raise ValueError(f"{nan[0]} is NaN")


def check_person(row: Mapping[str, Any], frame: Mapping[str, Any], joints: int) -> None:
    """ValueError for a row of the instances table that contradicts its frame or skeleton."""
    integer(row["instance"], 1, MAX_PEOPLE)
    if row["frame_index"] != frame["index"]:
        raise ValueError("a person of another frame")
    _check_values(row, labels.LABELS, joints)
    _check_joints(row)
    if any(not 0 <= j < joints for j in _check_alike(row, HIDDEN)):
        raise ValueError("an occluder of a missing joint")
    box(row["modal_box_px"])
    if row["amodal_box_px"] is not None:
        box(row["amodal_box_px"])
    _check_masks(row, frame)


def _check_values(row: Mapping[str, Any], table: Mapping[str, labels.Label], joints: int) -> None:
    for name, label in table.items():
        if row[name] is not None:
            _check_value(row[name], label, joints)
        elif not label.null:
            raise ValueError(f"{name} is null")


def _check_value(value: Any, label: labels.Label, joints: int) -> None:
    """Type, length and limits of a column's value; lists of reals have no limits here."""
    name, entries = label.name, label.entries(joints)
    values = value if label.shape else [value]
    if not isinstance(values, list) or not set(map(type, values)) <= _KINDS[label.kind]:
        raise ValueError(f"{name} is {str(value)[:80]}")
    if entries is not None and len(values) != entries:
        raise ValueError(f"{name} has {entries} entries, not {len(values)}")
    if label.kind == "string":
        for one in set(values):
            text(one, MAX_SPEC if name == "spec" else MAX_TEXT)
    elif values and name in _LIMITS:
        low, high = _LIMITS[name]
        if min(values) < low or max(values) > high:  # NaN is neither
            raise ValueError(f"{name} is {str(value)[:40]}, not from {low:g} to {high:g}")


def _check_alike(row: Mapping[str, Any], names: Sequence[str]) -> Any:
    if len({len(row[name]) for name in names}) != 1:
        raise ValueError(f"the lists {', '.join(names)} are of different lengths")
    return row[names[0]]


_KINDS: dict[str, set[type]] = {
    "int": {int},
    "float": {int, float},
    "bool": {bool},
    "string": {str},
}
_SLACK = 1e-6


def _limits(label: labels.Label) -> tuple[float, float]:
    if label.within is not None:
        return label.within[0] - _SLACK, label.within[1] + _SLACK
    limits = np.finfo(label.dtype) if label.kind == "float" else np.iinfo(label.dtype)
    kind = float if label.kind == "float" else int
    return kind(limits.min), kind(limits.max)


_LIMITS = {
    name: _limits(one)
    for name, one in COLUMNS.items()
    if one.kind == "int" or (one.kind == "float" and not one.shape)
}
_CACHED_CHARS = 4096
"""Longer mask codes are not cached as checked."""


def _check_joints(row: Mapping[str, Any]) -> None:
    if not set(row["state"]) <= {0, labels.STATE_HIDDEN, labels.STATE_VISIBLE, NO_STATE}:
        raise ValueError("a state must be 0, 1, 2 or 255")
    if not set(row["cause"]) <= set(labels.CAUSES) or not set(row["origin"]) <= set(labels.ORIGINS):
        raise ValueError("an unknown cause or origin")
    state, px = np.array(row["state"]), np.array(row["joints_px"], np.float64).reshape(-1, 2)
    if not np.isfinite(px[is_labelled(state)]).all() or (np.abs(px) > 1e12).any():
        raise ValueError("a labelled joint without position")
    fractions = np.array(row["visibility_fractions"], np.float64)
    if ((fractions < -1e-6) | (fractions > 1 + 1e-6)).any():
        raise ValueError("a share outside 0 to 1")


def _check_masks(row: Mapping[str, Any], frame: Mapping[str, Any]) -> None:
    height, width = frame["height_px"], frame["width_px"]
    if list(row["mask_size"]) != [height, width]:
        raise ValueError(f"a mask of size {row['mask_size']} in a picture of {[height, width]}")
    for name in ("modal_counts", "amodal_counts"):
        if row[name] is not None:
            check = _check_code if len(row[name]) <= _CACHED_CHARS else check_counts
            check(row[name], (height, width))


_check_code = functools.lru_cache(maxsize=512)(check_counts)
"""Checks a code once: unoccluded people repeat it, edited ones again in the sidecar."""


def to_json_row(row: Mapping[str, Any]) -> Row:
    """Return a JSON-compatible row: NaN as null."""
    return {name: _plain(value) for name, value in row.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [None if v != v else v for v in value]
    return None if value != value else value


def from_json_row(row: Any, table: Mapping[str, labels.Label]) -> Row:
    """Undo `to_json_row`; ValueError when a column is missing or unknown. Types are unchecked."""
    if not isinstance(row, dict) or set(row) != set(table):
        got = set(row) if isinstance(row, dict) else {type(row).__name__}
        raise ValueError(f"missing or unknown: {', '.join(sorted(got ^ set(table)))[:200]}")
    return {name: from_json(row[name], label) for name, label in table.items()}


def from_json(value: Any, label: labels.Label) -> Any:
    """A column's value: null in lists of reals is NaN; ValueError for such lists alone."""
    reals = label.kind == "float" and label.shape and value is not None
    return numbers(value, 1e12) if reals else value


def known_skeleton(name: Any) -> Skeleton:
    """The skeleton that a file's rows name or define; ValueError, RecipeError."""
    return get_skeleton(text(name))


def check_sample(frame: Mapping[str, Any], people: Sequence[Mapping[str, Any]]) -> None:
    """ValueError for impossible rows of a frame and its people."""
    joints = len(known_skeleton(frame["skeleton"]).joints)
    check_frame(frame)
    for row in people:
        check_person(row, frame, joints)
    numbers = [row["instance"] for row in people]
    if len(set(numbers)) != len(numbers):
        raise ValueError("two people share a number")


def compressed_counts(segmentation: Any, size: Sequence[int]) -> str | None:
    """Return the compressed RLE of a mask (H, W) given as RLE, counts or polygons; ValueError."""
    if not segmentation:
        return None
    if size[0] * size[1] > MAX_PIXELS:  # pycocotools crashes on an overflowing size
        raise ValueError(f"a mask in an image of {size[1]} x {size[0]} pixels")
    if isinstance(segmentation, dict):
        counts = segmentation["counts"]
        if segmentation["size"] != list(size):
            raise ValueError(f"a mask of size {str(segmentation['size'])[:40]} in {list(size)}")
        if isinstance(counts, str):
            return text(counts)  # runs are checked with the row
        check_plain_counts(counts, size)
    else:
        check_polygons(segmentation)
    found = coco_mask.frPyObjects(segmentation, *size)
    merged = coco_mask.merge(found) if isinstance(found, list) else found
    return str(merged["counts"].decode("ascii"))
