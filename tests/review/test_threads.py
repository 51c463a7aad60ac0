"""Threads: comments and their answers, resolved and reopened, with whom they mention."""

import pytest
from review_ops import ANNA, BEN, GUEST, KEY, ON_DISK, PERSON, op
from sqlalchemy import update

from synthstudio.core.errors import Refused
from synthstudio.review import comments, edits, history
from synthstudio.review.models import MemberRow, ThreadRow, utc_now
from synthstudio.review.threads import names_in

PAIR = (PERSON.frame, PERSON.instance)


@pytest.fixture
def log(store):
    with store.session() as session:
        for name in ("anna", "Ben Li"):
            session.add(MemberRow(name=name, role="reviewer", by="ada", when=utc_now()))

    def log(kind, *, who=ANNA, **more):
        revision = history.state(store, PERSON).revision
        return edits.apply(store, op(kind, revision, **more), who=who, base=ON_DISK)

    return log


def threads(store):
    return comments.threads_in(store, KEY, [PAIR]).get(PAIR, [])


def test_a_thread_is_answered_resolved_and_reopened(store, log):
    first = log("comment", text="left? @ben li", joint="nose")
    log("comment", text="yes, @ANNA", event=first.id, who=BEN)
    (thread,) = threads(store)
    assert [e.after["comment"] for e in thread.comments] == ["left? @ben li", "yes, @ANNA"]
    assert (thread.joint, thread.mentions, thread.is_open) == ("nose", ("Ben Li", "anna"), True)
    done = log("resolve", event=first.id)
    (listed,) = comments.thread_list(store, KEY, is_open=False, mentions="anna")
    assert (listed.id, listed.comments, listed.is_open) == (first.id, 2, False)
    assert comments.thread_count(store, KEY, is_open=True) == 0
    with pytest.raises(Refused, match="resolved already"):
        log("resolve", event=first.id)
    log("reopen", event=first.id)
    with pytest.raises(Refused, match="changed again later"):
        log("revert", event=done.id)
    assert comments.thread_count(store, KEY, is_open=True) == 1
    assert history.state(store, PERSON).comments == 2
    assert history.check_replay(store, KEY) == []


def test_all_of_it_can_be_taken_back_in_order(store, log):
    first, other = log("comment", text="a"), log("comment", text="b")
    answer = log("comment", text="c", event=first.id)
    done = log("resolve", event=first.id)
    with pytest.raises(Refused, match="changed again later"):
        log("revert", event=first.id)
    undone = log("revert", event=done.id)
    assert threads(store)[0].is_open
    taken = log("revert", event=answer.id)
    log("revert", event=first.id)
    assert [thread.id for thread in threads(store)] == [other.id]
    for event in (taken, undone):
        with pytest.raises(Refused, match="was undone"):
            log("revert", event=event.id)
    assert history.check_replay(store, KEY) == []


@pytest.mark.parametrize(
    ("kind", "more", "reason"),
    [
        ("resolve", {"event": 999_999}, "invalid"),
        ("reopen", {"event": True}, "invalid"),
        ("resolve", {}, "invalid"),
        ("comment", {"text": "x", "event": 999_999}, "invalid"),
        ("comment", {"text": "x", "joint": "<script>"}, "invalid"),
        ("comment", {"text": "x", "joint": 7}, "invalid"),
        ("edit", {"joint": "nose"}, "invalid"),
        ("resolve", {"event": 1, "who": GUEST}, "role"),
        ("comment", {"text": "x", "who": GUEST}, "role"),
    ],
)
def test_what_makes_no_thread(store, log, kind, more, reason):
    log("comment", text="there is one")
    with pytest.raises(Refused) as caught:
        log(kind, **more)
    assert caught.value.reason == reason
    assert len(history.events(store, KEY)) == 1


def test_a_thread_of_somebody_else_is_not_answered(store, log):
    first = log("comment", text="a")
    other = type(PERSON)(dataset=KEY, frame=0, instance=2)
    with pytest.raises(Refused, match="no such thread"):
        edits.apply(store, op("resolve", 0, person=other, event=first.id), who=ANNA, base=ON_DISK)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("@Ada and @ada", ["Ada"]),
        ("@ada b, look", ["Ada B"]),
        ("@ada bc", ["Ada"]),
        ("me@ada.example @nobody @", []),
        ("(@x@lab.example)", ["x@lab.example"]),
        ("@<b>", ["<b>"]),
    ],
)
def test_names(text, names):
    assert names_in(text, ["Ada", "Ada B", "x@lab.example", "<b>"]) == names


def test_a_row_that_is_not_what_events_say_is_found(store, log):
    log("comment", text="a")
    with store.session() as session:
        session.execute(update(ThreadRow).values(is_open=False))
    assert history.check_replay(store, KEY) == [
        f"thread {threads(store)[0].id}: it is not what its events add up to"
    ]
