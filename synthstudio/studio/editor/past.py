"""Events of a person in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from synthstudio.review.history import events
from synthstudio.review.store import Store
from synthstudio.review.values import NOBODY, PREDICTED, Event, Person

_SHAPES = {"box": "the box", "masks": "the masks"}
_MOST = 40  # events of a person that are shown


def newest_events(store: Store, person: Person) -> list[dict[str, str]]:
    """Return the newest events of a person in words, the newest first."""
    found = events(store, person.dataset, person=person, limit=_MOST, newest=True)
    return [describe_event(event) for event in reversed(found)]


def describe_event(event: Event) -> dict[str, str]:
    after = event.after
    what: str = event.kind
    if event.kind in ("edit", "add"):
        joints: Mapping[str, Any] = after.get("joints", {})  # type: ignore[assignment]
        names = [*(word for field, word in _SHAPES.items() if after.get(field)), *joints]
        what = ", ".join(n.replace("_", " ") for n in names[:3]) + (
            f" and {len(names) - 3} more" if len(names) > 3 else ""
        )
        what = f"added a person ({len(joints)} joints)" if event.kind == "add" else what
        if joints and all(label["origin"] == PREDICTED for label in joints.values()):
            what += ", as predicted"
        what = ", ".join(filter(None, (what, *_over_time(event))))
    elif event.kind == "status":
        said = "nobody is in this frame" if after["status"] == NOBODY else str(after["status"])
        what = said + (f": {after['reason']}" if after["reason"] else "")
    elif event.kind == "distrust":
        what = f"the prediction is wrong ({', '.join(after['distrusts'])})"  # type: ignore[arg-type]
    elif event.kind == "comment":
        what = f"“{after['comment']}”" + (" (an answer)" if "thread" in after else "")
    elif event.kind in ("resolve", "reopen"):
        what = "resolved a thread" if event.kind == "resolve" else "reopened a thread"
    elif event.kind == "revert":
        what = f"took event {event.reverts} back"
    return {"who": event.who, "when": event.when.strftime("%d %b %H:%M"), "what": what}


def _over_time(event: Event) -> Iterator[str]:
    before, after = event.before, event.after
    if "track" in after:
        yield f"track {after['track']}"
    if "keyed" in after and (event.kind != "edit" or after["keyed"] != before.get("keyed")):
        joints = bool(after.get("joints"))
        yield "a key frame" if after["keyed"] else "filled in" if joints else "no key frame"
