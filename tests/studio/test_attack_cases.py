"""700 seeded attacks on the studio: requests, websockets, edits, uploads, names, paths, roles;
those on the API, tokens and webhooks are in test_attack_programs.py, those on accounts in
test_attack_accounts.py, those on skeletons in test_attack_skeletons.py.

Each case is decided by its kind and number alone. Whatever is sent: nothing is changed that may not
be, nothing is told that is nobody's business, nothing fails but by a typed refusal.
"""

from __future__ import annotations

import random
import string
import unicodedata
from contextlib import closing, suppress
from itertools import count
from pathlib import Path
from socket import create_connection
from typing import Any

import pytest
from attackers import NAME, Browser, bomb, picture, state_of
from review_ops import Desk
from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from synthstudio.core.errors import AssetError, FormatError, Refused, StudioError
from synthstudio.core.safe_files import file_inside
from synthstudio.core.skeleton import get_skeleton
from synthstudio.dataset.reader import Dataset
from synthstudio.review import history
from synthstudio.review.datasets import content_key
from synthstudio.review.leases import SECOND
from synthstudio.review.names import checked_name, mixes_scripts
from synthstudio.review.store import open_store
from synthstudio.review.values import KINDS, MAIN, ROLES, STATUSES, User, may
from synthstudio.studio import frame_rows
from synthstudio.studio.editor.ops import apply_ops, parse_ops
from synthstudio.studio.generating import scenes
from synthstudio.studio.settings import Limits
from synthstudio.studio.text import csv_cell, plain

pytestmark = pytest.mark.nightly("seeded attacks; the table of test_attacks.py is quick")

NUMBERS = {"http": 160, "websocket": 40, "edit": 160, "upload": 40, "name": 40, "path": 40}
NUMBERS |= {"api": 80, "token": 20, "webhook": 20}  # test_attack_programs.py
NUMBERS |= {"guess": 20, "invitation": 20, "session": 20}  # test_attack_accounts.py
NUMBERS |= {"skeleton": 40}  # test_attack_skeletons.py
assert sum(NUMBERS.values()) == 700
SECRETS = (b"root:", b"Traceback", b"studio.key", b"SQLite format", b"BEGIN ")
JOINTS = get_skeleton("coco17").joints
HOSTILE = ("", "nose", "<script>", "'; DROP TABLE event; --", "../../etc/passwd", "a\0b", "\ud800")
NUMERIC = (-1, 0, 1, 7, 999, 1000, 2**31, 2**70, 1.5, 1e308, float("nan"), float("inf"))
ODD: tuple[Any, ...] = (None, True, [], [1], {}, {"a": 1}, "x" * 9000, *HOSTILE, *NUMERIC)


def cases(kind: str) -> list[random.Random]:
    """Return the random numbers of each case of a kind."""
    return [random.Random(f"{kind} {number}") for number in range(NUMBERS[kind])]


def dirty(rng: random.Random, longest: int = 60) -> str:
    """Return a text of letters, marks, controls and signs of anywhere in Unicode."""
    pools = (
        string.ascii_letters,
        string.punctuation,
        "/\\.%\0\r\n\t ",
        "\u202e\u200b\ufeff\u2066\u0000\u009b\x1b",
        "\u0410\u0430\u0435\u043e\u03b1\u0391\u7530\uff21",
    )
    return "".join(rng.choice(rng.choice(pools)) for _ in range(rng.randrange(longest)))


def masks_of(rng: random.Random) -> Any:
    """Return masks that might be drawn ones, of a picture of some size."""
    size = rng.choice(([48, 64], [240, 320], [2**31, 2**31], [-1, 4], [1.5, 2], rng.choice(ODD)))
    codes = ("PPYo1", "0" * 300, [9, 9], [2**40, -(2**40)], dirty(rng), rng.choice(ODD))
    polygon = [rng.choice(NUMERIC) for _ in range(rng.randrange(12))]
    whole = {"size": size, "counts": rng.choice(codes)}
    mask = rng.choice((whole, [polygon], [polygon] * 99, rng.choice(ODD)))
    return {rng.choice(("modal", "amodal", "amodal", rng.choice(HOSTILE))): mask}


def op_of(rng: random.Random, seq: int) -> dict[str, Any]:
    """Return an op that might be somebody's, but for what is wrong with it."""
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
    odd = ("who", "user", "role", "layer", "dataset", "undoes", "after", "track", "keyed", "joint")
    for _ in range(rng.randrange(3)):
        op[rng.choice((*op, *odd))] = rng.choice(ODD)
    if rng.random() < 0.2 and isinstance(op["joints"], dict):
        op["joints"] = {rng.choice((*JOINTS, "__proto__")): [rng.choice(ODD) for _ in range(4)]}
    return op


# ---- requests and websockets, to a server of its own


@pytest.fixture(scope="module")
def besieged(start_studio, studio_set):
    return start_studio(studio_set)


PLACES = ("", "img", "download", "healthz", "media", "static", "component", "team")
INNER = ("upload_file", "metrics", "stream", "agent", "script-health-check", "host-config")
STEPS = ("..", "%2e%2e", "..%2f", "%00", "....//", "%c0%ae", "etc/passwd", "review.db")


def path_of(rng: random.Random, browser: Browser, key: str) -> str:
    token = browser.grant("image", dataset=key, frame=rng.randrange(-2, 20))
    if rng.random() < 0.3:  # a token of ours, changed somewhere
        at = rng.randrange(len(token))
        return f"/img/{token[:at]}{rng.choice(string.ascii_letters)}{token[at + 1 :]}"
    steps = [rng.choice(STEPS) for _ in range(rng.randrange(6))]
    tail = "/".join(steps) + (f"?key={'0' * 32}" if rng.random() < 0.2 else "")
    place = rng.choice((*PLACES, *(f"_stcore/{name}" for name in INNER)))
    return f"/{place}/{tail}" if place and tail else f"/{place}{tail}"


def headers_of(rng: random.Random, studio: Any) -> dict[str, str]:
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
    browser, key = Browser(besieged), content_key(Dataset(studio_set))
    before, secret = state_of(besieged), besieged.key.encode()
    for rng in cases("http"):
        method = rng.choice(("GET", "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
        path, headers = path_of(rng, browser, key), headers_of(rng, besieged)
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
    good = browser.ask(f"/img/{browser.grant('image', dataset=key, frame=1)}")  # the control
    assert good.status == 200 and good.body == Dataset(studio_set).image_bytes(1)


def test_websockets(besieged):
    browser, before = Browser(besieged), state_of(besieged)
    own, taken = f"http://{NAME}:{besieged.port}", 0
    for rng in cases("websocket"):
        origin = rng.choice((own, own, own, "http://evil.example", "null", None))
        cookie = rng.choice((f"{browser.tokens.cookie}={browser.cookie}", "", "a=b"))
        other = dirty(rng, 3).encode().hex() or "x"
        asked = {
            "origin": origin,
            "additional_headers": {"Cookie": cookie} if cookie else {},
            "subprotocols": ["streamlit", other],
        }
        url, at = f"ws://{NAME}:{besieged.port}/_stcore/stream", ("127.0.0.1", besieged.port)
        refused = suppress(WebSocketException, OSError, EOFError)
        with refused, connect(url, sock=create_connection(at), close_timeout=1, **asked) as socket:
            taken += 1
            assert origin == own, origin
            for _ in range(rng.randrange(1, 5)):
                socket.send(rng.choice((rng.randbytes(rng.randrange(300)), dirty(rng))))
    assert taken >= len(cases("websocket")) // 5  # the control: pages of ours are answered
    assert browser.ask("/healthz").status == 200
    assert state_of(besieged) == before


# ---- edits, as a browser sends them, by every role


@pytest.fixture
def desk(tmp_path, studio_set):
    with closing(open_store(f"sqlite:///{tmp_path / 'review.db'}")) as store:
        yield Desk(store, Dataset(studio_set))


VEILED = (1, 2)  # whose first look, by Zoe, is hidden from all attackers


def test_edits(desk):
    dataset, store, key = desk.dataset, desk.store, desk.key
    frames = frame_rows.Frames(dataset, get_skeleton(dataset.identity.skeleton))
    stored, seqs = 0, count(1)
    veiled = desk.person(*VEILED)
    desk.say(veiled, "status", who=User(name="Zoe", role="lead"), status="approved")
    hidden = desk.state(veiled)
    for rng in cases("edit"):
        who = User(name=rng.choice(("Ann", "Bo")), role=rng.choice(ROLES))
        layer = MAIN if rng.random() < 0.9 else SECOND
        for seq in (next(seqs) for _ in range(8)):  # several build on one another
            payload: list[Any] = [op_of(rng, seq)] * rng.choice((1, 1, 1, 2))
            if rng.random() < 0.1:
                payload.append(rng.choice(ODD))
            events = history.counts(store, key).events
            try:
                parsed = parse_ops(payload, dataset=key, layer=layer)
            except Refused:
                continue
            base_of, blind = frames.base_of, lambda people: {VEILED} & {*people}
            answer = apply_ops(store, parsed, who=who, base_of=base_of, blinded=blind)
            assert answer.wait == "", (payload, answer.wait)
            reported = " ".join(text for *_, text in answer.refused)
            assert str(dataset.folder.parent) not in reported and "sqlite" not in reported, reported
            assert "Zoe" not in reported and desk.state(veiled) == hidden
            assert may(who.role, "edit") or not answer.done, (who, payload)
            new = history.counts(store, key).events - events
            assert new == len({row[2] for row in answer.done}) or layer != MAIN, payload
            stored += new
    assert stored and history.check_replay(store, key) == []  # some are edits as people make them


# ---- uploads, names, paths


def test_uploads(tmp_path):
    root = tmp_path / "uploads"
    for rng in cases("upload"):
        kind = rng.choice(("PNG", "JPEG", "WEBP", "BMP", "GIF"))
        whole = picture(kind=kind) if rng.random() < 0.8 else bomb(rng.choice((50, 60_000)))
        data = bytearray(whole)
        for _ in range(rng.choice((0, 0, 1, 5, 50))):
            data[rng.randrange(len(data))] = rng.randrange(256)
        if rng.random() < 0.3:
            del data[rng.randrange(len(data)) :]
        bad = rng.choice(("..", "a/b", "", "CON", "\0", ".hidden", dirty(rng)))
        folder = rng.choice(("a", "b", bad))
        who = User(name="Ann", role=rng.choice((*ROLES, "lead", "lead")))
        try:
            path = scenes.keep_photo(bytes(data), root, folder, limits=Limits(), who=who)
        except (Refused, StudioError, AssetError) as error:
            assert str(tmp_path) not in plain(error) or not may(who.role, "generate")
            continue
        assert may(who.role, "generate") and path.resolve().is_relative_to(root.resolve())
        assert path.name.removesuffix(path.suffix).isalnum() and len(path.stem) == 64
    lead = User(name="Lee", role="lead")  # the control
    assert scenes.keep_photo(picture(), root, "a", limits=Limits(), who=lead).is_file()
    assert all(p.is_relative_to(root) for p in tmp_path.rglob("*") if p.is_file())


def test_names():
    taken = 0
    for rng in cases("name"):
        text = rng.choice(("Ada", "Bo", "")) + dirty(rng, 12) if rng.random() < 0.7 else "Ada Lo"
        assert not set("<>\n\r\0\u202e") & set(plain(text).replace("\\<", "").replace("\\>", ""))
        assert not csv_cell(text).lstrip(" ").startswith(("=", "+", "@", "\t", "\r", "\n"))
        try:
            name = checked_name(text)
        except Refused:
            continue
        taken += 1
        assert checked_name(name) == name and 1 <= len(name) <= 64 and not mixes_scripts(name)
        assert not any(unicodedata.category(letter)[0] == "C" for letter in name)
    assert taken


def test_paths(tmp_path):
    root = tmp_path / "exports"
    (root / "set").mkdir(parents=True)
    (root / "set" / "a.zip").write_bytes(b"zip")
    (tmp_path / "secret").write_text("secret")
    (root / "out").symlink_to(tmp_path / "secret")
    (root / "circle").symlink_to(root / "circle")
    parts = ("set", "a.zip", "out", "circle", "..", ".", "", "secret", "%2e%2e", "~", "C:", "\\")
    for rng in cases("path"):
        steps = [rng.choice(parts) for _ in range(rng.randrange(1, 5))]
        name = rng.choice(("/", "")) + "/".join(steps)
        name = rng.choice((name, name, "set/a.zip", dirty(rng, 300), str(rng.choice(ODD))))
        with suppress(FormatError):
            path: Path = file_inside(root, name, where="download")
            assert path == (root / "set" / "a.zip").resolve()
    assert file_inside(root, "set/a.zip", where="download").is_file()  # the control
