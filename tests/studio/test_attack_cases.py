"""400 attacks on the studio, seeded by kind and number: requests, and API calls by every role.
No forbidden change, no leak, no failure but a typed refusal."""

import json
import random
import string
from typing import Any
from urllib.parse import quote

import pytest
from attackers import NAME, Browser, api_studio, state_of

from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.reader import Dataset
from synthstudio.review import history
from synthstudio.review.history import content_key
from synthstudio.review.team import members
from synthstudio.review.team.members import make_token
from synthstudio.review.values import KINDS, STATUSES, User
from synthstudio.studio.server import api_app

pytestmark = pytest.mark.nightly("seeded attacks; the table of test_attacks.py is quick")

NUMBERS = {"http": 240, "api": 160}
SECRETS = (b"root:", b"Traceback", b"studio.key", b"SQLite format", b"BEGIN ")
JOINTS = get_skeleton("coco17").joints
HOSTILE = ("", "nose", "<script>", "'; DROP TABLE event; --", "../../etc/passwd", "a\0b", "\ud800")
NUMERIC = (-1, 0, 1, 7, 999, 1000, 2**31, 2**70, 1.5, 1e308, float("nan"), float("inf"))
ODD: tuple[Any, ...] = (None, True, [], [1], {}, {"a": 1}, "x" * 9000, *HOSTILE, *NUMERIC)


def cases(kind):
    return [random.Random(f"{kind} {number}") for number in range(NUMBERS[kind])]


def dirty(rng, longest=60):
    pools = (
        string.ascii_letters,
        string.punctuation,
        "/\\.%\0\r\n\t ",
        "\u202e\u200b\ufeff\u2066\u0000\u009b\x1b",
        "\u0410\u0430\u0435\u043e\u03b1\u0391\u7530\uff21",
    )
    return "".join(rng.choice(rng.choice(pools)) for _ in range(rng.randrange(longest)))


def masks_of(rng):
    size = rng.choice(([48, 64], [240, 320], [2**31, 2**31], [-1, 4], [1.5, 2], rng.choice(ODD)))
    codes = ("PPYo1", "0" * 300, [9, 9], [2**40, -(2**40)], dirty(rng), rng.choice(ODD))
    polygon = [rng.choice(NUMERIC) for _ in range(rng.randrange(12))]
    whole = {"size": size, "counts": rng.choice(codes)}
    mask = rng.choice((whole, [polygon], [polygon] * 99, rng.choice(ODD)))
    return {rng.choice(("modal", "amodal", "amodal", rng.choice(HOSTILE))): mask}


def op_of(rng, seq):
    joint = [rng.uniform(-2000, 2000), rng.uniform(-2000, 2000), 2, "visible"]
    kind = rng.choice(KINDS)
    op: dict[str, Any] = {
        "client": f"attack{seq:06d}",
        "seq": seq,
        "frame": rng.choice((0, 1, 2, 4, 11, 4000)),
        "instance": rng.choice((0, 1, 2, 3, 9, 500, 999, 1000)),
        "revision": rng.choice((0, 0, 0, 1, 2)),
        "kind": kind,
        "joints": {rng.choice(JOINTS): joint} if kind in ("edit", "add") else {},
        "status": rng.choice(STATUSES) if kind == "status" else None,
        "text": "text" if kind == "comment" else "",
        "event": rng.randrange(1, 40) if kind in ("revert", "resolve", "reopen") else None,
    }
    if kind in ("edit", "add") and rng.random() < 0.3:
        op["masks"] = masks_of(rng)
    odd = ("who", "user", "role", "layer", "dataset", "undoes", "after", "track")
    odd += ("keyframe", "joint")
    for _ in range(rng.randrange(3)):
        op[rng.choice((*op, *odd))] = rng.choice(ODD)
    if rng.random() < 0.2 and isinstance(op["joints"], dict):
        op["joints"] = {rng.choice((*JOINTS, "__proto__")): [rng.choice(ODD) for _ in range(4)]}
    return op


# ---- requests, to a server of its own


@pytest.fixture(scope="module")
def besieged(start_studio, studio_set):
    return start_studio(studio_set)


PLACES = ("", "api/v1", "api/v1/jobs", "healthz", "media", "static", "component", "team")
INNER = ("upload_file", "metrics", "stream", "agent", "script-health-check", "host-config")
STEPS = ("..", "%2e%2e", "..%2f", "%00", "....//", "%c0%ae", "etc/passwd", "review.db")


def path_of(rng, key):
    if rng.random() < 0.3:  # a picture's address, changed somewhere
        path = f"/api/v1/sets/{key}/frames/{rng.randrange(-2, 20)}/image"
        at = rng.randrange(len("/api/v1/"), len(path))
        return f"{path[:at]}{rng.choice(string.ascii_letters)}{path[at + 1 :]}"
    steps = [rng.choice(STEPS) for _ in range(rng.randrange(6))]
    tail = "/".join(steps) + (f"?key={'0' * 32}" if rng.random() < 0.2 else "")
    place = rng.choice((*PLACES, *(f"_stcore/{name}" for name in INNER)))
    return f"/{place}/{tail}" if place and tail else f"/{place}{tail}"


def headers_of(rng, studio):
    here = f"{NAME}:{studio.port}"
    choices = {
        "Host": (here, "evil.example", f"{NAME}@evil.example", "[::1", "a b"),
        "Origin": ("", "null", f"http://{here}", "http://evil.example"),
        "Sec-Fetch-Site": ("", "cross-site", "same-origin", "none"),
        "X-Forwarded-For": ("", "", "", "10.0.0.1"),
        "X-Streamlit-User": ("", "eyJlbWFpbCI6ImFkYSJ9"),
        "Range": ("", "bytes=0-1", "bytes=9-1"),
    }
    return {name: rng.choice(values) for name, values in choices.items()}


def test_requests(besieged, studio_set):
    browser, key = Browser(besieged, user="Ada"), content_key(Dataset(studio_set))
    before, secret = state_of(besieged), besieged.key.encode()
    for rng in cases("http"):
        method = rng.choice(("GET", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
        path, headers = path_of(rng, key), headers_of(rng, besieged)
        host = headers.pop("Host")
        body = rng.randbytes(rng.randrange(200)) if method in ("POST", "PUT", "PATCH") else None
        requested = (method, path, host, headers)
        answer = browser.ask(
            path, method=method, headers=headers, host=host, body=body, cookie=rng.random() < 0.5
        )
        assert answer.status < 500 or answer.status == 501, requested
        assert host.startswith(f"{NAME}:") or answer.status in (400, 403), requested
        if method not in ("GET", "HEAD", "OPTIONS"):
            assert answer.status >= 400, requested
        reported = answer.body + repr(answer.headers).encode()
        for nobodys in (*SECRETS, secret, str(besieged.folder).encode()):
            assert nobodys not in reported, (nobodys, requested)
    assert state_of(besieged) == before and "Traceback" not in besieged.output
    good = browser.ask(f"/api/v1/sets/{key}/frames/1/image")  # the control
    assert good.status == 200 and good.body == Dataset(studio_set).image_bytes(1)


# ---- calls of the API, by every role and by nobody

ADMIN = User(name="ada", role="admin")
ROLE_OF = {"ada": "admin", "lea": "lead", "rea": "reviewer", "vic": "viewer"}
OPERATIONS = [
    (path, method.upper(), [p["name"] for p in one.get("parameters", ()) if p["in"] == "query"])
    for path, some in api_app(lambda cookies: None).openapi()["paths"].items()
    for method, one in some.items()
]


def bytes_of(body):
    return json.dumps(body).encode("utf-8", "surrogatepass")


def body_of(rng, key, seq):
    body: Any = {"set": key, "ops": [op_of(rng, seq)] * rng.choice((1, 1, 2))}
    if rng.random() < 0.2:
        body[rng.choice(("set", "ops", "who", "role", "layer"))] = rng.choice(ODD)
    return bytes_of(body if rng.random() < 0.95 else rng.choice(ODD))


def address_of(rng, key):
    template, method, parameters = rng.choice(OPERATIONS)
    path = template.replace("{set}", key if rng.random() < 0.8 else quote(dirty(rng), ""))
    for name in ("frame", "instance", "webhook", "layer", "queue", "kind", "job"):
        odd = rng.choice(("0", "1", "-1", "1e9", "9" * 30, "..%2f..", quote(dirty(rng, 9), "")))
        path = path.replace(f"{{{name}}}", odd or "0")
    if rng.random() < 0.5:
        name = rng.choice((*parameters, "after", "limit", "token", "who", "x"))
        path += f"?{name}={quote(rng.choice(('0', '1:1', '-1', 'NaN', dirty(rng, 20))), '')}"
    return method, path


def test_api(tmp_path, small_photo_set):
    """Whoever asks whatever: nobody writes who may not, nothing fails, nothing is given away."""
    with api_studio(tmp_path, small_photo_set) as studio:
        for name, role in ROLE_OF.items():
            members.set_role(studio.store, name, role, by=ADMIN)
        ask_all(studio)


def ask_all(studio):
    store, key = studio.store, studio.key
    shown = {n: make_token(store, n, role=r, by=ADMIN)[1] for n, r in ROLE_OF.items()}

    def ask(who, method, path, content, **headers):
        headers["Authorization"] = f"Bearer {shown.get(who, 'sst_' + 'x' * 43)}"
        headers["Content-Type"] = "application/json"
        return studio.http.request(method, f"/api/v1{path}", headers=headers, content=content)

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
            assert str(studio.folder) not in answer.text and "sqlite" not in answer.text, asked
            new = history.counts(store, key).events - before
            assert not new or who in ("ada", "lea", "rea"), asked
            assert who != "nobody" or answer.status_code in (401, 403, 404, 429), asked
    found = history.events(store, key)
    assert history.check_replay(store, key) == [] and "Traceback" not in studio.log()
    assert found and all(e.who in ROLE_OF for e in found)  # some are edits as people make them
