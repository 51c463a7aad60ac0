"""Webhooks: addresses that are told of every decision on a data set, in order, at least once.

A webhook holds the number of the event up to which it was told, so nothing is lost by a restart. A
message that is not taken is sent again later, `TRIES` times in a day; then the webhook is stopped.
"""

from __future__ import annotations

import hashlib
import hmac
import http.client
import json
import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import CursorResult, func, select, update
from sqlalchemy.orm import Session

from synthstudio.core.errors import Refused
from synthstudio.review.decisions import (
    DECIDING,
    TALKED,
    event_json,
    events_of,
    is_decision,
)
from synthstudio.review.models import DatasetRow, EventRow, WebhookRow, utc_now
from synthstudio.review.sending import Resolve, Target, checked_target, post, resolve
from synthstudio.review.store import Store
from synthstudio.review.threads import talks
from synthstudio.review.values import MAIN, Event, User, require

TRIES = 34
"""So many that a day is over: ten waits that double, 85 minutes in all, then 23 of an hour."""
FIRST_WAIT_S, LONGEST_WAIT_S = 5.0, 3600.0
MOST = 20
"""Webhooks of a data set."""
ON, STOPPED = "on", "stopped"
_CLAIM_S = 60.0
"""Longer than one message takes; each that was taken claims as long anew."""
_AT_ONCE = 50
SIGNATURE, DELIVERY = "X-Synthstudio-Signature", "X-Synthstudio-Event"
Post = Callable[[Target, bytes, dict[str, str]], int]
SecretOf = Callable[[str], str]
"""The salt of a webhook -> the secret that signs its messages."""
Clock = Callable[[], datetime]


@dataclass(frozen=True, kw_only=True)
class Webhook:
    """An address that is told. `state`: "on", or "stopped" after too many failures (`note`).

    `comments`: whether it hears of threads of comments, too.
    """

    id: int
    dataset: str
    url: str
    by: str
    made: datetime
    salt: str
    last: int
    tries: int
    state: str
    note: str
    comments: bool = False


@dataclass(frozen=True, kw_only=True)
class Way:
    """How messages go out. `allowed`: hosts that may be this machine or at home."""

    secret_of: SecretOf
    allowed: Collection[str] = ()
    resolve: Resolve = resolve
    post: Post = post


def make_webhook(
    store: Store, dataset: str, url: str, *, by: User, way: Way, comments: bool = False
) -> Webhook:
    """Tell an address of the decisions on a data set from now on. Refused: "role", "invalid".

    `comments`: also of comments, and of threads that are resolved or reopened.
    """
    require(by, "webhooks")
    checked_target(url, allowed=way.allowed, resolve=way.resolve)
    with store.session() as session:
        if session.get(DatasetRow, dataset) is None:
            raise Refused("the store does not know this data set", reason="gone")
        own = WebhookRow.dataset == dataset
        count = session.scalar(select(func.count()).select_from(WebhookRow).where(own)) or 0
        if count >= MOST:
            raise Refused(
                "this data set has enough webhooks", expected=f"at most {MOST}", reason="invalid"
            )
        row = WebhookRow(
            dataset=dataset,
            url=url,
            by=by.name,
            made=utc_now(),
            salt=secrets.token_hex(16),
            last=_newest(session, dataset),
            tries=0,
            due=utc_now(),
            state=ON,
            note="",
            comments=comments,
        )
        session.add(row)
        session.flush()
        return _webhook(row)


def _newest(session: Session, dataset: str) -> int:
    query = select(func.max(EventRow.id)).where(EventRow.dataset == dataset)
    return session.scalar(query) or 0


def webhooks(store: Store, dataset: str, *, by: User) -> list[Webhook]:
    """Return the webhooks of a data set. Refused: "role"."""
    require(by, "webhooks")
    query = select(WebhookRow).where(WebhookRow.dataset == dataset).order_by(WebhookRow.id)
    with store.reading() as session:
        return [_webhook(row) for row in session.scalars(query)]


def remove_webhook(store: Store, dataset: str, number: int, *, by: User) -> None:
    """Tell an address nothing more. Refused: "role", "gone"."""
    require(by, "webhooks")
    with store.session() as session:
        row = session.get(WebhookRow, number)
        if row is None or row.dataset != dataset:
            raise Refused("there is no such webhook", where=str(number), reason="gone")
        session.delete(row)


def signature(secret: str, moment: int, body: bytes) -> str:
    """Return what a message is signed with: the time it was sent, and HMAC-SHA-256 of both."""
    signed = f"{moment}.".encode() + body
    return f"t={moment},v1={hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()}"


@dataclass(kw_only=True)
class _Claim:
    """What a server holds of a webhook: until `due` nobody else writes its row."""

    store: Store
    webhook: int
    last: int
    due: datetime

    def note(self, last: int, due: datetime, **values: Any) -> bool:
        """Write how far it got; False, with nothing written, when another server goes on."""
        mine = (
            WebhookRow.id == self.webhook,
            WebhookRow.last == self.last,
            WebhookRow.due == self.due,
        )
        with self.store.session() as session:
            new = {"last": last, "due": due, **values}
            done = session.execute(update(WebhookRow).where(*mine).values(**new))
            assert isinstance(done, CursorResult)
            self.last, self.due = last, due
            return bool(done.rowcount)


def deliver_due(store: Store, *, way: Way, clock: Clock = utc_now) -> int:
    """Send what is due of every webhook, in order; return how many messages were taken.

    Of two servers on one database one sends: a webhook is claimed for a minute before each message.
    """
    taken = 0
    with store.reading() as session:
        due = WebhookRow.state == ON, WebhookRow.due <= clock()
        found = [_webhook(row) for row in session.scalars(select(WebhookRow).where(*due))]
    for webhook in found:
        kinds = (*DECIDING, *TALKED) if webhook.comments else DECIDING
        waiting = events_of(store, webhook.dataset, kinds, after_id=webhook.last, limit=_AT_ONCE)
        held = _claim(store, webhook, clock()) if waiting else None
        if held is not None:
            taken += _tell(held, webhook, waiting, way, clock)
    return taken


def _claim(store: Store, webhook: Webhook, now: datetime) -> _Claim | None:
    """Claim a webhook as it was read; None when another server has been there since."""
    mine = (
        WebhookRow.id == webhook.id,
        WebhookRow.state == ON,
        WebhookRow.last == webhook.last,
        WebhookRow.tries == webhook.tries,
        WebhookRow.due <= now,
    )
    with store.session() as session:
        until = now + timedelta(seconds=_CLAIM_S)
        done = session.execute(update(WebhookRow).where(*mine).values(due=until))
        assert isinstance(done, CursorResult)
        if not done.rowcount:
            return None
        return _Claim(store=store, webhook=webhook.id, last=webhook.last, due=until)


def _tell(held: _Claim, webhook: Webhook, waiting: list[Event], way: Way, clock: Clock) -> int:
    """Send one after the other until one is not taken; note after each how far it got."""
    taken, last, tries = 0, held.last, webhook.tries
    for event in waiting:
        wanted = is_decision(event) or (webhook.comments and talks(event))
        if event.person.layer == MAIN and wanted:
            wrong = _send(webhook, event, way)
            if wrong:
                tries += 1
                wait_s = min(FIRST_WAIT_S * 2 ** (tries - 1), LONGEST_WAIT_S)
                due, state = clock() + timedelta(seconds=wait_s), STOPPED if tries >= TRIES else ON
                held.note(last, due, tries=tries, note=wrong, state=state)
                return taken
            taken, tries = taken + 1, 0
            due = clock() + timedelta(seconds=_CLAIM_S)
            if not held.note(event.id, due, tries=0, note=""):
                return taken
        last = event.id
    held.note(last, clock())
    return taken


def _send(webhook: Webhook, event: Event, way: Way) -> str:
    """Send one event; return what went wrong, "" for nothing."""
    body = json.dumps(event_json(event), sort_keys=True, allow_nan=False).encode()
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "synthstudio",
        DELIVERY: str(event.id),
        SIGNATURE: signature(way.secret_of(webhook.salt), int(utc_now().timestamp()), body),
    }
    try:
        target = checked_target(webhook.url, allowed=way.allowed, resolve=way.resolve)
        status = way.post(target, body, headers)
    except Refused as error:
        return str(error)
    except (OSError, http.client.HTTPException) as error:
        return f"no answer: {type(error).__name__}"
    return "" if 200 <= status < 300 else f"answered with {status}"


def _webhook(row: WebhookRow) -> Webhook:
    return Webhook(
        id=row.id,
        dataset=row.dataset,
        url=row.url,
        by=row.by,
        made=row.made,
        salt=row.salt,
        last=row.last,
        tries=row.tries,
        state=row.state,
        note=row.note,
        comments=row.comments,
    )
