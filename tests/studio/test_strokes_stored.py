"""What the server makes of strokes: each person decided on alone, undo, blind looks, the API."""

from contextlib import closing

import pytest
from review_store import reviewed
from test_review_team import ADA, ADMIN, BEN, frames, shown
from test_web_api import CLIENT, api  # noqa: F401 - a fixture

from synthstudio.review import history
from synthstudio.review.datasets import register
from synthstudio.review.leases import SECOND, claim
from synthstudio.review.reviewed import reviewed as as_exported
from synthstudio.review.settings import set_share, share_of
from synthstudio.review.team.second_pass import begin_second_looks, blinded_among
from synthstudio.review.values import Person, User
from synthstudio.studio.editor.outbox import BLIND, apply_message, parse_message, storage_key

FRAME = 4  # with four people
VIC = User(name="Vic", role="viewer")


@pytest.fixture
def review(tmp_path, small_photo_set):
    found = reviewed(tmp_path / "review.db", small_photo_set)
    with closing(found.store):
        register(found.store, found.dataset, "sticks")
        yield found


def person(review, instance, layer="main"):
    return Person(dataset=review.table.key, frame=FRAME, instance=instance, layer=layer)


def covered(review, instance, cause):
    """All joints of a person that have a place, hidden by something."""
    labels = review.on_disk(person(review, instance))
    return {n: [at.x_px, at.y_px, 1, cause] for n, at in labels.items() if at.state}


def paint(review, *, who, cause="object", people=(1, 2, 3, 4), first=1, layer="main", **more):
    """Say a stroke as the editor does: a message with an edit of each person."""
    ops = [
        {
            "client": (who.name * 8)[:16],
            "seq": first + k,
            "dataset": storage_key(review.table.key, layer),
            "frame": FRAME,
            "instance": instance,
            "revision": 0,
            "kind": "edit",
            "joints": covered(review, instance, cause),
            **more,
        }
        for k, instance in enumerate(people)
    ]
    return say(review, ops, who=who, layer=layer)


def say(review, ops, *, who, layer="main"):
    message = {"v": 1, "tab": "t" * 16, "n": 1, "ops": ops}
    share = share_of(review.store, review.table.key, "second_share")
    return apply_message(
        review.store,
        parse_message(message, dataset=review.table.key, layer=layer),
        who=who,
        base_of=frames(review).base_of,
        veiled=lambda pairs: blinded_among(review.store, review.table, pairs, who=who, share=share),
    )


def causes(review, instance):
    joints = history.state(review.store, person(review, instance)).joints
    return {label.cause for label in joints.values()}


def test_a_stroke_is_an_edit_of_each_and_each_is_taken_back(review):
    answer = paint(review, who=ADA)
    assert len(answer.done) == 4 and not answer.refused
    found = history.events(review.store, review.table.key)
    assert [(e.kind, e.person.instance) for e in found] == [("edit", n) for n in (1, 2, 3, 4)]
    assert all(causes(review, n) == {"object"} for n in (1, 2, 3, 4))
    exported = [
        row
        for row in as_exported(review.store, review.dataset, only="all").iter_instances()
        if row["frame_index"] == FRAME
    ]
    assert len(exported) == 4
    assert {
        c for row in exported for c, s in zip(row["cause"], row["state"], strict=True) if s
    } == {"object"}
    client = found[0].client
    back = [
        {
            "client": client,
            "seq": 10 + n,
            "dataset": review.table.key,
            "frame": FRAME,
            "instance": n,
            "revision": 1,
            "kind": "revert",
            "undoes": [client, n],
        }
        for n in (1, 2, 3, 4)
    ]
    assert len(say(review, back, who=ADA).done) == 4
    assert all(causes(review, n) == set() for n in (1, 2, 3, 4))
    assert history.check_replay(review.store, review.table.key) == []


def test_whom_it_may_not_change_it_leaves_and_says_so(review):
    """One is held by another, one changed meanwhile; one waits for a blind second look."""
    claim(review.store, [person(review, 2)], who=BEN)
    review.move(BEN, person(review, 3), "nose", 4.0)
    answer = paint(review, who=ADA, people=(1, 2, 3))
    assert [row[1] for row in answer.done] == [1]
    assert [row[1:3] for row in answer.refused] == [(2, "lease"), (3, "revision")]
    assert "person 2" in answer.refused[0][3] and "person 3" in answer.refused[1][3]
    set_share(review.store, review.table.key, "second_share", 1.0, by=ADMIN)
    review.decide(BEN, person(review, 4), "approved")
    before = history.state(review.store, person(review, 4))
    for revision in (0, 1):
        answer = paint(review, who=ADA, people=(4,), first=20 + revision, revision=revision)
        assert [row[2:] for row in answer.refused] == [("lease", BLIND)], "nothing is told"
    assert history.state(review.store, person(review, 4)) == before
    assert causes(review, 1) == {"object"} and causes(review, 2) == set()
    assert history.check_replay(review.store, review.table.key) == []


def test_who_may_only_look_paints_nobody(review):
    answer = paint(review, who=VIC)
    assert not answer.done and {row[2] for row in answer.refused} == {"role"}
    assert history.events(review.store, review.table.key) == []


def test_a_stroke_said_twice_happens_once(review):
    first = paint(review, who=ADA)
    assert paint(review, who=ADA).done == first.done
    assert len(history.events(review.store, review.table.key)) == 4


def test_a_second_look_paints_only_whom_it_was_given(review):
    set_share(review.store, review.table.key, "second_share", 1.0, by=ADMIN)
    for instance in (1, 2):
        review.decide(ADA, person(review, instance), "approved")
    taken = begin_second_looks(review.store, review.table, who=BEN, count=1, share=1.0)
    mine = taken[0].instance
    (item,) = shown(review, BEN, [(FRAME, mine)], layer=SECOND)
    closed = {p["instance"]: p["closed"] for p in item["people"]}
    assert item["closed"] is None
    (other,) = shown(review, BEN, [(FRAME, 3)], layer=SECOND)
    assert other["closed"] == "not among your second looks"
    assert closed.pop(mine) is None and set(closed.values()) == {"not among your second looks"}
    answer = paint(review, who=BEN, layer=SECOND)
    assert [row[1] for row in answer.done] == [mine]
    assert {row[2] for row in answer.refused} == {"lease"} and len(answer.refused) == 3


def test_joints_of_a_lasso_by_the_api_are_one_event(api):  # noqa: F811
    base = api.ask("GET", f"/sets/{api.studio.key}/people/4/2").json()
    joints = {n: [*row[:2], 1, "person"] for n, row in base["joints"].items() if row[2]}
    assert len(joints) > 10
    done = api.op("edit", frame=4, instance=2, joints=joints).json()["done"]
    assert [d["revision"] for d in done] == [1]
    undo = {"kind": "revert", "undoes": [CLIENT, 0], "frame": 4, "instance": 2, "revision": 1}
    assert api.send({"seq": 1, **undo}).json()["done"]
    after = api.ask("GET", f"/sets/{api.studio.key}/people/4/2").json()
    assert after["joints"] == base["joints"] and after["revision"] == 2
