"""Webhooks: told of decisions in order, signed, tried again a bounded number of times; and where
nothing is sent."""

import asyncio
import hashlib
import hmac
import json
import socket
import threading
import time
from contextlib import closing, suppress
from datetime import timedelta
from types import SimpleNamespace

import pytest
from attackers import answering, run_apart
from review_ops import ADMIN, ANNA, KEY, ON_DISK, at_time, keyed_store, op

from synthstudio.core.errors import Refused
from synthstudio.review import edits
from synthstudio.review.models import utc_now
from synthstudio.review.webhooks import (
    DELIVERY,
    SIGNATURE,
    STOPPED,
    TRIES,
    WebhookTransport,
    deliver_due,
    is_public,
    make_webhook,
    post,
    remove_webhook,
    webhooks,
)

HOME = "127.0.0.1 127.8.8.8 0.0.0.0 10.1.2.3 172.16.0.1 192.168.1.1 169.254.169.254 100.64.0.1"
HOME += " 198.18.0.1 224.0.0.1 255.255.255.255 240.0.0.1 192.0.2.1 ::1 :: fe80::1 fe80::1%eth0"
HOME += " fc00::1 ff02::1 ::ffff:127.0.0.1 ::127.0.0.1 64:ff9b::7f00:1 2002:7f00:1::1"
HOME += " 2001:0:7f00:1::1 2001:db8::1 no_address"


@pytest.fixture(autouse=True)
def _a_loop_of_its_own(monkeypatch):
    """A browser of other tests may hold this thread's loop."""
    own = SimpleNamespace(run=run_apart, timeout=asyncio.timeout)
    monkeypatch.setattr("synthstudio.review.webhooks.asyncio", own)


@pytest.fixture
def listener():
    """A local server that keeps what is posted to it and answers with `status`."""
    found = SimpleNamespace(told=[], status=204)

    def answer(handler):
        found.told.append((dict(handler.headers), handler.body))
        handler.send_response(found.status)
        if found.status == 302:
            handler.send_header("Location", "/elsewhere")
        handler.end_headers()

    with answering(answer) as url:
        found.port = url.rpartition(":")[2]
        found.url = f"http://hook.example:{found.port}/told?x=1"
        yield found


@pytest.fixture
def store(tmp_path):
    with keyed_store(tmp_path) as found:
        yield found


def transport(**more):
    """Messages go to this machine, under the name hook.example."""
    allowed = {"allowed": ["hook.example"], "resolve": lambda host, port: ["127.0.0.1"]}
    return WebhookTransport(secret_of=lambda salt: f"secret {salt}", **{**allowed, **more})


def decide(store, kind, revision, **more):
    return edits.apply(store, op(kind, revision, **more), who=ANNA, base=ON_DISK)


def test_told_in_order_and_signed(store, listener):
    decide(store, "status", 0, status="approved")  # before: not told
    made = make_webhook(store, KEY, listener.url, by=ADMIN, transport=transport())
    decide(store, "edit", 1)
    decide(store, "status", 2, status="rejected", text="blurred")
    last = decide(store, "delete", 3)
    decide(store, "revert", 4, event=last.id)
    decide(store, "comment", 5, text="nobody's business")
    assert deliver_due(store, transport=transport()) == 3
    told = [json.loads(body) for _, body in listener.told]
    kinds = [(t["kind"], t["revision"]) for t in told]
    assert kinds == [("status", 3), ("delete", 4), ("revert", 5)]
    assert told[0]["status"] == "rejected" and told[0]["reason"] == "blurred"
    assert told[2]["reverts"] == last.id and told[2]["deleted"] is False
    for headers, body in listener.told:
        moment, found = headers[SIGNATURE].removeprefix("t=").split(",v1=")
        signed = f"{moment}.".encode() + body
        secret = f"secret {made.salt}".encode()
        assert hmac.new(secret, signed, hashlib.sha256).hexdigest() == found
        assert abs(int(moment) - time.time()) < 600
        assert headers[DELIVERY] == str(json.loads(body)["event"])
    assert deliver_due(store, transport=transport()) == 0  # each once
    remove_webhook(store, KEY, made.id, by=ADMIN)
    decide(store, "status", 6, status="approved")
    assert deliver_due(store, transport=transport()) == 0 and len(listener.told) == 3


def test_comments_are_told_where_that_was_asked_for(store, listener):
    make_webhook(store, KEY, listener.url, by=ADMIN, transport=transport(), comments=True)
    first = decide(store, "comment", 0, text="left?", joint="nose")
    decide(store, "edit", 1)
    decide(store, "resolve", 2, event=first.id)
    decide(store, "status", 3, status="approved")
    assert deliver_due(store, transport=transport()) == 3
    told = [json.loads(body) for _, body in listener.told]
    assert [t["kind"] for t in told] == ["comment", "resolve", "status"]
    assert (told[0]["comment"], told[0]["joint"]) == ("left?", "nose")
    assert (told[1]["thread"], told[1]["resolved"]) == (first.id, True)


def test_a_slow_receiver_has_its_turn(store, monkeypatch):
    monkeypatch.setattr("synthstudio.review.webhooks._TURN", timedelta(seconds=0.01))
    slow = transport(post=lambda *_: time.sleep(0.02) or 204)
    for name in "ab":
        make_webhook(store, KEY, f"https://hook.example/{name}", by=ADMIN, transport=slow)
    for revision in range(3):
        decide(store, "status", revision, status="approved")
    assert [deliver_due(store, transport=slow) for _ in range(4)] == [2, 2, 2, 0]


@pytest.mark.parametrize("status", [302, 404, 500])
def test_tries_are_bounded(store, listener, status):
    make_webhook(store, KEY, listener.url, by=ADMIN, transport=transport())
    decide(store, "status", 0, status="approved")
    listener.status, now = status, utc_now()
    waits = []
    for _ in range(TRIES + 5):
        before = len(listener.told)
        for count in (None, 0):  # not at once again
            found = at_time(now, deliver_due, store, transport=transport())
            assert count in (None, found)
        waits.append(len(listener.told) - before)
        now += timedelta(hours=2)
    assert waits == [1] * TRIES + [0] * 5
    (found,) = webhooks(store, KEY, by=ADMIN)
    assert found.state == STOPPED and found.note == f"HTTP status {status}" and found.last == 0


@pytest.mark.parametrize(("status", "ended"), [(200, False), (200, True), (500, True)])
def test_another_server_that_looks_in_between(store, monkeypatch, status, ended):
    """A round may take longer than a claim; one that ended in the middle of a message, after which
    another server went on, undoes nothing."""
    monkeypatch.setattr("synthstudio.review.webhooks._TURN", timedelta(hours=1))
    make_webhook(store, KEY, "http://hook.example/", by=ADMIN, transport=transport())
    for revision in range(3):
        decide(store, "status", revision, status=("approved", "rejected")[revision % 2])
    now, sent = utc_now(), []

    def slow(target, body, headers):
        nonlocal now
        sent.append(json.loads(body)["revision"])
        now += timedelta(seconds=61 if ended else 40)
        other = transport(post=lambda _, body, __: sent.append(json.loads(body)["revision"]) or 200)
        assert deliver_due(store, transport=other) == 3 * ended
        return status

    at_time(lambda: now, deliver_due, store, transport=transport(post=slow))
    assert sent == [1] * ended + [1, 2, 3]  # at least once, and in order
    (found,) = webhooks(store, KEY, by=ADMIN)
    assert (found.last, found.tries, found.state) == (3, 0, "on")
    assert at_time(now, deliver_due, store, transport=transport(post=slow)) == 0


def test_nothing_goes_to_a_machine_at_home(store):
    for address in HOME.split():
        assert not is_public(address)
        inside = transport(allowed=(), resolve=lambda host, port, at=address: ["93.184.215.14", at])
        with pytest.raises(Refused, match="not a public address"):
            make_webhook(store, KEY, "https://hook.example/", by=ADMIN, transport=inside)
    assert webhooks(store, KEY, by=ADMIN) == []
    for host in ("2130706433", "0x7f000001", "017700000001", "localhost", "[::1]"):
        with pytest.raises(Refused):  # this machine, written otherwise
            WebhookTransport(secret_of=str).target(f"https://{host}/")


def test_addresses_of_the_web_are_taken():
    public = ["93.184.215.14", "8.8.8.8", "2606:4700::1111"]
    assert all(map(is_public, public))
    asked = transport(allowed=(), resolve=lambda host, port: public)
    found = asked.target("https://a.example/x?y")
    assert (found.host, found.port, found.path) == ("a.example", 443, "/x?y")


BAD_URLS = ["http://a.example/", "ftp://a.example/", "file:///etc/passwd", "https://", "", None, 7]
BAD_URLS += ["https://user:pass@a.example/", "https://a.example/#x", "https://a.example:99999/"]
BAD_URLS += ["https://a.example:0/"]
BAD_URLS += ["https://a.example/\r\nX: y", "https://a.example/ x", "https://[::1"]
BAD_URLS += ["https://\u0430.example/", "https://a.example/" + "x" * 500]


@pytest.mark.parametrize("url", BAD_URLS)
def test_addresses_that_are_none(url):
    with pytest.raises(Refused):
        transport(allowed=(), resolve=lambda host, port: ["93.184.215.14"]).target(url)


def test_a_name_that_changes_reaches_nothing(store, listener):
    """It was of the web when it was given; when the message is sent it is this machine."""
    answers = iter([["93.184.215.14"], ["127.0.0.1"]])
    changing = transport(allowed=(), resolve=lambda host, port: next(answers))
    url = f"https://hook.example:{listener.port}/"
    make_webhook(store, KEY, url, by=ADMIN, transport=changing)
    decide(store, "status", 0, status="approved")
    assert deliver_due(store, transport=changing) == 0 and listener.told == []
    assert "or a host of --webhook-host" in webhooks(store, KEY, by=ADMIN)[0].note


def test_an_answer_a_letter_at_a_time_ends():
    with socket.create_server(("127.0.0.1", 0)) as server:

        def drip():
            connection, _ = server.accept()
            with closing(connection), suppress(OSError):
                while True:  # until the other side has had enough
                    connection.sendall(b"H")
                    time.sleep(0.05)

        threading.Thread(target=drip, daemon=True).start()
        url = f"http://hook.example:{server.getsockname()[1]}/"
        here = {"allowed": ["hook.example"], "resolve": lambda host, port: ["127.0.0.1"]}
        with pytest.raises(TimeoutError):
            post(transport(**here).target(url), b"{}", {}, timeout_s=0.5)
