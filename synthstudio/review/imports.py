"""Labels corrected in another tool, imported as one event of a named author per person."""

from __future__ import annotations

import dataclasses
import itertools
import math
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from synthstudio.core.boxes import box_overlap
from synthstudio.core.errors import Refused
from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.durable import disk_errors
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import Row, pair_rows
from synthstudio.formats.exchange import exportable
from synthstudio.formats.imports import import_from
from synthstudio.formats.registry import FORMATS, get_format
from synthstudio.review.check import FIRST_OBJECT, base_of, labels_of
from synthstudio.review.datasets import content_key
from synthstudio.review.edits import apply
from synthstudio.review.history import states
from synthstudio.review.reviewed import FrameStates, by_frame, reviewed_people
from synthstudio.review.risk.matching import greedy_matches
from synthstudio.review.store import Store
from synthstudio.review.values import MAIN, ItemState, JointLabel, Kind, Op, Person, User, require

MOVED_PX = 0.02
"""Tolerance of positions: formats round to hundredths of a pixel."""
_NEAR = 0.05
"""Maximum distance of matched joints relative to the person's size."""
_MATCH = 0.5
Labels = dict[str, JointLabel]


@dataclass(kw_only=True)
class ImportResult:
    """Result of an import. `refused`: one line per refused event."""

    frames: int = 0
    unknown_frames: int = 0
    edited: int = 0
    joints: int = 0
    added: int = 0
    deleted: int = 0
    refused: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def text(self) -> str:
        head = (
            f"{self.frames} frames: {self.edited} people edited ({self.joints} joints), "
            f"{self.added} added, {self.deleted} deleted"
        )
        lines = [head, *(f"refused: {line}" for line in self.refused), *self.notes]
        if self.unknown_frames:
            lines.append(f"{self.unknown_frames} pictures match no frame of the data set.")
        return "\n".join(lines)


def import_corrections(
    store: Store,
    dataset: Dataset,
    path: Path,
    *,
    form: str,
    who: User,
    images: Path | None = None,
    layer: str = MAIN,
) -> ImportResult:
    """Turn differences between a file and the current labels into events.

    Frames are matched by picture content, people by number if the export's
    sidecar exists, else by joint positions. Not a change: a person without any
    joint, a joint outside the frame that the file leaves unlabelled, an unsupported
    cause. FormatError, AssetError: invalid file; Refused: "role", "busy".
    """
    require(who, "import")
    key = content_key(dataset)
    result = ImportResult()
    with disk_errors(Path(tempfile.gettempdir())):
        temporary = tempfile.TemporaryDirectory(prefix="review-import-", ignore_cleanup_errors=True)
    with temporary as work:
        own = dataset.skeleton.own and get_format(form).own_skeletons
        joints = dataset.skeleton if own else None
        imported = import_from(form, path, Path(work, "set"), images=images, skeleton=joints)
        result.notes = [note for note in imported.notes if note.startswith("The sidecar")]
        found = by_frame(states(store, key, layer=layer))
        writer = _Writer(store, dataset, key, who, layer, found, result)
        for frame, people, incoming in _frames(dataset, Dataset(imported.folder), result):
            _compare(writer, frame, people, incoming)
    return result


@dataclass(frozen=True)
class _FilePeople:
    """The people of a frame in the file; `numbered`: with the data set's own numbers."""

    people: list[Row]
    skeleton: str
    numbered: bool


def _frames(
    dataset: Dataset, file: Dataset, result: ImportResult
) -> Iterator[tuple[Row, list[Row], _FilePeople]]:
    own: dict[str, list[int]] = {}
    for row in dataset.iter_frames(["index", "image_sha256"]):
        own.setdefault(row["image_sha256"], []).append(row["index"])
    source = file.identity.recipe["imported"]
    numbered = source["of"] is not None or not FORMATS[source["format"]].missing
    for frame, people in pair_rows(file.iter_frames(), file.iter_instances()):
        indices = own.get(frame["image_sha256"], [])
        if frame["index"] in indices:
            index = frame["index"]
        elif len(indices) == 1:
            index = indices[0]
        else:
            result.unknown_frames += 1
            continue
        result.frames += 1
        incoming = _FilePeople(people, file.identity.skeleton, numbered)
        yield dataset.frame(index), dataset.instances(index), incoming


@dataclass(frozen=True)
class _Writer:
    """Applies ops, each with its own number, and counts the results."""

    store: Store
    dataset: Dataset
    key: str
    who: User
    layer: str
    states: Mapping[int, FrameStates]
    result: ImportResult
    client: str = field(default_factory=lambda: f"import-{uuid.uuid4().hex}")
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def write(
        self, kind: Kind, frame: int, instance: int, joints: Mapping[str, JointLabel]
    ) -> bool:
        """Apply one op; whether it was accepted. Refused only if no op can be accepted."""
        person = Person(dataset=self.key, frame=frame, instance=instance, layer=self.layer)
        item = self.states.get(frame, {}).get(instance, ItemState(person=person))
        op = Op(
            client=self.client,
            seq=next(self.numbers),
            person=person,
            revision=item.revision,
            kind=kind,
            joints=joints,
        )
        try:
            apply(self.store, op, who=self.who, base=base_of(self.dataset, frame, instance))
        except Refused as refused:
            if refused.reason in ("role", "busy"):
                raise
            self.result.refused.append(str(refused))
            return False
        return True


def _compare(writer: _Writer, frame: Row, people: list[Row], file: _FilePeople) -> None:
    """Write the events that change the current labels to those in the file."""
    names = get_skeleton(writer.dataset.identity.skeleton).joints
    index = frame["index"]
    touched = writer.states.get(index, {})
    rows = reviewed_people(frame, people, touched, names)
    stored = {row["instance"]: labels_of(row, names) for row in rows}
    incoming = [labels_of(row, get_skeleton(file.skeleton).joints) for row in file.people]
    pairs = _match(rows, file, stored, incoming)
    for place, instance in pairs.items():
        changed = _changes(stored[instance], incoming[place])
        if changed and writer.write("edit", index, instance, changed):
            writer.result.edited += 1
            writer.result.joints += len(changed)
    taken = {row["instance"] for row in people} | touched.keys()
    free = (n for n in range(1, FIRST_OBJECT) if n not in taken)
    for place, labels in enumerate(incoming):
        known = {name: label for name, label in labels.items() if label.state is not None}
        known = {name: label for name, label in known.items() if name in names}
        if place not in pairs and known:
            number = next(free, None)
            if number is None:
                writer.result.refused.append(f"frame {index}: no number is left for a new person")
            else:
                writer.result.added += writer.write("add", index, number, known)
    for row in exportable(rows):
        if row["instance"] not in pairs.values():
            writer.result.deleted += writer.write("delete", index, row["instance"], {})


def _changes(stored: Labels, incoming: Labels) -> Labels:
    """The joints that differ in the file; none for a person without any joint."""
    if all(label.state is None for label in incoming.values()):
        return {}
    changed = {}
    for name in stored.keys() & incoming.keys():
        old, new = stored[name], incoming[name]
        if new.state is None and old.state in (None, 0):
            continue  # most formats do not distinguish unlabelled from outside
        if new.state == old.state and new.cause == "unknown":
            new = dataclasses.replace(new, cause=old.cause)
        if (new.state, new.cause) != (old.state, old.cause) or _moved(old, new):
            changed[name] = new
    return dict(sorted(changed.items()))


def _moved(old: JointLabel, new: JointLabel) -> bool:
    here, there = old.place, new.place
    if here is None or there is None:
        return here is not there and new.state != 0  # formats drop positions outside
    return math.dist(here, there) > MOVED_PX


def _match(
    rows: Sequence[Row], file: _FilePeople, stored: Mapping[int, Labels], incoming: Sequence[Labels]
) -> dict[int, int]:
    """Index in the file -> our instance, for each common person."""
    if file.numbered:
        numbers = [row["instance"] for row in file.people]
        return {place: n for place, n in enumerate(numbers) if n in stored}
    scores = []
    for place, (labels, person) in enumerate(zip(incoming, file.people, strict=True)):
        for row in rows:
            alike = _alike(labels, stored[row["instance"]])
            if alike is None:
                alike = box_overlap(person["modal_box_px"], row["modal_box_px"])
            scores.append((alike, place, row["instance"]))
    return greedy_matches(scores, _MATCH)


def _alike(a: Labels, b: Labels) -> float | None:
    """The fraction of commonly labelled joints that are near each other; None without any."""
    both = [
        (here, there)
        for name in a.keys() & b.keys()
        if a[name].state in (1, 2) and b[name].state in (1, 2)
        if (here := a[name].place) is not None and (there := b[name].place) is not None
    ]
    if not both:
        return None
    xs, ys = ([there[axis] for _, there in both] for axis in (0, 1))
    near = _NEAR * math.hypot(max(xs) - min(xs), max(ys) - min(ys)) + MOVED_PX
    return sum(math.dist(here, there) <= near for here, there in both) / len(both)
