"""All operations of the API: what the server answers and what its document says, in one table."""

from __future__ import annotations

from typing import Any

from synthstudio.review.values import FRAME_STATUSES, KINDS, STATUSES
from synthstudio.studio.editor.outbox import MOST_OPS
from synthstudio.studio.web_api import reads, writes
from synthstudio.studio.web_api.calls import MAX_PAGE, PAGE, Json, Operation


def _object(*required: str, **properties: Any) -> Json:
    """Return the schema of an object with these properties and no others."""
    found: Json = {"type": "object", "additionalProperties": False, "properties": properties}
    return found | ({"required": list(required)} if required else {})


_LIMIT = {"limit": f"How many at most, 1 to {MAX_PAGE}; {PAGE} if not said."}
_NEXT = {"after": "next of the page before; null: that was the last."} | _LIMIT
_SET, _FRAME = "/sets/{set}", "/sets/{set}/frames/{frame}"
_PERSON = "/sets/{set}/people/{frame}/{instance}"
_WHOLE: Json = {"type": "integer", "minimum": 0}
_TEXT: Json = {"type": "string"}
_NUMBER: Json = {"type": "number"}
_NULL_NUMBER: Json = {"type": ["number", "null"]}
_JOINT: Json = {
    "type": "array",
    "description": "x and y in continuous pixels (null: no place), state (2 visible, 1 hidden, 0 "
    "outside, null unlabelled), cause, and whose word it is",
    "prefixItems": [_NULL_NUMBER, _NULL_NUMBER, {"type": ["integer", "null"]}, _TEXT, _TEXT],
    "minItems": 4,
    "maxItems": 5,
}
_BOX: Json = {
    "type": ["array", "null"],
    "items": _NUMBER,
    "minItems": 4,
    "maxItems": 4,
    "description": "x, y, width, height in continuous pixels",
}
_MASK: Json = {
    "description": "a COCO run-length code of the picture's size, or COCO polygons inside it",
    "anyOf": [
        _object(
            "size",
            "counts",
            size={"type": "array", "items": _WHOLE, "minItems": 2, "maxItems": 2},
            counts={"anyOf": [_TEXT, {"type": "array", "items": _WHOLE}]},
        ),
        {"type": "array", "items": {"type": "array", "items": _NUMBER}},
    ],
}
_MASKS: Json = _object(modal=_MASK, amodal=_MASK) | {
    "type": ["object", "null"],
    "description": "modal: what can be seen; amodal: the whole person, which grows with modal",
}
_OP: Json = _object(
    *("client", "seq", "frame", "instance", "revision", "kind"),
    client={"type": "string", "pattern": "^[A-Za-z0-9]{8,64}$"},
    seq=_WHOLE,
    frame=_WHOLE,
    instance={**_WHOLE, "description": "0: the frame, which may have status nobody"},
    revision={**_WHOLE, "description": "the person's, as the author of the op saw it"},
    kind={"enum": list(KINDS)},
    joints={"type": "object", "additionalProperties": _JOINT},
    box=_BOX,
    masks=_MASKS,
    track={
        "type": ["integer", "null"],
        "description": "who it is over time, in frames of a clip (edit, add)",
    },
    keyed={
        "type": ["boolean", "null"],
        "description": "a key frame of its track, or not (edit, add)",
    },
    status={"enum": [*dict.fromkeys((*STATUSES, *FRAME_STATUSES)), None]},
    text={"type": "string", "maxLength": 2000},
    event={
        "type": ["integer", "null"],
        "description": "which event a revert takes back; of a comment that answers, of resolve "
        "and reopen: the first comment of the thread",
    },
    joint={"type": ["string", "null"], "description": "at which a first comment points"},
    undoes={"type": "array", "description": "or its [client, seq]"},
    after={"type": "array", "description": "[client, seq] of an op this one builds on"},
    dataset=_TEXT,
)
_OPS: Json = _object(
    *("set", "ops"), set=_TEXT, ops={"type": "array", "maxItems": MOST_OPS, "items": _OP}
)
_PREDICTION: Json = _object(
    *("frame", "instance", "joints"),
    frame=_WHOLE,
    instance={**_WHOLE, "description": "from 1000 on: nobody of the set"},
    score={"type": "number", "minimum": 0, "maximum": 1},
    joints={
        "type": "object",
        "additionalProperties": {
            "type": "array",
            "items": _NUMBER,
            "minItems": 3,
            "maxItems": 3,
        },
    },
    causes={"type": "object", "additionalProperties": _TEXT},
)
_PREDICTIONS: Json = _object(
    "predictions",
    replace={"type": "boolean", "description": "drop all that the layer had"},
    predictions={"type": "array", "maxItems": writes.MOST_PREDICTIONS, "items": _PREDICTION},
)
_URL: Json = _object(
    "url",
    url={"type": "string", "maxLength": 500},
    comments={"type": "boolean", "description": "tell of comments and threads, too"},
)

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        method="GET", path="/me", name="me", summary="Whose token this is, and the role it has.",
        run=reads.me,
    ),
    Operation(
        method="GET", path="/sets", name="sets", summary="The open data sets.", run=reads.sets
    ),
    Operation(
        method="GET", path=_SET, name="set", summary="One data set: its size, joints and progress.",
        run=reads.one_set,
    ),
    Operation(
        method="GET", path=f"{_SET}/frames", name="frames", summary="Frames, by number.",
        run=reads.frames, query=_NEXT,
    ),
    Operation(
        method="GET", path=_FRAME, name="frame",
        summary="A frame with the people in it as they stand.", run=reads.one_frame,
    ),
    Operation(
        method="GET", path=f"{_FRAME}/image", name="image", summary="Its picture.",
        run=reads.image, answer=None,
    ),
    Operation(
        method="GET", path=f"{_SET}/people", name="people",
        summary="People on disk and added ones, without deleted ones.", run=reads.people,
        query={"status": f"Only those: {', '.join(STATUSES)}; none who are blind."} | _NEXT,
    ),
    Operation(
        method="GET", path=_PERSON, name="person",
        summary="A person as reviewers left it: status, revision, joints, box, masks, comments.",
        run=reads.person,
    ),
    Operation(
        method="GET", path=f"{_SET}/decisions", name="decisions",
        summary="Decisions, oldest first: the same that webhooks are told.", run=reads.decisions,
        query=_NEXT,
    ),
    Operation(
        method="GET", path=f"{_SET}/comments", name="comments", summary="Comments, oldest first.",
        run=reads.comments, query=_NEXT,
    ),
    Operation(
        method="GET", path=f"{_SET}/threads", name="threads",
        summary="Threads of comments, by the event of their first comment.", run=reads.threads,
        query={"open": "yes or no: only those.", "mentions": "Only where this name is; me: yours."}
        | _NEXT,
    ),
    Operation(
        method="GET", path=f"{_SET}/predictions", name="layers",
        summary="The networks whose predictions are stored.", run=reads.layers,
    ),
    Operation(
        method="GET", path=f"{_SET}/predictions/{{layer}}", name="predictions",
        summary="What a network says of the people of some frames.", run=reads.predictions,
        query=_NEXT,
    ),
    Operation(
        method="PUT", path=f"{_SET}/predictions/{{layer}}", name="set_predictions",
        summary="Store predictions of a network, all or none (leads).",
        run=writes.set_predictions, action="import", body=_PREDICTIONS,
    ),
    Operation(
        method="POST", path="/ops", name="ops",
        summary="Edit, decide, comment, resolve, reopen, add, delete, restore, revert: the "
        "editor's own ops. Each is named by (client, seq) and happens once, however often it is "
        "sent; one that is refused comes back with its reason.",
        run=writes.ops, action="edit", body=_OPS,
    ),
    Operation(
        method="GET", path=f"{_SET}/webhooks", name="webhooks",
        summary="Addresses that are told of decisions (admins).", run=writes.list_webhooks,
        action="webhooks",
    ),
    Operation(
        method="POST", path=f"{_SET}/webhooks", name="add_webhook",
        summary="Tell an address of every decision from now on; answers with its secret (admins).",
        run=writes.add_webhook, action="webhooks", body=_URL,
    ),
    Operation(
        method="DELETE", path=f"{_SET}/webhooks/{{webhook}}", name="drop_webhook",
        summary="Tell it nothing more (admins).", run=writes.drop_webhook, action="webhooks",
    ),
)  # fmt: skip
