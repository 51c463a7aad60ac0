"""Reviewers' edits put into a store by one checkout: `golden_edits.py DATASET DB`.

No command edits a single person, so this is the one place that imports the package's modules.
Whoever moves them writes the new place into SURFACES.
"""

from __future__ import annotations

import importlib
import itertools
import json
import sys
from pathlib import Path
from typing import Any

SURFACES: dict[str, dict[str, str]] = {
    "base": {
        "Dataset": "synthstudio.dataset.reader:Dataset",
        "open_store": "synthstudio.review.store:open_store",
        "register": "synthstudio.review.store:register",
        "apply": "synthstudio.review.edits:apply",
        "base_of": "synthstudio.review.base:base_of",
        "Op": "synthstudio.review.values:Op",
        "User": "synthstudio.review.values:User",
        "Person": "synthstudio.review.values:Person",
        "JointLabel": "synthstudio.review.values:JointLabel",
    },
    "new": {
        "base_of": "synthstudio.review.check:base_of",
        "register": "synthstudio.review.datasets:register",
    },
}
"""Name -> module:attribute. `new` holds only what has moved since the base; it is tried first."""

Step = tuple[str, str, str, int, int, dict[str, Any]]


def surface(name: str) -> Any:
    """Return what a name stands for in the package that is imported here."""
    tried = []
    for side in ("new", "base"):
        path = SURFACES[side].get(name)
        if path is None:
            continue
        module, _, attribute = path.partition(":")
        try:
            return getattr(importlib.import_module(module), attribute)
        except (ImportError, AttributeError) as error:
            tried.append(f"{path}: {error}")
    raise SystemExit(f"{name} has moved: say where in SURFACES of golden_edits.py ({tried})")


def label(x: float | None, y: float | None, state: int | None, cause: str) -> Any:
    """Return a joint as a reviewer sets it."""
    return surface("JointLabel")(x_px=x, y_px=y, state=state, cause=cause)


def script() -> list[Step]:
    """Return what is done: who, role, kind, frame, person, the op's other fields."""
    seen = {"nose": label(50.5, 40.25, 2, "visible")}
    hidden = {"left_wrist": label(61.0, 70.0, 1, "object"), "nose": label(51.0, 41.0, 1, "self")}
    gone = {"right_ankle": label(-4.0, 200.0, 0, "truncated")}
    everybody = {"left_hip": label(70.0, 60.0, 2, "visible")}
    anna, ben, lea = ("anna", "reviewer"), ("ben", "reviewer"), ("lea", "lead")
    steps: list[Step] = [
        (*anna, "edit", 0, 1, {"joints": seen}),
        (*anna, "edit", 0, 1, {"joints": hidden}),
        (*ben, "comment", 0, 1, {"text": "is the wrist behind the box?"}),
        (*lea, "status", 0, 1, {"status": "approved"}),
        (*ben, "edit", 1, 1, {"joints": gone}),
        (*ben, "status", 1, 1, {"status": "rejected", "text": "no feet"}),
        (*lea, "revert", 1, 1, {"event": -2}),
        (*anna, "delete", 1, 2, {}),
        (*anna, "restore", 1, 2, {}),
        (*lea, "status", 1, 2, {"status": "flagged", "text": "look again"}),
        (*ben, "delete", 2, 1, {}),
        (*lea, "add", 2, 9, {"joints": everybody}),
        (*lea, "edit", 2, 9, {"joints": seen}),
        (*lea, "status", 2, 9, {"status": "approved"}),
        ("guest", "viewer", "edit", 3, 1, {"joints": seen}),
        (*anna, "edit", 3, 77, {"joints": seen}),
        (*anna, "edit", 3, 1, {"joints": {"tail": label(1.0, 1.0, 2, "visible")}}),
        (*anna, "edit", 3, 1, {"joints": {"nose": label(1.0, 1.0, 7, "visible")}}),
        (*anna, "restore", 3, 1, {}),
        (*anna, "comment", 3, 1, {"text": ""}),
        (*anna, "edit", 0, 2, {"joints": seen, "stale": True}),
    ]
    for frame, instance in itertools.product(range(4, 16), (1, 2)):
        who = (anna, ben)[frame % 2]
        state, cause = ((2, "visible"), (1, "object"))[instance % 2]
        joints = {"left_knee": label(3.0 * frame, 90.0, state, cause)}
        steps.append((*who, "edit", frame, instance, {"joints": joints}))
        if frame % 3:
            status = "approved" if frame % 3 == 1 else "skipped"
            steps.append((*lea, "status", frame, instance, {"status": status}))
        if frame % 5 == 0:
            steps.append((*who, "revert", frame, instance, {"event": -1}))
    return steps


def put(dataset: Path, db: str) -> list[str]:
    """Do the script in a store; return a line for each step: its revision, or why not."""
    data = surface("Dataset")(dataset)
    store = surface("open_store")(db)
    key = surface("register")(store, data, "golden")
    revisions: dict[tuple[int, int], int] = {}
    events: dict[tuple[int, int], list[int]] = {}
    lines = []
    try:
        for number, (name, role, kind, frame, instance, more) in enumerate(script(), 1):
            item = (frame, instance)
            fields = dict(more)
            revision = revisions.get(item, 0) + (5 if fields.pop("stale", False) else 0)
            if "event" in fields:
                fields["event"] = events[item][fields["event"]]
            person = surface("Person")(dataset=key, frame=frame, instance=instance)
            op = {"client": "golden", "seq": number, "person": person, "revision": revision}
            try:
                event = surface("apply")(
                    store,
                    surface("Op")(kind=kind, **op, **fields),
                    who=surface("User")(name=name, role=role),
                    base=surface("base_of")(data, frame, instance),
                )
            except Exception as error:  # refused: part of what is compared
                lines.append(f"{number} {kind} {getattr(error, 'reason', type(error).__name__)}")
                continue
            revisions[item] = event.revision
            events.setdefault(item, []).append(event.id)
            lines.append(f"{number} {kind} revision {event.revision}")
    finally:
        store.close()
    return lines


if __name__ == "__main__":
    print(json.dumps(put(Path(sys.argv[1]), sys.argv[2])))
