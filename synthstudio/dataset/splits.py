"""Leak-free splits of a data set: frames that share a key are in one split.

Frames that share a value of any chosen key (a group, a clip, a motion, an identity, an asset)
form a component; components are assigned whole, largest first, each to the split that
is then nearest to its target of frames and of people by bin of the occluded fraction.
"""

import csv
import dataclasses
import io
import json
import logging
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from synthstudio.core.arrays import F64, I64
from synthstudio.core.errors import DatasetError
from synthstudio.core.people import FRACTIONS, fraction_of
from synthstudio.core.places import Place, resolved
from synthstudio.core.progress import OnProgress, counter
from synthstudio.core.rng import stream
from synthstudio.dataset import derive
from synthstudio.dataset.durable import damaged, write_file
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import no_spec, pair_rows, spec_fields

_REPORT_EVERY = 64
KEYS = ("group", "clip", "motion", "identity", "pose", "asset")
"""Keys that frames may share. `asset`: any user's file in the stored spec."""
log = logging.getLogger(__name__)
NAMES = ("train", "val", "test")
_COLUMNS = {"group": "group_id", "clip": "clip_id"}
_PERSON_COLUMNS = {"motion": "motion", "identity": "identity", "pose": "pose"}


@dataclass(frozen=True, kw_only=True)
class Splits:
    """A split of a data set's frames (F). `table[i]`: index into NAMES for `frames[i]`."""

    frames: I64  # (F,) frame indices, rising
    table: NDArray[np.int8]  # (F,)
    component: I64  # (F,) numbered from 0 in the order of their first frames
    people: I64  # (splits, bins of the occluded fraction, the last one unknown)
    keys: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        sizes = np.bincount(self.component)
        return {
            "keys": list(self.keys),
            "frames": len(self.frames),
            "components": int(sizes.size),
            "largest_component": float(sizes.max() / len(self.frames)),
            "splits": {
                name: {
                    "frames": int((self.table == k).sum()),
                    "share": float((self.table == k).mean()),
                    "people": int(self.people[k].sum()),
                    "by_occluded_fraction": dict(
                        zip((*FRACTIONS, "unknown"), self.people[k].tolist(), strict=True)
                    ),
                }
                for k, name in enumerate(NAMES)
            },
        }

    def text(self) -> str:
        summary = self.as_json()
        lines = [
            f"{summary['frames']} frames in {summary['components']} components by "
            f"{', '.join(self.keys)}; the largest holds {summary['largest_component']:.1%}"
        ]
        for name, row in summary["splits"].items():
            hidden = [
                f"{n / max(1, row['people']):.0%}" for n in row["by_occluded_fraction"].values()
            ]
            lines.append(
                f"  {name:<6}{row['frames']:>8} frames {row['share']:>7.1%} "
                f"{row['people']:>9} people   {' '.join(f'{h:>4}' for h in hidden[:-1])}"
            )
        return "\n".join([*lines, f"  {'':<44}by occluded fraction {' '.join(FRACTIONS)}"])

    __repr__ = text


@dataclass(frozen=True, kw_only=True)
class Leak:
    """A value of a key that is in more than one split."""

    key: str
    value: str
    frames: dict[str, int]


def split(
    dataset: Dataset,
    *,
    keys: Sequence[str] = ("group", "clip", "identity"),
    fractions: Sequence[float] = (0.8, 0.1, 0.1),
    seed: int = 0,
    on_progress: OnProgress | None = None,
) -> Splits:
    """Return a split into train, val and test; deterministic in (set, keys, fractions, seed).

    DatasetError: an unknown key, invalid fractions, or fewer components than splits.
    """
    wanted = np.array(fractions, np.float64)
    if len(wanted) != len(NAMES) or not (wanted >= 0).all() or not wanted.sum() > 0:
        raise DatasetError(
            "invalid fractions of train, val and test",
            where="--fractions",
            expected="three numbers, none below 0",
            got=str(list(fractions)),
        )
    wanted /= wanted.sum()
    for note in merged_notes(dataset):
        log.warning(note)
    occluded: list[list[int]] = []
    frames: list[int] = []
    first: dict[tuple[str, str], int] = {}
    links: list[tuple[int, int]] = []
    for place, (index, values, occluded_fractions) in enumerate(_keyed(dataset, keys, on_progress)):
        frames.append(index)
        occluded.append(_bins(occluded_fractions))
        links += [(first.setdefault(value, place), place) for value in values]
    component = _components(links, len(frames))
    counts = np.array(occluded, np.int64).reshape(len(frames), len(FRACTIONS) + 1)
    sizes = np.zeros((int(component.max()) + 1, 1 + counts.shape[1]))
    np.add.at(sizes, component, np.concatenate([np.ones((len(frames), 1)), counts], axis=1))
    if len(sizes) < int((wanted > 0).sum()):
        raise DatasetError(
            "too few independent groups to split",
            where=str(dataset.place),
            expected=f"at least {int((wanted > 0).sum())} components by {', '.join(keys)}",
            got=str(len(sizes)),
            then="Choose fewer keys with --by, or make a set with more identities or groups.",
        )
    table = _assign(sizes, wanted, seed)[component].astype(np.int8)
    return Splits(
        frames=np.array(frames, np.int64),
        table=table,
        component=component,
        people=np.stack([counts[table == k].sum(axis=0) for k in range(len(NAMES))]),
        keys=tuple(keys),
    )


def leaks(
    dataset: Dataset,
    *,
    keys: Sequence[str] = KEYS,
    table: Mapping[int, str] | None = None,
    on_progress: OnProgress | None = None,
) -> list[Leak]:
    """Return every value that is in more than one split, by `table`, or as stored in the rows."""
    seen: dict[tuple[str, str], Counter[str]] = {}
    stored = table
    if stored is None:
        stored = {row["index"]: row["split"] for row in dataset.iter_frames(["index", "split"])}
    for index, values, _ in _keyed(dataset, keys, on_progress):
        if index not in stored:
            raise DatasetError(
                "the split table lacks a frame", where="split table", got=f"frame {index}"
            )
        for value in values:
            seen.setdefault(value, Counter())[stored[index]] += 1
    return [
        Leak(key=key, value=value, frames=dict(sorted(found.items())))
        for (key, value), found in sorted(seen.items())
        if len(found) > 1
    ]


def write_table(splits: Splits, path: Path) -> None:
    """Write the split table: a CSV file with a line a frame; DiskError on failure."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("frame_index", "split", "component"))
    for row in zip(splits.frames, splits.table, splits.component, strict=True):
        writer.writerow((int(row[0]), NAMES[row[1]], int(row[2])))
    write_file(path, text.getvalue().encode("utf-8"))


def read_table(path: Path) -> dict[int, str]:
    """Return frame index -> split of a split table; DatasetError when it is none."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            return {int(row["frame_index"]): str(row["split"]) for row in csv.DictReader(file)}
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise damaged(path, "a split table: frame_index,split,component", repr(error)) from error


def apply(
    dataset: Dataset,
    splits: Splits,
    out: Place,
    *,
    on_progress: OnProgress | None = None,
) -> Dataset:
    derived = {
        "by": "split",
        "keys": list(splits.keys),
        "sources": [derive.source_summary(dataset)],
    }
    identity = dataclasses.replace(dataset.identity, frames=len(splits.frames), derived=derived)

    def renamed() -> Iterator[derive.Chunk]:
        done = 0
        for chunk in derive.aligned(dataset):
            own = splits.table[done : done + len(chunk.frames)]
            names = [NAMES[k] for k in own]
            done += len(own)
            frames = derive.respecify(
                derive.replaced(chunk.frames, "split", names),
                lambda i, _, n=names: {"split": n[i]},  # type: ignore[misc]
            )
            yield dataclasses.replace(chunk, frames=frames)

    return derive.write_derived(out, identity, [dataset], renamed(), on_progress=on_progress)


def _keyed(
    dataset: Dataset, keys: Sequence[str], on_progress: OnProgress | None
) -> Iterator[tuple[int, set[tuple[str, str]], list[float | None]]]:
    """Yield each frame's index, its values of the keys, and its people's occluded fractions."""
    unknown = sorted(set(keys) - set(KEYS))
    if unknown or not keys:
        raise DatasetError(
            "no such key", where="--by", expected=", ".join(KEYS), got=", ".join(unknown) or "none"
        )
    frame_columns = ["index", *(_COLUMNS[k] for k in keys if k in _COLUMNS)]
    if "asset" in keys:
        frame_columns.append("spec")
    person = [(k, _PERSON_COLUMNS[k]) for k in keys if k in _PERSON_COLUMNS]
    columns = ["frame_index", "instance", "occluded_fraction", *(c for _, c in person)]
    samples = pair_rows(dataset.iter_frames(frame_columns), dataset.iter_instances(columns))
    report = counter(on_progress, dataset.frames)
    for done, (frame, people) in enumerate(samples, 1):
        if done % _REPORT_EVERY == 0 or done == dataset.frames:
            report(done)
        values = {(k, frame[_COLUMNS[k]]) for k in keys if k in _COLUMNS and frame[_COLUMNS[k]]}
        values |= {(k, row[c]) for row in people for k, c in person if row[c]}
        if "asset" in keys and frame["spec"] is not None:
            values |= {("asset", name) for name in _assets(spec_fields(frame["spec"]))}
        yield frame["index"], values, [row["occluded_fraction"] for row in people]


def _assets(spec: Any) -> Iterator[str]:
    if isinstance(spec, dict):
        if set(spec) == {"sha256", "name"}:
            yield str(spec["sha256"])
        for value in spec.values():
            yield from _assets(value)
    elif isinstance(spec, list):
        for value in spec:
            yield from _assets(value)


def _bins(fractions: Iterable[float | None]) -> list[int]:
    found = [0] * (len(FRACTIONS) + 1)
    for value in fractions:
        place = len(FRACTIONS) if value is None else int(fraction_of(np.array([value]))[0])
        found[place] += 1
    return found


def _components(links: Sequence[tuple[int, int]], frames: int) -> I64:
    """(frames,) connected components, numbered in the order of their first frames."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ends = np.array(links, np.int64).reshape(-1, 2).T
    graph = coo_array((np.ones(ends.shape[1]), tuple(ends)), shape=(frames, frames))
    return np.asarray(connected_components(graph, directed=False)[1], np.int64)


def _assign(sizes: F64, wanted: F64, seed: int) -> I64:
    """The split of each component: sizes (C, 1 + bins), frames first.

    Largest first, ties in an order by `seed`; each goes where the squared shortfall
    of frames and of each bin, relative to its total and weighed by its people, falls most. The
    last ones go to splits that would be empty.
    """
    totals = np.maximum(sizes.sum(axis=0), 1.0)
    people = max(1.0, float(sizes[:, 1:].sum()))
    weights = np.concatenate([[2.0], np.sqrt(totals[1:] / people)]) / totals
    goal = wanted[:, None] * totals
    order = stream(seed, "splits").permutation(len(sizes))
    order = order[np.argsort(-sizes[order, 0], kind="stable")]
    have = np.zeros((len(NAMES), sizes.shape[1]))
    given = np.zeros(len(sizes), np.int64)
    for place, c in enumerate(order):
        open_to = (wanted > 0) & (have[:, 0] == 0)
        if len(order) - place > int(open_to.sum()):
            open_to = wanted > 0
        short = (goal - have) * weights
        after = (goal - have - sizes[c]) * weights
        gain = (short**2 - after**2).sum(axis=1)
        k = int(np.argmax(np.where(open_to, gain, -np.inf)))
        given[c] = k
        have[k] += sizes[c]
    return given


# Data sets drawn from the same random numbers, which leak into each other -------------------------

_LOOKED_AT = 500
"""Frames of each source that are compared."""


@dataclass
class Drawn:
    """Drawn values of people (bodies with looks, angles, garments), compared exactly."""

    name: str
    identities: set[str] = field(default_factory=set)
    poses: set[str] = field(default_factory=set)
    designs: set[str] = field(default_factory=set)

    def add(self, spec: str) -> None:
        """Add the people of a stored spec; DatasetError if invalid."""
        people = spec_fields(spec).get("people") or ()
        try:
            for person in people if isinstance(people, list) else ():
                self.identities.add(_text(person["phenotype"], person["look"]))
                self.poses.add(_text(person["pose"]))
                self.designs.update(_text(g["kind"], g["shape"]) for g in person["outfit"])
        except (LookupError, TypeError) as error:
            raise no_spec(f"{type(error).__name__}: {error}") from error


def shared_notes(places: Iterable[Place]) -> list[str]:
    """A line for each pair of data sets with the same drawn people; DatasetError."""
    found = []
    for place in dict.fromkeys(map(resolved, places)):
        drawn = Drawn(place.name)
        for row in islice(Dataset(place, allow_unfinished=True).iter_frames(["spec"]), _LOOKED_AT):
            if row["spec"] is not None:
                drawn.add(row["spec"])
        found.append(drawn)
    return _notes(found)


def merged_notes(dataset: Dataset) -> list[str]:
    """The same for the sources of a merged data set; empty for others."""
    sources = dataset.identity.derived.get("sources", ())
    if len(sources) < 2:
        return []
    names = [
        f"source {k} ({source['identity']['recipe'].get('name', 'imported')}, "
        f"seed {source['identity']['seed']})"
        for k, source in enumerate(sources, 1)
    ]
    found, taken = [Drawn(name) for name in names], [0] * len(names)
    source_of = {index: source for index, source, _ in derive.origins(dataset)}
    for row in dataset.iter_frames(["index", "spec"]):
        source = source_of[row["index"]]
        taken[source] += 1
        if row["spec"] is not None and taken[source] <= _LOOKED_AT:
            found[source].add(row["spec"])
    return _notes(found)


def _notes(found: Sequence[Drawn]) -> list[str]:
    notes = []
    for a, b in combinations(found, 2):
        people, poses, designs = (
            len(getattr(a, kind) & getattr(b, kind)) for kind in ("identities", "poses", "designs")
        )
        # Bodies and looks are real numbers: equal values imply equal random draws.
        if people:
            notes.append(
                f"{a.name} and {b.name} share {people} identities, {poses} poses and {designs} "
                "designs of garments: they were drawn from one seed, so metrics on one after "
                "training on the other are too high. Give one of the recipes another seed or "
                "name."
            )
    return notes


def _text(*values: Any) -> str:
    return json.dumps(values, sort_keys=True)
