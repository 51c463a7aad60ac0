"""The people that a browser holds at a time: a stretch of the queue, with all that is drawn.

The browser turns to the next person without asking; it asks for more before the stretch ends.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import pyarrow.parquet as pq

from synthstudio.core.errors import DatasetError
from synthstudio.core.masks import check_counts
from synthstudio.core.skeleton import Skeleton
from synthstudio.dataset.parquet import READ_ERRORS
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import NO_STATE, Row, hidden_by
from synthstudio.dataset.shards import FRAMES_NAME, INSTANCES_NAME, SHARDS_DIR, shard_name
from synthstudio.review.check import FIRST_THING, Base, finite_or_none, labels_of
from synthstudio.review.history import states_in
from synthstudio.review.leases import leases
from synthstudio.review.store import Store
from synthstudio.review.values import MAIN, ItemState, JointLabel, Person, User

BACK, AHEAD = 5, 18
"""How many people behind and ahead of the shown one a browser holds."""
_KEPT_FRAMES = 600
_FRAME_FIELDS = (
    "index",
    "width_px",
    "height_px",
    "variant",
    "layers",
    "thing_instance",
    "thing_kind",
    "crowd_index",
)
_PERSON_FIELDS = (
    "frame_index",
    "instance",
    "joints_px",
    "joints_camera_m",
    "shares",
    "state",
    "cause",
    "origin",
    "hidden_joint",
    "hidden_instance",
    "hidden_share",
    "mask_size",
    "modal_counts",
    "amodal_counts",
    "modal_box_px",
    "amodal_box_px",
    "occluded_fraction",
    "truncated_fraction",
    "pose",
    "depth_m",
)
Url = Callable[[str, int], str]
"""(kind, frame) -> the address of a picture."""


@dataclass(frozen=True, kw_only=True)
class FrameRows:
    """A frame and its people, only what the editor needs. `made`: labels as JSON, once made."""

    frame: Row
    people: Mapping[int, Row]
    made: dict[int, dict[str, Any]] = field(default_factory=dict)


class Frames:
    """The last frames that were asked for; safe for threads."""

    def __init__(self, dataset: Dataset, skeleton: Skeleton) -> None:
        self.skeleton = skeleton
        self._dataset, self._lock = dataset, threading.Lock()
        self._kept: OrderedDict[int, FrameRows] = OrderedDict()

    def get(self, frame: int) -> FrameRows:
        """Return a frame; DatasetError when it is not held."""
        with self._lock:
            found = self._kept.get(frame)
            if found is None:
                found = _read(self._dataset, frame)
                self._kept[frame] = found
            self._kept.move_to_end(frame)
            if len(self._kept) > _KEPT_FRAMES:
                self._kept.popitem(last=False)
            return found

    def base_of(self, person: Person) -> Base:
        """Return what the data set says of a person; DatasetError for a frame it does not hold."""
        found = self.get(person.frame)
        row = found.people.get(person.instance)
        names = self.skeleton.joints
        return Base(
            skeleton=names,
            width_px=found.frame["width_px"],
            height_px=found.frame["height_px"],
            joints=labels_of(row, names) if row is not None else None,
            exists=row is not None,
        )


def _read(dataset: Dataset, frame: int) -> FrameRows:
    """Read one frame and its people; the reader itself would make rows of the whole shard."""
    shard = dataset.folder / SHARDS_DIR / shard_name(frame // dataset.identity.frames_per_shard)
    rows = _read_rows(shard / FRAMES_NAME, _FRAME_FIELDS, frame)
    if len(rows) != 1:
        raise DatasetError(
            "the data set does not hold this frame", where=str(dataset.folder), got=str(frame)
        )
    people = _read_rows(shard / INSTANCES_NAME, _PERSON_FIELDS, frame)
    return FrameRows(frame=rows[0], people={row["instance"]: row for row in people})


def _read_rows(path: Path, columns: Sequence[str], frame: int) -> list[Row]:
    try:
        with pq.ParquetFile(path) as file:
            table = file.read(columns=list(columns), use_threads=False)
        rows: list[Row] = table.filter(pc.equal(table[columns[0]], frame)).to_pylist()
    except FileNotFoundError:
        return []
    except (*READ_ERRORS, KeyError) as error:
        raise DatasetError(
            f"this table cannot be read: {error}",
            where=str(path),
            then="Check the data set with: synthstudio validate.",
        ) from error
    return rows


@dataclass(frozen=True, kw_only=True)
class Stretch:
    """A stretch of a queue: `people` are (frame, instance) from place `start` on."""

    start: int
    people: Sequence[tuple[int, int]]
    reasons: Sequence[Sequence[str]] = ()
    """For each of `people` why it is worth a look; empty: nobody asked."""
    veiled: Collection[tuple[int, int]] = ()
    """Those of whom nothing may be shown that reviewers said."""
    elsewhere: Collection[tuple[int, int]] = ()
    """People not on disk who have a place of their own in the queue."""


def span(at: int, total: int) -> tuple[int, int]:
    """Return where the stretch about a place begins and ends."""
    at = min(max(at, 0), max(total - 1, 0))
    return max(0, at - BACK), min(total, at + AHEAD + 1)


def items(
    store: Store,
    key: str,
    frames: Frames,
    stretch: Stretch,
    *,
    who: User,
    url: Url,
    clean_of: Callable[[int], int | None],
    layer: str = MAIN,
) -> list[dict[str, Any]]:
    """Return the people of a stretch as JSON values, with those who were added to their frames.

    `clean_of`: the frame without occluders that belongs to a frame, None for none. People of
    frames that cannot be read are left out, and so is what is damaged of a mask.
    """
    listed = [(frame, instance) for frame, instance in stretch.people]
    state_of = states_in(store, key, {frame for frame, _ in listed}, layer=layer)
    apart = {*listed, *stretch.elsewhere}
    added = [p for p in state_of if p not in apart and p[1] not in frames.get(p[0]).people]
    held = leases(store, key, layer=layer)
    found: list[dict[str, Any]] = []
    for place, person in enumerate(listed):
        extra = [p for p in added if p[0] == person[0]] if _last_of_frame(listed, place) else []
        for one in [person, *extra]:
            lease = held.get(one)
            other = lease.who if lease is not None and lease.who != who.name else None
            why = stretch.reasons[place] if stretch.reasons and one is person else ()
            veiled = one in stretch.veiled
            item = _item(frames, one, url, clean_of, None if veiled else state_of.get(one))
            item["next_instance"] = _free_number(frames.get(one[0]), state_of)
            found.append(
                item
                | {
                    "pos": stretch.start + place,
                    "lease": other,
                    "risk": list(why),
                    "veiled": veiled,
                }
            )
    return found


def skeleton_json(skeleton: Skeleton) -> dict[str, Any]:
    """Return what the editor needs to know of a skeleton."""
    return {
        "name": skeleton.name,
        "joints": list(skeleton.joints),
        "sides": list(skeleton.sides),
        "bones": [list(bone) for bone in skeleton.edges],
        "flip": skeleton.flip.tolist(),
    }


def _free_number(found: FrameRows, state_of: Mapping[tuple[int, int], ItemState]) -> int:
    """The first number above those of the people on disk that nobody was added under."""
    number = max([n for n in found.people if n < FIRST_THING], default=0) + 1
    while (found.frame["index"], number) in state_of:
        number += 1
    return number


def _last_of_frame(people: Sequence[tuple[int, int]], place: int) -> bool:
    return all(frame != people[place][0] for frame, _ in people[place + 1 :])


def _item(
    frames: Frames,
    person: tuple[int, int],
    url: Url,
    clean_of: Callable[[int], int | None],
    state: ItemState | None,
) -> dict[str, Any]:
    frame, instance = person
    found = frames.get(frame)
    row = found.people.get(instance)
    size = {"w": found.frame["width_px"], "h": found.frame["height_px"]}
    clean = clean_of(frame)
    return {
        "id": f"{frame}:{instance}",
        "frame": frame,
        "instance": instance,
        **size,
        "image": url("image", frame),
        "clean": url("clean", frame) if clean is not None and clean != frame else None,
        "depth": url("depth", frame) if "depth" in found.frame["layers"] else None,
        "exists": row is not None,
        "others": [_other(p) for n, p in found.people.items() if n != instance],
        **(
            _labels(found, row, frames.skeleton)
            if row is not None
            else _no_labels(frames.skeleton, "added by hand" if instance else "nobody is in it")
        ),
        "state": _state(state),
    }


def _labels(found: FrameRows, row: Row, skeleton: Skeleton) -> dict[str, Any]:
    """Return what does not change of a person; every answer to an edit holds it again."""
    if row["instance"] not in found.made:
        found.made[row["instance"]] = _make_labels(found, row, skeleton)
    return found.made[row["instance"]]


def _make_labels(found: FrameRows, row: Row, skeleton: Skeleton) -> dict[str, Any]:
    labels = labels_of(row, skeleton.joints)
    joints = len(skeleton.joints)
    return {
        "base": [_joint(labels[name]) for name in skeleton.joints],
        "shares": [
            [_rounded(v, 3) for v in row["shares"][5 * j : 5 * j + 5]] for j in range(joints)
        ],
        "occluder": _occluders(found, row),
        "xyz": _points_3d(row["joints_camera_m"], joints),
        "modal": {"box": _box(row["modal_box_px"]), "counts": _mask(found, row, "modal_counts")},
        "amodal": {"box": _box(row["amodal_box_px"]), "counts": _mask(found, row, "amodal_counts")},
        "facts": _facts(found.frame, row),
    }


def _no_labels(skeleton: Skeleton, fact: str) -> dict[str, Any]:
    return {
        "base": [[None, None, None, "unlabelled", "human"]] * len(skeleton.joints),
        "shares": None,
        "occluder": [],
        "xyz": None,
        "modal": None,
        "amodal": None,
        "facts": [fact],
    }


def _joint(label: JointLabel) -> list[Any]:
    return [
        _rounded(label.x_px, 4),
        _rounded(label.y_px, 4),
        label.state,
        label.cause,
        label.origin,
    ]


def _other(row: Row) -> dict[str, Any]:
    px = row["joints_px"]
    places = [[_rounded(px[k], 1), _rounded(px[k + 1], 1)] for k in range(0, len(px), 2)]
    seen = [s not in (0, NO_STATE) for s in row["state"]]
    return {
        "instance": row["instance"],
        "xy": [
            p if ok and p[0] is not None and p[1] is not None else None
            for p, ok in zip(places, seen, strict=True)
        ],
    }


def _occluders(found: FrameRows, row: Row) -> list[str | None]:
    kinds = dict(zip(found.frame["thing_instance"], found.frame["thing_kind"], strict=True))
    names: list[str | None] = []
    for j, pairs in enumerate(hidden_by(row)):
        cause = row["cause"][j]
        name = None
        for instance, _ in pairs:
            thing = instance >= FIRST_THING
            if cause == "object" and thing:
                name = str(kinds.get(instance, "thing")).replace("_", " ")
            elif cause == "person" and not thing and instance != row["instance"]:
                name = f"person {instance}"
            if name is not None:
                break
        names.append(name)
    return names


def _facts(frame: Row, row: Row) -> list[str]:
    facts = [str(row["pose"]).replace("_", " ")] if row["pose"] else []
    if frame["variant"] != "base":
        facts.append(f"variant {frame['variant']}")
    for column, word in (("occluded_fraction", "hidden"), ("truncated_fraction", "outside")):
        value = row[column]
        if value is not None and math.isfinite(value) and value >= 0.005:
            facts.append(f"{value:.0%} {word}")
    if row["depth_m"] is not None and math.isfinite(row["depth_m"]):
        facts.append(f"{row['depth_m']:.1f} m away")
    return facts


def _points_3d(flat: Sequence[float] | None, joints: int) -> list[list[float] | None] | None:
    if flat is None or len(flat) != 3 * joints:
        return None
    points = [flat[3 * j : 3 * j + 3] for j in range(joints)]
    found = [[round(v, 3) for v in p] if all(map(math.isfinite, p)) else None for p in points]
    return found if any(found) else None


def _mask(found: FrameRows, row: Row, column: str) -> str | None:
    counts, size = row[column], [found.frame["height_px"], found.frame["width_px"]]
    if not counts or list(row["mask_size"]) != size:
        return None
    try:
        check_counts(counts, size)
    except ValueError:
        return None
    return str(counts)


def _box(box: Sequence[float] | None) -> list[float] | None:
    return None if box is None else [round(v, 2) for v in box]


def _state(state: ItemState | None) -> dict[str, Any]:
    if state is None:
        return {
            "revision": 0,
            "status": "pending",
            "reason": "",
            "joints": {},
            "deleted": False,
            "added": False,
            "who": None,
            "comments": 0,
        }
    return {
        "revision": state.revision,
        "status": state.status,
        "reason": state.reason,
        "joints": {name: _joint(label) for name, label in state.joints.items()},
        "deleted": state.deleted,
        "added": state.added,
        "who": state.who,
        "comments": state.comments,
    }


def _rounded(value: float | None, digits: int) -> float | None:
    number = None if value is None else finite_or_none(value)
    return None if number is None else round(number, digits)
