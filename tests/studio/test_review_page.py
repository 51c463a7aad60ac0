"""The page Review says which queue; the API gives its people to the editor and takes edits."""

import json

import numpy as np
import pytest
from imported_photos import import_photos
from reviewing import EditorApi, people_of

from synthstudio.api.datasets import import_photos as import_unlabelled
from synthstudio.api.review import import_predictions
from synthstudio.core.errors import Refused
from synthstudio.core.images import encode_jpeg
from synthstudio.review import history
from synthstudio.review.reviewed import reviewed as as_reviewed
from synthstudio.review.store import Store
from synthstudio.review.team import members
from synthstudio.review.values import User
from synthstudio.studio.editor import window

ADA = User(name="Ada", role="admin")
NOSE = {"kind": "edit", "joints": {"nose": [7.5, 8.5, 1, "person"]}}


def given(pages):
    """What the page gave the editor last."""
    return pages.shown[next(key for key in pages.shown if key.startswith("editor "))]


def shown(opened):
    """At whom an opened queue begins."""
    return opened["person"] or next(i["id"] for i in opened["items"] if i["pos"] == opened["at"])


@pytest.fixture
def api(pages):
    return EditorApi(pages.ctx)


def events(api):
    return history.events(api.ctx.store, api.set)


def test_the_page_says_which_queue(pages):
    app = pages.open("review", queue="all")
    found = given(pages)
    plain = {"queue": "all", "query": "", "todo": False, "model": ""}
    assert found["queue"] == plain and (found["api"], found["user"]) == ("/api/v1", "Ada")
    app.text_input(key="review_query").set_value("variant = clean").run()
    app.toggle(key="review_todo").set_value(True).run()
    assert given(pages)["queue"] == {**plain, "query": "variant = clean", "todo": True}
    app.text_input(key="review_query").set_value("wrist of <b>somebody</b>").run()
    assert given(pages)["queue"]["query"] == "" and len(app.error) == 1
    assert "<b>" not in app.error[0].value.replace("\\<", "")
    pages.open("review", frame="4", instance="2", q="variant = clean")
    linked = {"frame": 4, "instance": 2, "query": "variant = clean", "queue": "risk"}
    assert given(pages)["queue"] == {**plain, **linked}
    for wrong in ({"frame": "x"}, {"frame": "9" * 12, "instance": "1"}):
        pages.open("review", **wrong)
        assert "frame" not in given(pages)["queue"]


def test_the_editor_stays_while_the_database_does_not_answer(pages, monkeypatch):
    app = pages.open("review", queue="all")
    before = given(pages)
    for broken in ("session", "reading"):
        pages.shown.clear()
        with monkeypatch.context() as patch:
            patch.setattr(Store, broken, busy)
            app.run()
        assert given(pages) == before


def busy(*_, **__):
    raise Refused("the database is locked", reason="busy")


def test_an_edit_and_a_decision_are_stored_and_told(api, monkeypatch):
    opened = api.open()
    assert opened["can"] == {"edit": True, "masks": True} and not opened["clips"]
    assert opened["progress"] == {"done": 0, "total": 24, "empty_frames": 0}
    item = shown(opened)
    (first,), again = (api.edit(item, seq=1, **NOSE)["done"] for _ in range(2))
    assert again == [first] and [event.id for event in events(api)] == [first["event"]]
    assert (first["seq"], first["revision"]) == (1, 1)
    answer = api.edit(item, seq=2, revision=1, kind="status", status="approved")
    assert answer["progress"]["done"] == 1
    assert [(e.kind, e.who) for e in events(api)] == [("edit", "Ada"), ("status", "Ada")]
    (one,) = answer["items"]
    assert (one["id"], one["state"]["status"], one["state"]["revision"]) == (item, "approved", 2)
    assert one["state"]["joints"] == {"nose": [7.5, 8.5, 1, "person", "human"]}
    (same,) = [i["state"] for i in api.window(0).json()["items"] if i["id"] == item]
    assert same == one["state"]
    assert api.open(todo=True)["queue"]["total"] == 23
    monkeypatch.setattr(window, "items", busy)  # acknowledged though people cannot be read
    answer = api.edit("11:1", seq=3, **NOSE)
    assert answer["done"] and answer["items"] == []


def test_the_window_follows_and_ends(api, pages):
    people = people_of(pages.ctx.settings.datasets[0])
    assert api.open()["queue"]["total"] == len(people)
    for at in (0, 12, 23, 500):
        start, stop = window.span(at, 24)
        wanted = ["{}:{}".format(*person) for person in people[start:stop]]
        assert [one["id"] for one in api.window(at).json()["items"]] == wanted
    for wrong in ("-1", "x", "1.5", str(2**40)):
        assert api.window(wrong).status_code == 400
    assert api.http.get(f"/sets/{api.set}/queues/{'0' * 24}").status_code == 404
    other = EditorApi(api.ctx, user="Bo")
    other.queue = api.queue
    assert other.window(0).status_code == 404  # somebody else's
    for body in ({"queue": "none"}, {"query": "wrist of"}, {"todo": 1}, {"frame": -1}, {"x": 1}):
        answer = api.http.post(f"/sets/{api.set}/queues", json=body)
        assert answer.json()["error"]["reason"] == "invalid", body


def test_a_link_leads_to_a_person_and_the_history_says_who_did_what(api):
    assert shown(api.open(frame=4, instance=2)) == "4:2"
    assert shown(api.open(frame=4000)) not in [one["id"] for one in api.open()["items"]][1:]
    api.edit("0:1", seq=1, **NOSE)
    api.edit("0:1", seq=2, revision=1, kind="comment", text="<i>look</i>")
    rows = api.http.get(f"/sets/{api.set}/people/0/1/events").json()["events"]
    assert [row["who"] for row in rows] == ["Ada"] * 2
    assert any("<i>look</i>" in row["what"] for row in rows)


def test_pictures(api):
    item = api.open()["items"][0]
    for kind, start in (("image", b"\xff\xd8"), ("clean", b"\xff\xd8"), ("depth", b"\x89PNG")):
        answer = api.http.get(item[kind].removeprefix("/api/v1"))
        assert answer.content.startswith(start) and "private" in answer.headers["cache-control"]
    base = f"/sets/{api.set}/frames"
    assert api.http.get(f"{base}/0/thumbnail").content[:2] == b"\xff\xd8"
    codes = [api.http.get(f"{base}/{end}").status_code for end in ("0/x", "900/image", "-1/image")]
    assert codes == [400, 404, 400]


def test_a_forged_edit_is_refused_and_logged(api, caplog):
    far = {"nose": [1e12, 2, 2, "visible"]}
    forged = ({"dataset": "0" * 64}, {"frame": 4000}, {"joints": far}, {"who": "Root"})
    for seq, change in enumerate(forged, start=1):
        answer = api.edit("11:1", seq=seq, **NOSE | change)
        assert len(answer["refused"]) == 1 and not answer["done"] and events(api) == []
        assert caplog.text.count("refused an op") == seq
    for body in ({"ops": "all"}, {"ops": [None]}, {"ops": [{}] * 201}, {"ops": [], "layer": "x"}):
        assert api.send(**body).status_code == 400


def test_only_a_page_of_ours_changes_something(api):
    """No other site can send the header; a browser that somebody else uses by now is refused."""
    op = {"client": "c" * 16, "seq": 1, "frame": 0, "instance": 1, "revision": 0, **NOSE}
    body = {"set": api.set, "ops": [op]}
    name = api.http.headers.pop("Synthstudio-User")
    assert api.http.post("/ops", json=body).status_code == 401
    assert api.http.get("/me").json()["name"] == "Ada"  # looking needs the cookie alone
    for other in ("Bo", "", "%00"):
        answer = api.http.post("/ops", json=body, headers={"Synthstudio-User": other})
        assert answer.status_code == 401, other
    api.http.headers["Synthstudio-User"] = name
    api.ctx.names.put(api.browser, "Bo")
    assert api.http.post("/ops", json=body).status_code == 401
    api.ctx.names.put(api.browser, "Ada")
    cookies = dict(api.http.cookies)
    api.http.cookies.clear()
    assert api.http.post("/ops", json=body).status_code == 401
    assert api.http.get("/me").status_code == 401 and events(api) == []
    api.http.cookies.update(cookies)
    assert api.http.post("/ops", json=body).json()["done"]  # the control


def test_roles_are_asked_for_when_an_edit_comes(pages):
    members.set_role(pages.ctx.store, "Ada", "admin", by=ADA)
    members.set_role(pages.ctx.store, "Rex", "reviewer", by=ADA)
    api = EditorApi(pages.ctx, user="Rex")
    assert api.edit("0:1", seq=1, **NOSE)["done"]
    members.set_role(pages.ctx.store, "Rex", "viewer", by=ADA)
    pages.ctx.forget_roles()
    op = {"client": "c" * 16, "seq": 2, "frame": 1, "instance": 1, "revision": 0, **NOSE}
    assert api.send(op).status_code == 403
    assert not api.open()["can"]["edit"]


def test_predictions_are_shown_taken_and_refused_once_they_are_gone(open_pages, tmp_path):
    """Three photos with a person in the first two; a network found one more in the second."""
    photos = import_photos(tmp_path / "photos", 60, empty=2)
    found = [(0, 14, 22), (1, 14, 21), (1, 14, 38), (2, 20, 10)]
    value = [
        {"image_id": image, "category_id": 1, "score": 0.9,
         "keypoints": [v for j in range(17) for v in (x + j, y, 0.7)]}
        for image, x, y in found
    ]  # fmt: skip
    (tmp_path / "results.json").write_text(json.dumps(value))
    pages = open_pages(photos.folder)
    db = pages.ctx.store.url
    made = import_predictions(photos.folder, tmp_path / "results.json", layer="net", db=db)
    assert (made.matched, made.found) == (2, 2)
    app = pages.open("review")
    assert given(pages)["queue"]["model"] == "net" and app.selectbox[-1].value == "net"
    api = EditorApi(pages.ctx)
    items = {one["id"]: one for one in api.open(model="net")["items"]}
    assert items["0:1"]["prediction"]["off"] == pytest.approx(2.0) and not items["0:1"]["found"]
    assert len(items["1:1"]["found"]) == 1
    nose = {"nose": [14.5, 22.5, 2, "visible", "predicted"]}
    done = api.edit("0:1", seq=1, kind="edit", joints=nose)["done"]
    rows = list(as_reviewed(api.ctx.store, photos, only="all").iter_instances())
    assert done and rows[0]["joints_px"][:2] == [14.5, 22.5]
    assert rows[0]["origin"][:2] == ["predicted", "human"]
    joint = {"left_ear": [300.0, 20.0, 2, "visible", "predicted"]}  # nowhere predicted
    answer = api.edit("0:1", seq=2, revision=1, kind="edit", joints=joint)
    assert "these joints are no longer predicted" in answer["refused"][0]["message"]


def test_photos_without_people_are_on_every_page(open_pages, tmp_path):
    """The first person is added, and a frame called empty: both count."""
    (tmp_path / "photos").mkdir()
    for k in range(3):
        picture = encode_jpeg(np.full((48, 64, 3), 40 * k, np.uint8), 90)
        (tmp_path / "photos" / f"{k}.jpg").write_bytes(picture)
    import_unlabelled(tmp_path / "photos", tmp_path / "set")
    pages = open_pages(tmp_path / "set")
    for name in ("home", "gallery", "queue", "team", "review"):
        pages.open(name)
    assert given(pages)["queue"]["queue"] == "empty"
    api = EditorApi(pages.ctx)
    assert [one["id"] for one in api.open(queue="empty")["items"]] == ["0:0", "1:0", "2:0"]
    api.edit("2:0", seq=1, kind="status", status="no_people")
    told = api.edit("0:1", seq=2, kind="add", joints=NOSE["joints"])
    frames = {"frames": 3, "frames_left": 2}
    assert told["progress"] == {"done": 0, "total": 1, "empty_frames": 1} | frames
    assert "2 of 3 frames left · 1 pending · 1 frame without people" in pages.words(pages.open())
