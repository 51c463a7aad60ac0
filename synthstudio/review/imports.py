"""Imports from other tools: corrected labels, and predictions of models.

Corrections become one event of a named author per person, predictions a layer of a review.
"""

import dataclasses
import itertools
import math
import tempfile
import uuid
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from synthstudio.core.errors import FormatError, Refused
from synthstudio.core.labels import HIDDEN_CAUSES
from synthstudio.core.masks import box_overlap
from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.durable import disk_errors
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import Row, pair_rows
from synthstudio.formats import FORMATS, get_format
from synthstudio.formats.coco.results import (
    Result,
    frames_by_bytes,
    frames_by_id,
    read_results,
)
from synthstudio.formats.exchange import exportable, inside
from synthstudio.formats.imports import import_from
from synthstudio.review.check import FIRST_OBJECT, MIN_BOX_PX, base_of, labels_of
from synthstudio.review.edits import apply
from synthstudio.review.history import content_key, states
from synthstudio.review.reviewed import FrameStates, by_frame, reviewed_people
from synthstudio.review.risk.predictions import (
    Prediction,
    box_of,
    greedy_matches,
    joint_positions,
    labelled_person,
    match,
    put_predictions,
)
from synthstudio.review.store import Store
from synthstudio.review.values import ItemState, JointLabel, Kind, Op, Person, User, require

MOVED_PX = 0.02
"""Tolerance of positions: formats round to hundredths of a pixel."""
_NEAR = 0.05
"""Maximum distance of matched joints relative to the person's size."""
_MATCH = 0.5
Labels = dict[str, JointLabel]


@dataclass(kw_only=True)
class ImportResult:
    """Result of an import. `refused`: one line per refused event; `jointless`: labelled people
    who have no joint in the file, and keep theirs."""

    frames: int = 0
    unknown_frames: int = 0
    edited: int = 0
    joints: int = 0
    added: int = 0
    deleted: int = 0
    refused: list[str] = field(default_factory=list)
    jointless: int = 0
    notes: list[str] = field(default_factory=list)

    def as_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def text(self) -> str:
        head = (
            f"{self.frames} frames: {self.edited} people edited ({self.joints} joints), "
            f"{self.added} added, {self.deleted} deleted"
        )
        lines = [head, *(f"refused: {line}" for line in self.refused), *self.notes]
        if self.jointless:
            lines.append(f"People without a joint in the file, unchanged: {self.jointless}.")
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
) -> ImportResult:
    """Turn differences between a file and the current labels into events.

    Frames are matched by picture content, people by number if the export's
    sidecar exists, else by joint positions. Not a change: a person without any joint (exports
    leave out joints of people who were not chosen), a joint outside the frame that the file leaves
    unlabelled, the cause "unknown" in a frame without other causes. FormatError, AssetError:
    invalid file; Refused: "role", "busy".
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
        file = Dataset(imported.folder)
        source = file.identity.recipe["imported"]
        writer = _Writer(
            store=store,
            dataset=dataset,
            key=key,
            who=who,
            states=by_frame(states(store, key)),
            result=result,
            joints=get_skeleton(file.identity.skeleton).joints,
            numbered=source["of"] is not None or not FORMATS[source["format"]].missing,
        )
        for frame, people, incoming in _frames(dataset, file, result):
            _compare(writer, frame, people, incoming)
    return result


def _frames(
    dataset: Dataset, file: Dataset, result: ImportResult
) -> Iterator[tuple[Row, list[Row], list[Row]]]:
    own: dict[str, list[int]] = {}
    for row in dataset.iter_frames(["index", "image_sha256"]):
        own.setdefault(row["image_sha256"], []).append(row["index"])
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
        yield dataset.frame(index), dataset.instances(index), people


@dataclass(frozen=True, kw_only=True)
class _Writer:
    """Applies ops, each with its own number, and counts the results.

    `joints`: those of the file; `numbered`: whether its people have the data set's numbers.
    """

    store: Store
    dataset: Dataset
    key: str
    who: User
    states: Mapping[int, FrameStates]
    result: ImportResult
    joints: tuple[str, ...]
    numbered: bool
    client: str = field(default_factory=lambda: f"import-{uuid.uuid4().hex}")
    numbers: Iterator[int] = field(default_factory=itertools.count)

    def write(
        self, kind: Kind, frame: int, instance: int, joints: Mapping[str, JointLabel], **more: Any
    ) -> bool:
        """Apply one op; whether it was accepted. Refused only if no op can be accepted."""
        person = Person(dataset=self.key, frame=frame, instance=instance)
        op = Op(
            client=self.client,
            seq=next(self.numbers),
            person=person,
            revision=self.states.get(frame, {}).get(instance, ItemState(person=person)).revision,
            kind=kind,
            joints=joints,
            **more,
        )
        try:
            apply(self.store, op, who=self.who, base=base_of(self.dataset, frame, instance))
        except Refused as refused:
            if refused.reason in ("role", "busy"):
                raise
            self.result.refused.append(str(refused))
            return False
        return True


def _compare(writer: _Writer, frame: Row, people: list[Row], found: list[Row]) -> None:
    """Write the events that change the current labels to those in the file."""
    names = get_skeleton(writer.dataset.identity.skeleton).joints
    index = frame["index"]
    touched = writer.states.get(index, {})
    rows = reviewed_people(frame, people, touched, names)
    stored = {row["instance"]: labels_of(row, names) for row in rows}
    incoming = [labels_of(row, writer.joints) for row in found]
    if writer.numbered:
        numbers = (row["instance"] for row in found)
        pairs = {place: number for place, number in enumerate(numbers) if number in stored}
    else:
        pairs = _match(rows, found, stored, incoming)
    causes = any(label.cause in HIDDEN_CAUSES[:-1] for one in incoming for label in one.values())
    for place, instance in pairs.items():
        new = incoming[place]
        if all(label.state is None for label in new.values()):
            writer.result.jointless += any(old.state for old in stored[instance].values())
            continue  # exports leave out the joints of people who were not chosen
        changed = _changes(stored[instance], new, causes=causes)
        if changed and writer.write("edit", index, instance, changed):
            writer.result.edited += 1
            writer.result.joints += len(changed)
    taken = {row["instance"] for row in people} | touched.keys()
    tracks = {row["track_id"] for row in rows}
    free = (n for n in range(1, FIRST_OBJECT) if n not in taken)
    for place, labels in enumerate(incoming):
        known = {name: label for name, label in labels.items() if label.state is not None}
        known = {name: label for name, label in known.items() if name in names}
        if place not in pairs and known:
            number = next(free, None)
            if number is None:
                writer.result.refused.append(f"frame {index}: no number is left for a new person")
            else:
                more = _box_and_track(found[place], frame, tracks)
                writer.result.added += writer.write("add", index, number, known, **more)
    for row in exportable(rows):
        if row["instance"] not in pairs.values():
            writer.result.deleted += writer.write("delete", index, row["instance"], {})


def _box_and_track(row: Row, frame: Row, tracks: set[int | None]) -> dict[str, Any]:
    """The part of a new person's box inside the picture, and its track in a clip unless among
    `tracks`, to which it is added."""
    box = inside(row["modal_box_px"], (frame["height_px"], frame["width_px"]))
    more: dict[str, Any] = {"box": box} if min(box[2:]) >= MIN_BOX_PX else {}
    track = row["track_id"]
    if frame["clip_id"] is not None and track not in {*tracks, None}:
        tracks.add(track)
        more["track"] = track
    return more


def _changes(stored: Labels, incoming: Labels, *, causes: bool) -> Labels:
    """The joints that differ in the file; `causes`: whether it has any."""
    changed = {}
    for name in stored.keys() & incoming.keys():
        old, new = stored[name], incoming[name]
        if new.state is None and old.state in (None, 0):
            continue  # most formats do not distinguish unlabelled from outside
        if new.state == old.state and new.cause == "unknown" and not causes:
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
    rows: Sequence[Row], found: list[Row], stored: Mapping[int, Labels], incoming: Sequence[Labels]
) -> dict[int, int]:
    """Index in the file -> our instance, for each common person."""
    scores = []
    for place, (labels, person) in enumerate(zip(incoming, found, strict=True)):
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


@dataclass(frozen=True, kw_only=True)
class PredictionsImported:
    """Result of an import. `matched`: people of the data set; `found`: people not in it;
    `unknown`: entries of unknown pictures."""

    layer: str
    frames: int
    matched: int
    found: int
    unknown: int

    def as_json(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    def text(self) -> str:
        line = (
            f"{self.layer}: predictions of {self.matched} people in {self.frames} frames, and of "
            f"{self.found} not in the data set"
        )
        return line + (f"\n{self.unknown} are of no frame." if self.unknown else "")


def import_predictions(
    store: Store,
    dataset: Dataset,
    path: Path,
    *,
    layer: str,
    who: User,
    images: Path | None = None,
) -> PredictionsImported:
    """Store the predictions of a COCO results or keypoints file as `layer`, replacing it.

    Image ids are those of the imported file, of any JSON type, else frame numbers, as in our
    exports; `predict` names frames of a data set in pictures.json. With a folder of `images`,
    pictures are matched by content and the file's names (those of a results file are in
    pictures.json beside it). FormatError, also without common joints; Refused: "role", "invalid".
    """
    require(who, "import")
    entries, names = read_results(path, get_skeleton(dataset.identity.skeleton))
    if images is not None:
        frames = frames_by_bytes(dataset, images, names, path)
    else:
        frames, _ = frames_by_id(dataset, names, [entry.image for entry in entries])
    by_frame: dict[int, list[Result]] = {}
    unknown = 0
    for entry in entries:
        if (frame := frames.get(entry.image)) is not None:
            by_frame.setdefault(frame, []).append(entry)
        else:
            unknown += 1
    if not by_frame:
        raise FormatError(
            "no prediction belongs to a frame of the data set",
            where=str(path),
            expected=f"image ids such as {', '.join(map(repr, list(frames)[:3]))}",
            got=", ".join(dict.fromkeys(repr(entry.image) for entry in entries[:3])),
            then="Pass the folder of the pictures: --images FOLDER.",
        )
    rows = [
        row for frame, some in sorted(by_frame.items()) for row in _predicted(dataset, frame, some)
    ]
    put_predictions(store, content_key(dataset), layer, rows, replace=True)
    found = sum(row.instance >= FIRST_OBJECT for row in rows)
    return PredictionsImported(
        layer=layer,
        frames=len(by_frame),
        matched=len(rows) - found,
        found=found,
        unknown=unknown,
    )


def _predicted(dataset: Dataset, frame: int, entries: list[Result]) -> Iterator[Prediction]:
    """The predictions of a frame by person; unmatched ones from 1,000 on."""
    skeleton = get_skeleton(dataset.identity.skeleton)
    rows = {row["instance"]: row for row in dataset.instances(frame)}
    named = Counter(e.instance for e in entries)
    whose = [e.instance if e.instance in rows and named[e.instance] == 1 else None for e in entries]
    left = [k for k, instance in enumerate(whose) if instance is None]
    people = [
        labelled_person(n, labels_of(row, skeleton.joints), skeleton.joints, row["modal_box_px"])
        for n, row in rows.items()
        if n not in whose
    ]
    px = [joint_positions(entries[k].joints, skeleton.joints) for k in left]
    boxes = [entries[k].box or box_of(p) for k, p in zip(left, px, strict=True)]
    number = FIRST_OBJECT
    matched = match(list(zip(px, boxes, strict=True)), people, skeleton)
    for k, instance in zip(left, matched, strict=True):
        whose[k] = instance
    for entry, instance in zip(entries, whose, strict=True):
        if instance is None:
            instance, number = number, number + 1
        yield Prediction(
            frame=frame,
            instance=instance,
            joints=entry.joints,
            score=min(max(entry.score, 0.0), 1.0),
            causes=entry.causes,
        )
