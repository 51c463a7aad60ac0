"""Threads: comments and their answers, resolved and reopened, with whom they mention."""

import dataclasses
from types import SimpleNamespace

import pytest
from review_ops import ANNA, BEN, GUEST, KEY, LEAD, ON_DISK, PERSON, op, refused
from sqlalchemy import update

from synthstudio.core.errors import Refused
from synthstudio.review import edits, history, threads
from synthstudio.review.models import MemberRow, ThreadRow, utc_now
from synthstudio.review.risk.table import people_table
from synthstudio.review.team.second_review import set_share
from synthstudio.review.threads import names_in
from synthstudio.studio.team_lists import shown_threads, threads_csv, threads_note

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


def own_threads(store):
    return threads.threads_in(store, KEY, [PAIR]).get(PAIR, [])


def test_a_thread_is_answered_resolved_and_reopened(store, log):
    first = log("comment", text="left? @ben li", joint="nose")
    log("comment", text="yes, @ANNA", event=first.id, who=BEN)
    (thread,) = own_threads(store)
    assert [e.after["comment"] for e in thread.comments] == ["left? @ben li", "yes, @ANNA"]
    assert (thread.joint, thread.mentions, thread.is_open) == ("nose", ("Ben Li", "anna"), True)
    done = log("resolve", event=first.id)
    (listed,) = threads.thread_list(store, KEY, is_open=False, mentions="anna")
    assert (listed.id, listed.comments, listed.is_open) == (first.id, 2, False)
    assert threads.thread_count(store, KEY, is_open=True) == 0
    with pytest.raises(Refused, match="resolved already"):
        log("resolve", event=first.id)
    log("reopen", event=first.id)
    with pytest.raises(Refused, match="changed again later"):
        log("revert", event=done.id)
    assert threads.thread_count(store, KEY, is_open=True) == 1
    assert history.state(store, PERSON).comments == 2
    assert history.check_replay(store, KEY) == []


def test_all_of_it_can_be_taken_back_in_order(store, log):
    first, other = log("comment", text="a"), log("comment", text="b")
    answer = log("comment", text="c", event=first.id)
    done = log("resolve", event=first.id)
    for who, match in ((ANNA, "changed again later"), (BEN, "another person's comment")):
        with pytest.raises(Refused, match=match):
            log("revert", event=first.id, who=who)
    undone = log("revert", event=done.id)
    assert own_threads(store)[0].is_open
    taken = log("revert", event=answer.id)
    log("revert", event=first.id, who=LEAD)
    assert [thread.id for thread in own_threads(store)] == [other.id]
    for event in (taken, undone):
        with pytest.raises(Refused, match="was undone"):
            log("revert", event=event.id)
    assert history.check_replay(store, KEY) == []


INVALID = [("resolve", {"event": 999_999}), ("reopen", {"event": True}), ("resolve", {})]
COMMENTS = {"event": 999_999}, {"joint": "<script>"}, {"joint": 7}
INVALID += [("comment", {"text": "x", **more}) for more in COMMENTS]
NO_THREADS = [(*one, "invalid") for one in (*INVALID, ("edit", {"joint": "nose"}))]
NO_THREADS += [("resolve", {"event": 1, "who": GUEST}, "role")]
NO_THREADS += [("comment", {"text": "x", "who": GUEST}, "role")]


def test_what_makes_no_thread_and_what_is_not_what_events_say(store, log):
    first = log("comment", text="there is one")
    other = dataclasses.replace(PERSON, instance=2)
    for kind, more, reason in NO_THREADS:
        with refused(reason):
            log(kind, **more)
    with pytest.raises(Refused, match="no such thread"):
        edits.apply(store, op("resolve", 0, person=other, event=first.id), who=ANNA, base=ON_DISK)
    assert len(history.events(store, KEY)) == 1
    with store.session() as session:
        session.execute(update(ThreadRow).values(is_open=False))
    problem = f"thread {first.id}: differs from the replay of its events"
    assert history.check_replay(store, KEY) == [problem]


NAMES = {
    "@Ada and @ada": ["Ada"],
    "@ada b, look": ["Ada B"],
    "@ada bc": ["Ada"],
    "me@ada.example @nobody @": [],
    "(@x@lab.example)": ["x@lab.example"],
    "@<b>": ["<b>"],
}


def test_names():
    known = ["Ada", "Ada B", "x@lab.example", "<b>"]
    assert {text: names_in(text, known) for text in NAMES} == NAMES


# ---- what lists, counts and pages tell of them, and to whom


@pytest.fixture
def write(desk):
    with desk.store.session() as session:
        for name in ("anna", "Ann", "José"):
            session.add(MemberRow(name=name, role="reviewer", by="ada", when=utc_now()))
    return lambda instance, kind="comment", **more: desk.do(kind, 0, instance, **more)


@pytest.fixture
def page(desk, small_set):
    """What pages know of the data set: everybody is reviewed twice, blind."""
    set_share(desk.store, desk.key, "second_share", 1.0, by=LEAD)
    chosen = SimpleNamespace(key=desk.key, table=people_table(small_set))
    return SimpleNamespace(store=desk.store), chosen


def test_lists_find_whom_a_thread_mentions(store, key, write):
    ids = [write(1, text=f"{k} @{'José' if k % 2 else 'anna'}").id for k in range(6)]
    assert [one.id for one in threads.thread_list(store, key, limit=2)] == ids[:2]
    mine = threads.thread_list(store, key, mentions="José", after_id=ids[1], limit=1)
    assert [one.id for one in mine] == [ids[3]]
    for other in ("Anna", "Ann", "", '", "', "%"):
        assert threads.thread_list(store, key, mentions=other) == []
    assert threads.thread_count(store, key, is_open=True, mentions="José") == 3
    assert threads.threads_of_people(store, key, is_open=True) == {(0, 1): 6}


def test_pages_count_and_list_what_one_may_see(page, write):
    ctx, chosen = page
    assert threads_note(ctx, BEN, chosen) == ""
    ids = [write(1 + k // 2, text=text).id for k, text in enumerate(("a @anna", "b", "c"))]
    write(1, "status", status="approved")  # the second review at this one is blind from now on
    assert threads_note(ctx, ANNA, chosen) == "3 open threads, 1 mentions you"
    assert threads_note(ctx, LEAD, chosen) == "3 open threads"
    assert threads_note(ctx, BEN, chosen) == "1 open thread"
    for who, count, shown in ((LEAD, 3, [ids[2], ids[1]]), (BEN, 1, [ids[2]])):
        counted, latest = shown_threads(ctx, who, chosen, "Open")
        assert (counted, [one.id for one in latest(limit=2)]) == (count, shown)


def test_a_csv_has_what_one_may_see_when_it_is_asked_for(page, write):
    (ctx, chosen), role = page, BEN.role

    def made():
        return threads_csv(ctx, BEN.name, lambda: role, chosen, "Open").decode()

    write(1, text="left? @José", joint="nose")
    write(2, text="b")
    assert "nose,open,anna" in made() and "José" in made() and made().count("\n") == 3
    write(1, "status", status="approved")
    assert "nose" not in made() and "José" not in made() and made().count("\n") == 2
    role = "lead"
    assert "nose" in made()
    role = None
    assert "Only members" in made() and made().count("\n") == 1
