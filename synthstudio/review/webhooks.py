"""Webhooks: URLs that receive every decision on a data set, in order, at least once.

A webhook stores the number of its last delivered event, so restarts lose nothing. A
failed message is retried later, `TRIES` times in a day; then the webhook is stopped.

A host is looked up once, checked to be public, and that address is used for the connection, so that
a changed DNS entry cannot redirect it. No redirect is followed.
"""

import asyncio
import hashlib
import hmac
import ipaddress
import itertools
import json
import secrets
import socket
import ssl
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any
from urllib.parse import SplitResult, urlsplit

import httpx
from sqlalchemy import func, select, update

from synthstudio.core.errors import Refused
from synthstudio.review.history import DECIDING, event_json, events, is_decision
from synthstudio.review.models import DatasetRow, EventRow, WebhookRow, utc_now
from synthstudio.review.store import Store, count_changed
from synthstudio.review.threads import THREAD_KINDS, is_of_thread
from synthstudio.review.values import Event, User, invalid, require

TRIES = 34
"""Attempts within a day: ten doubling delays, 85 minutes in total, then 23 of an hour."""
FIRST_WAIT_S, LONGEST_WAIT_S = 5.0, 3600.0
MAX = 20
"""Maximum webhooks of a data set."""
ON, STOPPED = "on", "stopped"
MAX_URL = 500
TIMEOUT_S = 10.0
CLAIM = timedelta(seconds=60)
"""Duration of a claim, longer than one message takes; renewed with each delivery."""
_AT_ONCE, _TURN = 50, timedelta(seconds=10)
"""Events and time of a webhook's turn, after which others have theirs."""
_PORTS = {"https": 443, "http": 80}
_UNICAST = ipaddress.ip_network("2000::/3")
_FORM = "https://HOST/PATH"
SIGNATURE, DELIVERY = "X-Synthstudio-Signature", "X-Synthstudio-Event"


@dataclass(frozen=True, kw_only=True)
class Target:
    """Destination of a message: `addresses` are the resolved ones of `host`."""

    scheme: str
    host: str
    port: int
    path: str
    addresses: tuple[str, ...]


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host; OSError if none."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(entry[4][0]) for entry in found]


def is_public(address: str) -> bool:
    """Whether an address is public: not local, private or reserved."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:  # also one with a zone
        return False
    if isinstance(ip, ipaddress.IPv4Address):
        return ip.is_global and not ip.is_multicast and not ip.is_reserved
    if ip.sixtofour is not None or ip.teredo is not None or ip not in _UNICAST:
        return False  # also ::ffff:127.0.0.1 and 64:ff9b::7f00:1, which embed others
    return ip.is_global and not ip.is_multicast


def _split(url: str) -> tuple[SplitResult, int]:
    try:
        parts = urlsplit(url)
        if parts.port == 0:
            raise ValueError("no port")
        return parts, parts.port or _PORTS.get(parts.scheme, 443)
    except ValueError:
        invalid("invalid URL", "url", expected=_FORM, got=url)


def post(
    target: Target, body: bytes, headers: Mapping[str, str], *, timeout_s: float = TIMEOUT_S
) -> int:
    """Send a message to a target; return the status. TimeoutError, httpx.HTTPError."""
    url = httpx.URL(
        scheme=target.scheme,
        host=target.addresses[0],
        port=target.port,
        raw_path=target.path.encode(),
    )
    host = f"[{target.host}]" if ":" in target.host else target.host
    port = "" if target.port == _PORTS[target.scheme] else f":{target.port}"
    verify = ssl.create_default_context() if target.scheme == "https" else False

    async def send() -> int:
        client = httpx.AsyncClient(verify=verify, trust_env=False)
        async with asyncio.timeout(timeout_s), client:
            # The certificate must match the host, not the address.
            sending = client.stream(
                "POST",
                url,
                content=body,
                headers={**headers, "Host": f"{host}{port}"},
                timeout=timeout_s,
                extensions={"sni_hostname": target.host},
            )
            async with sending as answer:
                return answer.status_code

    return asyncio.run(send())


@dataclass(frozen=True, kw_only=True)
class WebhookTransport:
    """Transport of messages. `allowed`: hosts that may be local or private, without https."""

    secret_of: Callable[[str], str]
    """The salt of a webhook -> the secret that signs its messages."""
    allowed: Collection[str] = ()
    resolve: Callable[[str, int], Sequence[str]] = resolve
    post: Callable[[Target, bytes, dict[str, str]], int] = post

    def target(self, url: object) -> Target:
        """The destination of a URL; Refused ("invalid") if not allowed."""
        if not isinstance(url, str) or not 1 <= len(url) <= MAX_URL or not url.isascii():
            expected = f"at most {MAX_URL} ASCII characters"
            invalid("invalid URL", "url", expected=expected, got=url)
        if any(ord(c) <= 32 or c in '\\"<>' for c in url):
            invalid("invalid URL", "url", expected=_FORM, got=url)
        parts, port = _split(url)
        host = (parts.hostname or "").rstrip(".")
        known = host in {name.lower().rstrip(".") for name in self.allowed}
        if parts.scheme != "https" and not (parts.scheme == "http" and known):
            invalid("webhooks need https", "url", expected=_FORM, got=parts.scheme)
        if parts.username is not None or parts.password is not None or parts.fragment or not host:
            invalid("invalid URL", "url", expected=_FORM, got=url)
        try:
            found = tuple(dict.fromkeys(self.resolve(host, port)))
        except (OSError, UnicodeError):
            invalid("unknown host", "url", expected="one that can be resolved", got=host)
        if not found or not (known or all(map(is_public, found))):
            expected = "a public address, or a host of --webhook-host"
            invalid("not a public address", "url", expected=expected, got=host)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return Target(scheme=parts.scheme, host=host, port=port, path=path, addresses=found)


def make_webhook(
    store: Store,
    dataset: str,
    url: str,
    *,
    by: User,
    transport: WebhookTransport,
    comments: bool = False,
) -> WebhookRow:
    """Register a webhook for decisions from now on (and `comments`). Refused: "role", "invalid"."""
    require(by, "webhooks")
    transport.target(url)
    with store.session() as session:
        if session.get(DatasetRow, dataset) is None:
            raise Refused("the data set is not in the store", reason="gone")
        own = WebhookRow.dataset == dataset
        count = session.scalar(select(func.count()).select_from(WebhookRow).where(own)) or 0
        if count >= MAX:
            invalid("too many webhooks for this data set", "url", expected=f"at most {MAX}")
        newest = session.scalar(select(func.max(EventRow.id)).where(EventRow.dataset == dataset))
        row = WebhookRow(
            dataset=dataset,
            url=url,
            by=by.name,
            made=utc_now(),
            salt=secrets.token_hex(16),
            last=newest or 0,
            due=utc_now(),
            state=ON,
            comments=comments,
        )
        session.add(row)
        session.flush()
        return row


def webhooks(store: Store, dataset: str, *, by: User) -> list[WebhookRow]:
    """The webhooks of a data set. Refused: "role"."""
    require(by, "webhooks")
    query = select(WebhookRow).where(WebhookRow.dataset == dataset).order_by(WebhookRow.id)
    with store.reading() as session:
        return list(session.scalars(query))


def remove_webhook(store: Store, dataset: str, number: int, *, by: User) -> None:
    """Delete a webhook. Refused: "role", "gone"."""
    require(by, "webhooks")
    with store.session() as session:
        row = session.get(WebhookRow, number)
        if row is None or row.dataset != dataset:
            raise Refused("no such webhook", where=str(number), reason="gone")
        session.delete(row)


def signature(secret: str, moment: int, body: bytes) -> str:
    """The signature of a message: its time, and HMAC-SHA-256 of both."""
    signed = f"{moment}.".encode() + body
    return f"t={moment},v1={hmac.new(secret.encode(), signed, hashlib.sha256).hexdigest()}"


def deliver_due(store: Store, *, transport: WebhookTransport) -> int:
    """Send the due messages of every webhook in order; return the number delivered."""
    taken = 0
    with store.reading() as session:
        due = WebhookRow.state == ON, WebhookRow.due <= utc_now()
        waiting = session.scalars(select(WebhookRow).where(*due).order_by(WebhookRow.due)).all()
    for webhook in waiting:
        kinds = (*DECIDING, *THREAD_KINDS) if webhook.comments else DECIDING
        news = events(store, webhook.dataset, kinds=kinds, after_id=webhook.last, limit=_AT_ONCE)
        if news and _save(store, webhook, due=utc_now() + CLAIM):
            taken += _send_in_order(store, webhook, news, transport)
    return taken


def _save(store: Store, webhook: WebhookRow, **values: Any) -> bool:
    """Store the progress of a webhook; False, without writing, if another server took over.

    A `due` in the future is a claim: no other server sends before.
    """
    read = (
        WebhookRow.id == webhook.id,
        WebhookRow.last == webhook.last,
        WebhookRow.due == webhook.due,
    )
    with store.session() as session:
        done = count_changed(session, update(WebhookRow).where(*read).values(**values)) > 0
    for name, value in values.items():
        setattr(webhook, name, value)
    return done


def _send_in_order(
    store: Store, webhook: WebhookRow, news: list[Event], transport: WebhookTransport
) -> int:
    """Send messages in order until one fails; store the progress after each."""
    taken, last, tries = 0, webhook.last, webhook.tries
    end = utc_now() + _TURN
    for event in itertools.takewhile(lambda _: utc_now() < end, news):
        if is_decision(event) or (webhook.comments and is_of_thread(event)):
            wrong = _send(webhook, event, transport)
            if wrong:
                tries += 1
                wait_s = min(FIRST_WAIT_S * 2 ** (tries - 1), LONGEST_WAIT_S)
                due = utc_now() + timedelta(seconds=wait_s)
                state = STOPPED if tries >= TRIES else ON
                _save(store, webhook, last=last, due=due, tries=tries, note=wrong, state=state)
                return taken
            taken, tries = taken + 1, 0
            if not _save(store, webhook, last=event.id, due=utc_now() + CLAIM, tries=0, note=""):
                return taken
        last = event.id
    _save(store, webhook, last=last, due=utc_now())
    return taken


def _send(webhook: WebhookRow, event: Event, transport: WebhookTransport) -> str:
    """Send one event; return the error, "" if none."""
    body = json.dumps(event_json(event), sort_keys=True, allow_nan=False).encode()
    secret, now = transport.secret_of(webhook.salt), int(utc_now().timestamp())
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "synthstudio",
        DELIVERY: str(event.id),
        SIGNATURE: signature(secret, now, body),
    }
    try:
        status = transport.post(transport.target(webhook.url), body, headers)
    except Refused as error:
        return error.with_options
    except (OSError, httpx.HTTPError) as error:
        return f"no response: {type(error).__name__}"
    return "" if 200 <= status < 300 else f"HTTP status {status}"
