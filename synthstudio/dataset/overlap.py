"""Whether two data sets were drawn from the same random numbers: then one leaks into the other."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations, islice
from typing import Any

from synthstudio.core.places import Place, resolved
from synthstudio.dataset.derive import origins
from synthstudio.dataset.reader import Dataset
from synthstudio.dataset.rows import no_spec, spec_fields

FRAMES = 500
"""Frames of each source that are looked at."""


@dataclass
class Drawn:
    """What was drawn for people: bodies with their looks, angles, garments; to compare exactly."""

    name: str
    identities: set[str] = field(default_factory=set)
    poses: set[str] = field(default_factory=set)
    designs: set[str] = field(default_factory=set)

    def add(self, spec: str) -> None:
        """Add the people of a stored spec; DatasetError for one that is none."""
        people = spec_fields(spec).get("people") or ()
        try:
            for person in people if isinstance(people, list) else ():
                self.identities.add(_text(person["phenotype"], _said(person["look"])))
                self.poses.add(_text(_said(person["pose"])))
                self.designs.update(_text(g["kind"], g["shape"]) for g in person["outfit"])
        except (LookupError, TypeError) as error:
            raise no_spec(f"{type(error).__name__}: {error}") from error


def shared_notes(places: Iterable[Place]) -> list[str]:
    """A line for each two of some data sets in which the same people were drawn; DatasetError."""
    found = []
    for place in dict.fromkeys(map(resolved, places)):
        drawn = Drawn(place.name)
        for row in islice(Dataset(place, allow_unfinished=True).iter_frames(["spec"]), FRAMES):
            if row["spec"] is not None:
                drawn.add(row["spec"])
        found.append(drawn)
    return _notes(found)


def merged_notes(dataset: Dataset) -> list[str]:
    """The same for the sources of a merged data set; none for any other."""
    sources = dataset.identity.derived.get("sources", ())
    if len(sources) < 2:
        return []
    names = [
        f"source {k} ({source['identity']['recipe'].get('name', 'imported')}, "
        f"seed {source['identity']['seed']})"
        for k, source in enumerate(sources, 1)
    ]
    found, taken = [Drawn(name) for name in names], [0] * len(names)
    source_of = {index: source for index, source, _ in origins(dataset)}
    for row in dataset.iter_frames(["index", "spec"]):
        source = source_of[row["index"]]
        taken[source] += 1
        if row["spec"] is not None and taken[source] <= FRAMES:
            found[source].add(row["spec"])
    return _notes(found)


def _notes(found: Sequence[Drawn]) -> list[str]:
    notes = []
    for a, b in combinations(found, 2):
        people, poses, designs = (
            len(getattr(a, kind) & getattr(b, kind)) for kind in ("identities", "poses", "designs")
        )
        # Bodies and looks are real numbers: they agree only when they are drawn alike.
        if people:
            notes.append(
                f"{a.name} and {b.name} share {people} identities, {poses} poses and {designs} "
                "designs of garments: they were drawn from one seed, so what is measured on one "
                "after training on the other is too good. Give one of the recipes another seed "
                "or name."
            )
    return notes


def _text(*values: Any) -> str:
    return json.dumps(values, sort_keys=True)


def _said(part: Any) -> dict[str, Any]:
    """Return the fields of a part of a spec that say something, as sets of before have them."""
    return {name: part[name] for name in part if part[name]}
