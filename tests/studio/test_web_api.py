"""The API for programs, in one process: Starlette with our routes behind our guard."""

import asyncio
import json
import shutil
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import onnx.parser
import pytest
from attackers import api_studio, run_apart
from sqlalchemy import delete

from synthstudio.core.masks import decode
from synthstudio.review import history
from synthstudio.review.models import MemberRow
from synthstudio.review.team import members
from synthstudio.review.team.members import make_token
from synthstudio.review.team.second_review import set_share
from synthstudio.review.values import User
from synthstudio.studio.editor import suggestions
from synthstudio.studio.web_api import calls, editor
from synthstudio.studio.web_api.calls import Buckets

ADMIN = User(name="ada", role="admin")
CLIENT = "c0ffee00c0ffee00"


@dataclass
class Api:
    """A studio's API and tokens of four people."""

    studio: Any
    text: dict[str, str]

    def ask(self, method, path, *, who="rea", **more):
        headers = {"Authorization": f"Bearer {self.text.get(who, who)}"} if who else {}
        headers |= more.pop("headers", {})
        return self.studio.http.request(method, f"/api/v1{path}", headers=headers, **more)

    def op(self, kind, *, who="rea", seq=0, **more):
        return self.send({"kind": kind, "seq": seq, **more}, who=who)

    def send(self, op, *, who="rea"):
        one = {"client": CLIENT, "seq": 0, "frame": 0, "instance": 1, "revision": 0}
        body = {"set": self.studio.key, "ops": [{**one, **op}]}
        return self.ask("POST", "/ops", who=who, json=body)


@pytest.fixture
def api(tmp_path, small_photo_set):
    """A studio of a small set with a viewer, two reviewers, a lead and an admin."""
    folder = tmp_path / "sticks"
    shutil.copytree(small_photo_set, folder)
    with api_studio(tmp_path, folder) as studio:
        text = {}
        roles = {"ada": "admin", "vic": "viewer", "rea": "reviewer", "bo": "reviewer"}
        for name, role in {**roles, "lea": "lead"}.items():
            members.set_role(studio.store, name, role, by=ADMIN)
            text[name] = make_token(studio.store, name, role=role, by=ADMIN)[1]
        yield Api(studio=studio, text=text)


def test_frames_and_people_come_in_pages(api):
    base = f"/sets/{api.studio.key}"
    page = api.ask("GET", f"{base}/frames?limit=2").json()
    assert [f["on_disk"] for f in page["frames"]] == [[1, 2, 3], [1]] and page["next"] == 1
    page = api.ask("GET", f"{base}/frames?limit=500&after=1").json()
    assert [f["frame"] for f in page["frames"]] == [2, 3, 4] and page["next"] is None
    person = api.ask("GET", f"{base}/people/3/2").json()
    assert person["revision"] == 0 and len(person["joints"]) == 17 and person["exists"]
    assert api.ask("GET", f"{base}/frames/3").json()["people"][1] == person
    base, found, after = f"{base}/people", [], ""
    while True:
        page = api.ask("GET", f"{base}?limit=3{after}").json()
        found += [(p["frame"], p["instance"]) for p in page["people"]]
        if page["next"] is None:
            break
        after = f"&after={page['next']}"
    assert found == [(0, 1), (0, 2), (0, 3), (1, 1), (3, 1), (3, 2), *((4, n) for n in range(1, 5))]
    assert api.op("status", status="approved").json()["done"]
    assert api.op("delete", seq=1, frame=3, instance=1).json()["done"]
    joints = {"nose": [5, 6, 2, "visible"]}
    assert api.op("add", seq=2, frame=2, instance=1, joints=joints).json()["done"]
    pending = api.ask("GET", f"{base}?status=pending").json()["people"]
    assert [(p["frame"], p["instance"]) for p in pending] == sorted(
        (set(found) | {(2, 1)}) - {(0, 1), (3, 1)}
    )


def test_who_asks_is_said_by_the_token_alone(api):
    """What the store refuses of an edit is tested there (tests/review/test_store_edits.py)."""
    joints = {"nose": [1, 2, 2, "visible"]}
    lies = {"who": "ada", "user": "ada", "role": "admin", "layer": "second", "dataset": "f" * 64}
    for field, value in {**lies, "client": "x", "seq": 1.5}.items():
        told = api.send({"kind": "edit", "joints": joints, field: value}).json()
        lie = told["error"] if "error" in told else told["refused"][0]
        assert lie["reason"] == "invalid", field
    (late,) = api.send({"kind": "edit", "joints": joints, "revision": 7}).json()["refused"]
    assert late["reason"] == "revision"
    path = f"/sets/{api.studio.key}/predictions/net"
    for row in ({"frame": 5, "instance": 1, "joints": {}}, {"who": "x"}, 7):
        answer = api.ask("PUT", path, who="lea", json={"predictions": [row]})
        assert answer.status_code == 400 and answer.json()["error"]["reason"] == "invalid", row
    assert history.counts(api.studio.store, api.studio.key).events == 0


def test_a_token_is_worth_nothing_without_its_member(api):
    """Not even where nobody is a member any more, and any name is an admin on the pages."""
    members.set_role(api.studio.store, "bo", None, by=ADMIN)
    api.studio.context.forget_roles()
    assert api.ask("GET", "/me", who="bo").status_code == 401
    text = make_token(api.studio.store, "nobody", role="admin", by=ADMIN)[1]
    assert api.ask("GET", "/me", who=text).status_code == 401
    with api.studio.store.session() as session:
        session.execute(delete(MemberRow))
    api.studio.context.forget_roles()
    assert api.studio.context.role_of("ada", "") == "viewer"  # the control: pages are open
    for who in (text, "ada", "rea"):
        assert api.ask("GET", "/me", who=who).status_code == 401


def test_without_a_token_that_holds(api):
    text = api.text["rea"]
    for who in (None, "x", text[:-1], text + "A", text.upper()):
        assert api.ask("GET", "/sets", who=who).status_code == 401
    basic = {"Authorization": f"Basic {text}"}
    assert api.studio.http.get("/api/v1/sets", headers=basic).status_code == 401
    cookie = {"Cookie": f"synthstudio={text}"}
    assert api.studio.http.get("/api/v1/sets", headers=cookie).status_code == 401
    assert api.ask("GET", "/sets", headers={"Origin": "http://evil.example"}).status_code == 403
    assert text not in api.studio.log() and text[8:] not in api.studio.log()


def test_a_token_in_an_address_is_refused_and_not_logged(api):
    text = api.text["rea"]
    coded = "".join(f"%{ord(c):02x}" for c in text)
    for place in (f"/sets?token={text}", f"/{text}", f"/sets?x={coded}", f"/sets?{text}=1"):
        assert api.ask("GET", place).status_code == 403
    assert api.studio.http.get(f"/?key={text}").status_code == 403
    assert text not in api.studio.log() and "a token or code in an address" in api.studio.log()


def test_bodies(api):
    bad = (b"", b"{", b"\xff", b"[NaN]", b"[" * 100_000, b'{"set": 1' + b"0" * 5000 + b"}")
    bodies = dict.fromkeys(bad, 400) | {b'{"set":"x","ops":[]}': 404, b" " * (9 * 2**20): 413}
    bodies |= {b'{"set":"\\ud800","ops":[]}': 404, b'{"set":"x","ops":[],"model":"\\u0000"}': 400}
    json_type = {"Content-Type": "application/json"}
    for body, status in bodies.items():
        assert api.ask("POST", "/ops", content=body, headers=json_type).status_code == status, body

    def endless():
        for _ in range(200):
            yield b" " * 2**16

    answer = api.ask("POST", "/ops", content=endless(), headers=json_type)
    assert answer.status_code == 413  # without a length
    assert api.ask("POST", "/ops", content=b"{}").status_code == 400  # of no type


def test_the_studio_is_not_healthy_without_its_store(api):
    assert api.studio.http.get("/healthz").json() == {"status": "ok"}
    api.studio.store.close()
    for file in api.studio.folder.glob("review.db*"):
        file.write_bytes(b"x" * 9_000)
    assert api.studio.http.get("/healthz").status_code == 503


def test_too_many_requests(api):
    codes = [api.ask("GET", "/me", who="nobody").status_code for _ in range(40)]
    assert set(codes) == {401, 429}
    refused = api.ask("GET", "/me", who="nobody")
    assert refused.status_code != 429 or int(refused.headers["retry-after"]) >= 1
    assert api.ask("GET", "/me").status_code == 200  # a stranger's noise locks nobody out
    assert api.studio.log().count("an unauthenticated call") <= 25
    clock = [0.0]
    buckets = Buckets(3, 0.5, now=lambda: clock[0])
    assert [buckets.take("bo") for _ in range(4)] == [0.0, 0.0, 0.0, 2.0]
    assert buckets.take("rea") == 0.0  # each has a bucket of their own
    clock[0] = 2.0
    assert [buckets.take("bo") for _ in range(2)] == [0.0, 2.0]


def test_a_token_has_a_rate(tmp_path, small_photo_set, monkeypatch):
    monkeypatch.setattr(calls, "TOKEN", (2, 0.001))
    with api_studio(tmp_path, small_photo_set) as studio:
        members.set_role(studio.store, "ada", "admin", by=ADMIN)
        text = [make_token(studio.store, "ada", role="viewer", by=ADMIN)[1] for _ in range(2)]
        api = Api(studio=studio, text={})
        answers = [api.ask("GET", "/me", who=text[0]) for _ in range(3)]
        assert [a.status_code for a in answers] == [200, 200, 429]
        assert int(answers[2].headers["retry-after"]) > 100
        assert answers[2].json()["error"]["reason"] == "rate"
        assert api.ask("GET", "/me", who=text[1]).status_code == 200


def test_the_document_says_what_there_is(api):
    found = api.studio.http.get("/api/v1/openapi.json").json()
    named = {(m.upper(), p) for p, some in found["paths"].items() for m in some}
    assert ("POST", "/ops") in named and len(named) == 26
    page = api.studio.http.get("/api/v1/docs")
    assert page.status_code == 200 and "<script" not in page.text
    assert all(path in page.text for _, path in named)
    for method, path in named:  # each of them is answered, and by nobody without a token
        filled = path.replace("{set}", "x").replace("{layer}", "net")
        for name in ("frame", "instance", "webhook", "job"):
            filled = filled.replace(f"{{{name}}}", "0")
        code = api.studio.http.request(method, f"/api/v1{filled}").status_code
        assert code in (401, 429), path
    assert api.studio.http.get("/api/v2/sets").status_code == 404
    assert json.dumps(found).count("sst_") == 0


def test_a_second_look_stays_blind(api):
    """Who may be asked for a second review learns nothing of the first through the API."""
    set_share(api.studio.store, api.studio.key, "second_share", 1.0, by=ADMIN)
    base = f"/sets/{api.studio.key}"

    def crop(who, labels=True):
        return api.ask("GET", f"{base}/people/0/1/crop?size=96&labels={labels}", who=who).content

    bare, on_disk = crop("rea", labels=False), crop("rea")
    joints = {"nose": [12.5, 30.0, 1, "object"]}
    assert api.op("edit", joints=joints).json()["done"]
    assert api.op("comment", seq=1, revision=1, text="secret").json()["done"]
    assert api.op("status", seq=2, revision=2, status="approved", text="why").json()["done"]
    assert len({bare, on_disk, crop("rea")}) == 3 and crop("lea") == crop("rea")
    assert crop("bo") == on_disk != crop("rea")  # nor by what is kept
    for path in ("/people/0/1", "/frames/0", "/people", "/decisions", "/comments", "/threads"):
        told = api.ask("GET", base + path, who="bo").text
        assert not any(word in told for word in ("secret", "12.5", "approved", "why")), path
    decided = history.counts(api.studio.store, api.studio.key).events
    for seq, revision in enumerate((0, 3, 7), start=3):  # what was decided, and what was not
        ops = {"edit": {"joints": joints}, "status": {"status": "rejected"}, "delete": {}}
        ops |= {"comment": {"text": "mine"}, "revert": {"event": 1}}
        for more in ({"kind": kind, **rest} for kind, rest in ops.items()):
            answer = api.op(who="bo", seq=seq, revision=revision, **more).json()
            (lie,) = answer["refused"]
            assert set(lie) == {"client", "seq", "reason", "message"} and not answer["done"]
            text = lie["message"]
            assert lie["reason"] == "lease" and "blind" in text and "rea" not in text
            assert not any(char.isdigit() for char in text)
    assert history.counts(api.studio.store, api.studio.key).events == decided
    assert api.ask("GET", f"{base}/people/0/1", who="bo").json()["blinded"]
    assert api.op("comment", who="bo", seq=9, instance=2, text="x").json()["done"]  # the control
    assert api.op("comment", seq=10, revision=3, text="more").json()["done"]
    assert "secret" in api.ask("GET", base + "/comments").text  # the control: one's own
    assert "secret" in api.ask("GET", base + "/comments", who="lea").text


def test_that_nobody_is_in_a_frame(api):
    """Decided by the frame's number and revision; not told where it would tell of a first look."""
    base = f"/sets/{api.studio.key}"

    def frames(who="rea"):
        rows = api.ask("GET", base + "/frames", who=who).json()["frames"]
        return {row["frame"]: (row["empty"], row["revision"]) for row in rows}

    empty = {"status": "no_people", "instance": 0}
    assert api.op("status", seq=1, frame=2, **empty).json()["done"]
    assert frames()[2] == (True, 1) and api.ask("GET", base).json()["empty_frames"] == 1
    set_share(api.studio.store, api.studio.key, "second_share", 1.0, by=ADMIN)
    assert api.op("delete", seq=2, frame=1).json()["done"]
    assert api.op("status", seq=3, frame=1, **empty).json()["done"]
    assert frames("bo")[1] == (False, 0) and frames("lea")[1] == frames()[1] == (True, 1)
    (lie,) = api.op("status", who="bo", seq=50, frame=1, **empty).json()["refused"]
    assert lie["reason"] == "lease" and "rea" not in lie["message"].split()


def test_threads_are_answered_resolved_and_listed(api):
    base = f"/sets/{api.studio.key}"
    first = api.op("comment", seq=0, text="whose? @bo", joint="nose").json()["done"][0]["event"]
    done = api.op("comment", who="bo", seq=1, revision=1, text="mine", event=first).json()["done"]
    (one,) = api.ask("GET", f"{base}/threads?mentions=me&open=yes", who="bo").json()["threads"]
    assert (one["thread"], one["joint"], one["comments"]) == (first, "nose", 2) and done
    assert api.ask("GET", f"{base}/threads?mentions=me").json()["threads"] == []
    told = api.ask("GET", f"{base}/people/0/1").json()
    assert [c["thread"] for c in told["comments"]] == [first, first]
    assert api.op("resolve", seq=4, revision=2, event=first).json()["done"]
    assert api.ask("GET", f"{base}/threads?open=yes").json()["threads"] == []
    assert api.ask("GET", f"{base}/people/0/1").json()["threads"][0]["open"] is False
    assert api.ask("GET", f"{base}/threads?open=perhaps").status_code == 400


def test_what_the_editor_needs_beside_the_api(api):
    """Its modules, and a page that lays no dialog over it when the server is lost."""
    http = api.studio.http
    assert http.get("/_stcore/host-config").json()["blockErrorDialogs"] is True
    script = http.get("/scripts/editor/editor.js")
    assert script.status_code == 200 and "javascript" in script.headers["content-type"]
    assert script.headers["cache-control"] == "no-cache"
    for path in ("/scripts/editor/", "/scripts/editor/%2e%2e/editor.css", "/scripts/editor/x.js"):
        assert http.get(path).status_code == 404, path


def bright(frame):
    """The mask of the bright rows of a frame of `small_photo_set`."""
    mask = np.zeros((240, 320), bool)
    mask[frame : frame + 9] = True
    return mask


NETWORK = """<ir_version: 8, opset_import: ["": 17]>
bright (float[1, 3, H, W] batched_images%s)
    => (float[1, 1, 1, H, W] logits, float[1, 1, 1] iou)
<int64[2] axes = {1, 2}, float half = {0.6}, float[1, 1, 1] quality = {0.5}> {
    grey = ReduceMean <axes = [1], keepdims = 0> (batched_images)
    grey5 = Unsqueeze (grey, axes)
    logits = Sub (grey5, half)
    iou = Identity (quality)
}"""
POINTS = ", float[1, 1, N, 2] batched_point_coords, float[1, 1, N] batched_point_labels"


def segmenter(api, monkeypatch, folder, inputs):
    """Let the studio use a network that calls inside what is bright, whatever the points."""
    onnx.save(onnx.parser.parse_model(NETWORK % inputs), folder / "s.onnx")
    chosen = replace(api.studio.context.settings, segmenter=folder / "s.onnx")
    monkeypatch.setattr(api.studio.context, "settings", chosen)


@pytest.mark.parametrize("own", [False, True])
def test_a_mask_by_a_click(api, tmp_path, monkeypatch, own):
    if own:
        segmenter(api, monkeypatch, tmp_path, POINTS)
    base = f"/sets/{api.studio.key}/frames/3/segment"
    for box, minimum in ((None, 0.7), ([5, 2, 300, 11], 0.9)):
        found = api.ask("POST", base, json={"points": [[160.5, 7]], "box": box})
        mask = decode(found.json())
        assert (mask & bright(3)).sum() / (mask | bright(3)).sum() > minimum


def test_many_queues_of_one_drop_nobody_elses(api, monkeypatch):
    monkeypatch.setattr(editor, "MAX_QUEUES", 2)
    path = f"/sets/{api.studio.key}/queues"
    made = [(who, api.ask("POST", path, who=who, json={})) for who in ("bo", "rea", "rea", "rea")]
    keys = [(who, one.json()["queue"]["key"]) for who, one in made]
    found = [api.ask("GET", f"{path}/{key}", who=who).status_code for who, key in keys]
    assert found == [200, 404, 200, 200]


def test_a_user_has_one_mask_and_six_requests_at_a_time(api, monkeypatch):
    monkeypatch.setattr(suggestions, "_TURN_S", 0.01)
    path, body = f"/sets/{api.studio.key}/frames/3/segment", {"points": [[160.5, 7]]}
    with suggestions.turn("rea"):
        found = [api.ask("POST", path, who=who, json=body).status_code for who in ("rea", "bo")]
    assert found == [503, 200]
    inside, together = [], []

    async def slow(*_):
        inside.append(1)
        together.append(len(inside))
        await asyncio.sleep(0.01)
        inside.pop()

    async def many():
        door = calls.Authenticator(slow, user_of=None)
        call = calls.Call(ctx=api.studio.context, me=ADMIN)
        monkeypatch.setattr(door, "_call", lambda request: call)
        scope = {"type": "http", "path": "/", "headers": []}
        await asyncio.gather(*(door(scope, None, None) for _ in range(20)))

    run_apart(many())
    assert max(together) == calls._AT_ONCE


def test_what_cannot_be_segmented_and_by_whom(api, tmp_path, monkeypatch):
    base = f"/sets/{api.studio.key}/frames"
    body = {"points": [[160, 7]]}
    for wrong, says in (
        ({"points": []}, "points"),
        ({"points": [[1, "x"]]}, "points.0.1"),
        ({"points": [[1, 1e9]]}, "points.0.1"),
        (body | {"box": [1, 2, 3]}, "box"),
        (body | {"size": 3}, "size"),
    ):
        error = api.ask("POST", f"{base}/3/segment", json=wrong).json()["error"]
        assert error["reason"] == "invalid" and says in error["message"]
    assert api.ask("POST", f"{base}/99/segment", json=body).status_code == 404
    assert api.ask("POST", f"{base}/3/segment", who="vic", json=body).status_code == 403
    segmenter(api, monkeypatch, tmp_path, "")
    message = api.ask("POST", f"{base}/3/segment", json=body).json()["error"]["message"]
    assert "takes no points" in message and str(tmp_path) not in message
