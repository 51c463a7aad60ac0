"""Attacks on the API, on tokens and on webhooks, seeded as those of test_attack_cases.py."""

from __future__ import annotations

import json
import random
import string
from typing import Any
from urllib.parse import quote

import pytest
from attackers import api_studio
from test_attack_cases import ODD, SECRETS, cases, dirty, op_of

from synthstudio.core.errors import Refused
from synthstudio.review import history
from synthstudio.review.team import members
from synthstudio.review.tokens import make_token, read_token, tokens
from synthstudio.review.values import User
from synthstudio.review.webhooks import checked_target, is_public
from synthstudio.studio.web_api.app import api_app

pytestmark = pytest.mark.nightly("seeded attacks; the table of test_attacks.py is quick")

OPERATIONS = [
    (path, method.upper(), [p["name"] for p in one.get("parameters", ()) if p["in"] == "query"])
    for path, some in api_app(lambda cookies: None).openapi()["paths"].items()
    for method, one in some.items()
]
ADMIN = User(name="ada", role="admin")
ROLE_OF = {"ada": "admin", "lea": "lead", "rea": "reviewer", "vic": "viewer"}


@pytest.fixture
def besieged(tmp_path, small_photo_set):
    with api_studio(tmp_path, small_photo_set) as studio:
        for name, role in ROLE_OF.items():
            members.set_role(studio.store, name, role, by=ADMIN)
        yield studio


def bytes_of(body: Any) -> bytes:
    return json.dumps(body).encode("utf-8", "surrogatepass")


def body_of(rng: random.Random, key: str, seq: int) -> bytes:
    """Return a body that might be some ops, but for what is wrong with it."""
    body: Any = {"set": key, "ops": [op_of(rng, seq)] * rng.choice((1, 1, 2))}
    if rng.random() < 0.2:
        body[rng.choice(("set", "ops", "who", "role", "layer"))] = rng.choice(ODD)
    return bytes_of(body if rng.random() < 0.95 else rng.choice(ODD))


def address_of(rng: random.Random, key: str) -> tuple[str, str]:
    """Return an operation with something odd in its address."""
    template, method, parameters = rng.choice(OPERATIONS)
    path = template.replace("{set}", key if rng.random() < 0.8 else quote(dirty(rng), ""))
    for name in ("frame", "instance", "webhook", "layer", "queue", "kind"):
        odd = rng.choice(("0", "1", "-1", "1e9", "9" * 30, "..%2f..", quote(dirty(rng, 9), "")))
        path = path.replace(f"{{{name}}}", odd or "0")
    if rng.random() < 0.5:
        name = rng.choice((*parameters, "after", "limit", "token", "who", "x"))
        path += f"?{name}={quote(rng.choice(('0', '1:1', '-1', 'NaN', dirty(rng, 20))), '')}"
    return method, path


def test_api(besieged):
    """Whoever asks whatever: nobody writes who may not, nothing fails, nothing is given away."""
    store, key = besieged.store, besieged.key
    shown = {n: make_token(store, n, role=r, by=ADMIN)[1] for n, r in ROLE_OF.items()}

    def ask(who: str, method: str, path: str, content: bytes, **headers: str) -> Any:
        headers["Authorization"] = f"Bearer {shown.get(who, 'sst_' + 'x' * 43)}"
        headers["Content-Type"] = "application/json"
        return besieged.http.request(method, f"/api/v1{path}", headers=headers, content=content)

    comment = {"client": "control00", "seq": 0, "frame": 0, "instance": 1, "revision": 0}
    comment |= {"kind": "comment", "text": "text"}
    for who, taken in (("vic", 0), ("rea", 1)):  # the control: what may be written is written
        ask(who, "POST", "/ops", bytes_of({"set": key, "ops": [comment]}))
        assert history.counts(store, key).events == taken
    for seq, rng in enumerate(cases("api")):
        who, headers = rng.choice((*ROLE_OF, "nobody")), {}
        if rng.random() < 0.2:
            headers["Origin"] = rng.choice(("http://evil.example", "null", "http://127.0.0.1:8501"))
        for turn in range(12):
            before = history.counts(store, key).events
            method, path, content = "POST", "/ops", body_of(rng, key, 20 * seq + turn)
            if turn % 4 == 3:
                method, path = address_of(rng, key)
                content = rng.choice((b"", rng.randbytes(50), bytes_of(rng.choice(ODD))))
            answer = ask(who, method, path, content, **headers)
            asked = (who, method, path, content[:200], answer.status_code, answer.text[:200])
            assert answer.status_code < 500, asked
            assert not any(s.decode() in answer.text for s in SECRETS), asked
            assert str(besieged.folder) not in answer.text and "sqlite" not in answer.text, asked
            new = history.counts(store, key).events - before
            assert not new or who in ("ada", "lea", "rea"), asked
            assert who != "nobody" or answer.status_code in (401, 403, 404, 429), asked
    assert history.check_replay(store, key) == []
    assert all(e.who in ROLE_OF for e in history.events(store, key))
    assert "Traceback" not in besieged.log()


def test_tokens(besieged):
    """No other text is worth a token's; none is stored, logged or taken where it may not be."""
    store = besieged.store
    made, shown = make_token(store, "rea", role="reviewer", by=ADMIN)
    bearer = {"Authorization": f"Bearer {shown}"}
    for rng in cases("token"):
        text = list(shown)
        for at in (rng.randrange(len(text)) for _ in range(rng.randrange(1, 3))):
            text[at] = rng.choice([c for c in string.ascii_letters if c != text[at]])
        wrong = rng.choice(("".join(text), shown[:-1], shown + "A", dirty(rng), shown.swapcase()))
        assert read_token(store, wrong) is None
        sent = f"Bearer {wrong}".encode("utf-8", "replace").replace(b"\r", b"").replace(b"\n", b"")
        answer = besieged.http.get("/api/v1/sets", headers={b"Authorization": sent})
        assert answer.status_code in (401, 429), wrong
        place = rng.choice((f"/?t={shown}", f"/api/v1/{shown}", f"/img/{shown}", f"/x?{shown}"))
        assert besieged.http.get(place, headers=bearer).status_code == 403
        maker = User(name="rea", role="reviewer")
        with pytest.raises(Refused):
            role = rng.choice(("lead", "admin", dirty(rng)))
            make_token(store, rng.choice(("rea", "ada", dirty(rng))), role=role, by=maker)
    assert [t.id for t in tokens(store)] == [made.id]
    assert shown not in besieged.log() and shown[4:] not in besieged.log()
    assert besieged.http.get("/api/v1/me", headers=bearer).json()["name"] == "rea"  # the control


def test_webhooks(besieged):
    """No address of this machine or at home is taken, however it is written."""
    shown = make_token(besieged.store, "ada", role="admin", by=ADMIN)[1]
    headers = {"Authorization": f"Bearer {shown}", "Content-Type": "application/json"}
    path = f"/api/v1/sets/{besieged.key}/webhooks"
    for rng in cases("webhook"):
        number = rng.choice((127 << 24 | 1, 10 << 24 | 5, 192 << 24 | 168 << 16, 0, 169 << 24))
        dotted = ".".join(str(number >> s & 255) for s in (24, 16, 8, 0))
        hosts = (str(number), hex(number), dotted, f"[::ffff:{dotted}]", f"[64:ff9b::{dotted}]")
        host = rng.choice((*hosts, "localhost", "[::1]", "[fe80::1]", f"{dotted}."))
        scheme = rng.choice(("https", "https", "http", "gopher", "file"))
        url = rng.choice((f"{scheme}://{host}:8501/", f"{scheme}://{host}/{dirty(rng)}"))
        url = rng.choice((url, url, url, rng.choice(ODD)))
        answer = besieged.http.post(path, content=bytes_of({"url": url}), headers=headers)
        assert answer.status_code in (400, 404), (url, answer.text)
        with pytest.raises(Refused):
            checked_target(url, resolve=lambda host, port: ["93.184.215.14", "10.0.0.1"])
    assert besieged.http.get(path, headers=headers).json() == {"webhooks": []}
    assert is_public("93.184.215.14")  # the control
