"""The review page: queues, links, roles, and what the editor says to it and is told by it."""

import json

import numpy as np
import pytest
from imported_photos import import_photos
from reviewing import Labels

from synthstudio.api.exchange import import_photos as import_unlabelled
from synthstudio.api.review import import_predictions
from synthstudio.core.images import encode_jpeg
from synthstudio.review import history
from synthstudio.review.reviewed import reviewed as as_reviewed
from synthstudio.review.team import members
from synthstudio.review.values import User
from synthstudio.studio.editor import window

ADA = User(name="Ada", role="admin")


class Review:
    """The review page by AppTest; a test says what the editor in the browser would."""

    def __init__(self, pages, *, user="Ada", **query):
        self.pages, self.n = pages, 0
        (self.chosen,) = pages.ctx.sets.values()
        self.store = pages.ctx.store
        self.app = pages.open("review", user=user, **{"queue": "all", **query})

    @property
    def data(self):
        """What the editor was given last."""
        return json.loads(self.pages.shown[self.key]["json"])

    @property
    def key(self):
        return next(key for key in self.pages.shown if key.startswith("editor "))

    def say(self, **values):
        self.n += 1
        common = {"v": 1, "n": self.n, "tab": "t" * 16}
        self.pages.says[self.key] = {name: common | value for name, value in values.items()}
        self.app.run()
        assert not self.app.exception
        return self.data["results"]

    def edit(self, item, *, seq, revision=0, **op):
        """Say an op of a person; return the answer."""
        frame, instance = map(int, item.split(":"))
        common = {"client": "c" * 16, "seq": seq, "dataset": self.chosen.key, "frame": frame}
        one = common | {"instance": instance, "revision": revision, **op}
        return self.say(outbox={"ops": [one]})

    def events(self):
        return history.events(self.store, self.chosen.key)

    def shown(self):
        """The person at whom the editor is to begin."""
        data = self.data
        return data["person"] or next(i["id"] for i in data["items"] if i["pos"] == data["at"])


NOSE = {"kind": "edit", "joints": {"nose": [7.5, 8.5, 1, "person"]}}


def test_an_edit_and_a_decision_are_stored_and_told(pages):
    review = Review(pages)
    assert review.data["user"] == "Ada" and review.data["can"] == {"edit": True, "masks": True}
    assert review.data["progress"] == {"done": 0, "total": 24, "nobody": 0}
    item = review.shown()
    assert review.edit(item, seq=1, **NOSE)["done"][0][1] == 1
    again = review.edit(item, seq=1, **NOSE)
    assert len(again["done"]) == 1 and len(review.events()) == 1
    review.edit(item, seq=2, revision=1, kind="status", status="approved")
    assert review.data["progress"]["done"] == 1
    assert [(e.kind, e.who) for e in review.events()] == [("edit", "Ada"), ("status", "Ada")]
    (state,) = [one["state"] for one in review.data["items"] if one["id"] == item]
    assert (state["status"], state["revision"]) == ("approved", 2)
    assert state["joints"] == {"nose": [7.5, 8.5, 1, "person", "human"]}


def test_an_added_person_is_in_the_window(pages):
    review = Review(pages, frame="10", instance="2")
    review.edit("10:3", seq=1, kind="add", joints=NOSE["joints"])
    assert "10:3" in [one["id"] for one in review.data["items"]]
    assert review.data["progress"]["total"] == 25


def test_the_window_follows_and_ends(pages):
    review = Review(pages)
    people = Labels(pages.ctx.settings.datasets[0]).people
    assert review.data["queue"]["total"] == len(people)
    for at in (0, 12, 23):
        review.say(view={"pos": at, "history": None})
        start, stop = window.span(at, 24)
        wanted = ["{}:{}".format(*person) for person in people[start:stop]]
        assert [one["id"] for one in review.data["items"]] == wanted
    before = review.data
    for wrong in ({"pos": 24}, {"pos": "1"}, {"pos": -1}, {"pos": 3, "v": 2}):
        review.say(view=wrong)
        assert review.data["at"] == before["at"]


def test_a_link_leads_to_a_person(pages):
    assert Review(pages, frame="4", instance="2").shown() == "4:2"
    for wrong in ({"frame": "x"}, {"frame": "9" * 12, "instance": "1"}):
        assert Review(pages, **wrong).shown() == "0:1"


def test_a_query_makes_a_queue_and_a_mistake_is_said(pages):
    review = Review(pages)
    review.app.text_input(key="review_query").set_value("variant = clean").run()
    assert review.data["queue"]["total"] == 8 and review.data["queue"]["query"] == "variant = clean"
    review.app.text_input(key="review_query").set_value("wrist of <b>somebody</b>").run()
    assert review.data["queue"]["total"] == 24 and len(review.app.error) == 1
    assert "<b>" not in review.app.error[0].value.replace("\\<", "")
    assert Review(pages, q="variant = clean").data["queue"]["total"] == 8
    review = Review(pages)
    review.edit("0:1", seq=1, kind="status", status="approved")
    review.app.toggle(key="review_todo").set_value(True).run()
    assert review.data["queue"]["total"] == 23


def test_the_history_says_who_did_what(pages):
    review = Review(pages)
    review.edit("0:1", seq=1, **NOSE)
    review.edit("0:1", seq=2, revision=1, kind="comment", text="<i>look</i>")
    review.say(view={"pos": 0, "history": "0:1"})
    assert review.data["history"]["id"] == "0:1"
    rows = review.data["history"]["events"]
    assert {row["who"] for row in rows} == {"Ada"} and len(rows) == 2
    assert any("<i>look</i>" in row["what"] for row in rows)
    for wrong in ("0:x", "9" * 12 + ":1", 7):
        review.say(view={"pos": 0, "history": wrong})
        assert review.data["history"] is None


def test_a_forged_edit_is_refused_and_logged(pages, caplog):
    review, far = Review(pages), {"nose": [1e12, 2, 2, "visible"]}
    forged = ({"dataset": "0" * 64}, {"frame": 4000}, {"joints": far}, {"who": "Root"})
    for seq, change in enumerate(forged, start=1):
        answer = review.edit("11:1", seq=seq, **NOSE | change)
        assert len(answer["refused"]) == seq and not answer["done"] and review.events() == []
        assert caplog.text.count("refused an edit") == seq
    for payload in ({"ops": "all"}, {"ops": [], "tab": "<script>"}):
        review.say(outbox=payload)
    assert review.events() == []


def test_roles_are_asked_for_when_an_edit_comes(pages):
    members.set_role(pages.ctx.store, "Ada", "admin", by=ADA)
    members.set_role(pages.ctx.store, "Rex", "reviewer", by=ADA)
    review = Review(pages, user="Rex")
    assert review.edit("0:1", seq=1, **NOSE)["done"]
    members.set_role(pages.ctx.store, "Rex", "viewer", by=ADA)
    pages.ctx.forget_roles()
    answer = review.edit("1:1", seq=2, **NOSE)
    assert [row[2] for row in answer["refused"]] == ["role"]
    assert not review.data["can"]["edit"]


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
    review = Review(pages)
    assert review.data["predictions"] == "net" and review.app.selectbox[-1].value == "net"
    items = {one["id"]: one for one in review.data["items"]}
    assert items["0:1"]["ghost"]["off"] == pytest.approx(2.0) and not items["0:1"]["found"]
    assert len(items["1:1"]["found"]) == 1
    nose, ear = ("nose", [14.5, 22.5, 2, "visible", "predicted"]), "left_ear"
    done = review.edit("0:1", seq=1, kind="edit", joints=dict([nose]))["done"]
    rows = list(as_reviewed(review.store, photos, only="all").iter_instances())
    assert done and rows[0]["joints_px"][:2] == [14.5, 22.5]
    assert rows[0]["origin"][:2] == ["predicted", "human"]
    joint = {ear: [300.0, 20.0, 2, "visible", "predicted"]}  # nowhere predicted
    answer = review.edit("0:1", seq=2, revision=1, kind="edit", joints=joint)
    assert "no model predicts these joints there" in answer["refused"][0][3]


def test_photos_without_people_are_on_every_page(open_pages, tmp_path):
    """The first person is added, and a frame called empty: both count."""
    (tmp_path / "photos").mkdir()
    for k in range(3):
        picture = encode_jpeg(np.full((48, 64, 3), 40 * k, np.uint8), 90)
        (tmp_path / "photos" / f"{k}.jpg").write_bytes(picture)
    import_unlabelled(tmp_path / "photos", tmp_path / "set")
    pages = open_pages(tmp_path / "set")
    for name in ("home", "gallery", "queue", "team"):
        pages.open(name)
    review = Review(pages, queue="empty")
    assert [one["id"] for one in review.data["items"]] == ["0:0", "1:0", "2:0"]
    review.edit("2:0", seq=1, kind="status", status="nobody")
    review.edit("0:1", seq=2, kind="add", joints=NOSE["joints"])
    assert review.data["progress"] == {"done": 0, "total": 1, "nobody": 1}
    assert "2 of 3 frames left · 1 pending · 1 frame without people" in pages.words(pages.open())
