"""`ss.Review` against a studio's API on a port of this machine."""

import urllib.request

import numpy as np
import pytest
from attackers import answering, api_studio, on_a_port
from review_ops import refused

import synthstudio as ss
from synthstudio.core.errors import ArgumentError, Refused, ReviewError
from synthstudio.core.masks import decode
from synthstudio.review import history
from synthstudio.review.team import members
from synthstudio.review.team.members import make_token
from synthstudio.review.values import User

ADMIN = User(name="ada", role="admin")


@pytest.fixture
def studio(tmp_path, small_photo_set):
    with api_studio(tmp_path, small_photo_set) as found, on_a_port(found.app) as url:
        for name, role in {"ada": "admin", "rea": "reviewer", "lea": "lead"}.items():
            members.set_role(found.store, name, role, by=ADMIN)
        yield found, url


def client(studio, who, role):
    found, url = studio
    return ss.Review(url, make_token(found.store, who, role=role, by=ADMIN)[1])


def test_a_review_from_outside(studio):
    review = client(studio, "rea", "reviewer")
    assert review.me == {"name": "rea", "role": "reviewer"}
    assert [f["frame"] for f in review.frames()] == [0, 1, 2, 3, 4]
    assert review.image(1)[:2] == b"\xff\xd8"
    todo = list(review.people(status="pending"))
    assert len(todo) == 10
    done = review.edit(todo[0], {"nose": [12.5, 30.0, 2, "visible"]})
    with pytest.raises(Refused) as caught:  # it has moved on since
        review.edit(todo[0], {"nose": [1.0, 1.0, 2, "visible"]})
    assert caught.value.reason == "revision" and caught.value.state["revision"] == 1
    person = review.person(todo[0]["frame"], todo[0]["instance"])
    assert person["joints"]["nose"][:2] == [12.5, 30.0]
    review.comment(person, "a word")
    review.revert({**person, "revision": 2}, done["event"])
    review.decide({**person, "revision": 3}, "approved")
    new = review.add(2, 1, {"nose": [5.0, 5.0, 2, "visible"]}, box=[0, 0, 20, 30])
    added = {"frame": 2, "instance": 1, "revision": new["revision"]}
    review.delete(added)
    review.restore({**added, "revision": 2})
    assert [d["kind"] for d in review.decisions()] == ["status", "delete", "restore"]
    assert [c["text"] for c in review.comments()] == ["a word"]
    frame = review.frame(2)
    assert frame["people"][0]["box"] == [0, 0, 20, 30]
    pixels = np.zeros((frame["height_px"], frame["width_px"]), bool)
    pixels[3:9, 2:6] = True
    review.edit({**added, "revision": 3}, masks={"modal": pixels})
    drawn = review.person(2, 1)
    assert np.array_equal(decode(drawn["masks"]["modal"]), pixels)
    assert drawn["box"] == [2, 3, 4, 6] and drawn["masks"]["amodal"] is None
    assert history.check_replay(studio[0].store, review.key) == []


def test_predictions_and_rights(studio):
    lead = client(studio, "lea", "lead")
    rows = [{"frame": 0, "instance": 1, "joints": {"nose": [3, 4, 0.5]}, "score": 0.5}]
    assert lead.set_predictions("net", rows) == 1 and lead.layers() == {"net": 1}
    assert [r["joints"] for r in lead.predictions("net")] == [{"nose": [3.0, 4.0, 0.5]}]
    weak = client(studio, "lea", "viewer")  # a token may hold less than its person
    for forbidden in (
        lambda: weak.set_predictions("net", rows),
        lambda: weak.comment(weak.person(0, 1), "x"),
        lambda: lead.add_webhook("https://a.example/"),
    ):
        with refused("role"):
            forbidden()
    admin = client(studio, "ada", "admin")
    with pytest.raises(Refused, match="not a public address"):
        admin.add_webhook("https://127.0.0.1/")
    assert admin.webhooks() == []
    with refused("gone"):
        admin.person(4000, 1)


def test_who_is_not_known(studio):
    with refused("token"):
        _ = ss.Review(studio[1], "sst_" + "x" * 43).sets
    token = make_token(studio[0].store, "rea", role="viewer", by=ADMIN)[1]
    other = ss.Review(studio[1], token, set="x")
    with pytest.raises(ArgumentError, match="no data set, or several"):
        _ = other.key
    more = ("http://studio.example", "https://a:b@c.example", "https://x/y")
    for url in ("ftp://127.0.0.1", "", *more):
        with pytest.raises(ArgumentError, match="not a studio URL"):
            ss.Review(url, "sst_x")


def says(body, length=None):
    def answer(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body) if length is None else length))
        handler.end_headers()
        handler.wfile.write(body)

    return answer


def babbles(handler):
    handler.wfile.write(b"no HTTP at all\r\n\r\n")


def test_an_answer_that_is_no_studios_or_breaks_off():
    wrong = {
        says(b): "not a studio's response" for b in (b"<html>Sign in</html>", b"\xff", b"[1, 2]")
    }
    wrong |= {says(b""): "not a studio's response", babbles: "does not answer"}
    for answer, why in (wrong | {says(b"{", 99): "does not answer"}).items():
        with answering(answer) as url, pytest.raises(ReviewError, match=why):
            _ = ss.Review(url, "sst_x").me


def test_an_edit_whose_answer_is_lost_happens_once(studio):
    """The studio does it, but nobody hears of that: it is sent again under the same name."""
    found, url = studio
    token = make_token(found.store, "rea", role="reviewer", by=ADMIN)[1]
    lost = []

    def on(handler):
        kept = ("Authorization", "Content-Type")
        headers = {name: handler.headers[name] for name in kept if handler.headers[name]}
        data = handler.body or None
        asked = urllib.request.Request(url + handler.path, data, headers, method=handler.command)
        with urllib.request.urlopen(asked) as answer:
            told = answer.read()
        if data and not lost:
            lost.append(told)
            says(told[:5], len(told))(handler)
        else:
            says(told)(handler)

    with answering(on) as between:
        review = ss.Review(between, token)
        done = review.edit(review.person(0, 1), {"nose": [12.5, 30.0, 2, "visible"]})
    assert lost and done["revision"] == 1
    assert history.counts(found.store, review.key).events == 1


def test_a_redirect_does_not_get_the_token():
    asked: list[str] = []

    def elsewhere(handler):
        asked.append(handler.path)
        handler.send_response(302)
        handler.send_header("Location", "/stolen")
        handler.end_headers()

    with answering(elsewhere) as url, pytest.raises(Refused, match="answered with 302"):
        _ = ss.Review(url, "sst_x").me
    assert asked == ["/api/v1/me"]
    with pytest.raises(ReviewError, match="does not answer"):  # nobody listens any more
        _ = ss.Review(url, "sst_x").me
