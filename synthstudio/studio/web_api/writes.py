"""Write operations: ops, predictions, webhooks."""

from typing import Annotated, Literal

from fastapi import APIRouter, Request
from pydantic import Field, SkipValidation
from starlette.responses import JSONResponse

from synthstudio.core.errors import SynthStudioError
from synthstudio.review import history
from synthstudio.review.leases import SECOND
from synthstudio.review.models import WebhookRow
from synthstudio.review.risk.predictions import Prediction, put_predictions
from synthstudio.review.values import MAIN, invalid
from synthstudio.review.webhooks import make_webhook, remove_webhook, webhooks
from synthstudio.studio import guard
from synthstudio.studio.editor.ops import (
    BLIND,
    MAX_OPS,
    Answer,
    Model,
    OpFields,
    ParsedOps,
    ReceivedOp,
    Strict,
    apply_ops,
    parse_ops,
    release_decided,
    renew_leases,
)
from synthstudio.studio.editor.window import QueueWindow
from synthstudio.studio.web_api.calls import AnyCall, Json, Number, OnSet, SetCall, needs, on_set
from synthstudio.studio.web_api.editor import Editors, items_of, progress_of
from synthstudio.studio.web_api.reads import state_json

MAX_PREDICTIONS = 20_000
router = APIRouter()


class OpsBody(Strict):
    """`layer`: second for blind second reviews, in the editor only; `items`: whether to return the
    people as shown in the editor, with the predictions of `model`."""

    set: str
    ops: list[SkipValidation[OpFields]] = Field(max_length=MAX_OPS)
    layer: Literal["main", "second"] = "main"
    items: bool = False
    model: Model = ""


@router.post("/ops", dependencies=[needs("edit")])
def ops(call: AnyCall, body: OpsBody, request: Request) -> JSONResponse:
    """Edit, decide, comment, resolve, reopen, add, delete, restore, revert.

    Each op is identified by (client, seq) and applied once, however often it is sent; refused ones
    are returned with the reason. `wait`: why the rest is not stored yet; send it again.
    """
    of_set = on_set(call, body.set)
    if body.layer == SECOND and not call.browser:
        invalid("blind second reviews require the studio", "layer", expected=MAIN, got=body.layer)
    store, chosen, layer = call.ctx.store, of_set.chosen, body.layer
    parsed = parse_ops(body.ops, dataset=chosen.key, layer=layer)
    editors: Editors = request.app.state.editors
    held = editors.leases(of_set, layer)
    edited = [received.op.person for received in parsed.ops]
    renew_leases(store, held, tuple(held.people), who=call.me, edited=edited)
    answer = apply_ops(
        store,
        parsed,
        who=call.me,
        base_of=chosen.frames.base_of,
        blinded=lambda people: of_set.hidden(people, layer),
    )
    release_decided(store, held, parsed, answer, who=call.me)
    for client, seq, why, text in answer.refused:
        guard.log_refusal("an op", user=call.me.name, client=client, seq=seq, why=why, text=text)
    by_name = {received.name: received for received in parsed.ops}
    found: Json = {
        "done": [
            {"client": client, "seq": seq, "event": event, "revision": revision}
            for client, seq, event, revision in answer.done
        ],
        "refused": [_refused(of_set, by_name.get(row[:2]), row) for row in answer.refused],
        "wait": answer.wait,
    }
    if body.items:
        found |= _current_items(of_set, parsed, answer, body)
    return JSONResponse(found)


def _current_items(of_set: SetCall, parsed: ParsedOps, answer: Answer, body: OpsBody) -> Json:
    """The people of answered ops, as shown in the editor; none while they cannot be read:
    stored ops are acknowledged anyway."""
    answered = {row[:2] for row in (*answer.done, *answer.refused)}
    people = [
        one.op.person.pair
        for one in parsed.ops
        if one.name in answered and one.op.person.frame < of_set.chosen.dataset.frames
    ]
    try:
        with of_set.ctx.store.snapshot():
            shown = QueueWindow(
                people=list(dict.fromkeys(people)), layer=body.layer, model=body.model, alone=True
            )
            return {"items": items_of(of_set, shown), "progress": progress_of(of_set)}
    except SynthStudioError as error:
        guard.LOG.warning("people were not read after their ops: %s", error)
        return {"items": [], "progress": None}


def _refusal(client: str, seq: int, why: str, text: str) -> Json:
    return {"client": client, "seq": seq, "reason": why, "message": text}


def _refused(of_set: SetCall, received: ReceivedOp | None, row: tuple[str, int, str, str]) -> Json:
    """Why an op was refused, and the person as it is now, unless blinded meanwhile."""
    client, seq, why, _ = row
    if received is None or why != "revision":
        return _refusal(*row)
    person = received.op.person
    size = of_set.chosen.frames.get(person.frame).size
    now = state_json(history.state(of_set.ctx.store, person), size)
    if of_set.hidden([person.pair], person.layer):
        return _refusal(client, seq, "lease", BLIND)
    return _refusal(*row) | {"now": now}


_Point = Annotated[tuple[float, float, float], Field(strict=False)]


class PredictionFields(Strict):
    """`instance` from 1000 on: not in the set; `joints`: name -> x, y, confidence."""

    frame: int = Field(ge=0)
    instance: int
    joints: dict[str, _Point]
    score: float = 1.0
    causes: dict[str, str] = Field({})


class PredictionsBody(Strict):
    """`replace`: drop the layer's previous predictions."""

    predictions: list[PredictionFields] = Field(max_length=MAX_PREDICTIONS)
    replace: bool = False


@router.put("/sets/{set}/predictions/{layer}", dependencies=[needs("import")])
def set_predictions(call: OnSet, layer: str, body: PredictionsBody) -> Json:
    """Store predictions of a network atomically; with `replace`, drop all previous ones."""
    if layer in (MAIN, SECOND):
        invalid("this name is reserved for labels", "layer", expected="a network's name", got=layer)
    count = call.chosen.dataset.frames
    for n, one in enumerate(body.predictions):
        if one.frame >= count:
            where, expected = f"predictions[{n}].frame", f"0 to {count - 1}"
            invalid("no such frame", where, expected=expected, got=one.frame)
    found = [Prediction(**dict(one)) for one in body.predictions]
    stored = put_predictions(call.ctx.store, call.chosen.key, layer, found, replace=body.replace)
    return {"stored": stored}


class WebhookBody(Strict):
    """`comments`: send comments and threads, too."""

    url: str = Field(max_length=500)
    comments: bool = False


_WEBHOOKS = "/sets/{set}/webhooks"


@router.get(_WEBHOOKS, dependencies=[needs("webhooks")])
def list_webhooks(call: OnSet) -> Json:
    """Addresses of webhooks (admins)."""
    found = webhooks(call.ctx.store, call.chosen.key, by=call.me)
    return {"webhooks": [_webhook(one) for one in found]}


@router.post(_WEBHOOKS, dependencies=[needs("webhooks")])
def add_webhook(call: OnSet, body: WebhookBody) -> Json:
    """Add a webhook for all future decisions; its secret is in the answer (admins)."""
    transport = call.ctx.webhook_transport
    store, key = call.ctx.store, call.chosen.key
    made = make_webhook(
        store, key, body.url, by=call.me, transport=transport, comments=body.comments
    )
    guard.LOG.info("webhook %d by %s", made.id, ascii(call.me.name))
    return _webhook(made) | {"secret": transport.secret_of(made.salt)}


@router.delete(f"{_WEBHOOKS}/{{webhook}}", dependencies=[needs("webhooks")])
def drop_webhook(call: OnSet, webhook: Number) -> Json:
    """Remove a webhook (admins)."""
    remove_webhook(call.ctx.store, call.chosen.key, webhook, by=call.me)
    return {"removed": webhook}


def _webhook(one: WebhookRow) -> Json:
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
