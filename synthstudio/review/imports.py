"""Labels corrected in another tool, taken in as events of a named author.

What another tool wrote is read by its importer into a data set that is thrown away again; what
differs there from the labels as they are now becomes one event a person.
"""

from __future__ import annotations

import dataclasses
import math
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from synthstudio.core.errors import Refused
from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.durable import disk_errors
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import Row, pair_rows
from synthstudio.formats.exchange import exportable
from synthstudio.formats.imports import import_from
from synthstudio.formats.registry import FORMATS
from synthstudio.review.check import FIRST_THING, base_of, labels_of
from synthstudio.review.edits import apply
from synthstudio.review.history import states
from synthstudio.review.reviewed import OfFrame, by_frame, reviewed_people
from synthstudio.review.store import Store, dataset_key
from synthstudio.review.values import MAIN, ItemState, JointLabel, Kind, Op, Person, User, require

MOVED_PX = 0.02
"""Nearer than this is the same place: formats round to hundredths of a pixel."""
_NEAR = 0.05
"""Of a person's size: joints this near may be the same person's."""
_MATCH = 0.5
Labels = dict[str, JointLabel]


@dataclass(kw_only=True)
class ImportResult:
    """What became of a file. `refused`: a line for each person whose event was not taken."""

    frames: int = 0
    unknown_frames: int = 0
    edited: int = 0
    joints: int = 0
    added: int = 0
    deleted: int = 0
    refused: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        """Return it for --json."""
        return dataclasses.asdict(self)

    def text(self) -> str:
        """Return it as lines."""
        head = (
            f"{self.frames} frames: {self.edited} people edited ({self.joints} joints), "
            f"{self.added} added, {self.deleted} deleted"
        )
        lines = [head, *(f"refused: {line}" for line in self.refused), *self.notes]
        if self.unknown_frames:
            lines.append(f"{self.unknown_frames} pictures are of no frame of the data set.")
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
    """Turn what a file says otherwise than the labels as they are now into events.

    Frames are known by their pictures' bytes, people by their numbers where the export's
    sidecar is still there, else by where their joints are. Not taken as a change: a person
    without any joint, a joint outside the frame that the file does not know, a cause that it
    does not know. FormatError, AssetError: what is read is wrong; Refused: "role", "busy".
    """
    require(who, "import")
    key = dataset_key(dataset)
    made = ImportResult()
    with disk_errors(Path(tempfile.gettempdir())):
        work = Path(tempfile.mkdtemp(prefix="review-import-"))
    try:
        told = import_from(form, path, work / "set", images=images)
        made.notes = [note for note in told.notes if note.startswith("The sidecar")]
        found = by_frame(states(store, key, layer=layer))
        writer = _Writer(store, dataset, key, who, layer, found, made)
        for frame, people, said in _frames(dataset, Dataset(work / "set"), made):
            _compare(writer, frame, people, said)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return made


@dataclass(frozen=True)
class _Said:
    """The people of a frame as a file has them; `numbered`: their numbers are ours."""

    people: list[Row]
    skeleton: str
    numbered: bool


def _frames(
    dataset: Dataset, file: Dataset, made: ImportResult
) -> Iterator[tuple[Row, list[Row], _Said]]:
    """Yield each frame that both have, in the file's order."""
    own: dict[str, list[int]] = {}
    for row in dataset.iter_frames(["index", "image_sha256"]):
        own.setdefault(row["image_sha256"], []).append(row["index"])
    told = file.identity.recipe["imported"]
    numbered = told["of"] is not None or not FORMATS[told["format"]].missing
    for frame, people in pair_rows(file.iter_frames(), file.iter_instances()):
        indices = own.get(frame["image_sha256"], [])
        if frame["index"] in indices:
            index = frame["index"]
        elif len(indices) == 1:
            index = indices[0]
        else:
            made.unknown_frames += 1
            continue
        made.frames += 1
        said = _Said(people, file.identity.skeleton, numbered)
        yield dataset.frame(index), dataset.instances(index), said


@dataclass(frozen=True)
class _Writer:
    """Makes ops, each with a number of its own, and counts what becomes of them."""

    store: Store
    dataset: Dataset
    key: str
    who: User
    layer: str
    states: Mapping[int, OfFrame]
    made: ImportResult
    client: str = field(default_factory=lambda: f"import-{uuid.uuid4().hex}")

    def say(self, kind: Kind, frame: int, instance: int, joints: Mapping[str, JointLabel]) -> bool:
        """Apply one op; say whether it was taken. Refused only where nothing will go through."""
        person = Person(dataset=self.key, frame=frame, instance=instance, layer=self.layer)
        item = self.states.get(frame, {}).get(instance, ItemState(person=person))
        seq = self.made.edited + self.made.added + self.made.deleted + len(self.made.refused)
        op = Op(
            client=self.client,
            seq=seq,
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
            self.made.refused.append(str(refused))
            return False
        return True


def _compare(writer: _Writer, frame: Row, people: list[Row], said: _Said) -> None:
    """Write the events that lead from the labels as they are to those in the file."""
    names = get_skeleton(writer.dataset.identity.skeleton).joints
    index = frame["index"]
    touched = writer.states.get(index, {})
    rows = reviewed_people(frame, people, touched, names)
    ours = {row["instance"]: labels_of(row, names) for row in rows}
    theirs = [labels_of(row, get_skeleton(said.skeleton).joints) for row in said.people]
    pairs = _pairs(rows, said, ours, theirs)
    for place, instance in pairs.items():
        changed = _changes(ours[instance], theirs[place])
        if changed and writer.say("edit", index, instance, changed):
            writer.made.edited += 1
            writer.made.joints += len(changed)
    taken = {row["instance"] for row in people} | touched.keys()
    free = (n for n in range(1, FIRST_THING) if n not in taken)
    for place, labels in enumerate(theirs):
        known = {name: label for name, label in labels.items() if label.state is not None}
        known = {name: label for name, label in known.items() if name in names}
        if place not in pairs and known:
            number = next(free, None)
            if number is None:
                writer.made.refused.append(f"frame {index}: it has no number left for a new person")
            else:
                writer.made.added += writer.say("add", index, number, known)
    for row in exportable(rows):
        if row["instance"] not in pairs.values():
            writer.made.deleted += writer.say("delete", index, row["instance"], {})


def _changes(ours: Labels, theirs: Labels) -> Labels:
    """Return the joints that a file says otherwise; none for a person without any joint."""
    if all(label.state is None for label in theirs.values()):
        return {}
    changed = {}
    for name in ours.keys() & theirs.keys():
        old, new = ours[name], theirs[name]
        if new.state is None and old.state in (None, 0):
            continue  # most formats do not tell unlabelled from outside
        if new.state == old.state and new.cause == "unknown":
            new = dataclasses.replace(new, cause=old.cause)
        if (new.state, new.cause) != (old.state, old.cause) or _moved(old, new):
            changed[name] = new
    return dict(sorted(changed.items()))


def _moved(old: JointLabel, new: JointLabel) -> bool:
    here, there = _place(old), _place(new)
    if here is None or there is None:
        return here is not there and new.state != 0  # a place outside that nobody kept
    return math.dist(here, there) > MOVED_PX


def _place(label: JointLabel) -> tuple[float, float] | None:
    known = label.x_px is not None and label.y_px is not None
    return (label.x_px, label.y_px) if known else None  # type: ignore[return-value]


def _pairs(
    rows: Sequence[Row], said: _Said, ours: Mapping[int, Labels], theirs: Sequence[Labels]
) -> dict[int, int]:
    """Return place in the file -> our instance, for each person that both have."""
    if said.numbered:
        numbers = [row["instance"] for row in said.people]
        return {place: n for place, n in enumerate(numbers) if n in ours}
    scores = []
    for place, (labels, person) in enumerate(zip(theirs, said.people, strict=True)):
        for row in rows:
            alike = _alike(labels, ours[row["instance"]])
            if alike is None:
                alike = _overlap(person["modal_box_px"], row["modal_box_px"])
            scores.append((-alike, place, row["instance"]))
    scores.sort()
    found: dict[int, int] = {}
    for score, place, n in scores:
        if -score >= _MATCH and place not in found and n not in found.values():
            found[place] = n
    return found


def _overlap(a: Sequence[float], b: Sequence[float]) -> float:
    """Return the intersection over union of two boxes x y w h."""
    wide, high = (max(0.0, min(a[k] + a[k + 2], b[k] + b[k + 2]) - max(a[k], b[k])) for k in (0, 1))
    union = a[2] * a[3] + b[2] * b[3] - wide * high
    return wide * high / union if union > 0 else 0.0


def _alike(a: Labels, b: Labels) -> float | None:
    """Return the share of joints that both know that lie near each other; None without any."""
    both = [
        (here, there)
        for name in a.keys() & b.keys()
        if a[name].state in (1, 2) and b[name].state in (1, 2)
        if (here := _place(a[name])) is not None and (there := _place(b[name])) is not None
    ]
    if not both:
        return None
    xs, ys = ([there[axis] for _, there in both] for axis in (0, 1))
    near = _NEAR * math.hypot(max(xs) - min(xs), max(ys) - min(ys)) + MOVED_PX
    return sum(math.dist(here, there) <= near for here, there in both) / len(both)
