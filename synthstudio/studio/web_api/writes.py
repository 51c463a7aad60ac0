"""Operations that change something: ops, predictions, webhooks.

An op goes the transport of the editor's: the same parser, checks, revisions, leases and undo.
"""

from __future__ import annotations

from typing import Any

from synthstudio.core.errors import Refused
from synthstudio.review import history
from synthstudio.review.leases import SECOND
from synthstudio.review.risk.predictions import Prediction, put_predictions
from synthstudio.review.values import MAIN, require
from synthstudio.review.webhooks import Webhook, make_webhook, remove_webhook, webhooks
from synthstudio.studio import guard
from synthstudio.studio.editor.outbox import (
    BLIND,
    HeldLeases,
    ReceivedOp,
    apply_message,
    invalid,
    parse_message,
    release_decided,
    storage_key,
)
from synthstudio.studio.web_api.calls import Call, Json, to_object
from synthstudio.studio.web_api.reads import state_json

_PREDICTION = ("frame", "instance", "score", "joints", "causes")
MOST_PREDICTIONS = 20_000
_TAB = "programapi"


def ops(call: Call) -> Json:
    """Do some ops of one data set in their order, and tell what became of each."""
    body = to_object(call.body, "body", ("set", "ops"))
    key = body.get("set")
    chosen = call.ctx.sets.get(key) if isinstance(key, str) else None
    if chosen is None:
        raise Refused("this data set is not open here", where="set", reason="gone")
    found = body.get("ops")
    if isinstance(found, list):
        found = [_of_set(op, chosen.key) for op in found]
    payload = {"v": 1, "tab": _TAB, "n": 0, "ops": found}
    message = parse_message(payload, dataset=chosen.key, layer=MAIN)
    of_set = Call(ctx=call.ctx, me=call.me, path={"set": chosen.key}, query={})
    answer = apply_message(
        call.ctx.store,
        message,
        who=call.me,
        base_of=chosen.frames.base_of,
        veiled=of_set.hidden,
    )
    release_decided(call.ctx.store, HeldLeases(), message, answer, who=call.me)
    for client, seq, why, text in answer.refused:
        guard.log_refusal("an op", user=call.me.name, client=client, seq=seq, why=why, text=text)
    by_name = {received.name: received for received in message.ops}
    refused = [_refused(of_set, by_name.get((row[0], row[1])), row) for row in answer.refused]
    return {
        "done": [
            {"client": client, "seq": seq, "event": event, "revision": revision}
            for client, seq, event, revision in answer.done
        ],
        "refused": refused,
        "wait": answer.wait,
    }


def _refusal(client: str, seq: int, why: str, text: str) -> Json:
    return {"client": client, "seq": seq, "reason": why, "message": text}


def _refused(of_set: Call, received: ReceivedOp | None, row: tuple[str, int, str, str]) -> Json:
    """Return why an op was refused, and the item as it is for one whose author saw another.

    Not that of somebody who was decided on while the op was on its transport, and is hidden now.
    """
    client, seq, why, _ = row
    if received is None or why != "revision":
        return _refusal(*row)
    person = received.op.person
    size = of_set.chosen.frames.get(person.frame).size
    now = state_json(history.state(of_set.ctx.store, person), size)
    if of_set.hidden([(person.frame, person.instance)]):
        return _refusal(client, seq, "lease", BLIND)
    return _refusal(*row) | {"now": now}


def _of_set(op: Any, key: str) -> Any:
    """Return an op as the editor sends it; one that names another data set stays as it is."""
    return {"dataset": storage_key(key, MAIN), **op} if isinstance(op, dict) else op


def set_predictions(call: Call) -> Json:
    """Store what a network says of some people; with `replace` in place of all it said before."""
    require(call.me, "import")
    body = to_object(call.body, "body", ("predictions", "replace"))
    rows, replace = body.get("predictions"), body.get("replace", False)
    if not isinstance(rows, list) or len(rows) > MOST_PREDICTIONS:
        invalid("predictions are a list", "predictions", f"at most {MOST_PREDICTIONS:,}", rows)
    if type(replace) is not bool:
        invalid("this is no choice", "replace", "true or false", replace)
    layer = str(call.path["layer"])
    if layer in (MAIN, SECOND):
        invalid("this is the name of people's labels", "layer", "a network's name", layer)
    count = call.chosen.dataset.frames
    found = [_prediction(row, n, count) for n, row in enumerate(rows)]
    stored = put_predictions(call.ctx.store, call.chosen.key, layer, found, replace=replace)
    return {"stored": stored}


def _prediction(row: object, n: int, frames: int) -> Prediction:
    where = f"predictions[{n}]"
    one = to_object(row, where, _PREDICTION)
    joints, causes = one.get("joints"), one.get("causes", {})
    frame = one.get("frame")
    if type(frame) is not int or not 0 <= frame < frames:
        invalid("no such frame", f"{where}.frame", f"0 to {frames - 1}", frame)
    if not isinstance(joints, dict) or not all(
        isinstance(p, list) and len(p) == 3 for p in joints.values()
    ):
        invalid("a joint is [x, y, confidence]", f"{where}.joints", "by name", joints)
    if not isinstance(causes, dict) or not all(isinstance(c, str) for c in causes.values()):
        invalid("causes go by joint", f"{where}.causes", "name -> cause", causes)
    return Prediction(
        frame=frame,
        instance=one.get("instance"),  # type: ignore[arg-type]
        joints={name: tuple(point) for name, point in joints.items()},
        score=one.get("score", 1.0),
        causes=causes,
    )


def list_webhooks(call: Call) -> Json:
    found = webhooks(call.ctx.store, call.chosen.key, by=call.me)
    return {"webhooks": [_webhook(one) for one in found]}


def add_webhook(call: Call) -> Json:
    """Tell an address of the decisions from now on. Its secret is told once, here."""
    body = to_object(call.body, "body", ("url", "comments"))
    url, comments = body.get("url"), body.get("comments", False)
    if type(comments) is not bool:
        invalid("this is no choice", "comments", "true or false", comments)
    transport = call.ctx.webhook_transport
    store, key = call.ctx.store, call.chosen.key
    made = make_webhook(store, key, url, by=call.me, transport=transport, comments=comments)  # type: ignore[arg-type]
    guard.LOG.info("webhook %d by %s", made.id, ascii(call.me.name))
    return _webhook(made) | {"secret": transport.secret_of(made.salt)}


def drop_webhook(call: Call) -> Json:
    number = call.whole("webhook")
    remove_webhook(call.ctx.store, call.chosen.key, number, by=call.me)
    return {"removed": number}


def _webhook(one: Webhook) -> Json:
    return {
        "webhook": one.id,
        "url": one.url,
        "by": one.by,
        "made": one.made.isoformat(),
        "last": one.last,
        "tries": one.tries,
        "state": one.state,
        "comments": one.comments,
        "note": one.note,
    }
