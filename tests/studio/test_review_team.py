"""What the review page does for a team: leases that last, second looks that stay blind, counts."""

from contextlib import closing
from datetime import timedelta
from types import SimpleNamespace

import pytest
from review_store import Reviewed, reviewed

from synthstudio.core.errors import Refused
from synthstudio.core.skeleton import get_skeleton
from synthstudio.review import history
from synthstudio.review.datasets import register
from synthstudio.review.leases import SECOND, claim, leases
from synthstudio.review.models import utc_now
from synthstudio.review.settings import set_share, share_of
from synthstudio.review.team.second_pass import begin_second_looks, blinded, blinded_among
from synthstudio.review.values import User
from synthstudio.studio import frame_rows, server
from synthstudio.studio.access import Grant
from synthstudio.studio.drawing import pictures
from synthstudio.studio.editor import outbox, window
from synthstudio.studio.editor.outbox import (
    HeldLeases,
    apply_message,
    parse_message,
    release_decided,
    renew_leases,
    storage_key,
)
from synthstudio.studio.editor.queue import QueueRequest, build_queue

ADA, BEN = User(name="Ada", role="reviewer"), User(name="Ben", role="reviewer")
LEA = User(name="Lea", role="lead")
ADMIN = User(name="Root", role="admin")
LATER = timedelta(minutes=40)


@pytest.fixture
def review(tmp_path, studio_set):
    found = reviewed(tmp_path / "review.db", studio_set)
    with closing(found.store):
        register(found.store, found.dataset, "crates")
        yield found


@pytest.fixture
def clock(monkeypatch):
    """Return a clock for `keep` that a test sets, in seconds."""
    now = SimpleNamespace(s=0.0)
    monkeypatch.setattr(outbox, "time", SimpleNamespace(monotonic=lambda: now.s))
    return now


def frames(review: Reviewed) -> frame_rows.Frames:
    return frame_rows.Frames(review.dataset, get_skeleton(review.dataset.identity.skeleton))


def tell(review, person, seq, *, who, held=None, layer="main", **more):
    """Say an op as the editor does; return the answer."""
    client = (who.name * 8)[:16]
    op = {
        "client": client,
        "seq": seq,
        "dataset": storage_key(review.table.key, layer),
        "frame": person.frame,
        "instance": person.instance,
        "revision": 0,
        **more,
    }
    message = parse_message(
        {"v": 1, "tab": client, "n": seq, "ops": [op]}, dataset=review.table.key, layer=layer
    )
    if held is not None:
        renew_leases(review.store, held, (), who=who, edited=[person])
    share = share_of(review.store, review.table.key, "second_share")
    answer = apply_message(
        review.store,
        message,
        who=who,
        base_of=frames(review).base_of,
        veiled=lambda people: blinded_among(
            review.store, review.table, people, who=who, share=share
        ),
    )
    if held is not None:
        release_decided(review.store, held, message, answer, who=who)
    return answer


def taken_long_ago(review, who, *rows):
    people = [review.person(row) for row in rows]
    claim(review.store, people, who=who, count=len(people), now=utc_now() - LATER)
    return people


NOSE = {"kind": "edit", "joints": {"nose": [7.5, 8.5, 1, "person"]}}


def test_a_lease_that_ended_is_renewed_where_the_editor_is_used(review):
    person, other = taken_long_ago(review, ADA, 0, 1)
    refused = tell(review, other, 1, who=ADA, **NOSE).refused  # the control: nobody renews
    assert [r[2] for r in refused] == ["lease"]
    answer = tell(review, person, 2, who=ADA, held=HeldLeases(), **NOSE)
    assert answer.done and not answer.refused
    assert leases(review.store, review.table.key, who="Ada")


def test_a_lease_that_somebody_else_took_stays_lost(review):
    (person,) = taken_long_ago(review, ADA, 0)
    claim(review.store, [person], who=BEN)
    answer = tell(review, person, 1, who=ADA, held=HeldLeases(), **NOSE)
    assert [r[2] for r in answer.refused] == ["lease"] and not answer.done
    assert [one.who for one in leases(review.store, review.table.key).values()] == ["Ben"]


def test_a_window_is_renewed_once_a_minute(review, clock, monkeypatch):
    output = []
    real = outbox.renew
    monkeypatch.setattr(
        outbox, "renew", lambda store, people, who: output.append(real(store, people, who=who))
    )
    people = taken_long_ago(review, ADA, 0, 1, 2)
    nobodys = review.person(5)
    held = HeldLeases()
    for clock.s in (1000, 1030, 1059, 1061):
        renew_leases(review.store, held, [*people, nobodys], who=ADA)
    assert output == [people, people]
    renew_leases(review.store, held, people, who=ADA, edited=[people[0]])
    assert len(output) == 2
    renew_leases(
        review.store, held, people, who=ADA, edited=[review.person(9)]
    )  # not in that window
    assert len(output) == 3
    assert len(leases(review.store, review.table.key)) == 3  # none was made
    renew_leases(review.store, HeldLeases(), people, who=User(name="Eve", role="viewer"))
    assert len(output) == 3


def test_who_was_decided_on_is_given_back(review):
    first, second = (review.person(row) for row in (0, 1))
    claim(review.store, [first, second], who=ADA, count=2)
    held = HeldLeases()
    tell(review, first, 1, who=ADA, held=held, **NOSE)
    assert len(leases(review.store, review.table.key)) == 2
    tell(review, first, 2, who=ADA, held=held, revision=1, kind="status", status="approved")
    assert list(leases(review.store, review.table.key)) == [(second.frame, second.instance)]
    tell(review, second, 3, who=ADA, held=held, kind="status", status="skipped")
    assert len(leases(review.store, review.table.key)) == 1
    stale = tell(review, second, 4, who=ADA, held=held, kind="status", status="approved")
    assert stale.refused and len(leases(review.store, review.table.key)) == 1


def second_look(review, row=3):
    """Ada decided on a person; a second look at everybody is wanted. Return the person."""
    set_share(review.store, review.table.key, "second_share", 1.0, by=ADMIN)
    person = review.person(row)
    review.move(ADA, person, "nose", 25.0)
    review.decide(ADA, person, "rejected")
    return person


def shown(review, who, people, *, layer="main"):
    hidden = (
        blinded_among(review.store, review.table, people, who=who, share=1.0)
        if layer == "main"
        else set()
    )
    source = pictures.read_source(review.dataset, frames(review).skeleton)
    stretch = window.Stretch(start=0, people=people, veiled=hidden)
    return window.items(
        review.store,
        review.table.key,
        frames(review),
        stretch,
        who=who,
        layer=layer,
        url=lambda kind, frame: kind,
        clean_of=source.clean_of,
    )


def test_an_open_second_look_hides_the_first_from_who_may_do_it(review):
    person = second_look(review)
    people = [
        (person.frame, person.instance),
        review.table.ids(
            review.table.rows_of(*[review.table.frame[:1], review.table.instance[:1]])
        )[0],
    ]
    (ben, other), (ada, _), (lea, _) = (shown(review, who, people) for who in (BEN, ADA, LEA))
    assert ben["veiled"] and ben["state"]["revision"] == 0 and not ben["state"]["joints"]
    assert ben["state"]["status"] == "pending" and ben["state"]["who"] is None
    assert not other["veiled"]
    for seen in (ada, lea):  # the control
        assert not seen["veiled"] and seen["state"]["status"] == "rejected"
        assert "nose" in seen["state"]["joints"]
    for who in (BEN, ADA, LEA):
        one = blinded_among(review.store, review.table, people, who=who, share=1.0)
        everybody = blinded(review.store, review.table, who=who, share=1.0)
        assert one == set(review.table.ids(everybody.nonzero()[0]))
    assert blinded_among(review.store, review.table, people, who=BEN, share=0.0) == set()
    (taken,) = begin_second_looks(review.store, review.table, who=BEN, share=1.0)
    assert (taken.frame, taken.instance) == people[0]
    assert tell(review, taken, 1, who=BEN, held=HeldLeases(), layer=SECOND, **NOSE).done
    assert shown(review, BEN, people[:1], layer=SECOND)[0]["state"]["revision"] == 1
    assert shown(review, BEN, people[:1])[0]["veiled"]  # not decided yet
    status = {"kind": "status", "status": "approved", "revision": 1}
    assert tell(review, taken, 2, who=BEN, held=HeldLeases(), layer=SECOND, **status).done
    assert not shown(review, BEN, people[:1])[0]["veiled"]
    undo = {"kind": "revert", "undoes": [("Ben" * 8)[:16], 2], "revision": 2}
    assert tell(review, taken, 3, who=BEN, held=HeldLeases(), layer=SECOND, **undo).done


@pytest.mark.parametrize("revision", range(4))
def test_nothing_is_changed_of_whom_is_veiled_whatever_a_browser_sends(review, revision):
    """And no refusal says how far the first look is or whose it was."""
    person = second_look(review)
    before = history.events(review.store, review.table.key)
    for seq, op in enumerate(
        (
            NOSE,
            {"kind": "status", "status": "approved"},
            {"kind": "comment", "text": "mine"},
            {"kind": "delete"},
            {"kind": "revert", "event": before[-1].id},
        )
    ):
        answer = tell(review, person, seq, who=BEN, revision=revision, **op)
        ((_, _, reason, text),) = answer.refused
        assert not answer.done and reason == "lease" and text == outbox.BLIND
    assert history.events(review.store, review.table.key) == before
    for seq, who in enumerate((ADA, LEA)):  # the control: one's own, and a lead's
        comment = {"kind": "comment", "text": "seen", "revision": 2 + seq}
        assert tell(review, person, 50 + seq, who=who, held=HeldLeases(), **comment).done


def test_who_is_decided_on_meanwhile_is_not_told_of(review, monkeypatch):
    """The op was on its way when somebody decided: its refusal would name the revision and who."""
    set_share(review.store, review.table.key, "second_share", 1.0, by=ADMIN)
    person, real = review.person(3), outbox.apply

    def late(*args, **more):
        review.decide(ADA, person, "rejected")
        return real(*args, **more)

    monkeypatch.setattr(outbox, "apply", late)
    answer = tell(review, person, 1, who=BEN, **NOSE)
    assert [row[2:] for row in answer.refused] == [("lease", outbox.BLIND)]


def test_queues_do_not_tell_what_is_veiled(review):
    person = second_look(review)
    row = int(review.table.row_of(person.frame, person.instance))
    ask = QueueRequest(queue="all", query="status = rejected")
    assert list(build_queue(review.store, review.table, ask, who=ADA).rows) == [row]
    assert list(build_queue(review.store, review.table, ask, who=BEN).rows) == []
    todo = build_queue(review.store, review.table, QueueRequest(queue="all", todo=True), who=BEN)
    assert row not in todo.rows and len(todo.rows) == review.table.people - 1


def test_crops_do_not_draw_what_is_veiled(review):
    person = second_look(review)
    source = pictures.read_source(review.dataset, frames(review).skeleton)
    key = review.table.key
    roles = {"Ada": "reviewer", "Ben": "reviewer", "Lea": "lead"}
    open_set = SimpleNamespace(
        key=key, source=source, table=review.table, table_if_read=review.table
    )
    ctx = SimpleNamespace(
        sets={key: open_set},
        store=review.store,
        role_of=roles.get,
        cache=pictures.Cache(10_000_000),
    )

    def crop(user, revision=2):
        grant = Grant(
            kind="crop",
            dataset=key,
            user=user,
            browser="b",
            frame=person.frame,
            instance=person.instance,
            size=256,
            labels=True,
            revision=revision,
        )
        return bytes(server._picture(ctx, grant).body)

    assert crop("Ada") == crop("Lea") != crop("Ada", revision=0)
    assert crop("Ben") == crop("Ada", revision=0)
    assert crop("Ada") != crop("Ben")  # nor by what is kept


def test_a_store_that_is_busy_stops_nobody(review, monkeypatch, caplog):
    (person,) = taken_long_ago(review, ADA, 0)

    def busy(*args, **more):
        raise Refused("locked", reason="busy")

    with monkeypatch.context() as patch:
        patch.setattr(outbox, "renew", busy)
        held = HeldLeases()
        renew_leases(review.store, held, [person], who=ADA)
    assert "locked" in caplog.text and not held.people
    renew_leases(review.store, held, [person], who=ADA)
    assert leases(review.store, review.table.key, who="Ada")
